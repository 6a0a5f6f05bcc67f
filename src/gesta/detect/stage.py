"""The stage: clips in; person boxes, tracks and key-frames out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from gesta.detect.detectors import HABITS, NMS_IOU, build_detector, check_detector, weights_in_use
from gesta.detect.search import STAGE, reject_of, search_clips
from gesta.schema import US_PER_S, GestaError, Reject
from gesta.shards import map_shards
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    hashes_of,
    is_current,
    made_by,
    read_sidecar,
    read_table,
    rejects_path,
    rows_of,
    sha256_of_file,
    table_path,
    write_rejects,
    write_table,
)

CLIPS_PER_SHARD = 4
"""Clips a shard: what a killed run does again, at most, for each worker. Source: ours."""


def run_detect(
    work: Path,
    *,
    detector: str = "hog",
    weights: Path | None = None,
    rate: float = 5.0,
    min_score: float | None = None,
    nms_iou: float = NMS_IOU,
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """What it did; writes `boxes`, `tracks`, `key_frames` and the stage's rejects from `clips` and `videos`.

    A clip whose video is not at hand (reason "absent"), cannot be decoded to the clip's end (the reason that
    `BadVideo` carries) or shows no frame in it ("no-frames") is rejected whole: it has no row in any table.
    Key-frames that another stage wrote (published annotations) stay as they are, and people are searched at those
    instants too. The tables do not depend on `workers`, nor on where an earlier run was killed.

    Args:
        detector: a name in `DETECTORS`.
        weights: its file; None = what the detector has by itself.
        rate: frames searched a second, from each clip's start; 0 = every frame, as AVA-Kinetics does.
        min_score: least confidence of a box, 0 to 1; None = the detector's own (`HABITS`).
        nms_iou: of two boxes that overlap more the surer stays.
        workers: processes of one thread each; None = as many as there are cores.
        cluster: address of a Ray cluster whose machines share the work folder and the videos.
        on_rows: called with the number of clips just done.
    Raises:
        MissingTable: `clips` or `videos` is not there.
        UnknownName: there is no such detector.
        GestaError: the detector lacks its weights, or an argument is out of range.
        MissingExtra: what the detector runs on is not installed.
    """
    least = _checked(detector=detector, rate=rate, min_score=min_score, nms_iou=nms_iou)
    file = weights_in_use(detector, weights)
    digest = sha256_of_file(file) if file is not None else ""
    inputs = hashes_of(work, ["clips", "videos"]) | ({"weights": digest} if digest else {})
    published = _published_key_frames(work)
    outputs = ("boxes", "tracks") if published is not None else ("boxes", "tracks", "key_frames")
    if published is not None:
        inputs |= hashes_of(work, ["key_frames"])
    provenance = made_by(
        STAGE,
        arguments={"detector": detector, "rate": rate, "min_score": least, "nms_iou": nms_iou},
        inputs=inputs,
        tools=("av", *HABITS[detector].tools),
    )
    files = [*(table_path(work, name) for name in outputs), rejects_path(work, STAGE)]
    if all(is_current(each, provenance) for each in files):
        return _summary(work, outputs=outputs, was_current=True)
    build_detector(detector, file)  # what is wrong with it should be said before any worker starts
    todo, rejects = _todo(work, published=published)
    frames = map_shards(
        partial(
            search_clips,
            work=str(work.resolve()),
            detector=detector,
            weights=None if file is None else str(file.resolve()),
            digest=digest,
            rate=rate,
            min_score=least,
            nms_iou=nms_iou,
        ),
        todo,
        outputs=("boxes", "tracks", "key_frames", "rejects"),
        folder=work / "shards" / STAGE,
        made_by=provenance,
        rows_per_shard=CLIPS_PER_SHARD,
        workers=workers,
        cluster=cluster,
        on_rows=on_rows,
    )
    _write(work, frames, rejects, outputs=outputs, provenance=provenance)
    return _summary(work, outputs=outputs, was_current=False)


def plan_detect(
    work: Path,
    *,
    detector: str = "hog",
    weights: Path | None = None,
    rate: float = 5.0,
    min_score: float | None = None,
    nms_iou: float = NMS_IOU,
) -> dict[str, Json]:
    """What `run_detect` would do with the same arguments: the clips, about how many frames, the weights file.

    Raises:
        MissingTable: `clips` or `videos` is not there.
        UnknownName: there is no such detector.
        GestaError: the detector lacks its weights, or an argument is out of range.
    """
    least = _checked(detector=detector, rate=rate, min_score=min_score, nms_iou=nms_iou)
    file = weights_in_use(detector, weights)
    todo, rejects = _todo(work, published=_published_key_frames(work))
    per_second = pl.lit(rate) if rate else pl.col("fps_num") / pl.col("fps_den")
    num_frames = todo.select((pl.col("end_us") - pl.col("start_us")) / US_PER_S * per_second).to_series().sum()
    return {
        "num_clips": len(todo),
        "num_frames": round(num_frames),
        "num_absent": len(rejects),
        "detector": detector,
        "weights": None if file is None else str(file),
        "min_score": least,
    }


def _checked(*, detector: str, rate: float, min_score: float | None, nms_iou: float) -> float:
    """The least score in force, once every argument is found to be in range."""
    check_detector(detector)
    least = HABITS[detector].min_score if min_score is None else min_score
    if not (math.isfinite(rate) and rate >= 0):
        raise GestaError(f"--rate {rate}", mend="Want frames a second, or 0 for every frame")
    for option, value in (("--min-score", least), ("--nms-iou", nms_iou)):
        if not 0 <= value <= 1:
            raise GestaError(f"{option} {value}", mend="Want 0 to 1")
    return least


def _published_key_frames(work: Path) -> pl.DataFrame | None:
    """The `key_frames` table when another stage than this one wrote it."""
    sidecar = read_sidecar(table_path(work, "key_frames"))
    if sidecar is None or sidecar["made_by"]["stage"] == STAGE:
        return None
    return read_table(work, "key_frames")


def _todo(work: Path, *, published: pl.DataFrame | None) -> tuple[pl.DataFrame, list[Reject]]:
    """The clips to search with their videos' paths, and the rejects of those without a video at hand."""
    videos = read_table(work, "videos").select("video_id", "path", "fps_num", "fps_den")
    clips = read_table(work, "clips").join(videos, on="video_id", how="left", maintain_order="left")
    is_absent = pl.col("path").is_null()
    absent = clips.filter(is_absent).iter_rows(named=True)
    rejects = [reject_of(clip, reason="absent", detail="its video is not in table 'videos'") for clip in absent]
    times = pl.col("timestamp_us").sort().alias("key_times_us")
    key_times = (
        pl.DataFrame(schema={"clip_id": pl.String, "key_times_us": pl.List(pl.Int64)})
        if published is None
        else published.group_by("clip_id").agg(times)
    )
    todo = clips.filter(~is_absent).join(key_times, on="clip_id", how="left", maintain_order="left")
    return todo.with_columns(pl.col("key_times_us").fill_null(pl.lit([], dtype=pl.List(pl.Int64)))), rejects


def _write(
    work: Path,
    frames: Mapping[str, pl.DataFrame],
    rejects: Sequence[Reject],
    *,
    outputs: Sequence[str],
    provenance: Provenance,
) -> None:
    for name in outputs:
        write_table(table_path(work, name), name, frames[name], made_by=provenance)
    write_rejects(work, STAGE, [*rejects, *rows_of("rejects", frames["rejects"])], made_by=provenance)
    shutil.rmtree(work / "shards" / STAGE)


def _summary(work: Path, *, outputs: Sequence[str], was_current: bool) -> StageSummary:
    tracks = read_table(work, "tracks")
    rejects = read_table(rejects_path(work, STAGE), "rejects")
    num_clips = len(read_table(work, "clips"))
    searched = num_clips - len(rejects)
    numbers: dict[str, Json] = {
        "num_boxes": len(read_table(work, "boxes")),
        "num_tracks": len(tracks.select("clip_id", "person_id").unique()),
        "num_clips_without_person": searched - tracks["clip_id"].n_unique(),
    }
    return StageSummary(
        stage=STAGE,
        kept=searched,
        rejected=count_reasons(rows_of("rejects", rejects)),
        outputs=tuple(outputs),
        was_current=was_current,
        numbers=numbers,
    )
