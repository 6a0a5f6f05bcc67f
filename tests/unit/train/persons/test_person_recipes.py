"""Recipes of persons: the published tables' names and numbers, models that can be built, settings that agree."""

from __future__ import annotations

import dataclasses
import inspect
import json

import pytest
import torch

from gesta.models.published import PUBLISHED_WEIGHTS
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.models.trunks import TRUNKS
from gesta.schema import BadInput, UnknownName
from gesta.train import RECIPES
from gesta.train.clips.recipe import DECAYED
from gesta.train.clips.speed import TERA
from gesta.train.persons.paper_rows import PERSON_ROWS, command_said, hours_said, person_recipe_section
from gesta.train.persons.recipe import PersonRecipe, person_recipe_of
from gesta.train.persons.recipes import PERSON_RECIPES, find_person_recipe
from gesta.train.persons.recipes_ava import CUSTOM_CLASSES
from gesta.train.persons.task import person_flops, weightless

SEED_NAMES = (
    "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb",
    "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb",
    "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb",
    "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb",
    "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
    "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb",
    "slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
    "slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
    "slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
    "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes",
    "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes",
)
"""MMAction2's fourteen models of AVA. Source: the README of configs/detection/ava, v0.24.1."""

PUBLISHED = [name for name in PERSON_RECIPES if not name.endswith("_world")]
KEY_FRAMES = {"AVA21": 210_634, "AVA22": 210_634, "AVAK": 352_091, "KINETICS": 141_457}
"""To train on. Source: Li et al. (2020), table 1."""


def settings_of(name: str) -> tuple[int, float, int, float]:
    """Key-frames a batch, rate, epochs and weight decay."""
    recipe = find_person_recipe(name)
    return recipe.clips_per_batch, recipe.base_lr, recipe.epochs, recipe.weight_decay


@pytest.mark.parametrize("name", SEED_NAMES)
def test_the_fourteen_published_names_are_recipes(name):
    recipe = RECIPES[name]()
    assert isinstance(recipe, PersonRecipe)
    assert recipe.name == name


@pytest.mark.parametrize("name", PERSON_RECIPES)
def test_every_recipe_says_what_to_run_what_it_costs_and_what_to_expect(name):
    recipe = find_person_recipe(name)
    assert recipe.name == name
    text = inspect.getdoc(PERSON_RECIPES[name]) or ""
    for word in ("Hardware and cost:", "Expect:", "Source:"):
        assert word in text, f"{name} does not say {word!r}"
    assert command_said(PERSON_RECIPES[name]).startswith("gesta train ")
    assert f"--recipe {name} " in command_said(PERSON_RECIPES[name])
    if name in PUBLISHED:
        is_file = recipe.pretrained.endswith((".pkl", "videomae-base-finetuned-kinetics"))
        assert is_file or recipe.pretrained in {**PERSON_WEIGHTS, **PUBLISHED_WEIGHTS}
        assert is_file or f"--start {recipe.pretrained} " in command_said(PERSON_RECIPES[name])
        assert hours_said(PERSON_RECIPES[name]) is not None


@pytest.mark.parametrize("name", PERSON_RECIPES)
def test_a_recipe_survives_its_json(name):
    recipe = find_person_recipe(name)
    assert person_recipe_of(json.loads(json.dumps(recipe.as_json()))) == recipe


@pytest.mark.parametrize("name", [name for name in PERSON_RECIPES if not name.startswith("videomae")])
def test_every_recipe_builds_its_model_for_its_frames(name):
    recipe = find_person_recipe(name)
    model, inputs = weightless(recipe, num_classes=5, num_clip_classes=7)
    logits_NK, clip_logits_BC = model.both(*inputs)
    assert logits_NK.shape == (3, 5)
    assert (clip_logits_BC is None) is (recipe.clip_loss_weight == 0)
    kind = TRUNKS[recipe.trunk.name]
    if name in PUBLISHED:
        assert (recipe.frames.num_frames, recipe.frames.stride) == (kind.num_frames, kind.frame_stride)
        assert recipe.frames.rate == 30


@pytest.mark.slow
def test_videomae_is_built_and_has_layers_to_decay():
    from gesta.train.clips.optimisers import make_optimiser

    recipe = find_person_recipe("videomae_base_ava_kinetics")
    model, inputs = weightless(recipe, num_classes=5)
    assert model(*inputs).shape == (3, 5)
    scales = {group["rate_scale"] for group in make_optimiser(model, recipe=recipe).param_groups}
    assert max(scales) == 1
    # Tokens' embeddings are fixed or learn slowest, the head fastest, and twelve layers lie between.
    assert {0.75**power for power in range(1, 13)} <= scales


def test_every_row_has_its_recipe_and_its_docstring_the_rows_numbers():
    assert {row.recipe for row in PERSON_ROWS} == set(PUBLISHED) - {"action_transformer_multi_task_ava_kinetics"}
    assert [row.recipe for row in PERSON_ROWS][:14] == list(SEED_NAMES)
    for row in PERSON_ROWS:
        text = inspect.getdoc(PERSON_RECIPES[row.recipe]) or ""
        missing = [value for value in row.expected.values() if str(value) not in text]
        assert not missing, f"{row.recipe} does not say {missing}"
        assert row.recipe in person_recipe_section()


def test_the_numbers_of_the_published_configs_are_the_recipes():
    assert settings_of("slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb") == (128, 0.2, 20, 1e-5)
    assert settings_of("slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb") == (96, 0.3, 10, 1e-6)
    assert settings_of("slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb") == (96, 0.15, 10, 1e-6)
    assert settings_of("slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb") == (96, 0.075, 20, 1e-5)
    assert settings_of("slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb") == (144, 0.1125, 20, 1e-5)
    assert settings_of("slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb") == (80, 0.075, 20, 1e-5)
    focal = find_person_recipe(SEED_NAMES[11])
    assert settings_of(SEED_NAMES[11]) == (48, 0.075, 10, 1e-5)
    assert (focal.loss.kind, focal.loss.alpha, focal.loss.gamma) == ("focal", 3.0, 1.0)
    assert (focal.head.temporal, focal.schedule, focal.warmup_epochs) == ("max", "cosine", 2)
    custom = find_person_recipe(SEED_NAMES[13])
    assert custom.classes == CUSTOM_CLASSES == (3, 6, 10, 27, 29, 38, 41, 48, 51, 53, 54, 59, 61, 64, 70, 72)
    asking = find_person_recipe("lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb")
    assert settings_of(asking.name) == (96, 0.15, 20, 1e-5)
    assert (asking.clip_norm, asking.milestones, asking.warmup_epochs) == (20, (10, 15), 5)
    assert (asking.head.bank.window_s, asking.head.bank.max_per_second, asking.head.bank.num_hidden) == (60, 5, 512)
    for name, num_in in ((asking.name, 2560), (asking.name.replace("_nl_", "_max_"), 4096)):
        model, _inputs = weightless(find_person_recipe(name), num_classes=80)
        assert model.head.classify.in_features == num_in, "in_channels of its bbox_head"
    top = find_person_recipe("slowonly_k700_r50_tricks_16x4_ava_kinetics")
    assert top.head.context
    assert (top.head.kind, top.head.temporal, top.loss.kind) == ("two-layer", "max", "focal")
    theirs = find_person_recipe("pyslowfast_slowfast_r50_8x8_ava22")
    assert theirs.base_lr * theirs.warmup_from_frac == pytest.approx(1.25e-4)
    assert settings_of(theirs.name) == (64, 0.1, 20, 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_hours_in_a_docstring_are_those_of_the_arithmetic(name):
    recipe = find_person_recipe(name)
    data = command_said(PERSON_RECIPES[name]).split()[2].removesuffix(".toml")
    flops = recipe.epochs * KEY_FRAMES[data] * person_flops(recipe, num_classes=80)
    assert hours_said(PERSON_RECIPES[name]) == pytest.approx(flops / (0.15 * 989 * TERA) / 3600, abs=0.06)


def test_a_recipe_of_another_version_is_refused():
    values = find_person_recipe("slowfast_small_world").as_json() | {"lookahead": True}
    with pytest.raises(BadInput, match=r"x\.pt: the recipe in it is not one of this gesta .*lookahead"):
        person_recipe_of(values, where="x.pt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "trains nothing"),
        ({"num_parts": 99}, "cuts 8 clips into 99 parts"),
        ({"classes": (3, 3)}, "Want each class once"),
        ({"clip_loss_weight": -1.0}, "Want 0 or more"),
    ],
)
def test_nonsense_is_refused(changes, words):
    with pytest.raises(BadInput, match=words):
        dataclasses.replace(find_person_recipe("slowfast_small_world"), **changes)


def test_typos_guess():
    with pytest.raises(UnknownName, match="Did you mean 'slowfast_small_world'"):
        find_person_recipe("slowfast_smal_world")
    for changes, words in (
        ({"decayed": "none"}, "no choice of decayed weights 'none'"),
        ({"outside": "hide"}, "no way with persons outside the classes 'hide'"),
    ):
        with pytest.raises(UnknownName, match=words):
            dataclasses.replace(find_person_recipe("slowfast_small_world"), **changes)


@pytest.mark.parametrize("decayed", DECAYED)
def test_which_weights_decay_is_the_recipes(decayed):
    from gesta.train.clips.optimisers import make_optimiser

    recipe = dataclasses.replace(find_person_recipe("slow_only_small_world"), decayed=decayed, weight_decay=0.25)
    model, _inputs = weightless(recipe, num_classes=3)
    decays = {
        id(weight): group["weight_decay"]
        for group in make_optimiser(model, recipe=recipe).param_groups
        for weight in group["params"]
    }
    norms = {
        id(weight)
        for module in model.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        for weight in module.parameters()
    }
    assert norms
    for weight in model.parameters():
        expected = {"all": True, "all-but-norms": id(weight) not in norms, "matrices": weight.ndim > 1}[decayed]
        assert decays[id(weight)] == (0.25 if expected else 0.0)


def test_layers_are_wanted_where_rates_decay_layer_by_layer():
    from gesta.train.clips.optimisers import make_optimiser

    recipe = dataclasses.replace(find_person_recipe("slow_only_small_world"), layer_decay=0.75)
    model, _inputs = weightless(recipe, num_classes=3)
    with pytest.raises(BadInput, match="the model has not one list of numbered layers"):
        make_optimiser(model, recipe=recipe)
