"""The split files of HMDB-51, and JHMDB's in the same layout: one text a class and split.

```
brush_hair_test_split1.txt     April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1
                               April_09_brush_hair_u_nm_np1_ba_goo_1.avi 0
                               atheistkingofhell_brush_hair_u_nm_np1_fr_goo_0.avi 2
```

| part | what |
|---|---|
| `<class>` of the file's name | class name |
| `N` of the file's name | which of the three splits |
| line | name of the video file, a blank, and 1 (training), 2 (test) or 0 (neither; JHMDB has none) |

A folder of them is read whole, or one file. A clip's split is `train1`, `test1` or `unused1`; a video of three splits
has three clips. The video id is the file's name without its ending, the path `<class>/<file>`.

Kept: class names, paths, splits, the order within a file. In writing, a split without a digit is split 1, a video
without a path gets `<class>/<video id>.avi`, and a class without clips gets empty files. Not kept: class ids (the names
are numbered, or the context's label map has them), urls, scores, sizes. Refused: boxes, times, a clip without class or
split, blanks in file names (readers cut lines there), splits other than train, test and unused.

Source: `test_train_splits.rar` of the Serre lab's HMDB-51 page; `splits.zip` of JHMDB; `open-mmlab/mmaction2`,
`tools/data/parse_file_list.py` (`parse_hmdb51_split`).
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from gesta.formats.annotations import CLIP_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.clip_labels import (
    PathIds,
    class_names,
    files_of,
    known_label_map,
    named_by_path,
    refuse_boxes,
    refuse_stale,
    refuse_times,
    refuse_two_paths,
    refuse_undecoded,
    refuse_unlabelled,
    refuse_unlistable,
    videos_with_context,
    with_class_ids,
)
from gesta.formats.delimited import read_lines, refuse_first
from gesta.schema import BadInput
from gesta.tables import write_text

_FILE = re.compile(r"(.+)_test_split([0-9]{1,3})\.txt\Z", re.DOTALL)
_SPLIT = re.compile(r"(train|test|unused)([0-9]{1,3})?\Z")
SPLIT_NAMES = {"0": "unused", "1": "train", "2": "test"}
_NUMBER_OF = {name: number for number, name in SPLIT_NAMES.items()}


def read_hmdb51(path: Path, *, context: Context = Context(), ids: PathIds | None = None) -> Annotations:
    """The videos and clips of HMDB-51 split files, by split and class, in each file's order.

    Args:
        path: the folder of the files, or one of them.
        context: its label map gives the class ids; without one the names are numbered.
        ids: how a path becomes a video id; None = as `context` says.
    Raises:
        BadInput: there is no such file or none in the folder, one cannot be read, two paths give one id, or a class
            is not in the context's label map.
        BadRow: a line is not UTF-8, or no file name and 0, 1 or 2.
    """
    ids = ids or context.ids
    files = split_files_in(path) if path.is_dir() else [path]
    if not files:
        raise BadInput("there is no <class>_test_splitN.txt here", where=path, mend="Name their folder")
    rows = pl.concat([_read_file(file, ids=ids) for file in files])
    class_of_file = pl.Series([match[1] for file in files if (match := _FILE.match(file.name))], dtype=pl.String)
    _, label_map = with_class_ids(class_of_file, context=context, path=path)
    class_ids, _ = with_class_ids(rows["label"], context=Context(label_map=label_map), path=path)
    refuse_two_paths(rows, path=path)
    return Annotations(
        videos=shaped(
            rows.unique("video_id", keep="first", maintain_order=True).select("video_id", "path"), VIDEO_COLUMNS
        ),
        clips=shaped(rows.with_columns(class_ids.alias("class_id")), CLIP_COLUMNS),
        label_map=label_map,
    )


def split_files_in(folder: Path) -> list[Path]:
    """The split files of a folder, by split and then by class.

    Raises:
        BadInput: the folder cannot be listed.
    """
    found = [(file, match) for file in files_of(folder) if (match := _FILE.match(file.name))]
    return [file for file, match in sorted(found, key=lambda pair: (int(pair[1][2]), pair[1][1]))]


def _read_file(path: Path, *, ids: PathIds) -> pl.DataFrame:
    """Columns `video_id`, `path`, `label` and `split` of one file."""
    match = _FILE.match(path.name)
    refuse_undecoded(path.name, folder=path.parent)
    if match is None:
        raise BadInput("the name says no class and split", where=path, mend="Want <class>_test_split1.txt")
    text = pl.col("text").str.strip_chars()
    lines = read_lines(path).with_columns(
        text.alias("text"),
        text.str.replace(r"\s+\S+$", "").alias("file"),
        text.str.extract(r"\s(\S+)$", 1).replace_strict(SPLIT_NAMES, default=None).alias("part"),
    )
    refuse_first(
        lines,
        pl.col("part").is_null(),
        path=path,
        problem=pl.format("'{}' is no file name and 0, 1 or 2", "text"),
        mend="Write 1 after the videos to train with, 2 after those to test with, 0 after the others",
    )
    paths = lines.select(pl.format("{}/{}", pl.lit(match[1]), "file").alias("path")).to_series()
    named = named_by_path(paths, ids=ids, has_ending=True, path=path, lines=lines["line"])
    split = pl.concat_str(pl.col("part"), pl.lit(str(int(match[2])))).alias("split")
    return named.select("video_id", "path").with_columns(
        pl.lit(match[1]).alias("label"), lines.select(split).to_series()
    )


def write_hmdb51(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """Clips as a folder of HMDB-51 split files, each whole or not at all.

    Args:
        path: the folder; files that lie in it already and are not written anew are not mixed with these.
    Raises:
        BadInput: there are boxes, times or no class at all, a clip has no class, a split is none of train, test and
            unused, a file or class name cannot stand in a list, or a path is not `<class>/<file>`.
        Refused: the folder holds files of other splits or classes.
    """
    refuse_boxes(annotations, path=path, holds="clip labels")
    refuse_times(annotations, path=path)
    refuse_unlabelled(annotations, path=path)
    names = known_label_map(annotations, context=context)["name"]
    bad = names.filter(names.str.contains(r"[/\x00]") | (names.str.len_bytes() > 200))
    if len(bad):
        raise BadInput(f"the class name {bad[0]!r} is no part of a file name", where=path, mend="Rename the class")
    refuse_unlistable(names, what="class", path=path, separator="")
    clips = annotations.clips.with_columns(class_names(annotations, context=context, path=path))
    videos = videos_with_context(annotations, context=context, path=path).select("video_id", "path")
    rows = clips.join(videos, on="video_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.coalesce("path", pl.format("{}/{}.avi", "label", "video_id")).alias("path"))
    file = pl.col("path").str.strip_prefix(pl.format("{}/", "label")).alias("file")
    rows = rows.with_columns(file)
    other = rows.filter((pl.col("file") == pl.col("path")) | pl.col("file").str.contains("/", literal=True))
    if other.height:
        problem = f"{other['path'][0]!r} is not in a folder called {other['label'][0]!r}, as its class is"
        raise BadInput(problem, where=path, mend="These lists say the class by the folder; move it, or drop the path")
    refuse_unlistable(rows["file"], what="file name", path=path, separator=" ")
    if not rows.height and not annotations.label_map.height:
        raise BadInput("there is no class, so there is no file to write", where=path, mend="Give a label map")
    files: dict[str, list[str]] = {}
    for split, label, name in rows.select("split", "label", "file").iter_rows():
        match = _SPLIT.match(split or "")
        if match is None:
            raise BadInput(f"the split {split!r} is none here", where=path, mend="Want train1, test1 or unused1 ...")
        text = files.setdefault(f"{label}_test_split{int(match[2] or 1)}.txt", [])
        text.append(f"{name} {_NUMBER_OF[match[1]]}\n")
    numbers = {name.rsplit("_test_split", 1)[1] for name in files} or {"1.txt"}
    for name in annotations.label_map["name"]:
        for number in numbers:
            files.setdefault(f"{name}_test_split{number}", [])
    refuse_stale(path, names=set(files), found=split_files_in(path) if path.is_dir() else [])
    for name in sorted(files):
        write_text(path / name, "".join(files[name]))
