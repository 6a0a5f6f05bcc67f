"""Work folders and releases: each code of theirs is found, and the folders that the line writes are clean."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gesta.lint import CODES, lint_targets
from gesta.lint.dataset import lint_dataset
from gesta.release import run_release
from gesta.schema import BadInput
from gesta.tables import made_by, read_table, table_path, write_table

write_work = runpy.run_path(str(Path(__file__).parents[1] / "release" / "tables_by_hand.py"))["write_work"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder whose video files are there; the ids of its label map have gaps."""
    folder = write_work(tmp_path / "work")
    for path in read_table(folder, "videos")["path"]:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"a video")
    return folder


def change(folder: Path, table: str, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """The table written anew, with a sidecar that fits it."""
    frame = edit(read_table(folder, table))
    write_table(table_path(folder, table), table, frame, made_by=made_by("test", arguments={}, inputs={}))


def codes_of(folder: Path) -> list[str]:
    return [found.code for found in lint_targets([folder]).findings]


def where_first(column: str, value: object) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


def test_what_the_line_writes_is_clean(work: Path) -> None:
    assert codes_of(work) == ["map-id-gap"]
    run_release(work)
    report = lint_targets([work / "releases" / "1.0.0"])
    assert [one.code for one in report.findings] == ["map-id-gap"]
    assert report.files[0][1] == "release"
    assert report.files[0][2] > 100


def test_the_files_that_a_release_exports_have_no_error(work: Path) -> None:
    run_release(work)
    release = work / "releases" / "1.0.0"
    files = [*sorted(release.glob("*_*.csv")), *sorted(release.glob("*.pbtxt")), *sorted(release.glob("coco_*.json"))]
    report = lint_targets(files)
    assert len(report.files) >= 11
    assert [one for one in report.findings if one.severity == "error"] == []


EDITS: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "clip-unknown": ("kept", lambda t: t.with_columns(where_first("clip_id", "nowhere"))),
    "class-unknown": ("kept", lambda t: t.with_columns(where_first("class_id", 99))),
    "video-missing": ("kept", lambda t: t.with_columns(where_first("video_id", "nowhere"))),
    "box-outside": ("tracks", lambda t: t.with_columns(where_first("x2", 1.2))),
    "box-inverted": ("box_labels", lambda t: t.with_columns(where_first("x2", 0.001))),
    "key-frame-outside-clip": ("key_frames", lambda t: t.with_columns(where_first("timestamp_us", 3_000_000))),
    "key-frame-near-end": ("key_frames", lambda t: t.with_columns(where_first("timestamp_us", 2_500_000))),
    "clip-outside-video": ("videos", lambda t: t.with_columns(where_first("duration_us", 1_000_000))),
    "clip-inverted": ("clips", lambda t: t.with_columns(where_first("end_us", 0))),
    "map-name-twice": ("label_map", lambda t: t.with_columns(where_first("name", "arm wrestling"))),
}


@pytest.mark.parametrize("code", EDITS)
def test_a_broken_table_is_found(code: str, work: Path) -> None:
    table, edit = EDITS[code]
    change(work, table, edit)
    found = {one.code: one for one in lint_targets([work]).findings}
    assert code in found
    assert found[code].where.startswith(str(work))
    assert found[code].line is None


def test_a_table_changed_by_hand_or_half_written(work: Path) -> None:
    table_path(work, "kept").write_bytes(table_path(work, "duplicates").read_bytes())
    found = {one.code: one for one in lint_targets([work]).findings}
    assert "is not what its sidecar says" in found["table-differs"].message
    assert "is not one of table 'kept'" in found["table-unreadable"].message
    table_path(work, "kept").with_name("kept.parquet.json").unlink()
    assert "has no sidecar" in {one.code: one for one in lint_targets([work]).findings}["table-differs"].message


def test_a_release_that_was_changed_is_found(work: Path) -> None:
    run_release(work)
    release = work / "releases" / "1.0.0"
    (release / "kinetics_train.csv").write_text("label\n")
    (release / "ava_val.csv").unlink()
    (release / "more.txt").write_text("more")
    found = lint_targets([release]).findings
    assert [one.code for one in found] == ["manifest-differs", "map-id-gap"]
    assert [found[0].message, *(place.message for place in found[0].more)] == [
        "ava_val.csv is missing", "more.txt is not in the manifest", "kinetics_train.csv was changed",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{", "[]", '{"files": 3}', '{"files": {"a": 1}}', "[" * 100_000, b"\xff\xfe"])
def test_a_manifest_that_is_none_is_a_finding(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert codes_of(tmp_path) == ["manifest-differs"]


def test_splits_that_share_a_video_footage_or_lack_a_class(work: Path) -> None:
    run_release(work)
    release = work / "releases" / "1.0.0"
    splits = read_table(release, "splits")
    one, other = splits["clip_id"][0], splits.filter(pl.col("split") != splits["split"][0])["clip_id"][0]
    first = splits.filter(clip_id=other)["video_id"][0]
    change(release, "splits", lambda t: t.with_columns(where_first("video_id", first)))
    assert any(code in ("leak-train", "leak-val-test") for code in codes_of(release))
    low, high = sorted((one, other))
    change(
        work,
        "duplicates",
        lambda t: t.head(1).with_columns(
            pl.lit(low).alias("clip_id_a"), pl.lit(high).alias("clip_id_b"), pl.lit(low).alias("kept_clip_id")
        ),
    )
    made = made_by("test", arguments={}, inputs={})
    write_table(table_path(work, "splits"), "splits", splits, made_by=made)
    assert "leak-footage" in codes_of(work)
    all_train = splits.with_columns(pl.lit("train").alias("split"))
    write_table(table_path(work, "splits"), "splits", all_train, made_by=made)
    found = {found.code: found for found in lint_targets([work]).findings}
    assert found["class-missing-in-split"].count == 4
    assert found["class-missing-in-split"].message == "class 'archery' has no clip in test"


def test_a_folder_that_is_none_of_them_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither a work folder nor a release"):
        lint_dataset(tmp_path)


def test_the_codes_named_here_are_there() -> None:
    assert set(EDITS) <= set(CODES)
