"""The commands of docs/train.md run as they stand, and the log has the columns that the page explains."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.train.clips import CLIP_RECIPES

PAGE = (Path(__file__).parents[2] / "docs" / "train.md").read_text()


def commands() -> list[list[str]]:
    """The words of each command of the page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_page_goes_from_clips_to_labels() -> None:
    assert all(words[0] == "gesta" for words in commands())
    assert [words[1] for words in commands()] == [
        "world",
        "prepare",
        "prepare",
        "train",
        "score",
        "evaluate",
        "predict",
    ]


@pytest.mark.timeout(900)
def test_the_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands():
        # A smaller world, and one thread: the machine may run other tests.
        smaller = {"720": "54"}
        words = [smaller.get(word, word) for word in words[1:]] + {"train": ["--threads", "1"]}.get(words[1], [])
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}\n{result.exception}"
    model = tmp_path / "build" / "model"
    for name in re.findall(r"`([a-z]+\.(?:pt|jsonl|json))`", PAGE):
        assert name == "last.pt" or (model / name).is_file(), name
    lines = [json.loads(line) for line in (model / "log.jsonl").read_text().splitlines()]
    logged = {name for line in lines for name in line}
    cells = re.findall(r"^\| (.*?) \|", PAGE, flags=re.MULTILINE)
    columns = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert columns, "the page explains the log"
    assert columns <= logged
    assert len(list((tmp_path / "build" / "labels").iterdir())) > 0


def test_recipes_that_the_page_names_exist() -> None:
    named = set(re.findall(r"--recipe (\w+)", PAGE)) | set(re.findall(r"replace\((\w+)\(\)", PAGE))
    assert named <= set(CLIP_RECIPES), named - set(CLIP_RECIPES)
