"""What became of what was found, by class, language and query."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.mine.catalogue import yields_by, yields_of_work
from gesta.schema import Candidate, ClipLabel, Kept, LabelClass, MissingTable, QueryMatch, UnknownName
from gesta.stats import yields_of
from gesta.tables import empty_frame, frame_of, made_by, table_path, write_table


def candidate(number: int, class_id: int, query: str, language: str | None) -> Candidate:
    return Candidate(clip_id=f"c{number}", class_id=class_id, source="query", query=query, score=1.0, language=language)


def label(number: int, class_id: int, verdict: str) -> ClipLabel:
    return ClipLabel(
        clip_id=f"c{number}", class_id=class_id, verdict=verdict, num_yes=3, num_no=0, num_unsure=0, num_broken=0
    )


TABLES = {
    "label_map": [LabelClass(class_id=1, name="waving hand"), LabelClass(class_id=2, name="braiding hair")],
    "query_matches": [
        QueryMatch(class_id=1, language="en", query="wave", num_videos=9, num_recorded=4),
        QueryMatch(class_id=1, language="en", query="waving hand", num_videos=5, num_recorded=5),
        QueryMatch(class_id=1, language="fr", query="saluer", num_videos=2, num_recorded=2),
        QueryMatch(class_id=2, language="en", query="braid", num_videos=0, num_recorded=0),
    ],
    "candidates": [
        *(candidate(i, 1, "waving hand", "en") for i in range(4)),
        candidate(4, 1, "wave", "en"),
        candidate(5, 1, "saluer", "fr"),
        candidate(5, 2, "", None),
    ],
    "clip_labels": [
        label(0, 1, "accepted"), label(1, 1, "accepted"), label(2, 1, "rejected"), label(3, 1, "open"),
        label(4, 1, "rejected"), label(5, 2, "accepted"),
    ],
    "kept": [Kept(clip_id="c0", video_id="v", class_id=1)],
}  # fmt: skip
FRAMES = {table: frame_of(table, rows) for table, rows in TABLES.items()}


def yields(by: str) -> list[tuple]:
    frames = {name: FRAMES[name] for name in ("label_map", "query_matches")}
    return yields_by(FRAMES["candidates"], FRAMES["clip_labels"], FRAMES["kept"], by=by, **frames).rows()  # type: ignore[arg-type]


def test_what_became_of_each_class_language_and_query() -> None:
    assert yields("class") == [
        (1, "waving hand", 11, 6, 4, 2, 1, 0.5, 0.25),
        (2, "braiding hair", 0, 1, 1, 1, 0, 1.0, 0.0),
    ]
    assert yields("language") == [
        (1, "waving hand", "en", 9, 5, 4, 2, 1, 0.5, 0.25),
        (2, "braiding hair", None, 0, 1, 1, 1, 0, 1.0, 0.0),
        (1, "waving hand", "fr", 2, 1, 0, 0, 0, None, None),
        (2, "braiding hair", "en", 0, 0, 0, 0, 0, None, None),
    ]
    assert yields("query") == [
        (1, "waving hand", "en", "waving hand", 5, 4, 3, 2, 1, 0.666667, 0.333333),
        (2, "braiding hair", None, None, 0, 1, 1, 1, 0, 1.0, 0.0),
        (1, "waving hand", "en", "wave", 4, 1, 1, 0, 0, 0.0, 0.0),
        (1, "waving hand", "fr", "saluer", 2, 1, 0, 0, 0, None, None),
        (2, "braiding hair", "en", "braid", 0, 0, 0, 0, 0, None, None),
    ]
    with pytest.raises(UnknownName, match=r"no way to group yields 'klass'"):
        yields("klass")


def test_classes_have_the_yields_that_the_statistics_print() -> None:
    printed = yields_of(FRAMES["candidates"], FRAMES["clip_labels"], FRAMES["kept"], names=FRAMES["label_map"])
    ours = yields_by(
        FRAMES["candidates"], FRAMES["clip_labels"], FRAMES["kept"],
        by="class", label_map=FRAMES["label_map"], query_matches=empty_frame("query_matches"),
    )  # fmt: skip
    assert ours.drop("num_found").rows() == printed.rows()


def test_the_verb_shows_the_two_columns_of_the_paper(tmp_path: Path) -> None:
    for table, frame in FRAMES.items():
        write_table(table_path(tmp_path, table), table, frame, made_by=made_by("x", arguments={}, inputs={}))
    run = CliRunner().invoke
    shown = run(main, ["catalogue", "yields", str(tmp_path), "--out", str(tmp_path / "y.csv")])
    assert shown.output == (
        "class          found  candidates  asked  accepted  published  accepted %  published %\n"
        "waving hand       11           6      4         2          1       50.00        25.00\n"
        "braiding hair      0           1      1         1          0      100.00         0.00\n"
    )
    assert pl.read_csv(tmp_path / "y.csv").rows() == yields("class")
    by_query = run(main, ["catalogue", "yields", str(tmp_path), "--by", "query"]).output.splitlines()
    assert by_query[0].split()[:4] == ["class", "language", "query", "found"]
    assert by_query[2].split()[:6] == ["braiding", "hair", "-", "-", "0", "1"]
    as_json = json.loads(run(main, ["catalogue", "yields", str(tmp_path), "--by", "language", "--json"]).output)
    assert as_json["by"] == "language"
    assert len(as_json["yields"]) == 4


def test_without_anything_found_there_is_nothing_to_say(tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match="there is no table 'candidates' here"):
        yields_of_work(tmp_path, by="class")
