"""How many candidates a class needs, from what became of those that were looked at: with how sure one can be.

The yield of a class is not known but estimated from the candidates that were decided; it is taken as drawn from the
yields of all classes (a beta distribution fitted to them), so that a class with few decided candidates leans on the
others. The candidates needed for k more clips are then the trials until the k-th success of that unsure yield. Both
sources of doubt are in the bounds: what the yield is, and what chance makes of it.

Legend: K classes, X numbers of successes from 0 to k - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_CANDIDATES = 10_000_000
"""Beyond this a number of candidates is not given: nobody collects them. Source: ours; Kinetics-700 has 650 k clips."""

MIN_CLASSES = 3
"""Classes with decided candidates that the distribution of yields is fitted to. Source: ours; with two a spread is
hardly known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A beta distribution of yields: as if `wins` of `wins + losses` candidates had been published before."""

    wins: float
    losses: float


JEFFREYS = Prior(wins=0.5, losses=0.5)
"""What is taken where too few classes were measured. Source: Jeffreys' prior of a binomial share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Candidates to collect: with even odds `middle` are enough, and the number that is lies in `low` to `high`.

    None: more than `MOST_CANDIDATES`.
    """

    low: int | None
    middle: int | None
    high: int | None


def fitted_prior(num_asked: Sequence[int], num_published: Sequence[int]) -> Prior:
    """The beta distribution that the yields of classes come from, by moments; Jeffreys' with fewer than `MIN_CLASSES`.

    Args:
        num_asked: candidates of each class that were decided; those of 0 are passed over.
        num_published: of them published.
    Source: Kleinman, Proportions with extraneous variance (Journal of the American Statistical Association 68, 1973),
        with classes weighted by their candidates.
    """
    pairs = [(n, x) for n, x in zip(num_asked, num_published, strict=True) if n > 0]
    total = sum(n for n, _ in pairs)
    mean = sum(x for _, x in pairs) / total if total else 0.0
    if len(pairs) < MIN_CLASSES or not 0 < mean < 1:
        return JEFFREYS
    chance = mean * (1 - mean)
    spread = sum(n * (x / n - mean) ** 2 for n, x in pairs)
    freedom = len(pairs) - 1
    weight = total - sum(n * n for n, _ in pairs) / total - freedom
    # Classes of one candidate each say nothing of a spread between them.
    correlation = (spread - chance * freedom) / (chance * weight) if weight > 0 else 0.0
    strength = 1 / min(max(correlation, 1e-4), 0.5) - 1
    return Prior(wins=mean * strength, losses=(1 - mean) * strength)


def chance_enough(num_candidates: int, num_wanted: int, *, wins: float, losses: float) -> float:
    """The probability that of so many candidates at least `num_wanted` are published, the yield being beta distributed.

    Source: the beta-binomial distribution; its terms by their ratios, in logarithms, so that large counts do not
        overflow.

    >>> round(chance_enough(2, 1, wins=1.0, losses=1.0), 6)
    0.666667
    """
    if num_wanted <= 0:
        return 1.0
    if num_candidates < num_wanted:
        return 0.0
    n = float(num_candidates)
    first = (
        math.lgamma(n + losses) + math.lgamma(wins + losses) - math.lgamma(losses) - math.lgamma(n + wins + losses)
    )  # fmt: skip
    x_X = np.arange(num_wanted - 1, dtype=np.float64)
    steps_X = np.log((n - x_X) * (x_X + wins)) - np.log((x_X + 1) * (n - x_X - 1 + losses))
    terms_X = first + np.concatenate([np.zeros(1), np.cumsum(steps_X)])
    most = float(terms_X.max())
    return max(1.0 - math.exp(most) * float(np.exp(terms_X - most).sum()), 0.0)


def candidates_needed(
    num_wanted: int, *, num_asked: int, num_published: int, prior: Prior = JEFFREYS, level: float = 0.95
) -> Need:
    """How many candidates give `num_wanted` more clips: the middle and the bounds at `level`.

    Args:
        num_wanted: clips that are lacking.
        num_asked: candidates of the class that were decided.
        num_published: of them published.
        prior: of the yields of classes.
        level: probability that the number which is needed lies between low and high.
    Source: quantiles of the beta negative binomial distribution: trials until the k-th success.

    >>> candidates_needed(100, num_asked=1000, num_published=200)
    Need(low=402, middle=498, high=618)
    """
    if num_wanted <= 0:
        return Need(low=0, middle=0, high=0)
    wins, losses = prior.wins + num_published, prior.losses + num_asked - num_published
    tail = (1 - level) / 2
    low, middle, high = (
        _quantile(probability, num_wanted, wins=wins, losses=losses) for probability in (tail, 0.5, 1 - tail)
    )
    return Need(low=low, middle=middle, high=high)


def _quantile(probability: float, num_wanted: int, *, wins: float, losses: float) -> int | None:
    """The least number of candidates that are enough with that probability."""
    below, above = num_wanted - 1, num_wanted
    while chance_enough(above, num_wanted, wins=wins, losses=losses) < probability:
        below, above = above, 2 * above
        if below > MOST_CANDIDATES:
            return None
    while above - below > 1:
        middle = (below + above) // 2
        if chance_enough(middle, num_wanted, wins=wins, losses=losses) < probability:
            below = middle
        else:
            above = middle
    return above if above <= MOST_CANDIDATES else None
