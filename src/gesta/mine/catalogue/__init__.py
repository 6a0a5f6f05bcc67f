"""A catalogue of videos that are not at hand: indexed by words, searched for actions in several languages."""

from gesta.mine.catalogue.texts import QueryPhrases, found_in, match_score, matches_in_texts, phrases_of_queries
from gesta.mine.catalogue.words import query_phrases, running_words, word_forms

__all__ = [
    "QueryPhrases",
    "found_in",
    "match_score",
    "matches_in_texts",
    "phrases_of_queries",
    "query_phrases",
    "running_words",
    "word_forms",
]
