"""When a question has had enough answers, what the answers amount to, and whose answers count.

The service that hands out questions and the stage that reads the votes must agree to the letter, so the rules
stand here, below both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How many answers an item may get, and when it is decided."""

    max_votes: int
    accept_yes: int
    stop_at: int

    def verdict(self, counts: Mapping[str, int]) -> str:
        """`accepted`, `rejected` or `open`, from the number of counted votes of each answer.

        Accepted at `accept_yes` positives. Rejected when another answer has been given `stop_at` times, or when
        `max_votes` have been cast without enough positives. Else open: more answers are wanted.

        >>> CLIP_PROTOCOL.verdict({"yes": 3, "no": 1}), CLIP_PROTOCOL.verdict({"no": 3})
        ('accepted', 'rejected')
        >>> (
        ...     CLIP_PROTOCOL.verdict({"yes": 2, "no": 2}),
        ...     CLIP_PROTOCOL.verdict({"yes": 2, "no": 2, "unsure": 1}),
        ... )
        ('open', 'rejected')
        """
        num_yes = counts.get("yes", 0)
        if num_yes >= self.accept_yes:
            return "accepted"
        stopped = any(count >= self.stop_at for answer, count in counts.items() if answer != "yes")
        return "rejected" if stopped or sum(counts.values()) >= self.max_votes else "open"


CLIP_PROTOCOL = Protocol(max_votes=5, accept_yes=3, stop_at=3)
"""Source: Kinetics-400 paper, section 3.3: at least 3 positives, at most 5 answers, and none more once one response
has been given by more than 2."""

BOX_PROTOCOL = Protocol(max_votes=3, accept_yes=2, stop_at=2)
"""Source: AVA-Kinetics paper, section 1.2, step 5: kept when verified by at least 2 of 3 raters. The paper has no
early stop; stopping at 2 equal answers cannot change the verdict, since the third could not reach 2 positives
unless both were positive."""

PROTOCOLS: Mapping[str, Protocol] = {"clip": CLIP_PROTOCOL, "box": BOX_PROTOCOL}
"""The protocol of each kind of item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRule:
    """Whose votes count: workers who, once they met `min_gold` gold items, had `min_accuracy` of them right."""

    min_gold: int = 8
    min_accuracy: float = 0.7

    def is_trusted(self, *, num_gold: int, num_gold_right: int) -> bool:
        """Whether the worker's votes count; a worker with too few gold answers to tell is trusted.

        Source: ours. The Kinetics-400 paper (3.3) warns below 50 %, which a worker who always says yes passes when
        half the gold is positive; at 0.7 and 8 gold a worker who errs 8 % of the time is barred with probability
        0.02, one who guesses stays with 0.14, and with 0.06 after 20.

        >>> (
        ...     TrustRule().is_trusted(num_gold=8, num_gold_right=5),
        ...     TrustRule().is_trusted(num_gold=7, num_gold_right=0),
        ... )
        (False, True)
        """
        return num_gold < self.min_gold or num_gold_right >= self.min_accuracy * num_gold
