"""Key-frames with their persons, to learn from or to be scored: one example, sets of them, and parts of sets.

All times are integer microseconds of the film's own clock: the one that AVA's csv files and proposals count in. A file
that holds a cut of the film begins at `file_start_us` of that clock.

Shapes: N persons of a key-frame, M proposals, K classes in the order of `class_ids`; 4 = x1 y1 x2 y2 as fractions of
the frame, 5 = the same and a score.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput, Reject, UnknownName
from gesta.tables import Json, sha256_of_json

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]

STAGE = "train"
"""Of the rejects."""

NO_PROPOSALS: Floats = np.zeros((0, 5))
"""What an example without proposals holds, float64 [0, 5]."""

OUTSIDE = ("negative", "drop")
"""What becomes of a person all of whose labels lie outside the wanted classes: one who does none of them, or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonExample:
    """One key-frame: who is there, what each does, and from where its frames may come. N may be 0.

    Attributes:
        clip_id: of the shot or clip that holds the key-frame.
        video_id: of the film.
        path: of the file, or of a prepared key-frame (`gesta.train.persons.prepared`).
        timestamp_us: the key-frame, on the film's clock.
        start_us, end_us: frames come from [start, end) only: a shot or a clip, on the film's clock.
        boxes_N4: float64, of the persons that are annotated.
        person_ids: length N, as published; the person's place where the file numbers nobody.
        targets_NK: float32, 1 where the person does it.
        weights_NK: float32, how much each answer counts in the loss.
        proposals_M5: float64, what a detector found there.
        clip_label: place of the clip's own class in the set's `clip_class_names`; -1 = it has none.
        part: which part of a data set it belongs to: "ava", "kinetics" ...
        file_start_us: time of the film at which the file begins; 0 = the file is the whole film.

    Raises:
        BadInput: the key-frame lies outside [start, end).
    """

    clip_id: str
    video_id: str
    path: Path
    timestamp_us: int
    start_us: int
    end_us: int
    boxes_N4: Floats
    person_ids: tuple[int, ...]
    targets_NK: Float32s
    weights_NK: Float32s
    proposals_M5: Floats = dataclasses.field(default_factory=lambda: NO_PROPOSALS)
    clip_label: int = -1
    part: str = ""
    file_start_us: int = 0

    def __post_init__(self) -> None:
        if not self.start_us <= self.timestamp_us < self.end_us:
            raise BadInput(
                f"key-frame {self.timestamp_us} us of {self.video_id} lies outside {self.start_us} to {self.end_us} us",
                where=self.path,
                mend="Want start <= timestamp < end, all on the film's clock",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAccount:
    """What became of the key-frames that a part's files list; `num_listed` is the sum of the five below it.

    `num_no_persons` and `num_no_proposals` are among those used. `num_labels_unknown` counts lines whose class is in no
    label map.
    """

    part: str
    num_listed: int = 0
    num_excluded: int = 0
    num_not_included: int = 0
    num_video_missing: int = 0
    num_outside_video: int = 0
    num_used: int = 0
    num_no_persons: int = 0
    num_no_proposals: int = 0
    num_persons: int = 0
    num_boxes_bad: int = 0
    num_labels_unknown: int = 0
    num_videos_listed: int = 0
    num_videos_found: int = 0

    def as_json(self) -> dict[str, Json]:
        """The counts by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PersonSet:
    """Examples with their classes; `sha256` is of ids, times, boxes and labels, not of where files lie."""

    examples: tuple[PersonExample, ...]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    clip_class_names: tuple[str, ...] = ()
    sha256: str = ""
    accounting: tuple[PartAccount, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def num_persons(self) -> int:
        """Annotated persons of all key-frames."""
        return sum(len(example.boxes_N4) for example in self.examples)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that examples belong to, in the order of first appearance."""
        return tuple(dict.fromkeys(example.part for example in self.examples))


def person_set(
    examples: Sequence[PersonExample],
    *,
    classes: Mapping[int, str],
    clip_class_names: Sequence[str] = (),
    accounting: Sequence[PartAccount] = (),
    source_sha256: str = "",
) -> PersonSet:
    """The set of those examples, with its hash.

    Args:
        examples: in any order, which is kept.
        classes: names by class id, in the order of the targets' columns.
        clip_class_names: of the clips' own classes.
        accounting: of each part, where the examples were read from files.
        source_sha256: of what the examples were read from, where that is hashed; it goes into the set's hash.
    Raises:
        BadInput: there is no example or no class, arrays do not fit each other, or a clip label is none of the names.
    """
    if not examples or not classes:
        what = "key-frame" if not examples else "class"
        raise BadInput(f"there is no {what} to learn from", mend="Look at the rejects: they say why each was dropped")
    digest = hashlib.sha256()
    for example in examples:
        _refuse_misfit(example, num_classes=len(classes), num_clip_classes=len(clip_class_names))
        head = [example.clip_id, example.video_id, example.timestamp_us, example.start_us, example.end_us, example.part]
        digest.update(repr([*head, example.clip_label, len(example.boxes_N4)]).encode())
        digest.update(np.ascontiguousarray(example.boxes_N4).tobytes())
        digest.update(np.packbits(example.targets_NK > 0).tobytes())
        digest.update(np.ascontiguousarray(example.weights_NK, dtype=np.float32).tobytes())
        digest.update(np.ascontiguousarray(example.proposals_M5).tobytes())
    names: list[Json] = [[key, name] for key, name in classes.items()]
    return PersonSet(
        examples=tuple(examples),
        class_ids=tuple(classes),
        class_names=tuple(classes.values()),
        clip_class_names=tuple(clip_class_names),
        sha256=sha256_of_json([source_sha256, names, list(clip_class_names), digest.hexdigest()]),
        accounting=tuple(accounting),
    )


def _refuse_misfit(example: PersonExample, *, num_classes: int, num_clip_classes: int) -> None:
    num = len(example.boxes_N4)
    shapes = (example.boxes_N4.shape, example.targets_NK.shape, example.weights_NK.shape, len(example.person_ids))
    if shapes != ((num, 4), (num, num_classes), (num, num_classes), num) or example.proposals_M5.shape[1:] != (5,):
        raise BadInput(
            f"key-frame {example.video_id} at {example.timestamp_us} us: boxes {shapes[0]}, targets {shapes[1]}, "
            f"weights {shapes[2]}, {shapes[3]} person ids, proposals {example.proposals_M5.shape}",
            mend=f"Want [N, 4], [N, {num_classes}], [N, {num_classes}], N and [M, 5]",
        )
    if example.clip_label >= num_clip_classes:
        raise BadInput(f"clip {example.clip_id} has label {example.clip_label}, and there are {num_clip_classes} names")


def sub_set(persons: PersonSet, numbers: Sequence[int]) -> PersonSet:
    """The examples of those numbers, in that order, with all the classes; without the accounting.

    Raises:
        BadInput: there is none.
    """
    return person_set(
        [persons.examples[number] for number in numbers],
        classes=dict(zip(persons.class_ids, persons.class_names, strict=True)),
        clip_class_names=persons.clip_class_names,
        source_sha256=persons.sha256,
    )


def take_parts(persons: PersonSet, parts: Sequence[str]) -> PersonSet:
    """The examples of those parts, in the set's order, with all the classes and those parts' accounting.

    Raises:
        UnknownName: the set has no such part.
    """
    for part in parts:
        if part not in persons.parts:
            raise UnknownName(what="part", name=part, choices=persons.parts)
    numbers = [number for number, example in enumerate(persons.examples) if example.part in parts]
    accounts = tuple(account for account in persons.accounting if account.part in parts)
    return dataclasses.replace(sub_set(persons, numbers), accounting=accounts)


def join_sets(sets: Sequence[PersonSet]) -> PersonSet:
    """One set of all examples, in the order given; the names of clip classes are put together.

    Raises:
        BadInput: there is no set, or two have other classes.
    """
    if not sets:
        raise BadInput("there is no set to join", mend="Give at least one")
    classes = dict(zip(sets[0].class_ids, sets[0].class_names, strict=True))
    for other in sets[1:]:
        if (other.class_ids, other.class_names) != (sets[0].class_ids, sets[0].class_names):
            raise BadInput(
                f"one set has {len(sets[0].class_ids)} classes and another {len(other.class_ids)}, not all the same",
                mend="Read both with the same class_ids and label map",
            )
    names = tuple(dict.fromkeys(name for one in sets for name in one.clip_class_names))
    label_of = {name: label for label, name in enumerate(names)}
    examples = [
        dataclasses.replace(example, clip_label=label_of[one.clip_class_names[example.clip_label]])
        if example.clip_label >= 0
        else example
        for one in sets
        for example in one.examples
    ]
    accounts = [account for one in sets for account in one.accounting]
    return person_set(
        examples,
        classes=classes,
        clip_class_names=names,
        accounting=accounts,
        source_sha256=sha256_of_json([one.sha256 for one in sets]),
    )


def take_key_frames(persons: PersonSet, *, num: int, seed: int) -> PersonSet:
    """At most `num` key-frames, in the set's order; nested: those of 100 are among those of 200.

    Key-frames are put in an order that depends on the seed, their ids and times alone, and the first taken.

    Raises:
        BadInput: `num` is below 1.
    """
    if num < 1:
        raise BadInput(f"{num} key-frames", mend="Want at least 1")
    keys = [(one.part, one.video_id, one.timestamp_us, number) for number, one in enumerate(persons.examples)]
    by_key = sorted(range(len(keys)), key=keys.__getitem__)
    order = np.random.default_rng(seed).permutation(len(by_key))
    return sub_set(persons, sorted(by_key[place] for place in order[:num]))


def take_classes(persons: PersonSet, class_ids: Sequence[int], *, outside: str = "negative") -> PersonSet:
    """The set with the columns of those classes alone, in that order, and their names.

    Args:
        persons: the set.
        class_ids: as published; each one of the set's.
        outside: one of `OUTSIDE`: whether a person with labels, but none of these classes, stays as one who does
            none of them ("negative") or goes ("drop"). Key-frames stay in both cases.
    Raises:
        UnknownName: `outside` is none of the choices.
        BadInput: the set has no such class, or one is named twice, or none is.
    """
    columns = columns_of(class_ids, known=persons.class_ids)
    if outside not in OUTSIDE:
        raise UnknownName(what="way with persons outside the classes", name=outside, choices=OUTSIDE)
    name_of = dict(zip(persons.class_ids, persons.class_names, strict=True))
    return person_set(
        _with_columns(persons.examples, columns, drops=outside == "drop"),
        classes={class_id: name_of[class_id] for class_id in class_ids},
        clip_class_names=persons.clip_class_names,
        accounting=persons.accounting,
        source_sha256=persons.sha256,
    )


def columns_of(class_ids: Sequence[int], *, known: Sequence[int]) -> list[int]:
    """The columns of those classes among the known ones.

    Raises:
        BadInput: one is not known, one is named twice, or none is named.
    """
    column_of = {class_id: column for column, class_id in enumerate(known)}
    unknown = [class_id for class_id in class_ids if class_id not in column_of]
    if unknown or len(set(class_ids)) != len(class_ids) or not class_ids:
        what = f"no class {unknown[0]}" if unknown else f"classes {list(class_ids)}"
        raise BadInput(what, mend=f"Want each once, out of {', '.join(map(str, known))}")
    return [column_of[class_id] for class_id in class_ids]


def _with_columns(examples: Sequence[PersonExample], columns: list[int], *, drops: bool) -> list[PersonExample]:
    """The examples with those columns alone; all persons at once, since a set may have a million."""
    num_E = np.array([len(example.boxes_N4) for example in examples], dtype=np.int64)
    targets_PK = np.concatenate([example.targets_NK for example in examples])
    shown_PK = np.ascontiguousarray(targets_PK[:, columns])
    weights_PK = np.concatenate([example.weights_NK[:, columns] for example in examples])
    keep_P: npt.NDArray[np.bool_] = np.ones(len(targets_PK), dtype=bool)
    if drops:
        keep_P = np.asarray((shown_PK > 0).any(axis=1) | ~(targets_PK > 0).any(axis=1))
    ends_E = np.cumsum(num_E)
    kept = []
    for example, end, num in zip(examples, ends_E.tolist(), num_E.tolist(), strict=True):
        part = slice(end - num, end)
        keep_N = keep_P[part]
        if keep_N.all():
            changed = dataclasses.replace(example, targets_NK=shown_PK[part], weights_NK=weights_PK[part])
        else:
            changed = dataclasses.replace(
                example,
                boxes_N4=example.boxes_N4[keep_N],
                person_ids=tuple(one for one, stays in zip(example.person_ids, keep_N, strict=True) if stays),
                targets_NK=shown_PK[part][keep_N],
                weights_NK=weights_PK[part][keep_N],
            )
        kept.append(changed)
    return kept


def reject_of(example: PersonExample, *, reason: str, detail: str) -> Reject:
    """The example as a dropped row."""
    return Reject(
        stage=STAGE,
        reason=reason,
        video_id=example.video_id,
        clip_id=example.clip_id,
        path=example.path.name,
        detail=detail,
    )
