"""What kinds of error cost how much mAP: TIDE's breakdown, fitted to boxes that carry several labels.

TIDE (object detection) gives a box one class. In AVA a person has one box and several labels, and a model scores every
class for every person it boxes, so most wrong rows stand on a well-boxed person. The question "which person is meant?"
is therefore answered by the box first, among all labelled boxes of the key-frame whatever their class; only then the
class is judged. Let `own` be the highest overlap with a labelled box of the row's class, `any` that with a labelled
box of whatever class (of classes that do not count too), 0.5 the threshold of a right detection, 0.1 that of chance.

| kind | a scored detection that is not right and has |
|---|---|
| duplicate | own >= 0.5: another detection claimed that box |
| classification | any >= 0.5 > own: this person, but not this action |
| localisation | 0.5 > own >= 0.1, and any < 0.5: the action, the box too far off |
| both | 0.5 > any >= 0.1 > own |
| background | any < 0.1 |
| missed | (a labelled box that is neither found nor reached by the repairs of classification and localisation) |

A classification error is repaired by giving it the person's first label that no detection found, a localisation error
by moving it onto its labelled box; where the label or box is taken, it is left out like the other kinds. Missed boxes
are taken out of the ground truth.

Of several detections that could be repaired onto one labelled box the highest is, the others are left out. TIDE asks
for localisation before classification and for duplicates last; with several labels a box that order would call a second
detection of a person a wrong class as soon as the person has another label.

Each kind's cost is the mAP with that kind alone undone, less the mAP as it is, both computed exactly over the new
ranking. Costs do not add up to the distance to 1: undoing one kind changes what another is worth. Undoing every kind at
once gives exactly 1 in every class with ground truth. Two more rows sum up, as TIDE does: `false positives` (every
wrong detection left out) and `false negatives` (every labelled box that is not found taken out).

Where a repair takes away all ground truth of a class, its AP is 1 if no wrong detection is left, else 0.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020), sections 2.2 to 2.4
(thresholds 0.5 and 0.1, oracles, special errors), and its program, dbolya/tide at 49a5d2a4, `tidecv/quantify.py`; the
order of questions and the classification repair are ours. Where every box has one label and stands alone, the counts
are TIDE's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import polars as pl
import polars.selectors as cs

from gesta.evaluate.frame_map import CORNERS, KEY, OFFICIAL_CAP
from gesta.evaluate.ranked import Bools, Floats, Ints, Ranked, average_precisions, mean_of, rank
from gesta.schema import BadInput

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
SUMS = ("false positives", "false negatives")
RIGHT, CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND = range(-1, 5)
BACKGROUND_IOU = 0.1
"""Overlap below which a box is on nothing. Source: TIDE, section 2.2 (t_b)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCost:
    """One kind of error: how often it happens, and what the mAP gains when it is undone."""

    kind: str
    count: int
    mean_ap: float
    """With this kind undone."""
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Breakdown:
    """Errors of a set of detections; `by_class` has class_id, num_right, a count and a gain for each kind."""

    mean_ap: float
    num_detections: int
    num_right: int
    num_groundtruth: int
    costs: tuple[ErrorCost, ...]
    """In the order of `KINDS`, then `SUMS`."""
    mean_ap_without_errors: float
    """1 where any class has ground truth: the check that the repairs are complete."""
    by_class: pl.DataFrame


def error_breakdown(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    background_iou: float = BACKGROUND_IOU,
    cap: int = OFFICIAL_CAP,
    ranked: Ranked | None = None,
) -> Breakdown:
    """How often each kind of error happens and what it costs.

    Args:
        groundtruth: as for `frame_map`; so are `detections`, `class_ids`, `iou` and `cap`.
        detections: rows to score.
        class_ids: classes that count.
        iou: overlap of a right detection.
        background_iou: overlap below which a box is on nothing.
        cap: detections of a key-frame that count.
        ranked: what `rank` gives for the same arguments, where it is there already.
    Raises:
        BadInput: as `frame_map`, or `background_iou` is not between 0 and `iou`.
    """
    if not 0 <= background_iou <= iou:
        raise BadInput(f"background_iou={background_iou}", mend=f"Want 0 to {iou}")
    if ranked is None:
        ranked = rank(groundtruth, detections, class_ids=class_ids, iou=iou, cap=cap)
    kind_N, target_N = _judge(groundtruth, detections, ranked, iou=iou, background_iou=background_iou)
    num_groundtruth_C, num_right_C = ranked.num_groundtruth, _count(ranked, ranked.is_right)
    is_repaired_N = target_N >= 0
    repaired_C = np.bincount(ranked.groundtruth_class[target_N[is_repaired_N]], minlength=len(num_right_C))
    missed_C, unfound_C = num_groundtruth_C - num_right_C - repaired_C, num_groundtruth_C - num_right_C
    nothing_C, nothing_N = np.zeros_like(missed_C), np.zeros_like(ranked.is_right)

    def without(is_undone_N: Bools, less_C: Ints) -> Floats:
        return _undone(ranked, target_N, is_undone_N, less_C=less_C)

    of_kind = [kind_N == kind for kind in range(RIGHT + 1, len(KINDS) - 1)]
    plain_C = without(nothing_N, nothing_C)
    undone = [*(without(is_kind_N, nothing_C) for is_kind_N in of_kind), without(nothing_N, missed_C)]
    undone.append(_undone(ranked, np.full_like(target_N, -1), ~ranked.is_right, less_C=nothing_C))
    undone.append(without(nothing_N, unfound_C))
    counts = [*(_count(ranked, is_kind_N) for is_kind_N in of_kind), missed_C]
    counts += [_count(ranked, ~ranked.is_right), unfound_C]
    mean_ap = mean_of(plain_C)
    costs = [
        ErrorCost(kind=kind, count=int(count_C.sum()), mean_ap=mean_of(ap_C), gain=mean_of(ap_C) - mean_ap)
        for kind, count_C, ap_C in zip((*KINDS, *SUMS), counts, undone, strict=True)
    ]
    by_class = {"class_id": ranked.class_ids, "average_precision": plain_C, "num_groundtruth": num_groundtruth_C}
    by_class |= {"num_detections": np.diff(ranked.starts), "num_right": num_right_C}
    for kind, count_C, ap_C in zip((*KINDS, *SUMS), counts, undone, strict=True):
        name = kind.replace(" ", "_")
        by_class |= {f"num_{name}": count_C, f"gain_{name}": ap_C - plain_C}
    return Breakdown(
        mean_ap=mean_ap, num_detections=len(ranked.row), num_right=int(num_right_C.sum()),
        num_groundtruth=int(num_groundtruth_C.sum()), costs=tuple(costs),
        mean_ap_without_errors=mean_of(without(~ranked.is_right, missed_C)),
        by_class=pl.DataFrame(by_class).with_columns(cs.float().fill_nan(None)),
    )  # fmt: skip


def _count(ranked: Ranked, is_meant_N: Bools) -> Ints:
    return np.bincount(ranked.class_index[is_meant_N], minlength=len(ranked.class_ids))


def _undone(ranked: Ranked, target_N: Ints, is_undone_N: Bools, *, less_C: Ints) -> Floats:
    """AP of each class with some errors repaired and `less_C` labelled boxes taken out of the ground truth, [C]."""
    is_moved_N = is_undone_N & (target_N >= 0)
    kept = np.flatnonzero(~is_undone_N | is_moved_N)
    is_right_K = ranked.is_right[kept] | is_moved_N[kept]
    class_K = np.where(is_moved_N[kept], ranked.groundtruth_class[target_N[kept]], ranked.class_index[kept])
    if (class_K != ranked.class_index[kept]).any():
        order = np.lexsort((-ranked.turn[kept], -ranked.score[kept], class_K))
        is_right_K, class_K = is_right_K[order], class_K[order]
    num_left_C = ranked.num_groundtruth - less_C
    ap_C = average_precisions(is_right_K, class_K, num_left_C)
    is_emptied_C = (num_left_C == 0) & (less_C > 0)
    num_wrong_C = np.bincount(class_K[~is_right_K], minlength=len(ap_C))
    return np.where(is_emptied_C, (num_wrong_C == 0).astype(np.float64), ap_C)


def _judge(
    groundtruth: pl.DataFrame, detections: pl.DataFrame, ranked: Ranked, *, iou: float, background_iou: float
) -> tuple[Ints, Ints]:
    """Kind of each ranked detection, and the labelled box that its repair finds (-1: it is left out); [N] each."""
    labels = groundtruth.select(*KEY, *(pl.col(name).cast(pl.Float64) for name in CORNERS), "class_id").with_row_index(
        "row"
    )
    persons = (
        labels.filter(pl.col("class_id").is_not_null()).select(*KEY, *CORNERS).unique(maintain_order=True)
    ).sort(KEY, maintain_order=True).with_row_index("person")  # fmt: skip
    frames = persons.group_by(KEY, maintain_order=True).agg(
        pl.col("person").min().cast(pl.Int64).alias("first"), pl.len().cast(pl.Int64).alias("num")
    )
    place = detections.select(KEY).join(frames, on=KEY, how="left", maintain_order="left")
    first_N, num_N = (place[name].fill_null(0).to_numpy()[ranked.row] for name in ("first", "num"))
    corners_N4 = detections.select(pl.col(CORNERS).cast(pl.Float64).fill_null(0.0)).to_numpy()[ranked.row]
    any_iou_N, person_N = _best_person(corners_N4, first_N, num_N, persons.select(CORNERS).to_numpy())

    own_iou_N = np.where(ranked.gt_row >= 0, ranked.iou, 0.0)
    kind_N = np.select(
        [ranked.is_right, own_iou_N >= iou, any_iou_N >= iou, own_iou_N >= background_iou, any_iou_N >= background_iou],
        [RIGHT, DUPLICATE, CLASSIFICATION, LOCALISATION, BOTH],
        BACKGROUND,
    )
    # A box may be no box at all (background_iou = 0): nothing can be moved onto nothing.
    kind_N = np.where((kind_N == LOCALISATION) & (ranked.gt_row < 0), BACKGROUND, kind_N)
    labels = labels.join(persons, on=[*KEY, *CORNERS], how="left", maintain_order="left")
    is_found_M = np.zeros(len(labels), dtype=np.bool_)
    is_found_M[ranked.gt_row[ranked.is_right]] = True
    target_N = _repaired(
        np.argsort(ranked.turn), kind_N, np.where(kind_N == LOCALISATION, ranked.gt_row, person_N),
        is_found_M, *_labels_of_persons(labels, ranked, num_persons=len(persons)),
    )  # fmt: skip
    return kind_N, target_N


def _labels_of_persons(labels: pl.DataFrame, ranked: Ranked, *, num_persons: int) -> tuple[Ints, Ints]:
    """Rows of the counted labels, person by person in file order, and where each person's begin, [persons + 1]."""
    rows = np.flatnonzero((ranked.groundtruth_class >= 0) & labels["person"].is_not_null().to_numpy())
    person = labels["person"].fill_null(0).cast(pl.Int64).to_numpy()[rows]
    starts = np.concatenate([[0], np.cumsum(np.bincount(person, minlength=num_persons))])
    return rows[np.argsort(person, kind="stable")], starts


@numba.njit(cache=True, nogil=True)
def _best_person(corners_N4: Floats, first_N: Ints, num_N: Ints, persons_P4: Floats) -> tuple[Floats, Ints]:
    """Highest overlap with a person of the key-frame, and the first person that has it (-1: none), [N] each."""
    iou_N, person_N = np.zeros(len(corners_N4)), np.full(len(corners_N4), -1)
    for i in range(len(corners_N4)):
        x1, y1, x2, y2 = corners_N4[i]
        for person in range(first_N[i], first_N[i] + num_N[i]):
            px1, py1, px2, py2 = persons_P4[person]
            width, height = min(x2, px2) - max(x1, px1), min(y2, py2) - max(y1, py1)
            if width <= 0 or height <= 0:
                continue
            shared = width * height
            overlap = shared / ((x2 - x1) * (y2 - y1) + (px2 - px1) * (py2 - py1) - shared)
            if overlap > iou_N[i]:
                iou_N[i], person_N[i] = overlap, person
    return iou_N, person_N


@numba.njit(cache=True, nogil=True)
def _repaired(order_N: Ints, kind_N: Ints, place_N: Ints, is_found_M: Bools, rows: Ints, starts: Ints) -> Ints:
    """The labelled box that each repairable detection finds, -1 where there is none left; [N].

    `place_N` is the labelled box of a localisation error and the person of a classification error.
    """
    target_N = np.full(len(kind_N), -1)
    for i in order_N:
        if kind_N[i] == LOCALISATION:
            if not is_found_M[place_N[i]]:
                target_N[i] = place_N[i]
                is_found_M[place_N[i]] = True
        elif kind_N[i] == CLASSIFICATION:
            for k in range(starts[place_N[i]], starts[place_N[i] + 1]):
                if not is_found_M[rows[k]]:
                    target_N[i] = rows[k]
                    is_found_M[rows[k]] = True
                    break
    return target_N
