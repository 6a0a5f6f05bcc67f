"""What a class name comes down to, so that two names of one action can be told to be so, and by which rule.

Keys, from the strictest: the letters of the name; the stems of its words; the stems in any order; and the stems after
synonyms are exchanged. Two names with an equal key mean one action by that rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, Literal

from gesta.mine.actions.names import readable_name
from gesta.mine.actions.synonyms import SynonymTable
from gesta.mine.titles import STOP_WORDS, words_of
from gesta.schema import MissingExtra

Rule = Literal["spelling", "inflection", "order", "synonym"]
RULES: tuple[Rule, ...] = ("spelling", "inflection", "order", "synonym")
"""From the strictest; a pair of names is found by the first that holds."""

_EXAMPLES = re.compile(r"\((?:e\.\s?g\.|for example|such as)[^()]*\)", re.IGNORECASE)
"""What an aside of examples says is no part of the action: "watch (e.g., TV)"."""

_ASIDE = re.compile(r"\([^()]*\)")
_ODD_STEMS = {
    "teeth": "tooth", "feet": "foot", "men": "man", "women": "woman", "people": "person", "children": "child",
    "mice": "mouse", "geese": "goose", "knives": "knife", "leaves": "leaf", "loaves": "loaf", "shelves": "shelf",
    "wives": "wife", "scarves": "scarf", "halves": "half", "dying": "dye", "clothes": "cloth",
}  # fmt: skip
"""Plurals that no stemmer of endings undoes; and "dying", which in Kinetics' names is what is done to hair."""


@cache
def _stemmer() -> Any:
    try:
        snowballstemmer = import_module("snowballstemmer")
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="mine", module="snowballstemmer") from error
    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=1 << 14)
def stem_of(word: str) -> str:
    """The stem of an English word, by Porter's second algorithm, and of odd plurals by a short list.

    Raises:
        MissingExtra: snowballstemmer is not installed.

    >>> stem_of("riding"), stem_of("teeth"), stem_of("skis")
    ('ride', 'tooth', 'ski')
    """
    stemmed: str = _stemmer().stemWord(_ODD_STEMS.get(word, word))
    return stemmed


def stems_of(name: str) -> tuple[str, ...]:
    """The stems of a name's words in their order, articles and examples left out.

    >>> stems_of("watch (e.g., TV)"), stems_of("playing the guitar"), stems_of("brush_hair")
    (('watch',), ('play', 'guitar'), ('brush', 'hair'))
    """
    words = words_of(_EXAMPLES.sub(" ", readable_name(name)))
    kept = [word for word in words if word not in STOP_WORDS] or words
    return tuple(stem_of(word) for word in kept)


def without_asides(name: str) -> str:
    """The name without what stands in brackets; the name itself where nothing else is in it.

    >>> without_asides("punching person (boxing)"), without_asides("(boxing)")
    ('punching person', '(boxing)')
    """
    bare = " ".join(_ASIDE.sub(" ", name).split())
    return bare or name


@dataclass(frozen=True, slots=True, eq=False)
class SynonymKeys:
    """Synonyms as stems: `words` are exchanged in any name, `names` are whole names; made by `synonym_keys`.

    Two are never equal, so that what is found by one can be remembered.
    """

    words: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    names: dict[tuple[str, ...], tuple[str, ...]]


@lru_cache(maxsize=8)
def synonym_keys(table: SynonymTable) -> SynonymKeys:
    """The table as stems, the longest phrases first; rows of whole names are followed to the last name of a chain.

    >>> from gesta.mine.actions.synonyms import shipped_synonyms
    >>> keys = synonym_keys(shipped_synonyms())
    >>> key_of("riding motorbike", rule="synonym", synonyms=keys)
    ('motorcycl',)
    >>> key_of("motorcycling", rule="synonym", synonyms=keys)
    ('motorcycl',)
    """
    words = [(stems_of(row.other), stems_of(row.kept)) for row in table.rows if row.matches == "words"]
    words = sorted((pair for pair in words if pair[0] != pair[1]), key=lambda pair: -len(pair[0]))
    alone = SynonymKeys(tuple(words), {})
    parent: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in table.rows:
        if row.matches == "name":
            kept, other = (_root(_exchanged(stems_of(name), alone), parent) for name in (row.kept, row.other))
            if kept != other:
                parent[other] = kept
    return SynonymKeys(tuple(words), {name: _root(name, parent) for name in parent})


def _root(name: tuple[str, ...], parent: dict[tuple[str, ...], tuple[str, ...]]) -> tuple[str, ...]:
    while name in parent:
        name = parent[name]
    return name


def _exchanged(stems: Sequence[str], synonyms: SynonymKeys) -> tuple[str, ...]:
    """The stems in alphabetical order, each phrase of `words` that they hold exchanged once."""
    left = Counter(stems)
    for other, kept in synonyms.words:
        wanted = Counter(other)
        if wanted <= left and not _holds_more(other, kept, left):
            left = left - wanted + Counter(kept)
    return tuple(sorted(left.elements()))


def _holds_more(other: tuple[str, ...], kept: tuple[str, ...], left: Counter[str]) -> bool:
    """Whether `other` is part of `kept` and `kept` is there already: "phone" in "cell phone"."""
    return set(other) < set(kept) and Counter(kept) <= left


@lru_cache(maxsize=1 << 15)
def key_of(name: str, *, rule: Rule, synonyms: SynonymKeys) -> tuple[str, ...]:
    """What the name comes down to by that rule; names with equal keys mean one action by it.

    Raises:
        MissingExtra: snowballstemmer is not installed.

    >>> none = SynonymKeys((), {})
    >>> key_of("SkyDiving", rule="spelling", synonyms=none), key_of("guitar playing", rule="order", synonyms=none)
    (('skydiving',), ('guitar', 'play'))
    """
    if rule == "spelling":
        return ("".join(words_of(_EXAMPLES.sub(" ", readable_name(name)))),)
    stems = stems_of(name)
    if rule == "inflection":
        return ("".join(stems),)
    if rule == "order":
        return tuple(sorted(stems))
    key = _exchanged(stems, synonyms)
    return synonyms.names.get(key, key)
