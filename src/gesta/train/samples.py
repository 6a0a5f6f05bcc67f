"""What a release gives to learn from: one sample a key-frame, with its persons and what they do.

Shapes: N persons of a key-frame, K classes in the order of the label map.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import BadInput, LabelClass, Reject, UnknownName
from gesta.tables import read_table, rows_of, sha256_of_file
from gesta.train.views import ClipSpec, group_persons

PERSONS = ("detected", "labelled")
"""Whose boxes a sample holds: every person the detector tracked there, or those with an accepted label only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One key-frame: its persons, what each is known to do, and how much each answer counts in the loss."""

    clip_id: str
    video_id: str
    timestamp_us: int
    path: Path
    person_ids: tuple[int, ...]
    boxes_N4: npt.NDArray[np.float64]
    targets_NK: npt.NDArray[np.float32]
    weights_NK: npt.NDArray[np.float32]


def release_hash(release: Path) -> str:
    """SHA-256 of the release's manifest, which holds the hashes of all its files.

    Raises:
        BadInput: the folder has no manifest.json.
    """
    manifest = release / "manifest.json"
    if not manifest.is_file():
        raise BadInput(
            "there is no manifest.json here, so this is no release",
            where=release,
            mend="Run `gesta release WORK` and name the folder WORK/releases/<version>",
        )
    return sha256_of_file(manifest)


def read_classes(release: Path) -> tuple[LabelClass, ...]:
    """The classes that the release's kept clips show, in the order of their ids; all of the map where nothing is kept.

    A class of the label map of which no clip was kept has no example: it would only be learnt as "never".
    """
    label_map = read_table(release, "label_map").sort("class_id")
    kept = read_table(release, "box_labels").filter(pl.col("verdict") == "accepted")["class_id"].unique()
    shown = label_map.filter(pl.col("class_id").is_in(kept.to_list()))
    return tuple(rows_of("label_map", shown if len(shown) else label_map))


def read_samples(
    release: Path,
    *,
    split: str,
    class_ids: Sequence[int],
    persons: str = "detected",
    unasked_weight: float = 1.0,
    clip: ClipSpec | None = None,
) -> tuple[list[Sample], list[Reject]]:
    """The split's key-frames in the order of clip and time, and those without a person as rejects ("no-person").

    With `clip`, a key-frame whose persons do not fit into one view gives a sample a view.

    A person's target for a class is 1 with an accepted label and else 0. A 0 is sure where workers were asked about
    the class (the clip was kept for it) or where the person is known to do something else; an unlabelled person may
    well do what nobody asked about, and those answers count `unasked_weight`.

    Args:
        release: folder of a released version.
        split: train, val or test.
        class_ids: the classes, in the order of the targets' columns.
        persons: one of `PERSONS`.
        unasked_weight: 0 to 1.
        clip: what the model is shown; None = all persons of a key-frame in one sample.
    Raises:
        UnknownName: `persons` or `split` is none of the choices, or the release has no clip of that split.
        MissingTable: the folder lacks a table of a release.
    """
    if persons not in PERSONS:
        raise UnknownName(what="choice of persons", name=persons, choices=PERSONS)
    splits = read_table(release, "splits")
    if split not in set(splits["split"]):
        raise UnknownName(what="split", name=split, choices=set(splits["split"]), where=release)
    videos = {row["video_id"]: row for row in read_table(release, "videos").iter_rows(named=True)}
    in_split = splits.filter(pl.col("split") == split)["clip_id"].to_list()
    key_frames = read_table(release, "key_frames").filter(pl.col("clip_id").is_in(in_split))
    labels = read_table(release, "box_labels").filter(pl.col("verdict") == "accepted")
    found = labels if persons == "labelled" else _persons_found(release, labels)
    boxes_of = _by_key_frame(found)
    labels_of = _by_key_frame(labels)
    asked_of = dict(read_table(release, "kept").group_by("clip_id").agg(pl.col("class_id")).iter_rows())
    samples, rejects = [], []
    for row in key_frames.sort("clip_id", "timestamp_us").iter_rows(named=True):
        key = (row["clip_id"], row["timestamp_us"])
        if key not in boxes_of or row["video_id"] not in videos:
            reason = "no-person" if row["video_id"] in videos else "no-video"
            detail = f"key-frame at {row['timestamp_us']} us has no {persons} person"
            rejects.append(
                Reject(stage="train", reason=reason, video_id=row["video_id"], clip_id=row["clip_id"], detail=detail)
            )
            continue
        video = videos[row["video_id"]]
        sample = _sample(
            row,
            boxes=boxes_of[key],
            labels=labels_of.get(key),
            asked=set(asked_of.get(row["clip_id"], ())),
            path=release / video["path"],
            class_ids=class_ids,
            unasked_weight=unasked_weight,
        )
        if clip is None:
            samples.append(sample)
        else:
            samples += _views(sample, clip, width_px=video["width_px"], height_px=video["height_px"])
    return samples, rejects


def num_key_frames(samples: Sequence[Sample]) -> int:
    """How many key-frames the samples are of."""
    return len({(sample.clip_id, sample.timestamp_us) for sample in samples})


def _views(sample: Sample, clip: ClipSpec, *, width_px: int, height_px: int) -> list[Sample]:
    groups = group_persons(sample.boxes_N4, frame_width_px=width_px, frame_height_px=height_px, spec=clip)
    return [
        dataclasses.replace(
            sample,
            person_ids=tuple(sample.person_ids[number] for number in group),
            boxes_N4=sample.boxes_N4[list(group)],
            targets_NK=sample.targets_NK[list(group)],
            weights_NK=sample.weights_NK[list(group)],
        )
        for group in groups
    ]


def _persons_found(release: Path, labels: pl.DataFrame) -> pl.DataFrame:
    """Tracked persons, and labelled ones that no track stands for (annotations that came without detections)."""
    keys = ["clip_id", "timestamp_us", "person_id"]
    columns = [*keys, "x1", "y1", "x2", "y2"]
    tracks, others = read_table(release, "tracks").select(columns), labels.select(columns)
    return pl.concat([tracks, others.join(tracks, on=keys, how="anti")])


def _by_key_frame(frame: pl.DataFrame) -> dict[tuple[str, int], pl.DataFrame]:
    groups = frame.sort("person_id").partition_by("clip_id", "timestamp_us", as_dict=True)
    return {(str(key[0]), int(key[1])): rows for key, rows in groups.items()}


def _sample(
    row: dict[str, object],
    *,
    boxes: pl.DataFrame,
    labels: pl.DataFrame | None,
    asked: set[int],
    path: Path,
    class_ids: Sequence[int],
    unasked_weight: float,
) -> Sample:
    persons = boxes.unique("person_id", keep="first", maintain_order=True)
    ids = tuple(int(number) for number in persons["person_id"])
    row_of = {person_id: number for number, person_id in enumerate(ids)}
    column_of = {class_id: number for number, class_id in enumerate(class_ids)}
    targets_NK = np.zeros((len(ids), len(class_ids)), dtype=np.float32)
    weights_NK = np.full_like(targets_NK, unasked_weight)
    for class_id in asked & column_of.keys():
        weights_NK[:, column_of[class_id]] = 1
    for person_id, class_id in () if labels is None else labels.select("person_id", "class_id").iter_rows():
        weights_NK[row_of[person_id]] = 1
        if class_id in column_of:
            targets_NK[row_of[person_id], column_of[class_id]] = 1
    return Sample(
        clip_id=str(row["clip_id"]),
        video_id=str(row["video_id"]),
        timestamp_us=int(str(row["timestamp_us"])),
        path=path,
        person_ids=ids,
        boxes_N4=persons.select("x1", "y1", "x2", "y2").to_numpy().astype(np.float64),
        targets_NK=targets_NK,
        weights_NK=weights_NK,
    )
