"""Measures of clip scores against MMAction2's and ActivityNet's; see the README of the stored outputs."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.classification import (
    activitynet_scores,
    confusion_matrix,
    guesses,
    label_average_precision,
    mean_class_accuracy,
)
from gesta.evaluate.top_k import top_k

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "golden/classification/cases.jsonl").read_text().splitlines()
]


def test_the_cases_are_there():
    assert len(CASES) == 40


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_mmaction2s_accuracies_and_average_precisions(case):
    stored = case["mmaction2"]
    scores, labels = np.array(case["scores"]), np.array(case["labels"])
    many, rounded = np.array(case["many"]) == 1, np.round(scores, 1)
    assert mean_class_accuracy(scores, labels, counted="seen") == pytest.approx(
        stored["mean_class_accuracy"], abs=1e-12
    )
    assert mean_class_accuracy(rounded, labels, counted="seen") == pytest.approx(
        stored["mean_class_accuracy_of_rounded"], abs=1e-12
    )
    for k, value in zip((1, 2, 5), stored["top_k_accuracy"], strict=True):
        assert top_k(scores, labels, k) == pytest.approx(value, abs=1e-12)
    confusion = confusion_matrix(labels, guesses(scores), num_classes=scores.shape[1])
    seen = np.ix_(stored["classes"], stored["classes"])
    assert confusion[seen].tolist() == stored["confusion_matrix"]
    assert confusion.sum() == confusion[seen].sum()
    for values, name in ((scores, "mean_average_precision"), (rounded, "mean_average_precision_of_rounded")):
        assert np.nanmean(label_average_precision(values, many)) == pytest.approx(stored[name], abs=1e-12)
    by_sample = label_average_precision(rounded.T, many.T)
    assert np.mean(by_sample) == pytest.approx(stored["mmit_mean_average_precision"], abs=1e-12)


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_activitynets_average_precisions_and_hits(case):
    stored = case["activitynet"]
    truth = pl.DataFrame(case["pairs"], schema=["video_id", "class_id"], orient="row")
    found = pl.DataFrame(case["predictions"], schema=["video_id", "class_id", "score"], orient="row")
    result = activitynet_scores(truth, found, k=stored["k"])
    ours = dict(zip(map(str, result.class_ids), result.average_precision.tolist(), strict=True))
    assert ours == pytest.approx(stored["ap"], abs=1e-12)
    assert result.mean_ap == pytest.approx(np.mean(list(stored["ap"].values())), abs=1e-12)
    assert result.hit_at_k == pytest.approx(stored["hit_at_k"], abs=1e-12)
    assert result.mean_hit_at_k == pytest.approx(stored["avg_hit_at_k"], abs=1e-12)
