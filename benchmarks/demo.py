"""The demo's numbers for some seeds: `python -m benchmarks.demo [--seeds 7,8] [--out build]`.

Runs the whole line on rendered worlds (or takes what an earlier run left in the folders) and writes one row a seed.
The limit of label precision, recall and duplicates is 1; of mAP 1, its peer is chance: the same boxes, random scores.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from pathlib import Path

from gesta.cli.demo import demo_plan, run_demo

_OF_ONE_RUN = ("times_s", "this_run_s", "peak_memory_mb")
"""What a resumed run says of itself, not of the work."""

RESULTS = Path(__file__).parent / "results"


def measure(*, seeds: list[int], out: Path) -> dict[str, object]:
    """One row a seed; the first seed lies in `out/demo`, as `make demo` leaves it."""
    rows = []
    for number, seed in enumerate(seeds):
        folder = out / ("demo" if number == 0 else f"demo-{seed}")
        summary, _ = run_demo(demo_plan(out=folder, seed=seed), quiet=False)
        rows.append({name: value for name, value in summary.items() if name not in _OF_ONE_RUN})
    return {
        "program": "python -m benchmarks.demo",
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "seeds": rows,
    }


def main() -> None:
    """Measure, print, and write `results/demo_<cores>core-cpu_<date>.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="7,8")
    parser.add_argument("--out", type=Path, default=Path("build"))
    arguments = parser.parse_args()
    result = measure(seeds=[int(seed) for seed in arguments.seeds.split(",")], out=arguments.out)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    path = RESULTS / f"demo_{os.cpu_count()}core-cpu_{today}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
