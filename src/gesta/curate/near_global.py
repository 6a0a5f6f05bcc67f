"""Candidates for near pairs among very many vectors, from a projection that can only bring vectors closer.

Unit vectors x, y have a cosine of t or more where |x - y|^2 <= 2 - 2 t. Any projection on orthonormal directions V
gives |V'x - V'y| <= |x - y|, so a pair whose projections are further apart is not near: nothing is lost. The
projections are kept as bytes; how far bytes, single precision and V itself can err is added to the distance, so
nothing is lost by them either. Three looks, each at fewer pairs than the one before: boxes around tiles of vectors
that lie together; one panel of 64 dimensions for each pair of the other tiles; further panels for what is left.

Legend: N = vectors, D = their length, R = rows that are compared, M = those with a length, Q = dimensions of the
projection (64 a panel), P = panels, W = words, T = tiles, C = coordinates that boxes are drawn in, S = a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.curate.near_blocks import rounding_margin
from gesta.curate.near_kernels import norms_of
from gesta.curate.near_lanes import BYTES, LANES, PANEL, WORDS
from gesta.curate.near_scan import GROUPS, TILE, scan_tiles
from gesta.schema import BadInput

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

MIN_VECTORS = 4096
"""Fewer are compared whole: there is no time to win. Source: ours."""
MAX_DIMS, MAX_PANELS = 2048, 8
"""Longer vectors are compared whole, as their directions would take too long; and at most 512 bytes a vector."""
NUM_SAMPLE, NUM_PAIRED, NUM_BOXED = 8192, 32_768, 16
"""Vectors from which the directions are learnt, pairs of them by which the way is chosen, coordinates of the boxes."""
PANEL_NS, CASCADE_NS, VERIFY_NS, PRODUCT_NS = 0.22, 0.8, 500.0, 0.02
"""What a pair costs: a panel; a group of 16 in a further panel, by lane; one look in double precision; one dimension of
a plain product. Source: ours, rounded from the benchmark's processor; they choose the way, never what is found."""
_CHUNK, _HITS = 4096, TILE * TILE
_NEVER = -(1 << 29)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projected:
    """Vectors as bytes, in tiles of vectors that lie together.

    Attributes:
        number_M: int64 [M], which vector each is.
        words_MW: int32 [M, W], projections in steps of `step`, plus 128, as four unsigned bytes a word.
        norm_MP: int32 [M, P], squared lengths over the panels up to each, in squared steps.
        slack_TP: float64 [T, P], how far bytes and rounding can be off in each tile, as a distance.
        low_TC, high_TC: float32 [T, C], the box around each tile's projections.
        step: the width of one step.
        reach: distance up to which pairs are near.
        num_first: panels before the first look.
    """

    number_M: Ints
    words_MW: Rows
    norm_MP: Rows
    slack_TP: Doubles
    low_TC: Floats
    high_TC: Floats
    step: float
    reach: float
    num_first: int

    @property
    def num_tiles(self) -> int:
        """Tiles, the last of which may be part empty."""
        return len(self.slack_TP)


def projected(
    vectors_ND: Floats, rows_R: Ints, *, min_cosine: float, plan: tuple[int, int] | None = None
) -> Projected | None:
    """The vectors `rows_R` made ready for `near_in_tiles`; None where comparing them whole is likely to be faster.

    Args:
        vectors_ND: float32 [N, D]; may be memory-mapped; it is read once.
        rows_R: int64 [R], ascending.
        min_cosine: least cosine of a pair.
        plan: panels before the first look, and panels in all; None = as a sample of the vectors suggests. It changes
            the time that the search takes, never what it finds.
    Raises:
        BadInput: a vector is not finite.
    """
    num_dims = vectors_ND.shape[1]
    if plan is None and (len(rows_R) < MIN_VECTORS or not 2 <= num_dims <= MAX_DIMS):
        return None
    sample_SD = _finite_units(vectors_ND, rows_R[:: max(1, len(rows_R) // NUM_SAMPLE)])[0].astype(np.float64)
    if len(sample_SD) < 2:
        return None
    mean_D = sample_SD.mean(axis=0)
    # The plan is made on vectors that the directions were not learnt from: those look further apart than others do.
    directions_DQ = _directions(sample_SD[::2] - mean_D)
    held_out_SQ = (sample_SD[1::2] - mean_D) @ directions_DQ
    reach = float(np.sqrt(max(0.0, 2 - 2 * min_cosine)))
    chosen = plan or _plan(held_out_SQ, reach, num_dims)
    if chosen is None:
        return None
    num_first, num_panels = (min(part, directions_DQ.shape[1] // PANEL) for part in chosen)
    directions_DQ = _mixed(directions_DQ[:, : num_panels * PANEL])
    # What lies further out than the sample is cut to the last step, and the loss counted like any other.
    step = 1.25 * float(np.abs((sample_SD[1::2] - mean_D) @ directions_DQ).max(initial=1e-6)) / 127
    return _filled(vectors_ND, rows_R, mean_D, directions_DQ, step=step, reach=reach, num_first=num_first)


def _unit(vectors_MD: Floats) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """The vectors of length 1 that are not 0, float64, and which those are."""
    wide_MD = vectors_MD.astype(np.float64)
    norm_M = np.sqrt(np.einsum("md,md->m", wide_MD, wide_MD))
    some_M = norm_M > 0
    return wide_MD[some_M] / norm_M[some_M, None], some_M


def _directions(centred_SD: Doubles) -> Doubles:
    """Orthonormal directions of most variance first, float64 [D, Q], filled with zeros to whole panels."""
    _, directions_DD = np.linalg.eigh(centred_SD.T @ centred_SD)
    num = -(-min(len(directions_DD), MAX_PANELS * PANEL) // PANEL) * PANEL
    directions_DQ = np.zeros((len(directions_DD), num))
    kept_DQ = directions_DD[:, ::-1][:, :num]
    directions_DQ[:, : kept_DQ.shape[1]] = kept_DQ
    return directions_DQ


def _plan(sample_SQ: Doubles, reach: float, num_dims: int) -> tuple[int, int] | None:
    """Panels before the first look and panels in all, at the least expected cost; None = compare whole vectors."""
    if len(sample_SQ) < 2:
        return None
    # A fixed draw: classes may lie in any order in the sample, and pairs inside a class are few but the nearest.
    pair_2P = np.random.default_rng(0).integers(0, len(sample_SQ), (2, NUM_PAIRED))
    pair_2P = pair_2P[:, pair_2P[0] != pair_2P[1]]
    shares = []
    apart_P = np.zeros(pair_2P.shape[1])
    for start in range(0, sample_SQ.shape[1], PANEL):
        part_SQ = sample_SQ[:, start : start + PANEL].astype(np.float32)
        apart_P += np.square(part_SQ[pair_2P[0]] - part_SQ[pair_2P[1]]).sum(axis=1)
        shares.append(float((apart_P <= (1.1 * reach) ** 2).mean()))
    costs = {}
    for first in range(1, len(shares) + 1):
        for panels in range(first, len(shares) + 1):
            further = sum(CASCADE_NS * min(1.0, LANES * shares[p - 1]) for p in range(first, panels))
            costs[first, panels] = PANEL_NS * first + further + VERIFY_NS * shares[panels - 1]
    best = min(costs, key=lambda plan: costs[plan])
    return best if costs[best] < PRODUCT_NS * num_dims else None


def _mixed(directions_DQ: Doubles) -> Doubles:
    """The directions turned within each panel, so that its coordinates vary alike and bytes suit all of them."""
    turn = np.ones((1, 1))
    while len(turn) < PANEL:
        turn = np.block([[turn, turn], [turn, -turn]])
    turn /= np.sqrt(PANEL)
    panels = np.split(directions_DQ, directions_DQ.shape[1] // PANEL, axis=1)
    return np.concatenate([panel @ turn for panel in panels], axis=1)


def _filled(
    vectors_ND: Floats, rows_R: Ints, mean_D: Doubles, directions_DQ: Doubles, *, step: float, reach: float,
    num_first: int,
) -> Projected:  # fmt: skip
    num_dims, num_coordinates = directions_DQ.shape
    num_panels = num_coordinates // PANEL
    narrow_DQ, shift_Q = directions_DQ.astype(np.float32), (mean_D @ directions_DQ).astype(np.float32)
    bytes_RQ = np.empty((len(rows_R), num_coordinates), np.uint8)
    norm_RP = np.empty((len(rows_R), num_panels), np.int32)
    slack_RP = np.empty((len(rows_R), num_panels), np.float32)
    boxed_RC = np.empty((len(rows_R), NUM_BOXED), np.float32)
    number_R = np.empty(len(rows_R), np.int64)
    unmix_QC = np.linalg.pinv(_mixed(np.eye(PANEL)))[:, :NUM_BOXED]
    num = 0
    for start in range(0, len(rows_R), _CHUNK):
        rows = rows_R[start : start + _CHUNK]
        units_RD, some_R = _finite_units(vectors_ND, rows)
        place = slice(num, num + len(units_RD))
        projected_RQ = units_RD @ narrow_DQ - shift_Q
        steps_RQ = np.clip(np.rint(projected_RQ / np.float32(step)), -127, 127)
        lost_RP = _by_panel(projected_RQ.astype(np.float64) - step * steps_RQ.astype(np.float64), num_panels)
        bytes_RQ[place] = (steps_RQ + 128).astype(np.uint8)
        norm_RP[place] = np.rint(_by_panel(steps_RQ.astype(np.float64), num_panels))
        # The next float32 up, so that storing it takes nothing away.
        slack_RP[place] = np.nextafter(np.sqrt(lost_RP).astype(np.float32), np.float32(np.inf))
        boxed_RC[place] = projected_RQ[:, :PANEL] @ unmix_QC.astype(np.float32)
        number_R[place] = rows[some_R]
        num += len(units_RD)
    order = _order_of_tiles(boxed_RC[:num])
    edges = np.arange(0, num, TILE)
    # Single precision: each coordinate's sum, over Q of them; directions rounded; the mixing undone for the boxes.
    rounding = np.sqrt(num_coordinates) * (2 * rounding_margin(num_dims + PANEL) + 1e-6)
    return Projected(
        number_M=number_R[order],
        words_MW=bytes_RQ[order].view(np.int32),
        norm_MP=norm_RP[order],
        slack_TP=np.maximum.reduceat(slack_RP[order], edges, axis=0).astype(np.float64) + rounding,
        low_TC=np.minimum.reduceat(boxed_RC[order], edges, axis=0),
        high_TC=np.maximum.reduceat(boxed_RC[order], edges, axis=0),
        step=step,
        reach=reach,
        num_first=num_first,
    )


def _finite_units(vectors_ND: Floats, rows: Ints) -> tuple[Floats, npt.NDArray[np.bool_]]:
    taken_RD = vectors_ND[rows[0] : rows[-1] + 1] if rows[-1] - rows[0] + 1 == len(rows) else vectors_ND[rows]
    taken_RD = np.ascontiguousarray(taken_RD)
    norm_R = norms_of(taken_RD)
    if not np.isfinite(norm_R).all():
        raise BadInput(f"vector {rows[np.argmin(np.isfinite(norm_R))]} is not finite", mend="Make it anew")
    some_R = norm_R > 0
    if some_R.all() and norm_R.min() > 1e-9 and norm_R.max() < 1e9:
        return taken_RD / norm_R.astype(np.float32)[:, None], some_R
    return _unit(np.asarray(taken_RD))[0].astype(np.float32), some_R


def _by_panel(values_RQ: Doubles, num_panels: int) -> Doubles:
    """Squares summed over the panels up to each, float64 [R, P]."""
    squares = np.einsum("rpq,rpq->rp", *(values_RQ.reshape(len(values_RQ), num_panels, PANEL),) * 2)
    return np.cumsum(squares, axis=1)


def _order_of_tiles(boxed_MC: Floats) -> Ints:
    """An order in which each run of `TILE` vectors lies together: halved again and again across the widest side."""
    order = np.arange(len(boxed_MC), dtype=np.int64)
    todo = [(0, len(order))]
    while todo:
        low, high = todo.pop()
        if high - low <= TILE:
            order[low:high].sort()
            continue
        part = order[low:high]
        values_MC = boxed_MC[part]
        side = int(values_MC.var(axis=0).argmax())
        middle = TILE * (-(-(high - low) // TILE) // 2)
        order[low:high] = part[np.argpartition(values_MC[:, side], middle)]
        todo += [(low, low + middle), (low + middle, high)]
    return order


def near_in_tiles(
    known: Projected, *, tiles: range | None = None, joined: Callable[[], Ints] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Iterator[tuple[Ints, Ints]]:  # fmt: skip
    """Pairs that may be near, their numbers as int64 [P] each: all that are, and few more.

    Args:
        known: from `projected`.
        tiles: the tiles that are compared with all before them and themselves; None = all. A range of its own for each
            of several machines shares the work.
        joined: gives the component of each of the N vectors as far as known: tiles that lie in one component as a whole
            are not compared. None = compare them.
        on_rows: called with the number of vectors just done.
    """
    space = _Space(known.norm_MP.shape[1])
    hits_2H = np.empty((2, _HITS), np.int32)
    for tile in range(known.num_tiles) if tiles is None else tiles:
        others_T = _others(known, tile)
        space.fill(known, tile)
        row = 0
        while len(others_T):
            num, done, row = scan_tiles(
                tile, others_T, _widths(known, tile, others_T), known.words_MW, known.norm_MP, space.addresses,
                known.num_first, row, hits_2H,
            )  # fmt: skip
            if num:
                yield known.number_M[hits_2H[0, :num]], known.number_M[hits_2H[1, :num]]
            others_T = others_T[done:]
            if joined is not None and len(others_T):
                # So many pairs that the space for them was full: most of them may be settled by now.
                left_T = _unsettled(known, tile, others_T, joined())
                row = row if len(left_T) and left_T[0] == others_T[0] else 0
                others_T = left_T
        if on_rows is not None:
            on_rows(min(TILE, len(known.number_M) - tile * TILE))


def _widths(known: Projected, tile: int, others_T: Rows) -> Rows:
    """The highest squared distance in squared steps, int32 [T, P], of pairs of the tile and each other one."""
    far_TP = known.reach + known.slack_TP[others_T] + known.slack_TP[tile]
    return np.minimum(np.floor((far_TP / known.step) ** 2) + 1, 1 << 28).astype(np.int32)


def _others(known: Projected, tile: int) -> Rows:
    """The tiles up to this one whose boxes are near enough."""
    gap_TC = np.maximum(known.low_TC[: tile + 1] - known.high_TC[tile], known.low_TC[tile] - known.high_TC[: tile + 1])
    apart_T = np.sqrt((np.maximum(gap_TC, 0).astype(np.float64) ** 2).sum(axis=1))
    # The slack holds the rounding of projections; boxes are not of bytes, but what bytes lose does no harm here.
    return np.flatnonzero(apart_T <= known.reach + known.slack_TP[: tile + 1, 0] + known.slack_TP[tile, 0]).astype(
        np.int32
    )


def _unsettled(known: Projected, tile: int, others_T: Rows, component_N: Ints) -> Rows:
    """The tiles that are not in one component with this one, each as a whole."""
    component_M = component_N[known.number_M]
    edges = np.arange(0, len(component_M), TILE)
    low_T, high_T = np.minimum.reduceat(component_M, edges), np.maximum.reduceat(component_M, edges)
    if low_T[tile] != high_T[tile]:
        return others_T
    return others_T[(low_T[others_T] != low_T[tile]) | (high_T[others_T] != low_T[tile])]


class _Space:
    """One tile's panels and offsets, aligned as the processor wants them."""

    def __init__(self, num_panels: int) -> None:
        self.panels = _aligned((num_panels, GROUPS, WORDS, LANES, BYTES), np.int8)
        self.offset_PK = _aligned((num_panels, TILE), np.int32)
        self.zeros_K = _aligned((TILE,), np.int32)
        self.sums_2K = _aligned((2, TILE), np.int32)
        self.zeros_K[:] = 0
        self.addresses = tuple(
            int(array.ctypes.data) for array in (self.panels, self.offset_PK, self.zeros_K, self.sums_2K)
        )

    def fill(self, known: Projected, tile: int) -> None:
        """Take this tile's vectors; empty places of the last tile never reach a limit."""
        own = slice(tile * TILE, (tile + 1) * TILE)
        words_KW = known.words_MW[own]
        num_panels = len(self.panels)
        steps_KQ = np.zeros((TILE, num_panels * PANEL), np.int8)
        steps_KQ[: len(words_KW)] = (np.ascontiguousarray(words_KW).view(np.uint8) ^ 128).view(np.int8)
        shape = (GROUPS, LANES, num_panels, WORDS, BYTES)
        self.panels[:] = steps_KQ.reshape(shape).transpose(2, 0, 3, 1, 4)
        sums_KP = steps_KQ.reshape(TILE, num_panels, PANEL).sum(axis=2, dtype=np.int32).cumsum(axis=1)
        self.offset_PK[:] = _NEVER
        self.offset_PK[:, : len(words_KW)] = (-128 * sums_KP[: len(words_KW)] - (known.norm_MP[own] >> 1)).T


def _aligned(shape: tuple[int, ...], kind: type) -> npt.NDArray:
    raw = np.empty(int(np.prod(shape)) * np.dtype(kind).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + len(raw) - 64].view(kind).reshape(shape)
