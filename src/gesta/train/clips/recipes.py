"""Clip recipes by name: functions whose docstrings say what to run, on what, at which cost, and what to expect."""

from __future__ import annotations

from collections.abc import Callable

from gesta.schema import UnknownName
from gesta.train.clips import world_recipes
from gesta.train.clips.recipe import ClipRecipe, ClipTest, SpikeRule, clip_recipe_of

_FUNCTIONS: tuple[Callable[[], ClipRecipe], ...] = (world_recipes.i3d_small_world, world_recipes.frame_r18_world)

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
