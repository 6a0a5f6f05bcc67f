"""The full-text engine under a catalogue's index: Tantivy, which holds the words and finds words in a row.

One document a video; one field each for title, tags and description, a field being a stream of words parted by
spaces. First come the words as they stand. Where a language passes over words between others, or undoes elisions,
the stream that a query of that language meets follows, each word marked: "wave the hand / en/wave en/hand". So a
phrase of one query language is always words in a row, in the plain stream or in its own, and the engine's answer
needs no second look.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gesta.mine.catalogue.words import (
    STOPPING,
    all_forms,
    could_have_form,
    running_words,
    word_forms,
    word_parts,
)
from gesta.mine.queries.words import STOP_WORDS_OF
from gesta.schema import MATCH_FIELDS, MissingExtra

if TYPE_CHECKING:
    import tantivy

ROW = "row"
"""The field that holds a video's row in the catalogue."""

_TOKENIZER = "spaces"
_BREAK = "/"
_HEAP_BYTES = 256_000_000
MAX_PHRASES = 32
"""Forms of a phrase that are asked for one by one; more are asked for as alternatives at each place. Source: ours; one
by one the engine was faster where each word has two or three forms, and a few dozen made no difference."""

_SMALL = frozenset(itertools.chain.from_iterable(STOP_WORDS_OF.values()))


def stream_of(words: list[str]) -> str:
    """The words of a text as the engine takes them, with the streams of languages that pass over some.

    >>> stream_of(["wave", "the", "hand"])
    'wave the hand / en/wave en/hand'
    >>> stream_of(["the", "waving", "hand"])
    'the waving hand'
    """
    plain = " ".join(words)
    if _SMALL.isdisjoint(words) and "'" not in plain:
        return plain
    streams = [plain]
    for language in STOPPING:
        running = running_words(words, language=language)
        if running and running != words:
            joined = " ".join(running)
            # A stretch of the plain stream is met there already.
            if f" {joined} " not in f" {plain} ":
                streams.append(f"{language}{_BREAK}" + joined.replace(" ", f" {language}{_BREAK}"))
    return f" {_BREAK} ".join(streams)


def stream_of_tags(tags: Iterable[list[str]]) -> str:
    """The words of several tags, no phrase going from one to the next.

    >>> stream_of_tags([["wave"], ["hand"]])
    'wave / hand'
    """
    return f" {_BREAK} ".join(stream_of(words) for words in tags if words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An open index."""

    index: tantivy.Index

    @property
    def num_rows(self) -> int:
        """Videos that it holds for good."""
        self.index.reload()
        return int(self.index.searcher().num_docs)


def open_engine(folder: Path) -> Engine:
    """The engine's index in a folder, made where there is none.

    Raises:
        MissingExtra: tantivy is not installed.
    """
    try:
        import tantivy
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="mine", module="tantivy") from error
    builder = tantivy.SchemaBuilder()
    for field in MATCH_FIELDS:
        builder.add_text_field(field, stored=False, tokenizer_name=_TOKENIZER, index_option="position")
    builder.add_integer_field(ROW, fast=True)
    folder.mkdir(parents=True, exist_ok=True)
    index = tantivy.Index(builder.build(), path=str(folder))
    index.register_tokenizer(_TOKENIZER, tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    return Engine(index=index)


def open_writer(engine: Engine) -> tantivy.IndexWriter:
    """What adds videos to an engine; they are there for good once its `commit` has returned."""
    return engine.index.writer(heap_size=_HEAP_BYTES, num_threads=1)


def add_video(writer: tantivy.IndexWriter, row: int, streams: Mapping[str, str]) -> None:
    """Nothing; the writer holds one video more, of that row, with its stream of each field."""
    import tantivy

    writer.add_document(tantivy.Document(row=row, **streams))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The words of one field that words of queries meet, each with the number of videos that hold it."""

    plain: Mapping[tuple[str, str], Mapping[str, int]]
    """By language and word of a query: words of the plain stream."""
    marked: Mapping[tuple[str, str], Mapping[str, int]]
    """Likewise: words of the language's own stream, with its mark."""


def meeting_words(engine: Engine, *, field: str, wanted: Mapping[str, Iterable[str]]) -> Vocabulary:
    """The words of a field that meet the wanted words.

    Args:
        wanted: words of queries, by language.
    """
    terms = engine.index.searcher().terms_with_prefix(field, "", None, None)
    plain: dict[tuple[str, str], dict[str, int]] = {(lang, word): {} for lang in wanted for word in wanted[lang]}
    marked: dict[tuple[str, str], dict[str, int]] = {key: {} for key in plain}
    for language, words in wanted.items():
        by_form: dict[str, list[str]] = {}
        for word in words:
            for form in word_forms(word, language=language):
                by_form.setdefault(form, []).append(word)
        # A word comes twice, plain and with its mark; stemming it is what takes the time.
        could = could_have_form(by_form, language=language)
        met: dict[str, set[str]] = {}
        for term, num_videos in terms:
            mark, _, word = term.rpartition(_BREAK)
            if not word or mark not in ("", language):
                continue
            if word not in met:
                forms = all_forms(word, language=language) if could(word) else ()
                met[word] = {one for form in forms for one in by_form.get(form, ())}
            # A word that the language takes apart or passes over stands in its own stream alone.
            if met[word] and (mark or word_parts(word, language=language) == (word,)):
                for one in met[word]:
                    (marked if mark else plain)[language, one][term] = num_videos
    return Vocabulary(plain=plain, marked=marked)


def rows_with_phrase(
    engine: Engine,
    phrase: Sequence[str],
    *,
    language: str,
    field: str,
    vocabulary: Vocabulary,
    max_phrases: int = MAX_PHRASES,
) -> np.ndarray:
    """The videos whose field holds the phrase: their rows, int64 [N], in increasing order, each once.

    Args:
        phrase: words of a query.
        vocabulary: of the field, of at least these words.
        max_phrases: forms of the phrase that are asked for one by one.
    """
    import tantivy

    query, most = phrase_query(
        engine, phrase, language=language, field=field, vocabulary=vocabulary, max_phrases=max_phrases
    )
    if query is None:
        return np.empty(0, dtype=np.int64)
    searcher = engine.index.searcher()
    # A constant score spares the engine the ranking; the limit is an upper bound of the videos that can match.
    found = searcher.search(tantivy.Query.const_score_query(query, 1.0), most, count=False)
    rows = searcher.fast_field_values(ROW, [address for _, address in found.hits])
    return np.unique(np.array(rows, dtype=np.int64))


def phrase_query(
    engine: Engine,
    phrase: Sequence[str],
    *,
    language: str,
    field: str,
    vocabulary: Vocabulary,
    max_phrases: int = MAX_PHRASES,
) -> tuple[tantivy.Query | None, int]:
    """What the engine is asked for a phrase, and how many videos can match at most; None where none can.

    Args:
        phrase: words of a query.
        vocabulary: of the field, of at least these words.
        max_phrases: forms of the phrase that are asked for one by one.
    """
    import tantivy

    queries, most = [], 0
    for meeting in (vocabulary.plain, vocabulary.marked):
        choices = [meeting[language, word] for word in phrase]
        if all(choices):
            queries += _phrase_queries(engine, choices, field=field, max_phrases=max_phrases)
            most += min(sum(choice.values()) for choice in choices)
    if len(queries) <= 1:
        return (queries[0] if queries else None), most
    return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries]), most


def _phrase_queries(
    engine: Engine, choices: Sequence[Mapping[str, int]], *, field: str, max_phrases: int
) -> list[tantivy.Query]:
    import tantivy

    schema = engine.index.schema
    if len(choices) == 1:
        return [tantivy.Query.term_set_query(schema, field, list(choices[0]))]
    num_phrases = 1
    for choice in choices:
        num_phrases *= len(choice)
    if num_phrases > max_phrases:
        # Words are letters, digits, apostrophes and the mark's slash: nothing that a pattern takes otherwise.
        return [tantivy.Query.regex_phrase_query(schema, field, ["|".join(choice) for choice in choices])]
    return [tantivy.Query.phrase_query(schema, field, list(words)) for words in itertools.product(*choices)]
