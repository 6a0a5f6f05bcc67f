"""Files that no decoder can show: truncated, empty, mislabelled, without frames, without pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from gesta.tables import whole_file
from gesta.video.encode import write_video


def _bytes_of_video(*, seed: int) -> bytes:
    """A small file of H.264 noise whose index is at its end, as cameras write it."""
    chance = np.random.default_rng(seed)
    frames = [chance.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "v.mp4", frames, fps=Fraction(25), index_first=False)
        return path.read_bytes()


def _truncated(path: Path, *, seed: int) -> None:
    whole = _bytes_of_video(seed=seed)
    path.write_bytes(whole[: len(whole) * 2 // 3])


def _zero_bytes(path: Path, *, seed: int) -> None:
    del seed
    path.write_bytes(b"")


def _wrong_extension(path: Path, *, seed: int) -> None:
    path.write_text(f"<!doctype html>\n<title>Error {seed % 100 + 400}</title>\n<p>This video is not available.</p>\n")


def _no_frames(path: Path, *, seed: int) -> None:
    del seed
    # Without this flag the index leaves out a track that has no pictures.
    options = {"fflags": "+bitexact", "movflags": "+empty_moov"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        container.start_encoding()


def _audio_only(path: Path, *, seed: int) -> None:
    tone_hz = 220 + seed % 440
    wave = (0.3 * np.sin(np.arange(48_000) * 2 * np.pi * tone_hz / 48_000)).astype(np.float32)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono", options={"flags": "+bitexact"})
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


CORRUPTIONS: Mapping[str, Callable[..., None]] = {
    "truncated": _truncated, "zero bytes": _zero_bytes, "wrong extension": _wrong_extension, "no frames": _no_frames,
    "audio only": _audio_only,
}  # fmt: skip
"""How each kind of unreadable file is made."""


def write_corrupt(path: Path, *, damage: str, seed: int) -> Path:
    """The path written: a file that no decoder can show, of the kind `damage` names; appears whole.

    Raises:
        KeyError: `damage` is not in `CORRUPTIONS` (our own claim).
    """
    with whole_file(path) as temporary:
        CORRUPTIONS[damage](temporary, seed=seed)
    return path
