"""Batches of key-frames with their persons straight from the films, made in worker processes, the same at any number.

What an example looks like depends on the seed, the epoch and its number in the set alone. Workers decode, cut and
scale; the device mirrors and normalises (`persons_to_model`).

A key-frame that cannot be read is replaced, in training, by the next one of another file (in the set's order, round
the end), since a file that is broken at one second is broken at the next; each time it becomes a reject of the batch.
Where a test asks for it, it is left out instead.

Shapes: B clips, T frames, H and W px, N persons.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gesta.schema import BadInput, BadVideo, GestaError, Reject, UnknownName
from gesta.train.clips.augment import color_factors, is_flipped
from gesta.train.clips.batches import UNREADABLE
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.workers import in_workers
from gesta.train.persons.augment import (
    WHOLE,
    PersonAugment,
    boxes_in_window,
    draw_person_change,
    frames_in_store,
    jittered_boxes,
    shown_window,
)
from gesta.train.persons.boxes import WHICH, PersonBoxes, persons_shown, taken
from gesta.train.persons.examples import PersonExample, PersonSet, reject_of
from gesta.train.persons.footage import open_key_frame
from gesta.train.persons.rows import PersonBatch, PersonRow, batch_of, empty_batch, scaled_frames
from gesta.train.persons.sampling import key_frame_times

NUM_STAND_INS = 4
"""Key-frames tried in place of one that cannot be read, before the run stops. Source: ours, as for clips."""

KEY_FRAMES_PER_TASK = 4
"""Key-frames that a worker makes at a time. Source: ours; a batch is shared out among workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """One key-frame wanted: the example, and those to take in its place."""

    number: int
    example: PersonExample
    stand_ins: tuple[tuple[int, PersonExample], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What a worker makes of wishes; `problem` where nothing could be read though something had to be.

    All pixels travel as one tensor, since each tensor that comes from a process holds a file open until it is used.
    """

    pixels: Tensor
    sizes: tuple[tuple[int, ...], ...]
    rows: tuple[PersonRow, ...]
    rejects: tuple[Reject, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """How rows are made: all that a worker needs to know beside its wishes."""

    frames: ClipFrames
    augment: PersonAugment
    boxes: PersonBoxes
    source: ClipSource
    which: str
    seed: int
    epoch: int
    leaves_out: bool

    def __call__(self, wishes: tuple[_Wish, ...]) -> _Made:
        rows: list[PersonRow] = []
        rejects: list[Reject] = []
        problem = ""
        for wish in wishes:
            num_before = len(rejects)
            for shown, example in ((wish.number, wish.example), *wish.stand_ins):
                try:
                    rows.append(self.row(example, number=wish.number, shown=shown))
                    break
                except BadVideo as error:
                    rejects.append(reject_of(example, reason=error.reason, detail=error.problem))
            else:
                if not self.leaves_out and not problem:
                    num = len(rejects) - num_before
                    problem = f"{num} key-frames on end cannot be read, the last because: {rejects[-1].detail}"
        return _packed(rows, rejects=rejects, problem=problem)

    def row(self, example: PersonExample, *, number: int, shown: int) -> PersonRow:
        """The example as a model is shown it.

        Raises:
            BadVideo: it cannot be read.
        """
        draw = draw_person_change(seed=self.seed, epoch=self.epoch, number=number, num_frames=self.frames.num_frames)
        footage = open_key_frame(example, frames=frames_in_store(self.frames, self.augment), source=self.source)
        width_px, height_px = footage.size_px
        window = shown_window(
            width_px=width_px, height_px=height_px, frames=self.frames, augment=self.augment, draw=draw
        )
        times_T = key_frame_times(
            example.timestamp_us, frames=self.frames, start_us=example.start_us, end_us=example.end_us,
            draw=draw.frames_T if self.augment.jitter_frames else None,
        )  # fmt: skip
        pixels_THWC = footage.read(times_T, window=window)
        if self.augment.crop != "whole":
            pixels_THWC = scaled_frames(pixels_THWC, size_px=(self.frames.crop_px, self.frames.crop_px))
        persons = persons_shown(example, boxes=self.boxes, which=self.which, seed=draw.persons)
        if self.which == "train":
            moved_N4 = jittered_boxes(persons.boxes_N4, augment=self.augment, draw=draw)
            persons = dataclasses.replace(persons, boxes_N4=moved_N4)
        flips = is_flipped(augment=self.augment.as_clip, draw=draw.clip)
        shown_N4, seen_N = boxes_in_window(
            persons.boxes_N4, window=window, width_px=width_px, height_px=height_px, is_flipped=flips
        )
        # Nobody is left out of a whole frame: what is tested is told of every box.
        is_seen_N = (seen_N > 0) & (seen_N >= self.augment.least_seen_frac) | (self.augment.crop == "whole")
        persons = taken(persons, is_seen_N)
        return PersonRow(
            number=number,
            shown=shown,
            pixels_THWC=torch.from_numpy(np.ascontiguousarray(pixels_THWC)),
            boxes_N4=shown_N4[is_seen_N],
            frame_boxes_N4=persons.boxes_N4,
            scores_N=persons.scores_N,
            targets_NK=persons.targets_NK,
            weights_NK=persons.weights_NK,
            is_flipped=flips,
            colors=color_factors(augment=self.augment.as_clip, draw=draw.clip),
            clip_label=example.clip_label,
        )


_NO_PIXELS = torch.empty(0, dtype=torch.uint8)


def _packed(rows: Sequence[PersonRow], *, rejects: Sequence[Reject], problem: str) -> _Made:
    pixels = [row.pixels_THWC for row in rows]
    return _Made(
        pixels=torch.cat([one.flatten() for one in pixels]) if pixels else _NO_PIXELS,
        sizes=tuple(tuple(one.shape) for one in pixels),
        rows=tuple(dataclasses.replace(row, pixels_THWC=_NO_PIXELS) for row in rows),
        rejects=tuple(rejects),
        problem=problem,
    )


def _unpacked(made: _Made) -> Iterator[PersonRow]:
    start = 0
    for row, size in zip(made.rows, made.sizes, strict=True):
        end = start + math.prod(size)
        yield dataclasses.replace(row, pixels_THWC=made.pixels[start:end].view(size))
        start = end


@contextmanager
def person_batches(
    persons: PersonSet,
    *,
    frames: ClipFrames,
    augment: PersonAugment | None,
    boxes: PersonBoxes | None = None,
    numbers: Sequence[Sequence[int]],
    seed: int,
    epoch: int,
    num_workers: int,
    source: ClipSource | None = None,
    queue_len: int = 4,
    unreadable: str = "replace",
    which: str = "train",
    pin_memory: bool | None = None,
) -> Iterator[Iterator[PersonBatch]]:
    """The batches in order, while the block lasts; workers make the next ones ready meanwhile.

    A wanted batch whose clips come out in several sizes, as whole frames of several films do, is given as several
    batches, one a size, in the order of each size's first clip: `PersonBatch.numbers` says which are in it.

    Args:
        persons: what the numbers count.
        frames: what the model is shown.
        augment: random changes; None = none, the whole frame.
        boxes: whose boxes are shown; None = the rules of `PersonBoxes()`.
        numbers: of the examples of each batch.
        seed: of the run.
        epoch: number of the epoch; with the seed and an example's number it decides its changes.
        num_workers: processes that make clips; 0 = this one does.
        source: how examples are opened.
        queue_len: most batches that wait, made ready.
        unreadable: "replace" or "leave-out".
        which: "train" (as `boxes` says), "truth" (all annotated persons) or "proposals" (all good enough ones).
        pin_memory: batches in memory that a GPU copies from without waiting; None = where torch sees a GPU.
    Raises:
        UnknownName: `unreadable` or `which` is none of the choices.
        BadInput: a number is none of the set's.
        GestaError: a worker process died, or `NUM_STAND_INS` key-frames in place of another could not be read either.
    """
    if unreadable not in UNREADABLE:
        raise UnknownName(what="way with unreadable clips", name=unreadable, choices=UNREADABLE)
    if which not in WHICH:
        raise UnknownName(what="choice of boxes", name=which, choices=WHICH)
    for number in (number for batch in numbers for number in batch):
        if not 0 <= number < len(persons):
            raise BadInput(f"there is no example {number}", mend=f"Want 0 to {len(persons) - 1}")
    leaves_out = unreadable == "leave-out"
    make = _Maker(
        frames=frames, augment=WHOLE if augment is None else augment, boxes=boxes or PersonBoxes(),
        source=source or ClipSource(), which=which, seed=seed, epoch=epoch, leaves_out=leaves_out,
    )  # fmt: skip
    tasks = _Tasks(persons=persons, numbers=numbers, num_stand_ins=0 if leaves_out else NUM_STAND_INS)
    num_tasks = [-(-len(batch) // KEY_FRAMES_PER_TASK) for batch in numbers]
    pins = torch.cuda.is_available() if pin_memory is None else pin_memory
    num_classes = len(persons.class_ids)

    def assembled(made: Iterator[_Made]) -> Iterator[PersonBatch]:
        for num in num_tasks:
            yield from _batches_of([next(made) for _ in range(num)], frames=frames, num_classes=num_classes, pins=pins)

    with in_workers(
        make, tasks, assemble=assembled, num_workers=num_workers, queue_len=queue_len,
        tasks_per_batch=max(num_tasks, default=1),
    ) as batches:  # fmt: skip
        yield batches


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tasks:
    """The wishes of all batches, some at a time; made when they are asked for, since an epoch may be a million."""

    persons: PersonSet
    numbers: Sequence[Sequence[int]]
    num_stand_ins: int

    def __iter__(self) -> Iterator[tuple[_Wish, ...]]:
        next_file = _next_of_another_file(self.persons.examples) if self.num_stand_ins else []
        for batch in self.numbers:
            for start in range(0, len(batch), KEY_FRAMES_PER_TASK):
                some = batch[start : start + KEY_FRAMES_PER_TASK]
                yield tuple(self._wish(int(number), next_file) for number in some)

    def _wish(self, number: int, next_file: Sequence[int]) -> _Wish:
        examples = self.persons.examples
        others: list[int] = []
        other = number
        for _ in range(self.num_stand_ins):
            other = next_file[other]
            if other == number or other in others:
                break
            others.append(other)
        return _Wish(
            number=number,
            example=examples[number],
            stand_ins=tuple((other, examples[other]) for other in others),
        )


def _next_of_another_file(examples: Sequence[PersonExample]) -> list[int]:
    """For each example the number of the next one, round the end, that lies in another file; its own if all are one."""
    num = len(examples)
    found = list(range(num))
    following = 0
    # Backwards through two rounds, so that the search of the last ones goes on at the beginning.
    for place in range(2 * num - 2, -1, -1):
        number, after = place % num, (place + 1) % num
        following = after if examples[after].path != examples[number].path else following
        if place < num:
            found[number] = following if examples[following].path != examples[number].path else number
    return found


def _batches_of(made: Sequence[_Made], *, frames: ClipFrames, num_classes: int, pins: bool) -> Iterator[PersonBatch]:
    """The rows as batches, one a size; the first has the rejects.

    Raises:
        GestaError: a key-frame and all that could stand in for it cannot be read.
    """
    problems = [one.problem for one in made if one.problem]
    if problems:
        raise GestaError(problems[0], mend="Look whether the disk with the videos is there")
    rejects = tuple(reject for one in made for reject in one.rejects)
    by_size: dict[tuple[int, ...], list[PersonRow]] = {}
    for one in made:
        for row in _unpacked(one):
            by_size.setdefault(tuple(row.pixels_THWC.shape), []).append(row)
    if not by_size:
        yield empty_batch(frames=frames, num_classes=num_classes, rejects=rejects)
    for place, rows in enumerate(by_size.values()):
        yield batch_of(rows, rejects=() if place else rejects, pins=pins)
