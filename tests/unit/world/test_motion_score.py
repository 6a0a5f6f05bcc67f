"""Scores that see the pair but not the direction are at chance within pairs, whatever else they see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.schema import BadInput
from gesta.world import score_motions

NAMES = ("closing a door", "holding a balloon", "moving left", "moving right", "opening a door")


def scores(*rows: str) -> np.ndarray:
    """A row of scores for each text: the classes it names by their first letters, the first scored highest."""
    given = np.zeros((len(rows), len(NAMES)))
    for row, text in enumerate(rows):
        for rank, letter in enumerate(text):
            given[row, ["c", "h", "l", "r", "o"].index(letter)] = 5 - rank
    return given


def test_each_share_counts_what_it_says() -> None:
    found = score_motions(scores("co", "co", "ho", "lr", "lr", "h"), np.array([0, 4, 4, 2, 3, 1]), class_names=NAMES)
    assert found.motion_top1_frac == pytest.approx(2 / 5)
    assert found.pair_frac == pytest.approx(4 / 5)
    assert found.within_pair_frac == pytest.approx(3 / 5)
    assert found.control_top1_frac == 1
    assert found.within_by_pair == {"closing a door": pytest.approx(2 / 3), "moving left": 0.5}
    assert found.num_motion_clips == 5


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_scores_that_are_the_same_for_both_clips_of_a_pair_are_right_for_exactly_half(seed: int, num: int) -> None:
    once = np.random.default_rng(seed).normal(size=(num, len(NAMES)))
    both = np.repeat(once, 2, axis=0)
    labels = np.array([0, 4] * num)
    found = score_motions(both, labels, class_names=NAMES)
    assert found.within_pair_frac == 0.5
    assert found.motion_top1_frac == found.pair_frac / 2 <= 0.5


@pytest.mark.parametrize(
    ("labels", "names", "words"),
    [
        ([0], NAMES[:4], r"scores \(1, 5\) of 1 clips and 4 classes"),
        ([0], ("closing a door", *NAMES[:4]), "pair of 'closing a door' only that class"),
        ([1], NAMES, "no clip is of a class that has a partner"),
    ],
)
def test_what_cannot_be_scored_is_refused(labels: list[int], names: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        score_motions(scores("c"), np.array(labels), class_names=names)
