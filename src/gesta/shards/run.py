"""Run a function over shards of a table, in processes or on Ray, keeping each finished shard on disk.

A shard's outputs are a folder of Parquet files that appears by one rename, so a run that is killed at any point
resumes from the shards that had finished, and the joined tables do not depend on where it was killed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import polars as pl

from gesta.schema import GestaError, MissingExtra
from gesta.tables import Provenance, check_frame, empty_frame

ShardFunction = Callable[[pl.DataFrame], Mapping[str, pl.DataFrame]]


def worker_count(workers: int | None) -> int:
    """How many worker processes to use: `workers`, or the cores this process may run on.

    Raises:
        GestaError: `workers` is below 1.
    """
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise GestaError(f"--workers {workers}", mend="Want at least 1")
    return workers


def map_shards(
    function: ShardFunction,
    table: pl.DataFrame,
    *,
    outputs: Sequence[str],
    folder: Path,
    made_by: Provenance,
    rows_per_shard: int = 8,
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> dict[str, pl.DataFrame]:
    """The tables that `function` gives over all of `table`, joined in shard order, by table name.

    Args:
        function: takes a slice of `table`, gives a frame for each name in `outputs`; it must be picklable and
            depend on nothing but its slice.
        table: cut into slices of `rows_per_shard` rows, in order.
        folder: where finished shards lie, under the first 16 digits of `made_by.fingerprint`; other fingerprints'
            shards there are deleted. The caller deletes the folder when the joined tables are written.
        workers: processes; None = as many as there are cores; 1 = in this process.
        cluster: address of a Ray cluster (or "local"), whose machines share `folder`; None = no Ray.
        on_rows: called with the number of rows of each shard that is done, finished ones of an earlier run too.
    Raises:
        GestaError: a worker process died; finished shards are kept.
        MissingExtra: `cluster` is given and Ray is not installed.
        Exception: whatever `function` raised first; the shards that run then are still kept.
    """
    home = folder / made_by.fingerprint[:16]
    _delete_others(folder, keep=home)
    home.mkdir(parents=True, exist_ok=True)
    slices = list(table.iter_slices(rows_per_shard)) if len(table) else []
    todo = []
    for number, rows in enumerate(slices):
        if (home / f"{number:06d}").is_dir():
            _report(on_rows, rows)
        else:
            todo.append((number, rows))
    _run(
        function,
        todo,
        outputs=outputs,
        home=home,
        workers=worker_count(workers),
        cluster=cluster,
        on_rows=on_rows,
    )
    return {name: _join(name, home, num_shards=len(slices)) for name in outputs}


def _delete_others(folder: Path, *, keep: Path) -> None:
    for other in folder.glob("*") if folder.is_dir() else ():
        if other != keep:
            shutil.rmtree(other)
    for half_written in keep.glob("tmp-*") if keep.is_dir() else ():
        shutil.rmtree(half_written)


def _report(on_rows: Callable[[int], None] | None, rows: pl.DataFrame) -> None:
    if on_rows is not None:
        on_rows(len(rows))


def _run_shard(function: ShardFunction, number: int, rows: pl.DataFrame, outputs: Sequence[str], home: Path) -> int:
    frames = function(rows)
    if set(frames) != set(outputs):
        raise ValueError(f"the shard function gave {sorted(frames)}, want {sorted(outputs)}")
    temporary = Path(tempfile.mkdtemp(dir=home, prefix="tmp-"))
    for name in outputs:
        check_frame(name, frames[name], where=temporary).write_parquet(temporary / f"{name}.parquet")
    try:
        temporary.rename(home / f"{number:06d}")
    except OSError:
        # A retry on a cluster can find that the first try had finished before its node died.
        if not (home / f"{number:06d}").is_dir():
            raise
        shutil.rmtree(temporary)
    return number


def _run(
    function: ShardFunction,
    todo: Sequence[tuple[int, pl.DataFrame]],
    *,
    outputs: Sequence[str],
    home: Path,
    workers: int,
    cluster: str | None,
    on_rows: Callable[[int], None] | None,
) -> None:
    if not todo:
        return
    if cluster is not None:
        for number in _on_ray(function, todo, outputs=outputs, home=home, address=cluster):
            _report(on_rows, dict(todo)[number])
    elif workers == 1 or len(todo) == 1:
        for number, rows in todo:
            _run_shard(function, number, rows, outputs, home)
            _report(on_rows, rows)
    else:
        for number in _in_processes(function, todo, outputs=outputs, home=home, workers=min(workers, len(todo))):
            _report(on_rows, dict(todo)[number])


def _in_processes(
    function: ShardFunction,
    todo: Sequence[tuple[int, pl.DataFrame]],
    *,
    outputs: Sequence[str],
    home: Path,
    workers: int,
) -> Iterator[int]:
    # spawn: a forked child of a process with decoder or Polars threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = iter(todo)
        running: set[Future[int]] = set()
        try:
            for number, rows in waiting:
                running.add(pool.submit(_run_shard, function, number, rows, outputs, home))
                if len(running) >= 2 * workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise GestaError(
                "a worker process died (killed, or out of memory)",
                mend="Run the same command again: finished shards are kept; --workers 1 needs the least memory",
            ) from error
        finally:
            for future in running:
                future.cancel()


def _on_ray(
    function: ShardFunction,
    todo: Sequence[tuple[int, pl.DataFrame]],
    *,
    outputs: Sequence[str],
    home: Path,
    address: str,
) -> Iterator[int]:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="cluster", module="ray") from error
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    # Plain tasks with retries survive the death of a node; actor pools were seen to hang.
    task = ray.remote(max_retries=3)(_run_shard)
    running = [task.remote(function, number, rows, outputs, home.resolve()) for number, rows in todo]
    while running:
        done, running = ray.wait(running, num_returns=1)
        yield from ray.get(done)


def _join(name: str, home: Path, *, num_shards: int) -> pl.DataFrame:
    files = [home / f"{number:06d}" / f"{name}.parquet" for number in range(num_shards)]
    return pl.concat([empty_frame(name), *(pl.read_parquet(file) for file in files)])
