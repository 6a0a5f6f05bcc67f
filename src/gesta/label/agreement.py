"""How much the answers to the same question agree, from counts of answers alone.

Everything here works on a histogram of questions by how they were answered, `[(counts, num_questions)]`, so that a
million questions are some dozens of rows. An early stop leaves out answers that would have come after agreement was
reached, so that these figures are a little below what a fixed number of answers would give.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Histogram = Iterable[tuple[Sequence[int], int]]
"""How many questions have these counts of each answer."""


def pair_agreement(answered: Histogram) -> float | None:
    """The share of pairs of answers to one question that are the same; null when no question has two answers.

    Every pair weighs the same. Source: the observed agreement of Fleiss, "Measuring nominal scale agreement among
    many raters" (1971), with pairs instead of questions as the unit, since questions differ in their answers.

    >>> pair_agreement([((2, 0), 1), ((1, 1), 1)])
    0.5
    """
    num_pairs = num_same = 0
    for counts, num_questions in answered:
        total = sum(counts)
        num_pairs += num_questions * total * (total - 1) // 2
        num_same += num_questions * sum(count * (count - 1) // 2 for count in counts)
    return num_same / num_pairs if num_pairs else None


def krippendorff_alpha(answered: Histogram) -> float | None:
    """Agreement beyond chance: 1 = always, 0 = as chance would, below 0 = less; null when chance alone says all.

    Source: Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), nominal data: 1 - D_o / D_e over the
    questions with two answers or more, with D_o = sum over questions of (m^2 - sum c^2) / (m - 1), divided by n, and
    D_e = (n^2 - sum n_c^2) / (n (n - 1)).

    >>> krippendorff_alpha([((2, 0), 1), ((0, 2), 1)]), krippendorff_alpha([((3, 0), 5)])
    (1.0, None)
    """
    totals: list[int] = []
    observed = 0.0
    for counts, num_questions in answered:
        total = sum(counts)
        if total < 2:
            continue
        totals = [a + num_questions * b for a, b in zip(totals or [0] * len(counts), counts, strict=True)]
        observed += num_questions * (total**2 - sum(count**2 for count in counts)) / (total - 1)
    num = sum(totals)
    expected = num**2 - sum(count**2 for count in totals)
    return 1 - (num - 1) * observed / expected if expected else None


def entropy_bits(counts: Sequence[int]) -> float:
    """How divided the answers are, in bits: 0 when they are all the same.

    Source: Shannon, "A mathematical theory of communication" (1948), section 6.

    >>> entropy_bits([2, 2, 0, 0]), entropy_bits([3, 0, 0, 0])
    (1.0, 0.0)
    """
    total = sum(counts)
    return abs(sum(count / total * math.log2(total / count) for count in counts if count))


def wilson_interval(num_right: int, num_seen: int, *, z: float = 1.96) -> tuple[float, float]:
    """Where the true share lies, with 95 % confidence at the usual `z`; (0, 1) when nothing was seen.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).

    >>> [round(end, 3) for end in wilson_interval(9, 10)]
    [0.596, 0.982]
    """
    if num_seen == 0:
        return (0.0, 1.0)
    share, shrink = num_right / num_seen, 1 + z**2 / num_seen
    middle = (share + z**2 / (2 * num_seen)) / shrink
    reach = z * math.sqrt(share * (1 - share) / num_seen + z**2 / (4 * num_seen**2)) / shrink
    return (max(0.0, middle - reach), min(1.0, middle + reach))
