"""Labelled data and a recipe into a trained model: samples, batches, loop, checkpoints. Needs the extra `train`."""

from collections.abc import Callable

from gesta.train.checkpoints import Checkpoint, load_checkpoint, model_of, save_checkpoint
from gesta.train.loop import plan_train, run_train
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import PERSON_RECIPES
from gesta.train.recipes import RECIPES as ROI_RECIPES
from gesta.train.recipes import Recipe, find_recipe

RECIPES: dict[str, Callable[[], Recipe | PersonRecipe]] = {**ROI_RECIPES, **PERSON_RECIPES}
"""All recipes of models of persons at key-frames by name; those of clips are `gesta.train.clips.CLIP_RECIPES`."""

__all__ = [
    "PERSON_RECIPES",
    "RECIPES",
    "ROI_RECIPES",
    "Checkpoint",
    "PersonRecipe",
    "Recipe",
    "find_recipe",
    "load_checkpoint",
    "model_of",
    "plan_train",
    "run_train",
    "save_checkpoint",
]
