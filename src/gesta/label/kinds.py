"""What a worker's answer to each kind of question must be, checked at the door and brought into one form.

The detail that is kept is canonical JSON: sorted keys, no spaces, boxes rounded and in the order they were drawn,
ids and indexes sorted; so that equal answers are equal texts.
"""

from __future__ import annotations

import functools
import json
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gesta.formats import ava_label_map
from gesta.schema import ANSWERS_OF, DONE, BadInput, UnknownName, is_right

__all__ = ["AVA_CATEGORIES", "MAX_BOXES", "MAX_CLASSES", "MAX_TEXT_CHARS", "ava_categories", "check_answer", "is_right"]

MAX_BOXES = 50
"""Boxes of a key-frame at most. Source: ours; half of the validation list of AVA-Kinetics v1.0 has 11 persons in a
key-frame at most."""

BOX_DECIMALS = 6
"""Decimals of a corner that are kept. Source: the csv files of AVA-Kinetics have six."""

MAX_TEXT_CHARS = 100
"""Length of a suggestion at most. Source: ours; the longest name of Kinetics-700 has 49 characters."""

AVA_CATEGORIES: Mapping[str, str] = {
    "PERSON_MOVEMENT": "pose", "OBJECT_MANIPULATION": "object", "PERSON_INTERACTION": "person",
}  # fmt: skip
"""What each of AVA's categories is called here."""

MAX_CLASSES: Mapping[str, int] = {"pose": 1, "object": 3, "person": 3}
"""Actions of one person at most, by category; a pose is required. Source: the AVA paper, section 3.3: one pose,
up to three interactions with objects and up to three with persons."""


@functools.cache
def ava_categories() -> Mapping[int, str]:
    """The category of each of AVA's 80 actions by class id: pose, object or person.

    >>> ava_categories()[12], ava_categories()[17], ava_categories()[80]
    ('pose', 'object', 'person')
    """
    rows = ava_label_map(80).select("class_id", "category").iter_rows()
    return {class_id: AVA_CATEGORIES[category] for class_id, category in rows}


def check_answer(
    kind: str,
    answer: str,
    lasts_whole_clip: bool | None,  # noqa: FBT001 - the four of them are one answer, as it came
    detail: object,
    *,
    num_clips: int = 0,
    num_proposals: int = 0,
) -> str | None:
    """The answer's detail as canonical JSON text, or None where the answer has none.

    Args:
        lasts_whole_clip: None = not said; asked only of a clip, after yes.
        detail: the parsed JSON object, or None.
        num_clips: clips of the cluster or class item, which `keep` and `remove` index.
        num_proposals: boxes proposed to the frame item, which `proposal` indexes.
    Raises:
        BadInput: the answer is none of the kind's, or its detail is not what the kind asks for.
        UnknownName: there is no such kind.

    >>> check_answer("class", "done", None, {"remove": [2, 0]}, num_clips=3)
    '{"remove":[0,2]}'
    """
    if kind not in ANSWERS_OF:
        raise UnknownName(what="kind of item", name=kind, choices=ANSWERS_OF)
    if answer not in ANSWERS_OF[kind]:
        raise BadInput(f"{answer!r} is no answer to a {kind} item", mend=f"Want {', '.join(ANSWERS_OF[kind])}")
    if lasts_whole_clip is not None and (kind, answer) != ("clip", "yes"):
        raise BadInput("lasts_whole_clip is asked only of a clip, after yes", mend="Leave it out")
    if kind == "clip" and answer == "no" and detail is not None:
        return _json(_suggestion(detail, key="suggestion"))
    if answer != DONE:
        if detail is not None:
            raise BadInput(f"{answer!r} to a {kind} item has no detail", mend="Leave it out")
        return None
    return _json(_CHECKS[kind](detail, num_clips, num_proposals))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _only(detail: object, *, key: str, like: str) -> Any:
    """The value of the object's one key.

    Raises:
        BadInput: it is no object with that key alone.
    """
    if not isinstance(detail, Mapping) or set(detail) != {key}:
        raise BadInput(f"the detail is not an object with {key!r} alone", mend=f"Want {like}")
    return detail[key]


def _suggestion(detail: object, *, key: str) -> dict[str, Any]:
    text = _only(detail, key=key, like=f'{{"{key}": "peeling an orange"}}')
    if not isinstance(text, str):
        raise BadInput("the suggestion is no text", mend=f"Want 1 to {MAX_TEXT_CHARS} characters")
    normal = unicodedata.normalize("NFC", text).strip()
    # Cc and Cs cannot be shown; Cf would reorder or hide what is written; Zl and Zp break the line.
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in normal):
        raise BadInput("the suggestion holds a control character", mend="Write it on one line")
    if not 1 <= len(normal) <= MAX_TEXT_CHARS:
        raise BadInput(f"a suggestion of {len(normal)} characters", mend=f"Want 1 to {MAX_TEXT_CHARS}")
    return {key: normal}


def _text(detail: object, _num_clips: int, _num_proposals: int) -> dict[str, Any]:
    return _suggestion(detail, key="text")


_BOX_LIKE = '{"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.9, "proposal": null}'


def _boxes(detail: object, _num_clips: int, num_proposals: int) -> dict[str, Any]:
    boxes = _only(detail, key="boxes", like=f'{{"boxes": [{_BOX_LIKE}]}}')
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise BadInput("the boxes are no list", mend=f"Want a list of {_BOX_LIKE}; [] = nobody is there")
    if len(boxes) > MAX_BOXES:
        raise BadInput(f"{len(boxes)} boxes in one key-frame", mend=f"Want {MAX_BOXES} at most")
    checked = [_box(box, number, num_proposals=num_proposals) for number, box in enumerate(boxes)]
    used = [box["proposal"] for box in checked if box["proposal"] is not None]
    if len(used) != len(set(used)):
        raise BadInput("a proposal stands behind two boxes", mend="Each may be accepted or adjusted once")
    corners = [(box["x1"], box["y1"], box["x2"], box["y2"]) for box in checked]
    if len(corners) != len(set(corners)):
        raise BadInput("two boxes are the same", mend="Draw each person once")
    return {"boxes": checked}


def _box(box: object, number: int, *, num_proposals: int) -> dict[str, Any]:
    if not isinstance(box, Mapping) or not {"x1", "y1", "x2", "y2"} <= set(box) <= {"x1", "y1", "x2", "y2", "proposal"}:
        raise BadInput(f"box {number} is no box", mend=f"Want {_BOX_LIKE}")
    rounded: dict[str, Any] = {}
    for name in ("x1", "y1", "x2", "y2"):
        value = box[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"{name} of box {number} is no number", mend="Want a fraction of the frame, 0 to 1")
        # Adding 0.0 makes -0.0 a plain zero.
        rounded[name] = round(float(value), BOX_DECIMALS) + 0.0
    if not (0 <= rounded["x1"] < rounded["x2"] <= 1 and 0 <= rounded["y1"] < rounded["y2"] <= 1):
        raise BadInput(f"box {number} is no box inside the frame", mend="Want 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1")
    rounded["proposal"] = box.get("proposal")
    if rounded["proposal"] is not None:
        _check_index(rounded["proposal"], num=num_proposals, what=f"proposal of box {number}")
    return rounded


def _check_index(value: object, *, num: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < num:
        raise BadInput(f"{what} is {value!r}", mend=f"Want 0 to {num - 1}" if num else "There are none")
    return value


def _class_ids(detail: object, _num_clips: int, _num_proposals: int) -> dict[str, Any]:
    ids = _only(detail, key="class_ids", like='{"class_ids": [12, 17]}')
    if not isinstance(ids, Sequence) or isinstance(ids, str):
        raise BadInput("the actions are no list", mend='Want {"class_ids": [12, 17]}')
    categories = ava_categories()
    counts = dict.fromkeys(MAX_CLASSES, 0)
    for class_id in ids:
        if isinstance(class_id, bool) or not isinstance(class_id, int) or class_id not in categories:
            raise BadInput(f"{class_id!r} is none of AVA's 80 actions", mend="Want ids 1 to 80")
        counts[categories[class_id]] += 1
    if len(set(ids)) != len(ids):
        raise BadInput("an action is there twice", mend="Name each once")
    if counts["pose"] != 1:
        raise BadInput(f"{counts['pose']} poses", mend="Choose exactly one: every person stands, sits or moves somehow")
    for category, most in MAX_CLASSES.items():
        if counts[category] > most:
            raise BadInput(
                f"{counts[category]} actions with {_WITH[category]}", mend=f"Choose the {most} clearest at most"
            )
    return {"class_ids": sorted(ids)}


_WITH = {"pose": "no one", "object": "objects", "person": "persons"}


def _indexes(detail: object, num_clips: int, *, key: str) -> dict[str, Any]:
    indexes = _only(detail, key=key, like=f'{{"{key}": [0, 2]}}')
    if not isinstance(indexes, Sequence) or isinstance(indexes, str):
        raise BadInput(f"{key!r} is no list", mend=f'Want {{"{key}": [0, 2]}}')
    checked = [_check_index(index, num=num_clips, what=f"a clip of {key!r}") for index in indexes]
    if len(checked) != len(set(checked)):
        raise BadInput(f"a clip is twice in {key!r}", mend="Name each once")
    return {key: sorted(checked)}


def _keep(detail: object, num_clips: int, _num_proposals: int) -> dict[str, Any]:
    kept = _indexes(detail, num_clips, key="keep")
    if not kept["keep"]:
        raise BadInput("no clip of the cluster is kept", mend="Keep one at least: its footage may stay once")
    return kept


def _remove(detail: object, num_clips: int, _num_proposals: int) -> dict[str, Any]:
    return _indexes(detail, num_clips, key="remove")


_CHECKS: Mapping[str, Callable[[object, int, int], dict[str, Any]]] = {
    "suggestion": _text, "frame": _boxes, "person": _class_ids, "cluster": _keep, "class": _remove,
}  # fmt: skip
