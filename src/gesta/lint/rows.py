"""The checks on annotations in gesta's one shape, whatever file they came from."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.formats.annotations import Annotations, Context
from gesta.lint.against import VIDEO_FACTS, Against
from gesta.lint.boxes import (
    CORNERS,
    box_findings,
    cap_findings,
    groundtruth_findings,
    repeated_findings,
    score_findings,
)
from gesta.lint.clips import (
    class_id_findings,
    clip_row_findings,
    is_like_kinetics,
    length_findings,
    rare_findings,
    spelling_findings,
    split_findings,
)
from gesta.lint.findings import Finding, finding
from gesta.lint.instants import interval_findings, key_frame_findings, video_findings
from gesta.lint.lists import map_findings
from gesta.lint.persons import near_findings, person_findings, pose_findings

_LINE = pl.lit(None, dtype=pl.Int64).alias("line")


def lint_annotations(
    annotations: Annotations, *, where: str | Path, context: Context | None = None, against: Against | None = None
) -> list[Finding]:
    """What is wrong with annotations that were read from a file of any format; findings have no line.

    Args:
        where: the file, for the findings.
        context: what the reader was given; its label map is held against where `against` has none.
        against: what else the rows are held against.
    """
    against = against or Against()
    given = against.label_map if against.label_map is not None else (context.label_map if context else None)
    own = annotations.label_map if annotations.label_map.height else None
    given = given if given is not None else own
    against = _with(
        against, label_map=given, videos=against.videos if against.videos is not None else _own(annotations)
    )
    found: list[Finding] = []
    if not (annotations.boxes.height or annotations.clips.height or annotations.label_map.height):
        found += finding("file-empty", [(None, "the file holds no row")], where=where)
    if own is not None:
        found += map_findings(own.with_columns(_LINE), where=where)
    found += _clip_findings(annotations, against, where=where)
    return found + _box_findings(annotations, against, where=where)


def _with(against: Against, *, label_map: pl.DataFrame | None, videos: pl.DataFrame | None) -> Against:
    return Against(
        label_map=label_map,
        excluded=against.excluded,
        included_us=against.included_us,
        groundtruth=against.groundtruth,
        clips=against.clips,
        videos=videos,
        min_per_class=against.min_per_class,
    )


def _own(annotations: Annotations) -> pl.DataFrame | None:
    """The videos that the file itself lists with a length, or None where it lists none so."""
    videos = annotations.videos.drop_nulls("duration_us")
    if not videos.height or videos.height < annotations.videos.height:
        return None
    start_us, end_us = pl.lit(0, dtype=pl.Int64).alias("start_us"), pl.col("duration_us").alias("end_us")
    return videos.select("video_id", start_us, end_us).select(
        pl.col(name).cast(dtype) for name, dtype in VIDEO_FACTS.items()
    )


def _named(annotations: Annotations, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `line` and `label`: the class's name, or its id where the label map has none."""
    names = annotations.label_map.unique("class_id", keep="first", maintain_order=True).select("class_id", "name")
    joined = rows.with_columns(_LINE).join(names, on="class_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("name", pl.col("class_id").cast(pl.String)).alias("label"))


def _clip_findings(annotations: Annotations, against: Against, *, where: str | Path) -> list[Finding]:
    if not annotations.clips.height:
        return []
    rows = _named(annotations, annotations.clips)
    timed = rows.drop_nulls(["start_us", "end_us"])
    found = interval_findings(timed, against.videos, where=where)
    is_guess = rows["score"].is_not_null().any()
    if not is_guess:
        is_kinetics = is_like_kinetics(timed)
        found += clip_row_findings(rows, where=where, is_kinetics=is_kinetics)
        found += length_findings(timed, where=where) if is_kinetics else []
        found += rare_findings(rows, least=against.min_per_class, where=where)
        found += spelling_findings(rows, where=where)
    else:
        found += _guess_findings(rows, where=where)
    found += split_findings(rows, where=where)
    found += class_id_findings(rows, against.label_map, where=where, is_truth=not is_guess)
    if against.videos is not None:
        found += video_findings(rows, against.videos, where=where)
    return found


def _guess_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Scores of clips, as those of boxes; a clip has no corners, so any will do."""
    as_boxes = rows.with_columns(*(pl.lit(0.0).alias(name) for name in CORNERS))
    return score_findings(as_boxes, where=where)


def _box_findings(annotations: Annotations, against: Against, *, where: str | Path) -> list[Finding]:
    if not annotations.boxes.height:
        return []
    rows = annotations.boxes.with_columns(_LINE)
    is_guess = rows["score"].is_not_null().any()
    found = [
        *box_findings(rows, where=where),
        *repeated_findings(rows, where=where),
        *class_id_findings(rows, against.label_map, where=where, is_truth=not is_guess),
        *key_frame_findings(rows, against, where=where),
    ]
    if not is_guess:
        found += [*person_findings(rows, where=where), *near_findings(rows, where=where)]
        return found + pose_findings(rows, against.label_map, where=where)
    found += [*score_findings(rows, where=where), *cap_findings(rows, where=where)]
    if against.groundtruth is not None:
        found += groundtruth_findings(rows, against.groundtruth, where=where)
    return found
