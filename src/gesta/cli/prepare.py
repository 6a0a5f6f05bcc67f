"""`gesta prepare`: clips decoded once and stored, so that training need not wait for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gesta.cli.options import dry_run_option, finish_json, json_option
from gesta.cli.person_data import clip_labels_option
from gesta.cli.prepare_persons import prepare_persons
from gesta.cli.progress import progress
from gesta.schema import BadInput

if TYPE_CHECKING:
    from gesta.train.clips import ClipFrames

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("prepare")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the cache.")
@click.option("--videos", type=_FOLDER, default=None, help="Folder of a list's videos.  [default: the list's own]")
@click.option("--split", "splits", multiple=True, help="Which split; may be given several times.  [default: all]")
@click.option("--label-map", type=_FILE, default=None, help="Class ids and names in place of a list's own.")
@click.option("--recipe", default=None, help="Name of the recipe that is to be trained: of clips, or of persons.")
@click.option("--excluded", type=_FILE, default=None, help="Persons: key-frames that do not count.")
@clip_labels_option
@click.option("--form", type=click.Choice(["uint8", "tar", "short-gop"]), default="short-gop", show_default=True,
              help="Raw frames, short videos in tar shards, or short videos.")  # fmt: skip
@click.option("--rate", type=float, default=25.0, show_default=True, help="Frames a second.")
@click.option("--side-px", type=int, default=340, show_default=True, help="Length of the frame's side.")
@click.option("--side", type=click.Choice(["long", "short"]), default="long", show_default=True, help="Which side.")
@click.option("--crop-px", type=int, default=299, show_default=True, help="Crop that must fit into every frame.")
@click.option("--flow", type=click.Choice(["dis", "farneback", "tvl1"]), default=None,
              help="Store optical flow instead of pictures (uint8 only).")  # fmt: skip
@click.option("--image-fps", type=float, default=25.0, show_default=True, help="Of folders of numbered images.")
@click.option("--workers", type=int, default=None, help="Processes that decode.  [default: the cores there are]")
@dry_run_option
@json_option
def command(
    data: Path, *, out: Path, videos: Path | None, splits: tuple[str, ...], label_map: Path | None, recipe: str | None,
    excluded: Path | None, clip_labels: Path | None, form: str,
    rate: float, side_px: int, side: str, crop_px: int, flow: str | None, image_fps: float,
    workers: int | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Prepare the videos of DATA for training: a release, a list with --videos, or a folder of class folders.

    Every split goes to a folder of its own, OUT/<split>, which `gesta train` takes in place of the release. Videos as
    they come hold a sync frame every ten seconds, and to show two seconds of one, ten are decoded: short videos with a
    sync frame every 12 frames are read about twice as fast, raw frames twenty times. A run that was cut goes on
    where it was; one that is done compares all hashes. `--dry-run` says how large it will be.

    With a recipe of persons DATA is a release, a csv of AVA or AVA-Kinetics, or a file of parts, and the stretches
    around its key-frames go to OUT/<part> as short videos: a folder to give as --videos in place of the films'.

    \b
    Example:
      gesta prepare work/releases/1.0.0 --out work/cache --form short-gop
      gesta prepare ucf/trainlist01.txt --videos ucf/videos --out cache --form uint8 --side-px 128 --crop-px 112
      gesta prepare ava_train_v2.2.csv --videos films --recipe action_transformer_ava --out short
    """
    from gesta.train.clips import ClipSource, plan_prepare, run_prepare, splits_of
    from gesta.train.persons.recipes import PERSON_RECIPES

    if recipe in PERSON_RECIPES:
        return prepare_persons(
            data, out=out, recipe=recipe, form=form, splits=splits, videos=videos, label_map=label_map,
            excluded=excluded, clip_labels=clip_labels, num_workers=_num_workers(workers), dry_run=dry_run,
            as_json=as_json,
        )  # fmt: skip
    if excluded or clip_labels:
        raise BadInput(
            f"--{'excluded' if excluded else 'clip-labels'} is for recipes of persons",
            mend="Leave it out, or name such a recipe (docs/recipes.md)",
        )
    frames = _frames(recipe, rate=rate, side_px=side_px, side=side, crop_px=crop_px, flow=flow)
    names: tuple[str | None, ...] = splits or splits_of(data) or (None,)
    source = ClipSource(image_fps=image_fps)
    summaries: list[dict[str, Any]] = []
    for name in names:
        clips, rejects = _opened(data, split=name, videos=videos, label_map=label_map)
        if dry_run:
            plan = {"split": name, **plan_prepare(clips, form=form, frames=frames, source=source)}
            summaries.append({**plan, "num_missing": len(rejects)})
            continue
        with progress(f"prepare {name or ''}".strip(), total=len(clips)) as advance:
            summary = run_prepare(
                clips, out=out if name is None else out / name, form=form, frames=frames, source=source,
                num_workers=_num_workers(workers), rejects=rejects, on_clips=advance,
            )  # fmt: skip
        summaries.append({"split": name, "line": summary.line, **summary.as_json()})
    return _say(summaries, as_json=as_json, dry_run=dry_run)


def _frames(recipe: str | None, *, rate: float, side_px: int, side: str, crop_px: int, flow: str | None) -> ClipFrames:
    from gesta.train.clips import ClipFrames

    if recipe is None:
        return ClipFrames(
            num_frames=1, rate=rate, side_px=side_px, side=side, crop_px=crop_px,
            modality="rgb" if flow is None else "flow", flow=flow or "dis",
        )  # fmt: skip
    from gesta.train.clips.recipes import find_clip_recipe

    return find_clip_recipe(recipe).frames


def _opened(data: Path, *, split: str | None, videos: Path | None, label_map: Path | None) -> Any:
    from gesta.train.clips import open_clips

    return open_clips(data, split=split, videos=videos, label_map=label_map)


def _num_workers(workers: int | None) -> int:
    from gesta.shards import worker_count

    count = worker_count(workers)
    return 0 if count == 1 else count


def _say(summaries: list[dict[str, Any]], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        return finish_json({"splits": summaries})
    for summary in summaries:
        name = f"{summary['split']}: " if summary["split"] else ""
        if dry_run:
            text = (
                "{num_clips:,} clips as {form} would take {size} ({num_tried} looked at, {num_unreadable} unreadable)"
            )
            click.echo(f"prepare: {name}" + text.format(size=_size(summary["size_bytes"]), **summary))
        else:
            click.echo(f"{name}{summary['line']}, {_size(summary['size_bytes'])}")
    return None


def _size(num_bytes: float) -> str:
    """The size in decimal units, as disks are sold.

    >>> _size(65_280_000)
    '65.3 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.3g} TB" if num_bytes < 1000 else f"{num_bytes:,.0f} TB"
