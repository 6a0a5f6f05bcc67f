"""Two streams class by class: where motion matters most, and whether one model is better than another.

What is drawn for the intervals are clips (or what `group_id` names, such as the film that several clips come from),
the same draws for both streams: what is hard for one is mostly hard for the other.

Legend: G groups, R draws, Q = 1 + C quantities: all labels, then each class.

Source: the Kinetics-400 paper, section 4.5, "Classes where motion matters most", compares the accuracies of the flow
and the RGB stream by their ratio; intervals and differences are ours (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.classification import ranked_labels
from gesta.evaluate.intervals import Interval
from gesta.schema import BadInput

BLOCK = 64
"""Draws that are held at once, so that memory does not grow with the draws. Source: ours."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyDifference:
    """How far stream A's accuracy is above B's.

    `by_class` has a row a class, those that A gains most in first: class_id, name (null without a label map),
    num_clips, accuracy_a, accuracy_b, difference (A - B) with low and high, ratio (A / B; null where B is never right)
    and the counts of clips that only_a or only_b is right about.
    """

    k: int
    accuracy_a: float
    accuracy_b: float
    difference: Interval
    share_a_above: float
    """Share of draws in which A's accuracy is strictly above B's."""
    by_class: pl.DataFrame
    num_clips: int
    num_groups: int
    num_resamples: int
    level: float
    seed: int


def accuracy_difference(
    labels: pl.DataFrame,
    scores_a: pl.DataFrame,
    scores_b: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    label_map: pl.DataFrame | None = None,
    k: int = 1,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> AccuracyDifference:
    """By how much stream A is above stream B, in all and class by class, with intervals over the same draws for both.

    Args:
        labels: clip_id and class_id, and group_id where several clips are not independent (one film, one actor);
            which rows count is as for `score_clips`.
        scores_a: clip_id, class_id and score; a clip or class without a score is wrong.
        scores_b: the same of the other stream.
        class_ids: classes that count.
        label_map: class_id and name.
        k: guesses among which the label must be.
        num_resamples: draws of clips (or groups), with replacement, as many as there are.
        level: share of draws between the bounds.
        seed: chance.
    Raises:
        BadInput: as `score_clips`; there are fewer than two clips or groups, a clip stands in two groups, or `k`,
            `num_resamples` or `level` make no sense.

    >>> labels = pl.DataFrame({"clip_id": ["a", "b"], "class_id": [1, 2]})
    >>> flow = pl.DataFrame({"clip_id": ["a", "b"], "class_id": [1, 2], "score": [0.9, 0.9]})
    >>> rgb = pl.DataFrame({"clip_id": ["a", "b"], "class_id": [1, 1], "score": [0.9, 0.9]})
    >>> result = accuracy_difference(labels, flow, rgb, class_ids=[1, 2])
    >>> result.difference.estimate, result.by_class["class_id"].to_list(), result.by_class["ratio"].to_list()
    (0.5, [2, 1], [None, 1.0])
    """
    if k < 1 or num_resamples < 1 or not 0 < level < 1:
        raise BadInput(
            f"k={k}, num_resamples={num_resamples}, level={level}", mend="Want at least 1, 1, and between 0 and 1"
        )
    rows = _paired(labels, scores_a, scores_b, class_ids=class_ids, k=k)
    groups = rows["group"].to_numpy()
    num_groups = int(groups.max()) + 1 if len(rows) else 0
    if num_groups < 2:
        raise BadInput(f"{num_groups} clip or group, and an interval is over several", mend="Score more clips at once")
    classes = rows["class_id"].unique().sort().to_list()
    class_M = np.searchsorted(classes, rows["class_id"].to_numpy())
    difference_M = rows["right_a"].to_numpy().astype(np.float64) - rows["right_b"].to_numpy()
    drawn_RQ = np.concatenate(_drawn(groups, class_M, difference_M, num_resamples=num_resamples, seed=seed))
    low_Q, high_Q = _bounds(drawn_RQ, level=level)
    accuracy_a, accuracy_b = (float(rows[name].to_numpy().mean()) for name in ("right_a", "right_b"))
    return AccuracyDifference(
        k=k, accuracy_a=accuracy_a, accuracy_b=accuracy_b, share_a_above=float((drawn_RQ[:, 0] > 0).mean()),
        difference=Interval(
            estimate=float(difference_M.mean()), low=float(low_Q[0]), high=float(high_Q[0]), num_draws=num_resamples
        ),
        by_class=_by_class(rows, classes=classes, low_C=low_Q[1:], high_C=high_Q[1:], label_map=label_map),
        num_clips=rows["clip_id"].n_unique(), num_groups=num_groups, num_resamples=num_resamples, level=level,
        seed=seed,
    )  # fmt: skip


def _paired(
    labels: pl.DataFrame, scores_a: pl.DataFrame, scores_b: pl.DataFrame, *, class_ids: Sequence[int], k: int
) -> pl.DataFrame:
    """Columns clip_id, class_id, right_a, right_b and group (from 0 without gaps), a row a label."""
    ranks_a, ranks_b = (
        ranked_labels(labels, scores, class_ids=class_ids).select(
            "clip_id", "class_id", right=(pl.col("rank") < k).fill_null(value=False)
        )
        for scores in (scores_a, scores_b)
    )
    rows = ranks_a.rename({"right": "right_a"}).with_columns(right_b=ranks_b["right"])
    if "group_id" not in labels.columns:
        return rows.with_columns(group=(pl.col("clip_id").rank("dense").cast(pl.Int64) - 1))
    groups = labels.select("clip_id", "group_id").unique()
    torn = groups.filter(pl.col("clip_id").is_duplicated())
    if len(torn):
        raise BadInput(f"clip {torn['clip_id'].sort()[0]} stands in two groups", mend="Give each clip one group_id")
    known = rows.join(groups, on="clip_id", how="left", maintain_order="left")
    return known.with_columns(group=(pl.col("group_id").rank("dense").cast(pl.Int64) - 1)).drop("group_id")


def _drawn(
    group_M: npt.NDArray[np.int64], class_M: npt.NDArray[np.int64], difference_M: Floats, *, num_resamples: int,
    seed: int,
) -> list[Floats]:  # fmt: skip
    """The mean difference of all labels and of each class in each draw, [R, Q] in blocks; NaN where none was drawn."""
    rng, num_groups, num_classes = np.random.default_rng(seed), int(group_M.max()) + 1, int(class_M.max()) + 1
    blocks = []
    for start in range(0, num_resamples, BLOCK):
        block_RQ = np.full((min(BLOCK, num_resamples - start), 1 + num_classes), np.nan)
        for row_Q in block_RQ:
            weight_M = np.bincount(rng.integers(0, num_groups, num_groups), minlength=num_groups)[group_M]
            num_C = np.bincount(class_M, weights=weight_M, minlength=num_classes)
            sum_C = np.bincount(class_M, weights=weight_M * difference_M, minlength=num_classes)
            row_Q[0] = sum_C.sum() / num_C.sum()
            np.divide(sum_C, num_C, out=row_Q[1:], where=num_C > 0)
        blocks.append(block_RQ)
    return blocks


def _bounds(drawn_RQ: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Low and high quantile of each column over the draws in which it is known, [Q] and [Q]; NaN where it never is."""
    tails = ((1 - level) / 2, (1 + level) / 2)
    low_Q, high_Q = np.full(drawn_RQ.shape[1], np.nan), np.full(drawn_RQ.shape[1], np.nan)
    for q, column_R in enumerate(drawn_RQ.T):
        known_R = column_R[~np.isnan(column_R)]
        if len(known_R):
            low_Q[q], high_Q[q] = np.quantile(known_R, tails)
    return low_Q, high_Q


def _by_class(
    rows: pl.DataFrame, *, classes: Sequence[int], low_C: Floats, high_C: Floats, label_map: pl.DataFrame | None
) -> pl.DataFrame:
    names = {} if label_map is None else dict(label_map.select("class_id", "name").iter_rows())
    bounds = pl.DataFrame(
        {"class_id": classes, "name": [names.get(one) for one in classes], "low": low_C, "high": high_C},
        schema={"class_id": pl.Int64, "name": pl.String, "low": pl.Float64, "high": pl.Float64},
    )
    a, b = pl.col("right_a"), pl.col("right_b")
    counted = rows.group_by("class_id").agg(
        num_clips=pl.len().cast(pl.Int64), accuracy_a=a.mean(), accuracy_b=b.mean(),
        only_a=(a & ~b).sum().cast(pl.Int64), only_b=(b & ~a).sum().cast(pl.Int64),
    )  # fmt: skip
    # From the counts, so that a difference of 0 is 0.
    difference = (pl.col("only_a") - pl.col("only_b")) / pl.col("num_clips")
    ratio = pl.when(pl.col("accuracy_b") > 0).then(pl.col("accuracy_a") / pl.col("accuracy_b"))
    joined = counted.join(bounds, on="class_id").with_columns(difference=difference, ratio=ratio)
    return joined.sort(["difference", "class_id"], descending=[True, False]).select(
        "class_id", "name", "num_clips", "accuracy_a", "accuracy_b", "difference",
        pl.col("low", "high").fill_nan(None), "ratio", "only_a", "only_b",
    )  # fmt: skip
