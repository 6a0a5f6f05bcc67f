"""How fast a catalogue of 10 M titles is searched for 700 classes in four languages, and what the index costs.

The limit is the engine alone: on the same index, in the same run, each query's words as one phrase, the rows of its
hits fetched, nothing else. "Same queries" asks the engine for the very phrases that gesta asks for, inflections and
all, made beforehand: what gesta adds to the engine is the difference. Engines are compared on the first rows of the
same titles. Every number is processor time of its own process, which also gives its peak memory. Recall is against a
plain scan of a sample.

Run: python -m benchmarks.mine            (10 M rows; a step that was done in --folder is not done again)
     python -m benchmarks.mine --rows 200000 --engine-rows 100000 --folder try
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import json
import math
import os
import platform
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.mine_titles import queries_of_classes, write_titles
from gesta.mine.catalogue import (
    build_index,
    match_catalogue,
    match_score,
    phrases_of_queries,
    query_phrases,
    read_index,
    tantivy_index,
)
from gesta.mine.catalogue.texts import found_in
from gesta.mine.titles import words_of
from gesta.schema import Query
from gesta.tables import frame_of, made_by, read_table, rows_of, write_json, write_table

RESULTS = Path(__file__).parent / "results"
NUM_CLASSES, SAMPLE = 700, 20_000
MADE = made_by("benchmark", arguments={}, inputs={})
THREADS = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}


def clocked(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What the work gives, and its seconds of processor time (all threads) and of the wall clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    value = work()
    return value, {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def size_mb(folder: Path) -> float:
    """Megabytes of the files below a folder, or of one file."""
    files = folder.rglob("*") if folder.is_dir() else [folder]
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def _queries(folder: Path) -> list[Query]:
    return rows_of("queries", read_table(folder / "queries.csv", "queries"))


def step_titles(folder: Path, *, rows: int, engine_rows: int) -> dict[str, Any]:
    """The csv file."""
    queries = queries_of_classes(NUM_CLASSES)
    write_table(folder / "queries.csv", "queries", frame_of("queries", queries), made_by=MADE)
    _, seconds = clocked(lambda: write_titles(folder / "titles.csv", queries, num_rows=rows))
    return {"num_rows": rows, "csv_mb": size_mb(folder / "titles.csv"), **seconds}


def step_index(folder: Path, *, rows: int, engine_rows: int) -> dict[str, Any]:
    """The index of all titles."""
    shutil.rmtree(folder / "index", ignore_errors=True)
    summary, seconds = clocked(lambda: build_index(folder / "titles.csv", out=folder / "index"))
    return {
        "num_videos": summary.kept,
        "rejected": dict(summary.rejected),
        "videos_per_cpu_s": summary.kept / seconds["cpu_s"],
        "words_mb": size_mb(folder / "index" / "words"),
        "videos_mb": size_mb(folder / "index" / "videos"),
        **seconds,
    }


def step_search(folder: Path, *, rows: int, engine_rows: int) -> dict[str, Any]:
    """All queries, to the tables on disk: what `gesta catalogue search` does."""
    queries = _queries(folder)
    shutil.rmtree(folder / "work", ignore_errors=True)
    summary, seconds = clocked(lambda: match_catalogue(folder / "index", queries, out=folder / "work"))
    num_hits = int(read_table(folder / "work", "query_matches")["num_videos"].sum())
    return {
        **{name: summary.numbers[name] for name in ("num_queries", "num_queries_without_match", "num_matches")},
        "num_videos_matched": summary.kept,
        "num_hits": num_hits,
        "hits_per_cpu_s": num_hits / seconds["cpu_s"],
        "matches_mb": size_mb(folder / "work" / "matches.parquet"),
        **seconds,
    }


def step_alone(folder: Path, *, rows: int, engine_rows: int) -> dict[str, Any]:
    """The engine alone on that index: plain phrases; then the phrases that gesta asks for."""
    queries = _queries(folder)
    engine = tantivy_index.open_engine(folder / "index" / "words")
    phrases = [query_phrases(query.query, language=query.language)[:1] for query in queries]
    plain = [_plain_query(engine, some[0]) for some in phrases if some]
    num_plain, plain_s = clocked(lambda: _hits(engine, plain))
    same, same_s = clocked(lambda: _gestas_queries(engine, queries, _vocabulary(engine, queries)))
    num_same, ask_s = clocked(lambda: _hits(engine, same))
    return {
        "plain": {"num_queries": len(plain), "num_hits": num_plain, "hits_per_cpu_s": num_plain / plain_s["cpu_s"]}
        | plain_s,
        "same_queries": {"num_queries": len(same), "num_hits": num_same, "hits_per_cpu_s": num_same / ask_s["cpu_s"]}
        | ask_s,
        "making_the_same_queries": same_s,
    }


def _plain_query(engine: tantivy_index.Engine, phrase: Sequence[str]) -> Any:
    import tantivy

    schema = engine.index.schema
    if len(phrase) == 1:
        return tantivy.Query.term_query(schema, "title", phrase[0])
    return tantivy.Query.phrase_query(schema, "title", list(phrase))


def _hits(engine: tantivy_index.Engine, queries: Sequence[Any]) -> int:
    import tantivy

    searcher, num = engine.index.searcher(), 0
    for query in queries:
        found = searcher.search(tantivy.Query.const_score_query(query, 1.0), searcher.num_docs, count=False)
        num += len(searcher.fast_field_values(tantivy_index.ROW, [address for _, address in found.hits]))
    return num


def _vocabulary(engine: tantivy_index.Engine, queries: Sequence[Query]) -> tantivy_index.Vocabulary:
    wanted: dict[str, set[str]] = {}
    for language, phrase in _phrases(queries):
        wanted.setdefault(language, set()).update(phrase)
    return tantivy_index.meeting_words(engine, field="title", wanted=wanted)


def _phrases(queries: Sequence[Query]) -> list[tuple[str, tuple[str, ...]]]:
    asked = ((query.language, query_phrases(query.query, language=query.language)) for query in queries)
    return [(language, phrase) for language, some in asked for phrase in some]


def _gestas_queries(
    engine: tantivy_index.Engine, queries: Sequence[Query], vocabulary: tantivy_index.Vocabulary
) -> list[Any]:
    made = (
        tantivy_index.phrase_query(engine, phrase, language=language, field="title", vocabulary=vocabulary)
        for language, phrase in _phrases(queries)
    )
    return [query for query, _ in made if query is not None]


def step_recall(folder: Path, *, rows: int, engine_rows: int) -> dict[str, Any]:
    """Matches of a sample of the videos beside those that a plain scan of their titles gives."""
    queries = _queries(folder)
    phrases = phrases_of_queries(queries)
    every = max(1, rows // SAMPLE)
    scanned: dict[tuple[str, int], tuple[str, str, float]] = {}
    with (folder / "titles.csv").open(newline="", encoding="utf-8") as stream:
        sample = [row[:2] for row in itertools.islice(csv.reader(stream), 1, None, every)]

    def scan() -> None:
        for video_id, title in sample:
            words = words_of(title)
            best: dict[int, tuple[float, int]] = {}
            for number, length in found_in(words, phrases=phrases).items():
                entry = -match_score(length, len(words)), number
                best[queries[number].class_id] = min(entry, best.get(queries[number].class_id, entry))
            for class_id, (score, number) in best.items():
                scanned[video_id, class_id] = queries[number].query, queries[number].language, -score

    _, seconds = clocked(scan)
    ids = pl.Series([video_id for video_id, _ in sample])
    matches = pl.scan_parquet(folder / "work" / "matches.parquet").filter(pl.col("video_id").is_in(ids.implode()))
    found = {
        (row["video_id"], row["class_id"]): (row["query"], row["language"], row["score"])
        for row in matches.collect().iter_rows(named=True)
    }
    alike = sum(scanned.get(key) == value for key, value in found.items())
    return {
        "num_titles": len(sample),
        "num_scanned": len(scanned),
        "num_found": len(found),
        "recall": len(found.keys() & scanned.keys()) / len(scanned),
        "precision": len(found.keys() & scanned.keys()) / len(found),
        "num_alike_to_the_bit": alike,
        "scan_titles_per_cpu_s": len(sample) / seconds["cpu_s"],
        **seconds,
    }


def step_engines(folder: Path, *, rows: int, engine_rows: int) -> dict[str, Any]:
    """SQLite FTS5, DuckDB's extension and Tantivy: the same words of the first titles, the same phrases."""
    queries = _queries(folder)
    with (folder / "titles.csv").open(newline="", encoding="utf-8") as stream:
        streams = [" ".join(words_of(row[1])) for row in itertools.islice(csv.reader(stream), 1, engine_rows + 1)]
    home = folder / "engines"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    ours, seconds = clocked(lambda: _tantivy_of(home / "tantivy", streams))
    tantivy_row = {"index": seconds, "index_mb": size_mb(home / "tantivy")}
    phrases, forms = [], []
    for query in queries:
        phrases += [list(phrase) for phrase in query_phrases(query.query, language=query.language)[:1]]
    plain = [_plain_query(ours, phrase) for phrase in phrases]
    num, seconds = clocked(lambda: _hits(ours, plain))
    tantivy_row |= {"plain": seconds | {"num_hits": num, "hits_per_cpu_s": num / seconds["cpu_s"]}}
    vocabulary = _vocabulary(ours, queries)
    made = _gestas_queries(ours, queries, vocabulary)
    num, seconds = clocked(lambda: _hits(ours, made))
    tantivy_row |= {"inflected": seconds | {"num_hits": num, "hits_per_cpu_s": num / seconds["cpu_s"]}}
    connection, seconds = clocked(lambda: _fts5_of(home / "fts5.db", streams))
    sqlite_row = {"index": seconds, "index_mb": size_mb(home / "fts5.db")}
    forms = [f'"{" ".join(phrase)}"' for phrase in phrases]
    num, seconds = clocked(lambda: _fts5_hits(connection, forms))
    sqlite_row |= {"plain": seconds | {"num_hits": num, "hits_per_cpu_s": num / seconds["cpu_s"]}}
    inflected = list(_fts5_forms(queries, vocabulary))
    asked = [text for text in inflected if text]
    num, seconds = clocked(lambda: _fts5_hits(connection, asked))
    sqlite_row |= {
        "inflected": seconds | {"num_hits": num, "hits_per_cpu_s": num / seconds["cpu_s"]},
        "num_queries_with_too_many_forms": inflected.count(""),
    }
    return {"num_titles": len(streams), "tantivy": tantivy_row, "sqlite fts5": sqlite_row, "duckdb fts": _duckdb()}


def _tantivy_of(path: Path, streams: Sequence[str]) -> tantivy_index.Engine:
    engine = tantivy_index.open_engine(path)
    writer = tantivy_index.open_writer(engine)
    for row, stream in enumerate(streams):
        tantivy_index.add_video(writer, row, {"title": stream})
    writer.commit()
    writer.wait_merging_threads()
    engine.index.reload()
    return engine


def _fts5_of(path: Path, streams: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.executescript("pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-250000;")
    connection.execute("""create virtual table t using fts5(title, content='', tokenize="ascii tokenchars ''''")""")
    connection.executemany("insert into t(rowid, title) values (?, ?)", enumerate(streams))
    connection.execute("insert into t(t) values ('optimize')")
    connection.commit()
    return connection


def _fts5_hits(connection: sqlite3.Connection, texts: Sequence[str]) -> int:
    return sum(len(connection.execute("select rowid from t where t match ?", (text,)).fetchall()) for text in texts)


MOST_FORMS = 500


def _fts5_forms(queries: Sequence[Query], vocabulary: tantivy_index.Vocabulary) -> Iterator[str]:
    """Each query as a choice of phrases, which is how FTS5 knows inflections; empty where there are too many."""
    for language, phrase in _phrases(queries):
        choices = [list(vocabulary.plain[language, word]) for word in phrase]
        num = math.prod(len(choice) for choice in choices)
        if num > MOST_FORMS:
            yield ""
        elif num:
            yield " OR ".join(f'"{" ".join(words)}"' for words in itertools.product(*choices))


def _duckdb() -> dict[str, Any]:
    import duckdb

    row: dict[str, Any] = {"version": importlib.metadata.version("duckdb"), "has_phrases": False}
    try:
        duckdb.connect().execute("load fts")
    except duckdb.Error as error:
        return row | {"measured": False, "why": str(error).splitlines()[0].split('"')[0].strip() + " not installed"}
    return row | {"measured": False, "why": "it ranks by words and knows no phrases"}


STEPS = {
    "titles": step_titles, "index": step_index, "search": step_search, "alone": step_alone, "recall": step_recall,
    "engines": step_engines,
}  # fmt: skip


def run_step(name: str, folder: Path, *, rows: int, engine_rows: int) -> None:
    """Do one step and keep what it measured, with the peak memory of this process."""
    measured = STEPS[name](folder, rows=rows, engine_rows=engine_rows)
    measured["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured["load"] = os.getloadavg()[0]
    write_json(folder / f"{name}.json", measured)


def main() -> None:
    """Do the steps that are not done yet, each in its own process, print one table, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--engine-rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "gesta-mine-benchmark")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=STEPS)
    chosen = parser.parse_args()
    folder = chosen.folder / str(chosen.rows)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"rows": chosen.rows, "engine_rows": min(chosen.rows, chosen.engine_rows)}
    if chosen.step:
        return run_step(chosen.step, folder, **sizes)
    again = [sys.executable, "-m", "benchmarks.mine", *sys.argv[1:]]
    for name in STEPS:
        if not (folder / f"{name}.json").is_file():
            subprocess.run([*again, "--step", name], check=True, env=os.environ | THREADS)
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    steps = {name: json.loads((folder / f"{name}.json").read_bytes()) for name in STEPS}
    result = {
        "what": "a catalogue searched for classes; limit: the engine alone on the same index",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "tantivy", "duckdb", "polars")}
        | {"sqlite": sqlite3.sqlite_version},
        "num_rows": chosen.rows,
        "num_classes": NUM_CLASSES,
        "num_parts": read_index(folder / "index").num_parts,
        "matches_per_cpu_s_over_engine_alone": steps["search"]["hits_per_cpu_s"]
        / steps["alone"]["plain"]["hits_per_cpu_s"],
        "matches_per_cpu_s_over_same_queries": steps["search"]["hits_per_cpu_s"]
        / steps["alone"]["same_queries"]["hits_per_cpu_s"],
        **steps,
    }
    print_table(result)
    write_json(chosen.results / f"mine_{os.cpu_count()}core-cpu_{date}.json", result)
    return None


def print_table(result: dict[str, Any]) -> None:
    """The numbers that matter, a line each."""
    index, found, alone, recall = (result[name] for name in ("index", "search", "alone", "recall"))
    num_mb = index["words_mb"] + index["videos_mb"]
    print(f"{'index':<14} {index['cpu_s']:8.1f} CPU s {num_mb:8.0f} MB, peak {index['peak_mb']:.0f} MB of memory")
    for name, row in (("gesta", found), ("engine alone", alone["plain"]), ("same queries", alone["same_queries"])):
        speed = f"{row['num_hits']:>12,} hits {row['hits_per_cpu_s']:>12,.0f} a CPU s"
        print(f"{name:<14} {row['cpu_s']:8.1f} CPU s {speed}")
    print(f"recall {recall['recall']:.6f}, precision {recall['precision']:.6f} on {recall['num_titles']:,} titles")
    for name in ("tantivy", "sqlite fts5"):
        row = result["engines"][name]
        speeds = ", ".join(f"{way} {row[way]['hits_per_cpu_s']:>11,.0f}" for way in ("plain", "inflected"))
        print(f"{name:<14} index {row['index']['cpu_s']:6.1f} CPU s {row['index_mb']:6.0f} MB, hits a CPU s: {speeds}")


if __name__ == "__main__":
    main()
