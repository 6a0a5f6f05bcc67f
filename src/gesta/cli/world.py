"""`gesta world`: render a world of people doing things."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, json_option, workers_option
from gesta.cli.progress import progress


@click.command("world")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Names the world; the same seed, the same bytes.")
@click.option("--videos", "num_videos", type=int, default=96, show_default=True, help="How many files.")
@workers_option
@dry_run_option
@json_option
def command(out: Path, seed: int, num_videos: int, workers: int | None, dry_run: bool, as_json: bool) -> None:
    """Render small videos of people doing things, with exact truth.

    OUT gets videos/ (with the title of each beside it, as yt-dlp leaves it), actions.txt, and the tables truth_videos,
    truth_actions and truth_boxes. Among the videos are duplicates, distractors whose titles lie, videos without people
    and files that no decoder can show. An interrupted run goes on where it was.

    \b
    Example:
      gesta world build/world --seed 7 --videos 96
    """
    from gesta.world import plan_summary, render_world

    if dry_run:
        finish(plan_summary(seed=seed, num_videos=num_videos), as_json=as_json)
        return
    with progress("world", total=num_videos) as advance:
        summary = render_world(out, seed=seed, num_videos=num_videos, workers=workers, on_rows=advance)
    finish(summary, as_json=as_json)
