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
    (tmp_path / "videos").mkdir()
    write_levels(tmp_path / "videos" / "wave.mp4", [0, 120, 240])
    (tmp_path / "videos" / "broken.mp4").touch()
    return tmp_path


def shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_runs_and_leaves_the_files_that_the_page_names(place):
    commands = [line for block in shown("sh") for line in block.splitlines()]
    assert len(commands) >= 5
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
    frame = pl.read_parquet(place / "features.parquet")
    assert all(f"`{column}`" in PAGE for column in frame.columns)
    with np.load(place / "grids" / "wave.npz") as found:
        assert set(found) == {"values", "start_us", "end_us", "key"}
        assert found["values"].dtype == np.float16
    assert (place / "features.parquet.json").is_file()
    assert (place / "grids" / "features.json").is_file()


def test_the_lines_of_python_run(place, capsys):
    (code,) = shown("python")
    exec(compile(code, "docs/predict.md", "exec"), {})
    assert capsys.readouterr().out.startswith("(300000, 1300000, 2300000) (3, ")


def test_published_names_on_the_page_are_there():
    from gesta.models import MODELS
    from gesta.models.published import PUBLISHED_WEIGHTS
    from gesta.predict.published_inputs import PUBLISHED_INPUTS

    assert "i3d-rgb-k400" in PUBLISHED_WEIGHTS
    names = re.findall(r"`([a-z0-9_]+):[^`]+`", PAGE)
    assert len(names) == 3
    assert set(names) <= set(MODELS) & set(PUBLISHED_INPUTS)
