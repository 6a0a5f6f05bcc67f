"""Splits of fixed sizes: so many clips of each class for val and test, the rest for train between a least and a most.

Kinetics has 50 clips of a class in val, 100 in test and 250 to 1000 in train. A clip is counted once for each of its
classes. Groups (a video with all that shows the same footage) stay whole: a group that is larger than what a class
still lacks is put in and cut down, so that the counts come out and nothing of it is left for another split.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gesta.release.splits import NO_PINS, place_of, quotas
from gesta.schema import BadInput

TRAIN, VAL, TEST = "train", "val", "test"

OVER_COUNT = "over-count"
"""Why a clip is left out: its group is in val or test, where its classes have their number."""

OVER_MAXIMUM = "over-maximum"
"""Why a clip is left out: its classes have the most that train may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerClass:
    """How many clips of each class go where.

    Source: Kinetics-400, table 1: train 250-1000 (between the two), val 50, test 100 a class.
    """

    val: int
    test: int
    min_train: int = 1
    max_train: int | None = None

    def __post_init__(self) -> None:
        most = self.max_train if self.max_train is not None else self.min_train
        if min(self.val, self.test) < 0 or self.min_train < 1 or most < self.min_train:
            raise BadInput(
                f"{self.text} clips a class",
                mend="Want val and test of 0 or more, min-train of 1 or more, and max of min-train or more",
            )

    @property
    def least(self) -> int:
        """The fewest clips of a class that fill all three splits."""
        return self.val + self.test + self.min_train

    @property
    def text(self) -> str:
        """The rule as `parse_per_class` reads it."""
        most = "" if self.max_train is None else f",max={self.max_train}"
        return f"val={self.val},test={self.test},min-train={self.min_train}{most}"


def parse_per_class(text: str) -> PerClass:
    """The rule that a text like `val=50,test=100,min-train=250,max=1000` gives; min-train and max may be left out.

    Raises:
        BadInput: the text is none, or its numbers are (see `PerClass`).

    >>> parse_per_class("test=100,val=50,max=1000").least
    151
    """
    names = {"val": "val", "test": "test", "min-train": "min_train", "max": "max_train"}
    mend = "Write it like val=50,test=100,min-train=250,max=1000"
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name not in names or names[name] in found or not (number.isascii() and number.isdecimal()):
            raise BadInput(f"{part.strip()!r} is no count of a split", mend=mend)
        found[names[name]] = int(number)
    if not {"val", "test"} <= found.keys():
        raise BadInput(f"{text!r} does not say how many clips val and test get", mend=mend)
    return PerClass(
        val=found["val"], test=found["test"], min_train=found.get("min_train", 1), max_train=found.get("max_train")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A clip of a group: its classes, and whether an earlier version held it."""

    clip_id: str
    classes: frozenset[int]
    was_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The split of each clip that is in, and why each of the others is out."""

    split_of: Mapping[str, str]
    left_out: Mapping[str, str]


def counts_wanted(num_clips: int, rule: PerClass) -> dict[str, int]:
    """Clips of a class that each split wants (train: at least), from how many there are of it.

    A class that cannot fill all three splits is shared out in the rule's proportions (largest remainders).

    >>> rule = PerClass(val=50, test=100, min_train=250)
    >>> counts_wanted(700, rule), counts_wanted(40, rule)
    ({'train': 250, 'val': 50, 'test': 100}, {'train': 25, 'val': 5, 'test': 10})
    """
    if num_clips >= rule.least:
        return {TRAIN: rule.min_train, VAL: rule.val, TEST: rule.test}
    shares = (rule.min_train / rule.least, rule.val / rule.least, rule.test / rule.least)
    return dict(zip((TRAIN, VAL, TEST), quotas([num_clips], shares)[0], strict=True))


def assign_per_class(
    members_of: Mapping[str, Sequence[Member]], *, rule: PerClass, seed: int, pinned: Mapping[str, str] = NO_PINS
) -> Assigned:
    """The split of each clip by the rule.

    Clips of an earlier version stay in their split, above the rule's numbers too. Then test and val are filled class
    by class, the rarest first: from groups that exceed no class's number, in the order of a keyed hash of their name,
    and where those do not suffice from the others, unless train would lack them. What is left is train's, up to its
    most. So with one class a clip, val and test have exactly the numbers of `counts_wanted` where the groups of the
    class allow it; a clip of several classes may carry one of them above its number.

    Args:
        members_of: the clips of each group.
        rule: how many clips of each class go where.
        seed: of the order of groups.
        pinned: splits of groups that have one already; their new clips join them there or are left out.
    Source: ours.

    >>> groups = {name: [Member(clip_id=name, classes=frozenset({1}))] for name in "abcd"}
    >>> sorted(assign_per_class(groups, rule=PerClass(val=1, test=1), seed=0).split_of.items())
    [('a', 'val'), ('b', 'train'), ('c', 'train'), ('d', 'test')]
    """
    order = sorted(members_of, key=lambda group: place_of(group, seed=seed))
    num_clips = Counter(c for members in members_of.values() for member in members for c in member.classes)
    lacks = {class_id: counts_wanted(count, rule) for class_id, count in num_clips.items()}
    split_of: dict[str, str] = {}
    left_out: dict[str, str] = {}

    def put(members: Sequence[Member], split: str) -> None:
        """Put clips into val or test while one of their classes lacks them; those that were in are put in always."""
        for member in sorted(members, key=lambda member: place_of(member.clip_id, seed=seed)):
            if not member.was_in and all(lacks[c][split] <= 0 for c in member.classes):
                left_out[member.clip_id] = OVER_COUNT
                continue
            split_of[member.clip_id] = split
            for class_id in member.classes:
                lacks[class_id][split] -= 1

    # Those that were in count before any new clip of any group does.
    for was_in in (True, False):
        for group in order:
            if pinned.get(group) in (VAL, TEST):
                put([member for member in members_of[group] if member.was_in == was_in], pinned[group])
    free = [group for group in order if group not in pinned]
    for group in order:
        if pinned.get(group) == TRAIN:
            for member in members_of[group]:
                for class_id in member.classes:
                    lacks[class_id][TRAIN] -= 1
    taken = _fill(free, members_of, num_clips=num_clips, lacks=lacks, put=put)
    rest = [member for group in order if pinned.get(group) == TRAIN for member in members_of[group]]
    rest += [member for group in free if group not in taken for member in members_of[group]]
    _put_in_train(rest, rule=rule, seed=seed, split_of=split_of, left_out=left_out)
    return Assigned(split_of=split_of, left_out=left_out)


def _fill(
    free: Sequence[str],
    members_of: Mapping[str, Sequence[Member]],
    *,
    num_clips: Mapping[int, int],
    lacks: Mapping[int, Mapping[str, int]],
    put: Callable[[Sequence[Member], str], None],
) -> set[str]:
    """The groups that went to test and val."""
    clips_in = {group: Counter(c for member in members_of[group] for c in member.classes) for group in free}
    groups_with: dict[int, list[str]] = defaultdict(list)
    for group in free:
        for class_id in clips_in[group]:
            groups_with[class_id].append(group)
    at_hand: Counter[int] = Counter()
    for counts in clips_in.values():
        at_hand.update(counts)
    taken: set[str] = set()

    def take(group: str, split: str) -> None:
        put(members_of[group], split)
        taken.add(group)
        at_hand.subtract(clips_in[group])

    def is_spare(group: str) -> bool:
        """Whether train has enough of each class without the group."""
        return all(at_hand[c] - count >= lacks[c][TRAIN] for c, count in clips_in[group].items())

    def excess(group: str, split: str) -> int:
        return sum(max(count - max(lacks[c][split], 0), 0) for c, count in clips_in[group].items())

    for class_id in sorted(num_clips, key=lambda class_id: (num_clips[class_id], class_id)):
        for split in (TEST, VAL):
            others = []
            # What is lacked only shrinks, so a group that once exceeds it always will: one pass suffices.
            for group in groups_with[class_id]:
                if lacks[class_id][split] <= 0:
                    break
                if group in taken:
                    continue
                if excess(group, split):
                    others.append(group)
                    continue
                take(group, split)
            while lacks[class_id][split] > 0 and (others := [group for group in others if is_spare(group)]):
                # Of equals, `min` gives the first: the groups stand in the order of their keyed hashes.
                best = min(others, key=lambda group: excess(group, split))
                others.remove(best)
                take(best, split)
    return taken


def _put_in_train(
    rest: Sequence[Member], *, rule: PerClass, seed: int, split_of: dict[str, str], left_out: dict[str, str]
) -> None:
    """Put clips into train, those that were in first, while one of their classes is below its most."""
    most = math.inf if rule.max_train is None else rule.max_train
    holds: Counter[int] = Counter()
    for member in sorted(rest, key=lambda member: (not member.was_in, place_of(member.clip_id, seed=seed))):
        if not member.was_in and all(holds[class_id] >= most for class_id in member.classes):
            left_out[member.clip_id] = OVER_MAXIMUM
            continue
        split_of[member.clip_id] = TRAIN
        holds.update(member.classes)
