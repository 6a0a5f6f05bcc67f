"""Laws of lint: it ends on any bytes, hides nothing, agrees with the readers, and does not depend on order."""

from __future__ import annotations

import csv
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gesta.formats import read_ava_csv, read_kinetics_csv, read_label_map, write_ava_csv, write_kinetics_csv
from gesta.formats.annotations import BOX_COLUMNS, CLIP_COLUMNS, LABEL_MAP_COLUMNS, VIDEO_COLUMNS, Annotations
from gesta.lint import CODES, KINDS, Against, Example, Kind, lint_annotations, lint_file
from gesta.lint.near_boxes import MIN_SAME_IOU
from gesta.lint.persons import near_findings
from gesta.lint.text import Source, cells_found
from gesta.schema import BadInput
from gesta.schema.boxes import box_iou

CELLS = st.sampled_from([
    "", " ", "v", "-aaaaaaaaa1", "_bbbbbbbbb2", "0902", "902.0", "10", "20", "0.1", "0.5", "0.9", "1.2", "-1", "nan",
    "640", "run", "Run", "air drumming", '"a, b"', '"', "'", "label", "youtube_id", "time_start", "time_end", "split",
    "train", "val", "item {", "{}", 'name: "x"', "id: 1", "}", "é", "\x00", "\ufeff", "1e400", "9" * 30,
])  # fmt: skip
LINES = st.lists(CELLS, min_size=1, max_size=9).map(",".join)
TEXTS = st.lists(LINES, max_size=12).map("\n".join)
BYTES = st.binary(max_size=200) | TEXTS.map(str.encode) | TEXTS.map(lambda text: text.replace("\n", "\r\n").encode())


def counts(data: bytes, *, kind: Kind | None = None, name: str = "rows.csv") -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        return {found.code: found.count for found in lint_file(path, kind=kind).findings}


def refuses(read: Callable[[Path], object], data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        path.write_bytes(data)
        try:
            read(path)
        except BadInput:
            return True
        return False


def num_errors(found: dict[str, int]) -> int:
    return sum(count for code, count in found.items() if CODES[code].severity == "error")


NAMES = st.sampled_from(["rows.csv", "rows.txt", "rows.pbtxt", "rows.json", "rows.xml", "rows.pkl", "trainlist01.txt"])


@given(data=BYTES, kind=st.none() | st.sampled_from(KINDS), name=NAMES)
@settings(max_examples=150)
def test_any_bytes_end_in_findings(data: bytes, kind: Kind | None, name: str) -> None:
    assert set(counts(data, kind=kind, name=name)) <= set(CODES)


@given(data=BYTES)
@settings(max_examples=60)
@example(data=b"v,1,0.1,0.1,0.2,0.2,1,x")
@example(data=b"v,1,0.1,0.1,0.2")
def test_what_the_ava_reader_refuses_has_an_error(data: bytes) -> None:
    if refuses(read_ava_csv, data):
        assert num_errors(counts(data, kind="ava"))


@given(data=BYTES)
@settings(max_examples=60)
@example(data=b"label,youtube_id,time_start,time_end,split\nrun,v,0,x,val\n")
def test_what_the_kinetics_reader_refuses_has_an_error(data: bytes) -> None:
    if refuses(read_kinetics_csv, data):
        assert num_errors(counts(data, kind="kinetics"))


@given(data=BYTES)
@settings(max_examples=100)
def test_what_the_label_map_reader_refuses_has_an_error(data: bytes) -> None:
    if refuses(read_label_map, data):
        assert num_errors(counts(data, kind="label-map"))


@given(line=st.text(st.sampled_from('",ab '), max_size=14).filter(lambda text: text.strip() != ""))
@settings(max_examples=300)
@example(line='"a b",c')
@example(line='"",""')
@example(line='a"b",c')
def test_cells_are_those_of_a_strict_reader(line: str) -> None:
    lines = pl.DataFrame({"line": [1], "text": [line]})
    try:
        wanted = next(csv.reader([line], strict=True))
    except csv.Error:
        wanted = None
    source = Source(path=Path("x"), lines=lines, findings=())
    cells, found = cells_found(source, max_cells=15)
    assert (cells.height == 0) == (wanted is None) == bool(found)
    if wanted is not None:
        assert list(cells.row(0)[2:]) == [*wanted, *[None] * (15 - len(wanted))]


NEAR = st.lists(
    st.tuples(st.integers(0, 1), *(st.integers(0, 30).map(lambda unit: unit / 30) for _ in range(4))), max_size=14
)


@given(rows=NEAR)
@settings(max_examples=150)
@example(rows=[(0, 0.0, 0.0, 0.9, 1.0), (0, 0.0, 0.0, 0.93, 1.0), (1, 0.0, 0.0, 0.9, 1.0)])
@example(rows=[(0, 1 / 30, 0.0, 1.0, 1.0), (0, 0.0, 0.0, 1.0, 1.0), (0, 2 / 30, 0.0, 1.0, 1.0)])
@example(rows=[(0, 0.0, 0.0, 1.0, 1.0), (0, 2 / 30, 0.0, 1.0, 1.0)])
def test_near_boxes_are_those_of_all_pairs(rows: list[tuple[float, ...]]) -> None:
    distinct = list(dict.fromkeys(rows))
    boxes_N4 = np.array([row[1:] for row in distinct]).reshape(-1, 4)
    iou_NN = box_iou(boxes_N4, boxes_N4)
    wanted = {
        late
        for late in range(len(distinct))
        for early in range(late)
        if distinct[late][0] == distinct[early][0] and iou_NN[late, early] >= MIN_SAME_IOU
    }
    frame = pl.DataFrame(
        [(line, "v", int(row[0]), *row[1:]) for line, row in enumerate(distinct)],
        schema={"line": pl.Int64, "video_id": pl.String, "timestamp_us": pl.Int64, "x1": pl.Float64, "y1": pl.Float64,
                "x2": pl.Float64, "y2": pl.Float64}, orient="row",
    )  # fmt: skip
    found = near_findings(frame, where="x")
    lines = {place.line for one in found for place in (Example(one.line, one.message), *one.more)}
    assert lines == wanted


ROWS = st.tuples(
    st.sampled_from(["-aaaaaaaaa1", "_bbbbbbbbb2", "cccccccccc3"]), st.integers(902, 905),
    st.sampled_from([(0.1, 0.1, 0.5, 0.9), (0.5, 0.1, 0.1, 0.9), (0.1, 0.1, 1.5, 0.9), (0.2, 0.2, 0.2, 0.9)]),
    st.integers(0, 3), st.integers(-1, 2),
).map(lambda row: ",".join(map(str, (row[0], row[1], *row[2], row[3], row[4]))))  # fmt: skip
BROKEN = st.sampled_from(
    ["v,1,2,3", "-aaaaaaaaa1,x,0.1,0.1,0.5,0.9,1,0", "-aaaaaaaaa1,902,a,0.1,0.5,0.9,1,0", ",902", '-aaaaaaaaa1,"902']
)


@given(rows=st.lists(ROWS, min_size=1, max_size=12), seed=st.integers(0, 999))
@settings(max_examples=60)
def test_the_order_of_rows_changes_no_count(rows: list[str], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    assert counts("\n".join(rows).encode(), kind="ava") == counts("\n".join(shuffled).encode(), kind="ava")


@given(rows=st.lists(ROWS, min_size=1, max_size=12), broken=BROKEN, place=st.integers(0, 12))
@settings(max_examples=60)
def test_a_broken_row_hides_no_other(rows: list[str], broken: str, place: int) -> None:
    before = counts("\n".join(rows).encode(), kind="ava")
    after = counts("\n".join([*rows[:place], broken, *rows[place:]]).encode(), kind="ava")
    judged = {"id-odd", "person-none", "person-missing", "header-unexpected"}
    assert {code: n for code, n in after.items() if code in before and code not in judged} == {
        code: n for code, n in before.items() if code not in judged
    }
    assert num_errors(after) > num_errors({code: n for code, n in before.items() if code not in judged})


SPOTS = st.lists(st.tuples(st.integers(902, 1798), st.integers(0, 3)), max_size=8, unique=True)


@given(spots=SPOTS)
@settings(max_examples=40)
def test_what_is_written_from_sound_rows_is_clean(spots: list[tuple[int, int]]) -> None:
    frame = pl.DataFrame(
        [("-aaaaaaaaa1", time * 10**6, 0.1 + 0.2 * person, 0.1, 0.2 + 0.2 * person, 0.9, 1, person)
         for time, person in spots],
        schema={"video_id": pl.String, "timestamp_us": pl.Int64, "x1": pl.Float64, "y1": pl.Float64, "x2": pl.Float64,
                "y2": pl.Float64, "class_id": pl.Int64, "person_id": pl.Int64},
        orient="row",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gt.csv")
        write_ava_csv(path, frame)
        wanted = set() if spots else {"file-empty"}
        assert {found.code for found in lint_file(path).findings} == wanted


@given(numbers=st.lists(st.integers(0, 10**9), min_size=1, max_size=8, unique=True))
@settings(max_examples=40)
def test_what_is_written_from_sound_clips_is_clean(numbers: list[int]) -> None:
    frame = pl.DataFrame(
        {
            "video_id": [f"{number:011d}" for number in numbers],
            "start_us": [number % 1000 * 10**6 for number in numbers],
            "end_us": [(number % 1000 + 10) * 10**6 for number in numbers],
            "label": ["passing American football (in game)"] * len(numbers),
            "split": ["val"] * len(numbers),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "k_val.csv")
        write_kinetics_csv(path, frame)
        assert lint_file(path).findings == ()


VALUES: dict[pl.DataType, st.SearchStrategy[object]] = {
    pl.String(): st.sampled_from(["a", "b", "", " ", "{}", None]),
    pl.Int64(): st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 20),
    pl.Float64(): st.none() | st.floats(width=64) | st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0]),
    pl.Boolean(): st.none() | st.booleans(),
}


def frames(columns: Mapping[str, pl.DataType]) -> st.SearchStrategy[pl.DataFrame]:
    rows = st.lists(st.tuples(*(VALUES[dtype] for dtype in columns.values())), max_size=5)
    return rows.map(lambda rows: pl.DataFrame(rows, schema=dict(columns), orient="row"))


ANNOTATIONS = st.builds(
    Annotations,
    videos=frames(VIDEO_COLUMNS), clips=frames(CLIP_COLUMNS), boxes=frames(BOX_COLUMNS),
    label_map=frames(LABEL_MAP_COLUMNS),
)  # fmt: skip


@given(found=ANNOTATIONS, other=ANNOTATIONS, least=st.integers(0, 3))
@settings(max_examples=40)
def test_any_annotations_end_in_findings_that_say_something(found: Annotations, other: Annotations, least: int) -> None:
    key = ["video_id", "timestamp_us"]
    interval = other.clips.select("video_id", "start_us", "end_us")
    against = Against(
        label_map=other.label_map if least else None, excluded=other.boxes.select(key), clips=interval, videos=interval,
        groundtruth=other.boxes.select(*key, pl.col("x1").is_not_null().alias("has_box")), min_per_class=least,
    )  # fmt: skip
    for one in lint_annotations(found, where="x", against=against):
        assert one.message not in ("", "?")
        assert one.count > len(one.more)
