"""docs/predict.md: what it shows to run, runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from tests.unit.predict.clip_stand_in import save_small, write_levels

from gesta.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "predict.md").read_text()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_small(tmp_path / "model.pt")
    save_people(tmp_path / "people.pt")
    (tmp_path / "videos").mkdir()
    write_levels(tmp_path / "videos" / "wave.mp4", [0, 120, 240])
    (tmp_path / "videos" / "broken.mp4").touch()
    return tmp_path


def save_people(path: Path) -> None:
    """A person model of the smallest recipe, untrained."""
    from gesta.train.persons.checkpoints import PersonCheckpoint, build_recipe_model, save_person_checkpoint
    from gesta.train.persons.recipes import find_person_recipe

    recipe = find_person_recipe("slow_only_small_world")
    checkpoint = PersonCheckpoint(
        weights=build_recipe_model(recipe, num_classes=2).state_dict(), class_ids=(3, 7), class_names=("sit", "wave"),
        recipe=recipe, data_sha256="", fingerprint="", versions={},
    )  # fmt: skip
    save_person_checkpoint(path, checkpoint)


def shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_runs_and_leaves_the_files_that_the_page_names(place):
    commands = [line for block in shown("sh") for line in block.splitlines()]
    assert len(commands) >= 6
    for command in commands:
        program, *words = command.split()
        assert program == "gesta"
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, (command, done.output)
    result = json.loads((place / "seen" / "wave.json").read_bytes())
    for key in ("labels", "scores", "classes", "timeline", "model", "video"):
        assert key in result
        assert f"`{key}`" in PAGE
    assert (place / "seen" / "wave.mp4").is_file()
    people = json.loads((place / "people" / "wave.json").read_bytes())
    for key in ("video", "model", "classes", "persons"):
        assert key in people
        assert f"`{key}`" in PAGE
    assert {path.name for path in (place / "people").glob("wave*")} == {
        "wave.json", "wave.mp4", "wave.csv", "wave.jsonl"
    }  # fmt: skip
    frame = pl.read_parquet(place / "features.parquet")
    assert all(f"`{column}`" in PAGE for column in frame.columns)
    with np.load(place / "grids" / "wave.npz") as found:
        assert set(found) == {"values", "start_us", "end_us", "key"}
        assert found["values"].dtype == np.float16
    assert (place / "features.parquet.json").is_file()
    assert (place / "grids" / "features.json").is_file()


def test_the_lines_of_python_run(place, capsys, monkeypatch):
    import gesta.detect

    nobody_but_one = [(np.array([[0.2, 0.1, 0.7, 0.9]]), np.ones(1))]
    monkeypatch.setitem(gesta.detect.DETECTORS, "hog", lambda weights: lambda frames: nobody_but_one * len(frames))
    people, features = shown("python")
    exec(compile(people, "docs/predict.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0.25 0 (0.2, 0.1, 0.7, 0.9) [(")
    assert lines[-1].startswith("0 ")
    exec(compile(features, "docs/predict.md", "exec"), {})
    assert capsys.readouterr().out.startswith("(300000, 1300000, 2300000) (3, ")


def test_published_names_on_the_page_are_there():
    from gesta.models import MODELS
    from gesta.models.published import PUBLISHED_WEIGHTS
    from gesta.predict.published_inputs import PUBLISHED_INPUTS

    assert "i3d-rgb-k400" in PUBLISHED_WEIGHTS
    section = PAGE.partition("## Published models")[2].partition("## Features")[0]
    names = re.findall(r"`([a-z0-9_]+):[^`]+`", section)
    assert len(names) == 3
    assert set(names) <= set(MODELS) & set(PUBLISHED_INPUTS)
