"""A Kinetics csv, broken as it may be: every row that can be read is checked."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gesta.formats.kinetics import HEADER, REQUIRED
from gesta.formats.numbers import seconds_to_us
from gesta.lint.against import Against
from gesta.lint.clips import (
    clip_row_findings,
    label_findings,
    length_findings,
    rare_findings,
    spelling_findings,
    split_findings,
)
from gesta.lint.findings import Finding, finding, rows_found, shown
from gesta.lint.instants import id_findings, interval_findings, video_findings
from gesta.lint.text import Source, cells_found

_TEST = ("youtube_id", "time_start", "time_end", "split")
_LAYOUTS = {6: HEADER, 5: HEADER[:5], 4: _TEST, 3: REQUIRED}
"""What the columns are where a header is missing, by their number."""


def lint_kinetics(source: Source, against: Against) -> tuple[pl.DataFrame, list[Finding]]:
    """The rows that could be read (`line`, `video_id`, `start_us`, `end_us`, `label`, `split`) and all findings."""
    cells, found = cells_found(source, max_cells=len(HEADER) + 2)
    names, rows, more = _columns(cells, source=source)
    found += more
    path = source.path
    is_other = pl.col("num_cells") != len(names)
    text = pl.format("{} columns, want {}", "num_cells", pl.lit(f"{len(names)} ({', '.join(names)})"))
    found += rows_found("columns-wrong", rows, is_other, text, where=path)
    frame, more = _typed(rows.filter(~is_other), names, source=source)
    found += more
    found += [
        *id_findings(frame, where=path, is_kinetics=True),
        *interval_findings(frame, against.videos, where=path),
        *length_findings(frame, where=path),
        *clip_row_findings(frame, where=path),
        *spelling_findings(frame, where=path),
        *split_findings(frame, where=path),
        *rare_findings(frame, least=against.min_per_class, where=path),
    ]
    if against.label_map is not None:
        found += label_findings(frame, against.label_map, where=path)
    if against.videos is not None:
        found += video_findings(frame.select("line", "video_id"), against.videos, where=path)
    return frame, found


def _columns(cells: pl.DataFrame, *, source: Source) -> tuple[list[str], pl.DataFrame, list[Finding]]:
    """The names of the columns, the rows below the header, and what is wrong with the header."""
    if not cells.height:
        return list(HEADER[:5]), cells, []
    line, num_cells, *texts = cells.row(0)
    names = [str(text).strip() for text in texts if text is not None]
    known = {name for name in names if name.lower() in HEADER}
    if len(known) < 2:
        num = int(cells["num_cells"].mode().sort()[-1])
        layout = list(_LAYOUTS.get(num, HEADER[: min(num, 5)]))
        text = f"the first line is {','.join(names)!r}, no header"
        return layout, cells, finding("header-missing", [(line, text)], where=source.path)
    problems = [f"the header lacks {name!r}" for name in REQUIRED if name not in names]
    problems += [f"the header has the unknown {name!r}" for name in names if name not in HEADER]
    problems += [f"the header repeats {name!r}" for name in sorted({n for n in names if names.count(n) > 1})]
    if num_cells > len(HEADER) and not problems:
        problems.append(f"the header has {num_cells} columns")
    found = finding("header-unknown", [(line, problem) for problem in problems], where=source.path)
    return [name.lower() if name.lower() in HEADER else name for name in names], cells.slice(1), found


def _typed(rows: pl.DataFrame, names: list[str], *, source: Source) -> tuple[pl.DataFrame, list[Finding]]:
    absent = pl.Series([None], dtype=pl.String).new_from_index(0, rows.height)
    text = {name: rows[f"cell_{i}"] for i, name in enumerate(names) if f"cell_{i}" in rows.columns}
    frame = pl.DataFrame(
        {
            "line": rows["line"],
            **{name: text.get(name, absent) for name in HEADER},
            "start_us": seconds_to_us(text.get("time_start", absent)),
            "end_us": seconds_to_us(text.get("time_end", absent)),
        }
    )
    path = source.path
    empties, spaces, odds = [], [], []
    for name in ("label", "youtube_id", "split"):
        cell = pl.col(name)
        empties.append(pl.when(cell.str.strip_chars() == "").then(pl.lit(f"{name} is empty")))
        spaces.append(
            pl.when((cell != cell.str.strip_chars()) & (cell.str.strip_chars() != "")).then(
                pl.format(f"{name} is {{}}", shown(name))
            )
        )
    for name, time in (("time_start", "start_us"), ("time_end", "end_us")):
        is_odd = pl.col(name).is_not_null() & pl.col(time).is_null()
        odds.append(pl.when(is_odd).then(pl.format(f"{name} is {{}}", shown(name))))
    is_odd_cc = ~pl.col("is_cc").is_in(["0", "1"])
    found = [
        *_each(frame, "cell-empty", empties, source=source),
        *_each(frame, "cell-spaces", spaces, source=source),
        *_each(frame, "time-odd", odds, source=source),
        *rows_found("cell-odd", frame, is_odd_cc, pl.format("is_cc is {}, want 0 or 1", shown("is_cc")), where=path),
    ]
    cells = frame.with_columns(pl.col("youtube_id").fill_null("").alias("video_id"))
    return cells.select("line", "video_id", "start_us", "end_us", "label", "split"), found


def _each(frame: pl.DataFrame, code: str, problems: Sequence[pl.Expr], *, source: Source) -> list[Finding]:
    """The rows in which any of the expressions gives a text."""
    text = pl.concat_str([problem.cast(pl.String) for problem in problems], separator=", ", ignore_nulls=True)
    told = frame.with_columns(text.alias("problem"))
    return rows_found(code, told, pl.col("problem") != "", pl.col("problem"), where=source.path)
