"""Laws of the numbers: they are those of the plain definition, and do not hang on the order of rows."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.stats import box_pass
from gesta.stats.counts import BOX_COLUMNS, CLIP_COLUMNS, MAX_BOXES_SHOWN, Rows, count

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
