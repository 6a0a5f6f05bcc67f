"""Every frame of every awkward and every real file is the one that the `ffmpeg` program shows there."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from awkward_videos import AWKWARD, ffmpeg_frames, ffprobe_pts, need_ffmpeg, shortened

from gesta.schema import BadVideo
from gesta.video import cut_clip, index_packets, iter_frames, probe, read_frames

FAR = 1.5
"""Largest mean difference of 256 levels between two programs' RGB of one frame: 0 for most of these files."""
FAR_TEN_BITS = 4.0
"""The same for ten bits of drawn edges, where nearest and cubic chroma differ most."""
FAR_INTERLACED = 8.0
"""The same for interlaced pictures, whose chroma the ffmpeg program interpolates by field and we by frame."""
TIE = 0.1
"""How much nearer another frame may be: in still scenes neighbours differ by less than two programs do."""


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_ffmpeg()
    folder = tmp_path_factory.mktemp("awkward")
    for name, make in AWKWARD.items():
        make(folder / name)
    return folder


def best_stream(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        return stream.index


def assert_shows_what_ffmpeg_shows(path: Path, *, limit: float = FAR) -> None:
    """Same PTS list; each frame, however it is reached, is nearest to ffmpeg's frame of that number."""
    index, stream = index_packets(path), best_stream(path)
    said = ffprobe_pts(path, stream=stream)
    assert len(said) == len(index.pts)
    assert [ours for ours, theirs in zip(index.pts.tolist(), said, strict=True) if theirs not in (ours, None)] == []
    theirs = ffmpeg_frames(path, stream=stream, size=(index.width_px, index.height_px))
    assert len(theirs) == len(index.pts)
    rng = np.random.default_rng(7)
    order = rng.permutation(len(theirs))[:20]
    assert_same_frames(read_frames(path, index.times_us[order], index=index), theirs, order, limit=limit)
    for number in order[:6]:
        late_us = index.times_us[number] + index.durations_us[number] - 2
        assert_same_frames(read_frames(path, [late_us], index=index), theirs, [number], limit=limit)
    middle = len(theirs) // 2
    stretch = range(middle, min(middle + 12, len(theirs)))
    last = stretch[-1]
    given = list(
        iter_frames(
            path,
            start_us=int(index.times_us[middle]),
            end_us=int(index.times_us[last] + index.durations_us[last]),
            index=index,
        )
    )
    assert [time for time, _ in given] == index.times_us[stretch].tolist()
    assert_same_frames(np.stack([frame for _, frame in given]), theirs, list(stretch), limit=limit)


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference, on every second pixel of both axes."""
    return float(np.abs(a[::2, ::2].astype(np.int16) - b[::2, ::2]).mean())


def assert_same_frames(ours: np.ndarray, theirs: np.ndarray, numbers, *, limit: float = FAR) -> None:
    for frame, number in zip(ours, numbers, strict=True):
        around = range(max(0, number - 5), min(len(theirs), number + 6))
        far = {other: mean_difference(frame, theirs[other]) for other in around}
        assert far[number] <= limit, f"frame {number} is {far[number]:.1f} off"
        nearest = min(far, key=far.__getitem__)
        assert far[number] <= far[nearest] + TIE, f"asked for frame {number}, got frame {nearest}"


@pytest.mark.parametrize("name", sorted(AWKWARD))
def test_an_awkward_file(awkward: Path, name: str):
    limit = FAR_INTERLACED if name.startswith("interlaced") else FAR
    assert_shows_what_ffmpeg_shows(awkward / name, limit=limit)


REAL = [
    "archery.avi", "arm_wrestling.mp4", "asl/milk.mkv", "flipping_a_pancake.mkv", "part_0.mp4", "street_overlay.mp4",
    "other/carphone_distorted.mp4", "other/cricket_shot_rgb.gif", "hard/delayed_start.mp4",
    "hard/h264_10bits.mp4", "hard/h265_10bits.mp4", "hard/nasa_13013.mp4", "hard/unordered.mov",
    "hard/var_fps_video.mp4", "hard/video_0.mov", "hard/video_90.mov", "hard/video_180.mov", "hard/video_270.mov",
    "hard/bt709_full_range.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_a_real_file(shared: Path, name: str):
    need_ffmpeg()
    limit = FAR_TEN_BITS if "10bits" in name else FAR
    assert_shows_what_ffmpeg_shows(shared / "videos" / name, limit=limit)


def test_all_real_files_have_ffprobes_number_of_frames(shared: Path):
    need_ffmpeg()
    files = sorted(path for path in (shared / "videos").rglob("*") if path.is_file())
    assert len(files) >= 39
    for path in files:
        if path.name == "corrupted.mp4":
            continue
        with av.open(str(path)) as container:
            declared = container.streams.best("video").frames
        assert not declared or probe(path).num_frames == declared, path.name


@pytest.mark.parametrize(
    ("name", "fps"),
    [
        ("ntsc.mp4", "30000/1001"),
        ("ntsc.mkv", "30000/1001"),
        ("rounded.mp4", "30000/1001"),
        ("open_gop.ts", "30000/1001"),
        ("vp9.webm", "30000/1001"),
        ("b_frames.avi", "30000/1001"),
        ("moving.gif", "20"),
        ("interlaced.ts", "25"),
        ("flash.flv", "25"),
    ],
)
def test_constant_rates_are_exact(awkward: Path, name: str, fps: str):
    facts = probe(awkward / name)
    assert not facts.is_vfr
    assert facts.fps == Fraction(fps)


def test_a_variable_rate_is_the_average(awkward: Path):
    facts = probe(awkward / "vfr.mp4")
    assert facts.is_vfr
    assert facts.fps == pytest.approx(facts.num_frames / facts.duration_us * 1e6, rel=1e-3)


def test_times_are_what_ffmpeg_seeks_by(awkward: Path):
    """A picture that begins 0.7 s after the sound is at about 0.7 s on the player's clock."""
    for name in ("late_start.mkv", "late_start.mp4"):
        assert probe(awkward / name).start_us == pytest.approx(700_000, abs=45_000), name


def test_a_file_cut_short_is_usable_up_to_there(tmp_path: Path):
    need_ffmpeg()
    path = shortened(tmp_path / "short.mp4", keep=0.6, header_first=True)
    index = index_packets(path)
    assert 30 < len(index.pts) < 80
    theirs = ffmpeg_frames(path, stream=0, size=(index.width_px, index.height_px))
    # Of the last packet only a part is there: it is not listed.
    assert len(theirs) - len(index.pts) in (0, 1)
    assert_same_frames(read_frames(path, index.times_us, index=index), theirs, range(len(index.pts)))


def test_a_file_without_its_index_is_refused(tmp_path: Path):
    need_ffmpeg()
    path = shortened(tmp_path / "short.mp4", keep=0.6, header_first=False)
    with pytest.raises(BadVideo, match=r"it has no index \(moov box\)\. Fetch it again") as caught:
        probe(path)
    assert caught.value.reason == "truncated"


def test_damage_in_the_middle_is_refused_and_what_comes_before_is_given(shared: Path):
    path = shared / "videos" / "hard" / "corrupted.mp4"
    index = index_packets(path)
    assert probe(path).num_frames == 50
    assert len(read_frames(path, index.times_us[:29], index=index)) == 29
    with pytest.raises(BadVideo, match=r"the frame at 4\.000 s cannot be decoded") as caught:
        read_frames(path, [4_000_000], index=index)
    assert caught.value.reason == "decode"
    given = []
    with pytest.raises(BadVideo, match="cannot be decoded"):
        given.extend(time for time, _ in iter_frames(path, start_us=0, end_us=5_000_000, index=index))
    assert len(given) == 29


@pytest.mark.parametrize("name", ["copy_cut.mp4", "vfr.mp4", "open_gop.ts", "late_start.mkv", "rotated_90.mp4"])
def test_a_cut_shows_the_source_frames(awkward: Path, tmp_path: Path, name: str):
    source = awkward / name
    index = index_packets(source)
    start_us = index.start_us + 210_000
    clip = cut_clip(source, tmp_path / "c.mp4", start_us=start_us, end_us=start_us + 600_000, fps=Fraction(25))
    facts = probe(clip)
    assert (facts.num_frames, facts.is_vfr, facts.has_audio, facts.start_us) == (15, False, False, 0)
    shown = ffmpeg_frames(clip, stream=0, size=(facts.width_px, facts.height_px))
    wanted = index.frames_at([start_us + k * 40_000 for k in range(15)])
    everything = read_frames(source, index.times_us, index=index)
    for picture, number in zip(shown, wanted, strict=True):
        far = np.abs(everything.astype(np.int16) - picture).mean(axis=(1, 2, 3))
        assert far[number] <= far.min() + 0.2, f"frame {number} is shown as {far.argmin()}"
        assert far[number] < 8
