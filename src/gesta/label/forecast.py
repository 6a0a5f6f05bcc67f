"""How many answers are still needed, from how the answers so far fell.

Answers to one question are alike: after two yeses a third is likelier. So the next answer is drawn as from Polya's
urn: in proportion to the answers of the class as a whole, and to the answers that this question has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gesta.schema import Protocol

SLOTS = ("yes", "no", "unsure", "broken")
"""The four counts of a tally, in its order; "yes" stands for the protocol's positive answer."""

Counts = tuple[int, int, int, int]

PRIOR_ANSWERS = 20.0
"""Answers of the kind as a whole that a class's own answers are mixed with, so that a new class is like the others.

Source: ours; about seven clips' worth, after which the class's own answers weigh more."""

LEAST_ALIKE, MOST_ALIKE = 0.02, 0.98
"""Bounds of likeness, so that the urn's concentration (1 - r) / r stays finite and above 0. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerModel:
    """How answers fall: shares of each of the four slots, and how alike answers to one question are (0..1)."""

    shares: tuple[float, float, float, float]
    alike: float
    _known: dict[tuple[Protocol, Counts], float] = field(default_factory=dict, repr=False, compare=False)

    def expected_left(self, protocol: Protocol, counts: Counts) -> float:
        """Answers that a question with these counts is expected to take until it is decided.

        Source: ours. E(c) = 1 + sum over answers a of P(a | c) E(c + a), and 0 where the protocol has decided;
        P(a | c) = (k p_a + c_a) / (k + sum c), with k = (1 - r) / r the concentration of Polya's urn whose
        intraclass correlation is r (Johnson and Kotz, "Urn models and their application", 1977, section 4.2).

        >>> from gesta.schema import CLIP_PROTOCOL
        >>> AnswerModel(shares=(1.0, 0.0, 0.0, 0.0), alike=0.5).expected_left(CLIP_PROTOCOL, (1, 0, 0, 0))
        2.0
        """
        known = self._known.get((protocol, counts))
        if known is not None:
            return known
        left = 0.0
        if verdict_of(protocol, counts) == "open":
            left = 1.0
            concentration = (1 - self.alike) / self.alike
            for slot, share in enumerate(self.shares):
                chance = (concentration * share + counts[slot]) / (concentration + sum(counts))
                if chance > 0:
                    after: Counts = (
                        counts[0] + (slot == 0), counts[1] + (slot == 1),
                        counts[2] + (slot == 2), counts[3] + (slot == 3),
                    )  # fmt: skip
                    left += chance * self.expected_left(protocol, after)
        self._known[(protocol, counts)] = left
        return left


def verdict_of(protocol: Protocol, counts: Counts) -> str:
    """The protocol's verdict on a tally's four counts."""
    named = dict(zip(SLOTS, counts, strict=True))
    named[protocol.positive] = named.pop("yes")
    return protocol.verdict(named)


def answer_model(
    own: Sequence[int], *, kind: Sequence[int], alpha: float | None, prior: Mapping[str, float] | None = None
) -> AnswerModel:
    """How answers to a class's questions fall: its own counts `[4]`, mixed with those of the whole kind `[4]`.

    Args:
        alpha: Krippendorff's alpha of the kind, which estimates the urn's intraclass correlation; null = not known.
        prior: shares of the slots where the kind has no answers yet; all alike by default.
    """
    first = prior or dict.fromkeys(SLOTS, 0.25)
    num_kind = sum(kind)
    # One answer's worth of the prior keeps a slot that nobody chose yet possible.
    kind_shares = [(kind[slot] + first[name]) / (num_kind + 1) for slot, name in enumerate(SLOTS)]
    total = sum(own) + PRIOR_ANSWERS
    yes, no, unsure, broken = (
        (own[slot] + PRIOR_ANSWERS * share) / total for slot, share in enumerate(kind_shares)
    )  # fmt: skip
    alike = min(MOST_ALIKE, max(LEAST_ALIKE, 0.5 if alpha is None else alpha))
    return AnswerModel(shares=(yes, no, unsure, broken), alike=alike)
