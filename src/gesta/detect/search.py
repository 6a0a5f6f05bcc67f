"""People searched in clips: frames decoded, shown to a detector, linked into tracks, one of them chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from gesta.detect.detectors import HABITS, NMS_IOU, build_detector, find_people
from gesta.detect.interface import Detector, Frames, import_cv2
from gesta.detect.key_frames import choose_key_frame
from gesta.detect.tracks import FrameBoxes, TrackedBox, link_tracks
from gesta.schema import BadVideo, ClipKeyFrame, Proposal, Reject, TrackBox
from gesta.tables import frame_of
from gesta.video import index_packets, iter_frames, read_frames

STAGE = "detect"

FRAMES_PER_BATCH = 32
"""Frames held at a time: 200 MB at 1920 by 1080. Source: ours."""


def search_clip(
    path: Path,
    detector: Detector,
    *,
    start_us: int,
    end_us: int,
    min_score: float,
    rate: float = 5.0,
    nms_iou: float = NMS_IOU,
    also_us: Sequence[int] = (),
) -> list[FrameBoxes]:
    """The people in a clip's sampled frames, in order of time; frames without people are there too.

    A frame goes by its own time, or by the clip's start where it was on screen before that.

    Args:
        start_us: first instant, microseconds on the player's clock; the end is half-open.
        rate: frames a second from the clip's start; 0 = every frame.
        also_us: further instants to search; the frame shown then goes by that instant.
    Raises:
        BadVideo: a frame on the way cannot be decoded, or none is shown during the clip (reason "no-frames").
    """
    index = index_packets(path)
    step = Fraction(str(rate)) if rate else None
    sampled = iter_frames(path, start_us=start_us, end_us=end_us, rate=step, index=index)
    found: dict[int, FrameBoxes] = {}
    for times_us, frames_NHWC in _batches((max(time_us, start_us), frame) for time_us, frame in sampled):
        people = find_people(detector, frames_NHWC, min_score=min_score, nms_iou=nms_iou)
        found |= {time_us: FrameBoxes(time_us, *boxes) for time_us, boxes in zip(times_us, people, strict=True)}
    if not found:
        raise BadVideo("shows no frame during the clip", where=path, reason="no-frames")
    for time_us in sorted(set(also_us) - set(found)):
        frames_1HWC = read_frames(path, [time_us], index=index)
        (boxes,) = find_people(detector, frames_1HWC, min_score=min_score, nms_iou=nms_iou)
        found[time_us] = FrameBoxes(time_us, *boxes)
    return [found[time_us] for time_us in sorted(found)]


def _batches(frames: Iterable[tuple[int, Frames]]) -> Iterator[tuple[list[int], Frames]]:
    left = iter(frames)
    while batch := list(islice(left, FRAMES_PER_BATCH)):
        yield [time_us for time_us, _ in batch], np.stack([frame_HWC for _, frame_HWC in batch])


def search_clips(
    clips: pl.DataFrame,
    *,
    work: str,
    detector: str,
    weights: str | None,
    digest: str,
    rate: float,
    min_score: float,
    nms_iou: float,
) -> Mapping[str, pl.DataFrame]:
    """Frames `boxes`, `tracks`, `key_frames` and `rejects` of a few clips: one shard of the stage.

    Args:
        clips: columns clip_id, video_id, start_us, end_us, path (relative to `work`), key_times_us (a list).
        digest: SHA-256 of the weights, so that a file replaced under the same name is read again.
    Raises:
        GestaError: the detector cannot be built.
    """
    boxes: list[Proposal] = []
    tracks: list[TrackBox] = []
    key_frames: list[ClipKeyFrame] = []
    rejects: list[Reject] = []
    with one_thread(detector):
        built = _built(detector, weights, digest)
        for clip in clips.iter_rows(named=True):
            try:
                found = search_clip(
                    Path(work) / clip["path"],
                    built,
                    start_us=clip["start_us"],
                    end_us=clip["end_us"],
                    rate=rate,
                    also_us=clip["key_times_us"],
                    min_score=min_score,
                    nms_iou=nms_iou,
                )
            except BadVideo as error:
                rejects.append(reject_of(clip, reason=error.reason, detail=error.problem))
                continue
            linked = link_tracks(found)
            boxes += _proposals(found, clip)
            tracks += _track_boxes(linked, clip)
            key_frames.append(_key_frame(found, linked, clip))
    return {
        "boxes": frame_of("boxes", boxes),
        "tracks": frame_of("tracks", tracks),
        "key_frames": frame_of("key_frames", key_frames),
        "rejects": frame_of("rejects", rejects),
    }


def reject_of(clip: Mapping[str, object], *, reason: str, detail: str) -> Reject:
    """The reject of a clip that could not be searched."""
    path = clip["path"]
    return Reject(
        stage=STAGE,
        reason=reason,
        video_id=str(clip["video_id"]),
        clip_id=str(clip["clip_id"]),
        path=None if path is None else str(path),
        detail=detail,
    )


@contextmanager
def one_thread(detector: str) -> Iterator[None]:
    """Numeric libraries use one thread while the block runs: a worker has one core, and sums keep their order."""
    cv2 = import_cv2()
    num_cv2 = cv2.getNumThreads()
    cv2.setNumThreads(1)
    num_torch = None
    if "torch" in HABITS[detector].tools:
        import torch

        num_torch = torch.get_num_threads()
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(num_cv2)
        if num_torch is not None:
            torch.set_num_threads(num_torch)


@lru_cache(maxsize=1)
def _built(detector: str, weights: str | None, digest: str) -> Detector:
    return build_detector(detector, None if weights is None else Path(weights))


def _proposals(found: Sequence[FrameBoxes], clip: Mapping[str, str]) -> list[Proposal]:
    return [
        Proposal(
            clip_id=clip["clip_id"],
            video_id=clip["video_id"],
            timestamp_us=frame.time_us,
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            score=score,
        )
        for frame in found
        for (x1, y1, x2, y2), score in zip(frame.boxes_K4.tolist(), frame.scores_K.tolist(), strict=True)
    ]


def _track_boxes(linked: Sequence[TrackedBox], clip: Mapping[str, str]) -> list[TrackBox]:
    return [
        TrackBox(
            clip_id=clip["clip_id"],
            video_id=clip["video_id"],
            person_id=each.person_id,
            timestamp_us=each.time_us,
            x1=each.box[0],
            y1=each.box[1],
            x2=each.box[2],
            y2=each.box[3],
            score=each.score,
            is_interpolated=each.is_interpolated,
        )
        for each in linked
    ]


def _key_frame(found: Sequence[FrameBoxes], linked: Sequence[TrackedBox], clip: Mapping[str, object]) -> ClipKeyFrame:
    times_us = np.array([frame.time_us for frame in found], dtype=np.int64)
    scores = np.array([frame.scores_K.max(initial=0.0) for frame in found])
    chosen = choose_key_frame(times_us, scores, start_us=int(str(clip["start_us"])), end_us=int(str(clip["end_us"])))
    time_us = found[chosen].time_us
    return ClipKeyFrame(
        clip_id=str(clip["clip_id"]),
        video_id=str(clip["video_id"]),
        timestamp_us=time_us,
        score=float(scores[chosen]),
        num_boxes=sum(each.time_us == time_us for each in linked),
    )
