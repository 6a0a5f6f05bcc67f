"""Training on persons as processes of their own: several at once, and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.train.clips.small_run import are_equal, largest_difference
from tests.unit.train.persons.small_persons_run import small_persons, weights_of

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.unit.train.persons.small_persons_run"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def command(folder: Path, out: str, *, processes: int = 1, changes: dict | None = None, **call) -> list[str]:
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    films = folder / "films"
    if not films.is_dir():
        films.mkdir()
        small_persons(films)
    return [*start, MODULE, str(films), str(folder / out), json.dumps(changes or {}), json.dumps(call)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(*args, **kwargs) -> None:
    done = subprocess.run(
        command(*args, **kwargs), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses_of(path: Path) -> list[float]:
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines]


@pytest.mark.parametrize("num_parts", [2, 4])
def test_two_processes_end_with_the_weights_of_one(tmp_path, num_parts):
    # Some parts have nobody, some have three persons: only the persons of the whole batch may divide.
    changes = {"num_parts": num_parts, "epochs": 3, "ema_decay": 0.9, "clip_loss_weight": 0.5}
    run(tmp_path, "one", changes=changes, val=True)
    run(tmp_path, "two", changes=changes, val=True, processes=2)
    for name in ("model.pt", "best.pt"):
        assert are_equal(weights_of(tmp_path / "one" / name), weights_of(tmp_path / "two" / name))
    assert losses_of(tmp_path / "one") == pytest.approx(losses_of(tmp_path / "two"), abs=1e-6)


def test_a_killed_run_of_one_process_goes_on_with_two(tmp_path):
    changes = {"epochs": 3, "optimiser": "adamw", "base_lr": 3e-3}
    run(tmp_path, "whole", changes=changes)
    words = command(tmp_path, "cut", changes=changes, workers=1)
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "cut/last.pt").is_file()
    run(tmp_path, "cut", changes=changes, processes=2)
    assert are_equal(weights_of(tmp_path / "whole/model.pt"), weights_of(tmp_path / "cut/model.pt"))


def test_sharded_weights_end_where_whole_ones_do(tmp_path):
    changes = {"num_parts": 2, "clips_per_batch": 6}
    run(tmp_path, "whole", changes=changes)
    run(tmp_path, "sharded", changes={**changes, "sharding": "fsdp"}, processes=2)
    whole, sharded = (weights_of(tmp_path / name / "model.pt") for name in ("whole", "sharded"))
    assert largest_difference(whole, sharded) <= 1e-5
