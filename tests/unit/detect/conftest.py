"""A work folder of small videos, and weights files of every kind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gesta.schema import Clip, Video, clip_id_of
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import probe, write_video

HAND = made_by("test", arguments={}, inputs={})


def moving_square(num_frames, *, width=80, height=48):
    """Frames with one white square that moves to the right by 2 px a frame."""
    frames = np.zeros((num_frames, height, width, 3), np.uint8)
    for number, frame in enumerate(frames):
        left = 2 * number % (width - 12)
        frame[16:40, left : left + 12] = 255
    return frames


def fake_work(work, videos, *, clip_s=4.0):
    """Tables `videos` and `clips` (one clip from each video's start) over files that are there."""
    rows, clips = [], []
    for path in videos:
        facts = probe(path)
        rows.append(
            Video(
                video_id=path.stem,
                path=f"{path.name}",
                sha256="0" * 64,
                size_bytes=path.stat().st_size,
                container=facts.container,
                codec=facts.codec,
                width_px=facts.width_px,
                height_px=facts.height_px,
                rotation_deg=facts.rotation_deg,
                fps_num=facts.fps.numerator,
                fps_den=facts.fps.denominator,
                is_vfr=facts.is_vfr,
                num_frames=facts.num_frames,
                start_us=facts.start_us,
                duration_us=facts.duration_us,
                has_audio=facts.has_audio,
            )
        )
        end_us = min(round(clip_s * 1_000_000), facts.duration_us)
        clip_id = clip_id_of(video_id=path.stem, start_us=0, end_us=end_us)
        clips.append(Clip(clip_id=clip_id, video_id=path.stem, start_us=0, end_us=end_us))
    write_table(table_path(work, "videos"), "videos", frame_of("videos", rows), made_by=HAND)
    write_table(table_path(work, "clips"), "clips", frame_of("clips", clips), made_by=HAND)
    return work


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Six videos of 3 s at 10 frames a second, one clip each."""
    videos = []
    for number in range(6):
        frames = moving_square(30)
        videos.append(write_video(tmp_path / f"v{number}.mp4", np.roll(frames, number, axis=1), fps=Fraction(10)))
    return fake_work(tmp_path, videos)
