"""AVA, AVA-Kinetics and detections csv: the real files, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gesta.formats import (
    annotation_format_of,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    write_ava_csv,
    write_ava_kinetics_csv,
    write_detections_csv,
    write_excluded_timestamps,
    write_included_timestamps,
)
from gesta.schema import BadInput, BadRow


def test_the_real_ava_file_is_read_whole_and_written_back_to_the_byte(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations/ava/ava_val_v2.1_4videos.csv"
    rows = read_ava_csv(source)
    assert len(rows) == 11_874
    assert rows["video_id"].n_unique() == 4
    assert rows["timestamp_us"].min() == 902_000_000
    assert rows.row(2) == ("1j20qq1JyX4", 902_000_000, 0.444, 0.054, 0.992, 0.990, 12, 0, None, 3)
    write_ava_csv(tmp_path / "back.csv", rows)
    assert (tmp_path / "back.csv").read_bytes() == source.read_bytes()


def test_the_real_ava_kinetics_file_is_read_whole_and_written_back_to_the_byte(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv"
    rows = read_ava_csv(source)
    assert len(rows) == 37_426
    assert rows["class_id"].null_count() == rows["x1"].null_count() == 4_306
    assert rows["person_id"].null_count() == 37_426
    assert rows.select("video_id", "timestamp_us").n_unique() == 15_808
    assert (rows["timestamp_us"] % 1_000_000 != 0).any(), "fractions of a second must survive"
    write_ava_kinetics_csv(tmp_path / "back.csv", rows)
    assert (tmp_path / "back.csv").read_bytes() == source.read_bytes()


def test_real_detections_keep_their_scores(shared: Path, tmp_path: Path) -> None:
    source = shared / "golden/slowfast_1j20qq1JyX4/detections.csv"
    rows = read_ava_csv(source, column_8="score")
    assert len(rows) == 14_940
    assert rows["score"].null_count() == 0
    assert rows["person_id"].null_count() == 14_940
    write_detections_csv(tmp_path / "back.csv", rows, box_decimals=3, score_decimals=4)
    # The file has CRLF, which we read and do not write.
    assert (tmp_path / "back.csv").read_bytes() == source.read_bytes().replace(b"\r\n", b"\n")


def test_seven_columns_are_written_where_no_person_is_known(shared: Path, tmp_path: Path) -> None:
    source = shared / "golden/slowfast_1j20qq1JyX4/groundtruth_7col.csv"
    write_ava_csv(tmp_path / "back.csv", read_ava_csv(source).drop("person_id"))
    assert (tmp_path / "back.csv").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("split", "num_rows"), [("train", 161), ("val", 37), ("test", 66)])
def test_real_excluded_timestamps(split: str, num_rows: int, shared: Path, tmp_path: Path) -> None:
    source = shared / f"annotations/ava/ava_{split}_excluded_timestamps_v2.2.csv"
    rows = read_excluded_timestamps(source)
    assert len(rows) == num_rows
    write_excluded_timestamps(tmp_path / "back.csv", rows)
    assert (tmp_path / "back.csv").read_bytes() == source.read_bytes()


def test_real_included_timestamps(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations/ava/ava_included_timestamps_v2.2.txt"
    rows = read_included_timestamps(source)
    assert rows["timestamp_us"].to_list() == [second * 1_000_000 for second in range(902, 1799)]
    write_included_timestamps(tmp_path / "back.txt", rows["timestamp_us"])
    assert (tmp_path / "back.txt").read_bytes() == source.read_bytes()


def test_one_time_has_many_texts_and_an_id_may_begin_with_a_sign(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf-v,0902\r\n_v,902\r\n\r\n"a,""b""",902.000,.1,0.2,0.3,0.4,12\r\n-v,902.5\r\n')
    rows = read_ava_csv(path)
    assert rows["video_id"].to_list() == ["-v", "_v", 'a,"b"', "-v"]
    assert rows["timestamp_us"].to_list() == [902_000_000] * 3 + [902_500_000]
    assert rows["line"].to_list() == [1, 2, 4, 5]
    assert annotation_format_of(path) == "ava"


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    assert read_ava_csv(tmp_path / "a.csv").is_empty()
    assert read_excluded_timestamps(tmp_path / "a.csv").is_empty()
    write_ava_csv(tmp_path / "b.csv", read_ava_csv(tmp_path / "a.csv"))
    assert (tmp_path / "b.csv").read_bytes() == b""


OK = "v,0902,0.1,0.2,0.3,0.4,12,0\n"
BROKEN = {
    "three columns": (OK + "v,0903,1\n", r"a\.csv:2: 3 columns, want 2, 7 or 8 \(video id, seconds; .*Quote a comma"),
    "nine columns": (OK + OK.strip() + ",\n", r"a\.csv:2: 9 columns"),
    "a header": ("video_id,seconds\n" + OK, r"a\.csv:1: 'seconds' is no time .*no header"),
    "a time in words": ("\n\nv,1e3\n", r"a\.csv:3: '1e3' is no time in a video"),
    "a negative time": ("v,-1\n", r"a\.csv:1: '-1' is no time in a video"),
    "no id": (OK + ",0903\n", r"a\.csv:2: the video id is empty\. Write the id"),
    "no box": ("v,0902,,,,,,\n", r"a\.csv:1: x1 is '', want a finite number\. Write a key-frame without boxes as two"),
    "an infinite box": ("v,0902,0,0,inf,1,12\n", r"a\.csv:1: x2 is 'inf', want a finite number"),
    "a fractional class": ("v,0902,0,0,1,1,12.0\n", r"a\.csv:1: class_id is '12\.0', want an action's whole number"),
    "a score for a person": ("v,0902,0,0,1,1,12,0.5\n", r"a\.csv:1: person_id is '0\.5', want .*file of detections"),
    "an unclosed quote": (OK + '"v,0902\n' + OK, r"a\.csv:2: the quotes do not pair .*double a quote inside"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_named_with_what_and_how_to_mend(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BadRow, match=message):
        read_ava_csv(tmp_path / "a.csv")


def test_other_broken_files_are_named_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(BadInput, match=r"a\.csv: cannot be read \(No such file or directory\)\. Name a file"):
        read_ava_csv(path)
    path.write_bytes(b"v,0902\nv\xff,0903\n")
    with pytest.raises(BadRow, match=r"a\.csv:2: this line is not UTF-8 text\. Save the file as UTF-8"):
        read_ava_csv(path)
    path.write_text("v,0902,0,0,1,1,12,nan\n")
    with pytest.raises(BadRow, match=r"a\.csv:1: score is 'nan', want a finite number"):
        read_ava_csv(path, column_8="score")
    path.write_text("v,0902,0.1,0.2,0.3,0.4,1\n")
    with pytest.raises(BadRow, match=r"a\.csv:1: 7 columns, want 2 \(video id, seconds\)"):
        read_excluded_timestamps(path)
    path.write_text("0902\nnoon\n")
    with pytest.raises(BadRow, match=r"a\.csv:2: 'noon' is no time in a video, in seconds\. Write one time a line"):
        read_included_timestamps(path)


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    rows = pl.DataFrame({"video_id": ["a\nb"], "timestamp_us": [0], "class_id": [1]})
    rows = rows.with_columns(pl.lit(0.5).alias(name) for name in ("x1", "y1", "x2", "y2"))
    with pytest.raises(BadInput, match=r"a\.csv: video_id 'a\\nb' cannot be written.*without line breaks"):
        write_ava_csv(tmp_path / "a.csv", rows)
    half = rows.with_columns(pl.lit("v").alias("video_id"), pl.lit(None, dtype=pl.Float64).alias("y2"))
    with pytest.raises(BadInput, match=r"a\.csv: a row has a part of a box or of its class only"):
        write_ava_csv(tmp_path / "a.csv", half)
    assert list(tmp_path.iterdir()) == []
