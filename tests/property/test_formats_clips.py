"""Round trips of the clip-label formats: what they can hold comes back as it was, with hostile ids and names."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.activitynet import (
    read_activitynet,
    read_activitynet_predictions,
    write_activitynet,
    write_activitynet_predictions,
)
from gesta.formats.annotations import (
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    numbered_labels,
)
from gesta.formats.fiftyone_temporal import read_fiftyone_temporal, write_fiftyone_temporal
from gesta.formats.hmdb51 import read_hmdb51, write_hmdb51
from gesta.formats.kinetics_json import read_kinetics_json, write_kinetics_json
from gesta.formats.path_labels import read_path_labels, write_path_labels
from gesta.formats.ucf101 import read_ucf101, write_ucf101
from gesta.formats.video_folder import read_video_folder, write_video_folder

TEXT = st.text(min_size=1, max_size=10) | st.text(st.sampled_from("-_'\",\\ \ufeff\u2028éA"), min_size=1, max_size=6)
IDS = st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z") | TEXT
TIMES_US = st.integers(0, 10**11) | st.integers(0, 10**4).map(lambda seconds: seconds * 1_000_000)
TIME_PAIRS = st.tuples(TIMES_US, TIMES_US) | st.just((None, None))
SPLITS = st.none() | st.sampled_from(["train", "val", "validate", "test", "training", "Tèst"])
SCORES = st.floats(allow_nan=False, allow_infinity=False)
SIZES = st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999))


def frame_of(rows: list[dict[str, Any]], columns: dict[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame({name: [row.get(name) for row in rows] for name in columns}, schema=columns)


def annotations_of(
    videos: list[dict[str, Any]], clips: list[dict[str, Any]], label_map: pl.DataFrame | None = None
) -> Annotations:
    """Clips carry a `label`; ids number the names, unless a label map says otherwise."""
    names = pl.Series("name", [clip["label"] for clip in clips], dtype=pl.String)
    known = numbered_labels(names) if label_map is None else label_map
    id_of = dict(known.select("name", "class_id").iter_rows())
    for clip in clips:
        clip["class_id"] = id_of.get(clip["label"])
    return Annotations(
        videos=frame_of(videos, VIDEO_COLUMNS), clips=frame_of(clips, CLIP_COLUMNS), label_map=known
    )  # fmt: skip


def assert_same(back: Annotations, given: Annotations) -> None:
    for name in ("videos", "clips", "boxes", "label_map"):
        found, wanted = getattr(back, name), getattr(given, name)
        assert found.schema == wanted.schema
        assert found.equals(wanted), f"{name}: {found.rows()} != {wanted.rows()}"


def round_trip(
    write: Callable[[Path], None], read: Callable[[Path], Annotations], *, name: str, crlf: bool = False
) -> Annotations:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        if crlf:
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        return read(path)


@st.composite
def kinetics_json_like(draw: st.DrawFn) -> Annotations:
    videos, clips = [], []
    for video_id in draw(st.lists(IDS, max_size=6, unique=True)):
        video = {"video_id": video_id, "split": draw(SPLITS), "url": draw(st.none() | TEXT)}
        video["duration_us"] = draw(st.none() | TIMES_US)
        if draw(st.booleans()):
            start_us, end_us = draw(TIME_PAIRS)
            clip = {"video_id": video_id, "start_us": start_us, "end_us": end_us, "split": video["split"]}
            clips.append({**clip, "label": draw(st.none() | TEXT)})
            if start_us is not None and video["duration_us"] == end_us - start_us:
                video["duration_us"] = None
        videos.append(video)
    return annotations_of(videos, clips)


@given(rows=kinetics_json_like(), crlf=st.booleans())
@settings(max_examples=50)
def test_kinetics_json_survives(*, rows: Annotations, crlf: bool) -> None:
    back = round_trip(lambda path: write_kinetics_json(path, rows), read_kinetics_json, name="k.json", crlf=crlf)
    assert_same(back, rows)


@st.composite
def label_maps(draw: st.DrawFn, *, names: st.SearchStrategy[str] = TEXT) -> pl.DataFrame:
    some = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    ids = draw(st.lists(st.integers(0, 300), min_size=len(some), max_size=len(some), unique=True))
    kinds = [draw(st.none() | names) for _ in some]
    return pl.DataFrame({"class_id": ids, "name": some, "category": kinds}, schema=LABEL_MAP_COLUMNS)


@st.composite
def activitynet_like(draw: st.DrawFn, *, scored: bool) -> Annotations:
    label_map = None if scored else draw(label_maps())
    names = TEXT if label_map is None else st.sampled_from(label_map["name"].to_list())
    videos, clips = [], []
    for video_id in draw(st.lists(IDS, max_size=5, unique=True)):
        width_px, height_px = draw(SIZES) or (None, None)
        video = {"video_id": video_id}
        if not scored:
            video |= {"split": draw(SPLITS), "url": draw(st.none() | TEXT), "duration_us": draw(st.none() | TIMES_US)}
            video |= {"width_px": width_px, "height_px": height_px}
        videos.append(video)
        for _ in range(draw(st.integers(0, 3))):
            start_us, end_us = draw(TIME_PAIRS)
            clip = {"video_id": video_id, "start_us": start_us, "end_us": end_us, "label": draw(names)}
            clips.append({**clip, "split": video.get("split"), "score": draw(SCORES) if scored else None})
    return annotations_of(videos, clips, label_map)


@given(rows=activitynet_like(scored=False), crlf=st.booleans())
@settings(max_examples=50)
def test_activitynet_survives_with_ids_and_categories(*, rows: Annotations, crlf: bool) -> None:
    back = round_trip(lambda path: write_activitynet(path, rows), read_activitynet, name="a.json", crlf=crlf)
    assert_same(back, rows)


@given(rows=activitynet_like(scored=True), crlf=st.booleans())
@settings(max_examples=50)
def test_activitynet_predictions_survive(*, rows: Annotations, crlf: bool) -> None:
    def write(path: Path) -> None:
        write_activitynet_predictions(path, rows)

    assert_same(round_trip(write, read_activitynet_predictions, name="p.json", crlf=crlf), rows)


@given(rows=activitynet_like(scored=False))
@settings(max_examples=50)
def test_a_label_map_in_the_context_gives_the_ids(rows: Annotations) -> None:
    context = Context(label_map=rows.label_map)
    bare = Annotations(videos=rows.videos, clips=rows.clips)

    def read(path: Path) -> Annotations:
        return read_activitynet(path, context=context)

    assert_same(round_trip(lambda path: write_activitynet(path, bare, context=context), read, name="a.json"), rows)


PARTS = st.from_regex(r"\A[-_A-Za-z0-9'\"é]{1,6}\Z")
FILES = st.builds(
    lambda folder, name, ending: f"{folder}{name}{ending}",
    st.sampled_from(["", "a/", "train/dög/"]),
    st.uuids().map(str) | st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z"),
    st.sampled_from([".mp4", ".avi", ""]),
)


def stem_of(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".mp4").removesuffix(".avi")


@st.composite
def lists_of_paths(draw: st.DrawFn, *, layout: str) -> Annotations:
    paths = draw(st.lists(FILES, max_size=6, unique_by=stem_of))
    videos, clips = [], []
    for path in paths:
        video_id = stem_of(path) if layout == "videos" else path.rsplit("/", 1)[-1]
        count = draw(st.integers(0, 10**6)) if layout == "frames" else None
        videos.append({"video_id": video_id, "path": path, "num_frames": count})
        for _ in range(draw(st.integers(1, 3))):
            clip: dict[str, Any] = {"video_id": video_id, "class_id": draw(st.none() | st.integers(0, 10**6))}
            if layout == "offsets":
                first, num_frames = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**4))
                clip |= {"start_us": at(first), "end_us": at(first + num_frames)}
            clips.append(clip)
    return Annotations(videos=frame_of(videos, VIDEO_COLUMNS), clips=frame_of(clips, CLIP_COLUMNS))


def at(frame: int) -> int:
    return (2 * frame * 1001 * 1_000_000 + 30_000) // 60_000


def rated(rows: Annotations) -> Context:
    """Every video at 30000/1001 frames a second."""
    rates = rows.videos.with_columns(fps_num=pl.lit(30_000, pl.Int64()), fps_den=pl.lit(1001, pl.Int64()))
    return Context(videos=rates.select("video_id", "fps_num", "fps_den"))


@pytest.mark.parametrize("layout", ["videos", "frames", "offsets"])
@given(data=st.data(), crlf=st.booleans(), separator=st.sampled_from([" ", ",", ";", "\t"]), shift=st.integers(0, 1))
@settings(max_examples=40)
def test_path_labels_survive(*, data: st.DataObject, layout: Any, crlf: bool, separator: str, shift: int) -> None:
    rows = data.draw(lists_of_paths(layout=layout))
    if shift:
        rows = replace(rows, clips=rows.clips.with_columns(pl.col("class_id") + 1))
    many, context = data.draw(st.booleans()), rated(rows)
    options: dict[str, Any] = {"layout": layout, "separator": separator, "multi_label": many, "label_shift": shift}

    def write(path: Path) -> None:
        write_path_labels(path, rows, context=context if layout == "offsets" else Context(), **options)

    def read(path: Path) -> Annotations:
        return read_path_labels(path, context=context, **options)

    assert_same(round_trip(write, read, name="list.txt", crlf=crlf), rows)


@given(
    rows=st.lists(
        st.tuples(IDS.filter(lambda text: not set(text) & set("/\n\r ") and text == text.strip()), st.integers(0, 999)),
        max_size=5,
    )
)
@settings(max_examples=50)
def test_kinetics_clip_files_keep_their_times(rows: list[tuple[str, int]]) -> None:
    clips = [
        {"video_id": video_id, "start_us": start * 1_000_000, "end_us": (start + 10) * 1_000_000, "class_id": 3}
        for video_id, start in rows
        if video_id.isprintable()
    ]
    videos = [{"video_id": name} for name in dict.fromkeys(clip["video_id"] for clip in clips)]
    given_rows = Annotations(videos=frame_of(videos, VIDEO_COLUMNS), clips=frame_of(clips, CLIP_COLUMNS))

    def read(path: Path) -> Annotations:
        return read_path_labels(path, ids="kinetics", separator=",")

    def write(path: Path) -> None:
        write_path_labels(path, given_rows, separator=",")

    if not any("," in row["video_id"] or row["video_id"].startswith("\ufeff") for row in clips):
        assert_same(round_trip(write, read, name="list.csv"), given_rows)


CLASSES = st.from_regex(r"\A[-_A-Za-z0-9'\"(),é]{1,8}\Z")


@st.composite
def split_lists(draw: st.DrawFn, *, splits: list[str], folder_of_splits: bool) -> Annotations:
    """Videos in one class folder each, in some splits, in the order in which the lists are read."""
    classes = draw(st.lists(CLASSES, min_size=1, max_size=3, unique_by=str.lower))
    files = draw(st.lists(st.uuids().map(lambda some: f"-{some}"), max_size=6, unique=True))
    label_of = {name: draw(st.sampled_from(classes)) for name in files}
    order = sorted(classes) if folder_of_splits else [None]
    clips = [
        {"video_id": name, "label": label_of[name], "split": split}
        for number in "12"
        for part in order
        for name, split in draw(st.permutations([(name, draw(st.sampled_from(splits)) + number) for name in files]))
        if part is None or label_of[name] == part
    ]
    if not folder_of_splits:
        clips.sort(key=lambda clip: (clip["split"][-1], clip["split"].startswith("test")))
    videos = {clip["video_id"]: {"video_id": clip["video_id"]} for clip in clips}
    for name, video in videos.items():
        video["path"] = f"{label_of[name]}/{name}.avi"
        video["num_frames"] = None if folder_of_splits else draw(st.none() | st.integers(0, 10**6))
    label_map = numbered_labels(pl.Series(classes))
    if not folder_of_splits:
        ids = draw(st.lists(st.integers(0, 999), min_size=len(classes), max_size=len(classes), unique=True))
        label_map = label_map.with_columns(pl.Series("class_id", ids, dtype=pl.Int64()))
    return annotations_of(list(videos.values()), clips, label_map)


def in_crlf(folder: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))


@given(rows=split_lists(splits=["train0", "test0"], folder_of_splits=False), crlf=st.booleans())
@settings(max_examples=50)
def test_ucf101_lists_survive(*, rows: Annotations, crlf: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_ucf101(Path(folder, "lists"), rows)
        if crlf:
            in_crlf(Path(folder, "lists"))
        assert_same(read_ucf101(Path(folder, "lists")), rows)


@given(rows=split_lists(splits=["train", "test", "unused"], folder_of_splits=True), crlf=st.booleans())
@settings(max_examples=50)
def test_hmdb51_lists_survive(*, rows: Annotations, crlf: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_hmdb51(Path(folder, "lists"), rows)
        if crlf:
            in_crlf(Path(folder, "lists"))
        assert_same(read_hmdb51(Path(folder, "lists")), rows)


@st.composite
def fiftyone_like(draw: st.DrawFn, *, in_frames: bool) -> Annotations:
    names = draw(st.lists(TEXT, min_size=1, max_size=4, unique=True))
    has_classes = draw(st.booleans())
    videos, clips = [], []
    for video_id in draw(st.lists(IDS, max_size=5, unique=True)):
        videos.append({"video_id": video_id})
        for _ in range(draw(st.integers(0, 3))):
            first, num_frames = draw(st.integers(0, 10**6)), draw(st.integers(1, 10**4))
            start_us, end_us = (at(first), at(first + num_frames)) if in_frames else draw(st.tuples(TIMES_US, TIMES_US))
            clip = {"video_id": video_id, "start_us": start_us, "end_us": end_us}
            clips.append({**clip, "label": draw(st.sampled_from(names)), "score": draw(st.none() | SCORES)})
    counted = pl.DataFrame({"class_id": range(len(names)), "name": names, "category": None}, schema=LABEL_MAP_COLUMNS)
    return annotations_of(videos, clips, counted if has_classes else None)


@pytest.mark.parametrize("times", ["timestamps", "frames"])
@given(data=st.data(), crlf=st.booleans())
@settings(max_examples=40)
def test_fiftyone_labels_survive(*, data: st.DataObject, times: Any, crlf: bool) -> None:
    rows = data.draw(fiftyone_like(in_frames=times == "frames"))
    context = rated(rows) if times == "frames" else Context()

    def write(path: Path) -> None:
        write_fiftyone_temporal(path, rows, context=context, times=times)

    def read(path: Path) -> Annotations:
        return read_fiftyone_temporal(path, context=context)

    assert_same(round_trip(write, read, name="labels.json", crlf=crlf), rows)


@st.composite
def folder_like(draw: st.DrawFn, *, texts: st.SearchStrategy[str]) -> Annotations:
    """Clips in the order of their splits' names, then videos without any; only the classes that occur."""
    splits = draw(st.sampled_from([[None], ["test", "train", "val 2"]]))
    label_map = draw(label_maps(names=texts)).sort("class_id")
    by_split = [(split, draw(st.lists(st.uuids().map(str), max_size=3, unique=True))) for split in splits]
    videos, clips, bare = [], [], []
    for split, names in by_split:
        for name in names:
            width_px, height_px = draw(SIZES) or (None, None)
            folder = draw(st.sampled_from(["", "a,b/", '"x"/']))
            video = {"video_id": draw(texts) + name, "path": f"{split}/{folder}{name}.mp4" if split else folder + name}
            video |= {"split": split, "url": draw(st.none() | texts), "duration_us": draw(st.none() | TIMES_US)}
            video |= {"width_px": width_px, "height_px": height_px, "num_frames": draw(st.none() | st.integers(0, 9))}
            count = draw(st.integers(0, 2))
            (videos if count else bare).append(video)
            for _ in range(count):
                start_us, end_us = draw(TIME_PAIRS)
                clip = {"video_id": video["video_id"], "start_us": start_us, "end_us": end_us, "split": split}
                clip |= {"label": draw(st.none() | st.sampled_from(label_map["name"].to_list()))}
                clip |= {"score": draw(SCORES), "is_cc": draw(st.none() | st.booleans())}
                clips.append(clip)
    ordered = [video for split in splits for some in (videos, bare) for video in some if video["split"] == split]
    used = label_map.filter(pl.col("name").is_in([clip["label"] for clip in clips]))
    return annotations_of(ordered, clips, used)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@given(data=st.data(), crlf=st.booleans())
@settings(max_examples=40)
def test_video_folders_survive(*, data: st.DataObject, ending: Any, crlf: bool) -> None:
    rows = data.draw(folder_like(texts=TEXT.filter(lambda text: "\n" not in text) if crlf else TEXT))
    with tempfile.TemporaryDirectory() as folder:
        write_video_folder(Path(folder, "data"), rows, ending=ending)
        for file in Path(folder, "data").rglob("metadata.*") if crlf else ():
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
        assert_same(read_video_folder(Path(folder, "data")), rows)


@given(rows=folder_like(texts=TEXT))
@settings(max_examples=4)
def test_video_folders_in_parquet_survive(rows: Annotations) -> None:
    # Few examples: each file is decoded by a process of its own.
    with tempfile.TemporaryDirectory() as folder:
        write_video_folder(Path(folder, "data"), rows, ending="parquet")
        assert_same(read_video_folder(Path(folder, "data")), rows)
