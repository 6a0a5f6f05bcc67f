"""What MultiSports' evaluation takes: detected tubes (video_detections.pkl) and detections on frames.

Both are pickles, read without running anything in them (`gesta.formats.safe_pickle`) and written under protocol 3.
Tubes: a dict from the label's number to a list of `(video, score, array)`. Frames (frame_detections.pkl): one array, or
a list of its rows.

    {8: [("aerobic_gymnastics/v_crsi07chcV8_c004", 0.93, array([[614., 821.3, 242., 952., 445.3, 0.9], ...]))], ...}
    array([[0., 614., 8., 0.9, 821.3, 242., 952., 445.3], ...])

| file | column | unit | what |
|---|---|---|---|
| tubes | 1 | frames from 1 | frame |
| tubes | 2 to 5 | pixels | x1, y1, x2, y2 |
| tubes | 6 (may be absent) | 0 to 1 | score of the box, which does not count |
| frames | 1 | | the video's place in `test_videos` of the ground truth, from 0 |
| frames | 2 | frames from 1 | frame |
| frames | 3 | | the label's number, from 0 |
| frames | 4 | 0 to 1 | score |
| frames | 5 to 8 | pixels | x1, y1, x2, y2 |

They are not turned into fractions and times, since neither file knows sizes and rates: rows are as
`gesta.evaluate.video_map` takes them. `tube_id` numbers the tubes of a video in the file's order, from 0.

Source: MCG-NJU/MultiSports a29e291, README ("Evaluation Tools") and `evaluate_multisports.py`; open-mmlab/mmaction2
4d6c9347, `tools/data/multisports/format_det_result.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.formats.pickle_writer import write_pickle
from gesta.formats.safe_pickle import Plain, read_pickle
from gesta.schema import BadInput

_CORNERS = ["x1", "y1", "x2", "y2"]
_SCORED: dict[str, pl.DataType] = {"class_id": pl.Int64(), "frame": pl.Int64(), **dict.fromkeys(_CORNERS, pl.Float64())}

TUBE_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(), "tube_id": pl.Int64(), **_SCORED, "score": pl.Float64(), "box_score": pl.Float64(),
}  # fmt: skip
"""One row a box of a tube; `score` is the tube's."""

FRAME_COLUMNS: dict[str, pl.DataType] = {"video_id": pl.String(), **_SCORED, "score": pl.Float64()}
"""One row a box and class on a frame."""


def read_tube_detections(path: Path, *, videos: Sequence[str]) -> tuple[pl.DataFrame, bool]:
    """The rows of either file, and whether they are tubes (`TUBE_COLUMNS`) or on frames (`FRAME_COLUMNS`).

    Args:
        path: of the pickle.
        videos: `test_videos` of the ground truth, in its order; numbers of videos are places in it.
    Raises:
        BadInput: the file cannot be read, names something to run, or holds neither; a number of a video is no place in
            `videos`, or a label, frame, box or score is none.
    """
    value = read_pickle(path)
    if isinstance(value, dict):
        return _tubes(value, path=path), True
    return _frames(value, videos=videos, path=path), False


def _tubes(value: dict[object, object], *, path: Path) -> pl.DataFrame:
    parts: list[tuple[str, int, int, float, npt.NDArray[np.float64]]] = []
    number_of: dict[str, int] = {}
    for key, tubes in value.items():
        if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < 2**31:
            raise BadInput(f"a key is {str(key)[:40]!r}, want the number of a label", where=path, mend=_WANT_TUBES)
        if not isinstance(tubes, list | tuple):
            raise BadInput(f"label {key} has a {type(tubes).__name__}", where=path, mend=_WANT_TUBES)
        for i, item in enumerate(tubes):
            video_id, score, rows = _tube(item, where=f"{path}: label {key}, tube {i}")
            number = number_of[video_id] = number_of.get(video_id, -1) + 1
            parts.append((video_id, number, key, score, rows))
    length_T = [len(rows) for *_, rows in parts]
    _refuse_repeated(sum(length_T), path=path)
    values_N6 = np.concatenate([rows for *_, rows in parts]) if parts else np.empty((0, 6))
    names = {"video_id": pl.String(), "tube_id": pl.Int64(), "class_id": pl.Int64(), "score": pl.Float64()}
    tubes_frame = pl.DataFrame([part[:4] for part in parts], schema=names, orient="row")
    found = tubes_frame[np.repeat(np.arange(len(parts)), length_T)].with_columns(
        pl.Series("frame", values_N6[:, 0].astype(np.int64)),
        *(pl.Series(name, values_N6[:, 1 + i].copy()) for i, name in enumerate([*_CORNERS, "box_score"])),
    )
    nulled = found.with_columns(pl.col("box_score").fill_nan(None))
    return nulled.select(pl.col(name).cast(dtype) for name, dtype in TUBE_COLUMNS.items())


_WANT_TUBES = "Want a dict from a label's number to a list of (video, score, array of K x 5 or K x 6)"
_WANT_FRAMES = "Want rows of video number, frame, label, score, x1, y1, x2, y2"


def _tube(item: object, *, where: str) -> tuple[str, float, npt.NDArray[np.float64]]:
    if not isinstance(item, list | tuple) or len(item) != 3:
        raise BadInput("no (video, score, array)", where=where, mend=_WANT_TUBES)
    video_id, score, array = item
    if not isinstance(video_id, str) or not _is_text(video_id):
        raise BadInput("the video is no name", where=where, mend=_WANT_TUBES)
    if isinstance(score, np.ndarray) and score.ndim == 0:
        score = score.item()
    if isinstance(score, bool) or not isinstance(score, int | float) or not -1e308 < score < 1e308:
        raise BadInput("the score is no number", where=where, mend=_WANT_TUBES)
    is_table = isinstance(array, np.ndarray) and array.dtype.kind in "iuf" and array.ndim == 2
    if not is_table or array.shape[1] not in (5, 6) or not len(array) or not np.isfinite(array).all():
        raise BadInput("the boxes are no array of numbers", where=where, mend=_WANT_TUBES)
    rows = array.astype(np.float64)
    if rows.shape[1] == 5:
        rows = np.column_stack([rows, np.full(len(rows), np.nan)])
    _refuse_frames(rows[:, 0], where=where)
    return video_id, float(score), rows


def _is_text(text: str) -> bool:
    return bool(text) and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _refuse_frames(frames: npt.NDArray[np.float64], *, where: str | Path) -> None:
    if (frames != np.round(frames)).any() or (len(frames) and not 1 <= frames.min() <= frames.max() <= 10**9):
        raise BadInput("a frame's number is none", where=where, mend="Frames are whole numbers from 1")


def _refuse_repeated(num_rows: int, *, path: Path) -> None:
    if num_rows > path.stat().st_size:
        raise BadInput(f"{num_rows:,} boxes in {path.stat().st_size:,} bytes", where=path, mend="Write each tube once")


def _frames(value: Plain, *, videos: Sequence[str], path: Path) -> pl.DataFrame:
    if isinstance(value, list) and all(isinstance(row, np.ndarray) and row.shape == (8,) for row in value):
        _refuse_repeated(len(value), path=path)
        with np.errstate(invalid="ignore"):  # widening a signalling NaN warns; it is refused below
            value = np.array(value) if value else np.empty((0, 8))
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.ndim != 2 or value.shape[1] != 8:
        raise BadInput(
            "holds neither tubes nor detections on frames", where=path, mend=f"{_WANT_TUBES}, or {_WANT_FRAMES[5:]}"
        )
    with np.errstate(invalid="ignore"):
        rows_N8 = value.astype(np.float64)
    if not np.isfinite(rows_N8).all():
        raise BadInput("holds a number that is not finite", where=path, mend=_WANT_FRAMES)
    _refuse_frames(rows_N8[:, 1], where=path)
    video_N, label_N = rows_N8[:, 0], rows_N8[:, 2]
    is_video = (video_N == np.round(video_N)) & (video_N >= 0) & (video_N < len(videos))
    if not is_video.all():
        raise BadInput(
            f"{video_N[~is_video][0]:g} is no place among {len(videos)} videos",
            where=path,
            mend="Videos are numbered from 0 in the order of the ground truth's test_videos",
        )
    if ((label_N != np.round(label_N)) | (label_N < 0) | (label_N > 2**31)).any():
        raise BadInput("a label is no number of one", where=path, mend=_WANT_FRAMES)
    names = pl.Series(list(videos), dtype=pl.String)
    columns = {"frame": 1, "class_id": 2, "score": 3, **{name: 4 + i for i, name in enumerate(_CORNERS)}}
    frame = pl.DataFrame({name: rows_N8[:, i].copy() for name, i in columns.items()})
    found = frame.with_columns(names.gather(video_N.astype(np.int64)).alias("video_id"))
    return found.select(pl.col(name).cast(dtype) for name, dtype in FRAME_COLUMNS.items())


def write_tube_detections(path: Path, tubes: pl.DataFrame) -> None:
    """video_detections.pkl, whole or not at all; tubes by label, in the order of their first rows, float32 as linked.

    Args:
        path: of the pickle.
        tubes: columns of `TUBE_COLUMNS`, as `tubes_of_detections` gives them; `box_score` may be absent or null.
    Raises:
        BadInput: a column is missing.
    """
    missing = [name for name in TUBE_COLUMNS if name not in tubes.columns and name != "box_score"]
    if missing:
        raise BadInput(f"no column {', '.join(missing)}", where=path, mend=f"Found: {', '.join(tubes.columns)}")
    scored = tubes if "box_score" in tubes.columns else tubes.with_columns(box_score=pl.lit(None, dtype=pl.Float64))
    by_label: dict[int, list[object]] = {label: [] for label in scored["class_id"].unique().sort().to_list()}
    for (label, video_id, _), tube in scored.group_by("class_id", "video_id", "tube_id", maintain_order=True):
        names = ["frame", *_CORNERS] + (["box_score"] if tube["box_score"].null_count() == 0 else [])
        rows = tube.sort("frame").select(pl.col(names).cast(pl.Float64)).to_numpy().astype(np.float32)
        by_label[int(str(label))].append((str(video_id), float(tube["score"][0]), rows))
    write_pickle(path, by_label)
