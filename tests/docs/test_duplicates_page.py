"""docs/duplicates.md: its commands exist, and have the options and trunks that the page gives them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gesta.cli.main import main
from gesta.curate.trunks import TRUNKS
from gesta.world import COPY_DAMAGE

PAGE = (Path(__file__).parents[2] / "docs" / "duplicates.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n((?:.*\n)*?)```", PAGE, re.MULTILINE) for line in block.splitlines()]


def test_there_are_commands():
    assert {line.split()[1] for line in COMMANDS} == {"curate", "report", "label", "consensus"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_has_the_options_that_the_page_gives_it(line):
    words = shlex.split(line)
    assert words[0] == "gesta"
    command = main.get_command(click.Context(main), words[1])
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    if "--trunk" in words:
        assert words[words.index("--trunk") + 1].split(":")[0] in TRUNKS


def test_every_trunk_and_kind_of_copy_is_named():
    assert [name for name in TRUNKS if name not in PAGE] == []
    shown = {"flipped": "mirrored", "letterboxed": "letterboxed", "speed": "at another speed"}
    shown |= {"recoloured": "in other colours", "reworked": "several of these at once"}
    assert [kind for kind in COPY_DAMAGE if shown.get(kind, kind) not in PAGE] == []
    assert len(COPY_DAMAGE) == 11
