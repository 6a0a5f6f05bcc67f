"""Pictures and truth agree: boxes hug what was drawn, and copies carry their truth along."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from gesta.world.plan import Take, plan_take, plan_world
from gesta.world.render import LEAST_VISIBLE, Done, Footage, Seen, cropped, film, flipped, joined, resized


def a_take(action: str, *, seed: int = 11) -> Take:
    plan = next(
        plan for plan in plan_world(seed=seed, num_videos=160) if plan.actions == (action,) and plan.kind == "original"
    )
    take = plan_take(seed=seed, plan=plan)
    return replace(take, num_frames=6, grain=0.0)


@pytest.mark.parametrize("action", ["running", "jumping", "clapping", "bowing"])
def test_the_pixels_that_people_change_lie_in_their_boxes(action: str):
    take = a_take(action)
    people, nobody = film(take), film(replace(take, actors=()))
    height, width = take.height_px, take.width_px
    for number in range(take.num_frames):
        changed = np.abs(people.frames[number].astype(int) - nobody.frames[number]).max(-1) > 40
        covered = np.zeros((height, width), bool)
        for one in people.seen:
            if one.frame == number:
                x1, y1, x2, y2 = (round(v * s) for v, s in zip(one.box, (width, height) * 2, strict=True))
                # One pixel for the outline, which is drawn on the edge.
                covered[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = True
                assert changed[y1:y2, x1:x2].mean() > 0.1
        # A chair stands in both; nothing else may change outside the boxes.
        assert (changed & ~covered).sum() <= 0.002 * changed.size


def footage(*boxes: tuple[float, float, float, float], fps: int = 10, num_frames: int = 20) -> Footage:
    frames = [np.full((40, 60, 3), k, np.uint8) for k in range(num_frames)]
    seen = [Seen(person, k, box) for k in range(num_frames) for person, box in enumerate(boxes)]
    done = [Done(0, "walking", 0.5, num_frames / fps)]
    return Footage(frames=frames, fps=Fraction(fps), seen=seen, done=done)


def test_flipping_twice_gives_it_back():
    one = footage((0.125, 0.25, 0.5, 0.75))
    assert flipped(one).seen[0].box == (0.5, 0.25, 0.875, 0.75)
    twice = flipped(flipped(one))
    assert twice.seen == one.seen
    assert all((a == b).all() for a, b in zip(twice.frames, one.frames, strict=True))


def test_a_crop_moves_boxes_and_drops_people_left_outside():
    one = footage((0.5, 0.5, 1.0, 1.0), (0.0, 0.0, 0.2, 0.2), (0.05, 0.0, 0.4, 0.5))
    part = cropped(one, x=12, y=0, width_px=48, height_px=40)
    first = [seen for seen in part.seen if seen.frame == 0]
    assert [seen.person_id for seen in first] == [0, 2]
    assert first[0].box == pytest.approx((0.375, 0.5, 1.0, 1.0))
    assert first[1].box == pytest.approx((0.0, 0.0, 0.25, 0.5))
    assert part.frames[0].shape == (40, 48, 3)
    assert LEAST_VISIBLE == 0.25


def test_another_size_leaves_fractions_alone():
    one = footage((0.1, 0.2, 0.3, 0.4))
    other = resized(one, width_px=30, height_px=20)
    assert other.frames[0].shape == (20, 30, 3)
    assert other.seen == one.seen


def test_a_compilation_puts_later_parts_after_the_first_at_its_rate():
    whole = joined([footage((0.1, 0.1, 0.2, 0.9)), footage((0.6, 0.1, 0.8, 0.9), fps=20, num_frames=60)], later_s=1.5)
    assert len(whole.frames) == 20 + 15
    assert whole.frames[20 + 4][0, 0, 0] == 8, "the frame shown at 0.4 s of 20 a second"
    assert {seen.person_id for seen in whole.seen if seen.frame >= 20} == {1}
    assert whole.done == [Done(0, "walking", 0.5, 2.0), Done(1, "walking", 2.5, 3.5)]
