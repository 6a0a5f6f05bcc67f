"""`gesta train`: a release and a recipe to a trained model."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.progress import progress


@click.command("train")
@click.argument("release", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--recipe", default="roi_r3d_tiny_world", show_default=True, help="Name of a recipe.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the model.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order, changes and dropout.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@dry_run_option
@json_option
def command(
    release: Path,
    *,
    recipe: str,
    out: Path,
    seed: int,
    device: str,
    threads: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a model on RELEASE's split "train".

    Writes OUT/model.pt, which carries its class names, preprocessing, recipe and the release's hash; OUT/log.jsonl
    with one object an epoch; OUT/train.json with what ran. A killed run goes on where it was when the command is
    given again. `--dry-run` counts what there is to learn from.

    \b
    Example:
      gesta train work/releases/1.0.0 --recipe roi_r3d_tiny_world --out work/model
    """
    from gesta.train import find_recipe, plan_train, run_train

    if dry_run:
        plan = plan_train(release, recipe=recipe)
        text = (
            "train: would learn {num_classes} classes from {num_key_frames:,} key-frames with {num_persons:,} persons "
        )
        text += "in {epochs} epochs; {num_rejected:,} key-frames have nobody"
        return finish_json(plan) if as_json else click.echo(text.format(**plan))
    with progress("train", total=find_recipe(recipe).epochs) as advance:
        summary = run_train(
            release,
            recipe=recipe,
            out=out,
            seed=seed,
            device=device,
            threads=threads,
            on_epoch=lambda _line: advance(1),
        )
    return finish(summary, as_json=as_json)
