"""What a person model needs to see of a key-frame, and what it says: one face for every kind of checkpoint.

Shapes: T frames, H and W pixels, N persons of a key-frame, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gesta.predict.key_frames import PLAIN, Seen, score_persons
from gesta.tables import Json, sha256_of_file
from gesta.train.checkpoints import Checkpoint, load_checkpoint, model_of
from gesta.train.clips.frames import UNTIL_END_US, ClipFrames
from gesta.train.devices import autocast, pick_precision
from gesta.train.persons.rows import PersonRow, batch_of, persons_to_model, shown_key_frame
from gesta.train.persons.sampling import key_frame_times
from gesta.train.store import see
from gesta.train.views import group_persons

Uint8s = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonScorer:
    """A model that says what persons do, ready on its device.

    Attributes:
        class_ids, class_names: in the order of its outputs.
        times_us: from a key-frame's time and the source's start and end (None = not known): the instants of its T
            frames, int64 [T].
        reach_us: how far these instants reach before and after the key-frame's time, at most.
        size_of: the width and height in which frames are kept, from those of the source; None = as they are.
        show: from the T frames, uint8 [T, H, W, 3] of that size, and the boxes, float64 [N, 4] as fractions of the
            frame: the views that are scored, each with the numbers of the persons in it.
        score: the probability of every class for every person of every view, float64 [N, K] a view.
        origin: where the model comes from, as plain JSON values.
        sha256: tells its weights and classes from others.
    """

    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    times_us: Callable[[int, int, int | None], Ints]
    reach_us: tuple[int, int]
    num_frames: int
    size_of: Callable[[Size], Size | None]
    show: Callable[[Uint8s, Floats], Sequence[tuple[tuple[int, ...], Any]]]
    score: Callable[[Sequence[Any]], Sequence[Floats]]
    device: str
    origin: Mapping[str, Json]
    sha256: str


def key_frame_scorer(checkpoint: Checkpoint | Path, *, device: str) -> PersonScorer:
    """The scorer of a checkpoint of a key-frame recipe (`roi_r3d_tiny`): persons seen near, in views.

    Args:
        checkpoint: what `gesta train` wrote, or its file.
        device: cpu or cuda.
    Raises:
        BadInput: there is no such checkpoint, or the weights are not those of its model.
    """
    loaded = load_checkpoint(checkpoint) if isinstance(checkpoint, Path) else checkpoint
    recipe, clip = loaded.recipe, loaded.recipe.clip
    model = model_of(loaded, where=checkpoint if isinstance(checkpoint, Path) else "", device=device)

    def show(frames_THWC: Uint8s, boxes_N4: Floats) -> list[tuple[tuple[int, ...], Seen]]:
        height_px, width_px = frames_THWC.shape[1:3]
        groups = group_persons(boxes_N4, frame_width_px=width_px, frame_height_px=height_px, spec=clip)
        return [(group, see(frames_THWC, boxes_N4[list(group)], clip=clip, spec=PLAIN)) for group in groups]

    offsets_us = clip.times_us(0)
    return PersonScorer(
        class_ids=loaded.class_ids,
        class_names=loaded.class_names,
        times_us=lambda time_us, start_us, end_us: clip.times_us(time_us),
        reach_us=(-int(offsets_us.min()), int(offsets_us.max())),
        num_frames=clip.num_frames,
        size_of=lambda size: None,
        show=show,
        score=lambda seen: score_persons(model, list(seen), recipe=recipe, device=device),
        device=device,
        origin={"recipe": recipe.name, "release_sha256": loaded.release_sha256, **loaded.versions},
        sha256=sha256_of_file(checkpoint) if isinstance(checkpoint, Path) else loaded.fingerprint,
    )


def whole_frame_scorer(
    model: nn.Module,
    *,
    frames: ClipFrames,
    class_ids: Sequence[int],
    class_names: Sequence[str],
    device: str,
    precision: str = "auto",
    flip: bool = False,
    origin: Mapping[str, Json],
    sha256: str,
) -> PersonScorer:
    """The scorer of a person model, which sees whole frames: `(clip_BCTHW, boxes_N5) -> logits_NK`.

    The instants and the scaling are those of training (`key_frame_times`, `shown_key_frame`).

    Args:
        model: in evaluation mode on `device`.
        frames: what it was shown in training.
        class_ids: of its outputs, in their order.
        class_names: likewise.
        device: cpu or cuda.
        precision: auto, float32 or bfloat16, of convolutions and products.
        flip: whether scores are the mean over each clip and its mirror image.
        origin: where it comes from.
        sha256: tells its weights and classes from others.
    """
    picked = pick_precision(precision, device=device)

    def times_us(time_us: int, start_us: int, end_us: int | None) -> Ints:
        return key_frame_times(
            time_us, frames=frames, start_us=start_us, end_us=UNTIL_END_US if end_us is None else end_us
        )

    def show(frames_THWC: Uint8s, boxes_N4: Floats) -> list[tuple[tuple[int, ...], PersonRow]]:
        return [(tuple(range(len(boxes_N4))), shown_key_frame(frames_THWC, boxes_N4, frames=frames))]

    def score(rows: Sequence[PersonRow]) -> list[Floats]:
        # Clips of several sources may differ in size; a batch has one.
        of_size: dict[tuple[int, ...], list[int]] = {}
        for number, row in enumerate(rows):
            of_size.setdefault(tuple(row.pixels_THWC.shape), []).append(number)
        found: dict[int, Floats] = {}
        for numbers in of_size.values():
            counts = [len(rows[number].boxes_N4) for number in numbers]
            batch = batch_of([rows[number] for number in numbers])
            clip_BCTHW, boxes_N5 = persons_to_model(batch, frames=frames, device=device)
            with torch.inference_mode(), autocast(device=device, precision=picked):
                scores = model(clip_BCTHW, boxes_N5).float().sigmoid()
                if flip:
                    mirrored_N5 = boxes_N5.clone()
                    mirrored_N5[:, 1], mirrored_N5[:, 3] = 1 - boxes_N5[:, 3], 1 - boxes_N5[:, 1]
                    scores = (scores + model(clip_BCTHW.flip(-1), mirrored_N5).float().sigmoid()) / 2
            scores_NK = scores.double().cpu().numpy()
            found |= dict(zip(numbers, np.split(scores_NK, np.cumsum(counts)[:-1]), strict=True))
        return [found[number] for number in range(len(rows))]

    offsets_us = key_frame_times(0, frames=frames, start_us=-UNTIL_END_US, end_us=UNTIL_END_US)
    return PersonScorer(
        class_ids=tuple(class_ids),
        class_names=tuple(class_names),
        times_us=times_us,
        reach_us=(-int(offsets_us.min()), int(offsets_us.max())),
        num_frames=frames.num_frames,
        size_of=lambda size: frames.frame_size(width_px=size[0], height_px=size[1]),
        show=show,
        score=score,
        device=device,
        origin=origin,
        sha256=sha256,
    )
