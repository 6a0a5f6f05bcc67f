"""Vectors of parts of a picture: a crop meets the part that it shows, and pairs are those of a plain reading."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.curate.crop_views import least_by_views, pairs_by_views, part_boxes, views_of_frames
from gesta.curate.trunk_stage import min_cosine_of_trunk

by_hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("footage_by_hand.py"))))


def square(frames):
    return np.stack(
        [cv2.resize(np.ascontiguousarray(frame), (224, 224), interpolation=cv2.INTER_AREA) for frame in frames]
    )


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_parts_lie_inside_the_picture_and_no_crop_is_far_from_one():
    assert all(0 <= top <= 1 - side + 1e-9 and 0 <= left <= 1 - side + 1e-9 for top, left, side in part_boxes())
    rng = np.random.default_rng(0)
    for _ in range(300):
        side = rng.uniform(0.8, 0.92)
        corner = rng.uniform(0, 1 - side, 2)
        middle = corner + side / 2
        off = min(
            max(abs(top + s / 2 - middle[0]), abs(left + s / 2 - middle[1]), abs(s - side) / 2)
            for top, left, s in part_boxes()
        )
        assert off < 0.03


@pytest.mark.parametrize("crop", [(0, 0, 0.84), (14, 20, 0.84), (10, 4, 0.9)])
def test_a_crop_is_like_a_part_and_another_film_is_not(crop):
    film, other = by_hand.film(1, 1)[::5], by_hand.film(2, 2)[::5]
    y, x, side = crop
    height, width = (round(side * size) for size in film.shape[1:3])
    views = views_of_frames(square(film))
    cut = views_of_frames(square(film[:, y : y + height, x : x + width]))[0]
    best = max(cosine(view, cut) for view in views)
    assert best > cosine(views[0], cut)
    assert best > min_cosine_of_trunk("perceptual-hash")
    assert max(cosine(view, cut) for view in views_of_frames(square(other))) < 0.5


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 9), st.integers(1, 4), st.integers(0, 10_000), st.sampled_from([0.3, 0.7, 0.95]), st.integers(1, 10)
)
def test_pairs_and_the_least_alike_are_those_of_a_plain_reading(num, num_views, seed, min_cosine, block):
    views = np.random.default_rng(seed).standard_normal((num + 1, num_views, 4)).astype(np.float32)
    rows = np.arange(1, num + 1)
    alike = {
        (i, j): max(max(cosine(v, views[j, 0]) for v in views[i]), max(cosine(v, views[i, 0]) for v in views[j]))
        for i in rows
        for j in rows
        if i < j
    }
    found = pairs_by_views(views, rows, min_cosine=min_cosine, block=block)
    got = dict(zip(zip(found.a_P.tolist(), found.b_P.tolist(), strict=True), found.cosine_P, strict=True))
    clear = {pair for pair, value in alike.items() if abs(value - min_cosine) > 1e-5}
    assert {pair for pair in got if pair in clear} == {p for p in clear if alike[p] >= min_cosine}
    assert list(got) == sorted(got)
    for pair, value in got.items():
        assert value == pytest.approx(alike[pair], abs=1e-5)
    assert least_by_views(views, rows, block=block) == pytest.approx(min(alike.values()), abs=1e-5)
