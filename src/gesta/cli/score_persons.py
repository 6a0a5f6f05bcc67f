"""`gesta score` with a model of persons: detections, frame mAP, and what is wrong where it is low."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import polars as pl

from gesta.cli.options import finish_json
from gesta.cli.person_data import counted_classes, open_persons
from gesta.cli.progress import progress
from gesta.evaluate import chance_map, diagnose, frame_map
from gesta.evaluate.diagnosis import Diagnosis
from gesta.evaluate.result_json import diagnosis_json
from gesta.evaluate.text import diagnosis_text, number_text
from gesta.formats import read_ava_csv, read_label_map
from gesta.tables import Json, StageSummary, read_table

POOR, POOR_MARGIN = 2.0, 0.1
"""How many times chance, or how far above it, an mAP must be not to be looked into. Source: ours; chance is 0.03 with
AVA's 60 classes, and far higher with few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonData:
    """What is to be scored and how, as the options name it."""

    data: Path
    out: Path
    split: str | None
    videos: Path | None
    label_map: Path | None
    excluded: Path | None
    included: Path | None
    proposals: Path | None
    clip_labels: Path | None
    banks: tuple[Path, ...]
    boxes: str | None
    device: str
    precision: str
    num_workers: int
    threads: int | None


def score_persons(checkpoint: Path, asked: PersonData, *, dry_run: bool, as_json: bool) -> None:
    """Score, evaluate and say so; with `dry_run` say what would be done.

    Raises:
        BadInput: the data cannot be read, or do not fit the model.
    """
    from gesta.predict.person_score_stage import check_person_classes, open_bank_for, run_score_persons
    from gesta.predict.person_scores import numbers_with_boxes
    from gesta.train.persons.checkpoints import load_person_checkpoint

    loaded = load_person_checkpoint(checkpoint)
    persons, rejects = open_persons(
        asked.data, split=asked.split, videos=asked.videos, label_map=asked.label_map, excluded=asked.excluded,
        included=asked.included, proposals=asked.proposals, clip_labels=asked.clip_labels,
    )  # fmt: skip
    boxes = asked.boxes or ("truth" if asked.proposals is None else "proposals")
    check_person_classes(loaded, persons, where=checkpoint)
    open_bank_for(loaded, asked.banks, persons)
    num = len(numbers_with_boxes(persons, boxes=boxes, rules=loaded.recipe.boxes))
    if dry_run:
        plan: dict[str, Json] = {"num_key_frames": len(persons), "num_scored": num, "num_rejected": len(rejects),
                                 "num_persons": persons.num_persons, "boxes": boxes}  # fmt: skip
        text = f"score: would score {num:,} of {len(persons):,} key-frames ({boxes} boxes); {len(rejects):,} rejects"
        return finish_json(plan) if as_json else click.echo(text)
    with progress("score", total=num) as advance:
        summary = run_score_persons(
            checkpoint, persons, out=asked.out, rejects=rejects, boxes=boxes, device=asked.device,
            precision=asked.precision, num_workers=asked.num_workers, threads=asked.threads, banks=asked.banks,
            on_key_frames=advance,
        )  # fmt: skip
    counted = counted_classes(loaded.class_ids, loaded.class_names)
    classes = [class_id for class_id in persons.class_ids if class_id in counted]
    return _say(summary, asked.out, class_ids=classes, as_json=as_json)


def _say(summary: StageSummary, out: Path, *, class_ids: Sequence[int], as_json: bool) -> None:
    truth, found = read_ava_csv(out / "groundtruth.csv"), read_table(out, "detections")
    label_map = read_label_map(out / "label_map.pbtxt")
    result = frame_map(truth, found, class_ids=class_ids)
    chance = chance_map(truth, found, class_ids=class_ids, num_draws=1)
    why = diagnosis_if_poor(
        truth, found, class_ids=class_ids, label_map=label_map, mean_ap=result.mean_ap, chance=chance
    )
    if as_json:
        value: dict[str, Json] = {
            **summary.as_json(), "mAP": _number(result.mean_ap), "chance_mAP": _number(chance),
            "AP": {
                str(class_id): _number(value)
                for class_id, value in zip(result.class_ids, result.average_precision.tolist(), strict=True)
            },
            "diagnosis": None if why is None else diagnosis_json(why),
        }  # fmt: skip
        return click.echo(json.dumps(value, sort_keys=True))
    click.echo(
        f"frame mAP {number_text(result.mean_ap)} on {result.num_key_frames:,} key-frames, by chance "
        f"{number_text(chance)}"
    )
    if why is not None:
        click.echo(diagnosis_text(why))
    return click.echo(summary.line)


def diagnosis_if_poor(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    label_map: pl.DataFrame | None,
    mean_ap: float,
    chance: float,
) -> Diagnosis | None:
    """What is wrong, where the mAP is none at all or near chance (`POOR`, `POOR_MARGIN`); else None.

    Args:
        groundtruth: as `frame_map` takes it.
        detections: likewise.
        class_ids: classes that count.
        label_map: their names.
        mean_ap: what the detections reached.
        chance: what the same boxes reach with scores drawn at random.
    """
    level = 0.0 if math.isnan(chance) else chance
    is_poor = math.isnan(mean_ap) or mean_ap == 0 or mean_ap < min(POOR * level, level + POOR_MARGIN)
    if not is_poor:
        return None
    return diagnose(groundtruth, detections, class_ids=class_ids, label_map=label_map)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
