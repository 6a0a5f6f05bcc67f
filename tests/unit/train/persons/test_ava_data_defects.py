"""One test for each defect of MMAction2's AVA data that is known (commit 4d6c9347), so that none comes here.

Its evaluator's defects are tested with the evaluator; here are those of annotations, proposals and sampling.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.unit.train.persons.person_films import film
from tests.unit.train.persons.test_person_batches import batches_of

from gesta.train.clips import UNTIL_END_US, ClipFrames, ClipSource
from gesta.train.persons import AvaSource, PersonBoxes, key_frame_times, persons_shown, read_ava_persons
from gesta.video import write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short films."""
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "film.mp4", seconds=5)
    film(folder / "clip_000010_000014.mp4", seconds=4, number=1)
    return folder


def source(tmp_path: Path, videos: Path, part: str, text: str, **more) -> AvaSource:
    """A part with an annotation file of that text."""
    labels = tmp_path / f"{part}.csv"
    labels.write_text(text)
    return AvaSource(part=part, labels=labels, videos=videos, **more)


@pytest.mark.parametrize("order", [1, -1])
def test_a_the_range_of_one_part_does_not_leak_into_another(tmp_path: Path, videos: Path, order: int):
    ava = source(tmp_path, videos, "ava", "film,2,0,0,1,1,4\n", stretch_us=(1_500_000, 3_000_000))
    kinetics = source(tmp_path, videos, "kinetics", "clip,12.5,0,0,1,1,4\n")
    persons, _ = read_ava_persons([ava, kinetics][::order])
    stretch_of = {one.part: (one.start_us, one.end_us) for one in persons.examples}
    assert stretch_of == {"ava": (1_500_000, 3_000_000), "kinetics": (10_000_000, UNTIL_END_US)}


@pytest.mark.parametrize("kind", ["film", "images"])
def test_b_no_start_index_is_added_once_or_twice(tmp_path: Path, kind: str):
    # The picture at number n is n times 2 bright; the key-frame at 2 s of a film of 30 fps is number 60.
    shots = [np.full((64, 96, 3), 2 * number, dtype=np.uint8) for number in range(120)]
    if kind == "images":
        (tmp_path / "film").mkdir()
        for number, shot in enumerate(shots):
            cv2.imwrite(str(tmp_path / "film" / f"img_{number + 1:05d}.png"), shot)
    else:
        write_video(tmp_path / "film.mp4", shots, fps=Fraction(30), crf=5)
    persons, _ = read_ava_persons([source(tmp_path, tmp_path, "ava", "film,0002,0,0,1,1,4\n")])
    (batch,) = batches_of(persons, augment=None, numbers=[[0]], source=ClipSource(image_fps=30))
    shown = batch.pixels_BTHWC[0, :, 32, 48].float().mean(dim=1).numpy() / 2
    assert np.abs(shown - (60 + 4 * (np.arange(8) - 4))).max() < 0.6


def test_c_key_frames_without_people_are_examples_and_are_tested(tmp_path: Path, videos: Path):
    part = source(tmp_path, videos, "ava", "film,2,0,0,1,1,4\nfilm,3\n", proposals=tmp_path / "found.csv")
    (tmp_path / "found.csv").write_text("film,2,0,0,1,1,0.9\nfilm,3,0.2,0.2,0.8,0.8,0.95\n")
    persons, _ = read_ava_persons([part])
    (batch,) = batches_of(persons, augment=None, numbers=[[0, 1]], which="proposals")
    # The false alarm at 3 s is shown to the model, so that it can count.
    assert batch.boxes_N5[:, 0].tolist() == [0, 1]


def test_e_a_test_batch_holds_more_than_one_key_frame(tmp_path: Path, videos: Path):
    persons, _ = read_ava_persons([source(tmp_path, videos, "ava", "film,2,0,0,1,1,4\nfilm,3,0,0,1,1,4\n")])
    (batch,) = batches_of(persons, augment=None, numbers=[[0, 1]], which="truth")
    assert len(batch.pixels_BTHWC) == 2


def test_f_a_missing_proposal_is_no_full_frame_box(tmp_path: Path, videos: Path):
    (tmp_path / "found.csv").write_text("film,2,0.1,0.1,0.9,0.9,0.95\n")
    part = source(tmp_path, videos, "ava", "film,2,0,0,1,1,4\nfilm,3,0,0,1,1,4\n", proposals=tmp_path / "found.csv")
    persons, rejects = read_ava_persons([part])
    for train, which in (("proposals", "train"), ("truth", "proposals")):
        shown = persons_shown(persons.examples[1], boxes=PersonBoxes(train=train), which=which)
        assert shown.boxes_N4.shape == (0, 4)
    assert [(one.reason, one.video_id) for one in rejects] == [("no-proposals", "film")]
    assert persons.accounting[0].num_no_proposals == 1


def test_g_excluding_is_no_loop_in_a_loop(tmp_path: Path):
    # Forty thousand key-frames and as many exclusions: 1.6 billion comparisons would not end within the test's time.
    (tmp_path / "film.mp4").touch()
    times = range(1, 40_001)
    (tmp_path / "excluded.csv").write_text("".join(f"film,{time}\n" for time in times if time % 4))
    part = source(
        tmp_path, tmp_path, "ava", "".join(f"film,{time},0,0,1,1,4\n" for time in times),
        excluded=tmp_path / "excluded.csv",
    )  # fmt: skip
    persons, _ = read_ava_persons([part], checks_videos=False)
    assert (len(persons), persons.accounting[0].num_excluded) == (10_000, 30_000)


def test_h_seconds_are_not_truncated_and_lines_of_two_columns_count(tmp_path: Path, videos: Path):
    text = "clip,12.999999,0,0,1,1,4\nclip,13.006000\nclip,13.0,0,0,1,1,4\n"
    persons, _ = read_ava_persons([source(tmp_path, videos, "kinetics", text)])
    assert [(one.timestamp_us, len(one.boxes_N4)) for one in persons.examples] == [
        (12_999_999, 1), (13_000_000, 1), (13_006_000, 0),
    ]  # fmt: skip


def test_i_frames_are_sampled_by_time_and_not_by_number(tmp_path: Path):
    # The picture at time t is 25 t bright, at whatever rate.
    shown = []
    for fps in (Fraction(30), Fraction(10), Fraction(24000, 1001), Fraction(60)):
        shots = [np.full((64, 96, 3), round(25 * n / fps), dtype=np.uint8) for n in range(round(6 * fps))]
        folder = tmp_path / f"{float(fps):.3f}"
        write_video(folder / "film.mp4", shots, fps=fps, crf=5)
        persons, _ = read_ava_persons([source(tmp_path, folder, "ava", "film,3,0,0,1,1,4\n")])
        (batch,) = batches_of(persons, augment=None, numbers=[[0]])
        shown.append(batch.pixels_BTHWC[0, :, 32, 48].float().mean(dim=1).numpy() / 25)
    # At 10 frames a second a picture stays for 0.1 s, which is how far two may lie apart.
    assert max(np.abs(one - shown[0]).max() for one in shown) < 0.13


@pytest.mark.parametrize("rate", [29.97, 30000 / 1001, 23.976, 25, 12.5])
def test_j_the_rate_is_no_whole_number(rate: float):
    frames = ClipFrames(num_frames=64, rate=rate, stride=2)
    times_T = key_frame_times(902_000_000, frames=frames, start_us=0, end_us=UNTIL_END_US)
    steps = (times_T - 902_000_000) * frames.exact_rate / 1_000_000
    assert max(abs(step - round(step)) for step in steps) < Fraction(1, 10_000)
    assert [round(step) for step in steps] == list(range(-64, 64, 2))
    assert abs(float(frames.exact_rate) - rate) < 1e-3
