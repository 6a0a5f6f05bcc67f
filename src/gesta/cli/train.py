"""`gesta train`: labelled clips or key-frames and a recipe to a trained model."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.progress import progress
from gesta.cli.train_clips import ClipOptions, train_clips
from gesta.schema import BadInput, UnknownName

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("train")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--recipe", default="roi_r3d_tiny_world", show_default=True, help="Name of a recipe (docs/recipes.md).")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the model.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order, changes and dropout.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@click.option("--split", default=None, help="Clips: which split to learn from.  [default: train, where there is one]")
@click.option("--val", default=None, help="Clips: a split of DATA, or a path, to try the model on after each epoch.")
@click.option("--videos", type=_FOLDER, default=None, help="Clips: folder of a list's videos.  [default: its own]")
@click.option("--label-map", type=_FILE, default=None, help="Clips: class ids and names in place of a list's own.")
@click.option(
    "--start", default=None, help="Clips: weights to begin from: a model.pt, or published ones by name or file."
)
@click.option(
    "--workers", type=int, default=None, help="Clips: processes that decode.  [default: the cores there are; CPU: 0]"
)
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Clips: decode each clip once, into this folder (65 MB for ten seconds of 340 px).",
)  # fmt: skip
@click.option("--save-every-min", type=float, default=10.0, show_default=True, help="Clips: minutes a checkpoint.")
@click.option("--save-every-steps", type=int, default=0, help="Clips: steps a checkpoint.  [default: by minutes alone]")
@dry_run_option
@json_option
def command(
    data: Path, *, recipe: str, out: Path, seed: int, device: str, threads: int | None, split: str | None,
    val: str | None, videos: Path | None, label_map: Path | None, start: str | None, workers: int | None,
    cache: Path | None, save_every_min: float, save_every_steps: int, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train a model on the split "train" of DATA: a release, a list of clips, prepared clips or a folder of classes.

    The recipe says what is trained: a model of persons at key-frames (a release only), or of whole clips.

    Writes OUT/model.pt, which carries its class names, preprocessing, recipe and the data's hash; OUT/log.jsonl with
    the losses and, for clips, clips a second, the share of time spent waiting for data and of the device's peak;
    OUT/train.json with what ran. With --val, OUT/best.pt is the best epoch's model.

    A killed run goes on where it was when the command is given again. SIGTERM and Ctrl-C end the step, write
    OUT/last.pt and exit with 143 or 130. `--dry-run` counts what there is to learn from, and for clips steps, hours
    and memory. With several GPUs: `torchrun --nproc-per-node 8 -m gesta train ...`; the weights are the same.

    \b
    Example:
      gesta train work/releases/1.0.0 --recipe roi_r3d_tiny_world --out work/model
      gesta train work/releases/1.0.0 --recipe i3d_small_world --val val --out work/clip-model
      gesta train train.csv --videos videos --val val.csv --recipe i3d_k700_2020 --out work/i3d
    """
    from gesta.train import find_recipe, plan_train, run_train
    from gesta.train.clips import CLIP_RECIPES
    from gesta.train.recipes import RECIPES

    options = ClipOptions(
        split=split, val=val, videos=videos, label_map=label_map, start=start, workers=workers, cache=cache,
        save_every_min=save_every_min, save_every_steps=save_every_steps,
    )  # fmt: skip
    if recipe in CLIP_RECIPES:
        train_clips(
            data, recipe=recipe, out=out, seed=seed, device=device, threads=threads, options=options,
            dry_run=dry_run, as_json=as_json,
        )  # fmt: skip
        return None
    if recipe not in RECIPES:
        raise UnknownName(what="recipe", name=recipe, choices=[*RECIPES, *CLIP_RECIPES])
    asked = [name for name in ("split", "val", "videos", "label_map", "start", "workers", "cache")
             if getattr(options, name) is not None]  # fmt: skip
    if asked:
        raise BadInput(
            f"--{asked[0].replace('_', '-')} is for recipes of clips, and {recipe!r} is one of key-frames",
            mend="Leave it out, or choose a recipe of docs/recipes.md",
        )
    if dry_run:
        plan = plan_train(data, recipe=recipe)
        text = (
            "train: would learn {num_classes} classes from {num_key_frames:,} key-frames with {num_persons:,} persons "
        )
        text += "in {epochs} epochs; {num_rejected:,} key-frames have nobody"
        return finish_json(plan) if as_json else click.echo(text.format(**plan))
    with progress("train", total=find_recipe(recipe).epochs) as advance:
        summary = run_train(
            data,
            recipe=recipe,
            out=out,
            seed=seed,
            device=device,
            threads=threads,
            on_epoch=lambda _line: advance(1),
        )
    return finish(summary, as_json=as_json)
