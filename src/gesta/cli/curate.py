"""`gesta curate`: duplicates found, one clip a video and class kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from gesta.cli.options import cluster_option, finish, json_option, work_argument, workers_option
from gesta.cli.progress import progress


@click.command("curate")
@work_argument
@click.option(
    "--min-cosine", type=click.FloatRange(-1, 1), default=None,
    help="Cosine of two frames from which their clips are looked at more closely; with a trunk, of two clips that are "
    "copies.  [default: 0.42; with a trunk 0.97, or its own]",
)  # fmt: skip
@click.option(
    "--min-agreement", type=click.FloatRange(-1, 1), default=None,
    help="Likeness of what moves from which two clips are duplicates.  [default: 0.65]",
)  # fmt: skip
@click.option(
    "--trunk", default=None, help="Compare one vector a clip by this trunk: perceptual-hash, inception-v1, timm:MODEL …"
)
@click.option(
    "--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
    help="A file of the trunk's weights.",
)  # fmt: skip
@click.option(
    "--features", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
    help="In a trunk's place: features that `gesta features` wrote (.parquet), or clip vectors (.npy).",
)  # fmt: skip
@click.option(
    "--crops/--no-crops", default=None,
    help="With perceptual-hash: compare parts of pictures too, which finds cropped copies.  [default: crops]",
)  # fmt: skip
@click.option("--min-cosine-of", multiple=True, metavar="CLASS=COSINE", help="A class's own threshold; several times.")
@click.option(
    "--across", type=click.Choice(["class", "all"]), default=None,
    help="With a trunk: compare inside each class, or all clips.  [default: class]",
)  # fmt: skip
@click.option(
    "--keep", type=click.Choice(["best", "random"]), default=None,
    help="Which copy stays: the one with the most positives, or a drawn one.  [default: best; with a trunk random]",
)  # fmt: skip
@click.option(
    "--after", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None, metavar="RELEASE",
    help="With a trunk: an earlier release, whose clips stay before others.",
)  # fmt: skip
@click.option(
    "--animations", type=click.Choice(["webp", "gif", "both"]), default=None,
    help="Draw each cluster's clips side by side and in step, into animations/.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Chance for what stays.")
@workers_option
@cluster_option
@json_option
def command(
    work: Path,
    *,
    min_cosine: float | None,
    min_agreement: float | None,
    trunk: str | None,
    weights: Path | None,
    features: Path | None,
    crops: bool | None,
    min_cosine_of: tuple[str, ...],
    across: str | None,
    keep: str | None,
    after: Path | None,
    animations: str | None,
    seed: int,
    workers: int | None,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Find clips of WORK that show the same footage, and keep one clip a video and action.

    Copies are found though they were re-encoded, cropped, resized, mirrored or made part of a compilation: frames are
    compared by their features, then the clips that look alike are laid over each other and what moves in them must
    agree. Of copies the accepted one with the most positives stays, then the larger picture. Writes frame_features,
    duplicates, components and kept.

    With --trunk (or --features) the protocol is that of Kinetics-400: one accepted clip a video is drawn, 25 frames of
    each are turned into one vector, pairs of a class with a cosine of 0.97 or more are joined to components, and one
    of each stays. --trunk perceptual-hash needs no weights. The table components shows how unlike the least alike two
    clips of each are, so that chains are seen. --animations draws clusters for the eye: animations/index.html shows
    them, and the review of `gesta label` offers them beside the clips.

    \b
    Example:
      gesta curate work
      gesta curate work --trunk perceptual-hash --animations webp
      gesta curate work --trunk inception-v1 --min-cosine-of "skiing=0.99" --across all
    """
    by_trunk = trunk is not None or features is not None
    _check(
        by_trunk,
        trunk_only={
            "--weights": weights, "--crops": crops, "--min-cosine-of": min_cosine_of or None, "--across": across,
            "--after": after,
        },
        footage_only={"--min-agreement": min_agreement},
        both=trunk is not None and features is not None,
    )  # fmt: skip
    with progress("curate", total=None) as advance:
        if by_trunk:
            from gesta.curate.trunk_stage import run_curate_by_trunk

            summary = run_curate_by_trunk(
                work, trunk=trunk or "", weights=weights, features=features, crops=crops, min_cosine=min_cosine,
                min_cosine_of=_thresholds(min_cosine_of), across=across or "class", keep=keep or "random",
                release=after, seed=seed, workers=workers, cluster=cluster, on_rows=advance,
            )  # fmt: skip
        else:
            from gesta.curate.stage import MIN_AGREEMENT, MIN_COSINE, run_curate

            summary = run_curate(
                work, min_cosine=MIN_COSINE if min_cosine is None else min_cosine,
                min_agreement=MIN_AGREEMENT if min_agreement is None else min_agreement, keep=keep or "best",
                seed=seed, workers=workers, cluster=cluster, on_rows=advance,
            )  # fmt: skip
    if animations is not None:
        from gesta.curate.animations import run_animations

        formats = ("webp", "gif") if animations == "both" else (animations,)
        with progress("animations", total=None) as advance:
            drawn = run_animations(work, formats=formats, workers=workers, cluster=cluster, on_rows=advance)
        summary = dataclasses.replace(
            summary, outputs=(*summary.outputs, *drawn.outputs), numbers={**summary.numbers, **drawn.numbers}
        )
    finish(summary, as_json=as_json)


def _check(
    by_trunk: bool,
    *,
    trunk_only: dict[str, object],
    footage_only: dict[str, object],
    both: bool,
) -> None:
    if both:
        raise click.UsageError("--features stands in a trunk's place: give one of the two")
    for name, value in (footage_only if by_trunk else trunk_only).items():
        if value is not None:
            why = "is of the footage check, which a trunk replaces" if by_trunk else "needs --trunk or --features"
            raise click.UsageError(f"{name} {why}")


def _thresholds(given: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for text in given:
        name, is_there, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            is_there = ""
        if not (name and is_there):
            raise click.BadParameter(f"{text!r}: write it like skiing=0.99", param_hint="--min-cosine-of")
    return found
