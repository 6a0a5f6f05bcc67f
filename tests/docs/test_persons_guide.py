"""The commands of docs/persons.md run as they stand, one after the other, on a smaller world."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "persons.md").read_text()


def commands() -> list[list[str]]:
    """The words of each command of the page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_page_goes_from_videos_to_a_model_elsewhere() -> None:
    assert all(words[0] == "gesta" for words in commands())
    assert [words[1] for words in commands()] == ["world", "train", "score", "evaluate", "predict", "onnx"]


@pytest.mark.timeout(900)
def test_the_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands():
        # A smaller world, and one thread: the machine may run other tests.
        smaller = {"600": "12"}
        words = [smaller.get(word, word) for word in words[1:]] + {"train": ["--threads", "1"]}.get(words[1], [])
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}\n{result.exception}"
    build = tmp_path / "build"
    for made in ("persons/model.pt", "persons/model.onnx", "person-scores/detections.csv"):
        assert (build / made).stat().st_size > 0, made
    assert list((build / "seen").rglob("*.csv"))
