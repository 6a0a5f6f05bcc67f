"""Classes that overlap without being one, families of classes, and names that are too general to label by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gesta.mine.actions.gerunds import infinitive_of, is_light_verb
from gesta.mine.actions.keys import stem_of, stems_of, without_asides
from gesta.mine.actions.lists import Action, ActionList
from gesta.mine.actions.names import SMALL_WORDS
from gesta.mine.titles import phrases_of, words_of

Kind = Literal["alternative", "aside", "inside"]
SharedBy = Literal["verb", "object"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """The class `narrow` lies in the class `wide`, or may: `alternative`, `aside` or `inside` says how it was seen.

    `alternative`: the wide one is a choice ("canoeing or kayaking") of which the narrow one is a branch. `aside`: both
    are equal but for what stands in brackets. `inside`: the narrow one has all words of the wide one and more.
    """

    kind: Kind
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Classes with one verb and different objects, or with one object and different verbs."""

    shared_by: SharedBy
    word: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class General:
    """A class whose name says little: the classes whose names hold all its words, and whether it is a bare verb."""

    name: str
    is_bare_verb: bool
    held_by: tuple[str, ...]


_EXCEPTION = re.compile(r"\(not\b[^()]*\)", re.IGNORECASE)
"""An aside that says what the class is not: "opening bottle (not wine)"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """A name's stems without exceptions, without any aside, those of exceptions, of each branch, and after its verb."""

    action: Action
    stems: Counter[str]
    bare: Counter[str]
    excepted: frozenset[str]
    branches: tuple[frozenset[str], ...]
    objects: frozenset[str]


def _words_of_list(actions: ActionList) -> list[_Words]:
    found = []
    for action in actions.actions:
        phrases = phrases_of(action.name)
        words = words_of(_EXCEPTION.sub(" ", action.name))
        verb_at = next((i for i, word in enumerate(words) if infinitive_of(word) is not None), len(words))
        behind = {stem_of(word) for word in words[verb_at + 1 :] if infinitive_of(word) is None}
        found.append(
            _Words(
                action=action,
                stems=Counter(stems_of(_EXCEPTION.sub(" ", action.name))),
                bare=Counter(stems_of(without_asides(action.name))),
                excepted=frozenset(stem for text in _EXCEPTION.findall(action.name) for stem in stems_of(text[5:-1])),
                branches=tuple(frozenset(map(stem_of, phrase)) for phrase in phrases) if len(phrases) > 1 else (),
                objects=frozenset(behind - {stem_of(word) for word in words[: verb_at + 1]}),
            )
        )
    return found


def overlaps_in(actions: ActionList) -> list[Overlap]:
    """Every pair of classes of which one lies in the other by their names, once, in the list's order.

    A pair may be in order: "swimming backstroke" beside "swimming" is for a person to decide. Of several ways to see a
    pair the first of alternative, aside, inside is told. Classes that exclude each other in so many words, such as
    "opening bottle (not wine)" and "opening wine bottle", are no pair; nor is a verb and its noun ("bottling" and
    "flipping bottle").

    Raises:
        MissingExtra: snowballstemmer is not installed.

    >>> from gesta.mine.actions.lists import action_list
    >>> names = ["canoeing or kayaking", "kayaking", "fencing (sport)", "fencing", "swimming", "swimming backstroke"]
    >>> [(row.kind, row.wide, row.narrow) for row in overlaps_in(action_list("a", enumerate(names)))]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('alternative', 'canoeing or kayaking', 'kayaking'), ('aside', 'fencing', 'fencing (sport)'),
     ('inside', 'swimming', 'swimming backstroke')]
    """
    rows = _words_of_list(actions)
    by_stem: dict[str, set[int]] = {}
    for place, row in enumerate(rows):
        for stem in row.stems:
            by_stem.setdefault(stem, set()).add(place)
    found: dict[tuple[int, int], Overlap] = {}
    for place, row in enumerate(rows):
        for other in sorted(set().union(*(by_stem[stem] for stem in row.stems)) - {place}):
            kind = _kind_of(wide=row, narrow=rows[other])
            if kind is not None and (other, place) not in found:
                found[place, other] = Overlap(kind=kind, wide=row.action.name, narrow=rows[other].action.name)
    return [found[pair] for pair in sorted(found)]


def _kind_of(*, wide: _Words, narrow: _Words) -> Kind | None:
    if wide.excepted & set(narrow.stems):
        return None
    if frozenset(narrow.stems) in wide.branches:
        return "alternative"
    if wide.bare == narrow.bare and wide.stems != narrow.stems:
        # The one without an aside is the wider; of two with asides neither is.
        return "aside" if wide.stems <= narrow.stems else None
    if narrow.branches or not wide.stems < narrow.stems:
        return None
    is_noun_there = len(wide.stems) == 1 and wide.objects.isdisjoint(wide.stems) and set(wide.stems) <= narrow.objects
    is_verb_here = infinitive_of(words_of(wide.action.name)[0]) is not None
    return None if is_noun_there and is_verb_here else "inside"


def families_in(actions: ActionList, *, min_classes: int = 2) -> list[Family]:
    """Classes that share a verb, then classes that share an object, the largest families first.

    The verb is the first word of the name that is one; the object is all the other words but small ones.

    Raises:
        MissingExtra: snowballstemmer is not installed.
    Source: Kinetics-400 paper, figure 1: "same verb different objects" and "same object different verbs".

    >>> from gesta.mine.actions.lists import action_list
    >>> names = ["playing violin", "playing trumpet", "dribbling basketball", "dunking basketball"]
    >>> [(row.shared_by, row.word, row.names) for row in families_in(action_list("a", enumerate(names)))]
    ... # doctest: +NORMALIZE_WHITESPACE
    [('verb', 'playing', ('playing violin', 'playing trumpet')),
     ('object', 'basketball', ('dribbling basketball', 'dunking basketball'))]
    """
    by_verb: dict[str, list[tuple[str, str]]] = {}
    by_object: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for action in actions.actions:
        parts = verb_and_object(action.name)
        if parts is not None:
            verb, rest = parts
            by_verb.setdefault(stem_of(verb), []).append((verb, action.name))
            if rest:
                by_object.setdefault(tuple(map(stem_of, rest)), []).append((" ".join(rest), action.name))
    verbs = _families(list(by_verb.values()), shared_by="verb", min_classes=min_classes)
    return [*verbs, *_families(list(by_object.values()), shared_by="object", min_classes=min_classes)]


def _families(
    groups: Sequence[Sequence[tuple[str, str]]], *, shared_by: SharedBy, min_classes: int
) -> Iterator[Family]:
    for group in sorted(groups, key=lambda group: (-len(group), group[0][0])):
        if len(group) >= min_classes:
            yield Family(shared_by=shared_by, word=group[0][0], names=tuple(name for _, name in group))


def verb_and_object(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The name's first verb in -ing, and its other words but small ones; None where it has no such verb.

    >>> verb_and_object("catching or throwing baseball"), verb_and_object("rock climbing"), verb_and_object("yoga")
    (('catching', ('throwing', 'baseball')), ('climbing', ('rock',)), None)
    """
    words = words_of(without_asides(name))
    at = next((i for i, word in enumerate(words) if infinitive_of(word) is not None), None)
    if at is None:
        return None
    return words[at], tuple(word for i, word in enumerate(words) if i != at and word not in SMALL_WORDS)


def general_names(actions: ActionList, *, min_holders: int = 2) -> list[General]:
    """Classes too general by their names: a bare verb that says little, or words that several other classes hold.

    Args:
        min_holders: classes that hold all words of the name, and more, from which on it is too general.
    Raises:
        MissingExtra: snowballstemmer is not installed.
    Source: Kinetics-400 paper, sections 3.3 and 3.4: 'riding' gave more noise than 'riding mule'; 'talking' co-occurs
        with many others. The list of verbs and the number of holders are ours.

    >>> from gesta.mine.actions.lists import action_list
    >>> names = ["riding", "riding mule", "riding camel", "abseiling"]
    >>> [(row.name, row.is_bare_verb, row.held_by) for row in general_names(action_list("a", enumerate(names)))]
    [('riding', True, ('riding mule', 'riding camel'))]
    """
    holders: dict[str, list[str]] = {}
    for overlap in overlaps_in(actions):
        if overlap.kind == "inside":
            holders.setdefault(overlap.wide, []).append(overlap.narrow)
    found = []
    for action in actions.actions:
        phrases = phrases_of(action.name)
        is_bare = "(" not in action.name and all(len(words) == 1 and is_light_verb(words[0]) for words in phrases)
        held_by = tuple(holders.get(action.name, ()))
        if is_bare or len(held_by) >= min_holders:
            found.append(General(name=action.name, is_bare_verb=is_bare, held_by=held_by))
    return sorted(found, key=lambda row: -len(row.held_by))
