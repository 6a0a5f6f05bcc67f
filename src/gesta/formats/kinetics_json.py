"""Kinetics JSON: the same clips as the Kinetics csv files, as one object keyed by video id.

```json
{"---QUuC4vJs": {"annotations": {"label": "testifying", "segment": [84.0, 94.0]}, "duration": 10.0,
                 "subset": "validate", "url": "https://www.youtube.com/watch?v=---QUuC4vJs"},
 "--6bJUbfpnQ": {"duration": 10.0, "subset": "test", "url": "https://www.youtube.com/watch?v=--6bJUbfpnQ"}}
```

| name | unit | what |
|---|---|---|
| key | | video id |
| `annotations.label` | | class name; absent in the test subset |
| `annotations.segment` | s | start and end in the original video; absent in some test subsets |
| `duration` | s | length of the clip |
| `subset` | | `train`, `val`, `validate`, `test`, kept as written |
| `url` | | page of the original video |

Kept: all of it, times to the microsecond. A `duration` that is the segment's length says nothing new and is made anew
when writing; any other (also that of an entry without a segment) is kept as the video's. An entry without
`annotations` is a video without clips. Not kept: other members of an entry.

Not written: boxes (refused), scores, `is_cc`, frame sizes and rates. One clip a video: a second one is refused, since
the key is the video id (six such videos are in Kinetics-600 val, 53 in Kinetics-700 validate; the csv can say them).

Source: the archives `kinetics400.tar.gz`, `kinetics600.tar.gz`, `kinetics700.tar.gz` of DeepMind
(`train.json`, `validate.json`, `test.json`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats.annotations import CLIP_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.clip_labels import (
    class_names,
    clip_rows,
    refuse_boxes,
    split_of_videos,
    videos_with_context,
    with_class_ids,
)
from gesta.formats.json_values import (
    dumped,
    lined_object,
    object_of,
    read_json,
    seconds_value,
    text_of,
    text_or_none,
    us_of,
    us_pair_of,
)
from gesta.schema import BadInput
from gesta.tables import write_text


def read_kinetics_json(path: Path, *, context: Context = Context()) -> Annotations:
    """The videos and clips of a Kinetics JSON file, in its order.

    Class ids are those of the context's label map, else the names are numbered from 1 in the order of the alphabet.

    Raises:
        BadInput: there is no such file, it cannot be read, a member of it is not what it must be, or the context's
            label map lacks a class.
        BadRow: it is not UTF-8, not JSON, or a key comes twice.
    """
    entries = object_of(read_json(path), where=str(path))
    videos: dict[str, list[Any]] = {name: [] for name in ("video_id", "split", "duration_us", "url")}
    clips: dict[str, list[Any]] = {name: [] for name in ("video_id", "start_us", "end_us", "label", "split")}
    for video_id, value in entries.items():
        where = f"{path}: [{video_id!r}]"
        entry = object_of(value, where=where)
        split = text_or_none(entry.get("subset"), where=f"{where}.subset")
        duration = entry.get("duration")
        duration_us = None if duration is None else us_of(duration, where=f"{where}.duration")
        note = entry.get("annotations")
        if note is not None:
            label, start_us, end_us = _clip_of(note, where=f"{where}.annotations")
            for name, cell in zip(clips, (video_id, start_us, end_us, label, split), strict=True):
                clips[name].append(cell)
            if start_us is not None and end_us is not None and duration_us == end_us - start_us:
                duration_us = None
        url = text_or_none(entry.get("url"), where=f"{where}.url")
        for name, cell in zip(videos, (text_of(video_id, where=where), split, duration_us, url), strict=True):
            videos[name].append(cell)
    frame = clip_rows(clips)
    class_ids, label_map = with_class_ids(frame["label"], context=context, path=path)
    return Annotations(
        videos=shaped(pl.DataFrame(videos, schema={name: VIDEO_COLUMNS[name] for name in videos}), VIDEO_COLUMNS),
        clips=shaped(frame.with_columns(class_ids.alias("class_id")), CLIP_COLUMNS),
        label_map=label_map,
    )


def _clip_of(value: Any, *, where: str) -> tuple[str | None, int | None, int | None]:
    note = object_of(value, where=where)
    label = text_or_none(note.get("label"), where=f"{where}.label")
    segment = note.get("segment")
    start_us, end_us = (None, None) if segment is None else us_pair_of(segment, where=f"{where}.segment")
    return label, start_us, end_us


def write_kinetics_json(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """Clips as a Kinetics JSON file, one entry a line, whole or not at all.

    Raises:
        BadInput: there are boxes, a video has two clips or two splits, a clip has one end only, or a class has no
            name.
    """
    refuse_boxes(annotations, path=path, holds="one clip a video")
    clips = annotations.clips.with_columns(class_names(annotations, context=context, path=path))
    double = clips.filter(pl.col("video_id").is_duplicated())
    if double.height:
        raise BadInput(
            f"video {double['video_id'][0]!r} has more than one clip, and this format is keyed by video id",
            where=path,
            mend="Write a Kinetics csv or an ActivityNet JSON",
        )
    videos = videos_with_context(annotations, context=context, path=path)
    splits = split_of_videos(videos, clips, path=path)
    columns = ("video_id", "start_us", "end_us", "label")
    clip_of = {row[0]: row[1:] for row in clips.select(columns).iter_rows()}
    entries = {}
    for (video_id, duration_us, url), split in zip(
        videos.select("video_id", "duration_us", "url").iter_rows(), splits, strict=True
    ):
        entry: dict[str, Any] = {}
        if video_id in clip_of:
            start_us, end_us, label = clip_of[video_id]
            entry["annotations"] = note = {} if label is None else {"label": label}
            if (start_us is None) != (end_us is None):
                raise BadInput(f"the clip of {video_id!r} has one end only", where=path, mend="Give both or none")
            if start_us is not None:
                note["segment"] = [seconds_value(time_us, where=path) for time_us in (start_us, end_us)]
                duration_us = end_us - start_us if duration_us is None else duration_us
        for name, value in (
            ("duration", None if duration_us is None else seconds_value(duration_us, where=path)),
            ("subset", split),
            ("url", url),
        ):
            if value is not None:
                entry[name] = value
        entries[video_id] = dumped(entry)
    write_text(path, lined_object(entries) + "\n")
