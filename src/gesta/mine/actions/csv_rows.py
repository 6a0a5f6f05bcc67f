"""Small csv files that people write by hand, as cells with the number of their line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from gesta.formats.delimited import read_text
from gesta.schema import BadRow


def read_csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a csv with the number of the line where each ends, its header first; blank lines are left out.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not UTF-8, or its quotes do not pair.
    """
    return csv_rows_of(read_text(path), path=path)


def csv_rows_of(text: str, *, path: Path) -> list[tuple[int, list[str]]]:
    r"""The rows of a csv's text; see `read_csv_rows`.

    Raises:
        BadRow: the quotes of a line do not pair, or it holds a zero byte.

    >>> csv_rows_of('a,b\n\n"1, 2",3\n', path=Path("x.csv"))
    [(1, ['a', 'b']), (3, ['1, 2', '3'])]
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    rows = []
    try:
        for cells in reader:
            if cells:
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        problem = f"the quotes do not pair ({error})"
        mend = 'Put the whole cell between quotes and double a quote inside it: "say ""hi"""'
        raise BadRow(problem, path=path, line=max(1, reader.line_num), mend=mend) from error
    return rows


def headed_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header of a csv in small letters, and its rows by column; a cell that a row lacks is empty.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not UTF-8, its quotes do not pair, or it has more cells than the header.
    """
    rows = read_csv_rows(path)
    header = [cell.strip().casefold() for cell in rows[0][1]] if rows else []
    found = []
    for line, cells in rows[1:]:
        if len(cells) > len(header):
            mend = "Quote a comma inside a cell, or drop the line"
            raise BadRow(f"{len(cells)} cells under {len(header)} columns", path=path, line=line, mend=mend)
        padded = [*cells, *[""] * (len(header) - len(cells))]
        found.append((line, {name: cell.strip() for name, cell in zip(header, padded, strict=True)}))
    return header, found
