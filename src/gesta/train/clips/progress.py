"""Where a run stands, and how it is put into a checkpoint and taken out again, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gesta.train.clips.guards import guard_of
from gesta.train.clips.processes import Crew
from gesta.train.clips.sharding import full_optimiser, full_weights, put_optimiser, put_weights
from gesta.train.clips.steps import Learner


@dataclass(slots=True, kw_only=True)
class Progress:
    """What has been done: whole epochs, steps of the present one, and its losses, weighted by what they are means of.

    `rejects` are the clips that could not be read; `is_compiled` is what was chosen at the beginning.
    """

    epoch: int = 0
    place: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_weight: float = 0.0
    val_losses: list[float] = field(default_factory=list)
    best_score: float = -math.inf
    train_s: float = 0.0
    is_compiled: bool | None = None
    rejects: list[dict[str, str]] = field(default_factory=list)

    def begin_epoch(self) -> None:
        """Nothing; the epoch is over and its sums begin anew."""
        self.epoch, self.place, self.loss_sum, self.loss_weight = self.epoch + 1, 0, 0.0, 0.0


def progress_value(learner: Learner, progress: Progress, *, crew: Crew) -> dict[str, Any]:
    """What a checkpoint holds beside the weights of the model that would come out; all processes must ask for it."""
    return {
        "plain": json.dumps({"progress": dataclasses.asdict(progress), "guard": learner.guard.as_progress()}),
        "weights": full_weights(learner.model, crew=crew) if learner.averaged is not None else {},
        "optimiser": full_optimiser(learner.model, learner.optimiser, crew=crew),
        "scaler": learner.scaler.state_dict(),
    }


def put_progress(learner: Learner, value: Mapping[str, Any], *, weights: Mapping[str, Any], crew: Crew) -> Progress:
    """Where the run stood; the learner is as it was then.

    Args:
        learner: a fresh one of the same recipe.
        value: what `progress_value` gave.
        weights: those that the checkpoint holds beside it: the average where the run keeps one.
        crew: this process.
    """
    plain = json.loads(value["plain"])
    put_weights(learner.model, value["weights"] or weights, crew=crew)
    put_optimiser(learner.model, learner.optimiser, value["optimiser"], crew=crew)
    if learner.averaged is not None:
        for name, tensor in learner.averaged.items():
            tensor.copy_(weights[name])
    learner.scaler.load_state_dict(value["scaler"])
    learner.guard = guard_of(learner.guard.rule, plain["guard"])
    return Progress(**plain["progress"])
