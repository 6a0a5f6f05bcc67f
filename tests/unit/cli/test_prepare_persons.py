"""`gesta prepare` with a recipe of persons: films shortened to what training is shown of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.train.persons.person_films import film

from gesta.cli import main
from gesta.cli.person_data import open_persons

RECIPE = ("--recipe", "slowfast_small_world", "--workers", "1")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two key-frames of one film, and one of a film that is not there; the films lie beside."""
    film(tmp_path / "one.mp4", seconds=10)
    path = tmp_path / "labels.csv"
    path.write_text("one,2,0,0,1,1,4\none,8,0,0,1,1,4\ngone,1,0,0,1,1,4\n")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


def test_short_films_stand_in_for_the_films(labels: Path, tmp_path: Path) -> None:
    result = run(labels, "--out", tmp_path / "short", *RECIPE)
    assert result.exit_code == 0, result.output
    assert result.output == f"ava: prepare: kept 2, rejected 0; give --videos {tmp_path / 'short' / 'ava'}\n"
    whole, _ = open_persons(labels)
    short, _ = open_persons(labels, videos=tmp_path / "short" / "ava")
    assert [one.timestamp_us for one in short.examples] == [one.timestamp_us for one in whole.examples]
    assert {one.path.parent for one in short.examples} == {tmp_path / "short" / "ava"}


def test_a_dry_run_counts_and_writes_nothing(labels: Path, tmp_path: Path) -> None:
    result = run(labels, "--out", tmp_path / "short", *RECIPE, "--dry-run", "--json")
    (part,) = json.loads(result.output)["parts"]
    assert (part["part"], part["num_films"], part["num_key_frames"], part["num_missing"]) == ("ava", 1, 2, 1)
    assert not (tmp_path / "short").exists()


def test_a_file_of_parts_gives_a_folder_for_each(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "parts.toml").write_text('[[train]]\npart = "mine"\nlabels = "labels.csv"\nvideos = "."\n')
    result = run(tmp_path / "parts.toml", "--out", tmp_path / "short", *RECIPE)
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "short" / "mine").glob("*.mp4"))) == 2


def test_forms_and_options_of_the_other_kind_are_refused(labels: Path, tmp_path: Path) -> None:
    result = run(labels, "--out", tmp_path / "short", *RECIPE, "--form", "tar")
    assert result.exit_code == 2
    assert "--form tar is for clips, and 'slowfast_small_world' is a recipe of persons" in result.output
    result = run(tmp_path, "--out", tmp_path / "short", "--excluded", labels)
    assert result.exit_code == 2
    assert "--excluded is for recipes of persons" in result.output
