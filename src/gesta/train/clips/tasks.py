"""What the one training loop asks of a task: the few places where training on clips and on persons differ.

Data are a `ClipSet` or whatever a task makes batches of: `examples` with a `clip_id` each, `class_ids`, `class_names`
and `sha256`. The loop looks into a batch only for its `rejects`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from torch import Tensor, nn

from gesta.schema import Reject
from gesta.tables import Json

if TYPE_CHECKING:
    from gesta.train.clips.footage import ClipSource
    from gesta.train.clips.recipe import ClipRecipe
    from gesta.train.clips.steps import Setting, StepPlan
    from gesta.train.persons.recipe import PersonRecipe

AnyRecipe: TypeAlias = "ClipRecipe | PersonRecipe"
"""Recipes name what decides how a model learns alike."""

Data: TypeAlias = Any
Batch: TypeAlias = Any
Checkpoint: TypeAlias = Any

Forward = Callable[..., Any]
"""A model's answer to its inputs, `forward(model, *inputs)`; compiled where that is faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A model's numbers on validation data: mean loss, the score that decides which epoch is best, and all for the log.

    `rejects` are the examples of this process that could not be read.
    """

    loss: float
    score: float
    numbers: Mapping[str, Json]
    rejects: Sequence[Reject]


class MakeBatches(Protocol):
    """A block in which the training batches of those numbers come one by one."""

    def __call__(
        self,
        data: Data,
        /,
        *,
        recipe: Any,
        numbers: Sequence[Sequence[int]],
        seed: int,
        epoch: int,
        source: ClipSource | None,
        num_workers: int,
    ) -> AbstractContextManager[Iterator[Batch]]:
        """The batches in order, while the block lasts."""


class ShareOfLoss(Protocol):
    """A part's share of the loss of the whole batch: the parts' shares add up to it."""

    def __call__(self, model: nn.Module, part: Batch, /, *, totals: Sequence[float], setting: Setting) -> Tensor:
        """A scalar, to be gone back from."""


class Validate(Protocol):
    """How good a model is on data that it has not seen."""

    def __call__(
        self, model: nn.Module, val: Data, /, *, setting: Setting, num_workers: int, source: ClipSource | None
    ) -> Tried:
        """The numbers over all processes; each takes its share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Training on clips, or on persons, as the loop needs to know it.

    Attributes:
        noun: what an example is called in messages, such as "clip".
        check: nothing, once `(data, val, recipe)` can be learnt from; raises BadInput.
        build: a fresh model of `(recipe, data)`.
        put_start: nothing; the model has the weights of `start`, `(model, start, data)`.
        batches: training batches.
        totals: what the batch's sums are divided by, over all processes, the first being the batch's weight in the
            epoch's mean: `(own parts, plan, setting)`.
        share_of_loss: of one part.
        validate: numbers after an epoch.
        inputs: random inputs of `(recipe, number of clips, device)`, for timing.
        plain: the model's answer, not compiled.
        compiled: the same, compiled, of one model.
        entry: the module's method that the forward functions call, which shards its weights too.
        flops: operations of one example there and back, `(recipe, data)`.
        checkpoint: a checkpoint without weights of `(recipe, data, fingerprint)`.
        save: a checkpoint to a path.
        load: a checkpoint from a path.
        counts: numbers of the data for the closing summary.
        files: hashes of what else decides the weights, by name.
    """

    noun: str
    check: Callable[[Data, Data | None, Any], None]
    build: Callable[[Any, Data], nn.Module]
    put_start: Callable[[nn.Module, Path | str, Data], None]
    batches: MakeBatches
    totals: Callable[[Sequence[Batch], StepPlan, Setting], tuple[float, ...]]
    share_of_loss: ShareOfLoss
    validate: Validate
    inputs: Callable[[Any, int, str], tuple[Tensor, ...]]
    plain: Forward
    compiled: Callable[[nn.Module], Forward]
    entry: str
    flops: Callable[[Any, Data], float]
    checkpoint: Callable[[Any, Data, str], Checkpoint]
    save: Callable[[Path, Checkpoint], Path]
    load: Callable[[Path], Checkpoint]
    counts: Callable[[Data], dict[str, Json]]
    files: Mapping[str, str] = field(default_factory=dict)
