"""`gesta queries`: what to search titles for, class by class, in several languages."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import dry_run_option, finish, json_option

if TYPE_CHECKING:
    from gesta.mine.queries import Translate

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("queries")
@click.argument("actions")
@click.option("--languages", default="en,fr,es,pt", show_default=True, help="Codes of languages, commas between.")
@click.option("--table", type=_FILE, help="Your own phrases: csv with name and a column a language.")
@click.option("--shipped/--no-shipped", default=True, show_default=True, help="Use the phrases that come with gesta.")
@click.option("--translator", metavar="MODULE:FUNCTION", help="Your function (name, language) -> phrases, for gaps.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write: .csv, .jsonl, .parquet.")
@click.option("--show/--no-show", default=True, show_default=True, help="Print every class with its queries.")
@dry_run_option
@json_option
def command(
    actions: str,
    *,
    languages: str,
    table: Path | None,
    shipped: bool,
    translator: str | None,
    out: Path | None,
    show: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the phrases that titles are searched for, from the ACTIONS of a file or a shipped list.

    ACTIONS is an action list, a label map, a list of names, or the name of a shipped list (`gesta actions list`).
    Each class gets its own name, infinitive, gerund and synonyms in each language, without articles and other stop
    words. They come from the table that is shipped, from yours, from your translator, and for other English names
    from rules of inflection. A class with nothing in a language is named.

    \b
    Example:
      gesta queries actions.txt --languages en,fr,es,pt --out queries.csv
      gesta queries kinetics-400 --languages fr
      gesta queries actions.txt --languages en,it --table italian.csv --out queries.csv
    """
    from gesta.mine.actions import read_actions
    from gesta.mine.queries import classes_without, run_queries

    classes = read_actions(actions).classes
    codes = [code.strip() for code in languages.split(",") if code.strip()]
    queries, summary = run_queries(
        classes,
        languages=codes,
        actions=actions,
        table=table,
        with_shipped=shipped,
        translate=None if translator is None else _function(translator),
        translator=translator,
        out=None if dry_run else out,
    )
    if show and not as_json:
        for row in classes:
            click.echo(f"{row.class_id} {row.name}")
            listed = [query for query in queries if query.class_id == row.class_id]
            for language in Counter(query.language for query in listed):
                click.echo(f"  {language}  " + "; ".join(query.query for query in listed if query.language == language))
    if not as_json:
        for language, names in classes_without(classes, queries, languages=codes).items():
            click.echo(f"no query in {language}: {', '.join(names)}")
    finish(summary, as_json=as_json)


def _function(text: str) -> Translate:
    """The function that MODULE:FUNCTION names; the current folder is looked through first.

    Raises:
        BadInput: the text has no colon, or there is no such module or function.
    """
    from gesta.schema import BadInput

    module, _, name = text.partition(":")
    sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module), name) if module and name else None
    except (ModuleNotFoundError, AttributeError):
        function = None
    finally:
        sys.path.remove("")
    if not callable(function):
        raise BadInput(f"no translator {text!r}", mend="Want MODULE:FUNCTION, a function (name, language) -> phrases")
    found: Translate = function
    return found
