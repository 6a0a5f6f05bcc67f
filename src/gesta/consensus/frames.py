"""The persons of a key-frame, from the boxes that several workers drew (AVA-Kinetics 1.2, step 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from gesta.consensus.standing import details_of
from gesta.schema import MIN_IOU, KeyFrameBox, Reject, box_iou
from gesta.tables import frame_of

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedBox:
    """One person as workers drew it: the median of each corner, who agrees, and who took a detector's box."""

    corners: Corners
    num_agree: int
    num_from_proposal: int


@dataclass(slots=True)
class _Group:
    boxes: list[Corners]
    workers: set[int]
    num_from_proposal: int


def merged_boxes(drawn: Sequence[Sequence[Mapping[str, Any]]]) -> list[MergedBox]:
    """The persons that the workers' boxes show, from left to right, those that only some of them drew as well.

    Boxes of different workers that overlap are joined, the best overlap first, down to IoU `MIN_IOU`; a worker's own
    boxes never are. Neither the order of the workers nor that of their boxes matters: equal overlaps are taken in
    the order of the boxes' corners.

    Args:
        drawn: the boxes of each worker, with x1, y1, x2, y2 and perhaps `proposal`.
    Source: ours; the paper does not say how two annotators' boxes were made one.

    >>> a = {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.9}
    >>> merged_boxes([[a], [{**a, "x1": 0.2}]])[0].corners
    (0.15000000000000002, 0.1, 0.5, 0.9)
    """
    groups, group_of = _alone(drawn)
    corners_N4 = np.array([group.boxes[0] for group in groups], dtype=np.float64).reshape(-1, 4)
    overlaps_NN = box_iou(corners_N4, corners_N4)
    pairs = [
        (float(-overlaps_NN[i, j]), *sorted((groups[i].boxes[0], groups[j].boxes[0])), int(i), int(j))
        for i, j in np.argwhere(np.triu(overlaps_NN >= MIN_IOU, k=1))
    ]
    for *_, i, j in sorted(pairs):
        one, other = group_of[i], group_of[j]
        if one is not other and not one.workers & other.workers:
            one.boxes += other.boxes
            one.workers |= other.workers
            one.num_from_proposal += other.num_from_proposal
            for number, group in enumerate(group_of):
                if group is other:
                    group_of[number] = one
    distinct = {id(group): group for group in group_of}
    return sorted((_merged(group) for group in distinct.values()), key=lambda box: box.corners)


def _alone(drawn: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[list[_Group], list[_Group]]:
    """A group for each different box, with all workers who drew just that one; twice, to be pointed at."""
    groups: dict[Corners, _Group] = {}
    for worker, boxes in enumerate(drawn):
        # A worker's box that is there twice is one person.
        mine: dict[Corners, bool] = {}
        for box in boxes:
            corners = (float(box["x1"]), float(box["y1"]), float(box["x2"]), float(box["y2"]))
            mine[corners] = mine.get(corners, False) or box.get("proposal") is not None
        for corners, is_proposal in mine.items():
            group = groups.setdefault(corners, _Group([], set(), 0))
            group.boxes.append(corners)
            group.workers.add(worker)
            group.num_from_proposal += is_proposal
    listed = [groups[corners] for corners in sorted(groups)]
    return listed, list(listed)


def _merged(group: _Group) -> MergedBox:
    x1, y1, x2, y2 = (float(value) for value in np.median(np.array(group.boxes), axis=0))
    return MergedBox(corners=(x1, y1, x2, y2), num_agree=len(group.workers), num_from_proposal=group.num_from_proposal)


def key_frame_boxes(
    verdicts: pl.DataFrame, fates: pl.DataFrame, gold: pl.DataFrame, clips: pl.DataFrame
) -> tuple[pl.DataFrame, list[Reject]]:
    """Rows of table `key_frame_boxes`, and a reject for each person that too few of the workers drew.

    A person stays when more than half of the workers of the key-frame drew it: both of two, two of three. Of a
    key-frame whose boxes are known those are taken, as of no worker.

    Args:
        verdicts: what `item_verdicts` gave.
        fates: what `vote_fates` gave.
        gold: rows of table `gold`.
        clips: rows of table `clips`.
    """
    video_of = dict(clips.select("clip_id", "video_id").iter_rows())
    items = verdicts.filter(pl.col("kind") == "frame").select("item_id", "clip_id", "timestamp_us")
    said = details_of("frame", verdicts, fates, gold)
    rows: list[KeyFrameBox] = []
    rejects: list[Reject] = []
    for item_id, clip_id, timestamp_us in items.iter_rows():
        if clip_id not in video_of or not said.get(item_id):
            continue
        num_workers = sum(worker_id is not None for worker_id, _ in said[item_id])
        merged = merged_boxes([detail.get("boxes", []) for _, detail in said[item_id]])
        kept = [box for box in merged if 2 * box.num_agree > num_workers]
        for person_id, box in enumerate(kept):
            x1, y1, x2, y2 = box.corners
            rows.append(
                KeyFrameBox(
                    clip_id=clip_id, video_id=video_of[clip_id], timestamp_us=timestamp_us, person_id=person_id,
                    x1=x1, y1=y1, x2=x2, y2=y2, num_workers=num_workers, num_agree=min(box.num_agree, num_workers),
                    origin="proposal" if 2 * box.num_from_proposal > box.num_agree else "drawn",
                )
            )  # fmt: skip
        for box in merged:
            if box not in kept:
                where = ", ".join(f"{value:.3f}" for value in box.corners)
                detail = f"{item_id}: {box.num_agree} of {num_workers} workers drew the box {where}"
                rejects.append(
                    Reject(
                        stage="consensus", reason="frame-too-few-drew", video_id=video_of[clip_id], clip_id=clip_id,
                        detail=detail,
                    )
                )  # fmt: skip
    return frame_of("key_frame_boxes", rows), rejects
