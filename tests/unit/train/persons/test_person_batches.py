"""Batches of key-frames with persons."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.unit.train.persons.person_films import SMALL, film

from gesta.schema import BadInput, GestaError, UnknownName
from gesta.train.clips import UNTIL_END_US, ClipFrames, ClipSource
from gesta.train.persons import (
    AvaSource,
    PersonAugment,
    PersonBatch,
    PersonBoxes,
    PersonExample,
    PersonSet,
    batch_of,
    person_batches,
    person_set,
    persons_to_model,
    read_ava_persons,
    shown_key_frame,
    sub_set,
)
from gesta.video import write_video

CSV = """one,0002,0.1,0.1,0.5,0.9,1
one,0002,0.1,0.1,0.5,0.9,12
one,0002,0.5,0.1,0.9,0.9,80
one,3.500000
two,12.500000,0.0,0.0,1.0,1.0,4
two,13,0.0,0.0,0.2,0.2,4
three,1.25,0.3,0.3,0.6,0.7,5
"""
PROPOSALS = "one,2,0.1,0.1,0.5,0.88,0.95\none,2,0.5,0.1,0.9,0.7,0.99\none,2,0.0,0.0,0.1,0.1,0.4\n"

JITTERED = PersonAugment(scale_px=(64, 80), jitter_box=0.1, color_frac=0.2)


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> PersonSet:
    """Five key-frames of three films."""
    folder = tmp_path_factory.mktemp("ava")
    film(folder / "videos" / "one.mp4", seconds=5)
    film(folder / "videos" / "two_000010_000014.mp4", seconds=4, number=1, size=(128, 64))
    film(folder / "videos" / "three.mp4", seconds=3, number=2, fps=Fraction(24000, 1001))
    (folder / "labels.csv").write_text(CSV)
    (folder / "proposals.csv").write_text(PROPOSALS)
    source = AvaSource(
        part="ava", labels=folder / "labels.csv", videos=folder / "videos", proposals=folder / "proposals.csv"
    )
    found, _ = read_ava_persons([source])
    return found


def batches_of(persons: PersonSet, **changes) -> list[PersonBatch]:
    """The batches with small frames, [[0, 1, 2], [2, 0]] unless told otherwise."""
    wanted = {
        "frames": SMALL, "augment": JITTERED, "numbers": [[0, 1, 2], [2, 0]], "seed": 1, "epoch": 2, "num_workers": 0,
    } | changes  # fmt: skip
    with person_batches(persons, **wanted) as batches:
        return list(batches)


def same(one: PersonBatch, other: PersonBatch) -> bool:
    """Whether two batches are equal to the bit."""
    for field in dataclasses.fields(PersonBatch):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, torch.Tensor):
            if its is None or mine.dtype != its.dtype or not torch.equal(mine, its):
                return False
        elif mine != its:
            return False
    return True


def test_a_batch_has_clips_boxes_targets(persons: PersonSet):
    batch = batches_of(persons, augment=PersonAugment(scale_px=(64, 80)))[0]
    clip_BCTHW, boxes_N5 = persons_to_model(batch, frames=SMALL, device="cpu")
    assert clip_BCTHW.shape == (3, 3, 8, 64, 64)
    assert clip_BCTHW.is_contiguous(memory_format=torch.channels_last_3d)
    assert boxes_N5.dtype == torch.float32
    assert boxes_N5[:, 0].tolist() == [0, 0, 2]
    assert batch.targets_NK.sum(dim=1).tolist() == [2, 1, 1]
    assert batch.clip_labels_B.tolist() == [-1, -1, -1]
    assert batch.crops_B4.tolist() == [[0, 0, 64, 64]] * 3


@pytest.mark.parametrize("num_workers", [1, 2])
def test_batches_are_the_same_at_any_number_of_workers(persons: PersonSet, num_workers: int):
    numbers = [[0, 1, 2, 3], [4, 2, 0], [1]]
    boxes = PersonBoxes(train="both", most=2)
    here = batches_of(persons, numbers=numbers, boxes=boxes)
    there = batches_of(persons, numbers=numbers, boxes=boxes, num_workers=num_workers)
    assert len(here) == len(there) == 3
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


def test_what_is_shown_depends_on_seed_epoch_and_number_alone(persons: PersonSet):
    (one,) = batches_of(persons, numbers=[[0, 1, 2, 3]])
    (again,) = batches_of(persons, numbers=[[3, 2, 1, 0]])
    assert torch.equal(one.pixels_BTHWC, again.pixels_BTHWC.flip(0))
    assert one.flips_B.tolist() == again.flips_B.tolist()[::-1]
    for changes in ({"seed": 5}, {"epoch": 3}):
        (other,) = batches_of(persons, numbers=[[0, 1, 2, 3]], **changes)
        assert not torch.equal(one.pixels_BTHWC, other.pixels_BTHWC)


def test_frames_are_moved_one_by_one_only_where_asked(persons: PersonSet):
    still = PersonAugment(scale_px=(64, 64), crop="center", flip=False, jitter_frames=False)
    (one,) = batches_of(persons, numbers=[[0]], augment=still)
    (other,) = batches_of(persons, numbers=[[0]], augment=still, epoch=9)
    assert torch.equal(one.pixels_BTHWC, other.pixels_BTHWC)
    moved = dataclasses.replace(still, jitter_frames=True)
    (one,) = batches_of(persons, numbers=[[0]], augment=moved)
    (other,) = batches_of(persons, numbers=[[0]], augment=moved, epoch=9)
    assert not torch.equal(one.pixels_BTHWC, other.pixels_BTHWC)


def test_whole_frames_of_several_sizes_come_as_several_batches(persons: PersonSet):
    batches = batches_of(persons, augment=None, numbers=[[0, 2, 1]], which="truth")
    assert [(batch.numbers, tuple(batch.pixels_BTHWC.shape[2:4])) for batch in batches] == [
        ((0, 1), (64, 96)),
        ((2,), (64, 128)),
    ]
    # No clip is filled up: its answer cannot depend on the clips beside it.
    (alone,) = batches_of(persons, augment=None, numbers=[[2]], which="truth")
    assert torch.equal(alone.pixels_BTHWC, batches[1].pixels_BTHWC)
    assert batches[1].boxes_N5.tolist() == [[0, 0, 0, 1, 1]]


def test_truth_and_proposals_can_be_asked_for(persons: PersonSet):
    (truth,) = batches_of(persons, augment=None, numbers=[[0, 1]], which="truth")
    assert truth.frame_boxes_N4.tolist() == [[0.1, 0.1, 0.5, 0.9], [0.5, 0.1, 0.9, 0.9]]
    assert truth.scores_N.tolist() == [1, 1]
    (found,) = batches_of(persons, augment=None, numbers=[[0, 1]], which="proposals")
    assert found.boxes_N5[:, 0].tolist() == [0, 0]
    assert found.frame_boxes_N4.dtype == torch.float64
    assert found.scores_N.tolist() == pytest.approx([0.95, 0.99])
    assert found.weights_NK.sum() == 0


def test_training_boxes_move_and_truth_boxes_do_not(persons: PersonSet):
    plain = dataclasses.replace(JITTERED, jitter_box=0.0)
    (still,) = batches_of(persons, numbers=[[0]], augment=plain)
    (moved,) = batches_of(persons, numbers=[[0]])
    assert torch.equal(still.pixels_BTHWC, moved.pixels_BTHWC)
    difference = (still.frame_boxes_N4 - moved.frame_boxes_N4).abs()
    assert 0 < difference.max() <= 0.1 * 0.8 + 1e-9
    (truth,) = batches_of(persons, numbers=[[0]], which="truth")
    assert torch.equal(truth.frame_boxes_N4, still.frame_boxes_N4)


def test_persons_outside_the_crop_are_left_out(persons: PersonSet):
    # The person at the left edge, 26 of 128 px wide, is not in a crop of 64 px from the middle.
    middle = PersonAugment(scale_px=(64, 64), crop="center", flip=False)
    (batch,) = batches_of(persons, numbers=[[3, 2]], augment=middle)
    assert batch.boxes_N5.tolist() == [[1, 0, 0, 1, 1]]
    assert batch.targets_NK.shape == (1, 80)
    half = dataclasses.replace(middle, least_seen_frac=0.6)
    (batch,) = batches_of(persons, numbers=[[2]], augment=half)
    assert batch.boxes_N5.shape == (0, 5)


def _broken(persons: PersonSet, video_id: str, path: Path) -> PersonSet:
    examples = [dataclasses.replace(one, path=path) if one.video_id == video_id else one for one in persons.examples]
    return person_set(examples, classes=dict(zip(persons.class_ids, persons.class_names, strict=True)))


def test_a_key_frame_that_cannot_be_read_is_replaced_by_one_of_another_file(persons: PersonSet, tmp_path: Path):
    broken = _broken(persons, "one", tmp_path / "gone.mp4")
    (batch,) = batches_of(broken, numbers=[[0, 4]])
    # Examples 0 and 1 lie in one file; the next of another file is number 2.
    assert (batch.numbers, batch.shown) == ((0, 4), (2, 4))
    assert [(one.reason, one.video_id) for one in batch.rejects] == [("missing", "one")]


def test_a_key_frame_that_cannot_be_read_is_left_out_where_asked(persons: PersonSet, tmp_path: Path):
    broken = _broken(persons, "one", tmp_path / "gone.mp4")
    (batch,) = batches_of(broken, numbers=[[0, 1, 4]], unreadable="leave-out")
    assert batch.numbers == (4,)
    assert len(batch.rejects) == 2
    (batch,) = batches_of(broken, numbers=[[0, 1]], unreadable="leave-out")
    assert (batch.numbers, len(batch.rejects), batch.targets_NK.shape) == ((), 2, (0, 80))


def test_a_lost_disk_ends_the_run(persons: PersonSet, tmp_path: Path):
    lost = persons
    for video_id in ("one", "two", "three"):
        lost = _broken(lost, video_id, tmp_path / f"gone-{video_id}.mp4")
    with pytest.raises(
        GestaError, match=r"3 key-frames on end cannot be read, the last because: there is no such file"
    ):
        batches_of(lost, numbers=[[0]])


def test_a_key_frame_behind_the_files_end_says_what_the_file_may_be(persons: PersonSet):
    late = dataclasses.replace(persons.examples[0], timestamp_us=902_000_000)
    one = person_set([late], classes=dict(zip(persons.class_ids, persons.class_names, strict=True)))
    (batch,) = batches_of(one, numbers=[[0]], unreadable="leave-out")
    assert batch.rejects[0].reason == "outside"
    assert batch.rejects[0].detail.startswith("the key-frame at 902.000000 s lies outside the file: it lasts from 0.")


def test_wrong_arguments_are_refused(persons: PersonSet):
    with pytest.raises(BadInput, match=r"there is no example 5. Want 0 to 4"):
        batches_of(persons, numbers=[[5]])
    with pytest.raises(UnknownName, match=r"no way with unreadable clips 'skip'"):
        batches_of(persons, unreadable="skip")
    with pytest.raises(UnknownName, match=r"no choice of boxes 'detected'. There are: proposals, train, truth"):
        batches_of(persons, which="detected")
    with pytest.raises(UnknownName, match=r"no crop 'corner'"):
        PersonAugment(crop="corner")
    with pytest.raises(BadInput, match=r"scale_px=\(320, 256\). Want 0 < low <= high"):
        PersonAugment(scale_px=(320, 256))
    with pytest.raises(BadInput, match=r"jitter_box=0.6. Want a number from 0 to below 0.5, or four of them"):
        PersonAugment(jitter_box=0.6)
    with pytest.raises(BadInput, match=r"least_seen_frac=2. Want 0 to 1"):
        PersonAugment(least_seen_frac=2)
    with pytest.raises(BadInput, match=r"color_frac=1. Want at least 0 and below 1"):
        PersonAugment(color_frac=1)


def moving(times_s: np.ndarray, *, speed_px_s: float, width_px: int = 96, height_px: int = 64) -> list[np.ndarray]:
    """What a scene of waves that move to the right looks like at those times."""
    x = np.arange(width_px)
    shots = []
    for time_s in times_s:
        row = 128 + 80 * np.sin(2 * np.pi * (x - speed_px_s * time_s) / 48)
        shots.append(np.repeat(np.tile(row, (height_px, 1))[..., None], 3, axis=2).round().astype(np.uint8))
    return shots


def _example(path: Path, *, timestamp_us: int) -> PersonExample:
    return PersonExample(
        clip_id="c", video_id="v", path=path, timestamp_us=timestamp_us, start_us=0, end_us=UNTIL_END_US,
        boxes_N4=np.array([[0.1, 0.1, 0.5, 0.5]]), person_ids=(0,), targets_NK=np.ones((1, 1), dtype=np.float32),
        weights_NK=np.ones((1, 1), dtype=np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("timestamp_us", [3_000_000, 5_016_949, 6_500_000])
def test_a_clip_at_23_976_fps_and_the_same_at_30_give_the_same_frames(tmp_path: Path, timestamp_us: int):
    speed_px_s = 24
    sets = {}
    for fps in (Fraction(30), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001)):
        times_s = np.arange(round(10 * fps)) / float(fps)
        path = tmp_path / f"{float(fps):.3f}.mp4"
        write_video(path, moving(times_s, speed_px_s=speed_px_s), fps=fps, crf=8)
        sets[fps] = person_set([_example(path, timestamp_us=timestamp_us)], classes={1: "stand"})
    # And one whose frames are 20 to 60 ms apart.
    gaps_us = np.random.default_rng(0).integers(20_000, 60_000, size=249)
    times_us = [0, *np.cumsum(gaps_us).tolist()]
    shots = moving(np.array(times_us) / 1e6, speed_px_s=speed_px_s)
    path = write_video(tmp_path / "vfr.mp4", shots, fps=Fraction(25), crf=8, times_us=times_us)
    sets["vfr"] = person_set([_example(path, timestamp_us=timestamp_us)], classes={1: "stand"})
    shown = {
        fps: batches_of(persons, augment=None, numbers=[[0]])[0].pixels_BTHWC.float() for fps, persons in sets.items()
    }
    frames = ClipFrames(num_frames=8, rate=30, stride=4, side="short", side_px=64, crop_px=64)
    (by_number,) = batches_of(
        sets[Fraction(24000, 1001)], augment=None, numbers=[[0]],
        frames=dataclasses.replace(frames, rate=24000 / 1001),
    )  # fmt: skip
    away = (by_number.pixels_BTHWC.float() - shown[Fraction(30)]).abs().mean()
    # A frame stays on for up to 42 ms (VFR 60 ms), in which the waves move by 1 px (1.4 px), 7 (10) levels on average.
    for fps, pixels in shown.items():
        difference = (pixels - shown[Fraction(30)]).abs().mean()
        assert difference < (10 if fps == "vfr" else 7), f"{fps}: {difference}"
    # Every fourth frame of the film itself, as a program does that takes every film for one of 30, is far off.
    assert away > 10


def test_a_folder_of_images_has_the_rate_it_is_said_to_have(tmp_path: Path):
    folder = tmp_path / "v"
    folder.mkdir()
    for number in range(60):
        cv2.imwrite(str(folder / f"img_{number + 1:05d}.png"), np.full((64, 96, 3), 4 * number, dtype=np.uint8))
    persons = person_set([_example(folder, timestamp_us=1_000_000)], classes={1: "stand"})
    (batch,) = batches_of(persons, augment=None, numbers=[[0]], source=ClipSource(image_fps=30))
    assert batch.pixels_BTHWC[0, :, 0, 0, 0].tolist() == [4 * number for number in range(14, 46, 4)]


def test_rows_of_a_stream_make_the_batch_that_a_file_makes(persons: PersonSet):
    (batch,) = batches_of(persons, augment=None, numbers=[[0, 1]], which="truth")
    rows = [
        shown_key_frame(batch.pixels_BTHWC[place].numpy(), persons.examples[place].boxes_N4, frames=SMALL, number=place)
        for place in (0, 1)
    ]
    streamed = batch_of(rows)
    assert torch.equal(streamed.pixels_BTHWC, batch.pixels_BTHWC)
    assert torch.equal(streamed.boxes_N5, batch.boxes_N5)
    large = np.repeat(np.repeat(batch.pixels_BTHWC[0].numpy(), 3, axis=1), 3, axis=2)
    row = shown_key_frame(large, np.zeros((0, 4)), frames=SMALL, num_classes=3)
    assert torch.equal(row.pixels_THWC, batch.pixels_BTHWC[0])
    assert row.targets_NK.shape == (0, 3)


def test_rows_that_do_not_fit_are_refused(persons: PersonSet):
    (one,) = batches_of(persons, augment=None, numbers=[[0]])
    (two,) = batches_of(persons, augment=None, numbers=[[2]])
    rows = [shown_key_frame(batch.pixels_BTHWC[0].numpy(), np.zeros((0, 4)), frames=SMALL) for batch in (one, two)]
    with pytest.raises(BadInput, match=r"Want at least one clip, and all of one size: make a batch for each size"):
        batch_of(rows)
    with pytest.raises(BadInput, match=r"a batch of clips of no clip"):
        batch_of([])
    with pytest.raises(BadInput, match=r"pixels of shape \(7, 64, 96, 3\). Want \[8, H, W, 3\]"):
        shown_key_frame(one.pixels_BTHWC[0, :7].numpy(), np.zeros((0, 4)), frames=SMALL)
    with pytest.raises(BadInput, match=r"boxes of shape \(4,\). Want \[N, 4\], also for nobody: \[0, 4\]"):
        shown_key_frame(one.pixels_BTHWC[0].numpy(), np.zeros(4), frames=SMALL)


def test_colours_change_in_the_model_and_not_in_the_pixels(persons: PersonSet):
    (batch,) = batches_of(sub_set(persons, [0]), numbers=[[0]])
    assert batch.colors_B3 is not None
    coloured, _ = persons_to_model(batch, frames=SMALL, device="cpu")
    plain, _ = persons_to_model(dataclasses.replace(batch, colors_B3=None), frames=SMALL, device="cpu")
    assert not torch.equal(coloured, plain)
    pixels_THWC = batch.pixels_BTHWC[0].flip(2) if bool(batch.flips_B[0]) else batch.pixels_BTHWC[0]
    assert torch.allclose(plain[0].permute(1, 2, 3, 0), pixels_THWC / 127.5 - 1, atol=1e-6)
