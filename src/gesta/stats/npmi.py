r"""How well the classes of clips and the classes of boxes go together: normalised pointwise mutual information.

AVA-Kinetics, equation 1, prints (log p(x) + log p(y)) / log p(x, y) - 1. That is the standard measure (Bouma 2009,
"Normalized (pointwise) mutual information in collocation extraction"), written differently:
log(p(x, y) / (p(x) p(y))) / -log p(x, y) = (log p(x) + log p(y) - log p(x, y)) / log p(x, y). Its range is the one
that the paper states: 1 where two classes occur only together (2 - 1, since then p(x) = p(y) = p(x, y)), 0 where they
are independent, and -1 in the limit of p(x, y) = 0, which the formula itself does not reach: a pair never seen is set
to -1. Where a single pair is all there is, p(x, y) = 1, the formula is 0 / 0; it is set to 0, since knowing one class
then tells nothing of the other. Equal to standard NPMI everywhere else.

What p is a share of, the paper does not say ("the frequency of class x"). Here a draw is one box label, paired with
the class of its clip (`over="labels"`), so that p(x, y) sums to 1: on the half of the validation set that is at hand,
this comes closest to tables 2 and 3 (mean difference 0.00 and mean distance 0.05 over their 43 pairs seen there,
against 0.03 and 0.08 for draws of clips). `over="clips"` draws clips: p(x) is the share of clips with class x.

Legend: N box labels, X clip classes, Y box classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.stats.box_pass import codes_of, numbers_of

Over = Literal["labels", "clips"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """How often classes occur: together [X, Y], each alone [X] and [Y], and draws in all."""

    num_XY: npt.NDArray[np.int64]
    num_X: npt.NDArray[np.int64]
    num_Y: npt.NDArray[np.int64]
    num_draws: int


def npmi(counts: PairCounts) -> npt.NDArray[np.float64]:
    """NPMI of each clip class with each box class, -1..1 [X, Y]; -1 for a pair never seen.

    Source: AVA-Kinetics, equation 1; see the head of this file.

    >>> both = np.array([[5, 0], [0, 5]])
    >>> npmi(PairCounts(num_XY=both, num_X=both.sum(1), num_Y=both.sum(0), num_draws=10)).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    values_XY = np.full(counts.num_XY.shape, -1.0)
    x, y = np.nonzero(counts.num_XY)
    if not len(x):
        return values_XY
    log_num = np.log(counts.num_draws)
    log_xy = np.log(counts.num_XY[x, y]) - log_num
    log_x_y = np.log(counts.num_X[x]) + np.log(counts.num_Y[y]) - 2 * log_num
    is_all = counts.num_XY[x, y] == counts.num_draws
    values_XY[x, y] = np.where(is_all, 0.0, log_x_y / np.where(is_all, -1.0, log_xy) - 1)
    return np.clip(values_XY, -1.0, 1.0, out=values_XY)


@numba.njit(cache=True, nogil=True)
def _pairs(x_N: npt.NDArray[np.int32], y_N: npt.NDArray[np.int32], num_x: int, num_y: int) -> npt.NDArray[np.int64]:
    num_XY = np.zeros((num_x, num_y), np.int64)
    for i in range(len(x_N)):
        if x_N[i] >= 0 and y_N[i] >= 0:
            num_XY[x_N[i], y_N[i]] += 1
    return num_XY


def label_pairs(x_N: npt.NDArray[np.int32], y_N: npt.NDArray[np.int32], *, num_x: int, num_y: int) -> PairCounts:
    """Counts over box labels: the clip's class and the label's own of each, as numbers from 0 [N]; -1 is left out."""
    num_XY = _pairs(x_N, y_N, num_x, num_y)
    return PairCounts(
        num_XY=num_XY, num_X=num_XY.sum(axis=1), num_Y=num_XY.sum(axis=0), num_draws=int(num_XY.sum())
    )  # fmt: skip


def clip_pairs(
    clip_N: npt.NDArray[np.int64], x_N: npt.NDArray[np.int32], y_N: npt.NDArray[np.int32], *, num_x: int, num_y: int
) -> PairCounts:
    """Counts over clips: those with each class and with both. A clip of several clip classes is several draws.

    Args:
        clip_N: number of the clip of each row [N].
        x_N: its class, a number from 0 [N].
        y_N: a class of a box in it, a number from 0 [N]; -1 for a row without one, which counts as a draw all the same.
    """
    drawn = np.unique(clip_N * num_x + x_N)
    seen = y_N >= 0
    pairs = np.unique((clip_N[seen] * num_x + x_N[seen]) * num_y + y_N[seen])
    x, y = (pairs // num_y) % num_x, pairs % num_y
    num_XY = np.bincount(x * num_y + y, minlength=num_x * num_y).reshape(num_x, num_y)
    return PairCounts(
        num_XY=num_XY, num_X=np.bincount(drawn % num_x, minlength=num_x), num_Y=num_XY.sum(axis=0), num_draws=len(drawn)
    )


def with_clip_class(boxes: pl.DataFrame, clips: pl.DataFrame) -> pl.DataFrame:
    """The boxes with the class of their clip, `clip_class`; boxes of a video that `clips` does not name are dropped.

    Where a video has several clips (53 of Kinetics-700 val), a box belongs to those that its time lies in, ends
    included, or, where it lies in none, to all.

    Args:
        boxes: `video_id`, `timestamp_us`, and what else should be kept.
        clips: `video_id`, `start_us`, `end_us`, `clip_class`; null ends are the whole file.
    """
    wanted = clips.select("video_id", "start_us", "end_us", "clip_class").drop_nulls("clip_class").unique()
    joined = boxes.with_row_index("row").join(wanted, on="video_id", how="inner")
    if wanted["video_id"].n_unique() < len(wanted):
        is_inside = pl.col("timestamp_us").is_between("start_us", "end_us").fill_null(value=True)
        joined = joined.filter(is_inside | ~is_inside.any().over("row"))
        joined = joined.unique(["row", "clip_class"])
    return joined.sort("row", "clip_class").select(*boxes.columns, "clip_class")


def count_class_pairs(
    boxes: pl.DataFrame, clips: pl.DataFrame, *, clip_classes: pl.Series, box_classes: pl.Series, over: Over = "labels"
) -> PairCounts:
    """How often each clip class [X] and each box class [Y] occur, alone and together.

    Args:
        boxes: `video_id`, `timestamp_us`, `class_id`; a null class is a key-frame without a label.
        clips: as for `with_clip_class`.
        clip_classes: the values of `clip_class` that X stands for, distinct.
        box_classes: the values of `class_id` that Y stands for, distinct.
        over: what a draw is: a box label, or a clip.
    """
    num_x, num_y = len(clip_classes), len(box_classes)
    wanted = clips.select("video_id", "start_us", "end_us", "clip_class").drop_nulls("clip_class").unique()
    is_single = wanted.select(pl.col("video_id").is_unique()).to_series()
    code_N, video_ids = codes_of(boxes["video_id"])
    single = wanted.filter(is_single)
    # Most videos are one clip: one look-up a video. Where a video has several, times decide, row by row.
    of_video = pl.DataFrame({"video_id": video_ids}).join(single, on="video_id", how="left", maintain_order="left")
    x_N = np.append(numbers_of(of_video["clip_class"], clip_classes), np.int32(-1))[code_N]
    y_N = numbers_of(boxes["class_id"], box_classes)
    clip_N = code_N.astype(np.int64)
    if len(single) < len(wanted):
        of_several = wanted.filter(~is_single)
        row_boxes = boxes.select("video_id", "timestamp_us", "class_id").with_columns(clip=pl.Series(clip_N))
        several = with_clip_class(row_boxes.join(of_several, on="video_id", how="semi"), of_several)
        x_N = np.concatenate([x_N, numbers_of(several["clip_class"], clip_classes)])
        y_N = np.concatenate([y_N, numbers_of(several["class_id"], box_classes)])
        clip_N = np.concatenate([clip_N, several["clip"].to_numpy()])
    if over == "labels":
        return label_pairs(x_N, y_N, num_x=num_x, num_y=num_y)
    known = x_N >= 0
    return clip_pairs(clip_N[known], x_N[known], y_N[known], num_x=num_x, num_y=num_y)


def top_pairs(values_XY: npt.NDArray[np.float64], *, top: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The best partners of each of X: rows and columns of `values_XY` [X, Y], best first; never-seen pairs left out."""
    order = np.argsort(-values_XY, axis=1, kind="stable")[:, :top]
    x = np.repeat(np.arange(len(values_XY)), order.shape[1])
    y = order.ravel()
    seen = values_XY[x, y] > -1
    return x[seen], y[seen]


def npmi_tables(
    counts: PairCounts, *, clip_classes: pl.Series, box_classes: pl.Series, top: int = 3
) -> dict[str, pl.DataFrame]:
    """Tables 2 and 3 of AVA-Kinetics: the `top` partners of each class, both ways.

    `npmi_of_clip_classes` (clip_class, num_clip_class, rank, box_class, npmi, num_both) in the order of the classes;
    `npmi_of_box_classes` (box_class, num_box_class, rank, clip_class, npmi, num_both), classes seen least first.

    Args:
        counts: of X clip classes and Y box classes.
        clip_classes: their names [X].
        box_classes: their names [Y].
        top: partners a class.
    """
    values_XY = npmi(counts)
    tables = {}
    for mine, other, names, others, num, values, num_both in (
        ("clip_class", "box_class", clip_classes, box_classes, counts.num_X, values_XY, counts.num_XY),
        ("box_class", "clip_class", box_classes, clip_classes, counts.num_Y, values_XY.T, counts.num_XY.T),
    ):
        a, b = top_pairs(values, top=top)
        frame = pl.DataFrame(
            {
                mine: names.gather(a), f"num_{mine}": num[a], "rank": pl.int_range(len(a), eager=True),
                other: others.gather(b), "npmi": np.round(values[a, b], 6), "num_both": num_both[a, b], "place": a,
            },
            schema_overrides={mine: pl.String, other: pl.String},
        )  # fmt: skip
        frame = frame.with_columns((pl.col("rank") - pl.col("rank").first().over("place") + 1).alias("rank"))
        order = ["place", "rank"] if mine == "clip_class" else [f"num_{mine}", "place", "rank"]
        tables[f"npmi_of_{mine}es"] = frame.sort(order).drop("place")
    return tables
