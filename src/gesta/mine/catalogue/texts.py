"""Which queries a text holds, by a plain scan: what the index of a catalogue gives too, for texts at hand.

Shapes: Q queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gesta.mine.catalogue.words import query_phrases, running_words, word_forms
from gesta.mine.titles import words_of
from gesta.schema import Query, Video

Phrase = tuple[frozenset[str], ...]
"""The forms of each word, in the order of the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPhrases:
    """The phrases of queries, by language and every form of the first word: number of the query, then the words."""

    by_first_form: Mapping[str, Mapping[str, Sequence[tuple[int, Phrase]]]]


def phrases_of_queries(queries: Sequence[Query]) -> QueryPhrases:
    """What `found_in` looks words up in.

    Raises:
        MissingExtra: a language needs snowballstemmer, and it is not installed.
    """
    found: dict[str, dict[str, list[tuple[int, Phrase]]]] = {}
    for number, query in enumerate(queries):
        of_language = found.setdefault(query.language, {})
        for phrase in query_phrases(query.query, language=query.language):
            forms = tuple(word_forms(word, language=query.language) for word in phrase)
            for form in forms[0]:
                of_language.setdefault(form, []).append((number, forms))
    return QueryPhrases(by_first_form=found)


def found_in(words: Sequence[str], *, phrases: QueryPhrases) -> dict[int, int]:
    """The queries that a text holds, by number in increasing order, each with the words of its longest phrase there.

    Args:
        words: of the text, as `gesta.mine.words_of` gives them.
    """
    found: dict[int, int] = {}
    for language, by_first_form in phrases.by_first_form.items():
        forms = [word_forms(word, language=language) for word in running_words(words, language=language)]
        for start, first in enumerate(forms):
            for form in first:
                for number, phrase in by_first_form.get(form, ()):
                    if len(phrase) > found.get(number, 0) and _begins(forms, start, phrase):
                        found[number] = len(phrase)
    return dict(sorted(found.items()))


def _begins(forms: Sequence[frozenset[str]], start: int, phrase: Phrase) -> bool:
    if start + len(phrase) > len(forms):
        return False
    return all(not forms[start + i].isdisjoint(phrase[i]) for i in range(1, len(phrase)))


def match_score(num_query_words: int, num_words: int) -> float:
    """How much of a text a query is: its words over the text's, at most 1.

    Source: ours; a title that says nothing else is most likely about the action.

    >>> match_score(2, 8)
    0.25
    """
    return min(1.0, num_query_words / num_words)


def matches_in_texts(videos: Sequence[Video], queries: Sequence[Query]) -> dict[str, list[tuple[int, str, str, float]]]:
    """The actions that each video's title names: (class id, query, language, score), a class once, by id.

    Of several queries of a class the one with the best score stands, of equal ones the first given. Videos whose
    titles name nothing are left out.

    Raises:
        MissingExtra: a language needs snowballstemmer, and it is not installed.
    """
    phrases = phrases_of_queries(queries)
    matches: dict[str, list[tuple[int, str, str, float]]] = {}
    for video in videos:
        words = words_of(video.title or "")
        best: dict[int, tuple[int, str, str, float]] = {}
        for number, num_query_words in found_in(words, phrases=phrases).items():
            query = queries[number]
            score = match_score(num_query_words, len(words))
            if query.class_id not in best or score > best[query.class_id][3]:
                best[query.class_id] = (query.class_id, query.query, query.language, score)
        if best:
            matches[video.video_id] = [best[class_id] for class_id in sorted(best)]
    return matches
