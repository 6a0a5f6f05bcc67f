"""A model of persons on key-frames: every class's probability for every box, annotated or detected.

A key-frame on which nobody is annotated is run like any other where a detector found somebody there: what the model
says of a person that is none must count against it. A key-frame without a box of the asked kind is not decoded.

Shapes: N persons (boxes) scored, K classes in the checkpoint's order; B clips, L rows of D features of a bank.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor, nn

from gesta.models.person_model import PersonModel
from gesta.schema import BadInput, GestaError, Reject, UnknownName
from gesta.tables import frame_of
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.frames import ClipFrames
from gesta.train.devices import autocast, pick_precision
from gesta.train.persons.batches import person_batches
from gesta.train.persons.boxes import PersonBoxes, good_proposals
from gesta.train.persons.examples import PersonExample, PersonSet
from gesta.train.persons.rows import PersonBatch, bank_to_model, persons_to_model

STAGE = "score"

BOXES = ("truth", "proposals")
"""Whose boxes are scored: those annotated, or those a detector found."""

LEAST_SCORE = 0.002
"""Rows with a lower score are left out. Source: open-mmlab/mmaction2 4d6c9347, `ava_utils.py`, `action_thr`; the
official evaluator keeps the 50 highest rows of a key-frame anyway."""

KEY_FRAMES_PER_BATCH = 8
"""Key-frames decoded and shown together. Source: ours; 8 clips of 32 frames at 256 x 455 px are 90 MB of pixels."""

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


WindowsOf = Callable[[PersonBatch], PersonBatch]
"""Gives a batch the windows of its key-frames, as `gesta.train.persons.banks.with_windows` does."""


class ShownAs(Protocol):
    """What of a recipe says how a model is shown key-frames."""

    @property
    def frames(self) -> ClipFrames:
        """How many frames, how far apart, how large."""

    @property
    def boxes(self) -> PersonBoxes:
        """Which proposals are good enough."""

    @property
    def precision(self) -> str:
        """Of convolutions and products."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredPersons:
    """What a model says of the persons of some key-frames.

    Attributes:
        numbers_N: int64, which example of the set each person stands in.
        boxes_N4: float64, fractions of the whole frame.
        scores_NK: float32, probabilities; or the features that a bank stores, where these were asked for.
        rejects: key-frames that could not be read.
        num_wanted: key-frames that were asked for.
    """

    numbers_N: Ints
    boxes_N4: Floats
    scores_NK: Float32s
    rejects: tuple[Reject, ...]
    num_wanted: int


def numbers_with_boxes(persons: PersonSet, *, boxes: str, rules: PersonBoxes) -> list[int]:
    """The examples that have a box of the asked kind, in order.

    Args:
        persons: the set.
        boxes: one of `BOXES`.
        rules: which proposals are good enough.
    Raises:
        UnknownName: `boxes` is none of the choices.
    """
    if boxes not in BOXES:
        raise UnknownName(what="choice of boxes", name=boxes, choices=BOXES)
    return [number for number, example in enumerate(persons.examples) if _num_boxes(example, boxes, rules)]


def _num_boxes(example: PersonExample, boxes: str, rules: PersonBoxes) -> int:
    if boxes == "truth":
        return len(example.boxes_N4)
    return len(good_proposals(example.proposals_M5, least_score=rules.least_score))


def score_person_set(
    model: nn.Module,
    persons: PersonSet,
    *,
    recipe: ShownAs,
    class_ids: Sequence[int] | None = None,
    boxes: str = "truth",
    device: str = "cpu",
    num_workers: int = 0,
    least_score: float = LEAST_SCORE,
    flip: bool = False,
    precision: str = "auto",
    source: ClipSource | None = None,
    bank: WindowsOf | None = None,
    on_key_frames: Callable[[int], None] | None = None,
) -> tuple[pl.DataFrame, list[Reject]]:
    """What the model says of every person of the set: a frame of kind `detections`, and key-frames not to be read.

    One row a person and class whose probability is at least `least_score`, in the set's order. The detector's own
    confidence has had its say in which boxes there are.

    Args:
        model: in evaluation mode on `device`; takes clips [B, C, T, H, W] and boxes [N, 5], gives logits [N, K].
        persons: key-frames with their boxes.
        recipe: what the model is shown, and which proposals are good enough.
        class_ids: of the K outputs; None = those of the set.
        boxes: one of `BOXES`.
        device: cpu or cuda.
        num_workers: processes that decode; 0 = this one does.
        least_score: rows below it are left out.
        flip: the mean over each clip and its mirror image.
        precision: auto (the recipe's), float32 or bfloat16.
        source: how videos are opened.
        bank: gives a batch its windows of a feature bank, for a model that reads one.
        on_key_frames: called with the number of key-frames just done.
    Raises:
        UnknownName: `boxes` or the precision is none of the choices.
        BadInput: `class_ids` are not as many as the model has outputs.
        GestaError: the model gives a number that is none, or a worker process died.
    Source: MMAction2 and PySlowFast score AVA the same way, by the action alone.
    """
    ids = persons.class_ids if class_ids is None else tuple(class_ids)
    todo = numbers_with_boxes(persons, boxes=boxes, rules=recipe.boxes)
    found: list[ScoredPersons] = []
    rejects: list[Reject] = []
    for part in iter_person_scores(
        model, persons, recipe=recipe, batches=batches_of(todo), boxes=boxes, device=device, num_workers=num_workers,
        flip=flip, precision=precision, source=source, bank=bank,
    ):  # fmt: skip
        found.append(part)
        rejects += part.rejects
        if on_key_frames is not None:
            on_key_frames(part.num_wanted)
    frames = [detections_of(part, persons, class_ids=ids, least_score=least_score) for part in found]
    return pl.concat([frame_of("detections", []), *frames]), rejects


def batches_of(numbers: Sequence[int], *, size: int = KEY_FRAMES_PER_BATCH) -> list[tuple[int, ...]]:
    """The numbers, so many at a time.

    >>> batches_of([1, 2, 5], size=2)
    [(1, 2), (5,)]
    """
    return [tuple(numbers[start : start + size]) for start in range(0, len(numbers), size)]


def iter_person_scores(
    model: nn.Module,
    persons: PersonSet,
    *,
    recipe: ShownAs,
    batches: Sequence[Sequence[int]],
    boxes: str = "truth",
    device: str = "cpu",
    num_workers: int = 0,
    flip: bool = False,
    precision: str = "auto",
    source: ClipSource | None = None,
    bank: WindowsOf | None = None,
    gives: str = "scores",
) -> Iterator[ScoredPersons]:
    """The scores of those batches of examples, one after another; as `score_person_set`.

    Args:
        model: as for `score_person_set`, as are all others.
        persons: key-frames with their boxes.
        recipe: what the model is shown.
        batches: numbers of examples that are decoded together; one result each.
        boxes: one of `BOXES`.
        device: cpu or cuda.
        num_workers: processes that decode.
        flip: the mean over each clip and its mirror image.
        precision: auto (the recipe's), float32 or bfloat16.
        source: how videos are opened.
        bank: gives a batch its windows of a feature bank.
        gives: "scores": probabilities; "features": what a feature bank stores of a `PersonModel`.
    Raises:
        UnknownName: `boxes` or the precision is none of the choices.
        GestaError: the model gives a number that is none, or a worker process died.
    """
    how = pick_precision(recipe.precision if precision == "auto" else precision, device=device)
    place_of = {number: place for place, batch in enumerate(batches) for number in batch}
    with person_batches(
        persons, frames=recipe.frames, augment=None, boxes=recipe.boxes, numbers=batches, seed=0, epoch=0,
        num_workers=num_workers, source=source, unreadable="leave-out", which=boxes,
    ) as decoded:  # fmt: skip
        waiting: list[ScoredPersons] = []
        current = 0
        for batch in decoded:
            # One that was asked for may come as several, one a size; one of which nothing can be read has no number.
            place = place_of[batch.numbers[0]] if batch.numbers else current + bool(waiting)
            if place != current:
                yield _together(waiting, num_wanted=len(batches[current]))
                waiting, current = [], place
            ask = features_of if gives == "features" else functools.partial(_probabilities, flip=flip)
            shown = batch if bank is None else bank(batch)
            scores_NK = _asked(model, shown, frames=recipe.frames, device=device, precision=how, ask=ask)
            waiting.append(
                ScoredPersons(
                    numbers_N=np.array(batch.numbers, dtype=np.int64)[batch.boxes_N5[:, 0].long().numpy()],
                    boxes_N4=batch.frame_boxes_N4.numpy(), scores_NK=scores_NK,
                    rejects=tuple(dataclasses.replace(reject, stage=STAGE) for reject in batch.rejects), num_wanted=0,
                )
            )  # fmt: skip
        if waiting:
            yield _together(waiting, num_wanted=len(batches[current]))


def _together(parts: Sequence[ScoredPersons], *, num_wanted: int) -> ScoredPersons:
    """The parts as one, persons in the order of their examples."""
    scored = [part for part in parts if len(part.numbers_N)]
    numbers_N = np.concatenate([part.numbers_N for part in parts])
    order_N = np.argsort(numbers_N, kind="stable")
    empty_NK = np.zeros((0, 0), dtype=np.float32)
    scores_NK = np.concatenate([part.scores_NK for part in scored]) if scored else empty_NK
    return ScoredPersons(
        numbers_N=numbers_N[order_N], boxes_N4=np.concatenate([part.boxes_N4 for part in parts])[order_N],
        scores_NK=scores_NK[order_N] if scored else empty_NK,
        rejects=tuple(reject for part in parts for reject in part.rejects), num_wanted=num_wanted,
    )  # fmt: skip


def _asked(
    model: nn.Module, batch: PersonBatch, *, frames: ClipFrames, device: str, precision: str, ask: Callable[..., Tensor]
) -> Float32s:
    """What `ask` makes of the model and the batch's persons, float32 [N, K]."""
    if not batch.numbers:
        return np.zeros((0, 0), dtype=np.float32)
    clip_BCTHW, boxes_N5 = persons_to_model(batch, frames=frames, device=device)
    with torch.inference_mode(), autocast(device=device, precision=precision):
        scores_NK = ask(model, clip_BCTHW, boxes_N5, *bank_to_model(batch, device=device)).float()
    if not bool(torch.isfinite(scores_NK).all()):
        raise GestaError(
            f"the model gives no finite number for key-frame number {batch.numbers[0]} or one beside it",
            mend="Use precision float32, or look at the training log: the weights may be broken",
        )
    return scores_NK.cpu().numpy().astype(np.float32)


def _probabilities(model: nn.Module, clip_BCTHW: Tensor, boxes_N5: Tensor, *bank_BLD: Tensor, flip: bool) -> Tensor:
    scores_NK: Tensor = model(clip_BCTHW, boxes_N5, *bank_BLD).float().sigmoid()
    if not flip:
        return scores_NK
    return (scores_NK + model(clip_BCTHW.flip(-1), mirrored(boxes_N5), *bank_BLD).float().sigmoid()) / 2


def features_of(model: nn.Module, clip_BCTHW: Tensor, boxes_N5: Tensor, *_bank_BLD: Tensor) -> Tensor:
    """What a feature bank stores of each person, [N, D]: clips [B, C, T, H, W], boxes [N, 5], no window of a bank."""
    return cast(PersonModel, model).person_features(clip_BCTHW, boxes_N5)


def mirrored(boxes_N5: Tensor) -> Tensor:
    """The boxes in the mirror image, [N, 5]: clip number, x1 y1 x2 y2 as fractions.

    >>> mirrored(torch.tensor([[0, 0.25, 0.5, 0.5, 1.0]]))
    tensor([[0.0000, 0.5000, 0.5000, 0.7500, 1.0000]])
    """
    turned_N5 = boxes_N5.clone()
    turned_N5[:, 1], turned_N5[:, 3] = 1 - boxes_N5[:, 3], 1 - boxes_N5[:, 1]
    return turned_N5


def detections_of(
    scored: ScoredPersons, persons: PersonSet, *, class_ids: Sequence[int], least_score: float = LEAST_SCORE
) -> pl.DataFrame:
    """The scores as a frame of kind `detections`: a row a person and class, those below `least_score` left out.

    Args:
        scored: N persons.
        persons: the set that they stand in.
        class_ids: of the K columns.
        least_score: of a row.
    Raises:
        BadInput: there are not as many class ids as columns.
    """
    num, width = scored.scores_NK.shape
    if not num:
        return frame_of("detections", [])
    if width != len(class_ids):
        raise BadInput(
            f"{len(class_ids)} class ids for a model of {width} outputs", mend="Give the model's own classes"
        )
    row_R, column_R = np.nonzero(scored.scores_NK >= np.float32(least_score))
    examples = [persons.examples[number] for number in scored.numbers_N]
    boxes_R4 = scored.boxes_N4[row_R]
    # Six decimals: what the AVA format's readers and writers keep apart.
    scores_R = np.round(scored.scores_NK[row_R, column_R].astype(np.float64), 6)
    frame = pl.DataFrame(
        {
            "video_id": pl.Series([one.video_id for one in examples], dtype=pl.String).gather(row_R),
            "timestamp_us": np.array([one.timestamp_us for one in examples], dtype=np.int64)[row_R],
            **{name: boxes_R4[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))},
            "class_id": np.array(class_ids, dtype=np.int64)[column_R],
            "score": scores_R,
        }
    )
    return frame.select(frame_of("detections", []).columns)


def truth_of(persons: PersonSet) -> pl.DataFrame:
    """The set's ground truth as `gesta.evaluate.frame_map` takes it, in the set's order.

    Columns: video_id, timestamp_us, x1 y1 x2 y2, class_id, a row a person and class it does; and a row with nulls for
    each key-frame, so that one on which nobody does anything counts too.
    """
    ids_K = np.array(persons.class_ids, dtype=np.int64)
    parts = [
        (number, place, int(class_id))
        for number, example in enumerate(persons.examples)
        for place in range(len(example.boxes_N4))
        for class_id in ids_K[example.targets_NK[place] > 0]
    ]
    examples = persons.examples
    boxes_R4 = np.array([examples[number].boxes_N4[place] for number, place, _ in parts]).reshape(-1, 4)
    labels = pl.DataFrame(
        {
            "video_id": pl.Series([examples[number].video_id for number, _, _ in parts], dtype=pl.String),
            "timestamp_us": pl.Series([examples[number].timestamp_us for number, _, _ in parts], dtype=pl.Int64),
            **{name: boxes_R4[:, i] for i, name in enumerate(("x1", "y1", "x2", "y2"))},
            "class_id": pl.Series([class_id for _, _, class_id in parts], dtype=pl.Int64),
        }
    )
    keys = pl.DataFrame(
        {
            "video_id": pl.Series([one.video_id for one in examples], dtype=pl.String),
            "timestamp_us": pl.Series([one.timestamp_us for one in examples], dtype=pl.Int64),
        }
    ).unique(maintain_order=True)
    return pl.concat([keys, labels], how="diagonal").select(labels.columns)
