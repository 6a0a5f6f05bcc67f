"""Differences of two streams by hand."""

import math

import polars as pl
import pytest

from gesta.evaluate.modality import accuracy_difference
from gesta.schema import BadInput

LABELS = pl.DataFrame({"clip_id": [f"c{n}" for n in range(8)], "class_id": [1, 1, 1, 1, 2, 2, 3, 3]})
LABEL_MAP = pl.DataFrame({"class_id": [1, 2, 3], "name": ["robot dancing", "making a cake", "archery"]})


def guessing(*guesses):
    return pl.DataFrame({"clip_id": LABELS["clip_id"], "class_id": guesses, "score": [1.0] * 8})


FLOW = guessing(1, 1, 1, 2, 1, 1, 3, 2)
RGB = guessing(1, 2, 2, 1, 2, 1, 3, 2)


def test_the_class_that_motion_matters_most_for_comes_first():
    result = accuracy_difference(LABELS, FLOW, RGB, class_ids=[1, 2, 3], label_map=LABEL_MAP, num_resamples=200)
    assert (result.accuracy_a, result.accuracy_b, result.difference.estimate) == (0.5, 0.5, 0.0)
    assert result.by_class.select("name", "difference", "ratio", "only_a", "only_b").rows() == [
        ("robot dancing", 0.25, 1.5, 2, 1), ("archery", 0.0, 1.0, 0, 0), ("making a cake", -0.5, 0.0, 0, 1),
    ]  # fmt: skip
    assert result.difference.low < 0 < result.difference.high
    # Both streams are right and wrong about the same clips of archery: no draw can tell them apart.
    assert result.by_class.row(1)[6:8] == (0.0, 0.0)


def test_a_class_that_only_one_stream_knows_has_no_ratio():
    result = accuracy_difference(LABELS, FLOW, guessing(*[9] * 8), class_ids=[1, 2, 3, 9], num_resamples=10)
    assert result.by_class["ratio"].null_count() == 3
    assert result.share_a_above == 1.0


def test_five_guesses_forgive_more_than_one():
    both = pl.concat([guessing(*[1] * 8), guessing(*[2] * 8).with_columns(score=pl.lit(0.5))])
    assert accuracy_difference(LABELS, both, RGB, class_ids=[1, 2, 3], num_resamples=5).accuracy_a == 0.5
    assert accuracy_difference(LABELS, both, RGB, class_ids=[1, 2, 3], k=2, num_resamples=5).accuracy_a == 0.75


def test_clips_of_one_film_are_drawn_together():
    films = LABELS.with_columns(group_id=pl.Series([0, 0, 0, 0, 1, 1, 1, 1]))
    alone = accuracy_difference(LABELS, FLOW, RGB, class_ids=[1, 2, 3], num_resamples=500)
    together = accuracy_difference(films, FLOW, RGB, class_ids=[1, 2, 3], num_resamples=500)
    assert (alone.num_groups, together.num_groups) == (8, 2)
    # With two films a draw holds one twice or both once.
    assert (together.difference.low, together.difference.high) == (-0.25, 0.25)
    classes = together.by_class.filter(pl.col("class_id") == 1)
    assert classes.select("low", "high").row(0) == (0.25, 0.25)


def test_what_cannot_be_compared_is_said():
    with pytest.raises(BadInput, match="1 clip or group"):
        accuracy_difference(LABELS.head(1), FLOW, RGB, class_ids=[1, 2, 3])
    with pytest.raises(BadInput, match="0 clip or group"):
        accuracy_difference(LABELS.clear(), FLOW, RGB, class_ids=[1, 2, 3])
    with pytest.raises(BadInput, match="k=0, num_resamples=1000"):
        accuracy_difference(LABELS, FLOW, RGB, class_ids=[1, 2, 3], k=0)
    twice = pl.concat([LABELS, LABELS.head(1)]).with_columns(group_id=pl.Series(range(9)))
    with pytest.raises(BadInput, match="clip c0 stands in two groups"):
        accuracy_difference(twice, FLOW, RGB, class_ids=[1, 2, 3])
    result = accuracy_difference(LABELS, FLOW.clear(), RGB.clear(), class_ids=[1, 2, 3], num_resamples=5)
    assert (result.accuracy_a, result.accuracy_b) == (0.0, 0.0)
    assert not math.isnan(result.difference.low)
