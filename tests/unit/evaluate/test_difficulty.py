"""The ranking of classes by hand."""

import polars as pl
import pytest

from gesta.evaluate.classification import ranked_labels, score_clips
from gesta.evaluate.difficulty import class_difficulty, share_interval
from gesta.schema import BadInput

LABEL_MAP = pl.DataFrame({"class_id": [1, 2, 3], "name": ["dancing", "eating", "archery"]})


def frames(labels, guesses):
    """Each clip has its first guess, and class 9 as second."""
    clips = [f"c{number}" for number in range(len(labels))]
    scores = [(clip, guess, 0.8) for clip, guess in zip(clips, guesses, strict=True)] + [(c, 9, 0.2) for c in clips]
    return (
        pl.DataFrame({"clip_id": clips, "class_id": labels}),
        pl.DataFrame(scores, schema=["clip_id", "class_id", "score"], orient="row"),
    )


def test_the_hardest_class_comes_first():
    labels, scores = frames([1, 1, 2, 2, 3], [1, 2, 1, 1, 3])
    ranked = class_difficulty(labels, scores, class_ids=[1, 2, 3, 9], label_map=LABEL_MAP)
    assert ranked["name"].to_list() == ["eating", "dancing", "archery"]
    assert ranked.select("place", "num_clips", "num_right", "accuracy").rows() == [
        (1, 2, 0, 0.0), (2, 2, 1, 0.5), (3, 1, 1, 1.0),
    ]  # fmt: skip
    assert (ranked["low"] < ranked["high"]).all()
    assert class_difficulty(labels, scores, class_ids=[1, 2, 3])["name"].null_count() == 3


def test_of_equal_accuracies_the_more_hopeless_is_harder():
    labels = pl.DataFrame({"clip_id": ["a", "b"], "class_id": [1, 2]})
    rows = [("a", 1, 0.4), ("a", 2, 0.6), ("b", 1, 0.6)]
    scores = pl.DataFrame(rows, schema=["clip_id", "class_id", "score"], orient="row")
    ranked = class_difficulty(labels, scores, class_ids=[1, 2])
    assert ranked.select("class_id", "accuracy", "top_k_accuracy").rows() == [(2, 0.0, 0.0), (1, 0.0, 1.0)]


def test_a_class_without_a_score_is_not_guessed_at_any_k():
    labels = pl.DataFrame({"clip_id": ["a", "b"], "class_id": [0, 0]})
    scores = pl.DataFrame({"clip_id": ["a", "a"], "class_id": [3, 4], "score": [0.5, 0.4]})
    assert ranked_labels(labels, scores, class_ids=range(10))["rank"].to_list() == [None, None]
    result = score_clips(labels, scores, class_ids=range(10), ks=(1, 5, 10))
    assert result.top_k == {1: 0.0, 5: 0.0, 10: 0.0}
    assert result.kinetics_error == 1.0


def test_nothing_to_rank_is_an_empty_ranking():
    labels, scores = frames([1], [1])
    assert len(class_difficulty(labels.clear(), scores, class_ids=[1])) == 0


def test_what_cannot_be_ranked_is_said():
    labels, scores = frames([1], [1])
    with pytest.raises(BadInput, match="k=0"):
        class_difficulty(labels, scores, class_ids=[1], k=0)
    with pytest.raises(BadInput, match=r"level=1\.5"):
        class_difficulty(labels, scores, class_ids=[1], level=1.5)
    with pytest.raises(BadInput, match="3 of 2"):
        share_interval(3, 2)
