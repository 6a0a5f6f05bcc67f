"""Laws of late fusion, of rankings of classes and of differences of streams."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gesta.evaluate.classification import ranked_labels
from gesta.evaluate.difficulty import class_difficulty, share_interval
from gesta.evaluate.fusion import fuse_arrays, fuse_scores
from gesta.evaluate.modality import accuracy_difference
from gesta.evaluate.top_k import label_ranks, top_k

score = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def streams(draw, *, num=3):
    num_clips, num_classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    keys = [(f"c{n}", 2 * c) for n in range(num_clips) for c in range(num_classes)]
    frames = []
    for _ in range(num):
        values = draw(st.lists(score, min_size=len(keys), max_size=len(keys)))
        rows = [(*key, value) for key, value in zip(draw(st.permutations(keys)), values, strict=True)]
        frames.append(pl.DataFrame(rows, schema=["clip_id", "class_id", "score"], orient="row"))
    return frames


@given(streams(), st.permutations(range(3)), st.lists(st.floats(0.1, 9), min_size=3, max_size=3))
def test_fusion_has_the_same_bits_in_whatever_order(frames, order, weights):
    plain = fuse_scores(frames, weights=weights)
    moved = fuse_scores([frames[n].reverse() for n in order], weights=[weights[n] for n in order])
    assert plain.equals(moved)


@given(streams(num=1), st.integers(1, 4))
def test_a_stream_fused_with_itself_is_itself(frames, times):
    once = fuse_scores(frames)["score"].to_numpy()
    np.testing.assert_allclose(fuse_scores(frames * times)["score"].to_numpy(), once, rtol=1e-12)


@given(streams(), st.floats(0.01, 100))
def test_only_the_ratios_of_weights_matter(frames, factor):
    one, other = (fuse_scores(frames, weights=[w * times for w in (1, 2, 3)]) for times in (1, factor))
    np.testing.assert_allclose(one["score"].to_numpy(), other["score"].to_numpy(), rtol=1e-9, atol=1e-6)


@given(streams())
def test_a_fused_score_lies_between_the_streams(frames):
    values = np.stack([frame.sort("clip_id", "class_id")["score"].to_numpy() for frame in frames])
    fused = fuse_arrays(values[:, None])[0]
    assert (fused >= values.min(axis=0) - 1e-6).all()
    assert (fused <= values.max(axis=0) + 1e-6).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_a_label_is_among_k_guesses_where_its_rank_is_below_k(seed, k):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 4, (20, 6)) / 4, rng.integers(0, 6, 20)
    order = np.argsort(-scores, axis=1, kind="stable")
    assert (np.take_along_axis(order, label_ranks(scores, labels)[:, None], axis=1)[:, 0] == labels).all()
    assert top_k(scores, labels, k) == np.mean(label_ranks(scores, labels) < k)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.5, 0.99))
def test_an_interval_holds_its_share_and_narrows_with_more_clips(num, share, level):
    right = round(num * share)
    low, high = share_interval(right, num, level=level)
    assert 0 <= low <= right / num + 1e-12
    assert right / num - 1e-12 <= high <= 1
    more = share_interval(4 * right, 4 * num, level=level)
    assert more[1] - more[0] < high - low


@st.composite
def two_streams(draw):
    num = draw(st.integers(2, 12))
    labels = draw(st.lists(st.integers(0, 2), min_size=num, max_size=num))
    clips = [f"c{n}" for n in range(num)]
    guesses = [draw(st.lists(st.integers(0, 2), min_size=num, max_size=num)) for _ in range(2)]
    return pl.DataFrame({"clip_id": clips, "class_id": labels}), *(
        pl.DataFrame({"clip_id": clips, "class_id": guess, "score": [1.0] * num}) for guess in guesses
    )


@given(two_streams())
def test_swapped_streams_give_the_opposite(problem):
    labels, a, b = problem
    forth, back = (
        accuracy_difference(labels, one, other, class_ids=range(3), num_resamples=20) for one, other in ((a, b), (b, a))
    )
    assert forth.difference.estimate == -back.difference.estimate
    assert np.isclose(forth.difference.low, -back.difference.high)
    one, other = (result.by_class.sort("class_id") for result in (forth, back))
    np.testing.assert_allclose(one["difference"].to_numpy(), -other["difference"].to_numpy())
    assert one["only_a"].to_list() == other["only_b"].to_list()
    # The classes' differences, weighted by their clips, are the whole difference.
    whole = (one["difference"] * one["num_clips"]).sum() / one["num_clips"].sum()
    assert np.isclose(whole, forth.difference.estimate)


@given(two_streams())
def test_the_ranking_ascends_and_counts_every_label(problem):
    labels, scores, _ = problem
    ranked = class_difficulty(labels, scores, class_ids=range(3))
    assert ranked["accuracy"].is_sorted()
    assert ranked["place"].to_list() == list(range(1, len(ranked) + 1))
    assert ranked["num_clips"].sum() == len(labels)
    right = (ranked_labels(labels, scores, class_ids=range(3))["rank"] == 0).fill_null(value=False)
    assert ranked["num_right"].sum() == right.sum()
