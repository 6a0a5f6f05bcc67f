"""Files in AVA's layout as labelled persons to check: read once, unreadable ones told as findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl

from gesta.formats import (
    ava_label_map,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_label_map,
)
from gesta.formats.proposals import read_proposals
from gesta.lint.against import VIDEO_FACTS, names_of
from gesta.lint.findings import Finding
from gesta.lint.kinds import VIDEO_ENDINGS
from gesta.lint.person_codes import set_finding
from gesta.lint.person_sets import LabelledPersons, check_persons
from gesta.schema import BadInput, GestaError

Value = TypeVar("Value")

MAX_MEASURED = 32
"""Videos a part whose ends are measured. Source: ours; whatever is wrong with times is wrong with nearly all."""

Measure = Callable[[Path], tuple[int, int] | None]
"""Start and end of a video file in microseconds of its own clock, None where it cannot be read."""


class SourceFiles(Protocol):
    """The files of one part of a set, such as AVA's training videos; see `gesta.train.persons.AvaSource`."""

    @property
    def part(self) -> str:
        """What the part is called."""

    @property
    def labels(self) -> Path:
        """The csv of AVA or AVA-Kinetics."""

    @property
    def videos(self) -> Path:
        """The folder of the videos."""

    @property
    def label_map(self) -> Path | None:
        """Ids and names of classes; None = the 60 that AVA scores."""

    @property
    def excluded(self) -> Path | None:
        """Key-frames that do not count."""

    @property
    def included(self) -> Path | None:
        """Times at which every video has a key-frame."""

    @property
    def proposals(self) -> Path | None:
        """Boxes of a detector."""


def check_ava_sources(
    train: Sequence[SourceFiles],
    *,
    val: Sequence[SourceFiles] = (),
    class_ids: Sequence[int] | None = None,
    least_score: float = 0.9,
    measure: Measure | None = None,
    max_measured: int = MAX_MEASURED,
) -> list[Finding]:
    """What is wrong with the files that a model of persons is to learn from, the worst first; see `check_persons`.

    A file that cannot be read is a finding too, and what hangs on it is not checked.

    Args:
        train: parts to learn from.
        val: parts to measure on.
        class_ids: classes that are to be learnt; None = those of the label maps.
        least_score: of proposals that are used.
        measure: gives the start and end of a video file; None = times are not held against videos.
        max_measured: videos of a part that are measured.
    """
    found: list[Finding] = []
    parts: list[list[LabelledPersons]] = [[], []]
    for number, sources in enumerate((train, val)):
        for source in sources:
            name = f"{source.part} {('train', 'val')[number]}"
            read = _read_part(source, name=name, measure=measure, max_measured=max_measured)
            found += read[1]
            parts[number] += read[0]
    return [*found, *check_persons(parts[0], val=parts[1], class_ids=class_ids, least_score=least_score)]


def _read_part(
    source: SourceFiles, *, name: str, measure: Measure | None, max_measured: int
) -> tuple[list[LabelledPersons], list[Finding]]:
    found: list[Finding] = []

    def told(read: Callable[[], Value], path: Path) -> Value | None:
        try:
            return read()
        except GestaError as error:
            found.append(set_finding("set-unreadable", error.problem, where=error.where or path, mend=error.mend))
            return None

    rows = told(lambda: read_ava_csv(source.labels, column_8="score"), source.labels)
    if rows is None:
        return [], found
    excluded, included, proposals = source.excluded, source.included, source.proposals
    label_map = source.label_map
    lists = None if excluded is None else told(lambda: read_excluded_timestamps(excluded), excluded)
    if lists is not None:
        # Excluded key-frames are left out of the set; that the labels hold them is no fault.
        rows = rows.join(lists, on=["video_id", "timestamp_us"], how="anti", maintain_order="left")
    times = None if included is None else told(lambda: read_included_timestamps(included), included)
    boxes = None if proposals is None else told(lambda: read_proposals(proposals).boxes, proposals)
    classes = ava_label_map(60) if label_map is None else told(lambda: read_label_map(label_map), label_map)
    wanted = rows["video_id"].unique(maintain_order=True).to_list()
    videos = told(lambda: videos_at_hand(source.videos, wanted, measure=measure, most=max_measured), source.videos)
    part = LabelledPersons(
        name=name, where=str(source.labels), rows=rows, label_map=classes, videos=videos, proposals=boxes,
        proposals_where=str(proposals or ""), included_us=None if times is None else times["timestamp_us"],
    )  # fmt: skip
    return [part], found


def videos_at_hand(folder: Path, wanted: Sequence[str], *, measure: Measure | None, most: int) -> pl.DataFrame:
    """The videos of the folder, with start and end in microseconds on the labels' clock for `most` of those wanted.

    A file called after Kinetics' `id_start_end` holds the video's time from `start` on.

    Args:
        folder: of the videos, and folders in it.
        wanted: video ids of the labels; of these, evenly spread, some are measured.
        measure: gives the start and end of a file on its own clock.
        most: files that are measured.
    Raises:
        BadInput: there is no such folder.
    """
    if not folder.is_dir():
        raise BadInput("there is no such folder of videos", where=folder, mend="Name the folder of the videos")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEO_ENDINGS]
    of_id: dict[str, list[Path]] = {}
    for path in files:
        for name in names_of(path.name):
            of_id.setdefault(name, []).append(path)
    rows: list[tuple[str, int | None, int | None]] = []
    there = [name for name in wanted if name in of_id]
    step = max(len(there) // max(most, 1), 1)
    measured = set(there[::step][:most]) if measure is not None else set()
    for name, paths in of_id.items():
        if name not in measured or measure is None:
            rows.append((name, None, None))
            continue
        for path in paths:
            rows.append((name, *_on_labels_clock(path, name, measure(path))))
    return pl.DataFrame(rows, schema=VIDEO_FACTS, orient="row")


def _on_labels_clock(path: Path, name: str, span_us: tuple[int, int] | None) -> tuple[int | None, int | None]:
    if span_us is None:
        return None, None
    is_cut = path.stem != name
    start_us = int(path.stem.rsplit("_", 2)[1]) * 1_000_000 if is_cut else 0
    return span_us[0] + start_us, span_us[1] + start_us
