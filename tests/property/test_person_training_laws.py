"""Laws of what training on persons adds: rises from a share of the rate, and layers of a transformer."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.train.clips.optimisers import layer_of
from gesta.train.clips.schedules import learning_rate
from gesta.train.persons.recipes import find_person_recipe

PARENT = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"


def mmcv_rate(*, base: float, ratio: float, step: int, num_warmup: int) -> float:
    """MMCV's linear warm-up, written as its documentation does: the rate less a shrinking share of what it lacks."""
    lacks = (1 - step / num_warmup) * (1 - ratio)
    return base * (1 - lacks)


@given(st.integers(1, 200), st.floats(0.001, 0.9), st.integers(0, 10_000))
def test_the_rise_is_mmcvs_and_ends_at_the_rate(steps_per_epoch, ratio, step):
    recipe = dataclasses.replace(find_person_recipe(PARENT), warmup_from_frac=ratio)
    num_warmup = 5 * steps_per_epoch
    step %= num_warmup
    rate = learning_rate(recipe, step=step, steps_per_epoch=steps_per_epoch, num_steps=20 * steps_per_epoch)
    assert rate == pytest.approx(mmcv_rate(base=recipe.base_lr, ratio=ratio, step=step, num_warmup=num_warmup))
    assert ratio * recipe.base_lr <= rate * (1 + 1e-12)
    assert rate < recipe.base_lr
    after = learning_rate(recipe, step=num_warmup, steps_per_epoch=steps_per_epoch, num_steps=20 * steps_per_epoch)
    assert after == recipe.base_lr


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.02), (5, 0.2), (9, 0.2), (10, 0.02), (14, 0.02), (15, 0.002)])
def test_the_steps_of_the_published_schedule(epoch, rate):
    recipe = find_person_recipe(PARENT)
    found = learning_rate(recipe, step=100 * epoch, steps_per_epoch=100, num_steps=2000)
    assert found == pytest.approx(rate)


def test_a_rise_may_be_counted_in_steps():
    recipe = find_person_recipe("slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb")
    rates = [learning_rate(recipe, step=step, steps_per_epoch=2000, num_steps=20_000) for step in (0, 800, 1600)]
    assert rates == pytest.approx([0.0015, 0.5 * (0.0015 + 0.15), 0.15])


@given(st.integers(0, 46), st.integers(1, 48))
def test_layers_are_numbered_from_the_embeddings_to_the_head(layer, num_layers):
    layer %= num_layers
    assert layer_of(f"trunk.net.videomae.encoder.layer.{layer}.attention.q.weight", num_layers=num_layers) == layer + 1
    assert layer_of("trunk.net.videomae.embeddings.patch_embeddings.weight", num_layers=num_layers) == 0
    assert layer_of("head.classify.weight", num_layers=num_layers) == num_layers + 1
