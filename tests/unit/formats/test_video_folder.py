"""VideoFolder: labels from folders, rows from metadata of each kind, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.formats import folder_metadata
from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.video_folder import read_video_folder, write_video_folder
from gesta.schema import BadInput, Refused

MAP = shaped(pl.DataFrame({"class_id": [3, 7], "name": ["wave", "clap"]}), LABEL_MAP_COLUMNS)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def clips_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return shaped(pl.DataFrame(list(rows)), CLIP_COLUMNS)


def test_labels_and_splits_come_from_folders(tmp_path: Path) -> None:
    names = ("train/wave/-a.mp4", "train/clap/b.MOV", "val/wave/_c.mkv", "test/d.avi", ".hidden/e.mp4", "__x/f.mp4")
    touch(tmp_path, *names, "train/wave/notes.txt", "train/wave/.g.mp4")
    rows = read_video_folder(tmp_path)
    assert rows.clips.select("video_id", "class_id", "split").rows() == [
        ("b", 1, "train"), ("-a", 2, "train"), ("_c", 2, "val"),
    ]  # fmt: skip
    assert rows.label_map["name"].to_list() == ["clap", "wave"]
    assert rows.videos.select("video_id", "path", "split").rows()[0] == ("d", "test/d.avi", "test")
    known = read_video_folder(tmp_path, context=Context(label_map=MAP))
    assert known.clips["class_id"].to_list() == [7, 3, 3]


def test_equal_names_in_two_folders_need_the_whole_path(tmp_path: Path) -> None:
    touch(tmp_path, "wave/1.mp4", "clap/1.mp4", "clap/v_000001_000011.mp4")
    with pytest.raises(BadInput, match=r"'clap/1\.mp4' and 'wave/1\.mp4' would both be video '1'\. .*ids='path'"):
        read_video_folder(tmp_path)
    rows = read_video_folder(tmp_path, ids="path")
    assert rows.videos["video_id"].to_list() == ["clap/1", "clap/v_000001_000011", "wave/1"]
    (tmp_path / "wave/1.mp4").unlink()
    (tmp_path / "clap/1.mp4").unlink()
    rows = read_video_folder(tmp_path, ids="kinetics")
    assert rows.clips.select("video_id", "start_us", "end_us", "class_id").rows() == [("v", 1_000_000, 11_000_000, 1)]


def test_metadata_is_read_in_place_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "train/x/a.mp4", "train/x/unlisted.mp4")
    (tmp_path / "train/metadata.csv").write_text(
        'file_name,caption,label\nx/a.mp4,"two\nlines, ""quoted""",wave\nx/b.mp4,,clap\nx/c.mp4,,\n'
    )
    rows = read_video_folder(tmp_path)
    assert rows.clips.select("video_id", "class_id", "split").rows() == [("a", 2, "train"), ("b", 1, "train")]
    assert rows.videos["path"].to_list() == ["train/x/a.mp4", "train/x/b.mp4", "train/x/c.mp4"]
    one = read_video_folder(tmp_path / "train" / "metadata.csv")
    assert one.videos["path"].to_list() == ["x/a.mp4", "x/b.mp4", "x/c.mp4"]


def test_labels_that_are_numbers_are_ids(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label\na.mp4,0\nb.mp4,\nc.mp4,12\n")
    assert read_video_folder(tmp_path).clips["class_id"].to_list() == [0, 12]
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.mp4", "label": 7}\n\n{"file_name": "b.mp4"}\n')
    rows = read_video_folder(tmp_path, context=Context(label_map=MAP))
    assert rows.clips["class_id"].to_list() == [7]
    assert rows.label_map.equals(MAP)
    (tmp_path / "metadata.jsonl").unlink()
    frame = pl.DataFrame({"file_name": ["a.mp4"], "label": pl.Series([7], dtype=pl.UInt8)})
    frame.write_parquet(tmp_path / "metadata.parquet")
    assert read_video_folder(tmp_path).clips["class_id"].to_list() == [7]


CLIP = {"video_id": "-v", "class_id": 3, "start_us": 2_000_000, "end_us": 12_000_000}


def test_kinetics_clips_are_written_in_their_splits_under_the_names_of_their_files(tmp_path: Path) -> None:
    clips = clips_of({**CLIP, "split": "validate"}, {**CLIP, "start_us": 3_000_000, "split": "train"})
    write_video_folder(tmp_path / "d", Annotations(clips=clips, label_map=MAP))
    assert (tmp_path / "d/validation/metadata.csv").read_text() == (
        "file_name,video_id,label,class_id,start_us,end_us\n-v_000002_000012.mp4,-v,wave,3,2000000,12000000\n"
    )
    rows = read_video_folder(tmp_path / "d")
    assert rows.clips.select("start_us", "split").rows() == [(3_000_000, "train"), (2_000_000, "validation")]
    assert rows.videos.rows() == [("-v", *[None] * 9)]
    with pytest.raises(Refused, match=r"train/metadata\.csv lies here already and would be read"):
        write_video_folder(tmp_path / "d", Annotations(clips=clips_of(CLIP), label_map=MAP))


BROKEN: dict[str, tuple[str, str, str]] = {
    "no header": ("csv", "a.mp4,wave\n", r"metadata\.csv:1: there is no column file_name"),
    "no text": ("csv", "", r"metadata\.csv: the file is empty\. Want a header with file_name"),
    "a column twice": ("csv", "file_name,label,label\n", r"metadata\.csv:1: the column 'label' comes twice"),
    "a comma": ("csv", "file_name,label\na.mp4,b,c\n", r"metadata\.csv:2: 3 columns, want 2 \(file_name, label\)"),
    "an open quote": ("csv", 'file_name,label\na.mp4,"b\n', r"metadata\.csv:2: this is no csv \(unexpected"),
    "a wrong number": ("csv", "file_name,start_us\na.mp4,1.5\n", r"metadata\.csv:2: start_us is '1\.5', want a whole"),
    "a wrong truth": ("csv", "file_name,is_cc\na.mp4,yes\n", r"metadata\.csv:2: is_cc is 'yes', want true or false"),
    "outside": ("csv", "file_name\na.mp4\n../b.mp4\n", r"metadata\.csv:3: file_name names no file below the folder"),
    "no file": ("jsonl", '{"label": "a"}\n', r"metadata\.jsonl:1: file_name is empty"),
    "no number": ("jsonl", '{"file_name": "a", "score": NaN}\n', r"jsonl:1: NaN is no number that JSON knows"),
    "half a pair": ("jsonl", '{"file_name": "a"}\n{"file_name": "\\ud800"}\n', r"metadata\.jsonl:2: the text '.ud800'"),
    "too deep": ("jsonl", '{"file_name": "a"}\n' + "[" * 9999, r"metadata\.jsonl:2: the JSON nests too deeply"),
    "an array": ("jsonl", '{"file_name": "a"}\n[]\n', r"metadata\.jsonl:2: found \[\], want an object"),
    "no JSON": ("jsonl", '{"file_name": "a"}\n{"x"\n', r"metadata\.jsonl:2: this is not JSON"),
    "a wrong score": ("jsonl", '{"file_name": "a", "score": "1"}\n', r"metadata\.jsonl:1: score: found '1'"),
    "one for true": ("jsonl", '{"file_name": "a", "is_cc": 1}\n', r"metadata\.jsonl:1: is_cc: found 1\. Want true or"),
    "both kinds": ("jsonl", '{"file_name": "a", "label": 1}\n{"file_name": "b", "label": "x"}\n', r"some labels"),
    "not Parquet": ("parquet", "PAR0", r"metadata\.parquet: this is no Parquet file"),
    "broken Parquet": ("parquet", "PAR1PAR1", r"metadata\.parquet: cannot be read as Parquet"),
    "far": ("csv", "file_name,end_us\na.mp4,9999999999999999\n", r"end_us is 9999999999999999, want microseconds"),
    "two names": ("csv", "file_name,class_id,label\na,1,x\nb,1,y\n", r"csv:3: class 1 is \('x', None\) in one row"),
    "no id": ("csv", "file_name,class_id,label\na,1,x\nb,,y\n", r"\.csv:3: the label 'y' stands without a class_id"),
    "two paths": ("csv", "file_name,video_id\na,v\nb,v\n", r"'a' and 'b' would both be video 'v'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_in_metadata_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    ending, text, message = BROKEN[name]
    (tmp_path / f"metadata.{ending}").write_text(text)
    with pytest.raises(BadInput, match=message):
        read_video_folder(tmp_path)


def test_columns_of_another_type_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no metadata\.csv, metadata\.jsonl, metadata\.parquet and no video"):
        read_video_folder(tmp_path)
    with pytest.raises(BadInput, match=r"absent\.csv: cannot be read \(No such file"):
        read_video_folder(tmp_path / "absent.csv")
    with pytest.raises(BadInput, match=r"'\.xlsx' is no kind of metadata\. Want \.csv, \.jsonl, \.parquet"):
        read_video_folder(tmp_path / "metadata.xlsx")
    pl.DataFrame({"file_name": ["a"], "start_us": ["x"]}).write_parquet(tmp_path / "metadata.parquet")
    with pytest.raises(BadInput, match=r"the column 'start_us' is String, want Int64"):
        read_video_folder(tmp_path)
    touch(tmp_path, "train/metadata.csv")
    with pytest.raises(BadInput, match=r"there is metadata in \.csv and in \.parquet\. Keep one kind"):
        read_video_folder(tmp_path)


def test_a_parquet_file_that_stops_its_decoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.parquet"
    pl.DataFrame({"file_name": ["a.mp4", "b.mp4"] * 20, "label": ["x", None] * 20}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-8] + b"\xff\xff\xff\x7fPAR1")
    with pytest.raises(BadInput, match=r"metadata\.parquet: cannot be read as Parquet \(.*\)\. Write it again"):
        read_video_folder(path)
    monkeypatch.setattr(folder_metadata, "_DECODE", "import os; os.abort()")
    with pytest.raises(BadInput, match=r"cannot be read as Parquet \(the decoder broke off\)"):
        read_video_folder(path)


REFUSED: dict[str, tuple[Annotations, str]] = {
    "boxes": (Annotations(boxes=shaped(pl.DataFrame({"video_id": ["v"]}), BOX_COLUMNS)), "1 rows have boxes"),
    "no path": (Annotations(clips=clips_of({"video_id": "v"})), r"video 'v' has no path\. .*--videos"),
    "half a second": (Annotations(clips=clips_of({**CLIP, "end_us": 5})), "the clip of '-v' from 2000000 to 5 micro"),
    "outside": (
        Annotations(videos=shaped(pl.DataFrame({"video_id": ["v"], "path": ["a/../../v.mp4"]}), VIDEO_COLUMNS)),
        r"the path 'a/\.\./\.\./v\.mp4' names no file below the folder",
    ),
    "some splits": (
        Annotations(clips=clips_of({**CLIP, "split": "train"}, {**CLIP, "video_id": "w", "split": None})),
        "1 rows have no split, the others do",
    ),
    "another split": (
        Annotations(clips=clips_of({**CLIP, "split": "holdout"})),
        "the loader of Hugging Face finds no split by the name 'holdout'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_video_folder_cannot_hold_is_refused(name: str, tmp_path: Path) -> None:
    rows, message = REFUSED[name]
    with pytest.raises(BadInput, match=message):
        write_video_folder(tmp_path / "d", rows)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_nothing_is_written_as_nothing(ending: Any, tmp_path: Path) -> None:
    write_video_folder(tmp_path, Annotations(), ending=ending)
    back = read_video_folder(tmp_path)
    assert back.videos.is_empty()
    assert back.clips.is_empty()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_many_rows_come_back(ending: Any, tmp_path: Path) -> None:
    count = 100_000 if ending == "jsonl" else 1_000_000
    ids = pl.DataFrame({"i": range(count)}).select(pl.format("-{}", "i").alias("video_id"), pl.col("i"))
    videos = shaped(ids.with_columns(pl.format("x/{}.mp4", "video_id").alias("path")), VIDEO_COLUMNS)
    clips = ids.with_columns(pl.lit(3).alias("class_id"), pl.col("i").alias("start_us"), pl.col("i").alias("end_us"))
    rows = Annotations(videos=videos, clips=shaped(clips, CLIP_COLUMNS), label_map=MAP.head(1))
    write_video_folder(tmp_path, rows, ending=ending)
    back = read_video_folder(tmp_path)
    assert back.clips.equals(rows.clips)
    assert back.videos.equals(rows.videos)
