"""ActivityNet JSON: the ground truth with its taxonomy, and predictions as its evaluation server takes them.

Ground truth (`activity_net.v1-3.min.json`):

```json
{"version": "VERSION 1.3",
 "taxonomy": [{"nodeId": 0, "nodeName": "Root", "parentId": null, "parentName": null},
              {"nodeId": 269, "nodeName": "Water sports", "parentId": 0, "parentName": "Root"},
              {"nodeId": 33, "nodeName": "Wakeboarding", "parentId": 269, "parentName": "Water sports"}],
 "database": {"bYUmtLBL7W4": {"duration": 224.49, "subset": "validation", "resolution": "1920x1080",
   "url": "https://www.youtube.com/watch?v=bYUmtLBL7W4",
   "annotations": [{"segment": [11.553655, 57.068054], "label": "Wakeboarding"}]}}}
```

| name | unit | what |
|---|---|---|
| key of `database` | | video id |
| `duration` | s | of the video |
| `subset` | | `training`, `validation`, `testing`, kept as written |
| `resolution` | px | width x height; one that does not read so is passed over |
| `annotations[].segment` | s | start and end; absent: the whole video |
| `annotations[].label` | | class name |
| `taxonomy[].nodeId`, `nodeName`, `parentId`, `parentName` | | tree of classes |

Predictions: `{"version": ..., "results": {"bYUmtLBL7W4": [{"label": ..., "score": ..., "segment": [..]}]},
"external_data": {...}}`; without `segment` where whole videos are classified.

Kept: all clips of a video in their order, times to the microsecond. The taxonomy's leaves become the label map:
`nodeId` is the class id, the parent's name the category; none under `Root`. Where the taxonomy is missing or lacks a
label, the names are numbered. Not kept: higher levels of the taxonomy (a written one has two), `version` and
`external_data` (arguments of the writers), other members.

Not written: boxes (refused), scores in ground truth, `is_cc`, frame rates and counts.

Source: `activitynet/ActivityNet`, `Evaluation/eval_detection.py` and `eval_classification.py` (the members they
require), `Evaluation/data/sample_{detection,classification}_prediction.json`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats.annotations import (
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.clip_labels import (
    class_names,
    clip_rows,
    known_label_map,
    refuse_boxes,
    refuse_unlabelled,
    split_of_videos,
    videos_with_context,
    with_class_ids,
)
from gesta.formats.json_values import (
    dumped,
    integer_of,
    lined_object,
    list_of,
    number_of,
    object_of,
    read_json,
    seconds_value,
    text_of,
    text_or_none,
    us_of,
    us_pair_of,
)
from gesta.schema import BadInput
from gesta.tables import Json, write_text

_RESOLUTION = re.compile(r"([0-9]{1,6})x([0-9]{1,6})\Z")
ROOT = "Root"
_GROUND_TRUTH = 'Want {"database": {...}, "taxonomy": [...], "version": "..."}'
_PREDICTIONS = 'Want {"version": "...", "results": {...}, "external_data": {...}}'


def read_activitynet(path: Path, *, context: Context = Context()) -> Annotations:
    """The videos, clips and classes of an ActivityNet ground-truth file, in its order.

    Raises:
        BadInput: there is no such file, it cannot be read, a member of it is not what it must be, or the context's
            label map lacks a class.
        BadRow: it is not UTF-8, not JSON, or a key comes twice.
    """
    whole = object_of(read_json(path), where=str(path))
    if "database" not in whole:
        raise BadInput("there is no 'database' in it", where=path, mend=_GROUND_TRUTH)
    names = ("video_id", "split", "width_px", "height_px", "duration_us", "url")
    videos: dict[str, list[Any]] = {name: [] for name in names}
    clips: dict[str, list[Any]] = {name: [] for name in ("video_id", "start_us", "end_us", "label", "split")}
    for video_id, value in object_of(whole["database"], where=f"{path}: database").items():
        where = f"{path}: database[{video_id!r}]"
        entry = object_of(value, where=where)
        split = text_or_none(entry.get("subset"), where=f"{where}.subset")
        duration = entry.get("duration")
        duration_us = None if duration is None else us_of(duration, where=f"{where}.duration")
        width_px, height_px = _size_of(entry.get("resolution"))
        url = text_or_none(entry.get("url"), where=f"{where}.url")
        row = (text_of(video_id, where=where), split, width_px, height_px, duration_us, url)
        for name, cell in zip(videos, row, strict=True):
            videos[name].append(cell)
        notes = list_of(entry.get("annotations", []), where=f"{where}.annotations")
        for i, note in enumerate(notes):
            label, start_us, end_us = _clip_of(note, where=f"{where}.annotations[{i}]")
            for name, cell in zip(clips, (video_id, start_us, end_us, label, split), strict=True):
                clips[name].append(cell)
    frame = clip_rows(clips)
    published = _published_label_map(whole.get("taxonomy"), frame["label"], path=path)
    class_ids, label_map = with_class_ids(frame["label"], context=context, path=path, label_map=published)
    return Annotations(
        videos=shaped(pl.DataFrame(videos, schema={name: VIDEO_COLUMNS[name] for name in videos}), VIDEO_COLUMNS),
        clips=shaped(frame.with_columns(class_ids.alias("class_id")), CLIP_COLUMNS),
        label_map=label_map,
    )


def _size_of(resolution: Any) -> tuple[int | None, int | None]:
    match = _RESOLUTION.match(resolution) if isinstance(resolution, str) else None
    return (int(match[1]), int(match[2])) if match else (None, None)


def _clip_of(value: Any, *, where: str) -> tuple[str, int | None, int | None]:
    note = object_of(value, where=where)
    segment = note.get("segment")
    start_us, end_us = (None, None) if segment is None else us_pair_of(segment, where=f"{where}.segment")
    return text_of(note.get("label"), where=f"{where}.label"), start_us, end_us


def _published_label_map(taxonomy: Any, labels: pl.Series, *, path: Path) -> pl.DataFrame | None:
    """The classes of the taxonomy with their parents as categories; None where it does not name every label once."""
    if taxonomy is None:
        return None
    nodes: dict[int, tuple[str, int | None]] = {}
    for i, value in enumerate(list_of(taxonomy, where=f"{path}: taxonomy")):
        where = f"{path}: taxonomy[{i}]"
        node = object_of(value, where=where)
        node_id = integer_of(node.get("nodeId"), where=f"{where}.nodeId")
        if node_id in nodes:
            raise BadInput(f"the id {node_id} was given already", where=f"{where}.nodeId", mend="Keep one of the two")
        parent = node.get("parentId")
        parent_id = None if parent is None else integer_of(parent, where=f"{where}.parentId")
        nodes[node_id] = (text_of(node.get("nodeName"), where=f"{where}.nodeName"), parent_id)
    parents = {parent_id for _, parent_id in nodes.values()}
    used = set(labels.drop_nulls().to_list())
    leaf_names = {name for node_id, (name, _) in nodes.items() if node_id not in parents}
    rows = []
    for node_id, (name, parent_id) in nodes.items():
        is_inner_label = node_id in parents and name in used - leaf_names
        if (node_id not in parents or is_inner_label) and (name, parent_id) != (ROOT, None):
            above = nodes.get(parent_id) if parent_id is not None else None
            rows.append((node_id, name, None if above is None or above == (ROOT, None) else above[0]))
    found = pl.DataFrame(rows, schema=LABEL_MAP_COLUMNS, orient="row")
    is_double = found.filter(pl.col("name").is_in(list(used)))["name"].is_duplicated().any()
    return None if is_double or used - set(found["name"]) or (used == set() and not rows) else found


def write_activitynet(
    path: Path, annotations: Annotations, *, context: Context = Context(), version: str = "VERSION 1.3"
) -> None:
    """Clips as an ActivityNet ground-truth file, one video a line, whole or not at all.

    Args:
        version: what to write for `version`; 1.3 is the release that all evaluators know.
    Raises:
        BadInput: there are boxes, a clip has no class or one end only, a class has no name, or a video has two splits.
    """
    refuse_boxes(annotations, path=path, holds="clips")
    refuse_unlabelled(annotations, path=path)
    clips = annotations.clips.with_columns(class_names(annotations, context=context, path=path))
    videos = videos_with_context(annotations, context=context, path=path)
    splits = split_of_videos(videos, clips, path=path)
    notes_of = _notes_by_video(clips, ("segment", "label"), path=path)
    columns = ("video_id", "duration_us", "width_px", "height_px", "url")
    database = {}
    for (video_id, duration_us, width_px, height_px, url), split in zip(
        videos.select(columns).iter_rows(), splits, strict=True
    ):
        entry: dict[str, Any] = {}
        if duration_us is not None:
            entry["duration"] = seconds_value(duration_us, where=path)
        if split is not None:
            entry["subset"] = split
        if width_px is not None and height_px is not None:
            entry["resolution"] = f"{width_px}x{height_px}"
        if url is not None:
            entry["url"] = url
        database[video_id] = dumped({**entry, "annotations": notes_of.get(video_id, [])})
    members = {
        "version": dumped(version),
        "taxonomy": dumped(_taxonomy_of(known_label_map(annotations, context=context), path=path)),
        "database": lined_object(database),
    }
    write_text(path, lined_object(members) + "\n")


def _notes_by_video(clips: pl.DataFrame, members: tuple[str, ...], *, path: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for video_id, start_us, end_us, label, score in clips.select(
        "video_id", "start_us", "end_us", "label", "score"
    ).iter_rows():
        if (start_us is None) != (end_us is None):
            raise BadInput(f"a clip of {video_id!r} has one end only", where=path, mend="Give both or none")
        segment = None if start_us is None else [seconds_value(time, where=path) for time in (start_us, end_us)]
        note = {"segment": segment, "label": label, "score": score}
        found.setdefault(video_id, []).append({name: note[name] for name in members if note[name] is not None})
    return found


def _taxonomy_of(label_map: pl.DataFrame, *, path: Path) -> list[dict[str, Json]]:
    """The nodes of a two-level tree: Root, the categories, the classes."""
    if not label_map.height:
        return []
    for column in ("class_id", "name"):
        double = label_map.filter(pl.col(column).is_duplicated())
        if double.height:
            raise BadInput(f"the label map has {double[column][0]!r} twice", where=path, mend="Keep one of the two")
    taken = set(label_map["class_id"])
    fresh = iter(number for number in range(2 * len(taken) + 2) if number not in taken)
    root_id = next(fresh)
    nodes: list[dict[str, Json]] = [{"nodeId": root_id, "nodeName": ROOT, "parentId": None, "parentName": None}]
    categories = label_map["category"].drop_nulls().unique(maintain_order=True).to_list()
    id_of = {name: next(fresh) for name in categories}
    for name, node_id in id_of.items():
        nodes.append({"nodeId": node_id, "nodeName": name, "parentId": root_id, "parentName": ROOT})
    for class_id, name, category in label_map.select("class_id", "name", "category").iter_rows():
        parent_id = root_id if category is None else id_of[category]
        above = ROOT if category is None else category
        nodes.append({"nodeId": class_id, "nodeName": name, "parentId": parent_id, "parentName": above})
    return nodes


def read_activitynet_predictions(path: Path, *, context: Context = Context()) -> Annotations:
    """The scored clips of a file of ActivityNet predictions, in its order; whole videos where there is no segment.

    The names are numbered unless the context has a label map: give the ground truth's, to have its ids.

    Raises:
        BadInput: there is no such file, it cannot be read, a member of it is not what it must be, or the context's
            label map lacks a class.
        BadRow: it is not UTF-8, not JSON, or a key comes twice.
    """
    whole = object_of(read_json(path), where=str(path))
    if "results" not in whole:
        raise BadInput("there is no 'results' in it", where=path, mend=_PREDICTIONS)
    results = object_of(whole["results"], where=f"{path}: results")
    clips: dict[str, list[Any]] = {name: [] for name in ("video_id", "start_us", "end_us", "label", "score")}
    for video_id, notes in results.items():
        text_of(video_id, where=f"{path}: results[{video_id!r}]")
        for i, note in enumerate(list_of(notes, where=f"{path}: results[{video_id!r}]")):
            where = f"{path}: results[{video_id!r}][{i}]"
            label, start_us, end_us = _clip_of(note, where=where)
            score = number_of(note.get("score"), where=f"{where}.score")
            for name, cell in zip(clips, (video_id, start_us, end_us, label, score), strict=True):
                clips[name].append(cell)
    frame = clip_rows(clips)
    class_ids, label_map = with_class_ids(frame["label"], context=context, path=path)
    videos = pl.DataFrame({"video_id": list(results)}, schema={"video_id": pl.String()})
    return Annotations(
        videos=shaped(videos, VIDEO_COLUMNS),
        clips=shaped(frame.with_columns(class_ids.alias("class_id")), CLIP_COLUMNS),
        label_map=label_map,
    )


def write_activitynet_predictions(
    path: Path,
    annotations: Annotations,
    *,
    context: Context = Context(),
    version: str = "VERSION 1.3",
    external_data: Mapping[str, Json] | None = None,
) -> None:
    """Scored clips as a file of ActivityNet predictions, one video a line, whole or not at all.

    Args:
        version: what to write for `version`.
        external_data: what to write for it; None = `{"used": false, "details": ""}`. The server wants the member.
    Raises:
        BadInput: there are boxes, a clip has no class, no finite score or one end only, or a class has no name.
    """
    refuse_boxes(annotations, path=path, holds="clips")
    refuse_unlabelled(annotations, path=path)
    clips = annotations.clips.with_columns(class_names(annotations, context=context, path=path))
    bad = clips.filter(~pl.col("score").is_finite().fill_null(value=False))
    if bad.height:
        problem = f"{bad.height} clips have no finite score, the first of video {bad['video_id'][0]!r}"
        raise BadInput(problem, where=path, mend="Predictions need one each; ground truth goes into `activitynet`")
    notes_of = _notes_by_video(clips, ("score", "segment", "label"), path=path)
    videos = videos_with_context(annotations, context=context, path=path)
    results = {video_id: dumped(notes_of.get(video_id, [])) for video_id in videos["video_id"]}
    external = {"used": False, "details": ""} if external_data is None else dict(external_data)
    members = {"version": dumped(version), "results": lined_object(results), "external_data": dumped(external)}
    write_text(path, lined_object(members) + "\n")
