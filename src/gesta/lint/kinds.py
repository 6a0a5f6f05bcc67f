"""Which kind a file is, from most of its lines rather than its first, since any line may be the broken one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from gesta.formats.kinetics import HEADER
from gesta.lint.text import Source, cells_found

Kind = Literal["kinetics", "ava", "detections", "key-frames", "times", "label-map", "names", "other"]

KINDS: tuple[Kind, ...] = ("kinetics", "ava", "detections", "key-frames", "times", "label-map", "names")
"""What `--as` takes: clips; boxes; scored boxes; a list of key-frames (excluded ones, or AVA-Kinetics test); a list
of times (AVA's included ones); a label map; a list of videos (ids or file names, one a line)."""

VIDEO_ENDINGS = (".mkv", ".mp4", ".webm", ".avi", ".mov", ".m4v", ".flv", ".mpg")
_OTHER_ENDINGS = (
    ".json", ".jsonl", ".xml", ".pkl", ".pickle", ".parquet", ".npy", ".npz", ".zip", ".gz", ".tar", ".md", ".html",
    ".yaml", ".yml",
)  # fmt: skip
_NUM_LINES = 2000
_NUMBER = r"^\s*-?[0-9]+(\.[0-9]*)?\s*$"
_ID = r"^[A-Za-z0-9_-]{11}$"


def is_other_by_name(path: Path) -> bool:
    """Whether the file's ending says that it is not of lines and cells."""
    return path.suffix.lower() in _OTHER_ENDINGS


def kind_of(path: Path, lines: pl.DataFrame) -> Kind:
    """The kind of the file with those lines (columns `line`, `text`); `other` where it is none that is known here."""
    if not lines.height:
        return "other"
    head = lines.head(_NUM_LINES)
    if head["text"].str.contains(r"^\s*(label|item)\s*\{").any():
        return "label-map"
    cells, _ = cells_found(Source(path=path, lines=head, findings=()), max_cells=8)
    return _of_cells(cells) if cells.height else "other"


def _of_cells(cells: pl.DataFrame) -> Kind:
    first = {str(cell).strip().lower() for cell in cells.row(0)[2:] if cell is not None}
    if len(first & set(HEADER)) >= 2:
        return "kinetics"
    is_time, third_is_time = (pl.col(f"cell_{i}").str.contains(_NUMBER).fill_null(value=False) for i in (1, 2))
    # Proposals are a video, a time and a box; a clip has no such decimals.
    is_box = pl.all_horizontal(pl.col(f"cell_{i}").str.contains(_NUMBER).fill_null(value=False) for i in (3, 4, 5))
    shapes = {
        "boxes": (pl.col("num_cells") >= 7) & is_time & third_is_time,
        "pairs": (pl.col("num_cells") == 2) & is_time,
        "clips": pl.col("num_cells").is_between(3, 6)
        & third_is_time
        & (is_time | pl.col("cell_1").str.contains(_ID))
        & ~is_box,
        "single": pl.col("num_cells") == 1,
    }
    counts = cells.select(**{name: shape.sum() for name, shape in shapes.items()}).row(0, named=True)
    best = max(counts, key=lambda name: counts[name])
    if counts["boxes"] and best in ("boxes", "pairs"):
        return _boxes(cells.filter(shapes["boxes"]))
    if counts[best] * 2 < cells.height or (best == "pairs" and _names_other_pairs(cells)):
        return "other"
    if best == "single":
        return _single(cells["cell_0"])
    kinds: dict[str, Kind] = {"pairs": "key-frames", "clips": "kinetics"}
    return kinds[best]


def _names_other_pairs(cells: pl.DataFrame) -> bool:
    """Whether the first line names columns that are not a video and a time."""
    second = str(cells.row(0)[3]).lower()
    return any(c.isalpha() for c in second) and not any(word in second for word in ("time", "sec", "stamp"))


def _boxes(cells: pl.DataFrame) -> Kind:
    """Detections where the eighth cell is a decimal in most rows that have one; else ground truth."""
    eighth = cells.filter(pl.col("num_cells") == 8)["cell_7"].str.strip_chars()
    if not len(eighth):
        return "ava"
    is_whole = eighth.str.contains(r"^-?[0-9]*$")
    return "ava" if is_whole.sum() * 2 > len(eighth) else "detections"


def _single(texts: pl.Series) -> Kind:
    half = len(texts) / 2
    if texts.str.contains(_NUMBER).sum() > half:
        return "times"
    stripped = texts.str.strip_chars()
    if stripped.str.contains("\t", literal=True).sum() > half:
        return "other"
    if sum(stripped.str.to_lowercase().str.ends_with(ending).sum() for ending in VIDEO_ENDINGS) > half:
        return "names"
    if (stripped.str.contains(_ID) & stripped.str.contains("[A-Z0-9_-]")).sum() > half:
        return "names"
    has_number = stripped.str.contains(r"^[0-9]+ \S|\S [0-9]+$").sum() > half
    return "other" if has_number else "label-map"
