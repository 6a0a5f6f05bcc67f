"""Whose boxes a model is shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import BadInput, UnknownName
from gesta.train.persons import PersonBoxes, PersonExample, persons_shown
from gesta.train.persons.boxes import good_proposals

TRUTH = np.array([[0.1, 0.1, 0.5, 0.9], [0.5, 0.1, 0.9, 0.9]])
FOUND = np.array([[0.1, 0.1, 0.5, 0.88, 0.95], [0.52, 0.1, 0.9, 0.6, 0.99], [0.5, 0.1, 0.9, 0.9, 0.3]])


@pytest.fixture
def example() -> PersonExample:
    """Two annotated persons, of whom the first is found well, the second badly (or with a low score)."""
    return PersonExample(
        clip_id="c", video_id="v", path=Path("v.mp4"), timestamp_us=0, start_us=0, end_us=1, boxes_N4=TRUTH,
        person_ids=(4, 5), targets_NK=np.array([[1, 0, 1], [0, 1, 0]], dtype=np.float32),
        weights_NK=np.array([[1, 1, 1], [1, 1, 0.5]], dtype=np.float32), proposals_M5=FOUND,
    )  # fmt: skip


def test_truth_is_shown_with_its_labels(example: PersonExample):
    shown = persons_shown(example, boxes=PersonBoxes())
    assert shown.boxes_N4.tolist() == TRUTH.tolist()
    assert shown.targets_NK.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert shown.truth_N.tolist() == [0, 1]


def test_proposals_get_the_labels_of_whom_they_fit(example: PersonExample):
    shown = persons_shown(example, boxes=PersonBoxes(train="proposals"))
    assert shown.boxes_N4.tolist() == [FOUND[0, :4].tolist()]
    assert shown.targets_NK.tolist() == [[1, 0, 1]]
    assert shown.scores_N.tolist() == [0.95]
    assert shown.truth_N.tolist() == [0]


def test_truth_can_be_added(example: PersonExample):
    shown = persons_shown(example, boxes=PersonBoxes(train="both"))
    assert shown.truth_N.tolist() == [0, 1, 0]
    assert shown.weights_NK.tolist() == [[1, 1, 1], [1, 1, 0.5], [1, 1, 1]]


def test_proposals_that_fit_nobody_are_left_out_or_do_nothing(example: PersonExample):
    shown = persons_shown(example, boxes=PersonBoxes(train="proposals", negatives=True))
    assert shown.truth_N.tolist() == [0, -1]
    assert shown.targets_NK.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert shown.weights_NK.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_the_threshold_falls_to_the_best_score_where_none_reaches_it():
    low_M5 = FOUND.copy()
    low_M5[:, 4] = [0.2, 0.7, 0.1]
    assert good_proposals(low_M5, least_score=0.9).tolist() == [1]
    low_M5[:, 4] = [0.7, 0.7, 0.1]
    assert good_proposals(low_M5, least_score=0.9).tolist() == [0, 1]
    assert good_proposals(FOUND, least_score=0.9).tolist() == [0, 1]
    assert good_proposals(FOUND, least_score=0.2).tolist() == [0, 1, 2]
    assert good_proposals(np.zeros((0, 5)), least_score=0.9).tolist() == []


def test_all_good_proposals_are_tested_without_labels(example: PersonExample):
    shown = persons_shown(example, boxes=PersonBoxes(most=1), which="proposals")
    assert shown.boxes_N4.tolist() == FOUND[:2, :4].tolist()
    assert shown.targets_NK.shape == (2, 3)
    assert not shown.targets_NK.any()
    assert not shown.weights_NK.any()


def test_at_most_so_many_are_trained_on_and_all_are_tested(example: PersonExample):
    many = dataclasses.replace(
        example, boxes_N4=np.tile(TRUTH, (20, 1)), person_ids=tuple(range(40)),
        targets_NK=np.zeros((40, 3), np.float32), weights_NK=np.ones((40, 3), np.float32),
    )  # fmt: skip
    one, other = (persons_shown(many, boxes=PersonBoxes(most=32), seed=seed).truth_N.tolist() for seed in (1, 2))
    assert len(one) == len(set(one)) == 32
    assert one == sorted(one) != other
    assert persons_shown(many, boxes=PersonBoxes(most=32)).truth_N.tolist() == list(range(32))
    assert len(persons_shown(many, boxes=PersonBoxes(most=32), which="truth").truth_N) == 40


def test_nobody_there_is_nobody_shown(example: PersonExample):
    empty = dataclasses.replace(
        example, boxes_N4=np.zeros((0, 4)), person_ids=(), targets_NK=np.zeros((0, 3), np.float32),
        weights_NK=np.zeros((0, 3), np.float32), proposals_M5=np.zeros((0, 5)),
    )  # fmt: skip
    for train in ("truth", "proposals", "both"):
        shown = persons_shown(empty, boxes=PersonBoxes(train=train))
        assert shown.boxes_N4.shape == (0, 4)
        assert shown.targets_NK.shape == (0, 3)
    assert persons_shown(empty, boxes=PersonBoxes(), which="proposals").boxes_N4.shape == (0, 4)


def test_what_cannot_be_meant_is_refused(example: PersonExample):
    with pytest.raises(UnknownName, match=r"no choice of boxes 'all'. There are: both, proposals, truth"):
        PersonBoxes(train="all")
    with pytest.raises(BadInput, match=r"least_score=1.5. Want 0 to 1"):
        PersonBoxes(least_score=1.5)
    with pytest.raises(BadInput, match=r"most=0. Want at least 1"):
        PersonBoxes(most=0)
    with pytest.raises(UnknownName, match=r"no choice of boxes 'all'. There are: proposals, train, truth"):
        persons_shown(example, boxes=PersonBoxes(), which="all")
