"""`gesta evaluate`: a model's scores, of a release or of files."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import click

from gesta.cli.options import finish, json_option
from gesta.cli.progress import progress
from gesta.evaluate import release_at, run_evaluate
from gesta.schema import BadInput
from gesta.tables import StageSummary

OF_FILES = ("ava", "video", "clips", "diagnose")
"""Subcommands that score files; each lives in `gesta.cli.evaluate_<name>`."""


class Scores(click.Group):
    """A group whose first argument may be a work folder: `gesta evaluate WORK` is `gesta evaluate release WORK`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The release first, then what scores files."""
        return ["release", *OF_FILES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported when it is named."""
        if cmd_name == "release":
            return release
        return importlib.import_module(f"gesta.cli.evaluate_{cmd_name}").command if cmd_name in OF_FILES else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, with `release` in front where the first names no subcommand."""
        is_named = not args or args[0] in (*self.list_commands(ctx), "-h", "--help")
        return super().parse_args(ctx, args if is_named else ["release", *args])


@click.group("evaluate", cls=Scores)
def command() -> None:
    """Score a release, or files: frame mAP as the AVA programs compute it, video mAP, top-k.

    Every subcommand takes --json. `gesta evaluate WORK` means `gesta evaluate release WORK`.

    \b
    Example:
      gesta evaluate work --model work/model/model.pt --split test
      gesta evaluate ava --groundtruth ava_val_v2.2.csv --detections detections.csv --protocol all
      gesta evaluate video --groundtruth UCF101v2-GT.pkl --detections tubes.pkl --split test
      gesta evaluate clips --groundtruth labels.csv --scores scores.csv
      gesta evaluate diagnose --groundtruth ava_val_v2.2.csv --detections detections.csv
    """


@click.command("release")
@click.argument("work", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option(
    "--detections", type=click.Path(path_type=Path), help="Detections: csv, or a table (a file or its folder)."
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Checkpoint that is run on the split's key-frames first."
)
@click.option("--split", default="test", show_default=True, help="Part of the release: train, val or test.")
@click.option("--iou", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Least overlap of a hit.")
@click.option(
    "--cap", type=click.IntRange(min=0), default=50, show_default=True, help="Detections a key-frame; 0 = all."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Chance for the chance level.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Folder of the results.  [default: WORK/scores/SPLIT]",
)  # fmt: skip
@json_option
def release(
    *, work: Path, detections: Path | None, model: Path | None, split: str, iou: float, cap: int, seed: int,
    out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Score a model, or its detections, on one split of a release as the official AVA program does.

    WORK is a work folder (its newest release is taken) or a release. Writes metrics.json and class_scores, and prints
    average precision class by class. Chance is what the same boxes score with random confidences.

    \b
    Example:
      gesta evaluate release work --model work/model/model.pt --split test
    """
    home = release_at(work)
    target = out or _home_of(home) / "scores" / split
    summary = _of_release(home, target, model=model, detections=detections, split=split, iou=iou, cap=cap, seed=seed)
    if not as_json:
        _print_classes(json.loads((target / "metrics.json").read_bytes()))
    finish(summary, as_json=as_json)


def _home_of(release: Path) -> Path:
    """The work folder of WORK/releases/VERSION; beside a release that lies elsewhere."""
    return release.parent.parent if release.parent.name == "releases" else release.parent


def _of_release(
    release: Path,
    out: Path,
    *,
    model: Path | None,
    detections: Path | None,
    split: str,
    iou: float,
    cap: int,
    seed: int,
) -> StageSummary:
    if (model is None) == (detections is None):
        raise BadInput("want one of --model and --detections", mend="Name a checkpoint, or the detections it made")
    if model is not None:
        from gesta.predict import run_score

        with progress("score", total=None) as advance:
            run_score(model, release=release, out=out, split=split, on_clips=advance)
    found = detections if detections is not None else out
    return run_evaluate(release=release, detections=found, out=out, split=split, iou=iou, cap=cap, seed=seed)


def _print_classes(metrics: dict[str, Any]) -> None:
    click.echo(f"{'class':<44} {'AP':>8} {'labels':>8} {'found':>8}")
    for row in metrics["classes"]:
        ap = "-" if row["average_precision"] is None else f"{row['average_precision']:.4f}"
        click.echo(f"{row['name'][:44]:<44} {ap:>8} {row['num_groundtruth']:>8,} {row['num_detections']:>8,}")
    shown = [("mean AP", "mean_ap"), ("chance", "chance_map"), ("top-1", "top1"), ("top-5", "top5")]
    known = [f"{name} {metrics[key]:.4f}" for name, key in shown if metrics.get(key) is not None]
    click.echo(", ".join(known) or "no ground truth")
