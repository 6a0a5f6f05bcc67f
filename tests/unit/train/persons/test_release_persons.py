"""Persons out of a release."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import BadInput, UnknownName
from gesta.train.persons import read_release_persons
from gesta.train.samples import read_samples


def test_persons_are_those_of_the_samples(release: Path):
    persons, rejects = read_release_persons(release, split="train")
    samples, _ = read_samples(release, split="train", class_ids=persons.class_ids)
    assert persons.class_ids == (3, 7)
    assert persons.class_names == ("move sideways", "move up and down")
    assert rejects == []
    assert len(persons) == len(samples) == 6
    for one, sample in zip(persons.examples, samples, strict=True):
        assert (one.clip_id, one.timestamp_us, one.person_ids) == (
            sample.clip_id,
            sample.timestamp_us,
            sample.person_ids,
        )
        assert one.boxes_N4.tolist() == sample.boxes_N4.tolist()
        assert one.targets_NK.tolist() == sample.targets_NK.tolist()
        assert one.weights_NK.tolist() == sample.weights_NK.tolist()
        assert one.path.resolve() == sample.path.resolve()


def test_answers_nobody_asked_for_weigh_less(release: Path):
    persons, _ = read_release_persons(release, split="train", unasked_weight=0.25)
    samples, _ = read_samples(release, split="train", class_ids=(3, 7), unasked_weight=0.25)
    found = [one.weights_NK.tolist() for one in persons.examples]
    assert found == [sample.weights_NK.tolist() for sample in samples]
    assert found[0] == [[1, 1], [1, 0.25]]


def test_only_labelled_persons_can_be_asked_for(release: Path):
    persons, _ = read_release_persons(release, split="train", persons="labelled")
    assert [len(one.boxes_N4) for one in persons.examples] == [1] * 6
    assert [len(one.proposals_M5) for one in persons.examples] == [2, 2, 1, 1, 1, 1]
    assert persons.examples[0].proposals_M5[:, 4].tolist() == [0.9, 0.9]


def test_frames_come_from_the_clip_and_it_has_its_own_class(release: Path):
    persons, _ = read_release_persons(release, split="test")
    first = persons.examples[0]
    assert (first.start_us, first.end_us, first.timestamp_us) == (0, 3_000_000, 1_500_000)
    assert [persons.clip_class_names[one.clip_label] for one in persons.examples] == [
        "move sideways",
        "move up and down",
    ]
    assert (persons.accounting[0].num_listed, persons.accounting[0].num_used) == (2, 2)


def test_class_subsets_carry_names(release: Path):
    persons, _ = read_release_persons(release, split="train", class_ids=[7])
    assert (persons.class_ids, persons.class_names) == ((7,), ("move up and down",))
    assert [int(one.targets_NK.sum()) for one in persons.examples] == [0, 1] * 3
    dropped, _ = read_release_persons(release, split="train", class_ids=[7], outside="drop")
    # The bystanders do nothing that anybody labelled: they stay.
    assert [len(one.boxes_N4) for one in dropped.examples] == [1, 2, 0, 1, 0, 1]
    assert all(np.isfinite(one.weights_NK).all() for one in dropped.examples)


def test_missing_videos_are_counted(release: Path, tmp_path: Path):
    shutil.copytree(release.parents[1], tmp_path / "work", symlinks=True)
    copy = tmp_path / "work" / "releases" / "1.0.0"
    (tmp_path / "work" / "videos" / "-v1.mp4").unlink()
    persons, rejects = read_release_persons(copy, split="train")
    assert len(persons) == 5
    assert persons.accounting[0].num_video_missing == 1
    assert [(one.reason, one.video_id, one.detail) for one in rejects] == [
        ("missing", "-v1", "key-frame at 1500000 us: there is no such file")
    ]


def test_what_cannot_be_meant_is_refused(release: Path, tmp_path: Path):
    with pytest.raises(UnknownName, match=r"no split 'val'. There are: test, train"):
        read_release_persons(release, split="val")
    with pytest.raises(UnknownName, match=r"no choice of persons 'all'. There are: detected, labelled"):
        read_release_persons(release, split="train", persons="all")
    with pytest.raises(UnknownName, match=r"no way with persons outside the classes 'hide'"):
        read_release_persons(release, split="train", outside="hide")
    with pytest.raises(BadInput, match=r"no class 8. Want each once, out of 3, 5, 7"):
        read_release_persons(release, split="train", class_ids=[8])
    with pytest.raises(BadInput, match=r"there is no manifest.json here, so this is no release"):
        read_release_persons(tmp_path, split="train")
