"""Batches: which samples, how changed, as tensors; the same for the same seed and epoch at any number of threads.

Shapes: B clips, T frames, H and W pixels, N persons of all clips of the batch, K classes. `boxes_N5` = number of the
clip in the batch, then x1 y1 x2 y2 as fractions of the clip's frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gesta.train.augment import Change, Jitter, apply_change, draw_change, frame_numbers, jitter_boxes
from gesta.train.store import ClipStore
from gesta.train.views import ClipSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pixels as they come (uint8 [B, T, H, W, 3]) and all persons with their targets and weights."""

    numbers: tuple[int, ...]
    pixels_BTHWC: Tensor
    boxes_N5: Tensor
    targets_NK: Tensor
    weights_NK: Tensor


def normalise(pixels_BTHWC: Tensor, *, clip: ClipSpec) -> Tensor:
    """Clips of standard scale, float32 [B, 3, T, H, W], from uint8 [B, T, H, W, 3], on the pixels' device."""
    mean = torch.tensor(clip.mean_rgb, device=pixels_BTHWC.device) * 255
    std = torch.tensor(clip.std_rgb, device=pixels_BTHWC.device) * 255
    clip_BTHWC = (pixels_BTHWC.float() - mean) / std
    # The permuted view of a channels-last array is what channels_last_3d means: no copy.
    return clip_BTHWC.permute(0, 4, 1, 2, 3)


def make_batch(
    store: ClipStore, numbers: Sequence[int], *, clip: ClipSpec, jitter: Jitter | None, seed: tuple[int, int]
) -> Batch:
    """The batch of those samples; plain where `jitter` is None.

    Args:
        store: the samples and their pixels.
        numbers: which samples, in order.
        clip: what the model is shown.
        jitter: how far the random changes go.
        seed: of the run, and number of the epoch; a sample's changes depend on these and its number alone.
    """
    pixels, boxes, targets, weights = [], [], [], []
    for place, number in enumerate(numbers):
        rng = np.random.default_rng((*seed, number))
        change = Change() if jitter is None else draw_change(jitter, rng=rng)
        stored_FHWC = store.frames_SFHWC[number]
        clip_THWC, boxes_N4 = apply_change(
            stored_FHWC,
            store.boxes[number],
            change,
            numbers_T=frame_numbers(
                change, num_stored=len(stored_FHWC), num_frames=clip.num_frames, per_stride=store.spec.per_stride
            ),
            size_px=(clip.height_px, clip.width_px),
            margin=store.spec.margin,
        )
        if jitter is not None and jitter.box:
            boxes_N4 = jitter_boxes(boxes_N4, box=jitter.box, seed=change.box_seed)
        pixels.append(clip_THWC)
        boxes.append(np.concatenate((np.full((len(boxes_N4), 1), place), boxes_N4), axis=1))
        targets.append(store.samples[number].targets_NK)
        weights.append(store.samples[number].weights_NK)
    return Batch(
        numbers=tuple(numbers),
        pixels_BTHWC=torch.from_numpy(np.stack(pixels)),
        boxes_N5=torch.from_numpy(np.concatenate(boxes).astype(np.float32)),
        targets_NK=torch.from_numpy(np.concatenate(targets)),
        weights_NK=torch.from_numpy(np.concatenate(weights)),
    )


def batch_numbers(
    num_samples: int, *, clips_per_batch: int, seed: int, epoch: int, shuffle: bool
) -> list[tuple[int, ...]]:
    """Which samples make each batch of an epoch: all of them once, in batches whose sizes differ by at most one.

    Even batches rather than a small last one: batch norm over one or two clips throws the running mean off.

    >>> [len(batch) for batch in batch_numbers(10, clips_per_batch=4, seed=0, epoch=0, shuffle=True)]
    [4, 3, 3]
    """
    order = np.random.default_rng((seed, epoch)).permutation(num_samples) if shuffle else np.arange(num_samples)
    num_batches = max(1, -(-num_samples // clips_per_batch))
    return [tuple(int(number) for number in part) for part in np.array_split(order, num_batches)]


def batches(
    store: ClipStore,
    numbers: Sequence[Sequence[int]],
    *,
    clip: ClipSpec,
    jitter: Jitter | None,
    seed: tuple[int, int],
    num_parts: int = 1,
    threads: int = 1,
) -> Iterator[list[Batch]]:
    """The batches in order, each in at most `num_parts` parts, made ready while the ones before it are used.

    At most `threads` + 1 of them wait.
    """

    def make(batch: Sequence[int]) -> list[Batch]:
        parts = [part for part in np.array_split(np.asarray(batch), num_parts) if len(part)]
        return [make_batch(store, part.tolist(), clip=clip, jitter=jitter, seed=seed) for part in parts]

    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[list[Batch]]] = []
        try:
            for batch in numbers:
                waiting.append(pool.submit(make, batch))
                if len(waiting) > threads:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
