"""Key-frames with persons as verbs take them: a release, or a csv of AVA or AVA-Kinetics with its folder of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gesta.formats import ava_label_map
from gesta.schema import BadInput, Reject, UnknownName

if TYPE_CHECKING:
    from gesta.train.persons import AvaSource, PersonSet
    from gesta.train.persons.boxes import Float32s, Floats, Ints

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

proposals_option = click.option("--proposals", type=FILE, default=None, help="A detector's boxes: a pickle or csv.")
excluded_option = click.option("--excluded", type=FILE, default=None, help="Key-frames that do not count.")
included_option = click.option("--included", type=FILE, default=None, help="Times of key-frames that every video has.")
clip_labels_option = click.option(
    "--clip-labels", type=FILE, default=None, help="Kinetics csv: what each clip shows, and where in its video it lies."
)
bank_option = click.option(
    "--bank", "banks", type=click.Path(exists=True, path_type=Path), multiple=True,
    help="Persons: what `gesta bank` wrote, for a head with a feature bank; several times for several sets.",
)  # fmt: skip


def open_persons(
    data: Path,
    *,
    split: str | None = None,
    class_ids: Sequence[int] | None = None,
    part: str = "ava",
    videos: Path | None = None,
    label_map: Path | None = None,
    excluded: Path | None = None,
    included: Path | None = None,
    proposals: Path | None = None,
    clip_labels: Path | None = None,
) -> tuple[PersonSet, list[Reject]]:
    """The key-frames of a split of a release or file of parts, or of a csv in AVA's layout; and those not to be used.

    Args:
        data: folder of a release, a file of parts (`gesta.train.persons.parts_file`), or a csv.
        split: of a release or file of parts; None = test, or val where there is no test.
        class_ids: the classes of the targets; None = all.
        part: what a csv's part is called.
        videos: folder of a csv's videos; None = that of the csv.
        label_map: of a csv; None = AVA's 80 classes.
        excluded: of a csv.
        included: of a csv.
        proposals: of a csv; a release's are its tracks.
        clip_labels: of a csv.
    Raises:
        BadInput: a file cannot be read, or a release or file of parts is given what only a csv has.
        UnknownName: no such split.
    """
    from gesta.train.persons import read_ava_persons, read_release_persons
    from gesta.train.persons.parts_file import SUFFIXES, read_parts_file

    only_csv = {"videos": videos, "label-map": label_map, "excluded": excluded, "included": included,
                "proposals": proposals, "clip-labels": clip_labels}  # fmt: skip
    given = [name for name, value in only_csv.items() if value is not None]
    has_all = data.is_dir() or data.suffix in SUFFIXES
    if has_all and given:
        raise BadInput(f"--{given[0]} goes with a csv", where=data, mend="This names all it needs; leave it out")
    if data.is_dir():
        return read_release_persons(data, split=split or "test", class_ids=class_ids)
    if has_all:
        parts = read_parts_file(data)
        name = split or ("test" if "test" in parts else "val")
        if name not in parts:
            raise UnknownName(what="split", name=name, choices=parts, where=data)
        return read_ava_persons(parts[name], class_ids=class_ids)
    if split is not None:
        raise BadInput(
            "--split goes with a release or file of parts", where=data, mend="A csv is one split; leave it out"
        )
    source = source_of(data, part=part, values=only_csv)
    return read_ava_persons([source], class_ids=class_ids)


def source_of(labels: Path, *, part: str, values: Mapping[str, Path | None]) -> AvaSource:
    """The part of that csv; `values` by the names of the options, those left out None."""
    from gesta.train.persons import AvaSource

    return AvaSource(
        part=part, labels=labels, videos=values.get("videos") or labels.parent, label_map=values.get("label-map"),
        excluded=values.get("excluded"), included=values.get("included"), proposals=values.get("proposals"),
        clip_labels=values.get("clip-labels"),
    )  # fmt: skip


def person_map(persons: PersonSet, numbers_N: Ints, boxes_N4: Floats, scores_NK: Float32s) -> dict[str, float]:
    """The frame mAP of scores on a set's persons by the official rules, as `run_train_persons` asks a measure.

    Args:
        persons: the validation set.
        numbers_N: int64, which example each person stands in.
        boxes_N4: float64, fractions of the frame.
        scores_NK: float32, probabilities in the order of the set's classes.
    """
    from gesta.evaluate import frame_map
    from gesta.predict.person_scores import ScoredPersons, detections_of, truth_of

    scored = ScoredPersons(numbers_N=numbers_N, boxes_N4=boxes_N4, scores_NK=scores_NK, rejects=(), num_wanted=0)
    found = detections_of(scored, persons, class_ids=persons.class_ids)
    counted = counted_classes(persons.class_ids, persons.class_names)
    return {"map": frame_map(truth_of(persons), found, class_ids=counted).mean_ap}


def counted_classes(class_ids: Sequence[int], class_names: Sequence[str]) -> tuple[int, ...]:
    """The classes that an mAP is the mean of: of AVA's 80 the 60 that its challenge scores, else all.

    Args:
        class_ids: what a model knows.
        class_names: their names.
    Source: AVA v2.2, `ava_action_list_v2.2_for_activitynet_2019.pbtxt`.

    >>> counted_classes([3, 2], ["crouch/kneel", "crawl"])
    (3, 2)
    """
    known = dict(zip(class_ids, class_names, strict=True))
    if known == dict(ava_label_map(80).select("class_id", "name").iter_rows()):
        return tuple(ava_label_map(60)["class_id"])
    return tuple(class_ids)


def described(options: Mapping[str, Any]) -> str:
    """The options that were given, for a message: `--segments, --crops`."""
    return ", ".join(f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None)
