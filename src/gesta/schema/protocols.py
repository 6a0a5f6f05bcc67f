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
    positive: str = "yes"

    def verdict(self, counts: Mapping[str, int]) -> str:
        """`accepted`, `rejected` or `open`, from the number of counted votes of each answer.

        Accepted at `accept_yes` answers that are `positive`. Rejected when another answer has been given
        `stop_at` times, or when `max_votes` have been cast without enough positives. Else open: more answers are
        wanted.

        >>> CLIP_PROTOCOL.verdict({"yes": 3, "no": 1}), CLIP_PROTOCOL.verdict({"no": 3})
        ('accepted', 'rejected')
        >>> (
        ...     CLIP_PROTOCOL.verdict({"yes": 2, "no": 2}),
        ...     CLIP_PROTOCOL.verdict({"yes": 2, "no": 2, "unsure": 1}),
        ... )
        ('open', 'rejected')
        """
        if counts.get(self.positive, 0) >= self.accept_yes:
            return "accepted"
        stopped = any(count >= self.stop_at for answer, count in counts.items() if answer != self.positive)
        return "rejected" if stopped or sum(counts.values()) >= self.max_votes else "open"


CLIP_PROTOCOL = Protocol(max_votes=5, accept_yes=3, stop_at=3)
"""Source: Kinetics-400 paper, section 3.3: at least 3 positives, at most 5 answers, and none more once one response
has been given by more than 2."""

BOX_PROTOCOL = Protocol(max_votes=3, accept_yes=2, stop_at=2)
"""Source: AVA-Kinetics paper, section 1.2, step 5: kept when verified by at least 2 of 3 raters. The paper has no
early stop; stopping at 2 equal answers cannot change the verdict, since the third could not reach 2 positives
unless both were positive."""


def fewest_votes_left(protocol: Protocol, counts: Mapping[str, int]) -> int:
    """The least number of further votes that could decide the item; 0 when it is decided.

    As many leases may be out at once: then whatever the leased answers turn out to be, none of them comes after
    the verdict, and none is paid for in vain.

    Source: ours; it makes the early stop of the Kinetics-400 paper (3.3) exact while workers answer side by side.

    >>> (
    ...     fewest_votes_left(CLIP_PROTOCOL, {}),
    ...     fewest_votes_left(CLIP_PROTOCOL, {"yes": 2, "no": 1}),
    ...     fewest_votes_left(CLIP_PROTOCOL, {"no": 3}),
    ... )
    (3, 1, 0)
    """
    if protocol.verdict(counts) != "open":
        return 0
    to_accept = protocol.accept_yes - counts.get(protocol.positive, 0)
    to_stop = protocol.stop_at - max((num for answer, num in counts.items() if answer != protocol.positive), default=0)
    return min(to_accept, to_stop, protocol.max_votes - sum(counts.values()))


SUGGESTION_PROTOCOL = Protocol(max_votes=5, accept_yes=3, stop_at=2, positive="done")
"""Source: ours; the Kinetics-400 paper (3.1) asked workers for a more appropriate action and counted nothing."""

FRAME_PROTOCOL = Protocol(max_votes=4, accept_yes=2, stop_at=2, positive="done")
"""Source: ours, two workers a key-frame, whose boxes are merged by overlap; the AVA-Kinetics paper (1.2, step 3) says
"human annotators" without a number."""

PERSON_PROTOCOL = Protocol(max_votes=5, accept_yes=3, stop_at=2, positive="done")
"""Source: AVA-Kinetics paper, section 1.2, step 4: at least 3 raters propose; what they propose is then verified."""

REVIEW_PROTOCOL = Protocol(max_votes=3, accept_yes=1, stop_at=2, positive="done")
"""Source: ours; the Kinetics papers (700-2020 section 2, 400 section 3.4) had one person look at a cluster or class."""

PROTOCOLS: Mapping[str, Protocol] = {
    "clip": CLIP_PROTOCOL,
    "suggestion": SUGGESTION_PROTOCOL,
    "frame": FRAME_PROTOCOL,
    "person": PERSON_PROTOCOL,
    "box": BOX_PROTOCOL,
    "cluster": REVIEW_PROTOCOL,
    "class": REVIEW_PROTOCOL,
}
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
