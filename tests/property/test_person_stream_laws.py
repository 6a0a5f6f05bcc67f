"""Laws of watching: however frames come, what is said is what a look at the whole source says; memory stays bounded."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.predict.persons_stand_in import HEIGHT, SQUARES, WIDTH, TimedSource, picture_at, scorer_of, shot_at

from gesta.detect import FrameBoxes, find_people, link_tracks
from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.schedule import DETECT_RATE, detect_instants, spans
from gesta.predict.streams.watch import Watch, box_at

SCORER = scorer_of()


@st.composite
def sources(draw):
    """Frames at rates from 4 to 60 a second, even or not, from a late start on; persons come and go."""
    fps = draw(st.sampled_from([4, 7, 12.5, 24000 / 1001, 30, 60]))
    start_us = draw(st.sampled_from([0, 0, 133_000, 900_000]))
    num = draw(st.integers(1, 90))
    jitter = draw(st.sampled_from([0.0, 0.0, 0.4]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    steps = np.maximum(1, np.rint(1e6 / fps * (1 + jitter * rng.uniform(-1, 1, num)))).astype(int)
    times_us = [int(start_us + value) for value in np.concatenate([[0], np.cumsum(steps[:-1])])]
    gaps = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3_000), st.integers(100, 1_800)), max_size=3))

    def is_there(who: int, time_us: int) -> bool:
        return not any(who == one and low * 1000 <= time_us < (low + long) * 1000 for one, low, long in gaps)

    return TimedSource(
        times_us, times_us[-1] + int(steps[-1]), picture=lambda time_us: picture_at(time_us, is_there=is_there)
    )


def whole(source: TimedSource, *, stride_us: int) -> tuple[list[Moment], list]:
    """The plain way: all frames at hand, tracks of the whole source, each moment scored alone."""
    times, (start_us, end_us) = np.array(source.times_us), source.span_us
    shown = lambda at_N: np.clip(np.searchsorted(times, np.asarray(at_N) + 1, side="right") - 1, 0, len(times) - 1)  # noqa: E731
    searched = np.unique(shown(detect_instants(start_us=start_us, end_us=end_us, rate=DETECT_RATE)))
    if not len(detect_instants(start_us=start_us, end_us=end_us, rate=DETECT_RATE)):
        searched = []
    found = [
        FrameBoxes(max(0, int(times[n])), *find_people(SQUARES, source.picture(int(times[n]))[None], min_score=0.5)[0])
        for n in searched
    ]
    linked = link_tracks(found)
    people = sorted({box.person_id for box in linked})
    told = []
    for low_us, high_us, time_us in spans(stride_us=stride_us, end_us=end_us):
        here = [
            (who, box)
            for who in people
            if (box := box_at([b for b in linked if b.person_id == who], time_us, reach_us=stride_us // 2))
        ]
        rows = []
        if here:
            frames = np.stack(
                [source.picture(int(times[n])) for n in shown(SCORER.times_us(time_us, start_us, end_us))]
            )
            for group, seen in SCORER.show(frames, np.array([box for _, box in here])):
                rows += [(here[n], scores) for n, scores in zip(group, SCORER.score([seen])[0], strict=True)]
        told.append((low_us, high_us, time_us, rows))
    return told, linked


def told_of(moments: list[Moment]) -> list:
    return [(m.start_us, m.end_us, m.time_us, [(p.person_id, p.box, p.scores) for p in m.persons]) for m in moments]


@settings(max_examples=40)
@given(
    sources(),
    st.sampled_from([200_000, 370_000, 1_000_000, 2_500_000]),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_a_stream_says_what_the_whole_says_and_holds_no_more_than_it_must(source, stride_us, per_search, per_batch):
    eyes = Eyes(detector=SQUARES, min_score=0.5, stride_us=stride_us, frames_per_search=per_search)
    watch = Watch(scorer=SCORER, stride_us=stride_us, span_us=source.span_us)
    looked = (("timed", each) for each in looked_at(source, scorer=SCORER, eyes=eyes, watch=watch))
    moments = [moment for _, moment in scored(looked, scorer=SCORER, views_per_batch=per_batch)]
    expected, linked = whole(source, stride_us=stride_us)
    got = told_of(moments)
    assert [row[:3] for row in got] == [row[:3] for row in expected]
    for (*_, persons), (*_, rows) in zip(got, expected, strict=True):
        assert [(who, box) for who, box, _ in persons] == [pair for pair, _ in rows]
        for (*_, scores), (_, wanted) in zip(persons, rows, strict=True):
            assert scores == pytest.approx(tuple(wanted), abs=2e-6)
    tracked = [box for moment in moments for box in moment.tracked]
    assert sorted(tracked, key=lambda box: (box.person_id, box.time_us)) == linked
    # A search that waits for its batch keeps that many frames' time of moments waiting too.
    waiting = math.ceil(per_search / DETECT_RATE * 1_000_000 / stride_us) + 1
    longest_us = max(np.diff(source.times_us), default=0)
    late = math.ceil(2 * longest_us / stride_us)
    assert watch.ring.most_held <= (watch.most_pending + waiting + late) * SCORER.num_frames


@settings(max_examples=15)
@given(sources(), st.sampled_from([370_000, 1_000_000]))
def test_a_source_that_hides_its_end_says_the_same_until_there(source, stride_us):
    eyes = Eyes(detector=SQUARES, min_score=0.5, stride_us=stride_us)
    # What is taken for the last frame's time where nobody says it: that of the frame before.
    source.end_us = source.times_us[-1] + (int(np.diff(source.times_us[-2:])[0]) if len(source.times_us) > 1 else 1)
    found = []
    for knows_end in (True, False):
        source.knows_end = knows_end
        looked = (("timed", each) for each in looked_at(source, scorer=SCORER, eyes=eyes))
        found.append([moment for _, moment in scored(looked, scorer=SCORER)])
    known, hidden = found
    assert len(known) == len(hidden)
    assert [(m.start_us, m.time_us) for m in known[:-1]] == [(m.start_us, m.time_us) for m in hidden[:-1]]
    # Frames behind the end of a stretch are not known yet, so the last clips may be cut off otherwise.
    reach_us = max(SCORER.reach_us) + stride_us
    sure = [number for number, m in enumerate(known[:-1]) if m.time_us + reach_us < source.end_us]
    assert told_of([known[n] for n in sure]) == told_of([hidden[n] for n in sure])
    assert hidden[-1].start_us == known[-1].start_us


def test_a_person_lost_for_a_moment_is_waited_for():
    """Boxes on the far side of a gap come later than the frames that the model wants."""

    def picture(time_us):
        return picture_at(time_us, is_there=lambda who, at_us: who == 0 or not 900_000 <= at_us < 1_250_000)

    source = TimedSource([n * 80_000 for n in range(40)], 3_200_000, picture=picture)
    eyes = Eyes(detector=SQUARES, min_score=0.5, stride_us=200_000, frames_per_search=1)
    people = [[who for who, _ in each.people] for each in looked_at(source, scorer=SCORER, eyes=eyes)]
    # Half a stride behind the last box nobody is said to be there any more.
    assert people == [[0, 1]] * 15 + [[]]


def find_nobody(frames_NHWC):
    return [(np.zeros((0, 4)), np.zeros(0))] * len(frames_NHWC)


def test_the_ring_of_a_long_stream_is_that_of_a_short_one():
    most = []
    for seconds in (20, 400):
        source = TimedSource([round(n * 1e6 / 30) for n in range(30 * seconds)], seconds * 1_000_000, knows_end=False)
        eyes = Eyes(
            detector=lambda frames: [(np.zeros((0, 4)), np.zeros(0))] * len(frames), min_score=0.5, stride_us=10**6
        )
        watch = Watch(scorer=SCORER, stride_us=10**6, span_us=source.span_us)
        num = 0
        for _ in looked_at(source, scorer=SCORER, eyes=eyes, watch=watch):
            num += 1
            assert len(watch.tracks) == 0
        assert num == seconds
        most.append(watch.ring.most_held)
    assert most[0] == most[1] <= (watch.most_pending + 3) * SCORER.num_frames


@given(st.integers(1, 10_000_000), st.integers(1, 5_000_000))
def test_moments_cover_a_source_without_a_gap(end_us, stride_us):
    if end_us // stride_us > 2000:
        stride_us = end_us // 2000 + 1
    found = list(spans(stride_us=stride_us, end_us=end_us))
    assert found[0][0] == 0
    assert found[-1][1] == end_us
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    assert all(low <= time_us <= high for low, high, time_us in found)
    assert all(high - low <= stride_us + stride_us // 2 + 1 for low, high, _ in found)


def test_the_stand_in_has_two_people_who_look_unlike():
    ((boxes, scores),) = SQUARES(picture_at(0)[None])
    assert len(boxes) == len(scores) == 2
    assert shot_at(0).picture(None).shape == (HEIGHT, WIDTH, 3)
    assert Fraction(5) == DETECT_RATE
