"""What is written as Label Studio tasks is read back, with hostile ids and labels; any JSON gives rows or an error."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    frame_times_us,
    shaped,
)
from gesta.formats.label_studio import read_label_studio, write_label_studio
from gesta.schema import GestaError

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\t\n\r,-_'\" \ufeff<>&;"), min_size=1, max_size=8
)
IDS = st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z") | TEXTS
RATES = st.sampled_from([(25, 1), (30000, 1001), (30, 1), (2997, 100), (50, 2)])
FRACTIONS = st.integers(-(10**12), 2 * 10**12).map(lambda units: units / 10**12)
SCORES = st.none() | st.floats(0, 1)
NAMES = TEXTS.filter(lambda name: name.lower() != "person")


@st.composite
def files(draw: st.DrawFn) -> Annotations:
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    class_ids = sorted(draw(st.sets(st.integers(0, 10**6), min_size=len(names), max_size=len(names))))
    classes = st.sampled_from(class_ids or [0])
    videos, boxes, clips = [], [], []
    for video_id in draw(st.lists(IDS, max_size=2, unique=True)):
        num, den = draw(RATES)
        facts = draw(st.tuples(*(st.none() | st.integers(1, 4000) for _ in range(3))))
        texts = draw(st.tuples(*(st.none() | TEXTS for _ in range(3))))
        videos.append((video_id, texts[0], texts[1], facts[0], facts[1], num, den, draw(st.integers(50, 60)), facts[2],
                       texts[2]))  # fmt: skip
        for person in draw(st.sets(st.none() | st.integers(-1, 9), max_size=3)):
            for frame in draw(st.sets(st.integers(0, 49), max_size=5)):
                corners = draw(st.tuples(*[FRACTIONS] * 4))
                done = draw(st.sets(classes, max_size=3)) if class_ids else None
                score, between = draw(SCORES), draw(st.booleans())
                boxes += [(video_id, frame, num, den, *corners, c, person, score, between) for c in done or [None]]
        for class_id in class_ids:
            first, is_whole = draw(st.integers(0, 20)), draw(st.booleans())
            stop = draw(st.integers(first + 1, 49))
            span = (None, None) if is_whole else (first, stop)
            clips.append((video_id, class_id, num, den, *span, draw(SCORES)))
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    box_names = ["video_id", "frame", "fps_num", "fps_den", "x1", "y1", "x2", "y2", "class_id", "person_id", "score"]
    box_frame = pl.DataFrame(
        boxes, schema={n: BOX_COLUMNS.get(n, pl.Int64()) for n in [*box_names, "is_interpolated"]}, orient="row"
    )
    clip_names = ["video_id", "class_id", "fps_num", "fps_den", "first", "stop", "score"]
    clip_frame = pl.DataFrame(clips, schema={n: CLIP_COLUMNS.get(n, pl.Int64()) for n in clip_names}, orient="row")
    times = {name: frame_times_us(pl.col(frame), **rate) for name, frame in (("start_us", "first"), ("end_us", "stop"))}
    return Annotations(
        videos=pl.DataFrame(videos, schema=VIDEO_COLUMNS, orient="row"),
        boxes=shaped(box_frame.with_columns(timestamp_us=frame_times_us(pl.col("frame"), **rate)), BOX_COLUMNS),
        clips=shaped(clip_frame.with_columns(**times), CLIP_COLUMNS),
        label_map=shaped(pl.DataFrame({"class_id": class_ids, "name": names}), LABEL_MAP_COLUMNS),
    )


def in_order(found: Annotations) -> tuple[pl.DataFrame, ...]:
    return (
        found.videos,
        found.boxes.sort("video_id", "person_id", "timestamp_us", "class_id", "x1", "y1", "x2", "y2"),
        found.clips.sort("video_id", "start_us", "class_id"),
        found.label_map,
    )


@settings(max_examples=60)
@given(found=files(), crlf=st.booleans())
def test_what_is_written_is_read_back(*, found: Annotations, crlf: bool) -> None:
    # A straight line through an interpolated box would be drawn by the reader; the law of lines has its own test.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tasks.json")
        write_label_studio(path, found)
        if crlf:
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        back = read_label_studio(path, context=Context(label_map=found.label_map), take="all")
    for ours, theirs in zip(in_order(back), in_order(found), strict=True):
        assert ours.equals(theirs), (ours, theirs)


@settings(max_examples=60)
@given(data=st.data())
def test_lines_between_entries_are_not_moved(data: st.DataObject) -> None:
    frames = sorted(data.draw(st.sets(st.integers(0, 40), min_size=2, max_size=6)))
    size = len(frames)
    corners = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 1000)] * 4), min_size=size, max_size=size)))
    every = range(frames[0], frames[-1] + 1)
    filled = np.stack([np.interp(every, frames, corners[:, i] / 1000) for i in range(4)], axis=1)
    boxes = pl.DataFrame(filled, schema=["x1", "y1", "x2", "y2"]).with_columns(
        video_id=pl.lit("v"), timestamp_us=pl.Series([frame * 40_000 for frame in every]), person_id=pl.lit(1),
        is_interpolated=pl.Series([frame not in frames for frame in every]),
    )  # fmt: skip
    videos = shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [25], "fps_den": [1]}), VIDEO_COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.json")
        write_label_studio(path, Annotations(videos=videos, boxes=shaped(boxes, BOX_COLUMNS)))
        back = read_label_studio(path).boxes
        sequence = json.loads(path.read_text())[0]["annotations"][0]["result"][0]["value"]["sequence"]
    assert [entry["frame"] - 1 for entry in sequence] == frames
    assert back["is_interpolated"].equals(boxes["is_interpolated"])
    assert np.allclose(back.select("x1", "y1", "x2", "y2").to_numpy(), filled, atol=1e-11)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "choices", "", "person:1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "data", "video", "video_id", "annotations", "predictions", "result", "value", "sequence", "frame", "x", "y",
        "width", "height", "enabled", "time", "labels", "ranges", "start", "end", "choices", "type", "id", "score",
        "fps_num", "fps", "framesCount", "duration", "rotation", "timelinelabels", "completed_by",
    ]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip
ENTRY = st.fixed_dictionaries({name: VALUES | st.integers(1, 5) for name in ("frame", "x", "y", "width", "height")})
RESULT = st.fixed_dictionaries({
    "type": VALUES, "id": VALUES,
    "value": VALUES | st.fixed_dictionaries({"sequence": st.lists(ENTRY | VALUES, max_size=3), "labels": VALUES}),
})  # fmt: skip
TASKS = st.fixed_dictionaries({
    "data": st.just({"video": "v.mp4", "fps": 25}) | VALUES,
    "annotations": VALUES
    | st.lists(st.fixed_dictionaries({"result": st.lists(RESULT, max_size=2) | VALUES}), max_size=2),
})  # fmt: skip


@settings(max_examples=200)
@given(value=VALUES | st.lists(TASKS, max_size=2))
def test_any_json_gives_rows_or_an_error_with_its_name(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.json")
        path.write_text(json.dumps(value))
        try:
            read_label_studio(path)
        except GestaError as error:
            assert "any.json" in str(error)  # noqa: PT017 (an error is one of the two good ends)


@pytest.mark.slow
def test_a_hundred_thousand_boxes(tmp_path: Path) -> None:
    num = 100_000
    boxes = pl.DataFrame({
        "video_id": ["v"] * num, "timestamp_us": [i // 10 * 40_000 for i in range(num)], "x1": [0.25] * num,
        "y1": [0.25] * num, "x2": [0.5] * num, "y2": [0.5] * num, "class_id": [i % 2 for i in range(num)],
        "person_id": [i % 10 for i in range(num)], "is_interpolated": [False] * num,
    })  # fmt: skip
    videos = shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [25], "fps_den": [1]}), VIDEO_COLUMNS)
    label_map = shaped(pl.DataFrame({"class_id": [0, 1], "name": ["a", "b"]}), LABEL_MAP_COLUMNS)
    given = Annotations(videos=videos, boxes=shaped(boxes, BOX_COLUMNS), label_map=label_map)
    write_label_studio(tmp_path / "v.json", given)
    back = read_label_studio(tmp_path / "v.json", context=Context(label_map=label_map))
    assert in_order(back)[1].equals(in_order(given)[1])
