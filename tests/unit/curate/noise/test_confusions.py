"""Confusions and wrong labels of a work folder, through the verbs."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.curate.noise.confusions import run_confusions
from gesta.curate.noise.issues import run_issues
from gesta.schema import BadInput, Kept, MissingTable, UnknownName
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

WRONG = {0: 5, 9: 5, 4: 8, 7: 3}
"""Clips of `noisy_work` with labels that are wrong."""


@pytest.fixture
def judged(noisy_work):
    """A work folder with four wrong labels and scores of all clips."""
    work = noisy_work(num_clips=90, wrong=WRONG, spread=0.15)
    run = CliRunner().invoke(main, ["noise", "folds", str(work), "--features", str(work / "features.parquet")])
    assert run.exit_code == 0, run.output
    assert run.output == "noise folds: kept 90, rejected 0\n"
    return work


def test_wrong_labels_are_named_with_what_the_clips_show(judged) -> None:
    summary = run_issues(judged)
    found = read_table(judged, "label_issues")
    truth = {f"c{number:02d}": [3, 5, 8][number % 3] for number in WRONG}
    assert dict(found.select("clip_id", "suggested_class_id").iter_rows()) == truth
    assert summary.kept == 4
    assert found.sort("rank")["score"].is_sorted()
    assert found["rank"].sort().to_list() == [1, 2, 3, 4]
    assert (found["suggested_score"] > found["score"]).all()
    assert run_issues(judged).was_current
    assert not run_issues(judged, rule="argmax").was_current
    assert set(read_table(judged, "label_issues")["rule"]) == {"argmax"}


def test_confusions_are_counted_both_ways(judged) -> None:
    run_confusions(judged)
    rows = {
        (row["class_id"], row["other_class_id"]): row
        for row in read_table(judged, "class_confusions").iter_rows(named=True)
    }
    # Two clips of class 3 are labelled 5, one of 5 is labelled 8, one of 5 is labelled 3.
    assert rows[5, 3]["num_taken"] == 2
    assert rows[5, 3]["num_swapped"] == 1
    assert rows[3, 5]["num_taken"] == 1
    assert rows[8, 5]["num_taken"] == 1
    assert rows[5, 3]["rank"] == 1
    assert rows[5, 3]["taken_frac"] == pytest.approx(2 / rows[5, 3]["num_clips"])
    assert rows[5, 3]["overlap_frac"] == rows[3, 5]["overlap_frac"] == pytest.approx(3 / 90)
    run_confusions(judged, top=1)
    assert read_table(judged, "class_confusions")["rank"].unique().to_list() == [1]
    with pytest.raises(BadInput, match=r"top=0\. Want at least 1"):
        run_confusions(judged, top=0)


def test_a_clip_of_two_classes_is_no_issue_of_either(judged) -> None:
    kept = pl.concat(
        [
            read_table(judged, "kept"),
            frame_of("kept", [Kept(clip_id="c00", video_id="vc00", class_id=3)]),
        ]
    )
    write_table(table_path(judged, "kept"), "kept", kept, made_by=made_by("test", arguments={}, inputs={}))
    run_issues(judged)
    run_confusions(judged)
    assert "c00" not in set(read_table(judged, "label_issues")["clip_id"])
    assert read_table(judged, "class_confusions").filter(class_id=5, other_class_id=3)["num_taken"].to_list() == [1]


def test_the_verbs_end_with_a_line_or_json(judged) -> None:
    runner = CliRunner()
    said = runner.invoke(main, ["noise", "confusions", str(judged), "--json"])
    assert json.loads(said.output)["num_classes_confused"] == 3
    found = {}
    for by in ("gesta", "cleanlab"):
        said = runner.invoke(main, ["noise", "labels", str(judged), "--rule", "both", "--by", by])
        assert said.output == "noise labels: kept 4, rejected 0\n"
        found[by] = read_table(judged, "label_issues")
    assert found["gesta"].equals(found["cleanlab"])
    with pytest.raises(UnknownName, match="no program 'other'"):
        run_issues(judged, by="other")


def test_what_is_missing_is_named(noisy_work) -> None:
    work = noisy_work(num_clips=9)
    with pytest.raises(MissingTable, match="Run `gesta noise folds` first"):
        run_issues(work)
    features = str(work / "features.parquet")
    said = CliRunner().invoke(
        main, ["noise", "folds", str(work), "--recipe", "i3d_small_world", "--features", features]
    )
    assert said.exit_code == 2
    assert "A recipe learns from the videos" in said.stderr
    run = CliRunner().invoke(main, ["noise", "folds", str(work), "--features", features])
    assert run.exit_code == 0
    with pytest.raises(UnknownName, match="no rule 'some'"):
        run_issues(work, rule="some")
