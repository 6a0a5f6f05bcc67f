"""Every kind of copy: what it does to the pictures, and that its truth still fits them."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gesta.cli import main
from gesta.schema import BadInput, UnknownName
from gesta.tables import read_table, sha256_of_file
from gesta.world import COPY_DAMAGE, Copies, render_world
from gesta.world.copies import at_speed, copied, letterboxed, with_logo
from gesta.world.plan import COMPILED, DUPLICATE_DAMAGE, plan_world
from gesta.world.render import Done, Footage, Seen, Stretch, compiled


def footage(*, num_frames: int = 40, fps: int = 10, width: int = 60, height: int = 40, shade: int = 0) -> Footage:
    """One person, drawn as a white box that goes from left to right, walking from 0.5 s to the end."""
    frames, seen = [], []
    for k in range(num_frames):
        frame = np.full((height, width, 3), 60 + shade, np.uint8)
        left = 4 + k * (width - 20) // num_frames
        frame[10:30, left : left + 10] = 255
        frames.append(frame)
        seen.append(Seen(0, k, (left / width, 10 / height, (left + 10) / width, 30 / height)))
    return Footage(frames=frames, fps=Fraction(fps), seen=seen, done=[Done(0, "walking", 0.5, num_frames / fps)])


def is_boxed(one: Footage) -> bool:
    """Whether the middle of every box is the drawn person."""
    height, width = one.frames[0].shape[:2]
    middles = [((s.box[0] + s.box[2]) / 2 * width, (s.box[1] + s.box[3]) / 2 * height, s.frame) for s in one.seen]
    return all(one.frames[k][int(y), int(x)].min() > 180 for x, y, k in middles)


@given(st.sampled_from(COPY_DAMAGE), st.integers(0, 2**32))
def test_the_truth_of_every_copy_fits_its_pictures(damage: str, seed: int) -> None:
    parts = [footage(), footage(shade=40), footage(shade=80, fps=20)]
    made = copied(parts if damage in COMPILED else parts[:1], damage, random.Random(seed))
    height, width = made.frames[0].shape[:2]
    assert {frame.shape for frame in made.frames} == {(height, width, 3)}
    assert height % 2 == width % 2 == 0
    assert {one.frame for one in made.seen} <= set(range(len(made.frames)))
    assert all(0 <= value <= 1 for one in made.seen for value in one.box)
    assert all(0 <= act.start_s < act.end_s <= made.duration_s + 1e-9 for act in made.done)
    assert len(made.done) == (3 if damage in COMPILED else 1)
    if damage not in ("logo", "reworked"):
        # A logo may hide the person.
        assert is_boxed(made)


def test_bars_frame_the_picture() -> None:
    made = letterboxed(footage(), x_px=0, y_px=6)
    assert made.frames[0].shape == (52, 60, 3)
    assert not made.frames[0][:6].any()
    assert not made.frames[0][-6:].any()
    assert (made.frames[0][6:-6] == footage().frames[0]).all()


def test_a_logo_covers_one_corner_and_the_same_px_all_along() -> None:
    made, plain = with_logo(footage(), random.Random(3)), footage()
    changed = np.stack([(a != b).any(-1) for a, b in zip(made.frames, plain.frames, strict=True)])
    assert 0.015 < changed.mean() < 0.06
    rows, columns = np.nonzero(changed.any(0))
    assert rows.min() > 20 or rows.max() < 20
    assert columns.min() > 30 or columns.max() < 30


@pytest.mark.parametrize(("speed", "num_frames"), [(2.0, 20), (0.5, 80)])
def test_speed_changes_the_length_and_moves_the_action(speed: float, num_frames: int) -> None:
    made = at_speed(footage(), speed=speed)
    assert len(made.frames) == num_frames
    assert made.done == [Done(0, "walking", 0.5 / speed, 4 / speed)]
    assert (made.frames[-1] == footage().frames[-1 if speed < 1 else -2]).all()
    assert is_boxed(made)


def test_stretches_follow_one_another() -> None:
    first, second = footage(), footage(shade=90, fps=20)
    made = compiled([Stretch(second, 0.0, 1.0), Stretch(first, 1.0, 2.0)], fps=Fraction(10), width_px=60, height_px=40)
    assert len(made.frames) == 30
    assert (made.frames[10] == first.frames[10]).all()
    assert made.done == [Done(0, "walking", 0.5, 1.0), Done(1, "walking", 1.0, 3.0)]
    assert is_boxed(made)


def test_an_excerpt_shows_half_of_its_source_amid_others() -> None:
    made = copied([footage(), footage(shade=40), footage(shade=80)], "excerpt", random.Random(1))
    shades = [int(frame[0, 0, 0]) for frame in made.frames]
    assert shades == sorted(shades, key=[100, 60, 140].index)
    assert 18 <= shades.count(60) <= 26


def test_a_world_of_all_copies_says_what_each_is(tmp_path: Path) -> None:
    copies = Copies(kinds=COPY_DAMAGE, share=0.5)
    plans = plan_world(seed=2, num_videos=60, copies=copies)
    assert {plan.damage for plan in plans if plan.kind == "duplicate"} == set(COPY_DAMAGE)
    assert all((len(plan.parts) > 1) == (plan.damage in COMPILED) for plan in plans if plan.kind == "duplicate")
    few = Copies(kinds=("letterboxed", "excerpt"), share=0.2)
    render_world(tmp_path, seed=2, num_videos=12, copies=few, workers=1)
    truth = read_table(tmp_path, "truth_videos").filter(kind="duplicate")
    assert {damage.partition(" of ")[0] for damage in truth["damage"]} == {"letterboxed", "excerpt"}
    assert render_world(tmp_path, seed=2, num_videos=12, copies=few).was_current


def test_copies_that_are_not_asked_for_change_nothing(tmp_path: Path) -> None:
    """Worlds made before there were other kinds stay as they were, byte by byte."""
    plain, named = tmp_path / "plain", tmp_path / "named"
    render_world(plain, seed=3, num_videos=8, workers=1)
    render_world(named, seed=3, num_videos=8, copies=Copies(kinds=DUPLICATE_DAMAGE), workers=1)
    names = sorted(path.relative_to(plain) for path in plain.rglob("*.*"))
    assert [sha256_of_file(plain / name) for name in names] == [sha256_of_file(named / name) for name in names]


@pytest.mark.parametrize("share", [-0.1, 0.7])
def test_wrong_copies_are_refused(share: float) -> None:
    with pytest.raises(BadInput, match=r"Want one kind or more, and 0 to 0\.6"):
        Copies(share=share)
    with pytest.raises(BadInput, match="0 kinds of copy"):
        Copies(kinds=())
    with pytest.raises(UnknownName, match="no kind of copy 'blurred'"):
        Copies(kinds=("blurred",))
    with pytest.raises(BadInput, match="5 copies among 8 videos leave no original"):
        plan_world(seed=0, num_videos=8, copies=Copies(share=0.6))


def test_the_verb_plants_what_it_is_told(tmp_path: Path) -> None:
    options = ["--videos", "12", "--copies", "logo, speed", "--copy-share", "0.2", "--workers", "1"]
    result = CliRunner().invoke(main, ["world", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    copies = read_table(tmp_path, "truth_videos").filter(pl.col("kind") == "duplicate")
    assert set(copies["damage"]) == {"logo", "speed"}
