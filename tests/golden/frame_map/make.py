"""Makes `cases.jsonl` beside it: what four programs answer to the cases of `nasty.py`. README.md says how to run it.

Each program runs in a process of its own, since their modules share names. What is changed in memory so that they run
on today's NumPy, or so that equal scores have one order, stands in `_on_this_numpy` and in each `_run_*`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import logging
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
NUM_CASES = 280
PROGRAMS = ["official", "acar", "pyslowfast", "mmaction2"]
Answer = dict[str, Any]
Run = Callable[[Path, dict[str, Any]], tuple[float, dict[str, float]]]


def _on_this_numpy() -> None:
    """Names that NumPy dropped, and one order of equal scores: argsort stable everywhere."""
    aliases: dict[str, Any] = {"float": float, "int": int, "NAN": float("nan")}
    for name, value in aliases.items():
        setattr(np, name, value)
    plain = np.argsort
    np.argsort = lambda a, *args, **kwargs: plain(a, kind="stable")


def _package(name: str, *folders: Path) -> types.ModuleType:
    """An empty package of that name whose modules lie in `folders`, so that no framework is imported around them."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder) for folder in folders]
    sys.modules[name] = module
    return module


def _pascal(metrics: dict[str, float]) -> tuple[float, dict[str, float]]:
    stem = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/"
    ap = {name.removeprefix(stem): float(value) for name, value in metrics.items() if name.startswith(stem)}
    return float(metrics["PascalBoxes_Precision/mAP@0.5IOU"]), ap


def _official(checkout: Path) -> Run:
    sys.path[:0] = [str(checkout / "Evaluation"), str(checkout / "Evaluation" / "ava")]
    program = importlib.import_module("get_ava_performance")
    printed: list[dict[str, float]] = []
    program.pprint = types.SimpleNamespace(
        pprint=lambda metrics, indent: printed.append(metrics), pformat=lambda what, indent: ""
    )

    def run(folder: Path, case: dict[str, Any]) -> tuple[float, dict[str, float]]:
        printed.clear()
        with (
            (folder / "labels").open() as labels,
            (folder / "groundtruth").open() as truth,
            (folder / "detections").open() as detections,
        ):
            program.run_evaluation(labels, truth, detections)
        return _pascal(printed[0])

    return run


def _acar(checkout: Path) -> Run:
    sys.path.insert(0, str(checkout))
    program = importlib.import_module("calc_mAP")

    def run(folder: Path, case: dict[str, Any]) -> tuple[float, dict[str, float]]:
        excluded = (folder / "excluded").open() if case["excluded_csv"] else None
        with (
            (folder / "labels").open() as labels,
            (folder / "groundtruth").open() as truth,
            (folder / "detections").open() as detections,
        ):
            return _pascal(program.run_evaluation(labels, truth, detections, excluded, logging.getLogger("acar")))

    return run


def _pyslowfast(checkout: Path) -> Run:
    _package("slowfast", checkout / "slowfast")
    _package("slowfast.utils", checkout / "slowfast" / "utils")
    _package("slowfast.utils.distributed").is_master_proc = lambda: False
    _package("slowfast.utils.env").pathmgr = types.SimpleNamespace(open=open)
    for name in ("vision", "vision.fair", "vision.fair.slowfast"):
        _package(name)
    _package("vision.fair.slowfast.ava_evaluation", checkout / "ava_evaluation")
    sys.modules["slowfast.utils"].distributed = sys.modules["slowfast.utils.distributed"]
    program = importlib.import_module("slowfast.utils.ava_eval_helper")

    def run(folder: Path, case: dict[str, Any]) -> tuple[float, dict[str, float]]:
        # `evaluate_ava_from_files` without its last step, which keeps the answer to itself.
        categories, class_ids = program.read_labelmap(folder / "labels")
        excluded = program.read_exclusions(folder / "excluded" if case["excluded_csv"] else None)
        truth = program.read_csv(folder / "groundtruth", class_ids, load_score=False)
        detections = program.read_csv(folder / "detections", class_ids, load_score=True)
        return _pascal(program.run_evaluation(categories, truth, detections, excluded))

    return run


def _mmaction2(checkout: Path) -> Run:
    parts = ("mmaction", "evaluation", "functional")
    for depth in range(1, 4):
        _package(".".join(parts[:depth]), checkout.joinpath(*parts[:depth]))
    program = importlib.import_module("mmaction.evaluation.functional.ava_utils")
    pool = types.SimpleNamespace(map=lambda work, items: [work(item) for item in items])
    program.multiprocessing = types.SimpleNamespace(Pool=lambda processes: pool)
    plain = program.metrics.compute_average_precision
    found: list[float] = []
    named: list[str] = []

    def average_precision(precision: Any, recall: Any) -> float:
        found.append(float(plain(precision, recall)))
        return found[-1]

    def listen(text: str, **_: object) -> None:
        # It gives the classes to four digits only; the order in which it names them is that of the calls above.
        if text.startswith("Index: "):
            named.append(text.removeprefix("Index: ").split(",")[0])

    program.metrics.compute_average_precision = average_precision
    program.print = listen

    def run(folder: Path, case: dict[str, Any]) -> tuple[float, dict[str, float]]:
        found.clear()
        named.clear()
        excluded = folder / "excluded" if case["excluded_csv"] else None
        answer = program.ava_eval(
            folder / "detections", "mAP", folder / "labels", folder / "groundtruth", excluded, verbose=False
        )
        return float(answer["overall"]), dict(zip(named, found, strict=True))

    return run


LOADERS = {"official": _official, "acar": _acar, "pyslowfast": _pyslowfast, "mmaction2": _mmaction2}


def _answers(program: str, checkout: Path, cases: list[dict[str, Any]]) -> list[Answer]:
    """What the program says to each case: `mAP` and `AP` by class id (null: NaN, or not scored), or `error`."""
    _on_this_numpy()
    warnings.simplefilter("ignore")
    run = LOADERS[program](checkout)
    answers = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in cases:
            for kind in ("groundtruth", "detections", "excluded"):
                (folder / kind).write_text(case[f"{kind}_csv"])
            items = "".join(f'item {{\n  name: "{i}"\n  id: {i}\n}}\n' for i in case["class_ids"])
            (folder / "labels").write_text(items)
            try:
                mean, ap = run(folder, case)
            except (ValueError, TypeError, IndexError, AssertionError) as error:
                answers.append({"error": f"{type(error).__name__}: {error}"[:90]})
                continue
            values = {str(i): ap.get(str(i), float("nan")) for i in case["class_ids"]}
            answers.append({"mAP": _number(mean), "AP": {key: _number(value) for key, value in values.items()}})
    return answers


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def main() -> None:
    """Run all four programs, each in its own process, and write `cases.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PROGRAMS, help="answer the cases on standard input as this program (inner)")
    parser.add_argument("--activitynet", "--official", dest="official", type=Path)
    parser.add_argument("--mmaction2", type=Path)
    parser.add_argument("--slowfast", "--pyslowfast", dest="pyslowfast", type=Path)
    parser.add_argument("--acar", type=Path)
    options = parser.parse_args()
    if options.only:
        given = json.load(sys.stdin)
        said = sys.stdout
        sys.stdout = io.StringIO()
        json.dump(_answers(options.only, getattr(options, options.only), given), said)
        return
    sys.path.insert(0, str(HERE))
    cases = importlib.import_module("nasty").cases(NUM_CASES)
    by_program = {}
    for program in PROGRAMS:
        if (checkout := getattr(options, program)) is None:
            parser.error(f"the checkout of {program} is not given")
        command = [sys.executable, __file__, "--only", program, f"--{program}", str(checkout.resolve())]
        done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{program} failed\n{done.stderr}")
        by_program[program] = json.loads(done.stdout)
        print(f"{program}: {sum('error' not in answer for answer in by_program[program])} of {len(cases)} answered")
    lines = []
    for number, case in enumerate(cases):
        answers = {program: by_program[program][number] for program in PROGRAMS}
        lines.append(json.dumps({**case, "programs": answers}, separators=(",", ":")) + "\n")
    data = "".join(lines).encode()
    (HERE / "cases.jsonl").write_bytes(data)
    print(f"cases.jsonl: {len(lines)} cases, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
