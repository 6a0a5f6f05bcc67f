"""Weights and clips that every program can make alike: each value a function of a name and of its place.

The uniform number of place i of a tensor named n is the upper 24 bits of splitmix64's output number i + 1, seeded with
the first eight bytes (little-endian) of SHA-256 of n, divided by 2**23, less 1: -1 <= u < 1, exact in float32. The
place is counted in C order over [out, in, time, height, width] for kernels, whatever the layout a program keeps. Names
are DeepMind's without the scope. Then

    .../w                  u * sqrt(6 / fan in)      He's uniform start: activations keep their size through ReLUs
    .../b, beta, mean      u / 10
    .../moving_variance    1 + u / 2
    .../gamma              1 + u / 2                 the common PyTorch port's scale, which DeepMind's norm lacks
    clip/...               u

all computed in float64 and rounded once to float32. NumPy alone, Python 3.7 and later.

Source: splitmix64: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators (2014), figure 17; the start:
He et al., Delving Deep into Rectifiers (2015), section 2.2.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float64 of that shape, -1 <= u < 1."""
    num = int(np.prod(shape, dtype=np.int64))
    seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    with np.errstate(over="ignore"):
        z = seed + np.arange(1, num + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0).reshape(shape)


def pseudo_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 [...] of a parameter by DeepMind's name, such as `Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/w`."""
    u = uniform(name, shape)
    kind = name.rpartition("/")[2]
    if kind == "w":
        value = u * np.sqrt(6.0 / np.prod(shape[1:], dtype=np.int64))
    elif kind in ("b", "beta", "moving_mean"):
        value = u / 10.0
    elif kind in ("moving_variance", "gamma"):
        value = 1.0 + u / 2.0
    else:
        raise ValueError("no rule for " + name)
    return value.astype(np.float32)


def pseudo_clip(shape: tuple[int, ...]) -> np.ndarray:
    """float32 [B, C, T, H, W] between -1 and 1; its name says its shape."""
    return uniform("clip/" + "x".join(map(str, shape)), shape).astype(np.float32)


def places(name: str, size: int, num: int = 64) -> np.ndarray:
    """int64 [num]: fixed places in a flat tensor of `size` values."""
    u = (uniform("places/" + name, (num,)) + 1.0) / 2.0
    return np.minimum((u * size).astype(np.int64), size - 1)


def digest_of(name: str, values: np.ndarray) -> dict:
    """What is stored of an end point [B, C, T, H, W] or [B, K]: shape, mean, deviation, largest, values at `places`."""
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
    wide = flat.astype(np.float64)
    return {
        "shape": [int(size) for size in values.shape],
        "mean": short(wide.mean()),
        "std": short(wide.std()),
        "largest": short(np.abs(wide).max()),
        "values": [short(value) for value in flat[places(name, flat.size)]],
    }


def short(value: float) -> float:
    """The value in nine digits, which tell any two float32 apart."""
    return float(f"{value:.9g}")


def write_cases(path: Path, versions: dict, cases: list) -> None:
    """Versions on the first line, then a line for each case."""
    with path.open("w") as stream:
        for line in (versions, *cases):
            stream.write(json.dumps(line) + "\n")
