"""The line's stages one after the other over a work folder, for `gesta run` and `gesta demo`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import polars as pl

from gesta.cli.progress import progress
from gesta.schema import GestaError
from gesta.tables import Json, StageSummary, read_table, write_json

if TYPE_CHECKING:
    from gesta.train import Recipe

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    """What to run the line on, and how."""

    videos: Path
    work: Path
    actions: Path
    detector: str
    weights: Path | None
    rate: float
    clip_s: float
    windows_per_video: int
    unmatched: Literal["reject", "all"]
    version: str
    name: str
    recipe: str | Recipe
    fractions: tuple[float, float, float]
    seed: int
    workers: int | None

    @property
    def release(self) -> Path:
        """The release's folder."""
        return self.work / "releases" / self.version

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.work / "model" / "model.pt"

    @property
    def scores(self) -> Path:
        """The folder of detections and metrics."""
        return self.work / "scores"

    @property
    def predictions(self) -> Path:
        """The folder of predictions on whole videos."""
        return self.work / "predictions"


class Journal:
    """What the stages did, in order, and the seconds that each worked (of the run in which it did the work)."""

    def __init__(self, path: Path, *, quiet: bool) -> None:
        self.path = path
        self.quiet = quiet
        self.summaries: list[StageSummary] = []
        self.times_s: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    def run(self, stage: str, work: Callable[[Advance], StageSummary], *, total: int | None = None) -> StageSummary:
        """The stage's summary, once it ran; its closing line is printed to standard error."""
        start_s = time.monotonic()
        with progress(stage, total=total) as advance:
            summary = work(advance)
        took_s = time.monotonic() - start_s
        if not summary.was_current or stage not in self.times_s:
            self.times_s[stage] = round(took_s, 2)
            write_json(self.path, dict(self.times_s))
        self.summaries.append(summary)
        if not self.quiet:
            click.echo(f"{took_s:6.1f} s  {summary.line}", err=True)
        return summary


@contextmanager
def journal(work: Path, *, quiet: bool) -> Iterator[Journal]:
    """A journal that keeps its times in the work folder, which is made where missing."""
    work.mkdir(parents=True, exist_ok=True)
    yield Journal(work / "timings.json", quiet=quiet)


def find_candidates(plan: LinePlan, log: Journal) -> None:
    """Run import, mine and detect."""
    from gesta.detect import run_detect
    from gesta.import_.folder import run_import_folder
    from gesta.mine import run_mine

    log.run(
        "import",
        lambda advance: run_import_folder(plan.work, folder=plan.videos, workers=plan.workers, on_rows=advance),
    )
    log.run(
        "mine",
        lambda advance: run_mine(
            plan.work,
            actions=plan.actions,
            clip_s=plan.clip_s,
            windows_per_video=plan.windows_per_video,
            unmatched=plan.unmatched,
        ),
    )
    log.run(
        "detect",
        lambda advance: run_detect(
            plan.work,
            detector=plan.detector,
            weights=plan.weights,
            rate=plan.rate,
            workers=plan.workers,
            on_rows=advance,
        ),
        total=len(read_table(plan.work, "clips")),
    )


def make_release(plan: LinePlan, log: Journal) -> None:
    """Run consensus, curate, release and stats over the votes.

    Raises:
        GestaError: no clip was accepted, or none survived curation.
    """
    from gesta.consensus import run_consensus
    from gesta.curate import run_curate
    from gesta.release import run_release
    from gesta.stats import run_stats

    accepted = log.run("consensus", lambda advance: run_consensus(plan.work))
    if accepted.kept == 0:
        raise GestaError(
            "no clip was accepted, so there is nothing to release",
            where=plan.work,
            mend="Label more clips (three positive answers accept one), or choose other actions or videos",
        )
    log.run(
        "curate",
        lambda advance: run_curate(plan.work, seed=plan.seed, workers=plan.workers, on_rows=advance),
        total=len(read_table(plan.work, "clips")),
    )
    log.run(
        "release",
        lambda advance: run_release(
            plan.work, version=plan.version, seed=plan.seed, name=plan.name, fractions=plan.fractions
        ),
    )
    log.run("stats", lambda advance: run_stats(plan.release))


def train_model(plan: LinePlan, log: Journal) -> None:
    """Run train on the release."""
    from gesta.train import find_recipe, run_train

    recipe = find_recipe(plan.recipe)

    def train(advance: Advance) -> StageSummary:
        return run_train(
            plan.release, out=plan.model.parent, recipe=recipe, seed=plan.seed, on_epoch=lambda line: advance(1)
        )

    log.run("train", train, total=recipe.epochs)


def score_model(plan: LinePlan, log: Journal, *, groundtruth: pl.DataFrame | None) -> None:
    """Run the model on the key-frames of the test split, and evaluate.

    Args:
        groundtruth: rows as `gesta.evaluate.frame_map` takes them; None = the release's own labels.
    """
    from gesta.evaluate import run_evaluate
    from gesta.predict import run_score

    total = read_table(plan.release, "splits").filter(pl.col("split") == "test").height

    def score(advance: Advance) -> StageSummary:
        return run_score(plan.model, release=plan.release, split="test", out=plan.scores, on_clips=advance)

    log.run("score", score, total=total)
    log.run(
        "evaluate",
        lambda advance: run_evaluate(
            release=plan.release, split="test", detections=plan.scores, groundtruth=groundtruth, out=plan.scores
        ),
    )


def predict_videos(plan: LinePlan, log: Journal, *, videos: Path) -> None:
    """Run the model on whole videos: a file, or all files of a folder."""
    from gesta.predict import run_predict, videos_under

    log.run(
        "predict",
        lambda advance: run_predict(
            plan.model,
            videos=videos,
            out=plan.predictions,
            detector=plan.detector,
            weights=plan.weights,
            on_videos=advance,
        ),
        total=len(videos_under(videos)),
    )


def as_json_list(summaries: Sequence[StageSummary]) -> list[Json]:
    """The summaries as plain JSON values."""
    return [summary.as_json() for summary in summaries]
