"""Tables appear whole, say what made them, and refuse what they are not."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from gesta.schema import BadInput, Candidate, Clip, MissingTable, Reject, UnknownName, WrongSchema
from gesta.tables import (
    Provenance,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    made_by,
    read_rejects,
    read_sidecar,
    read_table,
    rows_of,
    sha256_of_file,
    sidecar_path,
    table_path,
    whole_file,
    write_rejects,
    write_table,
)

CLIPS = [
    Clip(clip_id="b", video_id="-v", start_us=0, end_us=2),
    Clip(clip_id="a", video_id="_v", start_us=1, end_us=3),
]


@pytest.fixture
def made() -> Provenance:
    return made_by("mine", arguments={"clip_s": 10.0}, inputs={"videos": "0" * 64})


def test_a_table_is_sorted_by_its_key_and_comes_back(tmp_path: Path, made: Provenance) -> None:
    write_table(table_path(tmp_path, "clips"), "clips", frame_of("clips", CLIPS), made_by=made)
    assert rows_of("clips", read_table(tmp_path, "clips")) == [CLIPS[1], CLIPS[0]]


def test_the_sidecar_says_what_made_the_table(tmp_path: Path, made: Provenance) -> None:
    path = write_table(tmp_path / "clips.parquet", "clips", frame_of("clips", CLIPS), made_by=made)
    sidecar = read_sidecar(path)
    assert sidecar is not None
    assert sidecar["table"] == "clips"
    assert sidecar["schema_version"] == 1
    assert sidecar["num_rows"] == 2
    assert sidecar["sha256"] == sha256_of_file(path)
    assert sidecar["made_by"]["stage"] == "mine"
    assert sidecar["made_by"]["arguments"] == {"clip_s": 10.0}
    assert sidecar["made_by"]["inputs"] == {"videos": "0" * 64}
    assert set(sidecar["made_by"]["tools"]) == {"gesta", "polars", "python"}
    assert hashes_of(tmp_path, ["clips"]) == {"clips": sidecar["sha256"]}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_equal_rows_give_equal_bytes(suffix: str, tmp_path: Path, made: Provenance) -> None:
    one = write_table(tmp_path / f"one{suffix}", "clips", frame_of("clips", CLIPS), made_by=made)
    two = write_table(tmp_path / f"two{suffix}", "clips", frame_of("clips", CLIPS[::-1]), made_by=made)
    assert one.read_bytes() == two.read_bytes()


def test_a_stage_is_current_only_with_the_same_arguments(tmp_path: Path, made: Provenance) -> None:
    path = write_table(tmp_path / "clips.parquet", "clips", frame_of("clips", CLIPS), made_by=made)
    assert is_current(path, made)
    assert not is_current(path, made_by("mine", arguments={"clip_s": 4.0}, inputs={"videos": "0" * 64}))
    for broken in (b"{broken", b"\x80", b"[" * 100_000, b"9" * 5000):
        sidecar_path(path).write_bytes(broken)
        assert not is_current(path, made)


def test_a_wrong_type_names_column_expected_and_found(tmp_path: Path) -> None:
    frame = frame_of("clips", CLIPS).with_columns(pl.col("start_us").cast(pl.Float64))
    frame.write_parquet(tmp_path / "clips.parquet")
    with pytest.raises(WrongSchema, match=r"column 'start_us' of table 'clips': expected Int64, found Float64"):
        read_table(tmp_path, "clips")


def test_a_missing_column_names_it(tmp_path: Path) -> None:
    frame_of("clips", CLIPS).drop("end_us").write_parquet(tmp_path / "clips.parquet")
    with pytest.raises(WrongSchema, match=r"column 'end_us' of table 'clips' is missing: expected Int64, found no"):
        read_table(tmp_path, "clips")


def test_columns_that_a_kind_gained_are_null_in_older_files(tmp_path: Path, made: Provenance) -> None:
    rows = [Candidate(clip_id="a", class_id=1, source="title", query="bow", score=1.0, language="en", position_us=7)]
    path = write_table(table_path(tmp_path, "candidates"), "candidates", frame_of("candidates", rows), made_by=made)
    older = read_table(tmp_path, "candidates").drop("language", "position_us")
    older.write_parquet(path)
    assert read_table(tmp_path, "candidates").rows() == [("a", 1, "title", "bow", 1.0, None, None)]
    older.drop("query").write_parquet(path)
    with pytest.raises(WrongSchema, match="column 'query' of table 'candidates' is missing"):
        read_table(tmp_path, "candidates")


def test_an_unknown_column_names_it(tmp_path: Path) -> None:
    frame_of("clips", CLIPS).with_columns(extra=1).write_parquet(tmp_path / "clips.parquet")
    with pytest.raises(WrongSchema, match="column 'extra' is not one of table 'clips'"):
        read_table(tmp_path, "clips")


def test_a_null_where_none_may_be_names_column_and_row(tmp_path: Path) -> None:
    frame = frame_of("clips", CLIPS).with_columns(video_id=pl.Series(["v", None]))
    frame.write_parquet(tmp_path / "clips.parquet")
    with pytest.raises(
        WrongSchema, match=r"'video_id' of table 'clips': expected a value.*1 nulls, the first in row 1. Write the"
    ):
        read_table(tmp_path, "clips")


@pytest.mark.parametrize("dtype", [pl.UInt64, pl.Int128])
def test_a_number_that_int64_does_not_hold_is_refused(dtype: type[pl.DataType], tmp_path: Path) -> None:
    wide = frame_of("clips", CLIPS).with_columns(pl.col("end_us").cast(dtype))
    wide.write_parquet(tmp_path / "clips.parquet")
    assert read_table(tmp_path, "clips").schema["end_us"] == pl.Int64
    wide.with_columns(pl.lit(2**63, dtype=dtype).alias("end_us")).write_parquet(tmp_path / "clips.parquet")
    with pytest.raises(WrongSchema, match=r"'end_us' of table 'clips': expected Int64, found a U?Int[0-9]+ beyond it"):
        read_table(tmp_path, "clips")


def test_a_decoder_that_gives_up_is_an_error_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(_: Path) -> pl.DataFrame:
        raise pl.exceptions.PanicException("assertion failed")

    frame_of("clips", CLIPS).write_parquet(tmp_path / "clips.parquet")
    monkeypatch.setattr(pl, "read_parquet", give_up)
    with pytest.raises(BadInput, match=r"clips\.parquet: cannot be read as a table \(assertion failed\)"):
        read_table(tmp_path, "clips")


def test_another_schema_version_is_refused(tmp_path: Path, made: Provenance) -> None:
    path = write_table(tmp_path / "clips.parquet", "clips", frame_of("clips", CLIPS), made_by=made)
    sidecar = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({**sidecar, "schema_version": 99}))
    with pytest.raises(WrongSchema, match="schema version 99, expected 1"):
        read_table(tmp_path, "clips")


def test_two_rows_with_one_key_are_refused_and_leave_nothing(tmp_path: Path, made: Provenance) -> None:
    with pytest.raises(BadInput, match="two rows with clip_id='b'"):
        write_table(tmp_path / "clips.parquet", "clips", frame_of("clips", [CLIPS[0], CLIPS[0]]), made_by=made)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.parquet").write_bytes(b"not parquet")
    with pytest.raises(BadInput, match="cannot be read as a table"):
        read_table(tmp_path, "clips")


def test_a_missing_table_names_its_verb(tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match="Run `gesta mine` first"):
        read_table(tmp_path, "clips")


def test_an_unknown_kind_lists_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'clips'"):
        read_table(tmp_path, "clip")


def test_a_file_whose_writing_fails_does_not_appear_and_the_old_one_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_rejects_of_all_stages_are_read_together(tmp_path: Path, made: Provenance) -> None:
    assert read_rejects(tmp_path).equals(empty_frame("rejects"))
    write_rejects(tmp_path, "mine", [Reject(stage="mine", reason="short", video_id="v")], made_by=made)
    write_rejects(tmp_path, "import", [Reject(stage="import", reason="empty", path="x.mp4")], made_by=made)
    assert read_rejects(tmp_path)["stage"].to_list() == ["import", "mine"]
