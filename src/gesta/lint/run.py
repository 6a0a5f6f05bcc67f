"""Lint files and folders: which checks each gets, and what they find together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats.annotations import Annotations, Context
from gesta.lint.across import SEEN, leak_findings, seen_videos
from gesta.lint.against import Against
from gesta.lint.ava_file import lint_ava, lint_key_frames, lint_times
from gesta.lint.codes import CODES
from gesta.lint.dataset import lint_dataset
from gesta.lint.findings import Finding, Report, chosen_findings, finding
from gesta.lint.kinds import KINDS, Kind, is_other_by_name, kind_of
from gesta.lint.kinetics_file import lint_kinetics
from gesta.lint.lists import lint_label_map, lint_names, split_in_name
from gesta.lint.rows import lint_annotations
from gesta.lint.text import Source, read_source
from gesta.schema import BadInput

Reader = Callable[[Path, Context], tuple[str, Annotations] | None]
"""Reads a file of any format: the format's name and what it says, or None where it is none that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLint:
    """What lint made of one file or folder: its kind, its rows, its findings, and its videos by split."""

    where: str
    kind: str
    num_rows: int
    findings: tuple[Finding, ...]
    seen: pl.DataFrame


def lint_targets(
    targets: Sequence[Path],
    *,
    against: Against | None = None,
    kind: Kind | None = None,
    codes: Collection[str] = tuple(CODES),
    reader: Reader | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Report:
    """What is wrong with the files, and with them together: leakage of videos between their splits.

    Args:
        targets: annotation files, label maps, lists; work folders and releases.
        against: what their rows are held against.
        kind: of all files; None = told from their lines.
        codes: which findings are wanted.
        reader: for files that none of the checks by line is for.
        on_rows: called with the number of rows of each file that is done.
    Raises:
        BadInput: a file cannot be read, or a folder is neither a work folder nor a release.
    """
    linted = []
    for target in targets:
        one = (
            _lint_folder(target, against=against or Against())
            if target.is_dir()
            else lint_file(target, against=against or Against(), kind=kind, reader=reader)
        )
        linted.append(one)
        if on_rows is not None:
            on_rows(one.num_rows)
    leaks = leak_findings([(one.where, one.seen) for one in linted])
    found = [found for one in linted for found in one.findings]
    # Tables of a folder stand where the folder was named.
    order = [where for one in linted for where in (one.where, *(found.where for found in one.findings))]
    return Report(
        files=tuple((one.where, one.kind, one.num_rows) for one in linted),
        findings=chosen_findings([*found, *leaks], codes=codes, files=order),
    )


def _lint_folder(folder: Path, *, against: Against) -> FileLint:
    num_rows, kind, findings = lint_dataset(folder, against=against)
    empty = pl.DataFrame(schema=SEEN)
    return FileLint(where=str(folder), kind=kind, num_rows=num_rows, findings=tuple(findings), seen=empty)


def lint_file(
    path: Path, *, against: Against | None = None, kind: Kind | None = None, reader: Reader | None = None
) -> FileLint:
    """What is wrong with one file. All of it is found: a bad row never hides another.

    Args:
        against: what the rows are held against.
        kind: None = told from the file's lines.
        reader: for a file that none of the checks by line is for.
    Raises:
        BadInput: there is no such file, or it cannot be read.
    """
    against = against or Against()
    if path.is_dir():
        raise BadInput("this is a folder", where=path, mend="Name a file in it")
    if kind is None and is_other_by_name(path):
        return _lint_other(path, against=against, reader=reader)
    source = read_source(path)
    if not source.lines.height:
        nothing = pl.DataFrame(schema=SEEN)
        return FileLint(where=str(path), kind=kind or "empty", num_rows=0, findings=source.findings, seen=nothing)
    told = kind or kind_of(path, source.lines)
    if told == "other":
        return _lint_other(path, against=against, reader=reader)
    rows, found = _lint_lines(source, told, against)
    if not rows.height and not any(one.severity == "error" for one in (*source.findings, *found)):
        found += finding("file-empty", [(None, "below its header the file holds no row")], where=path)
    return FileLint(
        where=str(path),
        kind=told,
        num_rows=rows.height,
        findings=(*source.findings, *found),
        seen=_seen(rows, told, path=path),
    )


def _lint_lines(source: Source, kind: Kind, against: Against) -> tuple[pl.DataFrame, list[Finding]]:
    if kind == "kinetics":
        return lint_kinetics(source, against)
    if kind in ("ava", "detections"):
        return lint_ava(source, against, is_scored=kind == "detections")
    if kind == "key-frames":
        return lint_key_frames(source, against)
    if kind == "times":
        return lint_times(source)
    return lint_label_map(source) if kind == "label-map" else lint_names(source, against)


def _seen(rows: pl.DataFrame, kind: str, *, path: Path) -> pl.DataFrame:
    """The videos by split; a list of excluded key-frames says what is not in a split and so nothing."""
    is_list_of_none = kind == "key-frames" and "excluded" in path.name.lower()
    if "video_id" not in rows.columns or kind == "detections" or is_list_of_none:
        return pl.DataFrame(schema=SEEN)
    return seen_videos(rows, split=split_in_name(path))


def _lint_other(path: Path, *, against: Against, reader: Reader | None) -> FileLint:
    where, nothing = str(path), pl.DataFrame(schema=SEEN)
    if not path.stat().st_size:
        found = finding("file-empty", [(None, "the file holds no row")], where=path)
        return FileLint(where=where, kind="unknown", num_rows=0, findings=tuple(found), seen=nothing)
    try:
        read = reader(path, Context(label_map=against.label_map)) if reader is not None else None
    except BadInput as error:
        line = error.where.removeprefix(f"{path}:") if error.where.startswith(f"{path}:") else ""
        found = finding("file-unreadable", [(int(line) if line.isdigit() else None, error.problem)], where=path)
        return FileLint(where=where, kind="unknown", num_rows=0, findings=tuple(found), seen=nothing)
    if read is None:
        text = f"no format is known that looks like this (--as takes {', '.join(KINDS)})"
        found = finding("file-unknown", [(None, text)], where=path)
        return FileLint(where=where, kind="unknown", num_rows=0, findings=tuple(found), seen=nothing)
    name, annotations = read
    found = lint_annotations(annotations, where=path, context=Context(label_map=against.label_map), against=against)
    rows = annotations.clips if annotations.clips.height else annotations.boxes
    splits = annotations.videos.select("video_id", pl.col("split").alias("video_split"))
    told = rows.with_columns(pl.lit(None, dtype=pl.Int64).alias("line")).join(
        splits.unique("video_id", keep="first"), on="video_id", how="left", maintain_order="left"
    )
    own = pl.col("split") if "split" in told.columns else pl.lit(None, dtype=pl.String)
    seen = seen_videos(told.with_columns(pl.coalesce(own, "video_split").alias("split")), split=split_in_name(path))
    num_rows = annotations.clips.height + annotations.boxes.height
    return FileLint(where=where, kind=name, num_rows=num_rows, findings=tuple(found), seen=seen)
