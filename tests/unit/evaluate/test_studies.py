"""Rows and tables of studies by hand, and texts of rankings and differences."""

import json

import polars as pl
import pytest

from gesta.evaluate.clip_files import write_clip_scores
from gesta.evaluate.difficulty import class_difficulty
from gesta.evaluate.modality import accuracy_difference
from gesta.evaluate.studies import accuracy_row, markdown_table, scores_in, study_text, write_study
from gesta.evaluate.text import accuracy_difference_text, difficulty_text
from gesta.formats import write_label_map
from gesta.schema import BadInput
from gesta.tables import made_by

LABEL_MAP = pl.DataFrame(
    {"class_id": [1, 2, 3], "name": ["sit", "stand", "wave"], "category": [None] * 3},
    schema_overrides={"category": pl.String},
)


@pytest.fixture
def folder(tmp_path):
    """Four clips: right, right at the second guess, wrong, and one without scores."""
    scores = [("a", 1, 0.9), ("a", 2, 0.1), ("b", 1, 0.6), ("b", 2, 0.4), ("c", 1, 0.7), ("c", 2, 0.3)]
    frame = pl.DataFrame(scores, schema=["clip_id", "class_id", "score"], orient="row")
    write_clip_scores(tmp_path / "scores.csv", frame)
    (tmp_path / "labels.csv").write_text("clip_id,class_id\na,1\nb,2\nc,3\nd,1\n")
    write_label_map(tmp_path / "label_map.pbtxt", LABEL_MAP)
    return tmp_path


def test_a_clip_without_scores_is_wrong(folder):
    row = accuracy_row(folder, ks=(1, 2))
    assert (row["num_clips"], row["num_without_scores"], row["top_1"], row["top_2"]) == (4, 1, 0.25, 0.5)
    assert row["top_1_low"] < 0.25 < row["top_1_high"]
    assert row["mean_class_accuracy"] == pytest.approx((0.5 + 0 + 0) / 3)


def test_what_is_no_folder_of_scores_is_said(folder):
    (folder / "labels.csv").write_text("clip_id,class_id\n")
    with pytest.raises(BadInput, match="no clip has a label"):
        accuracy_row(folder)
    (folder / "scores.csv").unlink()
    with pytest.raises(BadInput, match="the folder holds no scores"):
        scores_in(folder)


def test_a_study_is_written_as_json_csv_and_markdown(tmp_path):
    rows = [{"name": "100", "num_train": 1000, "top_1": 0.3881}, {"name": "all", "num_train": 12345, "top_1": None}]
    made = made_by("study", arguments={}, inputs={})
    columns = {"name": "clips", "num_train": "in all", "top_1": "top-1"}
    paths = write_study(tmp_path, rows, columns=columns, made_by=made, notes={"study": "drawn"})
    assert [path.name for path in paths] == ["study.json", "study.csv", "study.md"]
    value = json.loads(paths[0].read_text())
    assert (value["rows"], value["study"], value["made_by"]["stage"]) == (rows, "drawn", "study")
    assert paths[1].read_text() == "name,num_train,top_1\n100,1000,0.3881\nall,12345,\n"
    assert paths[2].read_text().splitlines()[-1] == "| all | 12,345 |  |"
    assert study_text(rows, columns=columns).splitlines()[1].split() == ["100", "1,000", "38.8", "%"]
    assert markdown_table([], columns=columns).count("\n") == 2
    with pytest.raises(BadInput, match="the study has no row"):
        write_study(tmp_path, [], columns=columns, made_by=made, notes={})


def test_of_many_classes_both_ends_are_shown():
    clips = [f"c{n}" for n in range(12)]
    labels = pl.DataFrame({"clip_id": clips, "class_id": [n // 2 for n in range(12)]})
    right = labels.with_columns(score=pl.lit(1.0))
    wrong = right.with_columns(class_id=pl.lit(0))
    ranked = class_difficulty(labels, wrong, class_ids=range(6))
    assert "6 classes, the hardest first" in difficulty_text(ranked)
    ends = difficulty_text(ranked, num_ends=2)
    assert ends.startswith("the 2 hardest of 6 classes")
    assert "the 2 easiest of 6 classes" in ends
    assert "class 0" in ends
    assert "class 3" not in ends
    result = accuracy_difference(labels, right, wrong, class_ids=range(6), num_resamples=10)
    words = accuracy_difference_text(result, a="flow", b="rgb", num_ends=1)
    assert "flow gains most (of 6 classes)" in words
    assert "rgb gains most (of 6 classes)" in words
    assert words.splitlines()[0] == "top-1: flow 1.000, rgb 0.167"
    grouped = accuracy_difference(
        labels.with_columns(group_id=pl.Series(range(12)) // 4), right, wrong, class_ids=range(6), num_resamples=10
    )
    assert "10 draws of 3 groups of clips" in accuracy_difference_text(grouped)
