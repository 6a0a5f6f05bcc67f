"""Files of detected tubes and of detections on frames, as MultiSports' evaluation takes them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.formats.tube_detections import FRAME_COLUMNS, TUBE_COLUMNS, read_tube_detections, write_tube_detections
from gesta.schema import BadInput

VIDEOS = ["s/-a", "s/b"]


def dumped(folder: Path, value: object) -> Path:
    path = folder / "found.pkl"
    path.write_bytes(pickle.dumps(value, 4))
    return path


def boxes(first: int, num: int, *, columns: int = 6) -> np.ndarray:
    return np.array([[first + i, 10, 20, 30, 40.5, 0.25][:columns] for i in range(num)], dtype=np.float32)


def test_tubes(tmp_path: Path) -> None:
    value = {
        0: [("s/b", np.float64(0.5), boxes(3, 2)), ("s/-a", 0.25, boxes(1, 1, columns=5))],
        1: [("s/b", 1, boxes(9, 1))],
        2: [],
    }
    rows, are_tubes = read_tube_detections(dumped(tmp_path, value), videos=VIDEOS)
    assert are_tubes
    assert rows.schema == pl.Schema(TUBE_COLUMNS)
    assert rows.rows() == [
        ("s/b", 0, 0, 3, 10.0, 20.0, 30.0, 40.5, 0.5, 0.25),
        ("s/b", 0, 0, 4, 10.0, 20.0, 30.0, 40.5, 0.5, 0.25),
        ("s/-a", 0, 0, 1, 10.0, 20.0, 30.0, 40.5, 0.25, None),
        ("s/b", 1, 1, 9, 10.0, 20.0, 30.0, 40.5, 1.0, 0.25),
    ]
    write_tube_detections(tmp_path / "back.pkl", rows)
    assert read_tube_detections(tmp_path / "back.pkl", videos=VIDEOS)[0].equals(rows)
    write_tube_detections(tmp_path / "back.pkl", rows.clear())
    back, are_tubes = read_tube_detections(tmp_path / "back.pkl", videos=VIDEOS)
    assert are_tubes
    assert back.equals(rows.clear())


@pytest.mark.parametrize("as_list", [True, False])
def test_frames(tmp_path: Path, *, as_list: bool) -> None:
    rows = np.array([[1, 3, 7, 0.5, 10, 20, 30, 40.5], [0, 1, 0, 0.25, 1, 2, 3, 4]])
    found, are_tubes = read_tube_detections(dumped(tmp_path, list(rows) if as_list else rows), videos=VIDEOS)
    assert not are_tubes
    assert found.schema == pl.Schema(FRAME_COLUMNS)
    assert found.rows() == [("s/b", 7, 3, 10.0, 20.0, 30.0, 40.5, 0.5), ("s/-a", 0, 1, 1.0, 2.0, 3.0, 4.0, 0.25)]
    assert read_tube_detections(dumped(tmp_path, []), videos=VIDEOS)[0].is_empty()


@pytest.mark.parametrize("as_list", [True, False])
def test_a_signalling_nan_on_a_frame_is_refused_without_a_warning(tmp_path: Path, *, as_list: bool) -> None:
    rows = np.full((1, 8), 0x7F800001, "u4").view("f4")
    value = [np.zeros(8), rows[0]] if as_list else rows
    with pytest.raises(BadInput, match=r"found\.pkl: holds a number that is not finite"):
        read_tube_detections(dumped(tmp_path, value), videos=VIDEOS)


FRAME = [1.0, 3, 7, 0.5, 10, 20, 30, 40.5]
BROKEN: list[tuple[object, str]] = [
    ({"0": []}, "a key is '0', want the number of a label"),
    ({-1: []}, "a key is '-1'"),
    ({0: boxes(1, 1)}, "label 0 has a ndarray"),
    ({0: [("s/b", 0.5)]}, r"label 0, tube 0: no \(video, score, array\)"),
    ({0: [(7, 0.5, boxes(1, 1))]}, "the video is no name"),
    ({0: [("\ud800", 0.5, boxes(1, 1))]}, "the video is no name"),
    ({0: [("s/b", "x", boxes(1, 1))]}, "the score is no number"),
    ({0: [("s/b", float("nan"), boxes(1, 1))]}, "the score is no number"),
    ({0: [("s/b", 10**400, boxes(1, 1))]}, "the score is no number"),
    ({0: [("s/b", 0.5, boxes(1, 1)[:, :4])]}, "the boxes are no array of numbers"),
    ({0: [("s/b", 0.5, boxes(0, 1))]}, "a frame's number is none"),
    ({0: [("s/b", 0.5, boxes(1, 900))] * 900}, "boxes in .* bytes"),
    ([1, 2], "holds neither tubes nor detections on frames"),
    (np.zeros((2, 7)), "holds neither tubes nor detections"),
    (np.array([FRAME]) * np.nan, "not finite"),
    (np.array([[2.0, *FRAME[1:]]]), "2 is no place among 2 videos"),
    (np.array([[0.5, *FRAME[1:]]]), "0.5 is no place among 2 videos"),
    (np.array([[0, 0, *FRAME[2:]]]), "a frame's number is none"),
    (np.array([[0, 1, -1, *FRAME[3:]]]), "a label is no number of one"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "message"), BROKEN)
def test_what_is_neither_is_said(*, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"found\.pkl: .*{message}"):
        read_tube_detections(dumped(tmp_path, value), videos=VIDEOS)


def test_what_is_no_tube_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no column tube_id, score"):
        write_tube_detections(tmp_path / "x.pkl", pl.DataFrame(schema=TUBE_COLUMNS).drop("tube_id", "score"))
