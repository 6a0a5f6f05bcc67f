"""Kinetics csv: the real files, every set of columns, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gesta.formats import Context, annotation_format_of, read_annotations, read_kinetics_csv, write_kinetics_csv
from gesta.schema import BadInput, BadRow

FILES = [
    ("kinetics-400_val", 19_906, 400, "val", True),
    ("kinetics-400_test", 38_685, None, "test", True),
    ("kinetics-600_val", 30_000, 600, "val", False),
    ("kinetics-700_validate", 34_173, 700, "validate", False),
    ("kinetics-700_test", 67_714, None, "test", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "num_rows", "num_classes", "split", "quotes"), FILES)
def test_real_files_are_read_whole_and_written_back_to_the_byte(
    *,
    name: str,
    num_rows: int,
    num_classes: int | None,
    split: str,
    quotes: bool,
    shared: Path,
    tmp_path: Path,
) -> None:
    source = shared / f"annotations/kinetics/{name}.csv"
    assert annotation_format_of(source) == "kinetics"
    rows = read_kinetics_csv(source)
    assert len(rows) == num_rows
    assert rows["split"].unique().to_list() == [split]
    if num_classes is None:
        assert rows["label"].null_count() == num_rows
    else:
        assert rows["label"].n_unique() == num_classes
    write_kinetics_csv(tmp_path / "back.csv", rows, quote_spaces=quotes)
    assert (tmp_path / "back.csv").read_bytes() == source.read_bytes()


def test_what_is_known_of_k400_val_holds(shared: Path) -> None:
    rows = read_kinetics_csv(shared / "annotations/kinetics/kinetics-400_val.csv")
    assert rows["is_cc"].sum() == 519
    assert (rows["end_us"] - rows["start_us"]).unique().to_list() == [10_000_000]
    assert rows["video_id"].str.contains("^[-_]").sum() == 934
    per_class = rows.group_by("label").len()["len"]
    assert (per_class.min(), per_class.max()) == (46, 50)
    assert "massaging person's head" in rows["label"]


@pytest.mark.parametrize("name", ["countix_train", "countix_val"])
def test_countix_has_another_header_and_is_refused_with_what_is_wanted(name: str, shared: Path) -> None:
    with pytest.raises(BadRow, match=rf"{name}\.csv:1: the header lacks 'youtube_id', 'time_start', 'time_end'\. Want"):
        read_kinetics_csv(shared / f"annotations/countix/{name}.csv")


def test_k600_has_videos_twice(shared: Path) -> None:
    rows = read_kinetics_csv(shared / "annotations/kinetics/kinetics-600_val.csv")
    assert len(rows) - rows["video_id"].n_unique() == 6
    assert rows.select("video_id", "start_us").n_unique() == len(rows)


def test_columns_come_in_any_order_and_times_may_have_fractions(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    path.write_bytes(b'\xef\xbb\xbftime_end,youtube_id,time_start,label\r\n12.25,-v,2,"say ""a, b"""\r\n')
    rows = read_kinetics_csv(path)
    assert rows.rows() == [('say "a, b"', "-v", 2_000_000, 12_250_000, None, None, 2)]
    write_kinetics_csv(tmp_path / "back.csv", rows)
    text = (tmp_path / "back.csv").read_text()
    assert text == 'label,youtube_id,time_start,time_end\n"say ""a, b""",-v,2,12.25\n'


HEAD = "label,youtube_id,time_start,time_end,split\n"
BROKEN = {
    "no header": ("abseiling,v,0,10,val\n", r"k\.csv:1: the header lacks 'youtube_id', 'time_start', 'time_end'\."),
    "an unknown column": (HEAD.replace("split", "fold"), r"k\.csv:1: the header has the unknown 'fold'"),
    "a double column": (HEAD.replace("split", "label"), r"k\.csv:1: the header repeats 'label'"),
    "a short line": (HEAD + "a,v,0,10\n", r"k\.csv:2: 4 columns, want 5 \(label, youtube_id,"),
    "a comma in a label": (HEAD + "a,b,v,0,10,val\n", r"k\.csv:2: 6 columns, want 5 .*Quote a comma inside a cell"),
    "no label": (HEAD + "a,v,0,10,val\n,v,0,10,val\n", r"k\.csv:3: label is empty\. Fill it in, or leave the column"),
    "no id": (HEAD + "a,,0,10,val\n", r"k\.csv:2: youtube_id is empty"),
    "no start": (HEAD + "a,v,,10,val\n", r"k\.csv:2: time_start is '', want seconds"),
    "an end in words": (HEAD + "a,v,0,end,val\n", r"k\.csv:2: time_end is 'end', want seconds"),
    "a licence in words": (HEAD.replace("split", "is_cc") + "a,v,0,1,yes\n", r"k\.csv:2: is_cc is 'yes', want 0 or 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_named_with_what_and_how_to_mend(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    (tmp_path / "k.csv").write_text(text)
    with pytest.raises(BadRow, match=message):
        read_kinetics_csv(tmp_path / "k.csv")


def test_an_empty_file_is_refused_and_a_header_alone_is_not(tmp_path: Path) -> None:
    (tmp_path / "k.csv").touch()
    with pytest.raises(BadInput, match=r"k\.csv: the file is empty\. Want a header: label,youtube_id"):
        read_kinetics_csv(tmp_path / "k.csv")
    with pytest.raises(BadInput, match=r"k\.csv: the file is empty\. Want a Kinetics csv or an AVA csv"):
        annotation_format_of(tmp_path / "k.csv")
    (tmp_path / "k.csv").write_text(HEAD)
    assert read_kinetics_csv(tmp_path / "k.csv").is_empty()


def test_a_file_of_neither_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text("hello,world\n")
    with pytest.raises(BadInput, match=r"k\.csv: neither a Kinetics csv nor an AVA csv\. A Kinetics csv begins with"):
        annotation_format_of(tmp_path / "k.csv")


def test_rows_with_and_without_a_label_do_not_share_a_file(tmp_path: Path) -> None:
    rows = pl.DataFrame({"label": ["a", None], "video_id": ["v", "w"], "start_us": [0, 0], "end_us": [1, 1]})
    with pytest.raises(BadInput, match=r"k\.csv: 1 rows have no label, the others do\. Write two files"):
        write_kinetics_csv(tmp_path / "k.csv", rows)


def test_a_class_that_the_label_map_lacks_is_named_with_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "val.csv"
    path.write_text("label,youtube_id,time_start,time_end,split\nclap,a,0,10,val\n\nwave,b,0,10,val\nwave,c,0,10,val\n")
    context = Context(label_map=pl.DataFrame({"class_id": [1], "name": ["clap"]}))
    with pytest.raises(
        BadRow, match=r"val\.csv:4: the label map has no class 'wave'\. Give the label map that belongs"
    ):
        read_annotations(path, format_name="kinetics", context=context)
