"""How a clip model is tested: views of a whole clip (segments in time, crops in space), and the mean of their scores.

One table of the papers' protocols, all at 25 frames a second:

| model | segments | frames of each | of them | spans |
|---|---|---|---|---|
| ConvNet+LSTM | 1 | 50 rgb, every 5th | 50 | 10 s; the prediction is the last frame's |
| Two-Stream, RGB | 25 | 1 rgb | 25 | 10 s |
| Two-Stream, flow | 25 | 10 flow | 250 | 10 s |
| C3D | 15 | 16 rgb | 240 | 9.6 s |
| I3D (Kinetics-700-2020) | 8 | 32 rgb | 256 | 10 s |

Source: Kay et al., The Kinetics human action video dataset (2017), table 3 and section 4.4 (a clip that is too short is
looped); Smaira et al., A short note on the Kinetics-700-2020 dataset (2020), section 3 and figure 1. Neither names the
crops: the center is ours, as are 3 and 10 where asked for.

Shapes: B segments of a batch, V views of it (segments times crops), T frames, H and W px, K classes, N clips of a set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gesta.schema import BadInput, GestaError, Reject
from gesta.train.clips.augment import Window
from gesta.train.clips.batches import ClipBatch, clip_batches, to_model
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipTest
from gesta.train.clips.sets import ClipSet
from gesta.train.devices import autocast, pick_precision

VIEWS_PER_BATCH = 32
"""Views that a model is shown at once at most. Source: ours."""

STAGE = "score"
"""Of the rejects."""

Float32s = npt.NDArray[np.float32]


def frames_of_test(frames: ClipFrames, *, test: ClipTest) -> ClipFrames:
    """What a model is shown of each segment in a test: as in training, but for the number of frames."""
    return frames if test.num_frames is None else dataclasses.replace(frames, num_frames=test.num_frames)


def view_windows(*, width_px: int, height_px: int, crop_px: int, crops: int) -> list[tuple[Window, bool]]:
    """Each crop of a frame of that size, and whether it is mirrored.

    1: the center. 3: the two ends of the longer side and the center. 10: the four corners and the center, then the
    same mirrored. Middles are rounded down, as in training.

    Raises:
        BadInput: the crop does not fit into the frame, or `crops` is none of 1, 3 and 10.
    Source: 3 crops: Feichtenhofer et al., SlowFast networks (2019), section 4, "Inference"; 10: Krizhevsky et al.,
        ImageNet classification with deep convolutional neural networks (2012), section 4.1.

    >>> [(window.top_px, window.left_px) for window, _ in view_windows(width_px=9, height_px=4, crop_px=4, crops=3)]
    [(0, 0), (0, 2), (0, 5)]
    """
    room_y, room_x = height_px - crop_px, width_px - crop_px
    if min(room_y, room_x) < 0 or crop_px < 1:
        raise BadInput(f"a crop of {crop_px} px in a frame of {width_px} x {height_px} px", mend="Want it to fit")
    center = (room_y // 2, room_x // 2)
    ends = ((0, center[1]), (room_y, center[1])) if room_y > room_x else ((center[0], 0), (center[0], room_x))
    corners = ((0, 0), (0, room_x), (room_y, 0), (room_y, room_x))
    places = {1: (center,), 3: (ends[0], center, ends[1]), 10: (*corners, center)}
    if crops not in places:
        raise BadInput(f"{crops} crops", mend=f"Want one of {', '.join(map(str, places))}")
    windows = [Window(top_px=y, left_px=x, height_px=crop_px, width_px=crop_px) for y, x in places[crops]]
    return [(window, flipped) for flipped in ((False, True) if crops == 10 else (False,)) for window in windows]


def score_clips(
    model: nn.Module,
    clips: ClipSet,
    *,
    frames: ClipFrames,
    test: ClipTest,
    device: str,
    num_workers: int,
    precision: str = "auto",
    views_per_batch: int = VIEWS_PER_BATCH,
    source: ClipSource | None = None,
    on_clips: Callable[[int], None] | None = None,
    on_reject: Callable[[Reject], None] | None = None,
) -> Float32s:
    """The probability of every class for every clip, float32 [N, K]; a row of NaN for a clip that cannot be read.

    The mean over views of the classes' probabilities, or with `test.average` "logits" the softmax of the mean logits.
    Views are averaged in double precision. How many views the model is shown at once changes nothing but rounding.

    Args:
        model: in evaluation mode on `device`; takes [B, C, T, H, W] and gives logits [B, K].
        clips: N examples.
        frames: what the model was shown in training.
        test: segments, crops, frames of a segment, and what is averaged.
        device: cpu or cuda.
        num_workers: processes that decode; 0 = this one does.
        precision: auto, float32 or bfloat16, of convolutions and products.
        views_per_batch: views that the model is shown at once; at most; their clips are decoded together.
        source: how examples are opened.
        on_clips: called with the number of clips just done, rejected ones too.
        on_reject: called with each clip that cannot be read.
    Raises:
        BadInput: `views_per_batch` is below 1.
        GestaError: the model gives a number that is none, or a worker process died.
    """
    batches = clips_of_batches(len(clips), test=test, views_per_batch=views_per_batch)
    found: dict[int, Float32s] = {}
    for batch in iter_scores(
        model, clips, frames=frames, test=test, batches=batches, device=device, num_workers=num_workers,
        precision=precision, views_per_batch=views_per_batch, source=source,
    ):  # fmt: skip
        found |= batch.scores
        for reject in batch.rejects:
            if on_reject is not None:
                on_reject(reject)
        if on_clips is not None:
            on_clips(batch.num_wanted)
    num_classes = len(next(iter(found.values()))) if found else len(clips.class_ids)
    scores_NK = np.full((len(clips), num_classes), np.nan, dtype=np.float32)
    for number, scores_K in found.items():
        scores_NK[number] = scores_K
    return scores_NK


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBatch:
    """Scores of the clips of a batch, float32 [K] each by the clip's number, and those that could not be read."""

    scores: dict[int, Float32s]
    rejects: tuple[Reject, ...]
    num_wanted: int


def clips_of_batches(num_clips: int, *, test: ClipTest, views_per_batch: int = VIEWS_PER_BATCH) -> list[range]:
    """The numbers of the clips that are decoded and scored together, batch by batch.

    Raises:
        BadInput: `views_per_batch` is below 1.

    >>> clips_of_batches(5, test=ClipTest(num_segments=8), views_per_batch=16)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    if views_per_batch < 1:
        raise BadInput(f"views_per_batch={views_per_batch}", mend="Want at least 1")
    # With several crops one clip at a time, so that frames are not filled up to another clip's size.
    size = max(1, views_per_batch // test.num_segments) if test.crops == 1 else 1
    return [range(start, min(start + size, num_clips)) for start in range(0, num_clips, size)]


def iter_scores(
    model: nn.Module,
    clips: ClipSet,
    *,
    frames: ClipFrames,
    test: ClipTest,
    batches: Sequence[range],
    device: str,
    num_workers: int,
    precision: str = "auto",
    views_per_batch: int = VIEWS_PER_BATCH,
    source: ClipSource | None = None,
) -> Iterator[ScoredBatch]:
    """The scores of those batches (from `clips_of_batches`), one after another; as `score_clips`.

    Raises:
        GestaError: the model gives a number that is none, or a worker process died.
    """
    place = _Scoring(
        model=model, frames=frames_of_test(frames, test=test), test=test, device=device,
        precision=pick_precision(precision, device=device), views_per_batch=views_per_batch,
    )  # fmt: skip
    with clip_batches(
        clips, frames=place.frames, augment=None, numbers=batches, seed=0, epoch=0, source=source,
        num_workers=num_workers, num_segments=test.num_segments, whole_frames=test.crops > 1, unreadable="leave-out",
    ) as decoded:  # fmt: skip
        for wanted, batch in zip(batches, decoded, strict=True):
            rejects = tuple(dataclasses.replace(reject, stage=STAGE) for reject in batch.rejects)
            yield ScoredBatch(scores=place.scores_of(batch), rejects=rejects, num_wanted=len(wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoring:
    """A model and how it is shown clips."""

    model: nn.Module
    frames: ClipFrames
    test: ClipTest
    device: str
    precision: str
    views_per_batch: int

    def scores_of(self, batch: ClipBatch) -> dict[int, Float32s]:
        """The scores of each clip of the batch, float32 [K], by its number.

        Raises:
            GestaError: a logit is no finite number.
        """
        if not batch.numbers:
            return {}
        logits_VK, numbers_V = self._logits(batch)
        if not bool(torch.isfinite(logits_VK).all()):
            bad = int((~torch.isfinite(logits_VK)).any(dim=1).nonzero()[0])
            raise GestaError(
                f"the model gives no finite number for clip number {numbers_V[bad]}",
                mend="Use precision float32, or look at the training log: the weights may be broken",
            )
        averages_logits = self.test.average == "logits"
        values_VK = logits_VK if averages_logits else logits_VK.softmax(dim=1)
        scores = {}
        for number in dict.fromkeys(batch.numbers):
            mean_K = values_VK[torch.from_numpy(numbers_V == number)].mean(dim=0)
            scores[number] = (mean_K.softmax(dim=0) if averages_logits else mean_K).float().numpy()
        return scores

    def _logits(self, batch: ClipBatch) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """Logits of every view, float64 [V, K] on the CPU, and the number of the clip that each is of, [V]."""
        parts: list[Tensor] = []
        numbers: list[int] = []
        for crops_B4, flips_B in self._crops(batch):
            for start in range(0, len(batch.numbers), self.views_per_batch):
                part = slice(start, start + self.views_per_batch)
                views = dataclasses.replace(
                    batch, numbers=batch.numbers[part], shown=batch.shown[part], colors_B3=None,
                    pixels_BTHWC=batch.pixels_BTHWC[part], labels_B=batch.labels_B[part],
                    crops_B4=crops_B4[part], flips_B=flips_B[part],
                )  # fmt: skip
                clip_BCTHW = to_model(views, frames=self.frames, device=self.device)
                with torch.inference_mode(), autocast(device=self.device, precision=self.precision):
                    parts.append(self.model(clip_BCTHW).double().cpu())
                numbers += views.numbers
        return torch.cat(parts), np.array(numbers, dtype=np.int64)

    def _crops(self, batch: ClipBatch) -> Iterator[tuple[Tensor, Tensor]]:
        """One crop of every segment at a time: where, int64 [B, 4], and whether mirrored, bool [B]."""
        if self.test.crops == 1:
            yield batch.crops_B4, batch.flips_B
            return
        height_px, width_px = batch.pixels_BTHWC.shape[2:4]
        size = self.frames.crop_px
        for window, is_flipped in view_windows(
            width_px=width_px, height_px=height_px, crop_px=size, crops=self.test.crops
        ):
            corner = torch.tensor([window.top_px, window.left_px, size, size], dtype=torch.int64)
            yield corner.expand_as(batch.crops_B4), torch.full_like(batch.flips_B, is_flipped)
