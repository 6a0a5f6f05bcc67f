"""Action tubes: the layout of UCF101-24, JHMDB and MultiSports, and what is said of broken files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gesta.formats.action_tubes import read_action_tubes, write_action_tubes
from gesta.formats.annotations import BOX_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.sniff import format_of
from gesta.schema import BadInput


def tube(first: int, num: int, *box: float) -> np.ndarray:
    return np.array([[first + i, *box] for i in range(num)], dtype=np.float32)


def ucf() -> dict[str, Any]:
    return {
        "labels": ["Basketball", "Biking"],
        "nframes": {"Biking/v_1": 141, "Basketball/v_2": 60},
        "resolution": {"Biking/v_1": (240, 320), "Basketball/v_2": (240, 320)},
        "train_videos": [["Basketball/v_2"]],
        "test_videos": [["Biking/v_1"]],
        "gttubes": {
            "Biking/v_1": {1: [tube(1, 2, 64, 120, 80, 240), tube(3, 1, 0, 0, 319, 239)], 0: [tube(9, 1, 1, 2, 3, 4)]}
        },
    }  # fmt: skip


def dumped(folder: Path, value: object, *, protocol: int = 2) -> Path:
    path = folder / "GT.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_frames_pixels_and_numbers(protocol: int, tmp_path: Path) -> None:
    read = read_action_tubes(dumped(tmp_path, ucf(), protocol=protocol))
    columns = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "person_id"]
    assert read.boxes.select(columns).rows() == [
        ("Biking/v_1", 0, 0.2, 0.5, 0.25, 1.0, 1, 0),
        ("Biking/v_1", 40_000, 0.2, 0.5, 0.25, 1.0, 1, 0),
        ("Biking/v_1", 80_000, 0.0, 0.0, 319 / 320, 239 / 240, 1, 1),
        ("Biking/v_1", 320_000, 1 / 320, 2 / 240, 3 / 320, 4 / 240, 0, 2),
    ]
    assert read.label_map.select("class_id", "name").rows() == [(0, "Basketball"), (1, "Biking")]
    known = ["video_id", "split", "width_px", "height_px", "num_frames", "fps_num", "fps_den"]
    assert read.videos.select(known).rows() == [
        ("Biking/v_1", "test", 320, 240, 141, 25, 1),
        ("Basketball/v_2", "train", 320, 240, 60, 25, 1),
    ]


def test_what_is_written_is_the_layout_of_the_published_files(tmp_path: Path) -> None:
    write_action_tubes(tmp_path / "back.pkl", read_action_tubes(dumped(tmp_path, ucf())))
    back, wanted = pickle.loads((tmp_path / "back.pkl").read_bytes()), ucf()
    assert {name: back[name] for name in wanted if name != "gttubes"} == {
        name: value for name, value in wanted.items() if name != "gttubes"
    }
    assert back["gttubes"]["Basketball/v_2"] == {}
    tubes = back["gttubes"]["Biking/v_1"]
    assert list(tubes) == [1, 0]
    for label, arrays in wanted["gttubes"]["Biking/v_1"].items():
        for array, got in zip(arrays, tubes[label], strict=True):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(array, got)


def test_rates_are_those_of_the_data_set_or_given(tmp_path: Path) -> None:
    value = ucf()
    for labels, rate in [(["walk", "golf"], 30), (["aerobic_turn", "football pass"], 25), (["Biking", "Diving"], 25)]:
        read = read_action_tubes(dumped(tmp_path, value | {"labels": labels}))
        assert read.videos["fps_num"].to_list() == [rate, rate]
    other = dumped(tmp_path, value | {"labels": ["Biking", "unheard of"]})
    with pytest.raises(BadInput, match=r"GT.pkl: the frame rate of video 'Biking/v_1' is not known. .*\(--videos\)"):
        read_action_tubes(other)
    videos = pl.DataFrame({"video_id": ["Biking/v_1"], "fps_num": [30_000], "fps_den": [1001]})
    context = Context(videos=shaped(videos, VIDEO_COLUMNS))
    assert read_action_tubes(other, context=context).boxes["timestamp_us"].to_list() == [0, 33_367, 66_733, 266_933]


def test_splits_count_from_1(tmp_path: Path) -> None:
    value = ucf() | {"train_videos": [[], ["Biking/v_1"]], "test_videos": [["Biking/v_1"], []]}
    path = dumped(tmp_path, value)
    assert read_action_tubes(path, split=2).videos["split"].to_list() == ["train", None]
    assert read_action_tubes(path).videos["split"].to_list() == ["test", None]
    with pytest.raises(BadInput, match=r"no split 3 of train_videos. Want 1 to 2"):
        read_action_tubes(path, split=3)


def test_files_made_for_evaluation_have_fewer_parts(tmp_path: Path) -> None:
    value = {name: part for name, part in ucf().items() if name != "train_videos"}
    assert read_action_tubes(dumped(tmp_path, value)).videos["split"].to_list() == ["test", None]


def test_gaps_in_the_ids_survive(tmp_path: Path) -> None:
    read = read_action_tubes(dumped(tmp_path, ucf() | {"labels": ["Basketball", "Biking", "", "Diving"]}))
    assert read.label_map["class_id"].to_list() == [0, 1, 3]
    write_action_tubes(tmp_path / "back.pkl", read)
    assert read_action_tubes(tmp_path / "back.pkl").label_map.equals(read.label_map)


V = "Biking/v_1"
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"labels": 7}, "labels is a int. Want a list"),
    ({"labels": [7]}, r"labels\[0\]: a int stands for a name"),
    ({"labels": ["\ud800"]}, r"labels\[0\]: a name is no text"),
    ({"gttubes": []}, "gttubes is a list. Want a dict"),
    ({"gttubes": {7: {}}}, "video 0: a int stands for a name"),
    ({"gttubes": {V: [1]}}, "the tubes of 'Biking/v_1' are a list"),
    ({"gttubes": {V: {2: [tube(1, 1, 0, 0, 1, 1)]}}}, "has label 2, and there are 2 labels"),
    ({"gttubes": {V: {"1": []}}}, "a label of 'Biking/v_1' is no whole number"),
    ({"gttubes": {V: {1: tube(1, 1, 0, 0, 1, 1)}}}, r"gttubes\['Biking/v_1'\]\[1\] is a ndarray"),
    ({"gttubes": {V: {1: [[1, 2, 3, 4, 5]]}}}, "tube 0 of video 'Biking/v_1' is a list. Want an array"),
    ({"gttubes": {V: {1: [np.zeros((2, 4))]}}}, r"an array of shape \(2, 4\)"),
    ({"gttubes": {V: {1: [np.zeros((0, 5))]}}}, "is empty or holds a number that is not finite"),
    ({"gttubes": {V: {1: [tube(1, 1, 0, 0, 1, np.nan)]}}}, "not finite"),
    ({"gttubes": {V: {1: [np.full((1, 5), 0x7F800001, "u4").view("f4")]}}}, "not finite"),  # a NaN that signals
    ({"gttubes": {V: {1: [tube(0, 2, 0, 0, 1, 1)]}}}, "has a frame that is none"),
    ({"gttubes": {V: {1: [np.array([[1.5, 0, 0, 1, 1]])]}}}, "has a frame that is none"),
    ({"gttubes": {V: {1: [tube(3, 2, 0, 0, 1, 1)[::-1]]}}}, "frame that is none|not in order"),
    ({"gttubes": {V: {1: [np.ones((2, 5))]}}}, "has its frames not in order"),
    ({"gttubes": {V: {1: [tube(1, 900, 0, 0, 1, 1)] * 900}}}, "many tubes name one array"),
    ({"nframes": {V: -1}}, "nframes of 'Biking/v_1' is no whole number"),
    ({"nframes": {V: None}, "resolution": {V: "x"}}, "the resolution of 'Biking/v_1' is a str"),
    ({"resolution": {V: (240,)}}, "has 1 sides"),
    ({"resolution": {V: (0, 320)}}, "no whole number from 1"),
    ({"resolution": {}}, "the frame size of video 'Biking/v_1' is not known"),
    ({"train_videos": [[V]]}, "is in train and in test"),
    ({"test_videos": [7]}, r"test_videos\[0\] is a int"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_what_is_no_tube_is_said(*, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"GT.pkl: .*({message})"):
        read_action_tubes(dumped(tmp_path, ucf() | change, protocol=4))
    with pytest.raises(BadInput, match="holds no action tubes"):
        read_action_tubes(dumped(tmp_path, {"labels": []}))


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
    videos = {
        "video_id": ["v"],
        "fps_num": [25],
        "fps_den": [1],
        "width_px": [320],
        "height_px": [240],
        "num_frames": [9],
    }
    names = pl.DataFrame({"class_id": [0, 1], "name": ["a", "b"], "category": [None, None]})
    context = Context(videos=shaped(pl.DataFrame(videos), VIDEO_COLUMNS), label_map=names)
    write_action_tubes(tmp_path / "good.pkl", row(), context=context)
    twice = Annotations(boxes=pl.concat([row().boxes, row(timestamp_us=19_999).boxes]))
    for given, changed, message in [
        (row(person_id=None), {}, "1 rows have no person, the first of video 'v'"),
        (row(class_id=None), {}, "1 rows have no action"),
        (row(x1=None, y1=None, x2=None, y2=None), {}, "1 rows have no box"),
        (Annotations(clips=pl.DataFrame({"video_id": ["v"]})), {}, "1 clips have no place"),
        (row(class_id=2), {}, r"class 2 has no name. Give a label map"),
        (row(video_id="w"), {}, "the frame rate of video 'w' is not known"),
        (row(timestamp_us=-1), {}, "-1 microseconds is no time in video 'v'"),
        (row(), {"num_frames": [None]}, "the number of frames of video 'v' is not known"),
        (row(), {"split": ["holdout"]}, "is in the split 'holdout'. Want train or test"),
        (twice, {}, "person 0 of video 'v' has two boxes of class 0 on frame 1"),
    ]:
        table = shaped(pl.DataFrame(videos | changed), VIDEO_COLUMNS)
        with pytest.raises(BadInput, match=message):
            write_action_tubes(tmp_path / "x.pkl", given, context=Context(videos=table, label_map=names))
    negative = pl.DataFrame({"class_id": [0, -1], "name": ["a", "b"], "category": [None, None]})
    with pytest.raises(BadInput, match="class -1 is no place in a list"):
        write_action_tubes(tmp_path / "x.pkl", row(), context=Context(videos=context.videos, label_map=negative))
    assert [path.name for path in tmp_path.iterdir()] == ["good.pkl"]


def corrected(**changes: object) -> dict[str, Any]:
    boxes = np.array([[1, 1, 320, 240], [177, 53, 48, 61]], dtype=np.uint16)
    tube = {"label": 1, "sf": 3, "ef": 5, "boxes": boxes} | changes
    return {np.str_("Biking/v_1"): {"numf": np.uint8(9), "label": 1, "annotations": [tube]}}


def test_the_corrected_annotations_of_ucf101_24(tmp_path: Path) -> None:
    for value, split in [
        (corrected(label=2), None),
        ({"db": corrected(), "trainvideos": [], "classes": ["Basketball", "Biking"]}, "test"),
        (
            {"db": corrected(), "trainvideos": ["Biking/v_1", "Biking/gone"], "classes": ["Basketball", "Biking"]},
            "train",
        ),
    ]:
        assert format_of(dumped(tmp_path, value)) == "action-tubes"
        read = read_action_tubes(dumped(tmp_path, value))
        assert read.boxes.select("timestamp_us", "x1", "y1", "x2", "y2").rows() == [
            (120_000, 0.0, 0.0, 1.0, 1.0),
            (160_000, 176 / 320, 52 / 240, 224 / 320, 113 / 240),
        ]
        assert read.videos.select("video_id", "split", "num_frames", "width_px", "fps_num").rows() == [
            ("Biking/v_1", split, 9, 320, 25)
        ]
        label = read.boxes["class_id"][0]
        assert read.label_map.filter(pl.col("class_id") == label)["name"].item() == "Biking"


@pytest.mark.parametrize(
    "change",
    [{"ef": 6}, {"sf": None}, {"label": "x"}, {"boxes": [[1, 1, 2, 2]] * 2}, {"boxes": np.zeros((2, 5))}, {"sf": -1}],
)
def test_a_broken_corrected_tube_is_said(*, change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"GT\.pkl: a tube of 'Biking/v_1' is none"):
        read_action_tubes(dumped(tmp_path, corrected(**change)))
