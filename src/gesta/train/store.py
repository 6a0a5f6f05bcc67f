"""Every sample's frames, decoded once and kept as raw pixels in one file that is mapped into memory.

A key-frame's clip takes longer to decode than to learn from, and each is seen in every epoch.

Shapes: S samples, F frames in store, H and W pixels, C = 3 (RGB), N boxes as fractions of the stored view.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesta.schema import BadVideo, Reject
from gesta.tables import Json, sha256_of_json, whole_file, write_json
from gesta.train.samples import Sample
from gesta.train.views import ClipSpec, boxes_in_view, cut_view, view_of
from gesta.video import read_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSpec:
    """How much more than the plain clip is kept, so that cuts and moves in time find pixels.

    `margin` times the view's sides at the same scale, `per_stride` instants a stride, `num_margin` more at either end.
    """

    margin: float = 1.25
    per_stride: int = 2
    num_margin: int = 3

    def num_frames(self, clip: ClipSpec) -> int:
        """Frames kept for each sample."""
        return self.per_stride * (clip.num_frames - 1) + 1 + 2 * self.num_margin

    def size_px(self, clip: ClipSpec) -> tuple[int, int]:
        """Height and width kept."""
        return round(clip.height_px * self.margin), round(clip.width_px * self.margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipStore:
    """The samples whose video could be read, their frames in the same order, their boxes in the stored views."""

    samples: tuple[Sample, ...]
    frames_SFHWC: npt.NDArray[np.uint8]
    boxes: tuple[npt.NDArray[np.float64], ...]
    spec: StoreSpec


def read_clip(
    sample: Sample, *, clip: ClipSpec, spec: StoreSpec
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """One sample's stored frames, uint8 [F, H, W, 3], and its boxes in them, float64 [N, 4].

    Raises:
        BadVideo: the file is missing or cannot be decoded.
    """
    if not sample.path.is_file():
        raise BadVideo("the video is not there", where=sample.path, reason="missing")
    times_us = clip.times_us(sample.timestamp_us, per_stride=spec.per_stride, num_margin=spec.num_margin)
    frames_FHWC = read_frames(sample.path, times_us.tolist())
    return see(frames_FHWC, sample.boxes_N4, clip=clip, spec=spec)


def see(
    frames_FHWC: npt.NDArray[np.uint8], boxes_N4: npt.NDArray[np.float64], *, clip: ClipSpec, spec: StoreSpec
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """The view that holds the boxes, of every frame: uint8 [F, H, W, 3], and the boxes in it, float64 [N, 4].

    Args:
        frames_FHWC: whole frames of the video, uint8.
        boxes_N4: float [N, 4] as fractions of the video's frame.
        clip: what the model is shown.
        spec: how much more is kept.
    """
    frame_height, frame_width = frames_FHWC.shape[1:3]
    view = view_of(boxes_N4, frame_width_px=frame_width, frame_height_px=frame_height, spec=clip, margin=spec.margin)
    height_px, width_px = spec.size_px(clip)
    shown = cut_view(frames_FHWC, view=view, height_px=height_px, width_px=width_px)
    return shown, boxes_in_view(boxes_N4, view=view, frame_width_px=frame_width, frame_height_px=frame_height)


def open_store(
    samples: Sequence[Sample],
    *,
    path: Path,
    release_sha256: str,
    clip: ClipSpec,
    spec: StoreSpec,
    threads: int,
    on_clips: Callable[[int], None] | None = None,
) -> tuple[ClipStore, list[Reject]]:
    """The samples with their frames, decoded unless `path` already holds them; and those that cannot be read.

    Args:
        samples: of one release.
        path: the file of raw pixels; beside it lies `<path>.json`, which says what it holds.
        release_sha256: of the release's manifest; with the samples' names and both specs it is the file's key.
        clip: what the model is shown.
        spec: how much more is kept.
        threads: decoders at work at one time.
        on_clips: called with the number of clips just made ready.
    """
    key: dict[str, Json] = {
        "release": release_sha256,
        "samples": sha256_of_json([[s.clip_id, s.timestamp_us, s.boxes_N4.tolist()] for s in samples]),
        "clip": dataclasses.asdict(clip),
        "store": dataclasses.asdict(spec),
    }
    shape = (len(samples), spec.num_frames(clip), *spec.size_px(clip), 3)
    notes = path.with_name(path.name + ".json")
    found = json.loads(notes.read_bytes()) if notes.is_file() and path.is_file() else {}
    if found.get("key") == json.loads(json.dumps(key)):
        boxes = [None if rows is None else np.array(rows, dtype=np.float64).reshape(-1, 4) for rows in found["boxes"]]
        problems = [Reject(**row) for row in found["rejects"]]
    else:
        notes.unlink(missing_ok=True)
        boxes, problems = _decode_all(
            samples, path=path, shape=shape, clip=clip, spec=spec, threads=threads, on_clips=on_clips
        )
        rows = [None if box is None else box.tolist() for box in boxes]
        write_json(notes, {"key": key, "boxes": rows, "rejects": [dataclasses.asdict(reject) for reject in problems]})
    good = [number for number, box in enumerate(boxes) if box is not None]
    frames = np.memmap(path, dtype=np.uint8, mode="r", shape=shape) if samples else np.zeros(shape, dtype=np.uint8)
    store = ClipStore(
        samples=tuple(samples[number] for number in good),
        # Rows of clips that cannot be read are holes; indexing by a list would copy, and mapped pages are wanted.
        frames_SFHWC=frames if len(good) == len(samples) else frames[good],
        boxes=tuple(box for box in boxes if box is not None),
        spec=spec,
    )
    return store, problems


def _decode_all(
    samples: Sequence[Sample],
    *,
    path: Path,
    shape: tuple[int, ...],
    clip: ClipSpec,
    spec: StoreSpec,
    threads: int,
    on_clips: Callable[[int], None] | None,
) -> tuple[list[npt.NDArray[np.float64] | None], list[Reject]]:
    boxes: list[npt.NDArray[np.float64] | None] = []
    rejects: list[Reject] = []

    def decode(sample: Sample) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]] | BadVideo:
        try:
            return read_clip(sample, clip=clip, spec=spec)
        except BadVideo as error:
            return error

    with whole_file(path) as temporary, temporary.open("wb") as stream, ThreadPoolExecutor(threads) as pool:
        for sample, result in zip(samples, pool.map(decode, samples), strict=True):
            if isinstance(result, BadVideo):
                boxes.append(None)
                stream.write(bytes(int(np.prod(shape[1:]))))
                rejects.append(
                    Reject(
                        stage="train",
                        reason=result.reason,
                        video_id=sample.video_id,
                        clip_id=sample.clip_id,
                        path=sample.path.name,
                        detail=result.problem,
                    )
                )
            else:
                boxes.append(result[1])
                stream.write(result[0].tobytes())
            if on_clips is not None:
                on_clips(1)
    return boxes, rejects
