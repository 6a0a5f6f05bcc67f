"""`gesta run` on real videos: a folder of files, people's answers over HTTP, a release, predictions, a report."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import polars as pl
import pytest

from gesta.tables import read_rejects, read_table

pytestmark = pytest.mark.timeout(300)

SIGNING = ["again", "book", "eat", "milk", "no", "school"]
OTHERS = ["arm_wrestling.mp4", "no_person_dog.mp4", "part_0.mp4", "part_1_same_as_part_0.mp4"]
WORKERS = ["ann", "bob", "cleo"]


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten real videos, a truncated one, an empty one and a text file, as a user's folder might hold them."""
    folder = tmp_path_factory.mktemp("real") / "videos"
    folder.mkdir()
    for name in SIGNING:
        shutil.copy(shared / "videos" / "asl" / f"{name}.mkv", folder)
    for name in OTHERS:
        shutil.copy(shared / "videos" / name, folder)
    whole = (shared / "videos" / "arm_wrestling.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("not a video")
    (folder.parent / "actions.txt").write_text("using sign language\narm wrestling\n")
    return folder


def answer_of(action: str, video: str) -> str:
    """What a person would say: signers sign, wrestlers wrestle."""
    is_signing = video in SIGNING
    return "yes" if (("sign" in action) == is_signing and video != "no_person_dog") else "no"


def videos_of_task(work: Path, task_id: str) -> list[str]:
    """Which video each slot of a task plays; workers are not told, but they would see it."""
    with closing(sqlite3.connect(work / "labels.sqlite")) as db:
        seqs = json.loads(db.execute("SELECT seqs FROM tasks WHERE task_id = ?", [task_id]).fetchone()[0])
        clips = dict(db.execute("SELECT seq, clip_id FROM items"))
    videos = dict(read_table(work, "clips").select("clip_id", "video_id").iter_rows())
    return [videos[clips[seq]] for seq in seqs]


def answer_everything(url: str, invite: str, work: Path) -> None:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        people = []
        for worker in WORKERS:
            joined = client.post("/api/join", json={"invite": invite, "worker_id": worker}).raise_for_status().json()
            people.append({"Authorization": f"Bearer {joined['token']}"})
        busy = True
        while busy:
            busy = False
            for headers in people:
                task = client.post("/api/task", json={}, headers=headers).raise_for_status().json().get("task")
                if task is None:
                    continue
                busy = True
                videos = videos_of_task(work, task["task_id"])
                answers = [
                    {"slot": item["slot"], "answer": answer_of(item["action"], videos[item["slot"]]), "spent_ms": 900}
                    for item in task["items"]
                ]
                body = {"task_id": task["task_id"], "idempotency_key": task["task_id"], "answers": answers}
                client.post("/api/answers", json=body, headers=headers).raise_for_status()


@pytest.fixture(scope="module")
def finished(folder: Path, shared: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    """The work folder after `gesta run`, and what it printed."""
    work = folder.parent / "work"
    command = [
        sys.executable, "-m", "gesta", "run", folder, "--actions", folder.parent / "actions.txt", "--work", work,
        "--detector", "onnx", "--weights", shared / "detectors" / "FastestDet.onnx", "--rate", "2", "--clip-s", "3",
        "--windows", "1", "--unmatched", "all", "--port", "0", "--json",
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if match := re.search(r"to send to workers: +(http\S+)/join#(\S+)", line):
                answer_everything(match.group(1), match.group(2), work)
                break
        stdout, stderr = process.communicate(timeout=240)
        assert process.returncode == 0, stderr
        yield work, json.loads(stdout)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_bad_files_are_rejected_and_the_rest_is_imported(finished: tuple[Path, dict[str, object]]) -> None:
    work, _ = finished
    assert set(read_table(work, "videos")["video_id"]) >= {*SIGNING, *(Path(name).stem for name in OTHERS)}
    rejects = read_rejects(work).filter(pl.col("stage") == "import")
    assert {Path(path).name for path in rejects["path"]} >= {"empty.mp4", "notes.txt"}
    assert all(rejects["reason"])


def test_people_are_found_and_key_frames_chosen(finished: tuple[Path, dict[str, object]]) -> None:
    work, _ = finished
    key_frames = read_table(work, "key_frames")
    by_video = {row["video_id"]: row for row in key_frames.iter_rows(named=True)}
    assert sum(by_video[name]["num_boxes"] >= 1 for name in SIGNING) >= 5
    assert by_video["no_person_dog"]["num_boxes"] == 0
    clips = read_table(work, "clips")
    for row in key_frames.join(clips, on="clip_id").iter_rows(named=True):
        if row["end_us"] - row["start_us"] > 2_000_000:
            assert row["start_us"] + 1_000_000 <= row["timestamp_us"] <= row["end_us"] - 1_000_000


def test_the_release_holds_what_was_accepted_once(finished: tuple[Path, dict[str, object]]) -> None:
    work, _ = finished
    release = work / "releases" / "1.0.0"
    label_map = dict(read_table(release, "label_map").select("class_id", "name").iter_rows())
    kept = [(row["video_id"], label_map[row["class_id"]]) for row in read_table(release, "kept").iter_rows(named=True)]
    assert {video for video, name in kept if name == "using sign language"} == set(SIGNING)
    wrestling = {video for video, name in kept if name == "arm wrestling"}
    assert "arm_wrestling" in wrestling
    assert len(wrestling & {"part_0", "part_1_same_as_part_0"}) == 1, "the byte-identical copy must be removed"
    assert (release / "manifest.json").is_file()
    assert len(read_table(release, "box_labels")) >= 5


def test_predictions_and_report_are_there(finished: tuple[Path, dict[str, object]]) -> None:
    work, printed = finished
    assert len(list((work / "predictions").rglob("*.mp4"))) >= 10
    page = (work / "report.html").read_text()
    assert "using sign language" in page
    assert [stage["stage"] for stage in printed["stages"]][:4] == ["import", "mine", "detect", "label"]  # type: ignore[index,attr-defined]
