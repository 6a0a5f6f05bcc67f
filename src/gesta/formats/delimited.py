"""Comma-separated text to and from cells, each line with its number, fast and without a guess.

The world's annotation files have lines of different lengths (AVA: 2, 7 or 8 cells), which table readers pad or
refuse; and their errors must name a line. So lines are cut here, in columns, and only lines with a quote go
through a slower reader.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path

import polars as pl

from gesta.schema import BadInput, BadRow

BYTE_ORDER_MARK = "\ufeff"


def read_text(path: Path) -> str:
    """The file's text, without the byte order mark that some editors put in front.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadRow("this line is not UTF-8 text", path=path, line=line, mend="Save the file as UTF-8") from error


def read_lines(path: Path) -> pl.DataFrame:
    """Columns `line` (from 1) and `text` of the lines that are not blank; LF and CRLF both end a line.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not UTF-8.
    """
    texts = pl.Series("text", read_text(path).split("\n"), dtype=pl.String)
    frame = pl.DataFrame({"text": texts.str.strip_suffix("\r")}).with_row_index("line", offset=1)
    return frame.select(pl.col("line").cast(pl.Int64), "text").filter(pl.col("text").str.strip_chars() != "")


def decoded_lines(lines: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    """Columns `line` and `text` of the lines that are not blank, from `line` and `bytes`.

    Raises:
        BadRow: a line is not UTF-8.
    """
    texts = []
    for line, data in lines.iter_rows():
        try:
            texts.append(data.decode())
        except UnicodeDecodeError as error:
            raise BadRow("this line is not UTF-8 text", path=path, line=line, mend="Save the file as UTF-8") from error
    frame = pl.DataFrame({"line": lines["line"], "text": texts}, schema={"line": pl.Int64, "text": pl.String})
    return frame.filter(pl.col("text").str.strip_chars() != "")


def read_cells(path: Path, *, max_cells: int, max_lines: int | None = None) -> pl.DataFrame:
    """Columns `line`, `num_cells` and `cell_0` ... of a comma-separated file; cells are text, null past a line's end.

    Quotes are read as in RFC 4180, but no cell spans lines: none of the formats here has such cells, and so an
    unclosed quote costs one line and not the rest of the file. Blank lines are passed over.

    Args:
        max_cells: how many `cell_...` columns to give; `num_cells` counts all that a line has.
        max_lines: how many lines to give, from the first; None = all.
    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not UTF-8, or its quotes do not pair.
    """
    lines = read_lines(path).head(max_lines) if max_lines is not None else read_lines(path)
    return cells_of(lines, max_cells=max_cells, path=path)


def cells_of(lines: pl.DataFrame, *, max_cells: int, path: Path) -> pl.DataFrame:
    """The cells of lines that `read_lines` gave, or of some of them; see `read_cells`.

    Raises:
        BadRow: the quotes of a line do not pair.
    """
    lines = without_needless_quotes(lines)
    has_quote = lines["text"].str.contains('"', literal=True)
    cells = pl.col("text").str.split(",")
    plain = lines.filter(~has_quote).select(
        "line",
        cells.list.len().cast(pl.Int64).alias("num_cells"),
        *(cells.list.get(i, null_on_oob=True).alias(f"cell_{i}") for i in range(max_cells)),
    )
    quoted = [(line, _split_quoted(text, path=path, line=line)) for line, text in lines.filter(has_quote).iter_rows()]
    columns = {"line": [line for line, _ in quoted], "num_cells": [len(row) for _, row in quoted]}
    texts = {f"cell_{i}": [row[i] if i < len(row) else None for _, row in quoted] for i in range(max_cells)}
    return pl.concat([plain, pl.DataFrame({**columns, **texts}, schema=plain.schema)]).sort("line")


_NEEDLESS = r'^(?:"[^",]*"|[^",]*)(?:,(?:"[^",]*"|[^",]*))*$'


def without_needless_quotes(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines, quotes gone from those whose every quoted cell is whole and holds no comma and no quote.

    Such lines, nearly all of those of Kinetics-400, then need no reader that goes from sign to sign.

    >>> without_needless_quotes(pl.DataFrame({"line": [1, 2], "text": ['"air drumming",v', '"a, b",v']})).rows()
    [(1, 'air drumming,v'), (2, '"a, b",v')]
    """
    text = pl.col("text")
    is_needless = text.str.contains('"', literal=True) & text.str.contains(_NEEDLESS)
    return lines.with_columns(pl.when(is_needless).then(text.str.replace_all('"', "", literal=True)).otherwise(text))


def _split_quoted(text: str, *, path: Path, line: int) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise BadRow(
            f"the quotes do not pair ({error})",
            path=path,
            line=line,
            mend='Put the whole cell between quotes and double a quote inside it: "say ""hi"""',
        ) from error


def refuse_first(frame: pl.DataFrame, is_bad: pl.Expr, *, path: Path, problem: pl.Expr, mend: str) -> None:
    """Nothing, where no row of `frame` (with its column `line`) is bad.

    Args:
        is_bad: true where a row is wrong; null counts as false.
        problem: text that says what is wrong with a row, without a full stop.
    Raises:
        BadRow: a row is bad; the first one is named.
    """
    bad = frame.filter(is_bad.fill_null(value=False))
    if len(bad):
        line, text = bad.head(1).select("line", problem.alias("problem")).row(0)
        raise BadRow(text, path=path, line=line, mend=mend)


def refuse_other_lengths(cells: pl.DataFrame, *, allowed: Collection[int], path: Path, meaning: str) -> None:
    """Nothing, where every line has an allowed number of cells.

    Args:
        meaning: what the cells of a line are, for the message.
    Raises:
        BadRow: a line has another number of cells.
    """
    *few, last = (str(number) for number in sorted(allowed))
    wanted = f"{', '.join(few)} or {last}" if few else last
    refuse_first(
        cells,
        ~pl.col("num_cells").is_in(sorted(allowed)),
        path=path,
        problem=pl.format(f"{{}} columns, want {wanted} ({meaning})", "num_cells"),
        mend="Quote a comma inside a cell, or drop the line",
    )


def quoted_cell(column: str, *, also_spaces: bool = False) -> pl.Expr:
    """The cell's text as it stands in a file: in quotes where it holds a comma, a quote or a leading mark.

    Args:
        also_spaces: quote cells with a space too, as the Kinetics-400 files do.
    """
    text = pl.col(column)
    needs = text.str.contains('[, "]' if also_spaces else '[,"]') | text.str.starts_with(BYTE_ORDER_MARK)
    doubled = text.str.replace_all('"', '""', literal=True)
    return pl.when(needs).then(pl.concat_str(pl.lit('"'), doubled, pl.lit('"'))).otherwise(text)


def refuse_unwritable(frame: pl.DataFrame, column: str, *, path: Path) -> None:
    """Nothing, where every text of the column can stand in one cell of one line.

    Raises:
        BadInput: a text is empty or holds a line break.
    """
    bad = frame.filter((pl.col(column) == "") | pl.col(column).str.contains("[\n\r]"))
    if len(bad):
        raise BadInput(
            f"{column} {bad[column][0]!r} cannot be written in this format",
            where=path,
            mend="Want some text without line breaks",
        )


def joined_lines(lines: pl.Series) -> str:
    """The lines as one text, each ended by LF."""
    return "".join(f"{line}\n" for line in lines)
