"""One key-frame's clip with its persons, rows of these as a batch, and the batch as a model takes it.

Shapes: B clips, T frames, H and W px, C = 3 (RGB), N persons of all clips, K classes; crops are top left height width
in px; boxes x1 y1 x2 y2 as fractions, `boxes_N5` with the number of the clip in the batch before them; L rows of D
features of a bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gesta.schema import BadInput, Reject
from gesta.train.clips.batches import change_colors
from gesta.train.clips.frames import ClipFrames

Uint8s = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]

_NO_COLORS = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """One clip made: what is shown of it, and its persons.

    Attributes:
        number: which example was asked for; `shown`: which it shows.
        pixels_THWC: uint8 tensor, all that the model is shown, not yet mirrored.
        boxes_N4: float64, fractions of what is shown, after mirroring.
        frame_boxes_N4: float64, the same persons' boxes as fractions of the whole frame.
        scores_N: float64, a detector's; 1 for an annotated person.
        targets_NK, weights_NK: float32.
    """

    number: int
    shown: int
    pixels_THWC: Tensor
    boxes_N4: Floats
    frame_boxes_N4: Floats
    scores_N: Floats
    targets_NK: Float32s
    weights_NK: Float32s
    is_flipped: bool = False
    colors: tuple[float, float, float] = _NO_COLORS
    clip_label: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonBatch:
    """Clips of one size with all their persons, and what is still to be done to the pixels.

    Attributes:
        numbers: which example each clip was asked for, length B.
        shown: which example it shows; another one where that could not be read.
        pixels_BTHWC: uint8.
        crops_B4: int64, the part that the model is shown: all of it, as workers cut.
        flips_B: bool, which are mirrored.
        colors_B3: float32, factors of brightness, contrast and saturation; None = all 1.
        boxes_N5: float32, number of the clip in the batch, then fractions of the clip as the model is shown it.
        frame_boxes_N4: float64, the same boxes as fractions of the whole frame of the film.
        scores_N: float32, a detector's; 1 for an annotated person.
        targets_NK: float32.
        weights_NK: float32.
        clip_labels_B: int64, place of the clip's own class, -1 = none.
        rejects: what could not be read.
        bank_BLD: float16, each key-frame's window of a feature bank, where the model reads one.
    """

    numbers: tuple[int, ...]
    shown: tuple[int, ...]
    pixels_BTHWC: Tensor
    crops_B4: Tensor
    flips_B: Tensor
    colors_B3: Tensor | None
    boxes_N5: Tensor
    frame_boxes_N4: Tensor
    scores_N: Tensor
    targets_NK: Tensor
    weights_NK: Tensor
    clip_labels_B: Tensor
    rejects: tuple[Reject, ...] = field(default=())
    bank_BLD: Tensor | None = None


def shown_key_frame(
    pixels_THWC: Uint8s,
    boxes_N4: Floats,
    *,
    frames: ClipFrames,
    number: int = 0,
    num_classes: int = 0,
    scores_N: Floats | None = None,
) -> PersonRow:
    """A row of a batch from frames at hand: the whole frame, scaled as `frames` says, and those persons.

    Args:
        pixels_THWC: uint8 [T, H, W, 3], `frames.num_frames` frames of any size.
        boxes_N4: float64 [N, 4], fractions of the frame.
        frames: what the model is shown.
        number: what the row is called in the batch.
        num_classes: width of the row's targets, which are all 0.
        scores_N: float64 [N], a detector's; None = 1 each.
    Raises:
        BadInput: it is another number of frames, no picture, or the boxes are not [N, 4].
    """
    if pixels_THWC.ndim != 4 or len(pixels_THWC) != frames.num_frames or pixels_THWC.shape[3] != 3:
        raise BadInput(f"pixels of shape {pixels_THWC.shape}", mend=f"Want [{frames.num_frames}, H, W, 3]")
    boxes_N4 = np.asarray(boxes_N4, dtype=np.float64)
    if boxes_N4.ndim != 2 or boxes_N4.shape[1] != 4:
        raise BadInput(f"boxes of shape {boxes_N4.shape}", mend="Want [N, 4], also for nobody: [0, 4]")
    height_px, width_px = pixels_THWC.shape[1:3]
    size_px = frames.frame_size(width_px=width_px, height_px=height_px)
    targets_NK = np.zeros((len(boxes_N4), num_classes), dtype=np.float32)
    return PersonRow(
        number=number,
        shown=number,
        pixels_THWC=torch.from_numpy(np.ascontiguousarray(scaled_frames(pixels_THWC, size_px=size_px))),
        boxes_N4=np.clip(boxes_N4, 0, 1),
        frame_boxes_N4=boxes_N4,
        scores_N=np.ones(len(boxes_N4)) if scores_N is None else np.asarray(scores_N, dtype=np.float64),
        targets_NK=targets_NK,
        weights_NK=np.zeros_like(targets_NK),
    )


def scaled_frames(pixels_THWC: Uint8s, *, size_px: tuple[int, int]) -> Uint8s:
    """The frames in that width and height, uint8 [T, H, W, C]; averaged over areas where they shrink, else bilinear."""
    height_px, width_px = pixels_THWC.shape[1:3]
    if (width_px, height_px) == size_px:
        return pixels_THWC
    how = cv2.INTER_AREA if size_px[0] * size_px[1] < width_px * height_px else cv2.INTER_LINEAR
    scaled = np.empty((len(pixels_THWC), size_px[1], size_px[0], pixels_THWC.shape[3]), dtype=np.uint8)
    for place, picture_HWC in enumerate(pixels_THWC):
        scaled[place] = cv2.resize(np.ascontiguousarray(picture_HWC), size_px, interpolation=how)
    return scaled


def batch_of(rows: Sequence[PersonRow], *, rejects: Sequence[Reject] = (), pins: bool = False) -> PersonBatch:
    """The rows as one batch, in their order.

    Clips of a batch have one size: filling smaller ones up would show a model what no film shows, and its answer for
    one clip would depend on the clips beside it.

    Args:
        rows: at least one.
        rejects: what could not be read.
        pins: pixels in memory that a GPU copies from without waiting.
    Raises:
        BadInput: there is no row, or two have other sizes or numbers of classes.
    """
    sizes = {tuple(row.pixels_THWC.shape) for row in rows}
    widths = {row.targets_NK.shape[1] for row in rows}
    if len(sizes) != 1 or len(widths) != 1:
        found = ", ".join(str(list(size)) for size in sorted(sizes)) or "no clip"
        raise BadInput(
            f"a batch of clips of {found} with {sorted(widths)} classes",
            mend="Want at least one clip, and all of one size: make a batch for each size",
        )
    shape = next(iter(sizes))
    if pins:
        pixels = torch.empty((len(rows), *shape), dtype=torch.uint8, pin_memory=True)
        for place, row in enumerate(rows):
            pixels[place].copy_(row.pixels_THWC)
    else:
        pixels = torch.stack([row.pixels_THWC for row in rows])
    colors = torch.tensor([row.colors for row in rows], dtype=torch.float32)
    places_N = np.repeat(np.arange(len(rows)), [len(row.boxes_N4) for row in rows])
    boxes_N4 = np.concatenate([row.boxes_N4 for row in rows])
    return PersonBatch(
        numbers=tuple(row.number for row in rows),
        shown=tuple(row.shown for row in rows),
        pixels_BTHWC=pixels,
        crops_B4=torch.tensor([[0, 0, shape[1], shape[2]]] * len(rows), dtype=torch.int64),
        flips_B=torch.tensor([row.is_flipped for row in rows], dtype=torch.bool),
        colors_B3=None if bool((colors == 1).all()) else colors,
        boxes_N5=torch.from_numpy(np.column_stack((places_N, boxes_N4)).astype(np.float32)),
        frame_boxes_N4=torch.from_numpy(np.concatenate([row.frame_boxes_N4 for row in rows])),
        scores_N=torch.from_numpy(np.concatenate([row.scores_N for row in rows]).astype(np.float32)),
        targets_NK=torch.from_numpy(np.concatenate([row.targets_NK for row in rows])),
        weights_NK=torch.from_numpy(np.concatenate([row.weights_NK for row in rows])),
        clip_labels_B=torch.tensor([row.clip_label for row in rows], dtype=torch.int64),
        rejects=tuple(rejects),
    )


def empty_batch(*, frames: ClipFrames, num_classes: int, rejects: Sequence[Reject]) -> PersonBatch:
    """A batch of no clip: none of those asked for can be read."""
    return PersonBatch(
        numbers=(),
        shown=(),
        pixels_BTHWC=torch.zeros((0, frames.num_frames, frames.crop_px, frames.crop_px, 3), dtype=torch.uint8),
        crops_B4=torch.zeros((0, 4), dtype=torch.int64),
        flips_B=torch.zeros(0, dtype=torch.bool),
        colors_B3=None,
        boxes_N5=torch.zeros((0, 5)),
        frame_boxes_N4=torch.zeros((0, 4), dtype=torch.float64),
        scores_N=torch.zeros(0),
        targets_NK=torch.zeros((0, num_classes)),
        weights_NK=torch.zeros((0, num_classes)),
        clip_labels_B=torch.zeros(0, dtype=torch.int64),
        rejects=tuple(rejects),
    )


def bank_to_model(batch: PersonBatch, *, device: str) -> tuple[Tensor, ...]:
    """What a model that reads a bank takes besides, on the device: the windows [B, L, D]; nothing for other models."""
    return () if batch.bank_BLD is None else (batch.bank_BLD.to(device, non_blocking=True),)


def persons_to_model(batch: PersonBatch, *, frames: ClipFrames, device: str) -> tuple[Tensor, Tensor]:
    """What the model takes, on the device: the clips, float32 [B, C, T, H, W], and `boxes_N5`, float32 [N, 5].

    The clips have the strides of channels_last_3d. Mirrored clips are turned here (their boxes are turned already);
    brightness, contrast and saturation change before colours are normalised.
    """
    clip_BTHWC = batch.pixels_BTHWC.to(device, non_blocking=True)
    if bool(batch.flips_B.any()):
        mask = batch.flips_B.to(device, non_blocking=True)[:, None, None, None, None]
        clip_BTHWC = torch.where(mask, clip_BTHWC.flip(3), clip_BTHWC)
    clip_BTHWC = clip_BTHWC.float()
    if batch.colors_B3 is not None:
        clip_BTHWC = change_colors(clip_BTHWC, batch.colors_B3.to(device, non_blocking=True))
    mean = torch.tensor(frames.mean_rgb, device=device) * 255
    std = torch.tensor(frames.std_rgb, device=device) * 255
    # The permuted view of an array with colours last is what channels_last_3d means: no copy.
    return ((clip_BTHWC - mean) / std).permute(0, 4, 1, 2, 3), batch.boxes_N5.to(device, non_blocking=True)
