"""A small work folder with every table of the line up to curation, made by rule and consistent in itself.

24 clips of 24 videos in 4 classes (6 each), 3 more that repeat earlier footage, 2 that workers turned down; 6 workers,
of whom one guesses. Load it with `runpy.run_path`, since test folders are no packages.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gesta.schema import (
    PROTOCOLS,
    BoxLabel,
    Candidate,
    Clip,
    ClipKeyFrame,
    ClipLabel,
    Duplicate,
    Gold,
    Item,
    Kept,
    LabelClass,
    Proposal,
    Reject,
    TrackBox,
    Video,
    Vote,
    Worker,
    box_item_id_of,
    clip_id_of,
    clip_item_id_of,
)
from gesta.tables import frame_of, made_by, table_path, write_rejects, write_table

CLASSES = {1: "archery", 2: "arm wrestling", 5: "walking a dog", 7: "signing (one word)"}
NUM_GOOD, NUM_COPIES, NUM_BAD = 24, 3, 2
CLIP_US, KEY_US = 3_000_000, 1_500_000
WORKERS = ("ada", "ben", "cleo", "dan", "eve", "spam")


def class_of(number: int) -> int:
    return list(CLASSES)[number % 4]


def clip_of(number: int) -> str:
    return clip_id_of(video_id=f"v{number:02d}", start_us=0, end_us=CLIP_US)


def box_of(number: int, person_id: int, time_us: int) -> dict[str, float]:
    left = 0.1 + 0.45 * person_id + 0.02 * (number % 5) + 0.02 * time_us / CLIP_US
    return {"x1": left, "y1": 0.2, "x2": left + 0.25, "y2": 0.9 - 0.05 * (number % 4)}


def persons_of(number: int) -> int:
    return (1, 2, 1, 0)[number % 4] if number % 8 == 3 else 1 + number % 2


def write_work(work: Path, *, video_files: Sequence[Path] = ()) -> Path:
    """The folder; its videos are `video_files` in turn, or files that are not there."""
    work.mkdir(parents=True, exist_ok=True)
    numbers = range(NUM_GOOD + NUM_COPIES + NUM_BAD)
    _put(work, "videos", "import", [_video(work, number, video_files) for number in numbers])
    _put(work, "label_map", "mine", [LabelClass(class_id=key, name=name) for key, name in CLASSES.items()])
    clips = [Clip(clip_id=clip_of(n), video_id=f"v{n:02d}", start_us=0, end_us=CLIP_US) for n in numbers]
    _put(work, "clips", "mine", clips)
    candidates = [
        Candidate(clip_id=clip_of(n), class_id=class_of(n), source="title", query=CLASSES[class_of(n)], score=1.0)
        for n in numbers
    ]
    _put(work, "candidates", "mine", candidates)
    _put_boxes(work, numbers)
    _put_votes(work, numbers)
    _put_curated(work)
    drop = [
        Reject(stage="import", reason="decode", path="broken.mp4", detail="no frame could be decoded"),
        Reject(stage="import", reason="empty", path="nothing.mp4", detail="the file has no bytes"),
    ]
    write_rejects(work, "import", drop, made_by=made_by("import", arguments={"folder": "videos"}, inputs={}))
    drop = [Reject(stage="mine", reason="title", video_id="vx", detail="the title names no action")]
    write_rejects(work, "mine", drop, made_by=made_by("mine", arguments={}, inputs={}))
    return work


def _put(work: Path, table: str, stage: str, rows: list) -> None:
    with_what = {"detect": {"detector": "hog", "min_score": 0.3}, "consensus": {"min_gold": 8, "min_accuracy": 0.7}}
    arguments = with_what.get(stage, {})
    provenance = made_by(stage, arguments=arguments, inputs={}, tools=["numpy"])
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=provenance)


def _video(work: Path, number: int, files: Sequence[Path]) -> Video:
    path = os.path.relpath(files[number % len(files)], work) if files else f"../videos/v{number:02d}.mp4"
    return Video(
        video_id=f"v{number:02d}", path=path, sha256=f"{number:064x}", size_bytes=1000 + number, container="mp4",
        codec="h264", width_px=320, height_px=240, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=75,
        start_us=0, duration_us=3_000_000 + 100_000 * number, has_audio=False,
        title=f"{CLASSES[class_of(number)]} {number}",
    )  # fmt: skip


def _put_boxes(work: Path, numbers: range) -> None:
    boxes, tracks, key_frames = [], [], []
    for number in numbers:
        home = {"clip_id": clip_of(number), "video_id": f"v{number:02d}"}
        for person_id in range(persons_of(number)):
            for time_us in range(0, CLIP_US, 250_000):
                box = {**home, "timestamp_us": time_us, **box_of(number, person_id, time_us), "score": 0.9}
                boxes.append(Proposal(**box))
                tracks.append(TrackBox(**box, person_id=person_id, is_interpolated=False))
        there = persons_of(number)
        score = 0.9 if there else 0.0
        key_frames.append(ClipKeyFrame(**home, timestamp_us=KEY_US, score=score, num_boxes=there))
    _put(work, "boxes", "detect", boxes)
    _put(work, "tracks", "detect", tracks)
    _put(work, "key_frames", "detect", key_frames)


def answers_to(number: int, *, is_box: bool) -> list[tuple[str, str]]:
    """Who answered what, in order: four careful workers in turn, the guesser on every third item."""
    truth = "no" if number >= NUM_GOOD + NUM_COPIES else "yes"
    careful = [WORKERS[(number + step) % 5] for step in range(2 if is_box else 3)]
    answers = [(worker, truth) for worker in careful]
    if number % 6 == 2 and not is_box:
        answers[0] = (answers[0][0], "unsure")
        answers.append((WORKERS[(number + 3) % 5], truth))
    return answers


def _put_votes(work: Path, numbers: range) -> None:
    items, votes, clip_labels, box_labels = [], [], [], []
    num_right: Counter[str] = Counter()

    def vote(item_id: str, worker_id: str, answer: str, *, is_gold: bool) -> None:
        number = len(votes) + 1
        votes.append(
            Vote(vote_id=number, item_id=item_id, worker_id=worker_id, answer=answer, is_gold=is_gold,
                 spent_ms=400 if worker_id == "spam" else 2_000 + 10 * (number % 90), cast_at_us=number * 1_000_000)
        )  # fmt: skip

    for number in numbers:
        clip_id, class_id = clip_of(number), class_of(number)
        item_id = clip_item_id_of(clip_id=clip_id, class_id=class_id)
        items.append(Item(item_id=item_id, kind="clip", clip_id=clip_id, class_id=class_id))
        counts = Counter(answer for _, answer in answers_to(number, is_box=False))
        for worker_id, answer in answers_to(number, is_box=False):
            vote(item_id, worker_id, answer, is_gold=False)
        verdict = PROTOCOLS["clip"].verdict(counts)
        by_answer = {f"num_{answer}": counts[answer] for answer in ("yes", "no", "unsure", "broken")}
        clip_labels.append(ClipLabel(clip_id=clip_id, class_id=class_id, verdict=verdict, **by_answer))
        if verdict != "accepted":
            continue
        for person_id in range(persons_of(number)):
            where = {"clip_id": clip_id, "timestamp_us": KEY_US, "person_id": person_id, "class_id": class_id}
            item_id, corners = box_item_id_of(**where), box_of(number, person_id, KEY_US)
            items.append(Item(item_id=item_id, kind="box", **where, **corners))
            answer = "yes" if person_id == 0 else "no"
            for worker_id, _ in answers_to(number, is_box=True):
                vote(item_id, worker_id, answer, is_gold=False)
            box_labels.append(
                BoxLabel(**where, **corners, video_id=f"v{number:02d}", num_votes=2, num_yes=2 * (answer == "yes"),
                         verdict="accepted" if answer == "yes" else "rejected")
            )  # fmt: skip
    gold = [Gold(item_id=f"clip:gold{n}:1", answer="yes" if n % 2 else "no") for n in range(8)]
    for row in gold:
        items.append(Item(item_id=row.item_id, kind="clip", clip_id=row.item_id.split(":")[1], class_id=1))
        for worker_id in WORKERS:
            answer = "yes" if worker_id == "spam" else row.answer
            num_right[worker_id] += answer == row.answer
            vote(row.item_id, worker_id, answer, is_gold=True)
    _put(work, "items", "label", items)
    _put(work, "gold", "label", gold)
    _put(work, "votes", "label", votes)
    _put(work, "clip_labels", "consensus", clip_labels)
    _put(work, "box_labels", "consensus", box_labels)
    _put(work, "workers", "consensus", [_worker(name, votes, num_right[name]) for name in WORKERS])


def _worker(worker_id: str, votes: list[Vote], num_right: int) -> Worker:
    mine = [vote for vote in votes if vote.worker_id == worker_id]
    is_spam = worker_id == "spam"
    times = sorted(vote.spent_ms for vote in mine)
    return Worker(
        worker_id=worker_id, num_votes=len(mine), num_gold=8, num_gold_right=num_right, gold_accuracy=num_right / 8,
        agreement=None if is_spam else 0.9 + 0.01 * WORKERS.index(worker_id), median_spent_ms=times[len(times) // 2],
        is_trusted=not is_spam,
    )  # fmt: skip


def _put_curated(work: Path) -> None:
    copies = range(NUM_GOOD, NUM_GOOD + NUM_COPIES)
    pairs = [
        Duplicate(clip_id_a=clip_of(n - NUM_GOOD), clip_id_b=clip_of(n), cosine=0.99 - 0.01 * (n - NUM_GOOD),
                  num_inliers=40 + n, cluster=n - NUM_GOOD, kept_clip_id=clip_of(n - NUM_GOOD))
        for n in copies
    ]  # fmt: skip
    _put(work, "duplicates", "curate", pairs)
    kept = [Kept(clip_id=clip_of(n), video_id=f"v{n:02d}", class_id=class_of(n)) for n in range(NUM_GOOD)]
    _put(work, "kept", "curate", kept)
    drop = [
        Reject(stage="curate", reason="duplicate", video_id=f"v{n:02d}", clip_id=clip_of(n), detail="shown by another")
        for n in copies
    ]
    write_rejects(work, "curate", drop, made_by=made_by("curate", arguments={}, inputs={}))
