"""The guide on training persons: its file of parts is one, its recipes and options exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from click import Context

from gesta.cli.main import main
from gesta.train import RECIPES
from gesta.train.persons.parts_file import read_parts_file

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "train-persons.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_file_of_parts_is_read(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    for parts in tomllib.loads(text).values():
        for part in parts:
            for key, name in part.items():
                if key == "videos":
                    (tmp_path / name).mkdir(parents=True, exist_ok=True)
                elif key != "part":
                    (tmp_path / name).touch()
    (tmp_path / "avak.toml").write_text(text)
    found = read_parts_file(tmp_path / "avak.toml")
    assert [source.part for source in found["train"]] == ["ava", "kinetics"]
    assert found["train"][1].clip_labels == tmp_path / "kinetics700_train.csv"
    assert [source.part for source in found["val"]] == ["ava"]


def test_recipes_and_options_of_the_commands_exist() -> None:
    commands = [
        line for block in blocks("text") for line in block.replace("\\\n", " ").splitlines() if "gesta " in line
    ]
    assert {line.split()[1] for line in commands} == {"train", "prepare", "bank", "score"}
    for line in commands:
        command = main.get_command(Context(main), line.split()[1])
        assert command is not None
        known = {name for parameter in command.params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= known
        assert set(re.findall(r"--recipe (\S+)", line)) <= set(RECIPES)
    assert all(name in RECIPES for name in re.findall(r'RECIPES\["(\w+)"\]', PAGE))


def test_the_lines_of_python_run() -> None:
    (text,) = [block for block in blocks("text") if block.startswith("from ")]
    names: dict[str, object] = {}
    exec(compile(text, "train-persons.md", "exec"), names)
    assert names["recipe"].head.context
