"""What an earlier version of a release says to the next: the split of each of its videos, and of those before it.

Three rules. A video that any earlier version held keeps the split that it had there, also when it was gone in between.
What shows the same footage as one of them goes where that one is. And where footage joins videos of two splits, the
test video stays, else that of val, and the others are left out: to move them would let a test id train or a model be
tested on what it learnt from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.release.diff import Version, version_of_tables
from gesta.release.manifest import read_manifest
from gesta.schema import BadInput, PastSplit, Reject
from gesta.tables import empty_frame, frame_of, read_table, table_path

PRIORITY = ("test", "val", "train")
"""Whose videos stay where footage joins videos of several splits. Source: ours; a test id never leaves the test."""

SAME_FOOTAGE = "same-footage"
"""Why a clip is left out: other footage of its group was in a split that goes before its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier version: its name and clips, and the split and file of every video that it or one before it held."""

    version: str
    content_sha256: str
    split_of: Mapping[str, str]
    sha256_of: Mapping[str, str]
    version_of: Mapping[str, str]
    rows: Version


def read_earlier(release: Path) -> Earlier:
    """What a release says to its next version.

    Raises:
        BadInput: the folder is no release of gesta's, or a video is in two of its splits.
        MissingTable: it has no table `videos`, `kept`, `label_map` or `splits`.
    """
    manifest = read_manifest(release)
    tables = {table: read_table(release, table) for table in ("videos", "kept", "label_map", "splits")}
    if table_path(release, "past_splits").is_file():
        tables["past_splits"] = read_table(release, "past_splits")
    return earlier_of_tables(
        tables, version=str(manifest["version"]), content_sha256=str(manifest["content_sha256"]), where=release
    )


def earlier_of_tables(
    tables: Mapping[str, pl.DataFrame], *, version: str, content_sha256: str = "", where: str | Path = ""
) -> Earlier:
    """What the tables `videos`, `kept`, `label_map`, `splits` and `past_splits` of a release say to its next version.

    Raises:
        BadInput: a video is in two splits.
    """
    by_video = tables["splits"].select("video_id", "split").unique().sort("video_id", "split")
    twice = by_video.filter(pl.col("video_id").is_duplicated())
    if len(twice):
        raise BadInput(
            f"video {twice['video_id'][0]!r} is in {' and '.join(twice['split'][:2])}",
            where=where,
            mend="Name a release whose splits keep each video in one part",
        )
    split_of = dict(by_video.iter_rows())
    sha256_of = dict(tables["videos"].select("video_id", "sha256").iter_rows())
    version_of = dict.fromkeys(split_of, version)
    gone = tables.get("past_splits", empty_frame("past_splits"))
    for video_id, split, sha256, last in gone.iter_rows():
        if video_id not in split_of:
            split_of[video_id], sha256_of[video_id], version_of[video_id] = split, sha256, last
    past = {video_id: split_of[video_id] for video_id in gone["video_id"]}
    return Earlier(
        version=version,
        content_sha256=content_sha256,
        split_of=split_of,
        sha256_of={video_id: sha256_of[video_id] for video_id in split_of if video_id in sha256_of},
        version_of=version_of,
        rows=version_of_tables(tables, what=version, past=past),
    )


def split_of_groups(group_of: Mapping[str, str], earlier: Earlier) -> tuple[dict[str, str], dict[str, str]]:
    """The split of each group that holds an earlier video, and which earlier videos must be left out.

    The second maps a video to the earlier video of its group that stays, of several the least id.

    Args:
        group_of: the group of each video, earlier ones included.
        earlier: the earlier version.
    """
    members: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for video_id in sorted(earlier.split_of):
        members[group_of[video_id]][earlier.split_of[video_id]].append(video_id)
    pinned: dict[str, str] = {}
    out: dict[str, str] = {}
    for group, by_split in members.items():
        winner = next(split for split in PRIORITY if split in by_split)
        pinned[group] = winner
        for split in by_split.keys() - {winner}:
            out |= dict.fromkeys(by_split[split], by_split[winner][0])
    return pinned, out


def without_joined(
    kept: pl.DataFrame, out: Mapping[str, str], earlier: Earlier
) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    """The kept rows without the videos of `out`, and a reject for each of their clips."""
    rejects = []
    for clip_id, video_id in kept.select("clip_id", "video_id").unique().sort("clip_id").iter_rows():
        if video_id in out:
            stays = out[video_id]
            detail = (
                f"was in {earlier.split_of[video_id]} and shows the same footage as {stays}, which is in "
                f"{earlier.split_of[stays]} since an earlier version"
            )
            rejects.append(
                Reject(stage="release", reason=SAME_FOOTAGE, video_id=video_id, clip_id=clip_id, detail=detail)
            )
    return kept.filter(~pl.col("video_id").is_in(list(out))), tuple(rejects)


def past_splits(earlier: Earlier, videos: Iterable[str]) -> pl.DataFrame:
    """The table `past_splits`: videos that earlier versions held and that are not among `videos`."""
    there = set(videos)
    rows = [
        PastSplit(
            video_id=video_id,
            split=split,
            sha256=earlier.sha256_of.get(video_id, ""),
            version=earlier.version_of[video_id],
        )
        for video_id, split in sorted(earlier.split_of.items())
        if video_id not in there
    ]
    return frame_of("past_splits", rows)
