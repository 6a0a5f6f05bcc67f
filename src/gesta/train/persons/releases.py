"""Persons to learn from out of a release: its key-frames with all persons tracked there and what each is known to do.

Shapes: N persons of a key-frame, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from gesta.schema import Reject, UnknownName
from gesta.tables import read_table
from gesta.train.persons.examples import (
    OUTSIDE,
    STAGE,
    PartAccount,
    PersonExample,
    PersonSet,
    columns_of,
    person_set,
    take_classes,
)
from gesta.train.samples import PERSONS, read_classes, release_hash

PART = "release"
"""What a release's one part is called."""

KEY = ["clip_id", "timestamp_us"]
BOX = ["x1", "y1", "x2", "y2"]


def read_release_persons(
    release: Path,
    *,
    split: str,
    class_ids: Sequence[int] | None = None,
    persons: str = "detected",
    unasked_weight: float = 1.0,
    outside: str = "negative",
) -> tuple[PersonSet, list[Reject]]:
    """The split's key-frames in the order of clip and time, those without anybody too; and what was dropped.

    A person's target for a class is 1 with an accepted label and else 0. A 0 is sure where workers were asked about
    the class (the clip was kept for it) or where the person is known to do something else; an unlabelled person may
    well do what nobody asked about, and those answers count `unasked_weight`. The tracked boxes are the proposals.

    The clip's own class is the first it was kept for; frames come from the clip alone.

    Args:
        release: folder of a released version.
        split: train, val or test.
        class_ids: the classes to learn, in the order of the targets' columns; None = those of which the release kept
            an example.
        persons: "detected" = all that were tracked, and labelled ones that no track stands for; or "labelled" ones.
        unasked_weight: 0 to 1.
        outside: "negative": persons none of whose labels is wanted stay, as doing none of it; "drop": they go.
    Raises:
        UnknownName: `persons`, `outside` or `split` is none of the choices, or no clip is of that split.
        MissingTable: the folder lacks a table of a release.
        BadInput: it is no release, a class is unknown, or no key-frame of the split has its video.
    """
    for what, name, choices in (
        ("choice of persons", persons, PERSONS),
        ("way with persons outside the classes", outside, OUTSIDE),
    ):
        if name not in choices:
            raise UnknownName(what=what, name=name, choices=choices)
    sha256 = release_hash(release)
    splits = read_table(release, "splits")
    if split not in set(splits["split"]):
        raise UnknownName(what="split", name=split, choices=set(splits["split"]), where=release)
    # All classes first: whether a label lies outside the wanted ones cannot be told from the wanted ones alone.
    every = dict(read_table(release, "label_map").sort("class_id").select("class_id", "name").iter_rows())
    wanted = [row.class_id for row in read_classes(release)] if class_ids is None else list(class_ids)
    columns_of(wanted, known=tuple(every))
    frames = _key_frames(release, splits.filter(split=split))
    there = (
        frames.filter("is_there").drop("is_there").with_row_index("frame").with_columns(pl.col("frame").cast(pl.Int64))
    )
    labels = read_table(release, "box_labels").filter(pl.col("verdict") == "accepted")
    tracks = read_table(release, "tracks")
    found = _persons(tracks, labels, there, persons=persons)
    examples = _examples(
        release, there, found, labels=labels, tracks=tracks, class_ids=tuple(every), unasked_weight=unasked_weight
    )
    gone = frames.filter(~pl.col("is_there"))
    rejects = [
        Reject(
            stage=STAGE, reason="missing", video_id=row["video_id"], clip_id=row["clip_id"], path=row["path"],
            detail=f"key-frame at {row['timestamp_us']} us: there is no such file",
        )
        for row in gone.iter_rows(named=True)
    ]  # fmt: skip
    account = PartAccount(
        part=PART,
        num_listed=frames.height,
        num_video_missing=gone.height,
        num_used=there.height,
        num_no_persons=sum(not len(example.boxes_N4) for example in examples),
        num_no_proposals=sum(not len(example.proposals_M5) for example in examples),
        num_persons=found.height,
        num_videos_listed=frames["video_id"].n_unique(),
        num_videos_found=there["video_id"].n_unique(),
    )
    whole = person_set(
        examples, classes=every, clip_class_names=tuple(every.values()), accounting=[account], source_sha256=sha256
    )
    return take_classes(whole, wanted, outside=outside), rejects


def _key_frames(release: Path, splits: pl.DataFrame) -> pl.DataFrame:
    """The key-frames with `path`, `start_us`, `end_us`, `asked` (the classes the clip was kept for) and `is_there`."""
    paths = read_table(release, "videos").select("video_id", "path")
    clips = read_table(release, "clips").select("clip_id", "start_us", "end_us")
    asked = read_table(release, "kept").group_by("clip_id").agg(pl.col("class_id").unique().sort().alias("asked"))
    frames = (
        read_table(release, "key_frames")
        .join(splits.select("clip_id"), on="clip_id", how="semi")
        .sort(KEY)
        .select("clip_id", "video_id", "timestamp_us")
        .join(paths, on="video_id", how="left", maintain_order="left")
        .join(clips, on="clip_id", how="left", maintain_order="left")
        .join(asked, on="clip_id", how="left", maintain_order="left")
    )
    is_there = {path: (release / path).is_file() for path in frames["path"].drop_nulls().unique()}
    return frames.with_columns(
        pl.Series("is_there", [is_there.get(path, False) for path in frames["path"]], dtype=pl.Boolean)
    )


def _persons(tracks: pl.DataFrame, labels: pl.DataFrame, frames: pl.DataFrame, *, persons: str) -> pl.DataFrame:
    """One row a person of a key-frame, by key-frame and id: `frame`, `person_id`, box."""
    columns = [*KEY, "person_id", *BOX]
    found = labels.select(columns)
    if persons == "detected":
        tracked = tracks.select(columns)
        found = pl.concat([tracked, found.join(tracked, on=[*KEY, "person_id"], how="anti")])
    return (
        found.join(frames.select("frame", *KEY), on=KEY, maintain_order="left")
        .unique(["frame", "person_id"], keep="first", maintain_order=True)
        .sort("frame", "person_id")
    )


def _examples(
    release: Path,
    frames: pl.DataFrame,
    found: pl.DataFrame,
    *,
    labels: pl.DataFrame,
    tracks: pl.DataFrame,
    class_ids: tuple[int, ...],
    unasked_weight: float,
) -> list[PersonExample]:
    column_of = {class_id: column for column, class_id in enumerate(class_ids)}
    boxes_P4 = found.select(BOX).to_numpy().astype(np.float64)
    targets_PK = np.zeros((found.height, len(class_ids)), dtype=np.float32)
    weights_PK = np.full_like(targets_PK, unasked_weight)
    columns = pl.DataFrame({"class_id": class_ids, "column": range(len(class_ids))})
    known = (
        labels.select(*KEY, "person_id", "class_id")
        .join(frames.select("frame", *KEY), on=KEY)
        .join(found.with_row_index("person").select("person", "frame", "person_id"), on=["frame", "person_id"])
        .join(columns, on="class_id", how="left")
    )
    weights_PK[known["person"].to_numpy()] = 1
    shown = known.filter(pl.col("column").is_not_null())
    targets_PK[shown["person"].to_numpy(), shown["column"].to_numpy()] = 1
    num_F = np.bincount(found["frame"].to_numpy(), minlength=frames.height)
    ends_F = np.cumsum(num_F)
    proposals_F = _proposals(tracks, frames)
    ids = found["person_id"].to_list()
    examples = []
    for row, end, num in zip(frames.iter_rows(named=True), ends_F.tolist(), num_F.tolist(), strict=True):
        part = slice(end - num, end)
        asked = [column_of[class_id] for class_id in row["asked"] or () if class_id in column_of]
        weights_PK[part, asked] = 1
        examples.append(
            PersonExample(
                clip_id=row["clip_id"],
                video_id=row["video_id"],
                path=release / row["path"],
                timestamp_us=row["timestamp_us"],
                start_us=row["start_us"],
                end_us=max(row["end_us"], row["timestamp_us"] + 1),
                boxes_N4=boxes_P4[part],
                person_ids=tuple(ids[part]),
                targets_NK=targets_PK[part],
                weights_NK=weights_PK[part],
                proposals_M5=proposals_F[row["frame"]],
                clip_label=asked[0] if asked else -1,
                part=PART,
            )
        )
    return examples


def _proposals(tracks: pl.DataFrame, frames: pl.DataFrame) -> list[np.ndarray]:
    rows = tracks.join(frames.select("frame", *KEY), on=KEY).sort("frame", "person_id")
    values_M5 = rows.select(*BOX, "score").to_numpy().astype(np.float64)
    ends_F = np.cumsum(np.bincount(rows["frame"].to_numpy(), minlength=frames.height))
    return np.split(values_M5, ends_F[:-1]) if frames.height else []
