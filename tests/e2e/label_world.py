"""A work folder with one small film and questions of all seven kinds, and a client who speaks to the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from gesta.schema import Clip, Gold, Item, LabelClass, TrackBox, Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import write_video

NASTY = "<img src=x onerror=alert(1)>\"'--"
"""The name of class 2."""

SOURCE = "the-film-nobody-may-know-of"
BOX = {"x1": 0.25, "y1": 0.25, "x2": 0.5, "y2": 0.75}
KEY_US = 2_000_000
NUM_CLIPS = 30
NUM_GOLD = 6


def make_work(work: Path) -> Path:
    """The folder."""
    write_video(work / f"{SOURCE}.mp4", [_picture(k) for k in range(100)], fps=Fraction(25))
    video = Video(
        video_id=SOURCE, path=f"{SOURCE}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
        width_px=64, height_px=48, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=100, start_us=0,
        duration_us=4_000_000, has_audio=False,
    )  # fmt: skip
    clips = [Clip(clip_id=f"{SOURCE}-{k}", video_id=SOURCE, start_us=0, end_us=3_000_000 + k) for k in range(NUM_CLIPS)]
    tracks = [
        TrackBox(clip_id=clip.clip_id, video_id=SOURCE, person_id=0, timestamp_us=t_us, score=0.9,
                 is_interpolated=False, **BOX)
        for clip in clips
        for t_us in range(0, 4_000_000, 500_000)
    ]  # fmt: skip
    tables: dict[str, list[Any]] = {
        "videos": [video],
        "clips": clips,
        "tracks": tracks,
        "label_map": [LabelClass(class_id=1, name="wave"), LabelClass(class_id=2, name=NASTY)],
        "items": _items([clip.clip_id for clip in clips]),
        "gold": [Gold(item_id=f"clip:{k}", answer="yes") for k in range(NUM_GOLD)],
    }
    for table, rows in tables.items():
        provenance = made_by("test", arguments={}, inputs={})
        write_table(table_path(work, table), table, frame_of(table, rows), made_by=provenance)
    return work


def _items(clips: list[str]) -> list[Item]:
    cluster = json.dumps({"cluster_id": 7, "clips": clips[:3], "similarity": [[0, 1, 0.9], [1, 2, 0.8]]})
    ranked = [{"clip_id": clip_id, "score": 1 - k / 10, "near": k - 1 if k else None} for k, clip_id in
              enumerate(clips[:4])]  # fmt: skip
    keyed: dict[str, Any] = {"timestamp_us": KEY_US}
    person = {**keyed, "person_id": 0, **BOX}
    boxes = json.dumps({"boxes": [{**BOX, "score": 0.9}]})
    return [
        *(Item(item_id=f"clip:{k}", kind="clip", clip_id=c, class_id=1 + k % 2) for k, c in enumerate(clips)),
        *(Item(item_id=f"suggestion:{k}", kind="suggestion", clip_id=clips[k], class_id=2) for k in range(2)),
        *(Item(item_id=f"frame:{k}", kind="frame", clip_id=clips[k], detail=boxes, **keyed) for k in range(2)),
        *(Item(item_id=f"person:{k}", kind="person", clip_id=clips[k], **person) for k in range(2)),
        *(
            Item(item_id=f"box:{k}", kind="box", clip_id=clips[k], class_id=1, detail='{"num_proposed":2}', **person)
            for k in range(2)
        ),
        Item(item_id="cluster:7", kind="cluster", clip_id=clips[0], class_id=1, detail=cluster),
        Item(item_id="class:1", kind="class", clip_id=clips[0], class_id=1, detail=json.dumps({"clips": ranked})),
    ]


def _picture(k: int) -> np.ndarray:
    return np.full((48, 64, 3), 40 + 2 * k, np.uint8)


ANSWER_TO: dict[str, dict[str, Any]] = {
    "clip": {"answer": "no", "detail": {"suggestion": f"a suggestion {NASTY}"}},
    "suggestion": {"answer": "done", "detail": {"text": f"a text {NASTY}"}},
    "frame": {"answer": "done", "detail": {"boxes": [{**BOX, "proposal": 0}]}},
    "person": {"answer": "done", "detail": {"class_ids": [12]}},
    "box": {"answer": "yes"},
    "cluster": {"answer": "done", "detail": {"keep": [0]}},
    "class": {"answer": "done", "detail": {"remove": [1]}},
}
"""A good answer to each kind."""


class Person:
    """Somebody with a token, or without, who speaks to the service through a client."""

    def __init__(self, client: httpx.Client, token: str | None = None) -> None:
        self.client = client
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.num_sends = 0

    def call(self, method: str, path: str, body: Any = None, *, headers: Any = None, raw: Any = None) -> httpx.Response:
        """The service's answer; `body` goes as JSON, `raw` as it is."""
        sent = {**self.headers, **(headers or {})}
        if raw is not None:
            return self.client.request(method, path, content=raw, headers=sent)
        return self.client.request(method, path, json=body, headers=sent)

    def get(self, path: str, *, headers: Any = None) -> httpx.Response:
        """The service's answer to GET."""
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: Any) -> httpx.Response:
        """The service's answer to POST."""
        return self.call("POST", path, body)

    def task(self) -> dict[str, Any]:
        """What the service says to somebody who asks for work."""
        return dict(self.post("/api/task", {}).json())

    def send(self, task: dict[str, Any], **more: Any) -> httpx.Response:
        """Good answers to all of the task."""
        self.num_sends += 1
        answers = [{"slot": item["slot"], **ANSWER_TO[item["kind"]], "spent_ms": 5} for item in task["items"]]
        key = f"{id(self)}-{self.num_sends:08d}"
        body = {"task_id": task["task_id"], "idempotency_key": key, "answers": answers, **more}
        return self.post("/api/answers", body)

    def tasks(self) -> list[dict[str, Any]]:
        """Every task there is for this person, each answered."""
        done = []
        while (told := self.task())["status"] == "task":
            done.append(told["task"])
            self.send(told["task"]).raise_for_status()
        return done


@contextmanager
def client_of(url: str) -> Iterator[httpx.Client]:
    """A client that no proxy and no patience of the machine comes between."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client


def links_of(question: dict[str, Any]) -> list[str]:
    """Every address in a question."""
    return [question["media_url"], *([question["path_url"]] if question.get("path_url") else []),
            *(clip["media_url"] for clip in question.get("clips", [])),
            *(frame["url"] for frame in question.get("frames", []))]  # fmt: skip
