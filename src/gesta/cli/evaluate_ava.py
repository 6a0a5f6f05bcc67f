"""`gesta evaluate ava`: frame mAP of csv files under any project's rules, and what lies behind the number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl

from gesta.cli.options import finish_json, json_option
from gesta.cli.progress import progress
from gesta.evaluate import PROTOCOLS, chance_map, protocols_of, read_detections, score_ava, score_json, thresholds
from gesta.evaluate.breakdown import error_breakdown
from gesta.evaluate.coco import coco_map
from gesta.evaluate.diagnosis import diagnose
from gesta.evaluate.groups import KINDS as GROUP_KINDS
from gesta.evaluate.groups import category_of_classes, group_scores
from gesta.evaluate.intervals import map_difference, map_intervals_of
from gesta.evaluate.ranked import rank
from gesta.evaluate.result_json import (
    breakdown_json,
    diagnosis_json,
    difference_json,
    groups_json,
    intervals_json,
    plain_json,
)
from gesta.evaluate.text import (
    breakdown_text,
    diagnosis_text,
    difference_text,
    groups_text,
    intervals_text,
    number_text,
    scores_text,
)
from gesta.formats import ava_label_map, read_ava_csv, read_excluded_timestamps, read_label_map
from gesta.tables import Json, write_json

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
LOW_MAP = 0.01
"""mAP below which the cause is looked for unasked. Source: ours; chance on AVA's classes is above it."""

DETECTION_COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What is scored against what."""

    groundtruth: tuple[Path, ...]
    detections: tuple[Path, ...]
    label_map: pl.DataFrame
    excluded: pl.DataFrame | None

    @property
    def class_ids(self) -> list[int]:
        """The classes that count."""
        return self.label_map["class_id"].to_list()

    def truth(self) -> pl.DataFrame:
        """All ground truth, without excluded key-frames."""
        rows = pl.concat([read_ava_csv(path, column_8="score") for path in self.groundtruth])
        if self.excluded is None:
            return rows
        return rows.join(self.excluded, on=["video_id", "timestamp_us"], how="anti", maintain_order="left")


def detections_of(paths: Sequence[Path]) -> pl.DataFrame:
    """All rows of these files of detections."""
    return pl.concat([read_detections(path).select(DETECTION_COLUMNS) for path in paths])


@click.command("ava")
@click.option(
    "--groundtruth",
    type=FILE,
    multiple=True,
    required=True,
    help="Ground truth, csv of AVA or AVA-Kinetics; several are scored one by one and together.",
)
@click.option(
    "--detections", type=FILE, multiple=True, required=True, help="Detections: csv in AVA's layout, or tables."
)
@click.option("--excluded", type=FILE, help="Key-frames that do not count: video id, seconds a line.")
@click.option("--label-map", type=FILE, help="Classes that count.  [default: the 60 that AVA scores]")
@click.option(
    "--protocol",
    type=click.Choice([*PROTOCOLS, "all"]),
    default="official",
    show_default=True,
    help="Whose rules; all shows them side by side.",
)
@click.option("--iou", default="0.5", show_default=True, help="Least overlap: one, a list 0.2,0.5, a range 0.5:0.95.")
@click.option("--coco", is_flag=True, help="COCO's average precision at 0.5:0.95 too.")
@click.option(
    "--intervals", type=click.IntRange(min=0), default=0, help="Draws of videos for 95 % intervals; try 1000."
)
@click.option("--against", type=FILE, multiple=True, help="Detections of another model: the paired difference.")
@click.option("--groups", is_flag=True, help="By category, class frequency, box size, persons a key-frame.")
@click.option("--breakdown", is_flag=True, help="What kinds of error cost how much.")
@click.option("--chance", is_flag=True, help="What the same boxes score with random confidences.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chance for --intervals, --against and --chance.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File that gets the JSON too.")
@json_option
def command(
    *, groundtruth: tuple[Path, ...], detections: tuple[Path, ...], excluded: Path | None, label_map: Path | None,
    protocol: str, iou: str, coco: bool, intervals: int, against: tuple[Path, ...], groups: bool, breakdown: bool,
    chance: bool, seed: int, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Frame mAP of detections, equal to the official AVA program's to the last digit.

    Prints AP class by class. The JSON holds mAP and AP (class name to value, null without ground truth) at full
    precision, and every part under every protocol. Intervals, groups and breakdown are computed under the official
    rules at the first threshold. Where the mAP is near 0, it is said why.

    \b
    Example:
      gesta evaluate ava --groundtruth ava_val_v2.2.csv --detections detections.csv --protocol all
      gesta evaluate ava --groundtruth ava_val_v2.2.csv --groundtruth kinetics_val_v1.0.csv --detections d.csv
      gesta evaluate ava --groundtruth gt.csv --detections new.csv --against old.csv --intervals 1000 --breakdown
    """
    files = Files(
        groundtruth=groundtruth, detections=detections,
        label_map=ava_label_map(60) if label_map is None else read_label_map(label_map),
        excluded=None if excluded is None else read_excluded_timestamps(excluded),
    )  # fmt: skip
    ious = thresholds(iou)
    scores = score_ava(
        groundtruth, detections, class_ids=files.class_ids, protocols=protocols_of(protocol), ious=ious,
        excluded=files.excluded,
    )  # fmt: skip
    result = score_json(scores, files.label_map)
    wanted = [name for name, is_asked in (
        ("coco", coco), ("intervals", intervals > 0), ("against", bool(against)), ("groups", groups),
        ("breakdown", breakdown), ("chance", chance), ("diagnosis", _is_low(result)),
    ) if is_asked]  # fmt: skip
    texts = [scores_text(scores, files.label_map)]
    for name, value, text in _more(files, wanted, against, num_resamples=intervals or 1000, iou=ious[0], seed=seed):
        result[name] = value
        texts.append(text)
    if out is not None:
        write_json(out, result)
    if as_json:
        return finish_json(result)
    click.echo("\n\n".join(texts))
    return None


def _is_low(result: dict[str, Any]) -> bool:
    return result["mAP"] is None or result["mAP"] < LOW_MAP


def _more(
    files: Files, wanted: Sequence[str], against: Sequence[Path], *, num_resamples: int, iou: float, seed: int
) -> Iterator[tuple[str, Json, str]]:
    """Name, JSON and text of each part beyond the scores, in the order wanted."""
    if not wanted:
        return
    truth, found, classes = files.truth(), detections_of(files.detections), files.class_ids
    is_ranked = not {"intervals", "groups", "breakdown"}.isdisjoint(wanted)
    ranked = rank(truth, found, class_ids=classes, iou=iou) if is_ranked else None
    for name in wanted:
        if name == "coco":
            coco = coco_map(truth, found, class_ids=classes)
            values = {"AP": coco.mean_ap, "AP50": coco.at(0.5), "AP75": coco.at(0.75)}
            text = "COCO: " + ", ".join(f"{key} {number_text(one)}" for key, one in values.items())
            yield name, plain_json(values), text
        elif name == "intervals" and ranked is not None:
            with progress("draws", total=num_resamples) as advance:
                intervals = map_intervals_of(ranked, num_resamples=num_resamples, seed=seed, on_rows=advance)
            yield name, intervals_json(intervals, files.label_map), intervals_text(intervals, files.label_map)
        elif name == "against":
            with progress("draws", total=num_resamples) as advance:
                difference = map_difference(
                    truth, found, detections_of(against), class_ids=classes, iou=iou, num_resamples=num_resamples,
                    seed=seed, on_rows=advance,
                )  # fmt: skip
            text = difference_text(difference, files.label_map, a=files.detections[0].stem, b=against[0].stem)
            yield name, difference_json(difference, files.label_map), text
        elif name == "groups":
            categories = category_of_classes(files.label_map) or None
            groups = group_scores(
                truth, found, class_ids=classes, categories=categories, iou=iou,
                kinds=[kind for kind in GROUP_KINDS if kind != "video"], ranked=ranked,
            )  # fmt: skip
            yield name, groups_json(groups), groups_text(groups)
        elif name == "breakdown":
            costs = error_breakdown(truth, found, class_ids=classes, iou=iou, ranked=ranked)
            yield name, breakdown_json(costs, files.label_map), breakdown_text(costs)
        elif name == "chance":
            chance = chance_map(truth, found, class_ids=classes, iou=iou, seed=seed)
            yield name, chance, f"chance, the same boxes with random scores: {number_text(chance)}"
        else:
            why = diagnose(truth, found, class_ids=classes, label_map=files.label_map, iou=iou, seed=seed)
            yield name, diagnosis_json(why), f"Why so low?\n{diagnosis_text(why)}"
