"""`gesta train-detector`: a rendered world to a person detector."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import finish, json_option
from gesta.cli.progress import progress


@click.command("train-detector")
@click.argument("world", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Of the weights, the order and the changes.")
@click.option("--steps", type=int, default=None, help="Batches learned from.  [default: the recipe's]")
@click.option("--threads", type=int, default=None, help="Threads that learn.  [default: 2, where there are cores]")
@json_option
def command(world: Path, out: Path, *, seed: int, steps: int | None, threads: int | None, as_json: bool) -> None:
    """Train a small person detector on the truth of a rendered WORLD and write it to the file OUT.

    It is for worlds of other seeds: `gesta detect --detector centernet --weights OUT` then finds people from the
    pixels alone. Beside OUT lie OUT.json, which says what made it, and OUT.log.jsonl with the loss.

    \b
    Example:
      gesta world build/other --seed 11 --videos 60
      gesta train-detector build/other build/detector.pt
    """
    from gesta.train.detector import train_detector, world_detector

    with progress("train", total=world_detector(steps=steps).steps) as advance:
        summary = train_detector(world, out, seed=seed, steps=steps, threads=threads, on_steps=advance)
    finish(summary, as_json=as_json)
