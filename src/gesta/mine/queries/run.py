"""The queries of an action list, written as a table, with what each class and language lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gesta.mine.queries.make import LANGUAGES, Translate, queries_of
from gesta.mine.queries.table import QueryTable, joined_tables, read_query_table, shipped_table
from gesta.schema import BadInput, LabelClass, Query
from gesta.tables import Json, StageSummary, frame_of, made_by, sha256_of_file, write_table

STAGE = "queries"


def run_queries(
    classes: Sequence[LabelClass],
    *,
    actions: str,
    languages: Sequence[str] = LANGUAGES,
    table: Path | None = None,
    with_shipped: bool = True,
    translate: Translate | None = None,
    translator: str | None = None,
    out: Path | None = None,
) -> tuple[list[Query], StageSummary]:
    """The queries, and how many there are by language and where classes have none; written to `out` where given.

    Args:
        actions: the file that the classes were read from, or the name of a shipped list, for the record.
        table: the user's own phrases; of a class and language that both hold, they count alone.
        with_shipped: whether the shipped phrases count too.
        translator: the name of `translate`, for the record.
        out: a table of kind `queries`, .csv, .jsonl or .parquet.
    Raises:
        BadInput: no language is named, `table` cannot be read, or `out` has another ending.
        BadRow: a line of `table` is wrong.
        UnknownName: nothing speaks one of the languages.
        MissingExtra: a class is not in the table, and simplemma is not installed.
    """
    if not languages:
        raise BadInput("no language of queries", mend=f"Name some, as {','.join(LANGUAGES)}")
    held = shipped_table() if with_shipped else QueryTable({}, {})
    inputs = {"actions": sha256_of_file(Path(actions))} if Path(actions).is_file() else {}
    if table is not None:
        held = joined_tables(read_query_table(table), held)
        inputs["table"] = sha256_of_file(table)
    queries = queries_of(classes, languages=languages, translate=translate, table=held)
    if out is not None:
        record = made_by(
            STAGE,
            arguments={
                "actions": actions,
                "languages": list(languages),
                "with_shipped": with_shipped,
                "translator": translator,
            },
            inputs=inputs,
        )
        write_table(out, "queries", frame_of("queries", queries), made_by=record)
    return queries, _summary(classes, queries, languages=languages, out=out)


def classes_without(
    classes: Sequence[LabelClass], queries: Sequence[Query], *, languages: Sequence[str]
) -> dict[str, list[str]]:
    """Names of the classes that have no query, by language, for the languages where there are such."""
    have = {(query.class_id, query.language) for query in queries}
    lacking = {code: [row.name for row in classes if (row.class_id, code) not in have] for code in languages}
    return {code: names for code, names in lacking.items() if names}


def _summary(
    classes: Sequence[LabelClass], queries: Sequence[Query], *, languages: Sequence[str], out: Path | None
) -> StageSummary:
    per_language = Counter(query.language for query in queries)
    lacking = classes_without(classes, queries, languages=languages)
    classes_of: dict[tuple[str, str], set[int]] = {}
    for query in queries:
        classes_of.setdefault((query.language, query.query), set()).add(query.class_id)
    shared: list[Json] = [
        {"language": language, "query": query, "class_ids": sorted(ids)}
        for (language, query), ids in sorted(classes_of.items())
        if len(ids) > 1
    ]
    return StageSummary(
        stage=STAGE,
        kept=len(queries),
        outputs=() if out is None else (str(out),),
        numbers={
            "num_classes": len(classes),
            "num_queries_by_language": {language: per_language[language] for language in languages},
            "classes_without_queries": {language: list(names) for language, names in lacking.items()},
            "shared_queries": shared,
        },
    )
