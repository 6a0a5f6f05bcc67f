"""`gesta report`: one page of what the line did."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gesta.cli.options import finish, json_option, work_argument
from gesta.schema import BadInput

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("report")
@work_argument
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The page.  [default: WORK/report.html]")
@click.option(
    "--release", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Whose counts are shown.  [default: the newest below WORK/releases]",
)  # fmt: skip
@click.option("--metrics", type=_FILE, help="metrics.json that `gesta evaluate` wrote.")
@click.option("--log", type=_FILE, help="log.jsonl that `gesta train` wrote.")
@click.option("--summary", type=_FILE, help="JSON object of a whole run's numbers, shown at the top.")
@click.option("--title", default="Dataset report", show_default=True, help="Of the page.")
@click.option("--max-clips", type=click.IntRange(0), default=12, show_default=True, help="Example clips to show.")
@click.option("--max-pairs", type=click.IntRange(2), default=6, show_default=True, help="Pairs of duplicates to show.")
@json_option
def command(
    work: Path, out: Path | None, release: Path | None, metrics: Path | None, log: Path | None, summary: Path | None,
    title: str, max_clips: int, max_pairs: int, as_json: bool,
) -> None:  # fmt: skip
    """Make one HTML page that opens offline: the funnel, example clips, counts, workers, duplicates and scores.

    The page holds its pictures and style and loads nothing. A section whose tables are not there yet says which verb
    makes them.

    \b
    Example:
      gesta report work
      gesta report work --metrics scores/metrics.json --log model/log.jsonl --out report.html
    """
    from gesta.report import run_report

    result = run_report(
        work, out=out, release=release, metrics=metrics, log=log, summary=_summary(summary), title=title,
        max_clips=max_clips, max_pairs=max_pairs,
    )  # fmt: skip
    if as_json:
        finish(result, as_json=True)
    else:
        click.echo(f"report: {result.outputs[0]}")


def _summary(path: Path | None) -> dict[str, object] | None:
    if path is None:
        return None
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadInput(f"is not JSON ({error})", where=path, mend="Give one JSON object") from error
    if not isinstance(value, dict):
        raise BadInput("is not a JSON object", where=path, mend="Give one JSON object")
    return value
