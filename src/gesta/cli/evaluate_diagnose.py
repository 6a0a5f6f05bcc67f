"""`gesta evaluate diagnose`: why a frame mAP is 0, or lower than it should be."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.annotation_options import context_of, videos_option
from gesta.cli.evaluate_ava import FILE, Files, detections_of
from gesta.cli.options import finish_json, json_option
from gesta.evaluate.diagnosis import diagnose
from gesta.evaluate.result_json import diagnosis_json
from gesta.evaluate.text import diagnosis_text
from gesta.formats import ava_label_map, read_excluded_timestamps, read_label_map


@click.command("diagnose")
@click.option(
    "--groundtruth", type=FILE, multiple=True, required=True, help="Ground truth, csv of AVA or AVA-Kinetics."
)
@click.option(
    "--detections", type=FILE, multiple=True, required=True, help="Detections: csv in AVA's layout, or tables."
)
@click.option("--excluded", type=FILE, help="Key-frames that do not count: video id, seconds a line.")
@click.option("--label-map", type=FILE, help="Classes that count.  [default: the 60 that AVA scores]")
@videos_option
@click.option("--iou", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Least overlap of a hit.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which key-frames trials are made on.")
@json_option
def command(
    *, groundtruth: tuple[Path, ...], detections: tuple[Path, ...], excluded: Path | None, label_map: Path | None,
    videos: Path | None, iou: float, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Say why a frame mAP is 0 or low: ids, times, box units, axes, classes and scores that do not meet.

    Each guess is tried: the mAP is computed again with it mended, and what gains most comes first.

    \b
    Example:
      gesta evaluate diagnose --groundtruth ava_val_v2.2.csv --detections detections.csv
    """
    files = Files(
        groundtruth=groundtruth, detections=detections,
        label_map=ava_label_map(60) if label_map is None else read_label_map(label_map),
        excluded=None if excluded is None else read_excluded_timestamps(excluded),
    )  # fmt: skip
    result = diagnose(
        files.truth(), detections_of(detections), class_ids=files.class_ids, label_map=files.label_map,
        videos=context_of(label_map=None, videos=videos).videos, iou=iou, seed=seed,
    )  # fmt: skip
    finish_json(diagnosis_json(result)) if as_json else click.echo(diagnosis_text(result))
