"""Lists of video ids: a line each, or a csv with a column of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from gesta.formats.delimited import read_text
from gesta.schema import BadInput, BadRow

ID_COLUMNS = ("video_id", "youtube_id")
"""Columns that hold ids. Source: gesta's own tables; the csv files of Kinetics."""


def read_video_ids(path: Path) -> frozenset[str]:
    """The ids of a file: its lines, or the column `video_id` (or `youtube_id`) of a csv with a header.

    A csv is known by its first line: one of its cells is the name of the column. Blank lines are passed over.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line of a csv has no such cell, or a line of a list has a comma.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    found: set[str] = set()
    at: int | None = None
    is_first = True
    try:
        for cells in lines:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            names = [name for name in ID_COLUMNS if name in cells] if is_first else []
            is_first = False
            if names:
                at = cells.index(names[0])
                continue
            if at is None and len(cells) != 1:
                problem = f"{len(cells)} cells in a list of ids"
                raise BadRow(problem, path=path, line=lines.line_num, mend="Give the csv a header with video_id")
            if at is not None and (len(cells) <= at or not cells[at]):
                raise BadRow("there is no video id", path=path, line=lines.line_num, mend="Fill it in or drop the line")
            found.add(cells[at or 0])
    except csv.Error as error:
        raise BadRow(f"cannot be read ({error})", path=path, line=lines.line_num, mend="Mend the quotes") from error
    if is_first:
        raise BadInput("the file is empty", where=path, mend="Write an id a line; for none, the header video_id alone")
    return frozenset(found)
