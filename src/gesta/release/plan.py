"""What a release will hold: the kept rows of the work folder, cut down to one another, with their splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.release.splits import SPLITS, assign_splits, classes_without, groups_of_videos
from gesta.schema import BadInput, Refused, Reject
from gesta.tables import empty_frame, read_table, table_kind, table_path

NEEDED = ("videos", "clips", "kept", "label_map")
"""Tables without which there is no release."""

OPTIONAL = ("key_frames", "tracks", "box_labels", "duplicates", "workers")
"""Tables that are read where they are: a dataset of clip labels has no boxes, one without curation no duplicates."""

TABLES = ("videos", "clips", "kept", "key_frames", "tracks", "box_labels", "label_map", "splits")
"""Tables that every release holds, without rows where the work folder has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a release will hold, by table, and what was left out of it."""

    tables: Mapping[str, pl.DataFrame]
    rejects: tuple[Reject, ...]
    counts: pl.DataFrame
    missing_in_train: tuple[str, ...]
    missing_in_test: tuple[str, ...]


def tables_at_hand(work: Path) -> list[str]:
    """Names of the tables of a work folder that its release reads, in a fixed order."""
    return [*NEEDED, *(table for table in OPTIONAL if table_path(work, table).is_file())]


def plan_release(work: Path, *, fractions: Sequence[float], seed: int) -> Plan:
    """The release's tables, splits and counts; nothing is written.

    Raises:
        MissingTable: `videos`, `clips`, `kept` or `label_map` is not there.
        BadInput: a kept class is not in the label map, or the fractions are not such (see `check_fractions`).
        Refused: no kept clip has a video.
    """
    there = {table: read_table(work, table) for table in tables_at_hand(work)}
    tables = {table: there.get(table, empty_frame(table)) for table in (*NEEDED, *OPTIONAL)}
    kept, rejects = _with_video(tables)
    if not len(kept):
        raise Refused("no kept clip has a video: a release would be empty", where=work, mend="Run `gesta curate` first")
    _check_classes(kept, tables["label_map"], where=work)
    clips = tables["clips"].join(kept.select("clip_id").unique(), on="clip_id", how="semi")
    videos = tables["videos"].join(clips, on="video_id", how="semi")

    group_of = groups_of_videos(videos["video_id"], _pairs_of_videos(tables))
    classes_of_group: dict[str, set[int]] = defaultdict(set)
    for video_id, class_id in kept.select("video_id", "class_id").iter_rows():
        classes_of_group[group_of[video_id]].add(class_id)
    frozen = {group: frozenset(classes) for group, classes in classes_of_group.items()}
    split_of = assign_splits(frozen, fractions=fractions, seed=seed)

    splits = clips.select(
        "clip_id",
        "video_id",
        pl.col("video_id")
        .replace_strict({video: split_of[group] for video, group in group_of.items()}, return_dtype=pl.String)
        .alias("split"),
    )
    ours = {
        "videos": videos,
        "clips": clips,
        "kept": kept,
        "key_frames": tables["key_frames"].join(clips, on="clip_id", how="semi"),
        "tracks": tables["tracks"].join(clips, on="clip_id", how="semi"),
        "box_labels": tables["box_labels"].filter(verdict="accepted").join(clips, on="clip_id", how="semi"),
        "label_map": tables["label_map"],
        "splits": splits,
    }
    names = dict(tables["label_map"].select("class_id", "name").iter_rows())

    def absent(split: str) -> tuple[str, ...]:
        return tuple(names[class_id] for class_id in classes_without(frozen, split_of, split=split))

    return Plan(
        tables={table: ours[table].sort(_key(table)) for table in TABLES},
        rejects=rejects,
        counts=counts_of(ours),
        missing_in_train=absent("train"),
        missing_in_test=absent("test") if fractions[2] else (),
    )


def _key(table: str) -> list[str]:
    return list(table_kind(table).key)


def _with_video(tables: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    """The kept rows whose clip and video are known, and rejects for the others."""
    kept = tables["kept"]
    clips = set(tables["clips"]["clip_id"])
    videos = set(tables["videos"]["video_id"])
    rejects = []
    for clip_id, video_id in kept.select("clip_id", "video_id").unique().sort("clip_id").iter_rows():
        if video_id not in videos:
            detail = "the clip was kept, but the table of videos does not hold its video"
            rejects.append(
                Reject(stage="release", reason="no-video", video_id=video_id, clip_id=clip_id, detail=detail)
            )
        elif clip_id not in clips:
            detail = "the clip was kept, but the table of clips does not hold it"
            rejects.append(Reject(stage="release", reason="no-clip", video_id=video_id, clip_id=clip_id, detail=detail))
    dropped = [reject.clip_id for reject in rejects]
    return kept.filter(~pl.col("clip_id").is_in(dropped)), tuple(rejects)


def _check_classes(kept: pl.DataFrame, label_map: pl.DataFrame, *, where: Path) -> None:
    unknown = sorted(set(kept["class_id"]) - set(label_map["class_id"]))
    if unknown:
        raise BadInput(
            f"class {unknown[0]} of table 'kept' is not in table 'label_map'",
            where=where,
            mend="Run `gesta mine` and the stages after it again, so that both come from one label map",
        )


def _pairs_of_videos(tables: Mapping[str, pl.DataFrame]) -> list[tuple[str, str]]:
    """Pairs of videos that show the same footage: clips found alike, and files of equal bytes."""
    video_of = dict(tables["clips"].select("clip_id", "video_id").iter_rows())
    pairs = [
        (video_of[one], video_of[other])
        for one, other in tables["duplicates"].select("clip_id_a", "clip_id_b").iter_rows()
        if one in video_of and other in video_of
    ]
    first_with: dict[str, str] = {}
    for video_id, sha256 in tables["videos"].select("video_id", "sha256").iter_rows():
        pairs.append((first_with.setdefault(sha256, video_id), video_id))
    return pairs


def counts_of(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Videos, clips and labelled boxes per class and split: one row a pair, zeros where a split lacks a class.

    Columns: class_id, name, split, num_videos, num_clips, num_boxes; classes in order of id, splits train, val, test.
    """
    pairs = tables["label_map"].select("class_id", "name").join(pl.DataFrame({"split": list(SPLITS)}), how="cross")
    split_of_clip = tables["splits"].select("clip_id", "split")
    clips = (
        tables["kept"]
        .join(split_of_clip, on="clip_id")
        .group_by("class_id", "split")
        .agg(pl.col("video_id").n_unique().alias("num_videos"), pl.len().alias("num_clips"))
    )
    boxes = (
        tables["box_labels"]
        .join(split_of_clip, on="clip_id")
        .group_by("class_id", "split")
        .agg(pl.len().alias("num_boxes"))
    )
    joined = pairs.join(clips, on=["class_id", "split"], how="left").join(boxes, on=["class_id", "split"], how="left")
    order = pl.col("split").replace_strict({split: number for number, split in enumerate(SPLITS)})
    whole = [pl.col(name).fill_null(0).cast(pl.Int64) for name in ("num_videos", "num_clips", "num_boxes")]
    return joined.select("class_id", "name", "split", *whole).sort("class_id", order)
