"""Titles that a benchmark searches: made from the phrases that they are searched for and from words of no meaning.

How often words occur falls as 1/rank, as in any language. A third of the titles hold a phrase of some class, half of
these with a small word in it or in capitals; one in twenty holds its words in another order. Nothing is downloaded.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gesta.mine.queries.make import queries_of
from gesta.mine.queries.table import shipped_table
from gesta.schema import LabelClass, Query
from gesta.tables import whole_file

ROWS_AT_ONCE = 100_000
NUM_MADE_WORDS = 400_000
SYLLABLES = (
    "ba", "ke", "mi", "lo", "tu", "ra", "sen", "dor", "fil", "gan", "hé", "ño", "ção", "va", "we", "xi", "yo", "zu",
    "pra", "cla", "tri", "ste", "mon", "ver", "al", "is", "our", "et",
)  # fmt: skip
SMALL = {
    "en": ("the", "a", "my", "your"), "fr": ("le", "la", "les", "de"), "es": ("el", "la", "los", "tu"),
    "pt": ("o", "a", "os", "seu"),
}  # fmt: skip
COMMON = (
    "how", "to", "in", "with", "best", "official", "video", "2019", "hd", "of", "and", "part", "1", "new", "como", "en",
    "avec", "pour", "para", "con", "com", "em", "tutorial", "live", "full", "vlog", "day", "compilation", "top", "10",
)  # fmt: skip


def queries_of_classes(num_classes: int) -> list[Query]:
    """The queries of so many classes in four languages: those of the shipped table, then mixtures of two of them.

    A mixture takes the first word of one class's phrases and the other words of another's, in every language.
    """
    names = sorted(shipped_table().phrases)
    classes = [LabelClass(class_id=i, name=name) for i, name in enumerate(names[:num_classes], start=1)]
    queries = queries_of(classes)
    by_class: dict[int, dict[str, list[str]]] = {}
    for query in queries:
        by_class.setdefault(query.class_id, {}).setdefault(query.language, []).append(query.query)
    rng = np.random.default_rng(7)
    for class_id in range(len(classes) + 1, num_classes + 1):
        verb, thing = (by_class[int(i)] for i in rng.choice(len(classes), 2, replace=False) + 1)
        for language in verb:
            mixed = [
                " ".join([one.split()[0], *other.split()[1:]])
                for one, other in zip(verb[language], thing.get(language, ()), strict=False)
            ]
            queries += [
                Query(class_id=class_id, language=language, query=text, form="synonym", source="user")
                for text in dict.fromkeys(mixed)
            ]
    return queries


def _made_words(rng: np.random.Generator) -> list[str]:
    parts = rng.integers(0, len(SYLLABLES), (NUM_MADE_WORDS, 4))
    lengths = rng.integers(1, 5, NUM_MADE_WORDS)
    made = {
        "".join(SYLLABLES[part] for part in row[:length])
        for row, length in zip(parts.tolist(), lengths.tolist(), strict=True)
    }
    return sorted(made)


def write_titles(path: Path, queries: Sequence[Query], *, num_rows: int, seed: int = 0) -> None:
    """A csv file of that many videos: id, title, language, duration."""
    rng = np.random.default_rng(seed)
    of_queries = sorted({word for query in queries for word in query.query.split()})
    small = [word for words in SMALL.values() for word in words]
    words = np.array([*small, *COMMON, *rng.permutation([*of_queries, *_made_words(rng)])], dtype=object)
    odds = np.cumsum(1 / (np.arange(len(words)) + 3))
    odds /= odds[-1]
    # A few classes are popular, most are rare.
    popularity = np.cumsum(1 / (rng.permutation(len(queries)) + 10))
    popularity /= popularity[-1]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["video_id", "title", "language", "duration"])
        for first in range(0, num_rows, ROWS_AT_ONCE):
            size = min(ROWS_AT_ONCE, num_rows - first)
            lengths = rng.integers(3, 11, size)
            filling = words[np.searchsorted(odds, rng.random(lengths.sum()))].tolist()
            chosen = np.searchsorted(popularity, rng.random(size)).tolist()
            way, ids, seconds = (
                rng.random(size).tolist(),
                rng.integers(0, 26, size).tolist(),
                rng.integers(5, 3600, size),
            )
            rows, at = [], 0
            for i, length in enumerate(lengths.tolist()):
                title = filling[at : at + length]
                at += length
                query = queries[chosen[i]]
                if way[i] < 0.38:
                    title.insert(length // 2, _planted(query, way[i]))
                rows.append((f"{first + i:09d}{chr(97 + ids[i])}-", " ".join(title), query.language, seconds[i]))
            writer.writerows(rows)


def _planted(query: Query, way: float) -> str:
    phrase = query.query.split()
    if way < 0.05:
        return " ".join(reversed(phrase))
    if way < 0.17 and query.language in SMALL:
        return " ".join([phrase[0], SMALL[query.language][int(way * 1000) % 4], *phrase[1:]])
    return query.query.title() if way < 0.22 else query.query
