"""The shipped phrases: every class of the seeds, four languages, nothing empty or twice, nothing shared unsaid."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import polars as pl
import pytest

from gesta.formats import read_label_map
from gesta.formats.ava_classes import ava_label_map
from gesta.formats.papers import paper_table, paper_tables
from gesta.mine.queries import LANGUAGES, STOP_WORDS_OF, name_key, phrases_for, queries_of, query_words, shipped_table
from gesta.schema import LabelClass, Query

_PACKAGE = files("gesta.mine.queries")
_LETTERS = {"en": "éïœ", "fr": "àâçèéêëîïôûùœ", "es": "áéíñóúü", "pt": "áàâãçéêíóôõúü"}
"""Letters beyond a to z that the words of each language may hold."""

_VERBS = {
    "fr": r"(?:se |s'|tout )?\w+(?:er|ir|re|oir)\b",
    "es": r"(?:bebé )?(?:\w+[aeií]r|ir)(?:se|le)?\b",
    "pt": r"(?:bebê )?(?:\w+(?:[aei]r|por)|pôr)\b",
}
_NO_INFINITIVE = {("fr", "baby waking up"), ("fr", "crawling baby"), ("fr", "moving baby")}
"""Titles of babies have a verb in the present: "bébé rampe"."""


def seed_names() -> list[str]:
    """Every class that the seeds' tables and AVA's label map name."""
    found = dict.fromkeys(ava_label_map(80)["name"])
    columns = {"name", "clip_class", "box_class"}
    for table in paper_tables():
        frame = paper_table(table).frame
        for column in columns & set(frame.columns):
            # The parents' table holds groups and their children; other tables of names hold only classes.
            found |= dict.fromkeys(frame[column].drop_nulls())
    return list(found)


SEED_NAMES = seed_names()


def cells() -> Iterator[tuple[str, str, str, str]]:
    """File, class name, language and cell of the shipped files."""
    for file in _PACKAGE.joinpath("phrases").iterdir():
        if not file.name.endswith(".csv"):
            continue
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                yield from ((file.name, row["name"], language, row[language]) for language in LANGUAGES)


CELLS = list(cells())
OTHER_NAMES = list(
    dict.fromkeys(name for file, name, *_ in CELLS if file.startswith("kinetics_700_") and "2020" not in file)
)
"""Classes of Kinetics-700 that the seeds do not name."""

NAMES = [*SEED_NAMES, *OTHER_NAMES]


@pytest.fixture(scope="module")
def all_queries() -> list[Query]:
    return queries_of([LabelClass(class_id=i, name=name) for i, name in enumerate(NAMES)])


def test_the_seeds_name_as_many_classes_as_were_counted() -> None:
    assert len(SEED_NAMES) >= 619


def test_every_class_of_the_seeds_has_phrases_in_every_language() -> None:
    table = shipped_table()
    few = {
        (name, language)
        for name in NAMES
        for language in LANGUAGES
        if len(phrases_for(name, table=table).get(language, ())) < 3
    }
    assert not few


def test_no_name_in_the_table_is_misspelt() -> None:
    assert set(shipped_table().phrases) <= {name_key(name) for name in NAMES}


def test_every_class_of_kinetics_700_has_phrases_and_no_other_is_misspelt(shared: Path) -> None:
    names = list(read_label_map(shared / "annotations/kinetics/label_map_k700.txt")["name"])
    table = shipped_table()
    assert [name for name in names if set(phrases_for(name, table=table)) != set(LANGUAGES)] == []
    assert set(OTHER_NAMES) <= set(names)


def test_no_cell_is_empty_and_no_class_stands_twice() -> None:
    assert len(CELLS) == 4 * len(shipped_table().phrases)
    for file, name, language, cell in CELLS:
        assert all(part.strip() for part in cell.split(";")), (file, name, language)
        assert set(cell.split("; ")) != {"-"}, (file, name, language)


def test_no_phrase_stands_twice_in_a_class() -> None:
    for _, name, language, cell in CELLS:
        phrases = [tuple(query_words(part, language=language)) for part in cell.split("; ") if part != "-"]
        assert len(phrases) == len(set(phrases)), (name, language, cell)


def test_every_language_is_spelt_with_its_own_letters() -> None:
    for _, name, language, cell in CELLS:
        assert unicodedata.is_normalized("NFC", cell), (name, language)
        odd = set(cell.casefold()) - set("abcdefghijklmnopqrstuvwxyz0123456789 ;-'&") - set(_LETTERS[language])
        assert not odd, (name, language, odd, cell)


def test_each_language_says_it_in_its_own_words() -> None:
    by_class: dict[str, dict[str, set[str]]] = {}
    for _, name, language, cell in CELLS:
        by_class.setdefault(name, {})[language] = {part for part in cell.split("; ") if part != "-"}
    for name, said in by_class.items():
        for one, other in combinations(LANGUAGES, 2):
            assert len(said[one] & said[other]) <= 0.6 * min(len(said[one]), len(said[other])), (name, one, other)


def test_first_comes_an_infinitive_and_then_a_gerund() -> None:
    for _, name, language, cell in CELLS:
        first, second, *_ = cell.split("; ")
        if language == "en":
            assert not re.match(r"(?!s?wing|sing|string)\w+ing\b", first), (name, first)
            assert second == "-" or "ing" in second, (name, second)
        elif (language, name) not in _NO_INFINITIVE:
            assert re.match(_VERBS[language], first), (name, language, first)
        if language in ("es", "pt"):
            assert second == "-" or re.match(r"(?:beb[éê] )?\w+ndo(?:se|le)?\b", second), (name, language, second)


def test_queries_have_no_stop_words_and_keep_accents(all_queries: list[Query]) -> None:
    for query in all_queries:
        words = query.query.split(" ")
        assert not set(words) & STOP_WORDS_OF[query.language] or len(words) == 1, query
        assert words == query_words(query.query, language=query.language), query
    spelt = {query.query for query in all_queries}
    assert {"trenzar pelo", "comment faire tresse", "escovação dentes", "épilation jambes"} <= spelt


def test_a_query_of_two_classes_is_listed_with_its_reason(all_queries: list[Query]) -> None:
    classes_of: dict[tuple[str, str], set[str]] = {}
    for query in all_queries:
        classes_of.setdefault((query.language, query.query), set()).add(NAMES[query.class_id])
    found = {pair for names in classes_of.values() for pair in combinations(sorted(names), 2)}
    listed = pl.read_csv(_PACKAGE.joinpath("shared_queries.csv").read_bytes())
    assert {(name, other) for name, other, _ in listed.iter_rows()} == found
    assert all(len(why) > 10 for why in listed["why"])
