"""Learning with a feature bank in several processes: the windows, drawn ones too, are those of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.train.clips.small_run import are_equal
from tests.unit.train.persons.film_memory import checkpoint_of, crowded_bank, film_of
from tests.unit.train.persons.small_persons_run import weights_of

from gesta.train.persons.checkpoints import load_person_checkpoint, person_model_of

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.unit.train.persons.film_memory"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    for number in range(14):
        film_of(tmp_path, number)
    width = person_model_of(load_person_checkpoint(checkpoint_of(tmp_path / "short.pt"))).head.num_box_features
    bank = crowded_bank(tmp_path / "bank.pt", num_films=14, width=width)
    for name, start in (
        ("one", []),
        ("two", ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]),
    ):
        words = [sys.executable, "-m", *start, MODULE, str(tmp_path), str(bank), str(tmp_path / name)]
        done = subprocess.run(
            words, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    for name in ("model.pt", "best.pt"):
        assert are_equal(weights_of(tmp_path / "one" / name), weights_of(tmp_path / "two" / name))
