"""A catalogue searched for every query: which videos name which actions, and what each query found.

Shapes: N matches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gesta.mine.catalogue.index import COUNTS, IndexState, part_path, read_index
from gesta.mine.catalogue.tantivy_index import Engine, Vocabulary, meeting_words, open_engine, rows_with_phrase
from gesta.mine.catalogue.words import query_phrases
from gesta.schema import MATCH_FIELDS, BadInput, Query, QueryMatch, UnknownName
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    empty_frame,
    frame_of,
    is_current,
    made_by,
    read_table,
    sha256_of_json,
    table_kind,
    table_path,
    write_table,
)

STAGE = "catalogue search"
_OUTPUTS = ("matches", "query_matches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best match of each video and class, arrays of one length, and what each query found."""

    rows_N: np.ndarray
    """int64, the video's row in the index."""
    class_ids_N: np.ndarray
    """int64."""
    queries_N: np.ndarray
    """int32, the query's number."""
    fields_N: np.ndarray
    """int8, the field's place in `MATCH_FIELDS`."""
    scores_N: np.ndarray
    """float64."""
    num_videos: Sequence[int]
    """Of each query: the videos that it matches."""
    num_recorded: Sequence[int]
    """Of each query: the matches above that are under it."""


def match_catalogue(
    index: Path,
    queries: Sequence[Query],
    *,
    fields: Sequence[str] = MATCH_FIELDS,
    out: Path,
    on_queries: Callable[[int], None] | None = None,
) -> StageSummary:
    """What the queries found in an index: `matches` and `query_matches` in the work folder `out`.

    A video and class is one match, under the query with the best field (title, tags, description), of these the best
    score, of these the first given. What is found is what a plain scan of all texts finds.

    Args:
        index: folder that `build_index` made.
        fields: those to look in.
        on_queries: called with the number of queries just done.
    Raises:
        MissingTable: there is no index.
        BadInput: the index is broken, or there is no query.
        UnknownName: a field is none.
        MissingExtra: tantivy, or for a language with stems snowballstemmer, is not installed.
    """
    if not queries:
        raise BadInput("no query to search for", mend="Make some with `gesta queries`")
    state = read_index(index)
    plan = _provenance(state, queries, fields=fields)
    paths = [table_path(out, table) for table in _OUTPUTS]
    if all(is_current(path, plan) for path in paths):
        matches, per_query = (read_table(out, table) for table in _OUTPUTS)
        return _summary(state, queries, matches, per_query, paths=paths, was_current=True)
    found = find_matches(index, queries, fields=fields, on_queries=on_queries)
    matches, per_query = matches_frame(index, queries, found), _per_query(queries, found)
    for path, table, frame in zip(paths, _OUTPUTS, (matches, per_query), strict=True):
        write_table(path, table, frame, made_by=plan)
    return _summary(state, queries, matches, per_query, paths=paths, was_current=False)


def _provenance(state: IndexState, queries: Sequence[Query], *, fields: Sequence[str]) -> Provenance:
    asked: list[Json] = [[query.class_id, query.language, query.query] for query in queries]
    return made_by(
        STAGE,
        arguments={"fields": list(fields)},
        inputs={"index": state.fingerprint, "queries": sha256_of_json(asked)},
        tools=["tantivy"],
    )


def find_matches(
    index: Path,
    queries: Sequence[Query],
    *,
    fields: Sequence[str] = MATCH_FIELDS,
    on_queries: Callable[[int], None] | None = None,
) -> Found:
    """The best match of each video and class, by class, then by row.

    Raises:
        MissingTable: there is no index.
        BadInput: the index is broken.
        UnknownName: a field is none.
        MissingExtra: tantivy, or for a language with stems snowballstemmer, is not installed.
    """
    for name in fields:
        if name not in MATCH_FIELDS:
            raise UnknownName(what="field of a catalogue", name=name, choices=MATCH_FIELDS)
    state = read_index(index)
    engine = open_engine(index / "words")
    phrases = [query_phrases(query.query, language=query.language) for query in queries]
    wanted: dict[str, set[str]] = {}
    for query, some in zip(queries, phrases, strict=True):
        wanted.setdefault(query.language, set()).update(word for phrase in some for word in phrase)
    searched = [name for name in MATCH_FIELDS if name in fields]
    vocabularies = {name: meeting_words(engine, field=name, wanted=wanted) for name in searched}
    num_words = {name: _num_words(index, state, name) for name in searched}
    by_class: dict[int, list[int]] = {}
    for number, query in enumerate(queries):
        by_class.setdefault(query.class_id, []).append(number)
    num_videos = [0] * len(queries)
    found: list[tuple[np.ndarray, ...]] = []
    for class_id in sorted(by_class):
        hits = []
        for number in by_class[class_id]:
            of_query = _hits_of(
                engine, number, phrases[number], queries[number].language, vocabularies, num_words=num_words
            )
            num_videos[number] = len(np.unique(np.concatenate([hit[0] for hit in of_query]))) if of_query else 0
            hits += of_query
        if hits:
            best = _best_of_each_row(hits)
            found.append((best[0], np.full(len(best[0]), class_id), *best[1:]))
        if on_queries is not None:
            on_queries(len(by_class[class_id]))
    return _joined(found, num_videos=num_videos)


def _hits_of(
    engine: Engine,
    number: int,
    phrases: Sequence[Sequence[str]],
    language: str,
    vocabularies: Mapping[str, Vocabulary],
    *,
    num_words: Mapping[str, np.ndarray],
) -> list[tuple[np.ndarray, ...]]:
    """A query's hits: rows, number of the query, field and score, a tuple of arrays a phrase and field."""
    hits: list[tuple[np.ndarray, ...]] = []
    for name, vocabulary in vocabularies.items():
        for phrase in phrases:
            rows = rows_with_phrase(engine, phrase, language=language, field=name, vocabulary=vocabulary)
            if len(rows):
                # The same division as in `match_score`, so that a plain scan gives the same bits.
                scores = np.minimum(1.0, len(phrase) / num_words[name][rows])
                queries = np.full(len(rows), number, dtype=np.int32)
                fields = np.full(len(rows), MATCH_FIELDS.index(name), dtype=np.int8)
                hits.append((rows, queries, fields, scores))
    return hits


def _best_of_each_row(hits: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    rows, queries, fields, scores = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    order = np.lexsort((queries, -scores, fields, rows))
    first = order[np.r_[True, np.diff(rows[order]) != 0]]
    return rows[first], queries[first], fields[first], scores[first]


def _joined(found: Sequence[tuple[np.ndarray, ...]], *, num_videos: Sequence[int]) -> Found:
    dtypes = (np.int64, np.int64, np.int32, np.int8, np.float64)
    columns = [np.concatenate([np.empty(0, dtype), *(part[i] for part in found)]) for i, dtype in enumerate(dtypes)]
    recorded = np.bincount(columns[2], minlength=len(num_videos))
    return Found(
        rows_N=columns[0],
        class_ids_N=columns[1],
        queries_N=columns[2],
        fields_N=columns[3],
        scores_N=columns[4],
        num_videos=num_videos,
        num_recorded=recorded.tolist(),
    )


def _num_words(index: Path, state: IndexState, name: str) -> np.ndarray:
    parts = [pl.read_parquet(part_path(index, part), columns=[COUNTS[name]]) for part in range(state.num_parts)]
    return np.concatenate([np.empty(0, np.uint32), *(part.to_series().to_numpy() for part in parts)])


def matches_frame(index: Path, queries: Sequence[Query], found: Found) -> pl.DataFrame:
    """The matches as a `matches` table, part of the index by part."""
    texts = pl.Series([query.query for query in queries], dtype=pl.String)
    languages = pl.Series([query.language for query in queries], dtype=pl.String)
    fields = pl.Series(MATCH_FIELDS, dtype=pl.String)
    order = np.argsort(found.rows_N, kind="stable")
    rows = found.rows_N[order]
    frames, first_row = [], 0
    for part in range(read_index(index).num_parts):
        ids = pl.read_parquet(part_path(index, part), columns=["video_id"]).to_series()
        here = order[slice(*np.searchsorted(rows, (first_row, first_row + len(ids))))]
        frames.append(
            pl.DataFrame(
                {
                    "video_id": ids.gather(found.rows_N[here] - first_row),
                    "class_id": found.class_ids_N[here],
                    "query": texts.gather(found.queries_N[here]),
                    "language": languages.gather(found.queries_N[here]),
                    "field": fields.gather(found.fields_N[here]),
                    "score": found.scores_N[here],
                },
                schema=table_kind("matches").polars_schema,
            )
        )
        first_row += len(ids)
    return pl.concat([empty_frame("matches"), *frames])


def best_matches(
    index: Path, query: Query, *, fields: Sequence[str] = MATCH_FIELDS, limit: int
) -> tuple[int, pl.DataFrame]:
    """How many videos a query matches, and the best of them: the columns of `matches` and title, best first.

    Raises:
        MissingTable: there is no index.
        BadInput: the index is broken.
        UnknownName: a field is none.
        MissingExtra: tantivy, or for a language with stems snowballstemmer, is not installed.
    """
    found = find_matches(index, [query], fields=fields)
    best = np.lexsort((found.rows_N, -found.scores_N, found.fields_N))[:limit]
    few = Found(
        rows_N=found.rows_N[best],
        class_ids_N=found.class_ids_N[best],
        queries_N=found.queries_N[best],
        fields_N=found.fields_N[best],
        scores_N=found.scores_N[best],
        num_videos=found.num_videos,
        num_recorded=found.num_recorded,
    )
    frame = matches_frame(index, [query], few)
    parts = [part_path(index, part) for part in range(read_index(index).num_parts)]
    ids = frame["video_id"].implode()
    titles = pl.scan_parquet(parts).select("video_id", "title").filter(pl.col("video_id").is_in(ids)).collect()
    order = pl.col("field").replace_strict({name: i for i, name in enumerate(MATCH_FIELDS)}, return_dtype=pl.Int64)
    shown = frame.join(titles, on="video_id", how="left").sort(order, -pl.col("score"), "video_id")
    return len(found.rows_N), shown


def _per_query(queries: Sequence[Query], found: Found) -> pl.DataFrame:
    return frame_of(
        "query_matches",
        [
            QueryMatch(
                class_id=query.class_id,
                language=query.language,
                query=query.query,
                num_videos=num_videos,
                num_recorded=num_recorded,
            )
            for query, num_videos, num_recorded in zip(queries, found.num_videos, found.num_recorded, strict=True)
        ],
    )


def _summary(
    state: IndexState,
    queries: Sequence[Query],
    matches: pl.DataFrame,
    per_query: pl.DataFrame,
    *,
    paths: Sequence[Path],
    was_current: bool,
) -> StageSummary:
    return StageSummary(
        stage=STAGE,
        kept=matches["video_id"].n_unique(),
        outputs=tuple(str(path) for path in paths),
        was_current=was_current,
        numbers={
            "num_videos_searched": state.num_videos,
            "num_matches": matches.height,
            "num_queries": len(queries),
            "num_queries_without_match": int((per_query["num_videos"] == 0).sum()),
            "num_classes_without_match": len(
                {query.class_id for query in queries} - set(matches["class_id"].unique().to_list())
            ),
        },
    )
