"""Shards: the same tables at any number of workers, and nothing done twice after a failure."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from gesta.schema import GestaError, Kept
from gesta.shards import map_shards, worker_count
from gesta.shards import run as shards_run
from gesta.tables import frame_of, made_by

ROWS = pl.DataFrame({"n": range(10)})
MADE = made_by("test", arguments={}, inputs={})


def keep(rows: pl.DataFrame, *, log: Path, fail_at: int = -1, die_at: int = -1) -> dict[str, pl.DataFrame]:
    numbers = rows["n"].to_list()
    if fail_at in numbers:
        raise OSError(f"cannot do {fail_at}")
    if die_at in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    with log.open("a") as stream:
        stream.write(f"{numbers[0]}\n")
    return {"kept": frame_of("kept", [Kept(clip_id=f"c{n:02d}", video_id="v", class_id=n) for n in numbers])}


def run(
    folder: Path, *, workers: int, fail_at: int = -1, die_at: int = -1, made=MADE
) -> tuple[pl.DataFrame, list[int]]:
    done: list[int] = []
    function = partial(keep, log=folder.parent / "log.txt", fail_at=fail_at, die_at=die_at)
    tables = map_shards(
        function, ROWS, outputs=["kept"], folder=folder, made_by=made, rows_per_shard=3, workers=workers,
        on_rows=done.append,
    )  # fmt: skip
    return tables["kept"], done


@pytest.mark.parametrize("workers", [1, 2])
def test_all_rows_are_done_in_order(workers: int, tmp_path: Path) -> None:
    kept, done = run(tmp_path / "shards", workers=workers)
    assert kept["class_id"].to_list() == list(range(10))
    assert sum(done) == 10
    assert sorted((tmp_path / "log.txt").read_text().split()) == ["0", "3", "6", "9"]


def test_finished_shards_are_skipped_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot do 7"):
        run(tmp_path / "shards", workers=1, fail_at=7)
    kept, done = run(tmp_path / "shards", workers=1)
    assert kept["class_id"].to_list() == list(range(10))
    assert sum(done) == 10
    assert (tmp_path / "log.txt").read_text().split() == ["0", "3", "6", "9"]


def test_a_killed_worker_is_a_clear_error_and_the_rest_resumes(tmp_path: Path) -> None:
    with pytest.raises(GestaError, match="a worker process died"):
        run(tmp_path / "shards", workers=2, die_at=9)
    kept, _ = run(tmp_path / "shards", workers=2)
    assert kept["class_id"].to_list() == list(range(10))


def test_other_arguments_start_afresh_and_clear_the_old(tmp_path: Path) -> None:
    run(tmp_path / "shards", workers=1)
    run(tmp_path / "shards", workers=1, made=made_by("test", arguments={"x": 1}, inputs={}))
    assert (tmp_path / "log.txt").read_text().split() == ["0", "3", "6", "9"] * 2
    assert len(list((tmp_path / "shards").iterdir())) == 1


def test_a_function_that_gives_other_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gave \['kept'\], want \['clips'\]"):
        map_shards(
            partial(keep, log=tmp_path / "log"), ROWS, outputs=["clips"], folder=tmp_path / "s", made_by=MADE, workers=1
        )


def test_no_rows_give_empty_tables(tmp_path: Path) -> None:
    tables = map_shards(
        partial(keep, log=tmp_path / "log"), ROWS[:0], outputs=["kept"], folder=tmp_path / "s", made_by=MADE
    )
    assert len(tables["kept"]) == 0


def test_zero_workers_are_refused() -> None:
    with pytest.raises(GestaError, match="--workers 0"):
        worker_count(0)
    assert worker_count(None) >= 1


def test_a_shard_that_a_lost_worker_had_finished_is_taken_as_it_is(tmp_path: Path) -> None:
    function = partial(keep, log=tmp_path / "log.txt")
    for _ in range(2):
        assert shards_run._run_shard(function, 0, ROWS[:3], ["kept"], tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["000000"]
