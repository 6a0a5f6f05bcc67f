"""Round trips of the annotation files: what is written is read back, with hostile ids and labels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gesta.formats import (
    AVA_COLUMNS,
    KINETICS_COLUMNS,
    read_ava_csv,
    read_excluded_timestamps,
    read_kinetics_csv,
    read_label_map,
    write_ava_csv,
    write_ava_kinetics_csv,
    write_detections_csv,
    write_excluded_timestamps,
    write_kinetics_csv,
    write_label_map,
)
from gesta.schema import LabelClass
from gesta.tables import frame_of

ANY_TEXT = st.text(
    st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]) | st.sampled_from('",-_\' \ufeff#{}\\'),
    min_size=1, max_size=12,
)  # fmt: skip
IDS = st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z") | ANY_TEXT
TIMES_US = st.integers(0, 10**11) | st.integers(0, 10**4).map(lambda seconds: seconds * 1_000_000)
ACTIONS = st.integers(0, 10**6)


def round_trip(write: Callable[[Path], None], read: Callable[[Path], pl.DataFrame], *, crlf: bool) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        write(path)
        if crlf:
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        return read(path)


def boxes(decimals: int) -> st.SearchStrategy[tuple[float, ...]]:
    side = st.integers(-(10**decimals), 2 * 10**decimals).map(lambda units: units / 10**decimals)
    return st.tuples(side, side, side, side)


def ava_rows(*, decimals: int, persons: st.SearchStrategy[int | None]) -> st.SearchStrategy[pl.DataFrame]:
    full = st.tuples(IDS, TIMES_US, boxes(decimals), ACTIONS, persons)
    bare = st.tuples(IDS, TIMES_US).map(lambda key: (*key, (None,) * 4, None, None))
    return st.lists(full | bare, max_size=8).map(
        lambda rows: pl.DataFrame(
            [
                (video_id, time_us, *box, action, person, None, line)
                for line, (video_id, time_us, box, action, person) in enumerate(rows, start=1)
            ],
            schema=AVA_COLUMNS,
            orient="row",
        )
    )


@given(rows=ava_rows(decimals=3, persons=st.none() | st.integers(-1, 10**6)), crlf=st.booleans())
def test_ava_rows_survive(*, rows: pl.DataFrame, crlf: bool) -> None:
    assert round_trip(lambda path: write_ava_csv(path, rows), read_ava_csv, crlf=crlf).equals(rows)


@given(rows=ava_rows(decimals=6, persons=st.none()), crlf=st.booleans())
def test_ava_kinetics_rows_survive(*, rows: pl.DataFrame, crlf: bool) -> None:
    assert round_trip(lambda path: write_ava_kinetics_csv(path, rows), read_ava_csv, crlf=crlf).equals(rows)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.tuples(IDS, TIMES_US, FLOATS, FLOATS, FLOATS, FLOATS, ACTIONS, FLOATS), max_size=8))
def test_detections_survive_to_the_last_bit(rows: list[tuple[object, ...]]) -> None:
    names = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "score"]
    frame = pl.DataFrame(rows, schema={name: AVA_COLUMNS[name] for name in names}, orient="row")
    back = round_trip(
        lambda path: write_detections_csv(path, frame), lambda path: read_ava_csv(path, column_8="score"), crlf=False
    )
    assert back.select(names).equals(frame)


@given(rows=st.lists(st.tuples(IDS, TIMES_US), max_size=8), crlf=st.booleans())
def test_excluded_timestamps_survive(*, rows: list[tuple[str, int]], crlf: bool) -> None:
    frame = pl.DataFrame(rows, schema={"video_id": pl.String, "timestamp_us": pl.Int64}, orient="row")
    back = round_trip(lambda path: write_excluded_timestamps(path, frame), read_excluded_timestamps, crlf=crlf)
    assert back.drop("line").equals(frame)


@given(data=st.data(), columns=st.sets(st.sampled_from(["label", "split", "is_cc"])), crlf=st.booleans())
def test_kinetics_rows_survive(*, data: st.DataObject, columns: set[str], crlf: bool) -> None:
    row = st.tuples(
        ANY_TEXT if "label" in columns else st.none(), IDS, TIMES_US, TIMES_US,
        st.sampled_from(["train", "val", "validate", "test"]) if "split" in columns else st.none(),
        st.booleans() if "is_cc" in columns else st.none(),
    )  # fmt: skip
    rows = [(*cells, line) for line, cells in enumerate(data.draw(st.lists(row, max_size=8)), start=2)]
    frame = pl.DataFrame(rows, schema=KINETICS_COLUMNS, orient="row")
    quote = data.draw(st.booleans())
    back = round_trip(lambda path: write_kinetics_csv(path, frame, quote_spaces=quote), read_kinetics_csv, crlf=crlf)
    assert back.equals(frame)


NAMES = ANY_TEXT.map(str.strip).filter(bool)
CATEGORIES = st.none() | st.from_regex(r"\A[A-Z_]{1,12}\Z")


@given(
    names=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    data=st.data(),
    dialect=st.sampled_from(["label", "item", "txt"]),
)
def test_label_maps_survive(names: list[str], data: st.DataObject, dialect: str) -> None:
    some = st.lists(st.integers(0, 10**6), min_size=len(names), max_size=len(names), unique=True)
    ids = list(range(1, len(names) + 1)) if dialect == "txt" else data.draw(some)
    kinds = [data.draw(CATEGORIES) if dialect == "label" else None for _ in names]
    rows = [LabelClass(class_id=i, name=n, category=k) for i, n, k in zip(ids, names, kinds, strict=True)]
    frame = frame_of("label_map", rows)
    back = round_trip(lambda path: write_label_map(path, frame, dialect=dialect), read_label_map, crlf=False)
    assert back.equals(frame)
