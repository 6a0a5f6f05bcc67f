"""The dataset card of a release: a README.md with the YAML head that Hugging Face reads.

Source: https://huggingface.co/docs/hub/datasets-cards (keys of the head).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from gesta.formats.croissant import DatasetCard
from gesta.release.diff import Diff
from gesta.release.plan import Plan
from gesta.release.splits import SPLITS
from gesta.schema import PROTOCOLS

HUB_LICENCES = frozenset({
    "apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "odc-by", "odbl", "pddl", "unknown", "other",
})  # fmt: skip
"""Licence identifiers that the Hub knows; any other words become `other` with a name."""

SPDX = {
    **{name.lower(): f"https://spdx.org/licenses/{name}.html" for name in (
        "Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0",
        "CC-BY-NC-SA-4.0", "CC-BY-NC-ND-4.0", "ODC-By-1.0", "ODbL-1.0", "PDDL-1.0")},
    "odc-by": "https://spdx.org/licenses/ODC-By-1.0.html", "odbl": "https://spdx.org/licenses/ODbL-1.0.html",
    "pddl": "https://spdx.org/licenses/PDDL-1.0.html",
}  # fmt: skip
"""Addresses of licences, as Croissant wants them, by the Hub's and SPDX's identifiers in small letters.

Source: https://spdx.org/licenses.
"""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card_text(
    *,
    arguments: Mapping[str, Any],
    plan: Plan,
    stages: Sequence[Mapping[str, Any]],
    workers: pl.DataFrame | None,
    rejects: pl.DataFrame,
) -> str:
    """The card: YAML head, then what it is, how it was collected, counts, workers, limits, licence, citation.

    Args:
        arguments: of the release: name, version, licence, citation, seed, fractions or per_class, videos_from.
        plan: what the release holds.
        stages: table, stage and arguments of each input table.
        workers: table `workers`, None where there were none.
        rejects: what the stages before the release dropped.
    """
    parts = [
        _head(arguments, num_clips=len(plan.tables["clips"])),
        f"# {arguments['name']} {arguments['version']}\n",
        _what(arguments, plan),
        _counts(plan),
        *([_changes(plan.diff)] if plan.diff is not None else []),
        _collection(stages, rejects),
        _protocol(plan),
        _workers(workers),
        "\n".join(["## Known limits\n", *(f"- {line}" for line in limits_of(plan))]) + "\n",
        f"## Licence\n\n{arguments['licence']}\n\nThe licence covers the annotations. The videos are not part of the "
        "release and stay under their own terms.\n",
        f"## Citation\n\n```bibtex\n{citation_of(arguments)}\n```\n",
    ]
    return "\n".join(parts)


def _head(arguments: Mapping[str, Any], *, num_clips: int) -> str:
    licence = str(arguments["licence"])
    size = next((name for limit, name in _SIZES if num_clips < limit), "n>1M")
    lines = ["---", f"pretty_name: {json.dumps(str(arguments['name']), ensure_ascii=False)}"]
    if licence.lower() in HUB_LICENCES:
        lines.append(f"license: {licence.lower()}")
    else:
        slug = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-") or "unnamed"
        lines += ["license: other", f"license_name: {slug}"]
    lines += ["task_categories:", "- video-classification", "- object-detection"]
    lines += ["tags:", "- human-action-recognition", "- video", "- spatio-temporal-localization", "- gesta"]
    lines += ["size_categories:", f"- {size}", "configs:", "- config_name: clips", "  data_files:"]
    lines += [f"  - split: {_hub_split(split)}\n    path: kinetics_{split}.csv" for split in SPLITS]
    return "\n".join([*lines, "---", ""])


def _hub_split(split: str) -> str:
    return "validation" if split == "val" else split


def _what(arguments: Mapping[str, Any], plan: Plan) -> str:
    tables = plan.tables
    sizes, all_else = _sizes_of_splits(arguments), "and all footage found to be the same"
    hours = sum(end - start for start, end in tables["clips"].select("start_us", "end_us").iter_rows()) / 3.6e9
    return f"""## What it is

{len(tables["clips"]):,} clips of {len(tables["videos"]):,} videos ({hours:.2f} hours) that show people
performing {tables["kept"]["class_id"].n_unique():,} actions, with {len(tables["box_labels"]):,} accepted labels of
boxed persons at {len(tables["key_frames"]):,} key-frames.

| file | holds |
|---|---|
| `videos.parquet` | one row a source file; `path` is relative to this folder, `sha256` says which file is meant |
| `clips.parquet` | one row a clip, half-open `[start_us, end_us)` in microseconds on the player's clock |
| `kept.parquet` | clip and class: the clip labels |
| `splits.parquet` | train, val or test of each clip |
| `key_frames.parquet`, `tracks.parquet`, `box_labels.parquet` | annotated instants, person boxes, accepted actions |
| `label_map.parquet`, `label_map.pbtxt`, `label_map_activitynet.pbtxt`, `actions.txt` | the classes |
| `kinetics_<split>.csv` | clip labels as Kinetics writes them |
| `ava_<split>.csv`, `ava_kinetics_<split>.csv` | box labels as AVA (8 columns) and AVA-Kinetics (7 and 2) write them |
| `coco_vid_<split>.json` | box labels as COCO-VID: frames and pixels; not there where frame rates vary |
| `croissant.json` | all of this for programs: files, record sets and how they were made (Croissant 1.1, RAI 1.0) |
| `manifest.json` | every file with its hash, counts, versions, inputs and arguments |

Boxes are fractions of the displayed frame: x1 y1 x2 y2, x right, y down. The videos themselves are not in the
release. Splits were made with seed {arguments["seed"]} and {sizes}; a video, {all_else}, is in one
split only. `gesta release --verify .` checks every file against the manifest.
"""


def _sizes_of_splits(arguments: Mapping[str, Any]) -> str:
    if "per_class" in arguments:
        return f"clips a class as\n{arguments['per_class']} says"
    return f"fractions\n{' / '.join(str(part) for part in arguments['fractions'])}"


def _changes(diff: Diff) -> str:
    """What changed since the earlier version: the line, and a row a split."""
    lines = [f"## Changes since {diff.before}\n", f"{diff.line}.\n"]
    lines += ["| split | before | added | removed | after | still there |", "|---|---:|---:|---:|---:|---:|"]
    shares = dict(diff.retained.select("split", "share").iter_rows())
    for row in diff.splits.iter_rows(named=True):
        share = shares.get(row["split"])
        there = "" if share is None else f"{100 * share:.1f} %"
        numbers = " | ".join(f"{row[f'num_{what}']:,}" for what in ("before", "added", "removed", "after"))
        lines.append(f"| {row['split']} | {numbers} | {there} |")
    lines.append(
        "\nA clip that an earlier version held keeps its split. Videos in `past_splits.parquet` are of earlier "
        "versions only; if they come back, they come back to their split.\n"
    )
    if diff.renamed:
        pairs = ", ".join(f"{_cell(old)} is now {_cell(new)}" for old, new in diff.renamed)
        lines.append(f"Renamed: {pairs}.\n")
    if diff.num_seen:
        lines.append(
            f"{diff.num_seen:,} videos of val or test show footage that an earlier version had in train: models "
            "trained on that version have seen it.\n"
        )
    return "\n".join(lines)


def _counts(plan: Plan) -> str:
    wide = plan.counts.pivot("split", index=["class_id", "name"], values=["num_videos", "num_boxes"])
    head = (
        "| id | class |"
        + "".join(f" {split} videos |" for split in SPLITS)
        + "".join(f" {split} boxes |" for split in SPLITS)
    )
    lines = [head, "|---:|---|" + "---:|" * 6]
    columns = [f"{what}_{split}" for what in ("num_videos", "num_boxes") for split in SPLITS]
    for row in wide.iter_rows(named=True):
        numbers = " | ".join(f"{row[column]:,}" for column in columns)
        lines.append(f"| {row['class_id']} | {_cell(row['name'])} | {numbers} |")
    totals = " | ".join(f"{wide[column].sum():,}" for column in columns)
    lines.append(f"| | **all labels** | {totals} |")
    return "## Counts\n\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _collection(stages: Sequence[Mapping[str, Any]], rejects: pl.DataFrame) -> str:
    lines = ["## How it was collected\n", "| table | made by | with |", "|---|---|---|"]
    for stage in stages:
        with_what = ", ".join(f"{key} = {json.dumps(value)}" for key, value in sorted(stage["arguments"].items()))
        lines.append(f"| `{stage['table']}` | `gesta {stage['stage']}` | {_cell(with_what) or 'no arguments'} |")
    if len(rejects):
        dropped = rejects.group_by("stage", "reason").agg(pl.len().alias("rows")).sort("stage", "reason")
        lines += ["\nWhat the stages dropped:\n", "| stage | reason | rows |", "|---|---|---:|"]
        lines += [f"| {row['stage']} | {row['reason']} | {row['rows']:,} |" for row in dropped.iter_rows(named=True)]
    return "\n".join(lines) + "\n"


def _protocol(plan: Plan) -> str:
    clip, box = PROTOCOLS["clip"], PROTOCOLS["box"]
    text = f"""## Annotation protocol

Workers were asked of a clip whether they can see a human performing the action. A clip label was accepted at
{clip.accept_yes} positives of at most {clip.max_votes} answers (Kinetics-400, section 3.3)."""
    if len(plan.tables["box_labels"]):
        text += f"""
Boxes come from a person detector; an action of a boxed person was accepted at {box.accept_yes} positives of at most
{box.max_votes} answers (AVA-Kinetics, section 1.2)."""
    return text + "\n"


def _workers(workers: pl.DataFrame | None) -> str:
    if workers is None or not len(workers):
        return "## Workers\n\nNo votes were cast: the labels were imported.\n"
    trusted = workers.filter("is_trusted")
    num_gold, num_right = int(workers["num_gold"].sum()), int(workers["num_gold_right"].sum())
    gold = "no gold questions were asked"
    if num_gold:
        gold = f"{100 * num_right / num_gold:.1f} % of their {num_gold:,} answers to gold questions were right"
    agreement: list[float] = trusted["agreement"].drop_nulls().to_list()
    agree = ""
    if agreement:
        mean = 100 * sum(agreement) / len(agreement)
        agree = f"; trusted workers agree with the verdicts in {mean:.1f} % of their votes"
    num_barred = len(workers) - len(trusted)
    barred = f" ({num_barred:,} of them not trusted: their votes were not counted)" if num_barred else ""
    return (
        f"## Workers\n\n{int(workers['num_votes'].sum()):,} votes by {len(workers):,} workers{barred}; {gold}{agree}.\n"
    )


def limits_of(plan: Plan) -> list[str]:
    """What is known to be lacking in a release, a sentence each."""
    lines = []
    for split, missing in (("train", plan.missing_in_train), ("test", plan.missing_in_test)):
        if missing:
            lines.append(f"Classes with enough videos that are still absent from {split}: {', '.join(missing)}.")
    totals = plan.counts.group_by("class_id", "name", maintain_order=True).agg(pl.col("num_videos").sum())
    small = totals.filter(pl.col("num_videos") < 3)["name"].to_list()
    if small:
        lines.append(f"Classes with fewer than 3 videos, too few to be in every split: {', '.join(small)}.")
    if plan.short_classes:
        short = ", ".join(row.text for row in plan.short_classes)
        lines.append(f"Classes with fewer clips than the rule of the splits wants: {short}.")
    if not len(plan.tables["box_labels"]):
        lines.append("There are no box labels.")
    return [
        *lines,
        "Titles and detectors choose what is asked about; what they miss is not in the dataset.",
        "A class that is not labelled on a clip was not asked for there: absence is not a negative.",
        "Near-duplicates that the comparison of features missed may still stand in two splits.",
    ]


def dataset_card(
    arguments: Mapping[str, Any], *, plan: Plan, responsible: Mapping[str, str | tuple[str, ...]]
) -> DatasetCard:
    """Name, licence and texts of a release for its Croissant file.

    Args:
        arguments: of the release, as for `card_text`, and `published`.
        plan: what the release holds.
        responsible: texts by property of the RAI vocabulary.
    """
    tables = plan.tables
    licence = str(arguments["licence"])
    return DatasetCard(
        name=str(arguments["name"]),
        version=str(arguments["version"]),
        licence=SPDX.get(licence.lower(), licence),
        citation=citation_of(arguments),
        description=f"{len(tables['clips']):,} clips of {len(tables['videos']):,} videos that show people performing "
        f"{tables['kept']['class_id'].n_unique():,} actions, with {len(tables['box_labels']):,} accepted labels of "
        f"boxed persons at {len(tables['key_frames']):,} key-frames.",
        published=str(arguments["published"]) or None,
        responsible=responsible,
    )


def citation_of(arguments: Mapping[str, Any]) -> str:
    """The BibTeX entry that was given, or one made from name and version."""
    if arguments["citation"]:
        return str(arguments["citation"])
    key = re.sub(r"[^a-z0-9]+", "", str(arguments["name"]).lower()) or "dataset"
    title, note = arguments["name"], f"Version {arguments['version']}, made with gesta"
    return f"@misc{{{key},\n  title = {{{title}}},\n  note = {{{note}}}\n}}"
