"""`gesta label`: serve the questions to people, or put them to a simulated crowd."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish, json_option, work_argument
from gesta.cli.progress import progress
from gesta.schema import TrustRule

if TYPE_CHECKING:
    from gesta.label import RunningServer

_file = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("label")
@work_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 = every one.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 = any that is free.")
@click.option("--gold", type=_file, default=None, help="File of known answers (item_id, answer): csv, jsonl, parquet.")
@click.option("--database", default=None, help="SQLAlchemy URL of the vote log.  [default: WORK/labels.sqlite]")
@click.option("--min-gold", default=8, show_default=True, help="Gold answers after which a worker is judged.")
@click.option("--min-accuracy", default=0.7, show_default=True, help="Share of gold a worker must have right.")
@click.option("--export", is_flag=True, help="Write the votes table of what is there; serve nothing.")
@click.option("--simulate", type=_file, default=None, help="True answers (item_id, answer): a simulated crowd answers.")
@click.option("--crowd-size", default=14, show_default=True, help="Simulated workers.")
@click.option("--spammer-frac", default=0.2, show_default=True, help="Share of them who answer without looking.")
@click.option("--concurrency", default=1, show_default=True, help="Simulated workers at once; 1 = same votes each run.")
@click.option("--seed", default=0, show_default=True, help="Of the order of questions, and of the simulated crowd.")
@json_option
def command(
    work: Path,
    host: str,
    port: int,
    gold: Path | None,
    database: str | None,
    min_gold: int,
    min_accuracy: float,
    export: bool,
    simulate: Path | None,
    crowd_size: int,
    spammer_frac: float,
    concurrency: int,
    seed: int,
    as_json: bool,
) -> None:
    """Ask people whether clips and boxed persons show an action.

    Makes the items table from WORK's candidates and tracked persons and serves it as a web page at the printed
    address, until Ctrl-C; then writes the votes table. Answers are kept in WORK/labels.sqlite as they come: running
    the command again goes on where it stopped. With --simulate nobody is asked: workers with known habits answer
    over the same HTTP interface.

    \b
    Example:
      gesta label work --gold gold.csv
      gesta label work --simulate answers.parquet --crowd-size 14 --spammer-frac 0.2 --seed 7
    """
    from gesta.label import run_label, run_simulated

    trust = TrustRule(min_gold=min_gold, min_accuracy=min_accuracy)
    if simulate is not None:
        with progress("votes", total=None) as on_rows:
            summary = run_simulated(
                work,
                simulate=simulate,
                crowd_size=crowd_size,
                spammer_frac=spammer_frac,
                gold=gold,
                database=database,
                trust=trust,
                seed=seed,
                concurrency=concurrency,
                on_rows=on_rows,
            )
    else:
        summary = run_label(
            work,
            host=host,
            port=port,
            gold=gold,
            export=export,
            database=database,
            trust=trust,
            seed=seed,
            until=_until_stopped,
        )
    finish(summary, as_json=as_json)


def _until_stopped(server: RunningServer) -> None:
    """Say where the page is, and wait for Ctrl-C or SIGTERM."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in signals]
    try:
        click.echo(f"The label page is at {server.url} (Ctrl-C stops it and writes the votes)", err=True)
        # A wait without a limit would not let signals through on every system.
        while not stopped.wait(timeout=0.5):
            pass
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
