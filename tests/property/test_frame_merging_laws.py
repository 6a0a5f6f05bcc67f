"""Laws of merging the boxes that several workers drew of one key-frame."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.consensus import merged_boxes
from gesta.schema import box_iou

Box = dict[str, Any]

corner = st.integers(0, 20)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    (x1, x2), (y1, y2) = (sorted(draw(st.sets(corner, min_size=2, max_size=2))) for _ in "xy")
    return {"x1": x1 / 20, "y1": y1 / 20, "x2": x2 / 20, "y2": y2 / 20, "proposal": draw(st.none() | st.just(0))}


frames = st.lists(st.lists(boxes(), max_size=5), max_size=4)


@st.composite
def apart(draw: st.DrawFn) -> list[Box]:
    """Boxes of one frame that do not touch one another: one in each of some columns of five."""
    columns = draw(st.sets(st.integers(0, 4)))
    rows = [draw(st.integers(0, 4)) for _ in columns]
    return [
        {"x1": 0.2 * n + 0.02, "y1": 0.1 * row, "x2": 0.2 * n + 0.18, "y2": 0.1 * row + 0.5}
        for n, row in zip(sorted(columns), rows, strict=True)
    ]


def corners(box: Box) -> tuple[float, ...]:
    return tuple(box[name] for name in ("x1", "y1", "x2", "y2"))


@given(frames, st.randoms(use_true_random=False))
def test_neither_the_order_of_workers_nor_of_boxes_matters(drawn: list[list[Box]], rng: random.Random) -> None:
    shuffled = [list(mine) for mine in drawn]
    for mine in shuffled:
        rng.shuffle(mine)
    rng.shuffle(shuffled)
    assert merged_boxes(shuffled) == merged_boxes(drawn)


@given(st.lists(boxes(), max_size=6, unique_by=corners), st.integers(1, 4))
def test_identical_answers_give_themselves(mine: list[Box], num_workers: int) -> None:
    found = merged_boxes([mine] * num_workers)
    assert [box.corners for box in found] == sorted(corners(box) for box in mine)
    assert {box.num_agree for box in found} <= {num_workers}


@given(apart(), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_jitter_of_a_few_hundredths_merges_every_person(people: list[Box], num_workers: int, seed: int) -> None:
    rng = random.Random(seed)

    def jittered(value: float) -> float:
        return min(1.0, max(0.0, value + rng.uniform(-0.01, 0.01)))

    drawn = [[{name: jittered(value) for name, value in box.items()} for box in people] for _ in range(num_workers)]
    found = merged_boxes(drawn)
    assert [box.num_agree for box in found] == [num_workers] * len(people)
    for box, truth in zip(found, sorted(people, key=corners), strict=True):
        assert np.allclose(box.corners, corners(truth), atol=0.0101)


@given(frames)
def test_every_box_is_in_one_person_and_a_worker_draws_a_person_once(drawn: list[list[Box]]) -> None:
    found = merged_boxes(drawn)
    assert sum(box.num_agree for box in found) == sum(len({corners(box) for box in mine}) for mine in drawn)
    assert all(1 <= box.num_agree <= len(drawn) for box in found)
    assert all(0 <= box.num_from_proposal <= box.num_agree for box in found)
    for box in found:
        x1, y1, x2, y2 = box.corners
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1


@given(frames)
def test_two_boxes_of_one_worker_each_that_overlap_by_half_are_one(drawn: list[list[Box]]) -> None:
    if [len(mine) for mine in drawn] != [1, 1]:
        drawn = [mine[:1] for mine in drawn if mine][:2]
    if len(drawn) < 2:
        return
    a, b = (np.array([corners(mine[0])]) for mine in drawn)
    is_one = bool(box_iou(a, b)[0, 0] >= 0.5)
    assert len(merged_boxes(drawn)) == (1 if is_one else 2)


@pytest.mark.parametrize(("num_proposals", "num"), [(0, 0), (1, 1), (2, 2)])
def test_who_took_the_detectors_box_is_counted(num_proposals: int, num: int) -> None:
    box = {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.5}
    drawn = [[{**box, "proposal": 3 if n < num_proposals else None}] for n in range(3)]
    assert [found.num_from_proposal for found in merged_boxes(drawn)] == [num]
