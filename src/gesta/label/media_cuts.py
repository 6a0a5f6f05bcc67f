"""The folder of cuts: files made once, on threads of their own, kept while there is room, the least used dropped first.

Making a cut takes from a tenth of a second to a few; requests wait for it without holding a thread, and tasks and
answers never do. A file that is being read may be dropped at any time: whoever has it open reads on, and whoever comes
later has it made again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gesta.schema import BadInput, BadVideo, GestaError

NUM_THREADS = 2
MAX_WAITING = 256
FAILURE_KEPT_S = 60.0
"""How long a cut that failed is not tried again. Source: ours; a page asks again at once, and every try decodes."""

DEFAULT_LIMIT_BYTES = 20 * 10**9
"""About 20,000 clips of 10 s. Source: ours."""


class MediaBusy(GestaError):
    """More cuts are waiting than can be made in good time, or the disk takes no more."""


@dataclass(slots=True)
class Cuts:
    """The folder of cuts; `get` may be called by any thread."""

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    clock: Callable[[], float] = time.monotonic
    num_bytes: int = 0
    _sizes: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _making: dict[str, Future[Path]] = field(default_factory=dict)
    _failed: OrderedDict[str, tuple[float, GestaError]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="gesta-cut")
    )

    def __post_init__(self) -> None:
        if self.limit_bytes < 1:
            raise BadInput(f"{self.limit_bytes} bytes for cuts", mend="Want 1 or more")
        try:
            found = [(entry.stat(), entry.name) for entry in os.scandir(self.folder) if _is_cut(entry)]
        except FileNotFoundError:
            return
        for stat, name in sorted(found, key=lambda one: one[0].st_mtime_ns):
            self._keep(name, stat.st_size)

    def get(self, name: str, make: Callable[[Path], object]) -> Future[Path]:
        """The file of that name, made by `make(path)` where it is not there; the future fails with what `make` raises.

        The future raises BadVideo when the source cannot be decoded, MediaBusy when the disk takes no more.

        Raises:
            MediaBusy: too many cuts are waiting.
        """
        done: Future[Path] = Future()
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
                done.set_result(self.folder / name)
                return done
            waiting = self._making.get(name)
            if waiting is not None:
                return waiting
            failed = self._failed.get(name)
            if failed is not None and self.clock() < failed[0] + FAILURE_KEPT_S:
                done.set_exception(failed[1])
                return done
            if len(self._making) >= MAX_WAITING:
                raise MediaBusy("too many clips are being cut", mend="Try again in a moment")
            waiting = self._threads.submit(self._make, name, make)
            self._making[name] = waiting
        waiting.add_done_callback(lambda _: self._making.pop(name, None))
        return waiting

    def has(self, name: str) -> bool:
        """Whether the file is there, or being made."""
        return name in self._sizes or name in self._making

    def forget(self, name: str) -> None:
        """Say that the file is gone after all."""
        with self._lock:
            self.num_bytes -= self._sizes.pop(name, 0)

    def close(self) -> None:
        """End the threads; what waits is given up."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _make(self, name: str, make: Callable[[Path], object]) -> Path:
        target = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            make(target)
            num_bytes = target.stat().st_size
        except OSError as error:
            raise MediaBusy(f"the clip cannot be kept ({error.strerror})", mend="Try again in a moment") from error
        except (BadVideo, BadInput) as error:
            # Whatever is wrong with the stretch or its file, the one who wants to see it can do nothing about it.
            failure = BadVideo(error.problem, where=error.where)
            with self._lock:
                self._failed[name] = (self.clock(), failure)
                while len(self._failed) > MAX_WAITING:
                    self._failed.popitem(last=False)
            raise failure from error
        with self._lock:
            self._keep(name, num_bytes)
        return target

    def _keep(self, name: str, num_bytes: int) -> None:
        # Files are dropped under the lock: one of the same name that is made anew would go with them.
        self.num_bytes += num_bytes - self._sizes.pop(name, 0)
        self._sizes[name] = num_bytes
        while self.num_bytes > self.limit_bytes and len(self._sizes) > 1:
            old, size = self._sizes.popitem(last=False)
            self.num_bytes -= size
            (self.folder / old).unlink(missing_ok=True)


def _is_cut(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and entry.name.endswith((".mp4", ".jpg", ".jpgs"))
