"""Makes `cases.jsonl`: small random scores and labels, and what two programs say of them.

    python tests/golden/classification/make.py MMACTION2 ACTIVITYNET

MMACTION2: `mmaction/evaluation/functional/accuracy.py` of open-mmlab/mmaction2 (numpy alone).
ACTIVITYNET: the folder `Evaluation` of activitynet/ActivityNet (needs pandas). Its programs are for Python 2; what is
changed to run them is in `MODERN`, their arithmetic is not touched.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

NUM_CASES = 40
MODERN = [
    (r"^import urllib2$", ""), (r"^from utils import .*$", ""), (r"\.iteritems\(\)", ".items()"),
    (r"np\.float\b", "float"), (r"^(\s*)print '.*$", r"\1pass"), (r"\bxrange\b", "range"),
]  # fmt: skip


def load(path: Path, name: str):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def activitynet(folder: Path) -> dict:
    names: dict = {}
    for file in ("utils.py", "eval_classification.py"):
        text = (folder / file).read_text()
        for pattern, new in MODERN:
            text = re.sub(pattern, new, text, flags=re.MULTILINE)
        exec(compile(text, file, "exec"), names)
    return names


def server_says(names: dict, labels: list, predictions: list, k: int) -> dict:
    truth = {"database": {}, "taxonomy": [], "version": ""}
    for video, label in labels:
        entry = truth["database"].setdefault(video, {"subset": "validation", "annotations": []})
        entry["annotations"].append({"label": str(label)})
    found = {"results": {}, "version": "", "external_data": {}}
    for video, label, score in predictions:
        found["results"].setdefault(video, []).append({"label": str(label), "score": score})
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "truth.json", Path(folder) / "found.json"]
        for path, value in zip(paths, (truth, found), strict=True):
            path.write_text(json.dumps(value))
        server = names["ANETclassification"](*map(str, paths), top_k=k, check_status=False)
        server.evaluate()
    ap = {label: float(server.ap[i]) for label, i in server.activity_index.items()}
    return {"k": k, "ap": ap, "hit_at_k": server.hit_at_k, "avg_hit_at_k": server.avg_hit_at_k}


def case_of(rng: np.random.Generator, accuracy, names: dict) -> dict:
    num_clips, num_classes = int(rng.integers(1, 30)), int(rng.integers(2, 9))
    # No equal scores: the programs leave those to NumPy's unstable sort.
    scores = rng.permutation(num_clips * num_classes).reshape(num_clips, num_classes) / 1024
    labels = rng.integers(0, num_classes, num_clips)
    many = rng.random((num_clips, num_classes)) < 0.3
    many[np.arange(num_clips), labels] = True
    ties = np.round(scores, 1)
    pairs = [(f"v{n}", int(c)) for n, c in zip(*np.nonzero(many), strict=True)]
    classes = {c for _, c in pairs}
    rows = [
        (f"v{n}", c, float(scores[n, c]))
        for n in range(num_clips) for c in range(num_classes)
        if c in classes and rng.random() < 0.8
    ] + [("unknown", next(iter(sorted(classes))), 0.5)]  # fmt: skip
    guesses = np.argmax(scores, axis=1)
    return {
        "scores": scores.tolist(),
        "labels": labels.tolist(),
        "many": many.astype(int).tolist(),
        "pairs": pairs,
        "predictions": rows,
        "mmaction2": {
            "mean_class_accuracy": float(accuracy.mean_class_accuracy(scores, labels.tolist())),
            "mean_class_accuracy_of_rounded": float(accuracy.mean_class_accuracy(ties, labels.tolist())),
            "top_k_accuracy": [float(x) for x in accuracy.top_k_accuracy(scores, labels, (1, 2, 5))],
            "classes": np.unique(np.concatenate([guesses, labels])).tolist(),
            "confusion_matrix": accuracy.confusion_matrix(guesses, labels).tolist(),
            "mean_average_precision": float(accuracy.mean_average_precision(list(scores), list(many))),
            "mean_average_precision_of_rounded": float(accuracy.mean_average_precision(list(ties), list(many))),
            "mmit_mean_average_precision": float(accuracy.mmit_mean_average_precision(list(ties), list(many))),
        },
        "activitynet": server_says(names, pairs, rows, k=int(rng.integers(1, 4))),
    }  # fmt: skip


def main() -> None:
    mmaction2, activitynet_folder = map(Path, sys.argv[1:3])
    accuracy, names = load(mmaction2, "accuracy"), activitynet(activitynet_folder)
    rng = np.random.default_rng(20)
    with np.errstate(invalid="ignore", divide="ignore"):
        lines = [json.dumps(case_of(rng, accuracy, names), allow_nan=True) for _ in range(NUM_CASES)]
    (Path(__file__).parent / "cases.jsonl").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
