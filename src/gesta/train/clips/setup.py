"""A run made ready: its device and processes, its model from scratch, from given weights or from where it was cut."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from gesta.schema import BadInput, Refused, Reject
from gesta.tables import Json, Provenance
from gesta.train.clips.averaging import begin_average
from gesta.train.clips.compiling import choose_forward
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.gradients import make_copies
from gesta.train.clips.guards import LossGuard
from gesta.train.clips.logs import open_log
from gesta.train.clips.optimisers import make_optimiser
from gesta.train.clips.origin import Origin
from gesta.train.clips.processes import Crew, joined_crew
from gesta.train.clips.progress import Progress, put_progress
from gesta.train.clips.sharding import shard
from gesta.train.clips.speed import Meter, Peak, peak_of
from gesta.train.clips.steps import Learner, Setting, to_train
from gesta.train.clips.stops import StopRequest, stop_signals
from gesta.train.clips.tasks import AnyRecipe, Checkpoint, Data, Forward, Task
from gesta.train.devices import seeded, threads_in_use
from gesta.train.parts import part_workers


@dataclass(slots=True, kw_only=True)
class Run:
    """All that the loop needs; `learner`, `progress` and the meters change."""

    data: Data
    val: Data | None
    out: Path
    setting: Setting
    learner: Learner
    progress: Progress
    about: Checkpoint
    made: Provenance
    peak: Peak
    timings: Mapping[str, float]
    meter: Meter
    epoch_meter: Meter
    pool: Executor
    stop: StopRequest
    write: Callable[[Mapping[str, Json]], None]
    clock: Callable[[], float]
    num_workers: int
    source: ClipSource | None
    rejects: dict[tuple[str | None, ...], Reject] = field(default_factory=dict)

    @property
    def recipe(self) -> AnyRecipe:
        """What decides the run."""
        return self.setting.recipe

    @property
    def task(self) -> Task:
        """What is trained on."""
        return self.setting.task

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return steps_per_epoch(self.recipe, num_clips=len(self.data.examples))

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return num_steps(self.recipe, num_clips=len(self.data.examples))

    def add_rejects(self, rejects: Sequence[Reject]) -> None:
        """Nothing; a clip that could not be read is noted once, however often it is met."""
        for reject in rejects:
            if _key_of(reject) not in self.rejects:
                self.rejects[_key_of(reject)] = reject
                self.progress.rejects.append(dataclasses.asdict(reject))


def _key_of(reject: Reject) -> tuple[str | None, ...]:
    return (reject.clip_id, reject.video_id, reject.path, reject.reason)


def steps_per_epoch(recipe: AnyRecipe, *, num_clips: int) -> int:
    """Batches of an epoch, as many as are needed to show each clip once."""
    return max(1, -(-num_clips // recipe.clips_per_batch))


def num_steps(recipe: AnyRecipe, *, num_clips: int) -> int:
    """Steps of the whole run: all epochs, or the recipe's `max_steps` where these are fewer."""
    total = recipe.epochs * steps_per_epoch(recipe, num_clips=num_clips)
    return min(total, recipe.max_steps) if recipe.max_steps else total


@contextmanager
def open_run(
    origin: Origin,
    *,
    task: Task,
    data: Data,
    val: Data | None,
    out: Path,
    threads: int | None,
    start: Path | str | None,
    num_workers: int,
    source: ClipSource | None,
    on_note: Callable[[str], None] | None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Run]:
    """The run, begun or resumed, while the block lasts.

    Raises:
        BadInput: see the task's `check`; or the recipe fits not the processes, or `start` not the model.
        UnknownName: there is no such model.
        Refused: `out` holds the cut run of something else.
    """
    recipe = origin.recipe
    task.check(data, val, recipe)
    found = cut_run(out, fingerprint=origin.made.fingerprint, load=task.load)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        crew = stack.enter_context(joined_crew(origin.device, needs_group=recipe.sharding == "fsdp"))
        crew.own_parts(recipe.num_parts)
        if crew.is_first:
            _clear_half_written(out)
        stack.enter_context(threads_in_use(threads))
        stack.enter_context(seeded(origin.seed))
        stack.enter_context(_fast_convolutions(crew.device))
        learner = _fresh_learner(data, task=task, origin=origin, crew=crew, start=start)
        progress = Progress()
        if found is not None:
            progress = put_progress(learner, found.progress, weights=found.weights, crew=crew)
        timings: Mapping[str, float] = {}
        if progress.is_compiled is None:
            chosen, timings = _choice(learner.model, task=task, origin=origin, crew=crew, clock=clock)
            progress.is_compiled = chosen
        forward: Forward = task.compiled(learner.model) if progress.is_compiled else task.plain
        peak = peak_of(crew.device, precision=origin.precision, clock=clock)
        meters = [Meter(flops_per_clip=task.flops(recipe, data), peak=peak, num_devices=crew.size) for _ in range(2)]
        yield Run(
            data=data,
            val=val,
            out=out,
            setting=Setting(
                task=task, recipe=recipe, crew=crew, precision=origin.precision, seed=origin.seed, forward=forward
            ),
            learner=learner,
            progress=progress,
            about=task.checkpoint(recipe, data, origin.made.fingerprint),
            made=origin.made,
            peak=peak,
            timings=timings,
            meter=meters[0],
            epoch_meter=meters[1],
            pool=stack.enter_context(_pool(learner.copies, device=crew.device)),
            stop=stop,
            write=stack.enter_context(
                open_log(out, last_step=progress.step, is_first=crew.is_first, on_note=on_note)
            ),
            clock=clock,
            num_workers=num_workers,
            source=source,
            rejects={_key_of(Reject(**row)): Reject(**row) for row in progress.rejects},
        )  # fmt: skip


def cut_run(out: Path, *, fingerprint: str, load: Callable[[Path], Checkpoint]) -> Checkpoint | None:
    """The checkpoint of this very run where it was cut, None where there is none.

    Raises:
        Refused: it is that of a run of something else.
    """
    last = out / "last.pt"
    if not last.is_file():
        return None
    found = load(last)
    if found.fingerprint != fingerprint:
        raise Refused(
            "this is the checkpoint of a cut run of another recipe, seed, device, version or set of clips",
            where=last,
            mend="Give the same command as then, choose another --out, or delete the file",
        )
    return found


def _clear_half_written(out: Path) -> None:
    """Nothing; checkpoints that a kill cut off while they were written are gone, which may be gigabytes."""
    for path in out.glob(".*.tmp.pt"):
        path.unlink()


@contextmanager
def _pool(copies: Sequence[nn.Module], *, device: str) -> Iterator[Executor]:
    if len(copies) == 1:
        with ThreadPoolExecutor(1) as pool:
            yield pool
    else:
        with part_workers(num_parts=len(copies), threads=torch.get_num_threads(), device=device) as pool:
            yield pool


@contextmanager
def _fast_convolutions(device: str) -> Iterator[None]:
    """A block in which cuDNN times its algorithms: without, float16 convolutions in three dimensions may be slow."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = device.startswith("cuda")
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _fresh_learner(data: Data, *, task: Task, origin: Origin, crew: Crew, start: Path | str | None) -> Learner:
    recipe = origin.recipe
    model = task.build(recipe, data)
    if start is not None:
        task.put_start(model, start, data)
    model.to(crew.device)
    # FSDP refuses weights whose memory is not in the order of their dimensions.
    if recipe.channels_last and recipe.sharding == "none":
        to_channels_last(model)
    if recipe.sharding == "fsdp":
        _check_sharding(recipe, num_clips=len(data.examples))
        model = shard(model, entry=task.entry)
    to_train(model, frozen_norms=recipe.frozen_norms)
    threads = torch.get_num_threads()
    num_parts = recipe.num_parts // crew.size
    return Learner(
        model=model,
        copies=(model,)
        if recipe.sharding == "fsdp"
        else make_copies(model, num_parts=num_parts, threads=threads, device=crew.device),
        optimiser=make_optimiser(model, recipe=recipe),
        scaler=torch.amp.GradScaler(crew.device.split(":")[0], enabled=origin.precision == "float16"),
        averaged=None if recipe.ema_decay is None else begin_average(model),
        guard=LossGuard(rule=recipe.spikes),
    )


def _check_sharding(recipe: AnyRecipe, *, num_clips: int) -> None:
    """Nothing, once every process has as many parts as the others in each batch, and no average is asked for."""
    if recipe.ema_decay is not None:
        raise BadInput("sharded weights are not averaged", mend="Want sharding 'none' or ema_decay None")
    smallest = num_clips // steps_per_epoch(recipe, num_clips=num_clips)
    if smallest < 2 * recipe.num_parts:
        raise BadInput(
            f"a batch of {smallest} clips has fewer than 2 for each of {recipe.num_parts} parts, which wait for one "
            "another where weights are sharded",
            mend="Lower num_parts, or take sharding 'none'",
        )


def to_channels_last(model: nn.Module) -> None:
    """Nothing; kernels of convolutions lie in memory with their channels last."""
    for weight in model.parameters():
        if weight.ndim in (4, 5):
            layout = torch.channels_last_3d if weight.ndim == 5 else torch.channels_last
            weight.data = weight.data.contiguous(memory_format=layout)


def _choice(
    model: nn.Module, *, task: Task, origin: Origin, crew: Crew, clock: Callable[[], float]
) -> tuple[bool, Mapping[str, float]]:
    recipe = origin.recipe
    is_compiled, timings = choose_forward(
        model,
        recipe=recipe,
        num_clips=-(-recipe.clips_per_batch // recipe.num_parts),
        device=crew.device,
        precision=origin.precision,
        clock=clock,
        task=task,
    )
    # All processes do as the first one found.
    return crew.sum_numbers([float(is_compiled and crew.is_first)])[0] > 0, timings
