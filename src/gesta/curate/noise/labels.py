"""The labels that are looked at: clips with their classes, and which clips belong together.

Legend: N = labels (a clip and a class), K = classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.schema import BadInput
from gesta.tables import read_sidecar, read_table, table_path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Labels in the order of clip and class.

    Attributes:
        rows: frame of N rows: clip_id, video_id, class_id, group. Clips of one group show the same video or copies.
        class_ids: the K classes, rising.
        names: of all classes of the label map, by id.
    """

    rows: pl.DataFrame
    class_ids: tuple[int, ...]
    names: dict[int, str]


def labels_from(work: Path) -> tuple[str, ...]:
    """The tables of the work folder that `read_labels` reads: `kept` where `curate` has run, else `clip_labels`."""
    optional = [name for name in ("duplicates",) if read_sidecar(table_path(work, name)) is not None]
    labels = "kept" if read_sidecar(table_path(work, "kept")) is not None else "clip_labels"
    return (labels, "clips", "label_map", *optional)


def read_labels(work: Path) -> Labels:
    """The labels of what curation kept, else of what workers accepted.

    Raises:
        MissingTable: there are no labels, no clips or no label map.
        BadInput: there is no label at all.
    """
    source = labels_from(work)[0]
    labels = read_table(work, source)
    if source == "clip_labels":
        labels = labels.filter(verdict="accepted")
    videos = read_table(work, "clips").select("clip_id", "video_id")
    rows = labels.select("clip_id", "class_id").join(videos, on="clip_id", how="inner").sort("clip_id", "class_id")
    if not len(rows):
        raise BadInput(f"`{source}` holds no label", where=work, mend="Let clips be accepted first: gesta label")
    pairs: list[tuple[str, str]] = []
    if table_path(work, "duplicates").is_file():
        pairs = read_table(work, "duplicates").select("clip_id_a", "clip_id_b").rows()
    group_of = groups_of_videos(videos.rows(), pairs)
    groups = rows["video_id"].replace_strict(group_of, return_dtype=pl.Int64).alias("group")
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    return Labels(
        rows=rows.with_columns(groups).select("clip_id", "video_id", "class_id", "group"),
        class_ids=tuple(sorted(rows["class_id"].unique())),
        names=names,
    )


def groups_of_videos(video_of_clip: Iterable[tuple[str, str]], pairs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """A number for each video; the same for videos that share footage, by way of any pairs of their clips.

    Args:
        video_of_clip: clip and video.
        pairs: clips that show the same footage.

    >>> groups_of_videos([("a", "v"), ("b", "w"), ("c", "x")], [("a", "c")])
    {'v': 0, 'w': 1, 'x': 0}
    """
    video_of = dict(video_of_clip)
    parent = {video: video for video in video_of.values()}

    def root(video: str) -> str:
        while parent[video] != video:
            parent[video] = parent[parent[video]]
            video = parent[video]
        return video

    for a, b in pairs:
        if a in video_of and b in video_of:
            low, high = sorted((root(video_of[a]), root(video_of[b])))
            parent[high] = low
    numbers: dict[str, int] = {}
    return {video: numbers.setdefault(root(video), len(numbers)) for video in sorted(parent)}
