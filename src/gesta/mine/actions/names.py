"""Class names as people read them: `ApplyEyeMakeup`, `brush_hair` and `Playing ten pins` in small words with blanks."""

from __future__ import annotations

import re

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TITLE = re.compile(r"[A-Z][a-z0-9]+(?:['-][A-Za-z][a-z]*)*\Z")
SMALL_WORDS = frozenset(
    (
        "a",
        "an",
        "and",
        "at",
        "for",
        "from",
        "in",
        "into",
        "of",
        "off",
        "on",
        "or",
        "out",
        "over",
        "the",
        "to",
        "up",
        "with",
    )
)
"""Articles, conjunctions and prepositions: small letters in titles, and no object of a verb. Source: ours."""


def readable_name(text: str) -> str:
    """The name with blanks between its words, and in small letters where capitals only begin words.

    Only a name without blanks is cut at its capitals or underscores. A capital stays where it says something: in
    "TV", or in "American" behind a small word.

    >>> [readable_name(text) for text in ("ApplyEyeMakeup", "brush_hair", "Playing ten pins", "WatchTV")]
    ['apply eye makeup', 'brush hair', 'playing ten pins', 'watch TV']
    >>> readable_name("passing American football (in game)")
    'passing American football (in game)'
    """
    words = " ".join(text.split())
    if " " not in words:
        words = " ".join(_HUMP.sub(" ", words.replace("_", " ")).split())
    listed = words.split(" ")
    if not _TITLE.match(listed[0]) and not (len(listed[0]) == 1 and len(listed) > 1):
        return words
    if all(_TITLE.match(word) or word in SMALL_WORDS for word in listed):
        return words.lower()
    return " ".join((listed[0].lower(), *listed[1:])) if _TITLE.match(listed[0]) else words
