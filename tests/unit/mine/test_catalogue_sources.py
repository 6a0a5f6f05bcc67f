"""Reading catalogues of every kind."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from gesta.mine.catalogue import list_sources, read_batches
from gesta.schema import BadInput, UnknownName

WANTED = {
    "video_id": "-a", "title": "Wave, hands", "description": "a\nb", "tags": ["x y", "z"], "language": "pt",
    "duration_us": 62_500_000, "place": "Brazil", "latitude_deg": -10.5, "longitude_deg": None,
}  # fmt: skip
CELLS = {
    "video_id": "-a", "title": " Wave, hands", "description": "a\nb", "tags": "x y|z", "language": "pt-BR",
    "duration": "62.5", "country": "Brazil", "latitude": "-10.5",
}  # fmt: skip


def read(path: Path, start_row: int = 0, size: int = 100, **names: str) -> tuple[list[dict], list[tuple]]:
    videos, rejected = [], []
    for source in list_sources(path):
        for batch in read_batches(source, start_row=start_row, names=names, rows_per_batch=size):
            videos += batch.videos.to_dicts()
            rejected += [(row.reason, row.video_id, row.path, row.detail) for row in batch.rejected]
    return videos, rejected


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["v.csv", "v.tsv", "v.csv.gz"])
def test_csv_files_of_every_delimiter(tmp_path: Path, delimiter: str, name: str) -> None:
    text = delimiter.join(CELLS) + "\r\n" + delimiter.join(f'"{cell}"' for cell in CELLS.values()) + "\r\n"
    data = ("\ufeff" + text).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(tmp_path / name) == ([WANTED], [])


def test_parquet_with_its_own_types(tmp_path: Path) -> None:
    row = {**CELLS, "tags": ["x y", "z"], "duration": 62.5, "latitude": -10.5}
    pl.DataFrame([{"ID": i, **row} for i in range(5)]).write_parquet(tmp_path / "v.parquet")
    videos, rejected = read(tmp_path / "v.parquet", start_row=1, size=2)
    assert (videos, rejected) == ([WANTED] * 4, [])


def test_json_lines_and_info_files(tmp_path: Path) -> None:
    info = {**CELLS, "tags": ["x y", "z"], "duration": 62.5, "formats": [{"format_id": "18"}], "uploader": None}
    (tmp_path / "v.jsonl").write_text(json.dumps(info) + "\n")
    assert read(tmp_path / "v.jsonl")[0] == [WANTED]
    folder = tmp_path / "downloads" / "channel"
    folder.mkdir(parents=True)
    (folder / "a [-a].info.json").write_text(json.dumps({"id": "-a", **info}))
    (folder / "list.info.json").write_text(json.dumps({"id": "PL", "entries": [info, None, {"id": "b", "title": "B"}]}))
    (folder / "a [-a].mp4").write_bytes(b"")
    (folder / "broken.info.json").write_text("{")
    (folder / "list.json").write_text("[1]")
    videos, rejected = read(tmp_path / "downloads")
    assert [row["video_id"] for row in videos] == ["-a", "-a", "b"]
    assert videos[0] == videos[1] == WANTED
    assert [(reason, path) for reason, _, path, _ in rejected] == [
        ("row", "broken.info.json"), ("row", "list.json")
    ]  # fmt: skip
    assert rejected[1][3] == "row 1: a JSON list, want an object"


def test_rows_that_are_no_videos_are_rejected_with_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("id,title\na,A\n,B\nc,\nd\ne,E,1\nf,F\n")
    for size in (1, 2, 100):
        videos, rejected = read(tmp_path / "v.csv", size=size)
        assert [row["video_id"] for row in videos] == ["a", "f"]
        assert rejected == [
            ("id", None, "v.csv", "row 2: no video id"),
            ("text", "c", "v.csv", "row 3: no title, no description and no tags"),
            ("row", None, "v.csv", "row 4: 1 columns, want 2"),
            ("row", None, "v.csv", "row 5: 3 columns, want 2"),
        ]
    (tmp_path / "v.jsonl").write_text('{"id": "a", "title": "A"}\nnope\n[]\n{"id": "b", "title": "\\ud800 B"}\n')
    videos, rejected = read(tmp_path / "v.jsonl")
    assert [row["title"] for row in videos] == ["A", "? B"]
    assert [row[3][:17] for row in rejected] == ["row 2: no JSON (E", "row 3: a JSON lis"]


def test_reading_goes_on_at_any_row(tmp_path: Path) -> None:
    rows = [{"id": f"v{i}", "title": f"t{i}"} for i in range(9)]
    (tmp_path / "v.csv").write_text("id,title\n" + "".join(f"{row['id']},{row['title']}\n" for row in rows))
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "v.parquet")
    for name in ("v.csv", "v.jsonl", "v.parquet"):
        assert [row["video_id"] for row in read(tmp_path / name, start_row=7, size=1)[0]] == ["v7", "v8"], name


def test_columns_go_by_other_names_when_said_so(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("Key,Headline\na,A\n")
    with pytest.raises(BadInput, match=r"v\.csv: no column of video ids beside one .* Found Key, Headline; say which"):
        read(tmp_path / "v.csv")
    assert read(tmp_path / "v.csv", video_id="Key", title="Headline")[0][0]["title"] == "A"
    with pytest.raises(BadInput, match=r"no column 'Kay'\. There are Key, Headline"):
        read(tmp_path / "v.csv", video_id="Kay")
    with pytest.raises(UnknownName, match=r"no column of a catalogue 'id'"):
        read(tmp_path / "v.csv", id="Key")


def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no catalogue in this folder\. Want files that end in \.csv, \.tsv"):
        list_sources(tmp_path)
    (tmp_path / "v.txt").write_text("")
    with pytest.raises(BadInput, match=r"v\.txt: no catalogue by its ending"):
        list_sources(tmp_path / "v.txt")
    with pytest.raises(BadInput, match=r"there is no such file or folder"):
        list_sources(tmp_path / "w")
    (tmp_path / "v.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match=r"v\.parquet: cannot be read as Parquet"):
        read(tmp_path / "v.parquet")
    data = gzip.compress(b"id,title\n" + b"a,A\n" * 900)
    for end, rows in ((-5, 900), (15, 0)):
        (tmp_path / "v.csv.gz").write_bytes(data[:end])
        with pytest.raises(BadInput, match=rf"v\.csv\.gz: cannot be read after row {rows} \(Compressed file ended"):
            read(tmp_path / "v.csv.gz")
