"""Near pairs in parts: the same as in one go, kept when a run is stopped, and found by processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gesta.curate import near_shards
from gesta.curate.near_shards import pairs_in_shards
from gesta.curate.nearest import Pairs, pairs_within
from gesta.schema import BadInput


def cloud(num: int, dims: int = 96) -> np.ndarray:
    rng = np.random.default_rng(num)
    vectors_ND = rng.standard_normal((num, dims)).astype(np.float32)
    copies = rng.choice(num, (2, num // 10), replace=False)
    vectors_ND[copies[1]] = vectors_ND[copies[0]] + 0.3 * rng.random((num // 10, 1)) * rng.standard_normal(
        (num // 10, dims)
    )
    return vectors_ND


def same(one: Pairs, other: Pairs) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Pairs.__slots__)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    np.save(tmp_path / "v.npy", cloud(6000))
    return tmp_path / "v.npy"


def test_parts_make_the_whole_among_all(vectors: Path, tmp_path: Path) -> None:
    whole = pairs_within(np.load(vectors), min_cosine=0.97)
    assert len(whole.a_P) > 100
    done: list[int] = []
    found = pairs_in_shards(
        vectors, min_cosine=0.97, folder=tmp_path / "parts", num_shards=5, workers=1, on_rows=done.append
    )
    assert same(found, whole)
    assert done == [1] * 5


def test_parts_make_the_whole_inside_classes(vectors: Path, tmp_path: Path) -> None:
    groups = np.random.default_rng(0).integers(0, 9, 6000)
    whole = pairs_within(np.load(vectors), min_cosine=0.97, groups=groups)
    found = pairs_in_shards(vectors, min_cosine=0.97, folder=tmp_path / "parts", groups=groups, num_shards=4, workers=1)
    assert len(whole.a_P) > 10
    assert same(found, whole)


def test_few_vectors_are_compared_in_blocks(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", cloud(3000))
    found = pairs_in_shards(tmp_path / "v.npy", min_cosine=0.97, folder=tmp_path / "parts", workers=1)
    assert same(found, pairs_within(np.load(tmp_path / "v.npy"), min_cosine=0.97))


def test_a_stopped_run_goes_on_with_the_same_tiles(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    done: list[int] = []

    def stop(num: int) -> None:
        done.append(num)
        if len(done) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        pairs_in_shards(vectors, min_cosine=0.97, folder=tmp_path / "p", num_shards=6, workers=1, on_rows=stop)
    monkeypatch.setattr(near_shards, "projected", lambda *_, **__: pytest.fail("the tiles were made anew"))
    made: list[int] = []
    plain = near_shards._pairs_of_part
    monkeypatch.setattr(near_shards, "_pairs_of_part", lambda *a, **k: made.append(1) or plain(*a, **k))
    found = pairs_in_shards(vectors, min_cosine=0.97, folder=tmp_path / "p", num_shards=6, workers=1)
    assert len(made) == 3
    assert same(found, pairs_within(np.load(vectors), min_cosine=0.97))


@pytest.mark.slow
def test_processes_find_what_one_does(vectors: Path, tmp_path: Path) -> None:
    found = pairs_in_shards(vectors, min_cosine=0.97, folder=tmp_path / "parts", num_shards=4, workers=2)
    assert same(found, pairs_within(np.load(vectors), min_cosine=0.97))


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file of vectors"):
        pairs_in_shards(tmp_path / "none.npy", min_cosine=0.97, folder=tmp_path)
    np.save(tmp_path / "v.npy", np.ones((3, 2)))
    with pytest.raises(BadInput, match=r"float64 \[3, 2\]\. Want float32"):
        pairs_in_shards(tmp_path / "v.npy", min_cosine=0.97, folder=tmp_path)
