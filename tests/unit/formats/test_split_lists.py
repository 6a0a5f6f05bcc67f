"""UCF-101's and HMDB-51's split files: the real lists, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

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
from gesta.formats.hmdb51 import read_hmdb51, write_hmdb51
from gesta.formats.ucf101 import read_ucf101, write_ucf101
from gesta.schema import BadInput, Refused

MAP = shaped(pl.DataFrame({"class_id": [1, 7], "name": ["Archery", "Yo Yo"]}), LABEL_MAP_COLUMNS)


def clips_of(**columns: object) -> pl.DataFrame:
    return shaped(pl.DataFrame(columns), CLIP_COLUMNS)


def put(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_the_real_lists_are_read_whole_and_written_back_to_the_byte(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations" / "ucf101"
    rows = read_ucf101(source)
    assert rows.videos.height == rows.clips.height == 13_320
    assert dict(rows.clips.group_by("split").len().iter_rows()) == {"train01": 9_537, "test01": 3_783}
    assert rows.label_map.row(0) == (1, "ApplyEyeMakeup", None)
    assert rows.label_map.height == 101
    first = rows.videos.row(by_predicate=pl.col("video_id") == "v_ApplyEyeMakeup_g01_c01", named=True)
    assert (first["path"], first["num_frames"]) == ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", 163)
    assert rows.videos["num_frames"].null_count() == 0
    write_ucf101(tmp_path / "back", rows)
    for name in ("classInd.txt", "trainlist01.txt", "testlist01.txt"):
        assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()
    test = read_ucf101(source / "testlist01.txt")
    assert test.clips.equals(rows.clips.filter(pl.col("split") == "test01"))


def test_without_a_class_index_the_training_list_numbers_the_classes(tmp_path: Path) -> None:
    put(tmp_path, trainlist01="B/b.avi 4\nA/a.avi 9\n", testlist01="A/c.avi\n")
    rows = read_ucf101(tmp_path)
    assert rows.label_map.rows() == [(4, "B", None), (9, "A", None)]
    assert rows.clips.select("class_id", "split").rows() == [(4, "train01"), (9, "train01"), (9, "test01")]
    rows = read_ucf101(tmp_path / "testlist01.txt")
    assert rows.label_map.rows() == [(1, "A", None)]


BROKEN_UCF = {
    "no list": ({"classInd": "1 A\n"}, r"there is no trainlistNN\.txt or testlistNN\.txt here"),
    "no label": ({"trainlist01": "A/a.avi\n"}, r"trainlist01\.txt:1: the label is missing"),
    "a name for a label": ({"trainlist01": "A/a.avi A\n"}, r"trainlist01\.txt:1: the label is 'A', want a class's"),
    "no folder": ({"testlist02": "A/a.avi\na.avi\n"}, r"testlist02\.txt:2: 'a\.avi' is in no folder"),
    "another label": ({"classInd": "1 A\n2 B\n", "trainlist01": "A/a.avi 2\n"}, r"the label is 2, but A is class 1"),
    "an unknown class": ({"classInd": "1 A\n", "testlist01": "A/b.avi\nB/a.avi\n"},
        r"testlist01\.txt:2: the label map has no class 'B'"),
    "a class twice": ({"classInd": "1 A\n1 B\n", "testlist01": ""}, r"classInd\.txt:2: 1 comes twice"),
    "no id": ({"classInd": "A\n", "testlist01": ""}, r"classInd\.txt:1: 'A' is no id and name"),
    "two ids": ({"trainlist01": "A/a.avi 2\nA/b.avi 3\n"}, r"01\.txt:2: A is 2 in one line and 3 in another"),
    "two paths": ({"trainlist01": "A/a.avi 2\n", "testlist01": "B/a.avi\n"}, r"has no class 'B'"),
    "two files of a name": ({"testlist01": "A/a.avi\n", "testlist02": "B/a.avi\n"}, r"would both be video 'a'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_UCF)
def test_a_broken_ucf101_list_is_named(name: str, tmp_path: Path) -> None:
    texts, message = BROKEN_UCF[name]
    with pytest.raises(BadInput, match=message):
        read_ucf101(put(tmp_path, **texts))


def test_other_files_are_no_ucf101_lists(tmp_path: Path) -> None:
    (tmp_path / "other.txt").touch()
    with pytest.raises(BadInput, match=r"other\.txt: the name says neither training nor test"):
        read_ucf101(tmp_path / "other.txt")
    with pytest.raises(BadInput, match=r"trainlist01\.txt: cannot be read \(No such file"):
        read_ucf101(tmp_path / "trainlist01.txt")


def test_hmdb51_and_jhmdb_files(tmp_path: Path) -> None:
    put(tmp_path, wave_test_split1="-b_(x)!.avi 1 \n_c.avi 2 \nd.avi 0 \n", wave_test_split2="d.avi 2\n")
    put(tmp_path, brush_hair_test_split1="e.avi 2\n", readme="not a list\n")
    rows = read_hmdb51(tmp_path)
    assert rows.label_map.rows() == [(1, "brush_hair", None), (2, "wave", None)]
    assert rows.clips.select("video_id", "class_id", "split").rows() == [
        ("e", 1, "test1"), ("-b_(x)!", 2, "train1"), ("_c", 2, "test1"), ("d", 2, "unused1"), ("d", 2, "test2"),
    ]  # fmt: skip
    assert rows.videos["path"].to_list() == ["brush_hair/e.avi", "wave/-b_(x)!.avi", "wave/_c.avi", "wave/d.avi"]
    one = read_hmdb51(tmp_path / "wave_test_split2.txt", context=Context(label_map=rows.label_map))
    assert one.clips.select("video_id", "class_id", "split").rows() == [("d", 2, "test2")]


BROKEN_HMDB = {
    "none": ({"readme": ""}, r"there is no <class>_test_splitN\.txt here"),
    "another number": ({"a_test_split1": "v.avi 1\nw.avi 3\n"}, r"a_test_split1\.txt:2: 'w\.avi 3' is no file name"),
    "no number": ({"a_test_split1": "v.avi\n"}, r"a_test_split1\.txt:1: 'v\.avi' is no file name and 0, 1 or 2"),
    "two classes": ({"a_test_split1": "v.avi 1\n", "b_test_split1": "v.avi 1\n"}, r"'a/v\.avi' and 'b/v\.avi' would"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_HMDB)
def test_a_broken_hmdb51_file_is_named(name: str, tmp_path: Path) -> None:
    texts, message = BROKEN_HMDB[name]
    with pytest.raises(BadInput, match=message):
        read_hmdb51(put(tmp_path, **texts))


def test_lists_are_not_mixed_with_those_that_lie_there(tmp_path: Path) -> None:
    rows = Annotations(clips=clips_of(video_id=["v"], class_id=[1], split=["train"]), label_map=MAP.head(1))
    write_ucf101(tmp_path / "u", rows)
    assert (tmp_path / "u" / "trainlist01.txt").read_text() == "Archery/v.avi 1\n"
    write_ucf101(tmp_path / "u", rows)
    (tmp_path / "u" / "testlist03.txt").touch()
    with pytest.raises(Refused, match=r"testlist03\.txt lies here already"):
        write_ucf101(tmp_path / "u", rows)
    write_hmdb51(tmp_path / "h", rows)
    assert (tmp_path / "h" / "Archery_test_split1.txt").read_text() == "v.avi 1\n"
    (tmp_path / "h" / "walk_test_split1.txt").touch()
    with pytest.raises(Refused, match=r"walk_test_split1\.txt lies here already"):
        write_hmdb51(tmp_path / "h", rows)


BAD_ROWS = {
    "boxes": (Annotations(boxes=shaped(pl.DataFrame({"video_id": ["v"]}), BOX_COLUMNS)), "1 rows have boxes"),
    "times": (Annotations(clips=clips_of(video_id=["v"], start_us=[0], end_us=[9])), "1 clips are stretches of videos"),
    "no class": (Annotations(clips=clips_of(video_id=["v"])), "1 clips have no class, the first of video 'v'"),
    "no split": (Annotations(clips=clips_of(video_id=["v"], class_id=[1]), label_map=MAP), "the split None is"),
    "a val split": (
        Annotations(clips=clips_of(video_id=["v"], class_id=[1], split=["val"]), label_map=MAP.head(1)),
        "the split 'val' is",
    ),
    "no name": (
        Annotations(clips=clips_of(video_id=["v"], class_id=[5], split=["train"]), label_map=MAP.head(1)),
        r"class 5 has no name.*--label-map",
    ),
    "another folder": (
        Annotations(
            videos=shaped(pl.DataFrame({"video_id": ["v"], "path": ["x/v.avi"]}), VIDEO_COLUMNS),
            clips=clips_of(video_id=["v"], class_id=[1], split=["train"]),
            label_map=MAP.head(1),
        ),
        r"'x/v.avi' is not in a folder called 'Archery'",
    ),
    "a blank": (
        Annotations(clips=clips_of(video_id=["v w"], class_id=[1], split=["train"]), label_map=MAP.head(1)),
        r"cannot stand in this list because of the separator ' '",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_what_the_lists_cannot_say_is_refused(name: str, tmp_path: Path) -> None:
    rows, message = BAD_ROWS[name]
    if name == "no split":
        rows = Annotations(clips=rows.clips, label_map=MAP.head(1))
    for write in (write_ucf101, write_hmdb51):
        with pytest.raises(BadInput, match=message):
            write(tmp_path / "lists", rows)
    assert not (tmp_path / "lists").exists()


def test_a_blank_in_a_class_name_is_for_hmdb51_only(tmp_path: Path) -> None:
    rows = Annotations(clips=clips_of(video_id=["v"], class_id=[7], split=["test3"]), label_map=MAP)
    with pytest.raises(BadInput, match=r"'Yo Yo/v.avi' cannot stand in this list"):
        write_ucf101(tmp_path / "u", rows)
    write_hmdb51(tmp_path / "h", rows)
    assert (tmp_path / "h" / "Yo Yo_test_split3.txt").read_text() == "v.avi 2\n"
    with pytest.raises(BadInput, match="there is no class, so there is no file to write"):
        write_hmdb51(tmp_path / "e", Annotations())


@pytest.mark.slow
def test_a_million_lines_come_back(tmp_path: Path) -> None:
    put(tmp_path, testlist01="".join(f"c{i % 101}/{i:07d}.avi\n" for i in range(1_000_000)), classInd="")
    (tmp_path / "classInd.txt").unlink()
    rows = read_ucf101(tmp_path)
    write_ucf101(tmp_path / "back", rows)
    assert (tmp_path / "back" / "testlist01.txt").read_bytes() == (tmp_path / "testlist01.txt").read_bytes()
