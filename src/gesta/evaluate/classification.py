"""Clip classification: top-k, accuracy class by class, confusions, and average precision of several labels a clip.

Two ways in: arrays (`scores_NC`, `labels_N`), or two frames of clips, where a clip may have several labels, lack
scores of some classes, or lack all of them.

Ties. The first guess is the highest score and of equal ones the lower class (`argmax`); so is each further guess
(`gesta.evaluate.top_k`). In `label_average_precision` equal scores are one step of the curve, so their order does not
matter. In ActivityNet's measures of equal scores the later row comes first: a stable ascending sort, reversed, where
that program leaves it to NumPy's unstable one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.ranked import Bools, Floats, Ints, average_precisions, mean_of
from gesta.evaluate.top_k import label_ranks, top_k
from gesta.schema import BadInput

Scores = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedPair:
    """Two classes that are taken for each other; shares are of the clips of the class that is named first in them."""

    class_a: int
    class_b: int
    num_a_as_b: int
    num_b_as_a: int
    share_a_as_b: float
    share_b_as_a: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipScores:
    """What a set of clip scores is worth; `confusion_CC` has a row for each true class, in the order of `class_ids`.

    `by_class` has class_id, num_clips, accuracy, average_precision, most_guessed (the wrong class that its clips are
    taken for most often) and num_most_guessed.
    """

    num_clips: int
    num_labels: int
    num_without_scores: int
    top_k: dict[int, float]
    mean_class_accuracy: float
    kinetics_error: float
    mean_average_precision: float
    class_ids: tuple[int, ...]
    by_class: pl.DataFrame
    confusion_CC: Ints
    pairs: tuple[ConfusedPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActivityNetScores:
    """What ActivityNet's classification server computes; `average_precision` is parallel to `class_ids`."""

    mean_ap: float
    class_ids: tuple[int, ...]
    average_precision: Floats
    hit_at_k: float
    mean_hit_at_k: float
    k: int


def guesses(scores_NC: Scores) -> Ints:
    """The column of each row's highest score, of equal ones the lowest; [N]."""
    return scores_NC.argmax(axis=1).astype(np.int64) if len(scores_NC) else np.empty(0, dtype=np.int64)


def confusion_matrix(labels_N: Labels, guesses_N: Labels, *, num_classes: int) -> Ints:
    """How often each class (row) was taken for each (column), [C, C].

    Raises:
        BadInput: the lengths differ, or a label or guess is no class.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    if labels_N.shape != guesses_N.shape or labels_N.ndim != 1:
        raise BadInput(f"labels {labels_N.shape} and guesses {guesses_N.shape}", mend="Want [N] and [N]")
    for values in (labels_N, guesses_N):
        if len(values) and not 0 <= values.min() <= values.max() < num_classes:
            raise BadInput(f"a label or guess is outside 0..{num_classes - 1}", mend="Want columns of the scores")
    cells = np.bincount(labels_N.astype(np.int64) * num_classes + guesses_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def class_accuracy(confusion_CC: Ints) -> Floats:
    """Share of each class's clips that were guessed right, [C]; NaN for a class without clips."""
    num_clips_C = confusion_CC.sum(axis=1)
    shares_C = np.full(len(confusion_CC), np.nan)
    return np.divide(np.diagonal(confusion_CC), num_clips_C, out=shares_C, where=num_clips_C > 0)


def mean_class_accuracy(
    scores_NC: Scores, labels_N: Labels, *, counted: Literal["labelled", "seen"] = "labelled"
) -> float:
    """Mean over classes of the share of the class's clips that were guessed right; NaN without clips.

    Args:
        scores_NC: one row a clip, one column a class.
        labels_N: the right column of each row.
        counted: "labelled" = classes that have clips; "seen" = also classes that were only ever guessed, as 0.
    Raises:
        BadInput: as `confusion_matrix`.
    Source: "seen" is MMAction2's `mean_class_accuracy` (`evaluation/functional/accuracy.py` at 4d6c9347).

    >>> scores = np.array([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]])
    >>> mean_class_accuracy(scores, np.array([0, 0])), mean_class_accuracy(scores, np.array([0, 0]), counted="seen")
    (0.5, 0.25)
    """
    confusion_CC = confusion_matrix(labels_N, guesses(scores_NC), num_classes=scores_NC.shape[1])
    share_C = class_accuracy(confusion_CC)
    if counted == "seen":
        share_C = np.where(np.isnan(share_C) & (confusion_CC.sum(axis=0) > 0), 0.0, share_C)
    return mean_of(share_C)


def kinetics_error(scores_NC: Scores, labels_N: Labels) -> float:
    """Mean of top-1 and top-5 error, by which the Kinetics server ranks; lower is better. [N, C] and [N].

    Raises:
        BadInput: as `top_k`.
    Source: `ActivityNet/Evaluation/eval_kinetics.py` at 82304fa9 gives 1 - hit@k for a k; the challenge's rank is the
    mean over k = 1 and 5.
    """
    return 1 - (top_k(scores_NC, labels_N, 1) + top_k(scores_NC, labels_N, 5)) / 2


def confused_pairs(confusion_CC: Ints, *, class_ids: Sequence[int], num_pairs: int = 10) -> tuple[ConfusedPair, ...]:
    """The pairs of classes most often taken for each other, by the mean of the two shares, highest first.

    Args:
        confusion_CC: a row for each true class.
        class_ids: what the rows are called.
        num_pairs: how many at most; pairs that were never confused are none.
    """
    num_clips_C = np.maximum(confusion_CC.sum(axis=1), 1)
    share_CC = confusion_CC / num_clips_C[:, None]
    both_CC = np.triu(share_CC + share_CC.T, k=1)
    order = np.argsort(-both_CC, axis=None, kind="stable")[:num_pairs]
    pairs = []
    for a, b in (divmod(int(cell), len(confusion_CC)) for cell in order):
        if both_CC[a, b] > 0:
            pairs.append(
                ConfusedPair(
                    class_a=class_ids[a], class_b=class_ids[b], num_a_as_b=int(confusion_CC[a, b]),
                    num_b_as_a=int(confusion_CC[b, a]), share_a_as_b=float(share_CC[a, b]),
                    share_b_as_a=float(share_CC[b, a]),
                )
            )  # fmt: skip
    return tuple(pairs)


def label_average_precision(scores_NC: Scores, is_label_NC: Bools) -> Floats:
    """Average precision of each class over clips that may have several labels, [C]; NaN for a class without labels.

    The sum over recall steps of the precision at each step, not interpolated; equal scores are one step.

    Args:
        scores_NC: one row a clip, one column a class.
        is_label_NC: which labels each clip has.
    Raises:
        BadInput: the shapes differ, or a score is NaN.
    Source: MMAction2, `mean_average_precision` (`evaluation/functional/accuracy.py` at 4d6c9347); the mean over
    samples of the transposed arrays is its `mmit_mean_average_precision` (Multi-Moments in Time).

    >>> label_average_precision(np.array([[0.9], [0.5], [0.5]]), np.array([[True], [True], [False]]))
    array([0.83333333])
    """
    if scores_NC.shape != is_label_NC.shape or scores_NC.ndim != 2:
        raise BadInput(f"scores {scores_NC.shape} and labels {is_label_NC.shape}", mend="Want [N, C] and [N, C]")
    if np.isnan(scores_NC).any():
        raise BadInput("a score is NaN", mend="Want numbers")
    return np.array([_stepwise_ap(*column) for column in zip(scores_NC.T, is_label_NC.T, strict=True)], dtype=float)


def _stepwise_ap(score_N: Scores, is_label_N: Bools) -> float:
    if not is_label_N.any():
        return float("nan")
    order = np.argsort(-score_N, kind="stable")
    ranked_N = score_N[order]
    is_step_end = np.append(ranked_N[1:] != ranked_N[:-1], [True])
    num_right = np.cumsum(is_label_N[order])[is_step_end]
    precision = num_right / (np.flatnonzero(is_step_end) + 1)
    return float(np.sum(np.diff(num_right, prepend=0) * precision) / num_right[-1])


def score_clips(
    labels: pl.DataFrame,
    scores: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    ks: Sequence[int] = (1, 5),
    num_pairs: int = 10,
) -> ClipScores:
    """Every measure of this file for clips and the classes that they show.

    A clip with several labels counts once for each. A class that a clip has no score of is never guessed; a clip
    without any score is wrong at every k and is in no cell of the confusion matrix. Clips that `labels` does not name
    are left out, and so are labels and scores of other classes.

    Args:
        labels: clip_id and class_id, a row a label.
        scores: clip_id, class_id and score, a row a score.
        class_ids: classes that count; of equal scores the lower id is guessed first.
        ks: numbers of guesses.
        num_pairs: confused pairs to list at most.
    Raises:
        BadInput: a column is missing, a clip has two scores of one class, a score is NaN, or a `k` is below 1.
    """
    asked = _asked(labels, scores, class_ids=class_ids)
    classes, label_columns, scores_NC = asked.class_ids, asked.label_columns, asked.scores_NC
    is_known = asked.is_scored_N[asked.label_rows]
    known_MC, known_M = scores_NC[asked.label_rows[is_known]], label_columns[is_known]
    rank_M = _ranks(asked)

    def hits(k: int) -> float:
        if k < 1:
            raise BadInput(f"k={k}", mend="Want at least 1")
        return float((rank_M < k).mean()) if len(rank_M) else float("nan")

    confusion_CC = confusion_matrix(known_M, guesses(known_MC), num_classes=len(classes))
    num_labels_C = np.bincount(label_columns, minlength=len(classes))
    right_C = np.diagonal(confusion_CC)
    accuracy_C = np.divide(right_C, num_labels_C, out=np.full(len(classes), np.nan), where=num_labels_C > 0)
    is_label_NC = np.zeros(scores_NC.shape, dtype=np.bool_)
    is_label_NC[asked.label_rows, label_columns] = True
    ap_C = label_average_precision(scores_NC, is_label_NC) if len(scores_NC) else np.full(len(classes), np.nan)
    wrong_CC = confusion_CC - np.diag(right_C)
    by_class = pl.DataFrame(
        {
            "class_id": classes, "num_clips": num_labels_C, "accuracy": accuracy_C, "average_precision": ap_C,
            "most_guessed": [
                classes[int(row.argmax())] if row.any() else None for row in wrong_CC
            ], "num_most_guessed": wrong_CC.max(axis=1, initial=0),
        },
        schema={"class_id": pl.Int64, "num_clips": pl.Int64, "accuracy": pl.Float64, "average_precision": pl.Float64,
                "most_guessed": pl.Int64, "num_most_guessed": pl.Int64},
    ).with_columns(pl.col("accuracy", "average_precision").fill_nan(None))  # fmt: skip
    return ClipScores(
        num_clips=len(scores_NC), num_labels=len(rank_M), num_without_scores=int((~asked.is_scored_N).sum()),
        top_k={k: hits(k) for k in ks}, mean_class_accuracy=mean_of(accuracy_C),
        kinetics_error=1 - (hits(1) + hits(5)) / 2, mean_average_precision=mean_of(ap_C), class_ids=classes,
        by_class=by_class, confusion_CC=confusion_CC,
        pairs=confused_pairs(confusion_CC, class_ids=classes, num_pairs=num_pairs),
    )  # fmt: skip


def ranked_labels(labels: pl.DataFrame, scores: pl.DataFrame, *, class_ids: Sequence[int]) -> pl.DataFrame:
    """Columns clip_id, class_id and rank, a row a label: how many classes the clip is guessed to show before this one.

    The rank is null where the clip has no score of the class: it is not guessed at any k. So the label is among the k
    first guesses where `rank < k`. Which rows and classes count is as for `score_clips`.

    Raises:
        BadInput: as `score_clips`.

    >>> labels = pl.DataFrame({"clip_id": ["a", "b"], "class_id": [1, 2]})
    >>> scores = pl.DataFrame({"clip_id": ["a", "a"], "class_id": [1, 2], "score": [0.4, 0.6]})
    >>> ranked_labels(labels, scores, class_ids=[1, 2]).rows()
    [('a', 1, 1), ('b', 2, None)]
    """
    asked = _asked(labels, scores, class_ids=class_ids)
    rank_M = pl.Series("rank", _ranks(asked), dtype=pl.Int64)
    return asked.labels.with_columns(pl.when(rank_M < _NEVER).then(rank_M).alias("rank"))


_NEVER = np.iinfo(np.int64).max
"""The rank of a class that is not guessed at any k."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """Labels of M rows (clip_id, class_id) on N clips, and the clips' scores, -inf where there are none."""

    labels: pl.DataFrame
    label_rows: Ints
    label_columns: Ints
    scores_NC: Floats
    is_scored_N: Bools
    class_ids: tuple[int, ...]


def _asked(labels: pl.DataFrame, scores: pl.DataFrame, *, class_ids: Sequence[int]) -> _Asked:
    _want(labels, ("clip_id", "class_id"), what="labels")
    classes = sorted(set(class_ids))
    column = pl.DataFrame(
        {"class_id": classes, "column": np.arange(len(classes))}, schema_overrides={"class_id": pl.Int64}
    )
    asked = labels.select("clip_id", pl.col("class_id").cast(pl.Int64)).unique(maintain_order=True)
    asked = asked.join(column, on="class_id", maintain_order="left")
    clips = asked.select("clip_id").unique(maintain_order=True).with_row_index("row")
    scores_NC, is_scored_N = _dense(scores, clips, column)
    rows = asked.join(clips, on="clip_id", maintain_order="left")["row"]
    return _Asked(
        labels=asked.drop("column"), label_rows=rows.to_numpy().astype(np.int64),
        label_columns=asked["column"].to_numpy().astype(np.int64), scores_NC=scores_NC, is_scored_N=is_scored_N,
        class_ids=tuple(classes),
    )  # fmt: skip


def _ranks(asked: _Asked) -> Ints:
    own_M = asked.scores_NC[asked.label_rows, asked.label_columns]
    return np.where(np.isfinite(own_M), label_ranks(asked.scores_NC[asked.label_rows], asked.label_columns), _NEVER)


def _want(frame: pl.DataFrame, columns: Sequence[str], *, what: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise BadInput(f"{what}: no column {', '.join(missing)}", mend=f"Found: {', '.join(frame.columns)}")


def _dense(scores: pl.DataFrame, clips: pl.DataFrame, column: pl.DataFrame) -> tuple[Floats, Bools]:
    """Scores [N, C] with -inf where a clip has none of a class, and whether a clip has any, [N]."""
    _want(scores, ("clip_id", "class_id", "score"), what="scores")
    rows = scores.select("clip_id", pl.col("class_id").cast(pl.Int64), pl.col("score").cast(pl.Float64))
    rows = rows.join(clips, on="clip_id").join(column, on="class_id")
    cell_M = rows["row"].to_numpy().astype(np.int64) * len(column) + rows["column"].to_numpy()
    is_twice_M = np.bincount(cell_M, minlength=1)[cell_M] > 1
    if is_twice_M.any():
        clip_id, class_id = rows.select("clip_id", "class_id").row(int(is_twice_M.argmax()))
        raise BadInput(f"clip {clip_id} has two scores of class {class_id}", mend="Give one score a clip and class")
    if rows["score"].is_null().any() or rows["score"].is_nan().any():
        raise BadInput("a score is NaN or missing", mend="Want numbers")
    scores_NC = np.full((len(clips), len(column)), -np.inf)
    scores_NC.reshape(-1)[cell_M] = rows["score"].to_numpy()
    return scores_NC, np.isfinite(scores_NC).any(axis=1)


def activitynet_scores(groundtruth: pl.DataFrame, predictions: pl.DataFrame, *, k: int = 3) -> ActivityNetScores:
    """Mean average precision and hit@k as ActivityNet's classification server computes them.

    A prediction is right when its video has its class and no better one of the same class and video was counted. AP is
    the area under the precision envelope. hit@k: whether any (`mean_hit_at_k`: which share) of a video's classes is
    among its k highest predictions; a video without predictions has none. The program itself fails on a predicted class
    that no video has; here it takes up places among the k and nothing else.

    Args:
        groundtruth: video_id and class_id; several rows of one pair count once.
        predictions: video_id, class_id and score.
        k: guesses a video.
    Raises:
        BadInput: a column is missing, a score is NaN, or `k` is below 1.
    Source: `ActivityNet/Evaluation/eval_classification.py` and `eval_kinetics.py` at 82304fa9 (they differ in what they
    print: hit@k, and 1 - hit@k).
    """
    _want(groundtruth, ("video_id", "class_id"), what="ground truth")
    _want(predictions, ("video_id", "class_id", "score"), what="predictions")
    if k < 1:
        raise BadInput(f"k={k}", mend="Want at least 1")
    if predictions["score"].cast(pl.Float64).is_nan().any() or predictions["score"].is_null().any():
        raise BadInput("a score is NaN or missing", mend="Want numbers")
    truth = groundtruth.select("video_id", "class_id").drop_nulls().unique(maintain_order=True)
    counts = truth.group_by("class_id").len("num").sort("class_id").with_row_index("segment")
    ranked = predictions.select("video_id", "class_id", "score").with_row_index("row")
    ranked = ranked.sort("score", "row", descending=True)
    first = pl.struct("video_id", "class_id").is_first_distinct()
    marked = ranked.with_columns(is_first=first).join(
        truth.with_columns(is_label=True), on=["video_id", "class_id"], how="left", maintain_order="left"
    ).join(counts, on="class_id", how="left", maintain_order="left")  # fmt: skip
    is_right_N = (marked["is_first"] & marked["is_label"].fill_null(value=False)).to_numpy()
    segment_N = marked["segment"].cast(pl.Int64).fill_null(-1).to_numpy()
    ap_C = average_precisions(is_right_N, segment_N, counts["num"].cast(pl.Int64).to_numpy())
    best = ranked.group_by("video_id", maintain_order=True).head(k).select("video_id", "class_id").unique()
    found = truth.join(best.with_columns(is_hit=True), on=["video_id", "class_id"], how="left")
    share_V = found.group_by("video_id").agg(pl.col("is_hit").fill_null(value=False).mean())["is_hit"]
    return ActivityNetScores(
        mean_ap=mean_of(ap_C), class_ids=tuple(counts["class_id"].to_list()), average_precision=ap_C,
        hit_at_k=float((share_V > 0).mean()) if len(share_V) else float("nan"),  # type: ignore[arg-type]
        mean_hit_at_k=float(share_V.mean()) if len(share_V) else float("nan"), k=k,  # type: ignore[arg-type]
    )  # fmt: skip
