"""Lint files and folders: which checks each gets, and what they find together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats.annotations import Annotations, Context
from gesta.formats.catalogue import FORMATS, format_named
from gesta.formats.sniff import format_of
from gesta.lint.across import SEEN, leak_findings, seen_videos
from gesta.lint.against import Against
from gesta.lint.ava_file import lint_ava, lint_key_frames, lint_times
from gesta.lint.codes import CODES
from gesta.lint.dataset import is_dataset, lint_dataset
from gesta.lint.findings import Finding, Report, chosen_findings, finding
from gesta.lint.kinds import KINDS, Kind, is_other_by_name, kind_of
from gesta.lint.kinetics_file import lint_kinetics
from gesta.lint.lists import lint_label_map, lint_names, split_in_name
from gesta.lint.rows import lint_annotations
from gesta.lint.text import Source, read_source
from gesta.schema import BadInput, GestaError, UnknownName

Reader = Callable[[Path, str | None, Context], tuple[str, Annotations]]
"""Reads a file or folder of any format (of the name, or of what it looks like): the format's name and what it says."""


def read_any(path: Path, name: str | None, context: Context) -> tuple[str, Annotations]:
    """The name of the format in `gesta.formats.FORMATS`, and what the file or folder says.

    Raises:
        UnknownName: there is no such format.
        BadInput: the file cannot be read, or looks like no format.
    """
    found = name or format_of(path)
    return found, format_named(found).read(path, context=context)


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
    kind: str | None = None,
    codes: Collection[str] = tuple(CODES),
    reader: Reader = read_any,
    on_rows: Callable[[int], None] | None = None,
) -> Report:
    """What is wrong with the files, and with them together: leakage of videos between their splits.

    Args:
        targets: annotation files, label maps, lists; work folders and releases.
        against: what their rows are held against.
        kind: of all files, one of `KINDS` or of `gesta.formats.FORMATS`; None = told from their lines.
        codes: which findings are wanted.
        reader: for files that none of the checks by line is for.
        on_rows: called with the number of rows of each file that is done.
    Raises:
        BadInput: a file cannot be read, or a folder holds nothing that is known.
        UnknownName: there is no such kind.
    """
    _check_kind(kind)
    linted = []
    for target in targets:
        one = (
            _lint_folder(target, against=against or Against(), kind=kind, reader=reader)
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


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind not in (*KINDS, *FORMATS):
        raise UnknownName(what="kind of file", name=kind, choices={*KINDS, *FORMATS})


def _lint_folder(folder: Path, *, against: Against, kind: str | None, reader: Reader) -> FileLint:
    if is_dataset(folder) or (kind is None and _holds_nothing_known(folder)):
        num_rows, told, findings = lint_dataset(folder, against=against)
        empty = pl.DataFrame(schema=SEEN)
        return FileLint(where=str(folder), kind=told, num_rows=num_rows, findings=tuple(findings), seen=empty)
    return _lint_other(folder, against=against, reader=reader, name=kind)


def _holds_nothing_known(folder: Path) -> bool:
    """Whether the folder is none of a format either; any folder may be taken for a bare VideoFolder."""
    return format_of(folder) == "video-folder" and not any(folder.glob("metadata.*"))


def lint_file(
    path: Path, *, against: Against | None = None, kind: str | None = None, reader: Reader = read_any
) -> FileLint:
    """What is wrong with one file. All of it is found: a bad row never hides another.

    Args:
        against: what the rows are held against.
        kind: one of `KINDS` or of `gesta.formats.FORMATS`; None = told from the file's lines.
        reader: for a file that none of the checks by line is for.
    Raises:
        BadInput: there is no such file, or it cannot be read.
        UnknownName: there is no such kind.
    """
    _check_kind(kind)
    against = against or Against()
    if path.is_dir():
        raise BadInput("this is a folder", where=path, mend="Name a file in it")
    if not path.exists():
        raise BadInput("there is no such file", where=path, mend="Name a file that is there")
    known = _kind_by_line(kind)
    if known is None and (kind is not None or is_other_by_name(path)):
        return _lint_other(path, against=against, reader=reader, name=kind)
    source = read_source(path)
    if not source.lines.height:
        nothing = pl.DataFrame(schema=SEEN)
        return FileLint(where=str(path), kind=kind or "empty", num_rows=0, findings=source.findings, seen=nothing)
    told = known or kind_of(path, source.lines)
    if told == "other":
        # Too few lines are alike to tell by most of them; the first one may tell.
        told = _kind_by_line(_format_or_none(path)) or told
    if told == "other":
        other = _lint_other(path, against=against, reader=reader, name=None)
        # Tabs are no accident in formats that cut at them.
        is_cut_at_tabs = other.kind != "unknown"
        texts = [one for one in source.findings if not (is_cut_at_tabs and one.code == "text-control")]
        return dataclasses.replace(other, findings=(*texts, *other.findings))
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


def _kind_by_line(name: str | None) -> Kind | None:
    """The kind whose lines are checked one by one, of that name or of the format of that name."""
    plain = "ava" if name == "ava-kinetics" else name
    return next((kind for kind in KINDS if kind == plain), None)


def _format_or_none(path: Path) -> str | None:
    try:
        return format_of(path)
    except BadInput:
        return None


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


def _lint_other(path: Path, *, against: Against, reader: Reader, name: str | None) -> FileLint:
    """The checks on what a reader makes of the file; where it refuses, that is all there is to find."""
    where, nothing = str(path), pl.DataFrame(schema=SEEN)
    context = Context(label_map=against.label_map)
    try:
        if path.is_file() and not path.stat().st_size:
            raise BadInput("the file holds no row", where=path)
        told, annotations = reader(path, name, context)
    except GestaError as error:
        refused = _refusal(error, path)
        return FileLint(where=where, kind=name or "unknown", num_rows=0, findings=tuple(refused), seen=nothing)
    found = lint_annotations(annotations, where=path, context=context, against=against)
    rows = annotations.clips if annotations.clips.height else annotations.boxes
    splits = annotations.videos.select("video_id", pl.col("split").alias("video_split"))
    split = rows.with_columns(pl.lit(None, dtype=pl.Int64).alias("line")).join(
        splits.unique("video_id", keep="first"), on="video_id", how="left", maintain_order="left"
    )
    own = pl.col("split") if "split" in split.columns else pl.lit(None, dtype=pl.String)
    seen = seen_videos(split.with_columns(pl.coalesce(own, "video_split").alias("split")), split=split_in_name(path))
    num_rows = annotations.clips.height + annotations.boxes.height or annotations.label_map.height
    return FileLint(where=where, kind=told, num_rows=num_rows, findings=tuple(found), seen=seen)


def _refusal(error: GestaError, path: Path) -> list[Finding]:
    """What a reader says of a file that it refuses, as a finding at the line that it names."""
    if path.is_file() and not path.stat().st_size:
        return finding("file-empty", [(None, "the file holds no row")], where=path)
    line = error.where.removeprefix(f"{path}:")
    is_line = line.isdigit() and line != error.where
    code = "file-unknown" if any(words in error.problem for words in _NO_FORMAT) else "file-unreadable"
    return finding(code, [(int(line) if is_line else None, error.problem)], where=path)


_NO_FORMAT = ("looks like no format", "neither a Kinetics csv nor an AVA csv")
"""What `gesta.formats.sniff` says of a file that it does not know."""
