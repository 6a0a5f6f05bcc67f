"""Makes the score files of this folder and what plain Python says of them.

python -m tests.golden.clip_scores.make
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.parity.plain_clip_scores import measures, read_labels, read_scores

HERE = Path(__file__).parent
CLASSES = [1, 2, 3, 5, 8, 13, 21, 34, 40, 41, 60, 77]
NUM_CLIPS = 150
SEED = 20170519
WEIGHTS = {"rgb": [1, 0], "flow": [0, 1], "equal": [1, 1], "rgb_thrice": [3, 1]}


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main() -> None:
    rng = np.random.default_rng(SEED)
    clips = [f"clip_{number:03d}_000000_000010" for number in range(NUM_CLIPS)]
    labels = rng.integers(0, len(CLASSES) - 1, NUM_CLIPS)  # the last class has no clip
    lines = [f"{clip},{CLASSES[label]}" for clip, label in zip(clips, labels, strict=True)]
    (HERE / "labels.csv").write_text("\n".join(["clip_id,class_id", *lines]) + "\n")
    for name, help_of_label in (("rgb", 1.5), ("flow", 1.0)):
        logits = rng.normal(size=(NUM_CLIPS, len(CLASSES)))
        logits[np.arange(NUM_CLIPS), labels] += help_of_label
        scores = softmax(logits)
        # Sixteenths are exact, in sums too: most clips have equal scores.
        for ending, values in (("", np.round(scores, 6)), ("_ties", np.round(scores * 16) / 16)):
            rows = [
                f"{clips[n]},{CLASSES[c]},{float(values[n, c])!r}"
                for n in rng.permutation(NUM_CLIPS) for c in rng.permutation(len(CLASSES))
            ]  # fmt: skip
            (HERE / f"{name}{ending}.csv").write_text("\n".join(["clip_id,class_id,score", *rows]) + "\n")
    truth = read_labels(HERE / "labels.csv")
    expected = {
        f"{how}{ending}": measures(
            [read_scores(HERE / f"rgb{ending}.csv"), read_scores(HERE / f"flow{ending}.csv")], weights, truth
        )
        for ending in ("", "_ties") for how, weights in WEIGHTS.items()
    }  # fmt: skip
    (HERE / "expected.json").write_text(json.dumps(expected, sort_keys=True).replace("}, ", "},\n") + "\n")


if __name__ == "__main__":
    main()
