"""Measures of clip scores by hand, and the files they come from."""

import json

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.classification import (
    activitynet_scores,
    confused_pairs,
    confusion_matrix,
    kinetics_error,
    label_average_precision,
    score_clips,
)
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores, write_clip_scores
from gesta.schema import BadInput, GestaError

LABEL_MAP = pl.DataFrame(
    {"class_id": [2, 5, 9], "name": ["archery", "bowling", "clapping, loud"], "category": [None] * 3}
)


def labels(*pairs):
    return pl.DataFrame(pairs, schema={"clip_id": pl.String, "class_id": pl.Int64}, orient="row")


def scores(*rows):
    return pl.DataFrame(rows, schema={"clip_id": pl.String, "class_id": pl.Int64, "score": pl.Float64}, orient="row")


def test_pairs_are_ordered_by_the_mean_of_both_shares():
    confusion = np.array([[1, 1, 0], [0, 4, 0], [0, 1, 9]])
    first, second = confused_pairs(confusion, class_ids=[2, 5, 9])
    assert (first.class_a, first.class_b, first.num_a_as_b, first.share_a_as_b, first.share_b_as_a) == (2, 5, 1, 0.5, 0)
    assert (second.class_a, second.class_b, second.num_b_as_a, second.share_b_as_a) == (5, 9, 1, 0.1)
    assert len(confused_pairs(confusion, class_ids=[2, 5, 9], num_pairs=1)) == 1


def test_the_kinetics_error_is_the_mean_of_two():
    scores_16 = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]] * 4)
    # Right at 1, at 2, at 5 and not at all.
    assert kinetics_error(scores_16, np.array([0, 1, 4, 5])) == pytest.approx(((1 - 1 / 4) + (1 - 3 / 4)) / 2)


def test_clips_without_scores_are_wrong_and_confuse_nobody():
    asked = labels(("a", 2), ("b", 5), ("c", 9))
    found = scores(("a", 2, 0.9), ("a", 5, 0.1), ("b", 2, 0.6), ("b", 9, 0.2), ("other", 2, 1.0), ("a", 77, 5.0))
    result = score_clips(asked, found, class_ids=[2, 5, 9], ks=(1, 2))
    assert (result.num_clips, result.num_labels, result.num_without_scores) == (3, 3, 1)
    assert result.top_k[1] == pytest.approx(1 / 3)
    assert result.mean_class_accuracy == pytest.approx(1 / 3)
    assert result.confusion_CC.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    third = pytest.approx(1 / 3)
    assert result.by_class.rows() == [(2, 1, 1.0, 1.0, None, 0), (5, 1, 0.0, third, 2, 1), (9, 1, 0.0, third, None, 0)]
    assert [(pair.class_a, pair.class_b) for pair in result.pairs] == [(2, 5)]


def test_a_clip_with_two_labels_counts_twice():
    asked = labels(("a", 2), ("a", 5), ("a", 2), ("b", 5))
    found = scores(("a", 2, 0.9), ("a", 5, 0.8), ("b", 2, 0.3), ("b", 5, 0.7))
    result = score_clips(asked, found, class_ids=[2, 5])
    assert (result.num_labels, result.top_k[1], result.top_k[5]) == (3, pytest.approx(2 / 3), 1.0)
    assert result.mean_average_precision == 1.0


def test_nothing_to_score_is_nan_and_not_an_error():
    result = score_clips(labels(), scores(), class_ids=[2])
    assert np.isnan([result.top_k[1], result.mean_class_accuracy, result.mean_average_precision]).all()
    bare = score_clips(labels(("a", 2)), scores(), class_ids=[2])
    assert (bare.top_k[1], bare.num_without_scores, bare.kinetics_error) == (0.0, 1, 1.0)


def test_a_second_prediction_of_a_class_and_video_is_wrong():
    truth = labels(("a", 2), ("b", 2)).rename({"clip_id": "video_id"})
    found = scores(("a", 2, 0.9), ("a", 2, 0.8), ("b", 2, 0.7)).rename({"clip_id": "video_id"})
    result = activitynet_scores(truth, found, k=1)
    assert result.average_precision.tolist() == [pytest.approx(1 / 2 + 1 / 2 * 2 / 3)]
    assert (result.hit_at_k, result.class_ids) == (1.0, (2,))


def test_of_equal_scores_the_later_prediction_comes_first():
    truth = labels(("a", 2), ("b", 5)).rename({"clip_id": "video_id"})
    found = scores(("a", 2, 0.9), ("b", 2, 0.9)).rename({"clip_id": "video_id"})
    assert activitynet_scores(truth, found).average_precision.tolist() == [0.5, 0.0]


def test_what_cannot_be_scored_is_said():
    with pytest.raises(BadInput, match=r"labels \(1,\) and guesses \(2,\)"):
        confusion_matrix(np.array([0]), np.array([0, 1]), num_classes=2)
    with pytest.raises(BadInput, match=r"outside 0\.\.1"):
        confusion_matrix(np.array([2]), np.array([0]), num_classes=2)
    with pytest.raises(BadInput, match=r"scores \(1, 2\) and labels \(2, 1\)"):
        label_average_precision(np.zeros((1, 2)), np.zeros((2, 1), dtype=bool))
    with pytest.raises(BadInput, match="a score is NaN"):
        label_average_precision(np.full((1, 1), np.nan), np.ones((1, 1), dtype=bool))
    with pytest.raises(BadInput, match="clip a has two scores of class 2"):
        score_clips(labels(("a", 2)), scores(("a", 2, 0.1), ("a", 2, 0.2)), class_ids=[2])
    with pytest.raises(BadInput, match="NaN or missing"):
        score_clips(labels(("a", 2)), scores(("a", 2, float("nan"))), class_ids=[2])
    with pytest.raises(BadInput, match="scores: no column score"):
        score_clips(labels(("a", 2)), scores().drop("score"), class_ids=[2])
    with pytest.raises(BadInput, match="k=0"):
        activitynet_scores(labels().rename({"clip_id": "video_id"}), scores().rename({"clip_id": "video_id"}), k=0)


def test_scores_come_back_as_they_were_written(tmp_path):
    rows = scores(('-a, "b"', 2, 1 / 3), ("_c", -1, -2.5e-9), ("ü", 5, 1e300))
    write_clip_scores(tmp_path / "s.csv", rows)
    assert read_clip_scores(tmp_path / "s.csv").equals(rows)
    write_clip_scores(tmp_path / "s.csv", rows.clear())
    assert read_clip_scores(tmp_path / "s.csv").equals(rows.clear())


def test_names_are_numbered_by_the_label_map(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text('\ufeffscore,class_name,clip_id\r\n0.5,"clapping, loud",-a\r\n', encoding="utf-8")
    assert read_clip_scores(path, label_map=LABEL_MAP).rows() == [("-a", 9, 0.5)]
    path.write_text("clip_id,class_name\na,archery\na,bowling\n")
    assert read_clip_labels(path, label_map=LABEL_MAP).rows() == [("a", 2), ("a", 5)]
    path.write_text("label,youtube_id,time_start,time_end,split\nbowling,-x_1,7,17,val\n")
    assert read_clip_labels(path, label_map=LABEL_MAP).rows() == [("-x_1_000007_000017", 5)]


def test_activitynets_files_are_read(tmp_path):
    path = tmp_path / "p.json"
    results = {"-v": [{"label": "archery", "score": 0.2}, {"label": "archery", "score": 0.7}], "w": []}
    path.write_text(json.dumps({"results": results, "version": "", "external_data": {}}))
    assert read_clip_scores(path, label_map=LABEL_MAP).rows() == [("-v", 2, 0.7)]
    note = {"label": "bowling", "segment": [1, 2]}
    database = {"-v": {"subset": "validation", "annotations": [note, note]}}
    path.write_text(json.dumps({"database": database, "taxonomy": [], "version": ""}))
    assert read_clip_labels(path, label_map=LABEL_MAP).rows() == [("-v", 5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty. Want a header: clip_id,class_id,score"),
        ("clip,class_id,score\n", "s.csv:1: the header is clip,class_id,score, want clip_id,class_id,score"),
        ("clip_id,class_id,score,more\n", "s.csv:1: the header is"),
        ("clip_id,class_id,score\na,2\n", "s.csv:2: 2 columns, want 3 (clip_id, class_id, score)"),
        ("clip_id,class_id,score\n\na,2,nan\n", "s.csv:3: the score is 'nan', want a finite number"),
        ("clip_id,class_id,score\na,2.0,1\n", "s.csv:2: the class id is '2.0', want a whole number"),
        ("clip_id,class_id,score\n,2,1\n", "s.csv:2: the clip id is empty"),
        ("clip_id,class_id,score\na,2,1\na,2,0\n", "s.csv:2: clip a has two scores of class 2"),
        ("clip_id,class_name,score\na,boxing,1\n", "s.csv:2: the label map has no class 'boxing'"),
        ('clip_id,class_id,score\n"a,2,1\n', "s.csv:2: the quotes do not pair"),
    ],
)
def test_what_a_scores_file_must_not_hold_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(GestaError) as error:
        read_clip_scores(path, label_map=LABEL_MAP)
    assert message in str(error.value)
    with pytest.raises(GestaError):
        read_clip_scores(tmp_path)


def test_names_without_a_label_map_are_refused(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("clip_id,class_name,score\na,archery,1\n")
    with pytest.raises(BadInput, match=r"this file has names of classes\. Give the label map"):
        read_clip_scores(path)


def test_kinetics_own_files_give_labels(shared):
    folder = shared / "annotations/kinetics"
    rows = pl.read_csv(folder / "kinetics-400_val.csv")
    names = sorted(rows["label"].unique().to_list())
    label_map = pl.DataFrame({"class_id": range(len(names)), "name": names, "category": [None] * len(names)})
    found = read_clip_labels(folder / "kinetics-400_val.csv", label_map=label_map)
    assert len(found) == len(rows)
    assert found.row(0) == ("0wR5jVB-WPk_000417_000427", names.index("abseiling"))
