"""The csv files of AVA v2.1 / v2.2 and AVA-Kinetics v1.0, detections in the same layout, and lists of timestamps.

One line is a person and an action at a key-frame: `video_id, seconds, x1, y1, x2, y2, action_id, eighth`, boxes as
fractions of the frame. Two columns alone say that the key-frame was looked at and shows nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from gesta.formats.delimited import (
    cells_of,
    decoded_lines,
    joined_lines,
    quoted_cell,
    read_cells,
    read_lines,
    refuse_first,
    refuse_other_lengths,
    refuse_unwritable,
)
from gesta.formats.numbers import (
    joined_decimals,
    seconds_to_us,
    to_decimals,
    to_integers,
    us_to_padded_seconds,
    us_to_seconds,
)
from gesta.schema import BadInput
from gesta.tables import write_text

if TYPE_CHECKING:
    from gesta.formats.ava_scan import AvaBlock

BOX = ["x1", "y1", "x2", "y2"]

AVA_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(),
    "timestamp_us": pl.Int64(),
    **dict.fromkeys(BOX, pl.Float64()),
    "class_id": pl.Int64(),
    "person_id": pl.Int64(),
    "score": pl.Float64(),
    "line": pl.Int64(),
}  # fmt: skip
"""What `read_ava_csv` gives. Null: the box and class of a two-column line; the eighth column where a line has none."""

SCAN_FROM_BYTES = 1 << 20
"""Bytes from which the loop over bytes reads. Source: ours; below, the loop's start costs more than it saves."""

_MEANING = "video id, seconds; then x1, y1, x2, y2, action id; then a person id or a score"


def read_ava_csv(path: Path, *, column_8: Literal["person_id", "score"] = "person_id") -> pl.DataFrame:
    """The lines of an AVA, AVA-Kinetics or detections csv, in their order, with the columns of `AVA_COLUMNS`.

    Times are exact: `0902`, `902` and `902.000` are one time, `902.5` is another. Boxes are given as they stand,
    inverted or outside the frame too: what to do with them is the reader's to decide.

    Args:
        path: without a header; LF or CRLF; blank lines hold nothing.
        column_8: what the eighth column is. In ground truth it numbers persons, in detections it scores. (The
            official evaluator takes it for a score in both.)
    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line has not 2, 7 or 8 columns, or one of them is not what it must be.
    Source: files of AVA v2.1 and AVA-Kinetics v1.0; `ActivityNet/Evaluation/get_ava_performance.py`, `read_csv`.
    """
    try:
        is_small = path.stat().st_size < SCAN_FROM_BYTES
    except OSError:
        is_small = True  # the reader of cells says what is wrong with it
    if is_small:
        return _rows_of_cells(read_cells(path, max_cells=8), path=path, column_8=column_8)
    blocks = [_frame_of_block(block) for block in scan_ava_blocks(path, column_8=column_8)]
    return pl.concat(blocks) if blocks else pl.DataFrame(schema=AVA_COLUMNS)


def scan_ava_blocks(path: Path, *, column_8: Literal["person_id", "score"]) -> Iterator[AvaBlock]:
    """The rows of `read_ava_csv` as arrays, in stretches, so that a file of any length passes through.

    Raises:
        BadInput: the file cannot be read.
        BadRow: a line is wrong, as for `read_ava_csv`; with several wrong ones, any of the earliest.
    """
    # numba takes a while to load, and small files do without it.
    from gesta.formats.ava_scan import scan_ava_csv

    def read_odd(lines: pl.DataFrame) -> pl.DataFrame:
        cells = cells_of(decoded_lines(lines, path=path), max_cells=8, path=path)
        rows = _rows_of_cells(cells, path=path, column_8=column_8)
        return rows.with_columns(cells["num_cells"])

    return scan_ava_csv(path, is_score=column_8 == "score", read_odd=read_odd)


def _frame_of_block(block: AvaBlock) -> pl.DataFrame:
    from gesta.formats.ava_scan import NO_PERSON

    is_box = pl.Series(block.num_cells_N) > 2
    columns = {
        "video_id": pl.Series(block.video_ids, dtype=pl.String).gather(block.video_N),
        "timestamp_us": block.time_us_N,
        **{name: block.corners_N4[:, i] for i, name in enumerate(BOX)},
        "class_id": block.class_id_N,
        "person_id": block.person_N,
        "score": block.score_N,
        "line": block.line_N,
    }
    return pl.DataFrame(columns, schema=AVA_COLUMNS).with_columns(
        *(pl.when(is_box).then(name).alias(name) for name in (*BOX, "class_id")),
        pl.when(pl.col("person_id") != NO_PERSON).then("person_id").alias("person_id"),
        pl.col("score").fill_nan(None),
    )


def _rows_of_cells(cells: pl.DataFrame, *, path: Path, column_8: Literal["person_id", "score"]) -> pl.DataFrame:
    refuse_other_lengths(cells, allowed=(2, 7, 8), path=path, meaning=_MEANING)
    timed = _with_key_frame(cells, path=path)
    is_box, has_eighth = pl.col("num_cells") > 2, pl.col("num_cells") == 8
    columns = [to_decimals(cells[f"cell_{2 + i}"]).alias(name) for i, name in enumerate(BOX)]
    columns.append(to_integers(cells["cell_6"]).alias("class_id"))
    person, score = to_integers(cells["cell_7"]), to_decimals(cells["cell_7"])
    columns.append(person.alias("person_id") if column_8 == "person_id" else _nulls(cells, "person_id", pl.Int64()))
    columns.append(score.alias("score") if column_8 == "score" else _nulls(cells, "score", pl.Float64()))
    frame = timed.with_columns(columns)
    mend = "Write a key-frame without boxes as two columns, video id and seconds"
    for i, name in enumerate(BOX):
        _refuse_null(frame, name, f"cell_{2 + i}", is_box, "a finite number", path=path, mend=mend)
    _refuse_null(frame, "class_id", "cell_6", is_box, "an action's whole number", path=path, mend=mend)
    if column_8 == "person_id":
        mend = "Column 8 of ground truth numbers persons; if it holds scores, this is a file of detections"
        _refuse_null(frame, "person_id", "cell_7", has_eighth, "a person's whole number", path=path, mend=mend)
    else:
        _refuse_null(frame, "score", "cell_7", has_eighth, "a finite number", path=path, mend="Write a score there")
    return frame.select(list(AVA_COLUMNS))


def _nulls(cells: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    return pl.Series(name, [None], dtype=dtype).new_from_index(0, cells.height)


def _with_key_frame(cells: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    """The cells with `video_id` and `timestamp_us`, both found to be there."""
    times_us = seconds_to_us(cells["cell_1"]).alias("timestamp_us")
    frame = cells.with_columns(pl.col("cell_0").alias("video_id"), times_us)
    refuse_first(
        frame,
        pl.col("video_id") == "",
        path=path,
        problem=pl.lit("the video id is empty"),
        mend="Write the id in the first column",
    )
    refuse_first(
        frame,
        pl.col("timestamp_us").is_null() | (pl.col("timestamp_us") < 0),
        path=path,
        problem=pl.format("{} is no time in a video, in seconds", _shown("cell_1")),
        mend="Write it like 0902 or 5.016949; these files have no header line",
    )
    return frame


def _shown(cell: str) -> pl.Expr:
    return pl.concat_str(pl.lit("'"), pl.col(cell), pl.lit("'"))


def _refuse_null(
    frame: pl.DataFrame, name: str, cell: str, where: pl.Expr, kind: str, *, path: Path, mend: str
) -> None:
    problem = pl.format(f"{name} is {{}}, want {kind}", _shown(cell))
    refuse_first(frame, where & pl.col(name).is_null(), path=path, problem=problem, mend=mend)


def write_ava_csv(path: Path, rows: pl.DataFrame) -> None:
    """Ground truth in the layout of AVA v2.1 / v2.2, whole or not at all.

    Whole seconds have four digits (`0902`), others six decimals; boxes have three. A row without a box becomes two
    columns, a row with a box and no `person_id` seven, any other eight.

    Args:
        rows: `video_id`, `timestamp_us`, `x1`, `y1`, `x2`, `y2` and `class_id` as `read_ava_csv` gives them, and
            `person_id` where persons are known.
    Raises:
        BadInput: a video id cannot stand in a csv, or a row has half a box.
    """
    _write(path, rows, times=us_to_padded_seconds(rows["timestamp_us"]), box_decimals=3, eighth=_persons(rows))


def _persons(rows: pl.DataFrame) -> pl.Series:
    dtype = pl.Series("eighth", [None] * rows.height, dtype=pl.String)
    return rows["person_id"].cast(pl.String).alias("eighth") if "person_id" in rows.columns else dtype


def write_ava_kinetics_csv(path: Path, rows: pl.DataFrame) -> None:
    """Ground truth in the layout of AVA-Kinetics v1.0, whole or not at all: seven columns or two, six decimals.

    Args:
        rows: as for `write_ava_csv`; a `person_id` has no place in this layout and is left out.
    Raises:
        BadInput: a video id cannot stand in a csv, or a row has half a box.
    """
    none = pl.Series("eighth", [None], dtype=pl.String).new_from_index(0, rows.height)
    _write(path, rows, times=us_to_seconds(rows["timestamp_us"], decimals=6), box_decimals=6, eighth=none)


def write_detections_csv(
    path: Path, detections: pl.DataFrame, *, box_decimals: int | None = None, score_decimals: int | None = None
) -> None:
    """Detections in the layout that the official AVA evaluator reads, whole or not at all: eight columns, scores last.

    Args:
        detections: `video_id`, `timestamp_us`, `x1`, `y1`, `x2`, `y2`, `class_id`, `score`, as in the table
            `detections`.
        box_decimals: digits after the point; None = as many as it takes to read the same number back, so that the
            file is scored exactly as the table is. (AVA's proposals have 3.)
        score_decimals: likewise. (PySlowFast and MMAction2 write 4, which makes ties.)
    Raises:
        BadInput: a video id cannot stand in a csv, or a row has half a box.
    """
    scores = joined_decimals(detections.select("score"), decimals=score_decimals).alias("eighth")
    times = us_to_padded_seconds(detections["timestamp_us"])
    _write(path, detections, times=times, box_decimals=box_decimals, eighth=scores)


def _write(path: Path, rows: pl.DataFrame, *, times: pl.Series, box_decimals: int | None, eighth: pl.Series) -> None:
    refuse_unwritable(rows, "video_id", path=path)
    num_null = rows.select(pl.sum_horizontal(pl.col(*BOX, "class_id").is_null().cast(pl.Int64))).to_series()
    if (~num_null.is_in([0, 5])).any():
        raise BadInput(
            "a row has a part of a box or of its class only",
            where=path,
            mend="Give x1, y1, x2, y2 and class_id, or none of them",
        )
    boxes = joined_decimals(rows.select(BOX), decimals=box_decimals).alias("box")
    frame = rows.select("video_id", "class_id").with_columns(times.alias("time"), boxes, eighth, num_null.alias("gone"))
    key, cell = [quoted_cell("video_id"), pl.col("time")], pl.col("class_id").cast(pl.String)
    seven = [*key, pl.col("box"), cell]
    line = (
        pl.when(pl.col("gone") == 5)
        .then(pl.concat_str(key, separator=","))
        .when(pl.col("eighth").is_null())
        .then(pl.concat_str(seven, separator=","))
        .otherwise(pl.concat_str([*seven, pl.col("eighth")], separator=","))
    )
    write_text(path, joined_lines(frame.select(line.alias("line")).to_series()))


def read_excluded_timestamps(path: Path) -> pl.DataFrame:
    """Key-frames that do not count, in the file's order: columns `video_id`, `timestamp_us`, `line`.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line has not two columns, or its second is no time.
    Source: `ava_{train,val,test}_excluded_timestamps_v2.2.csv`.
    """
    cells = read_cells(path, max_cells=2)
    refuse_other_lengths(cells, allowed=(2,), path=path, meaning="video id, seconds")
    return _with_key_frame(cells, path=path).select("video_id", "timestamp_us", "line")


def write_excluded_timestamps(path: Path, rows: pl.DataFrame) -> None:
    """Key-frames that do not count, as `video_id,0902` lines, whole or not at all.

    Args:
        rows: `video_id` and `timestamp_us`.
    Raises:
        BadInput: a video id cannot stand in a csv.
    """
    refuse_unwritable(rows, "video_id", path=path)
    frame = rows.select("video_id", us_to_padded_seconds(rows["timestamp_us"]).alias("time"))
    lines = frame.select(pl.concat_str(quoted_cell("video_id"), "time", separator=",").alias("line")).to_series()
    write_text(path, joined_lines(lines))


def read_included_timestamps(path: Path) -> pl.DataFrame:
    """The seconds at which every film has a key-frame, in the file's order: columns `timestamp_us`, `line`.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is no time.
    Source: `ava_included_timestamps_v2.2.txt`.
    """
    lines = read_lines(path)
    frame = lines.with_columns(seconds_to_us(lines["text"]).alias("timestamp_us"))
    refuse_first(
        frame,
        pl.col("timestamp_us").is_null() | (pl.col("timestamp_us") < 0),
        path=path,
        problem=pl.format("{} is no time in a video, in seconds", _shown("text")),
        mend="Write one time a line, like 0902",
    )
    return frame.select("timestamp_us", "line")


def write_included_timestamps(path: Path, times_us: pl.Series) -> None:
    """Times as AVA writes them, one a line, whole or not at all."""
    write_text(path, joined_lines(us_to_padded_seconds(times_us)))
