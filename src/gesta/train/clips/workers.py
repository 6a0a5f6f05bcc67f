"""A function applied to tasks in worker processes, its results in the tasks' order, gathered into batches meanwhile.

torch's DataLoader does the processes and the passing of tensors through shared memory: it is well kept, keeps the order
at any number of workers, notices a worker that dies and ends workers whose parent is gone. A thread gathers its results
into batches, so that copying them does not keep the training loop waiting.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from gesta.schema import BadInput, GestaError

Task = TypeVar("Task")
Part = TypeVar("Part")
Batch = TypeVar("Batch")

_END = object()
"""Behind the last batch."""

_POLL_S = 0.1
"""How often a full queue is tried again. Source: ours."""


class _Applied(Dataset):
    """A function as a data set whose "indices" are the tasks, so that tasks travel and not the whole set of clips."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __getitem__(self, task: Any) -> Any:
        try:
            return self.function(task)
        except GestaError as error:
            # Raised over there it would come back with a traceback in its text; as a value it comes as it is.
            return error


def _as_it_is(part: Any) -> Any:
    return part


def _settle(_number: int) -> None:
    """One thread a worker, for more would fight for the cores that the others use; and an end with its parent."""
    cv2.setNumThreads(0)
    # Ctrl-C reaches every process of a terminal; the one that asked for clips ends its workers when it is ready to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Nothing; this process ends when the one that wants its results is gone, killed for instance.

    The DataLoader's own watch looks at the process that forked the worker, which is the server of workers: that one
    lives as long as its workers do.
    """
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def start_method() -> str:
    """How workers start: from a clean server process where there is one, since forking a process with threads or a
    GPU may hang; else each anew.
    """
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@contextmanager
def in_workers(
    function: Callable[[Task], Part],
    tasks: Iterable[Task],
    *,
    assemble: Callable[[Iterator[Part]], Iterator[Batch]],
    num_workers: int,
    queue_len: int,
    tasks_per_batch: int,
) -> Iterator[Iterator[Batch]]:
    """What `assemble` makes of the function's results; with no workers, all of it in this thread, on demand.

    Args:
        function: picklable; gives the same for the same task in any process.
        tasks: picklable each; taken as workers get to them.
        assemble: takes the results in order.
        num_workers: processes.
        queue_len: most batches that wait.
        tasks_per_batch: how many tasks make a batch at most; bounds how far workers are ahead.
    Raises:
        BadInput: `num_workers` is below 0 or `queue_len` below 1.
        GestaError: a worker process died.
    """
    if num_workers < 0 or queue_len < 1:
        raise BadInput(f"num_workers={num_workers}, queue_len={queue_len}", mend="Want at least 0 and at least 1")
    if num_workers == 0:
        yield assemble(function(task) for task in tasks)
        return
    num_ahead = max(2, -(-queue_len * tasks_per_batch // num_workers))
    method = start_method()
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__, "gesta.train.clips.batches"])
    loader = DataLoader(
        _Applied(function),
        batch_size=None,
        sampler=tasks,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        prefetch_factor=num_ahead,
        multiprocessing_context=context,
        worker_init_fn=_settle,
        # Its own generator: the default one would be drawn from, and dropout would depend on the number of workers.
        generator=torch.Generator().manual_seed(0),
    )
    gathering = _Gathering(assemble=assemble, parts=iter(loader), queue_len=queue_len)
    try:
        yield gathering.batches()
    except RuntimeError as error:
        # Where workers are this process's own children, torch says at once, wherever this thread is, that one died.
        with _plain_words():
            raise error
    finally:
        gathering.end()


class _Gathering:
    """A thread that gathers parts into batches, and a bounded queue of these."""

    def __init__(
        self, *, assemble: Callable[[Iterator[Part]], Iterator[Batch]], parts: Iterator[Part], queue_len: int
    ) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=queue_len)
        self._is_over = threading.Event()
        self._parts: Iterator | None = parts
        self._assemble = assemble
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="gesta-clips")
        self._run_through = self._pool.submit(self._run)

    def _run(self) -> None:
        assert self._parts is not None
        try:
            with _plain_words():
                for batch in self._assemble(_unless_error(self._parts)):
                    if not self._put(batch):
                        return
        finally:
            self._put(_END)

    def _put(self, value: object) -> bool:
        while not self._is_over.is_set():
            try:
                self._queue.put(value, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def batches(self) -> Iterator:
        """The batches, in order.

        Raises:
            Exception: what the function or gathering them raised.
        """
        while (value := self._queue.get()) is not _END:
            yield value
        self._run_through.result()

    def end(self) -> None:
        """Stop the thread and the workers."""
        self._is_over.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        # The DataLoader's iterator ends its workers when nobody holds it any more.
        self._parts = None


def _unless_error(parts: Iterator[Any]) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, GestaError):
            raise part
        yield part


@contextmanager
def _plain_words() -> Iterator[None]:
    """The DataLoader's errors about its workers as ones that a user can mend.

    Raises:
        GestaError: a worker died.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        # A tensor's memory is fetched from the worker that made it: that fails first where one was killed.
        is_lost = isinstance(error, ConnectionError | EOFError | FileNotFoundError)
        if str(error).startswith("Caught ") or not (is_lost or "DataLoader worker" in str(error)):
            raise
        raise GestaError(
            f"a process that decodes clips died ({(str(error) or type(error).__name__).splitlines()[0]})",
            mend="It was killed, ran out of memory, or /dev/shm is full: use fewer workers, or a larger /dev/shm",
        ) from error
