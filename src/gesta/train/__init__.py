"""A release and a recipe into a trained model: samples, batches, loop, checkpoints. Needs the extra `train`."""

from gesta.train.checkpoints import Checkpoint, load_checkpoint, model_of, save_checkpoint
from gesta.train.loop import plan_train, run_train
from gesta.train.recipes import RECIPES, Recipe, find_recipe

__all__ = [
    "RECIPES",
    "Checkpoint",
    "Recipe",
    "find_recipe",
    "load_checkpoint",
    "model_of",
    "plan_train",
    "run_train",
    "save_checkpoint",
]
