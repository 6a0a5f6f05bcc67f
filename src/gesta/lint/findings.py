"""Findings, how they are gathered from frames of rows, and how they are written out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.lint.codes import CODES, SEVERITIES, Severity
from gesta.tables import Json

MAX_EXAMPLES = 1000
"""How many places of one code in one file are kept; all are counted. Source: ours, so that a file whose million rows
are all wrong makes a short report."""


@dataclass(frozen=True, slots=True)
class Example:
    """One more place with the same finding: its line, where lines mean something, and what is wrong there."""

    line: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """All that one code found in one file: the first place, further ones, and how many there are.

    `count` is of places; `more` holds those after the first, at most `MAX_EXAMPLES` together with it.
    """

    code: str
    severity: Severity
    where: str
    line: int | None
    message: str
    mend: str
    count: int = 1
    more: tuple[Example, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """The parts as plain JSON values; `examples` begins with the first place."""
        places = [Example(self.line, self.message), *self.more]
        return {
            "code": self.code,
            "severity": self.severity,
            "where": self.where,
            "line": self.line,
            "message": self.message,
            "mend": self.mend,
            "count": self.count,
            "examples": [{"line": place.line, "message": place.message} for place in places],
        }


def finding(
    code: str, places: Sequence[tuple[int | None, str]], *, where: str | Path, count: int | None = None
) -> list[Finding]:
    """One finding of the places (line and message), or none where there are none.

    Args:
        code: one of `CODES`.
        count: how many places there are, where only the first ones are given.
    """
    if not places:
        return []
    line, message = places[0]
    return [
        Finding(
            code=code,
            severity=CODES[code].severity,
            where=str(where),
            line=line,
            message=message,
            mend=CODES[code].mend,
            count=len(places) if count is None else count,
            more=tuple(Example(*place) for place in places[1:MAX_EXAMPLES]),
        )
    ]


def rows_found(
    code: str, frame: pl.DataFrame, is_bad: pl.Expr | None, message: pl.Expr, *, where: str | Path
) -> list[Finding]:
    """One finding of the rows of `frame` (with its column `line`) that are bad, or none.

    Args:
        is_bad: true where a row is wrong; null counts as false; None = all rows are.
        message: text that says what is wrong with a row, without a full stop; made for the first rows only.
    """
    bad = frame if is_bad is None else frame.filter(is_bad.fill_null(value=False))
    if not bad.height:
        return []
    places = bad.head(MAX_EXAMPLES).select("line", message.fill_null("?").alias("message")).rows()
    return finding(code, places, where=where, count=bad.height)


def shown(column: str) -> pl.Expr:
    """The column's text between quotes, for a message; nothing stands as ''."""
    return pl.concat_str(pl.lit("'"), pl.col(column).cast(pl.String).fill_null(""), pl.lit("'"))


def shown_time(column: str = "timestamp_us") -> pl.Expr:
    """A time in microseconds as seconds, for a message; null as `no time`."""
    seconds = pl.col(column).cast(pl.Float64) / 1_000_000
    return (seconds.round(6).cast(pl.String).str.strip_suffix(".0") + " s").fill_null("no time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What lint found in the files: each file with its kind and rows, and the findings in the files' order."""

    files: tuple[tuple[str, str, int], ...]
    findings: tuple[Finding, ...]

    @property
    def num_errors(self) -> int:
        """Places with an error, over all files."""
        return self.count("error")

    def count(self, severity: str) -> int:
        """Places with a finding of that severity, over all files."""
        return sum(found.count for found in self.findings if found.severity == severity)

    def totals(self) -> dict[str, int]:
        """Places by code, over all files, in the order of `CODES`."""
        counts: Counter[str] = Counter()
        for found in self.findings:
            counts[found.code] += found.count
        return {code: counts[code] for code in CODES if code in counts}

    def as_json(self) -> dict[str, Json]:
        """Files, findings with their first places, and totals, as plain JSON values."""
        return {
            "files": [{"where": where, "kind": kind, "num_rows": num} for where, kind, num in self.files],
            "findings": [found.as_json() for found in self.findings],
            "totals": self.totals(),
            **{f"num_{severity}s": self.count(severity) for severity in SEVERITIES},
        }


def chosen_findings(
    findings: Iterable[Finding], *, codes: Collection[str], files: Iterable[str]
) -> tuple[Finding, ...]:
    """The findings of these codes; in the order of the files, then the worst first, then by line and code."""
    kept = [found for found in findings if found.code in codes]
    order_of = {where: i for i, where in enumerate(dict.fromkeys([*files, *(found.where for found in kept)]))}
    return tuple(
        sorted(
            kept,
            key=lambda f: (order_of[f.where], SEVERITIES.index(f.severity), f.line is not None, f.line or 0, f.code),
        )
    )


def report_text(report: Report, *, max_per_code: int) -> str:
    """The report as lines that editors and compilers' users know: `file:line: error code: message. How to mend`.

    Args:
        max_per_code: how many places of one code are shown a file; the rest is counted.
    """
    lines = []
    for found in report.findings:
        places = [Example(found.line, found.message), *found.more][:max_per_code]
        for place in places:
            at = found.where if place.line is None else f"{found.where}:{place.line}"
            lines.append(f"{at}: {found.severity} {found.code}: {place.message}. {found.mend}")
        if found.count > len(places):
            rest = f"{found.count - len(places):,} more of {found.count:,}"
            lines.append(f"{found.where}: {found.severity} {found.code}: {rest} (--max-per-code shows them)")
    return "\n".join([*lines, summary_line(report)])


def summary_line(report: Report) -> str:
    """One line: how many files and rows, and what was found in them by severity."""
    num_rows = sum(num for _, _, num in report.files)
    parts = []
    for severity in SEVERITIES:
        codes = [found.code for found in report.findings if found.severity == severity]
        number = report.count(severity)
        kinds = f" ({', '.join(code for code in CODES if code in codes)})" if codes else ""
        parts.append(f"{number:,} {severity}{'' if number == 1 else 's'}{kinds}")
    plural = "" if len(report.files) == 1 else "s"
    return f"lint: {len(report.files):,} file{plural}, {num_rows:,} rows: {', '.join(parts)}"
