"""`gesta evaluate clips`: top-k, mean class accuracy and confusions of clip scores."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.evaluate_ava import FILE
from gesta.cli.options import finish_json, json_option
from gesta.evaluate.classification import score_clips
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
from gesta.evaluate.result_json import clips_json
from gesta.evaluate.text import clips_text
from gesta.formats import read_label_map


@click.command("clips")
@click.option(
    "--groundtruth", type=FILE, required=True, help="Labels: csv clip_id,class_id, Kinetics csv, ActivityNet."
)
@click.option(
    "--scores", type=FILE, required=True, help="Scores: csv clip_id,class_id,score, or ActivityNet's results."
)
@click.option("--label-map", type=FILE, help="Class ids, where the files have names; and the classes that count.")
@click.option(
    "--top",
    "ks",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1, 5),
    show_default=True,
    help="Numbers of guesses.",
)
@click.option(
    "--pairs", "num_pairs", type=click.IntRange(min=0), default=10, show_default=True, help="Confused pairs to list."
)
@json_option
def command(
    *, groundtruth: Path, scores: Path, label_map: Path | None, ks: tuple[int, ...], num_pairs: int, as_json: bool
) -> None:
    """Top-k and mean class accuracy, Kinetics' error, and which classes are taken for each other.

    \b
    Example:
      gesta evaluate clips --groundtruth labels.csv --scores scores.csv
      gesta evaluate clips --groundtruth kinetics-400_val.csv --scores scores.csv --label-map label_map_k400.txt
    """
    classes = None if label_map is None else read_label_map(label_map)
    labels = read_clip_labels(groundtruth, label_map=classes)
    found = read_clip_scores(scores, label_map=classes)
    known = classes["class_id"] if classes is not None else labels["class_id"].append(found["class_id"])
    result = score_clips(
        labels, found, class_ids=known.unique().sort().to_list(), ks=sorted(set(ks)), num_pairs=num_pairs
    )
    finish_json(clips_json(result, classes)) if as_json else click.echo(clips_text(result, classes))
