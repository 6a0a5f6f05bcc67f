"""Classifiers of frames: any function from frames to scores, with the names of what it scores.

Shapes: F frames, H and W px, 3 = R, G, B; C columns, one a class that the classifier knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.mine.titles import forms_of, phrases_of
from gesta.schema import BadInput, LabelClass
from gesta.tables import Json

Frames = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]
ScoreFrames = Callable[[Frames], Scores]
"""From uint8 [F, H, W, 3], red green blue, to float [F, C]: the higher, the likelier that the class is shown. Scores of
one class are compared with each other alone, between frames of one video, so their scale is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameClassifier:
    """A classifier ready to score: the function, the names of its columns, and how large it wants frames.

    `short_side_px` is the size that frames are decoded to (by area; the function may scale further); None = their own.
    """

    score: ScoreFrames
    class_names: tuple[str, ...]
    short_side_px: int | None = None


OpenClassifier = Callable[[Sequence[str]], FrameClassifier]
"""Makes the classifier ready, given the names of the actions. It must be picklable where several workers score, and a
value (equal to another that opens the same) for a process to open it once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSource:
    """Where a classifier comes from: how it is opened, all that decides its scores, and the libraries it runs on."""

    open: OpenClassifier
    said: Mapping[str, Json]
    tools: tuple[str, ...] = ()


def classifier_of(
    function: ScoreFrames, *, class_names: Sequence[str], name: str, short_side_px: int | None = None
) -> ClassifierSource:
    """Any function from frames to scores as a classifier.

    Args:
        function: uint8 [F, H, W, 3] to float [F, C]; defined at the top of a module where several workers are to run.
        class_names: of its C columns.
        name: of the function and its version: scores kept under one name are taken for scores of the same function.
        short_side_px: size that frames are decoded to; None = their own.
    Raises:
        BadInput: there is no class, or a name stands twice.
    """
    names = tuple(class_names)
    if not names or len(set(names)) != len(names):
        raise BadInput(f"a frame classifier of the classes {list(names)}", mend="Want one name or more, each once")
    said: dict[str, Json] = {"kind": "function", "name": name, "class_names": list(names)}
    return ClassifierSource(
        open=_Given(FrameClassifier(score=function, class_names=names, short_side_px=short_side_px)), said=said
    )


@dataclass(frozen=True, slots=True)
class _Given:
    classifier: FrameClassifier

    def __call__(self, action_names: Sequence[str]) -> FrameClassifier:
        del action_names
        return self.classifier


_BLANKS = re.compile(r"[\s_]+")


def _plain(name: str) -> str:
    return _BLANKS.sub(" ", name).strip().casefold()


def columns_of(class_names: Sequence[str], *, classes: Sequence[LabelClass]) -> dict[int, int]:
    """The column that scores each action, by class id; actions that the classifier does not know are left out.

    A column is an action's when its name is the same (blanks, underscores and capitals aside), else when one of its
    phrases has the same words whatever their inflection: "wave hand" scores "waving hands". Of several the first.

    Source: Kinetics-400 paper, section 3.2: the action list had a better match to the classifiers in the form of
        -ing; here the form does not matter.

    >>> actions = [LabelClass(class_id=7, name="waving hand"), LabelClass(class_id=8, name="bowing")]
    >>> columns_of(["bow", "Wave_Hands"], classes=actions)
    {7: 1, 8: 0}
    """
    exact: dict[str, int] = {}
    for column, name in enumerate(class_names):
        exact.setdefault(_plain(name), column)
    phrases = [
        [tuple(forms_of(word) for word in phrase) for phrase in phrases_of(_plain(name))] for name in class_names
    ]
    found = {}
    for row in classes:
        column_ = exact.get(_plain(row.name))
        if column_ is None:
            column_ = _same_words(row.name, phrases)
        if column_ is not None:
            found[row.class_id] = column_
    return found


def _same_words(name: str, phrases: Sequence[Sequence[tuple[frozenset[str], ...]]]) -> int | None:
    wanted = [tuple(forms_of(word) for word in phrase) for phrase in phrases_of(_plain(name))]
    for column, known in enumerate(phrases):
        for one in wanted:
            for other in known:
                if len(one) == len(other) and all(not a.isdisjoint(b) for a, b in zip(one, other, strict=True)):
                    return column
    return None
