"""Vectors of the clips of a work folder, from whatever file holds features.

Legend: N = clips, W = windows, F = frames, D = length of a vector.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.clip_features import ClipVectors, read_clip_vectors
from gesta.curate.features import centered, vectors_of_texts
from gesta.schema import BadInput
from gesta.tables import read_table

Floats = npt.NDArray[np.float32]


def vectors_of_clips(work: Path, *, features: Path | None) -> ClipVectors:
    """A vector for each clip that the features tell of.

    Args:
        work: the work folder.
        features: clip vectors (.npy, `write_clip_vectors`), windows of `gesta features` (.parquet; a clip's vector
            is the mean of the windows that overlap it most), or a .parquet with the columns clip_id and vector. None =
            the mean of `frame_features`: sketches that find copies, and say little of actions.
    Raises:
        MissingTable: `clips`, or without `features` the table `frame_features`, is not there.
        BadInput: the file is none of these, or holds no vector of these clips.
    """
    if features is None:
        return _of_sketches(work)
    if features.suffix == ".npy":
        return read_clip_vectors(features)
    try:
        frame = pl.read_parquet(features)
    except (pl.exceptions.PolarsError, OSError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(
            f"cannot be read as features ({first_line})", where=features, mend="Want a .npy or .parquet of features"
        ) from error
    if "vector" in frame.columns and "clip_id" in frame.columns:
        rows = frame.select("clip_id", "vector").sort("clip_id")
    elif {"video_id", "start_us", "end_us", "vector"} <= set(frame.columns):
        rows = windows_of_clips(frame, read_table(work, "clips"))
    else:
        raise BadInput(
            f"columns {', '.join(frame.columns)}", where=features,
            mend="Want clip_id and vector, or video_id, start_us, end_us and vector as `gesta features` writes them",
        )  # fmt: skip
    vectors = _stacked(rows, where=features)
    means = pl.DataFrame({"clip_id": rows["clip_id"], "row": np.arange(len(rows))}).group_by(
        "clip_id", maintain_order=True
    )
    clip_ids, found = [], []
    for (clip_id,), part in means:
        clip_ids.append(str(clip_id))
        found.append(vectors[part["row"].to_numpy()].mean(axis=0))
    return ClipVectors(clip_ids=tuple(clip_ids), vectors_ND=np.stack(found).astype(np.float32))


def windows_of_clips(windows: pl.DataFrame, clips: pl.DataFrame) -> pl.DataFrame:
    """clip_id and vector of each window that overlaps a clip by half of itself or of the clip, whichever is shorter.

    Args:
        windows: video_id, start_us, end_us, vector; half-open.
        clips: rows of table `clips`.
    """
    both = windows.join(clips.select("clip_id", "video_id", clip_start="start_us", clip_end="end_us"), on="video_id")
    overlap = pl.min_horizontal("end_us", "clip_end") - pl.max_horizontal("start_us", "clip_start")
    shorter = pl.min_horizontal(pl.col("end_us") - pl.col("start_us"), pl.col("clip_end") - pl.col("clip_start"))
    return both.filter(2 * overlap >= shorter).sort("clip_id", "start_us").select("clip_id", "vector")


def _stacked(rows: pl.DataFrame, *, where: Path) -> Floats:
    lengths = rows["vector"].list.len().unique().to_list() if len(rows) else []
    if len(lengths) != 1 or not lengths[0]:
        problem = (
            f"vectors of {', '.join(map(str, sorted(lengths)))} numbers" if lengths else "no vector of these clips"
        )
        raise BadInput(problem, where=where, mend="Want vectors of one length, of clips of this work folder")
    flat = rows["vector"].explode().cast(pl.Float32).to_numpy()
    return np.asarray(flat.reshape(len(rows), lengths[0]), dtype=np.float32)


def _of_sketches(work: Path) -> ClipVectors:
    frame = read_table(work, "frame_features").sort("clip_id", "timestamp_us")
    if not len(frame):
        raise BadInput("`frame_features` holds no vector", where=work, mend="Name a file of features")
    vectors_FD = centered(vectors_of_texts(frame["vector"]))
    starts = np.flatnonzero(frame["clip_id"].ne(frame["clip_id"].shift()).fill_null(value=True).to_numpy())
    counts = np.diff([*starts, len(frame)])
    means_ND = np.add.reduceat(vectors_FD, starts, axis=0) / counts[:, None]
    return ClipVectors(
        clip_ids=tuple(frame["clip_id"].gather(starts)), vectors_ND=np.asarray(means_ND, dtype=np.float32)
    )
