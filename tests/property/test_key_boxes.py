"""Key frames and the lines between them: what is left out is what the line gives back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.key_boxes import MAX_FILLED, fill_frames, hulls_of_turned, keys_of
from gesta.schema import BadInput

TRACKS = st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=6).map(sorted), min_size=1, max_size=3)


def filled(frames_N: np.ndarray, boxes_N4: np.ndarray, *, track_N: np.ndarray, goes_on_N: np.ndarray, step: int = 1):
    num = len(frames_N)
    return fill_frames(
        frames_N, boxes_N4, track_N=track_N, is_shown_N=np.ones(num, dtype=bool), goes_on_N=goes_on_N,
        last_frame_N=np.full(num, -1), step_N=np.full(num, step),
    )  # fmt: skip


@settings(max_examples=80)
@given(tracks=TRACKS, data=st.data())
def test_every_frame_between_shown_rows_comes_once_and_on_the_line(
    tracks: list[list[int]], data: st.DataObject
) -> None:
    frames_N = np.array([frame for track in tracks for frame in track])
    track_N = np.repeat(np.arange(len(tracks)), [len(track) for track in tracks])
    draw = data.draw(st.lists(st.tuples(*[st.integers(-50, 50)] * 4), min_size=len(frames_N), max_size=len(frames_N)))
    boxes_N4 = np.array(draw, dtype=float)
    goes_on_N = np.array(data.draw(st.lists(st.booleans(), min_size=len(frames_N), max_size=len(frames_N))))
    found = filled(frames_N, boxes_N4, track_N=track_N, goes_on_N=goes_on_N)
    want = []
    for number, track in enumerate(tracks):
        own = boxes_N4[track_N == number]
        for i, frame in enumerate(track):
            stop = track[i + 1] if i + 1 < len(track) and goes_on_N[track_N == number][i] else frame + 1
            for at in range(frame, stop):
                want.append((number, at, at != frame, *(np.interp(at, track, own[:, corner]) for corner in range(4))))
    rows = zip(track_N[found.source_M], found.frames_M, found.is_between_M, *found.boxes_M4.T, strict=True)
    assert len(found.frames_M) == len(want)
    for row, other in zip(rows, want, strict=True):
        assert row[:3] == other[:3]
        assert np.allclose(row[3:], other[3:], atol=1e-9)


@settings(max_examples=80)
@given(data=st.data())
def test_what_keys_leave_out_the_line_gives_back(data: st.DataObject) -> None:
    num = data.draw(st.integers(1, 25))
    boxes_N4 = np.array(
        data.draw(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=num, max_size=num)), dtype=float
    )
    flags = st.lists(st.booleans(), min_size=num, max_size=num)
    is_interpolated_N, label_N = np.array(data.draw(flags)), np.array(data.draw(flags)).astype(int)
    frames_N, track_N = np.arange(num), np.zeros(num, dtype=int)
    is_key_N = keys_of(
        frames_N, boxes_N4, track_N=track_N, label_N=label_N, is_interpolated_N=is_interpolated_N, tolerance=1e-9
    )
    assert is_key_N[0]
    assert is_key_N[-1]
    assert not (~is_key_N & ~is_interpolated_N).any()
    keys = np.flatnonzero(is_key_N)
    found = filled(keys, boxes_N4[keys], track_N=track_N[keys], goes_on_N=np.ones(len(keys), dtype=bool))
    assert np.allclose(found.boxes_M4, boxes_N4, atol=1e-9)
    assert (label_N[keys][found.source_M] == label_N).all()
    assert (found.is_between_M == ~is_key_N).all()


def test_every_fifth_frame_and_a_box_that_stands_still_to_the_end() -> None:
    found = fill_frames(
        np.array([0, 10]), np.array([[0.0] * 4, [1.0] * 4]), track_N=np.array([0, 0]),
        is_shown_N=np.array([True, False]), goes_on_N=np.array([True, True]),
        last_frame_N=np.array([22, 22]), step_N=np.array([5, 5]),
    )  # fmt: skip
    assert found.frames_M.tolist() == [0, 5, 15, 20]
    assert found.boxes_M4[:, 0].tolist() == [0, 0.5, 1, 1]


def test_a_wrong_frame_number_does_not_fill_the_memory() -> None:
    with pytest.raises(BadInput, match="boxes lie between the key frames, more than any video has"):
        filled(np.array([0, MAX_FILLED + 5]), np.zeros((2, 4)), track_N=np.zeros(2), goes_on_N=np.array([True, False]))


@given(turn=st.integers(-360, 360), corners=st.tuples(*[st.integers(-20, 20)] * 2, *[st.integers(1, 20)] * 2))
def test_the_hull_of_a_turned_box_holds_it(turn: int, corners: tuple[int, int, int, int]) -> None:
    x, y, width, height = corners
    box = np.array([[x, y, x + width, y + height]], dtype=float)
    middle = np.array([[x + width / 2, y + height / 2]])
    ((x1, y1, x2, y2),) = hulls_of_turned(box, turn_deg_N=np.array([float(turn)]), pivots_N2=middle)
    cos, sin = abs(np.cos(np.deg2rad(turn))), abs(np.sin(np.deg2rad(turn)))
    assert np.allclose([x2 - x1, y2 - y1], [width * cos + height * sin, width * sin + height * cos])
    assert np.allclose([(x1 + x2) / 2, (y1 + y2) / 2], middle)
