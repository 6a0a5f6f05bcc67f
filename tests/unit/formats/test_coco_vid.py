"""COCO-VID: frames, pixels, several actions of one person, TAO's names, and what is said of broken files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.formats.annotations import BOX_COLUMNS, LABEL_MAP_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.coco_vid import read_coco_vid, write_coco_vid
from gesta.schema import BadInput, BadRow

FILE: dict[str, Any] = {
    "videos": [{"id": 5, "name": "v00", "width": 320, "height": 240, "fps": 25, "length": 75}],
    "images": [
        {"id": 9, "video_id": 5, "frame_id": 3, "file_name": "a.jpg", "width": 320, "height": 240},
        {"id": 8, "video_id": 5, "frame_id": 1, "file_name": "b.jpg"},
        {"id": 7, "video_id": 5, "frame_id": 2, "file_name": "c.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 80, "instance_id": 4, "bbox": [32, 24.0, 64, 48.5], "area": 1},
        {"id": 2, "image_id": 9, "category_id": 80, "bbox": [0.1, 0.1, 0.2, 0.2], "score": 0.5, "iscrowd": 1},
        {"id": 3, "image_id": 7, "category_id": 12, "instance_id": 4, "bbox": [32, 24.0, 64, 48.5]},
    ],
    "categories": [{"id": 80, "name": "watch", "supercategory": "people"}, {"id": 12, "name": "stand"}],
}  # fmt: skip


def dumped(folder: Path, value: object) -> Path:
    path = folder / "vid.json"
    path.write_text(json.dumps(value))
    return path


def test_rows_come_by_image_and_one_person_may_do_two_things(tmp_path: Path) -> None:
    read = read_coco_vid(dumped(tmp_path, FILE))
    columns = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "person_id", "score"]
    box = (0.1, 0.1, 0.3, 72.5 / 240)
    assert read.boxes.select(columns).rows() == [
        ("v00", 120_000, 0.1 / 320, 0.1 / 240, 0.3 / 320, 0.3 / 240, 80, None, 0.5),
        ("v00", 40_000, None, None, None, None, None, None, None),
        ("v00", 80_000, *box, 80, 4, None),
        ("v00", 80_000, *box, 12, 4, None),
    ]
    assert read.label_map.rows() == [(80, "watch", "people"), (12, "stand", None)]
    known = ["video_id", "width_px", "height_px", "num_frames", "fps_num", "fps_den"]
    assert read.videos.select(known).rows() == [("v00", 320, 240, 75, 25, 1)]


def test_what_is_written(tmp_path: Path) -> None:
    read = read_coco_vid(dumped(tmp_path, FILE))
    write_coco_vid(tmp_path / "back.json", read)
    back = json.loads((tmp_path / "back.json").read_text())
    assert back["videos"] == [{"id": 1, "name": "v00", "width": 320, "height": 240, "fps": 25, "length": 75}]
    assert back["images"][0] == {
        "id": 1, "video_id": 1, "frame_id": 3, "file_name": "v00/000003.jpg", "width": 320, "height": 240,
    }  # fmt: skip
    assert back["annotations"][1] == {
        "id": 2, "image_id": 3, "video_id": 1, "category_id": 80, "instance_id": 4, "bbox": [32.0, 24.0, 64.0, 48.5],
        "area": 3104.0, "iscrowd": 0,
    }  # fmt: skip
    again = read_coco_vid(tmp_path / "back.json")
    for part in ("videos", "boxes", "label_map"):
        assert getattr(again, part).equals(getattr(read, part))


def test_names_of_tao_and_what_only_the_context_knows(tmp_path: Path) -> None:
    value = copy.deepcopy(FILE)
    value["videos"][0] = {"id": 5, "name": "v00", "neg_category_ids": [3], "metadata": {}}
    for image in value["images"]:
        image["frame_index"] = image.pop("frame_id")
    for annotation in value["annotations"]:
        annotation["track_id"] = annotation.pop("instance_id", 6)
    value["tracks"] = [{"id": 4, "category_id": 80, "video_id": 5}]
    path = dumped(tmp_path, value)
    with pytest.raises(BadInput, match=r"the frame rate of video 'v00' is not known"):
        read_coco_vid(path)
    videos = shaped(pl.DataFrame({"video_id": ["v00"], "fps_num": [30_000], "fps_den": [1001]}), VIDEO_COLUMNS)
    read = read_coco_vid(path, context=Context(videos=videos))
    assert read.boxes["timestamp_us"].to_list() == [100_100, 33_367, 66_733, 66_733]
    assert read.boxes["person_id"].to_list() == [6, None, 4, 4]
    assert read.videos.select("width_px", "height_px").rows() == [(320, 240)]


@pytest.mark.parametrize(
    ("fps", "rate"), [(25, (25, 1)), (29.97, (2997, 100)), (29.97002997, (30_000, 1001)), (23.976, (2997, 125))]
)
def test_decimal_rates(*, fps: float, rate: tuple[int, int], tmp_path: Path) -> None:
    value = copy.deepcopy(FILE)
    value["videos"][0]["fps"] = fps
    assert read_coco_vid(dumped(tmp_path, value)).videos.select("fps_num", "fps_den").row(0) == rate


BROKEN: list[tuple[tuple[Any, ...], Any, str]] = [
    (("videos",), None, "vid.json: videos: it is missing, want an array"),
    (("videos", 0), 7, r"videos\[0\]: found 7, want an object"),
    (("videos", 0, "id"), "5", r"videos\[0\].id: found '5', want a whole number"),
    (("videos", 0, "name"), "", r"videos\[0\].name: found '', want a text"),
    (("videos", 0, "fps"), 0, r"videos\[0\].fps: 0.0 frames a second is no frame rate"),
    (("videos", 0, "width"), 640, r"images\[0\]: 320 x 240 pixels, and the video 'v00' has 640 x 240"),
    (("videos", 0, "height"), 0, r"videos\[0\].height: 0 is none"),
    (("images", 1, "id"), 9, r"images\[1\]: id 9 comes twice"),
    (("images", 1, "video_id"), 6, r"images\[1\].video_id: there is no video 6"),
    (("images", 1, "frame_id"), -1, r"images\[1\].frame_id: -1 is no frame"),
    (("images", 1, "frame_id"), 2**62, r"video 'v00' has a frame 4611686018427387904"),
    (("images", 1, "frame_id"), 1.0, r"images\[1\].frame_id: found 1.0, want a whole number"),
    (("annotations", 1, "id"), 1, r"annotations\[1\]: id 1 comes twice"),
    (("annotations", 1, "image_id"), 6, r"annotations\[1\].image_id: there is no image 6"),
    (("annotations", 1, "image_id"), True, r"annotations\[1\].image_id"),
    (("annotations", 1, "category_id"), 6, r"annotations\[1\]: there is no category 6"),
    (("annotations", 1, "bbox"), [1, 2, 3], r"annotations\[1\]: bbox is no list of four numbers"),
    (("annotations", 1, "bbox"), [1, 2, 3, "4"], r"annotations\[1\].bbox: found '4', want a number"),
    (("annotations", 1, "bbox"), [1e308, 0, 1e308, 1], r"annotations\[1\].bbox: the box is beyond all frames"),
    (("annotations", 1, "instance_id"), "a", r"annotations\[1\].instance_id: found 'a', want a whole number"),
    (("annotations", 1, "score"), [], r"annotations\[1\].score: found \[\], want a number"),
    (("categories", 1, "id"), 80, r"categories\[1\]: id 80 comes twice"),
    (("categories", 1, "name"), None, r"categories\[1\].name: it is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "change", "message"), BROKEN, ids=str)
def test_what_is_no_coco_vid_is_said(*, where: tuple[Any, ...], change: Any, message: str, tmp_path: Path) -> None:
    value = copy.deepcopy(FILE)
    target = value
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = change
    with pytest.raises(BadInput, match=rf"vid\.json.*{message.removeprefix('vid.json')}"):
        read_coco_vid(dumped(tmp_path, value))


def test_other_broken_files(tmp_path: Path) -> None:
    value = copy.deepcopy(FILE)
    value["images"][1] |= {"width": 100, "height": 100}
    with pytest.raises(BadInput, match=r"images\[1\]: 100 x 100 pixels, and another image of 'v00' has 320 x 240"):
        read_coco_vid(dumped(tmp_path, value))
    value = copy.deepcopy(FILE)
    value["videos"].append({"id": 6, "name": "v00"})
    with pytest.raises(BadInput, match="two videos are called 'v00'"):
        read_coco_vid(dumped(tmp_path, value))
    value["videos"][1] = {"id": 6, "name": "v01"}
    assert read_coco_vid(dumped(tmp_path, value)).videos["video_id"].to_list() == ["v00", "v01"]
    path = tmp_path / "vid.json"
    for text, kind in [
        ("", BadRow),
        ("[]", BadInput),
        ("{", BadRow),
        ('{"videos": [NaN]}', BadInput),
        ("\x00", BadRow),
    ]:
        path.write_text(text)
        with pytest.raises(kind, match=r"vid\.json"):
            read_coco_vid(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_coco_vid(tmp_path)


def row(**changes: object) -> Annotations:
    box = {
        "video_id": "v",
        "timestamp_us": 0,
        "x1": 0.0,
        "y1": 0.0,
        "x2": 1.0,
        "y2": 1.0,
        "class_id": 0,
        "person_id": 0,
    }
    return Annotations(boxes=shaped(pl.DataFrame([box | changes]), BOX_COLUMNS))


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    videos = {"video_id": ["v"], "fps_num": [25], "fps_den": [1], "width_px": [320], "height_px": [240]}
    names = shaped(pl.DataFrame({"class_id": [0, 1], "name": ["a", None]}), LABEL_MAP_COLUMNS)
    context = Context(videos=shaped(pl.DataFrame(videos), VIDEO_COLUMNS), label_map=names)
    for given, message in [
        (row(class_id=None), "1 boxes have no action, the first of video 'v'"),
        (Annotations(clips=pl.DataFrame({"video_id": ["v"]})), "1 clips have no place"),
        (row(class_id=1), r"class 1 has no name. Give a label map"),
        (row(video_id="w"), "the frame rate of video 'w' is not known"),
        (row(x1=None, y1=None, x2=None, y2=None), "1 rows have an action, a person or a score without a box"),
        (row(x2=None), "a part of a box"),
        (row(x1=float("nan")), "a corner of a box of video 'v' is no finite number"),
        (row(timestamp_us=10**18), "1000000000000000000 microseconds is no time"),
    ]:
        with pytest.raises(BadInput, match=message):
            write_coco_vid(tmp_path / "x.json", given, context=context)
    assert list(tmp_path.iterdir()) == []
