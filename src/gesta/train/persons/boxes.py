"""Whose boxes a model is shown: annotated persons, or those a detector found, with the labels of whom they fit.

Shapes: N persons shown, G annotated, M proposals, K classes; 4 = x1 y1 x2 y2 as fractions of the frame, 5 = a score too
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput, UnknownName, box_iou
from gesta.train.persons.examples import PersonExample

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TRAIN_BOXES = ("truth", "proposals", "both")
WHICH = ("train", "truth", "proposals")
"""What boxes a batch holds: as the recipe trains, all annotated persons, or all proposals of a good enough score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonBoxes:
    """Which boxes a recipe trains on, and which proposals are good enough.

    Attributes:
        train: annotated persons ("truth"), proposals that fit one of them ("proposals"), or both ("both").
        least_score: proposals below it are left out; where none reaches it, those of the best score stay.
        iou: overlap with an annotated person from which a proposal is that person and gets its labels.
        most: persons of a key-frame at most; of more, that many are drawn.
        negatives: whether proposals that fit nobody are trained on as persons who do nothing (PySlowFast), or not.

    Raises:
        UnknownName: `train` is none of the choices.
        BadInput: `least_score` or `iou` is not in 0 to 1, or `most` is below 1.
    Source: open-mmlab/mmaction2 4d6c9347, `configs/detection` (person_det_score_thr .9, MaxIoUAssignerAVA .9,
        RandomSampler 32 with ground truth added) and `ava_dataset.py` (min(threshold, best score)); its loss leaves
        out persons without a label, so its negatives have no effect.
    """

    train: str = "truth"
    least_score: float = 0.9
    iou: float = 0.9
    most: int = 32
    negatives: bool = False

    def __post_init__(self) -> None:
        if self.train not in TRAIN_BOXES:
            raise UnknownName(what="choice of boxes", name=self.train, choices=TRAIN_BOXES)
        for name in ("least_score", "iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name}={getattr(self, name)}", mend="Want 0 to 1")
        if self.most < 1:
            raise BadInput(f"most={self.most}", mend="Want at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPersons:
    """The persons that a model is shown of one key-frame.

    Attributes:
        boxes_N4: float64, fractions of the whole frame.
        scores_N: float64, the detector's; 1 for an annotated person.
        targets_NK, weights_NK: float32; all 0 where nobody annotated is known to be there.
        truth_N: int64, place of the annotated person; -1 = none.
    """

    boxes_N4: Floats
    scores_N: Floats
    targets_NK: Float32s
    weights_NK: Float32s
    truth_N: Ints


def good_proposals(proposals_M5: Floats, *, least_score: float) -> Ints:
    """Places of the proposals that are good enough, int64, ascending; where none is, those with the best score.

    >>> good_proposals(np.array([[0, 0, 1, 1, 0.3], [0, 0, 1, 1, 0.8]]), least_score=0.9)
    array([1])
    """
    if not len(proposals_M5):
        return np.zeros(0, dtype=np.int64)
    scores_M = proposals_M5[:, 4]
    return np.flatnonzero(scores_M >= min(least_score, float(scores_M.max())))


def assign_proposals(proposals_M4: Floats, truth_G4: Floats, *, iou: float) -> Ints:
    """The annotated person whom each proposal overlaps most, int64 [M]; -1 where that is less than `iou`.

    Of persons that it overlaps equally, the first.

    Source: open-mmlab/mmaction2 4d6c9347, `max_iou_assigner_ava.py`, without its low-quality matches, which with a
        least IoU of the same .9 add nothing but another choice between two persons of nearly one box.

    >>> boxes = np.array([[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]])
    >>> assign_proposals(np.array([[0.5, 0.0, 0.99, 1.0], [0.0, 0.0, 0.2, 1.0]]), boxes, iou=0.9)
    array([ 1, -1])
    """
    if not len(truth_G4) or not len(proposals_M4):
        return np.full(len(proposals_M4), -1, dtype=np.int64)
    overlap_MG = box_iou(proposals_M4, truth_G4)
    best_M = overlap_MG.argmax(axis=1)
    return np.where(overlap_MG.max(axis=1) >= iou, best_M, -1)


def persons_shown(
    example: PersonExample, *, boxes: PersonBoxes, which: str = "train", seed: int | None = None
) -> ShownPersons:
    """The persons of a key-frame that a model is shown.

    A key-frame without proposals shows nobody found: there is never a box that nobody drew or detected.

    Args:
        example: the key-frame.
        boxes: rules of the choice.
        which: one of `WHICH`; "truth" and "proposals" show all there are, whatever `most` and `iou` say.
        seed: of the choice where there are too many persons to train on; None = the first.
    Raises:
        UnknownName: `which` is none of the choices.
    """
    if which not in WHICH:
        raise UnknownName(what="choice of boxes", name=which, choices=WHICH)
    num_truth = len(example.boxes_N4)
    truth = _shown(example, example.boxes_N4, np.ones(num_truth), np.arange(num_truth))
    if which == "truth" or (which == "train" and boxes.train == "truth"):
        return truth if which == "truth" else _at_most(truth, boxes.most, seed=seed)
    good_M5 = example.proposals_M5[good_proposals(example.proposals_M5, least_score=boxes.least_score)]
    if which == "proposals":
        return _shown(example, good_M5[:, :4], good_M5[:, 4], np.full(len(good_M5), -1))
    truth_M = assign_proposals(good_M5[:, :4], example.boxes_N4, iou=boxes.iou)
    keep_M = np.ones(len(good_M5), dtype=bool) if boxes.negatives else truth_M >= 0
    found = _shown(example, good_M5[keep_M, :4], good_M5[keep_M, 4], truth_M[keep_M])
    if boxes.negatives:
        found.weights_NK[found.truth_N < 0] = 1
    return _at_most(found if boxes.train == "proposals" else _both(truth, found), boxes.most, seed=seed)


def _shown(example: PersonExample, boxes_N4: Floats, scores_N: Floats, truth_N: Ints) -> ShownPersons:
    num_classes = example.targets_NK.shape[1]
    targets_NK = np.zeros((len(boxes_N4), num_classes), dtype=np.float32)
    weights_NK = np.zeros((len(boxes_N4), num_classes), dtype=np.float32)
    is_known_N = truth_N >= 0
    targets_NK[is_known_N] = example.targets_NK[truth_N[is_known_N]]
    weights_NK[is_known_N] = example.weights_NK[truth_N[is_known_N]]
    return ShownPersons(
        boxes_N4=boxes_N4, scores_N=scores_N, targets_NK=targets_NK, weights_NK=weights_NK, truth_N=truth_N
    )


def _both(one: ShownPersons, other: ShownPersons) -> ShownPersons:
    return ShownPersons(
        boxes_N4=np.concatenate((one.boxes_N4, other.boxes_N4)),
        scores_N=np.concatenate((one.scores_N, other.scores_N)),
        targets_NK=np.concatenate((one.targets_NK, other.targets_NK)),
        weights_NK=np.concatenate((one.weights_NK, other.weights_NK)),
        truth_N=np.concatenate((one.truth_N, other.truth_N)),
    )


def taken(persons: ShownPersons, places: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> ShownPersons:
    """Those of the persons, by places or by a mask [N]."""
    return ShownPersons(
        boxes_N4=persons.boxes_N4[places],
        scores_N=persons.scores_N[places],
        targets_NK=persons.targets_NK[places],
        weights_NK=persons.weights_NK[places],
        truth_N=persons.truth_N[places],
    )


def _at_most(persons: ShownPersons, most: int, *, seed: int | None) -> ShownPersons:
    num = len(persons.boxes_N4)
    if num <= most:
        return persons
    order = np.arange(num) if seed is None else np.random.default_rng(seed).permutation(num)
    return taken(persons, np.sort(order[:most]))
