"""The labelled boxes of every key-frame as the official program holds them, in compiled loops.

That program keeps a key-frame's rows in a bounded heap of (score, class, y1, x1, y2, x2) and then sorts the heap's
array by score. Which rows survive, and how equal scores are ordered, is therefore defined by the heap itself; the
loops here are that heap. Rows may come in any number of calls: what is held between them is bounded by `cap`.

Shapes: N rows pushed, F key-frames, K rows held. An entry has seven numbers: score, class index, y1, x1, y2, x2, row.

Source: activitynet/ActivityNet, `get_ava_performance.py`, `read_csv`; CPython's `heapq` for how its array moves.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

Order = Literal["heap", "score", "file"]
"""How a key-frame's rows come to claim boxes: the heap's array by score, file order by score, or file order."""

NUM_THREADS = 2
"""Threads of the loops. Source: ours; each has its own range of key-frames, so they never touch one row."""

NUM_PARTS = 7
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """Labelled boxes as arrays, in file order; [N] each, corners [N, 4] as x1 y1 x2 y2.

    `frame_N` numbers the scored key-frames, -1 for others; `class_N` indexes the classes that count, -1 for others.
    """

    frame_N: Codes
    class_N: Codes
    corners_N4: Floats
    score_N: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heaps:
    """What is held: of key-frame f the `num_F[f]` entries from `start_F[f]` on; `first_F[f]` is its first row.

    `first_F` counts rows over all calls; `NEVER` where the key-frame has none.
    """

    num_pushed: int
    start_F: Ints
    num_F: Ints
    first_F: Ints
    entries_K7: Floats


def empty_heaps(num_frames: int, *, room: int = 0) -> Heaps:
    """Heaps of so many key-frames that hold nothing, with room for that many entries in each.

    What needs more is moved when it comes; with room for all, rows pushed in many calls are never moved.
    """
    return Heaps(
        num_pushed=0, start_F=np.arange(num_frames + 1, dtype=np.int64) * room, num_F=np.zeros(num_frames, np.int64),
        first_F=np.full(num_frames, NEVER, np.int64), entries_K7=np.empty((num_frames * room, NUM_PARTS)),
    )  # fmt: skip


def pushed(heaps: Heaps, boxes: Boxes, *, cap: int, order: Order) -> Heaps:
    """The heaps once every row of `boxes` [N] was pushed in its order; `heaps` itself is used up.

    Args:
        heaps: from earlier rows of the same file, with the same `cap` and `order`.
        boxes: further rows.
        cap: entries a key-frame at most, the highest scores; 0 keeps all. Only the heap's order bounds.
        order: how entries are arranged; "score" and "file" keep them in file order.
    """
    num_frames = len(heaps.num_F)
    room_F = heaps.num_F.copy()
    in_threads(lambda low, high: _count(boxes.frame_N, boxes.class_N, room_F, low, high), num_frames)
    bound = cap if order == "heap" else 0
    if bound:
        np.minimum(room_F, bound, out=room_F)
    has_room = bool((room_F <= np.diff(heaps.start_F)).all())
    start_F, entries_K7 = heaps.start_F, heaps.entries_K7
    if not has_room:
        start_F = np.concatenate([[0], np.cumsum(room_F)])
        entries_K7 = np.empty((int(start_F[-1]), NUM_PARTS))
    is_heap = 1 if order == "heap" else 0

    def work(low: int, high: int) -> None:
        if not has_room:
            _move(heaps.entries_K7, heaps.start_F, heaps.num_F, entries_K7, start_F, low, high)
        _push(
            boxes.frame_N, boxes.class_N, boxes.corners_N4, boxes.score_N, heaps.num_pushed, bound, is_heap, entries_K7,
            start_F, heaps.num_F, heaps.first_F, low, high,
        )  # fmt: skip

    in_threads(work, num_frames)
    return Heaps(
        num_pushed=heaps.num_pushed + len(boxes.frame_N), start_F=start_F, num_F=heaps.num_F, first_F=heaps.first_F,
        entries_K7=entries_K7,
    )  # fmt: skip


def in_threads(work: Callable[[int, int], None], num_items: int) -> None:
    """Nothing; `work(low, high)` was called for ranges that make up 0 .. num_items, each in a thread."""
    edges = [num_items * part // NUM_THREADS for part in range(NUM_THREADS + 1)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for _ in pool.map(work, edges[:-1], edges[1:]):
            pass


@numba.njit(cache=True, nogil=True)
def _count(frame_N: Codes, class_N: Codes, counts_F: Ints, low: int, high: int) -> None:
    for i in range(len(frame_N)):
        if low <= frame_N[i] < high and class_N[i] >= 0:
            counts_F[frame_N[i]] += 1


@numba.njit(cache=True, nogil=True)
def _move(
    old_K7: Floats, old_start_F: Ints, num_F: Ints, new_K7: Floats, new_start_F: Ints, low: int, high: int
) -> None:
    for f in range(low, high):
        for i in range(num_F[f]):
            _copy(old_K7, old_start_F[f] + i, new_K7, new_start_F[f] + i)


@numba.njit(cache=True, nogil=True)
def _copy(source_K7: Floats, source: int, target_K7: Floats, target: int) -> None:
    for part in range(NUM_PARTS):
        target_K7[target, part] = source_K7[source, part]


@numba.njit(cache=True, nogil=True)
def _is_less(a_K7: Floats, a: int, b_K7: Floats, b: int) -> bool:
    """Whether tuple a comes before tuple b; the row number, the seventh part, does not count."""
    for part in range(NUM_PARTS - 1):
        if a_K7[a, part] != b_K7[b, part]:
            return a_K7[a, part] < b_K7[b, part]
    return False


# An array that is cut, or handed to a function with a loop in it, is counted, and the threads' counts wait for each
# other. So rows are named by their number, and the heap's two ways stand in one function.


@numba.njit(cache=True, nogil=True)
def _push(
    frame_N: Codes, class_N: Codes, corners_N4: Floats, score_N: Floats, num_before: int, cap: int, is_heap: int,
    entries_K7: Floats, start_F: Ints, num_F: Ints, first_F: Ints, low: int, high: int,
) -> None:  # fmt: skip
    """Push the rows of key-frames low .. high as `heapq.heappush` and, where one is full, `heapq.heapreplace` do."""
    item_17 = np.empty((1, NUM_PARTS))
    for i in range(len(frame_N)):
        f = frame_N[i]
        if f < low or f >= high or class_N[i] < 0:
            continue
        if first_F[f] == NEVER:
            first_F[f] = num_before + i
        start, num = start_F[f], num_F[f]
        is_full = cap > 0 and num == cap
        if is_full and not score_N[i] > entries_K7[start, 0]:
            continue
        item_17[0, 0], item_17[0, 1] = score_N[i], class_N[i]
        item_17[0, 2], item_17[0, 3] = corners_N4[i, 1], corners_N4[i, 0]
        item_17[0, 4], item_17[0, 5] = corners_N4[i, 3], corners_N4[i, 2]
        item_17[0, 6] = num_before + i
        at = num
        if is_full:
            # The smallest leaves: its hole goes down to a leaf, always to the smaller child.
            at, child = 0, 1
            while child < num:
                right = child + 1
                if right < num and not _is_less(entries_K7, start + child, entries_K7, start + right):
                    child = right
                _copy(entries_K7, start + child, entries_K7, start + at)
                at = child
                child = 2 * at + 1
        else:
            num_F[f] = num + 1
        # From the hole the item goes up to where it belongs.
        while is_heap and at > 0:
            parent = (at - 1) >> 1
            if not _is_less(item_17, 0, entries_K7, start + parent):
                break
            _copy(entries_K7, start + parent, entries_K7, start + at)
            at = parent
        _copy(item_17, 0, entries_K7, start + at)
