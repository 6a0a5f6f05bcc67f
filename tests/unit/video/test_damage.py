"""What is no video is refused with a reason; damage is refused or read around, and nothing else is ever raised."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.schema import BadVideo
from gesta.video import index_packets, probe, read_frames, write_video


def pictures(num: int, *, height: int = 48, width: int = 64) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(num)]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A path and not its bytes: Hypothesis writes out the arguments of a failing case.
    return write_video(tmp_path_factory.mktemp("intact") / "v.mp4", pictures(20), fps=Fraction(25), gop=6)


def reason_of(path: Path) -> str:
    with pytest.raises(BadVideo) as caught:
        probe(path)
    assert path.name in str(caught.value)
    return caught.value.reason


def a_picture(path: Path, *, codec: str) -> Path:
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream(codec, rate=1)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
def test_a_picture_with_a_videos_name_is_no_video(tmp_path: Path, codec: str):
    assert reason_of(a_picture(tmp_path / "p.png", codec=codec).rename(tmp_path / "p.mp4")) == "not-video"


def test_a_playlist_with_a_videos_name_is_not_followed(tmp_path: Path, intact: Path):
    (tmp_path / "real.mp4").write_bytes(intact.read_bytes())
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile real.mp4\n")
    (tmp_path / "hls.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nreal.mp4\n#EXT-X-ENDLIST\n")
    assert reason_of(tmp_path / "list.mp4") == "not-video"
    assert reason_of(tmp_path / "hls.mp4") == "not-video"


def test_subtitles_with_a_videos_name_are_no_video(tmp_path: Path):
    (tmp_path / "s.mp4").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    assert reason_of(tmp_path / "s.mp4") == "not-video"


def test_sound_with_a_cover_is_no_video(tmp_path: Path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), dtype=np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        for _ in range(4):
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(BadVideo, match="holds no video stream, only audio, picture") as caught:
        probe(path)
    assert caught.value.reason == "no-video"


def test_a_stream_that_changes_its_size_keeps_the_first(tmp_path: Path):
    """Two recordings in one transport stream, the second larger."""
    parts = []
    for number, (height, width) in enumerate(((48, 64), (96, 128))):
        part = tmp_path / f"{number}.ts"
        with av.open(str(part), "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=25, options={"threads": "1", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for k, picture in enumerate(pictures(10, height=height, width=width)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = k + 10 * number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    index = index_packets(path)
    # The demuxer marks the packet at the seam as damaged: it is not listed.
    assert (len(index.pts), index.end_us) == (19, 800_000)
    frames = read_frames(path, index.times_us)
    assert frames.shape == (19, 48, 64, 3)
    larger = np.stack(pictures(10, height=96, width=128)).reshape(10, 48, 2, 64, 2, 3).mean(axis=(2, 4))
    far = [[np.abs(frame - other).mean() for other in larger] for frame in frames[-10:].astype(float)]
    assert np.argmin(far, axis=1).tolist() == list(range(10))


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path, intact: Path):
    head, _, tail = intact.read_bytes().rpartition(b"avc1")
    (tmp_path / "v.mp4").write_bytes(head + b"zzzz" + tail)
    with pytest.raises(BadVideo, match="names no codec that is known here") as caught:
        probe(tmp_path / "v.mp4")
    assert caught.value.reason == "decode"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keep=st.just(1.0) | st.floats(0.001, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=8),
)
def test_flipped_bytes_and_cuts_end_in_frames_or_in_bad_video(
    tmp_path: Path, intact: Path, keep: float, flips: list[tuple[float, int]]
):
    whole = intact.read_bytes()
    damaged = bytearray(whole[: max(1, int(len(whole) * keep))])
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    path = tmp_path / "d.mp4"
    path.write_bytes(damaged)
    try:
        facts, index = probe(path), index_packets(path)
    except BadVideo as error:
        assert error.reason in {"truncated", "open", "not-video", "no-video", "no-frames", "decode"}  # noqa: PT017
        return
    assert facts.num_frames == len(index.times_us) > 0
    assert (np.diff(index.times_us) > 0).all()
    try:
        frames = read_frames(path, index.times_us[:3], index=index)
    except BadVideo as error:
        assert error.reason == "decode"  # noqa: PT017
        return
    assert len(frames) == len(index.times_us[:3])
