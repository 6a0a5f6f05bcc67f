"""Queries in several languages: a shipped table of phrases, rules for other names, a user's own table or translator."""

from gesta.mine.queries.forms import gerund_of, gerund_phrase, infinitive_phrase, is_infinitive, lemma_of
from gesta.mine.queries.make import LANGUAGES, Translate, queries_of
from gesta.mine.queries.run import classes_without, run_queries
from gesta.mine.queries.table import (
    Phrase,
    QueryTable,
    joined_tables,
    name_key,
    phrases_for,
    read_query_table,
    shipped_table,
    table_of,
)
from gesta.mine.queries.words import STOP_WORDS_OF, query_words

__all__ = [
    "LANGUAGES",
    "STOP_WORDS_OF",
    "Phrase",
    "QueryTable",
    "Translate",
    "classes_without",
    "gerund_of",
    "gerund_phrase",
    "infinitive_phrase",
    "is_infinitive",
    "joined_tables",
    "lemma_of",
    "name_key",
    "phrases_for",
    "queries_of",
    "query_words",
    "read_query_table",
    "run_queries",
    "shipped_table",
    "table_of",
]
