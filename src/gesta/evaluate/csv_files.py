"""Frame mAP straight from csv files, in memory that the detections' number does not set.

The ground truth is read whole; detections pass through the heaps in batches, so that of a key-frame no more is held
than its protocol scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import polars as pl

from gesta.evaluate.claims import InvertedBoxError
from gesta.evaluate.frame_map import (
    KEY,
    FrameMap,
    boxes_of,
    check_rows,
    frame_maps,
    inverted_box,
    key_frames_of,
    match,
    refuse_fractions,
    scored,
    sorted_class_ids,
)
from gesta.evaluate.heaps import Boxes, Codes, Floats, Ints, empty_heaps, pushed
from gesta.evaluate.protocols import PROTOCOLS, Rules
from gesta.formats import read_ava_csv, scan_ava_blocks
from gesta.formats.ava_scan import AvaBlock
from gesta.schema import UnknownName

BATCH_ROWS = 1 << 22
"""Detections that are pushed at a time. Source: ours; 200 MB of arrays at most, and AVA's validation set in one go."""

LEAST_RUN = 8
"""Rows that a key-frame has in a row, on average, from which key-frames are looked up one by one. Source: ours."""

LARGEST_TABLE = 1 << 16
"""Class ids below this are looked up in a table. Source: ours; no label map in use has as many."""


def evaluate_csv(
    groundtruth: Path,
    detections: Path,
    *,
    class_ids: Sequence[int],
    protocol: str = "official",
    excluded: pl.DataFrame | None = None,
    ious: Sequence[float] = (0.5,),
) -> list[FrameMap]:
    """Frame mAP at each threshold, as `frame_maps` gives it for the rows of two csv files.

    Args:
        groundtruth: csv of 2, 7 or 8 columns; like the official program, column 8 is read as a score.
        detections: csv of 2, 7 or 8 columns; without a score a row has 1.0.
        class_ids: the classes that count.
        protocol: a name in `gesta.evaluate.PROTOCOLS`.
        excluded: columns video_id, timestamp_us: key-frames that do not count.
        ious: overlaps that a right detection has at least.
    Raises:
        UnknownName: there is no such protocol.
        BadInput: a file cannot be read or scored; see `frame_maps`.
    """
    if protocol not in PROTOCOLS:
        raise UnknownName(what="protocol", name=protocol, choices=PROTOCOLS)
    rules = PROTOCOLS[protocol]
    if rules.counted == "any":
        # Which key-frames there are is known only once all detections were read.
        truth, found = (read_ava_csv(path, column_8="score") for path in (groundtruth, detections))
        return frame_maps(truth, found, class_ids=class_ids, ious=ious, protocol=protocol, excluded=excluded)
    truth = read_ava_csv(groundtruth, column_8="score")
    classes = sorted_class_ids(class_ids)
    check_rows(truth, ["class_id"], ious=ious, what="ground truth", rules=rules)
    key_frames = key_frames_of(truth, truth.head(0), classes, rules=rules, excluded=excluded)
    labelled = boxes_of(truth, key_frames, classes, what="ground truth")
    heaps = empty_heaps(len(key_frames), room=rules.cap)
    for boxes in _batches(detections, key_frames, classes, rules=rules):
        heaps = pushed(heaps, boxes, cap=rules.cap, order=rules.order)
    try:
        matched = match(labelled, heaps, len(classes), rules=rules, ious=ious)
    except InvertedBoxError as error:
        rows = truth if error.is_labelled else read_ava_csv(detections, column_8="score")
        raise inverted_box(error, rows) from error
    return scored(matched, classes.tolist(), rules, ious, "stable")


def _batches(path: Path, key_frames: pl.DataFrame, classes: Ints, *, rules: Rules) -> Iterator[Boxes]:
    """The rows of the csv in order, at most about `BATCH_ROWS` at a time; the arrays are filled anew for each."""
    room = _Room.of(0)
    is_small = classes[0] >= 0 and classes[-1] < LARGEST_TABLE
    table = _class_table(classes) if is_small else np.empty(0, np.int32)
    frame_of = {(video_id, time_us): frame for video_id, time_us, frame in key_frames.iter_rows()}
    num = 0
    for block in scan_ava_blocks(path, column_8="score"):
        if not rules.has_fractions:
            refuse_fractions(pl.Series("timestamp_us", block.time_us_N), what="detections", rules=rules)
        size = len(block.line_N)
        if num + size > len(room.frame_N):
            if num:
                yield room.head(num)
            num = 0
            if size > len(room.frame_N):
                room = _Room.of(max(BATCH_ROWS, size))
        part = slice(num, num + size)
        room.frame_N[part] = _frames(block, key_frames, frame_of)
        room.class_N[part] = np.where(block.num_cells_N > 2, _class_indices(block.class_id_N, classes, table), -1)
        room.corners_N4[part] = block.corners_N4
        room.score_N[part] = np.where(np.isnan(block.score_N), 1.0, block.score_N)
        num += size
    yield room.head(num)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Room:
    """Arrays to fill; see `Boxes`."""

    frame_N: Codes
    class_N: Codes
    corners_N4: Floats
    score_N: Floats

    @classmethod
    def of(cls, size: int) -> _Room:
        return cls(
            frame_N=np.empty(size, np.int32), class_N=np.empty(size, np.int32), corners_N4=np.empty((size, 4)),
            score_N=np.empty(size),
        )  # fmt: skip

    def head(self, num: int) -> Boxes:
        return Boxes(
            frame_N=self.frame_N[:num], class_N=self.class_N[:num], corners_N4=self.corners_N4[:num],
            score_N=self.score_N[:num],
        )  # fmt: skip


def _frames(block: AvaBlock, key_frames: pl.DataFrame, frame_of: Mapping[tuple[str, int], int]) -> Codes:
    """Key-frame number of each row, -1 where it does not count; rows of one key-frame mostly follow each other."""
    runs = _run_starts(block.video_N, block.time_us_N)
    if len(runs) * LEAST_RUN <= len(block.line_N):
        ids = [block.video_ids[code] for code in block.video_N[runs].tolist()]
        keys = zip(ids, block.time_us_N[runs].tolist(), strict=True)
        found = np.array([frame_of.get(key, -1) for key in keys], dtype=np.int32)
    else:
        videos = pl.Series("video_id", block.video_ids, dtype=pl.String).gather(block.video_N[runs])
        rows = pl.DataFrame([videos, pl.Series("timestamp_us", block.time_us_N[runs])])
        found = rows.join(key_frames, on=KEY, how="left", maintain_order="left")["frame"].fill_null(-1).to_numpy()
    return np.repeat(found, np.diff(np.append(runs, len(block.line_N))))


@numba.njit(cache=True, nogil=True)
def _run_starts(video_N: Codes, time_us_N: Ints) -> Ints:
    """Where the key-frame is another than the row before has, [<= N]."""
    starts = np.empty(len(video_N), np.int64)
    num = 0
    for i in range(len(video_N)):
        if i == 0 or video_N[i] != video_N[i - 1] or time_us_N[i] != time_us_N[i - 1]:
            starts[num] = i
            num += 1
    return starts[:num]


def _class_table(classes: Ints) -> Codes:
    """Index of each class id from 0 to the largest, -1 where it does not count; one entry more than there are ids."""
    table = np.full(max(int(classes[-1]), 0) + 2, -1, np.int32)
    table[classes[classes >= 0]] = np.flatnonzero(classes >= 0)
    return table


def _class_indices(class_id_N: Ints, classes: Ints, table: Codes) -> Codes:
    """Index of each class among `classes`, which rise; -1 where it is none of them. An empty `table` is not used."""
    if len(table):
        return table[np.where((class_id_N >= 0) & (class_id_N < len(table)), class_id_N, len(table) - 1)]
    place_N = np.searchsorted(classes, class_id_N)
    place_N[place_N == len(classes)] = 0
    return np.where(classes[place_N] == class_id_N, place_N, -1).astype(np.int32)
