"""Label Studio's JSON: what it exports is read as it means it, and bad values are named with their place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.formats.annotations import (
    BOX_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.label_studio import label_studio_config, read_label_studio, write_label_studio
from gesta.schema import BadInput, BadRow


def entry(frame: int, x: float, *, rate: float = 10, **more: Any) -> dict[str, Any]:
    shape = {"x": x, "y": 20, "width": 30, "height": 70, "rotation": 0}
    return {"frame": frame, "enabled": True, "time": frame / rate, **shape, **more}


def region(*entries: dict[str, Any], region_id: str = "mVbd8GLLvz", **more: Any) -> dict[str, Any]:
    value = {"framesCount": 20, "duration": 2.0, "sequence": list(entries), **more}
    return {"id": region_id, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}


def task(*results: dict[str, Any], data: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": data or {"video": "/data/upload/1/0a1b2c3d-v.mp4"}, "annotations": [
        {"id": 5, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "result": list(results)}
    ], **more}  # fmt: skip


def read(tmp_path: Path, *tasks: Any, **options: Any) -> Annotations:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(list(tasks)))
    return read_label_studio(path, **options)


def rows(found: Annotations, *columns: str) -> list[tuple[object, ...]]:
    names = dict(found.label_map.select("class_id", "name").iter_rows())
    named = found.boxes.with_columns(pl.col("class_id").replace_strict(names, default=None, return_dtype=pl.String()))
    return named.select((pl.col("timestamp_us") // 100_000).alias("frame"), *columns).rows()


def test_a_region_is_a_track_with_lines_between_its_entries(tmp_path: Path):
    boxes = region(entry(3, 10), entry(5, 20, enabled=False), entry(8, 0), entry(19, 0), labels=["walk", "wave"])
    found = read(tmp_path, task(boxes))
    walk = found.boxes.filter(class_id=1)
    assert walk.select("timestamp_us", "is_interpolated").rows()[:5] == [
        (200_000, False), (300_000, True), (400_000, False), (700_000, False), (800_000, True),
    ]  # fmt: skip
    assert walk["x1"].to_list()[:3] == [0.1, 0.15, 0.2]
    assert walk["timestamp_us"].max() == 1_900_000, "the last entry goes on to framesCount"
    assert len(walk) == len(found.boxes.filter(class_id=2)) == 16
    assert found.boxes.row(0, named=True) == {
        "video_id": "v", "timestamp_us": 200_000, "x1": 0.1, "y1": 0.2, "x2": 0.4, "y2": 0.9, "class_id": 1,
        "person_id": 0, "score": None, "is_interpolated": False,
    }  # fmt: skip
    assert found.videos.select("video_id", "fps_num", "fps_den", "num_frames").row(0) == ("v", 10, 1, 20)


def test_entries_of_an_interpolated_export(tmp_path: Path):
    boxes = region(entry(3, 10), entry(4, 15, auto=True), entry(5, 20, enabled=False), labels=["walk"])
    assert rows(read(tmp_path, task(boxes)), "x1", "is_interpolated") == [
        (2, 0.1, False),
        (3, 0.15, True),
        (4, 0.2, False),
    ]


def test_choices_belong_to_a_region_or_to_the_whole_file(tmp_path: Path):
    boxes = region(entry(3, 10, enabled=False), labels=["person"])
    own = {"id": "mVbd8GLLvz", "type": "choices", "value": {"choices": ["walk", "wave"]}}
    bare = region(entry(3, 50, enabled=False), region_id="other", labels=["Person"])
    whole = {"id": "x", "type": "choices", "value": {"choices": ["archery"]}}
    note = {"id": "y", "type": "textarea", "value": {"text": ["what a mess"]}}
    found = read(tmp_path, task(boxes, own, bare, whole, note))
    assert rows(found, "class_id", "person_id") == [(2, "walk", 0), (2, "wave", 0), (2, None, 1)]
    assert found.clips.select("video_id", "start_us", "end_us", "class_id").rows() == [("v", None, None, 1)]


def test_stretches_of_the_timeline(tmp_path: Path):
    span = {"id": "s", "type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 5}], "timelinelabels": ["a"]}}
    found = read(tmp_path, task(span, data={"video": "s3://bucket/v.mp4", "fps": 29.97}))
    assert found.clips.select("start_us", "end_us").rows() == [(0, 166_833)]
    assert found.videos.select("fps_num", "fps_den").row(0) == (30000, 1001)
    with pytest.raises(BadInput, match="nothing says how many a second video 'v' has"):
        read(tmp_path, task(span))
    videos = shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [10], "fps_den": [1]}), VIDEO_COLUMNS)
    assert read(tmp_path, task(span), context=Context(videos=videos)).clips["end_us"].to_list() == [500_000]


def test_the_rate_that_label_studio_counted_at_goes_first(tmp_path: Path):
    videos = shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [30], "fps_den": [1]}), VIDEO_COLUMNS)
    boxes = region(entry(1, 0, rate=24), entry(241, 0, rate=24, enabled=False))
    found = read(tmp_path, task(boxes), context=Context(videos=videos))
    assert found.boxes["timestamp_us"].max() == 10_000_000
    boxes = region(entry(1, 0, rate=29.99), entry(241, 0, rate=29.99, enabled=False))
    assert read(tmp_path, task(boxes), context=Context(videos=videos)).boxes["timestamp_us"].max() == 8_000_000
    timeless = region({k: v for k, v in entry(3, 0, enabled=False).items() if k != "time"})
    assert rows(read(tmp_path, task(timeless))) == [(2,)]


def test_one_annotation_of_a_task_counts(tmp_path: Path):
    def of(who: Any, x: float, **more: Any) -> dict[str, Any]:
        return {"completed_by": who, "result": [region(entry(1, x, enabled=False))], **more}

    many = {"data": {"video": "v.mp4"}, "annotations": [
        of(1, 10, created_at="2024-01-03"), of({"id": 2, "email": "b@c.de"}, 20, created_at="2024-01-02"),
        of(3, 30, created_at="2024-01-04", was_cancelled=True),
    ]}  # fmt: skip
    assert read(tmp_path, many).boxes["x1"].to_list() == [0.1]
    assert read(tmp_path, many, annotator="b@c.de").boxes["x1"].to_list() == [0.2]
    assert read(tmp_path, many, annotator=3).boxes.height == 0
    many["annotations"][1]["ground_truth"] = True
    assert read(tmp_path, many).boxes["x1"].to_list() == [0.2]


def test_predictions_are_guesses_with_scores(tmp_path: Path):
    sure = {**region(entry(1, 2, enabled=False), region_id="b"), "score": 0.5}
    unsure = {**region(entry(1, 1, enabled=False)), "score": None}
    guess = {"score": 0.25, "result": [unsure, sure, {"type": "relation", "from_id": "b", "to_id": "a", "value": None}]}
    bare = {"result": [{"type": "choices", "value": {"choices": ["a"]}}]}
    only = {"data": {"video": "v.mp4"}, "predictions": [guess, bare]}
    found = read(tmp_path, only)
    assert found.boxes["score"].to_list() == [0.25, 0.5]
    assert found.clips["score"].to_list() == [1.0]
    both = task(region(entry(1, 3, enabled=False)), predictions=[guess])
    assert read(tmp_path, both).boxes["score"].to_list() == [None]
    assert read(tmp_path, both, take="all").boxes["score"].to_list() == [None, 0.25, 0.5]
    assert read(tmp_path, both, take="predictions").boxes["score"].to_list() == [0.25, 0.5]


def test_a_turned_box_needs_the_frames_size(tmp_path: Path):
    turned = region(entry(1, 50, rotation=90, enabled=False))
    with pytest.raises(BadInput, match=r"\[0\].annotations\[0\].result\[0\].value: a box is turned, and nothing says"):
        read(tmp_path, task(turned))
    found = read(tmp_path, task(turned, data={"video": "v.mp4", "width_px": 200, "height_px": 100}))
    assert found.boxes.select("x1", "y1", "x2", "y2").row(0) == pytest.approx((0.15, 0.2, 0.5, 0.8))


BAD = [
    ({"data": []}, r"\[0\].data: found \[\], want an object"),
    ([], r"\[0\]: found \[\], want an object"),
    ({"data": {"video": ""}}, r"data.video_id: found '', want a text"),
    (task(region(entry(0, 1))), r"result\[0\].value.sequence\[0\].frame: found 0, want the number of a frame"),
    (task(region(entry(1.5, 1))), "found 1.5, want the number of a frame"),
    (task(region(entry(1, 1), entry(1, 1))), r"sequence\[1\]: frame 1 comes twice"),
    (task(region(entry(1, None))), r"sequence\[0\].x: it is missing, want a number"),
    (task(region(entry(1, "1"))), "found .1., want a number"),
    (task(region(entry(1, 1), labels=[3])), "a label: found 3, want a text"),
    (task({"type": "timelinelabels", "value": {"ranges": [{"start": 4, "end": 2}]}}), "ends before it starts"),
    (task(region(entry(1, 1), framesCount=10**9)), "999,999,999 boxes lie between the key frames"),
    ({"data": {"video": "a"}, "annotations": {"x": 1}}, r"\[0\].annotations: found .*, want an array"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "message"), BAD)
def test_what_is_wrong_is_named_with_its_place(value: Any, message: str, tmp_path: Path):
    with pytest.raises(BadInput, match=rf"export\.json.*{message}"):
        read(tmp_path, value)


def test_files_that_are_no_exports(tmp_path: Path):
    path = tmp_path / "export.json"
    path.write_text("[{]")
    with pytest.raises(BadRow, match=r"export.json:1: this is not JSON"):
        read_label_studio(path)
    path.write_text("3")
    with pytest.raises(BadInput, match="found 3, want an array"):
        read_label_studio(path)
    with pytest.raises(BadInput, match="two tasks are about video 'v'"):
        read(tmp_path, task(), task())
    label_map = shaped(pl.DataFrame({"class_id": [1], "name": ["run"]}), LABEL_MAP_COLUMNS)
    with pytest.raises(BadInput, match="the label map has no class 'walk'"):
        read(tmp_path, task(region(entry(1, 1), labels=["walk"])), context=Context(label_map=label_map))


def boxes_of(**columns: object) -> Annotations:
    given = {"video_id": ["v"], "timestamp_us": [0], "x1": [0.1], "y1": [0.1], "x2": [0.5], "y2": [0.5], **columns}
    videos = {"video_id": ["v"], "fps_num": [10], "fps_den": [1], "num_frames": [20], "url": ["https://x.org/v.mp4"]}
    label_map = shaped(pl.DataFrame({"class_id": [5], "name": ["walk"]}), LABEL_MAP_COLUMNS)
    videos_frame = shaped(pl.DataFrame(videos), VIDEO_COLUMNS)
    return Annotations(videos=videos_frame, boxes=shaped(pl.DataFrame(given), BOX_COLUMNS), label_map=label_map)


def test_what_is_written_is_a_task_to_import(tmp_path: Path):
    path = tmp_path / "tasks.json"
    write_label_studio(path, boxes_of(class_id=[5], person_id=[3]))
    (written,) = json.loads(path.read_text())
    assert written["data"]["video"] == "https://x.org/v.mp4"
    assert written["data"]["fps"] == 10
    assert written["annotations"] == [{"result": [{
        "id": "person:3", "type": "videorectangle", "from_name": "box", "to_name": "video", "value": {
            "framesCount": 20, "duration": 2.0, "labels": ["walk"], "sequence": [
                {"frame": 1, "time": 0.1, "enabled": False, "rotation": 0, "x": 10.0, "y": 10.0, "width": 40.0,
                 "height": 40.0}]}}]}]  # fmt: skip
    write_label_studio(path, boxes_of(class_id=[5], score=[0.75]))
    (written,) = json.loads(path.read_text())
    assert "annotations" not in written
    assert written["predictions"][0]["result"][0]["score"] == 0.75
    config = label_studio_config(boxes_of().label_map)
    assert all(f'name="{name}"' in config for name in ("video", "box", "timeline", "clip"))


REFUSED = [
    (boxes_of(class_id=[6]), "class 6 has no name, and Label Studio tells classes by name"),
    (boxes_of(video_id=["w"]), "nothing says how many a second video 'w' has"),
    (boxes_of(y2=[float("inf")]), "video 'v' has a box that is no number"),
    (boxes_of(y2=pl.Series([None], dtype=pl.Float64())), "video 'v' has a part of a box"),
    (boxes_of(timestamp_us=[-5]), "a time of -5 microseconds"),
    (boxes_of(video_id=["v", "v"], timestamp_us=[0, 0], x1=[0.1, 0.2], y1=[0.1] * 2, x2=[0.5] * 2, y2=[0.5] * 2,
              person_id=[3, 3]), "person 3 of video 'v' has two boxes in frame 0"),
]  # fmt: skip


@pytest.mark.parametrize(("annotations", "message"), REFUSED)
def test_what_cannot_be_written_is_refused(annotations: Annotations, message: str, tmp_path: Path):
    with pytest.raises(BadInput, match=message):
        write_label_studio(tmp_path / "tasks.json", annotations)
