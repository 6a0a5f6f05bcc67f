"""Worker processes end with the run, however it ends, and say in plain words what went wrong in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gesta.schema import BadInput, BadVideo, GestaError
from gesta.train.clips import ClipSet
from gesta.train.clips.workers import in_workers

FOREVER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from gesta.train.clips import ClipExample, ClipFrames, clip_batches, clip_set

    if __name__ == "__main__":
        example = ClipExample(
            clip_id="c", video_id="v", path=Path(sys.argv[1]), start_us=0, end_us=2_000_000, label=0
        )
        with clip_batches(
            clip_set([example], classes={0: "a"}), frames=ClipFrames(num_frames=6, side_px=48, crop_px=24),
            augment=None, numbers=[[0]] * 10**6, seed=0, epoch=0, num_workers=2,
        ) as batches:
            for number, batch in enumerate(batches):
                if number == 3:
                    print("under way", flush=True)
    """
)


def same(parts: Iterator[object]) -> Iterator[object]:
    return parts


def double(task: int) -> torch.Tensor:
    return torch.tensor([2 * task])


def refuse(task: int) -> int:
    if task == 2:
        raise BadVideo("the frame at 3 s cannot be decoded", where="a.mp4")
    return task


def divide(task: int) -> float:
    return 1 / task


@pytest.mark.parametrize("num_workers", [0, 2])
def test_results_come_in_the_order_of_the_tasks(num_workers: int) -> None:
    with in_workers(
        double, list(range(20)), assemble=same, num_workers=num_workers, queue_len=2, tasks_per_batch=1
    ) as results:
        assert [int(one) for one in results] == [2 * n for n in range(20)]


def test_the_number_of_workers_leaves_torch_s_generator_alone() -> None:
    before = torch.get_rng_state()
    with in_workers(double, [1], assemble=same, num_workers=1, queue_len=1, tasks_per_batch=1) as results:
        list(results)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_errors_to_mend_come_as_they_are(num_workers: int) -> None:
    with in_workers(
        refuse, [0, 1, 2, 3], assemble=same, num_workers=num_workers, queue_len=1, tasks_per_batch=1
    ) as results:
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(BadVideo) as caught:
            next(results)
    assert str(caught.value) == "a.mp4: the frame at 3 s cannot be decoded"


def test_defects_keep_their_traceback() -> None:
    with in_workers(divide, [1, 0], assemble=same, num_workers=1, queue_len=1, tasks_per_batch=1) as results:
        next(results)
        with pytest.raises(ZeroDivisionError, match="return 1 / task"):
            next(results)


def test_an_error_of_the_block_is_its_own() -> None:
    def fail() -> None:
        with in_workers(double, [1, 2], assemble=same, num_workers=1, queue_len=1, tasks_per_batch=1) as results:
            next(results)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()


def test_wrong_numbers_are_refused() -> None:
    with (
        pytest.raises(BadInput, match="num_workers=0, queue_len=0"),
        in_workers(double, [1], assemble=same, num_workers=0, queue_len=0, tasks_per_batch=1),
    ):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9"])
def test_no_process_is_left_behind(clips: ClipSet, tmp_path: Path, how: str) -> None:
    script = tmp_path / "forever.py"
    script.write_text(FOREVER)
    run = subprocess.Popen(
        [sys.executable, str(script), str(clips.examples[0].path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert run.stdout is not None
        assert run.stdout.readline() == "under way\n"
        assert len(in_session(run.pid)) >= 4, "the run, its server of workers and two of these at least"
        if how == "Ctrl-C":
            os.killpg(run.pid, signal.SIGINT)
        else:
            os.kill(run.pid, signal.SIGKILL)
        run.wait(timeout=60)
        until = time.monotonic() + 60
        while in_session(run.pid) and time.monotonic() < until:
            time.sleep(0.2)
        assert in_session(run.pid) == []
    finally:
        for pid in in_session(run.pid):
            os.kill(pid, signal.SIGKILL)
        run.communicate()


def in_session(leader: int) -> list[int]:
    """Processes of a session that are not zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == leader and state != "Z":
                found.append(int(folder.name))
    return found


def test_a_gesta_error_is_what_the_library_s_words_become() -> None:
    from gesta.train.clips.workers import _plain_words

    with pytest.raises(GestaError, match="use fewer workers, or a larger /dev/shm"), _plain_words():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error.")
