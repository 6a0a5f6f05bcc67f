"""What the world answers: clip items, box items, key-frames; on a truth written by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gesta.schema import Clip, ClipKeyFrame, Item, LabelClass, MissingTable, TruthAction, TruthBox, TruthVideo
from gesta.tables import empty_frame, frame_of, made_by, read_table, table_path, write_table
from gesta.world import answers_of_items, truth_at_key_frames

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.9), (0.6, 0.2, 0.8, 0.9)
LABELS = frame_of("label_map", [LabelClass(class_id=4, name="clapping"), LabelClass(class_id=9, name="bowing")])


def write_truth(folder: Path) -> Path:
    """6 s at 10 fps: person 0 (left) claps from 1 s to 4 s, person 1 (right) bows for 0.6 s; and an empty video."""
    provenance = made_by("world", arguments={}, inputs={})
    boxes = [
        TruthBox(video_id="v", person_id=person, timestamp_us=k * 100_000, x1=x1, y1=y1, x2=x2, y2=y2)
        for k in range(60)
        for person, (x1, y1, x2, y2) in enumerate((LEFT, RIGHT))
    ]
    actions = [
        TruthAction(video_id="v", person_id=0, action="clapping", start_us=1_000_000, end_us=4_000_000),
        TruthAction(video_id="v", person_id=1, action="bowing", start_us=5_000_000, end_us=5_600_000),
    ]
    videos = [
        TruthVideo(video_id=name, path=f"videos/{name}.mp4", kind=kind, title="t")
        for name, kind in (("v", "original"), ("e", "empty"))
    ]
    for table, rows in (("truth_boxes", boxes), ("truth_actions", actions), ("truth_videos", videos)):
        write_table(table_path(folder, table), table, frame_of(table, rows), made_by=provenance)
    return folder


def clip(name: str, video_id: str, start_s: float, end_s: float) -> Clip:
    return Clip(clip_id=name, video_id=video_id, start_us=int(start_s * 1e6), end_us=int(end_s * 1e6))


def clip_item(name: str, class_id: int) -> Item:
    return Item(item_id=f"{name}:{class_id}", kind="clip", clip_id=name, class_id=class_id)


def test_a_clip_shows_what_someone_does_for_a_second_or_half_of_a_short_clip(tmp_path: Path):
    clips = [
        clip("all", "v", 0, 6),
        clip("early", "v", 0, 1.9),  # 0.9 s of clapping in 1.9 s: short of half
        clip("brief", "v", 0.5, 1.5),  # exactly half of a clip below 2 s
        clip("bow", "v", 4.5, 6),  # 0.6 s of bowing in 1.5 s
        clip("nod", "v", 4.9, 5.7),  # 0.6 s of bowing in 0.8 s
        clip("empty", "e", 0, 6),
        clip("after", "v", 7, 8),
        clip("gone", "unknown", 0, 6),
    ]
    wanted = {
        "all:4": "yes", "all:9": "no", "early:4": "no", "brief:4": "yes", "bow:9": "no", "nod:9": "yes",
        "nod:4": "no", "empty:4": "broken", "after:4": "broken", "gone:9": "broken",
    }  # fmt: skip
    items = [clip_item(*(lambda name, number: (name, int(number)))(*item_id.split(":"))) for item_id in wanted]
    answers = answers_of_items(
        write_truth(tmp_path), items=frame_of("items", items), clips=frame_of("clips", clips), label_map=LABELS
    )
    assert dict(answers.select("item_id", "answer").iter_rows()) == wanted


def test_a_box_is_about_the_person_in_it_at_that_instant(tmp_path: Path):
    cases = {
        "claps": (LEFT, 2_050_000, 4, "yes"),
        "claps not yet": (LEFT, 950_000, 4, "no"),
        "other person": (RIGHT, 2_050_000, 4, "no"),
        "bows": (RIGHT, 5_300_000, 9, "yes"),
        "loose box": ((0.1, 0.2, 0.35, 1.0), 2_000_000, 4, "yes"),
        "too loose": ((0.1, 0.0, 0.5, 1.0), 2_000_000, 4, "no"),
        "nobody": ((0.4, 0.2, 0.5, 0.9), 2_000_000, 4, "no"),
        "after the end": (LEFT, 6_500_000, 4, "no"),
    }
    items = [
        Item(
            item_id=name, kind="box", clip_id="c", class_id=class_id, timestamp_us=time_us, person_id=7, x1=box[0],
            y1=box[1], x2=box[2], y2=box[3],
        )
        for name, (box, time_us, class_id, _) in cases.items()
    ]  # fmt: skip
    answers = answers_of_items(
        write_truth(tmp_path), items=frame_of("items", items), clips=frame_of("clips", [clip("c", "v", 0, 6)]),
        label_map=LABELS,
    )  # fmt: skip
    assert dict(answers.select("item_id", "answer").iter_rows()) == {name: case[3] for name, case in cases.items()}


def test_key_frames_list_who_acts_and_nulls_where_nobody_does(tmp_path: Path):
    times = [2_050_000, 4_500_000, 5_300_000, 2_050_000]
    frames = [
        ClipKeyFrame(clip_id=f"c{k}", video_id="v", timestamp_us=time, score=1, num_boxes=2)
        for k, time in enumerate(times)
    ]
    truth = truth_at_key_frames(write_truth(tmp_path), key_frames=frame_of("key_frames", frames), label_map=LABELS)
    assert truth.rows() == [
        ("v", 2_050_000, *LEFT, 4),
        ("v", 4_500_000, None, None, None, None, None),
        ("v", 5_300_000, *RIGHT, 9),
    ]


def test_a_folder_without_a_world_is_named(tmp_path: Path):
    with pytest.raises(MissingTable, match=r"truth_actions.*Run `gesta world` first"):
        answers_of_items(tmp_path, items=empty_frame("items"), clips=empty_frame("clips"), label_map=LABELS)


def test_whole_videos_of_a_rendered_world_answer_as_planned(tiny_world: Path):
    videos = read_table(tiny_world, "truth_videos").filter(pl.col("is_readable"))
    names = (tiny_world / "actions.txt").read_text().splitlines()
    labels = [LabelClass(class_id=number, name=name) for number, name in enumerate(names, start=1)]
    clips = [clip(video_id, video_id, 0, 10) for video_id in videos["video_id"]]
    items = [clip_item(one.clip_id, label.class_id) for one in clips for label in labels]
    answers = answers_of_items(
        tiny_world,
        items=frame_of("items", items),
        clips=frame_of("clips", clips),
        label_map=frame_of("label_map", labels),
    )
    by_video: dict[str, list[str]] = {}
    for item_id, answer in answers.select("item_id", "answer").iter_rows():
        by_video.setdefault(item_id.rsplit(":", 1)[0], []).append(answer)
    for video_id, kind in videos.select("video_id", "kind").iter_rows():
        answered = by_video[video_id]
        assert (set(answered) == {"broken"}) == (kind == "empty")
        if kind in ("original", "duplicate"):
            assert 1 <= answered.count("yes") <= 2 + 2 * (kind == "duplicate")
