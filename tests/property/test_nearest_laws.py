"""Laws of the search for near vectors: what plain double precision finds is found, whatever the vectors are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.curate.nearest import Pairs, components, least_cosines, linked, pairs_within
from gesta.schema import BadInput

# Nearer to the threshold than double precision can tell.
TIE = 1e-12


def plain_cosines(vectors_ND: np.ndarray) -> np.ndarray:
    wide = vectors_ND.astype(np.float64)
    norm = np.sqrt((wide * wide).sum(axis=1))
    unit = wide / np.where(norm > 0, norm, 1)[:, None]
    return unit @ unit.T


@st.composite
def clouds(draw: st.DrawFn) -> np.ndarray:
    """Clusters, copies, opposite and zero vectors, of lengths from tiny to huge, in few or many dimensions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num, dims = draw(st.integers(2, 90)), draw(st.sampled_from([1, 2, 3, 17, 64, 200]))
    centres = rng.standard_normal((draw(st.integers(1, 6)), dims)) + draw(st.sampled_from([0, 1, 5]))
    noise = draw(st.sampled_from([0, 1e-7, 1e-4, 0.1, 0.3, 1.0]))
    cloud = centres[rng.integers(0, len(centres), num)] + noise * rng.standard_normal((num, dims))
    cloud *= 10.0 ** rng.uniform(*draw(st.sampled_from([(0, 0), (-3, 3), (-15, 15)])), (num, 1))
    cloud[rng.random(num) < draw(st.sampled_from([0, 0.2]))] = 0
    cloud[rng.random(num) < draw(st.sampled_from([0, 0.2]))] *= -1
    return cloud.astype(np.float32)


def check_pairs(vectors_ND: np.ndarray, found: Pairs, wanted_NN: np.ndarray, limit_NN: np.ndarray | float) -> None:
    cosines = plain_cosines(vectors_ND)
    must = np.triu(wanted_NN & (cosines >= limit_NN + TIE), 1)
    may = np.triu(wanted_NN & (cosines >= limit_NN - TIE), 1)
    got = np.zeros_like(must)
    got[found.a_P, found.b_P] = True
    assert not (must & ~got).any()
    assert not (got & ~may).any()
    assert got.sum() == len(found.a_P)
    assert (np.lexsort((found.b_P, found.a_P)) == np.arange(len(found.a_P))).all()
    assert np.abs(found.cosine_P - cosines[found.a_P, found.b_P]).max(initial=0) < TIE


@given(clouds(), st.sampled_from([0.2, 0.9, 0.97, 0.9999, 1.0]), st.sampled_from([3, 16, 2048]))
@settings(deadline=None)
def test_all_pairs_are_those_of_double_precision(vectors_ND: np.ndarray, limit: float, block: int) -> None:
    found = pairs_within(vectors_ND, min_cosine=limit, block=block)
    check_pairs(vectors_ND, found, np.ones((len(vectors_ND),) * 2, bool), limit)


@given(clouds(), st.integers(1, 5), st.sampled_from([4, 2048]), st.integers(0, 2**32))
@settings(deadline=None)
def test_pairs_of_classes_are_those_inside_each(vectors_ND: np.ndarray, num: int, block: int, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, num, len(vectors_ND))
    limits = np.where(groups == 1, 0.5, 0.97)
    found = pairs_within(vectors_ND, min_cosine=0.97, groups=groups, min_cosine_of={1: 0.5}, block=block)
    check_pairs(vectors_ND, found, groups[:, None] == groups[None, :], limits[:, None] * np.ones(len(groups)))
    same = linked(vectors_ND, min_cosine=0.97, groups=groups, min_cosine_of={1: 0.5}, block=block)
    assert (same == components(len(vectors_ND), found)).all()


@given(clouds(), st.sampled_from([0.3, 0.97]), st.sampled_from([5, 2048]))
@settings(deadline=None)
def test_components_without_pairs_are_those_of_the_pairs(vectors_ND: np.ndarray, limit: float, block: int) -> None:
    found = pairs_within(vectors_ND, min_cosine=limit)
    assert (linked(vectors_ND, min_cosine=limit, block=block) == components(len(vectors_ND), found)).all()


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=60))
def test_components_are_the_closure_of_the_pairs(num: int, links: list[tuple[int, int]]) -> None:
    links = [(a % num, b % num) for a, b in links]
    a_P, b_P = (np.array(side, dtype=np.int64) for side in (list(zip(*links, strict=True)) or [[], []]))
    label = components(num, Pairs(a_P, b_P, np.ones(len(links))))
    name = list(range(num))
    for _ in range(num):
        for a, b in links:
            name[a] = name[b] = min(name[a], name[b])
    assert label.tolist() == name


@given(clouds(), st.integers(1, 4), st.integers(0, 2**32))
@settings(deadline=None)
def test_the_least_cosine_is_that_of_all_members(vectors_ND: np.ndarray, num: int, seed: int) -> None:
    label = np.random.default_rng(seed).integers(0, num, len(vectors_ND))
    cosines = plain_cosines(vectors_ND)
    wanted = {
        int(name): cosines[np.ix_(label == name, label == name)][~np.eye((label == name).sum(), dtype=bool)].min()
        for name in np.unique(label)
        if (label == name).sum() > 1
    }
    found = least_cosines(vectors_ND, label, block=7)
    assert found.keys() == wanted.keys()
    assert all(abs(found[name] - wanted[name]) < TIE for name in wanted)


def test_bad_arguments_are_named() -> None:
    vectors_ND = np.ones((3, 2), np.float32)
    with pytest.raises(BadInput, match=r"min_cosine=0\. Want above 0"):
        pairs_within(vectors_ND, min_cosine=0)
    with pytest.raises(BadInput, match=r"float64 \[3, 2\]\. Want float32"):
        pairs_within(vectors_ND.astype(np.float64), min_cosine=0.9)
    with pytest.raises(BadInput, match="2 groups for 3 vectors"):
        pairs_within(vectors_ND, min_cosine=0.9, groups=np.zeros(2, np.int64))
    with pytest.raises(BadInput, match="vector 1 is not finite"):
        pairs_within(np.array([[1.0, 0], [np.nan, 1]], np.float32), min_cosine=0.9)
    with pytest.raises(BadInput, match="not among 2"):
        components(2, Pairs(np.array([0]), np.array([2]), np.array([1.0])))


def test_nothing_is_found_in_nothing() -> None:
    for num in (0, 1):
        assert len(pairs_within(np.ones((num, 4), np.float32), min_cosine=0.9).a_P) == 0
        assert linked(np.ones((num, 4), np.float32), min_cosine=0.9).tolist() == list(range(num))
