"""What may be answered to a question of each kind, and whether an answer to gold is right.

The service that takes answers and the stage that judges workers must agree to the letter, so both stand here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gesta.schema.boxes import box_iou
from gesta.schema.nouns import ANSWERS, DONE

ANSWERS_OF: Mapping[str, tuple[str, ...]] = {
    "clip": ANSWERS,
    "suggestion": (DONE, "unsure", "broken"),
    "frame": (DONE, "broken"),
    "person": (DONE, "unsure", "broken"),
    "box": ANSWERS,
    "cluster": (DONE, "unsure"),
    "class": (DONE, "unsure"),
}
"""What may be answered to an item of each kind. Source: Kinetics-400 paper, section 3.3 (clip); the others ours."""

MIN_IOU = 0.5
"""Overlap from which two boxes are of one person. Source: the AVA paper's measure of detections, at 0.5."""

MIN_JACCARD = 0.5
"""Overlap from which two sets of actions say the same of a person.

Source: ours. A person is given up to seven actions and careful raters differ in one or two of them, which is why the
paper has the proposals of three raters verified; the very same set would bar them. At one half a rater may miss, or
add, as many actions as she has in common with the known ones.
"""


def is_right(kind: str, *, gold_answer: str, gold_detail: str | None, answer: str, detail: str | None) -> bool:
    """Whether an answer to an item whose answer is known counts as right.

    It must be the known answer; where the known answer has a detail, that must fit as well. frame: every known box
    is met by another drawn box at IoU `MIN_IOU` or more, and there are no more. person: the Jaccard index of the
    two sets of actions is `MIN_JACCARD` or more. cluster, class: the same clips are kept, removed. suggestion: any.

    Args:
        gold_detail: JSON, as workers' details are; None = only the answer is known.
        detail: JSON of the worker's; None = none was given.

    >>> is_right("clip", gold_answer="yes", gold_detail=None, answer="no", detail=None)
    False
    >>> known, said = '{"class_ids":[12,17]}', '{"class_ids":[12,17,79]}'
    >>> is_right("person", gold_answer="done", gold_detail=known, answer="done", detail=said)
    True
    """
    if answer != gold_answer:
        return False
    if answer != DONE or gold_detail is None or kind == "suggestion":
        return True
    known, said = _object(gold_detail), _object(detail)
    if kind == "frame":
        return _are_matched(known.get("boxes", []), said.get("boxes", []))
    if kind == "person":
        mine, theirs = set(known.get("class_ids", [])), set(said.get("class_ids", []))
        return len(mine & theirs) >= MIN_JACCARD * len(mine | theirs)
    part = "keep" if kind == "cluster" else "remove"
    return set(known.get(part, [])) == set(said.get(part, []))


def _object(text: str | None) -> Mapping[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _are_matched(known: Sequence[Mapping[str, Any]], drawn: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the boxes can be paired one to one at IoU `MIN_IOU` or more, none left over."""
    if len(known) != len(drawn):
        return False
    if not known:
        return True
    overlaps = box_iou(_corners(known), _corners(drawn)) >= MIN_IOU
    owner: dict[int, int] = {}

    def finds_one(row: int, tried: set[int]) -> bool:
        # Kuhn's augmenting paths: pairing the best overlap first can leave a box without its only partner.
        for column in np.flatnonzero(overlaps[row]).tolist():
            if column not in tried:
                tried.add(column)
                if column not in owner or finds_one(owner[column], tried):
                    owner[column] = row
                    return True
        return False

    return all(finds_one(row, set()) for row in range(len(known)))


def _corners(boxes: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([[box["x1"], box["y1"], box["x2"], box["y2"]] for box in boxes], dtype=np.float64)
