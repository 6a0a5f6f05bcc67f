"""Frame mAP under the four protocols in plain loops over csv rows: slow, and easy to hold against each program by eye.

It is written from the table in `tests/golden/frame_map/README.md`, equals all four programs on the stored cases, and so
stands in for them on cases that nobody stored.
"""

from __future__ import annotations

import csv
import heapq
import io
from collections import defaultdict
from typing import Any

import numpy as np

Row = tuple[float, float, float, float, int, float]
Key = tuple[str, int]


class RefusedError(Exception):
    """The program would end in an error; `is_inverted` says that a box that ends before it starts is why."""

    def __init__(self, *, is_inverted: bool = False) -> None:
        super().__init__("inverted box" if is_inverted else "cannot be read")
        self.is_inverted = is_inverted


def scores_of(case: dict[str, Any], protocol: str) -> tuple[float, dict[int, float]]:
    """Mean AP and AP by class id, NaN where a class does not count."""
    class_ids, is_float32 = case["class_ids"], protocol == "mmaction2"
    truth, named = _rows(case["groundtruth_csv"], class_ids, protocol, is_truth=True)
    found, _ = _rows(case["detections_csv"], class_ids, protocol, is_truth=False)
    excluded = set()
    if protocol != "official":
        excluded = {(row[0], _time_us(row[1], protocol)) for row in csv.reader(io.StringIO(case["excluded_csv"]))}
    if is_float32 and not truth:
        raise RefusedError
    if protocol == "official":
        frames = [key for key in found if key in named]
    else:
        frames = [key for key in (truth if is_float32 else found) if key not in excluded]
    num_truth: dict[int, int] = defaultdict(int)
    for key, rows in truth.items():
        if is_float32 or key not in excluded:
            for row in rows:
                num_truth[row[4]] += 1
    scores, rights = defaultdict(list), defaultdict(list)
    for key in frames:
        rows = found.get(key, [])
        if not is_float32:
            rows = [row for row in rows if row[0] < row[2] and row[1] < row[3]]
        for class_id in {row[4] for row in rows}:
            own = [row for row in rows if row[4] == class_id]
            labelled = [row for row in truth.get(key, []) if row[4] == class_id]
            rights[class_id] += _rights(own, labelled, is_float32=is_float32)
            scores[class_id] += [np.float32(row[5]) if is_float32 else row[5] for row in own]
    average = {}
    for class_id in class_ids:
        is_out = is_float32 and class_id not in scores
        average[class_id] = float("nan") if is_out else _area(scores[class_id], rights[class_id], num_truth[class_id])
    known = [value for value in average.values() if not np.isnan(value)]
    return (float(np.mean(known)) if known else float("nan")), average


def _time_us(text: str, protocol: str) -> int:
    if protocol != "official" and "." in text:
        raise RefusedError
    return round(float(text) * 1e6)


def _rows(text: str, class_ids: list[int], protocol: str, *, is_truth: bool) -> tuple[dict[Key, list[Row]], set[Key]]:
    """Rows of the label map by key-frame, in claiming order, and all key-frames that the file names."""
    found: dict[Key, list[Row]] = defaultdict(list)
    named = set()
    for row in csv.reader(io.StringIO(text)):
        if (protocol != "official" and len(row) == 2) or (protocol == "pyslowfast" and not is_truth and len(row) == 7):
            raise RefusedError
        key = row[0], _time_us(row[1], protocol)
        named.add(key)
        if len(row) == 2 or int(row[6]) not in class_ids:
            continue
        has_score = len(row) == 8 and not (is_truth and protocol == "pyslowfast")
        x1, y1, x2, y2 = map(float, row[2:6])
        found[key].append((x1, y1, x2, y2, int(row[6]), float(row[7]) if has_score else 1.0))
    for key, rows in found.items():
        if protocol in ("official", "acar"):
            found[key] = _through_heap(rows, cap=0 if is_truth else 50)
        elif protocol == "mmaction2":
            found[key] = sorted(rows, key=lambda row: -row[5])
    return dict(found), named


def _through_heap(rows: list[Row], *, cap: int) -> list[Row]:
    heap: list[tuple[float, ...]] = []
    for x1, y1, x2, y2, class_id, score in rows:
        entry = (score, class_id, y1, x1, y2, x2)
        if not cap or len(heap) < cap:
            heapq.heappush(heap, entry)
        elif score > heap[0][0]:
            heapq.heapreplace(heap, entry)
    ordered = sorted(heap, key=lambda entry: -entry[0])
    return [(x1, y1, x2, y2, int(class_id), score) for score, class_id, y1, x1, y2, x2 in ordered]


def _rights(own: list[Row], labelled: list[Row], *, is_float32: bool) -> list[bool]:
    number = np.float32 if is_float32 else np.float64
    boxes, taken, rights = [[np.array(row[:4], number) for row in rows] for rows in (own, labelled)], set(), []
    if any(box[0] > box[2] or box[1] > box[3] for box in boxes[0] + boxes[1]):
        raise RefusedError(is_inverted=True)
    for box in boxes[0]:
        overlaps = [_overlap(box, other, number) for other in boxes[1]]
        # NumPy's argmax: the first of equals, and a NaN before all numbers.
        best = int(np.argmax(overlaps)) if overlaps else -1
        rights.append(best >= 0 and bool(overlaps[best] >= 0.5) and best not in taken)
        if rights[-1]:
            taken.add(best)
    return rights


def _overlap(a: np.ndarray, b: np.ndarray, number: type) -> np.float64:
    """Each step in the precision in which MMAction2 takes it, or all in float64."""
    sides = [np.float64(max(number(min(a[i + 2], b[i + 2]) - max(a[i], b[i])), number(0))) for i in (0, 1)]
    shared = sides[1] * sides[0]
    area_a, area_b = (number(number(box[3] - box[1]) * number(box[2] - box[0])) for box in (a, b))
    with np.errstate(all="ignore"):
        return shared / (np.float64(number(area_a + area_b)) - shared)


def _area(scores: list[float], rights: list[bool], num_truth: int) -> float:
    if not num_truth:
        return float("nan")
    if not scores:
        return 0.0
    order = np.argsort(np.array(scores), kind="stable")[::-1]
    num_right = np.cumsum(np.array(rights)[order])
    precision, area, reached = num_right / np.arange(1, len(order) + 1), 0.0, 0.0
    for place in np.flatnonzero(np.array(rights)[order]):
        recall = num_right[place] / num_truth
        area += (recall - reached) * precision[place:].max()
        reached = recall
    return float(area)
