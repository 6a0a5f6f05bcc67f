"""When a word of a text is a form of a word of a query, by language, and which words of a text stand in a row.

English follows the title matcher to the letter: two words meet when they may be inflections of one. Other languages
meet by their stems, with or without accents, since titles often leave these out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache

from gesta.mine.queries.words import STOP_WORDS_OF, query_words
from gesta.mine.titles import forms_of, phrases_of
from gesta.schema import MissingExtra

STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali",
    "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
"""Snowball's stemmer of each language by its ISO 639-1 code. Source: snowballstemmer 3.1, `algorithms()`."""

STOPPING = tuple(sorted(STOP_WORDS_OF))
"""Languages whose small words are passed over."""

_ELIDED = re.compile(r"\b(?:l|d|j|m|t|s|n|c|qu|jusqu|lorsqu)'(?=\w)")
_ELIDING = ("fr", "pt")
_NONE: frozenset[str] = frozenset()
_CHANGED_LETTERS = {"es": 1, "fr": 2, "pt": 1}
"""Letters at the end of a stem that need not be the word's, at most."""

_ACCENT = re.compile("[\u0300-\u036f]")
_N_TILDE = re.compile("n\u0303")


def word_forms(word: str, *, language: str) -> frozenset[str]:
    """What a word may be a form of: two words of one language are forms of one word when their sets meet.

    English: `gesta.mine.forms_of`. A language with a stemmer: the stem of the word without accents, and that of the
    word without the stem's, so that "natação" meets "nataçoes" and "natacao". Any other: the word without accents.

    Raises:
        MissingExtra: the language has a stemmer, and snowballstemmer is not installed.
    Source: ours; Kinetics-700-2020 paper, section 2, queries in four languages by gerund and infinitive.

    >>> word_forms("trenzando", language="es") & word_forms("trenzar", language="es")
    frozenset({'trenz'})
    """
    if language == "en":
        return forms_of(word)
    return _kept_stems(word, language)


@lru_cache(maxsize=1 << 18)
def _kept_stems(word: str, language: str) -> frozenset[str]:
    return _stems(word, language)


def all_forms(word: str, *, language: str) -> frozenset[str]:
    """`word_forms` without keeping any, for a pass over more words than can be kept.

    Raises:
        MissingExtra: as `word_forms`.
    """
    return forms_of.__wrapped__(word) if language == "en" else _stems(word, language)


def could_have_form(forms: Collection[str], *, language: str) -> Callable[[str], bool]:
    """Whether a word could have one of the forms, told from its beginning; False is sure, and a tenth of the work.

    Args:
        forms: as `word_forms` gives them for words of that language.
    Source: ours; Snowball's stemmers of French, Spanish and Portuguese take endings off and put others there (French
        -ication: -iqu), so a stem but for its last letters begins the word. A law in the tests holds them to it.

    >>> could = could_have_form({"trenz"}, language="es")
    >>> could("trenzando"), could("trepar")
    (True, False)
    """
    if language not in _CHANGED_LETTERS:
        return lambda word: True
    trunks = {form[: max(0, len(form) - _CHANGED_LETTERS[language])] for form in forms}
    lengths = sorted({len(trunk) for trunk in trunks})

    def could(word: str) -> bool:
        bare = without_accents(word, language=language)
        # The French stemmer undoes elisions, so that a stem begins after the apostrophe.
        return "'" in bare or any(bare[:length] in trunks for length in lengths)

    return could


def _stems(word: str, language: str) -> frozenset[str]:
    bare = without_accents(word, language=language)
    if language not in STEMMERS:
        return frozenset((bare,))
    stem = _stemmer(language)
    found = {stem(bare)}
    if bare != word:
        found.add(without_accents(stem(word), language=language))
    return frozenset(found)


@cache
def _stemmer(language: str) -> Callable[[str], str]:
    try:
        import snowballstemmer
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="mine", module="snowballstemmer") from error
    stem: Callable[[str], str] = snowballstemmer.stemmer(STEMMERS[language]).stemWord
    return stem


def without_accents(word: str, *, language: str) -> str:
    """The word with accents off its letters and ligatures undone; in Spanish ñ stays, being a letter of its own.

    >>> without_accents("crêpe", language="fr"), without_accents("cœur", language="fr")
    ('crepe', 'coeur')
    >>> without_accents("niñó", language="es"), without_accents("manhã", language="pt")
    ('niño', 'manha')
    """
    if word.isascii():
        return word
    apart = unicodedata.normalize("NFD", word)
    if language == "es":
        apart = _N_TILDE.sub("ñ", apart)
    return unicodedata.normalize("NFC", _ACCENT.sub("", apart)).replace("œ", "oe").replace("æ", "ae")


def word_parts(word: str, *, language: str) -> tuple[str, ...]:
    """What a word of a text is in that language: itself, its parts about an elision, or nothing if it is a small word.

    >>> word_parts("l'escalade", language="fr"), word_parts("l'escalade", language="en")
    (('escalade',), ("l'escalade",))
    """
    return tuple(running_words((word,), language=language))


def running_words(words: Sequence[str], *, language: str) -> list[str]:
    """The words of a text as a query of that language meets them: small words gone, elisions undone.

    Args:
        words: as `gesta.mine.words_of` gives them.

    >>> running_words(["wave", "the", "hands"], language="en")
    ['wave', 'hands']
    """
    stops = STOP_WORDS_OF.get(language, _NONE)
    if language in _ELIDING and "'" in "".join(words):
        words = _ELIDED.sub(_apart, " ".join(words)).split()
    return [word for word in words if word not in stops]


def _apart(found: re.Match[str]) -> str:
    return found.group()[:-1] + " "


def query_phrases(query: str, *, language: str) -> list[tuple[str, ...]]:
    """The phrases any of which a query asks for: several for English with a choice in it, else one.

    A query of nothing but small words has none, as no text can hold them.

    >>> query_phrases("bend/bow (at the waist)", language="en"), query_phrases("de la", language="fr")
    ([('bend',), ('bow',)], [])
    """
    found = phrases_of(query) if language == "en" else [tuple(query_words(query, language=language))]
    return [phrase for phrase in found if phrase and tuple(running_words(phrase, language=language)) == phrase]
