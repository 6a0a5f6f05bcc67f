"""Batches of clips straight from their files, made in worker processes, the same at any number of them.

What a clip looks like depends on the seed, the epoch and its number in the set alone. Workers decode and cut; the
device crops what is left to crop, mirrors and normalises (`to_model`).

A clip that cannot be read is replaced, in training, by the next one of its class (in the set's order, round the end;
then of any class), so that batches keep their sizes and runs stay comparable; each time it becomes a reject of the
batch. Where a test asks for it, it is left out instead.

Shapes: B clips (examples times segments), T frames, H and W px, C = 3 (RGB) or 2 (flow, coded), 4 = top left height
width in px.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gesta.schema import BadInput, BadVideo, GestaError, Reject, UnknownName
from gesta.train.clips.augment import (
    PLAIN,
    ClipAugment,
    Window,
    color_factors,
    crop_window,
    draw_change,
    first_frame,
    is_flipped,
)
from gesta.train.clips.flow import STEPS, ZERO
from gesta.train.clips.footage import ClipSource, Footage, open_footage
from gesta.train.clips.frames import ClipFrames, Ints, first_frames
from gesta.train.clips.sets import ClipExample, ClipSet, reject_unreadable
from gesta.train.clips.workers import in_workers
from gesta.video import strided_frames

UNREADABLE = ("replace", "leave-out")
"""What becomes of a clip that cannot be read."""

NUM_STAND_INS = 4
"""Clips tried in place of one that cannot be read, before the run stops: a lost disk is no bad clip. Source: ours."""

CLIPS_PER_TASK = 4
"""Clips that a worker makes at a time. Source: ours; a batch is shared out among workers, and passing costs little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipBatch:
    """Pixels as they come, and what is still to be done to them.

    Attributes:
        numbers: which example each clip was asked for, length B; with several segments each number comes as often.
        shown: which example it shows; another one where that could not be read.
        pixels_BTHWC: uint8; clips smaller than the largest are filled up with zeros at the bottom and right.
        crops_B4: int64, the part that the model is shown.
        flips_B: bool, which are mirrored.
        colors_B3: float32, factors of brightness, contrast and saturation; None = all 1.
        labels_B: int64, of the examples shown.
        rejects: what could not be read.
    """

    numbers: tuple[int, ...]
    shown: tuple[int, ...]
    pixels_BTHWC: Tensor
    crops_B4: Tensor
    flips_B: Tensor
    colors_B3: Tensor | None
    labels_B: Tensor
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One clip wanted: the example, and those to take in its place."""

    number: int
    example: ClipExample
    stand_ins: tuple[tuple[int, ClipExample], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    """One clip made: its pixels [T, H, W, C] and the rest of a batch's row."""

    number: int
    shown: int
    pixels_THWC: np.ndarray
    crop: Window
    is_flipped: bool
    colors: tuple[float, float, float]
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """How clips are made: all that a worker needs to know beside its wishes."""

    frames: ClipFrames
    augment: ClipAugment
    source: ClipSource
    seed: int
    epoch: int
    num_segments: int
    whole_frames: bool

    def clips(self, wish: _Wish) -> tuple[list[_Clip], list[Reject]]:
        """The wish's clips, and what could not be read on the way."""
        rejects: list[Reject] = []
        for shown, example in ((wish.number, wish.example), *wish.stand_ins):
            try:
                return self._of(example, number=wish.number, shown=shown), rejects
            except BadVideo as error:
                rejects.append(reject_unreadable(example, error))
        return [], rejects

    def _of(self, example: ClipExample, *, number: int, shown: int) -> list[_Clip]:
        footage = open_footage(example, frames=self.frames, source=self.source)
        draw = draw_change(seed=self.seed, epoch=self.epoch, number=number)
        width_px, height_px = footage.size_px
        crop = crop_window(width_px=width_px, height_px=height_px, frames=self.frames, augment=self.augment, draw=draw)
        whole = Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
        window = whole if self.whole_frames else crop
        left = crop if self.whole_frames else Window(
            top_px=0, left_px=0, height_px=crop.height_px, width_px=crop.width_px
        )  # fmt: skip
        if self.num_segments == 1:
            firsts = [first_frame(footage.num_frames, frames=self.frames, augment=self.augment, draw=draw)]
        else:
            firsts = first_frames(footage.num_frames, frames=self.frames, num_segments=self.num_segments)
        pixels_STHWC = _read(footage, firsts, frames=self.frames, window=window)
        return [
            _Clip(
                number=number,
                shown=shown,
                pixels_THWC=pixels_THWC,
                crop=left,
                is_flipped=is_flipped(augment=self.augment, draw=draw),
                colors=color_factors(augment=self.augment, draw=draw),
                label=example.label,
            )
            for pixels_THWC in pixels_STHWC
        ]


def _read(footage: Footage, firsts: Sequence[int], *, frames: ClipFrames, window: Window) -> np.ndarray:
    """The clips that begin at `firsts`, in one pass over the footage, uint8 [S, T, H, W, C]."""
    numbers_ST: list[Ints] = [
        strided_frames(first, num_total=footage.num_frames, num_frames=frames.num_frames, stride=frames.stride)
        for first in firsts
    ]
    pixels = footage.read(np.concatenate(numbers_ST), window=window)
    return pixels.reshape(len(firsts), frames.num_frames, *pixels.shape[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some clips of a batch, as they travel from a worker: one tensor, and small things."""

    pixels_BTHWC: Tensor
    rows: tuple[tuple[int, int, tuple[int, int, int, int], bool, tuple[float, float, float], int], ...]
    num_wishes: int
    rejects: tuple[Reject, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _MakePart:
    """From wishes to a part of a batch; what is sent to the workers."""

    maker: _Maker
    leaves_out: bool

    def __call__(self, wishes: tuple[_Wish, ...]) -> _Part:
        clips, rejects, problem = [], [], ""
        for wish in wishes:
            made, dropped = self.maker.clips(wish)
            clips += made
            rejects += dropped
            if not made and not self.leaves_out and not problem:
                problem = f"{len(dropped)} clips on end cannot be read, the last because: {dropped[-1].detail}"
        return _Part(
            pixels_BTHWC=_stacked([clip.pixels_THWC for clip in clips], frames=self.maker.frames),
            rows=tuple(
                (
                    clip.number,
                    clip.shown,
                    (clip.crop.top_px, clip.crop.left_px, clip.crop.height_px, clip.crop.width_px),
                    clip.is_flipped,
                    clip.colors,
                    clip.label,
                )
                for clip in clips
            ),
            num_wishes=len(wishes),
            rejects=tuple(rejects),
            problem=problem,
        )


def _stacked(clips_THWC: list[np.ndarray], *, frames: ClipFrames) -> Tensor:
    """The clips in one tensor, uint8 [B, T, H, W, C], smaller ones filled up with zeros."""
    height_px = max((clip.shape[1] for clip in clips_THWC), default=0)
    width_px = max((clip.shape[2] for clip in clips_THWC), default=0)
    shape = (len(clips_THWC), frames.num_frames, height_px, width_px, frames.num_channels)
    same = all(clip.shape[1:3] == (height_px, width_px) for clip in clips_THWC)
    pixels = torch.empty(shape, dtype=torch.uint8) if same else torch.zeros(shape, dtype=torch.uint8)
    for place, clip in enumerate(clips_THWC):
        pixels.numpy()[place, :, : clip.shape[1], : clip.shape[2]] = clip
    return pixels


@contextmanager
def clip_batches(
    clips: ClipSet,
    *,
    frames: ClipFrames,
    augment: ClipAugment | None,
    numbers: Sequence[Sequence[int]],
    seed: int,
    epoch: int,
    source: ClipSource | None = None,
    num_workers: int,
    queue_len: int = 4,
    num_segments: int = 1,
    whole_frames: bool = False,
    unreadable: str = "replace",
    pin_memory: bool | None = None,
) -> Iterator[Iterator[ClipBatch]]:
    """The batches in order, while the block lasts; workers make the next ones ready meanwhile.

    Args:
        clips: what the numbers count.
        frames: what the model is shown.
        augment: random changes; None = none, the middle of time and frame.
        numbers: of the examples of each batch.
        seed: of the run.
        epoch: number of the epoch; with the seed and an example's number it decides its changes.
        source: how examples are opened.
        num_workers: processes that make clips; 0 = this one does.
        queue_len: most batches that wait, made ready.
        num_segments: clips of each example, spread evenly over it (`first_frames`); above 1 only without random
            starts.
        whole_frames: send whole frames, with the crop still to be cut, for tests that cut several.
        unreadable: one of `UNREADABLE`.
        pin_memory: batches in memory that a GPU copies from without waiting; None = where torch sees a GPU.
    Raises:
        UnknownName: `unreadable` is none of the choices.
        BadInput: a number is none of the set's, or segments are asked for with random starts.
        GestaError: a worker process died, or `NUM_STAND_INS` clips in place of another could not be read either.
    """
    if unreadable not in UNREADABLE:
        raise UnknownName(what="way with unreadable clips", name=unreadable, choices=UNREADABLE)
    changes = PLAIN if augment is None else augment
    if num_segments < 1 or (num_segments > 1 and changes.jitter_time):
        raise BadInput(f"{num_segments} segments with jitter_time={changes.jitter_time}", mend="Want one or the other")
    leaves_out = unreadable == "leave-out"
    _refuse_numbers(clips, numbers)
    tasks = _Tasks(clips=clips, numbers=numbers, num_stand_ins=0 if leaves_out else NUM_STAND_INS)
    make = _MakePart(
        maker=_Maker(
            frames=frames, augment=changes, source=source or ClipSource(), seed=seed, epoch=epoch,
            num_segments=num_segments, whole_frames=whole_frames,
        ),
        leaves_out=leaves_out,
    )  # fmt: skip
    num_tasks = [-(-len(batch) // CLIPS_PER_TASK) for batch in numbers]
    pins = torch.cuda.is_available() if pin_memory is None else pin_memory

    def assembled(parts: Iterator[_Part]) -> Iterator[ClipBatch]:
        for num in num_tasks:
            yield _batch_of([next(parts) for _ in range(num)], frames=frames, pins=pins)

    with in_workers(
        make, tasks, assemble=assembled, num_workers=num_workers, queue_len=queue_len,
        tasks_per_batch=max(num_tasks, default=1),
    ) as batches:  # fmt: skip
        yield batches


def _refuse_numbers(clips: ClipSet, numbers: Sequence[Sequence[int]]) -> None:
    for batch in numbers:
        for number in batch:
            if not 0 <= number < len(clips):
                raise BadInput(f"there is no example {number}", mend=f"Want 0 to {len(clips) - 1}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tasks:
    """The wishes of all batches, some at a time; made when they are asked for, since an epoch may be a million."""

    clips: ClipSet
    numbers: Sequence[Sequence[int]]
    num_stand_ins: int

    def __iter__(self) -> Iterator[tuple[_Wish, ...]]:
        by_label: dict[int, list[int]] = {}
        places: list[int] = []
        for number, example in enumerate(self.clips.examples):
            same = by_label.setdefault(example.label, [])
            places.append(len(same))
            same.append(number)
        for batch in self.numbers:
            for start in range(0, len(batch), CLIPS_PER_TASK):
                some = [int(number) for number in batch[start : start + CLIPS_PER_TASK]]
                same_of = [by_label[self.clips.examples[number].label] for number in some]
                yield tuple(
                    self._wish(number, place=places[number], same=same)
                    for number, same in zip(some, same_of, strict=True)
                )

    def _wish(self, number: int, *, place: int, same: Sequence[int]) -> _Wish:
        examples = self.clips.examples
        others = [same[(place + step) % len(same)] for step in range(1, min(len(same), self.num_stand_ins + 1))]
        step = 1
        while len(others) < self.num_stand_ins and step < len(examples):
            other = (number + step) % len(examples)
            if examples[other].label != examples[number].label:
                others.append(other)
            step += 1
        return _Wish(
            number=number,
            example=examples[number],
            stand_ins=tuple((other, examples[other]) for other in others),
        )


def _batch_of(parts: Sequence[_Part], *, frames: ClipFrames, pins: bool) -> ClipBatch:
    """The batch of those parts.

    Raises:
        GestaError: a clip and all that could stand in for it cannot be read.
    """
    problems = [part.problem for part in parts if part.problem]
    if problems:
        raise GestaError(problems[0], mend="Look whether the disk with the videos is there")
    rows = [row for part in parts for row in part.rows]
    height_px = max((part.pixels_BTHWC.shape[2] for part in parts), default=0)
    width_px = max((part.pixels_BTHWC.shape[3] for part in parts), default=0)
    shape = (len(rows), frames.num_frames, height_px, width_px, frames.num_channels)
    if len(parts) == 1 and not pins:
        pixels = parts[0].pixels_BTHWC
    else:
        pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=pins)
        start = 0
        for part in parts:
            num, _, height, width, _ = part.pixels_BTHWC.shape
            place = pixels[start : start + num]
            if (height, width) != (height_px, width_px):
                place.zero_()
            place[:, :, :height, :width].copy_(part.pixels_BTHWC)
            start += num
    colors = torch.tensor([row[4] for row in rows], dtype=torch.float32).reshape(-1, 3)
    return ClipBatch(
        numbers=tuple(row[0] for row in rows),
        shown=tuple(row[1] for row in rows),
        pixels_BTHWC=pixels,
        crops_B4=torch.tensor([row[2] for row in rows], dtype=torch.int64).reshape(-1, 4),
        flips_B=torch.tensor([row[3] for row in rows], dtype=torch.bool),
        colors_B3=None if bool((colors == 1).all()) else colors,
        labels_B=torch.tensor([row[5] for row in rows], dtype=torch.int64),
        rejects=tuple(reject for part in parts for reject in part.rejects),
    )


def to_model(batch: ClipBatch, *, frames: ClipFrames, device: str) -> Tensor:
    """What the model takes, float32 [B, C, T, crop, crop] with the strides of channels_last_3d, on the device.

    Crops of another size than `frames.crop_px` are resized, bilinear with averaging where they shrink. Mirroring turns
    flow's dx round. Brightness, contrast and saturation change before colours are normalised.
    """
    pixels_BTHWC = batch.pixels_BTHWC.to(device, non_blocking=True)
    clip_BTHWC = _cropped(pixels_BTHWC, batch.crops_B4, crop_px=frames.crop_px)
    flips_B = batch.flips_B
    if bool(flips_B.any()):
        mask = flips_B.to(device, non_blocking=True)[:, None, None, None, None]
        clip_BTHWC = torch.where(mask, clip_BTHWC.flip(3), clip_BTHWC)
    clip_BTHWC = clip_BTHWC.float()
    if frames.modality == "flow":
        clip_BTHWC = (clip_BTHWC - ZERO) / STEPS
        if bool(flips_B.any()):
            signs_B2 = torch.stack((1 - 2 * flips_B.float(), torch.ones(len(flips_B))), dim=1)
            clip_BTHWC = clip_BTHWC * signs_B2.to(device, non_blocking=True)[:, None, None, None, :]
    else:
        if batch.colors_B3 is not None:
            clip_BTHWC = change_colors(clip_BTHWC, batch.colors_B3.to(device, non_blocking=True))
        mean = torch.tensor(frames.mean_rgb, device=device) * 255
        std = torch.tensor(frames.std_rgb, device=device) * 255
        clip_BTHWC = (clip_BTHWC - mean) / std
    # The permuted view of an array with colours last is what channels_last_3d means: no copy.
    return clip_BTHWC.permute(0, 4, 1, 2, 3)


def _cropped(pixels_BTHWC: Tensor, crops_B4: Tensor, *, crop_px: int) -> Tensor:
    """The crops, [B, T, crop_px, crop_px, C]: uint8, or float32 where one had to be resized."""
    crops = crops_B4.tolist()
    num, num_frames, height_px, width_px, num_channels = pixels_BTHWC.shape
    if all(crop == [0, 0, crop_px, crop_px] for crop in crops) and (num == 0 or height_px == width_px == crop_px):
        return pixels_BTHWC.reshape(num, num_frames, crop_px, crop_px, num_channels)
    parts = []
    for place, (top, left, height, width) in enumerate(crops):
        part_THWC = pixels_BTHWC[place, :, top : top + height, left : left + width]
        if (height, width) != (crop_px, crop_px):
            part_TCHW = torch.nn.functional.interpolate(
                part_THWC.permute(0, 3, 1, 2).float(), (crop_px, crop_px), mode="bilinear", antialias=True
            )
            part_THWC = part_TCHW.permute(0, 2, 3, 1)
        parts.append(part_THWC)
    if any(part.dtype == torch.float32 for part in parts):
        parts = [part.float() for part in parts]
    return torch.stack(parts)


_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey. Source: ITU-R BT.601, 2.5.1."""


def change_colors(clip_BTHWC: Tensor, factors_B3: Tensor) -> Tensor:
    """Other brightness, then contrast (about the clip's mean grey), then saturation, float32 [B, T, H, W, 3].

    Args:
        clip_BTHWC: float32 [B, T, H, W, 3], 0 to 255.
        factors_B3: float32 [B, 3]; 1 changes nothing.
    Source: torchvision 0.28, `ColorJitter`.
    """
    brightness, contrast, saturation = factors_B3.T[:, :, None, None, None, None]
    grey = torch.tensor(_GREY, device=clip_BTHWC.device)
    clip_BTHWC = (clip_BTHWC * brightness).clamp(0, 255)
    mean = (clip_BTHWC @ grey).mean(dim=(1, 2, 3))[:, None, None, None, None]
    clip_BTHWC = (clip_BTHWC * contrast + mean * (1 - contrast)).clamp(0, 255)
    grey_BTHW1 = (clip_BTHWC @ grey)[..., None]
    return (clip_BTHWC * saturation + grey_BTHW1 * (1 - saturation)).clamp(0, 255)
