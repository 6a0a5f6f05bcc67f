"""What may be answered to a question of each kind."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.label.kinds import MAX_CLASSES, ava_categories, check_answer
from gesta.schema import ANSWERS_OF, BadInput, UnknownName, is_right

POSES, OBJECTS, PERSONS = (
    [class_id for class_id, category in ava_categories().items() if category == name]
    for name in ("pose", "object", "person")
)
NUM_CLIPS = 6
frac = st.floats(0, 1, allow_nan=False)


@st.composite
def frame_details(draw: st.DrawFn) -> dict[str, Any]:
    boxes = []
    for number in range(draw(st.integers(0, 5))):
        x1, y1 = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
        box = {"x1": x1, "y1": y1, "x2": x1 + 0.01 * (number + 1), "y2": y1 + 0.05}
        boxes.append(box | ({"proposal": number} if draw(st.booleans()) else {}))
    return {"boxes": boxes}


@st.composite
def person_details(draw: st.DrawFn) -> dict[str, Any]:
    chosen = [
        draw(st.sampled_from(POSES)),
        *draw(st.sets(st.sampled_from(OBJECTS), max_size=3)),
        *draw(st.sets(st.sampled_from(PERSONS), max_size=3)),
    ]
    return {"class_ids": draw(st.permutations(chosen))}


indexes = st.sets(st.integers(0, NUM_CLIPS - 1)).map(sorted)
DETAILS = {
    "suggestion": st.text(string.ascii_letters + " é", min_size=1, max_size=100)
    .filter(str.strip)
    .map(lambda text: {"text": text}),
    "frame": frame_details(),
    "person": person_details(),
    "cluster": indexes.filter(bool).map(lambda numbers: {"keep": numbers}),
    "class": indexes.map(lambda numbers: {"remove": numbers}),
}


def checked(kind: str, detail: object, answer: str = "done") -> str | None:
    return check_answer(kind, answer, None, detail, num_clips=NUM_CLIPS, num_proposals=5)


@pytest.mark.parametrize("kind", sorted(DETAILS))
def test_a_good_detail_becomes_canonical_once_and_is_right_by_itself(kind: str) -> None:
    @given(DETAILS[kind])
    def holds(detail: dict[str, Any]) -> None:
        text = checked(kind, detail)
        assert text is not None
        assert checked(kind, json.loads(text)) == text
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert is_right(kind, gold_answer="done", gold_detail=text, answer="done", detail=text)

    holds()


@given(person_details(), st.randoms(use_true_random=False))
def test_the_order_of_choosing_actions_is_nothing(detail: dict[str, Any], rng: random.Random) -> None:
    other = list(detail["class_ids"])
    rng.shuffle(other)
    assert checked("person", {"class_ids": other}) == checked("person", detail)


@pytest.mark.parametrize("kind", sorted(ANSWERS_OF))
def test_only_the_kinds_answers_are_answers(kind: str) -> None:
    for answer in ("yes", "no", "unsure", "broken", "done", "", "YES"):
        if answer not in ANSWERS_OF[kind]:
            with pytest.raises(BadInput, match=f"'{answer}' is no answer to a {kind} item. Want "):
                check_answer(kind, answer, None, None)
        elif answer != "done":
            assert check_answer(kind, answer, None, None) is None
            if (kind, answer) != ("clip", "no"):
                with pytest.raises(BadInput, match=f"'{answer}' to a {kind} item has no detail"):
                    check_answer(kind, answer, None, {"text": "x"})


def test_lasting_is_asked_of_a_clip_after_yes_only() -> None:
    assert check_answer("clip", "yes", lasts_whole_clip=True, detail=None) is None
    for kind, answer, detail in (("clip", "no", None), ("box", "yes", None), ("suggestion", "done", {"text": "a"})):
        with pytest.raises(BadInput, match="lasts_whole_clip is asked only of a clip, after yes"):
            check_answer(kind, answer, lasts_whole_clip=False, detail=detail)


def test_a_no_to_a_clip_may_carry_a_suggestion() -> None:
    assert check_answer("clip", "no", None, {"suggestion": " Peeling  an orange "}) == (
        '{"suggestion":"Peeling  an orange"}'
    )
    assert check_answer("suggestion", "done", None, {"text": "cafe\u0301"}) == '{"text":"caf\u00e9"}'


def test_there_are_seven_kinds() -> None:
    with pytest.raises(UnknownName, match="no kind of item 'track'"):
        check_answer("track", "yes", None, None)


def box(**changes: object) -> dict[str, Any]:
    return {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.9, **changes}


TOO_MANY_OBJECTS = [POSES[0], *OBJECTS[: MAX_CLASSES["object"] + 1]]


@pytest.mark.parametrize(
    ("kind", "detail", "message"),
    [
        ("suggestion", None, "not an object with 'text' alone"),
        ("suggestion", {"text": "  "}, "a suggestion of 0 characters"),
        ("suggestion", {"text": "x" * 101}, "a suggestion of 101 characters"),
        ("suggestion", {"text": "a\nb"}, "holds a control character"),
        ("suggestion", {"text": "a\u202eb"}, "holds a control character"),
        ("suggestion", {"text": "a\ud800"}, "holds a control character"),
        ("suggestion", {"text": 7}, "is no text"),
        ("suggestion", {"text": "a", "more": 1}, "not an object with 'text' alone"),
        ("frame", {"boxes": 3}, "the boxes are no list"),
        ("frame", {"boxes": [box(x2=0.1)]}, "box 0 is no box inside the frame"),
        ("frame", {"boxes": [box(x2=0.10000001)]}, "box 0 is no box inside the frame"),
        ("frame", {"boxes": [box(y2=1.1)]}, "box 0 is no box inside the frame"),
        ("frame", {"boxes": [box(x1=float("nan"))]}, "x1 of box 0 is no number"),
        ("frame", {"boxes": [box(x1=True)]}, "x1 of box 0 is no number"),
        ("frame", {"boxes": [box(), box(x1=0.2, label="a")]}, "box 1 is no box"),
        ("frame", {"boxes": [box(), box()]}, "two boxes are the same"),
        ("frame", {"boxes": [box(proposal=5)]}, "proposal of box 0 is 5. Want 0 to 4"),
        ("frame", {"boxes": [box(proposal=True)]}, "proposal of box 0 is True"),
        ("frame", {"boxes": [box(proposal=1), box(x1=0.2, proposal=1)]}, "a proposal stands behind two boxes"),
        ("frame", {"boxes": [box(x2=0.5 + n / 1000) for n in range(51)]}, "51 boxes in one key-frame"),
        ("person", {"class_ids": "12"}, "the actions are no list"),
        ("person", {"class_ids": []}, "0 poses"),
        ("person", {"class_ids": POSES[:2]}, "2 poses"),
        ("person", {"class_ids": [POSES[0], 81]}, "81 is none of AVA's 80 actions"),
        ("person", {"class_ids": [POSES[0], "17"]}, "'17' is none of AVA's 80 actions"),
        ("person", {"class_ids": [POSES[0], OBJECTS[0], OBJECTS[0]]}, "an action is there twice"),
        ("person", {"class_ids": TOO_MANY_OBJECTS}, "4 actions with objects. Choose the 3 clearest"),
        ("person", {"class_ids": [POSES[0], *PERSONS[:4]]}, "4 actions with persons"),
        ("cluster", {"keep": []}, "no clip of the cluster is kept"),
        ("cluster", {"keep": [6]}, "a clip of 'keep' is 6. Want 0 to 5"),
        ("cluster", {"keep": [-1]}, "a clip of 'keep' is -1"),
        ("cluster", {"remove": [1]}, "not an object with 'keep' alone"),
        ("class", {"remove": [1, 1]}, "a clip is twice in 'remove'"),
        ("class", {"remove": [1.0]}, "a clip of 'remove' is 1.0"),
        ("class", {"remove": "01"}, "'remove' is no list"),
    ],
)
def test_a_wrong_detail_is_named(kind: str, detail: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        checked(kind, detail)
