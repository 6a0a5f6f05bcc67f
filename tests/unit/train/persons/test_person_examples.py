"""Sets of key-frames and parts of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import BadInput, UnknownName
from gesta.train.persons import (
    PersonExample,
    PersonSet,
    join_sets,
    person_set,
    take_classes,
    take_key_frames,
    take_parts,
)

CLASSES = {1: "stand", 5: "sit", 9: "wave"}


def example(number: int, *, part: str = "ava", does: tuple[int, ...] = (0,), clip_label: int = -1) -> PersonExample:
    """A key-frame at that second with one person a column of `does`."""
    targets_NK = np.zeros((len(does), 3), dtype=np.float32)
    targets_NK[np.arange(len(does)), list(does)] = 1
    return PersonExample(
        clip_id=f"c{number}", video_id=f"v{number % 3}", path=Path(f"v{number % 3}.mp4"),
        timestamp_us=number * 1_000_000, start_us=0, end_us=10**9,
        boxes_N4=np.tile([0.1, 0.1, 0.9, 0.9], (len(does), 1)), person_ids=tuple(range(len(does))),
        targets_NK=targets_NK, weights_NK=np.ones_like(targets_NK), part=part, clip_label=clip_label,
    )  # fmt: skip


@pytest.fixture
def persons() -> PersonSet:
    """Twenty key-frames of two parts."""
    return person_set(
        [example(number, part="ava" if number < 12 else "kinetics") for number in range(20)], classes=CLASSES
    )


def test_fewer_key_frames_are_among_more(persons: PersonSet):
    few, more = (take_key_frames(persons, num=num, seed=4) for num in (5, 11))
    assert len(few) == 5
    assert set(few.examples) < set(more.examples)
    assert [one.timestamp_us for one in more.examples] == sorted(one.timestamp_us for one in more.examples)
    assert set(take_key_frames(persons, num=5, seed=5).examples) != set(few.examples)
    assert len(take_key_frames(persons, num=99, seed=4)) == 20


def test_the_choice_does_not_depend_on_the_sets_order(persons: PersonSet):
    turned = person_set(persons.examples[::-1], classes=CLASSES)
    times_us = {one.timestamp_us for one in take_key_frames(turned, num=6, seed=1).examples}
    assert times_us == {one.timestamp_us for one in take_key_frames(persons, num=6, seed=1).examples}


def test_parts_are_taken_and_joined_again(persons: PersonSet):
    ava, kinetics = (take_parts(persons, [part]) for part in ("ava", "kinetics"))
    assert (len(ava), len(kinetics), persons.parts) == (12, 8, ("ava", "kinetics"))
    assert join_sets([ava, kinetics]).examples == persons.examples
    assert len(take_parts(persons, ["kinetics", "ava"])) == 20


def test_joined_sets_keep_their_clips_classes():
    one = person_set([example(1, clip_label=0)], classes=CLASSES, clip_class_names=["run"])
    other = person_set([example(2, clip_label=1), example(3)], classes=CLASSES, clip_class_names=["run", "swim"])
    joined = join_sets([other, one])
    assert joined.clip_class_names == ("run", "swim")
    assert [joined.clip_class_names[two.clip_label] if two.clip_label >= 0 else "" for two in joined.examples] == [
        "swim", "", "run",
    ]  # fmt: skip


def test_a_subset_of_classes_has_their_columns_and_names():
    persons = person_set([example(1, does=(0, 2)), example(2, does=(1,)), example(3, does=())], classes=CLASSES)
    some = take_classes(persons, [9, 1])
    assert (some.class_ids, some.class_names) == ((9, 1), ("wave", "stand"))
    assert [one.targets_NK.tolist() for one in some.examples] == [[[0, 1], [1, 0]], [[0, 0]], []]
    dropped = take_classes(persons, [9, 1], outside="drop")
    assert [len(one.person_ids) for one in dropped.examples] == [2, 0, 0]
    assert some.sha256 != dropped.sha256 != persons.sha256


def test_a_person_without_any_label_is_not_outside_the_classes():
    nobody_knows = dataclasses.replace(example(1), targets_NK=np.zeros((1, 3), np.float32))
    persons = person_set([nobody_knows], classes=CLASSES)
    assert len(take_classes(persons, [9], outside="drop").examples[0].boxes_N4) == 1


def test_the_hash_is_of_what_is_learnt(persons: PersonSet):
    def sha256(**changes: object) -> str:
        return person_set([dataclasses.replace(persons.examples[0], **changes)], classes=CLASSES).sha256

    plain = sha256()
    assert plain == sha256(path=Path("elsewhere.mkv"))
    moved_N4 = persons.examples[0].boxes_N4 + 0.01
    other_NK = persons.examples[0].targets_NK[:, ::-1]
    different = [
        sha256(timestamp_us=1), sha256(boxes_N4=moved_N4), sha256(targets_NK=other_NK), sha256(end_us=10**8),
        sha256(proposals_M5=np.zeros((1, 5))), sha256(weights_NK=np.zeros((1, 3), np.float32)), sha256(part="kinetics"),
    ]  # fmt: skip
    assert len({plain, *different}) == len(different) + 1


def test_what_cannot_be_meant_is_refused(persons: PersonSet):
    with pytest.raises(BadInput, match=r"there is no key-frame to learn from. Look at the rejects"):
        person_set([], classes=CLASSES)
    with pytest.raises(BadInput, match=r"there is no class to learn from"):
        person_set(persons.examples, classes={})
    with pytest.raises(BadInput, match=r"key-frame 10 us of v0 lies outside 20 to 30 us"):
        dataclasses.replace(persons.examples[0], timestamp_us=10, start_us=20, end_us=30)
    with pytest.raises(BadInput, match=r"targets \(1, 3\), .* Want \[N, 4\], \[N, 2\], \[N, 2\], N and \[M, 5\]"):
        person_set(persons.examples, classes={1: "stand", 5: "sit"})
    with pytest.raises(BadInput, match=r"clip c1 has label 3, and there are 0 names"):
        person_set([example(1, clip_label=3)], classes=CLASSES)
    with pytest.raises(UnknownName, match=r"no part 'film'. There are: ava, kinetics"):
        take_parts(persons, ["film"])
    with pytest.raises(BadInput, match=r"0 key-frames. Want at least 1"):
        take_key_frames(persons, num=0, seed=1)
    with pytest.raises(BadInput, match=r"no class 2. Want each once, out of 1, 5, 9"):
        take_classes(persons, [1, 2])
    with pytest.raises(BadInput, match=r"classes \[1, 1\]. Want each once"):
        take_classes(persons, [1, 1])
    with pytest.raises(BadInput, match=r"there is no set to join. Give at least one"):
        join_sets([])
    with pytest.raises(BadInput, match=r"one set has 3 classes and another 1, not all the same. Read both with"):
        join_sets([persons, take_classes(persons, [1])])
