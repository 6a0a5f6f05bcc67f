"""How fast frame mAP is computed: against ActivityNet's program and COCO's evaluators, on input of AVA's size.

Made here: input as of AVA's validation set (`benchmarks.evaluate_input`). Measured in one run, each in a process of its
own: the official program stage by stage, gesta from the two csv files and from arrays in memory (medians; the first
call, which compiles or loads what was compiled, apart), faster-coco-eval on the same 50 best rows of each key-frame,
and gesta again on files of 1 M and 10 M detection rows and more. The limits are reading the bytes once, counting
lines, and sorting the scores of each class.

`speedup_evaluation` = the official program's add_gt, add_det and evaluate over gesta from arrays; `speedup_end_to_end`
= all five of its stages over gesta from csv; wall time both, with the ratios of processor time beside them.

Run: python -m benchmarks.evaluate --official CHECKOUT
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import itertools
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gesta.tables import write_json

RESULTS = Path(__file__).parent / "results"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
OFFICIAL_EVALUATION = ("add_gt", "add_det", "evaluate")
COCO_EVALUATION = ("index", "evaluate")
COCO_PROGRAMS = ("faster-coco-eval", "pycocotools")
RUNS = 11


def in_own_process(work: str, *, flags: list[str] | None = None, **arguments: object) -> dict[str, Any]:
    """What function `work` of `benchmarks.evaluate_runs` answers, from a fresh interpreter."""
    code = "import json, sys; from benchmarks.evaluate import work_on; work_on(*json.loads(sys.argv[1]))"
    given = json.dumps([work, {key: str(v) if isinstance(v, Path) else v for key, v in arguments.items()}])
    command = [sys.executable, *(flags or []), "-c", code, given]
    done = subprocess.run(command, env=os.environ | THREADS, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{work} failed")
    return json.loads(done.stdout.splitlines()[-1])


def work_on(work: str, arguments: dict[str, Any]) -> None:
    """Do `work` and print its answer as the last line: the other end of `in_own_process`."""
    from benchmarks import evaluate_input, evaluate_runs

    paths = {"groundtruth", "detections", "checkout", "folder", "shared"}
    given = {key: Path(v) if key in paths and v is not None else v for key, v in arguments.items()}
    if given.get("warm"):
        given["warm"] = tuple(Path(path) for path in given["warm"])
    if work == "make_input":
        made = evaluate_input.make_input(**given)
    elif work == "make_scaled":
        base = {**given.pop("base")}
        base |= {key: Path(base[key]) for key in ("groundtruth", "detections")}
        made = evaluate_input.make_scaled(base=evaluate_input.Input(**base), **given)
    else:
        print(json.dumps(getattr(evaluate_runs, work)(**given)))
        return
    fields = {name: getattr(made, name) for name in made.__slots__}
    print(json.dumps({key: str(v) if isinstance(v, Path) else v for key, v in fields.items()}))


def total(stages: dict[str, dict[str, float]], names: tuple[str, ...] | None = None) -> dict[str, float]:
    """Wall and processor seconds of the named stages together, of all without names."""
    chosen = [stages[name] for name in (names or tuple(stages))]
    return {unit: sum(stage[unit] for stage in chosen) for unit in ("wall_s", "cpu_s")}


def furthest(ours: list[float], theirs: list[float]) -> float:
    """The largest difference of two lists of AP; infinite where only one of a pair is NaN."""
    pairs = list(zip(ours, theirs, strict=True))
    if any(math.isnan(a) != math.isnan(b) for a, b in pairs):
        return math.inf
    return max((abs(a - b) for a, b in pairs if not math.isnan(a)), default=0.0)


def measure_ours(files: dict[str, Path], *, runs: int, num_rows: int) -> dict[str, Any]:
    """Gesta from csv and from memory, its first call with nothing compiled, and the limits."""
    with tempfile.TemporaryDirectory() as cache:
        before = os.environ.get("NUMBA_CACHE_DIR")
        os.environ["NUMBA_CACHE_DIR"] = cache
        compiling = in_own_process("ours_from_csv", **files, runs=0, warm=None)["first_call_s"]
        if before is None:
            del os.environ["NUMBA_CACHE_DIR"]
        else:
            os.environ["NUMBA_CACHE_DIR"] = before
    csv = in_own_process("ours_from_csv", **files, runs=runs, warm=None)
    memory = in_own_process("ours_in_memory", **files, runs=runs)
    limits = in_own_process("limits", **files, runs=runs)
    read_s, sort_s = (limits[name]["wall_s"] for name in ("read_and_count_lines", "sort_all_scores_by_class"))
    return {
        "from_csv": csv,
        "in_memory": memory,
        "compile_s": compiling - csv["first_call_s"],
        "rows_per_s_from_csv": num_rows / csv["wall_s"],
        "limits": limits,
        "distance": {
            "from_csv_over_read_and_sort": csv["wall_s"] / (read_s + sort_s),
            "in_memory_over_sort": memory["wall_s"] / sort_s,
        },
    }


def measure_official(files: dict[str, Path], ours: dict[str, Any], *, checkout: Path) -> dict[str, Any]:
    """The official program, once, and what gesta's numbers are beside it."""
    row = in_own_process("official", flags=["-O"], **files, checkout=checkout.resolve())
    evaluation, whole = total(row["stages"], OFFICIAL_EVALUATION), total(row["stages"])
    apart = [
        furthest([ours[kind]["mean_ap"], *ours[kind]["average_precision"]], [row["mean_ap"], *row["average_precision"]])
        for kind in ("from_csv", "in_memory")
    ]
    return {
        "official": {**row, "total": whole, "evaluation": evaluation},
        "speedup_evaluation": evaluation["wall_s"] / ours["in_memory"]["wall_s"],
        "speedup_evaluation_cpu": evaluation["cpu_s"] / ours["in_memory"]["cpu_s"],
        "speedup_end_to_end": whole["wall_s"] / ours["from_csv"]["wall_s"],
        "speedup_end_to_end_cpu": whole["cpu_s"] / ours["from_csv"]["cpu_s"],
        "equal": max(apart) <= 1e-12,
        "max_abs_difference": max(apart),
    }


def measure_coco(files: dict[str, Path], ours: dict[str, Any], *, programs: list[str]) -> dict[str, Any]:
    """COCO's evaluators on the same 50 best rows of each key-frame, once each."""
    found: dict[str, Any] = {}
    for program in programs:
        row = in_own_process("coco", **files, program=program)
        whole, evaluation = total(row["stages"]), total(row["stages"], COCO_EVALUATION)
        name = program.replace("-", "_")
        found[name] = {**row, "total": whole, "evaluation": evaluation}
        found[f"speedup_{name}"] = whole["wall_s"] / ours["from_csv"]["wall_s"]
        found[f"speedup_{name}_cpu"] = whole["cpu_s"] / ours["from_csv"]["cpu_s"]
        found[f"speedup_{name}_evaluation"] = evaluation["wall_s"] / ours["in_memory"]["wall_s"]
    return found


def measure_scaling(folder: Path, base: dict[str, Any], *, millions: list[int], runs: int) -> list[dict[str, Any]]:
    """Gesta from csv on more and more detection rows: of more films, or of the same key-frames.

    What is held grows with the key-frames (50 rows of each at most), not with the rows of one.
    """
    found = []
    for by, million in itertools.product(("films", "boxes"), millions):
        made = in_own_process("make_scaled", folder=folder, base=base, num_rows=million * 1_000_000, by=by)
        files = {name: Path(made[name]) for name in ("groundtruth", "detections")}
        warm = [base["groundtruth"], base["detections"]] if million > 1 else None
        row = in_own_process("ours_from_csv", **files, runs=runs if million <= 10 else 1, warm=warm)
        num_bytes = sum(path.stat().st_size for path in files.values())
        counts = {key: made[key] for key in ("num_detections", "num_groundtruth", "num_key_frames")}
        taken = {key: row[key] for key in ("wall_s", "cpu_s", "peak_mb")}
        found.append(
            {"by": by, **counts, "num_bytes": num_bytes, **taken, "wall_s_per_million": row["wall_s"] / million}
        )
        for path in files.values():
            path.unlink()
    return found


def without_nan(value: Any) -> Any:
    """The same with null for NaN (a class without ground truth), as JSON wants it."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show(result: dict[str, Any]) -> None:
    """Print the table."""
    rows = [("gesta, from csv", result["from_csv"]), ("gesta, in memory", result["in_memory"])]
    if "official" in result:
        official = result["official"]
        rows += [(f"official, {name}", row) for name, row in official["stages"].items()]
        rows += [("official, whole", {**official["total"], "peak_mb": official["peak_mb"]})]
    for program in COCO_PROGRAMS:
        if (row := result.get(program.replace("-", "_"))) is not None:
            rows += [(program, {**row["total"], "peak_mb": row["peak_mb"]})]
    rows += [(f"gesta, {row['num_detections'] / 1e6:.0f} M rows, more {row['by']}", row) for row in result["scaling"]]
    print(f"{'':<28} {'wall s':>9} {'CPU s':>9} {'peak MB':>9}")
    for name, row in rows:
        print(f"{name:<28} {row['wall_s']:>9.3f} {row['cpu_s']:>9.3f} {row.get('peak_mb', math.nan):>9.0f}")
    for name in sorted(result):
        if name.startswith("speedup") or name in ("equal", "max_abs_difference", "peak_mb"):
            print(f"{name:<36} {result[name]}")


def parsed() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description="How fast frame mAP is computed.")
    parser.add_argument("--official", type=Path, help="checkout of activitynet/ActivityNet")
    parser.add_argument("--shared", type=Path, help="folder of real files, for real shapes of boxes")
    parser.add_argument("--peers", choices=["none", "official", "coco", "all"], default="all")
    parser.add_argument("--pycocotools", action="store_true", help="run it too; it takes minutes and 6 GB")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--scale", type=int, default=10, help="millions of rows to go to: 0, 1, 10, 30 or 100")
    parser.add_argument("--films", type=int, default=64, help="fewer for a try")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    if options.peers in ("official", "all") and options.official is None:
        parser.error("--official CHECKOUT, or --peers none")
    return options


def main() -> None:
    """Measure, print one table, write the JSON."""
    options = parsed()
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    tools = ["gesta", "numpy", "numba", "polars", "faster-coco-eval", "pycocotools"]
    result: dict[str, Any] = {
        "what": "frame mAP at 0.5, official protocol, input of the size of AVA's validation set",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in tools},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = in_own_process("make_input", folder=folder, num_films=options.films, shared=options.shared)
        files = {kind: Path(base[kind]) for kind in ("groundtruth", "detections")}
        result["input"] = {
            **{key: value for key, value in base.items() if key.startswith("num")},
            **{f"{kind}_bytes": path.stat().st_size for kind, path in files.items()},
            "boxes": "real shapes" if options.shared else "made",
        }
        ours = measure_ours(files, runs=options.runs, num_rows=base["num_detections"])
        result |= {**ours, "peak_mb": ours["from_csv"]["peak_mb"]}
        if options.peers in ("official", "all"):
            result |= measure_official(files, ours, checkout=options.official)
        if options.peers in ("coco", "all"):
            programs = list(COCO_PROGRAMS if options.pycocotools else COCO_PROGRAMS[:1])
            result |= measure_coco(files, ours, programs=programs)
        millions = [million for million in (1, 10, 30, 100) if million <= options.scale]
        result["scaling"] = measure_scaling(folder, base, millions=millions, runs=3)
    result["load_at_the_end"] = os.getloadavg()[0]
    show(result)
    if not options.no_write:
        write_json(RESULTS / f"evaluate_{os.cpu_count()}core-cpu_{date}.json", without_nan(result))


if __name__ == "__main__":
    main()
