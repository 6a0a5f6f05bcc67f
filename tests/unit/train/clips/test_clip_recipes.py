import dataclasses
import inspect
import json
import re
from pathlib import Path

import pytest

from gesta.models import MODELS
from gesta.schema import BadInput, UnknownName
from gesta.train import RECIPES
from gesta.train.clips.cost import cost_of
from gesta.train.clips.paper_rows import (
    HMDB51,
    KINETICS400,
    KINETICS700,
    KINETICS700_2020,
    PAPER_ROWS,
    UCF101,
    command_of,
    recipe_page,
)
from gesta.train.clips.recipe import ClipTest, clip_recipe_of
from gesta.train.clips.recipes import CLIP_RECIPES, find_clip_recipe

DOCS = Path(__file__).resolve().parents[4] / "docs"
DATA = {
    "ucf101": UCF101, "hmdb51": HMDB51, "kinetics400": KINETICS400, "k700_2020": KINETICS700_2020, "k700": KINETICS700,
}  # fmt: skip


@pytest.mark.parametrize("name", CLIP_RECIPES)
def test_every_recipe_says_what_to_run_what_it_costs_and_what_to_expect(name):
    recipe = find_clip_recipe(name)
    assert recipe.name == name
    assert recipe.model in MODELS
    text = inspect.getdoc(CLIP_RECIPES[name]) or ""
    for word in ("Hardware", "Expect:", "Source:"):
        assert word in text, f"{name} does not say {word!r}"
    assert command_of(CLIP_RECIPES[name]).startswith("gesta train ")
    assert f"--recipe {name} " in command_of(CLIP_RECIPES[name]) + " "


@pytest.mark.parametrize("name", CLIP_RECIPES)
def test_a_recipe_survives_its_json(name):
    recipe = find_clip_recipe(name)
    assert clip_recipe_of(json.loads(json.dumps(recipe.as_json()))) == recipe


def test_every_cell_of_both_tables_has_its_recipes():
    # 15 cells of the Kinetics-400 table that hold a number (5 models or fusions x 3 data sets), 8 rows of the other.
    kinetics = [row for row in PAPER_ROWS if row.table.startswith("Kinetics-400")]
    assert len({(row.row, row.data.name) for row in kinetics}) == 15
    assert [row.row for row in PAPER_ROWS if row.table.startswith("Kinetics-700")][:6] == [
        str(number) for number in range(100, 700, 100)
    ]
    assert len(PAPER_ROWS) == 23
    named = {name for row in PAPER_ROWS for name in row.recipes}
    assert named <= CLIP_RECIPES.keys()
    assert {name for name in CLIP_RECIPES if not name.endswith(("_world", "_images"))} == named


@pytest.mark.parametrize("row", PAPER_ROWS, ids=lambda row: f"{row.row} {row.data.name}")
def test_the_docstrings_give_the_tables_numbers(row):
    texts = [inspect.getdoc(CLIP_RECIPES[name]) or "" for name in row.recipes]
    for text in texts:
        assert all(str(value) in text for value in row.expected.values())


@pytest.mark.parametrize("name", [name for name in CLIP_RECIPES if not name.endswith(("_world", "_images"))])
def test_the_hours_in_the_docstrings_are_computed(name):
    text = inspect.getdoc(CLIP_RECIPES[name]) or ""
    found = re.search(r"about ([\d.]+) hours for ([\d,]+) clips", text)
    assert found is not None
    data = next(size for part, size in DATA.items() if part in name)
    cost = cost_of(find_clip_recipe(name), num_clips=data.num_clips, num_classes=data.num_classes)
    assert float(found[1]) == pytest.approx(cost.hours, rel=0.02, abs=0.006)


def test_kinetics_700_trains_as_its_paper_says():
    recipe = find_clip_recipe("i3d_k700_2020")
    assert (recipe.optimiser, recipe.base_lr, recipe.momentum, recipe.weight_decay) == ("sgd", 0.5, 0.9, 1e-5)
    assert (recipe.epochs, recipe.milestones) == (135, (90, 105, 115, 120))
    assert (recipe.clips_per_batch, recipe.num_parts, recipe.frames.num_frames) == (256, 32, 32)
    assert recipe.test == ClipTest(num_segments=8)
    assert find_clip_recipe("i3d_k700_2020_300").per_class == 300


@pytest.mark.parametrize(
    ("name", "num_frames", "seconds", "side_px", "crop_px", "tested"),
    [
        ("conv_lstm_kinetics400", 25, 5.0, 340, 299, 50),
        ("two_stream_rgb_kinetics400", 1, 0.04, 340, 299, 25),
        ("two_stream_flow_kinetics400", 10, 0.4, 340, 299, 250),
        ("c3d_kinetics400", 16, 0.64, 128, 112, 240),
    ],
)
def test_kinetics_400_shows_what_its_table_3_says(name, num_frames, seconds, side_px, crop_px, tested):
    recipe = find_clip_recipe(name)
    frames, test = recipe.frames, recipe.test
    assert (frames.num_frames, frames.side, frames.side_px, frames.crop_px) == (num_frames, "long", side_px, crop_px)
    assert num_frames * frames.stride / frames.rate == pytest.approx(seconds)
    assert test.num_segments * (test.num_frames or frames.num_frames) == tested
    assert recipe.schedule == "plateau"
    assert recipe.max_steps == 100_000
    assert recipe.num_parts == 64


def test_names_of_clip_recipes_are_none_of_the_key_frame_recipes():
    assert not CLIP_RECIPES.keys() & RECIPES.keys()


def test_the_page_of_recipes_is_current():
    assert (DOCS / "recipes.md").read_text() == recipe_page(), "run: make docs"


def test_a_typo_guesses():
    with pytest.raises(UnknownName, match="Did you mean 'i3d_k700_2020'"):
        find_clip_recipe("i3d_k700_202")


def test_a_recipe_of_another_version_is_refused():
    values = find_clip_recipe("c3d_ucf101").as_json() | {"lookahead": True}
    with pytest.raises(BadInput, match=r"x\.pt: the recipe in it is not one of this gesta .*lookahead"):
        clip_recipe_of(values, where="x.pt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "trains nothing"),
        ({"num_parts": 999}, "cuts 128 clips into 999 parts"),
        ({"precision": "float8"}, "no precision 'float8'"),
        ({"schedule": "wild"}, "no schedule 'wild'"),
        ({"optimiser": "adam"}, "no optimiser 'adam'"),
        ({"sharding": "zero"}, "no sharding 'zero'"),
        ({"compile": "maybe"}, "no choice of compile 'maybe'"),
    ],
)
def test_nonsense_is_refused(changes, words):
    with pytest.raises((BadInput, UnknownName), match=words):
        dataclasses.replace(find_clip_recipe("c3d_ucf101"), **changes)


def test_a_test_of_nothing_is_refused():
    with pytest.raises(BadInput, match="0 segments"):
        ClipTest(num_segments=0)
    with pytest.raises(UnknownName, match="no average 'median'"):
        ClipTest(average="median")
