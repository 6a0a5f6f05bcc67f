"""What both ways of looking for copies read from a work folder and write to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gesta.curate.keep import Standing
from gesta.schema import Component, Kept, Reject, Reviews, reviews_of
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    frame_of,
    read_table,
    rejects_path,
    rows_of,
    table_path,
    write_rejects,
    write_table,
)

OUTPUTS = ("duplicates", "components", "kept")
"""Tables that curation writes, beside the features that it compares."""


def clips_at_hand(work: Path) -> pl.DataFrame:
    """Clips whose video is there, by video: clip_id, video_id, start_us, end_us, path, sha256, num_px."""
    videos = read_table(work, "videos").select(
        "video_id", "path", "sha256", num_px=pl.col("width_px") * pl.col("height_px")
    )
    return read_table(work, "clips").join(videos, on="video_id", how="inner").sort("video_id", "start_us", "clip_id")


def accepted_labels(work: Path) -> pl.DataFrame:
    """The rows of `clip_labels` that workers accepted."""
    return read_table(work, "clip_labels").filter(pl.col("verdict") == "accepted")


def reviews_at_hand(work: Path) -> Reviews:
    """What people decided so far."""
    there = table_path(work, "reviews").is_file()
    return reviews_of(rows_of("reviews", read_table(work, "reviews")) if there else [])


def standing_of(clips: pl.DataFrame, labels: pl.DataFrame) -> dict[str, Standing]:
    """What speaks for each clip."""
    best = dict(labels.group_by("clip_id").agg(pl.col("num_yes").max()).iter_rows())
    return {
        clip_id: Standing(video_id=video_id, is_accepted=clip_id in best, num_yes=best.get(clip_id, 0), num_px=num_px)
        for clip_id, video_id, num_px in clips.select("clip_id", "video_id", "num_px").iter_rows()
    }


def classes_of(labels: pl.DataFrame) -> dict[str, frozenset[int]]:
    """The actions of each clip."""
    return {str(clip_id): frozenset(part["class_id"]) for (clip_id,), part in labels.group_by("clip_id")}


def reject_unless_there(
    labels: pl.DataFrame, video_of: Mapping[str, str], reviewed: Reviews
) -> tuple[list[tuple[str, str, int]], list[Reject]]:
    """Accepted (clip, video, class) rows that may stay, and rejects of clips that are not there or people took out."""
    stay: list[tuple[str, str, int]] = []
    rejects: list[Reject] = []
    for clip_id, class_id in labels.select("clip_id", "class_id").iter_rows():
        if clip_id not in video_of:
            detail = f"class {class_id}: the clip's video is not in `videos`"
            rejects.append(Reject(stage="curate", reason="absent", clip_id=clip_id, detail=detail))
        elif reason := reviewed.reason_to_go(clip_id, class_id):
            detail = f"class {class_id}: people who reviewed it took it out"
            rejects.append(
                Reject(stage="curate", reason=reason, video_id=video_of[clip_id], clip_id=clip_id, detail=detail)
            )
        else:
            stay.append((clip_id, video_of[clip_id], class_id))
    return stay, rejects


def rejects_of_spare(spare: Mapping[tuple[str, int], str], video_of: Mapping[str, str]) -> list[Reject]:
    """Rejects of the further clips of a video; `spare` says which clip stays instead."""
    return [
        Reject(
            stage="curate", reason="one-per-video", video_id=video_of[clip_id], clip_id=clip_id,
            detail=f"class {class_id}: clip {chosen} of the video stays",
        )
        for (clip_id, class_id), chosen in spare.items()
    ]  # fmt: skip


def write_outcome(
    work: Path,
    *,
    duplicates: pl.DataFrame,
    components: Sequence[Component],
    kept: Sequence[tuple[str, str, int]],
    rejects: Sequence[Reject],
    provenance: Provenance,
) -> None:
    """Write the tables of `OUTPUTS` and the rejects."""
    rows = [Kept(clip_id=clip_id, video_id=video_id, class_id=class_id) for clip_id, video_id, class_id in kept]
    write_table(table_path(work, "duplicates"), "duplicates", duplicates, made_by=provenance)
    write_table(table_path(work, "components"), "components", frame_of("components", components), made_by=provenance)
    write_table(table_path(work, "kept"), "kept", frame_of("kept", rows), made_by=provenance)
    write_rejects(work, "curate", rejects, made_by=provenance)


def summary_of(
    work: Path, *, rejected_by: Sequence[str], features: str, numbers: Mapping[str, Json], was_current: bool
) -> StageSummary:
    """What lies in the work folder, counted.

    Args:
        work: the folder.
        rejected_by: names of the files of rejects.
        features: the file of features.
        numbers: further numbers.
        was_current: whether nothing was to be done.
    """
    duplicates, components, kept = (read_table(work, name) for name in OUTPUTS)
    rejects = [
        reject for name in rejected_by for reject in rows_of("rejects", read_table(rejects_path(work, name), "rejects"))
    ]
    told: dict[str, Json] = {
        "num_duplicate_pairs": len(duplicates),
        "num_clusters": duplicates["cluster"].n_unique(),
        "num_chains": int((components["least_cosine"] < components["min_cosine"]).sum()),
    }
    if len(components):
        told["least_cosine"] = round(float(components["least_cosine"].to_numpy().min()), 4)
    return StageSummary(
        stage="curate",
        kept=len(kept),
        rejected=count_reasons(rejects),
        outputs=(features, *(str(table_path(work, name)) for name in OUTPUTS)),
        was_current=was_current,
        numbers={**told, **numbers},
    )
