"""The nine cells of a joint data set: models trained on each part and on both, scored on each part and on both.

The parts of AVA-Kinetics are AVA and Kinetics. A cell of both is scored on the union of their key-frames: one ranking
of all detections, not a mean of two numbers. In a union every video id is marked with its part, so that a video which
happens to be called the same in both stays two videos.

Source: Li et al., The AVA-Kinetics localized human actions video dataset (2020), sections 3.2 to 3.5, tables 4 and 5,
figures 6 to 8.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from gesta.evaluate.frame_map import CORNERS, KEY, OFFICIAL_CAP, FrameMap, chance_map, frame_map
from gesta.schema import BadInput
from gesta.tables import Json, write_json

AVA, KINETICS, JOINT = "ava", "kinetics", "ava-kinetics"
SETS = (AVA, KINETICS, JOINT)
"""What is trained on and scored on, in the order of the paper's rows and columns."""

PARTS_OF = {AVA: (AVA,), KINETICS: (KINETICS,), JOINT: (AVA, KINETICS)}
"""The parts that each of `SETS` is made of."""

TRUTH, DETECTED = "truth", "detected"
BOXES = (TRUTH, DETECTED)
"""Whose boxes are scored: annotated ones (table 4) and a detector's (table 5)."""

TABLE_OF = {TRUTH: 4, DETECTED: 5}
"""Number of the paper's table. Source: the paper."""

TITLES = {AVA: "AVA", KINETICS: "Kinetics", JOINT: "AVA-Kinetics"}

Frames = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One model scored on one set: its mAP, and each class's AP; NaN where a class has no ground truth.

    `mean_ap_at_hand` is over the key-frames whose videos could be read, `mean_ap_named` over those that the files of
    labels name (without empty ones that only a list of times has); None = the same as `mean_ap`.
    """

    trained_on: str
    evaluated_on: str
    split: str
    boxes: str
    seed: int
    mean_ap: float
    by_class: Mapping[int, float]
    num_groundtruth: Mapping[int, int]
    num_key_frames: int
    num_detections: int
    mean_ap_at_hand: float | None = None
    mean_ap_named: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """The mAP of the same boxes with scores drawn at random."""

    evaluated_on: str
    split: str
    boxes: str
    mean_ap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """All that the benchmark found: cells, chance, and training samples by class of each part."""

    recipe: str
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    categories: Mapping[int, str]
    samples: Mapping[str, Mapping[int, int]]
    cells: tuple[Cell, ...]
    chance: tuple[Chance, ...] = ()
    notes: Mapping[str, Json] = field(default_factory=dict)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trainings, ascending."""
        return tuple(sorted({cell.seed for cell in self.cells}))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits scored, val first."""
        return tuple(sorted({cell.split for cell in self.cells}, key=lambda name: (name != "val", name)))


def union_of(frames: Frames, parts: Sequence[str]) -> pl.DataFrame:
    """The rows of the parts one below the other, each video id with its part before it.

    Raises:
        BadInput: a part is not there.

    >>> one, other = (pl.DataFrame({"video_id": ["v"], "score": [score]}) for score in (0.1, 0.2))
    >>> union_of({"ava": one, "kinetics": other}, ["ava", "kinetics"])["video_id"].to_list()
    ['ava/v', 'kinetics/v']
    """
    for part in parts:
        if part not in frames:
            raise BadInput(f"there is no part {part!r}", mend=f"There are: {', '.join(frames) or 'none'}")
    return pl.concat(
        [frames[part].with_columns(video_id=pl.concat_str(pl.lit(f"{part}/"), "video_id")) for part in parts],
        how="diagonal",
    )


def scored_on(
    truths: Frames, detections: Frames, *, evaluated_on: str, class_ids: Sequence[int], cap: int = OFFICIAL_CAP
) -> FrameMap:
    """Frame mAP by the official rules on one of `SETS`.

    Args:
        truths: ground truth of each part, as `frame_map` takes it.
        detections: of each part, on its own key-frames.
        evaluated_on: one of `SETS`.
        class_ids: classes that count.
        cap: detections of a key-frame that count.
    Raises:
        BadInput: a part is not there, or `frame_map` refuses the rows.
    """
    parts = PARTS_OF[evaluated_on]
    truth = union_of({part: truths[part].select(_TRUTH_COLUMNS) for part in truths}, parts)
    found = union_of({part: detections[part].select(*_TRUTH_COLUMNS, "score") for part in detections}, parts)
    return frame_map(truth, found, class_ids=class_ids, cap=cap)


_TRUTH_COLUMNS = [*KEY, *CORNERS, "class_id"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truths:
    """Ground truth of each part: whole, and on the key-frames whose videos are at hand or that the labels name."""

    whole: Frames
    at_hand: Frames | None = None
    named: Frames | None = None


def cells_of(
    truths: Truths,
    detections: Frames,
    *,
    trained_on: str,
    split: str,
    boxes: str,
    seed: int,
    class_ids: Sequence[int],
    cap: int = OFFICIAL_CAP,
) -> list[Cell]:
    """One model's cells: on each part that has detections, and on both where both have.

    Args:
        truths: ground truth of each part.
        detections: of this model, by part.
        trained_on: one of `SETS`.
        split: val or test.
        boxes: one of `BOXES`.
        seed: of the training.
        class_ids: classes that count.
        cap: detections of a key-frame that count.
    Raises:
        BadInput: `frame_map` refuses the rows.
    """
    cells = []
    for name in SETS:
        if not all(part in detections and part in truths.whole for part in PARTS_OF[name]):
            continue
        whole = scored_on(truths.whole, detections, evaluated_on=name, class_ids=class_ids, cap=cap)
        others = []
        for other in (truths.at_hand, truths.named):
            is_other = other is not None and any(
                len(other[part]) != len(truths.whole[part]) for part in PARTS_OF[name]
            )  # fmt: skip
            others.append(
                scored_on(other, detections, evaluated_on=name, class_ids=class_ids, cap=cap).mean_ap
                if other is not None and is_other
                else None
            )
        cells.append(
            Cell(
                trained_on=trained_on, evaluated_on=name, split=split, boxes=boxes, seed=seed, mean_ap=whole.mean_ap,
                by_class=dict(zip(whole.class_ids, whole.average_precision.tolist(), strict=True)),
                num_groundtruth=dict(zip(whole.class_ids, whole.num_groundtruth.tolist(), strict=True)),
                num_key_frames=whole.num_key_frames, num_detections=int(whole.num_detections.sum()),
                mean_ap_at_hand=others[0], mean_ap_named=others[1],
            )
        )  # fmt: skip
    return cells


def chances_of(
    truths: Frames,
    detections: Frames,
    *,
    split: str,
    boxes: str,
    class_ids: Sequence[int],
    seed: int = 0,
    num_draws: int = 1,
) -> list[Chance]:
    """The level of chance of each set: every box with every class and a score drawn at random.

    It hangs on the boxes and not on the model, so one model's will do.

    Args:
        truths: ground truth of each part.
        detections: of any model, by part.
        split: val or test.
        boxes: one of `BOXES`.
        class_ids: classes that count.
        seed: of the draws.
        num_draws: how often scores are drawn.
    Raises:
        BadInput: `frame_map` refuses the rows, or `num_draws` is below 1.
    """
    classes = pl.DataFrame({"class_id": list(class_ids)}, schema={"class_id": pl.Int64})
    # A model's own rows leave out what it holds for all but impossible; chance does not know that.
    everything = {
        part: frame.select(*KEY, *CORNERS).unique(maintain_order=True).join(classes, how="cross", maintain_order="left")
        for part, frame in detections.items()
    }
    found = []
    for name in SETS:
        parts = PARTS_OF[name]
        if all(part in detections and part in truths for part in parts):
            value = chance_map(
                union_of({part: truths[part].select(_TRUTH_COLUMNS) for part in parts}, parts),
                union_of(everything, parts), class_ids=class_ids, seed=seed, num_draws=num_draws,
            )  # fmt: skip
            found.append(Chance(evaluated_on=name, split=split, boxes=boxes, mean_ap=value))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean over seeds, the standard deviation of the sample (None below two seeds), and how many there are."""

    mean: float
    deviation: float | None
    num_seeds: int


def spread_of(values: Iterable[float]) -> Spread | None:
    """Mean and spread of the numbers; None where there are none. NaNs are left out.

    >>> spread_of([0.2, 0.3, 0.4])
    Spread(mean=0.3, deviation=0.1, num_seeds=3)
    >>> spread_of([0.25])
    Spread(mean=0.25, deviation=None, num_seeds=1)
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    deviation = round(statistics.stdev(known), 12) if len(known) > 1 else None
    return Spread(mean=round(statistics.fmean(known), 12), deviation=deviation, num_seeds=len(known))


def cell_spread(benchmark: Benchmark, *, trained_on: str, evaluated_on: str, split: str, boxes: str) -> Spread | None:
    """The mAP of one place of the table over its seeds; None where it was not scored."""
    return spread_of(
        cell.mean_ap
        for cell in benchmark.cells
        if (cell.trained_on, cell.evaluated_on, cell.split, cell.boxes) == (trained_on, evaluated_on, split, boxes)
    )


def class_rows(benchmark: Benchmark, *, evaluated_on: str, split: str = "val", boxes: str = TRUTH) -> pl.DataFrame:
    """One row a class with ground truth: figures 6 and 7.

    Columns: class_id, name, category, and for each of `SETS` `ap_<set>` (mean over seeds, null where not scored) and
    `num_<set>` (training samples: boxes times labels); most samples of the joint set first.
    """
    names = dict(zip(benchmark.class_ids, benchmark.class_names, strict=True))
    cells = [
        cell for cell in benchmark.cells if (cell.evaluated_on, cell.split, cell.boxes) == (evaluated_on, split, boxes)
    ]
    rows = []
    for class_id in benchmark.class_ids:
        means = {}
        for trained_on in SETS:
            of_set = [cell.by_class.get(class_id, math.nan) for cell in cells if cell.trained_on == trained_on]
            spread = spread_of(of_set)
            means[f"ap_{trained_on}"] = None if spread is None else spread.mean
        if all(value is None for value in means.values()):
            continue
        counts = {f"num_{name}": samples_of(benchmark, name, class_id) for name in SETS}
        category = benchmark.categories.get(class_id, "")
        rows.append({"class_id": class_id, "name": names[class_id], "category": category, **means, **counts})
    schema: dict[str, pl.DataType] = {
        "class_id": pl.Int64(), "name": pl.String(), "category": pl.String(),
        **{f"ap_{name}": pl.Float64() for name in SETS}, **{f"num_{name}": pl.Int64() for name in SETS},
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema).sort(f"num_{JOINT}", "class_id", descending=[True, False])


def samples_of(benchmark: Benchmark, name: str, class_id: int) -> int:
    """Training samples (boxes times labels) of a class in one of `SETS`; those of both are the sum of the parts'."""
    return sum(benchmark.samples.get(part, {}).get(class_id, 0) for part in PARTS_OF[name])


def gain_rows(benchmark: Benchmark, *, split: str = "val", boxes: str = TRUTH) -> pl.DataFrame:
    """One row a class: what training on both instead of AVA alone gains on the joint set: figure 8.

    Columns: class_id, name, added (Kinetics samples over AVA's, as a share; null where AVA has none) and gain (AP of
    the model trained on both minus that of the one trained on AVA); the largest gain first.
    """
    rows = class_rows(benchmark, evaluated_on=JOINT, split=split, boxes=boxes)
    added = pl.when(pl.col(f"num_{AVA}") > 0).then(pl.col(f"num_{KINETICS}") / pl.col(f"num_{AVA}"))
    gain = pl.col(f"ap_{JOINT}") - pl.col(f"ap_{AVA}")
    shown = rows.select("class_id", "name", added.alias("added"), gain.alias("gain")).drop_nulls("gain")
    return shown.sort("gain", "class_id", descending=[True, False])


def benchmark_json(benchmark: Benchmark) -> dict[str, Json]:
    """The benchmark as JSON; numbers that do not exist are null."""
    return {
        "recipe": benchmark.recipe,
        "classes": [
            {"class_id": class_id, "name": name, "category": benchmark.categories.get(class_id)}
            for class_id, name in zip(benchmark.class_ids, benchmark.class_names, strict=True)
        ],
        "samples": {part: {str(key): num for key, num in of.items()} for part, of in benchmark.samples.items()},
        "cells": [_cell_json(cell) for cell in benchmark.cells],
        "chance": [
            {"evaluated_on": one.evaluated_on, "split": one.split, "boxes": one.boxes, "mAP": _number(one.mean_ap)}
            for one in benchmark.chance
        ],
        "notes": benchmark.notes,
    }


def _cell_json(cell: Cell) -> dict[str, Json]:
    return {
        "trained_on": cell.trained_on, "evaluated_on": cell.evaluated_on, "split": cell.split, "boxes": cell.boxes,
        "seed": cell.seed, "mAP": _number(cell.mean_ap), "mAP_at_hand": _number(cell.mean_ap_at_hand),
        "mAP_named": _number(cell.mean_ap_named), "num_key_frames": cell.num_key_frames,
        "num_detections": cell.num_detections,
        "AP": {str(class_id): _number(value) for class_id, value in cell.by_class.items()},
        "num_groundtruth": {str(class_id): num for class_id, num in cell.num_groundtruth.items()},
    }  # fmt: skip


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def write_benchmark(path: Path, benchmark: Benchmark) -> None:
    """The benchmark as a JSON file, whole or not at all."""
    write_json(path, benchmark_json(benchmark))
