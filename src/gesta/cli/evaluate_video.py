"""`gesta evaluate video`: video mAP over tubes, as UCF101-24, JHMDB and MultiSports define it."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.annotation_options import context_of, label_map_option, split_number_option, videos_option
from gesta.cli.options import finish_json, json_option
from gesta.evaluate import read_tubes, score_tubes, scored_part, tube_score_json, tube_score_text
from gesta.evaluate.tube_files import PAPER_IOU
from gesta.formats import FORMATS, read_annotations

_FILE = click.Path(exists=True, path_type=Path)


@click.command("video")
@click.option("--groundtruth", type=_FILE, required=True, help="Boxes with persons: tubes (pickle), AVA csv, CVAT ...")
@click.option(
    "--detections", type=_FILE, required=True, help="Tubes or boxes: a pickle of MultiSports' layout, or csv."
)
@click.option("--from", "format_name", type=click.Choice(list(FORMATS)), help="Format of the ground truth.")
@click.option(
    "--definition",
    type=click.Choice(["act", "multisports"]),
    default="act",
    show_default=True,
    help="act: UCF101-24 and JHMDB; multisports: its own evaluation.",
)
@click.option("--split", help="Only this split's videos, such as test.")
@split_number_option
@label_map_option
@videos_option
@click.option(
    "--iou",
    "ious",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Least overlap of tubes; may be given several times.  [default: 0.2 and 0.5 to 0.95]",
)
@json_option
def command(
    *, groundtruth: Path, detections: Path, format_name: str | None, definition: str, split: str | None,
    split_number: int, label_map: Path | None, videos: Path | None, ious: tuple[float, ...], as_json: bool,
) -> None:  # fmt: skip
    """Video mAP: a detected tube is right when it overlaps a labelled one of its class in space and time.

    Boxes on single frames are linked into tubes first, greedily, as these projects do.

    \b
    Example:
      gesta evaluate video --groundtruth UCF101v2-GT.pkl --detections tubes.pkl --split test
      gesta evaluate video --groundtruth multisports_GT.pkl --detections d.pkl --definition multisports --split test
    """
    context = context_of(label_map=label_map, videos=videos, split_number=split_number)
    truth = scored_part(read_annotations(groundtruth, format_name=format_name, context=context), split=split)
    if definition == "multisports":
        tubes = read_tubes(detections, truth, definition="multisports")
        result = score_tubes(truth, tubes, definition="multisports", iou=ious or PAPER_IOU)
    else:
        tubes = read_tubes(detections, truth, definition="act")
        result = score_tubes(truth, tubes, definition="act", iou=ious or PAPER_IOU)
    finish_json(tube_score_json(result, truth.label_map)) if as_json else click.echo(
        tube_score_text(result, truth.label_map)
    )
