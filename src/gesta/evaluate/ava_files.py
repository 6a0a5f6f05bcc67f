"""Frame mAP of files under one or all protocols, of each ground-truth file and of all together.

AVA-Kinetics is scored as its paper does: on AVA, on Kinetics and on both, from one set of detections.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gesta.evaluate.csv_files import evaluate_csv
from gesta.evaluate.frame_map import FrameMap, Ties, frame_maps
from gesta.evaluate.protocols import PROTOCOLS
from gesta.evaluate.stage import read_detections
from gesta.formats import read_ava_csv
from gesta.schema import BadInput, GestaError, UnknownName
from gesta.tables import Json

COMBINED = "combined"
"""What all ground-truth files together are called."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """Frame mAP of one part under one protocol, one a threshold; or why the protocol cannot score it."""

    part: str
    protocol: str
    maps: tuple[FrameMap, ...]
    refusal: str | None = None

    @property
    def mean_ap(self) -> float:
        """Mean over thresholds of mAP; NaN where the protocol refused."""
        return float(np.mean([one.mean_ap for one in self.maps])) if self.maps else float("nan")

    @property
    def average_precision(self) -> dict[int, float]:
        """Mean over thresholds of each class's AP, by class id; NaN without ground truth."""
        if not self.maps:
            return {}
        means = np.mean([one.average_precision for one in self.maps], axis=0)
        return dict(zip(self.maps[0].class_ids, means.tolist(), strict=True))


def thresholds(text: str) -> list[float]:
    """The overlaps that a text names: one, several with commas, or `from:to` in steps of 0.05.

    Raises:
        BadInput: it is none of these, or a threshold is not in (0, 1].
    Source: the step of `from:to` is that of COCO's 0.5:0.95.

    >>> thresholds("0.5"), thresholds("0.2, 0.5"), thresholds("0.5:0.65")
    ([0.5], [0.2, 0.5], [0.5, 0.55, 0.6, 0.65])
    """
    try:
        if ":" in text:
            low, high = (float(part) for part in text.split(":"))
            found = [round(low + 0.05 * step, 10) for step in range(int(round((high - low) / 0.05, 6)) + 1)]
        else:
            found = [float(part) for part in text.split(",")]
    except (ValueError, OverflowError):
        found = []
    if not found or not all(0 < iou <= 1 for iou in found):
        raise BadInput(f"{text!r} names no overlaps", mend="Want 0.5, or a list 0.2,0.5, or a range 0.5:0.95")
    return found


def protocols_of(name: str) -> list[str]:
    """The protocol of that name; every one for `all`.

    Raises:
        UnknownName: there is no such protocol.
    """
    if name == "all":
        return list(PROTOCOLS)
    if name not in PROTOCOLS:
        raise UnknownName(what="protocol", name=name, choices=[*PROTOCOLS, "all"])
    return [name]


def score_ava(
    groundtruth: Sequence[Path],
    detections: Sequence[Path],
    *,
    class_ids: Sequence[int],
    protocols: Sequence[str] = ("official",),
    ious: Sequence[float] = (0.5,),
    excluded: pl.DataFrame | None = None,
    ties: Ties = "stable",
) -> list[Score]:
    """Every part under every protocol, parts in the order of the files, `combined` last where there are several.

    Args:
        groundtruth: csv files of AVA or AVA-Kinetics; column 8 is read as the protocol reads it.
        detections: csv files in AVA's layout, or tables of kind `detections`; taken together.
        class_ids: the classes that count.
        protocols: names in `PROTOCOLS`.
        ious: overlaps that a right detection has at least.
        excluded: columns video_id, timestamp_us: key-frames that do not count.
        ties: as for `frame_map`.
    Raises:
        BadInput: a file cannot be read; two ground-truth files name one key-frame; or the only protocol asked for
            refuses the files.
    """
    if not groundtruth or not detections:
        raise BadInput("nothing to score", mend="Name ground truth and detections")
    if len(groundtruth) == len(detections) == 1 and detections[0].suffix == ".csv" and len(protocols) == 1:
        part = groundtruth[0].stem
        if ties == "stable":
            maps = evaluate_csv(
                groundtruth[0], detections[0], class_ids=class_ids, protocol=protocols[0], excluded=excluded, ious=ious
            )
            return [Score(part=part, protocol=protocols[0], maps=tuple(maps))]
    truths = {name: read_ava_csv(path, column_8="score") for name, path in _names(groundtruth).items()}
    found = pl.concat([_scored(read_detections(path)) for path in detections])
    _refuse_shared(truths)
    scores = []
    for part, truth in _parts(truths).items():
        own = _of_part(found, part, truths)
        for protocol in protocols:
            try:
                maps = frame_maps(
                    truth, own, class_ids=class_ids, ious=ious, protocol=protocol, excluded=excluded, ties=ties
                )
                scores.append(Score(part=part, protocol=protocol, maps=tuple(maps)))
            except GestaError as error:
                if len(protocols) == 1:
                    raise
                scores.append(Score(part=part, protocol=protocol, maps=(), refusal=str(error)))
    if not any(score.maps for score in scores):
        raise BadInput(f"no protocol can score these files: {scores[0].refusal}")
    return scores


def _names(files: Sequence[Path]) -> dict[str, Path]:
    names = {path.stem: path for path in files}
    if len(names) == len(files):
        return names
    if len(set(files)) < len(files):
        raise BadInput("a ground-truth file is named twice", where=files[0], mend="Name each once")
    return {str(path): path for path in files}


_COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "score"]


def _scored(detections: pl.DataFrame) -> pl.DataFrame:
    return detections.select(_COLUMNS)


def _parts(truths: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return truths if len(truths) == 1 else {**truths, COMBINED: pl.concat(list(truths.values()))}


def _refuse_shared(truths: dict[str, pl.DataFrame]) -> None:
    keys = [
        truth.select("video_id", "timestamp_us").unique().with_columns(pl.lit(part).alias("part"))
        for part, truth in truths.items()
    ]
    twice = pl.concat(keys).filter(pl.struct("video_id", "timestamp_us").is_duplicated())
    if len(twice):
        video_id, part = twice.select("video_id", "part").row(0)
        raise BadInput(
            f"two ground-truth files name key-frames of video {video_id}, one is {part}",
            mend="Score files that share no key-frame, or one of them",
        )


def _of_part(found: pl.DataFrame, part: str, truths: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Detections without those on videos that only another part names: they are no mistakes of this one."""
    if part not in truths or len(truths) == 1:
        return found
    others = pl.concat([truth.select("video_id") for name, truth in truths.items() if name != part]).unique()
    foreign = others.join(truths[part].select("video_id").unique(), on="video_id", how="anti")
    return found.join(foreign, on="video_id", how="anti", maintain_order="left")


def score_json(scores: Sequence[Score], label_map: pl.DataFrame) -> dict[str, Json]:
    """The scores as JSON: `mAP` and `AP` (class name to value or null) of the last part under the first protocol.

    `scores` holds every part under every protocol, with each threshold. Numbers have full precision.
    """
    names = dict(label_map.select("class_id", "name").iter_rows())
    head = next(score for score in scores if score.part == scores[-1].part and score.maps)
    return {
        "mAP": _number(head.mean_ap),
        "AP": {names[class_id]: _number(ap) for class_id, ap in head.average_precision.items()},
        "part": head.part,
        "protocol": head.protocol,
        "semantics": PROTOCOLS[head.protocol].what,
        "ious": [one.iou for one in head.maps],
        "scores": [_score_json(score, names) for score in scores],
    }


def _score_json(score: Score, names: dict[int, str]) -> dict[str, Json]:
    if not score.maps:
        return {"part": score.part, "protocol": score.protocol, "refusal": score.refusal}
    first = score.maps[0]
    return {
        "part": score.part,
        "protocol": score.protocol,
        "mAP": _number(score.mean_ap),
        "num_key_frames": first.num_key_frames,
        "num_groundtruth": int(first.num_groundtruth.sum()),
        "num_detections": int(first.num_detections.sum()),
        "by_iou": [
            {
                "iou": one.iou,
                "mAP": _number(one.mean_ap),
                "AP": {
                    names[class_id]: _number(ap)
                    for class_id, ap in zip(one.class_ids, one.average_precision.tolist(), strict=True)
                },
            }
            for one in score.maps
        ],
        "classes": [
            {"class_id": c, "name": names[c], "num_groundtruth": g, "num_detections": d}
            for c, g, d in zip(
                first.class_ids, first.num_groundtruth.tolist(), first.num_detections.tolist(), strict=True
            )
        ],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
