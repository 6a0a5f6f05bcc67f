"""The metadata files of a VideoFolder as typed columns: csv, JSON lines or Parquet, each cell what it must be."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats.delimited import joined_lines, quoted_cell, read_cells, read_lines, read_text, refuse_first
from gesta.formats.json_values import integer_of, number_of, object_of, parse_json, text_or_none
from gesta.formats.numbers import to_decimals, to_integers
from gesta.schema import BadInput, BadRow
from gesta.tables import whole_file, write_text

COLUMNS: dict[str, pl.DataType] = {
    "file_name": pl.String(), "video_id": pl.String(), "label": pl.String(), "class_id": pl.Int64(),
    "category": pl.String(), "start_us": pl.Int64(), "end_us": pl.Int64(), "score": pl.Float64(),
    "is_cc": pl.Boolean(), "split": pl.String(), "width_px": pl.Int64(), "height_px": pl.Int64(),
    "fps_num": pl.Int64(), "fps_den": pl.Int64(), "num_frames": pl.Int64(), "duration_us": pl.Int64(),
    "url": pl.String(),
}  # fmt: skip
"""What is read of a metadata file, and what is written into it."""

OUTSIDE = r"^/|/$|(^|/)\.\.(/|$)"
"""Paths that lead out of a folder or name one."""

_TRUE, _FALSE = ("1", "true", "True", "TRUE"), ("0", "false", "False", "FALSE")
_MAX_US = 10**15


def read_metadata(path: Path) -> pl.DataFrame:
    """The rows of a metadata file: `COLUMNS` (null where it lacks one), `label_number` and `line`.

    `line` is the row's line in the text formats and its number, from 1, in Parquet. A label that is a number stands in
    `label_number`, and then not in `label`.

    Raises:
        BadInput: there is no such file, it cannot be read, it is of no known kind, or it lacks `file_name`.
        BadRow: a row is not what it must be.
    """
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet,
    }  # fmt: skip
    if path.suffix not in readers:
        raise BadInput(f"{path.suffix!r} is no kind of metadata", where=path, mend=f"Want {', '.join(readers)}")
    rows = readers[path.suffix](path)
    name = pl.col("file_name")
    for is_bad, what in (
        (name.is_null() | (name == ""), "is empty"),
        (name.str.contains(OUTSIDE), "names no file below the folder"),
    ):
        mend = "Write the file's path from the folder of this metadata"
        refuse_first(rows, is_bad, path=path, problem=pl.lit(f"file_name {what}"), mend=mend)
    for column in ("start_us", "end_us", "duration_us"):
        problem = pl.format(f"{column} is {{}}, want microseconds", column)
        refuse_first(rows, pl.col(column).abs() > _MAX_US, path=path, problem=problem, mend="Mend the time")
    return rows


def _header(names: list[str], *, path: Path) -> None:
    double = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if "file_name" not in names or double:
        problem = f"the column {double[0]!r} comes twice" if double else "there is no column file_name"
        raise BadRow(problem, path=path, line=1, mend="A metadata file of videos has file_name once")


def _read_csv(path: Path) -> pl.DataFrame:
    text = read_text(path)
    first = text.split("\n", 1)[0]
    if '"' not in text and "\r" not in first.removesuffix("\r") and first.strip():
        cells = read_cells(path, max_cells=first.count(",") + 1)
    else:
        cells = _quoted_cells(text, path=path)
    if not cells.height:
        raise BadInput("the file is empty", where=path, mend="Want a header with file_name")
    head = cells.row(0, named=True)
    names = [str(head[f"cell_{i}"]).strip() for i in range(head["num_cells"])]
    _header(names, path=path)
    problem = pl.format(f"{{}} columns, want {len(names)} ({{}})", "num_cells", pl.lit(", ".join(names)))
    mend = "Quote a comma inside a cell, or drop the line"
    refuse_first(cells, pl.col("num_cells") != len(names), path=path, problem=problem, mend=mend)
    known = {name: f"cell_{i}" for i, name in enumerate(names) if name in COLUMNS}
    frame = cells.slice(1).select(
        "line", *(pl.when(pl.col(cell) != "").then(cell).alias(name) for name, cell in known.items())
    )
    for name, dtype in COLUMNS.items():
        if name in known and dtype != pl.String():
            frame = _typed(frame, name, dtype, path=path)
    if "label" in known and "class_id" not in known:
        numbers = to_integers(frame["label"])
        if numbers.null_count() == frame["label"].null_count():
            none = pl.lit(None, dtype=pl.String()).alias("label")
            frame = frame.with_columns(numbers.alias("label_number"), none)
    return _complete(frame)


def _quoted_cells(text: str, *, path: Path) -> pl.DataFrame:
    """What `read_cells` gives, of a csv whose cells may stand in quotes and span lines there."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        mend = 'Put the whole cell between quotes and double a quote inside it: "say ""hi"""'
        raise BadRow(f"this is no csv ({error})", path=path, line=reader.line_num, mend=mend) from error
    num_columns = len(rows[0]) if rows else 0
    columns = {
        f"cell_{i}": pl.Series([row[i] if i < len(row) else None for row in rows], dtype=pl.String())
        for i in range(num_columns)
    }
    lengths = pl.Series([len(row) for row in rows], dtype=pl.Int64())
    return pl.DataFrame({"line": pl.Series(lines, dtype=pl.Int64()), "num_cells": lengths, **columns})


def _typed(frame: pl.DataFrame, name: str, dtype: pl.DataType, *, path: Path) -> pl.DataFrame:
    """The frame with the texts of one column as what they say."""
    if dtype == pl.Boolean():
        value = pl.when(pl.col(name).is_in((*_TRUE, *_FALSE))).then(pl.col(name).is_in(_TRUE))
        want, made = "true or false", frame.select(value.alias("made")).to_series()
    elif dtype == pl.Int64():
        want, made = "a whole number", to_integers(frame[name])
    else:
        want, made = "a finite number", to_decimals(frame[name])
    both = frame.with_columns(made.alias("made"))
    problem = pl.format(f"{name} is '{{}}', want {want}", name)
    is_bad = pl.col(name).is_not_null() & pl.col("made").is_null()
    refuse_first(both, is_bad, path=path, problem=problem, mend="Mend the cell, or leave it empty")
    return frame.with_columns(made.alias(name))


def _read_jsonl(path: Path) -> pl.DataFrame:
    names = (*COLUMNS, "label_number")
    values: dict[str, list[Any]] = {name: [] for name in names}
    readers: dict[pl.DataType, Callable[..., Any]] = {
        pl.String(): text_or_none, pl.Int64(): integer_of, pl.Float64(): number_of, pl.Boolean(): _truth_of,
    }  # fmt: skip
    lines = read_lines(path)
    for line, text in lines.iter_rows():
        where = f"{path}:{line}"
        row = object_of(parse_json(text, path=path, line=line), where=where)
        label = row.get("label")
        number = label if isinstance(label, int) and not isinstance(label, bool) else None
        for name, dtype in COLUMNS.items():
            value = row.get(name) if number is None or name != "label" else None
            values[name].append(None if value is None else readers[dtype](value, where=f"{where}: {name}"))
        values["label_number"].append(None if number is None else integer_of(number, where=f"{where}: label"))
    frame = pl.DataFrame(values, schema={**COLUMNS, "label_number": pl.Int64()})
    return _complete(frame.with_columns(lines["line"]))


def _truth_of(value: Any, *, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"found {value!r}", where=where, mend="Want true or false")
    return value


_DECODE = """
import sys, polars
lazy = polars.scan_parquet(sys.argv[1], glob=False, hive_partitioning=False)
found = lazy.collect_schema().names()
lazy.select([name for name in sys.argv[3:] if name in found]).collect().write_ipc(sys.argv[2])
"""


def _decoded(path: Path) -> pl.DataFrame:
    """The known columns of a Parquet file, decoded by a process of its own.

    The decoder stops its whole process on some broken files (a length that no memory holds), and such a file must end
    in an error like any other.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "columns.arrow")
        command = [sys.executable, "-c", _DECODE, str(path.absolute()), str(made), *COLUMNS]
        done = subprocess.run(command, capture_output=True, check=False, text=True, errors="replace")  # noqa: S603
        if done.returncode == 0:
            return pl.read_ipc(io.BytesIO(made.read_bytes()))
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = lines[-1] if lines and done.returncode == 1 else "the decoder broke off"
    raise BadInput(f"cannot be read as Parquet ({said})", where=path, mend="Write it again")


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error
    if start != b"PAR1":
        raise BadInput("this is no Parquet file", where=path, mend="Write it again")
    frame = _decoded(path)
    if "file_name" not in frame.columns:
        raise BadInput("there is no column file_name", where=path, mend="A metadata file of videos has it")
    if "label" in frame.columns and frame.schema["label"].is_integer():
        frame = frame.rename({"label": "label_number"})
    kinds: dict[pl.DataType, Callable[[pl.DataType], bool]] = {
        pl.String(): lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum),
        pl.Int64(): lambda dtype: dtype.is_integer(),
        pl.Float64(): lambda dtype: dtype.is_numeric(),
        pl.Boolean(): lambda dtype: dtype == pl.Boolean(),
    }
    known = {**COLUMNS, "label_number": pl.Int64()}
    for name, wanted in known.items():
        found = frame.schema.get(name)
        if found is not None and found != pl.Null() and not kinds[wanted](found):
            raise BadInput(f"the column {name!r} is {found}, want {wanted}", where=path, mend="Write it as that")
    kept = frame.select([name for name in known if name in frame.columns])
    try:
        return _complete(kept.with_row_index("line", offset=1))
    except pl.exceptions.PolarsError as error:
        said = str(error).splitlines()[0]
        raise BadInput(f"a column holds what 64 bits cannot ({said})", where=path, mend="Mend it") from error


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with all columns, in order and of their types."""
    dtypes = {**COLUMNS, "label_number": pl.Int64(), "line": pl.Int64()}
    return frame.select(
        [
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in dtypes.items()
        ]
    )


def write_metadata(path: Path, rows: pl.DataFrame) -> None:
    """The rows as a metadata file of the kind that the path's ending says, whole or not at all.

    Raises:
        BadInput: a score is no finite number, which the text formats cannot say.
    """
    if path.suffix == ".parquet":
        with whole_file(path) as temporary:
            rows.write_parquet(temporary, compression="zstd")
        return
    if "score" in rows.columns and not rows["score"].is_finite().fill_null(value=True).all():
        raise BadInput("a score is no finite number", where=path, mend="Mend it, or write Parquet")
    if path.suffix == ".jsonl":
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows.iter_rows(named=True)]
        write_text(path, "".join(f"{line}\n" for line in lines))
        return
    texts = [name for name in rows.columns if rows.schema[name] == pl.String()]
    broken = [pl.col(name).str.contains("[\n\r]") & ~pl.col(name).str.contains('[,"]') for name in texts]
    in_quotes = [pl.concat_str(pl.lit('"'), name, pl.lit('"')) for name in texts]
    cells = {
        name: pl.when(is_broken).then(quoted).otherwise(quoted_cell(name))
        for name, is_broken, quoted in zip(texts, broken, in_quotes, strict=True)
    }
    shown = [cells.get(name, pl.col(name).cast(pl.String)).fill_null("") for name in rows.columns]
    lines_of = rows.select(pl.concat_str(shown, separator=",").alias("line")).to_series()
    write_text(path, ",".join(rows.columns) + "\n" + joined_lines(lines_of))
