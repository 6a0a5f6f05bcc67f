"""What stops a run that learns nothing more: a loss that is no number, and losses that spike again and again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gesta.schema import GestaError
from gesta.train.clips.recipe import SpikeRule


@dataclass(slots=True, kw_only=True)
class LossGuard:
    """The last losses, and which of the last steps were skipped; one object goes through a run."""

    rule: SpikeRule
    losses: list[float] = field(default_factory=list)
    skipped: list[bool] = field(default_factory=list)
    num_skipped: int = 0

    def skips(self, loss: float, *, is_overflow: bool = False) -> bool:
        """Whether the step is to be skipped, because of a spike or of a gradient that float16 could not hold.

        Raises:
            GestaError: too many of the last steps were skipped.
        """
        rule = self.rule
        median = statistics.median(self.losses) if len(self.losses) >= rule.at_least else math.inf
        is_skipped = is_overflow or (rule.factor > 0 and loss > rule.factor * median)
        self.skipped = [*self.skipped, is_skipped][-rule.window :]
        if not is_skipped:
            self.losses = [*self.losses, loss][-rule.window :]
            return False
        self.num_skipped += 1
        if sum(self.skipped) > rule.max_skipped:
            why = (
                "float16 could not hold their gradients"
                if is_overflow
                else f"their loss being above {rule.factor:g} times the median ({median:.4g})"
            )
            raise GestaError(
                f"{sum(self.skipped)} of the last {len(self.skipped)} steps were skipped, {why}",
                mend="Lower base_lr, set clip_norm, or look at the data of those steps in log.jsonl",
            )
        return True

    def as_progress(self) -> dict[str, Any]:
        """Plain values for a checkpoint; `guard_of` reads them back."""
        return {"losses": self.losses, "skipped": self.skipped, "num_skipped": self.num_skipped}


def guard_of(rule: SpikeRule, progress: Mapping[str, Any]) -> LossGuard:
    """The guard that `LossGuard.as_progress` wrote."""
    return LossGuard(
        rule=rule,
        losses=list(progress["losses"]),
        skipped=list(progress["skipped"]),
        num_skipped=progress["num_skipped"],
    )


def refuse_no_number(
    loss: float, gradient_norm: float, *, epoch: int, step: int, clip_ids: Sequence[str], base_lr: float
) -> None:
    """Nothing, once both are numbers.

    Raises:
        GestaError: the loss or the gradient is infinite or no number; the message names the clips.
    """
    if math.isfinite(loss) and math.isfinite(gradient_norm):
        return
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {gradient_norm}"
    shown = ", ".join(clip_ids[:40]) + (f" and {len(clip_ids) - 40} more" if len(clip_ids) > 40 else "")
    raise GestaError(
        f"{what} at epoch {epoch}, step {step} (clips {shown})",
        mend=f"Look at these clips, lower base_lr (now {base_lr:g}), or train with precision='float32'",
    )
