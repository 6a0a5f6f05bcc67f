"""Reading by time, on a small file that we write: every frame says its own number in its grey level."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import BadInput, BadVideo
from gesta.video import index_packets, iter_frames, probe, read_frames, write_video
from gesta.video.read import instants

FPS = Fraction(30000, 1001)
NUM = 40


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame k is grey level 16 + 5 k."""
    frames = (np.full((48, 64, 3), 16 + 5 * k, dtype=np.uint8) for k in range(NUM))
    return write_video(tmp_path_factory.mktemp("numbered") / "n.mp4", frames, fps=FPS, gop=12)


def numbers_of(frames) -> list[int]:
    return [round((float(frame.mean()) - 16) / 5) for frame in frames]


def test_the_facts_are_those_that_were_written(numbered: Path):
    facts = probe(numbered)
    assert (facts.width_px, facts.height_px, facts.fps, facts.num_frames) == (64, 48, FPS, NUM)
    assert (facts.codec, facts.is_vfr, facts.has_audio, facts.rotation_deg) == ("h264", False, False, 0)
    assert facts.start_us == 0
    assert facts.duration_us == pytest.approx(NUM / FPS * 1_000_000, abs=2)


def test_a_frame_is_shown_from_its_time_until_the_next(numbered: Path):
    index = index_packets(numbered)
    times = index.times_us
    asked = [t for k in (0, 7, 12, 13, 39) for t in (times[k], times[k] + index.durations_us[k] - 2)]
    assert numbers_of(read_frames(numbered, asked, index=index)) == [0, 0, 7, 7, 12, 12, 13, 13, 39, 39]


def test_frames_come_in_the_order_asked_with_repeats(numbered: Path):
    times = index_packets(numbered).times_us
    order = [30, 2, 2, 39, 0, 17, 30]
    frames = read_frames(numbered, times[order])
    assert frames.shape == (7, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert numbers_of(frames) == order


def test_outside_the_video_the_first_and_last_frames_are_given(numbered: Path):
    assert numbers_of(read_frames(numbered, [-5_000_000, 99_000_000])) == [0, NUM - 1]


def test_no_instants_give_no_frames(numbered: Path):
    assert read_frames(numbered, []).shape == (0, 48, 64, 3)


def test_the_short_side_is_as_asked(numbered: Path):
    assert read_frames(numbered, [0], short_side_px=24).shape == (1, 24, 32, 3)
    assert read_frames(numbered, [0], short_side_px=96).shape == (1, 96, 128, 3)


def test_a_stretch_gives_every_frame_on_screen(numbered: Path):
    times = index_packets(numbered).times_us
    inside = list(iter_frames(numbered, start_us=int(times[5]), end_us=int(times[9])))
    assert [time for time, _ in inside] == times[5:9].tolist()
    assert numbers_of(frame for _, frame in inside) == [5, 6, 7, 8]
    straddling = list(iter_frames(numbered, start_us=int(times[5]) + 10_000, end_us=int(times[6]) + 1))
    assert numbers_of(frame for _, frame in straddling) == [5, 6]


def test_a_rate_picks_the_frame_shown_at_each_instant_once(numbered: Path):
    times = index_packets(numbered).times_us
    slow = list(iter_frames(numbered, start_us=0, end_us=1_000_000, rate=Fraction(5)))
    wanted = [int(np.searchsorted(times, t + 1, side="right")) - 1 for t in range(0, 1_000_000, 200_000)]
    assert numbers_of(frame for _, frame in slow) == wanted
    fast = list(iter_frames(numbered, start_us=0, end_us=200_000, rate=Fraction(240)))
    assert numbers_of(frame for _, frame in fast) == [0, 1, 2, 3, 4, 5]


def test_a_stretch_beside_the_video_is_empty(numbered: Path):
    assert list(iter_frames(numbered, start_us=50_000_000, end_us=60_000_000)) == []


def test_bad_arguments_are_refused(numbered: Path):
    with pytest.raises(BadInput, match=r"the stretch from 5 to 5 us is empty\. Want start < end"):
        next(iter_frames(numbered, start_us=5, end_us=5))
    with pytest.raises(BadInput, match=r"rate 0\. Want above 0"):
        next(iter_frames(numbered, start_us=0, end_us=5, rate=Fraction(0)))
    with pytest.raises(BadInput, match="short_side_px=0"):
        read_frames(numbered, [0], short_side_px=0)


def test_instants_do_not_drift():
    assert instants(0, 1_000_000, rate=FPS)[-1] == round(29 * Fraction(1001, 30000) * 1_000_000)
    assert len(instants(0, 1_001_000, rate=FPS)) == 30
    assert len(instants(0, 1_001_001, rate=FPS)) == 31


def test_a_missing_file_says_so(tmp_path: Path):
    with pytest.raises(BadVideo, match="there is no such file") as caught:
        probe(tmp_path / "no.mp4")
    assert caught.value.reason == "missing"
