"""Cut clips: the right frames of the source, at a constant rate, without sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gesta.schema import BadInput
from gesta.video import cut_clip, index_packets, probe, read_frames, write_video

NUM = 40


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame k is grey level 16 + 5 k; every third frame lasts three times as long (20 or 60 ms)."""
    frames = (np.full((48, 64, 3), 16 + 5 * k, dtype=np.uint8) for k in range(NUM))
    lengths = [60_000 if k % 3 == 0 else 20_000 for k in range(NUM)]
    times = [sum(lengths[:k]) for k in range(NUM)]
    return write_video(tmp_path_factory.mktemp("uneven") / "u.mp4", frames, fps=Fraction(30), times_us=times)


def numbers_of(frames) -> list[int]:
    return [round((float(frame.mean()) - 16) / 5) for frame in frames]


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(10), Fraction(60)])
def test_each_frame_is_the_one_the_source_shows_then(uneven: Path, tmp_path: Path, fps: Fraction):
    start_us, end_us = 255_000, 1_055_000
    clip = cut_clip(uneven, tmp_path / "c.mp4", start_us=start_us, end_us=end_us, fps=fps)
    facts = probe(clip)
    num = round(fps * Fraction(end_us - start_us, 1_000_000))
    assert (facts.fps, facts.is_vfr, facts.has_audio, facts.num_frames) == (fps, False, False, num)
    assert facts.duration_us == pytest.approx(num / fps * 1_000_000, abs=2)
    source = index_packets(uneven)
    wanted = source.frames_at([start_us + round(k * 1_000_000 / fps) for k in range(num)])
    own_times = index_packets(clip).times_us
    assert numbers_of(read_frames(clip, own_times)) == wanted.tolist()


def test_a_clip_is_what_browsers_play(uneven: Path, tmp_path: Path):
    clip = cut_clip(uneven, tmp_path / "deep" / "c.mp4", start_us=0, end_us=1_000_000, short_side_px=24)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert [other.type for other in container.streams] == ["video"]
        assert (stream.width, stream.height) == (32, 24)
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    syncs = np.flatnonzero(index_packets(clip).is_sync)
    assert np.diff(syncs).max() <= 12
    assert list((tmp_path / "deep").iterdir()) == [clip]


def test_odd_sizes_become_even(uneven: Path, tmp_path: Path):
    clip = cut_clip(uneven, tmp_path / "c.mp4", start_us=0, end_us=200_000, short_side_px=25)
    assert (probe(clip).width_px, probe(clip).height_px) == (32, 24)


def test_what_lies_outside_the_video_is_left_off(uneven: Path, tmp_path: Path):
    end_us = index_packets(uneven).end_us
    clip = cut_clip(uneven, tmp_path / "c.mp4", start_us=end_us - 400_000, end_us=end_us + 9_000_000)
    assert probe(clip).duration_us == pytest.approx(400_000, abs=20_000)
    early = cut_clip(uneven, tmp_path / "e.mp4", start_us=-1_000_000, end_us=200_000)
    assert probe(early).duration_us == pytest.approx(200_000, abs=20_000)


def test_a_stretch_shorter_than_a_frame_gives_one_frame(uneven: Path, tmp_path: Path):
    assert probe(cut_clip(uneven, tmp_path / "c.mp4", start_us=0, end_us=10)).num_frames == 1


def test_wrong_stretches_are_refused_and_leave_nothing(uneven: Path, tmp_path: Path):
    with pytest.raises(BadInput, match=r"nothing of 60\.000 to 70\.000 s is in the video\. It lasts from 0\.000000 to"):
        cut_clip(uneven, tmp_path / "c.mp4", start_us=60_000_000, end_us=70_000_000)
    with pytest.raises(BadInput, match="Want start < end"):
        cut_clip(uneven, tmp_path / "c.mp4", start_us=5, end_us=5)
    with pytest.raises(BadInput, match="fps 0"):
        cut_clip(uneven, tmp_path / "c.mp4", start_us=0, end_us=5, fps=Fraction(0))
    assert list(tmp_path.iterdir()) == []
