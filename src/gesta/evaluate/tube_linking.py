"""Tubes of frame detections, linked greedily as the programs behind UCF101-24's, JHMDB's and MultiSports' results do.

For each video and class, frame after frame:

1. Suppression, softly: in falling score, a box that overlaps a better one by more than 0.6 has its score multiplied by
   1 minus that overlap, and puts no other box down; then the 10 best are kept.
2. The tubes so far, best mean score first, each take the best box that overlaps their last one by at least 0.5. A tube
   that gets none ends there.
3. Boxes that nobody took begin tubes.

A tube's score is the mean of its boxes' scores; tubes shorter than 15 frames or with a score below 0.005 are dropped.
Since a tube ends with the first frame that does not go on with it, tubes have no gaps, and frames must rise by 1:
detections on key-frames a second apart give no tubes.

The definitions differ as in `video_map`: under `act` a box of x1 to x2 is x2 - x1 + 1 pixels wide. (The suppression
counts so under both.) Of equal scores the later row goes first in the suppression and the first one kept is taken.

Shapes: N boxes, K boxes of one frame.

Source: MCG-NJU/MOC-Detector 45c3fd0, `src/ACT_utils/ACT_build.py`, `BuildTubes` with tubelets of one frame (K = 1) and
`ACT_utils.py`, `nms_tubelets`; after ACT.py of vkalogeiton/caffe (act-detector, a4314616). MultiSports' results come
from the same in open-mmlab/mmaction2 4d6c9347 (`multisports_utils.py`, `link_tubes`), which however gives every box the
score of the last one of its video (`frm_det[3]` for `frm_dets[3]`); that is not followed.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.video_map import Definition
from gesta.schema import BadInput

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LINK_IOU = 0.5
"""Overlap from which a box goes on with a tube. Source: BuildTubes."""

BOX_NMS_IOU = 0.6
"""Overlap beyond which a box's score is lowered. Source: BuildTubes."""

MAX_BOXES = 10
"""Boxes of one frame and class that are kept. Source: BuildTubes (`top_k=10`)."""

MIN_FRAMES = 15
"""Frames of the shortest tube. Source: BuildTubes."""

MIN_SCORE = 0.005
"""Score of the worst tube. Source: BuildTubes."""

_CORNERS = ["x1", "y1", "x2", "y2"]
_GROUP = ["video_id", "class_id"]


def tubes_of_detections(
    detections: pl.DataFrame,
    *,
    definition: Definition = "act",
    link_iou: float = LINK_IOU,
    nms_iou: float = BOX_NMS_IOU,
    max_boxes: int = MAX_BOXES,
    min_frames: int = MIN_FRAMES,
    min_score: float = MIN_SCORE,
) -> pl.DataFrame:
    """Tubes linked from detections on frames, as rows for `video_map`, by video, class, tube and frame.

    Columns: video_id, tube_id (from 0 within a video and class, in the order in which tubes begin), class_id, frame,
    x1, y1, x2, y2, score (the tube's) and box_score (the box's, lowered where it overlapped a better one).

    Args:
        detections: video_id, class_id, frame, x1, y1, x2, y2 in pixels and score, a row a box and class.
        definition: whose pixels count; see the module.
        link_iou: overlap from which a box goes on with a tube.
        nms_iou: overlap beyond which a box's score is lowered.
        max_boxes: boxes of one frame and class that are kept.
        min_frames: frames of the shortest tube that is kept.
        min_score: score of the worst tube that is kept.
    Raises:
        BadInput: a column is missing or has a null, or a corner or score is not finite.
    Source: see the module.
    """
    wanted = [*_GROUP, "frame", *_CORNERS, "score"]
    missing = [name for name in wanted if name not in detections.columns]
    if missing:
        raise BadInput(f"detections: no column {', '.join(missing)}", mend=f"Found: {', '.join(detections.columns)}")
    rows = detections.select(wanted).with_columns(pl.col([*_CORNERS, "score"]).cast(pl.Float64))
    nulls = [name for name in wanted if rows[name].null_count()]
    if nulls:
        raise BadInput(f"detections: column {nulls[0]} has nulls", mend="Give each box all of its columns")
    if not rows.select(pl.all_horizontal(pl.col([*_CORNERS, "score"]).is_finite()).all()).item():
        raise BadInput("detections: a score or corner is no number", mend="Want finite numbers")
    groups = rows.select(_GROUP).unique(maintain_order=True).with_row_index("group")
    ordered = rows.join(groups, on=_GROUP, maintain_order="left").sort("group", "frame", maintain_order=True)
    side = 1.0 if definition == "act" else 0.0
    tube_N, score_N = _linked(
        ordered["group"].cast(pl.Int64).to_numpy(), ordered["frame"].cast(pl.Int64).to_numpy(),
        np.ascontiguousarray(ordered.select(_CORNERS).to_numpy()), ordered["score"].to_numpy(),
        side, link_iou, nms_iou, max_boxes,
    )  # fmt: skip
    linked = ordered.with_columns(pl.Series("tube_id", tube_N), pl.Series("box_score", score_N))
    tubes = linked.filter(pl.col("tube_id") >= 0)
    over = ["group", "tube_id"]
    kept = tubes.with_columns(
        pl.col("box_score").mean().over(over).alias("score"), pl.len().over(over).alias("num_frames")
    ).filter((pl.col("num_frames") >= min_frames) & (pl.col("score") >= min_score))
    renumbered = kept.sort("group", "tube_id", "frame").with_columns(
        (pl.col("tube_id").rank("dense").over("group").cast(pl.Int64) - 1).alias("tube_id")
    )
    return renumbered.select("video_id", "tube_id", "class_id", "frame", *_CORNERS, "score", "box_score")


@numba.njit(cache=True, nogil=True)
def _box_overlap(box_N4: Floats, a: int, b: int, side: float) -> float:
    """Overlap of two rows of [N, 4]; 0 where neither has an area."""
    width = min(box_N4[a, 2], box_N4[b, 2]) + side - max(box_N4[a, 0], box_N4[b, 0])
    height = min(box_N4[a, 3], box_N4[b, 3]) + side - max(box_N4[a, 1], box_N4[b, 1])
    shared = max(0.0, width) * max(0.0, height)
    area_a = (box_N4[a, 2] - box_N4[a, 0] + side) * (box_N4[a, 3] - box_N4[a, 1] + side)
    area_b = (box_N4[b, 2] - box_N4[b, 0] + side) * (box_N4[b, 3] - box_N4[b, 1] + side)
    union = area_a + area_b - shared
    return shared / union if union > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def _lowered(box_N4: Floats, score_N: Floats, low: int, high: int, nms_iou: float) -> None:
    """Lowers the scores of rows low..high of [N] that overlap better ones of them."""
    order = np.argsort(score_N[low:high], kind="mergesort")[::-1] + low
    is_done = np.zeros(len(order), np.bool_)
    weight = np.ones(len(order))
    for i in range(len(order)):
        if is_done[i]:
            continue
        for j in range(i + 1, len(order)):
            if not is_done[j]:
                overlap = _box_overlap(box_N4, order[i], order[j], 1.0)
                if overlap > nms_iou:
                    weight[j] = 1.0 - overlap
                    is_done[j] = True
    for i in range(len(order)):
        score_N[order[i]] *= weight[i]


@numba.njit(cache=True, nogil=True)
def _linked(
    group_N: Ints, frame_N: Ints, box_N4: Floats, score_N: Floats, side: float, link_iou: float, nms_iou: float,
    max_boxes: int,
) -> tuple[Ints, Floats]:  # fmt: skip
    """The tube of each row within its group (-1: none) and its score, [N] each; rows are by group and frame."""
    num = len(group_N)
    tube_N, scores = np.full(num, -1, np.int64), score_N.copy()
    total, length, last_row = np.zeros(num), np.zeros(num), np.zeros(num, np.int64)
    live = np.empty(0, np.int64)
    num_tubes, low = 0, 0
    while low < num:
        high = low
        while high < num and group_N[high] == group_N[low] and frame_N[high] == frame_N[low]:
            high += 1
        if low == 0 or group_N[low] != group_N[low - 1]:
            live, num_tubes = np.empty(0, np.int64), 0
        elif frame_N[low] != frame_N[low - 1] + 1:
            live = np.empty(0, np.int64)
        _lowered(box_N4, scores, low, high, nms_iou)
        boxes = np.argsort(scores[low:high], kind="mergesort")[::-1][:max_boxes] + low
        is_taken = np.zeros(len(boxes), np.bool_)
        live = live[np.argsort(-(total[live] / length[live]), kind="mergesort")]
        goes_on = np.zeros(len(live), np.bool_)
        for i in range(len(live)):
            best = -1
            for j in range(len(boxes)):
                # Boxes come best first, so the first that overlaps enough is the one.
                if not is_taken[j] and _box_overlap(box_N4, boxes[j], last_row[live[i]], side) >= link_iou:
                    best = j
                    break
            if best >= 0:
                is_taken[best], goes_on[i] = True, True
                row = boxes[best]
                tube_N[row], last_row[live[i]] = live[i], row
                total[live[i]] += scores[row]
                length[live[i]] += 1
        fresh = boxes[~is_taken]
        begun = np.arange(num_tubes, num_tubes + len(fresh))
        for i in range(len(fresh)):
            tube_N[fresh[i]], last_row[begun[i]] = begun[i], fresh[i]
            total[begun[i]], length[begun[i]] = scores[fresh[i]], 1
        live = np.concatenate((live[goes_on], begun))
        num_tubes += len(fresh)
        low = high
    return tube_N, scores
