"""A catalogue of videos that are not at hand: indexed by words, searched for actions in several languages."""

from gesta.mine.catalogue.index import IndexState, build_index, read_index
from gesta.mine.catalogue.rows import ALIASES, Batch
from gesta.mine.catalogue.search import Found, best_matches, find_matches, match_catalogue, matches_frame
from gesta.mine.catalogue.sources import Source, list_sources, read_batches
from gesta.mine.catalogue.texts import QueryPhrases, found_in, match_score, matches_in_texts, phrases_of_queries
from gesta.mine.catalogue.words import query_phrases, running_words, word_forms
from gesta.mine.catalogue.yields import yields_by, yields_of_work

__all__ = [
    "ALIASES",
    "Batch",
    "Found",
    "IndexState",
    "QueryPhrases",
    "Source",
    "best_matches",
    "build_index",
    "find_matches",
    "found_in",
    "list_sources",
    "match_catalogue",
    "match_score",
    "matches_frame",
    "matches_in_texts",
    "phrases_of_queries",
    "query_phrases",
    "read_batches",
    "read_index",
    "running_words",
    "word_forms",
    "yields_by",
    "yields_of_work",
]
