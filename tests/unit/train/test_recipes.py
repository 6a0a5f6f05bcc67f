import dataclasses
import json

import pytest

from gesta.models import MODELS
from gesta.schema import BadInput, UnknownName
from gesta.train import find_recipe
from gesta.train.recipes import RECIPES, recipe_of


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_named_like_its_key_and_says_what_to_expect(name):
    recipe = find_recipe(name)
    assert recipe.name == name
    assert recipe.model in MODELS
    for word in ("gesta train", "min", "mAP", "Source:"):
        assert word in (RECIPES[name].__doc__ or ""), f"{name} does not say {word!r}"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_its_json(name):
    recipe = find_recipe(name)
    assert recipe_of(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_a_typo_guesses():
    with pytest.raises(UnknownName, match="Did you mean 'roi_r3d_tiny_world'"):
        find_recipe("roi_r3d_tiny_word")


def test_a_recipe_of_another_version_is_refused():
    values = find_recipe("roi_r3d_tiny_world").as_json() | {"momentum": 0.9}
    with pytest.raises(BadInput, match=r"x\.pt: the recipe in it is not one of this gesta .*momentum"):
        recipe_of(values, where="x.pt")


def test_nonsense_is_refused():
    recipe = find_recipe("roi_r3d_tiny_world")
    with pytest.raises(BadInput, match="trains nothing"):
        dataclasses.replace(recipe, epochs=0)
    with pytest.raises(UnknownName, match="no precision 'float8'"):
        dataclasses.replace(recipe, precision="float8")
    with pytest.raises(UnknownName, match="no choice of persons"):
        dataclasses.replace(recipe, persons="all")
