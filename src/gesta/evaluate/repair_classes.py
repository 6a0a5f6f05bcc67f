"""Repairs of class ids and of scores: ids counted from 0, ids of another map, scores that are low where they are good.

Whether one fits is asked of frame mAP itself: boxes say nothing of classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import polars as pl

from gesta.evaluate.frame_map import CORNERS, KEY
from gesta.evaluate.ranked import Bools, Floats, Ints

AVA_60 = (
    1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 22, 24, 26, 27, 28, 29, 30, 34, 36, 37, 38, 41, 43, 45, 46,
    47, 48, 49, 51, 52, 54, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 72, 73, 74, 76, 77, 78, 79, 80,
)  # fmt: skip
"""Source: `ava_action_list_v2.2_for_activitynet_2019.pbtxt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChange:
    """Another numbering of classes: ids that `new_id` does not name are left as they are."""

    name: str
    mend: str
    new_id: Mapping[int, int]
    evidence: tuple[str, ...] = ()

    def apply(self, detections: pl.DataFrame) -> pl.DataFrame:
        """The rows with their classes renumbered."""
        if not self.new_id:
            return detections
        old, new = list(self.new_id), list(self.new_id.values())
        return detections.with_columns(pl.col("class_id").cast(pl.Int64).replace(old, new))


AS_THEY_ARE = ClassChange(name="class ids as they are", mend="", new_id={})


def class_changes(
    class_ids: Sequence[int], found_ids: Sequence[int], label_map: pl.DataFrame | None = None
) -> Iterator[ClassChange]:
    """What might have happened to class ids, `AS_THEY_ARE` first.

    Args:
        class_ids: those that count, of the ground truth.
        found_ids: distinct ids of the detections.
        label_map: names of the former; with it, ids in alphabetical order of names are tried.
    """
    yield AS_THEY_ARE
    known, found = sorted(class_ids), sorted(found_ids)
    for step in (1, -1):
        yield ClassChange(
            name=f"class ids {'+' if step > 0 else '-'} 1",
            mend="Write the label map's own ids; they begin at 1, a network's outputs at 0",
            new_id={class_id: class_id + step for class_id in found},
        )
    lists = [("the label map", known)]
    if set(known) != set(AVA_60) and set(known) >= set(AVA_60):
        lists.append(("AVA's 60 evaluated classes", list(AVA_60)))
    for what, ids in lists:
        for first in (0, 1):
            new_id = {i: ids[i - first] for i in found if 0 <= i - first < len(ids)}
            if any(old != new for old, new in new_id.items()):
                yield ClassChange(
                    name=f"class ids read as places in {what}, counted from {first}",
                    mend=f"Write the id that {what} gives each class, not its place in the list",
                    new_id=new_id,
                )
    for what, ids in (("the detections' own ids", found), ("AVA's 60 evaluated classes", list(AVA_60))):
        for first in (0, 1):
            new_id = {class_id: place + first for place, class_id in enumerate(ids)}
            if set(new_id.values()) & set(known) and any(old != new for old, new in new_id.items()):
                yield ClassChange(
                    name=f"class ids replaced by their place in {what}, counted from {first}",
                    mend="Use one label map for both: the ground truth counts classes without gaps",
                    new_id=new_id,
                )
    if label_map is not None and label_map["name"].n_unique() == len(label_map):
        by_name = label_map.filter(pl.col("class_id").is_in(known)).sort("name")["class_id"].to_list()
        for first in (0, 1):
            yield ClassChange(
                name=f"class ids read as places in the alphabetical list of names, counted from {first}",
                mend="Write the label map's ids; a folder or a sorted list gave the classes another order",
                new_id={place + first: class_id for place, class_id in enumerate(by_name)},
            )


def learnt_change(
    groundtruth: pl.DataFrame, detections: pl.DataFrame, *, class_ids: Sequence[int], iou: float
) -> ClassChange:
    """The renumbering under which each class of the detections best finds persons of one labelled class.

    Each pair of a class of the detections and a labelled class is scored as if the one were the other: its AP above
    what a random order gets. Of all ways to give every class another one, that of the highest sum is taken. It fits
    what it is learnt from, so it must be tried on other key-frames.

    Args:
        groundtruth: rows of some key-frames.
        detections: rows of the same key-frames, boxes and times repaired.
        class_ids: those that count.
        iou: overlap of a detection that is on a person.
    Source: ours.
    """
    known, found = sorted(class_ids), sorted(detections["class_id"].unique().to_list())
    rows, person_N, labels_PC = _on_persons(groundtruth, detections, known, iou=iou)
    if not len(rows) or not len(labels_PC):
        return AS_THEY_ARE
    class_N = rows["class_id"].to_numpy()
    prevalence_C = labels_PC.mean(axis=0)
    lift_FC = np.zeros((len(found), len(known)))
    for f, class_id in enumerate(found):
        ours = np.flatnonzero(class_N == class_id)
        order = ours[np.argsort(-rows["score"].to_numpy()[ours], kind="stable")]
        lift_FC[f] = _ap_as_each(person_N[order], labels_PC) - prevalence_C
    new_id = {found[f]: known[c] for f, c in _assigned(lift_FC) if lift_FC[f, c] > 0}
    commonest = sorted(new_id.items(), key=lambda pair: -prevalence_C[known.index(pair[1])])
    shown = ", ".join(f"{old} is {new}" for old, new in commonest[:8] if old != new) or "no class moves"
    # Classes that nothing is learnt of must not stay where others moved to.
    unplaced = {class_id: -1 - class_id for class_id in found if class_id not in new_id}
    return ClassChange(
        name="class ids renumbered as the persons' labels suggest",
        mend="Use the label map that the model was trained with",
        new_id=new_id | unplaced,
        evidence=(f"as the persons' labels have it, {shown}", "learnt from this ground truth, so the gain is a guess"),
    )


def _assigned(value_FC: Floats) -> list[tuple[int, int]]:
    """Pairs of a row and a column, none twice, whose values have the highest sum; as many as the shorter side.

    Source: the Hungarian method with potentials (Kuhn 1955, Munkres 1957), a shortest augmenting path for each row.
    """
    if value_FC.shape[0] > value_FC.shape[1]:
        return [(f, c) for c, f in _assigned(value_FC.T)]
    num_rows, num_columns = value_FC.shape
    cost = -value_FC
    of_row, of_column = np.zeros(num_rows), np.zeros(num_columns)
    row_of = np.full(num_columns + 1, -1)
    for row in range(num_rows):
        # Column `num_columns` is where the path of this row begins.
        row_of[num_columns] = row
        column = num_columns
        nearest, came_from = np.full(num_columns, np.inf), np.full(num_columns, num_columns)
        is_done = np.zeros(num_columns + 1, dtype=np.bool_)
        while row_of[column] >= 0:
            is_done[column] = True
            own = row_of[column]
            slack = cost[own] - of_row[own] - of_column
            is_better = ~is_done[:-1] & (slack < nearest)
            nearest[is_better], came_from[is_better] = slack[is_better], column
            following = int(np.where(is_done[:-1], np.inf, nearest).argmin())
            step = nearest[following]
            of_row[row_of[is_done]] += step
            of_column[is_done[:-1]] -= step
            nearest[~is_done[:-1]] -= step
            column = following
        while column != num_columns:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    return [(int(row_of[c]), c) for c in range(num_columns) if row_of[c] >= 0]


def _on_persons(
    groundtruth: pl.DataFrame, detections: pl.DataFrame, known: Sequence[int], *, iou: float
) -> tuple[pl.DataFrame, Ints, Bools]:
    """Detections that are on a person, which [N], and the labels of each person [P, C]."""
    labels = groundtruth.filter(pl.col("class_id").is_in(list(known)))
    persons = labels.select(*KEY, *CORNERS).unique(maintain_order=True).with_row_index("person")
    places = labels.join(persons, on=[*KEY, *CORNERS], maintain_order="left")
    labels_PC = np.zeros((len(persons), len(known)), dtype=np.bool_)
    labels_PC[places["person"].to_numpy(), np.searchsorted(known, places["class_id"].to_numpy())] = True
    rows = detections.join(persons, on=KEY, suffix="_person", maintain_order="left")
    if not len(rows):
        return rows, np.empty(0, dtype=np.int64), labels_PC
    overlap_N = _paired_iou(
        rows.select(CORNERS).to_numpy(), rows.select(f"{corner}_person" for corner in CORNERS).to_numpy()
    )
    rows = rows.filter(pl.Series(overlap_N >= iou))
    return rows, rows["person"].cast(pl.Int64).to_numpy(), labels_PC


def _paired_iou(a_N4: Floats, b_N4: Floats) -> Floats:
    low_N2, high_N2 = np.maximum(a_N4[:, :2], b_N4[:, :2]), np.minimum(a_N4[:, 2:], b_N4[:, 2:])
    shared_N = np.clip(high_N2 - low_N2, 0, None).prod(axis=1)
    union_N = (a_N4[:, 2:] - a_N4[:, :2]).prod(axis=1) + (b_N4[:, 2:] - b_N4[:, :2]).prod(axis=1) - shared_N
    return np.divide(shared_N, union_N, out=np.zeros_like(shared_N), where=union_N > 0)


@numba.njit(cache=True, nogil=True)
def _ap_as_each(person_N: Ints, labels_PC: Bools) -> Floats:
    """Average precision of ranked persons as a ranking of those with each label, a person counted once, [C]."""
    num_classes = labels_PC.shape[1]
    is_seen_P = np.zeros(len(labels_PC), dtype=np.bool_)
    num_right_C, area_C, num_labelled_C = np.zeros(num_classes), np.zeros(num_classes), np.zeros(num_classes)
    for person in range(len(labels_PC)):
        for c in range(num_classes):
            num_labelled_C[c] += labels_PC[person, c]
    num_seen = 0
    for person in person_N:
        if is_seen_P[person]:
            continue
        is_seen_P[person] = True
        num_seen += 1
        for c in range(num_classes):
            if labels_PC[person, c]:
                num_right_C[c] += 1
                area_C[c] += num_right_C[c] / num_seen
    return area_C / np.maximum(num_labelled_C, 1)
