"""A release is checked before training: a good one has no severe finding, a spoilt one has, and training stops."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import polars as pl
import pytest

from gesta.cli.person_checks import checked_release
from gesta.lint.person_releases import check_release
from gesta.lint.person_sets import findings_text, is_severe
from gesta.schema import BadInput
from gesta.tables import made_by, read_table, table_path, write_table

BY_HAND = runpy.run_path(str(Path(__file__).parents[1] / "train" / "conftest.py"))
MADE = made_by("test", arguments={}, inputs={})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BY_HAND["make_release"](tmp_path_factory.mktemp("release"), num_videos=8)


def spoilt(good: Path, folder: Path, table: str, change) -> Path:
    shutil.copytree(good.parents[1], folder / "copy")
    release = folder / "copy" / good.relative_to(good.parents[1])
    write_table(table_path(release, table), table, change(read_table(release, table)), made_by=MADE)
    return release


def test_a_good_release_has_no_severe_finding(good: Path):
    found = check_release(good, val="test")
    assert not is_severe(found), findings_text(found)
    assert [one.code for one in found if one.code == "proposals-recall"]


def test_a_spoilt_release_is_told_and_stops(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shift = pl.col("timestamp_us") + 900_000_000
    late = spoilt(good, tmp_path / "late", "box_labels", lambda rows: rows.with_columns(shift))
    found = {one.code: one for one in check_release(late)}
    assert "subtract 900 s" in found["times-outside"].mend
    with pytest.raises(BadInput, match="--force goes on"):
        checked_release(late)
    assert "times-outside" in capsys.readouterr().err
    assert [one.code for one in checked_release(late, is_forced=True)]
    leaky = spoilt(good, tmp_path / "leaky", "videos", lambda rows: rows.with_columns(path=pl.lit("gone.mp4")))
    assert "videos-none" in {one.code for one in check_release(leaky)}
    none = spoilt(good, tmp_path / "none", "box_labels", lambda rows: rows.with_columns(verdict=pl.lit("open")))
    assert "set-empty" in {one.code for one in check_release(none)}


def test_a_class_without_an_example_in_the_split_is_told(good: Path):
    found = {one.code: one for one in check_release(good, class_ids=[3, 7, 9])}
    assert "class 9" in found["class-without-positive"].message
    assert "classes-foreign" in {one.code for one in check_release(good, class_ids=[9])}
