"""`gesta run`: the whole line on a folder of videos."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gesta.cli.label import say_links
from gesta.cli.line import (
    Journal,
    LinePlan,
    as_json_list,
    find_candidates,
    journal,
    make_release,
    predict_videos,
    score_model,
    train_model,
)
from gesta.cli.options import dry_run_option, finish_json, json_option, workers_option
from gesta.tables import StageSummary

if TYPE_CHECKING:
    from gesta.label import RunningServer

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
POLL_S = 0.5


@click.command("run")
@click.argument("videos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--actions", type=_FILE, required=True, help="One action a line, or a label map (pbtxt).")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path("work"), show_default=True,
              help="Work folder; made where missing.")  # fmt: skip
@click.option("--detector", default="hog", show_default=True, help="hog, onnx, torchvision or centernet.")
@click.option("--weights", type=_FILE, help="The detector's file.")
@click.option("--rate", default=5.0, show_default=True, help="Frames searched a second; 0 = every frame.")
@click.option("--clip-s", default=10.0, show_default=True, help="Length of a clip, seconds.")
@click.option("--windows", "windows_per_video", default=2, show_default=True, help="Clips a video at most.")
@click.option("--unmatched", type=click.Choice(["reject", "all"]), default="reject", show_default=True,
              help="Videos whose title names no action: reject them, or ask for all actions.")  # fmt: skip
@click.option("--gold", type=_FILE, help="File of known answers (item_id, answer).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the label page.")
@click.option("--port", default=8000, show_default=True, help="Port of the label page; 0 = any that is free.")
@click.option("--no-serve", is_flag=True, help="Use the votes there are; serve no label page.")
@click.option("--version", default="1.0.0", show_default=True, help="Of the release.")
@click.option("--name", default="dataset", show_default=True, help="Of the dataset, for its card.")
@click.option("--recipe", default="roi_r3d_tiny_world", show_default=True, help="Recipe of the model.")
@click.option("--no-train", is_flag=True, help="Stop after the release, its statistics and the report.")
@click.option("--seed", default=0, show_default=True, help="Of questions, splits and model.")
@workers_option
@dry_run_option
@json_option
def command(
    videos: Path, actions: Path, work: Path, detector: str, weights: Path | None, rate: float, clip_s: float,
    windows_per_video: int, unmatched: Literal["reject", "all"], gold: Path | None, host: str, port: int,
    no_serve: bool, version: str, name: str, recipe: str, no_train: bool, seed: int, workers: int | None,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the whole line on the folder VIDEOS: from files to a release, a model and a report.

    Imports, mines and detects; then serves the label page and waits until every question is decided, or Ctrl-C;
    then makes verdicts, curates, releases, counts, trains, scores, predicts and reports. Run it again to go on where
    it stopped: finished stages take no time, and votes are never lost.

    \b
    Example:
      gesta run VIDEOS --actions actions.txt --work work
    """
    plan = LinePlan(
        videos=videos, work=work, actions=actions, detector=detector, weights=weights, rate=rate, clip_s=clip_s,
        windows_per_video=windows_per_video, unmatched=unmatched, version=version, name=name, recipe=recipe,
        fractions=(0.7, 0.1, 0.2), seed=seed, workers=workers,
    )  # fmt: skip
    if dry_run:
        _say_plan(plan, as_json=as_json, no_train=no_train)
        return
    with journal(work, quiet=as_json) as log:
        find_candidates(plan, log)
        log.run("label", lambda advance: _ask_people(work, gold=gold, host=host, port=port, serve=not no_serve))
        make_release(plan, log)
        if not no_train:
            train_model(plan, log)
            score_model(plan, log, groundtruth=None)
            predict_videos(plan, log, videos=videos)
        report = _write_page(plan, log)
    if as_json:
        finish_json({"stages": as_json_list(log.summaries), "release": str(plan.release), "report": str(report)})
    else:
        click.echo(f"Release: {plan.release}\nReport:  {report}")


def _ask_people(work: Path, *, gold: Path | None, host: str, port: int, serve: bool) -> StageSummary:
    from gesta.label import run_label

    return run_label(work, gold=gold, host=host, port=port, export=not serve, until=_until_decided)


def _until_decided(server: RunningServer) -> None:
    """Say where the page is, and wait until every question is decided, or for Ctrl-C or SIGTERM."""
    stopped = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in signals]
    try:
        if server.num_open:
            say_links(server)
            click.echo("Ctrl-C goes on with the votes so far", err=True)
            while not stopped.wait(POLL_S) and server.num_open:
                pass
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _write_page(plan: LinePlan, log: Journal) -> Path:
    from gesta.report import run_report

    metrics, train_log = plan.scores / "metrics.json", plan.model.parent / "log.jsonl"
    path = plan.work / "report.html"
    log.run(
        "report",
        lambda advance: run_report(
            plan.work, out=path, release=plan.release, metrics=metrics if metrics.is_file() else None,
            log=train_log if train_log.is_file() else None, title=plan.name,
        ),
    )  # fmt: skip
    return path


def _say_plan(plan: LinePlan, *, as_json: bool, no_train: bool) -> None:
    from gesta.video import VIDEO_ENDINGS

    files = [path for path in plan.videos.rglob("*") if path.suffix.lower() in VIDEO_ENDINGS]
    stages = ["import", "mine", "detect", "label", "consensus", "curate", "release", "stats"]
    stages += [] if no_train else ["train", "evaluate", "predict"]
    stages += ["report"]
    if as_json:
        finish_json({"videos": len(files), "work": str(plan.work), "stages": stages})
    else:
        click.echo(f"run: would take {len(files):,} files through {', '.join(stages)} in {plan.work}")
