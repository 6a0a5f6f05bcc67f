"""The training loop: clips and a recipe in, a checkpoint and a log out; a run cut anywhere goes on where it was.

Started by `torchrun`, the processes share the parts of each batch out and end with the same weights.

The folder that comes out:
    model.pt      the weights after the last epoch (averaged where the recipe says so), with classes, preprocessing,
                  recipe and the hash of the clips
    best.pt       the same after the epoch of the highest top-1 on the validation clips, where there are any
    log.jsonl     one object every few steps and one an epoch; tb/ the same for TensorBoard
    train.json    what ran: arguments, recipe, versions, hashes, the device's peak, closing numbers
    rejects/      clips that could not be read
    last.pt       only while it runs
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gesta.schema import GestaError, Reject
from gesta.tables import Json, StageSummary
from gesta.train.batches import batch_numbers
from gesta.train.clips.averaging import averaged_weights
from gesta.train.clips.batches import ClipBatch, clip_batches
from gesta.train.clips.clip_task import clip_task
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.origin import origin_of
from gesta.train.clips.outcome import finished_summary, write_outcome
from gesta.train.clips.processes import Crew
from gesta.train.clips.progress import progress_value
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.recipes import find_clip_recipe
from gesta.train.clips.schedules import learning_rate, num_plateaus_of
from gesta.train.clips.sets import ClipSet, take_per_class
from gesta.train.clips.setup import Run, open_run
from gesta.train.clips.sharding import full_weights
from gesta.train.clips.steps import StepOutcome, StepPlan, take_step
from gesta.train.clips.stops import SIGNALS, Interrupted
from gesta.train.clips.tasks import AnyRecipe, Batch, Data, Task

SAVE_EVERY_S = 600.0
"""Seconds between checkpoints where nothing else is asked. Source: ours; what a cut costs at most."""

LOG_EVERY_STEPS = 10

Line = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """When a checkpoint is written beside those at the ends of epochs: after so many steps or seconds (0 = never)."""

    every_steps: int = 0
    every_s: float = SAVE_EVERY_S


def run_train_clips(
    clips: ClipSet,
    *,
    out: Path,
    recipe: str | ClipRecipe,
    val: ClipSet | None = None,
    seed: int = 0,
    device: str = "auto",
    num_workers: int = 0,
    threads: int | None = None,
    start: Path | str | None = None,
    source: ClipSource | None = None,
    saving: Saving | None = None,
    rejects: Sequence[Reject] = (),
    log_every_steps: int = LOG_EVERY_STEPS,
    on_step: Callable[[Line], None] | None = None,
    on_epoch: Callable[[Line], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> StageSummary:
    """A model trained on the clips, as `out/model.pt`, with its log.

    Goes on from `out/last.pt` where the same run was cut, in the middle of an epoch too; on the CPU the weights are
    those of an uncut run, bit for bit, at any number of workers.

    Args:
        clips: to learn from; a recipe with `per_class` takes that many of each class.
        out: folder for what comes out.
        recipe: a recipe, or the name of one.
        val: clips to try the model on after each epoch.
        seed: of weights, order, changes and dropout.
        device: auto, cpu or cuda.
        num_workers: processes that decode; 0 = this one does.
        threads: of torch; None = torch's own number.
        start: weights to begin from: a `model.pt`, a file of published weights or the name of published ones.
        source: how clips are opened, such as from a cache.
        saving: when checkpoints are written; None = every ten minutes and after each epoch.
        rejects: clips left out before; they are written and counted with those that cannot be read.
        log_every_steps: steps a line of the log.
        on_step: called after each step with what the log would say of it.
        on_epoch: called with each epoch's line of the log.
        on_note: called with a sentence on something that is missing but not needed.
        clock: seconds, for speeds and for `saving`.
    Raises:
        BadInput: too few clips, a recipe that fits neither them nor the processes, or `start` is none of the model's.
        UnknownName: no such recipe, model or device.
        Refused: `out` holds the cut run of something else.
        GestaError: the loss is no number, or spikes again and again.
        Interrupted: SIGTERM or SIGINT came; the checkpoint is written.
    """
    chosen = find_clip_recipe(recipe)
    if chosen.per_class is not None:
        clips = take_per_class(clips, num=chosen.per_class, seed=seed)
    return run_training(
        clip_task(batches=_batches_of_clips), clips, out=out, recipe=chosen, val=val, seed=seed, device=device,
        num_workers=num_workers, threads=threads, start=start, source=source, saving=saving, rejects=rejects,
        log_every_steps=log_every_steps, on_step=on_step, on_epoch=on_epoch, on_note=on_note, clock=clock,
    )  # fmt: skip


def _batches_of_clips(
    clips: ClipSet,
    *,
    recipe: ClipRecipe,
    numbers: Sequence[Sequence[int]],
    seed: int,
    epoch: int,
    source: ClipSource | None,
    num_workers: int,
) -> AbstractContextManager[Iterator[ClipBatch]]:
    return clip_batches(
        clips, frames=recipe.frames, augment=recipe.augment, numbers=numbers, seed=seed, epoch=epoch, source=source,
        num_workers=num_workers,
    )  # fmt: skip


def run_training(
    task: Task,
    data: Data,
    *,
    out: Path,
    recipe: AnyRecipe,
    val: Data | None,
    seed: int,
    device: str,
    num_workers: int,
    threads: int | None,
    start: Path | str | None,
    source: ClipSource | None,
    saving: Saving | None,
    rejects: Sequence[Reject],
    log_every_steps: int,
    on_step: Callable[[Line], None] | None,
    on_epoch: Callable[[Line], None] | None,
    on_note: Callable[[str], None] | None,
    clock: Callable[[], float],
) -> StageSummary:
    """A model of that task trained on the data; arguments and errors are those of `run_train_clips`."""
    origin = origin_of(recipe, data=data, val=val, seed=seed, device=device, start=start, files=task.files)
    done = finished_summary(out, fingerprint=origin.made.fingerprint)
    if done is not None:
        return done
    with open_run(
        origin, task=task, data=data, val=val, out=out, threads=threads, start=start, num_workers=num_workers,
        source=source, on_note=on_note, clock=clock,
    ) as run:  # fmt: skip
        run.add_rejects(rejects)
        saver = _Saver(run=run, saving=saving or Saving(), saved_s=clock())
        for line in _epochs(run, saver, log_every_steps=log_every_steps, on_step=on_step):
            if on_epoch is not None:
                on_epoch(line)
        return write_outcome(run)


def _is_over(run: Run) -> bool:
    recipe, progress = run.recipe, run.progress
    if progress.place > 0:
        return False
    num_plateaus = num_plateaus_of(progress.val_losses, patience=recipe.patience)
    return (
        progress.epoch >= recipe.epochs
        or progress.step >= run.num_steps
        or (recipe.schedule == "plateau" and 0 < recipe.max_plateaus <= num_plateaus)
    )


def _epochs(run: Run, saver: _Saver, *, log_every_steps: int, on_step: Callable[[Line], None] | None) -> Iterator[Line]:
    progress = run.progress
    while not _is_over(run):
        for line in _steps(run, saver):
            progress_ends = progress.step % log_every_steps == 0 or progress.place == run.steps_per_epoch
            if on_step is not None:
                on_step(line)
            if progress_ends:
                run.write({"kind": "step", **line, **run.meter.reading()})
                run.meter.reset()
        line = _end_epoch(run)
        run.write(line)
        progress.begin_epoch()
        saver.save()
        yield line


def _steps(run: Run, saver: _Saver) -> Iterator[Line]:
    """The steps of the present epoch that are still to be taken."""
    recipe, progress, crew = run.recipe, run.progress, run.setting.crew
    order = batch_numbers(
        len(run.data.examples),
        clips_per_batch=recipe.clips_per_batch,
        seed=run.setting.seed,
        epoch=progress.epoch,
        shuffle=True,
    )
    todo = order[progress.place : progress.place + run.num_steps - progress.step]
    own = [_own_parts(batch, recipe=recipe, part_numbers=crew.own_parts(recipe.num_parts)) for batch in todo]
    with run.task.batches(
        run.data,
        recipe=recipe,
        numbers=[part for parts in own for _number, part in parts],
        seed=run.setting.seed,
        epoch=progress.epoch,
        source=run.source,
        num_workers=run.num_workers,
    ) as prepared:
        for batch, parts in zip(todo, own, strict=True):
            asked_s = run.clock()
            ready = _next_parts(prepared, num=len(parts), saver=saver)
            waited_s = run.clock() - asked_s
            plan = _plan_of(run, batch, part_numbers=[number for number, _part in parts])
            outcome = take_step(run.learner, ready, plan=plan, setting=run.setting, pool=run.pool)
            _account(run, ready, plan=plan, outcome=outcome, waited_s=waited_s, spent_s=run.clock() - asked_s)
            yield _step_line(run, plan=plan, outcome=outcome)
            saver.after_step()


def _next_parts(prepared: Iterator[Batch], *, num: int, saver: _Saver) -> list[Batch]:
    try:
        return [next(prepared) for _ in range(num)]
    except GestaError:
        # A signal to all processes ends those that decode too; the weights are those of the last step, so write them.
        if saver.run.stop.signal_number and saver.run.setting.crew.size == 1:
            saver.after_step()
        raise


def _own_parts(
    batch: Sequence[int], *, recipe: AnyRecipe, part_numbers: Sequence[int]
) -> list[tuple[int, tuple[int, ...]]]:
    """Number and clips of each part of the batch that this process computes."""
    num_parts = parts_in_batch(len(batch), recipe=recipe)
    parts = [tuple(int(number) for number in part) for part in np.array_split(np.asarray(batch), num_parts)]
    return [(number, parts[number]) for number in part_numbers if number < num_parts]


def parts_in_batch(num_clips: int, *, recipe: AnyRecipe) -> int:
    """How many parts a batch is cut into: the recipe's number, fewer where a part would have one clip only.

    Batch norm over a single clip has nothing to compare it with where a map is one pixel large; a norm whose
    statistics stay needs nothing to compare it with.
    """
    least = 1 if recipe.frozen_norms else 2
    return max(1, min(recipe.num_parts, num_clips // least))


def _plan_of(run: Run, batch: Sequence[int], *, part_numbers: Sequence[int]) -> StepPlan:
    recipe, progress = run.recipe, run.progress
    rate = learning_rate(
        recipe,
        step=progress.step,
        steps_per_epoch=run.steps_per_epoch,
        num_steps=run.num_steps,
        num_plateaus=num_plateaus_of(progress.val_losses, patience=recipe.patience),
    )
    return StepPlan(
        epoch=progress.epoch,
        place=progress.place,
        step=progress.step,
        rate=rate,
        num_clips=len(batch),
        num_parts=parts_in_batch(len(batch), recipe=recipe),
        part_numbers=tuple(part_numbers),
        clip_ids=tuple(run.data.examples[number].clip_id for number in batch),
    )


def _account(
    run: Run, ready: Sequence[Batch], *, plan: StepPlan, outcome: StepOutcome, waited_s: float, spent_s: float
) -> None:
    progress = run.progress
    progress.place, progress.step = progress.place + 1, progress.step + 1
    progress.loss_sum += outcome.loss * outcome.weight
    progress.loss_weight += outcome.weight
    progress.train_s += spent_s
    for meter in (run.meter, run.epoch_meter):
        meter.add(num_clips=plan.num_clips, waited_s=waited_s, spent_s=spent_s)
    for batch in ready:
        run.add_rejects(batch.rejects)


def _step_line(run: Run, *, plan: StepPlan, outcome: StepOutcome) -> dict[str, Json]:
    return {
        "epoch": plan.epoch,
        "step": run.progress.step,
        "loss": round(outcome.loss, 6),
        "lr": plan.rate,
        "gradient_norm": round(outcome.gradient_norm, 6),
        "is_skipped": outcome.is_skipped,
        "num_skipped": run.learner.guard.num_skipped,
        **run.meter.reading(),
    }


def _end_epoch(run: Run) -> dict[str, Json]:
    """The epoch's line; the model was tried on the validation clips, and kept if it is the best so far."""
    progress, setting = run.progress, run.setting
    line: dict[str, Json] = {
        "kind": "epoch",
        "epoch": progress.epoch,
        "step": progress.step,
        "loss": round(progress.loss_sum / max(1, progress.loss_weight), 6),
        "num_skipped": run.learner.guard.num_skipped,
        **run.epoch_meter.reading(),
    }
    run.epoch_meter.reset()
    if run.val is None:
        run.add_rejects(setting.crew.gather(list(run.rejects.values())))
        return line
    with averaged_weights(run.learner.model, run.learner.averaged):
        found = run.task.validate(
            run.learner.model, run.val, setting=setting, num_workers=run.num_workers, source=run.source
        )
        run.add_rejects(setting.crew.gather([*run.rejects.values(), *found.rejects]))
        progress.val_losses.append(found.loss)
        if found.score > progress.best_score:
            progress.best_score = found.score
            weights = full_weights(run.learner.model, crew=setting.crew)
            if setting.crew.is_first:
                run.task.save(run.out / "best.pt", dataclasses.replace(run.about, weights=weights))
    return line | dict(found.numbers)


@dataclass(slots=True, kw_only=True)
class _Saver:
    """Writes `last.pt` when it is time, and stops the run when a signal asked for it."""

    run: Run
    saving: Saving
    saved_s: float

    def after_step(self) -> None:
        run, saving = self.run, self.saving
        # Steps are counted alike everywhere; clocks and signals are not, so the processes agree on these.
        is_late = saving.every_s > 0 and run.clock() - self.saved_s > saving.every_s
        signal_number, is_late = _agreed(run.setting.crew, run.stop.signal_number, is_late=is_late)
        is_due = saving.every_steps > 0 and run.progress.step % saving.every_steps == 0
        if signal_number or is_late or is_due:
            self.save()
        if signal_number:
            raise Interrupted(
                f"stopped by signal {signal_number} after step {run.progress.step} of {run.num_steps}; "
                f"{run.out / 'last.pt'} is written. Give the same command again to go on",
                signal_number=signal_number,
            )

    def save(self) -> None:
        run, learner, crew = self.run, self.run.learner, self.run.setting.crew
        value = progress_value(learner, run.progress, crew=crew)
        weights = learner.averaged if learner.averaged is not None else full_weights(learner.model, crew=crew)
        if crew.is_first:
            run.task.save(run.out / "last.pt", dataclasses.replace(run.about, weights=weights, progress=value))
        self.saved_s = run.clock()


def _agreed(crew: Crew, signal_number: int, *, is_late: bool) -> tuple[int, bool]:
    """The signal that came to any process, and whether any finds it late."""
    if crew.size == 1:
        return signal_number, is_late
    sums = crew.sum_numbers([float(signal_number == number) for number in SIGNALS] + [float(is_late)])
    came = [int(number) for number, count in zip(SIGNALS, sums, strict=False) if count > 0]
    return (came[0] if came else 0), sums[-1] > 0
