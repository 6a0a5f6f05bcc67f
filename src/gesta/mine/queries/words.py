"""The words of a phrase that count: one spelling, elisions undone, articles and other stop words gone, accents kept.

Whoever searches titles must take the words of titles and of queries by the same function, or nothing meets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gesta.mine.titles import STOP_WORDS, words_of

STOP_WORDS_OF: Mapping[str, frozenset[str]] = {
    "en": STOP_WORDS,
    "fr": frozenset((
        "le", "la", "les", "l", "un", "une", "des", "du", "de", "d", "ce", "cet", "cette", "ces", "mon", "ma",
        "mes", "ton", "ta", "tes", "son", "sa", "ses", "notre", "nos", "votre", "vos", "leur", "leurs", "se", "s",
    )),
    "es": frozenset((
        "el", "la", "los", "las", "lo", "un", "una", "unos", "unas", "de", "del", "este", "esta", "estos", "estas",
        "ese", "esa", "esos", "esas", "mi", "mis", "tu", "tus", "su", "sus", "nuestro", "nuestra", "nuestros",
        "nuestras",
    )),
    "pt": frozenset((
        "o", "a", "os", "as", "um", "uma", "uns", "umas", "de", "do", "da", "dos", "das", "d", "este", "esta",
        "estes", "estas", "esse", "essa", "esses", "essas", "meu", "minha", "meus", "minhas", "teu", "tua", "teus",
        "tuas", "seu", "sua", "seus", "suas", "nosso", "nossa", "nossos", "nossas", "se",
    )),
}  # fmt: skip
"""Passed over in queries and in titles, by language: articles, possessives, demonstratives, and in the Romance
languages the preposition "de", which melts into the article (du, del, do).

Source: ours; the Kinetics-700-2020 paper, section 2, removes "stop words and articles" without listing them. Other
prepositions stay: they tell "sauter dans la piscine" from "sauter de la piscine"'s neighbours.
"""

_ELIDED = re.compile(r"(?<![^\W_])(?:l|d|j|m|t|s|n|c|qu|jusqu|lorsqu)'(?=\w)")
"""What loses its vowel before another in French (l'eau), and "d'água" in Portuguese."""

_ELIDING = ("fr", "pt")


def query_words(text: str, *, language: str) -> list[str]:
    """The words of a query or a title in that language, in one spelling, without stop words.

    A text of nothing but stop words keeps them. A language that has no list keeps all its words.

    >>> query_words("Comment faire une tresse à l’africaine !", language="fr")
    ['comment', 'faire', 'tresse', 'à', 'africaine']
    >>> query_words("Trenzar el pelo", language="es"), query_words("Braiding MY hair", language="en")
    (['trenzar', 'pelo'], ['braiding', 'hair'])
    """
    spelled = text.casefold().replace("\u2019", "'")
    if language in _ELIDING:
        spelled = _ELIDED.sub(lambda found: found.group()[:-1] + " ", spelled)
    words = words_of(spelled)
    stops = STOP_WORDS_OF.get(language, frozenset())
    return [word for word in words if word not in stops] or words
