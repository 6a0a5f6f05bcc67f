"""Sets of clips: of releases, nested subsets, and the check that their files open."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.unit.train.clips.clip_sets import broken

from gesta.schema import BadInput, UnknownName
from gesta.train.clips import (
    UNTIL_END_US,
    ClipExample,
    ClipSet,
    check_clips,
    clip_set,
    read_release_clips,
    sub_set,
    take_per_class,
)


def test_a_release_gives_its_split_with_the_classes_of_all_splits(release: Path) -> None:
    train, rejects = read_release_clips(release, split="train")
    test, _ = read_release_clips(release, split="test")
    assert (train.class_ids, train.class_names) == ((3, 7), ("move sideways", "move up and down"))
    assert (test.class_ids, len(train), len(test), rejects) == ((3, 7), 6, 2, [])
    assert [one.label for one in train.examples] == [0, 1, 0, 1, 0, 1]
    assert all(one.path.is_file() and (one.start_us, one.end_us) == (0, 3_000_000) for one in train.examples)
    assert train.sha256 != test.sha256
    with pytest.raises(UnknownName, match="no split 'dev'"):
        read_release_clips(release, split="dev")


def test_clips_without_a_file_are_rejects(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: path.name != "-v2.mp4" and is_file(path))
    clips, rejects = read_release_clips(release, split="train")
    assert len(clips) == 5
    assert [(one.stage, one.reason, one.video_id) for one in rejects] == [("train", "missing", "-v2")]


def test_so_many_of_each_class_are_nested(release: Path) -> None:
    two, _ = read_release_clips(release, split="train", per_class=2, seed=5)
    one = take_per_class(two, num=1, seed=5)
    assert [sum(example.label == label for example in two.examples) for label in (0, 1)] == [2, 2]
    assert {e.clip_id for e in one.examples} < {e.clip_id for e in two.examples}
    with pytest.raises(BadInput, match="0 examples of each class"):
        take_per_class(two, num=0, seed=5)


def test_the_hash_is_of_what_is_learnt_and_not_of_where_it_lies(clips: ClipSet, tmp_path: Path) -> None:
    classes = dict(zip(clips.class_ids, clips.class_names, strict=True))
    moved = [dataclasses.replace(one, path=tmp_path / one.path.name) for one in clips.examples]
    assert clip_set(moved, classes=classes).sha256 == clips.sha256
    relabelled = [dataclasses.replace(one, label=1 - one.label) for one in clips.examples]
    assert clip_set(relabelled, classes=classes).sha256 != clips.sha256
    assert clip_set(clips.examples, classes={3: "other", 7: "names"}).sha256 != clips.sha256


def test_wrong_examples_are_refused(clips: ClipSet) -> None:
    with pytest.raises(BadInput, match="clip c: start 5 us, end 5 us, label 0"):
        ClipExample(clip_id="c", video_id="v", path=Path("v.mp4"), start_us=5, end_us=5, label=0)
    with pytest.raises(BadInput, match="there is no clip to learn from"):
        sub_set(clips, [])
    with pytest.raises(BadInput, match="clip clip1 has label 1, and there are 1 classes"):
        clip_set(clips.examples, classes={3: "one"})


def test_a_check_cuts_clips_to_their_videos_and_drops_the_unreadable(clips: ClipSet, tmp_path: Path) -> None:
    open_ends = [dataclasses.replace(one, end_us=UNTIL_END_US) for one in broken(clips, [3], tmp_path).examples]
    open_ends[5] = dataclasses.replace(open_ends[5], start_us=9_000_000)
    wishes = clip_set(open_ends, classes=dict(zip(clips.class_ids, clips.class_names, strict=True)))
    checked, rejects = check_clips(wishes)
    assert [(one.start_us, one.end_us) for one in checked.examples] == [(0, 2_000_000)] * 4
    assert [(one.reason, one.clip_id) for one in rejects] == [("not-video", "clip3"), ("outside", "clip5")]
    assert "the video lasts from 0.000000 to 2.000000 s" in rejects[1].detail
    assert check_clips(clips)[0] == clips, "nothing is dropped, nothing is changed, the hash included"


def test_what_a_check_found_is_not_looked_at_again(
    clips: ClipSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "readable.jsonl"
    first = check_clips(clips, store=store)
    monkeypatch.setattr("gesta.train.clips.readable.packet_index", None)
    counts: list[int] = []
    assert check_clips(clips, store=store, on_clips=counts.append) == first
    assert counts == [6]


def test_a_check_in_which_nothing_opens_stops(clips: ClipSet, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none of the 6 clips can be read, the first because"):
        check_clips(broken(clips, list(range(6)), tmp_path))
