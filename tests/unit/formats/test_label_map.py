"""Label maps: the real files of three dialects, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.formats import merge_label_maps, read_label_map, write_label_map
from gesta.schema import BadInput, BadRow, LabelClass
from gesta.tables import frame_of

FILES = [
    ("ava/ava_action_list_v2.2.pbtxt", "label", 80),
    ("ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt", "item", 60),
    ("kinetics/label_map_k400.txt", "txt", 400),
    ("kinetics/label_map_k600.txt", "txt", 600),
    ("kinetics/label_map_k700.txt", "txt", 700),
]


@pytest.mark.parametrize(("name", "dialect", "num_classes"), FILES)
def test_real_files_are_read_whole_and_written_back_to_the_byte(
    name: str, dialect: str, num_classes: int, shared: Path, tmp_path: Path
) -> None:
    source = shared / "annotations" / name
    label_map = read_label_map(source)
    assert len(label_map) == num_classes
    write_label_map(tmp_path / "back", label_map, dialect=dialect)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_ids_are_as_published(shared: Path) -> None:
    full = read_label_map(shared / "annotations/ava/ava_action_list_v2.2.pbtxt")
    some = read_label_map(shared / "annotations/ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt")
    assert full.row(0) == (1, "bend/bow (at the waist)", "PERSON_MOVEMENT")
    # Source: formats facts, the 60 ids of the challenge.
    assert some["class_id"].to_list()[:5] == [1, 3, 4, 5, 6]
    assert some["class_id"].max() == 80
    both = some.join(full, on="class_id", suffix="_full")
    assert both.filter(both["name"] != both["name_full"]).is_empty()


def test_the_content_tells_the_dialect_not_the_ending(shared: Path) -> None:
    label_map = read_label_map(shared / "golden/mmaction2_ava_dataset/action_list.txt")
    # Two ids of one name: published so, and taken so.
    assert label_map["class_id"].to_list() == [12, 17, 79, 80]
    assert label_map["name"].to_list() == ["action1", "action2", "action3", "action3"]


def test_a_plain_list_counts_lines_from_one(tmp_path: Path) -> None:
    (tmp_path / "actions.txt").write_bytes("\ufeffwaving hand\r\n\r\n bowing \r\n".encode())
    assert read_label_map(tmp_path / "actions.txt").rows() == [(1, "waving hand", None), (3, "bowing", None)]


def test_protobuf_text_is_read_however_it_is_laid_out(tmp_path: Path) -> None:
    text = """# ours\nitem{id:7,name:'it\\'s "so"';} label { label_type: OBJECT label_id: 2\n name: "b" }"""
    (tmp_path / "map.pbtxt").write_text(text)
    assert read_label_map(tmp_path / "map.pbtxt").rows() == [(7, """it's "so\"""", None), (2, "b", "OBJECT")]


BROKEN = {
    "no id": ('item {\n  name: "a"\n}\n', r"map:1: this item has no id\. Each needs a name and an id"),
    "no name": ("item {\n  id: 1\n}\n", r"map:1: this item has no name"),
    "the other dialect's id": ('label {\n  name: "a"\n  id: 1\n}\n', r"map:1: this label has no label_id"),
    "an id twice": ('item { id: 1 name: "a" }\nitem { id: 1 name: "b" }\n', r"map:2: id 1 was given in line 1 already"),
    "a name twice": ("a\nb\na\n", r"map:3: name 'a' was given in line 1 already\. Keep one of the two"),
    "an unknown field": ("item {\n  nam: 1\n}\n", r"map:2: an unknown field nam\. There are: name, label_id"),
    "a field twice": ("item { id: 1 id: 2 }\n", r"map:1: a second field id"),
    "a bare name": ("item {\n  name: a\n}\n", r"map:2: found a, want a string for name\. Want blocks like"),
    "an unclosed quote": ('item {\n  name: "a\n}\n', r"map:2: unexpected '\"'"),
    "an unclosed block": ('item {\n  name: "a"\n', r"map:1: this item is not closed\. Put a }"),
    "a stray word": ('item { id: 1 name: "a" }\nclass 7\n', r"map:2: found class, want label or item"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_named_with_what_and_how_to_mend(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    (tmp_path / "map").write_text(text)
    with pytest.raises(BadRow, match=message):
        read_label_map(tmp_path / "map")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("\n \n")
    with pytest.raises(BadInput, match=r"map: the label map holds no class\. Write one name a line"):
        read_label_map(tmp_path / "map")


@pytest.mark.parametrize(
    ("row", "dialect", "message"),
    [
        (LabelClass(class_id=2, name="a"), "txt", "the class ids are not 1, 2, 3"),
        (LabelClass(class_id=1, name="item {"), "txt", "would not be read back from a plain list"),
        (LabelClass(class_id=1, name="a\nb"), "item", r"the class name 'a\\nb' cannot be written"),
        (LabelClass(class_id=1, name="a", category="two words"), "label", "the category 'two words' cannot be written"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(row: LabelClass, dialect: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message):
        write_label_map(tmp_path / "map", frame_of("label_map", [row]), dialect=dialect)
    assert not (tmp_path / "map").exists()


def test_label_maps_merge_by_id_and_refuse_to_rename() -> None:
    ours = frame_of("label_map", [LabelClass(class_id=2, name="b"), LabelClass(class_id=1, name="a", category="X")])
    more = frame_of("label_map", [LabelClass(class_id=1, name="a"), LabelClass(class_id=7, name="g")])
    merged = merge_label_maps(ours, more, where="actions.txt")
    assert merged.rows() == [(1, "a", "X"), (2, "b", None), (7, "g", None)]
    other = frame_of("label_map", [LabelClass(class_id=2, name="c")])
    with pytest.raises(BadInput, match=r"actions\.txt: class 2 is 'b' here and 'c' in this work folder already"):
        merge_label_maps(ours, other, where="actions.txt")
