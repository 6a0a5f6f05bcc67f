"""`gesta catalogue`: index a catalogue of videos, search it for actions, and see what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish, finish_json, json_option, work_argument
from gesta.cli.progress import progress
from gesta.schema import BadInput

if TYPE_CHECKING:
    import polars as pl

    from gesta.mine.catalogue.yields import By


@click.group("catalogue")
def command() -> None:
    """Search a catalogue of tens of millions of videos that are not at hand, by the words that describe them.

    Each takes --json, to print one JSON object for machines.

    \b
    Example:
      gesta catalogue index videos.csv --out index
      gesta catalogue search index --queries queries.csv --out work
      gesta catalogue yields work --by query
    """


@command.command("index")
@click.argument("catalogue", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the index.")
@click.option(
    "--column", "columns", multiple=True, metavar="WHAT=NAME",
    help="The catalogue's own name of a column, as in video_id=VideoID; may be given several times.",
)  # fmt: skip
@json_option
def index(catalogue: Path, *, out: Path, columns: Sequence[str], as_json: bool) -> None:
    """Index the words of CATALOGUE: a csv, Parquet or JSON-lines file, an info file of yt-dlp, or a folder of these.

    Titles, tags and descriptions are indexed; ids, durations, languages and places are kept. A file that is there
    already is passed over, so a catalogue can grow by files, and a run that was cut goes on where it stopped.

    \b
    Example:
      gesta catalogue index videos.csv --out index --column video_id=VideoID
      gesta catalogue index folder-of-info-json --out index
    """
    from gesta.mine.catalogue import build_index

    names = dict(_named(text) for text in columns)
    with progress("index", total=None) as advance:
        summary = build_index(catalogue, out=out, names=names, on_rows=advance)
    finish(summary, as_json=as_json)


def _named(text: str) -> tuple[str, str]:
    what, mark, name = text.partition("=")
    if not (what and mark and name):
        raise BadInput(f"--column {text}", mend="Want WHAT=NAME, as in video_id=VideoID")
    return what, name


@command.command("search")
@click.argument("index", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--queries", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
    help="Table of queries, as `gesta queries` makes it.",
)  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Work folder.")
@click.option("--query", default=None, help="One query instead of a table: its best matches are printed.")
@click.option("--language", default="en", show_default=True, help="Of --query, ISO 639-1.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Matches of --query to print.")
@click.option(
    "--field", "fields", type=click.Choice(["title", "tags", "description"]), multiple=True,
    help="Where to look; may be given several times.  [default: everywhere]",
)  # fmt: skip
@json_option
def search(
    index: Path,
    *,
    queries: Path | None,
    out: Path | None,
    query: str | None,
    language: str,
    limit: int,
    fields: Sequence[str],
    as_json: bool,
) -> None:
    """Find the videos of INDEX whose words name an action, by queries in any language.

    A text holds a query when it has the query's words in a row, in any inflection of the language, articles and other
    small words between them passed over. Writes `matches`, each video and class with the query that found it, and
    `query_matches`, what each query found. With --query, prints the best matches and writes nothing.

    \b
    Example:
      gesta catalogue search index --queries queries.csv --out work
      gesta catalogue search index --query "trenzar el pelo" --language es
    """
    from gesta.schema import MATCH_FIELDS

    _refuse_halves(queries=queries, out=out, query=query)
    chosen = tuple(fields) or MATCH_FIELDS
    if query is not None:
        return _search_one(index, query, language=language, limit=limit, fields=chosen, as_json=as_json)
    if queries is None or out is None:
        return None
    from gesta.mine.catalogue import match_catalogue
    from gesta.tables import read_table, rows_of

    asked = rows_of("queries", read_table(queries, "queries"))
    with progress("search", total=len(asked)) as advance:
        summary = match_catalogue(index, asked, fields=chosen, out=out, on_queries=advance)
    return finish(summary, as_json=as_json)


def _refuse_halves(*, queries: Path | None, out: Path | None, query: str | None) -> None:
    if (queries is None) == (query is None) or (queries is None) != (out is None):
        raise click.UsageError("Give --queries with --out, or --query.")


def _search_one(index: Path, text: str, *, language: str, limit: int, fields: Sequence[str], as_json: bool) -> None:
    from gesta.mine.catalogue import best_matches
    from gesta.schema import Query

    asked = Query(class_id=0, language=language, query=text, form="name", source="user")
    num_matches, best = best_matches(index, asked, fields=fields, limit=limit)
    if as_json:
        return finish_json({"num_matches": num_matches, "matches": best.to_dicts()})
    for row in best.to_dicts():
        click.echo(f"{row['video_id']}\t{row['score']:.2f}\t{row['field']}\t{row['title'] or '-'}")
    click.echo(f"{num_matches:,} matches")
    return None


@command.command("yields")
@work_argument
@click.option(
    "--by", type=click.Choice(["class", "language", "query"]), default="class", show_default=True,
    help="What to tell apart: classes, their languages, or their queries.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write the table here, as csv."
)
@json_option
def yields(work: Path, *, by: By, out: Path | None, as_json: bool) -> None:
    """Show what came of what was found in WORK: candidates, and of those asked the share accepted and published.

    The two shares are those of the Kinetics-700-2020 paper, appendix A.

    \b
    Example:
      gesta catalogue yields work --by language
      gesta catalogue yields work --by query --out yields.csv
    """
    from gesta.mine.catalogue import yields_of_work
    from gesta.tables import write_text

    frame = yields_of_work(work, by=by)
    if out is not None:
        write_text(out, frame.write_csv())
    if as_json:
        return finish_json({"by": by, "yields": frame.to_dicts()})
    for line in _lines(frame):
        click.echo(line)
    return None


def _lines(frame: pl.DataFrame) -> list[str]:
    """The table as text: numbers to the right, shares in percent as the paper prints them."""
    rows = [["class", *(name.removeprefix("num_").removesuffix("_share") for name in frame.columns[2:])]]
    rows[0][-2:] = ["accepted %", "published %"]
    for row in frame.drop("class_id").iter_rows():
        rows.append([_cell(value, is_share=i >= len(row) - 2) for i, value in enumerate(row)])
    num_texts = frame.columns.index("num_found") - 1
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < num_texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cell(value: str | float | None, *, is_share: bool) -> str:
    if value is None:
        return "-"
    if is_share:
        return f"{100 * float(value):.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
