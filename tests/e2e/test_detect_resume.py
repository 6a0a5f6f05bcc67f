"""`gesta detect` killed with -9 in the middle and run again: the same tables, byte for byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from gesta.schema import Clip, Video, clip_id_of
from gesta.tables import frame_of, made_by, read_table, table_path, write_table
from gesta.video import probe, write_video

NUM_VIDEOS, CLIPS_A_VIDEO = 3, 6
TABLES = ("boxes", "tracks", "key_frames")


def walker(num_frames: int, *, first_px: int) -> np.ndarray:
    """A dark figure that walks to the right before a light wall; HOG takes it for a person."""
    frames = np.full((num_frames, 120, 160, 3), 200, np.uint8)
    for number, frame in enumerate(frames):
        x, stride = first_px + 3 * number, round(7 * np.sin(number / 2))
        cv2.circle(frame, (x, 32), 6, (40, 40, 40), -1)
        cv2.ellipse(frame, (x, 54), (9, 17), 0, 0, 360, (40, 40, 40), -1)
        for foot in (x - stride, x + stride):
            cv2.line(frame, (x, 66), (foot, 96), (40, 40, 40), 7)
    return frames


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of three videos of a walker and six clips of each: five shards, which take some seconds."""
    work = tmp_path_factory.mktemp("untouched")
    hand = made_by("test", arguments={}, inputs={})
    videos, clips = [], []
    for number in range(NUM_VIDEOS):
        path = write_video(work / f"v{number}.mp4", walker(30, first_px=30 + 10 * number), fps=Fraction(10))
        facts = probe(path)
        videos.append(
            Video(
                video_id=path.stem, path=path.name, sha256="0" * 64, size_bytes=path.stat().st_size,
                container=facts.container, codec=facts.codec, width_px=facts.width_px, height_px=facts.height_px,
                rotation_deg=0, fps_num=10, fps_den=1, is_vfr=False, num_frames=facts.num_frames,
                start_us=facts.start_us, duration_us=facts.duration_us, has_audio=False,
            )
        )  # fmt: skip
        for start_us in range(0, CLIPS_A_VIDEO * 200_000, 200_000):
            end_us = start_us + 2_000_000
            clip_id = clip_id_of(video_id=path.stem, start_us=start_us, end_us=end_us)
            clips.append(Clip(clip_id=clip_id, video_id=path.stem, start_us=start_us, end_us=end_us))
    write_table(table_path(work, "videos"), "videos", frame_of("videos", videos), made_by=hand)
    write_table(table_path(work, "clips"), "clips", frame_of("clips", clips), made_by=hand)
    return work


def start(work: Path) -> subprocess.Popen[bytes]:
    """The real command, in a process group of its own."""
    arguments = ("detect", str(work), "--detector", "hog", "--rate", "2", "--workers", "2")
    return subprocess.Popen(
        [sys.executable, "-c", "from gesta.cli import main; main()", *arguments],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finished_shards(work: Path) -> list[Path]:
    return [each for each in (work / "shards" / "detect").glob("*/*") if each.name.isdigit()]


def bytes_of(work: Path) -> dict[str, bytes]:
    files = [*(table_path(work, name) for name in TABLES), work / "rejects" / "detect.parquet"]
    sidecars = [file.with_name(file.name + ".json") for file in files]
    return {str(file.relative_to(work)): file.read_bytes() for file in (*files, *sidecars)}


def test_a_killed_run_goes_on_and_gives_the_same_bytes(untouched: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    shutil.copytree(untouched, killed)
    process = start(killed)
    until = time.monotonic() + 200
    while not finished_shards(killed) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, f"it ended before it could be killed: {process.communicate()[0].decode()}"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {shard: shard.stat().st_mtime_ns for shard in finished_shards(killed)}
    assert 0 < len(kept) < NUM_VIDEOS * CLIPS_A_VIDEO / 4
    assert not table_path(killed, "boxes").exists()

    again = start(killed)
    seen: set[Path] = set()
    while again.poll() is None:
        seen |= {shard for shard, made in kept.items() if shard.exists() and shard.stat().st_mtime_ns == made}
        time.sleep(0.02)
    said = again.communicate()[0].decode()
    assert again.returncode == 0, said
    assert said == f"detect: kept {NUM_VIDEOS * CLIPS_A_VIDEO}, rejected 0\n"
    assert seen == set(kept), "finished shards were made anew"

    whole = tmp_path / "whole"
    shutil.copytree(untouched, whole)
    calm = start(whole)
    assert calm.communicate()[0].decode() == said
    assert bytes_of(killed) == bytes_of(whole)
    assert len(read_table(whole, "boxes")) > 20, "the comparison needs something to compare"
    assert not (killed / "shards" / "detect").exists()
