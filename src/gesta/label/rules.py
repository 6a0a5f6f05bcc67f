"""Under what rules questions are handed out and answers counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gesta.schema import PROTOCOLS, US_PER_S, BadInput, Protocol, TrustRule

KINDS = ("class", "cluster", "frame", "person", "clip", "box", "suggestion")
"""The order in which kinds are handed out where a worker may be given several. Source: ours."""

TASK_SIZES: Mapping[str, int] = {
    "clip": 20, "suggestion": 20, "frame": 10, "person": 10, "box": 20, "cluster": 10, "class": 1,
}  # fmt: skip
"""Questions in a task. Source: clip: Kinetics-400 paper, section 3.3; the others ours, a few minutes of work each."""

REVIEW_KINDS = ("cluster", "class")
"""Kinds that only reviewers and owners are asked: the papers' authors did these themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Under what rules questions are handed out and answers counted.

    `lease_us` is how long a worker may take over a task; `prepared_lease_us` how long the next task, made ready while
    the last one was sent, waits to be fetched (0 = none is made ready). A class whose share of accepted clips is below
    `class_threshold_frac` once `class_after_num_clips` are decided is paused (0 = never).

    Raises:
        BadInput: a number is none.

    Source: 20 clips a task, 2 of them gold, a warning below 50 % right, class accuracy after 20 clips with a
    threshold that starts at 50 %: Kinetics-400 paper, section 3.3. Leases: ours.
    """

    protocols: Mapping[str, Protocol] = field(default_factory=lambda: dict(PROTOCOLS))
    trust: TrustRule = field(default_factory=TrustRule)
    kinds: tuple[str, ...] = KINDS
    items_per_task: Mapping[str, int] = field(default_factory=lambda: dict(TASK_SIZES))
    gold_per_task: int = 2
    warn_below_frac: float = 0.5
    class_threshold_frac: float = 0.5
    class_after_num_clips: int = 20
    lease_us: int = 30 * 60 * US_PER_S
    prepared_lease_us: int = 60 * US_PER_S
    asks_suggestion_after_no: bool = False

    def __post_init__(self) -> None:
        for kind, num_items in self.items_per_task.items():
            if not 1 <= num_items <= 200 or num_items <= (self.gold_per_task if kind in ("clip", "box") else 0):
                raise BadInput(
                    f"a task of {num_items} {kind} questions with {self.gold_per_task} gold",
                    mend="Want 1 to 200 questions, and more of them than gold",
                )
        if not 0 <= self.class_threshold_frac <= 1 or not 0 <= self.warn_below_frac <= 1:
            raise BadInput("a share is not in 0..1", mend="Give 0.5 for one half")
        if self.lease_us <= 0 or self.prepared_lease_us < 0 or self.gold_per_task < 0:
            raise BadInput("a lease or the number of gold questions is negative", mend="Want 0 or more")

    def num_gold_for(self, kind: str, num_asked: int) -> int:
        """How many gold questions go with so many real ones: the full task's share, at least one.

        Source: 2 of 20 as in the Kinetics-400 paper (3.3). The last tasks of a run are short; two gold questions in
        each of them would use up the gold and tell the worker what they are.

        >>> Rules().num_gold_for("clip", 18), Rules().num_gold_for("clip", 3), Rules().num_gold_for("clip", 0)
        (2, 1, 0)
        """
        room = self.items_per_task[kind] - self.gold_per_task
        return -(-num_asked * self.gold_per_task // room) if room > 0 else 0
