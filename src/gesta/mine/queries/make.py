"""What to search titles for, class by class and language by language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gesta.mine.actions.gerunds import to_infinitive, to_ing
from gesta.mine.queries.forms import gerund_phrase, infinitive_phrase, is_infinitive
from gesta.mine.queries.table import QueryTable, phrases_for, shipped_table, spaced
from gesta.mine.queries.words import query_words
from gesta.mine.titles import phrases_of
from gesta.schema import LabelClass, Query, UnknownName

LANGUAGES = ("en", "fr", "es", "pt")
"""Languages of the queries. Source: Kinetics-700-2020 paper, section 2."""

Translate = Callable[[str, str], Sequence[str]]
"""Phrases for a class name (English) in a language, best first; none where it knows none."""


def queries_of(
    classes: Sequence[LabelClass],
    *,
    languages: Sequence[str] = LANGUAGES,
    translate: Translate | None = None,
    table: QueryTable | None = None,
) -> list[Query]:
    """The queries of each class: in the classes' order, then the languages', best first, none twice.

    In English the class's own name comes first. Then come the table's phrases; where the table lacks the class and
    language, English forms by rule, and in other languages what `translate` gives, with the forms that rules make of
    it. A class may have no query in a language: nothing is guessed.

    Args:
        languages: codes of ISO 639-1.
        translate: called with the class's name and a language, only where the table has nothing.
        table: the phrases; None = those shipped. `QueryTable({}, {})` leaves rules and `translate`.
    Raises:
        UnknownName: a language is neither in the table nor English, and there is no `translate`.
        MissingExtra: a class is not in the table, and simplemma is not installed.
    Source: Kinetics-700-2020 paper, section 2: infinitive and gerund, no stop words and articles, synonyms, and the
        same in all four query languages.

    >>> rows = [LabelClass(class_id=7, name="brushing teeth")]
    >>> [(query.query, query.form) for query in queries_of(rows, languages=["en"])][:2]
    [('brushing teeth', 'name'), ('brush teeth', 'infinitive')]
    """
    held = shipped_table() if table is None else table
    for language in languages:
        if language != "en" and translate is None and language not in held.languages:
            raise UnknownName(what="language of queries", name=language, choices={"en", *held.languages})
    found: list[Query] = []
    for row in classes:
        phrases = phrases_for(row.name, table=held)
        for language in dict.fromkeys(languages):
            listed = [(phrase.text, phrase.form, phrase.source) for phrase in phrases.get(language, ())]
            if language == "en":
                names = [(" ".join(words), "name", "rules") for words in phrases_of(spaced(row.name))]
                listed = [*names, *(listed or _english_forms(row.name))]
            elif not listed and translate is not None:
                listed = list(_translated(translate(row.name, language), language=language))
            found += _distinct(listed, class_id=row.class_id, language=language)
    return found


def _distinct(listed: Sequence[tuple[str, str, str]], *, class_id: int, language: str) -> Iterator[Query]:
    seen = set()
    for text, form, source in listed:
        query = " ".join(query_words(text, language=language))
        if query and query not in seen:
            seen.add(query)
            yield Query(class_id=class_id, language=language, query=query, form=form, source=source)


def _english_forms(name: str) -> list[tuple[str, str, str]]:
    listed = []
    for words in phrases_of(spaced(name)):
        phrase = " ".join(words)
        infinitive, gerund = to_infinitive(phrase), to_ing(phrase)
        if infinitive == phrase == gerund:
            infinitive = " ".join(infinitive_phrase(words, language="en") or words)
        listed += [(infinitive, "infinitive", "rules")] if infinitive != phrase else []
        listed += [(gerund, "gerund", "rules")] if gerund != phrase else []
    return listed


def _translated(texts: Sequence[str], *, language: str) -> Iterator[tuple[str, str, str]]:
    for text in texts:
        words = tuple(query_words(text, language=language))
        if not words:
            continue
        gerund = gerund_phrase(words, language=language)
        infinitive = infinitive_phrase(words, language=language)
        if is_infinitive(words[0], language=language):
            form = "infinitive"
        else:
            form = "synonym" if infinitive is None else "gerund"
        yield text, form, "user"
        if gerund is not None:
            yield " ".join(gerund), "gerund", "rules"
        if infinitive is not None:
            yield " ".join(infinitive), "infinitive", "rules"
