"""Words and names that mean one thing: "motorbike" and "motorcycle", "riding a bike" and "biking".

`synonyms.csv` is ours. Its `words` are exchanged wherever they stand in a name; its `name` rows say that two whole
names mean one action, so that "drumming" is "playing drums" and "drumming fingers" stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from gesta.formats.delimited import read_text
from gesta.mine.actions.csv_rows import csv_rows_of
from gesta.schema import BadRow

Matches = Literal["words", "name"]
COLUMNS = ("kept", "other", "matches")


@dataclass(frozen=True, slots=True, kw_only=True)
class Synonym:
    """Two ways to say one thing, the kept one first; `matches` says whether in any name, or as a whole name."""

    kept: str
    other: str
    matches: Matches = "name"


@dataclass(frozen=True, slots=True)
class SynonymTable:
    """Synonyms in the order in which they are looked at."""

    rows: tuple[Synonym, ...] = field(default=())

    def with_rows(self, more: SynonymTable) -> SynonymTable:
        """These and then the others."""
        return SynonymTable((*self.rows, *more.rows))


@cache
def shipped_synonyms() -> SynonymTable:
    """The synonyms that the package holds.

    >>> any(row.other == "motorbike" for row in shipped_synonyms().rows)
    True
    """
    text = files(__package__).joinpath("synonyms.csv").read_text(encoding="utf-8")
    return _table(text, path=Path("synonyms.csv"))


def read_synonyms(path: Path) -> SynonymTable:
    """The synonyms of a csv with the columns `kept`, `other` and, where it is wanted, `matches`.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: the columns are others, a cell is empty, both cells say the same, or `matches` is neither `words` nor
            `name`.
    """
    return _table(read_text(path), path=path)


def _table(text: str, *, path: Path) -> SynonymTable:
    rows = csv_rows_of(text, path=path)
    if rows and tuple(rows[0][1]) not in (COLUMNS, COLUMNS[:2]):
        problem = f"the columns are {','.join(rows[0][1])}"
        raise BadRow(problem, path=path, line=rows[0][0], mend=f"Want {','.join(COLUMNS)}")
    return SynonymTable(tuple(_synonym(cells, path=path, line=line) for line, cells in rows[1:]))


def _synonym(cells: list[str], *, path: Path, line: int) -> Synonym:
    kept, other, matches = (*(cell.strip() for cell in cells), "name", "")[:3]
    if len(cells) not in (2, 3) or not kept or not other or kept == other:
        raise BadRow(f"{','.join(cells)!r} is no pair", path=path, line=line, mend="Write as: biking,riding a bike")
    if matches == "words":
        return Synonym(kept=kept, other=other, matches="words")
    if matches == "name":
        return Synonym(kept=kept, other=other)
    raise BadRow(f"matches is {matches!r}", path=path, line=line, mend="Want words or name")
