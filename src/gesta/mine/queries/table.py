"""Tables of phrases by class name and language: the one that is shipped, and a user's own, with the same reader.

A file has one line a class: its name, then a column a language, whose cell holds phrases between semicolons. The first
is an infinitive ("trenzar el pelo"), the second a gerund, in French the noun of the action ("tressage de cheveux"), the
rest are synonyms; `-` stands for a form that nobody uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from gesta.formats.delimited import read_text
from gesta.mine.actions.csv_rows import csv_rows_of
from gesta.mine.queries.words import query_words
from gesta.mine.titles import forms_of, phrases_of, words_of
from gesta.schema import QUERY_FORMS, BadRow

_FORMS_BY_PLACE = ("infinitive", "gerund")
_NONE = "-"
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One phrase of a table, as it was written, articles and all; what form it is and who wrote it."""

    text: str
    form: str
    source: str


@dataclass(frozen=True, slots=True)
class QueryTable:
    """Phrases by the class's key (`name_key`), then by language."""

    phrases: Mapping[str, Mapping[str, Sequence[Phrase]]]
    names_by_words: Mapping[tuple[str, ...], frozenset[str]]
    """Which keys an English name, infinitive or gerund belongs to, by its words without inflection."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that any class has phrases in, in alphabetical order."""
        return tuple(sorted({language for by_language in self.phrases.values() for language in by_language}))


def name_key(name: str) -> str:
    """The name as tables know it: its words in one spelling, asides kept; "BrushTeeth" and "brush_teeth" are one.

    >>> name_key("Clean_and-Jerk"), name_key("BabyCrawling"), name_key("watch (e.g., TV)")
    ('clean and jerk', 'baby crawling', 'watch e g tv')
    """
    return " ".join(words_of(spaced(name)))


def spaced(name: str) -> str:
    """The name with spaces where others put underscores or capitals.

    >>> spaced("BabyCrawling"), spaced("brush_hair"), spaced("passing American football (in game)")
    ('Baby Crawling', 'brush hair', 'passing American football (in game)')
    """
    return (name if re.search(r"\s", name) else _CAMEL.sub(" ", name)).replace("_", " ")


def plain_words(text: str) -> tuple[str, ...]:
    """The words of an English phrase, each the shortest of its forms, so that inflections of one phrase agree.

    >>> plain_words("braiding the hair") == plain_words("braid hair")
    True
    """
    words = query_words(text, language="en")
    return tuple(min(forms_of(word), key=lambda form: (len(form), form)) for word in words)


def table_of(rows: Iterable[tuple[str, str, Phrase]]) -> QueryTable:
    """The table of rows (class name, language, phrase), in the order given."""
    phrases: dict[str, dict[str, list[Phrase]]] = {}
    names: dict[tuple[str, ...], set[str]] = {}
    for name, language, phrase in rows:
        key = name_key(name)
        phrases.setdefault(key, {}).setdefault(language, []).append(phrase)
        if language == "en" and phrase.form in _FORMS_BY_PLACE:
            names.setdefault(plain_words(phrase.text), set()).add(key)
        for words in phrases_of(name):
            names.setdefault(plain_words(" ".join(words)), set()).add(key)
    return QueryTable(phrases, {words: frozenset(keys) for words, keys in names.items()})


@cache
def shipped_table() -> QueryTable:
    """The phrases that come with gesta: every class that the seeds or Kinetics-700 name, in four languages.

    Source: ours, written by hand for this; names of classes from AVA v2.2, AVA-Kinetics, Kinetics-400, Kinetics-700
        and Kinetics-700-2020.
    """
    folder = files("gesta.mine.queries").joinpath("phrases")
    rows: list[tuple[str, str, Phrase]] = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".csv"):
            rows += _rows(file.read_text(encoding="utf-8"), path=Path(file.name), source="table")
    return table_of(rows)


def read_query_table(path: Path) -> QueryTable:
    """A user's own phrases, from a csv with `name` and a column a language, or with `name,language,query[,form]`.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: the header is neither of the two, a row has another number of cells, no name or no words, or its form
            is not one of the four.
    """
    return table_of(_rows(read_text(path), path=path, source="user"))


def joined_tables(own: QueryTable, other: QueryTable) -> QueryTable:
    """Both tables as one; of a class and a language that both hold, `own` counts alone.

    >>> one = table_of([("yoga", "en", Phrase(text="do yoga", form="infinitive", source="user"))])
    >>> [phrase.text for phrase in joined_tables(one, shipped_table()).phrases["yoga"]["en"]]
    ['do yoga']
    """
    keys = dict.fromkeys((*own.phrases, *other.phrases))
    phrases = {key: {**other.phrases.get(key, {}), **own.phrases.get(key, {})} for key in keys}
    words = dict.fromkeys((*own.names_by_words, *other.names_by_words))
    none: frozenset[str] = frozenset()
    names = {key: own.names_by_words.get(key, none) | other.names_by_words.get(key, none) for key in words}
    return QueryTable(phrases, names)


def phrases_for(name: str, *, table: QueryTable) -> Mapping[str, Sequence[Phrase]]:
    """The table's phrases of a class, by language; found by its name, by an inflection of it, or by another form.

    Of two names that are inflections of one another ("brush teeth", "brushing teeth") the first is taken. A form that
    several classes share finds none, nor does a synonym: "double dutch" is not all of "skipping rope".

    >>> [phrase.text for phrase in phrases_for("brush_teeth", table=shipped_table())["es"]][0]
    'cepillarse los dientes'
    """
    key = name_key(name)
    if key in table.phrases:
        return table.phrases[key]
    none: frozenset[str] = frozenset()
    asked = [plain_words(" ".join(words)) for words in phrases_of(spaced(name))]
    found = [table.names_by_words.get(words, none) for words in asked]
    keys = frozenset().union(*found)
    named = sorted(other for other in keys if plain_words(other) in asked)
    if named:
        return table.phrases[named[0]]
    return table.phrases[next(iter(keys))] if len(keys) == 1 and all(found) else {}


def _rows(text: str, *, path: Path, source: str) -> Iterator[tuple[str, str, Phrase]]:
    lines = csv_rows_of(text, path=path)
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    is_long = {"name", "language", "query"} <= set(header)
    languages = [cell for cell in header if cell != "name"]
    if "name" not in header or not languages or (not is_long and not all(map(_is_language, languages))):
        raise BadRow(
            f"columns {', '.join(header) or 'none'}", path=path, line=1,
            mend="Want name and a column a language (en, fr, ...), or name, language, query and form",
        )  # fmt: skip
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise BadRow(
                f"{len(cells)} cells, want {len(header)}", path=path, line=line, mend="Quote a comma inside a cell"
            )
        row = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
        if not words_of(row["name"]):
            raise BadRow("no class name", path=path, line=line, mend="Name the class, or drop the line")
        listed = _long_row(row) if is_long else _wide_row(row, languages=languages)
        for language, words, form in listed:
            if form not in QUERY_FORMS:
                raise BadRow(
                    f"{form!r} is no form of a query", path=path, line=line, mend=f"Want {', '.join(QUERY_FORMS)}"
                )
            if not words_of(words):
                raise BadRow(
                    f"a phrase in {language!r} has no words", path=path, line=line,
                    mend="Write it, put - for a form that nobody uses, or leave the whole cell empty",
                )  # fmt: skip
            yield row["name"], language, Phrase(text=words, form=form, source=source)


def _is_language(cell: str) -> bool:
    return re.fullmatch(r"[a-z]{2,3}(?:-[A-Za-z]{2,4})?", cell) is not None


def _long_row(row: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    yield row["language"], row["query"], row.get("form") or "synonym"


def _wide_row(row: Mapping[str, str], *, languages: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for language in languages:
        parts = [part.strip() for part in row[language].split(";")] if row[language] else []
        for place, part in enumerate(parts):
            if part != _NONE:
                yield language, part, _FORMS_BY_PLACE[place] if place < len(_FORMS_BY_PLACE) else "synonym"
