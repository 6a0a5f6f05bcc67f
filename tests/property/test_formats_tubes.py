"""Round trips of proposals, action tubes and COCO-VID: what is written is read back, with hostile ids and names."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.action_tubes import read_action_tubes, write_action_tubes
from gesta.formats.annotations import (
    BOX_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    empty,
    frame_times_us,
    shaped,
)
from gesta.formats.coco_vid import read_coco_vid, write_coco_vid
from gesta.formats.pickle_writer import write_pickle
from gesta.formats.proposals import read_proposals, write_proposals
from gesta.formats.safe_pickle import loads
from gesta.schema import BadInput

ANY_TEXT = st.text(
    st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]) | st.sampled_from('",-_\' \ufeff#{}\\'),
    min_size=1, max_size=12,
)  # fmt: skip
IDS = st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z") | ANY_TEXT
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def written_and_read(ending: str, write, read):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{ending}")
        write(path)
        return read(path)


def assert_same(read: Annotations, wanted: Annotations) -> None:
    for part in ("videos", "clips", "boxes", "label_map"):
        left, right = getattr(read, part), getattr(wanted, part)
        assert left.equals(right), (part, left, right)
        assert left.schema == right.schema


@settings(max_examples=60)
@given(value=VALUES)
def test_plain_values_survive_a_pickle(value: object) -> None:
    back = written_and_read(".pkl", lambda path: write_pickle(path, value), lambda path: loads(path.read_bytes()))
    assert back == value


@settings(max_examples=300)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_value_or_one_error(data: bytes) -> None:
    with contextlib.suppress(BadInput):
        loads(b"\x80\x04" + data)


KEY_FRAMES = st.tuples(IDS, st.integers(0, 10**11), st.booleans(), st.lists(st.tuples(*[FLOATS] * 5), max_size=3))


def proposals_of(frames: list[tuple[str, int, bool, list[tuple[float, ...]]]]) -> Annotations:
    rows = []
    for video_id, time_us, has_score, boxes in frames:
        for *corners, score in boxes or [(None,) * 5]:
            rows.append((video_id, time_us, *corners, None, None, score if has_score and boxes else None, None))
    found = pl.DataFrame(rows, schema=BOX_COLUMNS, orient="row")
    return Annotations(boxes=found, videos=shaped(found.select("video_id").unique(maintain_order=True), VIDEO_COLUMNS))


@pytest.mark.parametrize("ending", [".pkl", ".csv"])
@settings(max_examples=60)
@given(frames=st.lists(KEY_FRAMES, max_size=6, unique_by=lambda frame: frame[:2]))
def test_proposals_survive(ending: str, frames: list[tuple[str, int, bool, list[tuple[float, ...]]]]) -> None:
    wanted = proposals_of(frames)
    assert_same(written_and_read(ending, lambda path: write_proposals(path, wanted), read_proposals), wanted)


SIZES = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
RATES = st.sampled_from([(25, 1), (30, 1), (30_000, 1001), (24_000, 1001), (15, 2)])
PIXELS = st.integers(0, 4000) | st.floats(0, 4000, width=32)
TUBES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 50), st.lists(st.tuples(*[PIXELS] * 4), min_size=1, max_size=3)),
    max_size=4,
)


@st.composite
def films(draw, tubes):  # type: ignore[no-untyped-def]
    """Videos with sizes and rates, each with what `tubes` draws."""
    found = []
    for video_id in draw(st.lists(IDS, max_size=3, unique=True)):
        (width, height), (num, den) = draw(SIZES), draw(RATES)
        split, frames = draw(st.sampled_from(["train", "test", None])), draw(st.integers(0, 1000))
        video = {"video_id": video_id, "split": split, "width_px": width, "height_px": height, "num_frames": frames}
        found.append((video | {"fps_num": num, "fps_den": den}, draw(tubes)))
    return found


def table(videos: list[dict[str, object]]) -> pl.DataFrame:
    return shaped(pl.DataFrame(videos, infer_schema_length=None), VIDEO_COLUMNS) if videos else empty(VIDEO_COLUMNS)


def boxes_at(rows: list[dict[str, object]], videos: pl.DataFrame) -> pl.DataFrame:
    """Box rows with times and fractions for `frame` from 0 and pixels."""
    if not rows:
        return empty(BOX_COLUMNS)
    frame = pl.DataFrame(rows, infer_schema_length=None)
    known = frame.join(videos, on="video_id", how="left", maintain_order="left").with_columns(
        frame_times_us(pl.col("frame"), fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den")).alias("timestamp_us"),
    )
    for name in ("x1", "y1", "x2", "y2"):
        sides = known["width_px" if name[0] == "x" else "height_px"].to_list()
        pixels = known[name].to_list()
        shares = [None if px is None else float(px) / side for px, side in zip(pixels, sides, strict=True)]
        known = known.with_columns(pl.Series(name, shares, dtype=pl.Float64))
    return shaped(known, BOX_COLUMNS)


@settings(max_examples=80)
@given(films=films(TUBES), names=st.lists(ANY_TEXT, min_size=4, max_size=6))
def test_tubes_survive(films: list[tuple[dict[str, object], list[object]]], names: list[str]) -> None:
    videos = table([video for video, _ in films])
    rows = []
    for video, tubes in films:
        by_label: dict[int, list[object]] = {}
        for label, first, boxes in tubes:  # type: ignore[misc]
            by_label.setdefault(label, []).append((first, boxes))
        number = 0
        for label, some in by_label.items():
            for first, boxes in some:  # type: ignore[misc]
                for i, box in enumerate(boxes):
                    corners = dict(zip(("x1", "y1", "x2", "y2"), map(float, box), strict=True))
                    rows.append({"video_id": video["video_id"], "frame": first + i, "class_id": label} | corners)
                    rows[-1]["person_id"] = number
                number += 1
    label_map = shaped(pl.DataFrame({"class_id": range(len(names)), "name": names}), LABEL_MAP_COLUMNS)
    wanted = Annotations(videos=videos, boxes=boxes_at(rows, videos), label_map=label_map)
    context = Context(videos=videos.drop("split", "num_frames"))
    assert_same(
        written_and_read(
            ".pkl", lambda path: write_action_tubes(path, wanted), lambda path: read_action_tubes(path, context=context)
        ),
        wanted,
    )


GRID = st.integers(-1000, 10**9).map(lambda units: units / 10**6) | st.integers(0, 4000).map(float)
FRAMES = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.lists(
            st.tuples(
                st.tuples(*[GRID] * 4), st.integers(0, 2), st.none() | st.integers(-1, 10**6),
                st.none() | st.floats(0, 1),
            ),
            max_size=3,
        ),
    ),
    max_size=4, unique_by=lambda frame: frame[0],
)  # fmt: skip
CLASSES = st.lists(
    st.tuples(st.integers(-5, 10**6), ANY_TEXT, st.none() | ANY_TEXT),
    min_size=3,
    max_size=5,
    unique_by=lambda row: row[0],
)


@settings(max_examples=80)
@given(films=films(FRAMES), classes=CLASSES)
def test_coco_vid_survives(
    films: list[tuple[dict[str, object], list[object]]], classes: list[tuple[object, ...]]
) -> None:
    label_map = pl.DataFrame(classes, schema=LABEL_MAP_COLUMNS, orient="row")
    rows: list[dict[str, object]] = []
    for video, frames in films:
        for frame, boxes in frames:  # type: ignore[misc]
            at = {"video_id": video["video_id"], "frame": frame}
            for box, number, person, score in boxes or [((None,) * 4, None, None, None)]:
                corners = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
                class_id = None if number is None else classes[number][0]
                rows.append(at | corners | {"class_id": class_id, "person_id": person, "score": score})
    videos = table([video for video, _ in films]).with_columns(split=pl.lit(None, dtype=pl.String))
    wanted = Annotations(videos=videos, boxes=boxes_at(rows, videos), label_map=label_map)
    assert_same(written_and_read(".json", lambda path: write_coco_vid(path, wanted), read_coco_vid), wanted)


def many_boxes(num_rows: int) -> Annotations:
    """Boxes of 500 videos, 4 tubes each, two classes; on whole pixels."""
    rng = np.random.default_rng(3)
    row, pixels = np.arange(num_rows), rng.integers(0, 240, (num_rows, 4))
    per_video = -(-num_rows // 500)
    names = np.array([f"-v{i}" for i in range(500)])
    place = row % per_video
    frame, number = place % -(-per_video // 4), place // -(-per_video // 4)
    corners = {name: pixels[:, i] / (320 if i % 2 == 0 else 240) for i, name in enumerate(("x1", "y1", "x2", "y2"))}
    boxes = {"video_id": names[row // per_video], "timestamp_us": frame * 40_000, "class_id": number // 2}
    videos = {
        "video_id": names,
        "width_px": 320,
        "height_px": 240,
        "fps_num": 25,
        "fps_den": 1,
        "num_frames": per_video,
    }
    label_map = shaped(pl.DataFrame({"class_id": [0, 1], "name": ["a", "b"]}), LABEL_MAP_COLUMNS)
    return Annotations(
        boxes=shaped(pl.DataFrame(boxes | {"person_id": number} | corners), BOX_COLUMNS),
        videos=shaped(pl.DataFrame(videos), VIDEO_COLUMNS), label_map=label_map,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".pkl", ".csv"])
def test_a_million_proposals(ending: str) -> None:
    many = many_boxes(1_000_000)
    persons = many.boxes.with_columns(
        class_id=pl.lit(None, dtype=pl.Int64), person_id=pl.lit(None, dtype=pl.Int64), score=pl.col("x1") / 2
    ).sort("video_id", "timestamp_us", maintain_order=True)  # fmt: skip
    named = persons.select("video_id").unique(maintain_order=True)
    wanted = Annotations(boxes=persons, videos=shaped(named, VIDEO_COLUMNS))
    assert_same(written_and_read(ending, lambda path: write_proposals(path, wanted), read_proposals), wanted)


@pytest.mark.slow
def test_a_million_boxes_of_tubes() -> None:
    wanted = many_boxes(1_000_000)
    context = Context(videos=wanted.videos)
    read = written_and_read(
        ".pkl", lambda path: write_action_tubes(path, wanted), lambda path: read_action_tubes(path, context=context)
    )
    assert_same(read, wanted)


@pytest.mark.slow
def test_a_hundred_thousand_boxes_of_coco_vid() -> None:
    many = many_boxes(100_000)
    frames = many.boxes.sort("video_id", "timestamp_us", maintain_order=True)
    wanted = Annotations(boxes=frames, videos=many.videos, label_map=many.label_map)
    assert_same(written_and_read(".json", lambda path: write_coco_vid(path, wanted), read_coco_vid), wanted)
