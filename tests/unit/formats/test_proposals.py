"""Proposals: the real pickles, both layouts, frames for seconds, and what is said of broken files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.formats.annotations import BOX_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.proposals import read_proposals, write_proposals
from gesta.schema import BadInput, BadRow


def rows_of(path: Path) -> list[tuple[object, ...]]:
    return read_proposals(path).boxes.select("video_id", "timestamp_us", "x1", "y1", "x2", "y2", "score").rows()


def dumped(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "boxes.pkl"
    path.write_bytes(pickle.dumps(value))
    return path


def test_the_real_pickles(shared: Path, tmp_path: Path) -> None:
    sample = shared / "golden/mmaction2_ava_dataset/ava_proposals_sample.pkl"
    boxes = read_proposals(sample).boxes
    assert boxes.height == 5
    assert boxes["video_id"].unique(maintain_order=True).to_list() == ["0f39OWEqJ24", "_-Z6wFjXtGQ"]
    assert boxes["timestamp_us"].unique().sort().to_list() == [902_000_000, 903_000_000]
    assert boxes.select("class_id", "person_id").null_count().row(0) == (5, 5)
    assert boxes["score"].is_between(0, 1).all()
    for source in (sample, shared / "golden/mmaction2_eval_detection/proposal.pkl"):
        read = read_proposals(source)
        write_proposals(tmp_path / "back.pkl", read)
        wanted, back = (pickle.loads(path.read_bytes()) for path in (source, tmp_path / "back.pkl"))
        assert list(wanted) == list(back)
        for key, array in wanted.items():
            np.testing.assert_array_equal(array, back[key])


def test_both_widths_empty_arrays_and_other_types(tmp_path: Path) -> None:
    path = dumped(
        tmp_path,
        {
            "a,b,0902": np.array([[0, 0, 1, 1]]), "-v,902.5": np.empty((0, 4)), "-v,903": np.array([]),
            b"w,904": np.array([[0.5, 0.25, 1, 1, 0.75]], dtype=np.float16),
        },
    )  # fmt: skip
    assert rows_of(path) == [
        ("a,b", 902_000_000, 0.0, 0.0, 1.0, 1.0, None),
        ("-v", 902_500_000, None, None, None, None, None),
        ("-v", 903_000_000, None, None, None, None, None),
        ("w", 904_000_000, 0.5, 0.25, 1.0, 1.0, 0.75),
    ]


def test_the_csv(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(b'\xef\xbb\xbf"a,b",0902,0,0,1,1\r\n-v,902.5\r\n\r\nw,904,0.5,0.25,1,1,0.75\r\n')
    assert rows_of(path) == [
        ("a,b", 902_000_000, 0.0, 0.0, 1.0, 1.0, None),
        ("-v", 902_500_000, None, None, None, None, None),
        ("w", 904_000_000, 0.5, 0.25, 1.0, 1.0, 0.75),
    ]
    write_proposals(tmp_path / "back.csv", read_proposals(path))
    assert (tmp_path / "back.csv").read_text() == (
        '"a,b",0902,0.0,0.0,1.0,1.0\n-v,902.500000\nw,0904,0.5,0.25,1.0,1.0,0.75\n'
    )


def test_frames_count_from_1_and_need_a_rate(tmp_path: Path) -> None:
    path = dumped(tmp_path, {"s/v.mp4,0377": np.array([[0, 0, 1, 1, 0.5]])})
    videos = shaped(pl.DataFrame({"video_id": ["s/v.mp4"], "fps_num": [25], "fps_den": [1]}), VIDEO_COLUMNS)
    context = Context(videos=videos)
    read = read_proposals(path, context=context, unit="frames")
    assert read.boxes["timestamp_us"].to_list() == [376 * 40_000]
    write_proposals(tmp_path / "back.pkl", read, context=context, unit="frames")
    assert list(pickle.loads((tmp_path / "back.pkl").read_bytes())) == ["s/v.mp4,0377"]
    with pytest.raises(BadInput, match=r"frame rate of video 's/v.mp4' is not known. .*--videos"):
        read_proposals(path, unit="frames")
    with pytest.raises(BadInput, match="Frames count from 1"):
        read_proposals(dumped(tmp_path, {"s/v.mp4,0": np.zeros((1, 4))}), context=context, unit="frames")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "the pickle holds a list"),
        ({7: np.zeros((1, 5))}, "a key is a int"),
        ({"v": np.zeros((1, 5))}, "the key 'v' is no video and time"),
        ({",0902": np.zeros((1, 5))}, "the key ',0902' is no video and time"),
        ({"v,-1": np.zeros((1, 5))}, "the key 'v,-1' is no video and time"),
        ({"v,x": np.zeros((1, 5))}, "the key 'v,x' is no video and time"),
        ({"\ud800,1": np.zeros((1, 5))}, "half a character"),
        ({"v,1": [[0, 0, 1, 1]]}, "the value of 'v,1' is no array of numbers but list"),
        ({"v,1": np.array([["a"]])}, "no array of numbers but array of <U1"),
        ({"v,1": np.zeros((1, 6))}, r"the array of 'v,1' has the shape \(1, 6\)"),
        ({"v,1": np.zeros((3, 0))}, r"the array of 'v,1' has the shape \(3, 0\)"),
        ({"v,1": np.zeros(5)}, r"has the shape \(5,\)"),
        ({"v,1": np.array([[0, 0, 1, np.nan]])}, "not finite"),
        (dict.fromkeys([f"v,{i}" for i in range(2000)], np.zeros((1000, 5))), "many keys name one array"),
    ],
)
def test_what_is_no_proposal_is_said(*, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"boxes.pkl: .*{message}"):
        read_proposals(dumped(tmp_path, value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v,1,0,0,1\n", ":1: 5 columns, want 2, 6 or 7"),
        ("v,1\nv,1,0,0,1,x\n", ":2: y2 is 'x', want a finite number"),
        ("v,1,0,0,1,1,nan\n", ":1: score is 'nan', want a finite number"),
        (",1\n", ":1: video_id is '', want a video's id"),
        ("v,x\n", ":1: timestamp_us is 'x', want a time in a video"),
        ("v,-1\n", ":1: timestamp_us is '-1', want a time"),
    ],
)
def test_a_broken_line_is_named(*, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(BadRow, match=f"boxes.csv{message}"):
        read_proposals(tmp_path / "boxes.csv")


def boxes(**columns: list[object]) -> Annotations:
    return Annotations(boxes=shaped(pl.DataFrame({"video_id": ["v"], "timestamp_us": [0], **columns}), BOX_COLUMNS))


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    full: dict[str, list[object]] = {"x1": [0.0], "y1": [0.0], "x2": [1.0], "y2": [1.0]}
    cases = [
        (boxes(**full, class_id=[3]), "1 boxes have an action, the first of video 'v'"),
        (boxes(x1=[0.5]), "a part of a box"),
        (boxes(score=[0.5]), "a key-frame without a box has a score"),
        (boxes(timestamp_us=[-1]), "no time in a video"),
        (Annotations(clips=pl.DataFrame({"video_id": ["v"]})), "clips have no place"),
    ]
    for given, message in cases:
        with pytest.raises(BadInput, match=message):
            write_proposals(tmp_path / "x.pkl", given)
    two = pl.concat([boxes(**full).boxes, boxes(**full, score=[0.5]).boxes])
    with pytest.raises(BadInput, match="at 0000 of video 'v' some boxes have a score"):
        write_proposals(tmp_path / "x.pkl", Annotations(boxes=two))
    assert list(tmp_path.iterdir()) == []
