"""docs/grow.md: its commands run one after the other, and its numbers are those of the files."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from pathlib import Path

from click.testing import CliRunner

from gesta.cli.main import main
from gesta.release import diff_of, read_version
from gesta.tables import read_table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "grow.md").read_text()
COMMANDS = [
    line for block in re.findall(r"^```bash\n((?:.*\n)*?)```", PAGE, re.MULTILINE) for line in block.splitlines()
]
write_work = runpy.run_path(str(ROOT / "tests" / "unit" / "release" / "tables_by_hand.py"))["write_work"]


def test_the_commands_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_work(tmp_path / "work")
    shutil.copytree("work", "round-two")
    Path("gone.csv").write_text("video_id\nv03\n")
    assert len(COMMANDS) == 5
    for line in COMMANDS:
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output)
    splits = [
        dict(read_table(Path(folder), "splits").select("video_id", "split").iter_rows())
        for folder in ("work/releases/1.0.0", "work/releases/1.1.0", "round-two/releases/2.0.0")
    ]
    assert splits[0] == splits[1] == splits[2]
    assert sorted(path.name for path in Path("work/releases/1.0.0-replenish").iterdir()) == [
        "classes.csv", "gone.csv", "replenish.json", "retained.csv",
    ]  # fmt: skip


def test_the_numbers_of_kinetics_are_those_of_its_lists(shared: Path):
    lists = [shared / "annotations" / "kinetics" / f"kinetics-{name}_val.csv" for name in ("400", "600")]
    found = diff_of(*(read_version([path]) for path in lists))
    before, there = found.retained.row(-1)[1:3]
    assert f"of the {before:,} clips in the validation list of Kinetics-400, {there:,} have their video" in PAGE
