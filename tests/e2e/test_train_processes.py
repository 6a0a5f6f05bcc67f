"""Training runs as processes of their own: several at once, killed, and asked to stop."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from tests.unit.train.clips.conftest import pictures
from tests.unit.train.clips.small_run import are_equal, as_text, largest_difference, weights_of

from gesta.train.clips import ClipExample, clip_set, load_clip_checkpoint
from gesta.video import write_video

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.unit.train.clips.small_run"
TOLERANCE = 1e-6
"""Of weights about 1: sums of gradients in another order, over six steps."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def clips_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    examples = []
    for number in range(6):
        path = write_video(folder / f"v{number}.mp4", pictures(number), fps=Fraction(25))
        for turn in "ab":
            examples.append(
                ClipExample(
                    clip_id=f"clip{number}-{turn}", video_id=f"v{number}", path=path, start_us=0, end_us=2_000_000,
                    label=number % 2,
                )
            )  # fmt: skip
    path = folder / "clips.json"
    path.write_text(as_text(clip_set(examples, classes={3: "up", 7: "down"})))
    return path


def command(clips_file: Path, out: Path, *, processes: int = 1, changes: dict | None = None, **call) -> list[str]:
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    return [*start, MODULE, str(clips_file), str(out), json.dumps(changes or {}), json.dumps(call)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(*args, **kwargs) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*args, **kwargs), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.parametrize("num_parts", [4])
def test_two_processes_end_with_the_weights_of_one(clips_file, tmp_path, num_parts):
    changes = {"num_parts": num_parts, "clips_per_batch": 8, "epochs": 3, "ema_decay": 0.9, "clip_norm": 1.0}
    run(clips_file, tmp_path / "one", changes=changes, val=True)
    run(clips_file, tmp_path / "two", changes=changes, val=True, processes=2)
    one, two = (weights_of(tmp_path / name / "model.pt") for name in ("one", "two"))
    assert largest_difference(one, two) <= TOLERANCE
    # With a power of two parts the sums are the same ones, so the bits are too.
    assert are_equal(one, two)
    lines = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for mine, theirs in zip(*lines, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-6)
        assert mine.get("val_top1") == theirs.get("val_top1")


def test_a_cut_run_of_one_process_goes_on_with_two(clips_file, tmp_path):
    changes = {"num_parts": 2}
    run(clips_file, tmp_path / "whole", changes=changes)
    kill_after(3, clips_file, tmp_path / "cut", changes=changes)
    run(clips_file, tmp_path / "cut", changes=changes, processes=2)
    assert are_equal(weights_of(tmp_path / "whole/model.pt"), weights_of(tmp_path / "cut/model.pt"))


def kill_after(
    num_steps: int, clips_file: Path, out: Path, *, number: int = signal.SIGKILL, **kwargs
) -> tuple[int, str]:
    """Exit code and last words of a run that got the signal when it said that it had taken so many steps."""
    words = command(clips_file, out, **kwargs)
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(num_steps):
            process.stdout.readline()
        process.send_signal(number)
        said = process.stdout.read()
    return process.returncode, said


def test_runs_killed_at_any_moment_end_in_the_same_bits(clips_file, tmp_path):
    changes = {"epochs": 3, "optimiser": "adamw", "base_lr": 3e-3, "ema_decay": 0.9}
    run(clips_file, tmp_path / "whole", changes=changes, val=True)
    rng = random.Random(11)
    out = tmp_path / "cut"
    for _ in range(3):
        code, _said = kill_after(rng.randint(1, 3), clips_file, out, changes=changes, val=True, every_steps=2)
        assert code == -signal.SIGKILL
    run(clips_file, out, changes=changes, val=True)
    for name in ("model.pt", "best.pt"):
        assert are_equal(weights_of(tmp_path / "whole" / name), weights_of(out / name))
    assert not list(out.glob(".*tmp*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_asked_to_stop_writes_where_it_was_and_goes_on_there(clips_file, tmp_path, number, code):
    changes = {"epochs": 50}
    out = tmp_path / "out"
    found, said = kill_after(2, clips_file, out, number=number, changes=changes, every_steps=0, workers=1)
    assert found == code
    assert "Give the same command again to go on" in said
    step = int(said.split("after step ")[1].split()[0])
    assert step >= 2
    checkpoint = load_clip_checkpoint(out / "last.pt")
    assert json.loads(checkpoint.progress["plain"])["progress"]["step"] == step


def test_sharded_weights_end_where_whole_ones_do(clips_file, tmp_path):
    changes = {"num_parts": 2, "clips_per_batch": 6}
    run(clips_file, tmp_path / "whole", changes=changes)
    run(clips_file, tmp_path / "sharded", changes={**changes, "sharding": "fsdp"}, processes=2)
    whole, sharded = (weights_of(tmp_path / name / "model.pt") for name in ("whole", "sharded"))
    assert largest_difference(whole, sharded) <= TOLERANCE


def test_the_small_set_is_what_the_tests_think(clips_file):
    rows = json.loads(clips_file.read_text())[0]
    assert len(rows) == 12
    assert {field.name for field in dataclasses.fields(ClipExample)} == set(rows[0])
