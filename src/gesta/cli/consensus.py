"""`gesta consensus`: verdicts from votes."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import finish, json_option, work_argument
from gesta.consensus import run_consensus
from gesta.schema import TrustRule


@click.command("consensus")
@work_argument
@click.option(
    "--min-gold", type=click.IntRange(min=0), default=TrustRule().min_gold, show_default=True,
    help="Gold items that a worker must have met before being judged.",
)  # fmt: skip
@click.option(
    "--min-accuracy", type=click.FloatRange(0, 1), default=TrustRule().min_accuracy, show_default=True,
    help="Share of gold items that a worker must have right for the votes to count.",
)  # fmt: skip
@json_option
def command(work: Path, min_gold: int, min_accuracy: float, as_json: bool) -> None:
    """Turn the votes of WORK into verdicts on clips and boxes, and judge the workers.

    A clip's action is accepted at 3 positives of at most 5 votes, stopping as soon as one answer has been given 3
    times; a boxed person's at 2 of 3. Votes count in order of arrival until the verdict stands; votes of workers who
    fail too many gold items are set aside. Writes clip_labels, box_labels and workers.

    \b
    Example:
      gesta consensus work
    """
    finish(run_consensus(work, trust=TrustRule(min_gold=min_gold, min_accuracy=min_accuracy)), as_json=as_json)
