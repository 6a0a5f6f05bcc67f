"""How fast near-copies are found among the features of a whole data set: inside classes, and among all clips, exactly.

The vectors are made here, since nobody hands out 650,000 features with known copies: 700 classes, 1024 dimensions,
memory-mapped, 15 % of the clips copies of others at cosines from 0.955 to 0.999 (so that a third lies just below the
threshold of 0.97), half of them in other classes. Two geometries. *Steep*: as features of real clips are, few
directions hold most of what differs (variances fall as 1 / rank), the median cosine inside a class is 0.73, classes
come in families, all clips share a mean. *Flat*, with fewer clips: what differs is spread evenly over all 1024
directions and any two clips have a cosine of 0.65 or more, so a projection on few directions says next to nothing; no
feature is known to be like that.

Limits and peers, all with one thread: the products that nobody can spare at the speed of a plain product in the same
run (half of each class's matrix; for all clips one half of the whole), FAISS flat and IVF with their recall. What takes
hours (the brute product, FAISS flat) is measured on a part and scaled with the number of pairs; the result says so.
Processor seconds are compared, since the wall clock of a shared machine says little.

Run: python -m benchmarks.dedup [--num 650000] [--folder FOLDER] [--parts steep,flat,peers,shards]
(`classes` in place of `steep` measures inside classes alone)
"""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib.metadata
import itertools
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gesta.curate.near_global import near_in_tiles, projected
from gesta.curate.near_kernels import exact_cosines
from gesta.curate.near_lanes import has_instruction
from gesta.curate.near_shards import pairs_in_shards
from gesta.curate.nearest import BLOCK, Pairs, components, least_cosines, linked, pairs_within
from gesta.tables import write_json

RESULTS = Path(__file__).parent / "results"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
NUM, NUM_DIMS, CLASS_SIZE, MIN_COSINE = 650_000, 1024, 929, 0.97
NUM_FLAT, CLASSES_A_TURN = 100_000, 50
NUM_BRUTE, NUM_FLAT_INDEX, NUM_IVF, NUM_SHARDED = 20_000, 10_000, 80_000, 40_000
LARGE = 10_000_000
SHARES = {"steep": (0.45, 0.08, 0.20, 0.27), "flat": (0.65, 0.0, 0.08, 0.27)}
"""Of a vector's squared length: the mean of all, the family's, the class's, the clip's own."""


def make_vectors(path: Path, *, num: int, kind: str, seed: int = 0) -> dict[str, np.ndarray]:
    """The vectors as a .npy file, their classes and the planted copies: source, copy."""
    rng = np.random.default_rng(seed)
    num_classes = max(2, num // CLASS_SIZE)
    of_all, of_family, of_class, own = SHARES[kind]
    families = _unit(rng.standard_normal((max(1, num_classes // 18), NUM_DIMS)))[
        rng.integers(0, max(1, num_classes // 18), num_classes)
    ]
    centres = (
        np.sqrt(of_all) * _unit(rng.standard_normal((1, NUM_DIMS)))
        + np.sqrt(of_family) * families
        + np.sqrt(of_class) * _unit(rng.standard_normal((num_classes, NUM_DIMS)))
    ).astype(np.float32)
    variance = 1 / np.arange(1, NUM_DIMS + 1) if kind == "steep" else np.ones(NUM_DIMS)
    spread = np.sqrt(variance / variance.sum()).astype(np.float32)
    classes = np.sort(rng.integers(0, num_classes, num))
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (num, NUM_DIMS))
    for start in range(0, num, 8192):
        part = classes[start : start + 8192]
        noise = rng.standard_normal((len(part), NUM_DIMS), dtype=np.float32) * spread
        vectors[start : start + 8192] = _unit(centres[part] + np.float32(np.sqrt(own)) * noise)
    sources, copies = _plants(rng, classes)
    cosine = rng.uniform(0.955, 0.999, len(sources)).astype(np.float32)
    for start in range(0, len(sources), 8192):
        some = slice(start, start + 8192)
        source, near = vectors[sources[some]], cosine[some, None]
        away = rng.standard_normal(source.shape, dtype=np.float32) * spread
        away = _unit(away - (away * source).sum(axis=1, keepdims=True) * source)
        vectors[copies[some]] = near * source + np.sqrt(1 - near * near) * away
    vectors.flush()
    return {"classes": classes, "sources": sources, "copies": copies}


def _plants(rng: np.random.Generator, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sources and copies, each clip once: half of them neighbours in one class, half anywhere."""
    num = int(0.15 * len(classes)) // 2
    chosen = rng.permutation(len(classes) // 2)[: 2 * num] * 2
    inside, across = chosen[:num], chosen[num:]
    # Half of the classes' clips come in twos beside each other; the next one is of the same class nearly always.
    return np.concatenate([inside, across]), np.concatenate([inside + 1, rng.permutation(across) + 1])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@contextmanager
def measured(row: dict[str, Any]) -> Iterator[None]:
    """Processor and wall seconds of the block, and the most memory of its own (without mapped files) at any time."""
    highest, done = [_own_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            highest.append(_own_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    before, cpu, wall = highest[0], _cpu_s(), time.perf_counter()
    try:
        yield
    finally:
        row["cpu_s"], row["wall_s"] = _cpu_s() - cpu, time.perf_counter() - wall
        done.set()
        watcher.join()
        row["peak_mb"], row["peak_mb_over_start"] = max(highest), max(highest) - before


def _own_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu_s() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def product_rate() -> float:
    """Multiplications and additions a processor second of plain products of 2048 x 1024 x 2048, the best of nine."""
    rng = np.random.default_rng(1)
    one, other = (rng.standard_normal((BLOCK, NUM_DIMS), dtype=np.float32) for _ in range(2))
    out, best = np.empty((BLOCK, BLOCK), np.float32), np.inf
    for _ in range(10):
        started = time.process_time()
        np.matmul(one, other.T, out=out)
        best = min(best, time.process_time() - started)
    return 2 * BLOCK * BLOCK * NUM_DIMS / best


def measure_classes(vectors: np.ndarray, made: dict[str, np.ndarray]) -> dict[str, Any]:
    """Pairs and components inside classes, beside the products alone; the three take turns, as others load the machine.

    The floor is what each class's half matrix takes at the speed of plain products of 2048 x 1024 x 2048.
    """
    sizes = np.bincount(made["classes"])
    edges = np.concatenate([[0], np.cumsum(sizes)])
    rng = np.random.default_rng(1)
    one, other = (rng.standard_normal((BLOCK, NUM_DIMS), dtype=np.float32) for _ in range(2))
    space, out = np.empty(int(sizes.max()) ** 2, np.float32), np.empty((BLOCK, BLOCK), np.float32)
    spent: dict[str, list[dict[str, Any]]] = {"gesta": [], "plain": [], "products alone": []}
    parts = []
    for turn in range(0, len(sizes), CLASSES_A_TURN):
        stop = min(turn + CLASSES_A_TURN, len(sizes))
        first, last = int(edges[turn]), int(edges[stop])
        with _turn(spent["plain"]):
            for _ in range(3):
                np.matmul(one, other.T, out=out)
        with _turn(spent["products alone"]):
            for low, high in itertools.pairwise(edges[turn : stop + 1]):
                part = vectors[low:high]
                np.matmul(part, part.T, out=space[: len(part) ** 2].reshape(len(part), len(part)))
        with _turn(spent["gesta"]):
            found = pairs_within(vectors[first:last], min_cosine=MIN_COSINE, groups=made["classes"][first:last])
            parts.append((first + found.a_P, first + found.b_P, found.cosine_P))
    with _turn(spent["gesta"]):
        pairs = Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        label = components(len(vectors), pairs)
    cpu_s = {name: sum(row["cpu_s"] for row in rows) for name, rows in spent.items()}
    # Every vector with every later one of its class.
    flop = float((sizes * (sizes - 1.0) / 2).sum()) * 2 * NUM_DIMS
    plain_flop = 3 * 2 * BLOCK * BLOCK * NUM_DIMS
    rate = plain_flop * len(spent["plain"]) / cpu_s["plain"]
    best_rate = plain_flop / min(row["cpu_s"] for row in spent["plain"])
    with measured(least := {}):
        lowest = least_cosines(vectors, label)
    return {
        "num_classes": len(sizes),
        "flop": flop,
        "cpu_s": cpu_s["gesta"],
        "wall_s": sum(row["wall_s"] for row in spent["gesta"]),
        "peak_mb": max(row["peak_mb"] for row in spent["gesta"]),
        "peak_mb_over_start": max(row["peak_mb_over_start"] for row in spent["gesta"]),
        "gflop_per_cpu_s_of_plain_products": rate / 1e9,
        "floor_cpu_s": flop / rate,
        "over_floor": cpu_s["gesta"] / (flop / rate),
        "over_floor_at_the_best_turns_speed": cpu_s["gesta"] / (flop / best_rate),
        "products_alone_cpu_s": cpu_s["products alone"],
        "over_products_alone": cpu_s["gesta"] / cpu_s["products alone"],
        "num_pairs": len(pairs.a_P),
        "num_removed": len(label) - len(np.unique(label)),
        "components": {"num": len(lowest), "least_cosine": min(lowest.values()), "cpu_s": least["cpu_s"]},
    } | check_plants(vectors, made, pairs, inside=True)


@contextmanager
def _turn(rows: list[dict[str, Any]]) -> Iterator[None]:
    row: dict[str, Any] = {}
    with measured(row):
        yield
    rows.append(row)


def check_plants(vectors: np.ndarray, made: dict[str, np.ndarray], pairs: Pairs, *, inside: bool) -> dict[str, Any]:
    """Planted copies that are near and were found, and pairs that are not near by numpy's double precision."""
    low = np.minimum(made["sources"], made["copies"])
    high = np.maximum(made["sources"], made["copies"])
    if inside:
        same = made["classes"][low] == made["classes"][high]
        low, high = low[same], high[same]
    near = _cosines(vectors, low, high) >= MIN_COSINE
    wanted = low[near] * len(vectors) + high[near]
    found = pairs.a_P * len(vectors) + pairs.b_P
    return {
        "planted_near": len(wanted),
        "planted_found": int(np.isin(wanted, found).sum()),
        "false_pairs": int((_cosines(vectors, pairs.a_P, pairs.b_P) < MIN_COSINE - 1e-12).sum()),
        "pairs_not_planted": int((~np.isin(found, wanted)).sum()),
    }


def _cosines(vectors: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found = np.empty(len(one))
    for start in range(0, len(one), 4096):
        some = slice(start, start + 4096)
        a, b = (vectors[side[some]].astype(np.float64) for side in (one, other))
        found[some] = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return found


def measure_all(vectors: np.ndarray, made: dict[str, np.ndarray]) -> dict[str, Any]:
    """Pairs among all clips, with the three looks told apart, beside the brute product at this run's speed."""
    num = len(vectors)
    rates = [product_rate()]
    row: dict[str, Any] = {"num": num}
    looks: dict[str, Any] = {"projection": {}, "scan": {}, "verification": {}}
    with measured(row):
        with measured(looks["projection"]):
            known = projected(vectors, np.arange(num), min_cosine=MIN_COSINE)
        if known is None:
            raise SystemExit("the search chose plain products; nothing to measure")
        with measured(looks["scan"]):
            found = list(near_in_tiles(known))
        plain = np.asarray(vectors)
        with measured(looks["verification"]):
            one, other = (np.concatenate(side) for side in zip(*found, strict=True))
            cosine = exact_cosines(plain, plain, one, other)
            near = cosine >= MIN_COSINE
            low, high = np.minimum(one, other)[near], np.maximum(one, other)[near]
            order = np.lexsort((high, low))
            pairs = Pairs(low[order], high[order], cosine[near][order])
        label = components(num, pairs)
    rates.append(product_rate())
    brute_s = num * (num - 1) / 2 * 2 * NUM_DIMS / max(rates)
    row |= {
        "panels_first": known.num_first,
        "panels": known.norm_MP.shape[1],
        "candidates": len(one),
        "num_pairs": len(pairs.a_P),
        "num_removed": num - len(np.unique(label)),
        "looks": looks,
        "scan_ns_a_pair": looks["scan"]["cpu_s"] / (num * (num - 1) / 2) * 1e9,
        "brute_at_ceiling_cpu_s": brute_s,
        "speedup_over_brute": brute_s / row["cpu_s"],
        "at_10_million": _at(LARGE, num, looks, brute_s),
    }
    return row | check_plants(vectors, made, pairs, inside=False)


def _at(large: int, num: int, looks: dict[str, Any], brute_s: float) -> dict[str, Any]:
    """What so many clips would take: computed, not measured."""
    ratio = large / num
    ours = looks["projection"]["cpu_s"] * ratio + (looks["scan"]["cpu_s"] + looks["verification"]["cpu_s"]) * ratio**2
    return {"cpu_h": ours / 3600, "brute_cpu_h": brute_s * ratio**2 / 3600}


def measure_brute(vectors: np.ndarray) -> dict[str, Any]:
    """The whole upper triangle in blocks on a part, thresholded: time, and whether ours finds the same pairs."""
    part = np.asarray(vectors[:NUM_BRUTE])
    row: dict[str, Any] = {"num": len(part)}
    products: dict[str, Any] = {}
    space = np.empty(BLOCK * BLOCK, np.float32)
    with measured(products):
        for top in range(0, len(part), BLOCK):
            for left in range(top, len(part), BLOCK):
                one, other = part[top : top + BLOCK], part[left : left + BLOCK]
                np.matmul(one, other.T, out=space[: len(one) * len(other)].reshape(len(one), len(other)))
    keys = []
    with measured(row):
        for top in range(0, len(part), BLOCK):
            for left in range(top, len(part), BLOCK):
                i, j = np.nonzero(part[top : top + BLOCK] @ part[left : left + BLOCK].T >= MIN_COSINE - 1e-4)
                later = top + i < left + j
                keys.append(np.stack([top + i[later], left + j[later]]))
    both = np.concatenate(keys, axis=1)
    both = both[:, _cosines(part, both[0], both[1]) >= MIN_COSINE]
    both = both[:, np.lexsort((both[1], both[0]))]
    with measured(ours := {}):
        pairs = pairs_within(part, min_cosine=MIN_COSINE)
        label = linked(part, min_cosine=MIN_COSINE)
    row["products_alone_cpu_s"] = products["cpu_s"]
    row["pairs_and_components_by_gesta_cpu_s"] = ours["cpu_s"]
    row["num_pairs"] = both.shape[1]
    row["same_pairs"] = bool(np.array_equal(both, np.stack([pairs.a_P, pairs.b_P])))
    row["same_components"] = bool(np.array_equal(label, components(len(part), pairs)))
    return row


def measure_faiss(vectors: np.ndarray) -> dict[str, Any]:
    """FAISS flat and IVF on parts, with one thread: processor seconds and recall of the exact pairs."""
    import faiss

    faiss.omp_set_num_threads(1)
    rows: dict[str, Any] = {}
    part = np.ascontiguousarray(vectors[:NUM_FLAT_INDEX])
    rows["flat"] = {"num": len(part)}
    with measured(rows["flat"]):
        index = faiss.IndexFlatIP(NUM_DIMS)
        index.add(part)
        ranges = index.range_search(part, MIN_COSINE)
    rows["flat"] |= _recall(part, ranges)
    part = np.ascontiguousarray(vectors[:NUM_IVF])
    num_lists = int(4 * np.sqrt(len(part)))
    with measured(building := {}):
        coarse = faiss.IndexFlatIP(NUM_DIMS)
        inverted = faiss.IndexIVFFlat(coarse, NUM_DIMS, num_lists, faiss.METRIC_INNER_PRODUCT)
        inverted.train(part[:: max(1, len(part) // (39 * num_lists))])
        inverted.add(part)
    exact = pairs_within(part, min_cosine=MIN_COSINE)
    for probes in (1, 4):
        inverted.nprobe = probes
        row: dict[str, Any] = {"num": len(part), "num_lists": num_lists, "building_cpu_s": building["cpu_s"]}
        with measured(row):
            ranges = inverted.range_search(part, MIN_COSINE)
        rows[f"ivf, {probes} of {num_lists} lists"] = row | _recall(part, ranges, exact)
    with measured(rows.setdefault("gesta, the same vectors as ivf", {"num": len(part), "recall": 1.0})):
        pairs_within(part, min_cosine=MIN_COSINE)
    return rows


def _recall(part: np.ndarray, ranges: tuple[np.ndarray, ...], exact: Pairs | None = None) -> dict[str, Any]:
    limits, _, others = ranges
    one = np.repeat(np.arange(len(part)), np.diff(limits.astype(np.int64)))
    found = np.unique(np.minimum(one, others) * len(part) + np.maximum(one, others))
    pairs = exact or pairs_within(part, min_cosine=MIN_COSINE)
    wanted = pairs.a_P * len(part) + pairs.b_P
    return {"num_pairs": len(wanted), "recall": float(np.isin(wanted, found).mean())}


def measure_shards(vectors: np.ndarray, folder: Path) -> dict[str, Any]:
    """The sharded path on a part: one process, two, and Ray on this machine, and whether all find the same."""
    path = folder / f"part-{os.getpid()}.npy"
    np.save(path, vectors[:NUM_SHARDED])
    whole = pairs_within(np.load(path, mmap_mode="r"), min_cosine=MIN_COSINE)
    rows: dict[str, Any] = {}
    ways: dict[str, dict[str, Any]] = {
        "one process": {"workers": 1}, "two processes": {"workers": 2}, "ray, local": {"cluster": "local"},
    }  # fmt: skip
    for name, way in ways.items():
        with tempfile.TemporaryDirectory(dir=folder) as home:
            started = time.perf_counter()
            found = pairs_in_shards(path, min_cosine=MIN_COSINE, folder=Path(home), num_shards=16, **way)
            rows[name] = {
                "num": NUM_SHARDED,
                "wall_s": time.perf_counter() - started,
                "same_pairs": all(
                    np.array_equal(getattr(found, key), getattr(whole, key)) for key in ("a_P", "b_P", "cosine_P")
                ),
            }
    path.unlink()
    return rows


def _warm_up(folder: Path) -> None:
    """Compile every loop once, as it is used, over a mapped file; nobody counts that."""
    rng = np.random.default_rng(2)
    path = folder / f"few-{os.getpid()}.npy"
    np.save(path, rng.standard_normal((9000, NUM_DIMS), dtype=np.float32))
    few = np.load(path, mmap_mode="r")
    path.unlink()
    for vectors in (few, np.array(few[:5000])):
        pairs_within(vectors, min_cosine=MIN_COSINE)
        pairs_within(vectors, min_cosine=MIN_COSINE, groups=np.arange(len(vectors)) // 900)
        linked(vectors, min_cosine=MIN_COSINE)


def main() -> None:
    """Measure the parts, print what was found, write the JSON after each part."""
    if any(os.environ.get(name) != value for name, value in THREADS.items()):
        # BLAS reads these when it is loaded, so they must stand before this process begins.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.dedup", *sys.argv[1:]], os.environ | THREADS)
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--num", type=int, default=NUM)
    words.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "gesta-dedup")
    words.add_argument("--parts", default="steep,flat,peers,shards")
    wanted = words.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    out = RESULTS / f"dedup_{os.cpu_count()}core-cpu_{date}.json"
    if wanted.num != NUM:
        out = wanted.folder / out.name
    result: dict[str, Any] = json.loads(out.read_bytes()) if out.is_file() else {}
    result |= {
        "what": "near pairs (cosine 0.97) of features, one thread; see the head of the program for the vectors",
        "program": "python -m benchmarks.dedup",
        "hardware": f"{os.cpu_count()}core-cpu",
        "date": date,
        "num": wanted.num,
        "num_dims": NUM_DIMS,
        "bytes_in_one_instruction": has_instruction(),
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "numpy", "numba", "faiss-cpu")},
    }
    write_json(out, result)
    _warm_up(wanted.folder)
    made = {kind: wanted.folder / f"{kind}-{wanted.num}.npy" for kind in SHARES}
    steps: dict[str, Callable[[], None]] = {
        "steep": lambda: _geometry("steep", made["steep"], wanted.num, result, out, looks=("classes", "all")),
        "classes": lambda: _geometry("steep", made["steep"], wanted.num, result, out, looks=("classes",)),
        "peers": lambda: _add(result, out, peers=lambda: _peers(made["steep"], wanted.num)),
        "shards": lambda: _add(
            result, out, shards=lambda: measure_shards(_vectors("steep", made["steep"], wanted.num)[0], wanted.folder)
        ),
        "flat": lambda: _geometry(
            "flat", made["flat"], min(NUM_FLAT, wanted.num), result, out, looks=("classes", "all")
        ),
    }
    for part in wanted.parts.split(","):
        steps[part]()
    print(json.dumps(result, indent=1))


def _geometry(kind: str, path: Path, num: int, result: dict[str, Any], out: Path, *, looks: Iterable[str]) -> None:
    vectors, made = _vectors(kind, path, num)
    for start in range(0, num, 1 << 16):
        vectors[start : start + (1 << 16)].sum()  # into the page cache, for all alike
    measures = {"classes": measure_classes, "all": measure_all}
    for look in looks:
        measure = functools.partial(measures[look], vectors, made)
        _add(result, out, **{f"{kind}_{look}": measure})
    if {"steep_classes", "steep_all"} <= result.keys():
        classes, every = result["steep_classes"], result["steep_all"]
        result |= {
            "classwise_over_floor": classes["over_floor"],
            "classwise_cpu_s": classes["cpu_s"],
            "global_speedup_over_brute": every["speedup_over_brute"],
            "global_cpu_s": every["cpu_s"],
            "planted_found": every["planted_found"] / every["planted_near"],
            "false_pairs": every["false_pairs"] + classes["false_pairs"],
            "peak_mb": max(every["peak_mb"], classes["peak_mb"]),
            "wall_s": every["wall_s"],
        }
        write_json(out, result)


def _vectors(kind: str, path: Path, num: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    facts = path.with_suffix(".npz")
    if not facts.is_file():
        np.savez(facts, **make_vectors(path, num=num, kind=kind))
    return np.load(path, mmap_mode="r"), dict(np.load(facts))


def _peers(path: Path, num: int) -> dict[str, Any]:
    vectors, _ = _vectors("steep", path, num)
    return {"brute on a part": measure_brute(vectors), **measure_faiss(vectors)}


def _add(result: dict[str, Any], out: Path, **parts: Callable[[], Any]) -> None:
    for name, measure in parts.items():
        load = os.getloadavg()[0]
        found = measure()
        # Parts may run in processes of their own.
        result |= json.loads(out.read_bytes())
        result[name] = found
        result["load"] = result.get("load", {}) | {name: load}
        print(name, json.dumps(found), flush=True)
        write_json(out, result)


if __name__ == "__main__":
    main()
