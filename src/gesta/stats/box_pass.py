"""One pass over box labels: what is counted of key-frames, boxes, classes and videos, without sorting grouped rows.

Legend: N rows, V videos, F key-frames, B distinct boxes, C classes, S splits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

MAX_COMPARED = 256
"""Rows of a key-frame whose boxes are compared pair by pair; with more, rows are sorted by box first. Source: ours."""


MAX_ENUMERATED = 1000
"""Distinct texts that are looked up as an enumeration, which is quicker to set up than a hash join. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxCounts:
    """What one pass counts. A box is counted once however many classes it has; a row is a box with a class.

    video_ids: the distinct videos; num_boxes_F: distinct boxes at each key-frame; area_B: their areas as shares of the
    frame; num_rows_C and num_videos_C: rows and distinct videos of each class; num_frames_S, num_videos_S and
    num_rows_S: distinct key-frames, distinct videos and rows of each split; num_rows_CS: rows of a class and split.
    """

    video_ids: pl.Series
    num_boxes_F: npt.NDArray[np.int64]
    area_B: npt.NDArray[np.float64]
    num_rows_C: npt.NDArray[np.int64]
    num_videos_C: npt.NDArray[np.int64]
    num_frames_S: npt.NDArray[np.int64]
    num_videos_S: npt.NDArray[np.int64]
    num_rows_S: npt.NDArray[np.int64]
    num_rows_CS: npt.NDArray[np.int64]


def codes_of(texts: pl.Series) -> tuple[npt.NDArray[np.int32], pl.Series]:
    """A number from 0 for each text, in order of appearance [N], and the distinct texts; null is -1.

    Runs of equal texts are looked up once, so that rows in the order of a file cost one comparison each.

    >>> codes, distinct = codes_of(pl.Series(["b", "b", "a", None, "b"]))
    >>> codes.tolist(), distinct.to_list()
    ([0, 0, 1, -1, 0], ['b', 'a'])
    """
    if not len(texts):
        return np.zeros(0, dtype=np.int32), texts.clear()
    run_N, heads = _runs(texts)
    if not heads.null_count() and heads.n_unique() == len(heads):
        return run_N.astype(np.int32), heads  # every text stands together: its run is its number
    distinct = heads.drop_nulls().unique(maintain_order=True)
    return numbers_by_join(heads, distinct)[run_N], distinct


def _runs(texts: pl.Series) -> tuple[npt.NDArray[np.uint32], pl.Series]:
    """The number of the run of equal texts that each row is in [N], and the text of each run."""
    run_N = texts.rle_id().to_numpy()
    starts = np.flatnonzero(np.diff(run_N, prepend=np.uint32(run_N[0] + 1)))
    return run_N, texts.gather(starts)


@numba.njit(cache=True, nogil=True)
def _is_grouped(video_N: npt.NDArray[np.int32], time_N: npt.NDArray[np.int64]) -> bool:
    for i in range(1, len(video_N)):
        if video_N[i] < video_N[i - 1] or (video_N[i] == video_N[i - 1] and time_N[i] < time_N[i - 1]):
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _largest_frame(video_N: npt.NDArray[np.int32], time_N: npt.NDArray[np.int64]) -> int:
    largest, size = 0, 0
    for i in range(len(video_N)):
        same = i > 0 and video_N[i] == video_N[i - 1] and time_N[i] == time_N[i - 1]
        size = size + 1 if same else 1
        largest = max(largest, size)
    return largest


@numba.njit(cache=True, nogil=True)
def _count(
    video_N: npt.NDArray[np.int32],
    time_N: npt.NDArray[np.int64],
    corners_4N: npt.NDArray[np.float64],
    class_N: npt.NDArray[np.int32],
    split_N: npt.NDArray[np.int32],
    num_classes: int,
    num_splits: int,
    max_back: int,
) -> tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.float64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
    npt.NDArray[np.int64],
]:
    """Rows are in order of video, then time. Class -1: no class; split -1: none; corners NaN: no box.

    A box is compared with the last `max_back` distinct ones of its key-frame.
    """
    n = len(video_N)
    num_boxes_F, area_B = np.zeros(n, np.int64), np.empty(n, np.float64)
    box_row = np.empty(n, np.int64)
    rows_CS = np.zeros((num_classes, num_splits + 1), np.int64)
    videos_C, last_C = np.zeros(num_classes, np.int64), np.full(num_classes, -1, np.int64)
    frames_S, last_frame_S = np.zeros(num_splits, np.int64), np.full(num_splits, -1, np.int64)
    videos_S, last_video_S = np.zeros(num_splits, np.int64), np.full(num_splits, -1, np.int64)
    frame, first_box, num_boxes = -1, 0, 0
    for i in range(n):
        video = video_N[i]
        if i == 0 or video != video_N[i - 1] or time_N[i] != time_N[i - 1]:
            frame += 1
            first_box = num_boxes
        split = split_N[i]
        if split >= 0:
            if last_frame_S[split] != frame:
                last_frame_S[split] = frame
                frames_S[split] += 1
            if last_video_S[split] != video:
                last_video_S[split] = video
                videos_S[split] += 1
        x1 = corners_4N[0, i]
        if np.isnan(x1):
            continue
        y1, x2, y2 = corners_4N[1, i], corners_4N[2, i], corners_4N[3, i]
        number = class_N[i]
        if number >= 0:
            rows_CS[number, split] += 1
            if last_C[number] != video:
                last_C[number] = video
                videos_C[number] += 1
        is_new = True
        # The last box first: the rows of one person stand together.
        stop = max(first_box, num_boxes - max_back)
        for box in range(num_boxes - 1, stop - 1, -1):
            row = box_row[box]
            if (
                corners_4N[0, row] == x1
                and corners_4N[1, row] == y1
                and corners_4N[2, row] == x2
                and corners_4N[3, row] == y2
            ):
                is_new = False
                break
        if is_new:
            box_row[num_boxes] = i
            area_B[num_boxes] = max(x2 - x1, 0.0) * max(y2 - y1, 0.0)
            num_boxes_F[frame] += 1
            num_boxes += 1
    return num_boxes_F[: frame + 1], area_B[:num_boxes], rows_CS, videos_C, frames_S, videos_S


def count_boxes(boxes: pl.DataFrame, *, class_ids: pl.Series, splits: pl.Series) -> BoxCounts:
    """What one pass counts of the rows, in any order; fastest where a video's rows stand together, in order of time.

    Args:
        boxes: `video_id`, `timestamp_us`, `x1`, `y1`, `x2`, `y2`, `class_id`, `split`; corners null at a key-frame
            without a box, class null for a box without a class.
        class_ids: what the entries of `num_rows_C` [C] stand for: distinct; rows of other classes are of none.
        splits: likewise of `num_rows_S` [S].
    """
    video_N, video_ids = codes_of(boxes["video_id"])
    time_N = boxes["timestamp_us"].to_numpy()
    corners_4N = np.stack(
        [boxes[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("x1", "y1", "x2", "y2")]
    )
    class_N = numbers_of(boxes["class_id"], class_ids)
    split_N = numbers_of(boxes["split"], splits)
    order, max_back = None, len(boxes)
    if not _is_grouped(video_N, time_N):
        order = np.lexsort((time_N, video_N))
    in_order = (video_N, time_N) if order is None else (video_N[order], time_N[order])
    if _largest_frame(in_order[0], in_order[1]) > MAX_COMPARED:
        order, max_back = np.lexsort((*corners_4N[::-1], time_N, video_N)), 1
    if order is not None:
        video_N, time_N, class_N, split_N = video_N[order], time_N[order], class_N[order], split_N[order]
        corners_4N = np.ascontiguousarray(corners_4N[:, order])
    num_boxes_F, area_B, rows_CS, videos_C, frames_S, videos_S = _count(
        video_N, time_N, corners_4N, class_N, split_N, len(class_ids), len(splits), max_back
    )
    return BoxCounts(
        video_ids=video_ids,
        num_boxes_F=num_boxes_F, area_B=area_B, num_rows_C=rows_CS.sum(axis=1), num_videos_C=videos_C,
        num_frames_S=frames_S, num_videos_S=videos_S, num_rows_S=rows_CS[:, :-1].sum(axis=0),
        num_rows_CS=rows_CS[:, :-1],
    )  # fmt: skip


def numbers_of(values: pl.Series, known: pl.Series) -> npt.NDArray[np.int32]:
    """The place of each value in `known` (distinct), -1 for null and for values that are not there [N]."""
    if values.null_count() == len(values) or not len(known):
        return np.full(len(values), -1, dtype=np.int32)
    if values.dtype.is_integer():
        low, high = int(str(known.min())), int(str(known.max()))
        if high - low <= max(len(values), 1 << 16):
            place = np.full(high - low + 2, -1, dtype=np.int32)
            place[known.to_numpy() - low] = np.arange(len(known), dtype=np.int32)
            filled = values.fill_null(low - 1).to_numpy()
            at = np.where((filled < low) | (filled > high), high + 1, filled) - low
            return place[at]
    if values.dtype == pl.String:
        run_N, heads = _runs(values)
        return numbers_by_join(heads, known)[run_N]
    return numbers_by_join(values, known)


def numbers_by_join(values: pl.Series, known: pl.Series) -> npt.NDArray[np.int32]:
    """As `numbers_of`, by a hash table [N]."""
    if values.dtype == pl.String and len(known) <= MAX_ENUMERATED:
        places = values.cast(pl.Enum(known.cast(pl.String)), strict=False).to_physical()
        return places.cast(pl.Int32).fill_null(-1).to_numpy()
    numbers = pl.DataFrame({"value": known}).with_row_index("place")
    found = pl.DataFrame({"value": values}).join(numbers, on="value", how="left", maintain_order="left")["place"]
    return found.cast(pl.Int32).fill_null(-1).to_numpy()
