"""Laws of video mAP: perfection, thresholds, order of rows, time and place, and a slow form of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.evaluate.video_map import Definition, video_map

CLASSES = [0, 1]
IOU = [0.1, 0.3, 0.5, 0.8]
Tube = tuple[str, int, list[int], tuple[int, int, int, int], int]

BOXES = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(2, 20), st.integers(2, 20))
FRAMES = st.tuples(st.integers(1, 8), st.sets(st.integers(0, 6), min_size=1, max_size=7)).map(
    lambda drawn: sorted(drawn[0] + step for step in drawn[1])
)
TUBES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(CLASSES), FRAMES, BOXES, st.integers(0, 10**6)), max_size=6,
    unique_by=lambda tube: tube[-1],
)  # fmt: skip


def rows_of(tubes: list[Tube], *, shift: int = 0, scale: float = 1.0) -> pl.DataFrame:
    rows = [
        (video, number, label, frame + shift, *(scale * side for side in (x, y, x + w, y + h)), score / 10**6)
        for number, (video, label, frames, (x, y, w, h), score) in enumerate(tubes)
        for frame in frames
    ]
    names = ["video_id", "tube_id", "class_id", "frame", "x1", "y1", "x2", "y2", "score"]
    types = [pl.String, pl.Int64, pl.Int64, pl.Int64, *[pl.Float64] * 5]
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


def slow_overlap(a: Tube, b: Tube, side: int) -> float:
    first, last = max(a[2][0], b[2][0]), min(a[2][-1], b[2][-1])
    span = max(a[2][-1], b[2][-1]) - min(a[2][0], b[2][0]) + side
    if last < first or span == 0:
        return 0.0
    (ax, ay, aw, ah), (bx, by, bw, bh) = a[3], b[3]
    width = max(0, min(ax + aw, bx + bw) - max(ax, bx) + side)
    height = max(0, min(ay + ah, by + bh) - max(ay, by) + side)
    union = (aw + side) * (ah + side) + (bw + side) * (bh + side) - width * height
    either = {frame for frame in a[2] + b[2] if first <= frame <= last}
    both = set(a[2]) & set(b[2])
    return (last - first + side) / span * len(both) * (width * height / union) / len(either)


def slow_map(truth: list[Tube], found: list[Tube], threshold: float, definition: Definition) -> list[float]:
    side = 1 if definition == "act" else 0
    areas = []
    for label in CLASSES:
        labelled = [tube for tube in truth if tube[1] == label]
        claimed: set[int] = set()
        right: list[bool] = []
        kept: list[Tube] = []
        for tube in sorted((tube for tube in found if tube[1] == label), key=lambda tube: -tube[4]):
            rivals = [other for other in kept if other[0] == tube[0]]
            if definition == "act" and any(slow_overlap(tube, other, side) > 0.3 for other in rivals):
                continue
            kept.append(tube)
            free = [i for i, other in enumerate(labelled) if other[0] == tube[0]]
            if definition == "act":
                free = [i for i in free if i not in claimed]
            best = max(free, key=lambda i: (slow_overlap(labelled[i], tube, side), -i), default=None)
            is_right = best is not None and slow_overlap(labelled[best], tube, side) >= threshold
            right.append(is_right and best not in claimed)
            if right[-1]:
                claimed.add(best)  # type: ignore[arg-type]
        areas.append(slow_area(right, len(labelled), definition))
    return areas


def slow_area(right: list[bool], num_labelled: int, definition: Definition) -> float:
    if not num_labelled:
        return 0.0 if definition == "act" else float("nan")
    points = [(sum(right[:n]) / n, sum(right[:n]) / num_labelled) for n in range(1, len(right) + 1)]
    if definition == "act":
        steps = zip([(1.0, 0.0), *points], points, strict=False)
        return sum((recall - before[1]) * (precision + before[0]) / 2 for before, (precision, recall) in steps)
    total, last = 0.0, 0.0
    for n, (_, recall) in enumerate(points):
        total += (recall - last) * max(precision for precision, _ in points[n:])
        last = recall
    return total


@pytest.mark.parametrize("definition", ["act", "multisports"])
@settings(max_examples=120)
@given(truth=TUBES, found=TUBES)
def test_the_slow_form_says_the_same(definition: Definition, truth: list[Tube], found: list[Tube]) -> None:
    result = video_map(rows_of(truth), rows_of(found), class_ids=CLASSES, iou=IOU, definition=definition)
    for row, threshold in enumerate(IOU):
        wanted = slow_map(truth, found, threshold, definition)
        tolerance: Any = {"rtol": 0, "atol": 1e-6 if definition == "act" else 1e-12}
        np.testing.assert_allclose(result.average_precision_TC[row], wanted, **tolerance)


@pytest.mark.parametrize("definition", ["act", "multisports"])
@settings(max_examples=60)
@given(truth=TUBES, found=TUBES, shift=st.integers(-5, 1000), scale=st.sampled_from([0.5, 2.0, 4.0]))
def test_order_time_and_place_do_not_matter(
    definition: Definition, truth: list[Tube], found: list[Tube], shift: int, scale: float
) -> None:
    plain = video_map(rows_of(truth), rows_of(found), class_ids=CLASSES, iou=IOU, definition=definition)
    assert (np.diff(np.nan_to_num(plain.average_precision_TC), axis=0) <= 1e-6).all() or definition == "act"
    scale = 1.0 if definition == "act" else scale
    truth_rows, found_rows = (rows_of(tubes, shift=shift, scale=scale) for tubes in (truth, found))
    shuffled = found_rows.sample(fraction=1.0, shuffle=True, seed=3) if found else found_rows
    other = video_map(truth_rows, shuffled, class_ids=CLASSES, iou=IOU, definition=definition)
    np.testing.assert_array_equal(plain.average_precision_TC, other.average_precision_TC)


@pytest.mark.parametrize("definition", ["act", "multisports"])
@settings(max_examples=60)
@given(truth=TUBES)
def test_the_labels_themselves_are_perfect(definition: Definition, truth: list[Tube]) -> None:
    # One tube a class and video, so that none is dropped for another.
    apart = list({(video, label): (video, label, [1, 2, *(f + 2 for f in frames)], box, score)
                  for video, label, frames, box, score in truth}.values())  # fmt: skip
    result = video_map(rows_of(apart), rows_of(apart), class_ids=CLASSES, iou=[1.0], definition=definition)
    labelled = {tube[1] for tube in apart}
    for label in CLASSES:
        area = result.of_class(label, iou=1.0)
        assert area == pytest.approx(1.0) if label in labelled else (area == 0.0 or np.isnan(area))
