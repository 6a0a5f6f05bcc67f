"""What may be asked next, in memory: a queue for each class, so that a task costs the same however much is waiting.

Source: the idea is the "many caches" of the Kinetics-400 paper (3.3), one step further: the queues hold every open
item, and the leases are counted where they are given.
"""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

LOOKS_A_CLASS = 16
"""Begun items that are looked at before a fresh one is taken. Source: ours; at most four people have met an item."""


@dataclass(slots=True)
class ClassQueue:
    """The open items of one class: those that somebody has met, and those that nobody has."""

    fresh: array[int] = field(default_factory=lambda: array("I"))
    num_taken: int = 0
    begun: deque[int] = field(default_factory=deque)

    def is_empty(self) -> bool:
        """Whether nothing is left to look at."""
        return self.num_taken >= len(self.fresh) and not self.begun

    def take(self, is_free: Callable[[int], bool], has_met: Callable[[int], bool], drop: Callable[[int], None]) -> int:
        """An item that is free and that the worker has not met, begun ones first; 0 = there is none.

        Args:
            is_free: whether the item wants another answer.
            has_met: whether the worker holds or answered it.
            drop: called with each item that leaves the queue.
        """
        num_looks = len(self.begun)
        if self.num_taken < len(self.fresh):
            num_looks = min(num_looks, LOOKS_A_CLASS)
        for _ in range(num_looks):
            seq = self.begun.popleft()
            if not is_free(seq):
                drop(seq)
            elif has_met(seq):
                self.begun.append(seq)
            else:
                drop(seq)
                return seq
        while self.num_taken < len(self.fresh):
            seq = self.fresh[self.num_taken]
            self.num_taken += 1
            if is_free(seq) and has_met(seq):
                self.begun.append(seq)
                continue
            drop(seq)
            if is_free(seq):
                return seq
        return 0


@dataclass(slots=True)
class KindSupply:
    """The queues of one kind of item, by class, and which of them have something."""

    queues: dict[int, ClassQueue] = field(default_factory=dict)
    ready: list[int] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)
    num_added: int = 0
    """Counts up with every item that becomes available: who found nothing need not look again before it moves."""

    def add_fresh(self, class_key: int, seq: int) -> None:
        """Put an item that nobody has met at the end of its class."""
        self.queue_of(class_key).fresh.append(seq)
        self._mark(class_key)

    def add_begun(self, class_key: int, seq: int) -> None:
        """Put an item that somebody has met before the fresh ones of its class."""
        self.queue_of(class_key).begun.append(seq)
        self._mark(class_key)

    def queue_of(self, class_key: int) -> ClassQueue:
        """The queue of a class, made where there was none."""
        queue = self.queues.get(class_key)
        if queue is None:
            queue = self.queues[class_key] = ClassQueue()
        return queue

    def set_paused(self, class_keys: set[int]) -> None:
        """Hand out nothing of these classes from now on, and of all others again."""
        self.paused = class_keys
        for class_key in list(self.ready):
            if class_key in class_keys:
                self._unmark(class_key)
        for class_key, queue in self.queues.items():
            if not queue.is_empty():
                self._mark(class_key)

    def _mark(self, class_key: int) -> None:
        self.num_added += 1
        if class_key not in self.places and class_key not in self.paused:
            self.places[class_key] = len(self.ready)
            self.ready.append(class_key)

    def _unmark(self, class_key: int) -> None:
        place = self.places.pop(class_key)
        last = self.ready.pop()
        if last != class_key:
            self.ready[place] = last
            self.places[last] = place

    def take(
        self,
        num: int,
        *,
        rng: random.Random,
        is_free: Callable[[int], bool],
        has_met: Callable[[int], bool],
        drop: Callable[[int], None],
    ) -> list[int]:
        """At most `num` items, one of each class in turn, the classes in random order."""
        chosen: list[int] = []
        # A few more classes than wanted are drawn, since one may have nothing for this worker; all only where need be.
        is_sample = len(self.ready) > 4 * num
        order = rng.sample(self.ready, num + num // 4 + 2 if is_sample else len(self.ready))
        while order and len(chosen) < num:
            left = []
            for class_key in order:
                if len(chosen) == num:
                    break
                queue = self.queues[class_key]
                seq = queue.take(is_free, has_met, drop)
                if seq:
                    chosen.append(seq)
                    left.append(class_key)
                if queue.is_empty() and class_key in self.places:
                    self._unmark(class_key)
            order = left
            if is_sample and len(chosen) < num:
                is_sample = False
                order = rng.sample(self.ready, len(self.ready))
        return chosen
