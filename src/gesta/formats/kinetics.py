"""The csv files of Kinetics-400, -600, -700 and -700-2020: a clip a line, with its label where the split is not `test`.

```
label,youtube_id,time_start,time_end,split,is_cc
"playing guitar",0wR5jVB-WPk,417,427,val,0
```

| name | unit | what |
|---|---|---|
| `label` | | class name; the files of the test splits lack the column |
| `youtube_id` | | video id of 11 characters, one in twenty beginning with `-` or `_`; may come twice, in two classes |
| `time_start`, `time_end` | s | of the clip in the original video, whole in all published files |
| `split` | | `train`, `val`, `validate` (Kinetics-700), `test`, kept as written |
| `is_cc` | | 1 = Creative Commons licence; Kinetics-400 train and val only |

Columns are known by the header and may come in any order. Kept: all of them, times to the microsecond; whole seconds
are written whole, and labels with a blank in quotes as Kinetics-400 does, or without. Class ids are not in the file.
Countix has other columns (`video_id`, `kinetics_start` ...) and is refused.

Source: `activitynet/ActivityNet`, `Crawler/Kinetics/data`; the csv files of Kinetics-700 and -700-2020.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.formats.delimited import (
    joined_lines,
    quoted_cell,
    read_cells,
    refuse_first,
    refuse_other_lengths,
    refuse_unwritable,
)
from gesta.formats.numbers import seconds_to_us, us_to_short_seconds
from gesta.schema import BadInput, BadRow
from gesta.tables import write_text

HEADER = ("label", "youtube_id", "time_start", "time_end", "split", "is_cc")
"""All the columns there are. Source: Kinetics-400 train and val have the six, Kinetics-600 and -700 the first five,
the test files of all three the middle four."""

REQUIRED = ("youtube_id", "time_start", "time_end")

KINETICS_COLUMNS: dict[str, pl.DataType] = {
    "label": pl.String(), "video_id": pl.String(), "start_us": pl.Int64(), "end_us": pl.Int64(), "split": pl.String(),
    "is_cc": pl.Boolean(), "line": pl.Int64(),
}  # fmt: skip
"""What `read_kinetics_csv` gives; columns that a file lacks are null. `split` is as written: K700 says `validate`."""


def read_kinetics_csv(path: Path) -> pl.DataFrame:
    """The clips of a Kinetics csv, in the file's order, with the columns of `KINETICS_COLUMNS`.

    Columns are known by the header, in any order. A video id may come twice, in two classes; a clip whose end is
    not after its start is given as it stands.

    Raises:
        BadInput: there is no such file, it cannot be read, or it is empty.
        BadRow: the header lacks a column or has one that is unknown or double, or a line is not what it must be.
    Source: `ActivityNet/Crawler/Kinetics/data`; Kinetics-700-2020 has the same five columns.
    """
    cells = read_cells(path, max_cells=len(HEADER))
    if not cells.height:
        raise BadInput("the file is empty", where=path, mend=f"Want a header: {','.join(HEADER[:5])}")
    names = _header(cells.head(1), path=path)
    rows = cells.slice(1)
    refuse_other_lengths(rows, allowed=(len(names),), path=path, meaning=", ".join(names))
    text = {name: rows[f"cell_{i}"] for i, name in enumerate(names)}
    absent = pl.Series([None], dtype=pl.String).new_from_index(0, rows.height)
    frame = pl.DataFrame(
        {
            "label": text.get("label", absent),
            "video_id": text["youtube_id"],
            "start_text": text["time_start"],
            "end_text": text["time_end"],
            "start_us": seconds_to_us(text["time_start"]),
            "end_us": seconds_to_us(text["time_end"]),
            "split": text.get("split", absent),
            "cc_text": text.get("is_cc", absent),
            "line": rows["line"],
        }
    )
    _refuse_bad_cells(frame, path=path)
    return frame.with_columns((pl.col("cc_text") == "1").alias("is_cc")).select(list(KINETICS_COLUMNS))


def _header(first: pl.DataFrame, *, path: Path) -> list[str]:
    line, num_cells, *cells = first.row(0)
    names = [str(cell).strip() for cell in cells if cell is not None]
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in HEADER]
    double = sorted({name for name in names if names.count(name) > 1})
    mend = f"Want {', '.join(HEADER)}, of which {', '.join(REQUIRED)} must be there"
    for problem, found in (("lacks", missing), ("has the unknown", unknown), ("repeats", double)):
        if found:
            raise BadRow(f"the header {problem} {', '.join(map(repr, found))}", path=path, line=line, mend=mend)
    if num_cells > len(HEADER):
        raise BadRow(f"the header has {num_cells} columns", path=path, line=line, mend=mend)
    return names


def _refuse_bad_cells(frame: pl.DataFrame, *, path: Path) -> None:
    for name, empty in (("label", "label"), ("video_id", "youtube_id"), ("split", "split")):
        problem = pl.lit(f"{empty} is empty")
        mend = "Fill it in, or leave the column out of the whole file"
        refuse_first(frame, pl.col(name) == "", path=path, problem=problem, mend=mend)
    for name, cell, column in (("start_us", "start_text", "time_start"), ("end_us", "end_text", "time_end")):
        refuse_first(
            frame,
            pl.col(name).is_null() | (pl.col(name) < 0),
            path=path,
            problem=pl.format(f"{column} is '{{}}', want seconds from the video's start", cell),
            mend="Write it like 417 or 5.5",
        )
    refuse_first(
        frame,
        ~pl.col("cc_text").is_in(["0", "1"]),
        path=path,
        problem=pl.format("is_cc is '{}', want 0 or 1", "cc_text"),
        mend="1 means a Creative Commons licence",
    )


def write_kinetics_csv(path: Path, rows: pl.DataFrame, *, quote_spaces: bool = True) -> None:
    """Clips in the layout of the Kinetics files, whole or not at all.

    The columns `label`, `split` and `is_cc` are written where `rows` has them with a value: a test file has no
    labels. Whole seconds are written whole, others with the decimals they have.

    Args:
        rows: `video_id`, `start_us`, `end_us`, and `label`, `split`, `is_cc` as far as they are known.
        quote_spaces: put labels with a space in quotes, as the Kinetics-400 files do; those of -600 and -700 do not.
    Raises:
        BadInput: a text cannot stand in a csv, or a column has a value in some rows only.
    """
    columns = ["video_id", "start_us", "end_us"]
    for name in ("label", "split", "is_cc"):
        num_null = rows[name].null_count() if name in rows.columns else rows.height
        if name in rows.columns and (num_null == 0 or num_null < rows.height):
            columns.append(name)
            if num_null:
                raise BadInput(f"{num_null} rows have no {name}, the others do", where=path, mend="Write two files")
    for name in ("video_id", *(name for name in ("label", "split") if name in columns)):
        refuse_unwritable(rows, name, path=path)
    frame = rows.select(columns).with_columns(
        us_to_short_seconds(rows["start_us"]).alias("start_us"), us_to_short_seconds(rows["end_us"]).alias("end_us")
    )
    cells: dict[str, pl.Expr] = {
        "label": quoted_cell("label", also_spaces=quote_spaces),
        "youtube_id": quoted_cell("video_id"),
        "time_start": pl.col("start_us"),
        "time_end": pl.col("end_us"),
        "split": quoted_cell("split"),
        "is_cc": pl.col("is_cc").cast(pl.Int64).cast(pl.String),
    }
    names = [name for name in HEADER if name in (*columns, *REQUIRED)]
    lines = frame.select(pl.concat_str([cells[name] for name in names], separator=",").alias("line")).to_series()
    write_text(path, ",".join(names) + "\n" + joined_lines(lines))
