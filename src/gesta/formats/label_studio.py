"""Label Studio JSON: what the annotation tool Label Studio exports ("JSON", not "JSON-MIN") and imports, both ways.

A list of tasks, one a video. A task has annotations (what people say) and predictions (what models say); each is a
list of results. Boxes are in percent of the frame, and frames count from 1:

    [{"data": {"video": "/data/upload/1/v00.mp4", "fps": 25.0},
      "annotations": [{"completed_by": 7, "ground_truth": false, "was_cancelled": false, "result": [
        {"id": "a1b2", "type": "videorectangle", "from_name": "box", "to_name": "video", "value": {
          "framesCount": 75, "duration": 3.0, "labels": ["walk"], "sequence": [
            {"frame": 4, "time": 0.16, "enabled": true, "x": 7.7, "y": 20, "width": 30, "height": 70, "rotation": 0},
            {"frame": 9, "time": 0.36, "enabled": false, "x": 9.7, "y": 20, "width": 30, "height": 70, ...}]}},
        {"id": "c3", "type": "timelinelabels", "value": {
          "ranges": [{"start": 1, "end": 50}], "timelinelabels": ["run"]}},
        {"id": "d4", "type": "choices", "value": {"choices": ["archery"]}}]}],
      "predictions": [{"model_version": "m", "score": 0.9, "result": [...]}]}]

| name | unit | what |
|---|---|---|
| `data.video_id`, else the file that `data.video` names | | video id; `video_id` is ours |
| `sequence` | | a track; between two entries the box moves on a line, and `enabled: false` ends it after that frame |
| `frame` | frames from 1 | time: when the frame begins |
| `x y width height` | percent | the box, divided by 100, to twelve decimals |
| `auto: true`, or between entries | | `is_interpolated` |
| `labels`, or `choices` of the same `id` | | classes; none, or `person` alone: a person without an action |
| `id` | | `person_id`, where it is `person:<number>`; else regions are numbered from 0 |
| `timelinelabels`, `ranges` | frames from 1, both ends in | clip label |
| `choices` of no region | | label of the whole file |
| `score` of entry, result or prediction | | score; 1 where a prediction has none |
| `data.fps`, `data.fps_num` / `fps_den`; `frame` / `time`; `framesCount` / `duration` | frames a second | frame rate |

Label Studio counts frames at the rate that its labelling interface was given (24 where it was given none), whatever the
video has. So the rate that the entries' `frame` and `time` imply goes before any other that differs by more than 1 %.

Of several annotations of a task the one marked `ground_truth` is read, else the last that was not cancelled, or that of
one annotator. Predictions are read where the file holds no annotation at all, or on request.

Kept: boxes, persons, classes, scores, interpolation, clip labels, and what is known of the videos (in `data`). Lost
when written: key-frames without boxes, clips without a label, `is_cc`, times between frames; the split of a clip
becomes that of its video, and a row that comes twice comes once. Interpolated boxes are not written where the line
gives them; the others become entries.
Lost when read: other annotators' answers, other kinds of results (text, ratings, polygons), lead times, comments.

`label_studio_config` makes the labelling interface that the written tasks belong to.

Source: labelstud.io, task format, tags Video, VideoRectangle and TimelineLabels; HumanSignal/label-studio,
editor/src/regions/{VideoRegion,VideoRectangleRegion,TimelineRegion}.js; HumanSignal/label-studio-sdk at 116864b,
label_studio_tools/postprocessing/video.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import polars as pl

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    frame_times_us,
    shaped,
)
from gesta.formats.clip_labels import with_class_ids
from gesta.formats.json_values import integer_of, list_of, number_of, object_of, read_json, text_of
from gesta.formats.key_boxes import fill_frames, hulls_of_turned
from gesta.formats.label_studio_write import label_studio_config, write_label_studio
from gesta.schema import BadInput

__all__ = ["Take", "label_studio_config", "read_label_studio", "write_label_studio"]

Take = Literal["auto", "annotations", "predictions", "all"]
"""What of each task is read; `auto` = predictions where no task of the file has an annotation."""

MAX_FRAME = 1_000_000_000
"""Source: ours; more than a year at 30 frames a second."""

MAX_PERCENT = 1e9
"""Source: ours. No corner lies farther out."""

_COMMON_RATES = (*map(Fraction, (10, 12, 15, 24, 25, 30, 48, 50, 60, 120)), *(Fraction(n, 1001) for n in (
    12000, 15000, 24000, 30000, 60000, 120000)))  # fmt: skip
_PERSON = re.compile(r"person:(-?[0-9]{1,18})(?::[0-9]+)?\Z")
_NO_PERSON = re.compile(r"box:[0-9]+\Z")
_UPLOAD = re.compile(r"[0-9a-f]{8}-")
_FACTS = ("width_px", "height_px", "fps_num", "fps_den", "num_frames", "duration_us")


@dataclass(slots=True)
class _Region:
    """One track: entries as rows of frame, x, y, width, height, turn, enabled, auto, score."""

    where: str
    video: int
    region_id: str
    labels: list[str]
    entries: list[tuple[int, float, float, float, float, float, bool, bool, float | None]]
    num_frames: int
    clock: list[tuple[int, float]]
    person_id: int | None = None


@dataclass(slots=True)
class _Range:
    video: int
    first: int | None
    last: int | None
    labels: list[str]
    score: float | None


@dataclass(slots=True)
class _Found:
    """What the tasks hold, before frames become times."""

    videos: list[dict[str, Any]] = field(default_factory=list)
    regions: list[_Region] = field(default_factory=list)
    ranges: list[_Range] = field(default_factory=list)
    rates: list[Fraction | None] = field(default_factory=list)


def read_label_studio(
    path: Path, *, context: Context = Context(), take: Take = "auto", annotator: int | str | None = None
) -> Annotations:
    """The boxes, persons, classes and clip labels of a Label Studio export.

    Args:
        path: the JSON file.
        context: the label map that numbers the classes; frame rates and sizes, where the file says none.
        take: annotations, predictions (with scores) or both.
        annotator: read this one's annotations only: `completed_by`, or its email; None = as the file is marked.
    Raises:
        BadInput: there is no such file, something in it is not what it must be, a video has no frame rate, or a class
            is not in the label map.
        BadRow: it is no JSON.
    """
    document = read_json(path)
    tasks = [document] if isinstance(document, dict) else list_of(document, where=str(path))
    checked = [object_of(task, where=f"{path}: [{number}]") for number, task in enumerate(tasks)]
    if take == "auto":
        take = "annotations" if any(task.get("annotations") for task in checked) else "predictions"
    found = _Found()
    for number, task in enumerate(checked):
        _read_task(task, found, context=context, take=take, annotator=annotator, where=f"{path}: [{number}]")
    videos = pl.DataFrame(found.videos, schema=VIDEO_COLUMNS, orient="row")
    double = videos.filter(pl.col("video_id").is_duplicated())
    if double.height:
        problem = f"two tasks are about video {double['video_id'][0]!r}"
        raise BadInput(problem, where=path, mend="Keep one of them, or name the videos differently (data.video_id)")
    clips, boxes = _clips(found, path=path), _boxes(found, path=path)
    names = pl.concat([boxes["label"], clips["label"]])
    ids, label_map = with_class_ids(names, context=context, path=path)
    return Annotations(
        videos=videos,
        clips=shaped(clips.with_columns(ids[boxes.height :].alias("class_id")), CLIP_COLUMNS),
        boxes=shaped(boxes.with_columns(ids[: boxes.height].alias("class_id")), BOX_COLUMNS),
        label_map=label_map,
    )


def _read_task(
    task: dict[str, Any], found: _Found, *, context: Context, take: Take, annotator: int | str | None, where: str
) -> None:
    data = object_of(task.get("data"), where=f"{where}.data")
    row = _video(data, context=context, where=f"{where}.data")
    number = len(found.videos)
    found.videos.append(row)
    first = len(found.regions)
    known = frozenset(()) if context.label_map is None else frozenset(context.label_map["name"])
    if take in ("annotations", "all"):
        given = list_of(task.get("annotations") or [], where=f"{where}.annotations")
        chosen = _chosen(given, annotator=annotator, where=f"{where}.annotations")
        if chosen is not None:
            place, annotation = chosen
            _read_results(annotation, found, video=number, is_guess=False, known=known, where=place)
    if take in ("predictions", "all"):
        for i, guess in enumerate(list_of(task.get("predictions") or [], where=f"{where}.predictions")):
            place = f"{where}.predictions[{i}]"
            checked = object_of(guess, where=place)
            _read_results(checked, found, video=number, is_guess=True, known=known, where=place)
    regions = found.regions[first:]
    _number_persons(regions)
    found.rates.append(_rate(row, regions))
    if row["fps_num"] is None and found.rates[-1] is not None:
        row["fps_num"], row["fps_den"] = found.rates[-1].numerator, found.rates[-1].denominator
    if row["num_frames"] is None and any(region.num_frames for region in regions):
        row["num_frames"] = max(region.num_frames for region in regions)


def _video(data: dict[str, Any], *, context: Context, where: str) -> dict[str, Any]:
    texts = [value for value in data.values() if isinstance(value, str) and value]
    link = data.get("video") if isinstance(data.get("video"), str) else next(iter(texts), "")
    given_id = data.get("video_id")
    known = () if context.videos is None else context.videos["video_id"].to_list()
    stem = _stem(str(link))
    video_id = text_of(stem if given_id is None else given_id, where=f"{where}.video_id")
    row: dict[str, Any] = dict.fromkeys(VIDEO_COLUMNS)
    row.update({
        name: None if data.get(name) is None else integer_of(data[name], where=f"{where}.{name}") for name in _FACTS
    })  # fmt: skip
    row.update({
        name: None if data.get(name) is None else text_of(data[name], where=f"{where}.{name}")
        for name in ("path", "split", "url")
    })  # fmt: skip
    row["video_id"] = video_id
    if row["fps_num"] is None and data.get("fps") is not None:
        rate = _snapped(number_of(data["fps"], where=f"{where}.fps"))
        row["fps_num"], row["fps_den"] = (None, None) if rate is None else (rate.numerator, rate.denominator)
    if video_id in known and context.videos is not None:
        more = shaped(context.videos, VIDEO_COLUMNS).filter(pl.col("video_id") == video_id).row(0, named=True)
        for names in (("width_px", "height_px"), ("fps_num", "fps_den")):
            if any(row[name] is None for name in names):
                row.update({name: more[name] for name in names})
    return row


def _stem(link: str) -> str:
    """The name of the file that a link names, without its ending and without the prefix of an upload.

    >>> (
    ...     _stem("/data/upload/3/0a1b2c3d-v00.mp4?x=1"),
    ...     _stem("/data/local-files/?d=films/v00.mp4"),
    ...     _stem("s3://b/v0.mkv"),
    ... )
    ('v00', 'v00', 'v0')
    """
    try:
        parts = urlsplit(link)
        inner = parse_qs(parts.query).get("d", [""])[0]
    except ValueError:
        return link
    name = PurePosixPath(inner or unquote(parts.path)).stem
    return _UPLOAD.sub("", name, count=1) if "/data/upload/" in link else name or link


def _chosen(annotations: list[Any], *, annotator: int | str | None, where: str) -> tuple[str, dict[str, Any]] | None:
    """Place and value of the annotation that counts, None where none does."""
    best: tuple[tuple[bool, str, int], str, dict[str, Any]] | None = None
    for number, value in enumerate(annotations):
        place = f"{where}[{number}]"
        annotation = object_of(value, where=place)
        who = annotation.get("completed_by")
        names = [who.get("id"), who.get("email")] if isinstance(who, dict) else [who]
        is_wanted = annotator is None or str(annotator) in [str(name) for name in names if isinstance(name, str | int)]
        if annotation.get("was_cancelled") is True or not is_wanted:
            continue
        made = annotation.get("updated_at") or annotation.get("created_at")
        rank = (annotation.get("ground_truth") is True, made if isinstance(made, str) else "", number)
        if best is None or rank > best[0]:
            best = (rank, place, annotation)
    return None if best is None else best[1:]


def _read_results(
    annotation: dict[str, Any], found: _Found, *, video: int, is_guess: bool, known: frozenset[str], where: str
) -> None:
    results = list_of(annotation.get("result") or [], where=f"{where}.result")
    overall = annotation.get("score")
    by_id: dict[str, _Region | list[_Range]] = {}
    loose: list[tuple[str, list[str], bool, float | None]] = []
    for number, value in enumerate(results):
        place = f"{where}.result[{number}]"
        result = object_of(value, where=place)
        # Relations between regions have no value.
        content = object_of({} if result.get("value") is None else result["value"], where=f"{place}.value")
        given_kind = result.get("type")
        kind = given_kind if isinstance(given_kind, str) else ""
        given_id = result.get("id")
        region_id = str(given_id) if isinstance(given_id, str | int) else f"#{number}"
        own = result.get("score")
        score = _score(overall if own is None else own, is_guess=is_guess, where=f"{place}.score")
        if isinstance(content.get("sequence"), list):
            region = _region(content, video=video, region_id=region_id, score=score, where=f"{place}.value")
            found.regions.append(region)
            by_id[region_id] = region
        elif isinstance(content.get("ranges"), list):
            labels = _labels(content.get("timelinelabels") or content.get("labels"), where=f"{place}.value")
            ranges = _ranges(content["ranges"], video=video, labels=labels, score=score, where=f"{place}.value.ranges")
            found.ranges += ranges
            by_id[region_id] = ranges
        elif isinstance(content.get("choices"), list) or isinstance(content.get(kind), list):
            names = _labels(content.get("choices") or content.get(kind), where=f"{place}.value", is_strict=False)
            loose.append((region_id, names, kind == "choices", score))
    for region_id, names, is_choice, score in loose:
        home = by_id.get(region_id)
        if isinstance(home, _Region):
            home.labels = names
        elif home is not None:
            for span in home:
                span.labels = names
        elif is_choice:
            found.ranges.append(_Range(video, None, None, names, score))
    for home in by_id.values():
        if isinstance(home, _Region):
            home.labels = [name for name in home.labels if name.lower() != "person" or name in known]


def _score(value: Any, *, is_guess: bool, where: str) -> float | None:
    if not is_guess:
        return None
    return 1.0 if value is None else number_of(value, where=where)


def _labels(value: Any, *, where: str, is_strict: bool = True) -> list[str]:
    if value is None:
        return []
    if not is_strict and not all(isinstance(item, str) for item in value):
        return []
    return [text_of(item, where=f"{where}: a label") for item in list_of(value, where=f"{where}: its labels")]


def _frame(value: Any, *, where: str) -> int:
    frame = number_of(value, where=where)
    if not frame.is_integer() or not 1 <= frame < MAX_FRAME:
        raise BadInput(f"found {value!r}, want the number of a frame", where=where, mend="Frames count from 1")
    return int(frame)


def _bounded(value: Any, *, where: str) -> float:
    number = number_of(value, where=where)
    if abs(number) > MAX_PERCENT:
        raise BadInput(f"found {value!r}, want percent of the frame or degrees", where=where, mend="Want 0 to 100")
    return number


def _region(content: dict[str, Any], *, video: int, region_id: str, score: float | None, where: str) -> _Region:
    entries = []
    frames: set[int] = set()
    clock: list[tuple[int, float]] = []
    for number, value in enumerate(content["sequence"]):
        place = f"{where}.sequence[{number}]"
        entry = object_of(value, where=place)
        frame = _frame(entry.get("frame"), where=f"{place}.frame")
        if frame in frames:
            raise BadInput(f"frame {frame} comes twice", where=place, mend="Keep one box a frame")
        frames.add(frame)
        x, y, width, height = (
            _bounded(entry.get(name), where=f"{place}.{name}") for name in ("x", "y", "width", "height")
        )
        turn = _bounded(entry.get("rotation", 0) or 0, where=f"{place}.rotation")
        own = entry.get("score") if score is not None else None
        entry_score = score if own is None else number_of(own, where=f"{place}.score")
        is_on, is_auto = entry.get("enabled") is not False, entry.get("auto") is True
        if entry.get("time") is not None:
            clock.append((frame, number_of(entry["time"], where=f"{place}.time")))
        entries.append((frame, x, y, width, height, turn, is_on, is_auto, entry_score))
    count = content.get("framesCount")
    num_frames = int(number_of(count, where=f"{where}.framesCount")) if count else 0
    duration = content.get("duration")
    if count and duration:
        # The least certain of the clocks goes last: it counts where no entry has a time.
        clock.append((-1, number_of(duration, where=f"{where}.duration") / max(num_frames, 1)))
    labels = _labels(content.get("labels"), where=where)
    entries.sort(key=lambda entry: entry[0])
    return _Region(where, video, region_id, labels, entries, min(max(num_frames, 0), MAX_FRAME), clock)


def _ranges(values: list[Any], *, video: int, labels: list[str], score: float | None, where: str) -> list[_Range]:
    spans = []
    for number, value in enumerate(values):
        place = f"{where}[{number}]"
        span = object_of(value, where=place)
        first, last = (_frame(span.get(name), where=f"{place}.{name}") for name in ("start", "end"))
        if first > last:
            raise BadInput(f"it ends before it starts ({first}, {last})", where=place, mend="Want start <= end")
        spans.append(_Range(video, first, last, labels, score))
    return spans


def _number_persons(regions: list[_Region]) -> None:
    """Persons as the ids say, where gesta wrote all of them; else numbered in the file's order, from 0."""
    if all(_PERSON.match(region.region_id) or _NO_PERSON.match(region.region_id) for region in regions):
        for region in regions:
            match = _PERSON.match(region.region_id)
            region.person_id = None if match is None else int(match[1])
        return
    numbers: dict[str, int] = {}
    for region in regions:
        region.person_id = numbers.setdefault(region.region_id, len(numbers))


def _snapped(rate: float) -> Fraction | None:
    """The common frame rate within 0.02 % of it, else the nearest fraction with a denominator up to 1001.

    Source: ours. 30 and 30000/1001 differ by 0.1 %.
    """
    if not 0.001 < rate < 10_000:
        return None
    near = min(_COMMON_RATES, key=lambda common: abs(common - Fraction(rate)))
    return near if abs(near - Fraction(rate)) < Fraction(rate) / 5000 else Fraction(rate).limit_denominator(1001)


def _rate(row: dict[str, Any], regions: list[_Region]) -> Fraction | None:
    """Frames a second that the frame numbers of a task count."""
    num, den = row["fps_num"], row["fps_den"]
    said = Fraction(num, den) if num is not None and den is not None and num > 0 and den > 0 else None
    clock = [tick for region in regions for tick in region.clock]
    ticks = sorted({tick for tick in clock if tick[0] > 0 and tick[1] > 0})
    measured: float | None = None
    if len(ticks) > 1 and ticks[-1][0] > ticks[0][0] and ticks[-1][1] > ticks[0][1]:
        measured = (ticks[-1][0] - ticks[0][0]) / (ticks[-1][1] - ticks[0][1])
    elif ticks:
        measured = ticks[-1][0] / ticks[-1][1]
    if measured is not None and (said is None or not abs(measured / float(said) - 1) < 0.01):
        return _snapped(measured) or said
    lengths = [tick[1] for tick in clock if tick[0] == -1 and tick[1] > 0]
    return _snapped(1 / lengths[0]) if said is None and lengths else said


_BOX_PARTS: dict[str, pl.DataType] = {
    "video": pl.Int64(), "frame": pl.Int64(), "x1": pl.Float64(), "y1": pl.Float64(), "x2": pl.Float64(),
    "y2": pl.Float64(), "label": pl.List(pl.String()), "person_id": pl.Int64(), "score": pl.Float64(),
    "is_interpolated": pl.Boolean(),
}  # fmt: skip


def _boxes(found: _Found, *, path: Path) -> pl.DataFrame:
    """The boxes of all regions, frame by frame, one row a class, with `video_id` and `timestamp_us`."""
    rows = [(number, *entry) for number, region in enumerate(found.regions) for entry in region.entries]
    if not rows:
        return _timed(pl.DataFrame(schema=_BOX_PARTS), "frame", "timestamp_us", found, path=path).explode("label")
    region_N = np.array([row[0] for row in rows])
    frames_N = np.array([row[1] for row in rows])
    is_on_N = np.array([row[7] for row in rows])
    corners_N4 = _corners(found, rows)
    try:
        filled = fill_frames(
            frames_N,
            corners_N4,
            track_N=region_N,
            is_shown_N=np.ones(len(rows), dtype=bool),
            goes_on_N=is_on_N,
            last_frame_N=np.array([found.regions[number].num_frames or -1 for number in region_N]),
            step_N=np.ones(len(rows), dtype=np.int64),
        )
    except BadInput as error:
        raise BadInput(error.problem, where=path, mend=error.mend) from error
    source_M = filled.source_M
    region_M = region_N[source_M]
    own = pl.DataFrame(
        [(region.video, region.labels if region.labels else [None], region.person_id) for region in found.regions],
        schema={name: _BOX_PARTS[name] for name in ("video", "label", "person_id")},
        orient="row",
    )[region_M]
    boxes = pl.DataFrame(
        {
            "video": own["video"],
            "frame": filled.frames_M - 1,
            **dict(zip(("x1", "y1", "x2", "y2"), np.round(filled.boxes_M4, 12).T, strict=True)),
            "label": own["label"],
            "person_id": own["person_id"],
            "score": pl.Series([row[9] for row in rows], dtype=pl.Float64())[source_M],
            "is_interpolated": filled.is_between_M | np.array([row[8] for row in rows])[source_M],
        },
        schema=_BOX_PARTS,
    )
    return _timed(boxes, "frame", "timestamp_us", found, path=path).explode("label")


def _corners(found: _Found, rows: list[tuple[Any, ...]]) -> np.ndarray:
    """Float [N, 4]: corners as fractions; a turned box becomes the upright one around it."""
    percent_N4 = np.array([row[2:6] for row in rows], dtype=float)
    corners_N4 = np.concatenate([percent_N4[:, :2], percent_N4[:, :2] + percent_N4[:, 2:]], axis=1) / 100
    turn_N = np.array([row[6] for row in rows], dtype=float)
    if turn_N.any():
        sizes = []
        for row in rows:
            region = found.regions[row[0]]
            video = found.videos[region.video]
            size = (video["width_px"] or 0, video["height_px"] or 0)
            if row[6] and min(size) < 1:
                raise BadInput(
                    f"a box is turned, and nothing says how large video {video['video_id']!r} is",
                    where=region.where,
                    mend="Give a table of videos with width_px and height_px (--videos)",
                )
            sizes.append((max(size[0], 1), max(size[1], 1)))
        # Label Studio turns about the upper left corner, on the screen and not in percent.
        size_N4 = np.tile(np.array(sizes, dtype=float), 2)
        pixels_N4 = corners_N4 * size_N4
        corners_N4 = hulls_of_turned(pixels_N4, turn_deg_N=turn_N, pivots_N2=pixels_N4[:, :2]) / size_N4
    return corners_N4


def _timed(frame: pl.DataFrame, number: str, time: str, found: _Found, *, path: Path) -> pl.DataFrame:
    """The rows with `video_id` and the time at which the frame `number` (from 0, may be null) begins."""
    for video in frame.drop_nulls(number)["video"].unique().sort():
        rate = found.rates[video]
        if rate is None or rate.numerator >= 10**9 or rate.denominator >= 4000:
            raise BadInput(
                f"Label Studio counts frames, and nothing says how many a second video "
                f"{found.videos[video]['video_id']!r} has",
                where=path,
                mend="Give a table of videos with fps_num and fps_den (--videos)",
            )
    rates = pl.DataFrame(
        [
            (video, row["video_id"], rate and rate.numerator, rate and rate.denominator)
            for video, (row, rate) in enumerate(zip(found.videos, found.rates, strict=True))
        ],
        schema={"video": pl.Int64(), "video_id": pl.String(), "fps_num": pl.Int64(), "fps_den": pl.Int64()},
        orient="row",
    )
    begins = frame_times_us(pl.col(number), fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den"))
    known = [name for name in rates.columns if name == "video" or name not in frame.columns]
    return frame.join(rates.select(known), on="video", how="left", maintain_order="left").with_columns(
        begins.alias(time)
    )


def _clips(found: _Found, *, path: Path) -> pl.DataFrame:
    """One row a range and label, with `video_id`, `start_us` and `end_us`; both null for the whole file."""
    rows = [
        (span.video, None if span.first is None else span.first - 1, span.last, name, span.score)
        for span in found.ranges
        for name in (span.labels or (None,))
    ]
    schema = {"video": pl.Int64(), "from": pl.Int64(), "stop": pl.Int64(), "label": pl.String(), "score": pl.Float64()}
    spans = pl.DataFrame(rows, schema=schema, orient="row")
    starts = _timed(spans, "from", "start_us", found, path=path)
    return _timed(starts, "stop", "end_us", found, path=path)
