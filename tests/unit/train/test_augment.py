import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.train.augment import Change, Jitter, apply_change, clip_boxes, draw_change, frame_numbers, jitter_boxes

JITTER = Jitter(
    flip=True, time_strides=1, speed=0.2, zoom=0.2, shift=0.1, box=0.1, brightness=0.2, contrast=0.2, colour=0.1
)


def picture(height: int, width: int) -> np.ndarray:
    """A smooth picture with one bright blob, [1, H, W, 3]."""
    image = np.full((height, width, 3), 40, dtype=np.uint8)
    image[round(0.4 * height) : round(0.5 * height), round(0.3 * width) : round(0.45 * width)] = 250
    return cv2.GaussianBlur(image, (0, 0), 1.0)[None]


def blob_box(image_HWC: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(image_HWC.max(axis=2) > 145)
    height, width = image_HWC.shape[:2]
    return np.array(
        [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_boxes_go_where_the_pixels_go(seed):
    change = draw_change(Jitter(flip=True, zoom=0.2, shift=0.1), rng=np.random.default_rng(seed))
    stored = picture(120, 150)
    box = np.array([[0.3, 0.4, 0.45, 0.5]])
    clip, boxes = apply_change(stored, box, change, numbers_T=np.array([0]), size_px=(96, 120), margin=1.25)
    assert np.abs(boxes[0] - blob_box(clip[0])).max() < 0.02


def test_the_plain_change_cuts_the_middle_and_keeps_the_colours():
    stored = picture(120, 150)
    clip, boxes = apply_change(
        stored, np.array([[0.1, 0.1, 0.9, 0.9]]), Change(), numbers_T=np.array([0, 0]), size_px=(96, 120), margin=1.25
    )
    assert np.array_equal(clip[1], stored[0, 12:108, 15:135])
    assert boxes[0] == pytest.approx([0, 0, 1, 1])


def test_flipping_twice_gives_the_clip_back():
    stored = picture(96, 96)
    box = np.array([[0.3, 0.4, 0.45, 0.5]])
    flipped = Change(flip=True)
    once, boxes = apply_change(stored, box, flipped, numbers_T=np.array([0]), size_px=(96, 96), margin=1.0)
    twice, back = apply_change(once, boxes, flipped, numbers_T=np.array([0]), size_px=(96, 96), margin=1.0)
    assert not np.array_equal(once, stored)
    assert np.array_equal(twice, stored)
    assert back == pytest.approx(box)


@given(seed=st.integers(0, 10**6), fraction=st.floats(-1, 2))
def test_a_jittered_box_stays_a_box_inside(seed, fraction):
    box = clip_boxes(np.array([[fraction, 0.2, fraction + 0.3, 0.8]]))
    moved = jitter_boxes(box, box=0.2, seed=seed)
    assert (moved[:, :2] < moved[:, 2:]).all()
    assert (moved >= 0).all()
    assert (moved <= 1).all()


@given(seed=st.integers(0, 10**6), num_frames=st.integers(1, 20), per_stride=st.integers(1, 3))
def test_frames_are_in_order_and_in_the_store(seed, num_frames, per_stride):
    change = draw_change(JITTER, rng=np.random.default_rng(seed))
    num_stored = per_stride * (num_frames - 1) + 3
    numbers = frame_numbers(change, num_stored=num_stored, num_frames=num_frames, per_stride=per_stride)
    assert len(numbers) == num_frames
    assert (np.diff(numbers) >= 0).all()
    assert numbers.min() >= 0
    assert numbers.max() < num_stored


def test_a_draw_depends_on_its_seed_alone():
    draws = [draw_change(JITTER, rng=np.random.default_rng((1, 2, number))) for number in (3, 3, 4)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draw_change(Jitter(), rng=np.random.default_rng(0)).zoom == 1


def test_colours_move_as_drawn():
    grey = np.full((1, 8, 8, 3), 100, dtype=np.uint8)
    change = Change(gains_rgb=(1.0, 1.1, 0.9), offset=5.0)
    clip, _ = apply_change(grey, np.zeros((0, 4)), change, numbers_T=np.array([0]), size_px=(8, 8), margin=1.0)
    assert clip[0, 0, 0].tolist() == [105, 115, 95]
