"""A hand-made release: squares that move sideways (class 3) or up and down (class 7), some with a still bystander."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from gesta.schema import BoxLabel, Clip, ClipKeyFrame, Kept, LabelClass, SplitRow, TrackBox, Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import write_video

FPS, NUM_FRAMES, WIDTH, HEIGHT = 8, 24, 96, 64
CENTER_US = 1_500_000


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def frames_of(number: int) -> tuple[list[np.ndarray], tuple[float, float, float, float]]:
    """One video's frames, and the mover's box at the middle frame."""
    rng = np.random.default_rng(number)
    ground = rng.integers(0, 120, size=3)
    color = rng.integers(160, 255, size=3)
    start, boxes, frames = np.array([30, 24]), [], []
    for time in range(NUM_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), ground, dtype=np.uint8)
        swing = round(5 * np.sin(time * 0.7 + number))
        x, y = start + (np.array([swing, 0]) if number % 2 == 0 else np.array([0, swing]))
        frame[y : y + 16, x : x + 14] = color
        frame[20:40, 74:86] = color
        frames.append(frame)
        boxes.append((x / WIDTH, y / HEIGHT, (x + 14) / WIDTH, (y + 16) / HEIGHT))
    return frames, tuple(float(value) for value in boxes[12])


def make_release(folder: Path, *, num_videos: int = 8) -> Path:
    """A release of which the last two videos are the split "test"; with videos 0 and 1 there is a bystander."""
    release = folder / "releases" / "1.0.0"
    made = made_by("release", arguments={}, inputs={})
    rows: dict[str, list] = {
        name: [] for name in ("videos", "clips", "kept", "key_frames", "tracks", "box_labels", "splits")
    }
    for number in range(num_videos):
        video_id, class_id = f"-v{number}", 3 if number % 2 == 0 else 7
        path = folder / "videos" / f"{video_id}.mp4"
        frames, box = frames_of(number)
        write_video(path, frames, fps=Fraction(FPS))
        clip_id = f"{video_id}_0000000000_0003000000"
        corners = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        place = {"clip_id": clip_id, "video_id": video_id, "timestamp_us": CENTER_US}
        rows["videos"].append(
            Video(
                video_id=video_id, path=f"../../videos/{video_id}.mp4", sha256="0" * 64, size_bytes=1, container="mp4",
                codec="h264", width_px=WIDTH, height_px=HEIGHT, rotation_deg=0, fps_num=FPS, fps_den=1, is_vfr=False,
                num_frames=NUM_FRAMES, start_us=0, duration_us=3_000_000, has_audio=False,
            )
        )  # fmt: skip
        rows["clips"].append(Clip(clip_id=clip_id, video_id=video_id, start_us=0, end_us=3_000_000))
        rows["kept"].append(Kept(clip_id=clip_id, video_id=video_id, class_id=class_id))
        rows["splits"].append(
            SplitRow(clip_id=clip_id, video_id=video_id, split="test" if number >= num_videos - 2 else "train")
        )
        persons = [(0, corners)]
        if number < 2:
            persons.append((1, {"x1": 74 / WIDTH, "y1": 20 / HEIGHT, "x2": 86 / WIDTH, "y2": 40 / HEIGHT}))
        rows["key_frames"].append(ClipKeyFrame(**place, score=0.9, num_boxes=len(persons)))
        for person_id, where in persons:
            rows["tracks"].append(TrackBox(**place, person_id=person_id, **where, score=0.9, is_interpolated=False))
        rows["box_labels"].append(
            BoxLabel(**place, person_id=0, **corners, class_id=class_id, verdict="accepted", num_yes=2, num_votes=2)
        )
    names = ((3, "move sideways"), (5, "never seen"), (7, "move up and down"))
    rows["label_map"] = [LabelClass(class_id=class_id, name=name) for class_id, name in names]
    for table, listed in rows.items():
        write_table(table_path(release, table), table, frame_of(table, listed), made_by=made)
    (release / "manifest.json").write_text(json.dumps({"version": "1.0.0", "num_videos": num_videos}))
    return release


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hand-made release; read only."""
    return make_release(tmp_path_factory.mktemp("release"))
