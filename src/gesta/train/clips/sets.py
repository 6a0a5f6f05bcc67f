"""Labelled clips to learn from: of a release, or any list of examples; nested subsets by class.

Times are integer microseconds on the player's clock, ends exclusive. A label is the place of the class in `class_ids`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gesta.schema import BadInput, BadVideo, Reject, UnknownName
from gesta.tables import Json, read_table, sha256_of_json
from gesta.train.samples import release_hash

STAGE = "train"
"""Of the rejects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipExample:
    """One labelled stretch of a video: a file, a folder of images, or a prepared clip (`gesta.train.clips.footage`)."""

    clip_id: str
    video_id: str
    path: Path
    start_us: int
    end_us: int
    label: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_us < self.end_us or self.label < 0:
            raise BadInput(
                f"clip {self.clip_id}: start {self.start_us} us, end {self.end_us} us, label {self.label}",
                where=self.path,
                mend="Want 0 <= start < end and a label of at least 0",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSet:
    """Examples with their classes; `sha256` is of ids, times and labels, and of nothing about where files lie."""

    examples: tuple[ClipExample, ...]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.examples)


def clip_set(examples: Sequence[ClipExample], *, classes: Mapping[int, str], source_sha256: str = "") -> ClipSet:
    """The set of those examples, with its hash.

    Args:
        examples: in any order, which is kept.
        classes: names by class id, in the order of the labels.
        source_sha256: of what the examples were read from, where that is hashed; it goes into the set's hash.
    Raises:
        BadInput: there is no example, or a label is no place in `classes`.
    """
    if not examples:
        raise BadInput("there is no clip to learn from", mend="Look at the rejects: they say why each clip was dropped")
    for example in examples:
        if example.label >= len(classes):
            raise BadInput(f"clip {example.clip_id} has label {example.label}, and there are {len(classes)} classes")
    rows: list[Json] = [[one.clip_id, one.video_id, one.start_us, one.end_us, one.label] for one in examples]
    return ClipSet(
        examples=tuple(examples),
        class_ids=tuple(classes),
        class_names=tuple(classes.values()),
        sha256=sha256_of_json([source_sha256, [[key, name] for key, name in classes.items()], rows]),
    )


def read_release_clips(
    release: Path, *, split: str, per_class: int | None = None, seed: int = 0
) -> tuple[ClipSet, list[Reject]]:
    """The split's kept clips in the order of clip and class, and those whose file is not there ("missing").

    Classes are those of which the release kept a clip in any split, in the order of their ids, so that the labels of
    all splits agree. A clip that was kept for two classes gives two examples.

    Args:
        release: folder of a released version.
        split: train, val or test.
        per_class: at most so many of each class, as `take_per_class`; None = all.
        seed: of that choice.
    Raises:
        UnknownName: the release has no clip of that split.
        MissingTable: the folder lacks a table of a release.
        BadInput: it is no release, no clip of the split has its file, or `per_class` is below 1.
    """
    sha256 = release_hash(release)
    splits = read_table(release, "splits")
    if split not in set(splits["split"]):
        raise UnknownName(what="split", name=split, choices=set(splits["split"]), where=release)
    kept = read_table(release, "kept")
    label_map = (
        read_table(release, "label_map").sort("class_id").filter(pl.col("class_id").is_in(kept["class_id"].to_list()))
    )
    classes = dict(label_map.select("class_id", "name").iter_rows())
    label_of = {class_id: label for label, class_id in enumerate(classes)}
    path_of = dict(read_table(release, "videos").select("video_id", "path").iter_rows())
    rows = (
        kept.select("clip_id", "class_id")
        .join(splits.filter(split=split).select("clip_id"), on="clip_id", how="semi")
        .join(read_table(release, "clips"), on="clip_id")
        .sort("clip_id", "class_id")
    )
    examples, rejects = [], []
    for row in rows.iter_rows(named=True):
        example = ClipExample(
            clip_id=row["clip_id"],
            video_id=row["video_id"],
            path=release / path_of.get(row["video_id"], f"{row['video_id']} (not in the table of videos)"),
            start_us=row["start_us"],
            end_us=row["end_us"],
            label=label_of[row["class_id"]],
        )
        if example.path.is_file():
            examples.append(example)
        else:
            rejects.append(reject_of(example, reason="missing", detail="there is no such file"))
    clips = clip_set(examples, classes=classes, source_sha256=sha256)
    return (clips if per_class is None else take_per_class(clips, num=per_class, seed=seed)), rejects


def take_per_class(clips: ClipSet, *, num: int, seed: int) -> ClipSet:
    """At most `num` examples of each class, in the set's order; nested: those of 100 are among those of 200.

    Each class's examples are put in an order that depends on the seed and their clip ids alone, and the first taken.

    Raises:
        BadInput: `num` is below 1.
    """
    if num < 1:
        raise BadInput(f"{num} examples of each class", mend="Want at least 1")
    by_class: dict[int, list[int]] = {}
    for number, example in enumerate(clips.examples):
        by_class.setdefault(example.label, []).append(number)
    taken: list[int] = []
    for label, numbers in by_class.items():
        numbers.sort(key=lambda number: (clips.examples[number].clip_id, number))
        order = np.random.default_rng((seed, clips.class_ids[label])).permutation(len(numbers))
        taken += [numbers[place] for place in order[:num]]
    return sub_set(clips, sorted(taken))


def sub_set(clips: ClipSet, numbers: Sequence[int]) -> ClipSet:
    """The examples of those numbers, in that order, with all the classes.

    Raises:
        BadInput: there is none.
    """
    classes = dict(zip(clips.class_ids, clips.class_names, strict=True))
    return clip_set([clips.examples[number] for number in numbers], classes=classes, source_sha256=clips.sha256)


def reject_of(example: ClipExample, *, reason: str, detail: str) -> Reject:
    """The example as a dropped row."""
    return Reject(
        stage=STAGE,
        reason=reason,
        video_id=example.video_id,
        clip_id=example.clip_id,
        path=example.path.name,
        detail=detail,
    )


def reject_unreadable(example: ClipExample, error: BadVideo) -> Reject:
    """The example as a dropped row, with what was wrong with its file."""
    return reject_of(example, reason=error.reason, detail=error.problem)


def with_path(example: ClipExample, path: Path) -> ClipExample:
    """The same example in another place."""
    return dataclasses.replace(example, path=path)
