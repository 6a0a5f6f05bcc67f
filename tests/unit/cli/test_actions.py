"""`gesta actions` from the shell: what it prints, what it writes, and how it says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gesta.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ucf.txt").write_text("1 HorseRiding\n2 Biking\n3 RopeClimbing\n4 HighJump\n5 Swing\n")
    (tmp_path / "mine.txt").write_text("climbing a rope\nriding a bike\nriding\nriding mule\nhorse riding\n")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["actions", *arguments])


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def failed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return result.output


def test_the_shipped_lists_are_listed_and_printed(folder: Path) -> None:
    assert done("list").splitlines()[0].split()[:2] == ["kinetics-400", "400"]
    assert json.loads(done("list", "--json"))["kinetics-700-2020-rarest"]["num_rows"] == 123
    assert done("list", "kinetics-700-2020-rarest").splitlines()[123] == "123,twiddling fingers,3.74,2.02"
    assert json.loads(done("list", "ava-60", "--json"))[0]["parents"] == "person-pose"
    assert done("list", "kinetics-400", "--out", "k.csv") == "k.csv: 400 rows\n"
    assert (folder / "k.csv").read_text().splitlines()[1] == "1,abseiling,1146,heights"
    done("list", "kinetics-400-parents", "--out", "p.json")
    assert json.loads((folder / "p.json").read_text())[0]["num_printed"] == 12
    assert done("list", "ucf.txt").splitlines()[1] == "1,horse riding,,,,ucf"


def test_lists_become_classes_from_end_to_end(folder: Path) -> None:
    assert done("import", "all.csv", "ucf.txt", "mine.txt", "--name", "UCF-101", "--name", "ours") == (
        "actions import: 9 classes of 10 (ucf.txt 5, mine.txt 5) in all.csv\n"
    )
    checked = done("check", "all.csv", "--out", "findings.csv", "--families")
    assert checked.startswith("actions check: 9 classes, ")
    assert "one action under two names (same): 2\n" in checked
    assert (
        "'rope climbing' - 'climbing a rope': 'rope climbing' and 'climbing a rope': the same words in another"
        in checked
    )
    assert "share the verb 'riding': horse riding, riding a bike, riding, riding mule" in checked
    assert (
        (folder / "findings.csv").read_text().startswith("kind,name,other,detail\nsame,rope climbing,climbing a rope,")
    )
    merged = done("merge", "all.csv", "merged.csv", "--form", "ing")
    assert merged.endswith("9 classes became 7 (0 decisions stood, 3 are new); merged.csv, merged-decisions.csv\n")
    assert "rename 'swing' to 'swinging'\n" in merged
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "(3 decisions stood, 0 are new)" in done("merge", "all.csv", "merged.csv", "--form", "ing")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "groups.json").write_text('{"mounts": ["riding mule", "Horse Riding"], "ropes": ["climbing rope"]}')
    assert "1 children are no class of merged.csv, the first 'climbing rope' of 'ropes'" in failed(
        "parents", "merged.csv", "grouped.csv", "--groups", "groups.json"
    )
    assert not (folder / "grouped.csv").exists()
    text = done("parents", "merged.csv", "grouped.csv", "--groups", "groups.json", "--skip-missing")
    assert "ropes: no class is 'climbing rope'\n" in text
    assert "1 groups, 2 of 7 classes in one at least, 1 children missing; grouped.csv" in text
    assert done("write", "grouped.csv", "actions.pbtxt") == "actions write: 7 classes in actions.pbtxt\n"
    assert "give new ids with --renumber" in failed("write", "grouped.csv", "actions.txt")
    done("write", "grouped.csv", "actions.txt", "--renumber", "--form", "infinitive")
    assert (folder / "actions.txt").read_text().splitlines()[:2] == ["horse ride", "bike"]
    done("write", "grouped.csv", "groups-again.json")
    assert json.loads((folder / "groups-again.json").read_text()) == {"mounts": ["horse riding", "riding mule"]}


def test_a_person_changes_the_decisions_and_runs_again(folder: Path) -> None:
    done("import", "all.csv", "ucf.txt", "mine.txt")
    (folder / "d.csv").write_text("what,name,other\napart,biking,riding a bike\nmerge,riding mule,riding\n")
    text = done("merge", "all.csv", "merged.csv", "--decisions", "d.csv", "--dry-run")
    assert "9 classes became 7 (2 decisions stood, 1 are new); nothing was written" in text
    assert not (folder / "merged.csv").exists()
    report = json.loads(done("merge", "all.csv", "merged.csv", "--decisions", "d.csv", "--json"))
    assert [(row["what"], row["name"], row["other"], row["rule"]) for row in report["added"]] == [
        ("merge", "rope climbing", "climbing a rope", "order")
    ]
    assert len((folder / "d.csv").read_text().splitlines()) == 4
    names = [line.split(",")[1] for line in done("list", "merged.csv").splitlines()[1:]]
    assert names == ["horse riding", "biking", "rope climbing", "high jump", "swing", "riding a bike", "riding mule"]
    assert "8 (2 decisions stood" not in done("merge", "all.csv", "merged.csv", "--decisions", "d.csv", "--no-rules")
    (folder / "d.csv").write_text("what,name,other\nmerge,riding mule,walking\n")
    assert "d.csv: no class 'walking'" in failed("merge", "all.csv", "merged.csv", "--decisions", "d.csv")


def test_synonyms_of_ones_own_come_first(folder: Path) -> None:
    (folder / "s.csv").write_text("kept,other\nriding mule,riding\n")
    findings = json.loads(done("check", "mine.txt", "--synonyms", "s.csv", "--json"))["findings"]
    assert ("same", "riding", "riding mule") in [(row["kind"], row["name"], row["other"]) for row in findings]


def test_labels_at_hand_say_which_classes_go_with_many(folder: Path) -> None:
    rows = "".join(
        f"v{i},0,10,{name}\n" for i in range(40) for name in ("talking", "knitting" if i < 20 else "ironing")
    )
    (folder / "clips.csv").write_text("youtube_id,time_start,time_end,label\n" + rows)
    (folder / "names.txt").write_text("knitting\nironing\ntalking\n")
    report = json.loads(done("check", "names.txt", "--labels", "clips.csv", "--json"))
    assert [(row["name"], row["num_units"], row["num_classes"]) for row in report["company"]] == [
        ("talking", 40, 2), ("knitting", 20, 1), ("ironing", 20, 1),
    ]  # fmt: skip
    assert "'talking': stands beside 2 other classes (100%)" in done("check", "names.txt", "--labels", "clips.csv")


def test_reports_for_machines(folder: Path) -> None:
    report = json.loads(done("import", "a.csv", "ava-60", "--json"))
    assert report == {"num_classes": 60, "num_classes_per_source": {"ava-60": 60}, "out": "a.csv"}
    report = json.loads(done("parents", "kinetics-400", "g.csv", "--groups", "kinetics-400", "--json"))
    assert (report["num_groups"], report["missing"], len(report["loosely"])) == (38, [], 2)
    assert json.loads(done("write", "g.csv", "g.pbtxt", "--json")) == {"num_classes": 400, "out": "g.pbtxt"}


def test_what_is_wrong_is_one_line(folder: Path) -> None:
    assert "2 names for 1 lists. Give --name once a SOURCE" in failed(
        "import", "a.csv", "ucf.txt", "--name", "a", "--name", "b"
    )
    assert "nowhere: there is no such file or folder, nor such a shipped list" in failed("check", "nowhere")
    assert "nor such shipped groups" in failed("parents", "ava-60", "o.csv", "--groups", "kinetics-600")
    assert "no layout has the ending '.doc'" in failed("write", "ava-60", "a.doc")
