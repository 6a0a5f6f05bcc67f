"""Which actions a title names: the action's words in a row, whatever their inflection, with small words between.

"How to wave your hands" names "waving hand", and "Running!" names "run". Words are compared by the sets of forms
that they may be an inflection of, so that no dictionary is needed and "hopping" does not meet "hope".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gesta.schema import LabelClass

STOP_WORDS = frozenset(
    ("a", "an", "the", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their", "some")
)
"""Passed over in titles and in names. Source: ours; the Kinetics-700-2020 paper, section 2, removes "stop words and
articles" from queries without listing them. Prepositions stay: "falling off chair" is not "falling chair"."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_POSSESSIVE = re.compile(r"(?:'s)+\Z")
_ASIDE = re.compile(r"\([^()]*\)")
_SHORT_SYLLABLE = re.compile(r"(?:qu|[^aeiouy])*[aeiouy][^aeiouywx]")
"""A verb of one syllable that ends in a single vowel and consonant: it doubles the consonant before -ing (run,
running), unless that is w, x or y. So what has not doubled it has lost an e (waving: wave, never wav)."""

_TAKES_ES = re.compile(r"(?:s|x|z|ch|sh|o)es\Z")
_PLURALS = {
    "children": "child", "feet": "foot", "geese": "goose", "halves": "half", "knives": "knife", "leaves": "leaf",
    "loaves": "loaf", "men": "man", "mice": "mouse", "people": "person", "scarves": "scarf", "shelves": "shelf",
    "teeth": "tooth", "wives": "wife", "women": "woman",
}  # fmt: skip


def words_of(text: str) -> list[str]:
    """The words of a text in one spelling: NFKC, case folded, without punctuation and possessive 's.

    >>> words_of("Massaging a PERSON’s head, #2")
    ['massaging', 'a', 'person', 'head', '2']
    """
    if text.isascii():
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("\u2019", "'")
    words = _WORD.findall(folded)
    return [_POSSESSIVE.sub("", word) for word in words] if "'" in folded else words


@lru_cache(maxsize=1 << 16)
def forms_of(word: str) -> frozenset[str]:
    """The word, and every word that it may be the gerund, the plural or the third person of.

    Two words are inflections of one when their sets meet. The sets hold words that do not exist too ("boxe"), which
    does no harm: they meet only the sets of other inflections of the same.

    Source: ours; the rules of English spelling for -ing and -s.

    >>> sorted(forms_of("waves")), sorted(forms_of("running"))
    (['wave', 'waves'], ['run', 'runn', 'running'])
    """
    singular = {word, *_before_s(word)}
    if word in _PLURALS:
        singular.add(_PLURALS[word])
    return frozenset(singular.union(*(_before_ing(form) for form in singular)))


def _before_s(word: str) -> Iterator[str]:
    if len(word) < 3 or not word.endswith("s") or word.endswith("ss"):
        return
    yield word[:-1]
    if word.endswith("ies"):
        yield word[:-3] + "y"
    if _TAKES_ES.search(word):
        yield word[:-2]
    if word.endswith("zzes"):
        yield word[:-3]


def _before_ing(word: str) -> Iterator[str]:
    rest = word[:-3]
    if not word.endswith("ing") or len(rest) < 2 or not re.search("[aeiouy]", rest):
        return
    if rest[-1] == rest[-2] and rest[-1] not in "aeiou":
        yield from (rest, rest[:-1])
    elif _SHORT_SYLLABLE.fullmatch(rest):
        yield rest + "e"
    else:
        yield from (rest, rest + "e")
        if rest.endswith("y") and len(rest) <= 3:
            yield rest[:-1] + "ie"


def phrases_of(name: str) -> list[tuple[str, ...]]:
    """The phrases any of which names the class: asides in brackets dropped, `/` and `or` taken as a choice.

    >>> phrases_of("bend/bow (at the waist)"), phrases_of("catching or throwing baseball")
    ([('bend',), ('bow',)], [('catching', 'baseball'), ('throwing', 'baseball')])
    """
    bare = _ASIDE.sub(" ", name)
    parts = [words_of(part) for part in (bare if words_of(bare) else name).split("/")]
    phrases = [tuple(_without_stop_words(phrase)) for part in parts for phrase in _choices(part)]
    return list(dict.fromkeys(phrase for phrase in phrases if phrase))


def _choices(words: list[str]) -> Iterator[list[str]]:
    middle = [i for i in range(1, len(words) - 1) if words[i] == "or"]
    if not middle:
        yield words
        return
    i = middle[0]
    yield from _choices(words[:i] + words[i + 2 :])
    yield from _choices(words[: i - 1] + words[i + 1 :])


def _without_stop_words(words: Iterable[str]) -> list[str]:
    listed = list(words)
    return [word for word in listed if word not in STOP_WORDS] or listed


@dataclass(frozen=True, slots=True)
class PhraseIndex:
    """The phrases of all classes by every form of their first word: class id, then the forms of each word."""

    by_first_form: Mapping[str, Sequence[tuple[int, tuple[frozenset[str], ...]]]]


def index_of_classes(classes: Iterable[LabelClass]) -> PhraseIndex:
    """The index that `classes_in` looks titles up in."""
    found: dict[str, list[tuple[int, tuple[frozenset[str], ...]]]] = {}
    for row in classes:
        for phrase in phrases_of(row.name):
            forms = tuple(forms_of(word) for word in phrase)
            for form in forms[0]:
                found.setdefault(form, []).append((row.class_id, forms))
    return PhraseIndex(found)


def classes_in(title: str, *, index: PhraseIndex) -> dict[int, str]:
    """The classes that a title names, by id in increasing order, each with the words that named it first.

    >>> index = index_of_classes([LabelClass(class_id=3, name="waving hand")])
    >>> classes_in("How to wave your hands", index=index)
    {3: 'wave your hands'}
    """
    words = words_of(title)
    places = [i for i, word in enumerate(words) if word not in STOP_WORDS]
    forms = [forms_of(words[i]) for i in places]
    found: dict[int, str] = {}
    for start, first in enumerate(forms):
        for form in first:
            for class_id, phrase in index.by_first_form.get(form, ()):
                here = forms[start : start + len(phrase)]
                if class_id not in found and len(here) == len(phrase) and _all_meet(here, phrase):
                    found[class_id] = " ".join(words[places[start] : places[start + len(phrase) - 1] + 1])
    return dict(sorted(found.items()))


def _all_meet(some: Sequence[frozenset[str]], others: Sequence[frozenset[str]]) -> bool:
    return all(not one.isdisjoint(other) for one, other in zip(some, others, strict=True))
