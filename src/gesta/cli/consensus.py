"""`gesta consensus`: verdicts from votes."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import finish, json_option, work_argument
from gesta.consensus import run_consensus
from gesta.schema import CLIP_PROTOCOL, Protocol, TrustRule


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
@click.option(
    "--accept-yes", type=click.IntRange(min=1), default=CLIP_PROTOCOL.accept_yes, show_default=True,
    help="Positives that accept a clip's action.",
)  # fmt: skip
@click.option(
    "--max-votes", type=click.IntRange(min=1), default=CLIP_PROTOCOL.max_votes, show_default=True,
    help="Votes on a clip's action that count at most.",
)  # fmt: skip
@click.option(
    "--stop-at", type=click.IntRange(min=1), default=CLIP_PROTOCOL.stop_at, show_default=True,
    help="Answers of one other kind that reject it.",
)  # fmt: skip
@click.option(
    "--merges", type=click.Path(dir_okay=False, exists=True, path_type=Path), default=None,
    help="Classes that became others: csv with the columns old,new, ids or names.",
)  # fmt: skip
@json_option
def command(
    work: Path,
    min_gold: int,
    min_accuracy: float,
    accept_yes: int,
    max_votes: int,
    stop_at: int,
    merges: Path | None,
    as_json: bool,
) -> None:
    """Turn the votes of WORK into labels, boxes, proposals, suggestions and reviews, and judge the workers.

    A clip's action is accepted at 3 positives of at most 5 votes, stopping as soon as one answer has been given 3
    times; a boxed person's at 2 of 3. Votes count in order of arrival until the verdict stands; votes of workers who
    fail too many gold items are set aside. Verdicts are views of the votes: under another rule, or after classes were
    merged, they are made anew. Writes clip_labels, box_labels and workers, and where there are such votes
    key_frame_boxes, proposed_labels, suggestions and reviews.

    \b
    Example:
      gesta consensus work
      gesta consensus work --accept-yes 2 --max-votes 3 --stop-at 2 --merges synonyms.csv
    """
    summary = run_consensus(
        work,
        trust=TrustRule(min_gold=min_gold, min_accuracy=min_accuracy),
        clip_protocol=Protocol(max_votes=max_votes, accept_yes=accept_yes, stop_at=stop_at),
        merges=merges,
    )
    finish(summary, as_json=as_json)
