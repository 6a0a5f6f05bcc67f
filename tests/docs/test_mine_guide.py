"""docs/mine.md: its commands exist with the options that it gives them, and its numbers are the program's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gesta.cli.main import main
from gesta.detect.key_frames import MARGIN_US
from gesta.mine.positions import TOP_K, clip_around
from gesta.train.clips import CLIP_RECIPES

PAGE = (Path(__file__).parents[2] / "docs" / "mine.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n((?:.*\n)*?)```", PAGE, re.MULTILINE) for line in block.splitlines()]


def test_there_are_commands() -> None:
    assert {line.split()[1] for line in COMMANDS} == {"mine", "train"}
    assert len(COMMANDS) == 7


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_have_the_options_that_the_page_gives_them(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "gesta"
    command = main.get_command(click.Context(main), words[1])
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    given = {word for word in words if word.startswith("--")}
    assert given <= known
    needed = {parameter.opts[0] for parameter in command.params if parameter.required and parameter.opts[0][:2] == "--"}
    assert needed <= given
    if "--recipe" in words:
        assert words[words.index("--recipe") + 1] in CLIP_RECIPES


def test_the_numbers_are_the_programs() -> None:
    assert f"with k = {TOP_K} and 10 s" in PAGE
    assert clip_around(3, start_us=0, end_us=60, clip_us=10) == (0, 8)
    assert "a position 3 s after the start\ngives the clip from 0 to 8 s" in PAGE
    assert MARGIN_US == 1_000_000
    assert "least 1 s from either end" in PAGE


def test_options_named_in_the_text_are_those_of_the_verb() -> None:
    mine = main.get_command(click.Context(main), "mine")
    assert mine is not None
    known = {name for parameter in mine.params for name in parameter.opts} | {"--rate", "--start", "--recipe"}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--out"} <= known
