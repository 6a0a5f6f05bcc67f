"""What the world knows, asked as the line asks it: answers to items, and labelled boxes at key-frames.

Times in microseconds on the player's clock; boxes as fractions of the frame. Shapes: N = people in one frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import US_PER_S, Gold, box_iou
from gesta.tables import frame_of, read_table

LEAST_ACTION_US = US_PER_S
"""A clip shows an action that one person performs in it for this long, or for half of it where it is shorter than
twice this. Source: ours: what a viewer of the clip would call an answer beyond doubt."""

LEAST_IOU = 0.5
"""A box is on the person it overlaps this much. Source: the threshold of frame mAP@0.5, AVA-Kinetics section 3."""

_SHOWN_US = 250_000
"""No rendered frame is shown longer than this."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A world's truth by video: action intervals (person, action, start, end) and boxes a frame."""

    actions: Mapping[str, list[tuple[int, str, int, int]]]
    times: Mapping[str, npt.NDArray[np.int64]]
    people: Mapping[tuple[str, int], tuple[list[int], npt.NDArray[np.float64]]]

    def performers(self, video_id: str, action: str, timestamp_us: int) -> set[int]:
        """The people who perform the action at that instant."""
        rows = self.actions.get(video_id, ())
        return {person for person, name, start, end in rows if name == action and start <= timestamp_us < end}

    def shown(self, video_id: str, timestamp_us: int) -> tuple[list[int], npt.NDArray[np.float64]]:
        """The people, and their boxes [N, 4], of the frame shown at that instant; none where nobody is seen."""
        nothing: tuple[list[int], npt.NDArray[np.float64]] = ([], np.zeros((0, 4)))
        times = self.times.get(video_id)
        if times is None:
            return nothing
        # Half a millisecond: containers round frame times.
        place = int(np.searchsorted(times, timestamp_us + 500, side="right")) - 1
        if place < 0 or timestamp_us - times[place] > _SHOWN_US:
            return nothing
        return self.people[video_id, int(times[place])]

    def shows_anyone(self, video_id: str, start_us: int, end_us: int) -> bool:
        """Whether anyone is seen in `[start_us, end_us)`."""
        times = self.times.get(video_id)
        if times is None:
            return False
        first = int(np.searchsorted(times, start_us, side="left"))
        return first < len(times) and bool(times[first] < end_us)

    def shows_action(self, video_id: str, action: str, start_us: int, end_us: int) -> bool:
        """Whether one person performs the action long enough in `[start_us, end_us)`; see `LEAST_ACTION_US`."""
        least_us = min(LEAST_ACTION_US, (end_us - start_us) / 2)
        spent: dict[int, int] = {}
        for person, name, start, end in self.actions.get(video_id, ()):
            if name == action:
                spent[person] = spent.get(person, 0) + max(0, min(end, end_us) - max(start, start_us))
        return any(time_us >= least_us for time_us in spent.values())


def read_truth(folder: Path) -> Truth:
    """The truth of the world in `folder`.

    Raises:
        MissingTable: the folder holds no rendered world.
    """
    actions: dict[str, list[tuple[int, str, int, int]]] = {}
    for video_id, person, name, start, end in read_table(folder, "truth_actions").iter_rows():
        actions.setdefault(video_id, []).append((person, name, start, end))
    people: dict[tuple[str, int], tuple[list[int], npt.NDArray[np.float64]]] = {}
    times: dict[str, list[int]] = {}
    boxes = read_table(folder, "truth_boxes").sort("video_id", "timestamp_us", "person_id")
    corners_N4 = boxes.select("x1", "y1", "x2", "y2").to_numpy()
    persons = boxes["person_id"].to_list()
    # Slices of one array: a world has tens of thousands of frames, and a frame object for each takes seconds.
    frames = boxes.with_row_index("first").group_by("video_id", "timestamp_us", maintain_order=True)
    spans = frames.agg(pl.col("first").first(), pl.len())
    for video_id, time_us, first, count in spans.iter_rows():
        people[video_id, time_us] = (persons[first : first + count], corners_N4[first : first + count])
        times.setdefault(video_id, []).append(time_us)
    return Truth(actions, {video_id: np.array(shown) for video_id, shown in times.items()}, people)


def class_names(label_map: pl.DataFrame) -> dict[int, str]:
    """The name of each class id."""
    return dict(label_map.select("class_id", "name").iter_rows())


def answers_of_items(truth: Path, *, items: pl.DataFrame, clips: pl.DataFrame, label_map: pl.DataFrame) -> pl.DataFrame:
    """The right answer to each item, a frame of kind `gold`, from the world in the folder `truth`.

    A clip item is "yes" when one person performs the class in the clip for at least a second (half the clip where
    that is shorter), "broken" when nobody is to be seen in the clip at all, else "no". A box item is about the person
    whose box overlaps its box best, with an IoU of at least 0.5, in the frame shown at its timestamp: "yes" when that
    person performs the class then, else "no".

    Args:
        items: of kind `items`; those of clips that `clips` lacks are left out.
    Raises:
        MissingTable: `truth` holds no rendered world.
    """
    known, names = read_truth(truth), class_names(label_map)
    joined = items.join(clips.select("clip_id", "video_id", "start_us", "end_us"), on="clip_id", how="inner")
    rows = joined.sort("item_id").iter_rows(named=True)
    return frame_of("gold", _answers(rows, known, names))


def _answers(rows: Iterable[dict[str, Any]], known: Truth, names: Mapping[int, str]) -> Iterable[Gold]:
    for row in rows:
        name, video_id = names.get(row["class_id"], ""), row["video_id"]
        if row["kind"] == "box":
            person = person_in_box(known, video_id, row["timestamp_us"], (row["x1"], row["y1"], row["x2"], row["y2"]))
            is_right = person is not None and person in known.performers(video_id, name, row["timestamp_us"])
        elif not known.shows_anyone(video_id, row["start_us"], row["end_us"]):
            yield Gold(item_id=row["item_id"], answer="broken")
            continue
        else:
            is_right = known.shows_action(video_id, name, row["start_us"], row["end_us"])
        yield Gold(item_id=row["item_id"], answer="yes" if is_right else "no")


def person_in_box(known: Truth, video_id: str, timestamp_us: int, box: tuple[float, float, float, float]) -> int | None:
    """The person whom the box [x1, y1, x2, y2] overlaps best at that instant; None below `LEAST_IOU`."""
    persons, boxes_N4 = known.shown(video_id, timestamp_us)
    if not persons:
        return None
    overlaps = box_iou(boxes_N4, np.array([box]))[:, 0]
    best = int(overlaps.argmax())
    return persons[best] if overlaps[best] >= LEAST_IOU else None


_TRUTH_SCHEMA: Mapping[str, pl.DataType] = {
    "video_id": pl.String(), "timestamp_us": pl.Int64(), "x1": pl.Float64(), "y1": pl.Float64(), "x2": pl.Float64(),
    "y2": pl.Float64(), "class_id": pl.Int64(),
}  # fmt: skip


def truth_at_key_frames(truth: Path, *, key_frames: pl.DataFrame, label_map: pl.DataFrame) -> pl.DataFrame:
    """Ground truth for frame mAP: a row for each person and action at each key-frame.

    Columns video_id, timestamp_us, x1 y1 x2 y2, class_id; people who do nothing have no row, and a key-frame where
    nobody acts has one row whose box and class are null, as in the AVA files. Ordered by video and time.

    Args:
        key_frames: video_id and timestamp_us are read; a key-frame that two clips share counts once.
    Raises:
        MissingTable: `truth` holds no rendered world.
    """
    known = read_truth(truth)
    ids = {name: class_id for class_id, name in class_names(label_map).items()}
    rows: list[tuple[Any, ...]] = []
    for video_id, time_us in key_frames.select("video_id", "timestamp_us").unique().sort(pl.all()).iter_rows():
        persons, boxes_N4 = known.shown(video_id, time_us)
        here = []
        for person, box in zip(persons, boxes_N4.tolist(), strict=True):
            acts = {
                act
                for who, act, start, end in known.actions.get(video_id, ())
                if who == person and start <= time_us < end
            }
            here += [(video_id, time_us, *box, ids[act]) for act in sorted(acts) if act in ids]
        rows += here or [(video_id, time_us, None, None, None, None, None)]
    return pl.DataFrame(rows, schema=dict(_TRUTH_SCHEMA), orient="row")
