r"""Files of clip scores and of clip labels, as `gesta.evaluate.score_clips` takes them.

A scores csv has a header and a line for each clip and class:

```
clip_id, class_id, score
-v8pgm1eQ_000000_000010, 17, 0.83
-v8pgm1eQ_000000_000010, 4, 0.11
```

| name | unit | what |
|---|---|---|
| `clip_id` | | any text; for Kinetics the file's name without ending: video id, start and end in seconds |
| `class_id` | | the label map's id; or `class_name`, its name |
| `score` | | any finite number, higher where it is surer; classes that are left out are never guessed |

Many scores are better kept in Parquet (ending .parquet), with the same columns; `score` may be a 32-bit float there.

A labels csv has the first two columns; a clip with several labels has several lines. Labels are also read from the csv
files of Kinetics and from ActivityNet's JSON, scores from ActivityNet's JSON of predictions, where the clip is the
video and the highest score of a class counts.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.formats import read_kinetics_csv
from gesta.formats.activitynet import read_activitynet, read_activitynet_predictions
from gesta.formats.annotations import Context
from gesta.formats.delimited import (
    joined_lines,
    quoted_cell,
    read_cells,
    refuse_first,
    refuse_other_lengths,
    refuse_unwritable,
)
from gesta.formats.numbers import joined_decimals, to_decimals, to_integers
from gesta.schema import US_PER_S, BadInput, BadRow, WrongSchema
from gesta.tables import whole_file, write_text

_CLASS_COLUMNS = ("class_id", "class_name")


def read_clip_scores(path: Path, *, label_map: pl.DataFrame | None = None) -> pl.DataFrame:
    """Columns clip_id, class_id and score, in the file's order.

    Args:
        path: a scores csv, the same as Parquet (ending .parquet), or ActivityNet's JSON of predictions (ending .json).
        label_map: class_id and name; needed where the file has names.
    Raises:
        BadInput: there is no such file, it cannot be read, or it has names and there is no label map.
        BadRow: a line is not what it must be, or a clip has two scores of one class (csv).
        WrongSchema: a column is missing or of another type (Parquet).
    """
    if path.suffix == ".parquet":
        return _read_parquet(path, label_map=label_map)
    if path.suffix == ".json":
        clips = read_activitynet_predictions(path, context=_context(label_map, path=path)).clips
        scored = clips.select(pl.col("video_id").alias("clip_id"), "class_id", "score").drop_nulls()
        return scored.group_by("clip_id", "class_id", maintain_order=True).agg(pl.col("score").max())
    rows = _rows(path, columns=("clip_id", *_CLASS_COLUMNS, "score"), label_map=label_map)
    frame = rows.with_columns(to_decimals(rows["score"]).alias("number"))
    refuse_first(
        frame, pl.col("number").is_null(), path=path,
        problem=pl.concat_str(pl.lit("the score is '"), "score", pl.lit("', want a finite number")),
        mend="Write a decimal number like 0.83",
    )  # fmt: skip
    twice = pl.struct("clip_id", "class_id").is_duplicated()
    refuse_first(
        frame, twice, path=path, mend="Keep one score a clip and class",
        problem=pl.format("clip {} has two scores of class {}", "clip_id", "class_id"),
    )  # fmt: skip
    return frame.select("clip_id", "class_id", pl.col("number").alias("score"))


def write_clip_scores(path: Path, scores: pl.DataFrame, *, score_decimals: int | None = None) -> None:
    """A scores csv, or Parquet by its ending, whole or not at all.

    Args:
        path: of the file; with the ending .parquet the scores are written as they are.
        scores: clip_id, class_id and score.
        score_decimals: digits after the point; None = as many as it takes to read the same number back.
    Raises:
        BadInput: a clip id cannot stand in a csv.
    """
    if path.suffix == ".parquet":
        with whole_file(path) as temporary:
            scores.select("clip_id", "class_id", "score").write_parquet(temporary, compression="zstd")
        return
    refuse_unwritable(scores, "clip_id", path=path)
    texts = joined_decimals(scores.select(pl.col("score").cast(pl.Float64)), decimals=score_decimals)
    cells = [quoted_cell("clip_id"), pl.col("class_id").cast(pl.String), pl.col("text")]
    lines = scores.with_columns(texts.alias("text")).select(pl.concat_str(cells, separator=",")).to_series()
    write_text(path, "clip_id,class_id,score\n" + joined_lines(lines))


def read_clip_labels(path: Path, *, label_map: pl.DataFrame | None = None) -> pl.DataFrame:
    """Columns clip_id and class_id, a row a label, in the file's order.

    Args:
        path: a labels csv, a csv of Kinetics, or ActivityNet's JSON (ending .json; every split it has).
        label_map: class_id and name; needed where the file has names, as Kinetics and ActivityNet have.
    Raises:
        BadInput: there is no such file, it cannot be read, it has names and there is no label map, or the label map
            lacks one of them.
        BadRow: a line is not what it must be.
    """
    if path.suffix == ".json":
        clips = read_activitynet(path, context=_context(label_map, path=path)).clips
        return clips.select(pl.col("video_id").alias("clip_id"), "class_id").drop_nulls().unique(maintain_order=True)
    first = read_cells(path, max_cells=6, max_lines=1)
    if "youtube_id" in first.rows()[0] if len(first) else False:
        rows = read_kinetics_csv(path).drop_nulls("label")
        seconds = ((pl.col(end) // US_PER_S).cast(pl.String).str.zfill(6).alias(end) for end in ("start_us", "end_us"))
        named = rows.with_columns(seconds).select(
            "line", "label", clip_id=pl.concat_str("video_id", "start_us", "end_us", separator="_")
        )
        return _numbered(named, "label", label_map, path=path).select("clip_id", "class_id")
    return _rows(path, columns=("clip_id", *_CLASS_COLUMNS), label_map=label_map).select("clip_id", "class_id")


def _read_parquet(path: Path, *, label_map: pl.DataFrame | None) -> pl.DataFrame:
    if not path.is_file():
        raise BadInput("no such file", where=path, mend="Give the path of a scores file")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInput("cannot be read as Parquet", where=path, mend="Write it again") from error
    has_names = "class_name" in frame.columns
    wanted = {"clip_id": pl.String, ("class_name" if has_names else "class_id"): pl.String if has_names else pl.Int64}
    for name, dtype in wanted.items():
        found = frame.schema.get(name)
        if found != dtype and not (dtype == pl.Int64 and found is not None and found.is_integer()):
            problem = f"column {name!r} is {'missing' if found is None else found}, want {dtype}"
            raise WrongSchema(problem, where=path, mend=f"Found: {', '.join(frame.columns)}")
    if "score" not in frame.columns or not frame.schema["score"].is_numeric():
        raise WrongSchema("no column 'score' of numbers", where=path, mend=f"Found: {', '.join(frame.columns)}")
    if frame.select(pl.any_horizontal(pl.col(*wanted, "score").is_null().any())).item():
        raise BadInput("a cell is empty", where=path, mend="Want a clip, a class and a score in every row")
    rows = frame.with_columns(pl.col("score").cast(pl.Float64))
    if not rows["score"].is_finite().all():
        raise BadInput("a score is no finite number", where=path, mend="Score it, or leave the row out")
    if has_names:
        numbered = rows.with_row_index("line", offset=1).with_columns(pl.col("line").cast(pl.Int64))
        rows = _numbered(numbered, "class_name", label_map, path=path)
    rows = rows.select("clip_id", pl.col("class_id").cast(pl.Int64), "score")
    if (twice := first_double(rows)) is not None:
        raise BadInput(f"clip {twice[0]} has two scores of class {twice[1]}", where=path, mend="Keep one")
    return rows


def first_double(rows: pl.DataFrame) -> tuple[str, int] | None:
    """The first clip and class that stand in two rows, or None.

    Args:
        rows: clip_id and class_id.
    """
    # Whole numbers in place of texts: a tenth of the time for tens of millions of rows.
    clips = rows.select("clip_id").unique().with_row_index("clip")
    classes = rows.select("class_id").unique().with_row_index("class")
    numbered = rows.select("clip_id", "class_id").join(clips, on="clip_id", maintain_order="left")
    numbered = numbered.join(classes, on="class_id", maintain_order="left")
    key = numbered.select(pl.col("clip").cast(pl.Int64) * len(classes) + pl.col("class")).to_series()
    if key.n_unique() == len(key):
        return None
    clip_id, class_id = numbered.filter(key.is_duplicated()).select("clip_id", "class_id").row(0)
    return clip_id, class_id


def _context(label_map: pl.DataFrame | None, *, path: Path) -> Context:
    if label_map is None:
        raise BadInput("this file has names of classes", where=path, mend="Give the label map that numbers them")
    return Context(label_map=label_map)


def _rows(path: Path, *, columns: tuple[str, ...], label_map: pl.DataFrame | None) -> pl.DataFrame:
    """The file's cells by name with `line`, and `class_id` as a number."""
    cells = read_cells(path, max_cells=len(columns))
    wanted = [name for name in columns if name != "class_name"]
    if not len(cells):
        raise BadInput("the file is empty", where=path, mend=f"Want a header: {','.join(wanted)}")
    line, num_cells, *names = cells.row(0)
    named = [str(name).strip() for name in names[:num_cells]]
    as_ids = ["class_id" if name == "class_name" else name for name in named]
    if sorted(as_ids) != sorted(wanted) or num_cells != len(wanted):
        problem = f"the header is {','.join(named)}, want {','.join(wanted)}"
        raise BadRow(problem, path=path, line=line, mend="class_name may stand in place of class_id")
    rows = cells.slice(1)
    refuse_other_lengths(rows, allowed=(len(wanted),), path=path, meaning=", ".join(named))
    rows = rows.select("line", *(pl.col(f"cell_{i}").alias(name) for i, name in enumerate(named)))
    refuse_first(rows, pl.col("clip_id") == "", path=path, problem=pl.lit("the clip id is empty"), mend="Write one")
    if "class_name" in named:
        return _numbered(rows, "class_name", label_map, path=path)
    numbers = to_integers(rows["class_id"])
    frame = rows.with_columns(numbers.alias("number"))
    refuse_first(
        frame, pl.col("number").is_null(), path=path, mend="Write the label map's id, or name the column class_name",
        problem=pl.concat_str(pl.lit("the class id is '"), "class_id", pl.lit("', want a whole number")),
    )  # fmt: skip
    return frame.with_columns(class_id="number").drop("number")


def _numbered(rows: pl.DataFrame, column: str, label_map: pl.DataFrame | None, *, path: Path) -> pl.DataFrame:
    context = _context(label_map, path=path)
    assert context.label_map is not None
    ids = context.label_map.select(pl.col("name").alias(column), "class_id").unique(column, keep="first")
    numbered = rows.join(ids, on=column, how="left", maintain_order="left")
    refuse_first(
        numbered, pl.col("class_id").is_null(), path=path, mend="Give the label map that these clips were named with",
        problem=pl.concat_str(pl.lit("the label map has no class '"), column, pl.lit("'")),
    )  # fmt: skip
    return numbered
