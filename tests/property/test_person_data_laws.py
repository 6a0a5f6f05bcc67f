"""Laws of key-frames with persons: who gets whose labels, where boxes lie after crop and flip, when frames are."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.schema import box_iou
from gesta.train.clips import ClipFrames, ClipSource
from gesta.train.clips.augment import Window
from gesta.train.persons import (
    PersonAugment,
    PersonExample,
    key_frame_times,
    person_batches,
    person_set,
    persons_to_model,
)
from gesta.train.persons.augment import boxes_in_window
from gesta.train.persons.boxes import assign_proposals, good_proposals


@st.composite
def boxes(draw: st.DrawFn, *, most: int = 6) -> np.ndarray:
    """Boxes with area on a grid of tenths, so that some overlap alike; float64 [N, 4]."""
    corners = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 10), st.integers(1, 10))
    found = draw(st.lists(corners.filter(lambda c: c[0] < c[2] and c[1] < c[3]), max_size=most))
    return np.array(found, dtype=np.float64).reshape(-1, 4) / 10


@given(boxes(), boxes(), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_a_proposal_is_whom_it_overlaps_most_if_it_is_enough(
    proposals_M4: np.ndarray, truth_G4: np.ndarray, iou: float
):
    assigned_M = assign_proposals(proposals_M4, truth_G4, iou=iou)
    for place, proposal in enumerate(proposals_M4):
        overlaps = [float(box_iou(proposal[None], one[None])[0, 0]) for one in truth_G4]
        best = max(overlaps, default=0.0)
        wanted = overlaps.index(best) if overlaps and best >= iou else -1
        assert assigned_M[place] == wanted


@given(boxes(), st.data())
def test_every_truth_box_is_its_own_proposal(truth_G4: np.ndarray, data: st.DataObject):
    order = data.draw(st.permutations(range(len(truth_G4))))
    assigned = assign_proposals(truth_G4[list(order)], truth_G4, iou=0.9)
    for place, number in enumerate(order):
        assert (truth_G4[assigned[place]] == truth_G4[number]).all()


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1))
def test_where_there_are_proposals_some_are_good_enough(scores: list[float], least_score: float):
    proposals_M5 = np.column_stack([np.tile([0.0, 0, 1, 1], (len(scores), 1)), np.array(scores).reshape(-1)])
    kept = good_proposals(proposals_M5, least_score=least_score).tolist()
    assert bool(kept) == bool(scores)
    assert kept == [n for n, score in enumerate(scores) if score >= min(least_score, max(scores))]


@given(boxes(), st.integers(0, 40), st.integers(0, 40), st.integers(1, 80), st.integers(1, 80))
def test_a_window_mirrored_holds_the_boxes_mirrored(boxes_N4: np.ndarray, top: int, left: int, height: int, width: int):
    window = Window(top_px=top, left_px=left, height_px=height, width_px=width)
    size = {"width_px": 120, "height_px": 120}
    plain_N4, seen_N = boxes_in_window(boxes_N4, window=window, is_flipped=False, **size)
    turned_N4, same_N = boxes_in_window(boxes_N4, window=window, is_flipped=True, **size)
    assert np.allclose(turned_N4[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0], plain_N4)
    assert (seen_N == same_N).all()
    assert ((plain_N4 >= 0) & (plain_N4 <= 1)).all()
    # What part of a box is seen is what part of its area the window shares.
    whole = np.array([[left, top, left + width, top + height]]) / 120
    shared_N = np.prod(
        np.clip(np.minimum(boxes_N4[:, 2:], whole[:, 2:]) - np.maximum(boxes_N4[:, :2], whole[:, :2]), 0, None), axis=1
    )
    assert np.allclose(seen_N, shared_N / np.prod(boxes_N4[:, 2:] - boxes_N4[:, :2], axis=1))


@given(
    st.integers(1, 40), st.integers(1, 16), st.sampled_from([10, 23.976, 25, 30, 60]), st.integers(0, 10**10),
    st.integers(0, 10**7), st.integers(1, 10**7), st.randoms(use_true_random=False),
)  # fmt: skip
def test_frames_are_around_the_key_frame_and_inside_the_shot(
    num_frames: int, stride: int, rate: float, timestamp_us: int, before_us: int, after_us: int, rng
):
    frames = ClipFrames(num_frames=num_frames, rate=rate, stride=stride)
    low_us, high_us = timestamp_us - before_us, timestamp_us + after_us
    plain_T = key_frame_times(timestamp_us, frames=frames, start_us=low_us, end_us=high_us)
    assert plain_T[num_frames // 2] == timestamp_us
    assert (np.diff(plain_T) >= 0).all()
    assert low_us <= plain_T.min() <= plain_T.max() < high_us
    draw = np.array([rng.random() for _ in range(num_frames)])
    moved_T = key_frame_times(timestamp_us, frames=frames, start_us=low_us, end_us=high_us, draw=draw)
    assert low_us <= moved_T.min() <= moved_T.max() < high_us
    assert np.abs(moved_T - plain_T).max() <= 1_000_000 * ((stride + 1) // 2) / rate + 1


PAINT = ClipFrames(num_frames=2, rate=10, stride=2, side="short", side_px=48, crop_px=40)


@settings(max_examples=60)
@given(
    st.integers(48, 110), st.integers(48, 90), st.tuples(*[st.floats(0.05, 0.95)] * 4), st.integers(0, 10**6),
    st.sampled_from(["random", "center", "whole"]), st.booleans(),
)  # fmt: skip
def test_a_painted_box_is_found_where_the_box_is_said_to_be(width, height, corners, seed, crop, flips):
    left, right = sorted(round(value * width) for value in corners[:2])
    top, bottom = sorted(round(value * height) for value in corners[2:])
    if right - left < 6 or bottom - top < 6:
        return
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[top:bottom, left:right] = 255
    box = np.array([[left / width, top / height, right / width, bottom / height]])
    augment = PersonAugment(scale_px=(44, 60), crop=crop, flip=flips, jitter_frames=True)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(12):
            cv2.imwrite(f"{folder}/{number:05d}.png", picture)
        ones = np.ones((1, 1), dtype=np.float32)
        example = PersonExample(
            clip_id="c", video_id="v", path=Path(folder), timestamp_us=500_000, start_us=0, end_us=2_000_000,
            boxes_N4=box, person_ids=(0,), targets_NK=ones, weights_NK=ones,
        )  # fmt: skip
        with person_batches(
            person_set([example], classes={1: "stand"}), frames=PAINT, augment=augment, numbers=[[0]], seed=seed,
            epoch=0, num_workers=0, source=ClipSource(image_fps=10),
        ) as batches:  # fmt: skip
            (batch,) = list(batches)
    plain = dataclasses.replace(PAINT, mean_rgb=(0, 0, 0), std_rgb=(1, 1, 1))
    clip_BCTHW, boxes_N5 = persons_to_model(batch, frames=plain, device="cpu")
    painted_HW = clip_BCTHW[0, 0, 0] > 0.5
    if not len(boxes_N5):
        assert painted_HW.float().mean() < 0.001
        return
    size = torch.tensor([painted_HW.shape[1], painted_HW.shape[0]] * 2)
    said = boxes_N5[0, 1:] * size
    if (said[2:] - said[:2]).min() < 2:
        return
    rows, columns = torch.nonzero(painted_HW.any(dim=1)).flatten(), torch.nonzero(painted_HW.any(dim=0)).flatten()
    found = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    # Scaling in two steps moves an edge by at most a pixel.
    assert (found - said).abs().max() <= 1.25, f"painted {found.tolist()}, said {said.tolist()}"
