"""docs/score.md: its console examples print what it says, its commands exist, its protocols are the recipes'."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.train.clips.recipes import CLIP_RECIPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "score.md").read_text()
SCORES = ROOT / "tests" / "golden" / "clip_scores"
EXAMPLES = re.findall(r"^```console\n\$ gesta (.*)\n((?:.*\n)*?)```", PAGE, re.MULTILINE)
COMMANDS = [line for block in re.findall(r"^```sh\n((?:.*\n)*?)```", PAGE, re.MULTILINE) for line in block.splitlines()]


@pytest.fixture
def scores(tmp_path, monkeypatch):
    """The stored scores under the names of the page, and a stream that lacks a clip."""
    for name in ("rgb", "flow", "labels"):
        shutil.copy(SCORES / f"{name}.csv", tmp_path)
    lines = (SCORES / "flow.csv").read_text().splitlines(keepends=True)
    (tmp_path / "short.csv").write_text("".join(line for line in lines if not line.startswith("clip_003")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("words", "output"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_console_examples_print_what_the_page_says(words, output, scores):
    result = CliRunner().invoke(main, shlex.split(words))
    assert result.output == output
    if "--out" in words:
        assert sorted(path.suffix for path in (scores / "motion").glob("difference.*")) == [".csv", ".png", ".svg"]


def test_there_are_examples_and_commands():
    assert len(EXAMPLES) == 3
    assert {line.split()[1] for line in COMMANDS} == {"score", "study"}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_other_commands_have_the_options_that_the_page_gives_them(line):
    words = shlex.split(line)
    assert words[0] == "gesta"
    command: click.Command | None = main.get_command(click.Context(main), words[1])
    if isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words[2])
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    given = {word for word in words if word.startswith("--")}
    assert given <= known
    needed = {parameter.opts[0] for parameter in command.params if parameter.required and parameter.opts[0][:2] == "--"}
    assert needed <= given


def test_the_protocols_are_those_of_the_recipes():
    row = r"^\| (.+?) \| (\d+) \| (\d+) (rgb|flow) \| (\d+)\w+ \| (\d+)( \(shorter\))? \| (\d+) \| `(\w+)` \|$"
    rows = re.findall(row, PAGE, re.MULTILINE)
    assert len(rows) == 5
    for _, segments, num_frames, modality, stride, side_px, is_shorter, crop_px, name in rows:
        recipe = CLIP_RECIPES[name]()
        shown = recipe.frames
        assert recipe.test.num_segments == int(segments)
        assert (recipe.test.num_frames or shown.num_frames) == int(num_frames)
        assert (shown.modality, shown.stride) == (modality, int(stride))
        assert (shown.side_px, shown.side, shown.crop_px) == (
            int(side_px), "short" if is_shorter else "long", int(crop_px)
        )  # fmt: skip
        assert (recipe.test.crops, recipe.test.average, shown.rate) == (1, "probabilities", 25.0)
    assert set(re.findall(r"--recipe (\w+)", PAGE)) <= set(CLIP_RECIPES)
