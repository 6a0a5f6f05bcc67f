"""A release: an immutable, versioned folder of tables, exports, a manifest and a card."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats.croissant import write_croissant
from gesta.release.card import card_text, dataset_card
from gesta.release.exports import write_exports
from gesta.release.growth import read_earlier
from gesta.release.manifest import (
    CROISSANT,
    content_hash,
    file_facts,
    files_below,
    is_description,
    read_manifest,
    verify_release,
    write_manifest,
)
from gesta.release.plan import Plan, Splitting, plan_release, tables_at_hand
from gesta.release.responsible import responsible_texts
from gesta.release.splits import SPLITS, check_fractions
from gesta.schema import BadInput, Refused
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    hashes_of,
    made_by,
    read_rejects,
    read_sidecar,
    read_table,
    rejects_path,
    rows_of,
    table_path,
    write_rejects,
    write_table,
    write_text,
)

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]*\Z")


def run_release(
    work: Path,
    *,
    version: str = "1.0.0",
    out: Path | None = None,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    name: str = "dataset",
    licence: str = "unknown",
    citation: str = "",
    published: str = "",
    splitting: Splitting | None = None,
) -> StageSummary:
    """What was released: the kept clips with their tables, splits and exports, as one immutable folder.

    The folder is built beside its place and renamed at the end. The same tables and arguments give the same bytes.

    Args:
        work: the work folder.
        version: names the folder; letters, digits and `.+_-`.
        out: the release's folder; None = `work/releases/<version>`.
        fractions: shares of train, val and test among videos; they sum to 1.
        seed: of the splits.
        name: of the dataset, for its card.
        licence: for the card: a Hugging Face licence identifier such as cc-by-4.0, or any other words.
        citation: BibTeX for the card; empty = an entry made from name and version.
        published: day of publication for `croissant.json`, as 2024-05-17; empty = none is said.
        splitting: how to split, in place of `fractions` and `seed`: also by counts per class, and as the next version
            of an earlier release.
    Raises:
        MissingTable: `videos`, `clips`, `kept` or `label_map` is not there.
        BadInput: the version is no name, the fractions or the day are none, a kept class is not in the label map, or
            the earlier version is no release.
        Refused: the folder is there and holds something else, there is nothing to release, or classes are short and
            that was to be refused.
    """
    _check_version(version)
    how = splitting if splitting is not None else Splitting(fractions=check_fractions(fractions), seed=seed)
    how = replace(how, fractions=check_fractions(how.fractions))
    target = _target(work, version=version, out=out)
    provenance = made_by(
        "release",
        arguments={
            "version": version, "seed": how.seed, "name": name, "licence": licence,
            "citation": citation, "published": _checked_day(published),
            "videos_from": Path(os.path.relpath(work, target)).as_posix(), **_splitting_arguments(how),
        },
        inputs=hashes_of(work, [*tables_at_hand(work), *(["votes"] if table_path(work, "votes").is_file() else [])]),
    )  # fmt: skip
    if read_manifest_or_none(target) is not None and _fingerprint(target) == provenance.fingerprint:
        verify_release(target)
        return _summary(work, target, was_current=True)
    plan = plan_release(work, splitting=how)
    if plan.diff is not None:
        plan = replace(plan, diff=replace(plan.diff, after=version))
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _write_all(building, plan, work=work, target=target, provenance=provenance)
        was_there = _settle(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    write_rejects(work, "release", plan.rejects, made_by=provenance)
    return _summary(work, target, was_current=was_there)


def _splitting_arguments(how: Splitting) -> dict[str, Json]:
    """What says how a release was split; what does not apply is not there, so that first versions stay as they were."""
    found: dict[str, Json] = {"fractions": list(how.fractions)}
    if how.per_class is not None:
        found = {"per_class": how.per_class.text, "short": how.short}
    if how.after is not None:
        earlier = read_earlier(how.after)
        found["after"] = {"version": earlier.version, "content_sha256": earlier.content_sha256}
        if how.carry:
            found |= {"carry": True, "gone": sorted(how.gone)}
    return found


def _check_version(version: str) -> None:
    if _VERSION.match(version) is None:
        raise BadInput(
            f"version {version!r} cannot name a folder", mend="Write it like 1.0.0: letters, digits, . + _ -"
        )


def _checked_day(day: str) -> str:
    try:
        return date.fromisoformat(day).isoformat() if day else ""
    except ValueError as error:
        raise BadInput(f"{day!r} is no day", mend="Write the day of publication like 2024-05-17") from error


def _target(work: Path, *, version: str, out: Path | None) -> Path:
    return Path(os.path.abspath(out if out is not None else work / "releases" / version))  # noqa: PTH100 (keeps links)


def _settle(building: Path, target: Path) -> bool:
    """Whether equal content was there already; else the built folder is renamed onto its place."""
    if target.is_dir() and any(target.iterdir()):
        there = read_manifest_or_none(target)
        if there is not None and there["content_sha256"] == read_manifest(building)["content_sha256"]:
            verify_release(target)
            return True
        raise Refused(
            "this release is there already with other content, and a release never changes",
            where=target,
            mend="Give the new one another --version",
        )
    building.replace(target)
    return False


def read_manifest_or_none(folder: Path) -> dict[str, Any] | None:
    """The manifest of a release, or None where there is none."""
    return read_manifest(folder) if (folder / "manifest.json").is_file() else None


def _fingerprint(folder: Path) -> str:
    return str(read_manifest(folder)["fingerprint"])


def _write_all(building: Path, plan: Plan, *, work: Path, target: Path, provenance: Provenance) -> None:
    building.mkdir(parents=True)
    tables = dict(plan.tables)
    tables["videos"] = _rebased(tables["videos"], work=work, target=target)
    for table, frame in tables.items():
        write_table(table_path(building, table), table, frame, made_by=provenance)
    write_exports(building, tables)
    arguments = dict(provenance.arguments)
    stages, workers = stages_of(work), _optional(work, "workers")
    rejects = read_rejects(work).filter(pl.col("stage") != "release")
    text = card_text(arguments=arguments, plan=plan, stages=stages, workers=workers, rejects=rejects)
    write_text(building / "README.md", text)
    files = files_below(building)
    votes = _optional(work, "votes")
    responsible = responsible_texts(plan=plan, stages=stages, workers=workers, votes=votes, rejects=rejects)
    write_croissant(
        building / CROISSANT,
        card=dataset_card(arguments, plan=plan, responsible=responsible),
        files={name: facts for name, facts in files.items() if not is_description(name, files)},
        video_paths=tables["videos"]["path"],
    )
    files = dict(sorted({**files, CROISSANT: file_facts(building / CROISSANT)}.items()))
    write_manifest(building, _manifest(files, plan, tables=tables, provenance=provenance))


def _optional(work: Path, table: str) -> pl.DataFrame | None:
    return read_table(work, table) if table_path(work, table).is_file() else None


def _rebased(videos: pl.DataFrame, *, work: Path, target: Path) -> pl.DataFrame:
    """The videos with paths relative to the release's folder instead of the work folder's."""
    paths = [Path(os.path.relpath(work / path, target)).as_posix() for path in videos["path"]]
    return videos.with_columns(pl.Series("path", paths, dtype=pl.String))


def stages_of(work: Path) -> list[dict[str, Any]]:
    """What made each table that a release rests on: table, stage and arguments, from the sidecars."""
    stages = []
    for table in tables_at_hand(work):
        sidecar = read_sidecar(table_path(work, table))
        if sidecar is not None:
            made = sidecar["made_by"]
            stages.append({"table": table, "stage": made["stage"], "arguments": made["arguments"]})
    return stages


def _manifest(
    files: Mapping[str, Any], plan: Plan, *, tables: dict[str, pl.DataFrame], provenance: Provenance
) -> dict[str, Json]:
    counts: dict[str, dict[str, Json]] = {}
    for split in SPLITS:
        ids = tables["splits"].filter(split=split)
        boxes = tables["box_labels"].join(ids, on="clip_id", how="semi")
        counts[split] = {
            "num_videos": ids["video_id"].n_unique(),
            "num_clips": len(ids),
            "num_key_frames": len(tables["key_frames"].join(ids, on="clip_id", how="semi")),
            "num_box_labels": len(boxes),
        }
    return {
        "manifest_version": 1,
        "name": provenance.arguments["name"],
        "version": provenance.arguments["version"],
        "licence": provenance.arguments["licence"],
        "files": files,
        "content_sha256": content_hash(files),
        "num_rows": {table: len(frame) for table, frame in tables.items()},
        "splits": counts,
        "classes": plan.counts.to_dicts(),
        "classes_missing_in_train": list(plan.missing_in_train),
        "classes_missing_in_test": list(plan.missing_in_test),
        **_growth(plan),
        "made_by": provenance.as_json(),
        "fingerprint": provenance.fingerprint,
    }


def _growth(plan: Plan) -> dict[str, Json]:
    """What a manifest says of short classes and of the version before; nothing where there is neither."""
    found: dict[str, Json] = {}
    if plan.short_classes:
        found["short_classes"] = [dataclasses.asdict(row) for row in plan.short_classes]
    if plan.diff is not None:
        found["diff"] = plan.diff.as_json()
    return found


def _summary(work: Path, target: Path, *, was_current: bool) -> StageSummary:
    manifest = read_manifest(target)
    rejects = rows_of("rejects", read_table(rejects_path(work, "release"), "rejects"))
    return StageSummary(
        stage="release",
        kept=manifest["num_rows"]["clips"],
        rejected=count_reasons(rejects),
        outputs=(str(target),),
        was_current=was_current,
        numbers={
            "version": manifest["version"],
            "path": str(target),
            "splits": manifest["splits"],
            "content_sha256": manifest["content_sha256"],
            "classes_missing_in_train": manifest["classes_missing_in_train"],
            "classes_missing_in_test": manifest["classes_missing_in_test"],
            **({"short_classes": manifest["short_classes"]} if "short_classes" in manifest else {}),
            **({"diff": manifest["diff"]} if "diff" in manifest else {}),
        },
    )
