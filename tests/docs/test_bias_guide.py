"""docs/bias.md: its commands run, and its words are the program's."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.release import run_release
from gesta.stats import bias

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bias.md").read_text()
COMMANDS = "".join(re.findall(r"^```bash\n((?:.*\n)*?)```", PAGE, re.MULTILINE)).splitlines()
write_work = runpy.run_path(str(ROOT / "tests" / "unit" / "release" / "tables_by_hand.py"))["write_work"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_work(tmp_path / "work")
    people = [f"v{n:02d},{('female', 'male', '')[n % 3]},adult" for n in range(24)]
    Path("people.csv").write_text("video_id,gender,age\n" + "\n".join(people) + "\n")
    run_release(tmp_path / "work")
    run_release(tmp_path / "work", version="2.0.0")
    Path("uploads.csv").write_text("video_id,country\n" + "".join(f"v{n:02d},BR\n" for n in range(20)))
    scores = [f"v{n:02d}_0000000000_0003000000,{(1, 2, 5, 7)[n % 4]},0.5" for n in range(24)]
    Path("scores.csv").write_text("clip_id,class_id,score\n" + "\n".join(scores) + "\n")
    return tmp_path


def test_the_commands_run(folder: Path):
    assert [line.split()[1] for line in COMMANDS] == ["bias", "bias", "geography"]
    for line in COMMANDS:
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
    assert (folder / "bias" / "bias.json").is_file()
    assert (folder / "geography" / "continents.csv").is_file()


def test_the_verdicts_and_numbers_of_the_page_are_the_programs():
    for verdict in (bias.DOMINANT, bias.BALANCED, bias.UNSURE, bias.UNTOLD):
        assert f"| `{verdict}` |" in PAGE
    assert f"`--dominated` ({bias.DOMINATED})" in PAGE
    assert bias.MIN_KNOWN == 0.5
