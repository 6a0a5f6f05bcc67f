"""Whether two clips show the same footage: one geometry for both, and the same things moving at the same time.

A common background is not enough (one signer before one wall signs ten words), so after the frames are laid over each
other the parts that differ from the background must agree, instant by instant, along one shift in time.

Legend: N M = instants of the two clips, H W = height and width in px, P = compared px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gesta.curate.features import SHORT_SIDE_PX, LocalFeatures, local_features, num_samples
from gesta.schema import US_PER_S
from gesta.video import read_frames

Grays = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

RATE = Fraction(25, 2)
"""Instants a second at which clips are compared. Source: ours; 40 ms of error at most, a frame at 25 a second."""
MAX_INSTANTS = 150
"""Instants of a clip at most; longer clips are compared at a lower rate. Source: ours."""
COARSE_SIDE_PX = 36
"""Shorter side at which what moves is compared: small enough that blur, noise and a px of misfit wash out."""
MIN_INLIERS = 12
"""Local features that must agree on one geometry. Source: ours; three fix it, and chance gave up to 11."""
NUM_GEOMETRIES, NUM_REFITS, GOOD_AGREEMENT = 4, 3, 0.9
"""Geometries that are tried, how often the best is taken anew where it agrees, and the agreement that ends the search.
Source: ours."""
MIN_STRETCH = 0.1
"""Logarithm of the ratio of two shapes from which on one is pressed into the other. Source: ours."""
MIN_LIKENESS = 0.8
"""Least dot product of two features that match. Source: ours."""
MIN_OVERLAP_FRAC = 0.3
"""Share of the smaller frame that both must show."""
MIN_SHARED_S = 0.8
"""Least stretch of footage that counts as shared."""
STILL_RMS, STILL_LIKENESS = 0.05, 0.98
"""Clips whose px differ from one instant to another by less than this share of the picture's contrast are still: what
is left is compression noise, and the pictures' correlation decides. Source: ours."""
CALM_RMS, CALM_LIKENESS = 0.15, 0.99
"""The same for clips in which little moves and coarse compression adds as much again; there the pictures must be alike
by more, and what moves must still agree somewhat. Source: ours; one signer's different words reach 0.981 at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """A clip as it is compared: grays_NHW uint8 [N, H, W], times_N, and local features of a few instants."""

    grays_NHW: Grays
    times_us: npt.NDArray[np.int64]
    step_us: int
    sampled: tuple[int, ...]
    local: tuple[LocalFeatures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFootage:
    """How two clips agree; times on each one's player clock, half-open."""

    num_inliers: int
    agreement: float | None
    is_mirrored: bool
    start_us_a: int
    end_us_a: int
    start_us_b: int
    end_us_b: int


def step_us_for(duration_us: int) -> int:
    """The step between compared instants, where the longest clip has this duration.

    >>> step_us_for(10_000_000), step_us_for(60_000_000)
    (80000, 400000)
    """
    return max(round(US_PER_S / RATE), -(-duration_us // MAX_INSTANTS))


def read_footage(path: Path, *, start_us: int, end_us: int, step_us: int) -> Footage:
    """The clip as it is compared, an instant each `step_us`; clips are comparable when read with one step.

    Raises:
        BadVideo: the file cannot be decoded.
    """
    times_us = np.arange(start_us, end_us, step_us, dtype=np.int64)
    frames = read_frames(path, times_us, short_side_px=SHORT_SIDE_PX)
    grays = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    num = num_samples(end_us - start_us)
    sampled = tuple(sorted({(2 * k + 1) * len(times_us) // (2 * num) for k in range(num)}))
    return Footage(grays, times_us, step_us, sampled, tuple(local_features(grays[k]) for k in sampled))


def mirrored(footage: Footage) -> Footage:
    """The clip as a mirror shows it."""
    width = footage.grays_NHW.shape[2]
    return replace(
        footage,
        grays_NHW=np.ascontiguousarray(footage.grays_NHW[:, :, ::-1]),
        local=tuple(local.mirrored(width_px=width) for local in footage.local),
    )


def shared_footage(a: Footage, b: Footage, *, min_agreement: float) -> SharedFootage | None:
    """What the clips share, or None where they share nothing or no more than the place.

    Args:
        a: the one clip.
        b: the other; tried as it is and mirrored.
        min_agreement: least likeness of what moves, -1 to 1. Where little moves, noise drowns it: then the pictures
            themselves must be alike.
    Source: ours. Geometry: SIFT, mutual nearest neighbours, RANSAC (OpenCV). Likeness of what moves: with r and s the
    differences of both clips' px from the background, 2 sum(r s) / sum(r r + s s): 1 for copies, 0 for unrelated.
    """
    best: SharedFootage | None = None
    for is_mirrored, run in enumerate(_laid_runs(a, b)):
        if run is None:
            continue
        if not _is_copy(run, min_agreement=min_agreement):
            continue
        if best is None or run.num_inliers > best.num_inliers:
            best = SharedFootage(
                num_inliers=run.num_inliers,
                agreement=None if run.motion < STILL_RMS else run.agreement,
                is_mirrored=bool(is_mirrored),
                start_us_a=int(a.times_us[run.first_a]),
                end_us_a=int(a.times_us[run.first_a + run.length - 1]) + a.step_us,
                start_us_b=int(b.times_us[run.first_b]),
                end_us_b=int(b.times_us[run.first_b + run.length - 1]) + b.step_us,
            )
    return best


def stretched(footage: Footage, *, height_px: int, width_px: int) -> Footage:
    """The clip with its pictures pressed into another size."""
    grays_NHW = np.stack([cv2.resize(gray, (width_px, height_px)) for gray in footage.grays_NHW])
    return replace(footage, grays_NHW=grays_NHW, local=tuple(local_features(grays_NHW[k]) for k in footage.sampled))


def _is_copy(run: _Run, *, min_agreement: float) -> bool:
    if run.agreement >= min_agreement:
        return True
    if run.motion < STILL_RMS:
        return run.likeness >= STILL_LIKENESS
    return run.rms < CALM_RMS and run.likeness >= CALM_LIKENESS and run.agreement >= min_agreement - 0.25


def _laid_runs(a: Footage, b: Footage) -> tuple[_Run | None, _Run | None]:
    """The stretch that agrees best with `b` as it is, and mirrored; None where no geometry is found."""
    views = (b, mirrored(b))
    maps = [_geometries(a, view) for view in views]
    ratio = (a.grays_NHW.shape[2] / a.grays_NHW.shape[1]) / (b.grays_NHW.shape[2] / b.grays_NHW.shape[1])
    if not any(maps) and abs(math.log(ratio)) > MIN_STRETCH:
        # Compilers press pictures of all shapes into one; features do not bear that.
        height_px, width_px = a.grays_NHW.shape[1:]
        pressed = stretched(b, height_px=height_px, width_px=width_px)
        views = (pressed, mirrored(pressed))
        maps = [_geometries(a, view) for view in views]
    straight = _best_laid_run(a, views[0], maps[0])
    if straight is not None and straight.agreement > GOOD_AGREEMENT:
        return straight, None
    return straight, _best_laid_run(a, views[1], maps[1])


def _best_laid_run(a: Footage, b: Footage, maps: Sequence[tuple[Floats, int]]) -> _Run | None:
    """The stretch that agrees best over the geometries `maps`; None where there is none."""
    best: _Run | None = None
    for laid in maps:
        run = _run_under(a, b, *laid)
        if run is not None and (best is None or run.agreement > best.agreement):
            best = run
        if best is not None and best.agreement > GOOD_AGREEMENT:
            return best
    for _ in range(NUM_REFITS):
        if best is None or best.agreement > GOOD_AGREEMENT:
            break
        # Under a moving camera a geometry taken between two instants holds for those; take it where they agree.
        at_a, at_b = best.first_a + best.length // 2, best.first_b + best.length // 2
        refit = _fit(local_features(a.grays_NHW[at_a]), local_features(b.grays_NHW[at_b]))
        again = None if refit is None else _run_under(a, b, *refit)
        if again is None or again.agreement <= best.agreement:
            break
        best = again
    return best


def _geometries(a: Footage, b: Footage) -> list[tuple[Floats, int]]:
    """Affine maps, float32 [2, 3], of b's px to a's, and their inliers: the `NUM_GEOMETRIES` best supported ones."""
    found = [fit for of_a in a.local for of_b in b.local if (fit := _fit(of_a, of_b)) is not None]
    return sorted(found, key=lambda fit: -fit[1])[:NUM_GEOMETRIES]


def _fit(of_a: LocalFeatures, of_b: LocalFeatures) -> tuple[Floats, int] | None:
    if min(len(of_a.points_K2), len(of_b.points_K2)) < MIN_INLIERS:
        return None
    likeness = of_a.descriptors_K128 @ of_b.descriptors_K128.T
    nearest_b, nearest_a = likeness.argmax(axis=1), likeness.argmax(axis=0)
    rows = np.flatnonzero(nearest_a[nearest_b] == np.arange(len(nearest_b)))
    rows = rows[likeness[rows, nearest_b[rows]] >= MIN_LIKENESS]
    if len(rows) < MIN_INLIERS:
        return None
    to, of = of_a.points_K2[rows], of_b.points_K2[nearest_b[rows]]
    affine, is_inlier = cv2.estimateAffine2D(of, to, method=cv2.RANSAC, ransacReprojThreshold=2.5, maxIters=500)
    if affine is None or not _is_plausible(affine):
        return None
    # Features at one spot in several sizes agree with each other for free.
    places = {tuple(place) for place in np.round(to[is_inlier.ravel() > 0] / 3).astype(int).tolist()}
    return (affine.astype(np.float32), len(places)) if len(places) >= MIN_INLIERS else None


def _is_plausible(affine: npt.NDArray[np.float64]) -> bool:
    """Whether a map is one that uploaders make: no mirror, sizes within 2.5 times, little shear or turning."""
    x_axis, y_axis = affine[:, 0], affine[:, 1]
    size_x, size_y = np.linalg.norm(x_axis), np.linalg.norm(y_axis)
    if np.linalg.det(affine[:, :2]) <= 0 or not (0.4 < size_x < 2.5 and 0.4 < size_y < 2.5):
        return False
    is_upright = affine[0, 0] > 0.9 * size_x and affine[1, 1] > 0.9 * size_y
    return bool(is_upright and 0.6 < size_x / size_y < 1.67)


def _coarse(a: Footage, b: Footage, affine: Floats) -> tuple[Floats, Floats] | None:
    """Both clips over the px that both show, float32 [N, P] and [M, P], each frame at mean 0 and deviation 1."""
    height, width = a.grays_NHW.shape[1:]
    scale = COARSE_SIDE_PX / min(height, width)
    size = (round(width * scale), round(height * scale))
    shown = cv2.warpAffine(np.full(b.grays_NHW.shape[1:], 255, np.uint8), affine, (width, height))
    mask = cv2.erode(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.ones((3, 3), np.uint8)) >= 255
    frac_a = np.count_nonzero(shown) / shown.size
    frac_b = np.count_nonzero(shown) / (b.grays_NHW[0].size * abs(np.linalg.det(affine[:, :2])))
    if max(frac_a, frac_b) < MIN_OVERLAP_FRAC or mask.sum() < COARSE_SIDE_PX**2 // 4:
        return None
    coarse_a = [cv2.resize(gray, size, interpolation=cv2.INTER_AREA)[mask] for gray in a.grays_NHW]
    coarse_b = []
    for gray in b.grays_NHW:
        laid = cv2.warpAffine(gray, affine, (width, height), borderMode=cv2.BORDER_REPLICATE)
        coarse_b.append(cv2.resize(laid, size, interpolation=cv2.INTER_AREA)[mask])
    return _standard(np.stack(coarse_a)), _standard(np.stack(coarse_b))


def _standard(frames_NP: Grays) -> Floats:
    values = frames_NP.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(values.std(axis=1, keepdims=True), 1.0)


def _run_under(a: Footage, b: Footage, affine: Floats, num_inliers: int) -> _Run | None:
    coarse = _coarse(a, b, affine)
    if coarse is None:
        return None
    length = max(2, round(MIN_SHARED_S * US_PER_S / a.step_us))
    backgrounds = [np.median(part, axis=0) for part in coarse]
    own = [np.square(part - still).mean(axis=1) for part, still in zip(coarse, backgrounds, strict=True)]
    runs = [_best_run(*coarse, background=still, own=own, length=length) for still in backgrounds]
    # Against the background of another scene everything agrees; the background that fits is the one that counts.
    least = min(run.rms for run in runs)
    run = max((run for run in runs if run.rms <= 1.5 * least), key=lambda run: run.agreement)
    return replace(run, num_inliers=num_inliers)


@dataclass(frozen=True, slots=True)
class _Run:
    """A stretch of both clips along one shift in time."""

    agreement: float
    likeness: float
    rms: float
    motion: float
    first_a: int
    first_b: int
    length: int
    num_inliers: int = 0


def _best_run(a_NP: Floats, b_MP: Floats, *, background: Floats, own: Sequence[Floats], length: int) -> _Run:
    """The stretch of at least `length` instants (or the shorter clip) along which what moves agrees best.

    `own` is how much each instant of a clip, [N] and [M], differs from that clip's own background.
    """
    moves_a, moves_b = a_NP - background, b_MP - background
    both = moves_a @ moves_b.T / a_NP.shape[1]
    energy_a, energy_b = (np.square(moves).mean(axis=1) for moves in (moves_a, moves_b))
    pictures = a_NP @ b_MP.T / a_NP.shape[1]
    length = min(length, len(a_NP), len(b_MP))
    own_a, own_b = own
    best = _Run(-1.0, -1.0, 0.0, 0.0, 0, 0, length)
    for shift in range(length - len(b_MP), len(a_NP) - length + 1):
        first_a, first_b = max(0, shift), max(0, -shift)
        num = min(len(a_NP) - first_a, len(b_MP) - first_b)
        shared = np.diagonal(both, -shift)[:num]
        energy = (energy_a[first_a : first_a + num] + energy_b[first_b : first_b + num]) / 2
        like = np.diagonal(pictures, -shift)[:num]
        sums = [np.convolve(values, np.ones(length), "valid") for values in (shared, energy, like)]
        at = int(np.argmax(sums[0] / np.maximum(sums[1], 1e-6)))
        value = float(sums[0][at] / max(sums[1][at], 1e-6))
        if value > best.agreement:
            agrees = shared >= 0.5 * energy
            low, high = _grown(agrees, at, at + length)
            own = max(own_a[first_a + low : first_a + high].mean(), own_b[first_b + low : first_b + high].mean())
            best = _Run(
                value, float(like[low:high].mean()), float(np.sqrt(energy[low:high].mean())), float(np.sqrt(own)),
                first_a + low, first_b + low, high - low,
            )  # fmt: skip
    return best


def _grown(agrees: npt.NDArray[np.bool_], low: int, high: int) -> tuple[int, int]:
    """The stretch `[low, high)` and the instants before and after it that agree too; single misses are let pass."""
    while low > 0 and agrees[max(0, low - 2) : low].any():
        low -= 1
    while high < len(agrees) and agrees[high : high + 2].any():
        high += 1
    return low, high
