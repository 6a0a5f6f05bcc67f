"""Any file as lines and cells: what is wrong with the bytes is found, and what can be read is read."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats.delimited import cells_of, without_needless_quotes
from gesta.lint.findings import Finding, finding, rows_found
from gesta.schema import BadInput

_MARK = b"\xef\xbb\xbf"
_CONTROL = r"[\x00-\x08\x09\x0b-\x1f\x7f]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file's lines (columns `line`, `text`; blank ones left out) and what is wrong with its bytes."""

    path: Path
    lines: pl.DataFrame
    findings: tuple[Finding, ...]


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        BadInput: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error


def read_source(path: Path) -> Source:
    """The file's lines, bytes that are not UTF-8 replaced by a mark, and the findings on its bytes.

    Raises:
        BadInput: there is no such file, or it cannot be read.
    """
    data = read_bytes(path)
    found: list[Finding] = []
    if data.startswith(_MARK):
        found += finding("text-bom", [(1, "the file begins with a byte order mark")], where=path)
        data = data[len(_MARK) :]
    num_ends, num_windows = data.count(b"\n"), data.count(b"\r\n")
    if num_windows:
        code = "text-crlf" if num_windows == num_ends else "text-line-ends"
        text = f"{num_windows:,} of {num_ends:,} lines end with CR LF"
        found += finding(code, [(None, text)], where=path)
    texts = pl.Series("text", _decoded(data, found, path=path).split("\n"), dtype=pl.String)
    numbered = pl.DataFrame({"text": texts.str.strip_suffix("\r")}).with_row_index("line", offset=1)
    # A line of NULs is no blank one, though Unicode calls some controls white space.
    lines = numbered.select(pl.col("line").cast(pl.Int64), "text").filter(pl.col("text").str.strip_chars() != "")
    found += rows_found(
        "text-control",
        lines,
        pl.col("text").str.contains(_CONTROL),
        pl.lit("the line holds a control character"),
        where=path,
    )
    if not lines.height:
        found += finding("file-empty", [(None, "the file holds no row")], where=path)
    return Source(path=path, lines=lines, findings=tuple(found))


def _decoded(data: bytes, found: list[Finding], *, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        bad: list[tuple[int | None, str]] = []
        texts = []
        for line, part in enumerate(data.split(b"\n"), start=1):
            texts.append(part.decode(errors="replace"))
            try:
                part.decode()
            except UnicodeDecodeError as error:
                bad.append((line, f"byte {part[error.start]:#04x} at place {error.start + 1} is not UTF-8"))
        found += finding("text-not-utf8", bad, where=path)
        return "\n".join(texts)


def cells_found(source: Source, *, max_cells: int) -> tuple[pl.DataFrame, list[Finding]]:
    """The cells of the lines as `gesta.formats.delimited.read_cells` gives them, lines with odd quotes left out."""
    lines = without_needless_quotes(source.lines)
    bad: list[tuple[int | None, str]] = []
    for line, text in lines.filter(pl.col("text").str.contains('"', literal=True)).iter_rows():
        problem = _quote_problem(text)
        if problem:
            bad.append((line, problem))
    lines = lines.filter(~pl.col("line").is_in([line for line, _ in bad])) if bad else lines
    return cells_of(lines, max_cells=max_cells, path=source.path), finding("text-quotes", bad, where=source.path)


def _quote_problem(text: str) -> str:
    try:
        next(csv.reader([text], strict=True), None)
    except csv.Error as error:
        return f"the quotes do not pair ({error})"
    return ""
