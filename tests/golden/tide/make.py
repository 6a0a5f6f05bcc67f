"""Makes `cases.jsonl`: small random boxes with one label each, and the errors that TIDE counts in them.

    python tests/golden/tide/make.py TIDE

TIDE: a checkout of dbolya/tide. Its plots and data sets are not needed and are left out of the import.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np

NUM_CASES = 40


def case_of(rng: np.random.Generator) -> dict:
    """Labelled boxes far from one another, so that a detection comes near one of them at most."""
    labels, found = [], []
    scores = rng.permutation(400) / 400
    for image in range(6):
        for cell in range(rng.integers(0, 4)):
            x = cell * 300.0
            labels.append([image, x, 0.0, x + 100, 100.0, int(rng.integers(1, 4))])
            for _ in range(rng.integers(0, 5)):
                shift = float(rng.choice([0, 5, 20, 45, 70, 85, 95, 150]))
                box = [x + shift, 0.0, x + shift + 100, 100.0]
                found.append([image, *box, int(rng.integers(1, 4)), float(scores[len(found)])])
    return {"labels": labels, "found": found}


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    for name in ("tidecv.plotting", "tidecv.datasets"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].Plotter = object
        sys.modules[name].__all__ = []
    from tidecv.data import Data
    from tidecv.quantify import TIDE

    rng, lines = np.random.default_rng(5), []
    while len(lines) < NUM_CASES:
        case = case_of(rng)
        if not case["labels"] or not case["found"]:
            continue
        truth, found = Data("truth"), Data("found")
        for image in range(6):
            truth.add_image(image, str(image))
            found.add_image(image, str(image))
        for image, x1, y1, x2, y2, label in case["labels"]:
            truth.add_ground_truth(image, label, [x1, y1, x2 - x1, y2 - y1])
        for image, x1, y1, x2, y2, label, score in case["found"]:
            found.add_detection(image, label, score, [x1, y1, x2 - x1, y2 - y1])
        run = TIDE(pos_threshold=0.5, background_threshold=0.1).evaluate(truth, found, mode=TIDE.BOX)
        case["counts"] = {error.short_name: count for error, count in run.count_errors().items()}
        case["gains"] = {error.short_name: float(gain) for error, gain in run.fix_main_errors().items()}
        case["special"] = {error.short_name: float(gain) for error, gain in run.fix_special_errors().items()}
        lines.append(json.dumps(case))
    (Path(__file__).parent / "cases.jsonl").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
