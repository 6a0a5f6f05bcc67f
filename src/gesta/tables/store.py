"""Tables on disk: Parquet (CSV and JSONL in and out), written whole, each with a sidecar; read with a check.

A table of kind `videos` in the folder `work` is `work/videos.parquet`; its sidecar is `work/videos.parquet.json`.
What a stage drops is `work/rejects/<stage>.parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gesta.schema import BadInput, MissingTable, Reject, WrongSchema
from gesta.tables.columns import TableKind, table_kind
from gesta.tables.files import whole_file, write_json
from gesta.tables.provenance import Json, Provenance, sha256_of_file

SUFFIXES = (".parquet", ".csv", ".jsonl")


def table_path(folder: Path, table: str) -> Path:
    """Where the table lies in a work folder."""
    return folder / f"{table_kind(table).name}.parquet"


def sidecar_path(path: Path) -> Path:
    """Where a table file's sidecar lies: the same name and `.json`."""
    return path.with_name(path.name + ".json")


def empty_frame(table: str) -> pl.DataFrame:
    """A frame of that kind without rows."""
    return pl.DataFrame(schema=table_kind(table).polars_schema)


def frame_of(table: str, rows: Iterable[Any]) -> pl.DataFrame:
    """A frame of that kind from its row dataclasses, in the order given."""
    kind = table_kind(table)
    listed = list(rows)
    values = {column.name: [getattr(row, column.name) for row in listed] for column in kind.columns}
    return pl.DataFrame(values, schema=kind.polars_schema)


def rows_of(table: str, frame: pl.DataFrame) -> list[Any]:
    """The frame's rows as their dataclasses, each checked.

    Raises:
        BadInput: a row breaks its noun's rules.
    """
    row_type = table_kind(table).row
    return [row_type(**values) for values in frame.iter_rows(named=True)]


def check_frame(table: str, frame: pl.DataFrame, *, where: str | Path) -> pl.DataFrame:
    """The frame with its columns in the kind's order, once they are found to be those of the kind.

    Integer columns of other widths and all-null columns are cast; nothing else is.

    Raises:
        WrongSchema: a column is missing, unknown, of another type, null where it may not be, or holds a number beyond
            64 bits; the message names the column, what was expected and what was found.
    """
    kind = table_kind(table)
    wanted = {column.name: column for column in kind.columns}
    for name in frame.columns:
        if name not in wanted:
            raise WrongSchema(
                f"column {name!r} is not one of table {table!r}",
                where=where,
                mend=f"Expected: {', '.join(wanted)}",
            )
    for name, column in wanted.items():
        if name not in frame.columns:
            raise WrongSchema(
                f"column {name!r} of table {table!r} is missing: expected {column.dtype}, found no such column",
                where=where,
                mend=f"Found: {', '.join(frame.columns) or 'no columns'}",
            )
        found = frame.schema[name]
        castable = found == pl.Null or (found.is_integer() and column.dtype == pl.Int64())
        if found != column.dtype and not castable:
            raise WrongSchema(
                f"column {name!r} of table {table!r}: expected {column.dtype}, found {found}",
                where=where,
                mend="Write the table again with the verb that makes it",
            )
        if not column.nullable and frame[name].null_count():
            raise WrongSchema(
                f"column {name!r} of table {table!r}: expected a value in every row, found "
                f"{frame[name].null_count()} nulls, the first in row {frame[name].is_null().arg_max()}",
                where=where,
                mend="Write the table again with the verb that makes it",
            )
        if castable and frame[name].cast(column.dtype, strict=False).null_count() > frame[name].null_count():
            raise WrongSchema(
                f"column {name!r} of table {table!r}: expected {column.dtype}, found a {found} beyond it",
                where=where,
                mend="Write the table again with the verb that makes it",
            )
    return frame.select([pl.col(name).cast(column.dtype) for name, column in wanted.items()])


def _sorted_by_key(kind: TableKind, frame: pl.DataFrame, *, where: Path) -> pl.DataFrame:
    if not kind.key:
        return frame
    key = list(kind.key)
    twice = frame.filter(frame.select(pl.struct(key).is_duplicated()).to_series())
    if len(twice):
        values = ", ".join(f"{name}={value!r}" for name, value in zip(key, twice.select(key).row(0), strict=True))
        raise BadInput(
            f"table {kind.name!r} holds two rows with {values}",
            where=where,
            mend=f"({', '.join(key)}) must be unique",
        )
    return frame.sort(key)


def write_table(path: Path, table: str, frame: pl.DataFrame, *, made_by: Provenance) -> Path:
    """The path written: the frame, checked and sorted by its key, as Parquet, CSV or JSONL, with its sidecar.

    Both files appear whole. The old sidecar goes first and the new one comes last, so a table with a sidecar is a
    finished one. The same frame and provenance give the same bytes.

    Raises:
        WrongSchema: the frame is not of that kind.
        BadInput: two rows share the key, or the path's ending is none of .parquet, .csv, .jsonl.
    """
    kind = table_kind(table)
    checked = _sorted_by_key(kind, check_frame(table, frame, where=path), where=path)
    if path.suffix not in SUFFIXES:
        raise BadInput(f"no way to write a table as {path.suffix!r}", where=path, mend=f"Use {', '.join(SUFFIXES)}")
    sidecar_path(path).unlink(missing_ok=True)
    with whole_file(path) as temporary:
        if path.suffix == ".parquet":
            checked.write_parquet(temporary, compression="zstd", statistics=True)
        elif path.suffix == ".csv":
            checked.write_csv(temporary)
        else:
            checked.write_ndjson(temporary)
    sidecar: dict[str, Json] = {
        "table": table,
        "schema_version": kind.version,
        "num_rows": len(checked),
        "sha256": sha256_of_file(path),
        "fingerprint": made_by.fingerprint,
        "made_by": made_by.as_json(),
    }
    write_json(sidecar_path(path), sidecar)
    return path


def read_table(path: Path, table: str, *, may_lack: Sequence[str] = ()) -> pl.DataFrame:
    """The table at `path` (a file, or a work folder that holds it), checked.

    Args:
        may_lack: columns that a file made by hand may leave out; they are null then, as are those that the kind gained
            after the file was written.
    Raises:
        MissingTable: there is no such file.
        BadInput: the file cannot be parsed, or its ending is none of .parquet, .csv, .jsonl.
        WrongSchema: its columns or its schema version are not those of the kind.
    """
    kind = table_kind(table)
    file = table_path(path, table) if path.is_dir() or not path.suffix else path
    if not file.is_file():
        raise MissingTable(table=table, where=file.parent, verb=kind.verb)
    _check_version(kind, file)
    dtypes = kind.polars_schema
    try:
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file)
        elif file.suffix == ".csv":
            header = pl.read_csv(file, n_rows=0).columns
            frame = pl.read_csv(file, schema_overrides={name: dtypes[name] for name in header if name in dtypes})
        elif file.suffix == ".jsonl":
            frame = pl.read_ndjson(file, schema=dtypes) if file.stat().st_size else empty_frame(table)
        else:
            raise BadInput(
                f"no way to read a table from {file.suffix!r}", where=file, mend=f"Use {', '.join(SUFFIXES)}"
            )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"cannot be read as a table ({first_line})", where=file, mend="Delete it and run its verb again"
        ) from error
    absent = [name for name in (*may_lack, *kind.added) if name not in frame.columns]
    nulls = [pl.lit(None, dtype=dtypes[name]).alias(name) for name in absent]
    return check_frame(table, frame.with_columns(nulls), where=file)


def _check_version(kind: TableKind, file: Path) -> None:
    sidecar = read_sidecar(file)
    if sidecar is not None and sidecar.get("schema_version") != kind.version:
        raise WrongSchema(
            f"table {kind.name!r} has schema version {sidecar.get('schema_version')!r}, expected {kind.version}",
            where=file,
            mend=f"Run `gesta {kind.verb}` again with this gesta",
        )


def read_sidecar(path: Path) -> Mapping[str, Any] | None:
    """The sidecar of a table file, or None where the table has none or a broken one (it is not finished)."""
    try:
        value = json.loads(sidecar_path(path).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):  # ValueError: no JSON, not UTF-8, or endless digits
        return None
    return value if isinstance(value, dict) else None


def hashes_of(folder: Path, tables: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each named table of a work folder, as its sidecar says; for `Provenance.inputs`.

    Raises:
        MissingTable: a table, or its sidecar, is not there.
    """
    hashes = {}
    for table in tables:
        sidecar = read_sidecar(table_path(folder, table))
        if sidecar is None or not table_path(folder, table).is_file():
            raise MissingTable(table=table, where=folder, verb=table_kind(table).verb)
        hashes[table] = str(sidecar["sha256"])
    return hashes


def is_current(path: Path, made_by: Provenance) -> bool:
    """Whether the table file is finished and made by just this: then its stage has nothing to do."""
    sidecar = read_sidecar(path)
    return path.is_file() and sidecar is not None and sidecar.get("fingerprint") == made_by.fingerprint


def rejects_path(folder: Path, stage: str) -> Path:
    """Where a stage's rejects lie in a work folder."""
    return folder / "rejects" / f"{stage}.parquet"


def write_rejects(folder: Path, stage: str, rejects: Iterable[Reject], *, made_by: Provenance) -> Path:
    """The path written: one stage's rejects, sorted, replacing that stage's earlier ones."""
    frame = frame_of("rejects", rejects)
    ordered = frame.sort(["reason", "path", "video_id", "clip_id", "detail"], nulls_last=True)
    return write_table(rejects_path(folder, stage), "rejects", ordered, made_by=made_by)


def read_rejects(folder: Path) -> pl.DataFrame:
    """The rejects of every stage that has run, in the stages' alphabetical order; empty where none has."""
    files = sorted((folder / "rejects").glob("*.parquet"))
    return pl.concat([read_table(file, "rejects") for file in files]) if files else empty_frame("rejects")
