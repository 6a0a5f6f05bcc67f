"""Recipes of persons by name: functions whose docstrings say what to run, on what, at which cost, what to expect."""

from __future__ import annotations

from collections.abc import Callable

from gesta.schema import UnknownName
from gesta.train.persons import recipes_ava as ava
from gesta.train.persons import recipes_ava_kinetics as joint
from gesta.train.persons import recipes_lfb as lfb
from gesta.train.persons import recipes_world as world
from gesta.train.persons.recipe import PersonRecipe

_FUNCTIONS: tuple[Callable[[], PersonRecipe], ...] = (
    ava.slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb,
    ava.slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb,
    ava.slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb,
    ava.slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb,
    ava.slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb,
    ava.slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb,
    ava.slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb,
    ava.slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb,
    ava.slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb,
    ava.slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb,
    ava.slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb,
    ava.slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb,
    ava.slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes,
    ava.slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes,
    lfb.lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb,
    lfb.lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb,
    joint.slowonly_k400_r50_4x16_ava_kinetics,
    joint.slowonly_k700_r50_4x16_ava_kinetics,
    joint.slowonly_k400_r50_8x8_ava_kinetics,
    joint.slowonly_k700_r50_8x8_ava_kinetics,
    joint.slowonly_k700_r50_context_8x8_ava_kinetics,
    joint.slowonly_k700_r50_context_temporal_max_8x8_ava_kinetics,
    joint.slowonly_k700_r50_context_temporal_max_nl_head_8x8_ava_kinetics,
    joint.slowonly_k700_r50_context_temporal_max_nl_head_focal_8x8_ava_kinetics,
    joint.slowonly_k700_r50_tricks_16x4_ava_kinetics,
    joint.action_transformer_ava_kinetics,
    joint.action_transformer_ava,
    joint.action_transformer_kinetics,
    joint.action_transformer_multi_task_ava_kinetics,
    joint.pyslowfast_slow_r50_4x16_ava22,
    joint.pyslowfast_slowfast_r50_8x8_ava22,
    joint.pyslowfast_slowfast_r101_8x8_ava22,
    joint.videomae_base_ava_kinetics,
    world.slowfast_small_world,
    world.slowfast_small_context_world,
    world.slowfast_small_max_world,
    world.slowfast_small_focal_world,
    world.slow_only_small_world,
    world.action_transformer_small_world,
    world.slowfast_small_multi_task_world,
)

PERSON_RECIPES: dict[str, Callable[[], PersonRecipe]] = {function.__name__: function for function in _FUNCTIONS}


def find_person_recipe(recipe: str | PersonRecipe) -> PersonRecipe:
    """The recipe itself, or the one of that name.

    Raises:
        UnknownName: there is no such recipe; the message lists them.
    """
    if isinstance(recipe, PersonRecipe):
        return recipe
    if recipe not in PERSON_RECIPES:
        raise UnknownName(what="recipe", name=recipe, choices=PERSON_RECIPES)
    return PERSON_RECIPES[recipe]()
