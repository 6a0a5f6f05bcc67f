"""Laws of the pieces of the training loop: sums, rates, plateaus, guards, shares of parts."""

from __future__ import annotations

import dataclasses
import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gesta.schema import GestaError
from gesta.train.clips.gradients import PartSum, pairwise_sum
from gesta.train.clips.guards import LossGuard, guard_of
from gesta.train.clips.loop import parts_in_batch
from gesta.train.clips.processes import Crew
from gesta.train.clips.recipe import SpikeRule
from gesta.train.clips.recipes import find_clip_recipe
from gesta.train.clips.schedules import learning_rate, num_plateaus_of
from gesta.train.clips.validate import num_within_top

FLOATS = st.floats(-1e3, 1e3, width=32)


def leaf(value: float) -> PartSum:
    return PartSum(
        loss=torch.tensor(value, dtype=torch.float64),
        gradients=[torch.tensor([value, 2 * value])],
        statistics=[torch.tensor([value])],
    )


@given(st.lists(FLOATS, min_size=1, max_size=40))
def test_the_pairwise_sum_is_the_sum(values):
    total = pairwise_sum(leaf(value) for value in values)
    assert total is not None
    assert float(total.loss) == pytest.approx(math.fsum(values), abs=1e-6 + 1e-6 * sum(map(abs, values)))
    assert float(total.gradients[0][0]) == pytest.approx(math.fsum(values), abs=1e-3 + 1e-5 * sum(map(abs, values)))


@given(st.integers(0, 5), st.data())
def test_halves_of_a_power_of_two_add_up_to_the_same_bits(power, data):
    num = 2**power
    values = data.draw(st.lists(FLOATS, min_size=2 * num, max_size=2 * num))
    whole = pairwise_sum(leaf(value) for value in values)
    halves = [pairwise_sum(leaf(value) for value in values[start : start + num]) for start in (0, num)]
    assert whole is not None
    assert halves[0] is not None
    assert halves[1] is not None
    assert torch.equal(whole.gradients[0], halves[0].gradients[0] + halves[1].gradients[0])


def test_the_sum_of_nothing_is_none():
    assert pairwise_sum([]) is None


@given(st.integers(1, 8), st.integers(1, 8))
def test_every_part_is_computed_once(size, each):
    crews = [Crew(rank=rank, size=size) for rank in range(size)]
    parts = [part for crew in crews for part in crew.own_parts(size * each)]
    assert parts == list(range(size * each))


@given(st.integers(1, 200), st.integers(1, 64))
def test_no_part_of_a_batch_has_one_clip_but_a_batch_of_one(num_clips, num_parts):
    recipe = dataclasses.replace(find_clip_recipe("i3d_k700_2020"), num_parts=num_parts)
    found = parts_in_batch(num_clips, recipe=recipe)
    assert 1 <= found <= num_parts
    assert num_clips // found >= 2 or num_clips == 1


@given(st.integers(0, 10_000), st.floats(0, 10))
def test_no_rate_is_above_the_base_or_below_zero(step, warmup_epochs):
    for schedule in ("steps", "plateau", "cosine"):
        recipe = dataclasses.replace(
            find_clip_recipe("i3d_k700_2020"), schedule=schedule, warmup_epochs=warmup_epochs
        )  # fmt: skip
        rate = learning_rate(recipe, step=step, steps_per_epoch=100, num_steps=10_001)
        assert 0 <= rate <= recipe.base_lr


def test_kinetics_700_has_its_rates():
    recipe = find_clip_recipe("i3d_k700_2020")
    rates = {
        epoch: learning_rate(recipe, step=epoch * 7, steps_per_epoch=7, num_steps=135 * 7)
        for epoch in (0, 89, 90, 104, 105, 114, 115, 119, 120, 134)
    }
    assert list(rates.values()) == pytest.approx([0.5, 0.5, 0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])


@given(st.lists(st.floats(0, 10), max_size=30), st.integers(1, 5))
def test_plateaus_only_grow_and_falling_losses_have_none(losses, patience):
    counts = [num_plateaus_of(losses[:end], patience=patience) for end in range(len(losses) + 1)]
    assert counts == sorted(counts)
    assert counts[-1] <= len(losses) / patience
    falling = [1 / (place + 1) for place in range(20)]
    assert num_plateaus_of(falling, patience=patience) == 0


@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=60), st.floats(1.5, 20))
def test_a_step_is_skipped_just_when_its_loss_is_above_the_median(losses, factor):
    guard = LossGuard(rule=SpikeRule(factor=factor, window=10, at_least=3, max_skipped=1000))
    kept: list[float] = []
    for loss in losses:
        expected = len(kept) >= 3 and loss > factor * statistics.median(kept[-10:])
        assert guard.skips(loss) == expected
        if not expected:
            kept.append(loss)
    again = guard_of(guard.rule, guard.as_progress())
    assert again == guard


def test_gradients_that_float16_cannot_hold_are_skipped_and_in_the_end_refused():
    guard = LossGuard(rule=SpikeRule(max_skipped=2))
    assert [guard.skips(1.0, is_overflow=True) for _ in range(2)] == [True, True]
    with pytest.raises(GestaError, match="3 of the last 3 steps were skipped, float16 could not hold their gradients"):
        guard.skips(1.0, is_overflow=True)


@given(st.lists(st.lists(FLOATS, min_size=4, max_size=4), min_size=1, max_size=8), st.data())
def test_more_tops_hold_more_clips_and_all_classes_hold_all(rows, data):
    logits = torch.tensor(rows)
    labels = torch.tensor([data.draw(st.integers(0, 3)) for _ in rows])
    counts = [num_within_top(logits, labels, top=top) for top in (1, 2, 3, 4)]
    assert counts == sorted(counts)
    assert counts[-1] == len(rows)
