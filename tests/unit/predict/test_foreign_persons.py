"""Weights of other programs, by the recipe that they are of."""

from __future__ import annotations

import pytest
import torch

from gesta.models.person_weights import save_as_mmaction2
from gesta.predict import load_person_scorer
from gesta.schema import BadInput
from gesta.train.persons.checkpoints import build_recipe_model
from gesta.train.persons.recipes import find_person_recipe

RECIPE = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"


@pytest.mark.slow
def test_weights_of_mmaction2_come_with_the_recipe_s_view_and_ava_s_names(tmp_path):
    recipe = find_person_recipe(RECIPE)
    torch.manual_seed(0)
    save_as_mmaction2(build_recipe_model(recipe, num_classes=80).eval(), tmp_path / "theirs.pth")
    scorer = load_person_scorer(tmp_path / "theirs.pth", recipe=RECIPE, device="cpu")
    assert scorer.class_ids == tuple(range(1, 81))
    assert scorer.class_names[0] == "bend/bow (at the waist)"
    assert scorer.num_frames == recipe.frames.num_frames
    assert scorer.origin["weights"] == "theirs.pth"
    with pytest.raises(BadInput, match=r"theirs\.pth: these weights .* do not fit"):
        load_person_scorer(
            tmp_path / "theirs.pth", recipe="slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", device="cpu"
        )
