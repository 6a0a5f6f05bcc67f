"""`gesta curate`: duplicates found, one clip a video and class kept."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import cluster_option, finish, json_option, work_argument, workers_option
from gesta.cli.progress import progress


@click.command("curate")
@work_argument
@click.option(
    "--min-cosine", type=click.FloatRange(-1, 1), default=0.42, show_default=True,
    help="Cosine of two frames from which their clips are looked at more closely.",
)  # fmt: skip
@click.option(
    "--min-agreement", type=click.FloatRange(-1, 1), default=0.65, show_default=True,
    help="Likeness of what moves from which two clips are duplicates.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Chance for the clip of a video that stays.")
@workers_option
@cluster_option
@json_option
def command(
    work: Path,
    min_cosine: float,
    min_agreement: float,
    seed: int,
    workers: int | None,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Find clips of WORK that show the same footage, and keep one clip a video and action.

    Copies are found though they were re-encoded, cropped, resized, mirrored or made part of a compilation: frames are
    compared by their features, then the clips that look alike are laid over each other and what moves in them must
    agree. Of copies the accepted one with the most positives stays, then the larger picture. Writes frame_features,
    duplicates and kept.

    \b
    Example:
      gesta curate work
    """
    from gesta.curate import run_curate

    with progress("curate", total=None) as advance:
        summary = run_curate(
            work, min_cosine=min_cosine, min_agreement=min_agreement, seed=seed, workers=workers, cluster=cluster,
            on_rows=advance,
        )  # fmt: skip
    finish(summary, as_json=as_json)
