"""`gesta train`: labelled clips or key-frames and a recipe to a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.person_checks import force_option
from gesta.cli.person_data import bank_option, clip_labels_option, excluded_option, included_option, proposals_option
from gesta.cli.progress import progress
from gesta.cli.train_clips import ClipOptions, train_clips
from gesta.cli.train_persons import PersonOptions, train_persons
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
@click.option("--split", default=None, help="Which split to learn from.  [default: train, where there is one]")
@click.option("--val", default=None, help="A split of DATA, or a path, to try the model on after each epoch.")
@click.option("--videos", type=_FOLDER, default=None, help="Folder of a list's videos.  [default: its own]")
@click.option("--label-map", type=_FILE, default=None, help="Class ids and names in place of a list's own.")
@excluded_option
@included_option
@proposals_option
@clip_labels_option
@bank_option
@click.option("--classes", default=None, help="Persons: learn these class ids alone, such as 3,6,10.")
@click.option("--parts", default=None, help="Persons: learn from these parts of DATA alone, such as ava,kinetics.")
@click.option("--start", default=None, help="Weights to begin from: a model.pt, or published ones by name or file.")
@click.option(
    "--workers", type=int, default=None, help="Processes that decode.  [default: the cores there are; CPU: 0]"
)
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Decode each clip or key-frame once, into this folder (65 MB for ten seconds of 340 px).",
)  # fmt: skip
@click.option("--save-every-min", type=float, default=10.0, show_default=True, help="Minutes a checkpoint.")
@click.option("--save-every-steps", type=int, default=0, help="Steps a checkpoint.  [default: by minutes alone]")
@force_option
@dry_run_option
@json_option
def command(
    data: Path, *, recipe: str, out: Path, seed: int, device: str, threads: int | None, split: str | None,
    val: str | None, videos: Path | None, label_map: Path | None, excluded: Path | None, included: Path | None,
    proposals: Path | None, clip_labels: Path | None, banks: tuple[Path, ...], classes: str | None,
    parts: str | None, start: str | None,
    workers: int | None, cache: Path | None, save_every_min: float, save_every_steps: int, is_forced: bool,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train a model on the split "train" of DATA, of what the recipe says: persons at key-frames, or whole clips.

    For persons DATA is a release, a csv of AVA or AVA-Kinetics (with --videos and the other files that belong to it),
    or a TOML or JSON file that names several such parts for each split (docs/train-persons.md). The labels are checked
    first; what makes training pointless stops it, unless --force. For clips DATA is a release, a list of clips,
    prepared clips or a folder of classes.

    Writes OUT/model.pt, which carries its class names, preprocessing, recipe and the data's hash; OUT/log.jsonl with
    the losses, clips a second, the share of time spent waiting for data and of the device's peak; OUT/train.json with
    what ran. With --val, OUT/best.pt is the best epoch's model, by top-1 or by frame mAP on annotated boxes.

    A killed run goes on where it was when the command is given again. SIGTERM and Ctrl-C end the step, write
    OUT/last.pt and exit with 143 or 130. `--dry-run` counts what there is to learn from, steps, hours and
    memory. With several GPUs: `torchrun --nproc-per-node 8 -m gesta train ...`; the weights are the same.

    \b
    Example:
      gesta train work/releases/1.0.0 --recipe roi_r3d_tiny_world --out work/model
      gesta train work/releases/1.0.0 --recipe i3d_small_world --val val --out work/clip-model
      gesta train train.csv --videos videos --val val.csv --recipe i3d_k700_2020 --out work/i3d
      gesta train ava_train.csv --videos films --val ava_val.csv --recipe action_transformer_ava --out work/ava
      gesta train parts.toml --val val --recipe slowonly_k700_r50_8x8_ava_kinetics --start k700.pth --out work/avak
    """
    from gesta.train import PERSON_RECIPES, find_recipe, plan_train, run_train
    from gesta.train.clips import CLIP_RECIPES
    from gesta.train.recipes import RECIPES

    files = {"excluded": excluded, "included": included, "proposals": proposals, "clip-labels": clip_labels}
    if recipe in CLIP_RECIPES:
        of_persons_only = {**files, "classes": classes, "parts": parts, "bank": banks or None}
        _refuse(of_persons_only, recipe=recipe, whose="persons")
        options = ClipOptions(
            split=split, val=val, videos=videos, label_map=label_map, start=start, workers=workers, cache=cache,
            save_every_min=save_every_min, save_every_steps=save_every_steps,
        )  # fmt: skip
        train_clips(
            data, recipe=recipe, out=out, seed=seed, device=device, threads=threads, options=options,
            dry_run=dry_run, as_json=as_json,
        )  # fmt: skip
        return None
    if recipe in PERSON_RECIPES:
        of_persons = PersonOptions(
            split=split, val=val, files={"videos": videos, "label-map": label_map, **files}, classes=classes,
            parts=parts, start=start, banks=banks, workers=workers, cache=cache, save_every_min=save_every_min,
            save_every_steps=save_every_steps, is_forced=is_forced,
        )  # fmt: skip
        train_persons(
            data, recipe=recipe, out=out, seed=seed, device=device, threads=threads, options=of_persons,
            dry_run=dry_run, as_json=as_json,
        )  # fmt: skip
        return None
    if recipe not in RECIPES:
        raise UnknownName(what="recipe", name=recipe, choices=[*RECIPES, *PERSON_RECIPES, *CLIP_RECIPES])
    asked = {"split": split, "val": val, "videos": videos, "label-map": label_map, "start": start, "workers": workers,
             "cache": cache, **files, "classes": classes, "parts": parts}  # fmt: skip
    _refuse({"bank": banks or None}, recipe=recipe, whose="persons")
    _refuse(asked, recipe=recipe, whose="clips")
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


def _refuse(asked: Mapping[str, object], *, recipe: str, whose: str) -> None:
    """Nothing, once none of these options is given.

    Raises:
        BadInput: one is.
    """
    from gesta.train.clips import CLIP_RECIPES

    given = [name for name, value in asked.items() if value is not None]
    if given:
        kind = "clips" if recipe in CLIP_RECIPES else "key-frames"
        raise BadInput(
            f"--{given[0]} is for recipes of {whose}, and {recipe!r} is one of {kind}",
            mend="Leave it out, or choose a recipe of docs/recipes.md",
        )
