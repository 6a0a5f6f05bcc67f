"""Late fusion by hand, and what it refuses."""

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.fusion import checked_weights, fuse_arrays, fuse_scores
from gesta.schema import BadInput


def scores(*rows):
    return pl.DataFrame(rows, schema={"clip_id": pl.String, "class_id": pl.Int64, "score": pl.Float64}, orient="row")


RGB = scores(("a", 1, 0.75), ("a", 2, 0.25), ("b", 1, 0.5), ("b", 2, 0.5))
FLOW = scores(("b", 2, 1.0), ("a", 2, 0.5), ("a", 1, 0.5), ("b", 1, 0.0))


def test_the_mean_and_the_weighted_mean():
    assert fuse_scores([RGB, FLOW]).rows() == [("a", 1, 0.625), ("a", 2, 0.375), ("b", 1, 0.25), ("b", 2, 0.75)]
    assert fuse_scores([RGB, FLOW], weights=[1, 3])["score"].to_list() == [0.5625, 0.4375, 0.125, 0.875]
    assert fuse_scores([RGB, FLOW], weights=[0, 2]).rows() == FLOW.sort("clip_id", "class_id").rows()
    assert fuse_scores([FLOW]).rows() == FLOW.sort("clip_id", "class_id").rows()


def test_a_missing_clip_is_named_whichever_stream_lacks_it():
    short = FLOW.filter(pl.col("clip_id") == "b")
    message = r"flow.csv lacks 1 of the clips that rgb.csv scores, the first is a"
    for streams, names in (([RGB, short], ["rgb.csv", "flow.csv"]), ([short, RGB], ["flow.csv", "rgb.csv"])):
        with pytest.raises(BadInput, match=message):
            fuse_scores(streams, names=names)


def test_a_missing_class_is_named():
    with pytest.raises(BadInput, match=r"stream 2 has no score of class 1 in clip b, and stream 1 has one"):
        fuse_scores([RGB, FLOW.filter((pl.col("clip_id") == "a") | (pl.col("class_id") == 2))])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 weights of 2 streams"),
        ([1, -1], "the weights are 1, -1"),
        ([0, 0], "the weights are 0, 0"),
        ([1, float("nan")], "the weights are 1, nan"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, message):
    with pytest.raises(BadInput, match=message):
        fuse_scores([RGB, FLOW], weights=weights)
    with pytest.raises(BadInput, match=message):
        checked_weights(weights, num_streams=2)


def test_scores_that_cannot_be_fused_are_said():
    with pytest.raises(BadInput, match="no scores to fuse"):
        fuse_scores([])
    with pytest.raises(BadInput, match="flow: no column score"):
        fuse_scores([RGB, FLOW.drop("score")], names=["rgb", "flow"])
    for bad in (float("nan"), float("inf"), None):
        with pytest.raises(BadInput, match="stream 2: the score of class 1 in clip a is no finite number"):
            fuse_scores([RGB, scores(("a", 1, bad))])
    with pytest.raises(BadInput, match="stream 1: clip a has two scores of class 1"):
        fuse_scores([scores(("a", 1, 0.5), ("a", 1, 0.5)), FLOW])
    with pytest.raises(BadInput, match=r"scores \(2, 2\)"):
        fuse_arrays(np.zeros((2, 2)))
    with pytest.raises(BadInput, match="a score is NaN"):
        fuse_arrays(np.full((1, 2, 2), np.nan))
