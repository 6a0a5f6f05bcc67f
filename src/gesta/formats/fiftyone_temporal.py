"""FiftyOne's `labels.json` of temporal detections: labelled stretches of videos, in frames or in seconds.

```json
{"classes": ["wave", "clap"],
 "labels": {"video-1": [{"label": 0, "support": [1, 30], "confidence": 0.9}],
            "video-2": [{"label": 1, "timestamps": [0.5, 2.25]}],
            "video-3": null}}
```

| name | unit | what |
|---|---|---|
| `classes` | | class names; where it is missing, `label` is the name itself |
| key of `labels` | | video id: the file's name without its ending, or a path |
| `label` | | index into `classes` from 0, or the class name |
| `support` | frames | first and last frame, counted from 1, both inside |
| `timestamps` | s | start and end |
| `confidence` | | score; may be missing or null |

Kept: all of these; `null` is a video without clips. Frames become times exactly, by the video's frame rate, which
`context.videos` must know: frame 1 begins at 0, and a stretch ends where its last frame does. (FiftyOne's own
`use_timestamps=True` spreads the frames over the duration, so that the last frame begins at the end of the video: such
files are off by up to a frame.) With `classes`, its indices are the class ids; they are written where the label map's
ids are just 0, 1, 2 ... Not kept: `attributes` and other members.

In writing, times are seconds unless `times="frames"` asks for frames, which rounds to the nearest. A clip that is its
whole file is written from 0 to the video's end where duration or frame count are known. Not written: splits, urls,
paths, sizes. Refused: boxes, a clip without a class.

Source: FiftyOne documentation, "FiftyOneTemporalDetectionDataset" (import, export); `voxel51/fiftyone`,
`fiftyone/utils/data/importers.py`; `voxel51/eta`, `eta/core/frameutils.py` (frame numbers from 1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl

from gesta.formats.annotations import (
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    frame_numbers,
    frame_times_us,
    shaped,
)
from gesta.formats.clip_labels import (
    class_names,
    clip_rows,
    known_label_map,
    refuse_boxes,
    refuse_far,
    refuse_unlabelled,
    videos_with_context,
    with_class_ids,
)
from gesta.formats.json_values import (
    dumped,
    integer_of,
    lined_object,
    list_of,
    number_or_none,
    object_of,
    read_json,
    seconds_value,
    text_of,
    us_pair_of,
)
from gesta.schema import BadInput
from gesta.tables import write_text

_MAX_FRAME = 10**8
"""Source: ours. A hundred million frames are six weeks; their microseconds times a usual rate still fit 64 bits."""


def read_fiftyone_temporal(path: Path, *, context: Context = Context()) -> Annotations:
    """The videos and clips of a FiftyOne `labels.json`, in its order.

    Args:
        context: its videos give the frame rates that `support` needs; its label map gives class ids where the file
            has names only.
    Raises:
        BadInput: there is no such file, it cannot be read, a member of it is not what it must be, a frame rate is
            missing, or the context's label map lacks a class.
        BadRow: it is not UTF-8, not JSON, or a key comes twice.
    """
    whole = object_of(read_json(path), where=str(path))
    if "labels" not in whole:
        raise BadInput("there is no 'labels' in it", where=path, mend='Want {"classes": [...], "labels": {...}}')
    classes = _classes_of(whole.get("classes"), where=f"{path}: classes")
    entries = object_of(whole["labels"], where=f"{path}: labels")
    clips: dict[str, list[Any]] = {name: [] for name in ("video_id", "start_us", "end_us", "label", "score")}
    frames: list[tuple[int | None, int | None]] = []
    for video_id, notes in entries.items():
        text_of(video_id, where=f"{path}: labels[{video_id!r}]")
        for i, value in enumerate([] if notes is None else list_of(notes, where=f"{path}: labels[{video_id!r}]")):
            where = f"{path}: labels[{video_id!r}][{i}]"
            note = object_of(value, where=where)
            label = _label_of(note.get("label"), classes=classes, where=f"{where}.label")
            score = number_or_none(note.get("confidence"), where=f"{where}.confidence")
            start_us, end_us, first, last = _stretch_of(note, where=where)
            frames.append((first, last))
            for name, cell in zip(clips, (video_id, start_us, end_us, label, score), strict=True):
                clips[name].append(cell)
    frame = _with_frame_times(clip_rows(clips), frames, context=context, path=path)
    published = _label_map_of(classes) if classes is not None else None
    class_ids, label_map = with_class_ids(frame["label"], context=context, path=path, label_map=published)
    videos = pl.DataFrame({"video_id": list(entries)}, schema={"video_id": pl.String()})
    return Annotations(
        videos=shaped(videos, VIDEO_COLUMNS),
        clips=shaped(frame.with_columns(class_ids.alias("class_id")), CLIP_COLUMNS),
        label_map=label_map,
    )


def _classes_of(value: Any, *, where: str) -> list[str] | None:
    if value is None:
        return None
    names = [text_of(name, where=f"{where}[{i}]") for i, name in enumerate(list_of(value, where=where))]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"the class {double!r} comes twice", where=where, mend="Keep one of the two")
    return names


def _label_map_of(classes: list[str]) -> pl.DataFrame:
    return shaped(pl.DataFrame({"class_id": range(len(classes)), "name": classes}), LABEL_MAP_COLUMNS)


def _label_of(value: Any, *, classes: list[str] | None, where: str) -> str:
    if classes is None or isinstance(value, str):
        return text_of(value, where=where)
    index = integer_of(value, where=where)
    if not 0 <= index < len(classes):
        raise BadInput(f"{index} is no class", where=where, mend=f"`classes` has {len(classes)}, counted from 0")
    return classes[index]


def _stretch_of(note: dict[str, Any], *, where: str) -> tuple[int | None, int | None, int | None, int | None]:
    """Start and end in microseconds, or the first and last frame."""
    if note.get("support") is not None:
        support = list_of(note["support"], where=f"{where}.support")
        if len(support) != 2:
            raise BadInput(f"{len(support)} values", where=f"{where}.support", mend="Want [first, last] frame")
        first, last = (integer_of(value, where=f"{where}.support[{i}]") for i, value in enumerate(support))
        if not (1 <= first <= _MAX_FRAME and 0 <= last <= _MAX_FRAME):
            raise BadInput(f"{support} are no frames", where=f"{where}.support", mend="Frames are counted from 1")
        return None, None, first, last
    if note.get("timestamps") is not None:
        return *us_pair_of(note["timestamps"], where=f"{where}.timestamps"), None, None
    raise BadInput("it has neither support nor timestamps", where=where, mend="Give one of them")


def _with_frame_times(
    clips: pl.DataFrame, frames: list[tuple[int | None, int | None]], *, context: Context, path: Path
) -> pl.DataFrame:
    """The clips with the times of those that say frames."""
    support = pl.DataFrame(frames, schema={"first": pl.Int64(), "last": pl.Int64()}, orient="row")
    frame = pl.concat([clips, support], how="horizontal")
    if not support["first"].count():
        return clips
    known = pl.DataFrame(schema=VIDEO_COLUMNS) if context.videos is None else shaped(context.videos, VIDEO_COLUMNS)
    rates = known.select("video_id", "fps_num", "fps_den").unique("video_id", keep="first")
    frame = frame.join(rates, on="video_id", how="left", maintain_order="left")
    is_rated = ((pl.col("fps_num") > 0) & (pl.col("fps_den") > 0)).fill_null(value=False)
    bad = frame.filter(pl.col("first").is_not_null() & ~is_rated)
    if bad.height:
        raise BadInput(
            f"the frame rate of video {bad['video_id'][0]!r} is not known, and its clips are given in frames",
            where=path,
            mend="Give a table of videos with fps_num and fps_den (--videos)",
        )
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    return frame.with_columns(
        pl.coalesce("start_us", frame_times_us(pl.col("first") - 1, **rate)).alias("start_us"),
        pl.coalesce("end_us", frame_times_us(pl.col("last"), **rate)).alias("end_us"),
    ).select(clips.columns)


def write_fiftyone_temporal(
    path: Path,
    annotations: Annotations,
    *,
    context: Context = Context(),
    times: Literal["timestamps", "frames"] = "timestamps",
) -> None:
    """Clips as a FiftyOne `labels.json`, one video a line, whole or not at all.

    Args:
        times: whether to write seconds, or frames by the video's frame rate.
    Raises:
        BadInput: there are boxes, a clip has no class, no times (and its video no known length) or is shorter than a
            frame, a class has no name, or a frame rate is missing.
    """
    refuse_boxes(annotations, path=path, holds="clips")
    refuse_unlabelled(annotations, path=path)
    videos = videos_with_context(annotations, context=context, path=path)
    labels = class_names(annotations, context=context, path=path)
    clips = _with_both_ends(annotations.clips.with_columns(labels), videos, path=path)
    classes = _published_classes(known_label_map(annotations, context=context))
    if times == "frames":
        clips = _with_support(clips, path=path)
        stretches = [("support", list(pair)) for pair in clips.select("first", "last").iter_rows()]
    else:
        pairs = clips.select("start_us", "end_us").iter_rows()
        stretches = [("timestamps", [seconds_value(time_us, where=path) for time_us in pair]) for pair in pairs]
    notes: dict[str, list[dict[str, Any]]] = {video_id: [] for video_id in videos["video_id"]}
    rows = clips.select("video_id", "class_id", "label", "score").iter_rows()
    for (video_id, class_id, label, score), (name, stretch) in zip(rows, stretches, strict=True):
        note = {"label": label if classes is None else class_id, name: stretch}
        notes[video_id].append(note if score is None else {**note, "confidence": score})
    entries = {video_id: dumped(listed or None) for video_id, listed in notes.items()}
    members = {} if classes is None else {"classes": dumped(classes)}
    write_text(path, lined_object({**members, "labels": lined_object(entries)}) + "\n")


def _published_classes(label_map: pl.DataFrame) -> list[str] | None:
    """The names by id, where the ids are just 0, 1, 2 ... and no name comes twice."""
    ordered = label_map.sort("class_id")
    is_counted = ordered["class_id"].to_list() == list(range(ordered.height))
    is_named = ordered["name"].n_unique() == ordered.height and not ordered["name"].null_count()
    return ordered["name"].to_list() if ordered.height and is_counted and is_named else None


def _with_both_ends(clips: pl.DataFrame, videos: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    """The clips with the length of their video where they are whole files; `fps_num` and `fps_den` beside them."""
    wanted = videos.select("video_id", "fps_num", "fps_den", "num_frames", "duration_us")
    frame = clips.join(wanted, on="video_id", how="left", maintain_order="left")
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    counted = pl.when(pl.col("fps_num") > 0).then(frame_times_us(pl.col("num_frames"), **rate))
    is_whole = pl.col("start_us").is_null() & pl.col("end_us").is_null()
    frame = frame.with_columns(
        pl.when(is_whole).then(0).otherwise("start_us").alias("start_us"),
        pl.when(is_whole).then(pl.coalesce("duration_us", counted)).otherwise("end_us").alias("end_us"),
    )
    bad = frame.filter(pl.col("start_us").is_null() | pl.col("end_us").is_null())
    if bad.height:
        raise BadInput(
            f"a clip of {bad['video_id'][0]!r} has no end, and the video's length is not known",
            where=path,
            mend="Give a table of videos with duration_us (--videos)",
        )
    scored = frame.filter(~pl.col("score").is_finite().fill_null(value=True))
    if scored.height:
        raise BadInput(f"a score of {scored['video_id'][0]!r} is no finite number", where=path, mend="Mend it")
    return frame


def _with_support(clips: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    is_rated = ((pl.col("fps_num") > 0) & (pl.col("fps_den") > 0)).fill_null(value=False)
    bad = clips.filter(~is_rated)
    if bad.height:
        problem = f"the frame rate of video {bad['video_id'][0]!r} is not known"
        raise BadInput(problem, where=path, mend="Give a table of videos with fps_num and fps_den (--videos)")
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    refuse_far(clips, path=path)
    frame = clips.with_columns(
        (frame_numbers(pl.col("start_us"), **rate) + 1).alias("first"),
        frame_numbers(pl.col("end_us"), **rate).alias("last"),
    )
    short = frame.filter((pl.col("last") < pl.col("first")) | (pl.col("first") < 1))
    if short.height:
        row = short.row(0, named=True)
        problem = f"the clip of {row['video_id']!r} from {row['start_us']} to {row['end_us']} microseconds has no frame"
        raise BadInput(problem, where=path, mend="Mend its times, or write timestamps")
    return frame
