"""How well scores tell motions apart: within pairs, between pairs, and on the classes that one frame tells.

Shapes: N clips, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput
from gesta.world.motions import partner_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionScore:
    """Shares of clips: right class; right pair, whichever of the two; right one of its pair, other classes aside.

    The first three are of clips of paired classes, `control_top1_frac` of the others (None where there are none).
    `within_by_pair` has the last share of each pair, by its class that is first in the alphabet.
    """

    motion_top1_frac: float
    pair_frac: float
    within_pair_frac: float
    control_top1_frac: float | None
    within_by_pair: dict[str, float]
    num_motion_clips: int


def score_motions(
    scores_NK: npt.NDArray[np.floating], labels_N: npt.NDArray[np.integer], *, class_names: Sequence[str]
) -> MotionScore:
    """What the scores [N, K] of clips with labels [N] come to; a tie within a pair counts as half right.

    Args:
        class_names: of the K columns; names of the motion world, both of a pair.
    Raises:
        BadInput: the shapes do not fit, half a pair is missing, or no clip is of a paired class.
    """
    if scores_NK.shape != (len(labels_N), len(class_names)):
        raise BadInput(f"scores {scores_NK.shape} of {len(labels_N)} clips and {len(class_names)} classes")
    place = {name: number for number, name in enumerate(class_names)}
    others = [partner_of(name) for name in class_names]
    halves = [name for name, other in zip(class_names, others, strict=True) if other and other not in place]
    if halves:
        raise BadInput(f"of the pair of {halves[0]!r} only that class is there", mend="Score both classes of a pair")
    other_K = np.array([place[other] if other else -1 for other in others])
    is_motion_N = other_K[labels_N] >= 0
    if not is_motion_N.any():
        raise BadInput("no clip is of a class that has a partner", mend="Score clips of the motion world")
    best_N = scores_NK.argmax(axis=1)
    is_right_N = best_N == labels_N
    rows = np.flatnonzero(is_motion_N)
    labels, partners = labels_N[rows], other_K[labels_N[rows]]
    margin = scores_NK[rows, labels] - scores_NK[rows, partners]
    within = np.where(margin > 0, 1.0, np.where(margin == 0, 0.5, 0.0))
    first = [min(class_names[one], class_names[other]) for one, other in zip(labels, partners, strict=True)]
    return MotionScore(
        motion_top1_frac=float(is_right_N[rows].mean()),
        pair_frac=float((is_right_N[rows] | (best_N[rows] == partners)).mean()),
        within_pair_frac=float(within.mean()),
        control_top1_frac=float(is_right_N[~is_motion_N].mean()) if (~is_motion_N).any() else None,
        within_by_pair={
            name: float(within[[one == name for one in first]].mean()) for name in sorted(set(first))
        },
        num_motion_clips=len(rows),
    )  # fmt: skip
