"""How many inputs the readers were tried on, and how each reading ended: atheris, coverage-guided, a process a reader.

Each reader of `benchmarks.fuzz_readers` starts from valid files, its own writer's and with `--shared` small real ones,
and gets an equal share of the time. An input counts as well read where it ends in rows, or in a `GestaError` that names
the file (and the line, where lines mean something) and says how to mend it; everything else is a defect: another
exception, a warning, 10 s of processor time, 3 GB of memory, a crash.

Coverage is of gesta's Python bytecode. The kernels that numba compiles (`native_modules`) are native and give none:
their inputs are found by mutation alone; nor do polars, expat and zlib.

Run: python -m benchmarks.fuzz --minutes 10 [--reader NAME ...] [--shared] [--workers 2]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gesta.schema import GestaError, MissingExtra, UnknownName
from gesta.tables import write_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
SHARED = Path(os.environ.get("GESTA_SHARED", ROOT.parent / "shared")) / "data"
MAX_SEED_BYTES = 8000
"""Longest real file that fuzzing starts from; of longer files of lines, so much of their beginning."""

LEAST_S = 5
"""Seconds that a reader gets at least; starting its process takes about three more."""

REAL_FILES = {
    "annotations/ava/ava_val_v2.1_4videos.csv": ("ava", "ava-compiled", "lint-csv", "stats-csv", "format-of-csv"),
    "annotations/ava_kinetics/kinetics_val_v1.0_half.csv": ("ava-kinetics", "ava-compiled", "lint-csv"),
    "annotations/ava/ava_val_excluded_timestamps_v2.2.csv": ("excluded-timestamps", "lint-csv"),
    "annotations/ava/ava_included_timestamps_v2.2.txt": ("included-timestamps", "lint-txt"),
    "annotations/ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt": ("label-map", "lint-txt"),
    "annotations/ava/ava_action_list_v2.2.pbtxt": ("label-map",),
    "annotations/kinetics/kinetics-400_val.csv": ("kinetics", "lint-csv", "import-csv", "stats-csv", "clip-labels"),
    "annotations/kinetics/kinetics-700_test.csv": ("kinetics", "lint-csv"),
    "annotations/kinetics/label_map_k400.txt": ("label-map-names", "lint-txt"),
    "annotations/kinetics/k400_parents.json": ("stats-groups",),
    "annotations/ucf101/trainlist01.txt": ("ucf101-list", "lint-txt"),
    "golden/mmaction2_ava_dataset/ava_proposals_sample.pkl": ("proposals", "pickle", "lint-pickle"),
    "golden/mmaction2_eval_detection/proposal.pkl": ("proposals", "pickle"),
    "golden/mmaction2_eval_detection/pred.csv": ("detections", "ava-scores", "ava-scores-compiled", "evaluate-csv"),
}
"""Which readers start from which real files."""


def real_seeds(name: str) -> list[bytes]:
    """The beginnings of the real files that the reader starts from; of files of lines, whole lines."""
    found = []
    for file, readers in REAL_FILES.items():
        path = SHARED / file
        if name in readers and path.is_file():
            data = path.read_bytes()
            found.append(data if len(data) <= MAX_SEED_BYTES else data[:MAX_SEED_BYTES].rpartition(b"\n")[0])
    return found


def fuzz_reader(name: str, folder: Path, *, seconds: float, has_shared: bool, seed: int) -> dict[str, Any]:
    """What became of the inputs of one reader; a process that dies is a defect, and another takes its place."""
    started = time.monotonic()
    outcomes: dict[str, int] = {}
    defects: list[dict[str, str]] = []
    fuzzing_s, log = 0.0, ""
    (folder / "corpus").mkdir(parents=True)
    for number, data in enumerate(real_seeds(name) if has_shared else []):
        (folder / "corpus" / f"real{number}").write_bytes(data)
    while seconds - fuzzing_s >= 1 and len(defects) < 50:
        left_s = max(1, round(seconds - fuzzing_s))
        command = [sys.executable, "-m", "benchmarks.fuzz_worker", name, "--seconds", str(left_s)]
        command += ["--folder", str(folder), "--seed", str(seed + len(defects))]
        (folder / "tally.json").unlink(missing_ok=True)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        log = done.stderr
        tally = json.loads((folder / "tally.json").read_text()) if (folder / "tally.json").exists() else {}
        for kind, count in tally.get("outcomes", {}).items():
            outcomes[kind] = outcomes.get(kind, 0) + count
        defects += tally.get("defects", [])
        fuzzing_s += max(tally.get("fuzzing_s", 0.0), 1.0)
        if done.returncode == 0:
            break
        outcomes["defect"] = outcomes.get("defect", 0) + 1
        defects.append(died(folder, log))
        if not tally.get("outcomes"):
            break
    return {
        "reader": name,
        "inputs": sum(outcomes.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "defects": defects,
        "edges": last_number(r"cov: (\d+)", log),
        "features": last_number(r"ft: (\d+)", log),
        "corpus": last_number(r"corp: (\d+)", log),
        "peak_mb": last_number(r"peak_rss_mb: +(\d+)", log),
        "fuzzing_s": round(fuzzing_s, 1),
        "wall_s": round(time.monotonic() - started, 1),
    }


def died(folder: Path, log: str) -> dict[str, str]:
    """The defect that ended a process: the last words of libFuzzer, and the bytes where it kept them."""
    words = re.findall(
        r"^(?:==\d+== ?)?(?:ERROR: )?(libFuzzer: .*|Fatal Python error.*|\w*Error: .*)$", log, re.MULTILINE
    )
    kept = sorted(file for file in folder.iterdir() if file.name.startswith(("timeout-", "oom-", "crash-")))
    data = kept[-1].read_bytes() if kept else b""
    for file in kept:
        file.unlink()
    what = words[-1] if words else "\n".join(log.splitlines()[-3:])
    return {"what": f"the process died: {what}", "input_hex": data[:2000].hex()}


def last_number(pattern: str, log: str) -> int | None:
    """The last number that the pattern finds in what libFuzzer printed, None where there is none."""
    found = re.findall(pattern, log)
    return int(found[-1]) if found else None


def reader_names(wanted: list[str]) -> list[str]:
    """The readers asked for, all where none is.

    Raises:
        MissingExtra: atheris is not installed.
        UnknownName: there is no such reader.
    """
    if importlib.util.find_spec("atheris") is None:
        raise MissingExtra(extra="fuzz", module="atheris")
    from benchmarks.fuzz_readers import cases

    with tempfile.TemporaryDirectory() as folder:
        known = list(cases(Path(folder)))
    for name in wanted:
        if name not in known:
            raise UnknownName(what="reader", name=name, choices=known)
    return wanted or known


def campaign(names: list[str], *, minutes: float, has_shared: bool, workers: int, seed: int) -> list[dict[str, Any]]:
    """The results of the readers in their order; each has an equal share of the time."""
    seconds = max(LEAST_S, minutes * 60 * workers / len(names))
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = [
            pool.submit(fuzz_reader, name, Path(folder, name), seconds=seconds, has_shared=has_shared, seed=seed)
            for name in names
        ]
        results = []
        for future in waiting:
            one = future.result()
            print(f"{one['reader']:<28} {one['inputs']:>9,} inputs, {one['edges'] or 0:>6,} edges, {one['outcomes']}")
            for defect in one["defects"]:
                print(f"    DEFECT {defect['what']}\n        {defect['input_hex'][:200]}")
            results.append(one)
    return results


def totals(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Inputs, outcomes and defects of all readers together."""
    outcomes: dict[str, int] = {}
    for one in results:
        for kind, count in one["outcomes"].items():
            outcomes[kind] = outcomes.get(kind, 0) + count
    return {
        "readers": len(results),
        "inputs": sum(one["inputs"] for one in results),
        "outcomes": dict(sorted(outcomes.items())),
        "defects": sum(len(one["defects"]) for one in results),
        "fuzzing_s": round(sum(one["fuzzing_s"] for one in results), 1),
    }


def main() -> int:
    """Fuzz, print a line a reader, write the JSON of a whole campaign; 1 where there is a defect."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of annotation files with atheris.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of fuzzing, all readers together")
    parser.add_argument("--reader", action="append", default=[], help="only this one; may be given again")
    parser.add_argument("--shared", action="store_true", help="start from small real files, too")
    parser.add_argument("--workers", type=int, default=2, help="readers at a time")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    started = time.monotonic()
    try:
        names = reader_names(given.reader)
    except GestaError as error:
        print(error, file=sys.stderr)
        return 2
    results = campaign(names, minutes=given.minutes, has_shared=given.shared, workers=given.workers, seed=given.seed)
    from benchmarks.fuzz_native import native_modules

    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    whole = {
        "what": "inputs that each reader was tried on and how the readings ended; rows or a GestaError are right",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            **{tool: importlib.metadata.version(tool) for tool in ("gesta", "atheris", "polars", "numpy", "numba")},
        },
        "seed": given.seed,
        "workers": given.workers,
        "real_files": given.shared,
        "coverage": "of gesta's Python bytecode; none of polars, expat, zlib and the modules of numba kernels",
        "modules_without_coverage": native_modules(),
        "wall_s": round(time.monotonic() - started, 1),
        "totals": totals(results),
        "readers": results,
    }
    print("all: {inputs:,} inputs of {readers} readers, {defects} defects, {outcomes}".format(**whole["totals"]))
    if not given.reader:
        write_json(RESULTS / f"fuzz_{os.cpu_count()}core-cpu_{date}.json", whole)
    return 1 if whole["totals"]["defects"] else 0


if __name__ == "__main__":
    sys.exit(main())
