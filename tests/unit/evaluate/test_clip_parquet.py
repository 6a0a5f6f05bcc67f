"""Clip scores kept in Parquet."""

import polars as pl
import pytest

from gesta.evaluate.clip_files import read_clip_scores, write_clip_scores
from gesta.schema import BadInput, WrongSchema

ROWS = pl.DataFrame({"clip_id": ["a", "a", "b"], "class_id": [1, 2, 1], "score": [0.25, 0.75, 1e-9]})


def test_scores_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "s.parquet"
    write_clip_scores(path, ROWS)
    assert read_clip_scores(path).equals(ROWS)
    small = ROWS.with_columns(pl.col("score").cast(pl.Float32), pl.col("class_id").cast(pl.Int16))
    write_clip_scores(path, small)
    assert pl.read_parquet_schema(path)["score"] == pl.Float32
    assert read_clip_scores(path).equals(small.cast({"score": pl.Float64, "class_id": pl.Int64}))


def test_names_are_numbered_by_the_label_map(tmp_path):
    path = tmp_path / "s.parquet"
    named = ROWS.with_columns(class_name=pl.Series(["archery", "bowling", "archery"])).drop("class_id")
    named.write_parquet(path)
    label_map = pl.DataFrame({"class_id": [5, 7], "name": ["bowling", "archery"]})
    assert read_clip_scores(path, label_map=label_map)["class_id"].to_list() == [7, 5, 7]
    with pytest.raises(BadInput, match="the label map has no class 'bowling'"):
        read_clip_scores(path, label_map=label_map.tail(1))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (ROWS.drop("clip_id"), "column 'clip_id' is missing, want String"),
        (ROWS.with_columns(pl.col("class_id").cast(pl.Float64)), "column 'class_id' is Float64, want Int64"),
        (ROWS.drop("score"), "no column 'score' of numbers"),
        (ROWS.with_columns(score=pl.lit("high")), "no column 'score' of numbers"),
        (ROWS.with_columns(score=pl.lit(float("nan"))), "a score is no finite number"),
        (ROWS.with_columns(pl.col("clip_id").replace("b", None)), "a cell is empty"),
        (pl.concat([ROWS, ROWS.head(1)]), "clip a has two scores of class 1"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, frame, message):
    path = tmp_path / "s.parquet"
    frame.write_parquet(path)
    with pytest.raises((BadInput, WrongSchema), match=message):
        read_clip_scores(path)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        read_clip_scores(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("clip_id,class_id,score\n")
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        read_clip_scores(tmp_path / "text.parquet")
