"""Vectors of frames, and the comparison of all with all."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import polars as pl
import pytest

from gesta.curate import alike_pairs, centered, frame_vector, vectors_of_texts
from gesta.curate.features import NUM_DIMS, NUM_SKETCH, SHORT_SIDE_PX, local_features, num_samples, text_of_vector

by_hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("footage_by_hand.py"))))


def cosine(a, b):
    return float(centered(np.stack([a, b, *OTHERS]))[:2].prod(axis=0).sum())


WIDTH = by_hand.WIDTH
OTHERS = [frame_vector(by_hand.place(seed)) for seed in range(100, 130)]


def test_a_mirror_image_has_nearly_the_same_vector_and_another_place_has_not():
    picture = by_hand.place(1)
    mirror = np.ascontiguousarray(picture[:, ::-1])
    crop = cv2.resize(picture[10:130, 15:175], (WIDTH, SHORT_SIDE_PX))
    assert cosine(frame_vector(picture), frame_vector(mirror)) > 0.7
    assert cosine(frame_vector(picture), frame_vector(crop)) > 0.5
    assert cosine(frame_vector(picture), frame_vector(by_hand.place(2))) < 0.4


def test_the_features_of_a_mirror_image_are_known_without_it():
    gray = cv2.cvtColor(by_hand.place(3), cv2.COLOR_RGB2GRAY)
    known = local_features(gray).mirrored(width_px=WIDTH)
    found = local_features(np.ascontiguousarray(gray[:, ::-1]))
    distance = np.abs(known.points_K2[:, None] - found.points_K2[None]).max(axis=2)
    near = distance.argmin(axis=1)
    is_met = distance.min(axis=1) < 1.5
    likeness = (known.descriptors_K128 * found.descriptors_K128[near]).sum(axis=1)
    assert is_met.mean() > 0.7
    assert np.median(likeness[is_met]) > 0.95


def test_a_frame_without_texture_has_a_vector():
    vector = frame_vector(np.full((144, 192, 3), 90, np.uint8))
    assert np.isfinite(vector).all()
    assert np.count_nonzero(vector[:NUM_SKETCH]) == 0
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_the_text_of_a_vector_keeps_its_direction():
    vector = frame_vector(by_hand.place(4))
    back = vectors_of_texts(pl.Series([text_of_vector(vector)]))
    assert back.shape == (1, NUM_DIMS)
    assert float(back[0] @ vector) / 2 > 0.99


def test_without_frames_there_are_no_vectors():
    assert vectors_of_texts(pl.Series([], dtype=pl.String)).shape == (0, NUM_DIMS)
    assert centered(np.empty((0, NUM_DIMS), np.float32)).shape == (0, NUM_DIMS)


@pytest.mark.parametrize(("duration_us", "expected"), [(1, 4), (5_000_000, 4), (10_000_000, 8), (10**9, 10)])
def test_longer_clips_are_looked_at_more_often(duration_us, expected):
    assert num_samples(duration_us) == expected


@pytest.mark.parametrize("block", [3, 16, 1000])
def test_pairs_are_those_of_brute_force_whatever_the_block(block):
    rng = np.random.default_rng(block)
    clip = np.sort(rng.integers(0, 12, 60))
    vectors = rng.standard_normal((60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    group = np.arange(12) // 2
    found = alike_pairs(vectors, clip, group_of_clip=group, min_cosine=0.9, block=block)
    every = vectors @ vectors.T
    expected = {}
    for a in range(12):
        for b in range(a + 1, 12):
            best = every[np.ix_(clip == a, clip == b)].max(initial=-1)
            if group[a] != group[b] and best >= 0.9:
                expected[a, b] = best
    assert list(zip(found.a_P.tolist(), found.b_P.tolist(), strict=True)) == sorted(expected)
    np.testing.assert_allclose(found.cosine_P, [expected[key] for key in sorted(expected)], atol=1e-6)


def test_no_frames_no_pairs():
    found = alike_pairs(
        np.empty((0, 4), np.float32), np.empty(0, np.int64), group_of_clip=np.empty(0, np.int64), min_cosine=0.5
    )
    assert len(found.a_P) == 0
