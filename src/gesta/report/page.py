"""The page: one HTML file that holds all it shows, from whatever tables there are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

import gesta
from gesta.report.charts import loss_curve, worker_scatter
from gesta.report.clips import duplicate_pairs, example_clips
from gesta.report.dataset import classes, figures, lead, stats_or_none, tiles
from gesta.report.line import Tables, dropped_rows, funnel, num_rows_of, provenance, rows_or_none, share, tables_of
from gesta.report.scores import confusion_rows, read_log, read_metrics, score_rows, training_curve
from gesta.report.votes import vote_bars, worker_rows
from gesta.schema import BadInput, MissingExtra
from gesta.tables import StageSummary, read_rejects, read_sidecar, table_path, write_text

SECTIONS = (
    ("line", "The line"), ("clips", "Example clips"), ("classes", "Classes"), ("votes", "Votes"),
    ("workers", "Workers"), ("duplicates", "Duplicates"), ("scores", "Scores"), ("training", "Training"),
    ("rejects", "Dropped"), ("provenance", "Provenance"),
)  # fmt: skip


def run_report(
    work: Path,
    *,
    out: Path | None = None,
    release: Path | None = None,
    metrics: Path | None = None,
    log: Path | None = None,
    summary: Mapping[str, Any] | None = None,
    title: str = "Dataset report",
    max_clips: int = 12,
    max_pairs: int = 6,
) -> StageSummary:
    """What was reported: one HTML page, offline and self-contained, the same bytes for the same inputs.

    A section whose input is not there says so in one line and names the verb that makes it.

    Args:
        work: the work folder, whatever stages have run.
        out: the page; None = `report.html` in the work folder.
        release: whose counts and splits are shown; None = the newest version below `work/releases`, if any.
        metrics: what `gesta evaluate` wrote.
        log: what `gesta train` wrote, JSON lines.
        summary: numbers of a whole run, such as `gesta demo` writes: precision, recall, duplicates_found,
            duplicates_planted, false_merges, map, map_chance; others are listed as they are.
        title: of the page.
        max_clips: example clips to show.
        max_pairs: pairs of duplicates to show.
    Raises:
        BadInput: the metrics, the log or the release cannot be read.
        WrongSchema: a table of the work folder is not of its kind.
        MissingExtra: jinja2 or Pillow is not installed.
    """
    chosen = release if release is not None else newest_release(work)
    page = page_text(
        work, release=chosen, metrics=metrics, log=log, summary=summary, title=title, max_clips=max_clips,
        max_pairs=max_pairs,
    )  # fmt: skip
    target = out if out is not None else work / "report.html"
    write_text(target, page)
    num_bytes = len(page.encode())
    return StageSummary(stage="report", kept=len(SECTIONS), outputs=(str(target),), numbers={"size_bytes": num_bytes})


def newest_release(work: Path) -> Path | None:
    """The release below `work/releases` with the greatest version, numbers compared as numbers; None without any."""
    found = [
        path.parent for path in (work / "releases").glob("*/manifest.json") if not path.parent.name.startswith(".")
    ]
    return max(found, key=lambda path: _version_key(path.name), default=None)


def _version_key(name: str) -> list[tuple[int, int, str]]:
    parts = name.replace("-", ".").replace("+", ".").split(".")
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def page_text(
    work: Path,
    *,
    release: Path | None,
    metrics: Path | None,
    log: Path | None,
    summary: Mapping[str, Any] | None,
    title: str,
    max_clips: int,
    max_pairs: int,
) -> str:
    """The page's HTML; arguments as for `run_report`, but that no release is looked for.

    Raises:
        BadInput: the metrics, the log or the release cannot be read.
        WrongSchema: a table of the work folder is not of its kind.
        MissingExtra: jinja2 is not installed.
    """
    tables = tables_of(work)
    rejects = read_rejects(work)
    manifest = read_metrics(release / "manifest.json") if release is not None else None
    if manifest is not None and "num_rows" not in manifest:
        raise BadInput("is not a manifest of gesta's", where=release or "", mend="Give a release: --release")
    scores = score_rows(read_metrics(metrics)) if metrics is not None else None
    steps = funnel(tables, rejects, num_proposals=num_rows_of(work, "boxes"), manifest=manifest)
    largest = max((step.kept + step.num_dropped for step in steps if step.kept is not None and step.has_bar), default=0)
    stats = stats_or_none(work, release=release)
    values = {
        "title": title,
        "lead": lead(tables, stats),
        "tiles": tiles(tables, stats=stats, scores=scores, summary=summary),
        "sections": SECTIONS,
        "steps": [
            {
                "verb": step.verb, "title": step.title, "unit": step.unit, "kept": step.kept,
                "dropped": step.dropped, "num_dropped": step.num_dropped, "notes": step.notes,
                "has_bar": step.has_bar,
                "kept_width": share(step.kept or 0, largest), "dropped_width": share(step.num_dropped, largest),
            }
            for step in steps
        ],
        "examples": example_clips(tables, home=work, max_clips=max_clips),
        "examples_missing": "no kept clips yet: run `gesta curate`",
        "classes": classes(stats),
        "figures": figures(stats),
        "votes": vote_bars(tables),
        "workers": _workers(work, tables),
        "duplicates": _duplicates(work, tables, max_pairs=max_pairs),
        "scores": _scores(scores),
        "confusion": confusion_rows(read_metrics(metrics)) if metrics is not None else None,
        "training": _training(log),
        "dropped": dropped_rows(rejects),
        "made": provenance(work, release=release),
        "summary_rows": [(_title_of(key), _said(value)) for key, value in (summary or {}).items()],
        "release_facts": _release_facts(manifest),
        "gesta_version": gesta.__version__,
    }  # fmt: skip
    return _rendered(values)


def _rendered(values: Mapping[str, Any]) -> str:
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="report", module=str(error.name)) from error
    here = resources.files("gesta.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False, keep_trailing_newline=True
    )
    template = environment.from_string((here / "page.html.jinja").read_text(encoding="utf-8"))
    return template.render(style=(here / "page.css").read_text(encoding="utf-8"), **values)


def _workers(work: Path, tables: Tables) -> dict[str, Any]:
    found = worker_rows(tables)
    sidecar = read_sidecar(table_path(work, "workers"))
    limit = sidecar["made_by"]["arguments"].get("min_accuracy") if sidecar is not None else None
    return {**found, "svg": worker_scatter(found["all"], min_accuracy=limit)}


def _duplicates(work: Path, tables: Tables, *, max_pairs: int) -> dict[str, Any]:
    pairs = rows_or_none(tables, "duplicates")
    if tables["duplicates"] is None:
        return {"ran": False}
    says = "No two clips were found to show the same footage."
    if len(pairs):
        says = (
            f"{len(pairs):,} pairs of clips show the same footage, in {pairs['cluster'].n_unique():,} clusters; one "
            "clip of each cluster stays, outlined here. Shown from the surest pair to the least sure."
        )
    components = rows_or_none(tables, "components").sort("component")
    chains = components.filter(pl.col("least_cosine") < pl.col("min_cosine"))
    if len(chains):
        says += (
            f" {len(chains):,} of {len(components):,} groups hang together as a chain only: two clips of theirs are "
            "less alike than what makes a pair."
        )
    return {
        "ran": True, "says": says, "pairs": duplicate_pairs(tables, home=work, max_pairs=max_pairs),
        "loosest": components.head(max_pairs).to_dicts(), "num_components": len(components),
    }  # fmt: skip


def _scores(scores: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    says = []
    if scores["mean_ap"] is not None:
        num_scored = sum(row["ap"] is not None for row in scores["rows"])
        text = f"Frame mAP at IoU 0.5 is {scores['mean_ap']:.4f} over {num_scored} classes"
        if scores["chance_map"]:
            ratio = scores["mean_ap"] / scores["chance_map"]
            text += f"; chance would give {scores['chance_map']:.4f}, so this is {ratio:.1f} times chance"
        says.append(text + ".")
    says += [f"{name.capitalize()} accuracy of clips is {100 * value:.1f} %." for name, value in scores["top"]]
    return {**scores, "says": " ".join(says)}


def _training(log: Path | None) -> dict[str, Any] | None:
    curve = training_curve(read_log(log)) if log is not None else None
    if curve is None:
        return None
    return {**curve, "svg": loss_curve(curve["points"], axis=curve["axis"])}


def _release_facts(manifest: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if manifest is None:
        return []
    facts = [(key, str(manifest[key])) for key in ("name", "version", "licence") if key in manifest]
    sizes = {split: counts["num_videos"] for split, counts in manifest["splits"].items()}
    facts += [(split, f"{sizes[split]:,} videos") for split in ("train", "val", "test")]
    return [*facts, ("content", str(manifest["content_sha256"])[:12])]


def _title_of(key: str) -> str:
    """A key of the summary in words: wall_s becomes "wall, s".

    >>> _title_of("wall_s"), _title_of("map_chance")
    ('wall, s', 'map chance')
    """
    return f"{key[:-2].replace('_', ' ')}, s" if key.endswith("_s") else key.replace("_", " ")


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
