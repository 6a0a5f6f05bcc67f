"""Key-frames with persons as verbs take them: a release, or a csv of AVA or AVA-Kinetics with its folder of videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gesta.schema import BadInput, Reject

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
    """The key-frames of a release's split, or of a csv in AVA's layout; and those that cannot be used.

    Args:
        data: folder of a release, or a csv.
        split: of a release; None = test.
        class_ids: the classes of the targets; None = all.
        part: what a csv's part is called.
        videos: folder of a csv's videos; None = that of the csv.
        label_map: of a csv; None = AVA's 80 classes.
        excluded: of a csv.
        included: of a csv.
        proposals: of a csv; a release's are its tracks.
        clip_labels: of a csv.
    Raises:
        BadInput: a file cannot be read, or a release is given what only a csv has.
    """
    from gesta.train.persons import read_ava_persons, read_release_persons

    only_csv = {"videos": videos, "label-map": label_map, "excluded": excluded, "included": included,
                "proposals": proposals, "clip-labels": clip_labels}  # fmt: skip
    if data.is_dir():
        given = [name for name, value in only_csv.items() if value is not None]
        if given:
            raise BadInput(f"--{given[0]} goes with a csv", where=data, mend="A release has all it needs; leave it out")
        return read_release_persons(data, split=split or "test", class_ids=class_ids)
    if split is not None:
        raise BadInput("--split goes with a release", where=data, mend="A csv is one split; leave it out")
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
    return {"map": frame_map(truth_of(persons), found, class_ids=persons.class_ids).mean_ap}


def described(options: Mapping[str, Any]) -> str:
    """The options that were given, for a message: `--segments, --crops`."""
    return ", ".join(f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None)
