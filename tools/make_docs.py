"""Make the parts of `docs/` that come from the program: the command reference, the tables, the measured results.

Run `make docs`. A test compares what stands in `docs/` with what this makes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gesta.cli.main import LINE, OTHERS, main
from gesta.formats import FORMATS
from gesta.tables import TABLES
from gesta.train.clips.paper_rows import recipe_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
BEGIN, END = "<!-- made by tools/make_docs.py: begin -->", "<!-- made by tools/make_docs.py: end -->"


def _helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    settings = {"max_content_width": 100, "terminal_width": 100, "help_option_names": ["-h", "--help"]}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None:
                yield from _helps(child, child_name, context)


def cli_page() -> str:
    """The command reference: each command's `--help`, in the line's order."""
    parts = [
        "# Commands\n",
        "Made from `--help` by `make docs`; a test keeps it so. Exit codes: 0 done; 1 `gesta lint` found errors;",
        "2 something you can mend: one line on standard error says what, where and how (`GESTA_DEBUG=1` shows where in",
        "the program).\n",
        "The line: " + " → ".join(f"`{name}`" for name in LINE) + ".",
        "Beside it: " + ", ".join(f"`{name}`" for name in OTHERS) + ".\n",
    ]
    for path, text in _helps(main, "gesta"):
        parts.append(f"## {path}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


def tables_section() -> str:
    """Every kind of table, column by column, read from the nouns."""
    parts = []
    for kind in TABLES.values():
        key = ", ".join(kind.key) or "none; rows keep their order"
        parts.append(f"### `{kind.name}`\n")
        summary = (kind.row.__doc__ or "").strip().splitlines()[0]
        parts.append(f"{summary} Written by `{kind.verb}`; key: {key}; schema version {kind.version}.\n")
        parts.append("| column | type | may be null | what it holds |\n|---|---|---|---|")
        for column in kind.columns:
            parts.append(f"| `{column.name}` | {column.dtype} | {'yes' if column.nullable else ''} | {column.doc} |")
        parts.append("")
    return "\n".join(parts)


def annotation_formats_page() -> str:
    """Every format that converts: the list, then what the module that reads each says of it."""
    parts = [
        "# Annotation formats\n",
        "Made from the program by `make docs`; a test keeps it so. `gesta convert SOURCE TARGET --to NAME` turns each",
        "into each other, `gesta import` takes all with labels, `gesta export` writes a work folder or release as any.",
        "The csv files of AVA and Kinetics and the label maps are described in [files](formats.md#annotation-files).\n",
        "| name | what | holds | a file ends in |\n|---|---|---|---|",
    ]
    names_of: dict[str, list[str]] = {}
    for name, one in FORMATS.items():
        parts.append(f"| `{name}` | {one.what} | {', '.join(one.holds)} | {one.ending or 'a folder'} |")
        names_of.setdefault(one.read.__module__, []).append(name)  # type: ignore[attr-defined]
    for module, names in names_of.items():
        if module != "gesta.formats.flat_files":
            text = (sys.modules[module].__doc__ or "").strip()
            parts.append(f"\n## {', '.join(f'`{name}`' for name in names)}\n\n{text}")
    return "\n".join(parts) + "\n"


def with_section(page: str, section: str) -> str:
    """The page with what stands between the two marks replaced by `section`.

    Raises:
        ValueError: the page lacks the marks.
    """
    if BEGIN not in page or END not in page:
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    before, rest = page.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{section.strip()}\n\n{END}{rest.split(END, 1)[1]}"


def _cells(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, dict):
        return "; ".join(f"{name} {_cells(part)}" for name, part in value.items())
    return ", ".join(_cells(part) for part in value) if isinstance(value, list) else str(value)


LONG_FACT = 100
"""Characters of a fact that still fits a line; a longer object becomes a list of its own."""


def _fact_lines(name: str, value: Any, *, depth: int = 0) -> Iterator[str]:
    line = f"{'  ' * depth}- {name}: {_cells(value)}"
    if not isinstance(value, dict) or len(line) <= LONG_FACT:
        yield line
        return
    yield f"{'  ' * depth}- {name}:"
    for part, fact in value.items():
        yield from _fact_lines(part, fact, depth=depth + 1)


def _result_table(rows: list[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cells(row.get(name, "")) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def results_page() -> str:
    """Every stored measurement as a table; numbers are drawn from `benchmarks/results`, never typed."""
    parts = [
        "# Results\n",
        "Drawn from `benchmarks/results/*.json` by `make docs`; a test keeps it so. Each file was written by the",
        "program named in it, in one run; speeds are to be read as ratios within a table. The papers' tables made from",
        "real files stand on [their own page](papers-numbers.md), and so do [three rules of asking](crowd-study.md).\n",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem.startswith(("papers", "crowd-study")):  # they have pages of their own
            continue
        result = json.loads(path.read_text())
        parts.append(f"## {path.stem}\n")
        if "figure" in result:
            parts.append(f"![{result['what']}](figures/{result.pop('figure')})\n")
        result = {name: value for part in result.items() for name, value in _opened(*part)}
        facts = {name: value for name, value in result.items() if not _is_rows(value)}
        parts += [line for name, value in facts.items() for line in _fact_lines(name, value)]
        parts.append("")
        for name, value in result.items():
            if _is_rows(value):
                parts += [f"{name}:\n", _result_table(value), ""]
    return "\n".join(parts).rstrip() + "\n"


def _opened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The fact itself, or, of an object that holds tables of runs, its other facts and the runs as rows."""
    tables = {part: fact for part, fact in value.items() if _is_runs(fact)} if isinstance(value, dict) else {}
    if not tables:
        yield name, value
        return
    facts = {part: fact for part, fact in value.items() if part not in tables}
    if facts:
        yield name, facts
    for part, runs in tables.items():
        yield f"{name}: {part}", [{"run": run, **numbers} for run, numbers in runs.items()]


def _is_runs(value: Any) -> bool:
    return isinstance(value, dict) and len(value) > 1 and all(isinstance(run, dict) for run in value.values())


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def pages() -> dict[Path, str]:
    """Every page that is made, whole, by its path."""
    formats = DOCS / "formats.md"
    return {
        DOCS / "cli.md": cli_page(),
        formats: with_section(formats.read_text(), tables_section()),
        DOCS / "annotation-formats.md": annotation_formats_page(),
        DOCS / "results.md": results_page(),
        DOCS / "recipes.md": recipe_page(),
    }


if __name__ == "__main__":
    for page_path, page_text in pages().items():
        page_path.write_text(page_text)
        print(page_path.relative_to(DOCS.parent))
