import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.train.views import GREY, ClipSpec, View, boxes_in_view, cut_view, group_persons, view_of

SPEC = ClipSpec(height_px=64, width_px=64, context_frac=0.25)


@given(
    x=st.floats(0, 0.8), y=st.floats(0, 0.8), width=st.floats(0.05, 0.2), height=st.floats(0.05, 0.2),
    frame=st.sampled_from([(320, 240), (240, 320), (100, 100)]), margin=st.floats(1, 1.5),
)  # fmt: skip
def test_the_view_holds_every_box_and_has_the_shape_of_the_clip(x, y, width, height, frame, margin):
    boxes = np.array([[x, y, x + width, y + height]])
    view = view_of(boxes, frame_width_px=frame[0], frame_height_px=frame[1], spec=SPEC, margin=margin)
    inside = boxes_in_view(boxes, view=view, frame_width_px=frame[0], frame_height_px=frame[1])
    assert view.width_px == pytest.approx(view.height_px)
    assert inside.min() >= -1e-9
    assert inside.max() <= 1 + 1e-9


def test_a_small_person_is_shown_nearer_than_the_frame_and_nobody_shows_all_of_it():
    boxes = np.array([[0.4, 0.4, 0.5, 0.6]])
    near = view_of(boxes, frame_width_px=300, frame_height_px=200, spec=SPEC)
    assert near.height_px == pytest.approx(40 * 1.5)
    everything = view_of(np.zeros((0, 4)), frame_width_px=300, frame_height_px=200, spec=SPEC)
    assert (everything.left_px, everything.width_px) == (0, 300)


def test_a_view_at_the_edge_moves_inside():
    view = view_of(np.array([[0.0, 0.4, 0.1, 0.5]]), frame_width_px=200, frame_height_px=200, spec=SPEC)
    assert view.left_px == pytest.approx(0)


def test_what_lies_outside_the_frame_is_grey():
    frames = np.full((2, 10, 10, 3), 200, dtype=np.uint8)
    shown = cut_view(frames, view=View(left_px=-10, top_px=0, width_px=20, height_px=10), height_px=10, width_px=20)
    assert shown.shape == (2, 10, 20, 3)
    assert (shown[:, :, :10] == GREY).all()
    assert (shown[:, :, 10:] == 200).all()


def test_the_instants_do_not_know_of_frames():
    spec = ClipSpec(num_frames=16, stride_us=125_000)
    dense = spec.times_us(10_000_000, per_stride=2, num_margin=3)
    assert np.array_equal(dense[3:-3:2], spec.times_us(10_000_000))
    assert np.diff(spec.times_us(0)).tolist() == [125_000] * 15


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="positive sizes"):
        ClipSpec(num_frames=0)


@given(seed=st.integers(0, 1000), number=st.integers(1, 9))
def test_everybody_is_in_one_view_and_large_enough_there_unless_alone(seed, number):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.8, (number, 2))
    boxes = np.concatenate((low, low + rng.uniform(0.03, 0.2, (number, 2))), axis=1)
    groups = group_persons(boxes, frame_width_px=640, frame_height_px=360, spec=SPEC)
    assert sorted(person for group in groups for person in group) == list(range(number))
    for group in groups:
        mine = boxes[list(group)]
        view = view_of(mine, frame_width_px=640, frame_height_px=360, spec=SPEC)
        heights = (mine[:, 3] - mine[:, 1]) * 360 / view.height_px
        assert len(group) == 1 or heights.min() >= SPEC.least_person_frac


def test_persons_who_are_tall_in_the_frame_stay_together():
    boxes = np.array([[0.0, 0.2, 0.2, 0.9], [0.7, 0.2, 0.9, 0.9]])
    assert group_persons(boxes, frame_width_px=256, frame_height_px=192, spec=SPEC) == [(0, 1)]
