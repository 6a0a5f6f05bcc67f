"""The numbers that the papers print of their datasets, as tables with their source, to set beside ours.

Facts and numbers of AVA-Kinetics (arXiv 2005.00214), Kinetics-400 (1705.06950) and Kinetics-700-2020 (2010.10864),
from the papers' text. Whatever in them does not add up is said in `PaperTable.notes`; nothing was corrected.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

from gesta.schema import UnknownName

_COLUMNS: dict[str, pl.DataType] = {
    "rank": pl.Int64(), "year": pl.Int64(), "npmi": pl.Float64(), "value": pl.Float64(), "percent": pl.Float64(),
    "percent_accepted": pl.Float64(), "percent_published": pl.Float64(), "percent_retained": pl.Int64(),
    "map_percent": pl.Float64(),
    "top_1_percent": pl.Float64(), "top_5_percent": pl.Float64(), "mean_clips_per_class": pl.Int64(),
    "min_clips_per_class": pl.Int64(), "max_clips_per_class": pl.Int64(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """One printed table: its rows as printed, where it stands, and what does not add up in it."""

    name: str
    paper: str
    where: str
    what: str
    notes: tuple[str, ...]
    frame: pl.DataFrame

    @property
    def source(self) -> str:
        """The paper with its number, and the place in it.

        >>> paper_table("kinetics_700_2020_yields").source
        'A Short Note on the Kinetics-700-2020 Human Action Dataset (arXiv 2010.10864), appendix A'
        """
        return f"{self.paper}, {self.where}"


@cache
def _index() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(files(__name__).joinpath("sources.json").read_text(encoding="utf-8"))
    return value


def paper_tables() -> tuple[str, ...]:
    """Names of all tables, in the order of the papers."""
    return tuple(_index()["tables"])


@cache
def paper_table(name: str) -> PaperTable:
    """The printed table of that name.

    Raises:
        UnknownName: there is no table of that name.

    >>> paper_table("ava_kinetics_table_1").frame.filter(split="val", dataset="AVA").rows()
    [('val', 'AVA', 57371, 64)]
    """
    tables = _index()["tables"]
    if name not in tables:
        raise UnknownName(what="paper table", name=name, choices=paper_tables())
    entry = tables[name]
    paper = _index()["papers"][entry["paper"]]
    text = files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    header = text.split("\n", 1)[0].split(",")
    dtypes = {column: _dtype(column) for column in header}
    return PaperTable(
        name=name,
        paper=f"{paper['title']} ({paper['id']})",
        where=entry["where"],
        what=entry["what"],
        notes=tuple(entry["notes"]),
        frame=pl.read_csv(io.BytesIO(text.encode()), schema=dtypes),
    )


def _dtype(column: str) -> pl.DataType:
    if column in _COLUMNS:
        return _COLUMNS[column]
    return pl.Int64() if column.startswith("num_") else pl.String()
