"""What the formats of clip labels share: names to ids and back, one row a video, video ids from file paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gesta.formats.annotations import (
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    PathIds,
    numbered_labels,
    shaped,
)
from gesta.schema import BadInput, BadRow, Refused

_ENDING = r"\.[A-Za-z0-9]{1,5}$"
_KINETICS = r"^(?:.*/)?([^/]+)_([0-9]{6,9})_([0-9]{6,9})$"


def refuse_boxes(annotations: Annotations, *, path: Path, holds: str) -> None:
    """Nothing, where there are no boxes.

    Args:
        holds: what the format holds instead, for the message.
    Raises:
        BadInput: there are boxes; dropping them would lose most of what was annotated.
    """
    if annotations.boxes.height:
        raise BadInput(
            f"{annotations.boxes.height} rows have boxes, and this format holds {holds} only",
            where=path,
            mend="Write the clips alone, or use a format that holds boxes (ava, cvat, coco-vid)",
        )


def with_class_ids(
    names: pl.Series,
    *,
    context: Context,
    path: Path,
    label_map: pl.DataFrame | None = None,
    lines: pl.Series | None = None,
    files: pl.Series | None = None,
) -> tuple[pl.Series, pl.DataFrame]:
    """The id of each name (null of null) and the label map that says so.

    The map is that of `context` where it has one, else `label_map`, else the names numbered (`numbered_labels`).
    `lines` and `files`: where each name stands (None: in the file at `path`), so that an error names the first line
    with a class that is not in the map.

    Raises:
        BadInput: a name is not in the map, or there for two ids.
        BadRow: a name is not in the map, and `lines` are given.
    """
    known = context.label_map if context.label_map is not None else label_map
    used = numbered_labels(names) if known is None else shaped(known, LABEL_MAP_COLUMNS)
    asked = names.drop_nulls().unique(maintain_order=True)
    found = used.filter(pl.col("name").is_in(asked.implode()))
    missing = asked.filter(~asked.is_in(found["name"].implode()))
    if len(missing):
        problem = f"the label map has no class {missing[0]!r}"
        problem += f", nor {len(missing) - 1} others" * (len(missing) > 1)
        mend = "Give the label map that belongs to this file (--label-map), or none"
        if lines is not None:
            at = names.eq_missing(missing[0]).arg_max()
            assert at is not None
            raise BadRow(problem, path=path if files is None else files[at], line=lines[at], mend=mend)
        raise BadInput(problem, where=path, mend=mend)
    double = found.filter(pl.col("name").is_duplicated())
    if double.height:
        ids = double.filter(pl.col("name") == double["name"][0])["class_id"].to_list()
        raise BadInput(
            f"the label map calls classes {', '.join(map(str, ids))} all {double['name'][0]!r}",
            where=path,
            mend="Give each class its own name: this format tells classes by name",
        )
    frame = pl.DataFrame({"name": names}, schema={"name": pl.String})
    ids_of = frame.join(found.select("name", "class_id"), on="name", how="left", maintain_order="left")
    return ids_of["class_id"], used


def known_label_map(annotations: Annotations, *, context: Context) -> pl.DataFrame:
    """The label map of the annotations, with the classes that only the context knows after it."""
    if context.label_map is None:
        return annotations.label_map
    more = shaped(context.label_map, LABEL_MAP_COLUMNS)
    return pl.concat([annotations.label_map, more.join(annotations.label_map, on="class_id", how="anti")])


def class_names(annotations: Annotations, *, context: Context, path: Path) -> pl.Series:
    """The name of each clip's class, null where it has none.

    Raises:
        BadInput: a class has no name, or two of the classes share one and would be read back as one.
    """
    known = known_label_map(annotations, context=context).select("class_id", "name")
    used = annotations.clips.select("class_id").drop_nulls().unique(maintain_order=True)
    found = used.join(known, on="class_id", how="left", maintain_order="left")
    unnamed = found.filter(pl.col("name").is_null())
    if unnamed.height:
        raise BadInput(
            f"class {unnamed['class_id'][0]} has no name, and this format tells classes by name",
            where=path,
            mend="Give the label map that names it (--label-map)",
        )
    double = found.filter(pl.col("name").is_duplicated())
    if double.height:
        raise BadInput(
            f"classes {double['class_id'][0]} and {double['class_id'][1]} are both called {double['name'][0]!r}",
            where=path,
            mend="Give each class its own name: this format tells classes by name",
        )
    clips = annotations.clips.select("class_id")
    return clips.join(found, on="class_id", how="left", maintain_order="left")["name"].alias("label")


def refuse_unlabelled(annotations: Annotations, *, path: Path) -> None:
    """Nothing, where every clip has a class.

    Raises:
        BadInput: a clip has none, and the format has no place for such a clip.
    """
    bad = annotations.clips.filter(pl.col("class_id").is_null())
    if bad.height:
        raise BadInput(
            f"{bad.height} clips have no class, the first of video {bad['video_id'][0]!r}",
            where=path,
            mend="Leave them out: this format holds labelled clips",
        )


def files_of(folder: Path) -> list[Path]:
    """The files that lie in a folder, by name.

    Raises:
        BadInput: the folder cannot be listed, or a file's name is not UTF-8.
    """
    try:
        found = sorted(entry for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise BadInput(
            f"cannot be listed ({error.strerror})", where=folder, mend="Name a folder that is there"
        ) from error
    for entry in found:
        refuse_undecoded(entry.name, folder=folder)
    return found


def refuse_undecoded(name: str, *, folder: Path) -> None:
    """Nothing, where a file's name is text.

    Raises:
        BadInput: it has bytes that are not UTF-8.
    """
    if re.search("[\ud800-\udfff]", name):
        raise BadInput(f"the file name {name!r} is not UTF-8 text", where=repr(str(folder)), mend="Rename the file")


def refuse_times(annotations: Annotations, *, path: Path) -> None:
    """Nothing, where every clip is its whole file.

    Raises:
        BadInput: a clip is a stretch of its video, which the format cannot say.
    """
    bad = annotations.clips.filter(pl.col("start_us").is_not_null() | pl.col("end_us").is_not_null())
    if bad.height:
        raise BadInput(
            f"{bad.height} clips are stretches of videos, the first of {bad['video_id'][0]!r}, and these lists name "
            "whole files",
            where=path,
            mend="Cut the clips first, or use a format that holds times (kinetics, activitynet)",
        )


def videos_with_context(annotations: Annotations, *, context: Context, path: Path) -> pl.DataFrame:
    """One row a video, with the columns of `VIDEO_COLUMNS`: those of `videos`, then those that only clips name.

    What the annotations do not know of a video is taken from the context.

    Raises:
        BadInput: a video comes twice in either.
    """
    given = {"the annotations": annotations.videos}
    if context.videos is not None:
        given["the table of videos"] = context.videos
    for what, frame in given.items():
        double = frame.filter(pl.col("video_id").is_duplicated())
        if double.height:
            raise BadInput(f"video {double['video_id'][0]!r} comes twice in {what}", where=path, mend="Keep one row")
    clips = annotations.clips.select("video_id").unique(maintain_order=True)
    only = shaped(clips.join(annotations.videos, on="video_id", how="anti", maintain_order="left"), VIDEO_COLUMNS)
    videos = pl.concat([shaped(annotations.videos, VIDEO_COLUMNS), only])
    if context.videos is None:
        return videos
    more = shaped(context.videos, VIDEO_COLUMNS)
    both = videos.join(more, on="video_id", how="left", suffix="_more", maintain_order="left")
    filled = [pl.coalesce(name, f"{name}_more").alias(name) for name in VIDEO_COLUMNS if name != "video_id"]
    return both.select("video_id", *filled)


def split_of_videos(videos: pl.DataFrame, clips: pl.DataFrame, *, path: Path) -> list[str | None]:
    """The one split of each video in the order of `videos`: as the video says, else as its clips do.

    Raises:
        BadInput: a video's clips are in different splits, and the format gives a video one.
    """
    said = clips.select("video_id", "split").drop_nulls().unique(maintain_order=True)
    said = pl.concat([videos.select("video_id", "split").drop_nulls(), said]).unique(maintain_order=True)
    double = said.filter(pl.col("video_id").is_duplicated())
    if double.height:
        raise BadInput(
            f"video {double['video_id'][0]!r} is in the splits {double['split'][0]!r} and {double['split'][1]!r}",
            where=path,
            mend="Write one file a split: this format gives a video one split",
        )
    return videos.select("video_id").join(said, on="video_id", how="left", maintain_order="left")["split"].to_list()


def clip_rows(columns: Mapping[str, Sequence[object]]) -> pl.DataFrame:
    """A frame of clips from columns, of which `class_id` may still be a `label`."""
    dtypes = {
        "video_id": pl.String(), "start_us": pl.Int64(), "end_us": pl.Int64(), "class_id": pl.Int64(),
        "label": pl.String(), "split": pl.String(), "score": pl.Float64(), "is_cc": pl.Boolean(),
    }  # fmt: skip
    return pl.DataFrame(columns, schema={name: dtypes[name] for name in columns})


def named_by_path(paths: pl.Series, *, ids: PathIds, has_ending: bool, path: Path, lines: pl.Series) -> pl.DataFrame:
    """Columns `path`, `video_id`, `start_us`, `end_us` and `line` of files named by their paths.

    Args:
        paths: POSIX.
        ids: how a path becomes an id; times are null but for `kinetics`.
        has_ending: whether paths are of files; folders of frames keep what stands after a point.
        path: of the list, for messages.
        lines: number of each path's line in it.
    Raises:
        BadInput: two paths give the same id, or (`kinetics`) one is no name of a clip file.
    """
    bare = pl.col("path").str.replace(_ENDING, "") if has_ending else pl.col("path")
    none = pl.lit(None, dtype=pl.Int64())
    times: list[pl.Expr] = [none.alias("start_us"), none.alias("end_us")]
    if ids == "kinetics":
        times = [
            (bare.str.extract(_KINETICS, 2 + i).cast(pl.Int64) * 1_000_000).alias(name)
            for i, name in enumerate(("start_us", "end_us"))
        ]
        video_id = bare.str.extract(_KINETICS, 1)
    else:
        last = bare.str.split("/").list.last()
        video_id = pl.when(last == "").then("path").otherwise(last) if ids == "stem" else bare
        video_id = pl.when(video_id == "").then("path").otherwise(video_id)
    frame = pl.DataFrame({"path": paths, "line": lines}, schema={"path": pl.String(), "line": pl.Int64()})
    named = frame.with_columns(video_id.alias("video_id"), *times)
    bad = named.filter(pl.col("video_id").is_null())
    if bad.height:
        raise BadInput(
            f"{bad['path'][0]!r} is no name of a Kinetics clip file",
            where=f"{path}:{bad['line'][0]}",
            mend="Want <video id>_<start>_<end> with six digits each; or read with ids='stem'",
        )
    if ids == "stem":
        _refuse_shared_ids(named, path=path)
    return named.select("path", "video_id", "start_us", "end_us", "line")


def _refuse_shared_ids(named: pl.DataFrame, *, path: Path) -> None:
    files = named.unique("path", keep="first", maintain_order=True)
    double = files.filter(pl.col("video_id").is_duplicated())
    if double.height:
        same = double.filter(pl.col("video_id") == double["video_id"][0])
        raise BadInput(
            f"{same['path'][0]!r} and {same['path'][1]!r} would both be video {same['video_id'][0]!r}",
            where=f"{path}:{same['line'][1]}",
            mend="Read it with ids='path', which takes the whole path for the id",
        )


def refuse_far(clips: pl.DataFrame, *, path: Path) -> None:
    """Nothing, where each time can be counted in frames with 64 bits.

    Raises:
        BadInput: a time is 115 days or more from the start; no video is that long.
    """
    bad = clips.filter(pl.max_horizontal(pl.col("start_us").abs(), pl.col("end_us").abs()) >= 10**13)
    if bad.height:
        raise BadInput(f"a clip of {bad['video_id'][0]!r} is months away", where=path, mend="Mend its times")


def kinetics_file_name(video_id: str, start_us: int, end_us: int, *, path: Path) -> str:
    """The file that holds a clip, as the Kinetics downloaders name it.

    Raises:
        BadInput: the times are no whole seconds, which the name cannot say.
    Source: `activitynet/ActivityNet`, `Crawler/Kinetics/download.py` (`%s_%06d_%06d`).

    >>> kinetics_file_name("-v", 2_000_000, 12_000_000, path=Path("list.txt"))
    '-v_000002_000012.mp4'
    """
    if start_us % 1_000_000 or end_us % 1_000_000 or not 0 <= start_us < 10**15 or not 0 <= end_us < 10**15:
        raise BadInput(
            f"the clip of {video_id!r} from {start_us} to {end_us} microseconds has no file name",
            where=path,
            mend="Kinetics names clip files in whole seconds; give the videos' paths instead (--videos)",
        )
    return f"{video_id}_{start_us // 1_000_000:06d}_{end_us // 1_000_000:06d}.mp4"


def refuse_two_paths(rows: pl.DataFrame, *, path: Path) -> None:
    """Nothing, where each `video_id` has one `path`.

    Raises:
        BadInput: two paths have the same id.
    """
    pairs = rows.unique(["video_id", "path"], keep="first", maintain_order=True)
    double = pairs.filter(pl.col("video_id").is_duplicated())
    if double.height:
        same = double.filter(pl.col("video_id") == double["video_id"][0])
        raise BadInput(
            f"{same['path'][0]!r} and {same['path'][1]!r} would both be video {same['video_id'][0]!r}",
            where=path,
            mend="Read it with ids='path', which takes the whole path for the id",
        )


def refuse_stale(folder: Path, *, names: set[str], found: list[Path]) -> None:
    """Nothing, where the folder holds no files of the kind (`found`) but those that will be written anew (`names`).

    Raises:
        Refused: it does, and reading it would give both.
    """
    stale = sorted(file.name for file in found if file.name not in names)
    if stale:
        problem = f"{stale[0]} lies here already and would be read with what is written now"
        raise Refused(problem, where=folder, mend="Write into another folder, or remove it")


_BREAKS = re.compile(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def refuse_unlistable(texts: pl.Series, *, what: str, path: Path, separator: str) -> None:
    """Nothing, where each text can stand in one column of a list without quotes.

    Raises:
        BadInput: one is empty, begins or ends with blanks, or holds the separator, a line break of any kind or a
            leading byte order mark.
    """
    distinct = texts.drop_nulls().unique(maintain_order=True).to_list()
    for text in distinct:
        has_separator = bool(separator) and (separator in text or (separator == " " and re.search(r"\s", text)))
        if not text or text != text.strip() or has_separator or _BREAKS.search(text) or text.startswith("\ufeff"):
            because = f" because of the separator {separator!r}" if has_separator else ""
            raise BadInput(
                f"the {what} {text!r} cannot stand in this list{because}",
                where=path,
                mend="Readers cut lines there. Rename the file, or use a format with quotes (kinetics-json, csv)",
            )


def filled_videos(annotations: Annotations, *, context: Context, path: Path) -> pl.DataFrame:
    """One row a video, those that only boxes or clips name too; gaps are filled from the context.

    Raises:
        BadInput: a video comes twice, or is in two splits.
    """
    named = pl.concat([frame["video_id"] for frame in (annotations.videos, annotations.boxes, annotations.clips)])
    videos = shaped(annotations.videos, VIDEO_COLUMNS)
    given = videos[:0] if context.videos is None else shaped(context.videos, VIDEO_COLUMNS)
    for frame in (videos, given):
        double = frame.filter(pl.col("video_id").is_duplicated())
        if double.height:
            raise BadInput(f"video {double['video_id'][0]!r} comes twice", where=path, mend="Keep one row a video")
    ids = pl.DataFrame({"video_id": named.unique(maintain_order=True)})
    both = ids.join(videos, on="video_id", how="left", maintain_order="left").join(
        given, on="video_id", how="left", suffix="_given", maintain_order="left"
    )
    rest = [name for name in VIDEO_COLUMNS if name != "video_id"]
    filled = both.select("video_id", *(pl.coalesce(name, f"{name}_given").alias(name) for name in rest))
    splits = split_of_videos(filled, annotations.clips, path=path)
    return filled.with_columns(pl.Series("split", splits, dtype=pl.String()))
