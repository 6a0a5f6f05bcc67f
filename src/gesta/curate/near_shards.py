"""Near pairs found by several processes or machines: each takes a part of the comparisons, finished parts are kept.

The parts are equal shares of the work: runs of classes, or of tiles (each compared with those before it), or of blocks.
What all of them need is written to the folder once and memory-mapped by each.

Legend: N = vectors, D = their length, G = groups, T = tiles, P = pairs.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.near_blocks import near_in_blocks
from gesta.curate.near_global import Projected, near_in_tiles, projected
from gesta.curate.nearest import BLOCK, Pairs, check_search, collected, pairs_within, rows_by_group, unsure
from gesta.schema import BadInput
from gesta.shards import map_shards
from gesta.tables import Json, empty_frame, made_by, sha256_of_file, whole_file, write_json

Ints = npt.NDArray[np.int64]

NUM_SHARDS = 64
"""Parts of the work: enough for several machines to end together, and each long against what it costs to begin one."""
_ARRAYS = ("number_M", "words_MW", "norm_MP", "slack_TP", "low_TC", "high_TC")
_NUMBERS = ("step", "reach", "num_first")


def pairs_in_shards(
    vectors: Path,
    *,
    min_cosine: float,
    folder: Path,
    groups: Ints | None = None,
    num_shards: int = NUM_SHARDS,
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Pairs:
    """What `pairs_within` gives, made in parts by processes or on a Ray cluster; a run that was stopped goes on.

    Args:
        vectors: a .npy file of float32 [N, D], where all machines see it.
        min_cosine: least cosine of a pair, above 0 and at most 1.
        folder: where the parts lie, where all machines see it; the caller deletes it when the pairs are used.
        groups: int64 [N], the class of each vector: only pairs of one group are compared. None = all with all.
        num_shards: parts of the work at most.
        workers: processes; None = as many as there are cores.
        cluster: address of a Ray cluster, or "local"; None = processes.
        on_rows: called with 1 for each part that is done.
    Raises:
        BadInput: there is no such file, or it, the threshold or the groups do not fit as `pairs_within` wants them.
        GestaError: a worker process died; finished parts are kept.
        MissingExtra: `cluster` is given and Ray is not installed.
    """
    vectors_ND = mapped(vectors)
    check_search(vectors_ND, groups, limits=(min_cosine,))
    inputs = {"vectors": sha256_of_file(vectors)}
    if groups is not None:
        _write_array(folder / "near-groups.npy", groups.astype(np.int64))
        inputs["groups"] = sha256_of_file(folder / "near-groups.npy")
    arguments: dict[str, Json] = {"part": "near-pairs", "min_cosine": min_cosine, "num_shards": num_shards}
    provenance = made_by("curate", arguments=arguments, inputs=inputs, tools=("numpy", "numba"))
    # Made once: the order of tiles hangs on the last digits of products, so parts of two orders would not fit together.
    shown = folder / "near-shown" / provenance.fingerprint[:16]
    if not (shown / "parts.json").is_file():
        write_json(shown / "parts.json", _show(vectors_ND, groups, shown, min_cosine=min_cosine, num_shards=num_shards))
    parts = json.loads((shown / "parts.json").read_bytes())
    bounds = pl.DataFrame(parts["bounds"], schema={"first": pl.Int64, "last": pl.Int64}, orient="row")
    find = functools.partial(
        _pairs_of_part, kind=parts["kind"], vectors=vectors.resolve(), shown=shown.resolve(), min_cosine=min_cosine
    )
    found = map_shards(
        find, bounds, outputs=["near_pairs"], folder=folder / "near-parts", made_by=provenance, rows_per_shard=1,
        workers=workers, cluster=cluster, on_rows=on_rows,
    )["near_pairs"].sort("number_a", "number_b")  # fmt: skip
    return Pairs(*(found[name].to_numpy() for name in ("number_a", "number_b", "cosine")))


def _show(
    vectors_ND: npt.NDArray[np.float32], groups: Ints | None, shown: Path, *, min_cosine: float, num_shards: int
) -> dict[str, Any]:
    """What is compared in which parts, after writing what the parts need."""
    if groups is not None:
        _write_array(shown / "groups.npy", groups.astype(np.int64))
        sizes_G = np.array([len(rows) for rows in rows_by_group(groups)], dtype=np.float64)
        return {"kind": "classes", "bounds": _shares(sizes_G**2, num_shards)}
    known = projected(vectors_ND, np.arange(len(vectors_ND)), min_cosine=min_cosine)
    if known is None:
        num_blocks = -(-len(vectors_ND) // BLOCK)
        return {"kind": "blocks", "bounds": _shares(np.arange(num_blocks, 0, -1, dtype=np.float64), num_shards)}
    for name in _ARRAYS:
        _write_array(shown / f"{name}.npy", getattr(known, name))
    _write_array(shown / "numbers.npy", np.array([getattr(known, name) for name in _NUMBERS], dtype=np.float64))
    return {"kind": "tiles", "bounds": _shares(np.arange(1, known.num_tiles + 1, dtype=np.float64), num_shards)}


def mapped(vectors: Path) -> npt.NDArray[np.float32]:
    """The vectors of a .npy file, [N, D], memory-mapped.

    Raises:
        BadInput: there is no such file, or it is no .npy file.
    """
    try:
        return np.load(vectors, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"no file of vectors ({error})", where=vectors, mend="Want a .npy file of float32") from error


def _shares(work_T: npt.NDArray[np.float64], num_shards: int) -> list[tuple[int, int]]:
    """Runs with about equal work: the first of each, and one after its last.

    >>> _shares(np.array([4.0, 1, 1, 1, 1]), 2)
    [(0, 1), (1, 5)]
    """
    before_T = np.concatenate([[0.0], np.cumsum(work_T)])
    edges = np.searchsorted(before_T, np.linspace(0, before_T[-1], max(1, min(num_shards, len(work_T))) + 1))
    every = sorted({0, *edges.tolist(), len(work_T)})
    return list(itertools.pairwise(every))


def _pairs_of_part(
    part: pl.DataFrame, *, kind: str, vectors: Path, shown: Path, min_cosine: float
) -> dict[str, pl.DataFrame]:
    vectors_ND = mapped(vectors)
    frames = [empty_frame("near_pairs")]
    for first, last in part.iter_rows():
        if kind == "classes":
            pairs = _of_classes(vectors_ND, np.load(shown / "groups.npy"), first, last, min_cosine=min_cosine)
        elif kind == "tiles":
            found = near_in_tiles(_read_projected(shown), tiles=range(first, last))
            pairs = collected((unsure(vectors_ND, a_P, b_P), min_cosine) for a_P, b_P in found)
        else:
            rows, tops = np.arange(len(vectors_ND)), range(first, last)
            near = near_in_blocks(vectors_ND, rows, min_cosine=min_cosine, block=BLOCK, tops=tops)
            pairs = collected((candidates, min_cosine) for candidates in near)
        frames.append(pl.DataFrame({"number_a": pairs.a_P, "number_b": pairs.b_P, "cosine": pairs.cosine_P}))
    return {"near_pairs": pl.concat(frames)}


def _of_classes(
    vectors_ND: npt.NDArray[np.float32], groups: Ints, first: int, last: int, *, min_cosine: float
) -> Pairs:
    rows = np.sort(np.concatenate(rows_by_group(groups)[first:last]))
    inner = pairs_within(vectors_ND[rows], min_cosine=min_cosine, groups=groups[rows])
    return Pairs(rows[inner.a_P], rows[inner.b_P], inner.cosine_P)


def _write_array(path: Path, array: npt.NDArray) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array)


def _read_projected(folder: Path) -> Projected:
    arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in _ARRAYS}
    step, reach, num_first = np.load(folder / "numbers.npy")
    return Projected(**arrays, step=float(step), reach=float(reach), num_first=int(num_first))
