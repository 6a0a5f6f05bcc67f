"""Annotations of any format get the checks that need no line."""

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
from gesta.lint import Against, lint_annotations, lint_file, lint_targets
from gesta.schema import BadInput, BadRow, UnknownName

NAMES = pl.DataFrame({"class_id": [1, 2], "name": ["run", "jump"]})


def annotations(
    *,
    boxes: dict[str, list[object]] | None = None,
    clips: dict[str, list[object]] | None = None,
    videos: dict[str, list[object]] | None = None,
    label_map: pl.DataFrame = NAMES,
) -> Annotations:
    return Annotations(
        videos=shaped(pl.DataFrame(videos or {"video_id": []}), VIDEO_COLUMNS),
        clips=shaped(pl.DataFrame(clips or {"video_id": []}), CLIP_COLUMNS),
        boxes=shaped(pl.DataFrame(boxes or {"video_id": []}), BOX_COLUMNS),
        label_map=shaped(label_map, LABEL_MAP_COLUMNS),
    )


def boxes(**changes: list[object]) -> dict[str, list[object]]:
    rows: dict[str, list[object]] = {
        "video_id": ["v", "v"], "timestamp_us": [1_000_000, 2_000_000], "x1": [0.1, 0.1], "y1": [0.1, 0.1],
        "x2": [0.2, 0.2], "y2": [0.5, 0.5], "class_id": [1, 2], "person_id": [0, 0],
    }  # fmt: skip
    return {**rows, **changes}


def clips(**changes: list[object]) -> dict[str, list[object]]:
    rows: dict[str, list[object]] = {
        "video_id": ["v", "w"], "start_us": [0, 0], "end_us": [1_000_000, 2_000_000], "class_id": [1, 2],
    }  # fmt: skip
    return {**rows, **changes}


def codes(found: Annotations, *, against: Against | None = None, context: Context | None = None) -> list[str]:
    return [one.code for one in lint_annotations(found, where="x.json", against=against, context=context)]


def test_clean_annotations_have_no_finding() -> None:
    assert codes(annotations(boxes=boxes(), clips=clips())) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("file-empty", annotations(label_map=NAMES.head(0))),
        ("box-inverted", annotations(boxes=boxes(x1=[0.1, 0.3]))),
        ("box-pixels", annotations(boxes=boxes(x2=[0.2, 64.0]))),
        ("person-missing", annotations(boxes=boxes(person_id=[0, None]))),
        ("class-unknown", annotations(boxes=boxes(class_id=[1, 3]))),
        ("time-outside-video", annotations(boxes=boxes(), videos={"video_id": ["v"], "duration_us": [1_500_000]})),
        ("score-outside", annotations(boxes=boxes(score=[0.5, 2.0]))),
        ("clip-inverted", annotations(clips=clips(end_us=[0, 2_000_000]))),
        ("clip-outside-video", annotations(clips=clips(), videos={"video_id": ["v", "w"], "duration_us": [10**6] * 2})),
        ("row-twice", annotations(clips=clips(video_id=["v", "v"], end_us=[5, 5], class_id=[1, 1]))),
        ("split-odd", annotations(clips=clips(split=["training", "train"]))),
        ("score-outside", annotations(clips=clips(score=[-0.5, 0.5]))),
        ("map-id-twice", annotations(clips=clips(), label_map=pl.concat([NAMES, NAMES.head(1)]))),
        ("label-spelling", annotations(clips=clips(), label_map=NAMES.with_columns(name=pl.Series(["run", "Run"])))),
    ],
)
def test_what_is_wrong_is_found_without_a_line(code: str, found: Annotations) -> None:
    one = {one.code: one for one in lint_annotations(found, where="x.json", context=Context(label_map=NAMES))}[code]
    assert (one.where, one.line) == ("x.json", None)


def test_actions_in_an_untrimmed_video_are_no_repetition() -> None:
    twice = clips(video_id=["v", "v"], start_us=[0, 5_000_000], end_us=[1_000_000, 6_000_000], class_id=[1, 1])
    assert codes(annotations(clips=twice, label_map=NAMES.head(1))) == []


def test_a_second_clip_of_ten_seconds_is_one_too_many() -> None:
    twice = clips(video_id=["v", "v"], start_us=[0, 5 * 10**6], end_us=[10**7, 15 * 10**6], class_id=[1, 1])
    assert codes(annotations(clips=twice, label_map=NAMES.head(1))) == ["id-twice-in-class"]


def test_formats_may_number_classes_from_0() -> None:
    from_0 = pl.DataFrame({"class_id": [0, 1], "name": ["run", "jump"]})
    assert codes(annotations(clips=clips(class_id=[0, 1]), label_map=from_0)) == []


def test_a_whole_file_without_times_is_no_inverted_clip() -> None:
    assert codes(annotations(clips=clips(start_us=[None, None], end_us=[None, None]))) == []


def test_splits_of_two_formats_are_held_against_each_other(tmp_path: Path) -> None:
    for name in ("a_train.json", "b_val.json"):
        (tmp_path / name).write_text("{}")

    def reader(path: Path, _name: str | None, _context: Context) -> tuple[str, Annotations]:
        return "some-json", annotations(clips=clips())

    report = lint_targets([tmp_path / "a_train.json", tmp_path / "b_val.json"], reader=reader)
    assert [(one.code, one.count, Path(one.where).name) for one in report.findings] == [
        ("leak-train", 2, "a_train.json")
    ]
    assert report.files[0][1:] == ("some-json", 2)


def test_what_a_reader_refuses_is_one_finding_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")

    def refuses_a_row(path: Path, _name: str | None, _context: Context) -> tuple[str, Annotations]:
        raise BadRow("no number", path=path, line=7)

    def refuses_all(path: Path, _name: str | None, _context: Context) -> tuple[str, Annotations]:
        raise BadInput("no JSON", where=path)

    found = lint_file(path, reader=refuses_a_row).findings
    assert [(one.code, one.line, one.message) for one in found] == [("file-unreadable", 7, "no number")]
    found = lint_file(path, reader=refuses_all).findings
    assert [(one.code, one.line, one.message) for one in found] == [("file-unreadable", None, "no JSON")]
    assert [one.code for one in lint_file(path).findings] == ["file-unknown"]


def test_any_format_that_converts_is_linted(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"a": {"annotations": {"label": "run", "segment": [9, 5]}, "subset": "val", "duration": 10}}')
    report = lint_targets([path])
    assert report.files[0][1] == "kinetics-json"
    assert [one.code for one in report.findings] == ["clip-inverted"]
    path.write_text('{"a": {"annotations": ')
    assert [one.code for one in lint_file(path).findings] == ["file-unreadable"]
    with pytest.raises(UnknownName, match="no kind of file 'jason'"):
        lint_file(path, kind="jason")
    assert [one.code for one in lint_file(path, kind="activitynet").findings] == ["file-unreadable"]
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 Bowling\n")
    (tmp_path / "trainlist01.txt").write_text("Archery/v_Archery_g01_c01.avi 1\nBowling/v_Bowling_g01_c01.avi 2\n")
    (tmp_path / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\nBowling/v_Bowling_g02_c01.avi\n")
    path.unlink()
    found = lint_targets([tmp_path])
    assert found.files[0][1] == "ucf101"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadInput, match="neither a work folder nor a release"):
        lint_targets([tmp_path / "nothing"])
