"""What stays of what was looked at: yields of a class, retention between lists, shares by a catalogue."""

from __future__ import annotations

import runpy
from pathlib import Path

import polars as pl
import pytest

from gesta.stats import retention, shares_of, stats_of, stats_text, yields_of
from gesta.stats.yields import per_file_retention
from gesta.tables import read_table

write_work = runpy.run_path(str(Path(__file__).parents[1] / "release" / "tables_by_hand.py"))["write_work"]


def test_yields_by_hand() -> None:
    pairs = [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1), ("a", 2), ("f", 3)]
    candidates = pl.DataFrame([*pairs, ("a", 1)], schema=["clip_id", "class_id"], orient="row")
    verdicts = ["accepted", "accepted", "rejected", "accepted", "open", "rejected"]
    labels = candidates.head(6).with_columns(verdict=pl.Series(verdicts))
    strays = pl.DataFrame({"clip_id": ["z"], "class_id": [1], "verdict": ["accepted"]})
    kept = pl.DataFrame({"clip_id": ["a", "b", "z"], "class_id": [1, 1, 1]})
    names = pl.DataFrame({"class_id": [1, 2, 3], "name": ["one", "two", "three"]})
    # Five candidates of class 1, four decided, three accepted, two released; the stray clip was never a candidate.
    assert yields_of(candidates, pl.concat([labels, strays]), kept, names=names).rows() == [
        (1, "one", 5, 4, 3, 2, 0.75, 0.5),
        (2, "two", 1, 1, 0, 0, 0.0, 0.0),
        (3, "three", 1, 0, 0, 0, None, None),
    ]


def test_a_work_folder_has_its_yields(tmp_path: Path) -> None:
    work = write_work(tmp_path / "work")
    stats = stats_of(work)
    yields = stats.tables["yields"]
    assert yields["num_candidates"].sum() == len(read_table(work, "candidates"))
    accepted = read_table(work, "clip_labels").filter(verdict="accepted")
    assert yields["num_accepted"].sum() == len(accepted)
    assert yields["num_released"].sum() == len(read_table(work, "kept"))
    assert (yields["released_share"] <= yields["accepted_share"]).all()
    assert "yields" in stats_text(stats)


def test_retention_by_hand() -> None:
    then = pl.DataFrame(
        {
            "clip_id": ["a 0", "a 0", "b 0", "c 0", "d 0"],
            "video_id": ["a", "a", "b", "c", "d"],
            "split": ["train", "train", "train", "val", None],
        }
    )
    assert retention(then, pl.Series(["a", "c", "c", "x"]), name="list").rows() == [
        ("list", "train", 2, 1, 0.5),
        ("list", "val", 1, 1, 1.0),
        ("list", "all", 4, 2, 0.5),
    ]
    assert retention(then.clear(), pl.Series(["a"]), name="list").rows() == [("list", "all", 0, 0, None)]


def test_retention_of_the_files_that_were_imported() -> None:
    rows = pl.DataFrame(
        {
            "video_id": ["a", "b", "a"],
            "file": ["x.csv", "x.csv", "w.csv"],
            "num_rows": [3, 1, 2],
            "is_present": [True, False, True],
        }
    )
    assert per_file_retention(rows).rows() == [("w.csv", None, 2, 2, 1.0), ("x.csv", None, 4, 3, 0.75)]


def test_shares_are_of_the_videos_that_say() -> None:
    ids = pl.Series(["a", "a", "b", "c", "unsaid"])
    found = shares_of(ids, {"a": "Asia", "b": "Asia", "c": "Africa", "elsewhere": "Europe"})
    assert found.rows() == [("Africa", 1, pytest.approx(1 / 3, abs=1e-6)), ("Asia", 2, pytest.approx(2 / 3, abs=1e-6))]
    assert shares_of(ids, {}).rows() == []
