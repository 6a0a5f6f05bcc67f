"""Films made small and quick to jump about in."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.unit.train.persons.person_films import SMALL, film
from tests.unit.train.persons.test_person_batches import batches_of

from gesta.schema import BadInput
from gesta.train.persons import AvaSource, PersonAugment, PersonSet, person_set, read_ava_persons, shorten_films
from gesta.video import index_packets

LABELS = "one,2,0,0,1,1,4\none,2.5,0,0,1,1,4\none,8,0,0,1,1,4\ntwo,12,0,0,1,1,4\nodd,1,0,0,1,1,4\n"
AUGMENT = PersonAugment(scale_px=(64, 64), flip=False, crop="center")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A film of 10 s, a cut of another, and one of an odd width."""
    folder = tmp_path / "videos"
    film(folder / "one.mp4", seconds=10, fps=Fraction(24000, 1001))
    film(folder / "two_10_14.mp4", seconds=4, number=1, size=(128, 64))
    film(folder / "odd.mp4", seconds=2, number=2, size=(170, 128))
    return folder


def _persons(tmp_path: Path, videos: Path) -> PersonSet:
    (tmp_path / "labels.csv").write_text(LABELS)
    return read_ava_persons([AvaSource(part="ava", labels=tmp_path / "labels.csv", videos=videos)])[0]


def test_short_films_show_what_the_films_show(tmp_path: Path, videos: Path):
    persons = _persons(tmp_path, videos)
    told = []
    summary = shorten_films(persons, out=tmp_path / "short", frames=SMALL, augment=AUGMENT, on_films=told.append)
    # The first two key-frames of "one" share a stretch, the third has its own.
    assert (summary.kept, sum(told), dict(summary.rejected)) == (4, 3, {})
    short = _persons(tmp_path, tmp_path / "short")
    assert [(one.video_id, one.timestamp_us) for one in short.examples] == [
        (one.video_id, one.timestamp_us) for one in persons.examples
    ]
    assert all(one.file_start_us > 0 for one in short.examples[:4])
    for epoch in range(3):
        (mine,) = batches_of(persons, numbers=[[0, 1, 2, 3, 4]], augment=AUGMENT, epoch=epoch)
        (its,) = batches_of(short, numbers=[[0, 1, 2, 3, 4]], augment=AUGMENT, epoch=epoch)
        # The same frames, encoded anew: far nearer than a frame is to the next, which is shifted by a pixel.
        one, other = mine.pixels_BTHWC.float(), its.pixels_BTHWC.float()
        beside = (one[:, :, :, 1:] - one[:, :, :, :-1]).abs().mean(dim=(2, 3, 4))
        assert ((one - other).abs().mean(dim=(2, 3, 4)) < 0.4 * beside).all()
    for path in (tmp_path / "short").glob("*.mp4"):
        assert np.diff(np.flatnonzero(index_packets(path).is_sync)).max(initial=0) <= 12


def test_a_cut_run_goes_on_where_it_was(tmp_path: Path, videos: Path):
    persons = _persons(tmp_path, videos)
    shorten_films(persons, out=tmp_path / "short", frames=SMALL)
    next((tmp_path / "short").glob("two*")).unlink()
    assert shorten_films(persons, out=tmp_path / "short", frames=SMALL).numbers == {"num_films": 3, "num_new": 1}
    assert shorten_films(persons, out=tmp_path / "short", frames=SMALL).was_current


def test_films_that_cannot_be_read_are_said(tmp_path: Path, videos: Path):
    persons = _persons(tmp_path, videos)
    (videos / "two_10_14.mp4").write_bytes(b"no video any more")
    summary = shorten_films(persons, out=tmp_path / "short", frames=SMALL)
    assert (summary.kept, dict(summary.rejected)) == (3, {"not-video": 1})
    for path in videos.glob("*.mp4"):
        path.unlink()
    with pytest.raises(BadInput, match=r"none of the 3 films can be read, the first because: there is no such file"):
        shorten_films(_gone(persons, tmp_path), out=tmp_path / "other", frames=SMALL)


def _gone(persons: PersonSet, folder: Path) -> PersonSet:
    examples = [dataclasses.replace(one, path=folder / "gone" / one.path.name) for one in persons.examples]
    return person_set(examples, classes=dict(zip(persons.class_ids, persons.class_names, strict=True)))
