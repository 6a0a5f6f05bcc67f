"""Names of actions with their verbs in -ing, and back: "ride a bike" and "riding a bike".

Kinetics found more and better candidates with gerunds: people look for "brushing hair", not for "man brushed hair".
Which word of a name is the verb is looked up in `verbs.csv`, a list of ours; how it is spelt is by rule.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from gesta.schema import UnknownName

Form = Literal["ing", "infinitive"]
FORMS: tuple[Form, ...] = ("ing", "infinitive")

_KEEPS_E = re.compile(r"(?:[eoy]e|inge|ynge)\Z")
"""Endings before -ing that keep their e: seeing, canoeing, dyeing, singeing."""

_ENDS_SHORT = re.compile(r"(?:qu|[^aeiouy])*(?:[aeiou]|y)[^aeiouywx]\Z")
"""A verb of one syllable with a single vowel and consonant at its end doubles the consonant: run, running."""

_DOUBLING = frozenset(
    ("admit", "begin", "bobsled", "commit", "forget", "handicap", "input", "kidnap", "occur", "prefer", "rappel",
     "refer", "reset", "submit", "transfer", "unplug", "unwrap", "unzip", "upset")
)  # fmt: skip
"""Verbs of more than one syllable that double their consonant, as the stress is on the last (or as is usual)."""

_FIXED = frozenset(
    ("breast stroke", "butterfly stroke", "clean and jerk", "front crawl", "front raises",
     "hammer throw", "head stand", "high jump", "high kick", "hockey stop",
     "javelin throw", "long jump", "lunge", "marriage proposal", "pillow fight", "pole vault", "pull up", "pull ups",
     "push up", "push ups", "rope pushdown", "shoot dance", "shot put", "side kick", "sit up", "sit ups", "ski ballet",
     "squat", "triple jump", "vault")
)  # fmt: skip
"""Names of exercises and events that end in no -ing. Source: those among the class names of Kinetics-400 to -700 with a
word that is a verb elsewhere, plurals of the exercises, and strokes of swimming."""

_DOUBLE_VERBS = frozenset(
    (("blow", "dry"), ("break", "dance"), ("drop", "kick"), ("fly", "tie"), ("hand", "wash"), ("spray", "paint"),
     ("steer", "rope"), ("swing", "dance"), ("tap", "dance"), ("tie", "dye"), ("belly", "dance"))
)  # fmt: skip
"""Verbs of two words, of which the second takes the -ing."""

_NO_GERUNDS = frozenset(
    ("bring", "ceiling", "cling", "clothing", "evening", "everything", "fling", "morning", "nothing", "sling",
     "something", "spring", "sting", "string", "swing", "thing", "wedding")
)  # fmt: skip
"""Words in -ing that are the verb of no name: nouns, and infinitives."""

_OBJECTS = frozenset(
    ("bag", "bike", "book", "box", "bread", "button", "comb", "dock", "film", "hair", "hammer", "hand",
     "head", "iron", "knot", "lock", "milk", "nail", "plane", "plant", "play", "rope", "saw", "screw", "sword", "table",
     "tie", "trap", "wall", "water", "wax", "weight")
)  # fmt: skip
"""Words that are verbs at the head of a name, and at its end what something is done to ("punch bag", "tie knot")."""

_ASIDE = re.compile(r"\([^()]*\)")
_PIECE = re.compile(r"\([^()]*\)|/|[^\s/()]+|\s+|[()]")


@dataclass(frozen=True, slots=True)
class _Verb:
    is_light: bool
    is_noun: bool


@cache
def _verbs() -> dict[str, _Verb]:
    text = files(__package__).joinpath("verbs.csv").read_text(encoding="utf-8")
    return {
        row["infinitive"]: _Verb(row["is_light"] == "true", row["is_noun"] == "true")
        for row in csv.DictReader(text.splitlines())
    }


@cache
def _infinitives() -> dict[str, str]:
    return {gerund_of(verb): verb for verb in _verbs()}


def is_light_verb(word: str) -> bool:
    """Whether the word is a verb, in either form, that says little without an object ("play", "cutting").

    >>> is_light_verb("playing"), is_light_verb("juggling")
    (True, False)
    """
    verb = _verbs().get(infinitive_of(word) or word)
    return verb is not None and verb.is_light


def gerund_of(verb: str) -> str:
    """The -ing form of an infinitive, by the rules of English spelling.

    Source: ours; consonants of unstressed syllables are single, as in American English and in Kinetics' names.

    >>> [gerund_of(verb) for verb in ("ride", "run", "tie", "dye", "open", "play", "panic")]
    ['riding', 'running', 'tying', 'dyeing', 'opening', 'playing', 'panicking']
    """
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and verb != "be" and not _KEEPS_E.search(verb):
        return verb[:-1] + "ing"
    if verb.endswith("ic"):
        return verb + "king"
    if verb in _DOUBLING or _ENDS_SHORT.fullmatch(verb):
        return verb + verb[-1] + "ing"
    return verb + "ing"


def infinitive_of(gerund: str) -> str | None:
    """The infinitive of a gerund of a verb that is known; None of any other word.

    >>> infinitive_of("skiing"), infinitive_of("something"), infinitive_of("ride")
    ('ski', None, None)
    """
    return _infinitives().get(gerund)


def named_in_form(name: str, *, form: Form) -> str:
    """The name with its verbs in -ing or as infinitives; unchanged where no verb is known in it.

    Raises:
        UnknownName: there is no such form.

    >>> named_in_form("guitar playing", form="infinitive")
    'guitar play'
    """
    if form not in FORMS:
        raise UnknownName(what="form of names", name=form, choices=FORMS)
    return to_ing(name) if form == "ing" else to_infinitive(name)


def to_ing(name: str) -> str:
    """The name with its verb in -ing; unchanged where it has one already, or where no verb is known in it.

    Alternatives (`/` and `or`) are changed alike; what stands in brackets is left alone.

    >>> to_ing("bend/bow (at the waist)"), to_ing("ride a bike"), to_ing("hand wave"), to_ing("high jump")
    ('bending/bowing (at the waist)', 'riding a bike', 'hand waving', 'high jump')
    """
    return _changed(name, to_gerunds=True)


def to_infinitive(name: str) -> str:
    """The name with its gerund as an infinitive in the same place; unchanged where no gerund is known in it.

    >>> to_infinitive("canoeing or kayaking"), to_infinitive("putting on sari"), to_infinitive("yoga")
    ('canoe or kayak', 'put on sari', 'yoga')
    """
    return _changed(name, to_gerunds=False)


def has_known_form(name: str) -> bool:
    """Whether the name has a gerund, or is one of those that have none by custom.

    >>> has_known_form("riding a bike"), has_known_form("high jump"), has_known_form("ride a bike")
    (True, True, False)
    """
    bare = _ASIDE.sub(" ", name).casefold().split()
    return " ".join(bare) in _FIXED or any(_is_gerund(word) for part in bare for word in part.split("/"))


def _changed(name: str, *, to_gerunds: bool) -> str:
    pieces = _PIECE.findall(name)
    places = [i for i, piece in enumerate(pieces) if not piece.isspace() and piece[0] not in "()/"]
    if " ".join(pieces[i].casefold() for i in places) in _FIXED:
        return name
    groups: list[list[int]] = [[]]
    for i, piece in enumerate(pieces):
        if piece == "/":
            groups.append([])
        elif i in places:
            groups[-1].append(i)
    change = _gerund_places if to_gerunds else _infinitive_places
    for group in groups:
        words = [pieces[i].casefold() for i in group]
        for at, word in change(words).items():
            pieces[group[at]] = word
    return "".join(pieces)


def _is_gerund(word: str) -> bool:
    if word in _NO_GERUNDS:
        return False
    return infinitive_of(word) is not None or (word.endswith("ing") and len(word) > 4)


def _gerund_places(words: list[str]) -> dict[int, str]:
    """Which words become which, so that the alternatives of one phrase end in -ing."""
    if not words or any(_is_gerund(word) for word in words):
        return {}
    verbs = _verbs()
    if tuple(words[:2]) in _DOUBLE_VERBS:
        return {1: gerund_of(words[1])}
    last = len(words) - 1
    is_compound = last > 0 and words[last] in verbs and words[last] not in _OBJECTS
    gives_way = is_compound and words[0] in verbs and verbs[words[0]].is_noun
    if words[0] not in verbs or gives_way:
        return {last: gerund_of(words[last])} if is_compound else {}
    return _with_alternatives(words, gerund_of, is_verb=lambda word: word in verbs)


def _infinitive_places(words: list[str]) -> dict[int, str]:
    at = next((i for i, word in enumerate(words) if infinitive_of(word) is not None), None)
    if at is None:
        return {}
    changed = _with_alternatives(words[at:], lambda word: infinitive_of(word) or word, is_verb=_is_known_gerund)
    return {at + i: word for i, word in changed.items()}


def _is_known_gerund(word: str) -> bool:
    return infinitive_of(word) is not None


def _with_alternatives(
    words: list[str], change: Callable[[str], str], *, is_verb: Callable[[str], bool]
) -> dict[int, str]:
    """The first word changed, and each verb that stands behind an `or` or `and`."""
    places = [0, *(i for i in range(2, len(words)) if words[i - 1] in ("or", "and") and is_verb(words[i]))]
    return {i: change(words[i]) for i in places}
