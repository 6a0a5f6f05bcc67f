"""Laws of suppression, tracks and key-frames."""

import itertools

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from gesta.detect import FrameBoxes, Tracker, choose_key_frame, clean_boxes, link_tracks, suppress
from gesta.schema import box_iou

corner = st.integers(0, 18)
side = st.integers(2, 12)
score = st.integers(1, 5).map(lambda fifths: fifths / 5)
box = st.builds(
    lambda x, y, w, h: (x / 20, y / 20, min(x + w, 20) / 20, min(y + h, 20) / 20), corner, corner, side, side
)
people = st.lists(st.tuples(box, score), max_size=6)
clips = st.lists(people, max_size=8)


def arrays(found):
    boxes = np.array([each for each, _ in found], float).reshape(-1, 4)
    return boxes, np.array([value for _, value in found], float)


def frames_of(clip, *, step_us=200_000):
    return [FrameBoxes(number * step_us, *arrays(found)) for number, found in enumerate(clip)]


def listed(found):
    boxes, scores = found
    return [(*box.tolist(), float(value)) for box, value in zip(boxes, scores, strict=True)]


@given(people, st.sampled_from((0.0, 0.3, 0.5, 0.9)))
def test_kept_boxes_overlap_little_and_dropped_ones_overlap_a_better(found, max_iou):
    boxes, scores = arrays(found)
    kept = suppress(boxes, scores, max_iou=max_iou)
    overlaps = box_iou(boxes, boxes)
    for place, index in enumerate(kept):
        assert all(overlaps[index, other] <= max_iou for other in kept[:place])
    for index in set(range(len(boxes))) - set(kept.tolist()):
        assert any(overlaps[index, other] > max_iou and scores[other] >= scores[index] for other in kept)


@given(people, st.randoms(use_true_random=False))
def test_suppression_does_not_depend_on_the_order_of_boxes(found, rng):
    shuffled = rng.sample(found, len(found))
    results = []
    for each in (found, shuffled):
        boxes, scores = arrays(each)
        kept = suppress(boxes, scores, max_iou=0.4)
        results.append(listed((boxes[kept], scores[kept])))
    assert results[0] == results[1]


@given(people)
def test_suppressing_twice_changes_nothing(found):
    boxes, scores = arrays(found)
    kept = suppress(boxes, scores, max_iou=0.4)
    assert suppress(boxes[kept], scores[kept], max_iou=0.4).tolist() == list(range(len(kept)))


@given(st.lists(st.tuples(*[st.floats(-2, 3)] * 5), max_size=5))
def test_cleaned_boxes_lie_in_the_frame_with_an_area(rows):
    values = np.array(rows, float).reshape(-1, 5)
    boxes, scores = clean_boxes(values[:, :4], values[:, 4])
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert ((scores >= 0) & (scores <= 1)).all()


@given(clips)
def test_each_person_is_once_in_a_frame_and_no_box_is_lost(clip):
    frames = frames_of(clip)
    linked = link_tracks(frames)
    places = [(each.person_id, each.time_us) for each in linked]
    assert len(set(places)) == len(places)
    assert places == sorted(places)
    for frame in frames:
        found = [each for each in linked if each.time_us == frame.time_us and not each.is_interpolated]
        assert sorted((*each.box, each.score) for each in found) == sorted(listed((frame.boxes_K4, frame.scores_K)))


@given(clips)
def test_persons_are_numbered_from_0_by_first_appearance(clip):
    first = {}
    for each in link_tracks(frames_of(clip)):
        first.setdefault(each.person_id, each.time_us)
    assert list(first) == list(range(len(first)))
    assert list(first.values()) == sorted(first.values())


@given(clips, st.randoms(use_true_random=False))
def test_tracks_do_not_depend_on_the_order_of_boxes_in_a_frame(clip, rng):
    shuffled = [rng.sample(found, len(found)) for found in clip]
    assert link_tracks(frames_of(clip)) == link_tracks(frames_of(shuffled))


@given(clips, st.integers(0, 10**9))
def test_tracks_move_with_the_clock(clip, shift_us):
    frames = frames_of(clip)
    moved = [FrameBoxes(each.time_us + shift_us, each.boxes_K4, each.scores_K) for each in frames]
    pairs = zip(link_tracks(frames), link_tracks(moved), strict=True)
    assert all(one.time_us + shift_us == other.time_us and one.box == other.box for one, other in pairs)


@given(clips)
def test_interpolated_boxes_fill_gaps_within_a_second_and_lie_between_neighbours(clip):
    by_person = {}
    for each in link_tracks(frames_of(clip)):
        by_person.setdefault(each.person_id, []).append(each)
    for track in by_person.values():
        assert not track[0].is_interpolated
        assert not track[-1].is_interpolated
        real = [each for each in track if not each.is_interpolated]
        for before, after in itertools.pairwise(real):
            assert after.time_us - before.time_us <= 1_000_000
            between = [each for each in track if before.time_us < each.time_us < after.time_us]
            assert [each.time_us for each in between] == list(range(before.time_us + 200_000, after.time_us, 200_000))
            for each in between:
                for low, value, high in zip(before.box, each.box, after.box, strict=True):
                    assert min(low, high) - 1e-6 <= value <= max(low, high) + 1e-6


times = st.lists(st.integers(0, 100), min_size=1, max_size=12, unique=True).map(sorted)


@given(times, st.data())
def test_the_key_frame_is_the_surest_one_away_from_both_ends(tenths, data):
    times_us = np.array(tenths, np.int64) * 100_000
    scores = np.array(data.draw(st.lists(score, min_size=len(tenths), max_size=len(tenths))))
    chosen = choose_key_frame(times_us, scores, start_us=0, end_us=10_000_000)
    inner = (times_us >= 1_000_000) & (times_us <= 9_000_000)
    assume(inner.any())
    assert inner[chosen]
    assert scores[chosen] == scores[inner].max()
    assert not (scores[:chosen][inner[:chosen]] == scores[chosen]).any()


@given(times, st.integers(2, 19))
def test_a_clip_too_short_for_the_rule_takes_the_frame_nearest_its_middle(tenths, length):
    times_us = np.array([each for each in tenths if each < length] or [0], np.int64) * 100_000
    end_us = length * 100_000
    chosen = choose_key_frame(times_us, np.ones(len(times_us)), start_us=0, end_us=end_us)
    far = np.abs(times_us - end_us / 2)
    assert far[chosen] == far.min()


@given(clips)
def test_boxes_told_early_are_those_of_the_whole_clip_and_little_is_remembered(clip):
    tracker = Tracker(max_gap_us=400_000)
    told = []
    for frame in frames_of(clip):
        now = tracker.add(frame)
        assert all(each.time_us <= frame.time_us for each in now)
        assert [each.time_us == frame.time_us for each in now] == [not each.is_interpolated for each in now]
        assert len(tracker._times_us) <= 3
        assert all(len(track.boxes) <= 2 for track in tracker._open)
        told += now
    # A clip cut short tells the same until there: nothing waits for what comes.
    for num_frames in range(len(clip)):
        assert set(link_tracks(frames_of(clip[:num_frames]), max_gap_us=400_000)) <= set(told)
    assert sorted(told, key=lambda each: (each.person_id, each.time_us)) == link_tracks(
        frames_of(clip), max_gap_us=400_000
    )
