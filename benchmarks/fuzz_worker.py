"""One reader under atheris, in a process of its own: coverage-guided, from valid files, until the time is up.

Run by `benchmarks.fuzz`. A defect does not end the run: each is kept once, by what was raised and where, with the
bytes that did it. What ends the process (a hang, too much memory, a crash of native code) is seen by its parent.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import atheris

from benchmarks.fuzz_native import SOURCE, native_modules

HANG_S = 30
"""Seconds after which libFuzzer calls an input a hang. Source: ours; above `MAX_CPU_S` and a machine's pauses."""

MAX_MB = 3000
"""Memory that the process may have, gesta and its libraries included. Source: ours; they take 400 MB."""


with atheris.instrument_imports(include=["gesta"], exclude=native_modules()):
    from benchmarks import fuzz_readers
    from benchmarks.fuzz_mutations import MAX_BYTES, mutated


class Tally:
    """What became of the inputs so far; written to a file now and then, since a fuzzer may end at any moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: Counter[str] = Counter()
        self.defects: dict[str, dict[str, str]] = {}
        self.started = time.monotonic()
        self.written = 0.0

    def count(self, kind: str, *, defect: str, data: bytes) -> None:
        """Nothing; the outcome is counted, and a defect kept with its bytes where it is a new one."""
        self.outcomes[kind] += 1
        if defect:
            self.defects.setdefault(defect, {"what": defect, "input_hex": data[:2000].hex()})
        if time.monotonic() - self.written > 1.0:
            self.write()

    def write(self) -> None:
        """Nothing; the file holds what was counted."""
        self.written = time.monotonic()
        whole = {
            "outcomes": dict(self.outcomes),
            "defects": list(self.defects.values()),
            "fuzzing_s": self.written - self.started,
        }
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(whole), encoding="utf-8")
        new.replace(self.path)


def raised(error: BaseException, folder: Path) -> str:
    """An error that no reader may end in: its class, the innermost line of gesta's, and the first line of its text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if str(SOURCE) in frame.filename]
    at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    text = str(error).replace(str(folder), "")
    return f"{type(error).__name__} at {at}" + (f": {text.splitlines()[0][:120]}" if text else "")


def main() -> None:
    """Fuzz one reader; ends with the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader")
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="with a folder `corpus`; of this reader alone")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    work = given.folder / "work"
    work.mkdir(exist_ok=True)
    case = fuzz_readers.cases(given.folder / "samples")[given.reader]
    for number, data in enumerate(case.seeds):
        (given.folder / "corpus" / f"seed{number}").write_bytes(data)
        fuzz_readers.outcome(case, data, work)  # kernels are compiled before the clock starts
    tally = Tally(given.folder / "tally.json")
    atexit.register(tally.write)
    known: set[str] = set()

    def one_input(data: bytes) -> None:
        try:
            ended = fuzz_readers.outcome(case, data, work)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  any other end is looked for, and polars' panics are no Exception
            what = raised(error, work)
            place = what.split(":")[0] + what.split(":")[1][:8]
            tally.count("defect", defect="" if place in known else what, data=data)
            known.add(place)
            return
        what = ended.defect.replace(str(work), "")
        place = what[:60]
        tally.count(ended.kind, defect="" if place in known else what, data=data)
        known.add(place)

    def damage(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.randrange(3) == 0:
            return atheris.Mutate(data, max_size)
        from_seed = chance.randrange(4) == 0
        start = case.seeds[chance.randrange(len(case.seeds))] if from_seed else data
        return mutated(start, case.kind, chance)[:max_size]

    options = [
        f"-max_total_time={given.seconds}", f"-max_len={MAX_BYTES}", f"-timeout={HANG_S}", f"-rss_limit_mb={MAX_MB}",
        f"-artifact_prefix={given.folder}/", f"-seed={given.seed}", "-print_final_stats=1", "-report_slow_units=20",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(given.folder / "corpus")], one_input, custom_mutator=damage)
    os.chdir(work)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
