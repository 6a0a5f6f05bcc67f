"""CVAT's XML: what CVAT exports is read as CVAT means it, and bad files are named with their line."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.cvat import cvat_labels, read_cvat, write_cvat
from gesta.schema import BadInput, BadRow, GestaError

VIDEOS = shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [10], "fps_den": [1]}), VIDEO_COLUMNS)
RATE = Context(videos=VIDEOS)
LABELS = """<labels><label><name>person</name><attributes>
  <attribute><name>walk</name><mutable>True</mutable><input_type>checkbox</input_type>
    <default_value>false</default_value><values>false</values></attribute>
  <attribute><name>sit</name><mutable>True</mutable><input_type>checkbox</input_type>
    <default_value>false</default_value><values>false</values></attribute>
  <attribute><name>age</name><mutable>False</mutable><input_type>select</input_type>
    <default_value>old</default_value><values>old\nyoung</values></attribute>
</attributes></label></labels>"""
META = f"""<meta><task><id>7</id><name>my task</name><size>20</size><mode>interpolation</mode>
<start_frame>0</start_frame><stop_frame>19</stop_frame><frame_filter></frame_filter>{LABELS}
<original_size><width>200</width><height>100</height></original_size><source>v.mp4</source></task>
<dumped>2024-01-01</dumped></meta>"""


def box(frame: int, x: float, *, key: int = 1, outside: int = 0, inner: str = "", more: str = "") -> str:
    return (
        f'<box frame="{frame}" keyframe="{key}" outside="{outside}" occluded="0" xtl="{x}" ytl="10" xbr="{x + 20}" '
        f'ybr="60" z_order="0" {more}>{inner}</box>\n'
    )


def did(**values: bool) -> str:
    return "".join(f'<attribute name="{name}">{str(value).lower()}</attribute>' for name, value in values.items())


def write(tmp_path: Path, body: str, *, meta: str = META) -> Path:
    path = tmp_path / "annotations.xml"
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    path.write_text(f"{head}{meta}{body}</annotations>")
    return path


def rows(found: Annotations, *columns: str) -> list[tuple[object, ...]]:
    names = dict(found.label_map.select("class_id", "name").iter_rows())
    named = found.boxes.with_columns(pl.col("class_id").replace_strict(names, default=None, return_dtype=pl.String()))
    return named.select((pl.col("timestamp_us") // 100_000).alias("frame"), *columns).rows()


def test_key_frames_alone_are_joined_by_lines_until_an_outside_box(tmp_path: Path):
    body = '<track id="3" label="person" source="manual">'
    body += box(2, 20, inner=did(walk=True, sit=False)) + box(4, 40, inner=did(sit=True)) + box(6, 60, outside=1)
    body += box(9, 0, inner=did(walk=False)) + box(10, 0, outside=1) + "</track>"
    found = read_cvat(write(tmp_path, body), context=RATE)
    assert rows(found, "x1", "class_id", "is_interpolated") == [
        (2, 0.1, "walk", False),
        (3, pytest.approx(0.15), "walk", True),
        (4, 0.2, "walk", False),
        (4, 0.2, "sit", False),
        (5, pytest.approx(0.25), "walk", True),
        (5, pytest.approx(0.25), "sit", True),
        (9, 0.0, "sit", False),
    ]
    assert found.boxes["person_id"].unique().to_list() == [3]
    assert found.boxes.row(0, named=True) == {
        "video_id": "v", "timestamp_us": 200_000, "x1": 0.1, "y1": 0.1, "x2": 0.2, "y2": 0.6, "class_id": 2,
        "person_id": 3, "score": None, "is_interpolated": False,
    }  # fmt: skip
    assert found.label_map["name"].to_list() == ["sit", "walk"]
    assert found.videos.row(0, named=True) == {
        "video_id": "v", "path": "v.mp4", "split": None, "width_px": 200, "height_px": 100, "fps_num": 10,
        "fps_den": 1, "num_frames": 20, "duration_us": None, "url": None,
    }  # fmt: skip


def test_a_file_with_every_frame_is_read_as_it_stands(tmp_path: Path):
    body = box(0, 0) + box(1, 7, key=0) + box(2, 20) + box(3, 20, outside=1)
    body = f'<track id="0" label="person">{body}</track>'
    found = read_cvat(write(tmp_path, body), context=RATE)
    assert rows(found, "x1", "class_id", "is_interpolated") == [
        (0, 0.0, None, False),
        (1, 0.035, None, True),
        (2, 0.1, None, False),
    ]


def test_a_track_that_nothing_ends_goes_on_to_the_last_frame(tmp_path: Path):
    found = read_cvat(write(tmp_path, f'<track id="0" label="person">{box(17, 0)}</track>'), context=RATE)
    assert rows(found, "is_interpolated") == [(17, False), (18, True), (19, True)]


def test_every_nth_frame(tmp_path: Path):
    meta = META.replace("<frame_filter></frame_filter>", "<frame_filter>step=5</frame_filter>")
    body = f'<track id="0" label="person">{box(0, 0)}{box(15, 30)}{box(20, 0, outside=1)}</track>'
    found = read_cvat(write(tmp_path, body, meta=meta), context=RATE)
    assert rows(found, "x1") == [(0, 0.0), (5, pytest.approx(0.05)), (10, pytest.approx(0.1)), (15, 0.15)]
    assert found.videos["num_frames"].to_list() == [None]


def test_the_plain_way_and_an_attribute_with_choices(tmp_path: Path):
    body = f'<track id="0" label="jump">{box(0, 0)}{box(1, 0, outside=1)}</track>'
    action = '<attribute name="action">{}</attribute>'
    body += '<track id="1" label="dancer">'
    body += box(0, 0, inner=action.format("spin")) + box(1, 0, inner=action.format("none")) + box(2, 0, outside=1)
    meta = META.replace(LABELS, "")
    found = read_cvat(write(tmp_path, body + "</track>", meta=meta), context=RATE)
    assert rows(found, "class_id", "person_id") == [(0, "jump", 0), (0, "spin", 1), (1, None, 1)]
    plain = read_cvat(write(tmp_path, body + "</track>", meta=meta), context=RATE, actions="labels")
    assert rows(plain, "class_id") == [(0, "jump"), (0, "dancer"), (1, "dancer")]


def test_a_label_map_says_what_is_an_action(tmp_path: Path):
    label_map = shaped(pl.DataFrame({"class_id": [80, 11], "name": ["walk", "young"]}), LABEL_MAP_COLUMNS)
    body = box(0, 0, inner=did(walk=True, sit=True) + '<attribute name="age">young</attribute>')
    body = f'<track id="0" label="person">{body}{box(1, 0, outside=1)}</track>'
    found = read_cvat(write(tmp_path, body), context=Context(videos=VIDEOS, label_map=label_map))
    assert found.boxes["class_id"].to_list() == [80, 11]
    assert found.label_map.equals(label_map)
    body = f'<track id="0" label="horse">{box(0, 0)}</track>'
    with pytest.raises(BadInput, match=r"annotations.xml:13: the label map has no class 'horse'"):
        read_cvat(write(tmp_path, body), context=Context(videos=VIDEOS, label_map=label_map))


def test_images_with_boxes_and_tags(tmp_path: Path):
    image = '<image id="{0}" name="frame_{0:06d}" width="200" height="100">{1}</image>'
    tag = '<tag label="walk" source="manual"></tag>'
    inner = '<box label="person" occluded="0" xtl="20" ytl="0" xbr="40" ybr="50">' + did(sit=True) + "</box>"
    body = "".join(image.format(frame, tag) for frame in (3, 4, 5, 9)) + image.format(7, inner)
    body = body.replace("<tag", '<polygon label="x" points="1,2;3,4"></polygon><tag', 1)
    meta = META.replace("</labels>", "<label><name>walk</name><type>tag</type></label></labels>")
    found = read_cvat(write(tmp_path, body, meta=meta), context=RATE)
    assert rows(found, "x1", "y2", "class_id", "person_id") == [(7, 0.1, 0.5, "sit", None)]
    walk = found.label_map.filter(name="walk")["class_id"][0]
    assert found.clips.select("start_us", "end_us", "class_id").rows() == [
        (300_000, 600_000, walk),
        (900_000, 1_000_000, walk),
    ]
    body = "".join(image.format(frame, tag) for frame in range(20))
    found = read_cvat(write(tmp_path, body, meta=meta), context=RATE)
    assert found.clips.select("start_us", "end_us").rows() == [(None, None)]


def test_a_project_holds_several_tasks(tmp_path: Path):
    task = "<task><id>{0}</id><name>{1}</name><size>9</size><subset>Train</subset><original_size><width>{2}</width>"
    task += "<height>100</height></original_size><source>{1}.mp4</source></task>"
    tasks = task.format(4, "a", 100) + task.format(5, "b", 200)
    meta = f"<meta><project><tasks>{tasks}</tasks>{LABELS}</project></meta>"
    body = f'<track id="0" label="person" task_id="5" subset="Train">{box(1, 20)}{box(2, 0, outside=1)}</track>'
    videos = pl.concat([VIDEOS.with_columns(video_id=pl.lit(name)) for name in ("a", "b")])
    found = read_cvat(write(tmp_path, body, meta=meta), context=Context(videos=videos))
    assert found.videos.select("video_id", "width_px", "split").rows() == [("a", 100, "Train"), ("b", 200, "Train")]
    assert found.boxes.select("video_id", "x1").rows() == [("b", 0.1)]
    with pytest.raises(BadRow, match="there is no task '6' in <meta>"):
        read_cvat(write(tmp_path, body.replace('"5"', '"6"'), meta=meta), context=Context(videos=videos))


def test_a_job_whose_size_stands_beside_it(tmp_path: Path):
    meta = "<meta><job><id>1</id><size>5</size><start_frame>10</start_frame><stop_frame>14</stop_frame></job>"
    meta += "<original_size><width>200</width><height>100</height></original_size><source>v.mp4</source></meta>"
    found = read_cvat(write(tmp_path, f'<track id="0" label="person">{box(13, 20)}</track>', meta=meta), context=RATE)
    assert rows(found, "x1") == [(13, 0.1), (14, 0.1)]


def test_a_turned_box_becomes_the_upright_one_around_it(tmp_path: Path):
    body = box(0, 90, more='rotation="90.0"') + box(1, 0, outside=1)
    found = read_cvat(write(tmp_path, f'<track id="0" label="person">{body}</track>'), context=RATE)
    assert found.boxes.select("x1", "y1", "x2", "y2").row(0) == pytest.approx((0.375, 0.25, 0.625, 0.45))


ENTITIES = '<!DOCTYPE x [<!ENTITY a "ha">]><annotations>&a;</annotations>'
TRACK = '<track id="0" label="person">\n{}</track>'
BAD = [
    ("", "1: this is no well-formed XML"),
    ("<annotations>\n<a></b>", "2: this is no well-formed XML"),
    ("<svg></svg>", "1: the file begins with <svg>, want <annotations>"),
    (ENTITIES, "1: a document type definition is not read. Remove the <!DOCTYPE"),
    ("<annotations>\n" + "<a>" * 40, "2: elements are nested more than 32 deep"),
    ('<?xml version="1.0" encoding="klingon"?><annotations/>', "1: .*encoding"),
    ("<annotations>\n" + TRACK.format(box(0, 1).replace("xbr", "xbl")) + "</annotations>", "3: this <box> has no xbr"),
    ("<annotations>\n" + TRACK.format(box(0, 1).replace('"60"', '"nan"')) + "</annotations>", "3: ybr is 'nan'"),
    ("<annotations>\n" + TRACK.format(box(0, 1).replace('"60"', '"1e999"')) + "</annotations>", "3: ybr is '1e999'"),
    ("<annotations>\n" + TRACK.format(box(-1, 1)) + "</annotations>", "3: a box's frame is -1, no number of a frame"),
    ("<annotations>\n" + TRACK.format(box(0, 1)).replace('"0"', '"x"', 1) + "</annotations>", "2: a track's id is 'x'"),
    ("<annotations>\n" + TRACK.format(box(0, 1)) + "</annotations>", "3: boxes are in pixels, and nothing says how"),
    (f"<annotations>{META}\n" + TRACK.format(box(1, 1) * 2) + "</annotations>", "frame 1 comes twice in this track"),
    (f"<annotations>{META.replace('>20<', '>many<')}</annotations>", "size is 'many', want a whole number from 0"),
    (f"<annotations>{META}" + TRACK.format(box(0, 1)) + "</annotations>", "nothing says how many a second video 'v'"),
    (f"<annotations>{META.replace('</task>', '<frame_rate>0/1</frame_rate></task>')}</annotations>", "rate is '0/1'"),
    (f"<annotations>{META.replace('>19<', '>999999999<')}" + TRACK.format(box(0, 1)) + "</annotations>",
     "999,999,999 boxes lie between the key frames"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str, tmp_path: Path):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(GestaError, match=rf"bad\.xml.*{message}"):
        read_cvat(path)


def test_no_file_no_reading(tmp_path: Path):
    with pytest.raises(BadInput, match=r"none\.xml: cannot be read \(No such file"):
        read_cvat(tmp_path / "none.xml")
    with pytest.raises(BadInput, match=r"the folder holds no \.xml file"):
        read_cvat(tmp_path)
    (tmp_path / "bytes.xml").write_bytes(b"\xff\xfe\x00<annotations")
    with pytest.raises(BadRow, match=r"bytes\.xml:1"):
        read_cvat(tmp_path / "bytes.xml")


def of_one_person(**columns: object) -> Annotations:
    facts = {"num_frames": 20, "width_px": 200, "height_px": 100}
    videos = VIDEOS.with_columns(*(pl.lit(value, dtype=pl.Int64).alias(name) for name, value in facts.items()))
    given = {"video_id": ["v"], "timestamp_us": [0], "x1": [0.1], "y1": [0.1], "x2": [0.5], "y2": [0.5], **columns}
    label_map = shaped(pl.DataFrame({"class_id": [5], "name": ["walk"]}), LABEL_MAP_COLUMNS)
    return Annotations(videos=videos, boxes=shaped(pl.DataFrame(given), BOX_COLUMNS), label_map=label_map)


def test_what_is_written_is_what_cvat_imports(tmp_path: Path):
    frames = list(range(4))
    many = of_one_person(
        video_id=["v"] * 4, timestamp_us=[frame * 100_000 for frame in (0, 1, 2, 19)], person_id=[2] * 4,
        x1=[0.1, 0.15, 0.2, 0.3], y1=[0.0] * 4, x2=[0.5] * 4, y2=[1.0] * 4, class_id=[5, 5, 5, None],
        is_interpolated=[False, True, False, False],
    )  # fmt: skip
    path = tmp_path / "v.xml"
    write_cvat(path, many)
    boxes = [line.strip() for line in path.read_text().splitlines() if "<box" in line]
    starts = ['<box frame="0" keyframe="1" outside="0" occluded="0" xtl="20.00" ytl="0.00" xbr="100.00" ybr="100.00"']
    starts += ['<box frame="1" keyframe="0" outside="0"', '<box frame="2" keyframe="1" outside="0"']
    starts += ['<box frame="3" keyframe="1" outside="1"', '<box frame="19" keyframe="1" outside="0"']
    assert [line[: len(start)] for line, start in zip(boxes, starts, strict=True)] == starts, frames
    assert [">true<" in line for line in boxes] == [True, True, True, True, False]
    assert read_cvat(path, context=Context(label_map=many.label_map)).boxes.equals(many.boxes)
    bent = many.boxes.with_columns(x1=pl.Series([0.1, 0.3, 0.2, 0.3]))
    write_cvat(path, Annotations(videos=many.videos, boxes=bent, label_map=many.label_map))
    assert 'frame="1" keyframe="1"' in path.read_text()
    assert read_cvat(path).boxes["is_interpolated"].to_list() == [False] * 4


def test_cvats_importer_finds_what_it_needs(tmp_path: Path):
    """What `load_anno` of CVAT asks of elements, without defaults; every track has a key frame, and frames rise."""
    clips = shaped(
        pl.DataFrame({"video_id": ["v"], "start_us": [0], "end_us": [300_000], "class_id": [5]}), CLIP_COLUMNS
    )
    given = of_one_person(timestamp_us=[1_900_000], class_id=[5])
    path = tmp_path / "v.xml"
    write_cvat(path, Annotations(videos=given.videos, boxes=given.boxes, clips=clips, label_map=given.label_map))
    root = ElementTree.parse(path).getroot()
    labels = {label.findtext("name"): label for label in root.iterfind("meta/task/labels/label")}
    names = {attribute.findtext("name") for attribute in labels["person"].iterfind("attributes/attribute")}
    assert [track.get("label") for track in root.iterfind("track")] == ["person"]
    for track in root.iterfind("track"):
        boxes = track.findall("box")
        assert "1" in [box.attrib["keyframe"] for box in boxes]
        frames = [int(box.attrib["frame"]) for box in boxes]
        assert frames == sorted(set(frames))
        assert max(frames) < 20, "CVAT refuses frames that the task does not have"
        for box in boxes:
            assert {"outside", "occluded", "xtl", "ytl", "xbr", "ybr"} <= box.attrib.keys()
            assert {attribute.attrib["name"] for attribute in box} <= names
            assert {attribute.text for attribute in box} <= {"true", "false"}
    images = root.findall("image")
    assert [(image.get("id"), image.get("name")) for image in images][:2] == [
        ("0", "frame_000000"),
        ("1", "frame_000001"),
    ]
    assert {tag.get("label") for image in images for tag in image} == {"walk"} <= labels.keys()


def test_cvats_labels():
    labels = cvat_labels(of_one_person().label_map, has_tags=True)
    assert [label["name"] for label in labels] == ["person", "walk"]
    assert labels[0]["attributes"] == [
        {"name": "walk", "mutable": True, "input_type": "checkbox", "default_value": "false", "values": ["false"]}
    ]


CLIP = shaped(pl.DataFrame({"video_id": ["v"], "class_id": [5]}), CLIP_COLUMNS)
REFUSED = [
    (of_one_person(class_id=[6]), "class 6 has no name, and CVAT tells classes by name. Give the label map"),
    (of_one_person(video_id=["w"]), "w.*nothing says how many a second video 'w' has. Give a table of videos"),
    (of_one_person(x1=[float("nan")]), "video 'v' has a box that is no number"),
    (of_one_person(x2=pl.Series([None], dtype=pl.Float64())), "video 'v' has a part of a box"),
    (of_one_person(timestamp_us=[-5]), "a time of -5 microseconds"),
    (Annotations(videos=of_one_person().videos.with_columns(width_px=pl.lit(None, dtype=pl.Int64)),
                 boxes=of_one_person().boxes), "boxes are in pixels, and nothing says how large"),
    (of_one_person(video_id=["v", "v"], timestamp_us=[0, 0], x1=[0.1, 0.2], y1=[0.1] * 2, x2=[0.5] * 2, y2=[0.5] * 2,
                   person_id=[3, 3]), "person 3 of video 'v' has two boxes in frame 0"),
    (Annotations(videos=VIDEOS, clips=CLIP, label_map=of_one_person().label_map), "each frame; nothing says how many"),
    (Annotations(videos=VIDEOS.with_columns(video_id=pl.lit("a\x00"))), "the character '.x00', which XML cannot"),
]  # fmt: skip


@pytest.mark.parametrize(("annotations", "message"), REFUSED)
def test_what_cannot_be_written_is_refused(annotations: Annotations, message: str, tmp_path: Path):
    with pytest.raises(BadInput, match=message):
        write_cvat(tmp_path / "folder", annotations)


def test_one_file_is_one_video(tmp_path: Path):
    two = Annotations(videos=pl.concat([VIDEOS, VIDEOS.with_columns(video_id=pl.lit("-../w"))]))
    with pytest.raises(BadInput, match=r"there are 2 videos, and a CVAT file holds one. Name a folder"):
        write_cvat(tmp_path / "two.xml", two)
    write_cvat(tmp_path / "two", two)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["-..%2Fw.xml", "labels.json", "v.xml"]
    assert read_cvat(tmp_path / "two").videos.sort("video_id").equals(two.videos.sort("video_id"))
