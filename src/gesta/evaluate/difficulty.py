"""Which classes are hard: all classes in the order of their accuracy, as figure 4 of the Kinetics-400 paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import polars as pl

from gesta.evaluate.classification import ranked_labels
from gesta.schema import BadInput


def share_interval(num_right: int, num: int, *, level: float = 0.95) -> tuple[float, float]:
    """Between which bounds the true share lies, of `num` independent clips of which `num_right` are right.

    Raises:
        BadInput: `num` is below 1, `num_right` is not within it, or `level` is not between 0 and 1.
    Source: Wilson, Probable inference (Journal of the American Statistical Association 22, 1927): the score interval,
        which has bounds inside 0..1 and a width also where every clip is right.

    >>> [round(bound, 3) for bound in share_interval(50, 50)]
    [0.929, 1.0]
    """
    if not 0 <= num_right <= num or num < 1 or not 0 < level < 1:
        raise BadInput(
            f"{num_right} of {num} at level {level}", mend="Want 0..num of at least 1, and a level in (0, 1)"
        )
    z, share = NormalDist().inv_cdf((1 + level) / 2), num_right / num
    middle = (share + z * z / (2 * num)) / (1 + z * z / num)
    reach = z / (1 + z * z / num) * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def class_difficulty(
    labels: pl.DataFrame,
    scores: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    label_map: pl.DataFrame | None = None,
    k: int = 5,
    level: float = 0.95,
) -> pl.DataFrame:
    """Classes from the hardest to the easiest, a row each; classes without clips are left out.

    Columns: place (1 = hardest), class_id, name (null without a label map), num_clips, num_right, accuracy (share of
    the class's clips whose first guess is right), low and high (its interval), top_k_accuracy. Of equal accuracies the
    class that is also less often among the k first guesses is harder, then the lower id.

    Args:
        labels: clip_id and class_id; which rows count is as for `score_clips`, so are `scores` and `class_ids`.
        scores: clip_id, class_id and score.
        class_ids: classes that count.
        label_map: class_id and name.
        k: guesses of the second accuracy.
        level: of the interval.
    Raises:
        BadInput: as `score_clips`, `k` is below 1, or `level` is not between 0 and 1.
    Source: the Kinetics-400 paper, section 4.5 and figure 4, ranks by accuracy; the rest is ours.
    """
    if k < 1 or not 0 < level < 1:
        raise BadInput(f"k={k}, level={level}", mend="Want k of at least 1, and a level between 0 and 1")
    rank = pl.col("rank")
    by_class = (
        ranked_labels(labels, scores, class_ids=class_ids)
        .group_by("class_id")
        .agg(
            num_clips=pl.len().cast(pl.Int64),
            num_right=(rank == 0).fill_null(value=False).sum().cast(pl.Int64),
            top_k_accuracy=(rank < k).fill_null(value=False).mean(),
        )
        .with_columns(accuracy=pl.col("num_right") / pl.col("num_clips"))
        .sort("accuracy", "top_k_accuracy", "class_id")
    )
    bounds = [share_interval(*row, level=level) for row in by_class.select("num_right", "num_clips").iter_rows()]
    names = {} if label_map is None else dict(label_map.select("class_id", "name").iter_rows())
    return by_class.select(
        pl.Series("place", range(1, len(by_class) + 1), dtype=pl.Int64),
        "class_id",
        pl.Series("name", [names.get(class_id) for class_id in by_class["class_id"]], dtype=pl.String),
        "num_clips",
        "num_right",
        "accuracy",
        pl.Series("low", [low for low, _ in bounds], dtype=pl.Float64),
        pl.Series("high", [high for _, high in bounds], dtype=pl.Float64),
        "top_k_accuracy",
    )
