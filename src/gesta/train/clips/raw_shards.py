"""Shards of raw frames: every frame of every clip as bytes, mapped into memory, so that a crop costs a copy.

```
000000.u8      frames of clip 0, frames of clip 1 ...: uint8 [T, H, W, C] each, one after another
000000.json    what they are: made from which settings, and for each clip its place, frames and size
```

A clip's path is the shard's and its place in it: `shards/000000.u8/3`.

Shapes: T frames of a clip, H and W px, C = 3 (RGB) or 2 (flow, coded).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput
from gesta.train.clips.augment import Window
from gesta.train.clips.frames import ClipFrames, Ints

Uint8s = npt.NDArray[np.uint8]

_RULES = ("rate", "side_px", "side", "modality")
"""What must be the same in a cache and in what a model is shown; for flow its method too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFootage:
    """One clip of a shard."""

    frames_THWC: Uint8s
    source_size_px: tuple[int, int]

    @property
    def num_frames(self) -> int:
        """How many there are."""
        return len(self.frames_THWC)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a whole frame."""
        return self.frames_THWC.shape[2], self.frames_THWC.shape[1]

    def read(self, numbers_T: Ints, *, window: Window) -> Uint8s:
        """That part of those frames, uint8 [T, H, W, C]."""
        rows = slice(window.top_px, window.top_px + window.height_px)
        columns = slice(window.left_px, window.left_px + window.width_px)
        part = np.empty((len(numbers_T), window.height_px, window.width_px, self.frames_THWC.shape[3]), dtype=np.uint8)
        for place, number in enumerate(numbers_T):
            part[place] = self.frames_THWC[number, rows, columns]
        return part


def write_raw(stream: IO[bytes], blocks: Iterable[Uint8s]) -> int:
    """How many frames were written, of one clip that comes in blocks, uint8 [T, H, W, C] each."""
    num_frames = 0
    for block in blocks:
        stream.write(np.ascontiguousarray(block).data)
        num_frames += len(block)
    return num_frames


def open_raw(path: Path, *, frames: ClipFrames) -> RawFootage:
    """The clip at that place of a shard.

    Raises:
        BadInput: the shard is not there or not whole, has no such place, or does not fit what the model is shown.
    """
    shard, about = path.parent, _about(path.parent.with_suffix(".json"))
    misfit = misfit_of(_frames_of(shard.with_suffix(".json")), frames)
    if misfit:
        raise BadInput(misfit, where=shard, mend="Make another: gesta prepare DATA --out CACHE --recipe NAME")
    rows = about["clips"]
    place = int(path.name)
    if place >= len(rows):
        raise BadInput(f"it has no clip {place}", where=shard, mend="Make it again: gesta prepare")
    row = rows[place]
    shape = (row["num_frames"], row["height_px"], row["width_px"], frames.num_channels)
    size = int(np.prod(shape))
    stored = _mapped(shard)
    if len(stored) != about["size_bytes"]:
        raise BadInput(
            f"it has {len(stored):,} bytes, want {about['size_bytes']:,}", where=shard,
            mend="Delete its .json and run `gesta prepare` again",
        )  # fmt: skip
    return RawFootage(
        frames_THWC=stored[row["offset_bytes"] : row["offset_bytes"] + size].reshape(shape),
        source_size_px=(row["source_width_px"], row["source_height_px"]),
    )


def misfit_of(stored: ClipFrames, wanted: ClipFrames) -> str:
    """Why raw frames made for one cannot be used for the other, in words; empty where they can.

    >>> misfit_of(ClipFrames(num_frames=8, rate=25), ClipFrames(num_frames=8, rate=12.5))
    'it holds rate 25, and the model wants rate 12.5'
    """
    rules = [*_RULES, *(["flow"] if wanted.modality == "flow" else [])]
    for name in rules:
        one, other = getattr(stored, name), getattr(wanted, name)
        if one != other:
            return f"it holds {name} {one}, and the model wants {name} {other}"
    return ""


@lru_cache(maxsize=64)
def _about(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadInput("there is no such file", where=path, mend="Make the cache again: gesta prepare")
    about: dict[str, Any] = json.loads(path.read_bytes())
    return about


@lru_cache(maxsize=64)
def _frames_of(path: Path) -> ClipFrames:
    return frames_from(_about(path)["frames"])


def frames_from(values: dict[str, Any]) -> ClipFrames:
    """What `dataclasses.asdict` made of it, read back from JSON."""
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return ClipFrames(**plain)


@lru_cache(maxsize=64)
def _mapped(path: Path) -> Uint8s:
    if not path.is_file() or path.stat().st_size == 0:
        raise BadInput("there is no such file, or it is empty", where=path, mend="Make the cache again: gesta prepare")
    return np.memmap(path, dtype=np.uint8, mode="r")
