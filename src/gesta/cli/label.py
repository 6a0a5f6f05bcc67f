"""`gesta label`: serve the questions to people, or put them to a simulated crowd."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gesta.cli.options import finish, json_option, work_argument
from gesta.cli.progress import progress
from gesta.schema import PROTOCOLS, TrustRule

if TYPE_CHECKING:
    import polars as pl
    import sqlalchemy as sa

    from gesta.label import RunningServer

KIND_NAMES = tuple(PROTOCOLS)
_file = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("label")
@work_argument
@click.option("--ask", "kinds", type=click.Choice(KIND_NAMES), multiple=True,
              help="Kind of question, as often as wanted.  [default: clip and box]")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 = every one.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 = any that is free.")
@click.option("--gold", type=_file, default=None, help="File of known answers (item_id, answer): csv, jsonl, parquet.")
@click.option("--scores", type=_file, default=None, help="Classifier's scores (clip_id, class_id, score) that rank the "
              "final filter.")  # fmt: skip
@click.option("--lowest", "lowest_frac", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Share of each class's clips, the least sure ones, that the final filter shows.")  # fmt: skip
@click.option("--database", default=None, help="SQLAlchemy URL of the vote log.  [default: WORK/labels.sqlite]")
@click.option("--min-gold", default=8, show_default=True, help="Gold answers after which a worker is judged.")
@click.option("--min-accuracy", default=0.7, show_default=True, help="Share of gold a worker must have right.")
@click.option("--class-threshold", default=0.5, show_default=True, help="Share of accepted clips below which a class "
              "pauses.")  # fmt: skip
@click.option("--class-after", default=20, show_default=True, help="Decided clips before a class is judged; 0 = never.")
@click.option("--ask-instead", is_flag=True, help="After a no, ask what action it is instead.")
@click.option("--pay", default=None, help="What is owed, like 0.20/task, 0.01/answer or 12/hour; see `gesta board`.")
@click.option("--currency", default="USD", show_default=True, help="Of --pay.")
@click.option("--mturk", is_flag=True, help="Let workers of Mechanical Turk in, at /mturk (see docs/crowds.md).")
@click.option("--prolific-code", default=None, help="Completion code: lets workers of Prolific in, at /prolific.")
@click.option("--export", is_flag=True, help="Write the votes table of what is there; serve nothing.")
@click.option("--simulate", type=_file, default=None, help="True answers (item_id, answer): a simulated crowd answers.")
@click.option("--crowd-size", default=14, show_default=True, help="Simulated workers.")
@click.option("--spammer-frac", default=0.2, show_default=True, help="Share of them who answer without looking.")
@click.option("--concurrency", default=1, show_default=True, help="Simulated workers at once; 1 = same votes each run.")
@click.option("--seed", default=0, show_default=True, help="Of the order of questions, and of the simulated crowd.")
@json_option
def command(
    work: Path,
    kinds: tuple[str, ...],
    host: str,
    port: int,
    gold: Path | None,
    scores: Path | None,
    lowest_frac: float,
    database: str | None,
    min_gold: int,
    min_accuracy: float,
    class_threshold: float,
    class_after: int,
    ask_instead: bool,
    pay: str | None,
    currency: str,
    mturk: bool,
    prolific_code: str | None,
    export: bool,
    simulate: Path | None,
    crowd_size: int,
    spammer_frac: float,
    concurrency: int,
    seed: int,
    as_json: bool,
) -> None:
    """Ask people: seven kinds of question, over a web page.

    Makes the items table from what WORK holds and serves it as a web page, until Ctrl-C; then writes the votes table.
    The first start prints two links: one for the owner, who sees the board, and an invite to send to workers.
    Answers are kept in WORK/labels.sqlite, or in the PostgreSQL database of --database, as they come: running the
    command again goes on where it stopped. With --simulate nobody is asked: workers with known habits answer over the
    same HTTP interface.

    \b
    Example:
      gesta label work --gold gold.csv
      gesta label work --ask frame --ask person --database postgresql://gesta@db/labels
      gesta label work --simulate answers.parquet --crowd-size 14 --spammer-frac 0.2 --seed 7
    """
    from gesta.label import Rules, run_label, run_simulated

    trust = TrustRule(min_gold=min_gold, min_accuracy=min_accuracy)
    rules = Rules(
        trust=trust,
        class_threshold_frac=class_threshold,
        class_after_num_clips=class_after,
        asks_suggestion_after_no=ask_instead,
    )
    if kinds:
        rules = replace(rules, kinds=tuple(kind for kind in rules.kinds if kind in kinds))
    if simulate is not None:
        with progress("votes", total=None) as on_rows:
            summary = run_simulated(
                work,
                simulate=simulate,
                crowd_size=crowd_size,
                spammer_frac=spammer_frac,
                gold=gold,
                database=database,
                rules=rules,
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
            scores=scores,
            lowest_frac=lowest_frac,
            export=export,
            database=database,
            kinds=kinds or None,
            rules=rules,
            seed=seed,
            skill_of=_skill_of,
            configure=lambda db: _configure(db, pay=pay, currency=currency, mturk=mturk, prolific_code=prolific_code),
            until=_until_stopped,
        )
    finish(summary, as_json=as_json)


def _skill_of(votes: pl.DataFrame) -> list[dict[str, Any]]:
    """A row for each worker, by Dawid and Skene's model; known answers are held, columns as the service gives them."""
    from gesta.consensus import worker_skill

    known = votes.drop_nulls("gold_answer").select("item_id", answer="gold_answer").unique("item_id")
    return worker_skill(votes.drop("gold_answer"), gold=known if len(known) else None).to_dicts()


def _configure(db: sa.Connection, *, pay: str | None, currency: str, mturk: bool, prolific_code: str | None) -> None:
    """Write pay and outside crowds into the database; what is not given stays as it was."""
    from gesta.label.external_crowds import Mturk, Prolific, configure_external
    from gesta.label.pay import configure_pay, pay_rule_of

    if pay is not None:
        amount, _, per = pay.partition("/")
        configure_pay(db, pay_rule_of({"per": per or "task", "amount": amount, "currency": currency}))
    if mturk or prolific_code:
        crowds = configure_external(
            db,
            mturk=Mturk() if mturk else None,
            prolific=Prolific(completion_code=prolific_code) if prolific_code else None,
        )
        for name in ("mturk", "prolific"):
            crowd = getattr(crowds, name)
            if crowd is not None:
                click.echo(f"Workers come in from {name} at /{name}?key={crowd.key} (see docs/crowds.md)", err=True)


def _until_stopped(server: RunningServer) -> None:
    """Say where the page is, and wait for Ctrl-C or SIGTERM."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in signals]
    try:
        say_links(server)
        click.echo("Ctrl-C stops the service and writes the votes", err=True)
        # A wait without a limit would not let signals through on every system.
        while not stopped.wait(timeout=0.5):
            pass
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def say_links(server: RunningServer) -> None:
    """Say where the page is; the links of a first start are secrets, and are shown here only."""
    click.echo(f"The label page is at {server.url}", err=True)
    if server.owner_link and server.invite_link:
        click.echo(f"  your own link (the board; keep it to yourself): {server.owner_link}", err=True)
        click.echo(f"  to send to workers:                             {server.invite_link}", err=True)
    else:
        click.echo(f"  the board is at {server.url}/owner, for whoever joined as its owner", err=True)
