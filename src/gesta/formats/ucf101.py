"""The split files of UCF-101: `classInd.txt`, and a training and a test list for each of three splits.

```
classInd.txt       1 ApplyEyeMakeup
trainlist01.txt    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
testlist01.txt     ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
frame_count.csv    v_ApplyEyeMakeup_g01_c01.avi,163
```

| file | name | unit | what |
|---|---|---|---|
| `classInd.txt` | id, name | | class id from 1, as published |
| `trainlistNN.txt` | path, label | | folder (the class's name) and file; class id |
| `testlistNN.txt` | path | | the folder says the class |
| `frame_count.csv` | video, num_frames | frames | file name; not of the authors; where counts are known |

A folder of them is read whole, or one list with the `classInd.txt` beside it. A clip's split is that of its list:
`train01`, `test01`; a video of three splits has three clips. The video id is the file's name without its ending.

Kept: class ids, paths, frame counts, the order within a list. In writing, a split without digits is split 01, and a
video without a path gets `<class>/<video id>.avi`. Not kept: urls, scores, sizes, categories. Refused: boxes, times, a
clip without class or split, blanks in paths (readers cut lines there), splits other than train and test.

Without `classInd.txt` the ids are those of the training lists, else the names are numbered. Counts are matched to files
without regard to case (the lists misspell one class).

Source: `UCF101TrainTestSplits-RecognitionTask` of the University of Central Florida; `open-mmlab/mmaction2`,
`tools/data/parse_file_list.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

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
    PathIds,
    class_names,
    files_of,
    known_label_map,
    named_by_path,
    refuse_boxes,
    refuse_stale,
    refuse_times,
    refuse_two_paths,
    refuse_unlabelled,
    refuse_unlistable,
    videos_with_context,
    with_class_ids,
)
from gesta.formats.delimited import joined_lines, read_cells, read_lines, refuse_first
from gesta.formats.numbers import to_integers
from gesta.schema import BadInput, BadRow
from gesta.tables import write_text

CLASS_INDEX = "classInd.txt"
FRAME_COUNTS = "frame_count.csv"
_LIST = re.compile(r"(train|test)list([0-9]{1,3})\.txt\Z")
_SPLIT = re.compile(r"(train|test)([0-9]{1,3})?\Z")


def read_ucf101(path: Path, *, context: Context = Context(), ids: PathIds | None = None) -> Annotations:
    """The videos and clips of UCF-101 lists, training before test within a split, in the lists' order.

    Class ids are those of the context's label map, else of `classInd.txt`, else the class names are numbered.

    Args:
        path: the folder of the lists, or one list.
        ids: how a path becomes a video id; None = as `context` says.
    Raises:
        BadInput: there is no such file or no list in the folder, one cannot be read, two paths give one id, or a
            class is not in the label map.
        BadRow: a line is not UTF-8 or not what it must be, or a label is not that of the folder's class.
    """
    ids = ids or context.ids
    folder = path if path.is_dir() else path.parent
    files = lists_in(folder) if path.is_dir() else [path]
    if not files:
        raise BadInput("there is no trainlistNN.txt or testlistNN.txt here", where=path, mend="Name their folder")
    index = _read_class_index(folder / CLASS_INDEX) if (folder / CLASS_INDEX).is_file() else None
    rows = pl.concat([_read_list(file, index=index, ids=ids) for file in files])
    if index is None and rows["listed_id"].count():
        index = _index_of_lists(rows)
    class_ids, label_map = with_class_ids(
        rows["label"], context=context, path=path, label_map=index, lines=rows["line"], files=rows["file"]
    )
    videos = rows.unique("video_id", keep="first", maintain_order=True).select("video_id", "path")
    refuse_two_paths(rows, path=path)
    if (folder / FRAME_COUNTS).is_file():
        counts = _read_frame_counts(folder / FRAME_COUNTS)
        # Lists say v_HandStandPushups_g01_c01.avi, and the files are called v_HandstandPushups_g01_c01.avi.
        file = pl.col("path").str.split("/").list.last().str.to_lowercase()
        videos = videos.with_columns(file.alias("file")).join(counts, on="file", how="left", maintain_order="left")
    return Annotations(
        videos=shaped(videos, VIDEO_COLUMNS),
        clips=shaped(rows.with_columns(class_ids.alias("class_id")), CLIP_COLUMNS),
        label_map=label_map,
    )


def lists_in(folder: Path) -> list[Path]:
    """The lists of a folder, by split, training before test.

    Raises:
        BadInput: the folder cannot be listed.
    """
    found = [file for file in files_of(folder) if _LIST.match(file.name)]
    return sorted(found, key=lambda file: (file.name.split("list")[1], file.name.startswith("test")))


def _read_class_index(path: Path) -> pl.DataFrame:
    lines = read_lines(path)
    text = pl.col("text").str.strip_chars()
    frame = lines.select("line", text.str.extract(r"^(\S+)\s", 1).alias("id_text"), text.alias("text"))
    frame = frame.with_columns(
        to_integers(frame["id_text"]).alias("class_id"), pl.col("text").str.replace(r"^\S+\s+", "").alias("name")
    )
    is_bad = pl.col("class_id").is_null() | (pl.col("name") == "")
    mend = "Write each class as: 1 ApplyEyeMakeup"
    refuse_first(frame, is_bad, path=path, problem=pl.format("'{}' is no id and name", "text"), mend=mend)
    for column in ("class_id", "name"):
        is_again = ~pl.col(column).is_first_distinct()
        refuse_first(frame, is_again, path=path, problem=pl.format("{} comes twice", column), mend="Keep one of them")
    return shaped(frame, LABEL_MAP_COLUMNS)


def _read_list(path: Path, *, index: pl.DataFrame | None, ids: PathIds) -> pl.DataFrame:
    """Columns video_id, path, label, listed_id (null in a test list), split, line and file of one list."""
    match = _LIST.match(path.name)
    if match is None:
        raise BadInput("the name says neither training nor test", where=path, mend="Want trainlist01.txt or so")
    lines = read_lines(path).with_columns(pl.col("text").str.strip_chars())
    label = pl.col("text").str.extract(r"\s(\S+)$", 1)
    is_train = match[1] == "train"
    if is_train:
        lines = lines.with_columns(label.alias("label_text"), pl.col("text").str.replace(r"\s+\S+$", "").alias("path"))
        lines = lines.with_columns(to_integers(lines["label_text"]).alias("listed_id"))
        problem = pl.format("the label is '{}', want a class's whole number after the path", pl.col("label_text"))
        refuse_first(
            lines,
            pl.col("listed_id").is_null(),
            path=path,
            problem=problem.fill_null("the label is missing"),
            mend="Write a line of a training list as: Archery/v_Archery_g01_c01.avi 3",
        )
    else:
        lines = lines.with_columns(pl.col("text").alias("path"), pl.lit(None, dtype=pl.Int64()).alias("listed_id"))
    folder = pl.col("path").str.extract(r"([^/]+)/[^/]+$", 1)
    lines = lines.with_columns(folder.alias("label"))
    problem = pl.format("'{}' is in no folder, so its class is not known", "path")
    mend = "Write it as: Archery/v_Archery_g01_c01.avi"
    refuse_first(lines, pl.col("label").is_null(), path=path, problem=problem, mend=mend)
    if is_train and index is not None:
        known = index.select(pl.col("name").alias("label"), "class_id")
        joined = lines.join(known, on="label", how="left", maintain_order="left")
        problem = pl.format("the label is {}, but {} is class {}", "listed_id", "label", "class_id")
        is_other = pl.col("class_id") != pl.col("listed_id")
        refuse_first(joined, is_other, path=path, problem=problem, mend=f"Mend it here or in {CLASS_INDEX}")
    named = named_by_path(lines["path"], ids=ids, has_ending=True, path=path, lines=lines["line"])
    split = pl.lit(f"{match[1]}{match[2]}").alias("split")
    return named.select("video_id", "path").with_columns(
        lines["label"], lines["listed_id"], split, lines["line"], pl.lit(str(path)).alias("file")
    )


def _index_of_lists(rows: pl.DataFrame) -> pl.DataFrame:
    """The classes as the training lists number them."""
    pairs = rows.drop_nulls("listed_id").select("line", "file", class_id="listed_id", name="label")
    index = pairs.unique(["class_id", "name"], keep="first", maintain_order=True)
    for column, other in (("class_id", "name"), ("name", "class_id")):
        double = index.filter(pl.col(column).is_duplicated())
        if double.height:
            same = double.filter(pl.col(column) == double[column][0])
            problem = f"{double[column][0]} is {same[other][0]} in one line and {same[other][1]} in another"
            mend = f"Put the right {CLASS_INDEX} beside the lists"
            raise BadRow(problem, path=same["file"][1], line=same["line"][1], mend=mend)
    return shaped(index.sort("class_id"), LABEL_MAP_COLUMNS)


def _read_frame_counts(path: Path) -> pl.DataFrame:
    """Columns `file` and `num_frames`; the first of two lines of a file counts."""
    cells = read_cells(path, max_cells=2).slice(1)
    frame = cells.with_columns(
        to_integers(cells["cell_1"]).alias("num_frames"), pl.col("cell_0").str.to_lowercase().alias("file")
    )
    is_bad = (pl.col("num_cells") != 2) | pl.col("num_frames").is_null() | (pl.col("num_frames") < 0)
    problem = pl.lit("this is no file name and number of frames")
    refuse_first(frame, is_bad, path=path, problem=problem, mend="Write it as: v_Archery_g01_c01.avi,163")
    return frame.select("file", "num_frames").unique("file", keep="first", maintain_order=True)


def write_ucf101(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """Clips as a folder of UCF-101 lists with their `classInd.txt`, each file whole or not at all.

    Args:
        path: the folder; lists that lie in it already and are not written anew are not mixed with these.
    Raises:
        BadInput: there are boxes or times, a clip has no class, a split is neither train nor test, a path or name
            cannot stand in a list, or a path's folder is not its class.
        Refused: the folder holds lists of other splits.
    """
    refuse_boxes(annotations, path=path, holds="clip labels")
    refuse_times(annotations, path=path)
    refuse_unlabelled(annotations, path=path)
    clips = annotations.clips.with_columns(class_names(annotations, context=context, path=path))
    videos = videos_with_context(annotations, context=context, path=path)
    wanted = videos.select("video_id", "path", "num_frames")
    made = pl.format("{}/{}.avi", "label", "video_id")
    rows = clips.drop("path", strict=False).join(wanted, on="video_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.coalesce("path", made).alias("path"))
    refuse_unlistable(rows["path"], what="path", path=path, separator=" ")
    other = rows.filter((pl.col("path").str.extract(r"([^/]+)/[^/]+$", 1) != pl.col("label")).fill_null(value=True))
    if other.height:
        problem = f"{other['path'][0]!r} is not in a folder called {other['label'][0]!r}, as its class is"
        raise BadInput(problem, where=path, mend="Test lists say the class by the folder; move it, or drop the path")
    label_map = known_label_map(annotations, context=context)
    refuse_unlistable(label_map["name"], what="class", path=path, separator=" ")
    files: dict[str, list[str]] = {} if rows.height else {"trainlist01.txt": []}
    for split, file, class_id in rows.select("split", "path", "class_id").iter_rows():
        match = _SPLIT.match(split or "")
        if match is None:
            raise BadInput(
                f"the split {split!r} is neither train nor test", where=path, mend="Want train01, test01 ..."
            )
        name = f"{match[1]}list{match[2] or '01'}.txt"
        files.setdefault(name, []).append(f"{file} {class_id}" if match[1] == "train" else file)
    refuse_stale(path, names=set(files), found=lists_in(path) if path.is_dir() else [])
    index = label_map.select(pl.format("{} {}", "class_id", "name").alias("line")).to_series()
    write_text(path / CLASS_INDEX, joined_lines(index))
    counted = rows.unique("video_id", keep="first", maintain_order=True).drop_nulls("num_frames")
    if counted.height:
        names = pl.col("path").str.split("/").list.last()
        lines = counted.select(pl.format("{},{}", names, "num_frames").alias("line")).to_series()
        write_text(path / FRAME_COUNTS, "video,num_frames\n" + joined_lines(lines))
    for name in sorted(files):
        write_text(path / name, "".join(f"{line}\n" for line in files[name]))
