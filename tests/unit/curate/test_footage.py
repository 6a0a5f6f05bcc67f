"""Whether two clips show the same footage."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gesta.curate import read_footage, shared_footage
from gesta.curate.stage import MIN_AGREEMENT

by_hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("footage_by_hand.py"))))
SECOND = 1_000_000


def footage(path, start=0.0, end=2.0):
    return read_footage(path, start_us=int(start * SECOND), end_us=int(end * SECOND), step_us=80_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("footage")


@pytest.fixture(scope="module")
def original(folder):
    return footage(by_hand.write(folder / "original.mp4", by_hand.film(1, 1)))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("re-encoded", lambda frames: frames), ("cropped", by_hand.cropped), ("resized", by_hand.resized),
        ("flipped", by_hand.flipped), ("pressed", by_hand.pressed),
    ],
)  # fmt: skip
def test_copies_are_found(folder, original, name, change):
    copy = footage(by_hand.write(folder / f"{name}.mp4", change(by_hand.film(1, 1)), crf=33))
    for shared in (
        shared_footage(original, copy, min_agreement=MIN_AGREEMENT),
        shared_footage(copy, original, min_agreement=MIN_AGREEMENT),
    ):
        assert shared is not None
        assert shared.agreement > 0.9
        assert shared.is_mirrored == (name == "flipped")
        assert shared.end_us_a - shared.start_us_a > 1.6 * SECOND


def test_a_part_of_a_compilation_is_found_where_it_is(folder, original):
    frames = np.concatenate([by_hand.film(2, 2)[:30], by_hand.film(1, 1)[5:40]])
    shared = shared_footage(
        original, footage(by_hand.write(folder / "joined.mp4", frames), end=2.6), min_agreement=MIN_AGREEMENT
    )
    assert shared is not None
    assert shared.start_us_b == pytest.approx(1.2 * SECOND, abs=100_000)
    assert shared.start_us_b - shared.start_us_a == pytest.approx(1.0 * SECOND, abs=100_000)


def test_the_same_place_with_other_action_is_no_copy(folder, original):
    for seed in range(2, 6):
        other = footage(by_hand.write(folder / f"same_place_{seed}.mp4", by_hand.film(1, seed)))
        assert shared_footage(original, other, min_agreement=MIN_AGREEMENT) is None


def test_another_place_is_no_copy(folder, original):
    other = footage(by_hand.write(folder / "elsewhere.mp4", by_hand.film(7, 1)))
    assert shared_footage(original, other, min_agreement=-1) is None


def test_still_pictures_are_copies_of_each_other(folder, original):
    stills = [
        footage(by_hand.write(folder / f"still_{crf}.mp4", np.stack([by_hand.place(1)] * 50), crf=crf))
        for crf in (20, 30)
    ]
    shared = shared_footage(*stills, min_agreement=MIN_AGREEMENT)
    assert shared is not None
    assert shared.agreement is None
    assert shared_footage(stills[0], original, min_agreement=MIN_AGREEMENT) is None


def test_different_sittings_of_one_signer_are_not_merged(shared):
    """Ten words by one person before one wall; also copies among the real files that are known."""
    videos = shared / "videos"
    words = [footage(path, end=1.5) for path in sorted((videos / "asl").glob("*.mkv"))]
    assert len(words) == 10
    merged = [
        (i, j)
        for i in range(10)
        for j in range(i)
        if shared_footage(words[i], words[j], min_agreement=MIN_AGREEMENT) is not None
    ]
    assert merged == []
    first, second = (footage(videos / name, end=1.1) for name in ("part_0.mp4", "part_1_same_as_part_0.mp4"))
    assert shared_footage(first, second, min_agreement=MIN_AGREEMENT).agreement == pytest.approx(1)
    clear, poor = (footage(videos / "other" / f"carphone_{name}.mp4", end=4) for name in ("pristine", "distorted"))
    assert shared_footage(clear, poor, min_agreement=MIN_AGREEMENT) is not None
