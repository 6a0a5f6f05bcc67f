"""What is known of clips or videos beside their classes: gender, age, region, upload place; a csv with a row each.

```
video_id,gender,age
-v8pgm1eQ,female,adult
_x2,,child
```

The key is `clip_id`, or `video_id` (`youtube_id`) where all clips of a video are alike. Any other column is an
attribute. An empty cell, and the words of `UNKNOWN`, say that it is not known or cannot be told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats.delimited import read_text
from gesta.schema import BadInput, BadRow, UnknownName

KEYS = ("clip_id", "video_id", "youtube_id")
"""Columns that say whose row it is; the first that is there counts."""

UNKNOWN = ("", "unknown", "undetermined", "n/a")
"""What stands for an attribute that is not known, in any case. Source: ours, for K400's "not possible to determine"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """A row a clip or video: `key` (clip_id or video_id) and a column an attribute, null where it is not known."""

    key: str
    rows: pl.DataFrame
    columns: tuple[str, ...]


def read_attributes(path: Path, *, columns: Sequence[str] = ()) -> Attributes:
    """The attributes of a csv.

    Args:
        path: see the head of the file.
        columns: which columns to read; none = all but keys.
    Raises:
        BadInput: there is no such file, it cannot be read, it is empty, or it has no attribute.
        BadRow: the header has no key or repeats a name, a line has another number of cells, or a key stands twice.
        UnknownName: a column is not there.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in lines:
            if cells:
                rows.append((lines.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise BadRow(f"cannot be read ({error})", path=path, line=lines.line_num, mend="Mend the quotes") from error
    if not rows:
        raise BadInput("the file is empty", where=path, mend="Want a header: video_id,gender,age")
    header = rows[0][1]
    key = next((name for name in KEYS if name in header), None)
    if key is None or len(set(header)) < len(header):
        problem = "the header has no clip_id or video_id" if key is None else "the header repeats a name"
        raise BadRow(problem, path=path, line=rows[0][0], mend=f"It has: {', '.join(header)}")
    known = [name for name in header if name not in KEYS]
    for name in columns:
        if name not in known:
            raise UnknownName(what="attribute", name=name, choices=known, where=path)
    wanted = tuple(columns) or tuple(known)
    if not wanted:
        raise BadInput("there is no attribute beside the ids", where=path, mend="Want a header: video_id,gender,age")
    _check_rows(rows, at_key=header.index(key), path=path)
    name = "video_id" if key == "youtube_id" else key
    data: dict[str, list[str | None]] = {name: [cells[header.index(key)] for _, cells in rows[1:]]}
    data |= {column: [_known(cells[header.index(column)]) for _, cells in rows[1:]] for column in wanted}
    return Attributes(key=name, rows=pl.DataFrame(data, schema=dict.fromkeys(data, pl.String)), columns=wanted)


def _known(cell: str) -> str | None:
    return None if cell.lower() in UNKNOWN else cell


def _check_rows(rows: Sequence[tuple[int, list[str]]], *, at_key: int, path: Path) -> None:
    seen: set[str] = set()
    for line, cells in rows[1:]:
        if len(cells) != len(rows[0][1]):
            problem = f"{len(cells)} cells, want {len(rows[0][1])}"
            raise BadRow(problem, path=path, line=line, mend="Quote a comma inside a cell")
        if cells[at_key] in seen:
            raise BadRow(f"{cells[at_key]!r} stands twice", path=path, line=line, mend="Keep one row an id")
        seen.add(cells[at_key])


def with_attributes(clips: pl.DataFrame, attributes: Attributes) -> pl.DataFrame:
    """The clips with the attributes beside them, null where nothing is said of a clip.

    Args:
        clips: with the column that is the key.
        attributes: see `read_attributes`.
    Raises:
        BadInput: no row is of one of the clips.
    """
    if len(clips) and not clips.select(attributes.key).join(attributes.rows, on=attributes.key, how="semi").height:
        raise BadInput(
            f"no {attributes.key} of the attributes is one of the dataset's ({clips[attributes.key][0]!r} ...)",
            mend="Compare how the ids are written",
        )
    return clips.join(attributes.rows, on=attributes.key, how="left", maintain_order="left")
