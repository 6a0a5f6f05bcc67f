"""Laws of the splits: no video and no footage in two parts; classes in train and test; nothing but names matters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gesta.release.splits import MIN_GROUPS, SPLITS, assign_splits, classes_without, groups_of_videos, quotas

names = st.text("abcdefgh-_", min_size=1, max_size=4)
fractions = st.sampled_from([(0.7, 0.1, 0.2), (0.8, 0.0, 0.2), (0.5, 0.25, 0.25), (0.98, 0.01, 0.01), (0.1, 0.1, 0.8)])
one_class_each = st.dictionaries(names, st.integers(1, 5).map(lambda class_id: frozenset({class_id})), max_size=40)
many_classes = st.dictionaries(names, st.frozensets(st.integers(1, 6), max_size=4), max_size=40)


@given(one_class_each, fractions, st.integers(0, 99))
def test_every_class_of_three_groups_is_in_train_and_in_test(classes_of_group, shares, seed):
    split_of = assign_splits(classes_of_group, fractions=shares, seed=seed)
    assert classes_without(classes_of_group, split_of, split="train") == []
    assert classes_without(classes_of_group, split_of, split="test") == []


@given(many_classes, fractions, st.integers(0, 99))
def test_every_group_gets_one_split_that_depends_on_names_alone(classes_of_group, shares, seed):
    split_of = assign_splits(classes_of_group, fractions=shares, seed=seed)
    assert set(split_of) == set(classes_of_group)
    assert set(split_of.values()) <= {split for split, share in zip(SPLITS, shares, strict=True) if share > 0}
    backwards = dict(reversed(classes_of_group.items()))
    assert assign_splits(backwards, fractions=shares, seed=seed) == split_of


@given(st.lists(names, max_size=20), st.lists(st.tuples(names, names), max_size=20))
def test_videos_joined_by_pairs_share_a_group_and_others_do_not(videos, pairs):
    group_of = groups_of_videos(videos, pairs)
    neighbours = {video: {video} for pair in pairs for video in pair} | {video: {video} for video in videos}
    for one, other in pairs:
        neighbours[one].add(other)
        neighbours[other].add(one)
    for video in group_of:
        reached, new = set(), {video}
        while new:
            reached |= new
            new = {far for near in new for far in neighbours[near]} - reached
        assert {other for other in group_of if group_of[other] == group_of[video]} == reached & set(group_of)


@given(st.lists(st.integers(0, 200), max_size=20), fractions)
def test_quotas_add_up_and_are_near_their_shares(counts, shares):
    rows = quotas(counts, shares)
    assert [sum(row) for row in rows] == counts
    assert min([0, *(part for row in rows for part in row)]) == 0
    for count, row in zip(counts, rows, strict=True):
        assert count == 0 or row[0] >= 1
        assert count < MIN_GROUPS or row[2] >= 1


@given(st.lists(st.integers(10, 200), min_size=1, max_size=20))
def test_quotas_of_many_classes_come_to_the_wanted_shares_together(counts):
    shares = (0.7, 0.1, 0.2)
    together = [sum(part) for part in zip(*quotas(counts, shares), strict=True)]
    for got, share in zip(together, shares, strict=True):
        assert abs(got - share * sum(counts)) < 1.01
