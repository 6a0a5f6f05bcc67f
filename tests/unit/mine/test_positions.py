"""Where clips lie around responses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.mine.positions import clip_around, clips_at_responses, top_responses
from gesta.mine.windows import MIN_CLIP_US

S = 1_000_000


@st.composite
def responses(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    times = draw(st.lists(st.integers(0, 60), min_size=0, max_size=30, unique=True))
    scores = draw(st.lists(st.integers(-4, 4), min_size=len(times), max_size=len(times)))
    return np.array(times, dtype=np.int64), np.array(scores, dtype=np.float64)


@given(responses(), st.integers(1, 5), st.integers(0, 20))
def test_responses_are_apart_and_nothing_stronger_is_left_out(
    given_: tuple[np.ndarray, np.ndarray], k: int, apart_us: int
) -> None:
    times, scores = given_
    chosen = top_responses(times, scores, k=k, apart_us=apart_us)
    assert len(set(chosen.tolist())) == len(chosen) <= k
    assert all(abs(times[a] - times[b]) >= apart_us for a in chosen for b in chosen if a != b)
    for rank, number in enumerate(chosen):
        before = chosen[:rank]
        free = [
            i
            for i in range(len(times))
            if i not in before and all(abs(times[i] - times[j]) >= apart_us for j in before)
        ]
        assert min(free, key=lambda i: (-scores[i], times[i])) == number
    # Fewer than k only where no other frame is far enough from all that were taken.
    if len(chosen) < k:
        assert all(any(abs(times[i] - times[j]) < apart_us for j in chosen) or i in chosen for i in range(len(times)))


@given(responses(), st.permutations(range(30)), st.integers(1, 3))
def test_the_order_of_the_frames_changes_nothing(
    given_: tuple[np.ndarray, np.ndarray], order: list[int], k: int
) -> None:
    times, scores = given_
    mixed = np.array([i for i in order if i < len(times)], dtype=np.int64)
    plain = times[top_responses(times, scores, k=k, apart_us=7)]
    shuffled = times[mixed][top_responses(times[mixed], scores[mixed], k=k, apart_us=7)]
    assert plain.tolist() == shuffled.tolist()


def test_nonsense_is_refused() -> None:
    two = np.array([1, 2])
    with pytest.raises(ValueError, match=r"times \(2,\) and scores \(1,\): want the same"):
        top_responses(two, np.array([0.5]), apart_us=1)
    with pytest.raises(ValueError, match="score 1 is no number"):
        top_responses(two, np.array([0.5, np.nan]), apart_us=1)
    with pytest.raises(ValueError, match="k=0, apart_us=1: want k >= 1"):
        top_responses(two, np.array([0.5, 0.5]), k=0, apart_us=1)
    with pytest.raises(ValueError, match=r"position 9 in \[0, 9\)"):
        clip_around(9, start_us=0, end_us=9, clip_us=2)


@given(st.integers(0, 40 * S), st.integers(1, 40 * S), st.integers(1, 12 * S), st.data())
def test_a_clip_is_whole_unless_an_end_cuts_it(start_us: int, span_us: int, clip_us: int, data: st.DataObject) -> None:
    end_us = start_us + span_us
    position_us = data.draw(st.integers(start_us, end_us - 1))
    first_us, last_us = clip_around(position_us, start_us=start_us, end_us=end_us, clip_us=clip_us)
    assert start_us <= first_us <= position_us < last_us <= end_us
    assert last_us - first_us <= clip_us
    if first_us > start_us and last_us < end_us:
        assert (first_us, last_us) == (position_us - clip_us // 2, position_us - clip_us // 2 + clip_us)
    # No end moves the clip: what is cut away is not added on the other side.
    assert first_us in (start_us, position_us - clip_us // 2)


def test_ten_seconds_around_a_position_as_the_paper_has_it() -> None:
    video = {"start_us": 0, "end_us": 60 * S, "clip_us": 10 * S}
    assert clip_around(5 * S, **video) == (0, 10 * S)
    assert clip_around(3 * S, **video) == (0, 8 * S)
    assert clip_around(58 * S, **video) == (53 * S, 60 * S)


@given(responses(), st.integers(1, 6), st.integers(1, 4))
def test_clips_share_no_footage_and_last_long_enough(
    given_: tuple[np.ndarray, np.ndarray], seconds: int, k: int
) -> None:
    times, scores = given_
    made = clips_at_responses(times * S, scores, start_us=0, end_us=61 * S, clip_us=seconds * S, k=k)
    spans = sorted((start_us, end_us) for _, start_us, end_us in made)
    assert all(end_us - start_us >= min(MIN_CLIP_US, seconds * S) for start_us, end_us in spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


def test_a_frame_at_the_very_end_gives_way_to_one_whose_clip_lasts() -> None:
    times, scores = np.array([0, 5 * S, 9_900_000]), np.array([0.1, 0.2, 0.9])
    assert clips_at_responses(times, scores, start_us=0, end_us=10 * S, clip_us=S, k=1) == [(1, 4_500_000, 5_500_000)]
    assert clips_at_responses(times, scores, start_us=0, end_us=10 * S, clip_us=4 * S, k=1) == [(2, 7_900_000, 10 * S)]
