"""A work folder with a clip, its key-frame, a detector's boxes and tracked persons, and the real service over it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import sqlalchemy as sa

from gesta.label.items import build_items
from gesta.label.rules import Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.sql_tables import items, votes, workers
from gesta.schema import Clip, ClipKeyFrame, LabelClass, Proposal, TrackBox, Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import write_video

WIDTH_PX, HEIGHT_PX = 320, 240
KEY_US = 1_000_000
PERSONS = ((0.125, 0.25, 0.375, 0.75), (0.5625, 0.125, 0.75, 0.875))
CORNERS = ("x1", "y1", "x2", "y2")


@contextmanager
def serving_boxes(folder: Path, *, kind: str, num_clips: int = 1) -> Iterator[RunningServer]:
    """The service over clips of three seconds, whose key-frames ask questions of `kind`: frame or person."""
    clips = [f"c{number}" for number in range(num_clips)]
    write_video(folder / "film.mp4", [_picture(k) for k in range(75)], fps=Fraction(25))
    video = Video(
        video_id="film", path="film.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
        width_px=WIDTH_PX, height_px=HEIGHT_PX, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=75,
        start_us=0, duration_us=3_000_000, has_audio=False,
    )  # fmt: skip
    boxes = [dict(zip(CORNERS, corners, strict=True)) for corners in PERSONS]
    of_clip = [{"clip_id": clip_id, "video_id": "film"} for clip_id in clips]
    tables: dict[str, list[Any]] = {
        "videos": [video],
        "clips": [Clip(clip_id=clip_id, video_id="film", start_us=0, end_us=3_000_000) for clip_id in clips],
        "label_map": [LabelClass(class_id=12, name="stand")],
        "key_frames": [ClipKeyFrame(**clip, timestamp_us=KEY_US, score=0.9, num_boxes=2) for clip in of_clip],
        "boxes": [Proposal(**clip, **box, timestamp_us=KEY_US, score=0.9) for clip in of_clip for box in boxes],
        "tracks": [
            TrackBox(**clip, **boxes[0], person_id=0, timestamp_us=time_us, score=0.9, is_interpolated=False)
            for clip in of_clip
            for time_us in range(0, 3_000_000, 200_000)
        ],
    }
    for table, rows in tables.items():
        write_table(
            table_path(folder, table), table, frame_of(table, rows),
            made_by=made_by("test", arguments={}, inputs={}),
        )  # fmt: skip
    build_items(folder, kinds=(kind,))
    with running_server(folder, seed=1, rules=Rules(kinds=(kind,))) as server:
        yield server


def _picture(k: int) -> np.ndarray:
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 50 + k // 3, np.uint8)
    for x1, y1, x2, y2 in PERSONS:
        left, right = int(x1 * WIDTH_PX) + k - 25, int(x2 * WIDTH_PX) + k - 25
        picture[int(y1 * HEIGHT_PX) : int(y2 * HEIGHT_PX), max(left, 0) : max(right, 0)] = (220, 190, 60)
    return picture


def open_as(page: Any, server: RunningServer, worker_id: str, *, kind: str) -> None:
    """Sign in as a worker who has read the instructions, and wait for the question."""
    token = server.token_of(worker_id)
    head = {"Authorization": f"Bearer {token}"}
    prefs = {"prefs": {"guides": {kind: 1}}}
    httpx.put(f"{server.url}/api/me/prefs", json=prefs, headers=head, trust_env=False).raise_for_status()
    page.goto(f"{server.url}/#token={token}")
    page.wait_for_selector("#screen-ask:not([hidden])")


def press(page: Any, *keys: str) -> None:
    """Each key after the moments in which the page takes no second answer, nor ends a picture just settled."""
    for key in keys:
        page.wait_for_timeout(400 if key == "Enter" else 170)
        page.keyboard.press(key)


def cast(server: RunningServer, worker_id: str) -> list[tuple[Any, ...]]:
    """Item, revision, answer and parsed detail of the worker's votes, in the order of their arrival."""
    query = (
        sa.select(items.c.item_id, votes.c.revision, votes.c.answer, votes.c.detail)
        .join(items, items.c.seq == votes.c.seq)
        .join(workers, workers.c.seq == votes.c.worker_seq)
        .where(workers.c.worker_id == worker_id)
        .order_by(votes.c.vote_id)
    )
    with server.store.reading() as db:
        rows = db.execute(query).all()
    return [(row[0], row[1], row[2], json.loads(row[3]) if row[3] else None) for row in rows]
