"""One vector a clip: the mean over uniform frames of what a trunk gives; and the file that keeps them.

Legend: N = clips, F = frames, D = length of a vector, H W = height and width in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.trunks import SIDE_PX, FrameTrunk
from gesta.schema import BadInput, MissingExtra
from gesta.tables import whole_file
from gesta.video import read_frames
from gesta.video.sampling import uniform_times

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]

NUM_FRAMES = 25
"""Frames of a clip. Source: Kinetics-400, section 3.4: "25 uniformly sampled frames from each video"."""
BAR_LEVELS = 12
"""How far px of a bar may lie from its own mean, of 255 levels, at most. Source: ours; black after compression."""
MAX_BAR_FRAC = 0.4
"""Bars wider than this share of the picture are the picture. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipVectors:
    """The vectors of many clips.

    Attributes:
        clip_ids: N names.
        vectors_ND: float32 [N, D], of any length; memory-mapped when read from a file.
    """

    clip_ids: tuple[str, ...]
    vectors_ND: Floats


def clip_vector(path: Path, start_us: int, end_us: int, *, trunk: FrameTrunk, num_frames: int = NUM_FRAMES) -> Floats:
    """The clip's vector, float32 [D]: the mean of its frames' vectors.

    Args:
        path: the video.
        start_us: the clip's start on the player's clock.
        end_us: its end.
        trunk: from `trunk_named`.
        num_frames: how many frames, at the middles of equal parts.
    Raises:
        BadVideo: the file cannot be decoded.
        BadInput: the stretch is empty, `num_frames` is below 1, or the trunk gives something else than [F, D].
    Source: Kinetics-400, section 3.4: features of 224 x 224 center crops of 25 uniformly sampled frames, averaged.
    """
    frames_FHW3 = read_frames(path, uniform_times(start_us, end_us, num_frames=num_frames), short_side_px=SIDE_PX)
    shown = center_crops(frames_FHW3) if trunk.framing == "center" else whole_pictures(frames_FHW3)
    vectors_FD = np.asarray(trunk.vectors_of(shown), dtype=np.float32)
    if vectors_FD.ndim != 2 or len(vectors_FD) != len(shown):
        raise BadInput(
            f"the trunk {trunk.name} gave {list(vectors_FD.shape)} for {len(shown)} frames", mend="Want [F, D]"
        )
    return vectors_FD.mean(axis=0, dtype=np.float64).astype(np.float32)


def center_crops(frames_FHW3: Frames) -> Frames:
    """The middle 224 x 224 px of frames whose shorter side is 224 px, uint8 [F, 224, 224, 3].

    >>> center_crops(np.zeros((2, 224, 398, 3), np.uint8)).shape
    (2, 224, 224, 3)
    """
    top, left = ((side - SIDE_PX) // 2 for side in frames_FHW3.shape[1:3])
    return frames_FHW3[:, top : top + SIDE_PX, left : left + SIDE_PX]


def whole_pictures(frames_FHW3: Frames) -> Frames:
    """The frames without bars, pressed to 224 x 224 px, uint8 [F, 224, 224, 3].

    A copy with another shape, or with bars around it, then looks as the original does.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="video", module="cv2") from error
    top, bottom, left, right = picture_edges(frames_FHW3)
    inner = [np.ascontiguousarray(frame[top:bottom, left:right]) for frame in frames_FHW3]
    return np.stack([cv2.resize(frame, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for frame in inner]).astype(
        np.uint8
    )


def picture_edges(frames_FHW3: Frames) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what is no bar, half-open, in px; the whole frame where too little is left.

    A bar is a run of rows (or columns) at an edge that are of one colour and stay so in all frames.

    >>> frames = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3), dtype=np.uint8)
    >>> frames[:, :4] = 0
    >>> picture_edges(frames)
    (4, 20, 0, 30)
    """
    lowest_HW3, highest_HW3 = frames_FHW3.min(axis=0).astype(int), frames_FHW3.max(axis=0).astype(int)
    edges: list[int] = []
    for axis in (1, 0):
        spread = (highest_HW3.max(axis=axis) - lowest_HW3.min(axis=axis)).max(axis=-1)
        filled = np.flatnonzero(spread > 2 * BAR_LEVELS)
        size = len(spread)
        first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, size)
        widest = MAX_BAR_FRAC * size
        edges += [first, last] if first <= widest and size - last <= widest else [0, size]
    return edges[0], edges[1], edges[2], edges[3]


def write_clip_vectors(path: Path, clip_ids: Sequence[str], vectors_ND: Floats) -> None:
    """The vectors as `path` (.npy) and their names beside it (.ids.parquet), each whole or not at all.

    Raises:
        BadInput: there is not one vector a name, or a name stands twice.
    """
    if len(clip_ids) != len(vectors_ND) or vectors_ND.ndim != 2:
        raise BadInput(f"{len(clip_ids)} names for vectors {list(vectors_ND.shape)}", mend="Want one vector a clip")
    if len(set(clip_ids)) != len(clip_ids):
        raise BadInput("a clip stands twice among the vectors", where=path, mend="Give each clip once")
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.ascontiguousarray(vectors_ND, dtype=np.float32))
    with whole_file(_ids_path(path)) as temporary:
        pl.DataFrame({"clip_id": list(clip_ids)}, schema={"clip_id": pl.String}).write_parquet(temporary)


def read_clip_vectors(path: Path) -> ClipVectors:
    """The vectors that `write_clip_vectors` wrote, memory-mapped.

    Raises:
        BadInput: a file is missing or broken, or the two do not belong together.
    """
    try:
        vectors_ND = np.load(path, mmap_mode="r", allow_pickle=False)
        clip_ids = tuple(pl.read_parquet(_ids_path(path))["clip_id"])
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"no file of clip vectors ({error})", where=path, mend="Write it anew") from error
    if vectors_ND.ndim != 2 or vectors_ND.dtype != np.float32 or len(vectors_ND) != len(clip_ids):
        raise BadInput(
            f"{len(clip_ids)} names for {vectors_ND.dtype} {list(vectors_ND.shape)}", where=path, mend="Write it anew"
        )
    return ClipVectors(clip_ids=clip_ids, vectors_ND=vectors_ND)


def _ids_path(path: Path) -> Path:
    return path.with_suffix(".ids.parquet")
