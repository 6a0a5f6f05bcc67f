"""Infinitives and gerunds of phrases that no table holds: by a kept library of inflection, checked both ways.

English names are inflected by `gesta.mine.actions`, which knows their verbs; here is what it does not know.

A rule speaks only where the library knows the words that it makes; where it does not, there is no query rather than
a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gesta.schema import MissingExtra

_ODD_INFINITIVES: Mapping[str, str] = {"singing": "sing", "dying": "die", "barbequing": "barbeque"}
"""English infinitives that simplemma 1.1 does not give ("singe" for "singing"). Source: ours."""

_GERUND_ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "es": (("ar", "ando"), ("eír", "iendo"), ("er", "iendo"), ("er", "yendo"), ("ir", "iendo"), ("ir", "yendo")),
    "pt": (("ar", "ando"), ("er", "endo"), ("ir", "indo"), ("por", "pondo"), ("pôr", "pondo")),
}
"""How infinitives end, and their gerunds; of two, the one that the library takes back to the infinitive.

Source: the regular conjugations of Spanish and Portuguese.
"""

_STEM_CHANGES = (("e", "i"), ("o", "u"))
"""Vowels that Spanish verbs in -ir change before -iendo (pedir: pidiendo; dormir: durmiendo)."""

_INFINITIVES: Mapping[str, str] = {"fr": r"\w+(?:er|ir|re|oir)", "es": r"\w+[aeií]r", "pt": r"\w+(?:[aei]r|por|pôr)"}
"""What an infinitive looks like. Source: the conjugations of the three languages."""


def _simplemma() -> Any:
    try:
        import simplemma
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="mine", module="simplemma") from error
    return simplemma


@lru_cache(maxsize=1 << 14)
def lemma_of(word: str, *, language: str) -> str:
    """The dictionary form of a word, by simplemma; the word itself where the library does not know it.

    Raises:
        MissingExtra: simplemma is not installed.

    >>> lemma_of("riding", language="en"), lemma_of("haciendo", language="es"), lemma_of("tressant", language="fr")
    ('ride', 'hacer', 'tresser')
    """
    if language == "en" and word in _ODD_INFINITIVES:
        return _ODD_INFINITIVES[word]
    return str(_simplemma().lemmatize(word, lang=language))


@lru_cache(maxsize=1 << 14)
def gerund_of(verb: str, *, language: str) -> str | None:
    """The gerund of a Spanish or Portuguese infinitive; None of other words, and where no checked form is found.

    Raises:
        MissingExtra: simplemma is not installed.

    >>> gerund_of("dormir", language="es"), gerund_of("pôr", language="pt"), gerund_of("nager", language="fr")
    ('durmiendo', 'pondo', None)
    """
    for ending, gerund in _GERUND_ENDINGS.get(language, ()):
        if not verb.endswith(ending):
            continue
        stem = verb[: -len(ending)]
        changes = [_last_vowel_changed(stem, old, new) for old, new in _STEM_CHANGES]
        for changed in (stem, *filter(None, changes)):
            if lemma_of(changed + gerund, language=language) == verb:
                return changed + gerund
    return None


def _last_vowel_changed(stem: str, old: str, new: str) -> str:
    head, found, tail = stem.rpartition(old)
    return head + new + tail if found and not re.search("[aeiou]", tail) else ""


def infinitive_phrase(words: tuple[str, ...], *, language: str) -> tuple[str, ...] | None:
    """The phrase with its verb as an infinitive; None where its verb is not found, or is one already.

    The verb is the first word, and in English, where that is no gerund, the last ("belly dancing").

    Raises:
        MissingExtra: simplemma is not installed.

    >>> infinitive_phrase(("shelling", "peas"), language="en"), infinitive_phrase(("belly", "dancing"), language="en")
    (('shell', 'peas'), ('belly', 'dance'))
    >>> infinitive_phrase(("pelando", "gambas"), language="es")
    ('pelar', 'gambas')
    """
    places = dict.fromkeys((0, len(words) - 1)) if language == "en" else (0,)
    for i in places:
        lemma = lemma_of(words[i], language=language)
        if _is_gerund(words[i], language=language) and lemma != words[i]:
            return (*words[:i], lemma, *words[i + 1 :])
    return None


def gerund_phrase(words: tuple[str, ...], *, language: str) -> tuple[str, ...] | None:
    """The phrase with its first word as a gerund; None where that is no infinitive, or has no checked gerund.

    Raises:
        MissingExtra: simplemma is not installed.

    >>> gerund_phrase(("pelar", "gambas"), language="es")
    ('pelando', 'gambas')
    """
    if not is_infinitive(words[0], language=language):
        return None
    gerund = gerund_of(words[0], language=language)
    return None if gerund is None else (gerund, *words[1:])


def is_infinitive(word: str, *, language: str) -> bool:
    """Whether a French, Spanish or Portuguese word looks like an infinitive and is its own dictionary form.

    Raises:
        MissingExtra: simplemma is not installed.

    >>> is_infinitive("nadar", language="es"), is_infinitive("mar", language="en")
    (True, False)
    """
    pattern = _INFINITIVES.get(language)
    if pattern is None or not re.fullmatch(pattern, word):
        return False
    return lemma_of(word, language=language) == word


def _is_gerund(word: str, *, language: str) -> bool:
    ending = {"en": "ing", "fr": "ant", "es": "ndo", "pt": "ndo"}.get(language)
    return ending is not None and word.endswith(ending)
