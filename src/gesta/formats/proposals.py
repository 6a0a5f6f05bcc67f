"""Person boxes that a detector found at AVA's key-frames: the pickle of the AVA world, and the same as csv.

The pickle is a dict from `video,seconds` to an array with one box a row. It is read without running anything in it
(`gesta.formats.safe_pickle`) and written under protocol 3. The csv has one box a line, no header:

    0f39OWEqJ24,0902,0.011,0.157,0.655,0.983,0.998163
    0f39OWEqJ24,0903

| column of the array or csv | unit | what |
|---|---|---|
| key `video,seconds`; csv columns 1, 2 | seconds | key-frame; whole ones have four digits, others six decimals |
| x1, y1, x2, y2 | fraction of the frame | the box |
| score | 0 to 1 | the detector's confidence; may be absent from a whole array (N x 4) or from a line |

A box becomes a row with null `class_id`: a person without an action. An array without rows, or a line of two columns,
is a key-frame that shows nobody. MultiSports' proposals count frames from 1 where AVA's count seconds; they are read
with `unit="frames"` and the frame rates of the videos.

Kept: key-frames, boxes, scores, the order of key-frames and of the boxes in each. Lost when written: `person_id`,
`is_interpolated`, splits and what is known of videos, and in the pickle the order among rows of different key-frames
that stand mixed. Boxes with an action are refused, as this format has no place for it.

MMAction2 wants corners within 0 and 1 and stops at an array without rows: leave key-frames that show nobody out for it.

Source: open-mmlab/mmaction2 4d6c9347, `mmaction/datasets/ava_dataset.py` (the key is `"video,%04d"`; arrays of 4 and
of 5 columns are both accepted); MCG-NJU/MultiSports a29e291, README, "Download Person
Boxes" (frame numbers start from 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.formats.annotations import (
    BOX_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    empty,
    frame_numbers,
    frame_times_us,
    shaped,
)
from gesta.formats.delimited import (
    joined_lines,
    quoted_cell,
    read_cells,
    refuse_first,
    refuse_other_lengths,
    refuse_unwritable,
)
from gesta.formats.numbers import joined_decimals, seconds_to_us, to_decimals, to_integers, us_to_padded_seconds
from gesta.formats.pickle_writer import write_pickle
from gesta.formats.safe_pickle import read_pickle
from gesta.schema import BadInput
from gesta.tables import write_text

Unit = Literal["seconds", "frames"]
BOX = ["x1", "y1", "x2", "y2"]
_KEY = ["video_id", "timestamp_us"]
_MEANING = "video id, seconds; then x1, y1, x2, y2; then a score"


def read_proposals(path: Path, *, context: Context = Context(), unit: Unit = "seconds") -> Annotations:
    """The boxes of a file of proposals: a pickle where its name ends in .pkl or .pickle, else a csv.

    Args:
        path: of the file.
        context: `videos` gives the frame rates where `unit` is frames; otherwise not looked at.
        unit: what the number after the video id counts: seconds (AVA), or frames from 1 (MultiSports).
    Raises:
        BadInput: the file cannot be read, is no pickle of such a dict or names something to run, a key is no
            `video,time`, an array has not 4 or 5 columns of finite numbers, or a video's frame rate is not known.
        BadRow: a line of a csv has not 2, 6 or 7 columns, or one of them is not what it must be.
    """
    is_pickle = path.suffix.lower() in (".pkl", ".pickle")
    rows = _from_pickle(path, unit=unit) if is_pickle else _from_csv(path, unit=unit)
    if unit == "frames":
        rows = _timed(rows, context=context, path=path)
    videos = rows.select("video_id").unique(maintain_order=True)
    return Annotations(videos=shaped(videos, VIDEO_COLUMNS), boxes=shaped(rows, BOX_COLUMNS))


def _from_pickle(path: Path, *, unit: Unit) -> pl.DataFrame:
    value = read_pickle(path)
    if not isinstance(value, dict):
        raise BadInput(
            f"the pickle holds a {type(value).__name__}",
            where=path,
            mend='Want a dict from "video,0902" to an array of boxes',
        )
    keys = [_text_key(key, path=path) for key in value]
    arrays = [_checked(array, key=key, path=path) for key, array in zip(keys, value.values(), strict=True)]
    lengths_K = np.array([len(array) for array in arrays], dtype=np.int64)
    if lengths_K.sum() > path.stat().st_size:
        raise BadInput(
            f"{lengths_K.sum():,} boxes in {path.stat().st_size:,} bytes: many keys name one array",
            where=path,
            mend="Write each key-frame's boxes once",
        )
    frame = _keyed(keys, unit=unit, path=path).with_columns(pl.Series("length", lengths_K))
    rows_N5 = np.concatenate([_five_columns(array) for array in arrays]) if arrays else np.empty((0, 5))
    has_score_N = np.repeat([array.shape[1] == 5 for array in arrays], lengths_K).astype(bool)
    boxes = pl.DataFrame(dict(zip([*BOX, "score"], rows_N5.T.copy(), strict=True)))
    boxes = boxes.with_columns(pl.Series("has_score", has_score_N)).with_columns(
        score=pl.when("has_score").then("score"), key=pl.Series(np.repeat(np.arange(len(keys)), lengths_K))
    )
    return frame.with_row_index("key").with_columns(pl.col("key").cast(pl.Int64)).join(
        boxes, on="key", how="left", maintain_order="left_right"
    )  # fmt: skip


def _text_key(key: object, *, path: Path) -> str:
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key
    if not isinstance(text, str):
        raise BadInput(f"a key is a {type(key).__name__}", where=path, mend='Want keys like "video,0902"')
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadInput(f"the key {ascii(text)[:80]} holds half a character", where=path, mend="Write ids as UTF-8")
    return text


def _checked(array: object, *, key: str, path: Path) -> npt.NDArray[np.generic]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        kind = f"array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise BadInput(f"the value of {key!r} is no array of numbers but {kind}", where=path, mend=_WANT)
    if array.size == 0 and (array.ndim == 1 or (array.ndim == 2 and len(array) == 0)):
        return np.empty((0, 5))
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        raise BadInput(f"the array of {key!r} has the shape {array.shape}", where=path, mend=_WANT)
    if not np.isfinite(array).all():
        raise BadInput(f"the array of {key!r} holds a number that is not finite", where=path, mend=_WANT)
    return array


_WANT = "Want an array of N x 4 or N x 5 finite numbers: x1, y1, x2, y2, and a score"


def _five_columns(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """The boxes as float64 [N, 5]; a score of 0 where there is none."""
    if array.shape[1] == 5:
        return array.astype(np.float64)
    return np.column_stack([array.astype(np.float64), np.zeros(len(array))])


def _keyed(keys: list[str], *, unit: Unit, path: Path) -> pl.DataFrame:
    texts = pl.DataFrame({"text": pl.Series(keys, dtype=pl.String)})
    parts = texts.with_columns(
        pl.col("text").str.extract(r"(?s)\A(.+),[^,]*\z", 1).alias("video_id"),
        pl.col("text").str.extract(r"(?s)\A.+,([^,]*)\z", 1).alias("time"),
    )
    times = _times(parts["time"].fill_null("x"), unit=unit)
    bad = parts.with_columns(times).filter(pl.col("video_id").is_null() | (pl.col("timestamp_us").fill_null(-1) < 0))
    if bad.height:
        raise BadInput(f"the key {bad['text'][0]!r} is no video and time", where=path, mend='Want it like "video,0902"')
    return parts.select("video_id", times)


def _times(texts: pl.Series, *, unit: Unit) -> pl.Series:
    """Microseconds, or the number of the frame in their place, under the name `timestamp_us`; null where no time."""
    return (seconds_to_us(texts) if unit == "seconds" else to_integers(texts)).alias("timestamp_us")


def _from_csv(path: Path, *, unit: Unit) -> pl.DataFrame:
    cells = read_cells(path, max_cells=7)
    refuse_other_lengths(cells, allowed=(2, 6, 7), path=path, meaning=_MEANING)
    frame = cells.with_columns(
        pl.col("cell_0").alias("video_id"),
        _times(cells["cell_1"], unit=unit),
        *(to_decimals(cells[f"cell_{2 + i}"]).alias(name) for i, name in enumerate([*BOX, "score"])),
    )
    mend = "Write it like 0902 or 5.016949; these files have no header line"
    for name, cell, where in [
        ("video_id", "cell_0", pl.lit(value=True)),
        ("timestamp_us", "cell_1", pl.lit(value=True)),
        *((name, f"cell_{2 + i}", pl.col("num_cells") > 2) for i, name in enumerate(BOX)),
        ("score", "cell_6", pl.col("num_cells") == 7),
    ]:
        is_bad = pl.col(name).is_null() if name != "video_id" else pl.col(name) == ""
        is_bad = is_bad | (pl.col(name) < 0) if name == "timestamp_us" else is_bad
        problem = pl.format(f"{name} is '{{}}', want {_KINDS.get(name, 'a finite number')}", cell)
        refuse_first(frame, where & is_bad, path=path, problem=problem, mend=mend)
    return frame


_KINDS = {"video_id": "a video's id", "timestamp_us": "a time in a video"}


def _timed(rows: pl.DataFrame, *, context: Context, path: Path) -> pl.DataFrame:
    rated = _with_rates(rows, context=context, path=path)
    if (rated["timestamp_us"] < 1).any():
        raise BadInput("frame 0 is named", where=path, mend="Frames count from 1 here; is the unit seconds?")
    if (rated["timestamp_us"] > 10**9).any():
        raise BadInput("a frame's number is beyond 10^9", where=path, mend="Correct it")
    time_us = frame_times_us(pl.col("timestamp_us") - 1, fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den"))
    return rated.with_columns(time_us.alias("timestamp_us"))


def _with_rates(rows: pl.DataFrame, *, context: Context, path: Path) -> pl.DataFrame:
    known = empty(VIDEO_COLUMNS) if context.videos is None else shaped(context.videos, VIDEO_COLUMNS)
    rates = known.select("video_id", "fps_num", "fps_den").unique("video_id", keep="first", maintain_order=True)
    rated = rows.join(rates, on="video_id", how="left", maintain_order="left")
    bad = rated.filter((pl.col("fps_num").fill_null(0) <= 0) | (pl.col("fps_den").fill_null(0) <= 0))
    if bad.height:
        raise BadInput(
            f"the frame rate of video {bad['video_id'][0]!r} is not known",
            where=path,
            mend="Give a table of videos with fps_num and fps_den (--videos)",
        )
    return rated


def write_proposals(
    path: Path, annotations: Annotations, *, context: Context = Context(), unit: Unit = "seconds"
) -> None:
    """A file of proposals, whole or not at all: a pickle where its name ends in .pkl or .pickle, else a csv.

    The pickle has protocol 3 and float64 arrays; a key-frame whose boxes all lack a score gets 4 columns.

    Args:
        path: of the file.
        annotations: boxes without an action.
        context: `videos` gives the frame rates where `unit` is frames.
        unit: as for `read_proposals`.
    Raises:
        BadInput: there are clips, or boxes with an action; a key-frame has some boxes with a score and some without
            (pickle); a video id cannot stand in a csv; or a frame rate is not known.
    """
    rows = _writable(annotations, path=path)
    if unit == "frames":
        rated = _with_rates(rows, context=context, path=path)
        number = frame_numbers(pl.col("timestamp_us"), fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den")) + 1
        times = rated.select(number.cast(pl.String).str.zfill(4).alias("time")).to_series()
    else:
        times = us_to_padded_seconds(rows["timestamp_us"]).alias("time")
    timed = rows.with_columns(times)
    if path.suffix.lower() in (".pkl", ".pickle"):
        write_pickle(path, dict(_arrays(timed, path=path)))
    else:
        refuse_unwritable(timed, "video_id", path=path)
        write_text(path, joined_lines(_csv_lines(timed)))


def _writable(annotations: Annotations, *, path: Path) -> pl.DataFrame:
    boxes = annotations.boxes
    if annotations.clips.height:
        raise BadInput(
            f"{annotations.clips.height} clips have no place in a file of proposals",
            where=path,
            mend="Write boxes only",
        )
    acting = boxes.filter(pl.col("class_id").is_not_null())
    if acting.height:
        raise BadInput(
            f"{acting.height} boxes have an action, the first of video {acting['video_id'][0]!r}, and proposals are "
            "persons without one",
            where=path,
            mend="Set class_id to null and drop boxes that come twice, or write another format",
        )
    num_null = boxes.select(pl.sum_horizontal(pl.col(BOX).is_null().cast(pl.Int64))).to_series()
    if (~num_null.is_in([0, 4])).any():
        raise BadInput("a row has a part of a box only", where=path, mend="Give x1, y1, x2, y2, or none of them")
    if (boxes["timestamp_us"].fill_null(-1) < 0).any() or (boxes["video_id"].fill_null("") == "").any():
        raise BadInput("a row has no video id or no time in a video", where=path, mend="Give both")
    if boxes.filter(num_null == 4)["score"].is_not_null().any():
        raise BadInput("a key-frame without a box has a score", where=path, mend="Leave the score null there")
    return boxes


def _arrays(rows: pl.DataFrame, *, path: Path) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Each key-frame's key and float64 array [N, 5] or [N, 4], in the order of their first rows."""
    keys = rows.select("video_id", "time").unique(maintain_order=True).with_row_index("key")
    keyed = rows.join(keys, on=["video_id", "time"], how="left", maintain_order="left").sort("key", maintain_order=True)
    boxes = keyed.filter(pl.col("x1").is_not_null())
    values_N5 = boxes.select(*BOX, pl.col("score").fill_null(0.0)).to_numpy()
    counts = boxes.group_by("key").agg(pl.len().alias("num"), pl.col("score").null_count().alias("unscored"))
    spans = keys.join(counts, on="key", how="left", maintain_order="left").with_columns(
        pl.col("num", "unscored").fill_null(0)
    )
    mixed = spans.filter((pl.col("unscored") > 0) & (pl.col("unscored") < pl.col("num")))
    if mixed.height:
        raise BadInput(
            f"at {mixed['time'][0]} of video {mixed['video_id'][0]!r} some boxes have a score and some have none",
            where=path,
            mend="Score all boxes of a key-frame or none, or write a csv",
        )
    start = 0
    for video_id, time, num, unscored in spans.select("video_id", "time", "num", "unscored").iter_rows():
        rows_N5 = values_N5[start : start + num]
        start += num
        yield f"{video_id},{time}", rows_N5[:, :4] if unscored else rows_N5


def _csv_lines(rows: pl.DataFrame) -> pl.Series:
    boxes, scores = (
        joined_decimals(rows.select(BOX), decimals=None),
        joined_decimals(rows.select("score"), decimals=None),
    )
    frame = rows.select("video_id", "time", "x1", "score").with_columns(boxes.alias("box"), scores.alias("points"))
    key = [quoted_cell("video_id"), pl.col("time")]
    line = (
        pl.when(pl.col("x1").is_null())
        .then(pl.concat_str(key, separator=","))
        .when(pl.col("score").is_null())
        .then(pl.concat_str([*key, "box"], separator=","))
        .otherwise(pl.concat_str([*key, "box", "points"], separator=","))
    )
    return frame.select(line.alias("line")).to_series()
