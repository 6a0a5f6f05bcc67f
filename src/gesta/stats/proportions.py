"""Shares and how sure they are: intervals, tests of two shares, and corrections for many tests.

Legend: T tests, S strata, X possible counts in one cell of a table of two by two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput

Floats = npt.NDArray[np.float64]

_SLACK = 1e-7
"""Tables as likely as the one found, but for rounding, count as such. Source: R, stats::fisher.test (relErr)."""


def wilson(num_hits: int, num_seen: int, *, level: float = 0.95) -> tuple[float, float]:
    """Where the true share lies at that level; (0, 1) where nothing was seen.

    Raises:
        BadInput: more hits than were seen, or a count below 0.
    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if not 0 <= num_hits <= num_seen:
        raise BadInput(f"{num_hits} of {num_seen}", mend="Want 0 <= hits <= seen")
    if not num_seen:
        return (0.0, 1.0)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrink = num_hits / num_seen, 1 + z**2 / num_seen
    middle = (share + z**2 / (2 * num_seen)) / shrink
    reach = z * math.sqrt(share * (1 - share) / num_seen + z**2 / (4 * num_seen**2)) / shrink
    low = 0.0 if num_hits == 0 else max(middle - reach, 0.0)
    return (low, 1.0 if num_hits == num_seen else min(middle + reach, 1.0))


def newcombe(
    num_hits: int, num_seen: int, other_hits: int, other_seen: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Where the difference of two shares lies, the first less the other; (-1, 1) where one was not seen.

    Raises:
        BadInput: more hits than were seen, or a count below 0.
    Source: Newcombe, "Interval estimation for the difference between independent proportions" (Statistics in Medicine
        17, 1998), method 10: from the score intervals of both; the example is its case (a).

    >>> [round(end, 4) for end in newcombe(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    low, high = wilson(num_hits, num_seen, level=level)
    other_low, other_high = wilson(other_hits, other_seen, level=level)
    if not num_seen or not other_seen:
        return (-1.0, 1.0)
    share, other = num_hits / num_seen, other_hits / other_seen
    return (
        share - other - math.hypot(share - low, other_high - other),
        share - other + math.hypot(high - share, other - other_low),
    )


def fisher(num_hits: int, num_seen: int, other_hits: int, other_seen: int) -> float:
    """The probability, if both shares were one, of a table at most as likely as this one: Fisher's two-sided test.

    Raises:
        BadInput: more hits than were seen, or a count below 0.
    Source: Fisher, Statistical Methods for Research Workers (5th edition, 1934), section 21.02; two-sided as in R. The
        example is the lady tasting tea.

    >>> round(fisher(3, 4, 1, 4), 4)
    0.4857
    """
    for hits, seen in ((num_hits, num_seen), (other_hits, other_seen)):
        if not 0 <= hits <= seen:
            raise BadInput(f"{hits} of {seen}", mend="Want 0 <= hits <= seen")
    both = num_hits + other_hits
    least, most = max(0, both - other_seen), min(both, num_seen)
    if least == most:
        return 1.0
    x_X = np.arange(least, most + 1, dtype=np.float64)
    # Terms by their ratios, in logarithms, so that large counts do not overflow.
    before_X = x_X[:-1]
    steps_X = np.log((num_seen - before_X) * (both - before_X)) - np.log(
        (before_X + 1) * (other_seen - both + before_X + 1)
    )
    terms_X = np.concatenate([np.zeros(1), np.cumsum(steps_X)])
    weights_X = np.exp(terms_X - terms_X.max())
    found = weights_X[num_hits - least]
    return float(min(weights_X[weights_X <= found * (1 + _SLACK)].sum() / weights_X.sum(), 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratified:
    """A test of two shares over strata: chi square with one degree of freedom, its p, and the common odds ratio."""

    chi2: float
    p: float
    odds_ratio: float


def mantel_haenszel(tables_S4: npt.NDArray[np.int64]) -> Stratified:
    """Whether one of two groups is right more often, within strata; NaN where no stratum tells.

    Args:
        tables_S4: [S, 4], a row a stratum: hits of the group, misses of it, hits of the others, misses of them.
    Raises:
        BadInput: the shape is another, or a count is below 0.
    Source: Mantel and Haenszel, "Statistical aspects of the analysis of data from retrospective studies of disease"
        (1959); without correction for continuity. The odds ratio is theirs too.

    >>> found = mantel_haenszel(np.array([[8, 2, 5, 5], [9, 1, 6, 4]]))
    >>> round(found.chi2, 3), round(found.p, 3), round(found.odds_ratio, 3)
    (4.12, 0.042, 4.75)
    """
    if tables_S4.ndim != 2 or tables_S4.shape[1] != 4 or (len(tables_S4) and tables_S4.min() < 0):
        raise BadInput(f"tables {tables_S4.shape}", mend="Want [S, 4] of counts, none below 0")
    a_S, b_S, c_S, d_S = (tables_S4[:, i].astype(np.float64) for i in range(4))
    n_S = a_S + b_S + c_S + d_S
    tells_S = n_S > 1
    a_S, b_S, c_S, d_S, n_S = (part_S[tells_S] for part_S in (a_S, b_S, c_S, d_S, n_S))
    expected = ((a_S + b_S) * (a_S + c_S) / n_S).sum()
    variance = ((a_S + b_S) * (c_S + d_S) * (a_S + c_S) * (b_S + d_S) / (n_S**2 * (n_S - 1))).sum()
    against = (b_S * c_S / n_S).sum()
    odds_ratio = float((a_S * d_S / n_S).sum() / against) if against > 0 else math.nan
    if not variance > 0:
        return Stratified(chi2=math.nan, p=math.nan, odds_ratio=odds_ratio)
    chi2 = float((a_S.sum() - expected) ** 2 / variance)
    return Stratified(chi2=chi2, p=math.erfc(math.sqrt(chi2 / 2)), odds_ratio=odds_ratio)


def holm(p_T: Sequence[float]) -> Floats:
    """The p-values, float64 [T], so corrected that at level a the chance of any false finding is at most a.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    order_T = np.argsort(p_T, kind="stable")
    sorted_T = np.asarray(p_T, dtype=np.float64)[order_T]
    scaled_T = sorted_T * np.arange(len(sorted_T), 0, -1)
    found_T = np.empty_like(sorted_T)
    found_T[order_T] = np.minimum(np.maximum.accumulate(scaled_T), 1.0)
    return found_T


def benjamini_hochberg(p_T: Sequence[float]) -> Floats:
    """The p-values, float64 [T], so corrected that of the findings at level a, a share of a is expected to be false.

    Source: Benjamini and Hochberg, "Controlling the false discovery rate" (1995); for tests that are independent or
        depend positively.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.02, 0.04, 0.04, 0.02]
    """
    order_T = np.argsort(p_T, kind="stable")
    sorted_T = np.asarray(p_T, dtype=np.float64)[order_T]
    num = len(sorted_T)
    scaled_T = sorted_T * num / np.arange(1, num + 1)
    found_T = np.empty_like(sorted_T)
    found_T[order_T] = np.minimum(np.minimum.accumulate(scaled_T[::-1])[::-1], 1.0)
    return found_T
