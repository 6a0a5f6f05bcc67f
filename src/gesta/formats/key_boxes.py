"""Tracks as annotation tools keep them: boxes at key frames, straight lines between.

CVAT and Label Studio both store a box where somebody drew one and draw the frames between on the line. Here is that
line, frame by frame, and the way back: which boxes have to be stored so that the line gives the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gesta.schema import BadInput

MAX_FILLED = 10_000_000
"""More boxes than this are not drawn between key frames. Source: ours. Ten million boxes take about a gigabyte; a
file that asks for more has a wrong frame number in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Every shown frame of every track: the key row it comes from, its frame number and box, and how it came about.

    `source_M`: int [M], the key row at or before it. `frames_M`: int [M]. `boxes_M4`: float [M, 4].
    `is_between_M`: bool [M], true where the line gave the box.
    """

    source_M: np.ndarray
    frames_M: np.ndarray
    boxes_M4: np.ndarray
    is_between_M: np.ndarray


def fill_frames(
    frames_N: np.ndarray,
    boxes_N4: np.ndarray,
    *,
    track_N: np.ndarray,
    is_shown_N: np.ndarray,
    goes_on_N: np.ndarray,
    last_frame_N: np.ndarray,
    step_N: np.ndarray,
) -> Filled:
    """The boxes of all frames, from rows sorted by track and frame; frames do not repeat within a track.

    Between two rows of a track the corners move on a straight line; after the last row the box stands still.

    Args:
        frames_N: int [N].
        boxes_N4: float [N, 4].
        track_N: int [N], equal within a track.
        is_shown_N: bool [N], whether the row itself is a box.
        goes_on_N: bool [N], whether the box goes on after the row, until the next one.
        last_frame_N: int [N], the frame at which a track ends that nothing ends; -1 where none is known.
        step_N: int [N], frames from one that is annotated to the next.
    Raises:
        BadInput: more than `MAX_FILLED` boxes would come out.
    Source: cvat-ai/cvat, dataset_manager/annotation.py, `get_interpolated_shapes` (simple_interpolation); Label Studio,
        regions/VideoRectangleRegion.js, `getShape`.
    """
    num_rows = len(frames_N)
    has_next_N = np.zeros(num_rows, dtype=bool)
    has_next_N[:-1] = track_N[1:] == track_N[:-1]
    next_N = np.arange(num_rows) + has_next_N
    to_next_N = frames_N[next_N] - frames_N
    between_N = np.where(has_next_N, (to_next_N - 1) // step_N, np.maximum(last_frame_N - frames_N, 0) // step_N)
    between_N = np.where(goes_on_N, between_N, 0)
    total = int(between_N.astype(np.float64).sum())
    if total > MAX_FILLED:
        raise BadInput(
            f"{total:,} boxes lie between the key frames, more than any video has",
            mend="Correct the frame numbers or the number of frames of the video",
        )
    source_M = np.repeat(np.arange(num_rows), between_N)
    first_M = np.repeat(np.cumsum(between_N) - between_N, between_N)
    offset_M = (np.arange(len(source_M)) - first_M + 1) * step_N[source_M]
    share_M = offset_M / np.maximum(to_next_N[source_M], 1) * has_next_N[source_M]
    start_M4, end_M4 = boxes_N4[source_M], boxes_N4[next_N[source_M]]
    own = np.flatnonzero(is_shown_N)
    filled = Filled(
        source_M=np.concatenate([own, source_M]),
        frames_M=np.concatenate([frames_N[own], frames_N[source_M] + offset_M]),
        boxes_M4=np.concatenate([boxes_N4[own], start_M4 + share_M[:, None] * (end_M4 - start_M4)]),
        is_between_M=np.repeat([False, True], [len(own), len(source_M)]),
    )
    order = np.lexsort((filled.frames_M, track_N[filled.source_M]))
    return Filled(
        source_M=filled.source_M[order],
        frames_M=filled.frames_M[order],
        boxes_M4=filled.boxes_M4[order],
        is_between_M=filled.is_between_M[order],
    )


def keys_of(
    frames_N: np.ndarray,
    boxes_N4: np.ndarray,
    *,
    track_N: np.ndarray,
    label_N: np.ndarray,
    is_interpolated_N: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Which rows have to be key frames (bool [N]), so that the line between them gives the others.

    Rows are sorted by track and frame. An interpolated row stays without a key frame where it lies on the line between
    the key frames around it, no frame is missing between them, and its label is that of the row before.

    Args:
        frames_N: int [N].
        boxes_N4: float [N, 4].
        track_N: int [N], equal within a track.
        label_N: int [N], equal where the labels are; a change needs a key frame.
        is_interpolated_N: bool [N].
        tolerance: how far from the line a corner may lie, in the unit of the boxes.
    """
    num_rows = len(frames_N)
    if not num_rows:
        return np.zeros(0, dtype=bool)
    goes_on_N = (track_N[1:] == track_N[:-1]) & (frames_N[1:] == frames_N[:-1] + 1)
    is_first_N = np.concatenate([[True], ~goes_on_N])
    is_last_N = np.concatenate([~goes_on_N, [True]])
    is_new_N = np.concatenate([[True], label_N[1:] != label_N[:-1]])
    is_key_N = ~is_interpolated_N | is_first_N | is_last_N | is_new_N
    rows = np.arange(num_rows)
    before_N = np.maximum.accumulate(np.where(is_key_N, rows, 0))
    after_N = np.minimum.accumulate(np.where(is_key_N, rows, num_rows - 1)[::-1])[::-1]
    share_N = (frames_N - frames_N[before_N]) / np.maximum(frames_N[after_N] - frames_N[before_N], 1)
    line_N4 = boxes_N4[before_N] + share_N[:, None] * (boxes_N4[after_N] - boxes_N4[before_N])
    is_off_N = (np.abs(line_N4 - boxes_N4) > tolerance).any(axis=1)
    # One box off the line bends it for its neighbours too: the whole stretch is stored.
    num_off_N = np.bincount(before_N[is_off_N], minlength=num_rows)
    return np.asarray(is_key_N | (num_off_N[before_N] > 0))


def hulls_of_turned(boxes_N4: np.ndarray, *, turn_deg_N: np.ndarray, pivots_N2: np.ndarray) -> np.ndarray:
    """The upright boxes (float [N, 4]) around boxes that are turned clockwise about a point, in a unit that is square.

    Args:
        boxes_N4: float [N, 4], before the turn.
        turn_deg_N: float [N].
        pivots_N2: float [N, 2], x and y of the points that stay.

    >>> hulls_of_turned(np.array([[0.0, 0, 4, 2]]), turn_deg_N=np.array([90.0]), pivots_N2=np.array([[0.0, 0]])).round(
    ...     6
    ... )
    array([[-2.,  0.,  0.,  4.]])
    """
    turn_N1 = np.deg2rad(turn_deg_N)[:, None]
    x_N4 = boxes_N4[:, [0, 2, 2, 0]] - pivots_N2[:, :1]
    y_N4 = boxes_N4[:, [1, 1, 3, 3]] - pivots_N2[:, 1:]
    turned_x_N4 = x_N4 * np.cos(turn_N1) - y_N4 * np.sin(turn_N1) + pivots_N2[:, :1]
    turned_y_N4 = x_N4 * np.sin(turn_N1) + y_N4 * np.cos(turn_N1) + pivots_N2[:, 1:]
    hulls_N4 = np.stack([turned_x_N4.min(1), turned_y_N4.min(1), turned_x_N4.max(1), turned_y_N4.max(1)], axis=1)
    return np.where((turn_deg_N == 0)[:, None], boxes_N4, hulls_N4)
