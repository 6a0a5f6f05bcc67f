"""The commands of docs/actions.md run as they stand, and what the page shows is what comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.mine.actions import SHIPPED, read_actions, read_decisions
from gesta.mine.actions.check import Finding, check_actions
from gesta.mine.actions.lists import COLUMNS

PAGE = (Path(__file__).parents[2] / "docs" / "actions.md").read_text()


def block(kind: str) -> str:
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return str(text)


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for text in blocks for line in text.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours.txt").write_text(block("text"))
    for words in commands():
        assert words[:2] == ["gesta", "actions"]
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, f"{' '.join(words)}\n{result.output}"
    return tmp_path


def test_the_commands_run_one_after_the_other(folder: Path) -> None:
    assert {words[2] for words in commands()} == {"list", "import", "check", "merge", "parents", "write"}
    for name in ("kinetics-400.csv", "findings.csv", "decisions.csv", "actions.pbtxt", "actions.txt", "groups.json"):
        assert (folder / name).stat().st_size > 500
    merged = {row.name: row for row in read_actions(folder / "merged.csv")}
    assert [origin.source for origin in merged["playing guitar"].origins] == ["kinetics-400", "ours"]
    assert {"riding mule", "riding", "brushing hair"} <= set(merged)
    assert "ride" not in merged


def test_the_decisions_that_the_page_shows_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(block("csv"))
    assert {row.what for row in read_decisions(tmp_path / "d.csv")} == {"merge", "apart", "rename"}


def test_every_shipped_list_every_column_and_every_kind_has_a_row(folder: Path) -> None:
    rows = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert set(SHIPPED) | set(COLUMNS) <= named
    kinds = {row.kind for row in check_actions(read_actions(folder / "all.csv")).findings}
    assert kinds == {"same", "alternative", "inside", "general", "form"} | ({"aside"} & kinds)
    assert kinds | {"company", "aside"} <= named
    assert Finding(kind="company", name="a", other="", detail="").kind in named
