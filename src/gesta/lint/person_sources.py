"""Files in AVA's layout as labelled persons to check: read once, unreadable ones told as findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl

from gesta.formats import (
    ava_label_map,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_kinetics_csv,
    read_label_map,
)
from gesta.formats.proposals import read_proposals
from gesta.lint.against import VIDEO_FACTS
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
        """Ids and names of classes; None = AVA's 80."""

    @property
    def excluded(self) -> Path | None:
        """Key-frames that do not count."""

    @property
    def included(self) -> Path | None:
        """Times at which every video has a key-frame."""

    @property
    def proposals(self) -> Path | None:
        """Boxes of a detector."""

    @property
    def clip_labels(self) -> Path | None:
        """The csv of Kinetics, whose clips the files may hold."""

    @property
    def proposal_times(self) -> str:
        """Whether the proposals' times are "exact" or "truncated" to whole seconds."""


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
    classes = ava_label_map(80) if label_map is None else told(lambda: read_label_map(label_map), label_map)
    wanted = rows["video_id"].unique(maintain_order=True).to_list()
    clip_labels = source.clip_labels
    clips = None if clip_labels is None else told(lambda: read_kinetics_csv(clip_labels), clip_labels)
    videos = told(
        lambda: videos_at_hand(source.videos, wanted, measure=measure, most=max_measured, clips=clips), source.videos
    )
    part = LabelledPersons(
        name=name,
        where=str(source.labels),
        rows=rows,
        label_map=classes,
        videos=videos,
        proposals=boxes,
        proposals_where=str(proposals or ""),
        has_whole_seconds=source.proposal_times == "truncated",
        included_us=None if times is None else times["timestamp_us"],
    )
    return [part], found


def videos_at_hand(
    folder: Path, wanted: Sequence[str], *, measure: Measure | None, most: int, clips: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The videos of the folder, with start and end in microseconds on the labels' clock for `most` of those wanted.

    A file called `id_start_end` holds the video's time from `start` on; one called by the id alone holds the whole
    video, or the clip that `clips` names where it is about as long as that and ends before it.

    Args:
        folder: of the videos, and folders in it.
        wanted: video ids of the labels; of these, evenly spread, some are measured.
        measure: gives the start and end of a file on its own clock.
        most: videos that are measured.
        clips: `video_id`, `start_us` and `end_us` of Kinetics' clips.
    Raises:
        BadInput: there is no such folder.
    """
    if not folder.is_dir():
        raise BadInput("there is no such folder of videos", where=folder, mend="Name the folder of the videos")
    of_id: dict[str, list[tuple[Path, int]]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_ENDINGS:
            of_id.setdefault(path.stem, []).append((path, 0))
            if cut := _CUT.fullmatch(path.stem):
                of_id.setdefault(cut["id"], []).append((path, round(float(cut["start"]) * 1_000_000)))
    there = [name for name in wanted if name in of_id]
    step = max(len(there) // max(most, 1), 1)
    measured = set(there[::step][:most]) if measure is not None else set()
    spans = {} if clips is None else {row[0]: row[1:] for row in clips.select(VIDEO_FACTS.keys()).iter_rows()}
    rows: list[tuple[str, int | None, int | None]] = []
    for name, files in of_id.items():
        for path, start_us in files:
            span = measure(path) if measure is not None and name in measured else None
            if span is None:
                rows.append((name, None, None))
                continue
            clip = spans.get(name)
            length_us = span[1] - span[0]
            if clip is not None and not start_us and length_us <= clip[1] - clip[0] + _SLACK_US and span[1] < clip[1]:
                start_us = clip[0]
            rows.append((name, span[0] + start_us, span[1] + start_us))
    return pl.DataFrame(rows, schema=VIDEO_FACTS, orient="row")


_CUT = re.compile(r"(?P<id>.+)_(?P<start>[0-9]+(?:\.[0-9]+)?)_[0-9]+(?:\.[0-9]+)?")
_SLACK_US = 1_000_000
"""How much longer than its clip a cut may be. Source: `gesta.train.persons.placing`."""
