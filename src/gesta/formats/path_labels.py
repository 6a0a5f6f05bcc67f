"""Lists of `path label` lines, as PySlowFast and MMAction2 train from: one video file or folder of frames a line.

```
abseiling/0wR5jVB-WPk_000417_000427.mp4 0
air_drumming/-VtLx-mcPds_000012_000022.mp4 1
```

| layout | line | of |
|---|---|---|
| `videos` | `path label` | PySlowFast, MMAction2's VideoDataset |
| `frames` | `folder num_frames label` | MMAction2's RawframeDataset |
| `offsets` | `folder first_frame num_frames label` | the same with `with_offset`, frames counted from 0 |

| name | unit | what |
|---|---|---|
| path | | of the file or folder, relative to a root that the list does not say |
| label | | class id from 0, kept as published; `-1` or nothing: no label (MMAction2's test lists) |
| num_frames | frames | of the video; in `offsets` of the clip |

Labels here count from 0. Where a label map numbers its classes 1, 2, 3 ... without a gap, as plain lists of names and
UCF-101's do, label 0 is therefore class 1, in reading (the context's map) and in writing (the annotations' or the
context's); otherwise label and class id are one. `label_shift` says it outright.

Several labels on one line (MMAction2's `multi_class`) are read with `multi_label=True` only, since a third column
means `num_frames` elsewhere and PySlowFast passes over it. The separator is one character: a blank, or what
`DATA.PATH_LABEL_SEPARATOR` says.

**Paths with blanks** cannot stand in a blank-separated list: MMAction2 stops there and PySlowFast takes the first word
for the path. Such a line has too many columns and is refused, in reading and in writing. Use another separator.

Kept: order, paths, ids, frame counts. A path's last part without the ending becomes the video id; two paths with the
same one are refused; `ids="path"` takes the whole path. `ids="kinetics"` reads `<id>_<start>_<end>` names as a clip of
that video with those times, and keeps no path or frame count, which are the clip's: a clip whose video has no path is
written under such a name. Not kept: class names, splits, scores, urls. Refused: boxes,
and times of a clip whose video has a path (cut the clip first).

Source: `facebookresearch/SlowFast`, `slowfast/datasets/kinetics.py`; `open-mmlab/mmaction2`,
`mmaction/datasets/{video,rawframe}_dataset.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from gesta.formats.annotations import (
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    empty,
    frame_numbers,
    frame_times_us,
    shaped,
)
from gesta.formats.clip_labels import (
    PathIds,
    kinetics_file_name,
    known_label_map,
    named_by_path,
    refuse_boxes,
    refuse_far,
    refuse_unlistable,
    videos_with_context,
)
from gesta.formats.delimited import joined_lines, read_lines, refuse_first
from gesta.formats.numbers import to_integers
from gesta.schema import BadInput, BadRow
from gesta.tables import write_text

Layout = Literal["videos", "frames", "offsets"]
_NUM_BEFORE_LABELS = {"videos": 1, "frames": 2, "offsets": 3}
_COLUMNS = {"videos": "path", "frames": "folder, num_frames", "offsets": "folder, first_frame, num_frames"}


def read_path_labels(
    path: Path,
    *,
    context: Context = Context(),
    layout: Layout = "videos",
    separator: str = " ",
    multi_label: bool = False,
    label_shift: int | None = None,
    ids: PathIds | None = None,
) -> Annotations:
    """The videos and clips of a list, a clip a label, in its order.

    Args:
        context: its label map is passed on; frame rates of its videos are needed for the layout `offsets`.
        layout: what stands before the labels.
        separator: one character.
        multi_label: whether a line may have several labels.
        label_shift: added to each label; None = 1 where the context's label map counts 1, 2, 3 ..., else 0.
        ids: how a path becomes a video id; None = as `context` says.
    Raises:
        BadInput: there is no such file, it cannot be read, two paths give one id, or a frame rate is missing.
        BadRow: a line is not UTF-8, has another number of columns, or a number is none.
    """
    ids = ids or context.ids
    lines = _split_lines(path, layout=layout, separator=separator, multi_label=multi_label)
    named = named_by_path(
        lines["path"], ids=ids, has_ending=layout == "videos", path=path, lines=lines["line"]
    ).with_columns(lines["num_frames"], lines["first_frame"])
    if layout == "offsets":
        named = _with_times(named, context=context, path=path)
    videos = named.unique("video_id", keep="first", maintain_order=True)
    none = pl.lit(None, dtype=pl.Int64())
    if layout == "frames" and ids != "kinetics":
        _refuse_other_counts(named, path=path)
    else:
        videos = videos.with_columns(none.alias("num_frames"))
    if ids == "kinetics":
        videos = videos.with_columns(none.cast(pl.String()).alias("path"))
    clips = named.with_columns(lines["labels"].alias("label")).explode("label", keep_nulls=True)
    known = empty(LABEL_MAP_COLUMNS) if context.label_map is None else context.label_map
    shift = _shift_of(known) if label_shift is None else label_shift
    class_id = pl.when(pl.col("label") != -1).then(pl.col("label") + shift).alias("class_id")
    return Annotations(
        videos=shaped(videos, VIDEO_COLUMNS),
        clips=shaped(clips.with_columns(class_id), CLIP_COLUMNS),
        label_map=shaped(known, LABEL_MAP_COLUMNS),
    )


def _split_lines(path: Path, *, layout: Layout, separator: str, multi_label: bool) -> pl.DataFrame:
    """Columns `line`, `path`, `first_frame`, `num_frames` and `labels` (a list, `[-1]` where there is none)."""
    _refuse_wide(separator)
    num_before = _NUM_BEFORE_LABELS[layout]
    text = read_lines(path)
    cells = text.select("line", pl.col("text").str.strip_chars().str.split(separator).alias("cells")).with_columns(
        pl.col("cells").list.len().cast(pl.Int64).alias("num_cells")
    )
    most = "" if multi_label else f" or {num_before + 1}"
    mend = "Paths with the separator in them cannot stand in this list. Or is it another layout, or has many labels?"
    refuse_first(
        cells,
        (pl.col("num_cells") < num_before) | ((pl.col("num_cells") > num_before + 1) if not multi_label else False),
        path=path,
        problem=pl.format(f"{{}} columns, want {num_before}{most} ({_COLUMNS[layout]}, label)", "num_cells"),
        mend=mend,
    )
    frame = cells.with_columns(pl.col("cells").list.get(0).alias("path"))
    refuse_first(frame, pl.col("path") == "", path=path, problem=pl.lit("the path is empty"), mend="Write the path")
    none = pl.lit(None, dtype=pl.Int64())
    numbers = {"first_frame": none, "num_frames": none}
    for i, name in enumerate({"videos": (), "frames": ("num_frames",), "offsets": tuple(numbers)}[layout], start=1):
        number = to_integers(frame.select(pl.col("cells").list.get(i)).to_series()).alias(name)
        frame = frame.with_columns(number)
        problem = pl.format(f"{name} is '{{}}', want a whole number from 0", pl.col("cells").list.get(i))
        refuse_first(
            frame, pl.col(name).is_null() | (pl.col(name) < 0), path=path, problem=problem, mend="Write the number"
        )
        del numbers[name]
    frame = frame.with_columns(**numbers)
    labels = frame.select("line", pl.col("cells").list.slice(num_before).alias("label"))
    flat = labels.filter(pl.col("label").list.len() > 0).explode("label")
    flat = flat.with_columns(to_integers(flat["label"]).alias("number"))
    refuse_first(
        flat,
        pl.col("number").is_null() | (pl.col("number") < -1),
        path=path,
        problem=pl.format("the label is '{}', want a whole number from 0, or -1", "label"),
        mend="A list holds class numbers; names stand in a label map",
    )
    lists = flat.group_by("line", maintain_order=True).agg(pl.col("number").alias("labels"))
    joined = frame.join(lists, on="line", how="left", maintain_order="left")
    return joined.select(
        "line", "path", "first_frame", "num_frames", pl.col("labels").fill_null(pl.lit([-1], dtype=pl.List(pl.Int64)))
    )


def _shift_of(label_map: pl.DataFrame) -> int:
    """1 where the classes are numbered 1, 2, 3 ..., of which a list would say 0, 1, 2 ...; else 0.

    Source: `open-mmlab/mmaction2`, `tools/data/parse_file_list.py`, takes 1 off UCF-101's ids.
    """
    ids = label_map["class_id"].sort().to_list()
    return int(bool(ids) and ids == list(range(1, len(ids) + 1)))


def _refuse_wide(separator: str) -> None:
    if len(separator) != 1 or separator in "\r\n-" or separator.isalnum():
        raise BadInput(f"{separator!r} separates no columns", mend="Give one character, such as ' ' or ','")


def _refuse_other_counts(named: pl.DataFrame, *, path: Path) -> None:
    other = named.unique(["video_id", "num_frames"], keep="first", maintain_order=True)
    double = other.filter(pl.col("video_id").is_duplicated())
    if double.height:
        same = double.filter(pl.col("video_id") == double["video_id"][0])
        problem = f"{same['path'][1]!r} has {same['num_frames'][1]} frames here and {same['num_frames'][0]} before"
        raise BadRow(problem, path=path, line=same["line"][1], mend="Count its frames again")


def _rates(videos: pl.DataFrame, *, context: Context, path: Path) -> pl.DataFrame:
    """The videos with `fps_num` and `fps_den`, of which none is missing."""
    known = context.videos if context.videos is not None else empty(VIDEO_COLUMNS)
    rates = shaped(known, VIDEO_COLUMNS).select("video_id", "fps_num", "fps_den").unique("video_id", keep="first")
    frame = videos.drop("fps_num", "fps_den", strict=False).join(
        rates, on="video_id", how="left", maintain_order="left"
    )
    bad = frame.filter(~((pl.col("fps_num") > 0) & (pl.col("fps_den") > 0)).fill_null(value=False))
    if bad.height:
        raise BadInput(
            f"the frame rate of video {bad['video_id'][0]!r} is not known, and this layout counts frames",
            where=path,
            mend="Give a table of videos with fps_num and fps_den (--videos)",
        )
    return frame


def _with_times(named: pl.DataFrame, *, context: Context, path: Path) -> pl.DataFrame:
    frame = _rates(named, context=context, path=path)
    # A hundred million frames are six weeks, and their microseconds times any usual fps_den still fit 64 bits.
    large = frame.filter(pl.col("first_frame") + pl.col("num_frames") > 10**8)
    if large.height:
        raise BadRow("no video has that many frames", path=path, line=large["line"][0], mend="Write the number")
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    last = pl.col("first_frame") + pl.col("num_frames")
    return frame.with_columns(
        frame_times_us(pl.col("first_frame"), **rate).alias("start_us"), frame_times_us(last, **rate).alias("end_us")
    ).drop("fps_num", "fps_den")


def write_path_labels(
    path: Path,
    annotations: Annotations,
    *,
    context: Context = Context(),
    layout: Layout = "videos",
    separator: str = " ",
    multi_label: bool = False,
    label_shift: int | None = None,
) -> None:
    """Clips as a list of `path label` lines, whole or not at all.

    Args:
        context: gives the paths, frame counts and frame rates that the annotations lack.
        layout: what to write before the labels.
        separator: one character.
        multi_label: gather the labels of neighbouring clips of a video (and, in `offsets`, of one stretch) on a line.
        label_shift: taken off each class id; None = 1 where the label map counts 1, 2, 3 ..., else 0.
    Raises:
        BadInput: there are boxes, a path cannot stand in the list or is not known, a video has no clip, a clip has
            times that the layout cannot say, a label would be negative, or a frame count or rate is missing.
    """
    _refuse_wide(separator)
    refuse_boxes(annotations, path=path, holds="clip labels")
    videos = videos_with_context(annotations, context=context, path=path)
    alone = videos.join(annotations.clips, on="video_id", how="anti", maintain_order="left")
    if alone.height:
        problem = f"video {alone['video_id'][0]!r} has no clip, so no line would name it"
        raise BadInput(problem, where=path, mend="Give it a clip without a class, or leave the video out")
    wanted = ("video_id", "path", "num_frames", "fps_num", "fps_den")
    clips = annotations.clips.join(videos.select(wanted), on="video_id", how="left", maintain_order="left")
    before = _before_labels(clips, layout=layout, path=path)
    refuse_unlistable(before["path"], what="path", path=path, separator=separator)
    shift = _shift_of(known_label_map(annotations, context=context)) if label_shift is None else label_shift
    number = (pl.col("class_id") - shift).alias("label")
    lines = before.with_columns(clips.select("video_id", "class_id")).with_columns(number)
    bad = lines.filter(pl.col("label") < 0)
    if bad.height:
        problem = f"class {bad['class_id'][0]} of {bad['video_id'][0]!r} would be label {bad['label'][0]}"
        raise BadInput(problem, where=path, mend="Labels count from 0, and -1 means none; give another label_shift")
    columns = before.columns
    cells = [pl.col(column).cast(pl.String) for column in (*columns, "label")]
    lines = lines.with_columns(pl.col("label").fill_null(-1))
    if multi_label:
        is_new = pl.any_horizontal(pl.col(c).ne_missing(pl.col(c).shift()) for c in (*columns, "video_id"))
        gathered = lines.with_columns(is_new.cum_sum().alias("run")).group_by("run", maintain_order=True)
        joined = pl.col("label").cast(pl.String).str.join(separator).alias("label")
        lines = gathered.agg(*(pl.col(column).first() for column in columns), joined)
    text = lines.select(pl.concat_str(cells, separator=separator).alias("line")).to_series()
    write_text(path, joined_lines(text))


def _before_labels(clips: pl.DataFrame, *, layout: Layout, path: Path) -> pl.DataFrame:
    """What stands before each clip's label: `path`, and the counts of the layout."""
    has_times = pl.col("start_us").is_not_null() | pl.col("end_us").is_not_null()
    if layout == "offsets":
        return _offsets(clips, path=path)
    bad = clips.filter(has_times & (pl.col("path").is_not_null() | (layout == "frames")))
    if bad.height:
        raise BadInput(
            f"a clip of {bad['video_id'][0]!r} is a stretch of {bad['path'][0] or 'its video'!r}, and this list names "
            "whole files",
            where=path,
            mend="Cut the clips first and give the paths of the cut files, or use the layout 'offsets'",
        )
    bare = clips.filter(pl.col("path").is_null())
    if bare.filter(pl.col("start_us").is_null() | pl.col("end_us").is_null()).height:
        raise BadInput(
            f"video {bare.filter(pl.col('start_us').is_null() | pl.col('end_us').is_null())['video_id'][0]!r} has no "
            "path",
            where=path,
            mend="Give a table of videos that has it (--videos)",
        )
    names = [kinetics_file_name(*row, path=path) for row in bare.select("video_id", "start_us", "end_us").iter_rows()]
    paths = clips["path"].to_list()
    made = iter(names)
    frame = pl.DataFrame({"path": [next(made) if p is None else p for p in paths]}, schema={"path": pl.String()})
    if layout == "videos":
        return frame
    lacking = clips.filter(pl.col("num_frames").is_null())
    if lacking.height:
        problem = f"the number of frames of video {lacking['video_id'][0]!r} is not known"
        raise BadInput(problem, where=path, mend="Give a table of videos with num_frames (--videos)")
    return frame.with_columns(clips["num_frames"])


def _offsets(clips: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    rate = {"fps_num": pl.col("fps_num"), "fps_den": pl.col("fps_den")}
    is_whole = pl.all_horizontal(pl.col("path", "start_us", "end_us", "fps_num", "fps_den").is_not_null())
    bad = clips.filter(~is_whole)
    if bad.height:
        raise BadInput(
            f"a clip of {bad['video_id'][0]!r} lacks times, or its video a path or a frame rate",
            where=path,
            mend="Give a table of videos with path, fps_num and fps_den (--videos)",
        )
    refuse_far(clips, path=path)
    first = frame_numbers(pl.col("start_us"), **rate)
    count = frame_numbers(pl.col("end_us"), **rate) - first
    frame = clips.select("path", first.alias("first_frame"), count.alias("num_frames"))
    wrong = frame.filter((pl.col("first_frame") < 0) | (pl.col("num_frames") < 0))
    if wrong.height:
        problem = f"a clip of {wrong['path'][0]!r} begins before its video or ends before it begins"
        raise BadInput(problem, where=path, mend="Mend its times")
    return frame
