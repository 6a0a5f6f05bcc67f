"""Laws of the numbers: they are those of the plain definition, and do not hang on the order of rows."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.schema import GestaError
from gesta.stats import PairCounts, box_pass, count_class_pairs, merged, npmi, shares_of, top_pairs
from gesta.stats.counts import BOX_COLUMNS, CLIP_COLUMNS, MAX_BOXES_SHOWN, Rows, count
from gesta.stats.npmi import Over
from gesta.stats.sources import read_groups
from gesta.stats.yields import read_catalogue_column

# Ids that a csv may hold, few enough to meet again; corners on a small grid, so that boxes meet again too.
IDS = st.sampled_from(["a", "b", "-c", "_d", "é,'", "A"])
CORNER = st.sampled_from([0.0, 0.25, 0.5, 1.0])
SPLITS = st.sampled_from(["train", "val", None])


@st.composite
def box_rows(draw: st.DrawFn) -> tuple[object, ...]:
    video, time_us, split = draw(IDS), draw(st.integers(0, 3)), draw(SPLITS)
    if draw(st.booleans()):
        return (video, time_us, None, None, None, None, None, split)
    corners = [draw(CORNER) for _ in range(4)]
    return (video, time_us, *corners, draw(st.one_of(st.none(), st.integers(1, 4))), split)


def rows_of(boxes: list[tuple[object, ...]]) -> Rows:
    none = pl.Series([], dtype=pl.Int64)
    return Rows(
        what="drawn",
        clips=pl.DataFrame(schema=CLIP_COLUMNS),
        boxes=pl.DataFrame(boxes, schema=BOX_COLUMNS, orient="row"),
        names=pl.DataFrame({"class_id": [1, 2, 3, 4], "name": ["w", "x", "y", "z"]}),
        person_counts=none,
        video_durations_us=none,
    )


@settings(max_examples=150)
@given(st.lists(box_rows(), max_size=30), st.sampled_from([0, 2, 256]))
def test_the_pass_counts_as_the_plain_definition_does(boxes: list[tuple[object, ...]], max_compared: int) -> None:
    was, box_pass.MAX_COMPARED = box_pass.MAX_COMPARED, max_compared
    try:
        stats = count(rows_of(boxes))
    finally:
        box_pass.MAX_COMPARED = was
    real = [row for row in boxes if row[2] is not None]
    frames = {row[:2] for row in boxes}
    per_frame = {frame: len({row[2:6] for row in real if row[:2] == frame}) for frame in frames}
    found = dict(stats.tables["boxes_per_key_frame"].iter_rows())
    wanted = Counter(min(number, MAX_BOXES_SHOWN) for number in per_frame.values())
    assert {number: num for number, num in found.items() if num} == wanted
    assert stats.totals["num_key_frames"] == len(frames)
    assert stats.totals["num_boxes"] == len({row[:6] for row in real})
    assert stats.totals["num_videos"] == len({row[0] for row in boxes})
    for class_id, _, _, _, num_boxes, num_videos in stats.tables["classes"].iter_rows():
        of_class = [row for row in real if row[6] == class_id]
        assert (num_boxes, num_videos) == (len(of_class), len({row[0] for row in of_class}))
    for split, num_videos, _, num_boxes, num_frames in stats.tables["splits"].iter_rows():
        of_split = [row for row in boxes if row[7] == split]
        assert num_videos == len({row[0] for row in of_split})
        assert num_frames == len({row[:2] for row in of_split})
        assert num_boxes == sum(row[6] is not None for row in of_split)
    areas = [max(x2 - x1, 0) * max(y2 - y1, 0) for x1, y1, x2, y2 in {row[:6]: row[2:6] for row in real}.values()]
    assert stats.tables["box_area_shares"]["num_boxes"].sum() == len(areas)
    assert stats.tables["box_areas"]["num_boxes"].sum() == len(areas)


@settings(max_examples=60)
@given(st.lists(box_rows(), max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(boxes: list[tuple[object, ...]], chance: object) -> None:
    once = count(rows_of(boxes)).as_json()
    chance.shuffle(boxes)  # type: ignore[attr-defined]
    assert count(rows_of(boxes)).as_json() == once


@given(st.lists(st.one_of(st.none(), IDS), max_size=40))
def test_codes_give_the_texts_back(texts: list[str | None]) -> None:
    codes, distinct = box_pass.codes_of(pl.Series("t", texts, dtype=pl.String))
    assert [None if code < 0 else distinct[int(code)] for code in codes] == texts
    assert len(set(distinct)) == len(distinct)


@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62), st.integers(-3, 9)), max_size=30),
    st.sets(st.one_of(st.integers(-3, 9), st.integers(-(2**62), 2**62)), max_size=8),
)
def test_numbers_are_places_in_the_known(values: list[int | None], known: set[int]) -> None:
    listed = sorted(known)
    found = box_pass.numbers_of(pl.Series("v", values, dtype=pl.Int64), pl.Series("k", listed, dtype=pl.Int64))
    assert found.tolist() == [listed.index(value) if value in known else -1 for value in values]


@st.composite
def tables_of_pairs(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    return np.array(
        draw(st.lists(st.integers(0, 9), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    ).reshape(shape)


@given(tables_of_pairs())
def test_npmi_is_the_standard_measure_and_the_printed_formula(num_XY: np.ndarray) -> None:
    draws = int(num_XY.sum())
    counts = PairCounts(num_XY=num_XY, num_X=num_XY.sum(axis=1), num_Y=num_XY.sum(axis=0), num_draws=draws)
    values = npmi(counts)
    assert ((values >= -1) & (values <= 1)).all()
    for x, y in np.ndindex(*num_XY.shape):
        if not num_XY[x, y]:
            assert values[x, y] == -1
            continue
        p_x, p_y, p_xy = num_XY[x].sum() / draws, num_XY[:, y].sum() / draws, num_XY[x, y] / draws
        if p_xy == 1:
            assert values[x, y] == 0
            continue
        assert math.isclose(values[x, y], math.log(p_xy / (p_x * p_y)) / -math.log(p_xy), abs_tol=1e-9)
        assert math.isclose(values[x, y], (math.log(p_x) + math.log(p_y)) / math.log(p_xy) - 1, abs_tol=1e-9)
        if p_x == p_y == p_xy:
            assert math.isclose(values[x, y], 1, abs_tol=1e-9)


@given(st.data())
def test_npmi_does_not_hang_on_the_order_and_its_table_turned_is_the_other_way(data: st.DataObject) -> None:
    num_XY = data.draw(tables_of_pairs())
    counts = PairCounts(num_XY=num_XY, num_X=num_XY.sum(1), num_Y=num_XY.sum(0), num_draws=int(num_XY.sum()))
    turned = PairCounts(num_XY=num_XY.T, num_X=counts.num_Y, num_Y=counts.num_X, num_draws=counts.num_draws)
    assert np.allclose(npmi(counts).T, npmi(turned))
    x, y = top_pairs(npmi(counts), top=2)
    best = npmi(counts)
    for row in range(len(num_XY)):
        mine = [best[row, column] for a, column in zip(x, y, strict=True) if a == row]
        assert mine == sorted((value for value in best[row] if value > -1), reverse=True)[:2]


BOXED = st.lists(st.tuples(IDS, st.integers(0, 40), st.one_of(st.none(), st.integers(1, 3))), max_size=25)
CLIPPED = st.lists(
    st.tuples(IDS, st.integers(0, 20), st.integers(0, 20), st.sampled_from(["eat", "run", None])), max_size=8
)


@given(BOXED, CLIPPED, st.sampled_from(["labels", "clips"]))
def test_pairs_are_joined_as_the_plain_definition_does(
    boxed: list[tuple[str, int, int | None]], clipped: list[tuple[str, int, int, str | None]], over: Over
) -> None:
    boxes = pl.DataFrame(
        boxed, schema={"video_id": pl.String, "timestamp_us": pl.Int64, "class_id": pl.Int64}, orient="row"
    )
    schema = {"video_id": pl.String, "start_us": pl.Int64, "end_us": pl.Int64, "clip_class": pl.String}
    clips = pl.DataFrame([(i, low, low + size, name) for i, low, size, name in clipped], schema=schema, orient="row")
    counts = count_class_pairs(
        boxes, clips, clip_classes=pl.Series(["eat", "run"]), box_classes=pl.Series([1, 2, 3]), over=over
    )
    drawn = []
    for video, time_us, class_id in boxed:
        named = [(low, low + size, name) for i, low, size, name in clipped if i == video and name is not None]
        inside = [name for low, high, name in named if low <= time_us <= high]
        drawn += [(video, name, class_id) for name in sorted(set(inside or [name for _, _, name in named]))]
    if over == "labels":
        wanted = Counter((x, y) for _, x, y in drawn if y is not None)
        num_draws = sum(wanted.values())
    else:
        wanted = Counter((x, y) for _, x, y in {pair for pair in drawn if pair[2] is not None})
        num_draws = len({(video, x) for video, x, _ in drawn})
    assert counts.num_draws == num_draws
    for i, x in enumerate(["eat", "run"]):
        assert counts.num_XY[i].tolist() == [wanted[x, y] for y in (1, 2, 3)]


FUZZ = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            ["video_id", "continent", "youtube_id", ",", "\n", "\r", '"', "k", "\0", "é", "\ufeff", "\u2028"]
        ),
        max_size=14,
    ).map(lambda parts: "".join(parts).encode()),
    st.recursive(
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=4), st.just("w")),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=300)
@given(FUZZ)
def test_files_beside_end_in_rows_or_an_error_that_names_them(data: bytes) -> None:
    names = pl.DataFrame({"class_id": [1], "name": ["w"]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "beside"
        path.write_bytes(data)
        for read in (
            lambda: read_groups(path, names=names).schema,
            lambda: shares_of(pl.Series(["k"]), read_catalogue_column(path, "continent")).schema,
        ):
            said = "beside"
            try:
                assert read()
            except GestaError as error:
                said = str(error)
            assert "beside" in said


@settings(max_examples=60)
@given(st.lists(box_rows(), max_size=15), st.lists(box_rows(), max_size=15))
def test_two_parts_merged_are_their_rows_together(
    one: list[tuple[object, ...]], other: list[tuple[object, ...]]
) -> None:
    together = count(rows_of([*one, *other])).as_json()
    assert count(merged([rows_of(one), rows_of(other)], what="drawn")).as_json() == together
