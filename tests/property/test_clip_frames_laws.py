"""Laws of what a clip model is shown: crops hold picture only, starts fit, times are those of the rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.schema import BadInput, UnknownName
from gesta.train.clips import PLAIN, ClipAugment, ClipFrames, first_frames, take_per_class
from gesta.train.clips.augment import color_factors, crop_window, draw_change, first_frame, is_flipped
from gesta.train.clips.frames import num_resampled, resampled_times
from gesta.train.clips.sets import ClipExample, clip_set
from gesta.video import instants, strided_frames

sizes = st.integers(16, 2000)
frames_of = st.builds(
    ClipFrames,
    num_frames=st.integers(1, 64),
    stride=st.integers(1, 8),
    side_px=st.integers(1, 400),
    side=st.sampled_from(["long", "short"]),
    crop_px=st.integers(1, 300),
)
augments = st.builds(
    ClipAugment,
    crop=st.sampled_from(["random", "center"]),
    jitter_time=st.booleans(),
    flip=st.booleans(),
    scale_px=st.none() | st.tuples(st.integers(1, 300), st.integers(0, 100)).map(lambda pair: (pair[0], sum(pair))),
    color_frac=st.floats(0, 0.9),
)
draws = st.builds(draw_change, seed=st.integers(0, 2**40), epoch=st.integers(0, 500), number=st.integers(0, 10**6))


@given(frames=frames_of, width_px=sizes, height_px=sizes)
def test_scaled_frames_hold_the_crop_and_keep_their_shape(frames: ClipFrames, width_px: int, height_px: int) -> None:
    width, height = frames.frame_size(width_px=width_px, height_px=height_px)
    assert min(width, height) >= frames.crop_px
    side = max(width, height) if frames.side == "long" else min(width, height)
    assert side == frames.side_px or min(width, height) == frames.crop_px
    # Each side was rounded to whole px, and never below the crop.
    scale = max(width / width_px, height / height_px)
    assert abs(width - width_px * scale) <= 1 + 0.5 * width_px / height_px
    assert abs(height - height_px * scale) <= 1 + 0.5 * height_px / width_px


@given(frames=frames_of, augment=augments, draw=draws, width_px=sizes, height_px=sizes)
def test_a_crop_lies_inside_the_frame(
    frames: ClipFrames, augment: ClipAugment, draw: object, width_px: int, height_px: int
) -> None:
    width, height = frames.frame_size(width_px=width_px, height_px=height_px)
    window = crop_window(width_px=width, height_px=height, frames=frames, augment=augment, draw=draw)
    assert window.height_px == window.width_px >= 1
    assert 0 <= window.top_px <= height - window.height_px
    assert 0 <= window.left_px <= width - window.width_px
    if augment.scale_px is None:
        assert window.height_px == frames.crop_px


@given(frames=frames_of, augment=augments, draw=draws, num_total=st.integers(1, 400))
def test_a_clip_fits_or_is_looped_from_its_beginning(
    frames: ClipFrames, augment: ClipAugment, draw: object, num_total: int
) -> None:
    first = first_frame(num_total, frames=frames, augment=augment, draw=draw)
    numbers = strided_frames(first, num_total=num_total, num_frames=frames.num_frames, stride=frames.stride)
    if frames.num_spanned <= num_total:
        assert numbers.tolist() == [first + frames.stride * k for k in range(frames.num_frames)]
    else:
        assert numbers.tolist() == [frames.stride * k % num_total for k in range(frames.num_frames)]


@given(frames=frames_of, num_total=st.integers(1, 400), num_segments=st.integers(1, 12))
def test_segments_go_evenly_from_the_first_start_to_the_last(
    frames: ClipFrames, num_total: int, num_segments: int
) -> None:
    firsts = first_frames(num_total, frames=frames, num_segments=num_segments)
    last = max(0, num_total - frames.num_spanned)
    assert len(firsts) == num_segments
    if num_segments == 1:
        assert firsts == [last // 2]
    else:
        np.testing.assert_allclose(firsts, np.linspace(0, last, num_segments), atol=0.5)


@given(
    start_us=st.integers(0, 10**10),
    length_us=st.integers(1, 10**7),
    rate=st.fractions(min_value=1, max_value=120, max_denominator=1001),
)
def test_resampled_times_are_the_instants_of_the_rate(start_us: int, length_us: int, rate: Fraction) -> None:
    wanted = instants(start_us, start_us + length_us, rate=rate)
    num = num_resampled(start_us, start_us + length_us, rate=rate)
    assert num == len(wanted)
    # Halves are rounded up here and to even there.
    assert np.abs(resampled_times(start_us, np.arange(num), rate=rate) - wanted).max() <= 1


def test_every_start_and_place_is_drawn_about_equally_often() -> None:
    frames = ClipFrames(num_frames=4, side_px=12, crop_px=8)
    found = [draw_change(seed=0, epoch=epoch, number=number) for epoch in range(40) for number in range(50)]
    starts = [first_frame(8, frames=frames, augment=ClipAugment(), draw=draw) for draw in found]
    windows = [crop_window(width_px=12, height_px=9, frames=frames, augment=ClipAugment(), draw=draw) for draw in found]
    flips = [is_flipped(augment=ClipAugment(), draw=draw) for draw in found]
    for values, num in ((starts, 5), ([w.left_px for w in windows], 5), ([w.top_px for w in windows], 2), (flips, 2)):
        counts = np.bincount(values, minlength=num)
        assert len(counts) == num
        # Five standard deviations of a fair draw.
        np.testing.assert_allclose(counts, 2000 / num, atol=5 * np.sqrt(2000 / num))


@given(draw=draws, x=st.floats(0, 0.99))
def test_colors_stay_within_their_fraction(draw: object, x: float) -> None:
    factors = color_factors(augment=ClipAugment(color_frac=x), draw=draw)
    assert all(1 - x <= factor <= 1 + x for factor in factors)
    assert color_factors(augment=PLAIN, draw=draw) == (1, 1, 1)


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    few=st.integers(1, 20),
    more=st.integers(0, 20),
    seed=st.integers(0, 1000),
    shuffle=st.randoms(use_true_random=False),
)
def test_so_many_of_each_class_are_nested_and_do_not_depend_on_the_order(
    labels: list[int], few: int, more: int, seed: int, shuffle: object
) -> None:
    from pathlib import Path

    examples = [
        ClipExample(clip_id=f"c{n}", video_id="v", path=Path("v.mp4"), start_us=0, end_us=1, label=label)
        for n, label in enumerate(labels)
    ]
    clips = clip_set(examples, classes={10 + n: str(n) for n in range(4)})
    small, large = take_per_class(clips, num=few, seed=seed), take_per_class(clips, num=few + more, seed=seed)
    assert set(small.examples) <= set(large.examples) <= set(clips.examples)
    for label in set(labels):
        assert sum(one.label == label for one in small.examples) == min(few, labels.count(label))
    shuffle.shuffle(examples)
    again = take_per_class(clip_set(examples, classes={10 + n: str(n) for n in range(4)}), num=few, seed=seed)
    assert set(again.examples) == set(small.examples)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(BadInput, match="stride=0"):
        ClipFrames(num_frames=8, stride=0)
    with pytest.raises(BadInput, match="std_rgb="):
        ClipFrames(num_frames=8, std_rgb=(0.5, 0, 0.5))
    with pytest.raises(UnknownName, match="no modality 'depth'"):
        ClipFrames(num_frames=8, modality="depth")
    with pytest.raises(UnknownName, match="no crop 'corner'"):
        ClipAugment(crop="corner")
    with pytest.raises(BadInput, match="scale_px="):
        ClipAugment(scale_px=(320, 256))
    with pytest.raises(BadInput, match=r"color_frac=1\.0"):
        ClipAugment(color_frac=1.0)
    with pytest.raises(BadInput, match="the stretch from 5 to 5 us is empty"):
        num_resampled(5, 5, rate=Fraction(25))
