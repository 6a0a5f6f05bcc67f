"""What `write_video` writes comes back: the frames, their times, the turn; and the same bytes twice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from gesta.schema import BadInput, UnknownName
from gesta.video.encode import write_video

FPS = Fraction(30000, 1001)


def pictures(number: int, *, height: int = 48, width: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8) for _ in range(number)]
    return [cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in noise]


def decoded(path: Path) -> tuple[list[np.ndarray], list[Fraction], int]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        times = [frame.pts * frame.time_base for frame in frames]
        return [frame.to_ndarray(format="rgb24") for frame in frames], times, frames[0].rotation


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9")])
def test_frames_and_colours_come_back(tmp_path: Path, name: str, codec: str):
    frames = pictures(15)
    path = write_video(tmp_path / "new" / name, iter(frames), fps=FPS, codec=codec, crf=10)
    back, times, rotation = decoded(path)
    assert len(back) == 15
    assert rotation == 0
    assert np.abs(np.array(back, float) - np.array(frames, float)).mean() < 8
    assert np.abs((np.array(back, float) - np.array(frames, float)).mean((0, 1, 2))).max() < 2
    clock = Fraction(1, 30000) if name.endswith(".mp4") else Fraction(1, 1000)
    assert all(abs(time - k / FPS) < clock for k, time in enumerate(times))


def test_the_same_frames_give_the_same_bytes(tmp_path: Path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, pictures(15), fps=Fraction(25))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_times_and_turn_come_back(tmp_path: Path):
    times_us = [0, 20_000, 80_000, 200_000]
    path = write_video(tmp_path / "v.mp4", pictures(4), fps=Fraction(25), times_us=times_us, rotation_deg=90)
    _, times, rotation = decoded(path)
    assert [round(time * 1_000_000) for time in times] == times_us
    assert rotation == -90  # FFmpeg counts counter-clockwise


def test_the_header_comes_first(tmp_path: Path):
    data = write_video(tmp_path / "a.mp4", pictures(3), fps=Fraction(25)).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("frames", "more", "words"),
    [
        ([], {}, "no frames"),
        (pictures(1, height=48) + pictures(1, height=40), {}, r"shape \(40, 64, 3\) follows one of \(48, 64, 3\)"),
        ([np.zeros((47, 64, 3), np.uint8)], {}, "64x47 pixels. H.264 wants even sizes"),
        (pictures(2), {"times_us": [0, 0]}, "do not rise"),
        (pictures(2), {"times_us": [5, 9]}, "do not rise"),
        (pictures(3), {"times_us": [0, 9]}, "more frames than the 2 times"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path, frames, more, words: str):
    with pytest.raises(BadInput, match=words):
        write_video(tmp_path / "a.mp4", frames, fps=Fraction(25), **more)
    assert list(tmp_path.iterdir()) == []


def test_frames_coded_alone_decode_in_reverse_order_to_the_same_pictures(tmp_path: Path):
    frames = pictures(9)
    one = decoded(write_video(tmp_path / "one.mp4", frames, fps=FPS, gop=1, qp=26))[0]
    other = decoded(write_video(tmp_path / "other.mp4", frames[::-1], fps=FPS, gop=1, qp=26))[0]
    assert np.array_equal(one, other[::-1])
    coarse = write_video(tmp_path / "coarse.mp4", frames, fps=FPS, gop=1, qp=40)
    assert coarse.stat().st_size < (tmp_path / "one.mp4").stat().st_size / 2


def test_a_constant_quantiser_is_x264s_alone(tmp_path: Path):
    with pytest.raises(BadInput, match=r"libvpx-vp9 takes no qp\. Give crf"):
        write_video(tmp_path / "a.webm", pictures(3), fps=FPS, codec="libvpx-vp9", qp=30)


def test_an_unknown_encoder_lists_the_known(tmp_path: Path):
    with pytest.raises(UnknownName, match="libvpx-vp9, libx264"):
        write_video(tmp_path / "a.mp4", pictures(1), fps=FPS, codec="x264")


def test_odd_numbers_of_macroblocks_give_the_same_bytes_whatever_memory_holds(tmp_path: Path):
    # x264's macroblock tree failed this: 15 macroblocks a row, and memory that other work has used in between.
    frames = pictures(60, height=240, width=240)
    seen = set()
    for _ in range(6):
        litter = [np.random.default_rng(0).integers(0, 255, 10_000 + 977 * k, dtype=np.uint8) for k in range(300)]
        del litter
        seen.add(write_video(tmp_path / "a.mp4", frames, fps=Fraction(25)).read_bytes())
    assert len(seen) == 1
