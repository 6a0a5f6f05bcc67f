"""Splits: every video, with all that shows the same footage, in one part; every class spread over the parts."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from gesta.schema import BadInput

SPLITS = ("train", "val", "test")
"""The parts of a release, in the order of `fractions`."""

NO_PINS: Mapping[str, str] = MappingProxyType({})
"""No group has a split yet: a first version."""

MIN_GROUPS = 3
"""A class with at least as many groups is put into train and into test. Source: ours; with two, one video would be
all that is trained on or all that is scored."""


def groups_of_videos(videos: Iterable[str], same: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of each video: the least id among the videos that are joined to it by pairs of `same`.

    Args:
        videos: the ids to group.
        same: pairs of videos that share footage; ids that are not in `videos` still join others.

    >>> groups_of_videos(["a", "c", "d"], [("a", "b"), ("b", "c")])
    {'a': 'a', 'c': 'a', 'd': 'd'}
    """
    wanted = sorted(set(videos))
    parent: dict[str, str] = {video: video for video in wanted}

    def root(video: str) -> str:
        while parent.setdefault(video, video) != video:
            parent[video] = parent[parent[video]]
            video = parent[video]
        return video

    for one, other in same:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    members: dict[str, list[str]] = defaultdict(list)
    for video in wanted:
        members[root(video)].append(video)
    return {video: members[root(video)][0] for video in wanted}


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    """The shares of train, val and test.

    Raises:
        BadInput: they are not three, one is negative, train is not above 0, or they do not sum to 1.
    """
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise BadInput(
            f"fractions {' '.join(map(str, fractions))}",
            mend="Want three numbers, for train, val and test, none negative, train above 0, that sum to 1",
        )
    return (float(fractions[0]), float(fractions[1]), float(fractions[2]))


def quotas(num_groups: Sequence[int], fractions: Sequence[float]) -> list[list[int]]:
    """How many groups of each class go to train, val and test, from the number of groups of each class.

    Largest remainders, train first on ties; what one class is short of is carried to the next, so that classes too
    small to fill every split fill them together. Train gets at least 1 of each class; with at least `MIN_GROUPS`
    groups, test gets at least 1 too (where its fraction is not 0).

    Source: ours; largest remainders is Hamilton's method of apportionment.

    >>> quotas([10, 3, 1], (0.7, 0.1, 0.2)), quotas([5, 5], (0.7, 0.1, 0.2))
    ([[7, 1, 2], [2, 0, 1], [1, 0, 0]], [[4, 0, 1], [3, 1, 1]])
    """
    carried = [0.0, 0.0, 0.0]
    rows = []
    for count in num_groups:
        exact = [count * fraction + carry for fraction, carry in zip(fractions, carried, strict=True)]
        row = [max(int(part + 1e-9), 0) for part in exact]
        while sum(row) != count:
            step = 1 if sum(row) < count else -1
            # Rounded, since 0.7 * 10 - 7 is not 0 in floating point and must not win over a real remainder.
            gaps = [round(step * (exact[s] - row[s]), 9) if row[s] + step >= 0 else -math.inf for s in range(3)]
            row[gaps.index(max(gaps))] += step
        for split in [0] if count < MIN_GROUPS or not fractions[2] else [0, 2]:
            if count and not row[split]:
                row[row.index(max(row))] -= 1
                row[split] += 1
        carried = [part - got for part, got in zip(exact, row, strict=True)]
        rows.append(row)
    return rows


def assign_splits(
    classes_of_group: Mapping[str, frozenset[int]],
    *,
    fractions: Sequence[float],
    seed: int,
    pinned: Mapping[str, str] = NO_PINS,
) -> dict[str, str]:
    """The split of each group, by group in alphabetical order: train, val or test.

    Classes with the fewest unassigned groups are served first, each group going to the split that still lacks the
    class most; then groups are moved for classes of at least `MIN_GROUPS` groups that are absent from train or test
    and can get there without another class's loss. The order among equals is that of a keyed hash of the group's
    name, so the splits depend neither on the order of rows nor on anything but names, classes, pins and seed.

    Args:
        classes_of_group: the classes that each group's clips show.
        fractions: shares of train, val and test.
        seed: of the order among equals.
        pinned: splits of groups that have one already; they keep it and count towards what their classes want.
    Raises:
        BadInput: see `check_fractions`.
    Source: Sechidis et al., On the Stratification of Multi-Label Data (2011), algorithm 1 (iterative
        stratification); the integer quotas and the repair are ours.

    >>> assign_splits({name: frozenset({1}) for name in "abc"}, fractions=(0.7, 0.1, 0.2), seed=0)
    {'a': 'train', 'b': 'test', 'c': 'train'}
    """
    shares = check_fractions(fractions)
    order = sorted(classes_of_group, key=lambda group: place_of(group, seed=seed))
    num_groups = Counter(class_id for classes in classes_of_group.values() for class_id in classes)
    ids = sorted(num_groups)
    lacks = dict(zip(ids, quotas([num_groups[class_id] for class_id in ids], shares), strict=True))
    room = quotas([len(order)], shares)[0]
    groups_with: dict[int, list[str]] = defaultdict(list)
    for group in order:
        for class_id in classes_of_group[group]:
            groups_with[class_id].append(group)
    split_of = {group: SPLITS.index(split) for group, split in pinned.items() if group in classes_of_group}
    left = dict(num_groups)
    for group, split in split_of.items():
        room[split] -= 1
        for class_id in classes_of_group[group]:
            lacks[class_id][split] -= 1
            left[class_id] -= 1
    left = {class_id: count for class_id, count in left.items() if count > 0}
    while left:
        rarest = min(left, key=lambda class_id: (left[class_id], class_id))
        for group in groups_with[rarest]:
            if group in split_of:
                continue
            split = max(range(3), key=lambda s: (lacks[rarest][s], shares[s] > 0, room[s], -s))
            split_of[group] = split
            room[split] -= 1
            for class_id in classes_of_group[group]:
                lacks[class_id][split] -= 1
                left[class_id] -= 1
        left = {class_id: count for class_id, count in left.items() if count > 0}
    for group in order:
        split_of.setdefault(group, 0)
    free = {c: [group for group in groups if group not in pinned] for c, groups in groups_with.items()}
    _repair(split_of, free, classes_of_group, shares)
    return {group: SPLITS[split_of[group]] for group in sorted(split_of)}


def place_of(name: str, *, seed: int) -> str:
    """Where a name stands in the order of chance: a keyed hash, so that it stands there whatever else there is.

    >>> sorted("abc", key=lambda name: place_of(name, seed=0))
    ['a', 'c', 'b']
    """
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _repair(
    split_of: dict[str, int],
    groups_with: Mapping[int, Sequence[str]],
    classes_of_group: Mapping[str, frozenset[int]],
    shares: Sequence[float],
) -> None:
    """Move groups into train and test for the classes that lack one of them, while that helps more than it harms.

    Only the groups of `groups_with` are moved.
    """
    needed = [split for split in (0, 2) if shares[split] > 0]
    holds: Counter[tuple[int, int]] = Counter()
    total: Counter[int] = Counter()
    for group, classes in classes_of_group.items():
        for class_id in classes:
            holds[class_id, split_of[group]] += 1
            total[class_id] += 1

    def lacking(group: str, target: int) -> int:
        """Classes of the group that would gain their first in `target`, less those that would lose their last."""
        source, gain = split_of[group], 0
        for class_id in classes_of_group[group]:
            if total[class_id] >= MIN_GROUPS:
                gain += target in needed and not holds[class_id, target]
                gain -= source in needed and holds[class_id, source] == 1
        return gain

    for class_id in sorted(total):
        for target in needed:
            if total[class_id] < MIN_GROUPS or holds[class_id, target] or not groups_with[class_id]:
                continue
            # Of equals, `max` gives the first: the groups of a class stand in the order of their keyed hashes.
            best = max(groups_with[class_id], key=lambda group: lacking(group, target))
            if lacking(best, target) <= 0:
                continue
            for other in classes_of_group[best]:
                holds[other, split_of[best]] -= 1
                holds[other, target] += 1
            split_of[best] = target


def classes_without(
    classes_of_group: Mapping[str, frozenset[int]], split_of: Mapping[str, str], *, split: str
) -> list[int]:
    """The classes of at least `MIN_GROUPS` groups that a split does not hold, in order of id."""
    total = Counter(class_id for classes in classes_of_group.values() for class_id in classes)
    there = {c for group, classes in classes_of_group.items() if split_of[group] == split for c in classes}
    return sorted(class_id for class_id, count in total.items() if count >= MIN_GROUPS and class_id not in there)
