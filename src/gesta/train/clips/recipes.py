"""Clip recipes by name: functions whose docstrings say what to run, on what, at which cost, and what to expect."""

from __future__ import annotations

from collections.abc import Callable

from gesta.schema import UnknownName
from gesta.train.clips import image_recipes as images
from gesta.train.clips import kinetics400_recipes as k400
from gesta.train.clips import kinetics700_recipes as k700
from gesta.train.clips import world_recipes as world
from gesta.train.clips.recipe import ClipRecipe, ClipTest, SpikeRule, clip_recipe_of

_FUNCTIONS: tuple[Callable[[], ClipRecipe], ...] = (
    k400.conv_lstm_ucf101,
    k400.conv_lstm_hmdb51,
    k400.conv_lstm_kinetics400,
    k400.two_stream_rgb_ucf101,
    k400.two_stream_rgb_hmdb51,
    k400.two_stream_rgb_kinetics400,
    k400.two_stream_flow_ucf101,
    k400.two_stream_flow_hmdb51,
    k400.two_stream_flow_kinetics400,
    k400.c3d_ucf101,
    k400.c3d_hmdb51,
    k400.c3d_kinetics400,
    k700.i3d_k700_2020_100,
    k700.i3d_k700_2020_200,
    k700.i3d_k700_2020_300,
    k700.i3d_k700_2020_400,
    k700.i3d_k700_2020_500,
    k700.i3d_k700_2020_600,
    k700.i3d_k700_2020,
    k700.i3d_k700,
    world.i3d_small_world,
    world.frame_r18_world,
    images.frame_r18_images,
    images.frame_r50_images,
)

CLIP_RECIPES: dict[str, Callable[[], ClipRecipe]] = {function.__name__: function for function in _FUNCTIONS}


def find_clip_recipe(recipe: str | ClipRecipe) -> ClipRecipe:
    """The recipe itself, or the one of that name.

    Raises:
        UnknownName: there is no such recipe; the message lists them.
    """
    if isinstance(recipe, ClipRecipe):
        return recipe
    if recipe not in CLIP_RECIPES:
        raise UnknownName(what="recipe", name=recipe, choices=CLIP_RECIPES)
    return CLIP_RECIPES[recipe]()


__all__ = ["CLIP_RECIPES", "ClipRecipe", "ClipTest", "SpikeRule", "clip_recipe_of", "find_clip_recipe"]
