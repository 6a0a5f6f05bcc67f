"""Key-frames decoded once."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.unit.train.persons.person_films import SMALL, film
from tests.unit.train.persons.test_person_batches import batches_of, same

import gesta.train.persons.prepared as prepared
from gesta.schema import BadInput, Refused
from gesta.train.clips import UNTIL_END_US
from gesta.train.persons import (
    PersonAugment,
    PersonExample,
    PersonSet,
    person_set,
    prepare_key_frames,
    sub_set,
    take_key_frames,
    with_prepared,
)

AUGMENT = PersonAugment(scale_px=(64, 80), jitter_box=0.1)


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> PersonSet:
    """Five key-frames of a film of 24 frames a second, the last near its end, and one of a missing film."""
    folder = tmp_path_factory.mktemp("films")
    path = film(folder / "one.mp4", seconds=4, fps=Fraction(24))
    times_us = [1_000_000, 1_400_000, 2_000_123, 3_900_000, 1_000_000]
    examples = [
        PersonExample(
            clip_id="one", video_id="one", path=path if place < 4 else folder / "gone.mp4", timestamp_us=time_us,
            start_us=0, end_us=2_100_000 if place == 2 else UNTIL_END_US, boxes_N4=np.array([[0.2, 0.2, 0.8, 0.8]]),
            person_ids=(0,), targets_NK=np.ones((1, 1), np.float32), weights_NK=np.ones((1, 1), np.float32),
        )
        for place, time_us in enumerate(times_us)
    ]  # fmt: skip
    return person_set(examples, classes={1: "stand"})


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepared, "KEY_FRAMES_PER_SHARD", 2)


@pytest.mark.parametrize("augment", [AUGMENT, None, dataclasses.replace(AUGMENT, jitter_frames=False)])
def test_batches_from_the_cache_are_those_from_the_films(persons: PersonSet, tmp_path: Path, augment):
    summary = prepare_key_frames(persons, out=tmp_path, frames=SMALL, augment=augment)
    assert (summary.kept, dict(summary.rejected)) == (4, {"missing": 1})
    stored = with_prepared(persons, tmp_path, frames=SMALL, augment=augment)
    assert stored.sha256 == persons.sha256
    assert [one.path.parent.suffix for one in stored.examples] == [".u8"] * 4 + [""]
    for epoch in range(3):
        one = batches_of(persons, augment=augment, numbers=[[0, 1, 2, 3]], epoch=epoch)
        other = batches_of(stored, augment=augment, numbers=[[0, 1, 2, 3]], epoch=epoch)
        assert all(same(mine, its) for mine, its in zip(one, other, strict=True))


def test_a_frame_that_is_shown_at_several_instants_is_stored_once(persons: PersonSet, tmp_path: Path):
    summary = prepare_key_frames(sub_set(persons, [0]), out=tmp_path, frames=SMALL, augment=AUGMENT)
    num_instants = 32 + 2 - 1
    assert 0.7 * num_instants < summary.numbers["size_bytes"] / (120 * 80 * 3) < 0.95 * num_instants


def test_a_cut_run_goes_on_where_it_was(persons: PersonSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = []
    make = prepared._make_shard
    monkeypatch.setattr(prepared, "_make_shard", lambda job: made.append(job.name) or make(job))
    prepare_key_frames(persons, out=tmp_path, frames=SMALL, augment=AUGMENT)
    assert made == ["000000", "000001", "000002"]
    (tmp_path / "shards" / "000001.json").unlink()
    told = []
    summary = prepare_key_frames(persons, out=tmp_path, frames=SMALL, augment=AUGMENT, on_key_frames=told.append)
    assert made[3:] == ["000001"]
    assert told == [3, 2]
    assert not summary.was_current
    assert prepare_key_frames(persons, out=tmp_path, frames=SMALL, augment=AUGMENT).was_current


def test_a_part_of_the_set_can_use_the_cache(persons: PersonSet, tmp_path: Path):
    prepare_key_frames(persons, out=tmp_path, frames=SMALL, augment=AUGMENT)
    few = take_key_frames(persons, num=2, seed=3)
    stored = with_prepared(
        few, tmp_path, frames=SMALL, augment=dataclasses.replace(AUGMENT, jitter_frames=False, flip=False)
    )
    assert len(stored) == 2


def test_caches_that_do_not_fit_are_refused(persons: PersonSet, tmp_path: Path):
    cache = tmp_path / "cache"
    still = dataclasses.replace(AUGMENT, jitter_frames=False)
    prepare_key_frames(persons, out=cache, frames=SMALL, augment=still)
    with pytest.raises(Refused, match=r"this folder holds key-frames prepared from something else. Name another"):
        prepare_key_frames(persons, out=cache, frames=SMALL, augment=AUGMENT)
    with pytest.raises(BadInput, match=r"it lacks frames that the model may be shown. Make another"):
        with_prepared(persons, cache, frames=SMALL, augment=AUGMENT)
    with pytest.raises(BadInput, match=r"it holds rate, side, side_px and crop_px \[30, 'short', 80, 64\], want"):
        with_prepared(persons, cache, frames=SMALL, augment=None)
    with pytest.raises(BadInput, match=r"there is no key_frames.json here. Make another"):
        with_prepared(persons, tmp_path, frames=SMALL, augment=still)
    other = person_set([dataclasses.replace(persons.examples[0], timestamp_us=1_000_001)], classes={1: "stand"})
    with pytest.raises(BadInput, match=r"it holds none of these key-frames"):
        with_prepared(other, cache, frames=SMALL, augment=still)
    shard = cache / "shards" / "000000.u8"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(BadInput, match=r"the cache is not whole: want [0-9,]+ bytes. Run the same prepare_key_frames"):
        with_prepared(persons, cache, frames=SMALL, augment=still)


def test_nothing_readable_is_said(persons: PersonSet, tmp_path: Path):
    with pytest.raises(
        BadInput, match=r"none of the 1 key-frames can be read, the first because: there is no such file"
    ):
        prepare_key_frames(sub_set(persons, [4]), out=tmp_path, frames=SMALL, augment=None)
