"""Every kind of table comes back from every kind of file as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gesta.tables import TABLES, Column, made_by, read_table, write_table

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs",)), max_size=12)
VALUES = {
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.Float64(): st.floats(allow_nan=False, allow_infinity=False),
    pl.String(): TEXT,
    pl.Boolean(): st.booleans(),
}


def values_of(column: Column, num_rows: int) -> st.SearchStrategy[list[object]]:
    value = VALUES[column.dtype]
    return st.lists(st.none() | value if column.nullable else value, min_size=num_rows, max_size=num_rows)


@st.composite
def frames(draw: st.DrawFn, table: str) -> pl.DataFrame:
    kind = TABLES[table]
    num_rows = draw(st.integers(0, 4))
    data = {column.name: draw(values_of(column, num_rows)) for column in kind.columns}
    frame = pl.DataFrame(data, schema=kind.polars_schema)
    return frame.unique(list(kind.key), keep="first").sort(list(kind.key)) if kind.key else frame


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_table_comes_back_as_it_was(table: str, suffix: str) -> None:
    made = made_by("test", arguments={}, inputs={})

    @settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
    @given(frames(table))
    def comes_back(frame: pl.DataFrame) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = write_table(Path(folder) / f"t{suffix}", table, frame, made_by=made)
            assert_frame_equal(read_table(path, table), frame)

    comes_back()
