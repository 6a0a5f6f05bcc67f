"""Small videos in which a colour stands for an action."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import probe
from gesta.video.encode import write_video

FPS = 4
GREY, RED, BLUE = (120, 120, 120), (230, 20, 20), (20, 20, 230)
COLOURS = {"bowing": RED, "waving hand": BLUE}
MADE = made_by("by-hand", arguments={}, inputs={})


def redness_and_blueness(frames_FHWC: np.ndarray) -> np.ndarray:
    """How red and how blue each frame is, float32 [F, 2]: a classifier of the two actions of these tests."""
    mean_F3 = frames_FHWC.mean(axis=(1, 2), dtype=np.float64)
    return np.stack([mean_F3[:, 0] - mean_F3[:, 2], mean_F3[:, 2] - mean_F3[:, 0]], axis=1).astype(np.float32)


def film(path: Path, *, seconds: int, shown: dict[int, tuple[int, int, int]]) -> Path:
    """A grey video of so many seconds with a colour during some of them."""
    frames = []
    for number in range(seconds * FPS):
        frames.append(np.full((32, 48, 3), shown.get(number // FPS, GREY), dtype=np.uint8))
    write_video(path, frames, fps=Fraction(FPS), gop=FPS)
    return path


def video_row(work: Path, path: Path, title: str | None) -> Video:
    facts = probe(path)
    return Video(
        video_id=path.stem, path=str(path.relative_to(work)), sha256=f"{sum(path.read_bytes()):064x}",
        size_bytes=path.stat().st_size, container="mp4", codec="h264", width_px=48, height_px=32, rotation_deg=0,
        fps_num=FPS, fps_den=1, is_vfr=False, num_frames=facts.num_frames, start_us=facts.start_us,
        duration_us=facts.duration_us, has_audio=False, title=title,
    )  # fmt: skip


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    """A work folder with three videos: bow at 21 s and 3 s (weaker), wave at 12 s, and one of both in 6 s."""
    work = tmp_path / "work"
    pale_red = (180, 80, 80)
    rows = [
        video_row(work, film(work / "v" / "a.mp4", seconds=30, shown={21: RED, 3: pale_red}), "How to bow"),
        video_row(work, film(work / "v" / "b.mp4", seconds=24, shown={12: BLUE}), "wave your hands"),
        video_row(work, film(work / "v" / "c.mp4", seconds=6, shown={1: RED, 4: BLUE}), "bowing and waving hands"),
        video_row(work, film(work / "v" / "d.mp4", seconds=4, shown={}), "kick!"),
    ]
    write_table(table_path(work, "videos"), "videos", frame_of("videos", rows), made_by=MADE)
    (tmp_path / "actions.txt").write_text("bowing\nwaving hand\nkicking\n")
    return work
