"""Weights, clips and boxes that every program can make alike, and what is stored of what it gives.

The uniform numbers are those of `tests/golden/i3d/pseudo_weights.py` (-1 <= u < 1 by name and place); names here are
the publication's own, in full. Then, by the end of the name and the number of sizes,

    running_var                          1 + u / 2
    running_mean, any bias               u / 10
    the scale of a norm                  1 + u / 2, 0.3 of that behind a residual branch (GENTLE), so that 33 blocks
                                         do not blow up
    a linear layer's weight              u * sqrt(3 / inputs) / 32, so that few scores are all but 0 or 1
    a non-local block's theta and phi    u * sqrt(6 / inputs) / 32, so that its softmax is not one place alone; / 128
                                         in PySlowFast, whose dot product would blow up
    any other convolution's weight       u * sqrt(6 / inputs)
    num_batches_tracked                  0

Needs NumPy alone.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "i3d"))

from pseudo_weights import digest_of, pseudo_clip, short, uniform, write_cases

sys.path.pop(0)

__all__ = ["BOXES", "digest_of", "names_digest", "pseudo_clip", "pseudo_value", "short", "uniform", "write_cases"]

GENTLE = re.compile(r"(conv3\.bn|c_bn|conv_out\.bn|nonlocal\d+\.bn)\.weight\Z")

BOXES = (
    (0, 0.1, 0.2, 0.6, 0.9),
    (0, 0.0, 0.0, 1.0, 1.0),
    (0, 0.45, 0.05, 0.5, 0.2),
    (0, 0.7, 0.55, 0.98, 0.97),
)
"""Number of the clip, then x1 y1 x2 y2 as fractions; a second clip gets the same boxes in the other order."""


def boxes_for(num_clips: int) -> np.ndarray:
    """float32 [N, 5] for a batch."""
    rows = [(clip, *box[1:]) for clip in range(num_clips) for box in (BOXES if clip % 2 == 0 else BOXES[::-1])]
    return np.array(rows, dtype=np.float32)


def pseudo_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 [...] (int64 for counts) of a parameter or buffer by its published name."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    u = uniform(name, shape)
    if name.endswith("running_var"):
        value = 1.0 + u / 2.0
    elif name.endswith(("running_mean", "bias")):
        value = u / 10.0
    elif len(shape) == 1:
        value = (1.0 + u / 2.0) * (0.3 if GENTLE.search(name) else 1.0)
    elif len(shape) == 2:
        value = u * np.sqrt(3.0 / shape[1]) / 32.0
    else:
        value = u * np.sqrt(6.0 / np.prod(shape[1:], dtype=np.int64))
        if "theta" in name or "phi" in name:
            value = value / (128.0 if "conv_theta" in name or "conv_phi" in name else 32.0)
    return value.astype(np.float32)


def names_digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """SHA-256 over all names and shapes, a line each, sorted."""
    lines = sorted(f"{name} {'x'.join(map(str, shape))}\n" for name, shape in shapes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
