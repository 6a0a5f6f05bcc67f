"""Kinetics, ActivityNet and FiftyOne JSON: small files as published, and what is said of broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.formats.activitynet import (
    read_activitynet,
    read_activitynet_predictions,
    write_activitynet,
    write_activitynet_predictions,
)
from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.fiftyone_temporal import read_fiftyone_temporal, write_fiftyone_temporal
from gesta.formats.kinetics import read_kinetics_csv
from gesta.formats.kinetics_json import read_kinetics_json, write_kinetics_json
from gesta.schema import BadInput, BadRow

READERS: dict[str, Callable[[Path], Annotations]] = {
    "kinetics": read_kinetics_json, "activitynet": read_activitynet, "predictions": read_activitynet_predictions,
    "fiftyone": read_fiftyone_temporal,
}  # fmt: skip
MAP = shaped(pl.DataFrame({"class_id": [1, 7], "name": ["a", "b"]}), LABEL_MAP_COLUMNS)


def put(folder: Path, value: Any) -> Path:
    path = folder / "f.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def clips_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return shaped(pl.DataFrame(list(rows)), CLIP_COLUMNS)


def test_kinetics_json_with_and_without_annotations(tmp_path: Path) -> None:
    url = "https://www.youtube.com/watch?v="
    note = {"label": "testifying", "segment": [84.0, 94.0]}
    entries = {
        "---QUuC4vJs": {"annotations": note, "duration": 10.0, "subset": "validate", "url": f"{url}---QUuC4vJs"},
        "--6bJUbfpnQ": {"duration": 10.0, "subset": "test", "url": f"{url}--6bJUbfpnQ"},
        "-v": {"annotations": {"segment": [2.5, 12.5]}, "subset": "test"},
    }
    rows = read_kinetics_json(put(tmp_path, entries))
    assert rows.videos.select("video_id", "split", "duration_us").rows() == [
        ("---QUuC4vJs", "validate", None), ("--6bJUbfpnQ", "test", 10_000_000), ("-v", "test", None),
    ]  # fmt: skip
    assert rows.clips.select("video_id", "start_us", "end_us", "class_id").rows() == [
        ("---QUuC4vJs", 84_000_000, 94_000_000, 1), ("-v", 2_500_000, 12_500_000, None),
    ]  # fmt: skip
    assert rows.label_map.rows() == [(1, "testifying", None)]
    write_kinetics_json(tmp_path / "back.json", rows)
    assert json.loads((tmp_path / "back.json").read_text()) == {**entries, "-v": {**entries["-v"], "duration": 10.0}}


def test_a_real_kinetics_csv_goes_through_kinetics_json(shared: Path, tmp_path: Path) -> None:
    csv = read_kinetics_csv(shared / "annotations/kinetics/kinetics-700_validate.csv")
    assert csv.height - csv["video_id"].n_unique() == 53
    names = csv["label"].unique().sort()
    label_map = shaped(pl.DataFrame({"class_id": range(700), "name": names}), LABEL_MAP_COLUMNS)
    clips = csv.join(label_map, left_on="label", right_on="name", how="left", maintain_order="left")
    rows = Annotations(clips=shaped(clips, CLIP_COLUMNS), label_map=label_map)
    with pytest.raises(BadInput, match="video '6sYu45RK454' has more than one clip"):
        write_kinetics_json(tmp_path / "k.json", rows)
    rows = replace(rows, clips=rows.clips.unique("video_id", keep="first", maintain_order=True))
    write_kinetics_json(tmp_path / "k.json", rows)
    back = read_kinetics_json(tmp_path / "k.json", context=Context(label_map=label_map))
    assert back.clips.equals(rows.clips)
    assert back.videos["split"].unique().to_list() == ["validate"]
    write_activitynet(tmp_path / "a.json", rows)
    assert read_activitynet(tmp_path / "a.json").clips.equals(rows.clips)


TAXONOMY = [
    {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None},
    {"nodeId": 3, "nodeName": "Sports", "parentId": 0, "parentName": "Root"},
    {"nodeId": 4, "nodeName": "Water sports", "parentId": 3, "parentName": "Sports"},
    {"nodeId": 33, "nodeName": "Wakeboarding", "parentId": 4, "parentName": "Water sports"},
    {"nodeId": 9, "nodeName": "Root", "parentId": 0, "parentName": "Root"},
]


def test_activitynet_takes_the_leaves_of_the_taxonomy(tmp_path: Path) -> None:
    note = {"segment": [11.553655226209049, 57.06805460218409], "label": "Wakeboarding"}
    entry = {"duration": 224.49, "subset": "validation", "resolution": "1920x1080", "url": "u", "annotations": [note]}
    whole = {"version": "VERSION 1.3", "taxonomy": TAXONOMY, "database": {"bYUmtLBL7W4": entry}}
    whole["database"]["x"] = {"subset": "testing", "resolution": "unknown", "annotations": []}
    rows = read_activitynet(put(tmp_path, whole))
    assert rows.label_map.rows() == [(33, "Wakeboarding", "Water sports"), (9, "Root", None)]
    assert rows.clips.select("start_us", "end_us", "class_id", "split").row(0) == (
        11_553_655, 57_068_055, 33, "validation",
    )  # fmt: skip
    assert rows.videos.select("width_px", "height_px", "duration_us", "split").rows() == [
        (1920, 1080, 224_490_000, "validation"), (None, None, None, "testing"),
    ]  # fmt: skip
    for taxonomy in (None, [], TAXONOMY[:3]):
        rows = read_activitynet(put(tmp_path, {**whole, "taxonomy": taxonomy}))
        assert rows.label_map.rows() == [(1, "Wakeboarding", None)]


def test_a_label_that_is_an_inner_node_has_its_id(tmp_path: Path) -> None:
    database = {"v": {"annotations": [{"label": "Sports"}, {"label": "Wakeboarding", "segment": [1, 0.5]}]}}
    rows = read_activitynet(put(tmp_path, {"taxonomy": TAXONOMY, "database": database}))
    assert rows.clips.select("start_us", "end_us", "class_id").rows() == [(None, None, 3), (1_000_000, 500_000, 33)]


def test_activitynet_predictions_have_scores_and_the_ids_of_a_label_map(tmp_path: Path) -> None:
    notes = [{"score": 1, "label": "b"}, {"score": 0.25, "segment": [-0.5, 0.02], "label": "a"}]
    results = {"-v": notes, "w": []}
    path = put(tmp_path, {"version": "VERSION 1.3", "results": results, "external_data": {"used": False}})
    rows = read_activitynet_predictions(path, context=Context(label_map=MAP))
    assert rows.clips.select("class_id", "score", "start_us").rows() == [(7, 1.0, None), (1, 0.25, -500_000)]
    write_activitynet_predictions(path, rows, version="V", external_data={"used": True})
    back = json.loads(path.read_text())
    assert (back["version"], back["results"], back["external_data"]) == ("V", results, {"used": True})


def test_fiftyone_support_counts_frames_from_1_with_both_ends_inside(tmp_path: Path) -> None:
    labels = {
        "v": [{"label": 0, "support": [1, 30], "confidence": 0.5}, {"label": "b", "support": [31, 31]}],
        "w": [{"label": 1, "timestamps": [0.5, 2.25], "attributes": {"x": 1}}],
        "x": None,
        "y": [],
    }
    videos = shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [30], "fps_den": [1]}), VIDEO_COLUMNS)
    context = Context(videos=videos)
    path = put(tmp_path, {"classes": ["a", "b"], "labels": labels})
    rows = read_fiftyone_temporal(path, context=context)
    assert rows.clips.select("video_id", "start_us", "end_us", "class_id", "score").rows() == [
        ("v", 0, 1_000_000, 0, 0.5), ("v", 1_000_000, 1_033_333, 1, None), ("w", 500_000, 2_250_000, 1, None),
    ]  # fmt: skip
    assert rows.videos["video_id"].to_list() == ["v", "w", "x", "y"]
    with pytest.raises(BadInput, match=r"f\.json: the frame rate of video 'v' is not known, and its clips are given"):
        read_fiftyone_temporal(path)
    only = replace(rows, clips=rows.clips.head(2), videos=rows.videos.head(1))
    write_fiftyone_temporal(path, only, context=context, times="frames")
    assert json.loads(path.read_text())["labels"]["v"][1] == {"label": 1, "support": [31, 31]}
    with pytest.raises(BadInput, match=r"f\.json: the frame rate of video 'v' is not known"):
        write_fiftyone_temporal(path, only, times="frames")


def test_fiftyone_gets_whole_files_with_the_length_of_their_video(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    rows = Annotations(clips=clips_of({"video_id": "v", "class_id": 7}), label_map=MAP)
    with pytest.raises(BadInput, match=r"a clip of 'v' has no end, and the video's length is not known\. .*--videos"):
        write_fiftyone_temporal(path, rows)
    videos = pl.DataFrame({"video_id": ["v"], "fps_num": [30], "fps_den": [1], "num_frames": [45]})
    write_fiftyone_temporal(path, rows, context=Context(videos=shaped(videos, VIDEO_COLUMNS)))
    assert json.loads(path.read_text())["labels"]["v"] == [{"label": "b", "timestamps": [0.0, 1.5]}]
    short = Annotations(clips=clips_of({"video_id": "v", "class_id": 7, "start_us": 5, "end_us": 9}), label_map=MAP)
    with pytest.raises(BadInput, match=r"the clip of 'v' from 5 to 9 microseconds has no frame"):
        write_fiftyone_temporal(path, short, context=Context(videos=shaped(videos, VIDEO_COLUMNS)), times="frames")


PAIR = {"label": "a", "score": 1}
BROKEN: dict[str, tuple[str, Any, str]] = {
    "an array": ("kinetics", [], r"f\.json: found \[\], want an object"),
    "a number": ("activitynet", 3, r"f\.json: found 3, want an object"),
    "an entry of text": ("kinetics", {"v": "x"}, r"f\.json: \['v'\]: found 'x', want an object"),
    "an empty id": ("kinetics", {"": {}}, r"\[''\]: found '', want a text"),
    "a label of number": ("kinetics", {"v": {"annotations": {"label": 3}}}, r"annotations\.label: found 3, want a"),
    "one end": ("kinetics", {"v": {"annotations": {"segment": [1]}}}, r"segment: found \[1\], want an array of two"),
    "true for a time": ("kinetics", {"v": {"annotations": {"segment": [1, True]}}}, r"segment\[1\]: found True"),
    "a far time": ("kinetics", {"v": {"duration": 1e300}}, r"duration: found 1e\+300, want a time in a video"),
    "NaN": ("kinetics", '{"v": {"duration": NaN}}', r"f\.json: NaN is no number that JSON knows"),
    "too large": ("kinetics", '{"v": {"duration": 1e999}}', r"duration: found inf, want a finite number"),
    "many digits": ("kinetics", '{"v": {"duration": ' + "1" * 5000 + "}}", r"f\.json: a number has too many digits"),
    "long": ("kinetics", '{"v": {"duration": ' + "1" * 500 + "}}", r"found 1{57}\.\.\., want a finite number"),
    "deep": ("activitynet", "[" * 100_000, r"f\.json: the JSON nests too deeply"),
    "no JSON": ("activitynet", '{\n"a": \n', r"f\.json:3: this is not JSON \(Expecting value\)"),
    "empty": ("fiftyone", "", r"f\.json:1: this is not JSON"),
    "a key twice": ("kinetics", '{"digits": {}, "digits": {}}', r"f\.json: an object has the key 'digits' twice"),
    "half a pair": ("kinetics", '{"\\ud800": {}}', r"the text '\\ud800' holds half a surrogate pair"),
    "no database": ("activitynet", {"taxonomy": []}, r"f\.json: there is no 'database' in it\. Want \{\"database\""),
    "no label": ("activitynet", {"database": {"v": {"annotations": [{}]}}}, r"annotations\[0\]\.label: it is missing"),
    "a node twice": ("activitynet", {"taxonomy": TAXONOMY[:1] * 2, "database": {}}, r"taxonomy\[1\]\.nodeId: the id 0"),
    "no results": ("predictions", {"database": {}}, r"there is no 'results' in it"),
    "no score": ("predictions", {"results": {"v": [{"label": "a"}]}}, r"results\['v'\]\[0\]\.score: it is missing"),
    "no labels": ("fiftyone", {"classes": []}, r"there is no 'labels' in it"),
    "no class": ("fiftyone", {"classes": ["a"], "labels": {"v": [{"label": 1}]}}, r"label: 1 is no class\. `cl"),
    "before the first": ("fiftyone", {"classes": ["a"], "labels": {"v": [{"label": -1}]}}, r"label: -1 is no class"),
    "an unknown class": ("fiftyone", {"classes": ["a"], "labels": {"v": [{"label": "c", "timestamps": [0, 1]}]}},
                         r"the label map has no class 'c'"),
    "a class twice": ("fiftyone", {"classes": ["a", "a"], "labels": {}}, r"classes: the class 'a' comes twice"),
    "frame 0": ("fiftyone", {"labels": {"v": [{"label": "a", "support": [0, 1]}]}}, r"support: \[0, 1\] are no"),
    "half a frame": ("fiftyone", {"labels": {"v": [{"label": "a", "support": [1, 2.5]}]}}, r"support\[1\]: found 2\.5"),
    "no times": ("fiftyone", {"labels": {"v": [{"label": "a"}]}}, r"\['v'\]\[0\]: it has neither support nor"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_in_a_file_is_named_with_its_place(name: str, tmp_path: Path) -> None:
    reader, value, message = BROKEN[name]
    with pytest.raises(BadInput, match=message):
        READERS[reader](put(tmp_path, value))


@pytest.mark.parametrize("reader", READERS)
def test_no_file_no_text_and_an_unknown_class(reader: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"f\.json: cannot be read \(No such file"):
        READERS[reader](tmp_path / "f.json")
    with pytest.raises(BadInput, match=r"cannot be read \(Is a directory\)"):
        READERS[reader](tmp_path)
    (tmp_path / "f.json").write_bytes(b'{"a":\n"\xff"}')
    with pytest.raises(BadRow, match=r"f\.json:2: this line is not UTF-8 text"):
        READERS[reader](tmp_path / "f.json")


def test_an_unknown_or_ambiguous_name_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, {"results": {"v": [PAIR, {"label": "c", "score": 0}]}})
    with pytest.raises(BadInput, match=r"f\.json: the label map has no class 'c'\. Give the label map that belongs"):
        read_activitynet_predictions(path, context=Context(label_map=MAP))
    double = MAP.with_columns(name=pl.lit("a"))
    path = put(tmp_path, {"results": {"v": [PAIR]}})
    with pytest.raises(BadInput, match=r"the label map calls classes 1, 7 all 'a'"):
        read_activitynet_predictions(path, context=Context(label_map=double))
    rows = Annotations(
        clips=clips_of({"video_id": "v", "class_id": 1}, {"video_id": "v", "class_id": 7}), label_map=double
    )
    with pytest.raises(BadInput, match=r"classes 1 and 7 are both called 'a'"):
        write_activitynet(path, rows)


CLIP = {"video_id": "v", "class_id": 1, "start_us": 0, "end_us": 1, "score": 0.5}
REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "two clips": ([CLIP, CLIP], "video 'v' has more than one clip, and this format is keyed by video id"),
    "one end": ([{**CLIP, "end_us": None}], "of 'v' has one end only|'v' has no end"),
    "two splits": ([{**CLIP, "split": "a"}, {**CLIP, "split": "b"}], "in the splits 'a' and 'b'|more than one clip"),
    "no name": ([{**CLIP, "class_id": 3}], "class 3 has no name, and this format tells classes by name"),
    "no class": ([{**CLIP, "class_id": None}], "1 clips have no class, the first of video 'v'"),
    "no score": ([{**CLIP, "score": None}], "1 clips have no finite score, the first of video 'v'"),
    "far": ([{**CLIP, "end_us": 10**17}], "100000000000000000 microseconds is no time in a video"),
}  # fmt: skip
WRITERS: dict[str, tuple[Callable[[Path, Annotations], None], tuple[str, ...]]] = {
    "kinetics": (write_kinetics_json, ("two clips", "one end", "two splits", "no name", "far")),
    "activitynet": (write_activitynet, ("one end", "two splits", "no name", "no class", "far")),
    "predictions": (write_activitynet_predictions, ("one end", "no name", "no class", "no score", "far")),
    "fiftyone": (write_fiftyone_temporal, ("one end", "no name", "no class", "far")),
}


@pytest.mark.parametrize(("writer", "case"), [(name, case) for name, (_, cases) in WRITERS.items() for case in cases])
def test_what_a_format_cannot_hold_is_refused(writer: str, case: str, tmp_path: Path) -> None:
    rows, message = REFUSED[case]
    with pytest.raises(BadInput, match=message):
        WRITERS[writer][0](tmp_path / "f.json", Annotations(clips=clips_of(*rows), label_map=MAP))
    assert not (tmp_path / "f.json").exists()


@pytest.mark.parametrize("writer", WRITERS)
def test_boxes_are_refused_and_nothing_is_written_as_nothing(writer: str, tmp_path: Path) -> None:
    write = WRITERS[writer][0]
    boxes = shaped(pl.DataFrame({"video_id": ["v"]}), BOX_COLUMNS)
    with pytest.raises(BadInput, match="1 rows have boxes, and this format holds"):
        write(tmp_path / "f.json", Annotations(boxes=boxes))
    write(tmp_path / "f.json", Annotations())
    back = READERS[writer](tmp_path / "f.json")
    assert back.videos.is_empty()
    assert back.clips.is_empty()
    assert back.label_map.is_empty()


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_a_hundred_thousand_clips_come_back(writer: str, tmp_path: Path) -> None:
    some = [{**CLIP, "video_id": f"-{i:09d}", "end_us": i + 1} for i in range(100_000)]
    rows = Annotations(clips=clips_of(*some), label_map=MAP.head(1))
    WRITERS[writer][0](tmp_path / "f.json", rows)
    back = READERS[writer](tmp_path / "f.json")
    assert back.clips.select("video_id", "end_us").equals(rows.clips.select("video_id", "end_us"))
