"""Queries of classes: names, the shipped table, rules, a user's own table and translator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gesta.mine.queries import (
    QueryTable,
    infinitive_phrase,
    joined_tables,
    phrases_for,
    queries_of,
    query_words,
    read_query_table,
    shipped_table,
)
from gesta.schema import BadInput, BadRow, LabelClass, Query, UnknownName

NOTHING = QueryTable({}, {})


def made(
    name: str, *languages: str, table: QueryTable | None = None, translate: object = None
) -> list[tuple[str, str, str]]:
    rows = queries_of(
        [LabelClass(class_id=4, name=name)],
        languages=languages,
        table=table,
        translate=translate,  # type: ignore[arg-type]
    )
    assert {row.class_id for row in rows} <= {4}
    return [(row.query, row.form, row.source) for row in rows]


def own(tmp_path: Path, text: str) -> QueryTable:
    file = tmp_path / "own.csv"
    file.write_text(text, encoding="utf-8")
    return read_query_table(file)


def test_a_class_of_the_table_has_its_name_then_the_forms_without_stop_words() -> None:
    assert made("brushing teeth", "en")[:2] == [
        ("brushing teeth", "name", "rules"),
        ("brush teeth", "infinitive", "table"),
    ]
    assert made("brushing teeth", "fr")[:2] == [
        ("brosser dents", "infinitive", "table"),
        ("brossage dents", "gerund", "table"),
    ]


@pytest.mark.parametrize(
    "name", ["braid hair", "braid_hair", "BraidingHair", "Braiding the hair", "BRAIDS HAIR", "braiding hair (fast)"]
)
def test_another_spelling_of_a_name_finds_the_class(name: str) -> None:
    found = phrases_for(name, table=shipped_table())
    assert found == phrases_for("braiding hair", table=shipped_table()) != {}


def test_an_inflection_that_two_classes_have_finds_one_of_them_and_a_shared_form_finds_none() -> None:
    table = shipped_table()
    assert phrases_for("brushes teeth", table=table) == phrases_for("brush teeth", table=table)
    assert phrases_for("plait hair", table=table) == {}
    assert "golf putting" not in {phrase.text for phrase in phrases_for("putting", table=table).get("en", ())}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shelling peas", [("shelling peas", "name"), ("shell peas", "infinitive")]),
        ("flamenco dancing", [("flamenco dancing", "name"), ("flamenco dance", "infinitive")]),
        ("brush horse", [("brush horse", "name"), ("brushing horse", "gerund")]),
        ("brush", [("brush", "name"), ("brushing", "gerund")]),
        ("falconry", [("falconry", "name")]),
        ("yodeling", [("yodeling", "name"), ("yodel", "infinitive")]),
        ("washing or drying plates (fast)", [
            ("washing plates", "name"), ("drying plates", "name"), ("wash plates", "infinitive"),
            ("dry plates", "infinitive"),
        ]),
    ],
)  # fmt: skip
def test_a_name_that_no_table_holds_is_inflected_by_rule(name: str, expected: list[tuple[str, str]]) -> None:
    assert made(name, "en") == [(query, form, "rules") for query, form in expected]
    assert made(name, "es") == []


def test_a_translator_fills_the_table_s_gaps_and_rules_inflect_what_it_gives() -> None:
    asked = []

    def translate(name: str, language: str) -> Sequence[str]:
        asked.append((name, language))
        return {"es": ["pelar las gambas"], "pt": ["descascando camarão"], "it": ["sgusciare i gamberi"]}[language]

    assert made("shelling shrimp", "es", translate=translate) == [
        ("pelar gambas", "infinitive", "user"),
        ("pelando gambas", "gerund", "rules"),
    ]
    assert made("shelling shrimp", "pt", translate=translate) == [
        ("descascando camarão", "gerund", "user"),
        ("descascar camarão", "infinitive", "rules"),
    ]
    assert made("shelling shrimp", "it", translate=translate) == [("sgusciare i gamberi", "synonym", "user")]
    assert made("brushing teeth", "es", translate=translate) == made("brushing teeth", "es")
    assert asked == [("shelling shrimp", language) for language in ("es", "pt", "it")]


def test_a_user_s_table_counts_alone_for_its_class_and_language(tmp_path: Path) -> None:
    mine = own(tmp_path, "name,fr,de\nbrushing teeth,-; brossage; laver les dents,Zähne putzen\n")
    both = joined_tables(mine, shipped_table())
    assert made("brushing teeth", "fr", "de", table=both) == [
        ("brossage", "gerund", "user"),
        ("laver dents", "synonym", "user"),
        ("zähne putzen", "infinitive", "user"),
    ]
    assert made("brushing teeth", "es", table=both) == made("brushing teeth", "es")


def test_a_user_s_table_may_have_a_phrase_a_line(tmp_path: Path) -> None:
    mine = own(
        tmp_path,
        'name,language,query,form\n"hop, skip",fr,sauter à cloche-pied,infinitive\n"hop, skip",fr,cloche-pied,\n',
    )
    assert made("hop, skip", "fr", table=mine) == [
        ("sauter à cloche pied", "infinitive", "user"),
        ("cloche pied", "synonym", "user"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: columns none. Want name and a column a language"),
        ("class,fr\nx,y\n", "1: columns class, fr. Want name"),
        ("name,French\nx,y\n", "1: columns name, French. Want name"),
        ("name,fr\nyoga,a,b\n", "2: 3 cells, want 2. Quote a comma"),
        ('name,fr\nyoga,"a\n', "2: the quotes do not pair"),
        ("name,fr\n\n!,a\n", "3: no class name. Name the class"),
        ("name,fr\nyoga,a;;b\n", "2: a phrase in 'fr' has no words. Write it"),
        ("name,language,query,form\nyoga,fr,a,noun\n", "2: 'noun' is no form of a query. Want name, gerund"),
        ("name,language,query\nyoga,fr,\n", "2: a phrase in 'fr' has no words"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadRow) as error:
        own(tmp_path, text)
    assert message in str(error.value)


def test_a_language_that_nothing_speaks_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no language of queries 'it'\. There are: en, es, fr, pt"):
        made("yoga", "it")
    with pytest.raises(UnknownName, match="There are: en"):
        made("yoga", "fr", table=NOTHING)
    assert made("yoga", "en", table=NOTHING) == [("yoga", "name", "rules")]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("query", " ", "a query of class 1 in 'en' has no words"),
        ("form", "noun", "'noun' is no form of a query. Want one of name, gerund, infinitive, synonym"),
        ("source", "web", "'web' is no source of a query. Want one of table, rules, user"),
    ],
)
def test_a_query_is_checked(field: str, value: str, message: str) -> None:
    values = {"class_id": 1, "language": "en", "query": "run", "form": "name", "source": "rules", field: value}
    with pytest.raises(BadInput, match=message):
        Query(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Boire de l'EAU", "fr", ["boire", "eau"]),
        ("aujourd’hui", "fr", ["aujourd'hui"]),
        ("Copo d’água", "pt", ["copo", "água"]),
        ("don't stop", "en", ["don't", "stop"]),
        ("la la la", "es", ["la", "la", "la"]),
        ("Die Zähne putzen", "de", ["die", "zähne", "putzen"]),
    ],
)
def test_words_lose_articles_and_keep_accents(text: str, language: str, words: list[str]) -> None:
    assert query_words(text, language=language) == words


def test_a_word_that_only_looks_like_a_gerund_stays() -> None:
    assert infinitive_phrase(("king", "cake"), language="en") is None
