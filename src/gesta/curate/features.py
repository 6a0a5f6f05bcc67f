"""What frames look like, as vectors whose cosine is high for frames of the same footage; without learned weights.

A frame's vector is a sketch of its local features (SIFT, each in its mirrored form too), so that it does not change
under mirroring, hardly under resizing and re-encoding, and only by what is lost under cropping; beside it stands a
colour histogram for frames with little texture.

Legend: F = sampled frames, H W = height and width in px, K = local features, D = `NUM_DIMS`.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import MissingExtra
from gesta.video import read_frames
from gesta.video.sampling import uniform_times

try:
    import cv2
except ModuleNotFoundError as error:
    raise MissingExtra(extra="video", module="cv2") from error

Floats = npt.NDArray[np.float32]

SHORT_SIDE_PX = 144
"""Frames are looked at in this size, so that copies in other sizes meet. Source: ours."""
NUM_LOCAL = 200
"""Local features of a frame at most. Source: ours; 400 found no more and took twice the time."""
NUM_TABLES, NUM_BITS, NUM_SKETCH = 6, 12, 960
"""Each local feature is hashed `NUM_TABLES` times to `NUM_BITS` signs of random projections; the words are folded into
`NUM_SKETCH` signed counters. Source: Charikar, Similarity estimation techniques (2002), for the signs; Weinberger et
al., Feature hashing (2009), for the counters; the numbers are ours."""
NUM_COLORS = 64
"""Four levels of each of red, green and blue."""
NUM_DIMS = NUM_SKETCH + NUM_COLORS


@dataclass(frozen=True, slots=True, eq=False)
class LocalFeatures:
    """SIFT features of one frame.

    Attributes:
        points_K2: float32 [K, 2], x and y in px of the frame they were found in.
        descriptors_K128: float32 [K, 128], square roots of SIFT's shares, so that a dot product compares them.
    """

    points_K2: Floats
    descriptors_K128: Floats

    def mirrored(self, *, width_px: int) -> LocalFeatures:
        """The features that the frame's mirror image has."""
        points_K2 = self.points_K2.copy()
        points_K2[:, 0] = width_px - 1 - points_K2[:, 0]
        return LocalFeatures(points_K2, self.descriptors_K128[:, _mirror_order()])


@functools.cache
def _mirror_order() -> npt.NDArray[np.int64]:
    # SIFT's layout: 4 rows x 4 columns x 8 directions, turned so that the main direction lies along x. A mirror image
    # swaps the rows and the sense of the directions.
    place = np.arange(128).reshape(4, 4, 8)
    return place[::-1, :, (-np.arange(8)) % 8].reshape(-1)


@functools.cache
def _sift() -> cv2.SIFT:
    return cv2.SIFT.create(nfeatures=NUM_LOCAL, contrastThreshold=0.02, edgeThreshold=12)


def local_features(gray_HW: npt.NDArray[np.uint8]) -> LocalFeatures:
    """The strongest local features of a gray frame, uint8 [H, W].

    Source: Lowe, Distinctive image features (2004), OpenCV's SIFT; square roots after Arandjelovic & Zisserman, Three
    things everyone should know (2012), section 2.
    """
    points, descriptors = _sift().detectAndCompute(gray_HW, None)
    if descriptors is None or not len(points):
        return LocalFeatures(np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9)
    places = np.array([point.pt for point in points], dtype=np.float32)
    return LocalFeatures(places, np.sqrt(shares).astype(np.float32))


@functools.cache
def _hashing() -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Projections [128, tables x bits], and each table's words' counters and signs [tables, 2 ** bits]."""
    rng = np.random.default_rng(20_170_519)
    directions = rng.standard_normal((128, NUM_TABLES * NUM_BITS)).astype(np.float32)
    # All descriptors share a positive mean; without it the signs would say little.
    directions -= directions.mean(axis=0)
    counters = rng.integers(0, NUM_SKETCH, (NUM_TABLES, 2**NUM_BITS))
    signs = rng.choice(np.array([-1, 1], dtype=np.float32), (NUM_TABLES, 2**NUM_BITS))
    return directions, counters, signs


def _sketch(descriptors_K128: Floats) -> Floats:
    directions, counters, signs = _hashing()
    bits = (descriptors_K128 @ directions > 0).reshape(len(descriptors_K128), NUM_TABLES, NUM_BITS)
    words = (bits << np.arange(NUM_BITS)).sum(axis=2)
    tables = np.arange(NUM_TABLES)
    # Twenty of one kind say hardly more than five: a word's count enters by its square root.
    counts = np.zeros((NUM_TABLES, 2**NUM_BITS), dtype=np.float32)
    np.add.at(counts, (np.broadcast_to(tables, words.shape), words), 1)
    return np.bincount(
        counters.reshape(-1), weights=(signs * np.sqrt(counts)).reshape(-1), minlength=NUM_SKETCH
    ).astype(np.float32)


def frame_vector(frame_HW3: npt.NDArray[np.uint8]) -> Floats:
    """The frame's vector, float32 [D]: sketch and colours, each of length 1; a mirror image's is nearly the same.

    Args:
        frame_HW3: uint8 [H, W, 3] RGB, shorter side `SHORT_SIDE_PX`.
    Source: ours; see the head of the module.
    """
    local = local_features(np.asarray(cv2.cvtColor(frame_HW3, cv2.COLOR_RGB2GRAY), np.uint8))
    both = np.concatenate([local.descriptors_K128, local.mirrored(width_px=frame_HW3.shape[1]).descriptors_K128])
    levels = (frame_HW3 >> 6).reshape(-1, 3).astype(np.int64)
    colors = np.sqrt(np.bincount(levels @ np.array([16, 4, 1]), minlength=NUM_COLORS)).astype(np.float32)
    return np.concatenate([_unit(_sketch(both)), _unit(colors)])


def _unit(vectors: Floats) -> Floats:
    """Each last-axis vector at length 1, or 0 where it is 0."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def text_of_vector(vector_D: Floats) -> str:
    """The vector as int8 in base64, the largest value of each part at 127."""
    parts = (vector_D[:NUM_SKETCH], vector_D[NUM_SKETCH:])
    scaled = [np.round(part * (127 / max(float(np.abs(part).max()), 1e-9))) for part in parts]
    return base64.b64encode(np.concatenate(scaled).astype(np.int8).tobytes()).decode()


def vectors_of_texts(texts: pl.Series) -> Floats:
    """The vectors of a column `vector`, float32 [F, D], each part of length 1 (or 0)."""
    raw_FD = np.frombuffer(b"".join(base64.b64decode(text) for text in texts), np.int8).reshape(-1, NUM_DIMS)
    parts = np.split(raw_FD.astype(np.float32), [NUM_SKETCH], axis=1)
    return np.concatenate([_unit(part) for part in parts], axis=1)


def centered(vectors_FD: Floats) -> Floats:
    """The vectors without what they share, each part of length 1 again and the whole of length 1, float32 [F, D].

    Most frames have sky on top and edges upright; what is common says nothing of who copied whom. With few frames
    their mean is no measure of the common (of two copies it is the copy), so it enters by F / (F + 64).
    Source: ours; `benchmarks/curate.py` shows how well the cosine then parts copies from others.
    """
    share = len(vectors_FD) / (len(vectors_FD) + 64)
    left_FD = vectors_FD - share * vectors_FD.mean(axis=0, keepdims=True) if len(vectors_FD) else vectors_FD
    parts = np.split(left_FD, [NUM_SKETCH], axis=1)
    return _unit(np.concatenate([_unit(part) for part in parts], axis=1))


def num_samples(duration_us: int) -> int:
    """How many frames of a clip are looked at: one each 1.25 s, at least 4 and at most 10.

    Source: ours; a copied stretch of 2.5 s is met at least twice.

    >>> num_samples(2_000_000), num_samples(10_000_000), num_samples(60_000_000)
    (4, 8, 10)
    """
    return int(min(10, max(4, round(duration_us / 1_250_000))))


def clip_vectors(path: Path, *, start_us: int, end_us: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """Instants spread over `[start_us, end_us)`, int64 [F], and the vectors of the frames shown then, float32 [F, D].

    Raises:
        BadVideo: the file cannot be decoded.
    """
    times_us = uniform_times(start_us, end_us, num_frames=num_samples(end_us - start_us))
    frames = read_frames(path, times_us, short_side_px=SHORT_SIDE_PX)
    return times_us, np.stack([frame_vector(frame) for frame in frames])
