"""What the plan promises: every kind of file, shares, titles that name (or hide, or lie about) the action."""

from __future__ import annotations

from collections import Counter

import pytest

from gesta.world.plan import (
    ACTIONS,
    AWKWARD_DAMAGE,
    CORRUPT_DAMAGE,
    DUPLICATE_DAMAGE,
    VideoPlan,
    plan_take,
    plan_world,
)
from gesta.world.poses import MOTIONS
from gesta.world.titles import INFLECTIONS


def names_in(title: str) -> set[str]:
    return {action for action, forms in INFLECTIONS.items() if any(form in title.lower() for form in forms)}


@pytest.mark.parametrize("num_videos", [60, 96, 260])
@pytest.mark.parametrize("seed", [0, 7])
def test_every_kind_of_damage_is_there_and_shares_hold(seed: int, num_videos: int):
    plans = plan_world(seed=seed, num_videos=num_videos)
    kinds = Counter(plan.kind for plan in plans)
    damages = {(plan.kind, plan.damage) for plan in plans}
    assert len(plans) == len({plan.video_id for plan in plans}) == num_videos
    for kind, names in (("corrupt", CORRUPT_DAMAGE), ("duplicate", DUPLICATE_DAMAGE), ("original", AWKWARD_DAMAGE)):
        assert {(kind, name) for name in names} <= damages
    assert 0.10 <= kinds["duplicate"] / num_videos <= 0.12
    assert 0.10 <= (kinds["distractor"] + kinds["empty"]) / num_videos <= 0.14
    acted = Counter(action for plan in plans if plan.kind == "original" for action in plan.actions)
    assert set(acted) == set(ACTIONS)
    assert min(acted.values()) >= 3
    assert any(plan.video_id.startswith("-") for plan in plans)
    assert any(plan.video_id.startswith("_") for plan in plans)


def test_titles_name_what_is_done_unless_they_are_meant_not_to():
    plans = plan_world(seed=7, num_videos=260)
    named = [names_in(plan.title) >= set(plan.actions) for plan in plans if plan.kind == "original"]
    assert 0.9 < sum(named) / len(named) < 1
    for plan in plans:
        if plan.kind == "distractor":
            assert names_in(plan.title)
            assert not names_in(plan.title) & set(plan.actions)
        if plan.kind == "duplicate":
            assert names_in(plan.title) >= set(plan.actions)


def test_duplicates_repeat_whole_originals():
    plans = plan_world(seed=7, num_videos=260)
    for plan in plans:
        if plan.kind == "duplicate":
            parts = [plans[number] for number in plan.parts]
            assert all(part.kind == "original" and part.damage is None for part in parts)
            assert (len(parts) > 1) == (plan.damage == "compilation")


def test_takes_have_the_people_rates_and_lengths_they_should():
    plans = plan_world(seed=1, num_videos=120)
    takes = [plan_take(seed=1, plan=plan) for plan in plans if plan.kind in ("original", "empty", "distractor")]
    assert {len(take.actors) for take in takes} == {0, 1, 2, 3, 4}
    assert len({take.fps for take in takes}) == 4
    assert len({(take.width_px, take.height_px) for take in takes}) >= 5
    for take in takes:
        assert 3.9 <= take.duration_s <= 7
        for actor in take.actors:
            assert 0.34 <= actor.size_px / take.height_px <= 0.96
            assert actor.foot_px <= take.height_px
            if actor.action is not None:
                assert actor.view in MOTIONS[actor.action].views
                assert 0 <= actor.start_s < actor.end_s <= take.duration_s
                assert actor.end_s - actor.start_s >= 1.9


def test_a_plan_follows_from_its_seed():
    assert plan_world(seed=4, num_videos=30) == plan_world(seed=4, num_videos=30)
    assert plan_world(seed=4, num_videos=30) != plan_world(seed=5, num_videos=30)


def test_a_corrupt_file_has_no_take():
    plan = VideoPlan(number=0, video_id="x", kind="corrupt", title="")
    with pytest.raises(ValueError, match="no take of its own"):
        plan_take(seed=0, plan=plan)
