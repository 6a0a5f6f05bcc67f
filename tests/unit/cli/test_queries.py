"""`gesta queries` by its outputs."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from gesta.cli import main
from gesta.tables import read_table


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["queries", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["queries", *arguments])
    assert done.exit_code == 2, done.output
    return done.output


def actions(tmp_path: Path, *names: str) -> str:
    file = tmp_path / "actions.txt"
    file.write_text("\n".join(names) + "\n", encoding="utf-8")
    return str(file)


def test_every_class_is_shown_with_its_queries_and_gaps_are_named(tmp_path: Path) -> None:
    shown = run(actions(tmp_path, "brushing teeth", "shelling peas"), "--languages", "en,pt")
    assert "1 brushing teeth\n  en  brushing teeth; brush teeth; " in shown
    assert "\n  pt  escovar dentes; escovando dentes; " in shown
    assert "no query in pt: shelling peas\n" in shown


def test_the_table_holds_what_was_shown(tmp_path: Path) -> None:
    out = tmp_path / "queries.csv"
    said = json.loads(run(actions(tmp_path, "brushing teeth"), "--out", str(out), "--json"))
    table = read_table(out, "queries")
    assert table.height == said["kept"] == sum(said["num_queries_by_language"].values())
    assert set(table["language"]) == {"en", "fr", "es", "pt"}
    assert said["classes_without_queries"] == {}


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "queries.csv"
    run(actions(tmp_path, "brushing teeth"), "--out", str(out), "--dry-run")
    assert not out.exists()


def test_queries_that_two_classes_share_are_named(tmp_path: Path) -> None:
    listed = actions(tmp_path, "passing ball (in game)", "passing ball (not in game)")
    said = json.loads(run(listed, "--languages", "en", "--json"))
    assert {"language": "en", "query": "passing ball", "class_ids": [1, 2]} in said["shared_queries"]


def test_a_translator_by_name_and_a_table_of_one_s_own(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "my_translator.py").write_text("def words(name, language):\n    return [f'{name} {language}']\n")
    own = tmp_path / "own.csv"
    own.write_text("name,it\nshelling peas,sgranare i piselli\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    listed = actions(tmp_path, "shelling peas", "sorting mail")
    arguments = ["--languages", "it", "--table", str(own), "--translator", "my_translator:words", "--no-shipped"]
    assert "  it  sgranare i piselli\n2 sorting mail\n  it  sorting mail it\n" in run(listed, *arguments)
    assert "no translator 'my_translator:nothing'. Want MODULE:FUNCTION" in refused(
        listed, "--translator", "my_translator:nothing"
    )


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    listed = actions(tmp_path, "yoga")
    assert "no language of queries 'it'. There are: en, es, fr, pt" in refused(listed, "--languages", "it")
    assert "no language of queries. Name some, as en,fr,es,pt" in refused(listed, "--languages", ",")
    assert "no translator 'words'" in refused(listed, "--translator", "words")
