"""The chain of AVA-Kinetics 1.2 on tables: boxes, proposals and verification by a crowd give the planted truth."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.consensus import run_consensus
from gesta.formats import Context, ava_label_map, writer_named
from gesta.formats.ava import read_ava_csv
from gesta.label.items import build_items
from gesta.label.kinds import MAX_CLASSES, ava_categories, check_answer
from gesta.release import annotations_of
from gesta.schema import US_PER_S, Clip, ClipKeyFrame, LabelClass, Proposal, Video, Vote
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

MADE = made_by("test", arguments={}, inputs={})
CORNERS = ("x1", "y1", "x2", "y2")
NUM_VIDEOS = 150
MILLIONTHS = 1_000_000

Corners = tuple[float, ...]
Truth = dict[str, tuple[int, dict[Corners, set[int]]]]
"""Of each video its key-frame, and of each person there the actions."""


def of_a_pose_and_no_more_than_allowed(class_ids: set[int]) -> bool:
    counts = {name: sum(ava_categories()[k] == name for k in class_ids) for name in MAX_CLASSES}
    return counts["pose"] == 1 and all(counts[name] <= most for name, most in MAX_CLASSES.items())


def published_truth(shared: Path) -> Truth:
    """The first videos of AVA-Kinetics' validation list whose persons have one pose each."""
    rows = read_ava_csv(shared / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv")
    truth: Truth = {}
    for (video_id, timestamp_us), part in rows.group_by("video_id", "timestamp_us", maintain_order=True):
        people: dict[Corners, set[int]] = {}
        for row in part.filter(pl.col("class_id").is_not_null()).iter_rows(named=True):
            people.setdefault(tuple(row[name] for name in CORNERS), set()).add(row["class_id"])
        if video_id not in truth and all(map(of_a_pose_and_no_more_than_allowed, people.values())):
            truth[video_id] = (timestamp_us, people)
        if len(truth) == NUM_VIDEOS:
            break
    # A key-frame where nobody is.
    truth["nobody-there"] = (3 * US_PER_S, {})
    return truth


def write(work: Path, table: str, rows: Sequence[Any]) -> None:
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=MADE)


def lay_out(work: Path, truth: Truth, rng: random.Random) -> None:
    """What stands before the crowd comes: videos, clips, key-frames; a detector's boxes, some missing, some false."""
    work.mkdir()
    ids = sorted(truth)
    write(
        work,
        "videos",
        [
            Video(
                video_id=v, path=f"{v}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
                width_px=640, height_px=360, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=9,
                start_us=0, duration_us=10**9, has_audio=False,
            )
            for v in ids
        ],
    )  # fmt: skip
    clips = [Clip(clip_id=f"clip-{v}", video_id=v, start_us=0, end_us=truth[v][0] + 5 * US_PER_S) for v in ids]
    write(work, "clips", clips)
    frames = [
        ClipKeyFrame(clip_id=f"clip-{v}", video_id=v, timestamp_us=truth[v][0], score=0.9, num_boxes=1) for v in ids
    ]
    write(work, "key_frames", frames)
    found = []
    for v in ids:
        seen = [shifted(box, rng, by=20_000) for box in truth[v][1] if rng.random() < 0.8]
        seen += [(0.001, 0.001, 0.05, 0.07)] if rng.random() < 0.3 else []
        found += [
            Proposal(
                clip_id=f"clip-{v}", video_id=v, timestamp_us=truth[v][0], score=round(rng.random(), 3),
                **dict(zip(CORNERS, box, strict=True)),
            )
            for box in dict.fromkeys(seen)
        ]  # fmt: skip
    write(work, "boxes", found)
    names = [LabelClass(**row) for row in ava_label_map(80).iter_rows(named=True)]
    write(work, "label_map", names)


def shifted(box: Corners, rng: random.Random, *, by: int) -> Corners:
    """The box moved by some millionths, where it stays in the frame."""
    step = rng.randint(-by, by) / MILLIONTHS
    moved = tuple(round(value + step, 6) for value in box)
    return moved if all(0 <= value <= 1 for value in moved) else box


class Crowd:
    """Writes votes as the service would log them."""

    def __init__(self) -> None:
        self.rows: list[Vote] = []

    def says(self, item: Mapping[str, Any], worker_id: str, answer: str, detail: Mapping[str, Any] | None) -> None:
        shown = json.loads(item["detail"] or "{}")
        num_proposals = len(shown.get("boxes", ()))
        text = check_answer(item["kind"], answer, None, detail, num_proposals=num_proposals)
        vote = Vote(
            vote_id=len(self.rows) + 1, item_id=item["item_id"], worker_id=worker_id, answer=answer, detail=text
        )
        self.rows.append(vote)


def draw_boxes(crowd: Crowd, item: Mapping[str, Any], people: Sequence[Corners], rng: random.Random) -> None:
    """Two workers draw every person, one as much too far to a side as the other is to the other."""
    num_proposals = len(json.loads(item["detail"])["boxes"])
    for sign, worker in ((1, "ann"), (-1, "bob")):
        boxes = []
        for number, box in enumerate(people):
            step = 2_000 / MILLIONTHS * sign
            moved = tuple(round(value + step, 6) for value in box)
            mirror = tuple(round(value - step, 6) for value in box)
            is_inside = all(0 <= value <= 1 for value in (*moved, *mirror))
            drawn = dict(zip(CORNERS, moved if is_inside else box, strict=True))
            boxes.append({**drawn, "proposal": number if number < num_proposals else None})
        rng.shuffle(boxes)
        crowd.says(item, worker, "done", {"boxes": boxes})


def propose(crowd: Crowd, item: Mapping[str, Any], class_ids: set[int], rng: random.Random) -> None:
    """Three raters: one sees all, one mistakes the pose, one leaves out what is not the pose and adds something."""
    pose = next(k for k in class_ids if ava_categories()[k] == "pose")
    other_pose = rng.choice([k for k, name in ava_categories().items() if name == "pose" and k != pose])
    extra = rng.choice([k for k, name in ava_categories().items() if name != "pose"])
    for worker, said in (
        ("ann", class_ids), ("bob", class_ids - {pose} | {other_pose}), ("cat", {pose, extra}),
    ):  # fmt: skip
        crowd.says(item, worker, "done", {"class_ids": list(said)})


@pytest.mark.parametrize("seed", [1, 2])
def test_three_rounds_of_answers_give_the_planted_truth(tmp_path: Path, shared: Path, seed: int) -> None:
    rng, truth, work = random.Random(seed), published_truth(shared), tmp_path / "work"
    lay_out(work, truth, rng)
    crowd = Crowd()

    def round_of(kind: str) -> list[dict[str, Any]]:
        build_items(work, kinds=[kind])
        return read_table(work, "items").filter(kind=kind).rows(named=True)

    def count() -> Mapping[str, Any]:
        rng.shuffle(crowd.rows)
        write(work, "votes", crowd.rows)
        return run_consensus(work).as_json()

    for item in round_of("frame"):
        draw_boxes(crowd, item, list(truth[item["clip_id"].removeprefix("clip-")][1]), rng)
    num_people = sum(len(people) for _, people in truth.values())
    assert count()["num_key_frame_boxes"] == num_people

    persons = round_of("person")
    assert len(persons) == num_people
    for item in persons:
        people = truth[item["clip_id"].removeprefix("clip-")][1]
        propose(crowd, item, people[person_of(item, people)], rng)
    assert count()["num_proposed_labels"] > sum(len(k) for _, people in truth.values() for k in people.values())

    for item in round_of("box"):
        people = truth[item["clip_id"].removeprefix("clip-")][1]
        is_so = item["class_id"] in people[person_of(item, people)]
        answers = ["yes" if is_so else "no"] * 2 + ["no" if is_so else "unsure"]
        rng.shuffle(answers)
        for worker, answer in zip(("ann", "bob", "cat"), answers, strict=True):
            crowd.says(item, worker, answer, None)
    done = count()
    assert done["rejected"].get("box-open", 0) == 0

    file = tmp_path / "verified.csv"
    writer_named("ava-kinetics")(file, annotations_of(work), context=Context())
    columns = ["video_id", "timestamp_us", *CORNERS, "class_id"]
    assert set(read_ava_csv(file).select(columns).rows()) == {
        (video_id, timestamp_us, *row)
        for video_id, (timestamp_us, people) in truth.items()
        for row in ([(*box, k) for box, ids in people.items() for k in ids] or [(None,) * 5])
    }


def person_of(item: Mapping[str, Any], people: Mapping[Corners, set[int]]) -> Corners:
    """The planted person whose box the item shows."""
    box = tuple(item[name] for name in CORNERS)
    return min(people, key=lambda known: max(abs(a - b) for a, b in zip(known, box, strict=True)))
