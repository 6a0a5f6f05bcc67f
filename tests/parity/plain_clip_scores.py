"""Late fusion and accuracies of clip scores in plain Python: dictionaries and loops, and nothing of gesta.

Slow, and easy to check by eye against what the papers say. `gesta.evaluate` is compared with it in
`test_clip_scores.py`, on stored score files.
"""

from __future__ import annotations

import csv
from collections import Counter
from fractions import Fraction
from pathlib import Path

Scores = dict[str, dict[int, Fraction]]


def read_scores(path: Path) -> Scores:
    """Clip to class to score, each the exact value of the double nearest to its text."""
    scores: Scores = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            scores.setdefault(row["clip_id"], {})[int(row["class_id"])] = Fraction(float(row["score"]))
    return scores


def read_labels(path: Path) -> dict[str, int]:
    with path.open(newline="") as stream:
        return {row["clip_id"]: int(row["class_id"]) for row in csv.DictReader(stream)}


def fuse(streams: list[Scores], weights: list[int]) -> Scores:
    """The weighted mean, exact."""
    fused: Scores = {}
    for clip, by_class in streams[0].items():
        fused[clip] = {}
        for class_id in by_class:
            total = Fraction(0)
            for stream, weight in zip(streams, weights, strict=True):
                total += weight * stream[clip][class_id]
            fused[clip][class_id] = total / sum(weights)
    return fused


def first_guesses(by_class: dict[int, Fraction], k: int) -> list[int]:
    """The k classes with the highest scores; of equal scores the lower class comes first."""
    left = dict(by_class)
    chosen: list[int] = []
    while left and len(chosen) < k:
        best = max(left.values())
        class_id = min(one for one in left if left[one] == best)
        chosen.append(class_id)
        del left[class_id]
    return chosen


def accuracy(scores: Scores, labels: dict[str, int], k: int) -> float:
    return sum(labels[clip] in first_guesses(scores[clip], k) for clip in labels) / len(labels)


def accuracy_by_class(scores: Scores, labels: dict[str, int], k: int) -> dict[int, float]:
    clips: Counter[int] = Counter(labels.values())
    right: Counter[int] = Counter(
        label for clip, label in labels.items() if label in first_guesses(scores[clip], k)
    )  # fmt: skip
    return {class_id: right[class_id] / clips[class_id] for class_id in clips}


def confusions(scores: Scores, labels: dict[str, int]) -> dict[tuple[int, int], int]:
    """How often each class was taken for each: (true, guessed) to a count."""
    return dict(Counter((label, first_guesses(scores[clip], 1)[0]) for clip, label in labels.items()))


def measures(streams: list[Scores], weights: list[int], labels: dict[str, int]) -> dict:
    """All of them, as JSON."""
    scores = fuse(streams, weights)
    by_class = accuracy_by_class(scores, labels, 1)
    return {
        "top_1": accuracy(scores, labels, 1),
        "top_5": accuracy(scores, labels, 5),
        "mean_class_accuracy": sum(by_class.values()) / len(by_class),
        "accuracy_by_class": {str(class_id): by_class[class_id] for class_id in sorted(by_class)},
        "top_5_by_class": {str(c): a for c, a in sorted(accuracy_by_class(scores, labels, 5).items())},
        "confusions": [[a, b, num] for (a, b), num in sorted(confusions(scores, labels).items())],
        "fused_of_first_clip": {str(c): float(s) for c, s in sorted(scores[min(scores)].items())},
    }
