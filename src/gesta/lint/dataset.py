"""A work folder or a release: its tables, whether they fit together, and whether they are those that were written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from gesta.lint.against import Against
from gesta.lint.boxes import CORNERS, box_findings, repeated_findings
from gesta.lint.clips import class_id_findings, rare_findings
from gesta.lint.findings import Finding, finding, rows_found, shown, shown_time
from gesta.lint.instants import MARGIN_US, interval_findings, video_findings
from gesta.lint.lists import map_findings
from gesta.lint.persons import person_findings
from gesta.lint.text import read_bytes
from gesta.schema import BadInput, GestaError
from gesta.tables import TABLES, read_sidecar, read_table, sha256_of_file, table_path

MANIFEST = "manifest.json"

Tables = Mapping[str, pl.DataFrame]


def is_dataset(folder: Path) -> bool:
    """Whether the folder holds a manifest or a table."""
    return (folder / MANIFEST).is_file() or any(table_path(folder, name).is_file() for name in TABLES)


def lint_dataset(folder: Path, *, against: Against | None = None) -> tuple[int, str, list[Finding]]:
    """Rows of all tables, `release` or `work folder`, and what is wrong with them.

    Args:
        against: of it, the least rows a class is used.
    Raises:
        BadInput: the folder holds no table and no manifest.
    """
    is_release = (folder / MANIFEST).is_file()
    names = [name for name in TABLES if table_path(folder, name).is_file()]
    if not names and not is_release:
        raise BadInput(
            "this folder is neither a work folder nor a release", where=folder, mend="Name a folder with tables in it"
        )
    tables: dict[str, pl.DataFrame] = {}
    found = manifest_findings(folder) if is_release else []
    for name in names:
        found += _table_findings(folder, name, tables, is_release=is_release)
    found += _reference_findings(folder, tables, is_release=is_release)
    found += _clip_time_findings(folder, tables)
    found += _corner_findings(folder, tables)
    found += _split_findings(folder, tables)
    least = against.min_per_class if against is not None else None
    if least and "kept" in tables:
        rows = tables["kept"].select(
            _LINE, pl.col("class_id").cast(pl.String).alias("label"), pl.lit("").alias("split")
        )
        found += rare_findings(rows, least=least, where=table_path(folder, "kept"))
    num_rows = sum(table.height for table in tables.values())
    return num_rows, "release" if is_release else "work folder", found


_LINE = pl.lit(None, dtype=pl.Int64).alias("line")


def manifest_findings(release: Path) -> list[Finding]:
    """Files of a release that are missing, changed or not in its manifest; or the manifest itself is no such thing."""
    path = release / MANIFEST
    try:
        manifest = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        return finding("manifest-differs", [(None, f"cannot be read as JSON ({error})")], where=path)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(isinstance(facts, dict) for facts in files.values()):
        return finding("manifest-differs", [(None, "this is not a manifest of gesta's")], where=path)
    there = {file.relative_to(release).as_posix(): file for file in sorted(release.rglob("*")) if file.is_file()}
    there.pop(MANIFEST, None)
    problems = [f"{name} is missing" for name in sorted(files.keys() - there.keys())]
    problems += [f"{name} is not in the manifest" for name in sorted(there.keys() - files.keys())]
    problems += [
        f"{name} was changed"
        for name in sorted(files.keys() & there.keys())
        if files[name].get("sha256") != sha256_of_file(there[name])
    ]
    return finding("manifest-differs", [(None, problem) for problem in problems], where=path)


def _table_findings(folder: Path, name: str, tables: dict[str, pl.DataFrame], *, is_release: bool) -> list[Finding]:
    """What is wrong with one table's file; the table is put into `tables` where it can be read."""
    path = table_path(folder, name)
    found: list[Finding] = []
    sidecar = read_sidecar(path)
    if sidecar is None:
        found += finding("table-differs", [(None, f"the table {name!r} has no sidecar")], where=path)
    elif not is_release and sidecar.get("sha256") != sha256_of_file(path):
        found += finding("table-differs", [(None, f"the table {name!r} is not what its sidecar says")], where=path)
    try:
        tables[name] = read_table(path, name)
    except GestaError as error:
        return [*found, *finding("table-unreadable", [(None, error.problem)], where=path)]
    if name == "label_map":
        found += map_findings(tables[name].select(_LINE, "class_id", "name"), where=path)
    return found


_NOT_OF_CLIPS = ("rejects", "clips", "votes")
_NOT_OF_VIDEOS = (
    "rejects", "availability", "videos", "past_splits", "truth_videos", "truth_actions", "truth_boxes", "detections",
)  # fmt: skip


def _reference_findings(folder: Path, tables: Tables, *, is_release: bool) -> list[Finding]:
    """Rows that name a video, clip or class that its table lacks."""
    found: list[Finding] = []
    if "videos" in tables and not is_release:
        rows = tables["videos"].select(_LINE, "video_id", "path")
        is_gone = ~pl.Series([(folder / path).is_file() for path in rows["path"]], dtype=pl.Boolean)
        text = pl.format("the file {} of video {} is gone", shown("path"), shown("video_id"))
        gone = rows.filter(is_gone)
        found += rows_found("video-missing", gone, None, text, where=table_path(folder, "videos"))
    for name, table in tables.items():
        path = table_path(folder, name)
        if "videos" in tables and "video_id" in table.columns and name not in _NOT_OF_VIDEOS:
            found += video_findings(table.select(_LINE, "video_id"), tables["videos"], where=path)
        if "clips" in tables and "clip_id" in table.columns and name not in _NOT_OF_CLIPS:
            rows = _asked(table, tables) if name == "items" else table
            rows = rows.select(_LINE, "clip_id").drop_nulls("clip_id").unique("clip_id", maintain_order=True)
            alone = rows.join(tables["clips"], on="clip_id", how="anti", maintain_order="left")
            text = pl.format("there is no clip {}", shown("clip_id"))
            found += rows_found("clip-unknown", alone, None, text, where=path)
        is_asked = "class_id" in table.columns and name not in ("label_map", "class_scores")
        if "label_map" in tables and is_asked:
            rows = table.select(_LINE, "class_id")
            found += class_id_findings(rows, tables["label_map"], where=path, is_truth=False)
    return found


def _asked(items: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The items but those of known answer, whose clips may come from elsewhere."""
    return items.join(tables["gold"], on="item_id", how="anti", maintain_order="left") if "gold" in tables else items


def _clip_time_findings(folder: Path, tables: Tables) -> list[Finding]:
    """Clips outside their video; key-frames and boxes outside their clip, or too near to its ends."""
    if "clips" not in tables:
        return []
    clips, found = tables["clips"], []
    end_us = (pl.col("start_us") + pl.col("duration_us")).alias("end_us")
    videos = tables["videos"].select("video_id", "start_us", end_us) if "videos" in tables else None
    rows = clips.select(_LINE, "video_id", "start_us", "end_us")
    found += interval_findings(rows, videos, where=table_path(folder, "clips"))
    for name in ("boxes", "tracks", "key_frames", "box_labels"):
        if name not in tables:
            continue
        joined = tables[name].join(clips.drop("video_id"), on="clip_id", how="inner", maintain_order="left")
        ahead, behind = pl.col("timestamp_us") - pl.col("start_us"), pl.col("end_us") - pl.col("timestamp_us")
        timed = joined.with_columns(_LINE, pl.min_horizontal(ahead, behind).alias("near_us"))
        at = pl.format("{} of clip {}", shown_time(), shown("clip_id"))
        where = table_path(folder, name)
        # A clip is half-open: its last instant is not in it.
        is_outside = (ahead < 0) | (behind <= 0)
        text = pl.format("{} is outside the clip", at)
        found += rows_found("key-frame-outside-clip", timed, is_outside, text, where=where)
        if name == "key_frames":
            is_near = ~is_outside & (pl.col("near_us") < MARGIN_US)
            is_long = pl.col("end_us") - pl.col("start_us") >= 2 * MARGIN_US
            text = pl.format("{} is {} from an end of the clip", at, shown_time("near_us"))
            found += rows_found("key-frame-near-end", timed, is_near & is_long, text, where=where)
    return found


def _corner_findings(folder: Path, tables: Tables) -> list[Finding]:
    """What is wrong with the boxes of detectors, tracks and verdicts; persons are counted within a clip."""
    found: list[Finding] = []
    for name in ("boxes", "tracks", "box_labels"):
        if name not in tables:
            continue
        table = tables[name]
        filled = [pl.lit(None, dtype=pl.Int64).alias(c) for c in ("class_id", "person_id") if c not in table.columns]
        rows = table.with_columns(_LINE, pl.col("clip_id").alias("video_id"), *filled)
        path = table_path(folder, name)
        found += box_findings(rows.select("line", "video_id", "timestamp_us", *CORNERS), where=path)
        if name != "boxes":
            found += person_findings(rows, where=path)
        if name == "box_labels":
            found += repeated_findings(rows, where=path)
    return found


def _split_findings(folder: Path, tables: Tables) -> list[Finding]:
    """Videos and footage in two splits, and classes that train or test lacks."""
    if "splits" not in tables:
        return []
    splits, path = tables["splits"], table_path(folder, "splits")
    found: list[Finding] = []
    by_video = splits.group_by("video_id", maintain_order=True).agg(pl.col("split").unique().sort())
    torn = by_video.filter(pl.col("split").list.len() > 1).with_columns(_LINE)
    text = pl.format("{} is in {}", shown("video_id"), pl.col("split").list.join(" and "))
    has_train = pl.col("split").list.contains("train")
    found += rows_found("leak-train", torn, has_train, text, where=path)
    found += rows_found("leak-val-test", torn, ~has_train, text, where=path)
    found += _footage_findings(splits, tables, path=path)
    if "kept" in tables and "label_map" in tables:
        labelled = tables["kept"].select("clip_id", "class_id").join(splits, on="clip_id", how="inner")
        names = tables["label_map"].filter(pl.col("class_id").is_in(labelled["class_id"].unique().to_list()))
        lacking: list[tuple[int | None, str]] = []
        for split in ("train", "test"):
            there = labelled.filter(pl.col("split") == split)["class_id"].unique().to_list()
            lacking += [(None, f"class {name!r} has no clip in {split}")
                        for name in names.filter(~pl.col("class_id").is_in(there))["name"]]  # fmt: skip
        found += finding("class-missing-in-split", lacking, where=path)
    return found


def _footage_findings(splits: pl.DataFrame, tables: Tables, *, path: Path) -> list[Finding]:
    if "duplicates" not in tables:
        return []
    of = splits.select("clip_id", "split")
    pairs = (
        tables["duplicates"]
        .join(of, left_on="clip_id_a", right_on="clip_id", how="inner")
        .join(of, left_on="clip_id_b", right_on="clip_id", how="inner", suffix="_b")
        .filter(pl.col("split") != pl.col("split_b"))
        .sort("clip_id_a", "clip_id_b")
        .with_columns(_LINE)
    )
    text = pl.format(
        "clip {} in {} shows the footage of {} in {}", shown("clip_id_a"), "split", shown("clip_id_b"), "split_b"
    )
    return rows_found("leak-footage", pairs, None, text, where=path)
