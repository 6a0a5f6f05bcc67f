"""`gesta noise`: classifiers that never saw a clip judge its label; which classes overlap, and which are several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.noise_clips import RecipeRun
from gesta.cli.options import finish, json_option, work_argument
from gesta.cli.progress import progress
from gesta.schema import BadInput
from gesta.tables import Json, hashes_of, sha256_of_file

if TYPE_CHECKING:
    from gesta.curate.noise.confident import Rule
    from gesta.curate.noise.linear import Kind

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_features_option = click.option(
    "--features", type=_FILE, default=None,
    help="Features of the clips: .parquet of `gesta features`, or .npy of clip vectors.  [default: the "
    "sketches of `gesta curate`, which say little of actions]",
)  # fmt: skip


@click.group("noise")
def command() -> None:
    """Find noisy classes: labels that are wrong, classes that overlap, and classes that are several.

    First `folds`: each clip is scored by a classifier that saw neither it nor a copy of it. From these scores
    `confusions` names the classes that are taken for one another, and `labels` the labels that are held to be wrong;
    `groups` looks for several groups inside one class. What to do about them is `gesta classes`, and a review of each
    class's least likely clips: `gesta label WORK --ask class`. Each takes --json.

    \b
    Example:
      gesta noise folds work --recipe i3d_small_world
      gesta noise confusions work && gesta noise labels work
      gesta noise groups work --features features.parquet
    """


@command.command("folds")
@work_argument
@_features_option
@click.option("--recipe", default=None, help="A clip recipe (docs/recipes.md) to train on each fold, in place of "
              "a linear classifier over features.")  # fmt: skip
@click.option("--classifier", type=click.Choice(["logistic", "discriminant"]), default="logistic", show_default=True,
              help="The linear one: multinomial regression, or a linear discriminant for very many clips.")  # fmt: skip
@click.option("--folds", "num_folds", type=click.IntRange(2), default=5, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds, and of a recipe's training.")
@click.option("--min-score", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True,
              help="Leave lower scores out of the table; with hundreds of classes 1e-4 makes it small.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
              help="Of a recipe.")  # fmt: skip
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@click.option("--workers", type=int, default=None, help="Processes that decode.  [default: the cores; CPU: 0]")
@click.option("--start", default=None, help="Weights that each fold's model begins from, as in `gesta train`.")
@click.option("--cache/--no-cache", default=True, show_default=True, help="Decode each clip once, into WORK/noise.")
@json_option
def folds(
    work: Path, *, features: Path | None, recipe: str | None, classifier: Kind, num_folds: int, seed: int,
    min_score: float, device: str, threads: int | None, workers: int | None, start: str | None, cache: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Score every labelled clip by a classifier that never saw it, its video or a copy of it.

    With --recipe a model is trained for each fold by the loop of `gesta train`; else a linear classifier over features.
    Writes fold_scores. A run that was cut goes on where it was.

    \b
    Example:
      gesta noise folds work --features features.parquet
      gesta noise folds work --recipe i3d_small_world --folds 5
    """
    from gesta.curate.noise.folds import run_folds
    from gesta.curate.noise.linear import linear_scorer
    from gesta.curate.noise.vectors import vectors_of_clips

    _refuse_both(recipe, features)
    if recipe is not None:
        run = RecipeRun(
            recipe=recipe, seed=seed, device=device, num_workers=_num_workers(workers, device=device), threads=threads,
            start=start, caches=cache,
        )  # fmt: skip
        _folds_of_recipe(work, run=run, num_folds=num_folds, min_score=min_score, as_json=as_json)
        return
    inputs = hashes_of(work, ["frame_features"]) if features is None else {"--features": sha256_of_file(features)}
    with progress("folds", total=num_folds) as advance:
        summary = run_folds(
            work, scorer=linear_scorer(vectors_of_clips(work, features=features), kind=classifier),
            classifier={"kind": classifier}, inputs=inputs, num_folds=num_folds, seed=seed, min_score=min_score,
            on_fold=advance,
        )  # fmt: skip
    finish(summary, as_json=as_json)


def _refuse_both(recipe: str | None, features: Path | None) -> None:
    if recipe is not None and features is not None:
        raise BadInput("--recipe and --features both", mend="A recipe learns from the videos: give one of the two")


def _folds_of_recipe(work: Path, *, run: RecipeRun, num_folds: int, min_score: float, as_json: bool) -> None:
    """Train and score each fold, and print one line.

    Raises:
        click.exceptions.Exit: SIGTERM or SIGINT came (143 or 130); the checkpoint is written.
    """
    from gesta.cli.noise_clips import recipe_scorer
    from gesta.curate.noise.folds import run_folds
    from gesta.train.clips import Interrupted

    start: dict[str, str] = {}
    if run.start is not None and Path(run.start).is_file():
        start = {"--start": sha256_of_file(Path(run.start))}
    about: dict[str, Json] = {"kind": "recipe", "recipe": run.recipe, "start": run.start, "seed": run.seed}
    with progress("steps", total=None) as advance:
        try:
            summary = run_folds(
                work, scorer=recipe_scorer(work, run=run, on_step=advance), classifier=about,
                inputs={**hashes_of(work, ["videos"]), **start}, num_folds=num_folds, seed=run.seed,
                min_score=min_score,
            )  # fmt: skip
        except Interrupted as stop:
            click.echo(f"gesta: {stop}", err=True)
            raise click.exceptions.Exit(stop.exit_code) from None
    finish(summary, as_json=as_json)


def _num_workers(workers: int | None, *, device: str) -> int:
    from gesta.train.devices import pick_device

    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if pick_device(device) == "cuda" else 0


@command.command("confusions")
@work_argument
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Confusions of a class at most.")
@json_option
def confusions(work: Path, *, top: int, as_json: bool) -> None:
    """Name the classes that each class is taken for, and by how much the two overlap.

    Writes class_confusions.

    \b
    Example:
      gesta noise confusions work --top 3
    """
    from gesta.curate.noise.confusions import run_confusions

    finish(run_confusions(work, top=top), as_json=as_json)


@command.command("labels")
@work_argument
@click.option("--rule", type=click.Choice(["by-noise-rate", "by-class", "both", "joint", "argmax"]),
              default="by-noise-rate", show_default=True, help="Which labels are held to be wrong.")  # fmt: skip
@click.option("--by", type=click.Choice(["gesta", "cleanlab"]), default="gesta", show_default=True,
              help="Whose program counts; both say the same.")  # fmt: skip
@json_option
def labels(work: Path, *, rule: Rule, by: str, as_json: bool) -> None:
    """Name the labels that are held to be wrong, and what the clips show instead (Confident Learning).

    Writes label_issues. Nothing is taken away: `gesta label WORK --ask class` puts the clips to people.

    \b
    Example:
      gesta noise labels work --rule both
    """
    from gesta.curate.noise.issues import run_issues

    finish(run_issues(work, rule=rule, by=by), as_json=as_json)


@command.command("groups")
@work_argument
@_features_option
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.01, show_default=True,
              help="Chance that a class of one group is split, for all classes together.")  # fmt: skip
@click.option("--max-groups", type=click.IntRange(2), default=6, show_default=True, help="Of a class at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the halves of the test.")
@json_option
def groups(
    work: Path, *, features: Path | None, alpha: float, max_groups: int, seed: int, as_json: bool
) -> None:  # fmt: skip
    """Find classes whose clips fall into several groups, as those of an ambiguous name do.

    Two groups count where a valley lies between them that one group would hardly have; the test is of clips that had no
    say in where the valley is sought. Writes group_tests and class_groups.

    \b
    Example:
      gesta noise groups work --features features.parquet
    """
    from gesta.curate.noise.group_stage import run_groups
    from gesta.curate.noise.vectors import vectors_of_clips

    inputs = hashes_of(work, ["frame_features"]) if features is None else {"--features": sha256_of_file(features)}
    with progress("classes", total=None) as advance:
        summary = run_groups(
            work, vectors=vectors_of_clips(work, features=features), inputs=inputs, alpha=alpha, max_groups=max_groups,
            seed=seed, on_classes=advance,
        )  # fmt: skip
    finish(summary, as_json=as_json)


@command.command("look")
@work_argument
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="The page.  [default: WORK/noise/look.html]")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, help="Rows of each part at most.")
@click.option("--clips-each", type=click.IntRange(1), default=6, show_default=True, help="Clips of a row at most.")
@json_option
def look(work: Path, *, out: Path | None, top: int, clips_each: int, as_json: bool) -> None:
    """Write a page that shows the clips: those taken for another class, labels held to be wrong, groups of a class.

    It holds what `confusions`, `labels` and `groups` wrote, whichever were run, with frames of the clips in it.

    \b
    Example:
      gesta noise look work --top 10
    """
    from gesta.curate.noise.look import run_look

    with progress("clips", total=None) as advance:
        summary = run_look(work, out=out, top=top, clips_each=clips_each, on_clips=advance)
    finish(summary, as_json=as_json)
