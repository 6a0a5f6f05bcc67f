"""Fusion, top-k, class accuracies and confusions against plain Python, on stored score files."""

import json
from pathlib import Path

import pytest
from tests.golden.clip_scores.make import CLASSES, WEIGHTS
from tests.parity.plain_clip_scores import measures, read_labels, read_scores

from gesta.evaluate.classification import score_clips
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
from gesta.evaluate.difficulty import class_difficulty
from gesta.evaluate.fusion import fuse_scores

FOLDER = Path(__file__).parents[1] / "golden/clip_scores"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
CASES = [(how, ending) for how in WEIGHTS for ending in ("", "_ties")]


def test_the_stored_scores_are_there():
    assert len(EXPECTED) == len(CASES) == 8
    assert len(read_labels(FOLDER / "labels.csv")) == 150
    assert "imports nothing of gesta" in (FOLDER / "README.md").read_text()
    plain = Path(__file__).with_name("plain_clip_scores.py").read_text()
    assert "import gesta" not in plain
    assert "from gesta" not in plain


@pytest.mark.parametrize(("how", "ending"), CASES)
def test_the_stored_numbers_are_those_of_plain_python(how, ending):
    streams = [read_scores(FOLDER / f"{name}{ending}.csv") for name in ("rgb", "flow")]
    again = measures(streams, WEIGHTS[how], read_labels(FOLDER / "labels.csv"))
    assert json.loads(json.dumps(again)) == EXPECTED[how + ending]


@pytest.mark.parametrize(("how", "ending"), CASES)
def test_ours_are_the_stored_numbers(how, ending):
    stored = EXPECTED[how + ending]
    labels = read_clip_labels(FOLDER / "labels.csv")
    streams = [read_clip_scores(FOLDER / f"{name}{ending}.csv") for name in ("rgb", "flow")]
    fused = fuse_scores(streams, weights=WEIGHTS[how], names=["rgb.csv", "flow.csv"])
    result = score_clips(labels, fused, class_ids=CLASSES)
    assert result.top_k == pytest.approx({1: stored["top_1"], 5: stored["top_5"]}, abs=1e-12)
    assert result.mean_class_accuracy == pytest.approx(stored["mean_class_accuracy"], abs=1e-12)
    cells = [
        [CLASSES[a], CLASSES[b], int(num)]
        for a, row in enumerate(result.confusion_CC) for b, num in enumerate(row) if num
    ]  # fmt: skip
    assert cells == stored["confusions"]
    ranked = class_difficulty(labels, fused, class_ids=CLASSES)
    for column, name in (("accuracy", "accuracy_by_class"), ("top_k_accuracy", "top_5_by_class")):
        ours = {str(class_id): value for class_id, value in ranked.select("class_id", column).iter_rows()}
        assert ours == pytest.approx(stored[name], abs=1e-12)
    first = fused.filter(fused["clip_id"] == min(fused["clip_id"]))
    ours = {str(class_id): score for class_id, score in first.select("class_id", "score").iter_rows()}
    assert ours == pytest.approx(stored["fused_of_first_clip"], abs=1e-12)
