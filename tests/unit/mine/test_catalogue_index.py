"""Building an index, cutting it, growing it, and searching it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.mine.catalogue import build_index, index, match_catalogue, read_index
from gesta.schema import BadInput, MissingTable, Query, Refused, UnknownName
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

ROWS = [
    ("a", "How to wave your hands", "Waving and dancing", "hands|waving hand"),
    ("b", "Cómo trenzar el pelo", "", ""),
    ("c", "holiday", "we were waving a hand", ""),
    ("a", "again", "", ""),
    ("", "nobody", "", ""),
    ("d", "Tresser les cheveux", "", "trenzar pelo"),
    ("e", "Waving hand", "", ""),
]
QUERIES = [
    Query(class_id=1, language="en", query="waving hand", form="name", source="table"),
    Query(class_id=1, language="en", query="wave", form="synonym", source="user"),
    Query(class_id=2, language="fr", query="tresser cheveux", form="infinitive", source="table"),
    Query(class_id=2, language="es", query="trenzar pelo", form="infinitive", source="table"),
    Query(class_id=3, language="en", query="juggling", form="name", source="table"),
]
MATCHES = [
    ("a", 1, "waving hand", "en", "title", 0.4),
    ("b", 2, "trenzar pelo", "es", "title", 0.5),
    ("c", 1, "waving hand", "en", "description", 0.4),
    ("d", 2, "tresser cheveux", "fr", "title", 2 / 3),
    ("e", 1, "waving hand", "en", "title", 1.0),
]


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    header = ["id", "title", "description", "tags"]
    pl.DataFrame(ROWS, schema=header, orient="row").write_csv(tmp_path / "videos.csv")
    return tmp_path / "videos.csv"


def matches(folder: Path, out: Path) -> list[tuple]:
    match_catalogue(folder, QUERIES, out=out)
    return read_table(out, "matches").rows()


def test_what_is_indexed_is_found(catalogue: Path, tmp_path: Path) -> None:
    done: list[int] = []
    summary = build_index(catalogue, out=tmp_path / "index", rows_per_part=3, on_rows=done.append)
    assert summary.line == "catalogue: kept 5, rejected 2 (id 1, twice 1)"
    assert done == [3, 3, 1]
    rejects = read_rejects(tmp_path / "index").select("stage", "reason", "video_id", "path", "detail").rows()
    assert rejects == [
        ("catalogue", "id", None, "videos.csv", "row 5: no video id"),
        ("catalogue", "twice", "a", "videos.csv", "the catalogue has this video already"),
    ]
    found = match_catalogue(tmp_path / "index", QUERIES, out=tmp_path / "work", on_queries=done.append)
    assert found.line == "catalogue search: kept 5, rejected 0"
    assert found.numbers == {
        "num_videos_searched": 5, "num_matches": 5, "num_queries": 5, "num_queries_without_match": 1,
        "num_classes_without_match": 1,
    }  # fmt: skip
    assert done[3:] == [2, 2, 1]
    assert read_table(tmp_path / "work", "matches").rows() == MATCHES
    assert read_table(tmp_path / "work", "query_matches").rows() == [
        (1, "en", "wave", 3, 0), (1, "en", "waving hand", 3, 3), (2, "es", "trenzar pelo", 2, 1),
        (2, "fr", "tresser cheveux", 1, 1), (3, "en", "juggling", 0, 0),
    ]  # fmt: skip
    again = match_catalogue(tmp_path / "index", QUERIES, out=tmp_path / "work")
    assert again.was_current
    assert (again.kept, again.numbers) == (found.kept, found.numbers)


def test_fields_can_be_left_out(catalogue: Path, tmp_path: Path) -> None:
    build_index(catalogue, out=tmp_path / "index")
    match_catalogue(tmp_path / "index", QUERIES, fields=("tags",), out=tmp_path / "work")
    assert read_table(tmp_path / "work", "matches").rows() == [
        ("a", 1, "waving hand", "en", "tags", 2 / 3), ("d", 2, "trenzar pelo", "es", "tags", 1.0)
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_run_that_was_cut_goes_on(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, part: int
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    build_index(catalogue, out=whole, rows_per_part=3)
    real, calls = index.write_json, []

    def cut_here(path: Path, value: object) -> None:
        # The state is written before the engine commits: raising before it, or after it, loses the part.
        calls.append(path)
        if place == "before" and len(calls) == part + 1:
            raise KeyboardInterrupt
        real(path, value)
        if place == "after" and len(calls) == part + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(index, "write_json", cut_here)
    with pytest.raises(KeyboardInterrupt):
        build_index(catalogue, out=cut, rows_per_part=3)
    monkeypatch.setattr(index, "write_json", real)
    summary = build_index(catalogue, out=cut, rows_per_part=3)
    assert summary.line == "catalogue: kept 5, rejected 2 (id 1, twice 1)"
    assert (cut / "index.json").read_bytes() == (whole / "index.json").read_bytes()
    assert matches(cut, tmp_path / "w") == MATCHES


def test_a_run_cut_between_the_engines_commit_and_ours_goes_on(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace

    def cut_here(self: Path, target: Path) -> Path:
        if self.name == "next.json":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", cut_here)
    with pytest.raises(KeyboardInterrupt):
        build_index(catalogue, out=tmp_path / "index", rows_per_part=3)
    monkeypatch.undo()
    done: list[int] = []
    summary = build_index(catalogue, out=tmp_path / "index", rows_per_part=3, on_rows=done.append)
    assert done == [3, 1], "the first part is there"
    assert summary.line == "catalogue: kept 5, rejected 2 (id 1, twice 1)"
    assert matches(tmp_path / "index", tmp_path / "w") == MATCHES


def test_a_catalogue_grows_by_files_and_refuses_changed_ones(catalogue: Path, tmp_path: Path) -> None:
    build_index(catalogue, out=tmp_path / "index")
    assert build_index(catalogue, out=tmp_path / "index").was_current
    (tmp_path / "more.jsonl").write_text('{"id": "a", "title": "old"}\n{"id": "f", "title": "he waves hands"}\n')
    grown = build_index(tmp_path / "more.jsonl", out=tmp_path / "index")
    assert grown.line == "catalogue: kept 6, rejected 3 (id 1, twice 2)"
    assert read_index(tmp_path / "index").num_videos == 6
    assert matches(tmp_path / "index", tmp_path / "w") == [*MATCHES, ("f", 1, "waving hand", "en", "title", 2 / 3)]
    catalogue.write_text("id,title\nz,other\n")
    with pytest.raises(Refused, match=r"videos\.csv has changed since it was indexed\. Index it in a new folder"):
        build_index(catalogue, out=tmp_path / "index")


def test_an_empty_catalogue_is_an_index_too(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("id,title\n")
    assert build_index(tmp_path / "v.csv", out=tmp_path / "index").kept == 0
    assert matches(tmp_path / "index", tmp_path / "w") == []


def test_what_cannot_be_meant_is_refused(catalogue: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match=r"Run `gesta catalogue index` first"):
        match_catalogue(tmp_path, QUERIES, out=tmp_path / "work")
    build_index(catalogue, out=tmp_path / "index")
    with pytest.raises(BadInput, match=r"no query to search for\. Make some with `gesta queries`"):
        match_catalogue(tmp_path / "index", [], out=tmp_path / "work")
    with pytest.raises(UnknownName, match=r"no field of a catalogue 'titel'\. Did you mean 'title'\?"):
        match_catalogue(tmp_path / "index", QUERIES, fields=("titel",), out=tmp_path / "work")
    state = json.loads((tmp_path / "index" / "index.json").read_text())
    (tmp_path / "index" / "index.json").write_text(json.dumps({**state, "num_videos": 4}))
    with pytest.raises(BadInput, match=r"the index holds 5 videos and says 4\. Delete the folder and index again"):
        build_index(catalogue, out=tmp_path / "index")
    (tmp_path / "index" / "index.json").write_text("{}")
    with pytest.raises(BadInput, match=r"no index of a catalogue of this version"):
        match_catalogue(tmp_path / "index", QUERIES, out=tmp_path / "work")


def test_the_verbs(catalogue: Path, tmp_path: Path) -> None:
    run, home = CliRunner().invoke, tmp_path / "index"
    indexed = run(main, ["catalogue", "index", str(catalogue), "--out", str(home), "--column", "title=title"])
    assert indexed.output == "catalogue: kept 5, rejected 2 (id 1, twice 1)\n", indexed.output
    one = run(main, ["catalogue", "search", str(home), "--query", "trenzando pelo", "--language", "es", "--limit", "9"])
    assert one.output == "b\t0.50\ttitle\tCómo trenzar el pelo\nd\t1.00\ttags\tTresser les cheveux\n2 matches\n"
    as_json = run(main, ["catalogue", "search", str(home), "--query", "waving hand", "--limit", "1", "--json"])
    assert json.loads(as_json.output)["num_matches"] == 3
    assert [row["video_id"] for row in json.loads(as_json.output)["matches"]] == ["e"]
    table = write_table(
        tmp_path / "queries.csv", "queries", frame_of("queries", QUERIES), made_by=made_by("x", arguments={}, inputs={})
    )
    work = str(tmp_path / "work")
    found = run(main, ["catalogue", "search", str(home), "--queries", str(table), "--out", work, "--json"])
    assert json.loads(found.output)["num_matches"] == 5
    assert table_path(Path(work), "matches").is_file()
    neither = run(main, ["catalogue", "search", str(home), "--queries", str(table)])
    assert (neither.exit_code, "Give --queries with --out, or --query." in neither.stderr) == (2, True)
    wrong = run(main, ["catalogue", "index", str(catalogue), "--out", str(home), "--column", "title"])
    assert wrong.stderr == "gesta: error: --column title. Want WHAT=NAME, as in video_id=VideoID\n"
