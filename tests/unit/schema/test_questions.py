"""Whether an answer to gold is right, for every kind of item."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.schema import ANSWERS_OF, PROTOCOLS, BadInput, ClassEdit, is_right

corner = st.integers(0, 99)


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, float]:
    (x1, x2), (y1, y2) = (sorted(draw(st.sets(corner, min_size=2, max_size=2))) for _ in "xy")
    return {"x1": x1 / 100, "y1": y1 / 100, "x2": x2 / 100, "y2": y2 / 100}


def right(kind: str, known: object, said: object) -> bool:
    details = {"gold_detail": json.dumps(known), "detail": json.dumps(said)}
    return is_right(kind, gold_answer="done", answer="done", **details)


def test_every_kind_of_protocol_has_answers_and_its_positive_among_them() -> None:
    assert set(ANSWERS_OF) == set(PROTOCOLS)
    assert all(PROTOCOLS[kind].positive in answers for kind, answers in ANSWERS_OF.items())


@pytest.mark.parametrize("kind", ["clip", "box"])
def test_a_yes_or_no_is_right_when_it_is_the_known_one(kind: str) -> None:
    for known, said in itertools.product(ANSWERS_OF[kind], repeat=2):
        assert is_right(kind, gold_answer=known, gold_detail=None, answer=said, detail=None) == (known == said)


@given(st.lists(boxes(), max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_boxes_is_nothing(drawn: list[dict[str, float]], rng: random.Random) -> None:
    known = list(drawn)
    rng.shuffle(known)
    assert right("frame", {"boxes": known}, {"boxes": drawn})
    assert not drawn or not right("frame", {"boxes": known}, {"boxes": drawn[1:]})
    assert not drawn or not right("frame", {"boxes": known[1:]}, {"boxes": drawn})


def test_boxes_are_paired_so_that_as_many_as_can_be_are() -> None:
    def strip(x1: float, x2: float) -> dict[str, float]:
        return {"x1": x1, "y1": 0.0, "x2": x2, "y2": 1.0}

    # The first drawn box overlaps both known ones, the first of them better, which is the only one of the second.
    known = {"boxes": [strip(0.0, 0.6), strip(0.2, 0.8)]}
    assert right("frame", known, {"boxes": [strip(0.05, 0.65), strip(0.0, 0.4)]})
    assert not right("frame", known, {"boxes": [strip(0.0, 0.6), strip(0.0, 0.6)]})


@pytest.mark.parametrize(
    ("said", "is_it"), [([12, 17], True), ([12], True), ([12, 17, 79, 80], True), ([11], False), ([12, 79, 80], False)]
)
def test_half_of_all_actions_named_must_be_shared(said: list[int], *, is_it: bool) -> None:
    assert right("person", {"class_ids": [12, 17]}, {"class_ids": said}) is is_it


@pytest.mark.parametrize(("kind", "part"), [("cluster", "keep"), ("class", "remove")])
def test_reviews_must_name_the_same_clips(kind: str, part: str) -> None:
    assert right(kind, {part: [0, 2]}, {part: [2, 0]})
    assert not right(kind, {part: [0, 2]}, {part: [0]})


def test_without_a_known_detail_only_the_answer_is_looked_at() -> None:
    assert is_right("frame", gold_answer="done", gold_detail=None, answer="done", detail='{"boxes":[]}')
    assert not is_right("frame", gold_answer="broken", gold_detail=None, answer="done", detail='{"boxes":[]}')
    assert not is_right("person", gold_answer="done", gold_detail='{"class_ids":[1]}', answer="done", detail=None)


def test_a_class_does_not_become_itself() -> None:
    row = {"edit_id": 1, "old_class_id": 1, "old_name": "a", "new_name": "b"}
    with pytest.raises(BadInput, match="class 1 cannot become itself"):
        ClassEdit(what="merge", new_class_id=1, **row)
    with pytest.raises(BadInput, match="'forget' is nothing done to a class"):
        ClassEdit(what="forget", new_class_id=2, **row)
    with pytest.raises(BadInput, match=r"edit 1: undo of edit None\. An undo names one"):
        ClassEdit(what="undo", new_class_id=1, **row)
