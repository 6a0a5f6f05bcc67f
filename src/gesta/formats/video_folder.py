"""Hugging Face VideoFolder: video files in folders, named by folder or by a metadata file beside them.

```
data/train/wave/a.mp4            data/train/metadata.csv     file_name,label,start_us,end_us
data/train/clap/b.mp4      or                                a.mp4,wave,0,2000000
data/test/wave/c.mp4             data/train/a.mp4
```

Without a metadata file a video's label is its folder's name, and a first folder called like a split (`train`,
`validation`, `test`, or `val`, `dev`, `valid`, `eval`, `training` ..., also with a number behind) is its split. Files
are listed by name (`.mkv .mp4 .avi .mpeg .mov`) and never opened; hidden ones and `__` folders are passed over. (The
loader of Hugging Face makes labels only where there are two or more and all files lie equally deep.)

With `metadata.csv`, `.jsonl` or `.parquet` only what they list is read, a row a clip:

| name | unit | what |
|---|---|---|
| `file_name` | | path from the metadata file, always there |
| `video_id` | | missing: the file's name without its ending |
| `label` | | class name, or its number where all labels are numbers |
| `class_id`, `category` | | id and group of that class |
| `start_us`, `end_us` | microseconds | of the clip in the video; missing: the whole file |
| `score`, `is_cc` | | as in gesta's other formats |
| `split` | | missing: the folder's, as above |
| `width_px`, `height_px` | px | of the video |
| `fps_num`, `fps_den` | 1/s | its frame rate, a fraction |
| `num_frames`, `duration_us` | frames, microseconds | its length |
| `url` | | its page |

All of these are kept; further columns are passed over. A row without class, times, score and licence is a video without
clips. A file that is named like a Kinetics clip (`<video id>_<start>_<end>.mp4`, whole seconds) of the row's own video
and times is the clip's, so the video's path is then unknown. Texts that are empty in a csv are null.

Writing writes metadata files and copies no video: one file, or one in each split's folder where rows have splits (the
loader finds splits by these names only, so `validate` becomes `validation` and others are refused). A video's path is
taken from there; one that is not inside its split's folder is expected to be put into it. Clips come first, then videos
without any. Refused: boxes, a video without a path unless its clip can be named like Kinetics'.

Source: Hugging Face `datasets`, `packaged_modules/folder_based_builder/folder_based_builder.py`,
`packaged_modules/videofolder/videofolder.py`, `data_files.py` (names of splits).
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Literal

import polars as pl

from gesta.formats.annotations import (
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    empty,
    shaped,
)
from gesta.formats.clip_labels import (
    PathIds,
    kinetics_file_name,
    known_label_map,
    named_by_path,
    refuse_boxes,
    refuse_two_paths,
    refuse_undecoded,
    videos_with_context,
    with_class_ids,
)
from gesta.formats.folder_metadata import COLUMNS, OUTSIDE, read_metadata, write_metadata
from gesta.schema import BadInput, BadRow, Refused

VIDEO_ENDINGS = (".mkv", ".mp4", ".avi", ".mpeg", ".mov")
METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_SPLIT = r"(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?:[-._ 0-9].*)?"
_RENAMED = {"validate": "validation"}


def read_video_folder(path: Path, *, context: Context = Context(), ids: PathIds | None = None) -> Annotations:
    """The videos and clips of a VideoFolder, by path or in the order of its metadata.

    Args:
        path: the folder, or one metadata file.
        context: its label map gives the ids of class names; without one, or ids in the metadata, names are numbered.
        ids: how a path becomes a video id where no `video_id` says it.
    Raises:
        BadInput: there is no such folder or no video in it, a file cannot be read, two paths give one id, a class id
            has two names, or a class is not in the context's label map.
        BadRow: a row of the metadata is not what it must be.
    """
    ids = ids or context.ids
    root = path if path.is_dir() else path.parent
    metadata, videos = _files_in(root) if path.is_dir() else ([path.name], [])
    if metadata:
        endings = sorted({PurePosixPath(name).suffix for name in metadata})
        if len(endings) > 1:
            problem = f"there is metadata in {' and in '.join(endings)}"
            raise BadInput(problem, where=path, mend="Keep one kind: the loader of Hugging Face stops here")
        return _from_metadata(root, metadata, context=context, ids=ids, path=path)
    if not videos:
        problem = f"there is no {', '.join(METADATA_NAMES)} and no video file here"
        raise BadInput(problem, where=path, mend=f"Videos end in {' '.join(VIDEO_ENDINGS)}")
    return _from_names(videos, context=context, ids=ids, path=path)


def _files_in(root: Path) -> tuple[list[str], list[str]]:
    """Metadata files and videos below the folder, by their paths from it, sorted."""

    def stop(error: OSError) -> None:
        raise BadInput(f"cannot be listed ({error.strerror})", where=root, mend="Mend its permissions") from error

    metadata, videos = [], []
    for folder, folders, names in os.walk(root, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            relative = (Path(folder) / name).relative_to(root).as_posix()
            if name in METADATA_NAMES:
                metadata.append(relative)
            elif not name.startswith(".") and name.lower().endswith(VIDEO_ENDINGS):
                videos.append(relative)
    for relative in (*metadata, *videos):
        refuse_undecoded(relative, folder=root)
    return sorted(metadata), sorted(videos)


def _splits_of(paths: pl.Series) -> pl.Series:
    """The first folder of each path, where it is called like a split."""
    first = paths.str.extract(r"^([^/]*)/", 1)
    is_split = first.str.contains(f"^(?s:{_SPLIT})$")
    return pl.DataFrame({"first": first}).select(pl.when(is_split).then("first").alias("split")).to_series()


def _from_names(names: list[str], *, context: Context, ids: PathIds, path: Path) -> Annotations:
    splits = _splits_of(pl.Series("path", names, dtype=pl.String()))
    parts = [name.split("/") for name in names]
    labels = [
        part[-2] if len(part) > 1 + (split is not None) else None for part, split in zip(parts, splits, strict=True)
    ]
    lines = pl.Series("line", range(1, len(names) + 1), dtype=pl.Int64())
    rows = named_by_path(pl.Series("path", names), ids=ids, has_ending=True, path=path, lines=lines).with_columns(
        pl.Series("label", labels, dtype=pl.String()), splits
    )
    class_ids, label_map = with_class_ids(rows["label"], context=context, path=path)
    clips = rows.with_columns(class_ids.alias("class_id")).filter(
        pl.any_horizontal(pl.col("class_id", "start_us").is_not_null())
    )
    if ids == "kinetics":
        rows = rows.with_columns(pl.lit(None, dtype=pl.String()).alias("path"))
    return Annotations(videos=_videos_of(rows, path=path), clips=shaped(clips, CLIP_COLUMNS), label_map=label_map)


def _videos_of(rows: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    """One row a video: what its first row says, and its split where all its rows agree."""
    refuse_two_paths(rows.drop_nulls("path"), path=path)
    one = rows.group_by("video_id", maintain_order=True).agg(
        pl.col("split").n_unique().alias("num_splits"), pl.exclude("split").first(), pl.col("split").first()
    )
    split = pl.when(pl.col("num_splits") == 1).then("split").alias("split")
    return shaped(one.with_columns(split), VIDEO_COLUMNS)


def _from_metadata(root: Path, names: list[str], *, context: Context, ids: PathIds, path: Path) -> Annotations:
    parts = []
    for name in names:
        rows = read_metadata(root / name)
        folder = PurePosixPath(name).parent.as_posix()
        prefix = "" if folder == "." else f"{folder}/"
        rows = rows.with_columns(pl.concat_str(pl.lit(prefix), "file_name").alias("path"))
        split = pl.coalesce("split", _splits_of(rows["path"]).alias("found"))
        mode: PathIds = "path" if ids == "stem" or not rows["video_id"].null_count() else ids
        named = named_by_path(rows["path"], ids=mode, has_ending=True, path=root / name, lines=rows["line"])
        stem = named["video_id"].str.split("/").list.last() if ids == "stem" else named["video_id"]
        is_own = rows["video_id"].is_null()
        parts.append(
            rows.with_columns(
                split.alias("split"),
                pl.lit(str(root / name)).alias("file"),
                pl.coalesce("video_id", stem).alias("video_id"),
                *(pl.coalesce(end, pl.when(is_own).then(named[end])).alias(end) for end in ("start_us", "end_us")),
            )
        )
    rows = pl.concat(parts)
    rows, label_map = _with_classes(rows, context=context, path=path)
    is_cut = _is_cut(rows)
    rows = rows.with_columns(pl.when(~is_cut).then("path").alias("path"))
    said = pl.any_horizontal(pl.col("class_id", "start_us", "end_us", "score", "is_cc").is_not_null())
    return Annotations(
        videos=_videos_of(rows, path=path), clips=shaped(rows.filter(said), CLIP_COLUMNS), label_map=label_map
    )


def _is_cut(rows: pl.DataFrame) -> pl.Series:
    """Whether each row's file is named like the Kinetics clip that the row is."""
    stem = pl.col("path").str.split("/").list.last().str.strip_suffix(".mp4")
    seconds = [(pl.col(end) // 1_000_000).cast(pl.String).str.zfill(6) for end in ("start_us", "end_us")]
    is_whole = (pl.col("start_us") % 1_000_000 == 0) & (pl.col("end_us") % 1_000_000 == 0)
    is_same = stem == pl.concat_str("video_id", *seconds, separator="_")
    return rows.select((is_whole & is_same).fill_null(value=False).alias("is_cut")).to_series()


def _with_classes(rows: pl.DataFrame, *, context: Context, path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows with their class ids, and the label map that the metadata or the context gives."""
    if not rows["class_id"].count():
        numbers = rows["label_number"]
        if numbers.count() and rows["label"].count():
            raise BadInput("some labels are names and some are numbers", where=path, mend="Write one of them")
        if numbers.count():
            known = (
                empty(LABEL_MAP_COLUMNS) if context.label_map is None else shaped(context.label_map, LABEL_MAP_COLUMNS)
            )
            return rows.with_columns(numbers.alias("class_id")), known
        class_ids, label_map = with_class_ids(
            rows["label"], context=context, path=path, lines=rows["line"], files=rows["file"]
        )
        return rows.with_columns(class_ids.alias("class_id")), label_map
    texts = pl.coalesce("label", pl.col("label_number").cast(pl.String))
    rows = rows.with_columns(texts.alias("label"))
    lacking = rows.filter(pl.col("label").is_not_null() & pl.col("class_id").is_null())
    if lacking.height:
        problem = f"the label {lacking['label'][0]!r} stands without a class_id, and other rows have one"
        mend = "Fill it in, or drop the column class_id"
        raise BadRow(problem, path=lacking["file"][0], line=lacking["line"][0], mend=mend)
    named = rows.drop_nulls("label").select("class_id", pl.col("label").alias("name"), "category")
    pairs = named.unique(maintain_order=True).sort("class_id", maintain_order=True)
    double = pairs.filter(pl.col("class_id").is_duplicated())
    if double.height:
        first, second = double.row(0), double.row(1)
        problem = f"class {first[0]} is {first[1:]} in one row and {second[1:]} in another"
        is_second = [row == second for row in named.iter_rows()]
        at = rows.drop_nulls("label").row(is_second.index(True), named=True)
        raise BadRow(problem, path=at["file"], line=at["line"], mend="A class has one name and one category")
    if not pairs.height and context.label_map is not None:
        pairs = context.label_map
    return rows, shaped(pairs, LABEL_MAP_COLUMNS)


def write_video_folder(
    path: Path,
    annotations: Annotations,
    *,
    context: Context = Context(),
    ending: Literal["csv", "jsonl", "parquet"] = "csv",
) -> None:
    """Clips as the metadata of a VideoFolder, each file whole or not at all; no video is copied.

    Args:
        path: the folder; metadata that lies below it already and is not written anew is not mixed with this.
        ending: of the metadata files.
    Raises:
        BadInput: there are boxes, a video has no path and no name can be made, a path leads out of the folder, some
            rows have a split and others none, or the loader would not find a split by its name.
        Refused: there is other metadata below the folder.
    """
    refuse_boxes(annotations, path=path, holds="clips")
    videos = videos_with_context(annotations, context=context, path=path)
    known = known_label_map(annotations, context=context).unique("class_id", keep="first", maintain_order=True)
    clips = annotations.clips.join(
        videos.rename({"split": "video_split"}), on="video_id", how="left", maintain_order="left"
    )
    clips = clips.with_columns(pl.coalesce("split", "video_split").alias("split"))
    bare = videos.join(annotations.clips, on="video_id", how="anti", maintain_order="left")
    rows = pl.concat([clips.drop("video_split"), bare], how="diagonal_relaxed")
    names = known.select("class_id", pl.col("name").alias("label"), "category")
    rows = rows.join(names, on="class_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("split").replace(_RENAMED)).with_columns(_file_names(rows, path=path))
    parts = _by_split(rows, path=path)
    if path.is_dir():
        wanted = {f"{split}/metadata.{ending}" if split else f"metadata.{ending}" for split in parts}
        stale = sorted(set(_files_in(path)[0]) - wanted)
        if stale:
            problem = f"{stale[0]} lies here already and would be read with what is written now"
            raise Refused(problem, where=path, mend="Write into another folder, or remove it")
    columns = [name for name in COLUMNS if name in ("file_name", "video_id") or rows_have(rows, name)]
    for split, part in parts.items():
        write_metadata(path / split / f"metadata.{ending}", part.select(columns))


def rows_have(rows: pl.DataFrame, name: str) -> bool:
    """Whether the column is worth writing: some row has a value, and no folder says it."""
    return name != "split" and name in rows.columns and rows[name].count() > 0


def _file_names(rows: pl.DataFrame, *, path: Path) -> pl.Series:
    """Each row's path, or the name that Kinetics gives the file of its clip."""
    bare = rows.filter(pl.col("path").is_null())
    lacking = bare.filter(pl.col("start_us").is_null() | pl.col("end_us").is_null())
    if lacking.height:
        problem = f"video {lacking['video_id'][0]!r} has no path"
        raise BadInput(problem, where=path, mend="Give a table of videos that has it (--videos)")
    names = (kinetics_file_name(*row, path=path) for row in bare.select("video_id", "start_us", "end_us").iter_rows())
    made = rows["path"].alias("file_name")
    if bare.height:
        made = pl.Series("file_name", [next(names) if file is None else file for file in made], dtype=pl.String())
    bad = made.filter(made.str.contains(OUTSIDE) | (made == ""))
    if len(bad):
        raise BadInput(f"the path {bad[0]!r} names no file below the folder", where=path, mend="Give it from there")
    return made


def _by_split(rows: pl.DataFrame, *, path: Path) -> dict[str, pl.DataFrame]:
    """The rows of each split with `file_name` from its folder; all under an empty name where there are no splits."""
    num_null = rows["split"].null_count()
    if num_null == rows.height:
        return {"": rows}
    if num_null:
        problem = f"{num_null} rows have no split, the others do"
        raise BadInput(problem, where=path, mend="The loader of Hugging Face would pass over them: give each a split")
    parts = {}
    for split in rows["split"].unique().sort():
        if not re.fullmatch(_SPLIT, split, re.DOTALL) or "/" in split or len(split) > 100:
            raise BadInput(
                f"the loader of Hugging Face finds no split by the name {split!r}",
                where=path,
                mend="Call it train, validation or test",
            )
        name = pl.col("file_name").str.strip_prefix(f"{split}/")
        parts[split] = rows.filter(pl.col("split") == split).with_columns(name)
    return parts
