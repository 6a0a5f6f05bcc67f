"""Catalogues as they lie about: csv, Parquet, JSON lines, and the info files of yt-dlp, read batch by batch.

However long a file is, one batch of it is in memory at a time.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import polars as pl

from gesta.mine.catalogue.rows import Batch, columns_among, records_frame, standard_batch
from gesta.schema import BadInput
from gesta.tables import Json, sha256_of_file, sha256_of_json

Kind = Literal["csv", "parquet", "jsonl", "info"]
ENDINGS: Mapping[str, Kind] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "info",
}  # fmt: skip
"""What a file is by its ending; `.gz` may follow, but for Parquet."""

ROWS_PER_BATCH = 50_000
_FILES_PER_BATCH = 1_000
_LONGEST_CELL = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of a catalogue, or all info files of a folder, which count as one."""

    name: str
    """Relative to the catalogue; what the index remembers it by."""
    kind: Kind
    files: tuple[Path, ...]
    sha256: str
    """Of the file; of info files, of their names and sizes."""


def list_sources(catalogue: Path) -> list[Source]:
    """The sources of a catalogue, a file or a folder with its subfolders, in the order of their names.

    Raises:
        BadInput: there is nothing there, or nothing of a kind that can be read.
    """
    if catalogue.is_file():
        if _kind_of(catalogue) is None:
            raise BadInput("no catalogue by its ending", where=catalogue, mend=f"Want {_wanted()}")
        return [_file_source(catalogue, name=catalogue.name)]
    if not catalogue.is_dir():
        raise BadInput("there is no such file or folder", where=catalogue)
    files = sorted(path for path in catalogue.rglob("*") if path.is_file() and _kind_of(path) is not None)
    infos = tuple(path for path in files if _kind_of(path) == "info")
    sources = [_file_source(path, name=str(path.relative_to(catalogue))) for path in files if path not in set(infos)]
    if infos:
        listed: list[Json] = [[str(path.relative_to(catalogue)), path.stat().st_size] for path in infos]
        sources.append(Source(name="info files", kind="info", files=infos, sha256=sha256_of_json(listed)))
    if not sources:
        raise BadInput("no catalogue in this folder", where=catalogue, mend=f"Want files that end in {_wanted()}")
    return sources


def _wanted() -> str:
    return ", ".join(ENDINGS)


def _kind_of(path: Path) -> Kind | None:
    inner = path.with_suffix("") if path.suffix == ".gz" else path
    kind = ENDINGS.get(inner.suffix.lower())
    return None if kind == "parquet" and inner != path else kind


def _file_source(path: Path, *, name: str) -> Source:
    kind = _kind_of(path)
    if kind is None:
        raise BadInput("no catalogue by its ending", where=path, mend=f"Want {_wanted()}")
    return Source(name=name, kind=kind, files=(path,), sha256=sha256_of_file(path))


def read_batches(
    source: Source, *, start_row: int = 0, names: Mapping[str, str], rows_per_batch: int = ROWS_PER_BATCH
) -> Iterator[Batch]:
    """The rows of a source, in order, from row `start_row` on, in batches.

    A row of JSON is a line; of info files, a file. Bytes that are not UTF-8 are read as U+FFFD.

    Args:
        names: the source's own name of a standard column, where it is none of `gesta.mine.catalogue.ALIASES`.
    Raises:
        BadInput: there is no column of ids, a name of `names` is not there, or the file cannot be read as what its
            ending says.
    """
    if source.kind == "csv":
        return _csv_batches(source.files[0], start_row=start_row, names=names, size=rows_per_batch)
    if source.kind == "parquet":
        return _parquet_batches(source.files[0], start_row=start_row, names=names, size=rows_per_batch)
    if source.kind == "jsonl":
        return _jsonl_batches(source.files[0], start_row=start_row, names=names, size=rows_per_batch)
    return _info_batches(source.files[start_row:], names=names, size=min(rows_per_batch, _FILES_PER_BATCH))


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _csv_batches(path: Path, *, start_row: int, names: Mapping[str, str], size: int) -> Iterator[Batch]:
    # Python's reader rather than Polars', whose first bad row ends the reading; here it is rejected with its number.
    csv.field_size_limit(_LONGEST_CELL)
    with _open(path) as stream:
        try:
            first = stream.readline()
            tab, semicolon, comma = (first.count(mark) for mark in "\t;,")
            delimiter = "\t" if tab > max(semicolon, comma) else ";" if semicolon > comma else ","
            header = next(csv.reader([first], delimiter=delimiter), [])
            column_of = columns_among(header, names=names, where=path)
            reader = csv.reader(stream, delimiter=delimiter)
            for _ in islice(reader, start_row):
                pass
            while rows := list(islice(reader, size)):
                yield _csv_batch(rows, header=header, column_of=column_of, start_row=start_row, where=path)
                start_row += len(rows)
        except (csv.Error, EOFError, gzip.BadGzipFile) as error:
            raise BadInput(f"cannot be read after row {start_row} ({error})", where=path) from error


def _csv_batch(
    rows: list[list[str]], *, header: Sequence[str], column_of: Mapping[str, str], start_row: int, where: Path
) -> Batch:
    width = len(header)
    lengths = {len(row) for row in rows}
    numbers = range(start_row + 1, start_row + len(rows) + 1)
    problems = {}
    if lengths != {width}:
        problems = {
            number: f"{len(row)} columns, want {width}"
            for number, row in zip(numbers, rows, strict=True)
            if len(row) != width
        }
        rows = [row if len(row) == width else [""] * width for row in rows]
    place_of = {name: i for i, name in enumerate(header)}
    frame = pl.DataFrame(
        {name: pl.Series([row[place_of[own]] or None for row in rows], dtype=pl.String)
         for name, own in column_of.items()}
    )  # fmt: skip
    return standard_batch(frame, start_row=start_row, problems=problems, where=where)


def _parquet_batches(path: Path, *, start_row: int, names: Mapping[str, str], size: int) -> Iterator[Batch]:
    try:
        rows = pl.scan_parquet(path)
        column_of = columns_among(rows.collect_schema().names(), names=names, where=path)
        wanted = [pl.col(own).alias(name) for name, own in column_of.items()]
        for frame in rows.slice(start_row).select(wanted).collect_batches(chunk_size=size, maintain_order=True):
            for part in frame.iter_slices(size):
                yield standard_batch(part, start_row=start_row, problems={}, where=path)
                start_row += part.height
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise BadInput(f"cannot be read as Parquet ({str(error).splitlines()[0]})", where=path) from error


def _jsonl_batches(path: Path, *, start_row: int, names: Mapping[str, str], size: int) -> Iterator[Batch]:
    with _open(path) as stream:
        try:
            for _ in islice(stream, start_row):
                pass
            while lines := list(islice(stream, size)):
                records, problems = [], {}
                for number, line in enumerate(lines, start=start_row + 1):
                    record, problem = _record(line)
                    records.append(record)
                    if problem:
                        problems[number] = problem
                frame = records_frame(records, names=names)
                yield standard_batch(frame, start_row=start_row, problems=problems, where=path)
                start_row += len(lines)
        except (EOFError, gzip.BadGzipFile) as error:
            raise BadInput(f"cannot be read after row {start_row} ({error})", where=path) from error


def _record(text: str) -> tuple[Mapping[str, Any], str]:
    """A JSON object and what is wrong with it; an empty object where anything is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"no JSON ({error})"
    return (value, "") if isinstance(value, dict) else ({}, f"a JSON {type(value).__name__}, want an object")


def _info_batches(files: Sequence[Path], *, names: Mapping[str, str], size: int) -> Iterator[Batch]:
    for first in range(0, len(files), size):
        some = files[first : first + size]
        for path in some:
            with _open(path) as stream:
                record, problem = _record(stream.read())
            entries = record.get("entries")
            # A playlist that was dumped as one JSON value holds the info of its videos.
            records = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else [record]
            frame = records_frame(records, names=names)
            yield standard_batch(frame, start_row=0, problems={1: problem} if problem else {}, where=path, num_rows=1)
