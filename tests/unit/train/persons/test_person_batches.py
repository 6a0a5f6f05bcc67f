"""Batches of key-frames with persons."""

from __future__ import annotations

import pytest
import torch
from tests.unit.train.persons.person_films import SMALL, film

from gesta.train.persons import AvaSource, PersonAugment, PersonSet, person_batches, persons_to_model, read_ava_persons

CSV = """one,0002,0.1,0.1,0.5,0.9,1
one,0002,0.1,0.1,0.5,0.9,12
one,0002,0.5,0.1,0.9,0.9,80
one,3.500000
two,12.500000,0.0,0.0,1.0,1.0,4
"""


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> PersonSet:
    """Three key-frames of two films."""
    folder = tmp_path_factory.mktemp("ava")
    film(folder / "videos" / "one.mp4", seconds=5)
    film(folder / "videos" / "two_000010_000014.mp4", seconds=4, number=1, size=(128, 64))
    (folder / "labels.csv").write_text(CSV)
    found, _ = read_ava_persons([AvaSource(part="ava", labels=folder / "labels.csv", videos=folder / "videos")])
    return found


def _batches(persons: PersonSet, **changes):
    wanted = {
        "frames": SMALL, "augment": PersonAugment(scale_px=(64, 80)), "numbers": [[0, 1, 2], [2, 0]], "seed": 1,
        "epoch": 2, "num_workers": 0,
    } | changes  # fmt: skip
    with person_batches(persons, **wanted) as batches:
        return list(batches)


def test_a_batch_has_clips_boxes_targets(persons: PersonSet):
    batch = _batches(persons)[0]
    clip_BCTHW, boxes_N5 = persons_to_model(batch, frames=SMALL, device="cpu")
    assert clip_BCTHW.shape == (3, 3, 8, 64, 64)
    assert boxes_N5.dtype == torch.float32
    assert boxes_N5[:, 0].tolist() == [0, 0, 2]
    assert batch.targets_NK.sum(dim=1).tolist() == [2, 1, 1]


def test_whole_frames_of_several_sizes_come_as_several_batches(persons: PersonSet):
    batches = _batches(persons, augment=None, numbers=[[0, 2, 1]], which="truth")
    assert [(batch.numbers, tuple(batch.pixels_BTHWC.shape[2:4])) for batch in batches] == [
        ((0, 1), (64, 96)),
        ((2,), (64, 128)),
    ]
