"""`gesta detect`: clips to person boxes, tracks and key-frames."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import (
    cluster_option,
    dry_run_option,
    finish,
    finish_json,
    json_option,
    work_argument,
    workers_option,
)
from gesta.cli.progress import progress


@click.command("detect")
@work_argument
@click.option("--detector", default="hog", show_default=True, help="torchvision, onnx, hog or centernet.")
@click.option(
    "--weights", type=click.Path(path_type=Path), default=None, help="The detector's file: .pth, .onnx or .pt."
)
@click.option("--rate", type=float, default=5.0, show_default=True, help="Frames searched a second; 0 = every frame.")
@click.option("--min-score", type=float, default=None, help="Least confidence of a box.  [default: the detector's]")
@click.option(
    "--nms-iou", type=float, default=0.45, show_default=True, help="Of two boxes that overlap more, one stays."
)
@workers_option
@cluster_option
@dry_run_option
@json_option
def command(
    work: Path,
    *,
    detector: str,
    weights: Path | None,
    rate: float,
    min_score: float | None,
    nms_iou: float,
    workers: int | None,
    cluster: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Find the people in WORK's clips, link them into tracks and choose each clip's key-frame.

    Reads `clips` and `videos`; writes `boxes`, `tracks` and `key_frames`. The key-frame is the frame of the highest
    person confidence at least a second from either end of the clip. hog needs no weights and sees upright people;
    torchvision takes its published COCO weights, onnx any detector file with a known layout of outputs, centernet a
    file made by `gesta train-detector`. A killed run goes on where it was when the command is given again.

    \b
    Example:
      gesta detect work --detector onnx --weights FastestDet.onnx --rate 5
    """
    from gesta.detect import plan_detect, run_detect
    from gesta.tables import read_table

    if dry_run:
        plan = plan_detect(work, detector=detector, weights=weights, rate=rate, min_score=min_score, nms_iou=nms_iou)
        text = "detect: would search {num_clips:,} clips, about {num_frames:,} frames, with {detector} from score "
        text += "{min_score}; {num_absent:,} clips have no video at hand"
        return finish_json(plan) if as_json else click.echo(text.format(**plan))
    with progress("detect", total=len(read_table(work, "clips"))) as advance:
        summary = run_detect(
            work,
            detector=detector,
            weights=weights,
            rate=rate,
            min_score=min_score,
            nms_iou=nms_iou,
            workers=workers,
            cluster=cluster,
            on_rows=advance,
        )
    return finish(summary, as_json=as_json)
