"""Video mAP from files: ground truth as annotations; detections as tubes, on frames, or as a csv in AVA's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from gesta.evaluate.tube_linking import tubes_of_detections
from gesta.evaluate.video_map import IOU_50_TO_95, MULTISPORTS_UNSCORED, Definition, VideoMap, tube_rows, video_map
from gesta.formats import read_ava_csv
from gesta.formats.annotations import BOX_COLUMNS, Annotations, shaped
from gesta.formats.tube_detections import read_tube_detections
from gesta.schema import BadInput
from gesta.tables import Json

PAPER_IOU = (0.2, *IOU_50_TO_95)
"""Thresholds of the papers' tables: 0.2, 0.5, 0.75 and the mean of 0.5:0.95. Source: the programs of `video_map`."""


def scored_part(groundtruth: Annotations, *, split: str | None) -> Annotations:
    """The annotations of the videos of one split, all of them where `split` is None.

    Raises:
        BadInput: no video is in that split.
    """
    if split is None:
        return groundtruth
    videos = groundtruth.videos.filter(pl.col("split") == split)
    if not videos.height:
        there = groundtruth.videos["split"].drop_nulls().unique().sort().to_list()
        raise BadInput(f"the ground truth has no video of the split {split!r}", mend=f"There are: {there or 'none'}")
    boxes = groundtruth.boxes.join(videos, on="video_id", how="semi", maintain_order="left")
    return Annotations(videos=videos, boxes=boxes, clips=groundtruth.clips, label_map=groundtruth.label_map)


def read_tubes(path: Path, groundtruth: Annotations, *, definition: Definition) -> pl.DataFrame:
    """Detected tubes as rows for `video_map`; detections on frames are linked (`tubes_of_detections`).

    Args:
        path: a pickle of MultiSports' layout (tubes or frames), or a csv of detections in AVA's layout.
        groundtruth: what is scored: its videos give names, sizes and rates.
        definition: whose pixels count when linking.
    Raises:
        BadInput: the file cannot be read or is neither, a detection is on a video that is not scored, or the size or
            frame rate of a video of a csv is not known.
        BadRow: a line of a csv is wrong.
    """
    videos = groundtruth.videos
    if path.suffix.lower() in (".pkl", ".pickle"):
        rows, are_tubes = read_tube_detections(path, videos=videos["video_id"].to_list())
    else:
        found = read_ava_csv(path, column_8="score")
        others = found.join(videos, on="video_id", how="anti", maintain_order="left")
        _refuse_other_videos(found, videos, where=f"{path}:{others['line'][0]}" if others.height else path)
        boxes = shaped(found, BOX_COLUMNS).with_columns(pl.col("score").fill_null(1.0))
        rows, are_tubes = tube_rows(boxes, videos, what=str(path)), False
    _refuse_other_videos(rows, videos, where=path)
    return rows if are_tubes else tubes_of_detections(rows, definition=definition)


def _refuse_other_videos(rows: pl.DataFrame, videos: pl.DataFrame, *, where: str | Path) -> None:
    others = rows.join(videos, on="video_id", how="anti", maintain_order="left")
    if others.height:
        raise BadInput(
            f"{others['video_id'].n_unique()} videos are not scored, the first is {others['video_id'][0]!r}",
            where=where,
            mend="Name videos as the ground truth does, and leave out those of other splits",
        )


def score_tubes(
    groundtruth: Annotations,
    tubes: pl.DataFrame,
    *,
    definition: Definition = "act",
    iou: Sequence[float] = PAPER_IOU,
) -> VideoMap:
    """Video mAP of detected tubes against annotations with persons; the classes are those of the label map.

    Under `multisports` the six classes that it does not score are left out, by name.

    Args:
        groundtruth: of the videos that are scored (`scored_part`), with sizes and frame rates.
        tubes: as `read_tubes` or `tubes_of_detections` gives them.
        definition: see `video_map`.
        iou: overlaps that a right detection has at least.
    Raises:
        BadInput: the label map is empty, a labelled box has no person, a size or frame rate is not known, or as
            `video_map`.
    """
    names = dict(groundtruth.label_map.select("class_id", "name").iter_rows())
    unscored = MULTISPORTS_UNSCORED if definition == "multisports" else ()
    # MMAction2's list of the labels has underscores for spaces.
    class_ids = [number for number, name in names.items() if (name or "").replace("_", " ") not in unscored]
    if not class_ids:
        raise BadInput("the ground truth has no label map", mend="Give one (--label-map): its classes are scored")
    rows = tube_rows(groundtruth.boxes, groundtruth.videos, what="ground truth")
    if rows["tube_id"].null_count():
        raise BadInput(
            f"ground truth: {rows['tube_id'].null_count()} boxes have no person", mend="Tubes are told by person_id"
        )
    return video_map(rows, tubes, class_ids=class_ids, iou=iou, definition=definition)


def tube_score_json(result: VideoMap, label_map: pl.DataFrame) -> Json:
    """The result for machines: `mAP` and `AP` (class name to value or null) by threshold, at full precision."""
    names = dict(label_map.select("class_id", "name").iter_rows())
    keys = [f"{threshold:.2f}" for threshold in result.iou]
    means: dict[str, Json] = {key: _value(mean) for key, mean in zip(keys, result.mean_ap_T, strict=True)}
    if set(IOU_50_TO_95) <= set(result.iou):
        means["0.50:0.95"] = _value(result.mean_over())
    areas: dict[str, Json] = {}
    for key, row in zip(keys, result.average_precision_TC, strict=True):
        areas[key] = {names.get(c) or str(c): _value(ap) for c, ap in zip(result.class_ids, row, strict=True)}
    return {
        "definition": result.definition, "mAP": means, "AP": areas,
        "num_groundtruth_tubes": int(result.num_groundtruth_C.sum()),
        "num_detected_tubes": int(result.num_detections_C.sum()),
    }  # fmt: skip


def tube_score_text(result: VideoMap, label_map: pl.DataFrame) -> str:
    """The result for people: mAP at each threshold in percent, and each class at 0.5 where that was scored."""
    lines = [f"video mAP, {result.definition}: {result.num_groundtruth_C.sum():,} labelled tubes, "
             f"{result.num_detections_C.sum():,} detected"]  # fmt: skip
    lines += [f"  at {iou:.2f}       {100 * mean:6.2f}" for iou, mean in zip(result.iou, result.mean_ap_T, strict=True)]
    if set(IOU_50_TO_95) <= set(result.iou):
        lines.append(f"  at 0.50:0.95  {100 * result.mean_over():6.2f}")
    if 0.5 in result.iou:
        names = dict(label_map.select("class_id", "name").iter_rows())
        lines.append("AP at 0.50 by class (tubes labelled, detected)")
        for i, class_id in enumerate(result.class_ids):
            area = result.of_class(class_id, iou=0.5)
            shown = "     -" if np.isnan(area) else f"{100 * area:6.2f}"
            counts = f"{result.num_groundtruth_C[i]:,}, {result.num_detections_C[i]:,}"
            lines.append(f"  {shown}  {names.get(class_id) or class_id} ({counts})")
    return "\n".join(lines)


def _value(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
