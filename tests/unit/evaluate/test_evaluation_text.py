"""Results as text and as JSON."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.breakdown import error_breakdown
from gesta.evaluate.classification import score_clips
from gesta.evaluate.diagnosis import diagnose
from gesta.evaluate.frame_map import frame_map
from gesta.evaluate.groups import group_scores
from gesta.evaluate.intervals import map_difference, map_intervals
from gesta.evaluate.result_json import (
    breakdown_json,
    clips_json,
    diagnosis_json,
    difference_json,
    groups_json,
    intervals_json,
    plain_json,
)
from gesta.evaluate.text import (
    breakdown_text,
    clips_text,
    diagnosis_text,
    difference_text,
    groups_text,
    intervals_text,
    scores_text,
    table_text,
)

LABEL_MAP = pl.DataFrame({"class_id": [1, 2, 3], "name": ["stand", "sit", "x" * 60]})
SCHEMA = {"video_id": pl.String, "timestamp_us": pl.Int64} | dict.fromkeys(["x1", "y1", "x2", "y2"], pl.Float64)
BOX = (0.1, 0.1, 0.5, 0.5)


def rows(*entries):
    values = [(video, 1_000_000, *BOX, class_id, score) for video, class_id, score in entries]
    return pl.DataFrame(values, schema=SCHEMA | {"class_id": pl.Int64, "score": pl.Float64}, orient="row")


TRUTH = rows(("a", 1, 1.0), ("b", 1, 1.0), ("b", 2, 1.0))
FOUND = rows(("a", 1, 0.9), ("b", 2, 0.7), ("a", 3, 0.4))
IDS = [1, 2, 3]


def test_a_table_lines_up_and_has_no_space_at_the_end():
    text = table_text(["what", "count", ""], [["a", "1", "██"], ["bcd", "1,000", ""]])
    assert text == "what  count\na         1  ██\nbcd   1,000"


def score(part, protocol, whole, refusal=None):
    if refusal:
        return SimpleNamespace(part=part, protocol=protocol, maps=(), refusal=refusal)
    by_class = dict(zip(whole.class_ids, whole.average_precision.tolist(), strict=True))
    return SimpleNamespace(
        part=part, protocol=protocol, maps=(whole,), refusal=None, mean_ap=whole.mean_ap, average_precision=by_class
    )


def test_protocols_stand_side_by_side():
    whole = frame_map(TRUTH, FOUND, class_ids=IDS)
    refused = score("all", "mmaction2", whole, refusal="gt.csv:1: 0.5 is no whole second")
    scores = [score("all", "official", whole), score("all", "acar", whole), refused]
    assert scores_text(scores, LABEL_MAP).splitlines() == [
        "class  official    acar",
        "stand    0.5000  0.5000",
        "sit      1.0000  1.0000",
        "mean     0.7500  0.7500",
        "all mmaction2: gt.csv:1: 0.5 is no whole second",
    ]
    assert scores_text([]) == "nothing was scored"
    parts = [score(part, "official", whole) for part in ("ava", "kinetics")]
    assert "ava official  kinetics official" in scores_text(parts)


def test_intervals_and_differences():
    lines = intervals_text(map_intervals(TRUTH, FOUND, class_ids=IDS, num_resamples=50), LABEL_MAP).splitlines()
    assert lines[0].startswith("mAP 0.750 [")
    assert lines[0].endswith("95% interval (percentile), 50 draws of 2 videos")
    assert [line.split()[0] for line in lines[1:]] == ["class", "stand", "sit"]
    text = difference_text(map_difference(TRUTH, FOUND, TRUTH, class_ids=IDS, num_resamples=50), LABEL_MAP, a="new")
    assert "new - B: -0.250 [" in text
    assert "new is above B in 0.0% of the draws" in text
    assert text.splitlines()[5].startswith("stand  -0.500 [")


def test_groups_and_breakdown_have_bars():
    text = groups_text(group_scores(TRUTH, FOUND, class_ids=IDS, kinds=["frequency", "video"]))
    assert text.splitlines()[0].split() == ["by", "group", "mAP", "classes", "labels", "detections"]
    assert text.splitlines()[-1].split()[:2] == ["b", "0.500"]
    assert text.splitlines()[2].endswith("█" * 20)
    lines = breakdown_text(error_breakdown(TRUTH, FOUND, class_ids=IDS)).splitlines()
    assert lines[0] == "mAP 0.750: 2 of 3 detections are right, 2 of 3 labels are found"
    assert any(line.startswith("missed") and "+0.250" in line and "█" in line for line in lines)


def test_a_diagnosis_says_what_mending_gives():
    broken = FOUND.with_columns(video_id=pl.col("video_id") + ".mp4")
    text = diagnosis_text(diagnose(TRUTH, broken, class_ids=IDS))
    assert text.splitlines()[0] == "mAP 0.000; with everything mended that can be, 0.750"
    assert "1. detections and ground truth write video ids differently (video ids)" in text
    assert "With each video id without its file extension the mAP would be 0.750 instead of 0.000." in text
    assert "To mend it: Write 'a' for 'a.mp4' in the detections." in text
    assert "Nothing tried would raise it" in diagnosis_text(diagnose(TRUTH, FOUND.head(2), class_ids=[1, 2]))
    assert all(len(line) <= 60 for line in diagnosis_text(diagnose(TRUTH, broken, class_ids=IDS), width=60).split("\n"))


def test_clips_show_the_hardest_classes_and_the_pairs():
    asked = pl.DataFrame({"clip_id": ["a", "b", "c"], "class_id": [1, 2, 2]})
    found = pl.DataFrame({"clip_id": ["a", "b", "b"], "class_id": [1, 1, 2], "score": [0.9, 0.8, 0.1]})
    result = score_clips(asked, found, class_ids=IDS)
    text = clips_text(result, LABEL_MAP, max_classes=1)
    assert "3 clips, 3 labels" in text
    assert "top-1 0.333, top-5 0.667, mean class accuracy 0.500" in text
    assert "1 clips have no score and count as wrong" in text
    assert "classes, the 1 hardest of 2" in text
    assert "sit (1)" not in text
    assert "stand (1)" in text
    assert clips_json(result, LABEL_MAP)["confusion"] == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_every_result_is_json_with_null_for_what_does_not_exist():
    intervals = map_intervals(TRUTH, FOUND, class_ids=IDS, num_resamples=5)
    difference = map_difference(TRUTH, FOUND, TRUTH, class_ids=IDS, num_resamples=5)
    broken = FOUND.with_columns(video_id=pl.col("video_id") + ".mp4")
    values = [
        intervals_json(intervals, LABEL_MAP),
        difference_json(difference, LABEL_MAP),
        breakdown_json(error_breakdown(TRUTH, FOUND, class_ids=IDS), LABEL_MAP),
        groups_json(group_scores(TRUTH, FOUND, class_ids=IDS)),
        diagnosis_json(diagnose(TRUTH, broken, class_ids=IDS)),
    ]
    back = json.loads(json.dumps(values, allow_nan=False))
    assert back[0]["mAP"]["estimate"] == 0.75
    assert back[0]["AP"]["x" * 60] == {"estimate": None, "low": None, "high": None, "num_draws": 0}
    assert back[1]["difference"]["estimate"] == -0.25
    assert back[2]["by_class"][0]["name"] == "stand"
    assert back[4]["findings"][0]["kind"] == "video ids"
    with pytest.raises(TypeError, match="ndarray has no JSON"):
        plain_json(np.zeros(2))
