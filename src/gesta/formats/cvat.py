"""CVAT for video XML 1.1: what the annotation tool CVAT exports and imports, both ways.

One file is one task, and a task is one video. Each person is a `track`; its boxes are in pixels and frames count from
0. A box with `keyframe="1"` was drawn by somebody, one with `keyframe="0"` lies on the line between, one with
`outside="1"` says that the track is not seen from there on. People who label actions in CVAT give a label `person` one
checkbox per action, which may change from frame to frame (`mutable`); so one person can do several things at once:

    <annotations>
      <version>1.1</version>
      <meta>
        <task>
          <name>v00</name> <size>75</size> <mode>interpolation</mode>
          <labels><label><name>person</name><type>rectangle</type><attributes>
            <attribute><name>walk</name><mutable>True</mutable><input_type>checkbox</input_type> ... </attribute>
          </attributes></label></labels>
          <original_size><width>320</width><height>240</height></original_size>
          <frame_rate>25/1</frame_rate>
        </task>
      </meta>
      <track id="0" label="person">
        <box frame="3" keyframe="1" outside="0" occluded="0" xtl="24.64" ytl="48.00" xbr="120.50" ybr="216.00">
          <attribute name="walk">true</attribute>
        </box>
        <box frame="4" keyframe="1" outside="1" ...>
      </track>
    </annotations>

| name | unit | what |
|---|---|---|
| `video_id`, else `source` without its ending, else `name`, else the file's name | | video id; `video_id` is ours |
| `size`, `original_size` | frames, pixels | of the video |
| `frame_rate` | frames a second | ours; CVAT leaves it out, and then it is taken from the table of videos |
| `track id` | | `person_id` |
| `frame` | frames from 0 | time: when the frame begins, at the frame rate |
| `xtl ytl xbr ybr` | pixels | the box, divided by `original_size`; written with up to six decimals |
| `keyframe="0"`, or between key frames | | `is_interpolated` |
| `attribute` that is `true` | | class; a box without any is a person without an action |
| `tag` in an `image` | | clip label: from the first to the last of the frames in a row that have it |

Read too: files with key frames only (the frames between are put on the line, and a track that no outside box ends goes
on to the task's last frame, as CVAT shows it), the plain way (label = action), attributes `action` with a list of
choices, immutable attributes, tasks that take every n-th frame, jobs, `CVAT for images` of a video (`image` with `box`
and `tag`, no `person_id`), a project's file with several tasks, and a folder with one file a video. A turned box
becomes the upright box around it.

Kept: boxes, persons, actions, interpolation, clip labels on whole frames, sizes, rates, split (`subset`), path
(`source`). Lost when written: scores, key-frames without boxes, clips without a label, `is_cc`, times between frames
(the nearest frame is taken), rows that come twice, the split of a clip (it becomes its video's), and where clips of
one class touch; a clip over the whole video is read as the whole file. Persons without a number get one. An
interpolated box that does not lie on the line between its key frames is written as a key frame, since CVAT would move
it. Lost when read: polygons, points, skeletons, masks and other shapes,
`occluded`, `z_order`, groups, other attributes.

To import a file, CVAT wants a task with the same labels: `cvat_labels` makes them for its raw label editor, and a
folder gets them as `labels.json`.

Source: docs.cvat.ai, XML annotation format 1.1; cvat-ai/cvat at a01a8a8, `dataset_manager/formats/cvat.py` (`load_anno`
reads, `dump_as_cvat_interpolation` writes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import polars as pl

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    frame_times_us,
    numbered_labels,
    shaped,
)
from gesta.formats.clip_labels import with_class_ids
from gesta.formats.cvat_write import cvat_labels, write_cvat
from gesta.formats.cvat_xml import (
    CvatBox,
    CvatFile,
    CvatImage,
    CvatTask,
    CvatTrack,
    parse_cvat,
    rate_of,
    step_of,
    whole_of,
)
from gesta.formats.key_boxes import fill_frames, hulls_of_turned
from gesta.schema import BadInput, BadRow

__all__ = ["Actions", "cvat_labels", "read_cvat", "write_cvat"]

Actions = Literal["auto", "attributes", "labels"]
"""Where a file says the action: in a label's attributes, in the label itself, or as it looks (`auto`)."""

_NO_VALUES = frozenset({"", "none", "false", "__undefined__"})
_MAX_TICKS = 4 * 10**12
"""Frame number times the denominator of the rate; below it, times fit 64 bits. Source: ours."""

_Columns = dict[str, list[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Video:
    """One task as a video: a row of `VIDEO_COLUMNS`, and how its frames run."""

    row: dict[str, object]
    step: int
    start_frame: int
    stop_frame: int | None
    line: int


def read_cvat(path: Path, *, context: Context = Context(), actions: Actions = "auto") -> Annotations:
    """The boxes, persons, actions and clip labels of a CVAT XML file, or of all `.xml` files of a folder.

    Args:
        path: a file, or a folder with one file a video.
        context: the label map that numbers the actions, and the frame rates (CVAT does not say them).
        actions: `attributes` = a checked box or a choice is the action; `labels` = the label is; `auto` = attributes
            where a label has any that name actions (with a label map: that are in it), else the label.
    Raises:
        BadInput: there is no such file, a video has no frame rate or size, or an action is not in the label map.
        BadRow: it is no well-formed XML of CVAT's, or an element lacks something or says no number.
    """
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise BadInput(
            "the folder holds no .xml file", where=path, mend="Name a file that CVAT exported, or its folder"
        )
    known = None if context.label_map is None else frozenset(context.label_map["name"])
    parts = [_read_file(file, context=context, actions=actions, known=known) for file in files]
    names: list[str] = [name for part in parts for name in part.names]
    boxes, clips = pl.concat([part.boxes for part in parts]), pl.concat([part.clips for part in parts])
    videos = pl.concat([part.videos for part in parts])
    double = videos.filter(pl.col("video_id").is_duplicated())
    if double.height:
        raise BadInput(
            f"video {double['video_id'][0]!r} comes twice",
            where=path,
            mend="Keep one file a video: two jobs of one task share its video",
        )
    label_map = numbered_labels(pl.concat([pl.Series(names, dtype=pl.String), boxes["label"], clips["label"]]))
    box_ids, label_map = with_class_ids(
        boxes["label"], context=context, path=path, label_map=label_map, lines=boxes["line"], files=boxes["file"]
    )
    clip_ids, _ = with_class_ids(clips["label"], context=context, path=path, label_map=label_map)
    return Annotations(
        videos=videos,
        clips=shaped(clips.with_columns(clip_ids.alias("class_id")), CLIP_COLUMNS),
        boxes=shaped(boxes.with_columns(box_ids.alias("class_id")), BOX_COLUMNS),
        label_map=label_map,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    videos: pl.DataFrame
    boxes: pl.DataFrame
    clips: pl.DataFrame
    names: list[str]


def _read_file(path: Path, *, context: Context, actions: Actions, known: frozenset[str] | None) -> _Part:
    found = parse_cvat(path)
    rule = _Rule(found, actions=actions, known=known, path=path)
    if not found.tasks:
        found.tasks.append(CvatTask(line=1))
    videos = [_video(task, found, context=context, path=path) for task in found.tasks]
    by_id = {task.texts.get("id", "").strip(): number for number, task in enumerate(found.tasks)}
    tracks = _track_boxes(found.tracks, videos, by_id, rule, path=path)
    images = _image_boxes(found.images, videos, by_id, rule, path=path)
    boxes = _timed(pl.concat([tracks, images]), videos, path=path)
    clips = _clips(found.images, videos, by_id, rule, path=path)
    # A file without boxes and tags, whose task has no name, names no video.
    is_empty = not found.tracks and not found.images
    has_name = [any(task.texts.get(name) for name in ("video_id", "source", "name")) for task in found.tasks]
    rows = [video.row for video, is_named in zip(videos, has_name, strict=True) if is_named or not is_empty]
    return _Part(
        videos=pl.DataFrame(rows, schema=VIDEO_COLUMNS, orient="row") if rows else pl.DataFrame(schema=VIDEO_COLUMNS),
        boxes=boxes.explode("label").with_columns(pl.lit(str(path)).alias("file")),
        clips=clips,
        names=rule.action_names(),
    )


class _Rule:
    """What a label and the values of its attributes say is done."""

    def __init__(self, found: CvatFile, *, actions: Actions, known: frozenset[str] | None, path: Path) -> None:
        self.found, self.actions, self.known, self.path = found, actions, known, path

    def _is_action(self, name: str) -> bool:
        return self.known is None or name in self.known

    def _by_attributes(self, label: str, values: Mapping[str, str]) -> bool:
        if self.actions != "auto":
            return self.actions == "attributes"
        kinds = self.found.attributes.get(label, {})
        if any(kind == "checkbox" and self._is_action(name) for name, kind in kinds.items()):
            return True
        if self.known is not None and label in self.known:
            return False
        return "action" in kinds or "action" in values or any(
            value in ("true", "false") and self._is_action(name) for name, value in values.items()
        )  # fmt: skip

    def labels_of(self, label: str, values: Mapping[str, str]) -> list[str | None]:
        """Names of the actions, or one None where there is none."""
        if not self._by_attributes(label, values):
            is_bare = label.lower() == "person" and (self.known is None or label not in self.known)
            return [None if is_bare else label]
        kinds = self.found.attributes.get(label, {})
        given = {**self.found.defaults.get(label, {}), **values}
        done: list[str | None] = []
        for name, value in given.items():
            is_box = value in ("true", "false") if name not in kinds else kinds[name] == "checkbox"
            if is_box:
                if value == "true" and (self._is_action(name) or self.actions == "attributes"):
                    done.append(name)
            elif value.lower() not in _NO_VALUES and (name == "action" if self.known is None else value in self.known):
                done.append(value)
        return done or [None]

    def action_names(self) -> list[str]:
        """The actions that the labels of the file offer, whether or not they are used."""
        names: list[str] = []
        for label in self.found.labels:
            if self._by_attributes(label, {}):
                kinds = self.found.attributes[label]
                names += [name for name, kind in kinds.items() if kind == "checkbox" and self._is_action(name)]
            elif label.lower() != "person" and self._is_action(label):
                names.append(label)
        return names


def _video(task: CvatTask, found: CvatFile, *, context: Context, path: Path) -> _Video:
    for name, text in found.size_texts.items():
        task.texts.setdefault(name, text)
    video_id = _video_id(task, context=context, path=path)
    width, height = (whole_of(task, name, path=path, least=1) for name in ("width", "height"))
    size, step = whole_of(task, "size", path=path), step_of(task)
    start, stop = (whole_of(task, name, path=path) for name in ("start_frame", "stop_frame"))
    if stop is None and size:
        stop = (start or 0) + (size - 1) * step
    is_whole = step == 1 and not start and size and stop == size - 1
    rate = rate_of(task, path=path)
    duration_us = task.texts.get("duration_us", "").strip()
    row: dict[str, object] = {
        "video_id": video_id, "path": task.texts.get("source") or None, "split": task.texts.get("subset") or None,
        "width_px": width, "height_px": height, "fps_num": rate and rate[0], "fps_den": rate and rate[1],
        "num_frames": size if is_whole else None,
        "duration_us": int(duration_us) if duration_us.isdecimal() and len(duration_us) < 18 else None,
        "url": task.texts.get("url") or None,
    }  # fmt: skip
    if context.videos is not None:
        given = shaped(context.videos, VIDEO_COLUMNS).filter(pl.col("video_id") == video_id).head(1).to_dicts()
        pairs = (("width_px", "height_px"), ("fps_num", "fps_den"))
        for names in pairs if given else ():
            if row[names[0]] is None or row[names[1]] is None:
                row.update({name: given[0][name] for name in names})
    return _Video(row=row, step=step, start_frame=start or 0, stop_frame=stop, line=task.line)


def _video_id(task: CvatTask, *, context: Context, path: Path) -> str:
    if "video_id" in task.texts:
        return task.texts["video_id"]
    source, name = PurePosixPath(task.texts.get("source", "").strip()).stem, task.texts.get("name", "").strip()
    there = [text for text in (source, name, path.stem) if text]
    known = () if context.videos is None else context.videos["video_id"].to_list()
    return next((text for text in there if text in known), there[0])


def _home(task_id: str | None, by_id: Mapping[str, int], *, line: int, path: Path) -> int:
    if task_id is None:
        return 0
    if task_id.strip() not in by_id:
        raise BadRow(f"there is no task {task_id[:40]!r} in <meta>", path=path, line=line, mend="Export the file again")
    return by_id[task_id.strip()]


_BOX_PARTS: dict[str, pl.DataType] = {
    "home": pl.Int64(), "frame": pl.Int64(), "x1": pl.Float64(), "y1": pl.Float64(), "x2": pl.Float64(),
    "y2": pl.Float64(), "label": pl.List(pl.String()), "person_id": pl.Int64(), "is_interpolated": pl.Boolean(),
    "line": pl.Int64(),
}  # fmt: skip


def _track_boxes(
    tracks: list[CvatTrack], videos: list[_Video], by_id: Mapping[str, int], rule: _Rule, *, path: Path
) -> pl.DataFrame:
    """The shown boxes of all tracks, frame by frame, as fractions."""
    boxes: list[CvatBox] = []
    sets: dict[tuple[str | None, ...], int] = {}
    set_numbers: list[int] = []
    numbers: list[int] = []
    homes: list[int] = []
    for number, track in enumerate(tracks):
        home = _home(track.task_id, by_id, line=track.line, path=path)
        values: dict[str, str] = {}
        last, done = -1, -1
        for box in sorted(track.boxes, key=lambda box: box.frame):
            if box.frame == last:
                raise BadRow(f"frame {last} comes twice in this track", path=path, line=box.line, mend="Keep one box")
            last = box.frame
            # An attribute that a box does not repeat is as in the box before.
            if done < 0 or box.values:
                values.update(box.values)
                done = sets.setdefault(tuple(rule.labels_of(track.label, values)), len(sets))
            boxes.append(box)
            set_numbers.append(done)
            numbers.append(number)
            homes.append(home)
    if not boxes:
        return pl.DataFrame(schema=_BOX_PARTS)
    size_N2 = np.array([_size(videos[home], line=box.line, path=path) for home, box in zip(homes, boxes, strict=True)])
    is_outside_N = np.array([box.is_outside for box in boxes])
    is_key_N = np.array([box.is_key for box in boxes])
    stops = [-1 if (stop := videos[home].stop_frame) is None else stop for home in homes]
    try:
        filled = fill_frames(
            np.array([box.frame for box in boxes]),
            _upright_px(boxes) / np.tile(size_N2, 2),
            track_N=np.array(numbers),
            is_shown_N=~is_outside_N,
            goes_on_N=~is_outside_N,
            last_frame_N=np.where(is_key_N, np.array(stops), -1),
            step_N=np.array([videos[home].step for home in homes]),
        )
    except BadInput as error:
        raise BadInput(error.problem, where=path, mend=error.mend) from error
    source_M = filled.source_M
    return pl.DataFrame(
        {
            "home": np.array(homes)[source_M],
            "frame": filled.frames_M,
            **dict(zip(("x1", "y1", "x2", "y2"), filled.boxes_M4.T, strict=True)),
            "label": pl.Series(list(map(list, sets)), dtype=pl.List(pl.String()))[np.array(set_numbers)[source_M]],
            "person_id": np.array([track.track_id for track in tracks])[np.array(numbers)[source_M]],
            "is_interpolated": filled.is_between_M | ~is_key_N[source_M],
            "line": np.array([box.line for box in boxes])[source_M],
        },
        schema=_BOX_PARTS,
    )


def _size(video: _Video, *, line: int, path: Path) -> tuple[int, int]:
    width, height = video.row["width_px"], video.row["height_px"]
    if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
        raise BadRow(
            f"boxes are in pixels, and nothing says how large video {video.row['video_id']!r} is",
            path=path,
            line=line,
            mend="Write <original_size> into <meta>, or give a table of videos with width_px and height_px (--videos)",
        )
    return width, height


def _upright_px(boxes: list[CvatBox]) -> np.ndarray:
    """Float [N, 4]: the upright boxes around the turned ones; CVAT turns about the middle."""
    corners_N4 = np.array([box.corners_px for box in boxes])
    turn_N = np.array([box.turn_deg for box in boxes])
    if not turn_N.any():
        return corners_N4
    middles_N2 = (corners_N4[:, :2] + corners_N4[:, 2:]) / 2
    return hulls_of_turned(corners_N4, turn_deg_N=turn_N, pivots_N2=middles_N2)


def _image_boxes(
    images: list[CvatImage], videos: list[_Video], by_id: Mapping[str, int], rule: _Rule, *, path: Path
) -> pl.DataFrame:
    """The boxes of all images, as fractions."""
    boxes = [box for image in images for _, box in image.boxes]
    if not boxes:
        return pl.DataFrame(schema=_BOX_PARTS)
    homes, sizes = [], []
    for image in images:
        home = _home(image.task_id, by_id, line=image.line, path=path)
        homes += [home] * len(image.boxes)
        if image.boxes:
            sizes += [image.size_px or _size(videos[home], line=image.line, path=path)] * len(image.boxes)
    corners_N4 = _upright_px(boxes) / np.tile(np.array(sizes), 2)
    return pl.DataFrame(
        {
            "home": homes,
            "frame": [image.frame for image in images for _ in image.boxes],
            **dict(zip(("x1", "y1", "x2", "y2"), corners_N4.T, strict=True)),
            "label": [rule.labels_of(label, box.values) for image in images for label, box in image.boxes],
            "person_id": [None] * len(boxes),
            "is_interpolated": [False] * len(boxes),
            "line": [box.line for box in boxes],
        },
        schema=_BOX_PARTS,
    )


def _timed(boxes: pl.DataFrame, videos: list[_Video], *, path: Path) -> pl.DataFrame:
    """The boxes with `video_id` and `timestamp_us`."""
    homes = _homes(videos, used=set(boxes["home"]), path=path)
    _refuse_ticks(boxes.join(homes, on="home", how="left").select("frame", "fps_den"), path=path)
    time = frame_times_us(pl.col("frame"), fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den"))
    return boxes.join(homes, on="home", how="left", maintain_order="left").with_columns(time.alias("timestamp_us"))


def _refuse_ticks(frames: pl.DataFrame, *, path: Path) -> None:
    if frames.filter(pl.col("frame") > _MAX_TICKS // pl.col("fps_den")).height:
        raise BadInput(
            "a frame number is too great for the frame rate", where=path, mend="Reduce fps_num and fps_den by division"
        )


def _homes(videos: list[_Video], *, used: set[int], path: Path) -> pl.DataFrame:
    """Columns `home`, `video_id`, `fps_num`, `fps_den`; those in use have a rate."""
    for home in sorted(used):
        row = videos[home].row
        if any(
            not isinstance(row[name], int) or not 0 < int(str(row[name])) < 10**9 for name in ("fps_num", "fps_den")
        ):
            raise BadInput(
                f"CVAT counts frames, and nothing says how many a second video {row['video_id']!r} has",
                where=path,
                mend="Give a table of videos with fps_num and fps_den (--videos)",
            )
    columns = ("video_id", "fps_num", "fps_den")
    schema = {"home": pl.Int64(), **{name: VIDEO_COLUMNS[name] for name in columns}}
    rows = [{"home": home, **{name: video.row[name] for name in columns}} for home, video in enumerate(videos)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _clips(
    images: list[CvatImage], videos: list[_Video], by_id: Mapping[str, int], rule: _Rule, *, path: Path
) -> pl.DataFrame:
    """One clip for each stretch of frames in a row that have one tag."""
    rows = [
        (_home(image.task_id, by_id, line=image.line, path=path), image.frame, name)
        for image in images
        for label, values in image.tags
        for name in rule.labels_of(label, values)
    ]
    schema = {"home": pl.Int64(), "frame": pl.Int64(), "label": pl.String()}
    tags = pl.DataFrame(rows, schema=schema, orient="row").drop_nulls("label").unique(maintain_order=True)
    homes = _homes(videos, used=set(tags["home"]), path=path).with_columns(
        pl.Series("step", [video.step for video in videos], dtype=pl.Int64()),
        pl.Series("first", [video.start_frame for video in videos], dtype=pl.Int64()),
        pl.Series("stop", [video.stop_frame for video in videos], dtype=pl.Int64()),
    )
    tags = tags.join(homes, on="home", how="left").sort("home", "label", "frame")
    _refuse_ticks(tags.select("frame", "fps_den"), path=path)
    keys = ["home", "label"]
    is_new = (pl.col("frame") - pl.col("frame").shift().over(keys) != pl.col("step")).fill_null(value=True)
    runs = tags.with_columns(is_new.cum_sum().alias("run")).group_by("run", maintain_order=True).agg(
        pl.col("video_id", "label", "home", "step", "first", "stop", "fps_num", "fps_den").first(),
        pl.col("frame").min().alias("from"),
        pl.col("frame").max().alias("to"),
    )  # fmt: skip
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    is_whole = (pl.col("from") <= pl.col("first")) & (pl.col("to") >= pl.col("stop"))
    is_whole = is_whole.fill_null(value=False)
    start, end = frame_times_us(pl.col("from"), **rate), frame_times_us(pl.col("to") + pl.col("step"), **rate)
    return runs.sort("home", "from", "label").select(
        "video_id",
        pl.when(~is_whole).then(start).alias("start_us"),
        pl.when(~is_whole).then(end).alias("end_us"),
        "label",
    )
