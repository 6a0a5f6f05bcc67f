"""Laws of the search among very many vectors: the shortcut loses no pair, whatever the vectors and its settings are."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.curate import near_global
from gesta.curate.near_global import near_in_tiles, projected
from gesta.curate.near_lanes import (
    add_lanes,
    add_lanes_plainly,
    lanes_that_reach,
    lanes_that_reach_plainly,
)
from gesta.curate.near_scan import TILE
from gesta.curate.nearest import components, linked, pairs_within
from gesta.schema import BadInput

TIE = 1e-12


def plain_cosines(vectors_ND: np.ndarray) -> np.ndarray:
    wide = vectors_ND.astype(np.float64)
    norm = np.sqrt((wide * wide).sum(axis=1))
    unit = wide / np.where(norm > 0, norm, 1)[:, None]
    return unit @ unit.T


@st.composite
def clouds(draw: st.DrawFn) -> np.ndarray:
    """Up to three tiles: clusters, copies, zero and opposite vectors, outliers, any lengths, flat or steep spectra."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num, dims = draw(st.sampled_from([2, 40, TILE, TILE + 1, 1400])), draw(st.sampled_from([2, 5, 64, 65, 150, 300]))
    spectrum = np.arange(1, dims + 1) ** -draw(st.sampled_from([0.0, 0.5, 1.5]))
    centres = rng.standard_normal((draw(st.sampled_from([1, 4, 60])), dims)) + draw(st.sampled_from([0, 1, 5]))
    noise = draw(st.sampled_from([0, 1e-7, 1e-3, 0.1, 0.3, 1.0]))
    cloud = centres[rng.integers(0, len(centres), num)] + noise * spectrum * rng.standard_normal((num, dims))
    cloud[rng.random(num) < draw(st.sampled_from([0, 0.01]))] = rng.standard_normal(dims) * 100
    copies = rng.integers(0, num, (2, num // 5))
    cloud[copies[0]] = cloud[copies[1]] + 0.2 * rng.random((num // 5, 1)) * rng.standard_normal((num // 5, dims))
    cloud *= 10.0 ** rng.uniform(*draw(st.sampled_from([(0, 0), (-3, 3), (-15, 15)])), (num, 1))
    cloud[rng.random(num) < draw(st.sampled_from([0, 0.2]))] = 0
    cloud[rng.random(num) < draw(st.sampled_from([0, 0.2]))] *= -1
    return cloud.astype(np.float32)


plans = st.sampled_from([(1, 1), (1, 2), (2, 2), (1, 5), (3, 5), (5, 5)])


@given(clouds(), st.sampled_from([0.3, 0.9, 0.97, 0.9999, 1.0]), plans, st.sampled_from([TILE, 5000, 1 << 20]))
@settings(deadline=None, max_examples=60)
def test_no_near_pair_is_lost(vectors_ND: np.ndarray, limit: float, plan: tuple[int, int], hits: int) -> None:
    rows = np.arange(len(vectors_ND))
    known = projected(vectors_ND, rows, min_cosine=limit, plan=plan)
    got = np.zeros((len(rows), len(rows)), bool)
    num = 0
    if known is not None:
        with pytest.MonkeyPatch.context() as patch:
            # A small space for hits has to be filled and emptied many times.
            patch.setattr(near_global, "_HITS", hits)
            for a_P, b_P in near_in_tiles(known):
                got[np.minimum(a_P, b_P), np.maximum(a_P, b_P)] = True
                num += len(a_P)
    assert num == got.sum()
    lost = np.triu(plain_cosines(vectors_ND) >= limit + TIE, 1) & ~got
    assert not lost.any()


@given(clouds(), plans, st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_parts_of_the_tiles_make_the_whole(vectors_ND: np.ndarray, plan: tuple[int, int], seed: int) -> None:
    rows = np.flatnonzero(np.random.default_rng(seed).random(len(vectors_ND)) < 0.7)
    known = projected(vectors_ND, rows, min_cosine=0.9, plan=plan) if len(rows) > 1 else None
    if known is None:
        return
    whole = [pair for a_P, b_P in near_in_tiles(known) for pair in zip(a_P, b_P, strict=True)]
    parts = [
        pair
        for tile in range(known.num_tiles)
        for a_P, b_P in near_in_tiles(known, tiles=range(tile, tile + 1))
        for pair in zip(a_P, b_P, strict=True)
    ]
    assert whole == parts
    assert {int(n) for pair in whole for n in pair} <= set(rows.tolist())


@given(st.integers(0, 2**32), st.integers(-(2**20), 2**20))
@settings(deadline=None)
def test_both_ways_to_multiply_bytes_agree_with_whole_numbers(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 256, 64, dtype=np.uint8)
    others = rng.integers(-128, 128, (16, 64), dtype=np.int8)
    start, offset = (rng.integers(-1000, 1000, 16).astype(np.int32) for _ in range(2))
    wanted = start + others.astype(np.int32) @ one.astype(np.int32)
    panel = others.reshape(16, 16, 4).transpose(1, 0, 2)
    for add, reach in ((_add, _reach), (_add_plainly, _reach_plainly)):
        memory = near_global._aligned((19, 16), np.int32)
        memory[:16] = panel.copy().view(np.int32).reshape(16, 16)
        memory[16], memory[17], memory[18] = start, 0, offset
        address = memory.ctypes.data
        words = tuple(int(word) for word in one.view(np.int32))
        add(address, address + 16 * 64, address + 17 * 64, words)
        assert (memory[17] == wanted).all()
        bits = reach(address, address + 16 * 64, address + 18 * 64, np.int32(limit), words)
        assert bits == sum(1 << lane for lane in range(16) if wanted[lane] + offset[lane] >= limit)


_SIGNATURE_WORDS = numba.types.UniTuple(numba.int32, 16)


@numba.njit(numba.void(numba.intp, numba.intp, numba.intp, _SIGNATURE_WORDS))
def _add(panel, start, target, words):
    add_lanes(panel, start, target, 0, words)


@numba.njit(numba.void(numba.intp, numba.intp, numba.intp, _SIGNATURE_WORDS))
def _add_plainly(panel, start, target, words):
    add_lanes_plainly(panel, start, target, 0, words)


@numba.njit(numba.int32(numba.intp, numba.intp, numba.intp, numba.int32, _SIGNATURE_WORDS))
def _reach(panel, start, offset, limit, words):
    return lanes_that_reach(panel, start, offset, 0, limit, words)


@numba.njit(numba.int32(numba.intp, numba.intp, numba.intp, numba.int32, _SIGNATURE_WORDS))
def _reach_plainly(panel, start, offset, limit, words):
    return lanes_that_reach_plainly(panel, start, offset, 0, limit, words)


def test_the_shortcut_is_taken_and_finds_what_plain_products_find(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vectors_ND = rng.standard_normal((6000, 128)).astype(np.float32)
    vectors_ND[3000:3500] = vectors_ND[:500] + 0.3 * rng.random((500, 1)) * rng.standard_normal((500, 128))
    assert projected(vectors_ND, np.arange(6000), min_cosine=0.97) is not None
    found = pairs_within(vectors_ND, min_cosine=0.97)
    joined = linked(vectors_ND, min_cosine=0.97)
    monkeypatch.setattr(near_global, "MIN_VECTORS", 10**9)
    plain = pairs_within(vectors_ND, min_cosine=0.97)
    assert len(plain.a_P) > 200
    for one, other in ((found.a_P, plain.a_P), (found.b_P, plain.b_P), (found.cosine_P, plain.cosine_P)):
        assert np.array_equal(one, other)
    assert (joined == components(6000, plain)).all()


def test_a_huge_cluster_is_joined_without_its_pairs() -> None:
    rng = np.random.default_rng(1)
    vectors_ND = rng.standard_normal((12_000, 64)).astype(np.float32)
    vectors_ND[2000:] = vectors_ND[2000]
    known = projected(vectors_ND, np.arange(12_000), min_cosine=0.97, plan=(1, 1))
    num_pairs = 0
    label = np.arange(12_000)

    def joined() -> np.ndarray:
        return label

    for a_P, b_P in near_in_tiles(known, joined=joined):
        num_pairs += len(a_P)
        label[np.unique(np.concatenate([a_P, b_P]))] = 2000
    # Once a tile is one with the others it is not compared any more: far fewer than the 50 million pairs are looked at.
    assert num_pairs < 10_000_000
    label = linked(vectors_ND, min_cosine=0.97)
    assert (label[2000:] == label[2000]).all()
    assert len(np.unique(label[:2000])) == 2000


def test_a_vector_that_is_not_finite_is_named() -> None:
    vectors_ND = np.random.default_rng(2).standard_normal((5000, 8)).astype(np.float32)
    vectors_ND[4321, 3] = np.inf
    with pytest.raises(BadInput, match="vector 4321 is not finite"):
        pairs_within(vectors_ND, min_cosine=0.9)


def test_where_everything_is_near_whole_vectors_are_compared() -> None:
    vectors_ND = (1 + 0.01 * np.random.default_rng(3).standard_normal((5000, 16))).astype(np.float32)
    assert projected(vectors_ND, np.arange(5000), min_cosine=0.9) is None
