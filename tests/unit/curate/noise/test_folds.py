"""Folds that never part a group, a run that goes on where it was cut, and what classifiers give."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.curate.noise.folds import assign_folds, read_scored_labels, run_folds
from gesta.curate.noise.labels import groups_of_videos, read_labels
from gesta.curate.noise.linear import linear_scorer, shrunk_covariance
from gesta.curate.noise.vectors import vectors_of_clips, windows_of_clips
from gesta.schema import BadInput, ClipLabel, MissingTable, UnknownName
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

labels_of = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=2, max_size=120).map(
    lambda rows: pl.DataFrame(rows, schema={"class_id": pl.Int64, "group": pl.Int64}, orient="row")
)


def scored(work, **options):
    scorer = linear_scorer(vectors_of_clips(work, features=work / "features.parquet"))
    return run_folds(work, scorer=scorer, classifier={"kind": "logistic"}, **options)


@given(labels_of, st.integers(2, 6), st.integers(0, 9))
def test_no_group_is_parted_and_chance_is_the_seeds(labels, num_folds, seed) -> None:
    folds = assign_folds(labels, num_folds=num_folds, seed=seed)
    fold_of: dict[int, int] = {}
    for group, fold in zip(labels["group"], folds, strict=True):
        assert fold_of.setdefault(group, fold) == fold
    assert set(folds) <= set(range(num_folds))
    np.testing.assert_array_equal(folds, assign_folds(labels, num_folds=num_folds, seed=seed))


@given(st.integers(2, 6), st.integers(0, 9), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_classes_of_single_clips_are_spread_evenly(num_folds, seed, sizes) -> None:
    class_ids = [class_id for class_id, size in enumerate(sizes) for _ in range(size)]
    labels = pl.DataFrame({"class_id": class_ids, "group": list(range(len(class_ids)))})
    folds = assign_folds(labels, num_folds=num_folds, seed=seed)
    for class_id, size in enumerate(sizes):
        counts = Counter(int(fold) for fold, each in zip(folds, class_ids, strict=True) if each == class_id)
        assert max(counts.values()) - min(counts.get(fold, 0) for fold in range(num_folds)) <= 1, (class_id, size)


def test_copies_and_their_copies_are_one_group() -> None:
    clips = [("a", "v"), ("b", "w"), ("c", "x"), ("d", "v"), ("e", "y")]
    assert groups_of_videos(clips, [("a", "b"), ("b", "c"), ("zz", "e")]) == {"v": 0, "w": 0, "x": 0, "y": 1}


def test_labels_are_what_curation_kept_else_what_was_accepted(noisy_work) -> None:
    work = noisy_work(num_clips=6, pairs=(("c00", "c03"),))
    labels = read_labels(work)
    assert labels.rows["group"].to_list() == [0, 1, 2, 0, 3, 4]
    assert labels.class_ids == (3, 5, 8)
    for suffix in ("", ".json"):
        (work / f"kept.parquet{suffix}").unlink()
    with pytest.raises(MissingTable, match="gesta consensus"):
        read_labels(work)
    rows = [
        ClipLabel(clip_id=c, class_id=5, verdict=v, num_yes=3, num_no=0, num_unsure=0, num_broken=0)
        for c, v in (("c01", "accepted"), ("c02", "rejected"))
    ]
    made = made_by("test", arguments={}, inputs={})
    write_table(table_path(work, "clip_labels"), "clip_labels", frame_of("clip_labels", rows), made_by=made)
    assert read_labels(work).rows["clip_id"].to_list() == ["c01"]
    write_table(table_path(work, "clip_labels"), "clip_labels", frame_of("clip_labels", rows[1:]), made_by=made)
    with pytest.raises(BadInput, match="`clip_labels` holds no label"):
        read_labels(work)


def test_every_clip_is_scored_by_a_model_that_never_saw_it(noisy_work) -> None:
    work = noisy_work(pairs=(("c00", "c03"), ("c03", "c06")))
    seen = []
    scorer = linear_scorer(vectors_of_clips(work, features=work / "features.parquet"))

    def watching(fold):
        seen.append(fold)
        return scorer(fold)

    summary = run_folds(work, scorer=watching, classifier={"kind": "x"}, num_folds=4)
    assert (summary.kept, summary.numbers["num_labels"], summary.numbers["num_classes"]) == (60, 60, 3)
    assert summary.numbers["top1_frac"] > 0.9
    group_of = dict(read_labels(work).rows.select("clip_id", "group").iter_rows())
    for fold in seen:
        taught = {group_of[clip_id] for clip_id in fold.train["clip_id"]}
        assert not taught & {group_of[clip_id] for clip_id in fold.held}
    assert sorted(clip_id for fold in seen for clip_id in fold.held) == sorted(group_of)
    table = read_table(work, "fold_scores")
    assert len(table) == 60 * 3
    np.testing.assert_allclose(table.group_by("clip_id").agg(pl.col("score").sum())["score"], 1.0, atol=1e-6)
    assert run_folds(work, scorer=watching, classifier={"kind": "x"}, num_folds=4).was_current
    assert len(seen) == 4
    assert not (work / "noise" / "folds").exists() or not list((work / "noise" / "folds").iterdir())


def test_a_run_that_was_cut_goes_on_and_ends_the_same(noisy_work) -> None:
    work = noisy_work()
    scorer = linear_scorer(vectors_of_clips(work, features=work / "features.parquet"))
    done = []

    def cut(fold):
        if fold.number == 2 and len(done) == 2:
            raise KeyboardInterrupt
        done.append(fold.number)
        return scorer(fold)

    with pytest.raises(KeyboardInterrupt):
        run_folds(work, scorer=cut, classifier={"kind": "logistic"})
    assert not table_path(work, "fold_scores").exists()
    done.append("again")
    run_folds(work, scorer=cut, classifier={"kind": "logistic"})
    assert done == [0, 1, "again", 2, 3, 4]
    whole = read_table(work, "fold_scores")
    table_path(work, "fold_scores").unlink()
    scored(work)
    assert read_table(work, "fold_scores").equals(whole)


def test_a_class_of_one_video_is_learned_by_nobody(noisy_work) -> None:
    work = noisy_work(num_clips=31, wrong={30: 99})
    summary = scored(work)
    assert summary.rejected == {"one-group": 1}
    assert read_rejects(work)["clip_id"].to_list() == ["c30"]
    assert set(read_table(work, "fold_scores")["class_id"]) == {3, 5, 8}


def test_clips_without_a_vector_are_rejected(noisy_work) -> None:
    work = noisy_work()
    frame = pl.read_parquet(work / "features.parquet")
    frame.filter(pl.col("clip_id") != "c10").write_parquet(work / "features.parquet")
    summary = scored(work)
    assert (summary.kept, summary.rejected) == (59, {"no-vector": 1})


def test_low_scores_may_be_left_out_and_count_as_none(noisy_work) -> None:
    work = noisy_work(wrong={0: 5})
    scored(work)
    whole = read_scored_labels(work)
    scored(work, min_score=0.2)
    table = read_table(work, "fold_scores")
    part = read_scored_labels(work)
    assert len(table) < 180
    is_there = (whole.scores_NK >= 0.2) | whole.is_own_NK
    np.testing.assert_array_equal(part.scores_NK, np.where(is_there, whole.scores_NK, 0))
    # The wrong label's own score is there, however low.
    assert len(table.filter(clip_id="c00", class_id=5)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_folds": 1}, "1 folds. Want at least 2"),
        ({"min_score": 1.0}, "min_score=1.0. Want 0 or more"),
    ],
)
def test_what_cannot_be_is_refused(noisy_work, options, message) -> None:
    with pytest.raises(BadInput, match=message):
        scored(noisy_work(num_clips=9), **options)


def test_scores_that_are_none_are_refused(noisy_work) -> None:
    work = noisy_work(num_clips=9)
    with pytest.raises(BadInput, match=r"scores go from 2\.0 to 2\.0\. Want probabilities"):
        run_folds(work, scorer=lambda fold: (np.full((len(fold.held), 3), 2.0), []), classifier={})
    with pytest.raises(BadInput, match=r"gave scores \[1, 3\] for"):
        run_folds(work, scorer=lambda _fold: (np.full((1, 3), 0.5), []), classifier={}, num_folds=2)


def test_one_class_cannot_be_told_apart(noisy_work) -> None:
    work = noisy_work(num_clips=3)
    with pytest.raises(BadInput, match="0 classes have clips of two groups"):
        scored(work)


def test_both_linear_classifiers_learn_and_a_third_is_none(noisy_work) -> None:
    work = noisy_work(spread=0.4)
    vectors = vectors_of_clips(work, features=work / "features.parquet")
    shares = {}
    for kind in ("logistic", "discriminant"):
        summary = run_folds(work, scorer=linear_scorer(vectors, kind=kind), classifier={"kind": kind})
        shares[kind] = summary.numbers["top1_frac"]
    assert min(shares.values()) > 0.8, shares
    with pytest.raises(UnknownName, match="no classifier 'forest'"):
        linear_scorer(vectors, kind="forest")


def test_the_shrunk_covariance_is_scikit_learns() -> None:
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 12)) @ rng.standard_normal((12, 12))
    rows -= rows.mean(axis=0)
    theirs, _ = ledoit_wolf(rows, assume_centered=True)
    np.testing.assert_allclose(shrunk_covariance(rows, num_lost=0), theirs, rtol=1e-6)


def test_windows_belong_to_the_clips_that_they_lie_in() -> None:
    clips = pl.DataFrame({"clip_id": ["a", "b"], "video_id": ["v", "v"], "start_us": [0, 10], "end_us": [10, 20]})
    windows = pl.DataFrame(
        {
            "video_id": ["v"] * 4,
            "start_us": [0, 6, 9, 18],
            "end_us": [4, 14, 13, 30],
            "vector": [[0.0], [1.0], [2.0], [3.0]],
        }
    )
    found = windows_of_clips(windows, clips)
    assert found.rows() == [("a", [0.0]), ("a", [1.0]), ("b", [1.0]), ("b", [2.0])]


def test_features_of_other_kinds_are_named(noisy_work) -> None:
    work = noisy_work(num_clips=6)
    file = work / "other.parquet"
    with pytest.raises(BadInput, match="cannot be read as features"):
        vectors_of_clips(work, features=work / "features.txt")
    pl.DataFrame({"clip_id": ["a"]}).write_parquet(file)
    with pytest.raises(BadInput, match=r"columns clip_id\. Want clip_id and vector"):
        vectors_of_clips(work, features=file)
    pl.DataFrame({"clip_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}).write_parquet(file)
    with pytest.raises(BadInput, match="vectors of 1, 2 numbers"):
        vectors_of_clips(work, features=file)
    with pytest.raises(MissingTable, match="frame_features"):
        vectors_of_clips(work, features=None)
