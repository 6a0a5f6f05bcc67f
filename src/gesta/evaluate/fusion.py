"""Late fusion: the scores of several streams (RGB and flow, several models, several views) as one.

Legend: S streams, N clips, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import BadInput

_KEY = ("clip_id", "class_id")


def fuse_arrays(
    scores_SNC: npt.NDArray[np.floating], *, weights: Sequence[float] | None = None
) -> npt.NDArray[np.float64]:
    """The weighted mean over streams, float64 [N, C]; the same bits in whatever order the streams stand.

    Args:
        scores_SNC: [S, N, C], the streams' scores of the same clips and classes.
        weights: one a stream, at least 0 and not all 0; None = all equal.
    Raises:
        BadInput: there is no stream, a score is NaN, or the weights are not such numbers.
    Source: Simonyan & Zisserman, Two-Stream Convolutional Networks (2014), section 3: fusion by averaging the softmax
        scores of the streams; the Kinetics-400 paper, section 4.2, averages predictions.

    >>> fuse_arrays(np.array([[[0.2, 0.8]], [[0.6, 0.4]]]), weights=[3, 1])
    array([[0.3, 0.7]])
    """
    if scores_SNC.ndim != 3 or not len(scores_SNC):
        raise BadInput(f"scores {scores_SNC.shape}", mend="Want [S, N, C] with at least one stream")
    weight_S = np.array(checked_weights(weights, num_streams=len(scores_SNC)))
    if np.isnan(scores_SNC).any():
        raise BadInput("a score is NaN", mend="Want numbers")
    # Addition of floats depends on the order of more than two; sorted by value, every order is the same order.
    return np.sort(scores_SNC.astype(np.float64) * weight_S[:, None, None], axis=0).sum(axis=0) / math.fsum(weight_S)


def checked_weights(weights: Sequence[float] | None, *, num_streams: int) -> tuple[float, ...]:
    """One weight a stream; all 1 where none are given.

    Raises:
        BadInput: their number is not that of the streams, one is negative or no finite number, or all are 0.
    """
    if weights is None:
        return (1.0,) * num_streams
    if len(weights) != num_streams:
        raise BadInput(f"{len(weights)} weights of {num_streams} streams", mend="Give one weight a stream, in order")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        shown = ", ".join(f"{weight:g}" for weight in weights)
        raise BadInput(f"the weights are {shown}", mend="Want numbers of at least 0, not all of them 0")
    return tuple(float(weight) for weight in weights)


def fuse_scores(
    streams: Sequence[pl.DataFrame], *, weights: Sequence[float] | None = None, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Columns clip_id, class_id and score: the weighted mean over streams, sorted by clip and class.

    Every stream must score the same clips, and each clip the same classes: a mean over what happens to be there would
    compare sums of different numbers of streams.

    Args:
        streams: frames with clip_id, class_id and score, one score a clip and class.
        weights: one a stream, at least 0 and not all 0; None = all equal.
        names: what the streams are called in messages.
    Raises:
        BadInput: a column is missing, a score is NaN or missing, a clip has two scores of a class, a stream lacks a
            clip or class that another has, or the weights do not fit.

    >>> rgb = pl.DataFrame({"clip_id": ["a", "a"], "class_id": [1, 2], "score": [0.75, 0.25]})
    >>> flow = pl.DataFrame({"clip_id": ["a", "a"], "class_id": [2, 1], "score": [0.75, 0.25]})
    >>> fuse_scores([rgb, flow]).rows()
    [('a', 1, 0.5), ('a', 2, 0.5)]
    """
    if not streams:
        raise BadInput("no scores to fuse", mend="Give at least one stream")
    called = [f"stream {number + 1}" for number in range(len(streams))] if names is None else list(names)
    checked_weights(weights, num_streams=len(streams))
    sorted_streams = [_sorted(stream, name=name) for stream, name in zip(streams, called, strict=True)]
    first = sorted_streams[0]
    for stream, name in zip(sorted_streams[1:], called[1:], strict=True):
        if not first.select(_KEY).equals(stream.select(_KEY)):
            _refuse_difference(first, stream, name_a=called[0], name_b=name)
    scores_S1N = np.stack([stream["score"].to_numpy()[None] for stream in sorted_streams])
    fused_N = fuse_arrays(scores_S1N, weights=weights)[0]
    return first.select(*_KEY).with_columns(pl.Series("score", fused_N, dtype=pl.Float64))


def _sorted(stream: pl.DataFrame, *, name: str) -> pl.DataFrame:
    missing = [column for column in (*_KEY, "score") if column not in stream.columns]
    if missing:
        raise BadInput(f"{name}: no column {', '.join(missing)}", mend=f"Found: {', '.join(stream.columns)}")
    # Places of clips in place of their texts: sorting tens of millions of rows by numbers takes a fraction of the time.
    clips = stream.select("clip_id").unique().sort("clip_id").with_row_index("clip")
    rows = stream.select("clip_id", pl.col("class_id").cast(pl.Int64), pl.col("score").cast(pl.Float64))
    rows = rows.join(clips, on="clip_id").sort("clip", "class_id")
    bad = rows.filter(pl.col("score").is_null() | ~pl.col("score").is_finite())
    if len(bad):
        clip_id, class_id = bad.select(_KEY).row(0)
        raise BadInput(f"{name}: the score of class {class_id} in clip {clip_id} is no finite number", mend="Score it")
    twice = rows.filter(pl.all_horizontal(pl.col("clip", "class_id") == pl.col("clip", "class_id").shift(1)))
    if len(twice):
        clip_id, class_id = twice.select(_KEY).row(0)
        raise BadInput(f"{name}: clip {clip_id} has two scores of class {class_id}", mend="Keep one")
    return rows.drop("clip")


def _refuse_difference(a: pl.DataFrame, b: pl.DataFrame, *, name_a: str, name_b: str) -> None:
    """The error that names what one of two streams lacks: clips first, then a class of a clip."""
    for one, other, name_one, name_other in ((a, b, name_a, name_b), (b, a, name_b, name_a)):
        lost = one.select("clip_id").unique().join(other, on="clip_id", how="anti").sort("clip_id")
        if len(lost):
            raise BadInput(
                f"{name_other} lacks {len(lost):,} of the clips that {name_one} scores, the first is "
                f"{lost['clip_id'][0]}", mend="Score the same clips with every stream, or drop them from both",
            )  # fmt: skip
    for one, other, name_one, name_other in ((a, b, name_a, name_b), (b, a, name_b, name_a)):
        lost = one.join(other, on=_KEY, how="anti").sort(_KEY)
        if len(lost):
            clip_id, class_id = lost.select(_KEY).row(0)
            raise BadInput(
                f"{name_other} has no score of class {class_id} in clip {clip_id}, and {name_one} has one",
                mend="Fuse scores of all classes, not only of the first guesses",
            )
