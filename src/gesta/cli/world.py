"""`gesta world`: render a world of people doing things."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import dry_run_option, finish, json_option, workers_option
from gesta.cli.progress import progress

if TYPE_CHECKING:
    from gesta.world import Copies


@click.command("world")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Names the world; the same seed, the same bytes.")
@click.option("--videos", "num_videos", type=int, default=96, show_default=True, help="How many files.")
@click.option(
    "--kind",
    type=click.Choice(["line", "motions", "people"]),
    default="line",
    show_default=True,
    help="line: videos for the whole line. motions: short clips in paired classes. people: several people at once.",
)
@click.option(
    "--copies",
    default="line",
    show_default=True,
    help="Kinds of copy to plant, with commas between; line: the demo's five, all: every kind.",
)
@click.option("--copy-share", type=float, help="Copies among all files.  [default: 0.11]")
@click.option("--size", help="Of motions' or people's frames, in pixels.  [default: 96x72, people 96x96]")
@workers_option
@dry_run_option
@json_option
def command(
    out: Path,
    seed: int,
    num_videos: int,
    kind: str,
    copies: str,
    copy_share: float | None,
    size: str | None,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Render small videos of people doing things, with exact truth.

    OUT gets videos/ (with the title of each beside it, as yt-dlp leaves it), actions.txt, and the tables truth_videos,
    truth_actions and truth_boxes. Among the videos are duplicates, distractors whose titles lie, videos without people
    and files that no decoder can show. An interrupted run goes on where it was.

    Copies are re-encoded, cropped, resized, flipped or put first in a compilation; with --copies also letterboxed, with
    a logo, at another speed, an excerpt inside a compilation, recoloured, or reworked (several of these at once).

    With --kind motions OUT gets videos/SPLIT/CLASS/, a list in Kinetics' layout for each split, and the same tables:
    seven pairs of classes, each clip of a pair the other's in reverse (opening and closing a door), and four classes
    that one frame tells. Splits share no person and no place.

    \b
    Example:
      gesta world build/world --seed 7 --videos 96
      gesta world build/copies --videos 240 --copies all --copy-share 0.4
      gesta world build/motions --kind motions --videos 720
      gesta world build/people --kind people --videos 600
    """
    from gesta.world import (
        long_and_short,
        plan_motions_summary,
        plan_people_summary,
        plan_summary,
        render_motions,
        render_people,
        render_world,
    )

    planted = _copies(copies, copy_share)
    width_px, height_px = _pixels(size or ("96x96" if kind == "people" else "96x72"))
    num_long, num_short = long_and_short(num_videos)
    if dry_run:
        if kind == "people":
            summary = plan_people_summary(seed=seed, num_long=num_long, num_short=num_short)
        elif kind == "motions":
            summary = plan_motions_summary(seed=seed, num_videos=num_videos)
        else:
            summary = plan_summary(seed=seed, num_videos=num_videos, copies=planted)
        finish(summary, as_json=as_json)
        return
    with progress("world", total=num_videos) as advance:
        if kind == "people":
            summary = render_people(
                out, seed=seed, num_long=num_long, num_short=num_short, width_px=width_px, height_px=height_px,
                workers=workers, on_rows=advance,
            )  # fmt: skip
        elif kind == "motions":
            summary = render_motions(
                out, seed=seed, num_videos=num_videos, width_px=width_px, height_px=height_px, workers=workers,
                on_rows=advance,
            )  # fmt: skip
        else:
            summary = render_world(
                out, seed=seed, num_videos=num_videos, copies=planted, workers=workers, on_rows=advance
            )
    finish(summary, as_json=as_json)


def _copies(kinds: str, share: float | None) -> Copies:
    from gesta.world import COPY_DAMAGE, LINE_COPIES, Copies

    named = {"line": LINE_COPIES.kinds, "all": COPY_DAMAGE}
    return Copies(
        kinds=named.get(kinds) or tuple(kind.strip() for kind in kinds.split(",")),
        share=LINE_COPIES.share if share is None else share,
    )


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise click.BadParameter(f"{size!r} is no size; write it like 96x72", param_hint="--size")
    return int(width), int(height)
