"""Example clips and pairs of duplicates: which to show, and their pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.report.line import Tables, rows_or_none
from gesta.report.pictures import DrawnBox, animation_uri, drawn, still_uri
from gesta.schema import US_PER_S, BadVideo, format_seconds
from gesta.video import read_frames

SHORT_SIDE_PX = 168
FRAMES_PER_S = 8
MAX_FRAMES = 24
MAX_TRACK_GAP_US = 300_000
"""A track is drawn in frames at most this far from one of its boxes. Source: ours; over the detectors' 5 a second."""

MAX_PICTURE_BYTES = 6_000_000
"""Pictures stop there, so that the page stays under 8 MB. Source: ours."""


def example_clips(tables: Tables, *, home: Path, max_clips: int) -> dict[str, Any]:
    """Cards of example clips: one class after the other, clips with accepted boxes first.

    Args:
        tables: `videos`, `clips`, `label_map`, and `kept`, `tracks`, `key_frames`, `box_labels` where there are some.
        home: the folder that the videos' paths are relative to.
        max_clips: cards to make.
    """
    chosen = _choose(tables, max_clips=max_clips)
    cards, num_bytes = [], 0
    for row in chosen:
        card = _card(row, tables, home=home)
        num_bytes += len(card.get("animation", "")) + len(card.get("still", ""))
        if num_bytes > MAX_PICTURE_BYTES:
            break
        cards.append(card)
    return {"cards": cards, "num_left_out": len(chosen) - len(cards)}


def _choose(tables: Tables, *, max_clips: int) -> list[dict[str, Any]]:
    """Rows of clips with class: the classes in turn, within a class those with labelled boxes first, then by id."""
    accepted = rows_or_none(tables, "box_labels").filter(verdict="accepted")
    num_boxes = accepted.group_by("clip_id").agg(pl.len().alias("num_labels"))
    rows = (
        rows_or_none(tables, "kept")
        .join(rows_or_none(tables, "clips").select("clip_id", "start_us", "end_us"), on="clip_id")
        .join(rows_or_none(tables, "videos").select("video_id", "path", "title"), on="video_id")
        .join(rows_or_none(tables, "label_map").select("class_id", "name"), on="class_id")
        .join(num_boxes, on="clip_id", how="left")
        .with_columns(pl.col("num_labels").fill_null(0))
        .sort(["class_id", "num_labels", "clip_id"], descending=[False, True, False])
    )
    by_class: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        by_class[row["class_id"]].append(row)
    turns = max((len(found) for found in by_class.values()), default=0)
    in_turn = [found[turn] for turn in range(turns) for found in by_class.values() if turn < len(found)]
    first_of_clip = {row["clip_id"]: row for row in reversed(in_turn)}
    return [row for row in in_turn if first_of_clip[row["clip_id"]] is row][:max_clips]


def _card(row: Mapping[str, Any], tables: Tables, *, home: Path) -> dict[str, Any]:
    key_us = _key_frame_us(row, tables)
    card: dict[str, Any] = {
        "name": row["name"],
        "video_id": row["video_id"],
        "title": row["title"] or "",
        "start_s": format_seconds(row["start_us"], decimals=1),
        "end_s": format_seconds(row["end_us"], decimals=1),
        "key_s": format_seconds(key_us, decimals=2),
        "problem": "",
    }
    times = _times(row, key_us)
    try:
        frames = read_frames(home / row["path"], [*times, key_us], short_side_px=SHORT_SIDE_PX)
    except BadVideo as error:
        return {**card, "problem": error.problem}
    words = _words_of_person(row, tables)
    tracks = rows_or_none(tables, "tracks").filter(clip_id=row["clip_id"])
    boxes = _boxes_at([*times, key_us], tracks, words)
    pictures = [drawn(frame, there) for frame, there in zip(frames, boxes, strict=True)]
    card["num_persons"] = len(boxes[-1])
    card["animation"] = animation_uri(pictures[:-1], frame_ms=1000 // FRAMES_PER_S)
    card["still"] = still_uri(pictures[-1])
    card["width"], card["height"] = pictures[0].size
    return card


def _key_frame_us(row: Mapping[str, Any], tables: Tables) -> int:
    found = rows_or_none(tables, "key_frames").filter(clip_id=row["clip_id"])["timestamp_us"]
    return int(found[0]) if len(found) else (row["start_us"] + row["end_us"]) // 2


def _times(row: Mapping[str, Any], key_us: int) -> list[int]:
    """Instants of the animation: at most `MAX_FRAMES`, around the key-frame, inside the clip."""
    step_us = US_PER_S // FRAMES_PER_S
    num = max(1, min(MAX_FRAMES, (row["end_us"] - row["start_us"]) // step_us))
    first = min(max(key_us - num * step_us // 2, row["start_us"]), max(row["end_us"] - num * step_us, row["start_us"]))
    return [first + number * step_us for number in range(num)]


def _words_of_person(row: Mapping[str, Any], tables: Tables) -> dict[int, str]:
    """The accepted actions of each person of a clip, joined by commas."""
    accepted = (
        rows_or_none(tables, "box_labels")
        .filter(clip_id=row["clip_id"], verdict="accepted")
        .join(rows_or_none(tables, "label_map").select("class_id", "name"), on="class_id")
        .sort("person_id", "class_id")
    )
    words: dict[int, list[str]] = defaultdict(list)
    for person_id, name in accepted.select("person_id", "name").iter_rows():
        if name not in words[person_id]:
            words[person_id].append(name)
    return {person_id: ", ".join(names) for person_id, names in words.items()}


def _boxes_at(times_us: Sequence[int], tracks: pl.DataFrame, words: Mapping[int, str]) -> list[list[DrawnBox]]:
    """The boxes to draw at each instant: of each track the one nearest in time, if it is near."""
    found: list[list[DrawnBox]] = [[] for _ in times_us]
    for (person_id,), track in tracks.sort("timestamp_us").group_by("person_id", maintain_order=True):
        stamps = track["timestamp_us"].to_numpy()
        corners = track.select("x1", "y1", "x2", "y2").to_numpy()
        for number, time_us in enumerate(times_us):
            nearest = int(np.abs(stamps - time_us).argmin())
            if abs(int(stamps[nearest]) - time_us) <= MAX_TRACK_GAP_US:
                x1, y1, x2, y2 = (float(corner) for corner in corners[nearest])
                said = words.get(int(str(person_id)), "")
                found[number].append(DrawnBox(x1=x1, y1=y1, x2=x2, y2=y2, words=said))
    return found


def duplicate_pairs(tables: Tables, *, home: Path, max_pairs: int) -> list[dict[str, Any]]:
    """Pairs of clips that were found alike, as stills side by side, from the surest to the least sure.

    Args:
        tables: `duplicates`, `clips`, `videos`.
        home: the folder that the videos' paths are relative to.
        max_pairs: evenly spread over the pairs in order of cosine.
    """
    order = ["cosine", "clip_id_a", "clip_id_b"]
    pairs = rows_or_none(tables, "duplicates").sort(order, descending=[True, False, False])
    if len(pairs) > max_pairs:
        pairs = pairs[[round(number * (len(pairs) - 1) / (max_pairs - 1)) for number in range(max_pairs)]]
    clips = rows_or_none(tables, "clips").join(rows_or_none(tables, "videos").select("video_id", "path"), on="video_id")
    by_id = {row["clip_id"]: row for row in clips.iter_rows(named=True)}
    shown = []
    for pair in pairs.iter_rows(named=True):
        sides = []
        for letter in ("a", "b"):
            clip_id = pair[f"clip_id_{letter}"]
            shared_us = (pair[f"start_us_{letter}"], pair[f"end_us_{letter}"])
            side = _still_of(by_id.get(clip_id), shared_us=shared_us, home=home)
            sides.append({**side, "clip_id": clip_id, "is_kept": clip_id == pair["kept_clip_id"]})
        facts = {key: pair[key] for key in ("cosine", "num_inliers", "cluster", "is_mirrored")}
        shown.append({"sides": sides, **facts})
    return shown


def _still_of(
    clip: Mapping[str, Any] | None, *, shared_us: tuple[int | None, int | None], home: Path
) -> dict[str, Any]:
    """The frame in the middle of the shared footage, or of the clip where that is not known."""
    if clip is None:
        return {"video_id": "", "problem": "its video is not in the table of videos"}
    start_us, end_us = shared_us
    if start_us is None or end_us is None:
        start_us, end_us = clip["start_us"], clip["end_us"]
    middle_us = (start_us + end_us) // 2
    try:
        frame = read_frames(home / clip["path"], [middle_us], short_side_px=120)[0]
    except BadVideo as error:
        return {"video_id": clip["video_id"], "problem": error.problem}
    picture = drawn(frame, [])
    width, height = picture.size
    return {"video_id": clip["video_id"], "problem": "", "still": still_uri(picture), "width": width, "height": height}
