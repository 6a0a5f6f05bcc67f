"""`gesta mine`: titles and windows to candidate clips."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from gesta.cli.options import dry_run_option, finish, json_option, work_argument
from gesta.cli.progress import progress


@click.command("mine")
@work_argument
@click.option(
    "--actions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="A label map, or a list of names, a name a line.",
)
@click.option("--clip-s", type=float, default=10.0, show_default=True, help="Length of a clip, seconds.")
@click.option(
    "--windows-per-video", type=int, default=2, show_default=True, help="Clips of a video at most, evenly spread."
)
@click.option(
    "--unmatched",
    type=click.Choice(["reject", "all"]),
    default="reject",
    show_default=True,
    help="A video whose title names no action: reject it, or ask workers for all actions.",
)
@dry_run_option
@json_option
def command(
    work: Path,
    *,
    actions: Path,
    clip_s: float,
    windows_per_video: int,
    unmatched: Literal["reject", "all"],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Choose clips of WORK's videos that may show an action, to be put to workers.

    Reads `videos`; writes `label_map`, `clips` and `candidates`. A title names an action when it holds the action's
    words in a row, whatever their inflection: "How to wave your hands" names "waving hand". Every window of such a
    video is a candidate. Candidates that annotation files brought stay.

    \b
    Example:
      gesta mine work --actions actions.txt --clip-s 10 --windows-per-video 2
    """
    from gesta.mine import plan_mine, run_mine
    from gesta.tables import read_table

    if dry_run:
        planned = plan_mine(
            work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched
        )
        return finish(planned, as_json=as_json)
    with progress("mine", total=len(read_table(work, "videos"))) as advance:
        summary = run_mine(
            work,
            actions=actions,
            clip_s=clip_s,
            windows_per_video=windows_per_video,
            unmatched=unmatched,
            on_rows=advance,
        )
    return finish(summary, as_json=as_json)
