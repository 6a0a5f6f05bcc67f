"""Which classes are taken for which, and by how much they overlap.

Legend: N = labels, K = classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.noise.confident import confident_joint
from gesta.curate.noise.folds import ScoredLabels, read_scored_labels
from gesta.curate.noise.labels import labels_from
from gesta.schema import BadInput, ClassConfusion
from gesta.tables import StageSummary, frame_of, hashes_of, is_current, made_by, read_table, table_path, write_table

STAGE = "noise-confusions"
TOP = 5
"""Confusions of a class that are kept. Source: ours; the Kinetics-400 paper (3.4) looked at "the top confusions"."""

Ints = npt.NDArray[np.int64]


def run_confusions(work: Path, *, top: int = TOP) -> StageSummary:
    """What was found: table `class_confusions` from `fold_scores`, the `top` classes that each class is taken for.

    Kept are the pairs. A class that is taken for no other has none.

    Raises:
        MissingTable: there are no labels or no scores yet.
        BadInput: `top` is below 1, or no label has a score.
    Source: Kinetics-400 paper, section 3.4 (top confusions); Northcutt et al. (2021), section 3 (the joint).
    """
    if top < 1:
        raise BadInput(f"top={top}", mend="Want at least 1")
    made = made_by(STAGE, arguments={"top": top}, inputs=hashes_of(work, [*labels_from(work), "fold_scores"]))
    path = table_path(work, "class_confusions")
    was_current = is_current(path, made)
    if not was_current:
        write_table(path, "class_confusions", confusion_rows(read_scored_labels(work), top=top), made_by=made)
    frame = read_table(path, "class_confusions")
    return StageSummary(
        stage="noise confusions",
        kept=len(frame),
        outputs=("class_confusions.parquet",),
        was_current=was_current,
        numbers={
            "num_classes_confused": int(frame["class_id"].n_unique()),
            "num_labels_confident": int(frame["num_confident"].sum()),
        },
    )


def confusion_rows(scored: ScoredLabels, *, top: int = TOP) -> pl.DataFrame:
    """Rows of table `class_confusions`: of each class the `top` others, by clips taken, then by the joint.

    A pair is there where a clip is taken for the other, or the joint says that one belongs to it.

    Args:
        scored: labels with the scores of their clips.
        top: of each class at most.
    """
    taken_KK = taken_counts(scored)
    joint_KK = confident_joint(scored.places_N, scored.scores_NK)
    mixed_KK = joint_KK + joint_KK.T
    num_all = int(joint_KK.sum())
    rows = []
    for place, class_id in enumerate(scored.class_ids):
        num_clips = int(taken_KK[place].sum())
        others = [int(other) for other in np.flatnonzero(taken_KK[place] + joint_KK[place]) if other != place]
        others.sort(key=lambda other: (-taken_KK[place, other], -joint_KK[place, other], other))
        rows += [
            ClassConfusion(
                class_id=class_id,
                other_class_id=scored.class_ids[other],
                rank=rank,
                num_clips=num_clips,
                num_taken=int(taken_KK[place, other]),
                taken_frac=float(taken_KK[place, other] / max(1, num_clips)),
                num_swapped=int(taken_KK[other, place]),
                num_confident=int(joint_KK[place, other]),
                overlap_frac=float(mixed_KK[place, other] / num_all),
            )
            for rank, other in enumerate(others[:top], start=1)
        ]
    return frame_of("class_confusions", rows)


def taken_counts(scored: ScoredLabels) -> Ints:
    """How many clips of each class have each class as their likeliest, int64 [K, K]; row the label.

    Where the likeliest is another of the clip's own classes, it counts as its label: the clip shows both.
    """
    num_classes = len(scored.class_ids)
    likeliest_N = scored.scores_NK.argmax(axis=1)
    is_own_N = scored.is_own_NK[np.arange(len(likeliest_N)), likeliest_N]
    shown_N = np.where(is_own_N, scored.places_N, likeliest_N)
    counts = np.bincount(scored.places_N * num_classes + shown_N, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)
