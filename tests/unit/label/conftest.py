"""Small work folders to put questions about, without any video in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gesta.label.items import build_items
from gesta.schema import Candidate, Clip, ClipKeyFrame, LabelClass, TrackBox, Video
from gesta.tables import frame_of, made_by, table_path, write_table

PROVENANCE = made_by("test", arguments={}, inputs={})

WorkFolder = Callable[..., Path]


def write(work: Path, table: str, rows: list[Any]) -> None:
    """Write a hand-made table."""
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=PROVENANCE)


def video(video_id: str, *, path: str) -> Video:
    """A video of 4 s, as `import` would describe it."""
    return Video(
        video_id=video_id, path=path, sha256="0" * 64, size_bytes=1, container="mp4", codec="h264", width_px=64,
        height_px=48, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=100, start_us=0,
        duration_us=4_000_000, has_audio=False,
    )  # fmt: skip


def box_at(clip_id: str, *, person_id: int, timestamp_us: int = 1_500_000, x1: float = 0.2) -> TrackBox:
    """One box of a track, 0.3 wide."""
    return TrackBox(
        clip_id=clip_id, video_id=f"v{clip_id}", person_id=person_id, timestamp_us=timestamp_us, x1=x1, y1=0.1,
        x2=x1 + 0.3, y2=0.9, score=0.9, is_interpolated=False,
    )  # fmt: skip


def make_work(
    work: Path, *, num_clips: int = 6, num_classes: int = 3, classes_per_clip: int = 1, num_persons: int = 0
) -> Path:
    """A work folder with its items: clips c00, c01 …, each asked for `classes_per_clip` of the classes 1, 2 …"""
    ids = [f"c{number:02d}" for number in range(num_clips)]
    asked = [(c, 1 + (i + k) % num_classes) for i, c in enumerate(ids) for k in range(classes_per_clip)]
    write(work, "videos", [video(f"v{c}", path=f"v{c}.mp4") for c in ids])
    write(work, "clips", [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=4_000_000) for c in ids])
    write(
        work,
        "candidates",
        [Candidate(clip_id=c, class_id=k, source="title", query="", score=1.0) for c, k in asked],
    )
    names = [LabelClass(class_id=k, name=f"action {k}") for k in range(1, num_classes + 1)]
    write(work, "label_map", names)
    if num_persons:
        frames = [
            ClipKeyFrame(clip_id=c, video_id=f"v{c}", timestamp_us=1_500_000, score=0.9, num_boxes=num_persons)
            for c in ids
        ]
        write(work, "key_frames", frames)
        write(work, "tracks", [box_at(c, person_id=p) for c in ids for p in range(num_persons)])
    build_items(work)
    return work


@pytest.fixture
def work_folder(tmp_path: Path) -> WorkFolder:
    """Makes a work folder, as `make_work`, under a name."""

    def make(
        *, num_clips: int = 6, num_classes: int = 3, classes_per_clip: int = 1, num_persons: int = 0, name: str = "work"
    ) -> Path:
        return make_work(
            tmp_path / name,
            num_clips=num_clips,
            num_classes=num_classes,
            classes_per_clip=classes_per_clip,
            num_persons=num_persons,
        )

    return make
