"""Persons to learn from out of the files of AVA and AVA-Kinetics, joined to the original videos by time.

A part is one csv with its folder of videos; several parts make a set. Everything is exact to the microsecond: AVA's
`0902` is 902 s of the film's own clock, AVA-Kinetics' `13.006000` is 13.006 s of the video on YouTube.

What becomes of a key-frame that the files list, in this order (each is counted, `PartAccount`):

1. excluded: the list of excluded timestamps has it;
2. not included: there is a list of included timestamps, and it is not in it;
3. video missing: there is no file of the video, or it cannot be opened;
4. outside the video: no file of the video shows that instant;
5. used, whether or not anybody is annotated there.

With a list of included timestamps each video has a key-frame at each of them, as AVA's have: those that no line of the
csv names show nobody who was annotated. Without it, key-frames without people are those of AVA-Kinetics' two columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gesta.formats import (
    ava_label_map,
    merge_label_maps,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_kinetics_csv,
    read_label_map,
)
from gesta.schema import BadInput, Reject, UnknownName, clip_id_of, format_seconds
from gesta.tables import sha256_of_file, sha256_of_json
from gesta.train.clips.frames import UNTIL_END_US
from gesta.train.persons.examples import (
    STAGE,
    PartAccount,
    PersonExample,
    PersonSet,
    columns_of,
    person_set,
    take_classes,
)
from gesta.train.persons.placing import FILES, place_key_frames
from gesta.train.persons.proposal_files import PROPOSAL_TIMES, proposals_of

KEY = ["video_id", "timestamp_us"]
BOX = ["x1", "y1", "x2", "y2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AvaSource:
    """One part of a data set: an annotation file, the folder of its videos, and what goes with them.

    Attributes:
        part: what the part is called, "ava" or "kinetics" for instance.
        labels: csv of AVA or AVA-Kinetics.
        videos: folder of the files, however deep (`gesta.train.persons.files`).
        label_map: class ids and names; None = AVA's 80.
        excluded: csv of timestamps that do not count.
        included: list of the timestamps at which every video has a key-frame.
        proposals: pickle or csv of the persons that a detector found.
        clip_labels: csv of Kinetics, whose classes become the clips' own and whose times bound their frames.
        files: what a file called by a video's id alone holds: the "whole" video, the "cut" of it that `clip_labels`
            names, or, for "auto", what its length says (`gesta.train.persons.placing`).
        stretch_us: start and end, on the film's clock, beyond which no frame is taken; None = of the clip that
            `clip_labels` names, else of the file.
        proposal_times: "exact", or "truncated" where the proposals' times are whole seconds, rounded down, as
            MMAction2's files for AVA-Kinetics have them.

    Raises:
        UnknownName: `files` or `proposal_times` is none of the choices.
        BadInput: `files` is "cut" without `clip_labels`.
    """

    part: str
    labels: Path
    videos: Path
    label_map: Path | None = None
    excluded: Path | None = None
    included: Path | None = None
    proposals: Path | None = None
    clip_labels: Path | None = None
    files: str = "auto"
    stretch_us: tuple[int, int] | None = None
    proposal_times: str = "exact"

    def __post_init__(self) -> None:
        if self.files not in FILES:
            raise UnknownName(what="choice of files", name=self.files, choices=FILES)
        if self.proposal_times not in PROPOSAL_TIMES:
            raise UnknownName(what="choice of proposal times", name=self.proposal_times, choices=PROPOSAL_TIMES)
        if self.files == "cut" and self.clip_labels is None:
            raise BadInput(
                "files that hold a clip alone, and no times of the clips", where=self.videos,
                mend="Give the csv of Kinetics as clip_labels, or call the files <id>_<start>_<end>",
            )  # fmt: skip


def read_ava_persons(
    sources: Sequence[AvaSource],
    *,
    class_ids: Sequence[int] | None = None,
    outside: str = "negative",
    checks_videos: bool = True,
) -> tuple[PersonSet, list[Reject]]:
    """The key-frames of all parts, by part, video (in the csv's order) and time; and what was dropped, with reasons.

    A person is a box: lines of one key-frame with the same four corners are one person's actions. Corners are cut at
    the frame's edges; boxes without area are dropped ("box"). Labels that no label map names are not learnt.

    Rejects are one a video and reason: "excluded", "not-included", "missing", "outside", "box", "no-proposals"
    (of key-frames that are used all the same) or why its file cannot be opened.

    Args:
        sources: the parts.
        class_ids: the classes to learn, in the order of the targets' columns; None = all of the label maps.
        outside: "negative": persons none of whose labels is wanted stay, as doing none of it; "drop": they go.
        checks_videos: open every file, to find those that cannot be and key-frames that they do not show; else both
            are found when they are read.
    Raises:
        BadInput: a file cannot be read, a folder is not there, two parts have one name, two label maps contradict
            each other, a class is unknown, or no key-frame is left.
        BadRow: a line of a csv is wrong.
        UnknownName: `outside` is none of the choices.
    """
    parts = [source.part for source in sources]
    if not sources or len(set(parts)) != len(parts):
        raise BadInput(f"parts {parts}", mend="Give at least one part, each with a name of its own")
    label_map = _label_map(sources)
    classes = dict(label_map.select("class_id", "name").iter_rows())
    if class_ids is not None:
        columns_of(class_ids, known=tuple(classes))
    clips = [None if source.clip_labels is None else read_kinetics_csv(source.clip_labels) for source in sources]
    names = sorted({name for frame in clips if frame is not None for name in frame["label"].drop_nulls()})
    examples: list[PersonExample] = []
    accounts, rejects = [], []
    for source, frame in zip(sources, clips, strict=True):
        some, account, dropped = _read_part(
            source, class_ids=tuple(classes), clips=frame, clip_class_names=names, checks_videos=checks_videos
        )
        examples += some
        accounts.append(account)
        rejects += dropped
    if not examples:
        raise BadInput(
            f"none of {sum(account.num_listed for account in accounts):,} key-frames can be used: "
            + "; ".join(_said(account) for account in accounts),
            where=sources[0].videos,
            mend="Name the folder of the videos; files are called by video id",
        )
    persons = person_set(
        examples, classes=classes, clip_class_names=names, accounting=accounts,
        source_sha256=sha256_of_json([[one.part, sha256_of_file(one.labels)] for one in sources]),
    )  # fmt: skip
    return (persons if class_ids is None else take_classes(persons, class_ids, outside=outside)), rejects


def _said(account: PartAccount) -> str:
    return (
        f"{account.part}: {account.num_excluded:,} excluded, {account.num_not_included:,} not included, "
        f"{account.num_video_missing:,} without their video, {account.num_outside_video:,} outside it"
    )


def _label_map(sources: Sequence[AvaSource]) -> pl.DataFrame:
    merged: pl.DataFrame | None = None
    for source in sources:
        one = ava_label_map(80) if source.label_map is None else read_label_map(source.label_map)
        where = source.labels if source.label_map is None else source.label_map
        merged = one if merged is None else merge_label_maps(merged, one, where=where)
    assert merged is not None
    return merged.sort("class_id")


def _read_part(
    source: AvaSource,
    *,
    class_ids: tuple[int, ...],
    clips: pl.DataFrame | None,
    clip_class_names: Sequence[str],
    checks_videos: bool,
) -> tuple[list[PersonExample], PartAccount, list[Reject]]:
    rows = read_ava_csv(source.labels)
    listed = _listed(rows, source)
    excluded = (
        listed.clear() if source.excluded is None else listed.join(read_excluded_timestamps(source.excluded), on=KEY)
    )
    left = listed.join(excluded, on=KEY, how="anti", maintain_order="left")
    if source.included is None:
        unwanted = left.clear()
    else:
        times = read_included_timestamps(source.included)["timestamp_us"].unique()
        unwanted = left.filter(~pl.col("timestamp_us").is_in(times.implode()))
    left = left.join(unwanted, on=KEY, how="anti", maintain_order="left")
    placed = place_key_frames(left, videos=source.videos, clips=clips, files=source.files, checks_videos=checks_videos)
    used = placed.used.with_row_index("frame").with_columns(pl.col("frame").cast(pl.Int64))
    persons, bad = _persons(rows, used)
    proposals_F, has_proposals_F = proposals_of(used.select("frame", *KEY), source)
    examples = _examples(
        used, persons, source=source, class_ids=class_ids, clip_class_names=clip_class_names, proposals_F=proposals_F
    )
    without = used.filter(~pl.Series(has_proposals_F)) if source.proposals is not None else used.clear()
    account = PartAccount(
        part=source.part,
        num_listed=listed.height,
        num_excluded=excluded.height,
        num_not_included=unwanted.height,
        num_video_missing=placed.missing.height,
        num_outside_video=placed.outside.height,
        num_used=used.height,
        num_no_persons=sum(not len(example.boxes_N4) for example in examples),
        num_no_proposals=without.height,
        num_persons=persons.select("person").n_unique(),
        num_boxes_bad=bad.height,
        num_labels_unknown=persons.filter(~pl.col("class_id").is_in(class_ids)).height,
        num_videos_listed=listed["video_id"].n_unique(),
        num_videos_found=placed.num_videos_found,
    )
    rejects = [
        *_rejects(excluded, reason="excluded", detail="excluded by the list"),
        *_rejects(unwanted, reason="not-included", detail="not in the list of included timestamps"),
        *_rejects(placed.missing, reason="missing", detail="without a file that can be opened"),
        *_rejects(placed.outside, reason="outside", detail="outside the video's file"),
        *_rejects(bad, reason="box", detail="with a box without area"),
        *_rejects(without, reason="no-proposals", detail="used without proposals, since the file has none there"),
    ]
    return examples, account, rejects


def _listed(rows: pl.DataFrame, source: AvaSource) -> pl.DataFrame:
    """The key-frames, by video in the csv's order and by time: `video_id`, `timestamp_us`."""
    listed = rows.select(KEY).unique()
    order = rows.select("video_id").unique(maintain_order=True).with_row_index("order")
    if source.included is not None:
        times = read_included_timestamps(source.included).select("timestamp_us").unique()
        listed = pl.concat([listed, order.select("video_id").join(times, how="cross")]).unique()
    return listed.join(order, on="video_id").sort("order", "timestamp_us").select(KEY)


def _rejects(frame: pl.DataFrame, *, reason: str, detail: str) -> list[Reject]:
    """One a video, with how many key-frames it concerns; `problem` and `reason` columns say more of files."""
    groups = frame.group_by("video_id", maintain_order=True).agg(
        pl.len().alias("num"),
        pl.col("timestamp_us").min().alias("first_us"),
        *(pl.col(name).first() for name in ("reason", "problem") if name in frame.columns),
    )
    rejects = []
    for row in groups.iter_rows(named=True):
        first = format_seconds(row["first_us"])
        text = f"{row['num']:,} key-frames {detail}, the first at {first} s"
        if row.get("problem"):
            text += f" ({row['problem']})"
        rejects.append(Reject(stage=STAGE, reason=row.get("reason") or reason, video_id=row["video_id"], detail=text))
    return rejects


def _persons(rows: pl.DataFrame, used: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines with a person's box at a used key-frame, with `frame` and `person` (numbered by frame, then order in
    the file), in that order; and those whose box has no area.
    """
    boxes = rows.filter(pl.col("x1").is_not_null()).join(used.select("frame", *KEY), on=KEY, maintain_order="left")
    cut = boxes.with_columns(pl.col(name).clip(0, 1) for name in BOX)
    has_area = (pl.col("x1") < pl.col("x2")) & (pl.col("y1") < pl.col("y2"))
    good = cut.filter(has_area).with_row_index("place")
    persons = (
        good.group_by("frame", *BOX)
        .agg(pl.col("place").min(), pl.col("person_id").min().alias("their_id"))
        .sort("frame", "place")
        .drop("place")
        .with_row_index("person")
    )
    lines = good.join(persons, on=["frame", *BOX], maintain_order="left").sort("person", maintain_order=True)
    return lines, cut.filter(~has_area)


def _examples(
    used: pl.DataFrame,
    lines: pl.DataFrame,
    *,
    source: AvaSource,
    class_ids: tuple[int, ...],
    clip_class_names: Sequence[str],
    proposals_F: Sequence[np.ndarray],
) -> list[PersonExample]:
    persons = lines.unique("person", keep="first", maintain_order=True)
    boxes_P4 = persons.select(BOX).to_numpy().astype(np.float64)
    targets_PK = np.zeros((persons.height, len(class_ids)), dtype=np.float32)
    column_of = pl.DataFrame({"class_id": class_ids, "column": range(len(class_ids))})
    known = lines.select("person", "class_id").join(column_of, on="class_id")
    targets_PK[known["person"].to_numpy(), known["column"].to_numpy()] = 1
    weights_PK = np.ones_like(targets_PK)
    num_F = np.bincount(persons["frame"].to_numpy(), minlength=used.height)
    ends_F = np.cumsum(num_F)
    # Where the file numbers nobody, a person is called by their place at the key-frame.
    place_P = np.arange(persons.height) - np.repeat(ends_F - num_F, num_F)
    ids = persons["their_id"].fill_null(pl.Series(place_P, dtype=pl.Int64)).to_list()
    label_of = {name: label for label, name in enumerate(clip_class_names)}
    low_us, high_us = source.stretch_us or (None, None)
    path_of = {path: source.videos / path for path in used["path"].unique()}
    examples = []
    for row, end, num in zip(used.iter_rows(named=True), ends_F.tolist(), num_F.tolist(), strict=True):
        start_us = row["start_us"] if low_us is None else low_us
        end_us = row["end_us"] if high_us is None else high_us
        is_clip = row["clip_start_us"] is not None
        examples.append(
            PersonExample(
                clip_id=clip_id_of(video_id=row["video_id"], start_us=start_us, end_us=end_us)
                if is_clip and end_us < UNTIL_END_US
                else row["video_id"],
                video_id=row["video_id"],
                path=path_of[row["path"]],
                timestamp_us=row["timestamp_us"],
                start_us=start_us,
                end_us=end_us,
                boxes_N4=boxes_P4[end - num : end],
                person_ids=tuple(ids[end - num : end]),
                targets_NK=targets_PK[end - num : end],
                weights_NK=weights_PK[end - num : end],
                proposals_M5=proposals_F[row["frame"]],
                clip_label=label_of.get(row["label"] or "", -1),
                part=source.part,
                file_start_us=row["file_start_us"],
            )
        )
    return examples
