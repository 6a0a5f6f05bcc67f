"""What is written as CVAT XML is read back, with hostile ids and labels; and no bytes end in anything but an error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
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
from gesta.formats.cvat import read_cvat, write_cvat
from gesta.schema import GestaError

TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r,-_'\" \ufeff<>&;"),
    min_size=1, max_size=8,
)  # fmt: skip
IDS = st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z") | TEXTS
RATES = st.sampled_from([(25, 1), (30000, 1001), (30, 1), (2997, 100), (12, 1)])


@st.composite
def files(draw: st.DrawFn) -> Annotations:
    names = draw(st.lists(TEXTS, max_size=4, unique=True))
    class_ids = sorted(draw(st.sets(st.integers(0, 10**6), min_size=len(names), max_size=len(names))))
    videos, boxes, clips = [], [], []
    for video_id in draw(st.lists(IDS, max_size=2, unique=True)):
        num, den = draw(RATES)
        width, height, num_frames = draw(st.tuples(st.integers(1, 4000), st.integers(1, 4000), st.integers(50, 60)))
        others = draw(st.tuples(*(st.none() | TEXTS for _ in range(3))))
        videos.append((video_id, others[0], others[1], width, height, num, den, num_frames, None, others[2]))
        px = st.integers(-(10**8), 5 * 10**9).map(lambda units: units / 1_000_000)
        for person in sorted(draw(st.sets(st.integers(0, 9), max_size=3))):
            for frame in sorted(draw(st.sets(st.integers(0, num_frames - 1), max_size=5))):
                x1, x2 = (draw(px) / width for _ in range(2))
                y1, y2 = (draw(px) / height for _ in range(2))
                done = sorted(draw(st.sets(st.sampled_from(class_ids)))) if class_ids else []
                boxes += [(video_id, frame, num, den, x1, y1, x2, y2, c, person, False) for c in done or [None]]
        for class_id in class_ids if "person" not in names else []:
            if draw(st.booleans()):
                first = draw(st.integers(0, 20))
                clips.append((video_id, class_id, num, den, first, draw(st.integers(first + 1, 49))))
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    box_names = ["video_id", "frame", "fps_num", "fps_den", "x1", "y1", "x2", "y2", "class_id", "person_id"]
    box_frame = pl.DataFrame(
        boxes, schema={n: BOX_COLUMNS.get(n, pl.Int64()) for n in [*box_names, "is_interpolated"]}, orient="row"
    )
    clip_names = ["video_id", "class_id", "fps_num", "fps_den", "first", "stop"]
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
        found.videos.sort("video_id"),
        found.boxes.sort("video_id", "person_id", "timestamp_us", "class_id"),
        found.clips.sort("video_id", "start_us", "class_id"),
        found.label_map,
    )


@settings(max_examples=40)
@given(found=files(), crlf=st.booleans())
def test_what_is_written_is_read_back(*, found: Annotations, crlf: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.xml") if found.videos.height == 1 else Path(folder, "out")
        write_cvat(path, found)
        for file in path.glob("*.xml") if crlf and path.is_dir() else [path] if crlf else []:
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
        back = read_cvat(path, context=Context(label_map=found.label_map))
    for ours, theirs in zip(in_order(back), in_order(found), strict=True):
        assert ours.equals(theirs), (ours, theirs)


@settings(max_examples=60)
@given(data=st.data())
def test_lines_between_key_frames_are_not_moved(data: st.DataObject) -> None:
    """Interpolated boxes stay interpolated and in place, wherever the key frames are."""
    frames = sorted(data.draw(st.sets(st.integers(0, 40), min_size=2, max_size=6)))
    corners = np.array(
        data.draw(st.lists(st.tuples(*[st.integers(0, 64000)] * 4), min_size=len(frames), max_size=len(frames)))
    )
    filled = np.stack(
        [np.interp(range(frames[0], frames[-1] + 1), frames, corners[:, i] / 100) for i in range(4)], axis=1
    )
    filled = filled.round(6) / 640
    times = [frame * 40_000 for frame in range(frames[0], frames[-1] + 1)]
    boxes = pl.DataFrame(filled, schema=["x1", "y1", "x2", "y2"]).with_columns(
        video_id=pl.lit("v"), timestamp_us=pl.Series(times), person_id=pl.lit(1),
        is_interpolated=pl.Series([time // 40_000 not in frames for time in times]),
    )  # fmt: skip
    facts = {"video_id": ["v"], "fps_num": [25], "fps_den": [1], "width_px": [640], "height_px": [640]}
    videos = shaped(pl.DataFrame(facts), VIDEO_COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.xml")
        write_cvat(path, Annotations(videos=videos, boxes=shaped(boxes, BOX_COLUMNS)))
        assert read_cvat(path).boxes.equals(shaped(boxes, BOX_COLUMNS))
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if 'keyframe="0"' not in line))
        again = read_cvat(path).boxes
        assert again["is_interpolated"].equals(boxes["is_interpolated"])
        assert np.allclose(again.select("x1", "y1", "x2", "y2").to_numpy(), filled, atol=1e-7)


PIECES = st.sampled_from([
    "<annotations>", "</annotations>", "<meta>", "</meta>", "<task>", "</task>", "<size>", "9", "</size>", "<id>",
    "</id>",
    "<original_size><width>9</width><height>9</height></original_size>", "<frame_rate>9/1</frame_rate>", "<job>",
    '<track id="1" label="a">', "</track>", '<box frame="1" xtl="1" ytl="1" xbr="2" ybr="2" keyframe="1" outside="0">',
    "</box>", '<image id="1" name="a">', "</image>", '<tag label="a">', "</tag>", '<attribute name="a">', "true",
    "</attribute>", "<label>", "<name>", "</name>", "</label>", "\n", "&#0;", "<!--", "-->",
    "<![CDATA[", "\x00", "\ud7ff",
])  # fmt: skip


@settings(max_examples=200)
@given(
    text=st.lists(PIECES, max_size=30).map("".join)
    | st.lists(PIECES, max_size=20).map(lambda p: f"<annotations>{''.join(p)}</annotations>")
)
@example(text="<annotations></annotations>")
def test_any_text_gives_rows_or_an_error_with_its_name(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.xml")
        path.write_text(text)
        try:
            read_cvat(path)
        except GestaError as error:
            assert "any.xml" in str(error)  # noqa: PT017 (an error is one of the two good ends)


@pytest.mark.slow
def test_a_hundred_thousand_boxes(tmp_path: Path) -> None:
    num = 100_000
    boxes = pl.DataFrame({
        "video_id": ["v"] * num, "timestamp_us": [i // 10 * 40_000 for i in range(num)], "x1": [0.25] * num,
        "y1": [0.25] * num, "x2": [0.5] * num, "y2": [0.5] * num, "class_id": [i % 2 for i in range(num)],
        "person_id": [i % 10 for i in range(num)], "is_interpolated": [False] * num,
    })  # fmt: skip
    facts = {"video_id": ["v"], "fps_num": [25], "fps_den": [1], "width_px": [640], "height_px": [480]}
    label_map = shaped(pl.DataFrame({"class_id": [0, 1], "name": ["a", "b"]}), LABEL_MAP_COLUMNS)
    given = Annotations(
        videos=shaped(pl.DataFrame(facts), VIDEO_COLUMNS), boxes=shaped(boxes, BOX_COLUMNS), label_map=label_map
    )
    write_cvat(tmp_path / "v.xml", given)
    back = read_cvat(tmp_path / "v.xml", context=Context(label_map=label_map))
    assert in_order(back)[1].equals(in_order(given)[1])
