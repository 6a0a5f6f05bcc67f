"""Persons that a detector found at key-frames, from the files that the AVA world keeps them in.

| file | made by |
|---|---|
| .pkl: dict from `video,0902` to an array of 4 or 5 columns | MMAction2, LFB |
| .csv of 2, 6 or 7 columns: video, seconds, box, score | gesta |
| .csv of 8 columns: video, seconds, box, an action's id or nothing, score; a box once for each action | PySlowFast |

Shapes: F key-frames; M proposals of a key-frame; 5 = x1 y1 x2 y2 as fractions of the frame, and a score.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.formats.delimited import read_cells, refuse_first, refuse_other_lengths
from gesta.formats.numbers import seconds_to_us, to_decimals
from gesta.formats.proposals import read_proposals
from gesta.schema import US_PER_S
from gesta.train.persons.examples import NO_PROPOSALS

Floats = npt.NDArray[np.float64]

PROPOSAL_TIMES = ("exact", "truncated")

BOX = ["x1", "y1", "x2", "y2"]
KEY = ["video_id", "timestamp_us"]

_MEANING = "video id, seconds, x1, y1, x2, y2, action id or nothing, score"


class HasProposals(Protocol):
    """What names a file of proposals, and how its times are meant."""

    @property
    def proposals(self) -> Path | None:
        """The file, if there is one."""

    @property
    def proposal_times(self) -> str:
        """One of `PROPOSAL_TIMES`."""


def proposals_of(key_frames: pl.DataFrame, source: HasProposals) -> tuple[list[Floats], npt.NDArray[np.bool_]]:
    """The proposals of each key-frame, float64 [M, 5], in the file's order; and whether the file names it, bool [F].

    A key-frame that the file does not name has no proposals: nothing stands in for them. A box without a score has
    score 1. Corners are cut at the frame's edges; boxes without area are left out.

    Args:
        key_frames: `frame` (from 0, in order), `video_id`, `timestamp_us`.
        source: the file; with times "truncated" a key-frame's are those of the whole second before it.
    Raises:
        BadInput: the file cannot be read.
        BadRow: a line of a csv is wrong.
    """
    num = key_frames.height
    if source.proposals is None:
        return [NO_PROPOSALS] * num, np.zeros(num, dtype=bool)
    rows = read_person_proposals(source.proposals)
    keyed = key_frames
    if source.proposal_times == "truncated":
        keyed = key_frames.with_columns(pl.col("timestamp_us") // US_PER_S * US_PER_S)
    rows = rows.join(keyed, on=KEY, maintain_order="left")
    is_named = np.zeros(num, dtype=bool)
    is_named[rows["frame"].to_numpy()] = True
    boxes = rows.filter(pl.col("x1").is_not_null()).with_columns(pl.col(name).clip(0, 1) for name in BOX)
    boxes = boxes.filter((pl.col("x1") < pl.col("x2")) & (pl.col("y1") < pl.col("y2")))
    boxes = boxes.sort("frame", maintain_order=True)
    values_M5 = boxes.select(*BOX, pl.col("score").fill_null(1.0)).to_numpy().astype(np.float64)
    ends_F = np.cumsum(np.bincount(boxes["frame"].to_numpy(), minlength=num))
    return np.split(values_M5, ends_F[:-1]) if num else [], is_named


def read_person_proposals(path: Path) -> pl.DataFrame:
    """The file's boxes in its order: `video_id`, `timestamp_us`, `x1` `y1` `x2` `y2`, `score`; null corners: nobody.

    Raises:
        BadInput: the file cannot be read, or is no pickle of such a dict.
        BadRow: a line of a csv has not 2, 6, 7 or 8 columns, or one of them is not what it must be.
    Source: facebookresearch/SlowFast, `datasets/ava_helper.py`, `parse_bboxes_file`, for the eight columns.
    """
    if path.suffix.lower() not in (".pkl", ".pickle"):
        cells = read_cells(path, max_cells=8)
        if cells.height and cells["num_cells"][0] == 8:
            return _of_eight(cells, path=path)
    return read_proposals(path).boxes.select(*KEY, *BOX, "score")


def _of_eight(cells: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    refuse_other_lengths(cells, allowed=(8,), path=path, meaning=_MEANING)
    numbers = [to_decimals(cells[f"cell_{2 + i}"]).alias(name) for i, name in enumerate(BOX)]
    frame = cells.with_columns(
        pl.col("cell_0").alias("video_id"),
        seconds_to_us(cells["cell_1"]).alias("timestamp_us"),
        *numbers,
        to_decimals(cells["cell_7"]).alias("score"),
    )
    for name, cell in zip(
        ["timestamp_us", *BOX, "score"], ["cell_1", *(f"cell_{i}" for i in (2, 3, 4, 5, 7))], strict=True
    ):
        refuse_first(
            frame,
            pl.col(name).is_null(),
            path=path,
            problem=pl.format(f"{name} is '{{}}', want a number", cell),
            mend=f"Want {_MEANING}",
        )
    return frame.select(*KEY, *BOX, "score").unique(maintain_order=True)
