"""An earlier release's rows beside a work folder's: what a new round of collecting lacks stays in the next version."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from gesta.release.manifest import read_manifest
from gesta.schema import BadInput
from gesta.tables import read_table, table_kind, table_path

CARRIED = ("videos", "clips", "kept", "key_frames", "tracks", "box_labels", "label_map")
"""Tables of a release that are carried over; splits are made anew around those that there were."""


def footage_of_work(release: Path) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """What the folder that a release was made from knew of footage: pairs of its videos, and the bytes of all of them.

    A clip that was dropped there as a copy is not in the release; when it is collected again, it must go where the clip
    is that it copies. Both are empty where the folder is no longer there.

    Raises:
        BadInput: the release has no manifest.
    """
    arguments = read_manifest(release)["made_by"]["arguments"]
    work = release / str(arguments.get("videos_from", ""))
    pairs: list[tuple[str, str]] = []
    if "videos_from" not in arguments or not table_path(work, "videos").is_file():
        return pairs, {}
    if table_path(work, "duplicates").is_file() and table_path(work, "clips").is_file():
        video_of = dict(read_table(work, "clips").select("clip_id", "video_id").iter_rows())
        rows = read_table(work, "duplicates").select("clip_id_a", "clip_id_b").iter_rows()
        pairs = [(video_of[one], video_of[other]) for one, other in rows if one in video_of and other in video_of]
    return pairs, dict(read_table(work, "videos").select("video_id", "sha256").iter_rows())


def carried_over(
    tables: Mapping[str, pl.DataFrame], release: Path, *, work: Path, gone: frozenset[str]
) -> dict[str, pl.DataFrame]:
    """The work folder's tables with the release's rows of those videos that the work folder does not have.

    A video that the work folder has is the work folder's: what it says of its clips and labels counts. Paths of videos
    are made to lead from the work folder.

    Args:
        tables: of the work folder.
        release: the earlier version.
        work: the work folder.
        gone: videos that are not carried over.
    Raises:
        BadInput: a class has another id or another name there.
        MissingTable: the release lacks one of its tables.
    """
    theirs = {table: read_table(release, table) for table in CARRIED if table_path(release, table).is_file()}
    label_map = _one_label_map(tables["label_map"], theirs["label_map"], where=release)
    ours = set(tables["videos"]["video_id"])
    come = [video for video in theirs["videos"]["video_id"] if video not in ours and video not in gone]
    paths = [Path(os.path.relpath(release / path, work)).as_posix() for path in theirs["videos"]["path"]]
    theirs["videos"] = theirs["videos"].with_columns(pl.Series("path", paths, dtype=pl.String))
    found = dict(tables)
    for table in CARRIED:
        if table == "label_map" or table not in theirs:
            continue
        is_carried = pl.col("video_id").is_in(come)
        # Rows of ours without their video are what is left of one that was dropped: the release's stand for them.
        carried = theirs[table].filter(is_carried).select(tables[table].columns)
        joined = pl.concat([tables[table].filter(~is_carried), carried])
        found[table] = joined.sort(list(table_kind(table).key))
    return {**found, "label_map": label_map}


def _one_label_map(ours: pl.DataFrame, theirs: pl.DataFrame, *, where: Path) -> pl.DataFrame:
    """Our classes and those that only they have."""
    name_of = dict(ours.select("class_id", "name").iter_rows())
    id_of = {name: class_id for class_id, name in name_of.items()}
    for class_id, name in theirs.select("class_id", "name").iter_rows():
        other_id, other_name = id_of.get(name, class_id), name_of.get(class_id, name)
        if other_id != class_id or other_name != name:
            here = f"{name!r} is {other_id}" if other_id != class_id else f"{class_id} is {other_name!r}"
            raise BadInput(
                f"class {class_id} is {name!r} there, and in the work folder {here}",
                where=where,
                mend="Mine with the release's label map: gesta mine WORK --actions RELEASE/label_map.pbtxt",
            )
    return pl.concat([ours, theirs.join(ours, on="class_id", how="anti").select(ours.columns)]).sort("class_id")
