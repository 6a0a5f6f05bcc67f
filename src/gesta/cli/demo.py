"""`gesta demo`: the whole line on a rendered world, scored against its truth."""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from gesta.cli.line import (
    Advance,
    Journal,
    LinePlan,
    find_candidates,
    journal,
    make_release,
    predict_videos,
    score_model,
    train_model,
)
from gesta.cli.options import dry_run_option, finish_json, json_option, workers_option
from gesta.tables import Json, StageSummary, made_by, read_table, write_json, write_table

if TYPE_CHECKING:
    from gesta.train import Recipe

DETECTOR_SEED_STEP = 1000
"""The detector's world has the demo's seed plus this: another world than the one it is used on."""

NUM_VIDEOS = 260
"""Files in the world. Source: ours; the whole demo then takes some six minutes on 2 cores."""

GOLD_FRAC = 0.08
"""Share of the items that an operator is taken to have answered beforehand. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """How large a demo, and where it lies."""

    out: Path
    seed: int
    num_videos: int
    num_detector_videos: int
    crowd_size: int
    spammer_frac: float
    workers: int | None
    detector_steps: int | None = None
    recipe: str | Recipe = "roi_r3d_tiny_world"

    @property
    def world(self) -> Path:
        """The rendered world that the line runs on."""
        return self.out / "world"

    @property
    def detector(self) -> Path:
        """The person detector, trained on another world."""
        return self.out / "detector.pt"

    @property
    def line(self) -> LinePlan:
        """The line's plan: short clips, since the world's videos last a few seconds."""
        return LinePlan(
            videos=self.world / "videos",
            work=self.out / "work",
            actions=self.world / "actions.txt",
            detector="centernet",
            weights=self.detector,
            rate=5.0,
            clip_s=3.0,
            windows_per_video=2,
            unmatched="reject",
            version="1.0.0",
            name="rendered-actions",
            recipe=self.recipe,
            fractions=(0.7, 0.0, 0.3),
            seed=self.seed,
            workers=self.workers,
        )


@click.command("demo")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("build/demo"), show_default=True,
    help="Folder for everything that the demo makes.",
)  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Of the world, the crowd, the splits and the model.")
@click.option(
    "--videos", "num_videos", type=click.IntRange(60), default=NUM_VIDEOS, show_default=True, help="Files in the world."
)
@click.option("--crowd-size", default=14, show_default=True, help="Simulated workers.")
@click.option("--spammer-frac", default=0.2, show_default=True, help="Share of them who answer without looking.")
@workers_option
@dry_run_option
@json_option
def command(
    out: Path, seed: int, num_videos: int, crowd_size: int, spammer_frac: float, workers: int | None, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Run the whole line on a rendered world, and score it against the world's truth.

    Renders a world with planted duplicates, lying titles and corrupt files; trains a person detector on another
    world; imports, mines, detects; puts the questions to a simulated crowd over HTTP; makes verdicts, curates,
    releases; trains a model, scores it and reports. Truth answers for the simulated workers and the operator's gold,
    and scores the outcome; the line itself sees pixels and votes. A second run resumes.

    \b
    Example:
      gesta demo --out build/demo
    """
    plan = demo_plan(
        out=out, seed=seed, num_videos=num_videos, crowd_size=crowd_size, spammer_frac=spammer_frac, workers=workers
    )
    if dry_run:
        _say_plan(plan, as_json=as_json)
        return
    summary, report = run_demo(plan, quiet=as_json)
    if as_json:
        finish_json({**summary, "report": str(report)})
    else:
        _say_result(summary, report)


def demo_plan(
    *,
    out: Path,
    seed: int = 7,
    num_videos: int = NUM_VIDEOS,
    crowd_size: int = 14,
    spammer_frac: float = 0.2,
    workers: int | None = None,
) -> DemoPlan:
    """A demo of that size; the detector's world has six videos for every ten of the demo's."""
    return DemoPlan(
        out=out,
        seed=seed,
        num_videos=num_videos,
        num_detector_videos=max(24, num_videos * 6 // 10),
        crowd_size=crowd_size,
        spammer_frac=spammer_frac,
        workers=workers,
    )


def run_demo(plan: DemoPlan, *, quiet: bool) -> tuple[dict[str, Json], Path]:
    """The demo's numbers, also in `out/summary.json`, and its report."""
    start_s = time.monotonic()
    with journal(plan.line.work, quiet=quiet) as log:
        make_world(plan, log)
        find_candidates(plan.line, log)
        ask_crowd(plan, log)
        make_release(plan.line, log)
        train_model(plan.line, log)
        score_model(plan.line, log, groundtruth=truth_of_test_split(plan))
        predict_videos(plan.line, log, videos=_held_out_video(plan))
        numbers = summarise(plan)
        report = write_page(plan, log, numbers)
    summary: dict[str, Json] = {
        **numbers,
        "wall_s": round(sum(log.times_s.values()), 1),
        "this_run_s": round(time.monotonic() - start_s, 1),
        "times_s": dict(log.times_s),
        "peak_memory_mb": _peak_memory_mb(),
    }
    write_json(plan.out / "summary.json", summary)
    return summary, report


def _held_out_video(plan: DemoPlan) -> Path:
    """The first video of the test split, as a file."""
    release = plan.line.release
    test = read_table(release, "splits").filter(pl.col("split") == "test")
    paths = read_table(release, "videos").join(test, on="video_id", how="semi").sort("video_id")["path"]
    return (release / paths[0]).resolve()


def make_world(plan: DemoPlan, log: Journal) -> None:
    """Render the world, and another to train the person detector on."""
    from gesta.train.detector import train_detector, world_detector
    from gesta.world import render_world

    def render(folder: Path, seed: int, num_videos: int, advance: Advance) -> StageSummary:
        return render_world(folder, seed=seed, num_videos=num_videos, workers=plan.workers, on_rows=advance)

    log.run("world", lambda advance: render(plan.world, plan.seed, plan.num_videos, advance), total=plan.num_videos)
    other = plan.out / "detector-world"
    count = plan.num_detector_videos
    log.run(
        "detector-world", lambda advance: render(other, plan.seed + DETECTOR_SEED_STEP, count, advance), total=count
    )
    log.run(
        "train-detector",
        lambda advance: train_detector(
            other, plan.detector, seed=plan.seed, steps=plan.detector_steps, on_steps=advance
        ),
        total=world_detector(steps=plan.detector_steps).steps,
    )


def ask_crowd(plan: DemoPlan, log: Journal) -> None:
    """Put every item to the simulated crowd; a few are gold, answered beforehand as an operator would."""
    from gesta.label import build_items, run_simulated
    from gesta.world import answers_of_items

    work = plan.line.work
    build_items(work)
    items, clips, label_map = (read_table(work, table) for table in ("items", "clips", "label_map"))
    answers = answers_of_items(plan.world, items=items, clips=clips, label_map=label_map)
    made = made_by("demo", arguments={"seed": plan.seed}, inputs={"world": str(plan.seed)})
    answers_path = write_table(plan.out / "answers.parquet", "gold", answers, made_by=made)
    gold_path = write_table(plan.out / "gold.csv", "gold", choose_gold(answers, items, seed=plan.seed), made_by=made)
    log.run(
        "label",
        lambda advance: run_simulated(
            work,
            simulate=answers_path,
            crowd_size=plan.crowd_size,
            spammer_frac=plan.spammer_frac,
            gold=gold_path,
            seed=plan.seed,
            on_rows=advance,
        ),
    )


def choose_gold(answers: pl.DataFrame, items: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """The items that are asked as gold: of each kind of item a share, half of them with the answer yes.

    The rest are those whose known answer is no; "broken" is left to the workers.
    """
    rng = random.Random(seed)
    chosen: list[str] = []
    for kind in ("clip", "box"):
        of_kind = answers.join(items.filter(pl.col("kind") == kind), on="item_id", how="semi")
        wanted = max(2, round(GOLD_FRAC * len(of_kind) / 2))
        for answer in ("yes", "no"):
            known = of_kind.filter(pl.col("answer") == answer)["item_id"].sort().to_list()
            chosen += rng.sample(known, min(wanted, len(known)))
    return answers.filter(pl.col("item_id").is_in(chosen))


def truth_of_test_split(plan: DemoPlan) -> pl.DataFrame:
    """Ground truth of the held-out key-frames from the world: every person's box and action, none of them detected."""
    from gesta.world import truth_at_key_frames

    release = plan.line.release
    test = read_table(release, "splits").filter(pl.col("split") == "test")
    key_frames = read_table(release, "key_frames").join(test, on="clip_id", how="semi")
    return truth_at_key_frames(plan.world, key_frames=key_frames, label_map=read_table(release, "label_map"))


def summarise(plan: DemoPlan) -> dict[str, Json]:
    """The demo's numbers, from the tables and the truth."""
    import json

    from gesta.world import score_clip_labels, score_duplicates

    work = plan.line.work
    tables = {name: read_table(work, name) for name in ("items", "clips", "label_map", "clip_labels", "gold")}
    labels = score_clip_labels(
        plan.world, clip_labels=tables["clip_labels"], items=tables["items"], clips=tables["clips"],
        label_map=tables["label_map"], gold=tables["gold"],
    )  # fmt: skip
    doubles = score_duplicates(plan.world, duplicates=read_table(work, "duplicates"), clips=tables["clips"])
    metrics = json.loads((plan.line.scores / "metrics.json").read_text())
    return {
        "seed": plan.seed,
        "videos": plan.num_videos,
        "classes": len(tables["label_map"]),
        "clips_asked": labels.num_asked,
        "clips_released": len(read_table(plan.line.release, "kept")),
        "votes": len(read_table(work, "votes")),
        "precision": labels.precision,
        "recall": labels.recall,
        "duplicates_found": doubles.num_found,
        "duplicates_planted": doubles.num_planted,
        "false_merges": doubles.num_false_merges,
        "map": metrics["mean_ap"],
        "map_chance": metrics["chance_map"],
        "top1": metrics.get("top1"),
        "top5": metrics.get("top5"),
    }


def _peak_memory_mb() -> int:
    """Peak resident memory of this process and of its largest child, mebibytes; Linux counts in KiB, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(max(peaks) * unit / 2**20)


def write_page(plan: DemoPlan, log: Journal, summary: Mapping[str, Json]) -> Path:
    """The report's path, once it is written."""
    from gesta.report import run_report

    path = plan.out / "report.html"
    line = plan.line
    log.run(
        "report",
        lambda advance: run_report(
            line.work, out=path, release=line.release, metrics=line.scores / "metrics.json",
            log=line.model.parent / "log.jsonl", summary=summary, title="gesta demo: a rendered world",
        ),
    )  # fmt: skip
    return path


def _say_plan(plan: DemoPlan, *, as_json: bool) -> None:
    steps: dict[str, Json] = {
        "out": str(plan.out),
        "videos": plan.num_videos,
        "detector_videos": plan.num_detector_videos,
        "crowd_size": plan.crowd_size,
        "recipe": str(plan.recipe),
    }
    if as_json:
        finish_json(steps)
    else:
        click.echo(
            f"demo: would render {plan.num_videos} videos and {plan.num_detector_videos} for the detector, and run the "
            f"line on them in {plan.out} with {plan.crowd_size} simulated workers"
        )


def _say_result(summary: Mapping[str, Json], report: Path) -> None:
    numbers = {name: float(str(summary[name])) for name in ("precision", "recall", "map", "map_chance", "wall_s")}
    click.echo(
        f"\nlabel precision  {numbers['precision']:.3f}  (recall {numbers['recall']:.3f}, against the world's truth)\n"
        f"duplicates found {summary['duplicates_found']}/{summary['duplicates_planted']}"
        f"  ({summary['false_merges']} false merges)\n"
        f"frame mAP@0.5    {numbers['map']:.3f}  (chance {numbers['map_chance']:.3f}, held-out videos)\n\n"
        f"{numbers['wall_s']:.0f} s of work in all. Open the report: {report.resolve()}"
    )
