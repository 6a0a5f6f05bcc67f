"""Repairs of boxes: other orders of the four numbers, other units, mirrored pictures.

Whether a repair fits is asked of the boxes alone, without classes and scores: how many labelled persons does some
detection of their key-frame overlap enough? So a wrong box is told from a wrong class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numba
import numpy as np
import polars as pl

from gesta.evaluate.frame_map import CORNERS
from gesta.evaluate.ranked import Floats, Ints

LAYOUTS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "x1 y1 x2 y2": ("", lambda b: b),
    "y1 x1 y2 x2": ("Write x before y: x1, y1, x2, y2", lambda b: b[:, [1, 0, 3, 2]]),
    "x y width height": (
        "Write the far corner, not width and height: x2 = x + width, y2 = y + height",
        lambda b: np.column_stack([b[:, :2], b[:, :2] + b[:, 2:]]),
    ),
    "centre x, centre y, width, height": (
        "Write corners: x1 = centre x - width / 2, and so on",
        lambda b: np.column_stack([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2]),
    ),
    "x1 x2 y1 y2": ("Write x1, y1, x2, y2", lambda b: b[:, [0, 2, 1, 3]]),
    "y x height width": (
        "Write x1, y1, x2, y2",
        lambda b: np.column_stack([b[:, [1, 0]], b[:, [1, 0]] + b[:, [3, 2]]]),
    ),
}
"""Orders of four numbers, each with how to mend it and what makes corners of it."""

FLIPS: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "": ("", lambda b: b),
    "mirrored left to right": (
        "Mirror the boxes back where a flipped picture was run: x1 = 1 - x2, x2 = 1 - x1",
        lambda b: np.column_stack([1 - b[:, 2], b[:, 1], 1 - b[:, 0], b[:, 3]]),
    ),
    "mirrored top to bottom": (
        "Count y from the top: y1 = 1 - y2, y2 = 1 - y1",
        lambda b: np.column_stack([b[:, 0], 1 - b[:, 3], b[:, 2], 1 - b[:, 1]]),
    ),
}

SIZES = ((640, 480), (640, 360), (1280, 720), (1920, 1080), (340, 256), (320, 240), (455, 256), (256, 256), (224, 224),
         (854, 480), (480, 360), (426, 240), (720, 576), (720, 480), (512, 512), (1333, 800))  # fmt: skip
"""Frame sizes that pixels are tried with, where none is given. Source: ours; sizes of videos and of resized inputs."""

PLAIN_LIMIT = 2.0
"""Corners up to this are fractions of the frame; a box may stick out. Source: ours."""


FARTHEST = 1e100
"""Farthest corner of a box that a trial looks at, in frames. Source: ours; its area is still a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxChange:
    """Order of numbers, then division by width and height of the frame, then a mirror.

    `unit` is what the boxes are in: "fractions", "thousandths", "percent", "pixels" (of `size`, of each video's own
    size where `size` is None) or "of labels": the labelled boxes are in pixels and these are not.
    """

    layout: str = "x1 y1 x2 y2"
    unit: str = "fractions"
    size: tuple[int, int] | None = None
    flip: str = ""

    @property
    def num_changes(self) -> int:
        """In how many of its three parts it differs from no change at all."""
        return (self.layout != "x1 y1 x2 y2") + (self.unit != "fractions") + (self.flip != "")

    @property
    def name(self) -> str:
        """What it reads the boxes as."""
        size = f" of {self.size[0]} x {self.size[1]}" if self.size else ""
        unit = {"fractions": "", "of labels": ", taken to pixels"}.get(self.unit, f" in {self.unit}{size}")
        layout = self.layout if self.layout != "x1 y1 x2 y2" or unit else ""
        return ", ".join(part for part in (f"boxes read as {layout}{unit}" if layout else "boxes", self.flip) if part)

    @property
    def mend(self) -> str:
        """How to write the boxes."""
        parts = [LAYOUTS[self.layout][0], FLIPS[self.flip][0]]
        if self.unit == "of labels":
            parts.append("Write both in fractions of the frame: the labelled boxes are in pixels")
        elif self.unit != "fractions":
            parts.append("Divide x by the width and y by the height of the frame")
        return ". ".join(part for part in parts if part)

    def apply(self, boxes_N4: Floats, sizes_N2: Floats | None = None) -> Floats:
        """The boxes in fractions of the frame, [N, 4], finite: corners beyond `FARTHEST` are put there.

        Args:
            boxes_N4: as they were written.
            sizes_N2: width and height of each box's video; needed for pixels without a `size`.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            changed_N4 = self._changed(boxes_N4, sizes_N2)
        return np.clip(np.nan_to_num(changed_N4, nan=0.0), -FARTHEST, FARTHEST)

    def _changed(self, boxes_N4: Floats, sizes_N2: Floats | None) -> Floats:
        corners_N4 = LAYOUTS[self.layout][1](boxes_N4)
        if self.unit == "of labels":
            assert sizes_N2 is not None
            return FLIPS[self.flip][1](corners_N4) * np.tile(sizes_N2, 2)
        if self.unit == "pixels":
            width_height = np.asarray(self.size, dtype=np.float64) if self.size else sizes_N2
            assert width_height is not None
            corners_N4 = corners_N4 / np.tile(np.atleast_2d(width_height), 2)
        else:
            corners_N4 = corners_N4 / {"fractions": 1.0, "percent": 100.0, "thousandths": 1000.0}[self.unit]
        return FLIPS[self.flip][1](corners_N4)


def box_changes(boxes_N4: Floats, labelled_M4: Floats) -> Iterator[BoxChange]:
    """What might have happened to boxes with such numbers, no change first, then the fewest changes first.

    Args:
        boxes_N4: of detections, as written.
        labelled_M4: of the ground truth.
    """
    is_large, labels_are_large = (
        len(b) > 0 and float(np.quantile(b, 0.99)) > PLAIN_LIMIT for b in (boxes_N4, labelled_M4)
    )
    units: list[tuple[str, tuple[int, int] | None]] = [("fractions", None)]
    if is_large and not labels_are_large:
        units += [("thousandths", None), ("percent", None), ("pixels", None), *(("pixels", size) for size in SIZES)]
    if labels_are_large and not is_large:
        units.append(("of labels", None))
    changes = [
        BoxChange(layout=layout, unit=unit, size=size, flip=flip)
        for flip in FLIPS for layout in LAYOUTS for unit, size in units
        # A mirror of pixels needs their frame, so it is tried with fractions only.
        if not (flip and labels_are_large)
    ]  # fmt: skip
    yield from sorted(changes, key=lambda change: change.num_changes)


def video_sizes(rows: pl.DataFrame, *, layout: str, videos: pl.DataFrame | None) -> Floats:
    """Width and height of each row's video in the unit of its boxes, [N, 2]: as given, else the farthest corners.

    Args:
        rows: video_id and corners.
        layout: of `LAYOUTS`.
        videos: video_id, width_px and height_px, where they are known.
    """
    boxes_N4 = rows.select(pl.col(CORNERS).cast(pl.Float64)).to_numpy()
    corners_N4 = LAYOUTS[layout][1](boxes_N4)
    far = pl.DataFrame({"video_id": rows["video_id"], "w": corners_N4[:, 2], "h": corners_N4[:, 3]})
    sizes = far.select("video_id", pl.col("w", "h").max().over("video_id"))
    if videos is not None:
        known = videos.select("video_id", "width_px", "height_px").unique("video_id")
        sizes = sizes.join(known, on="video_id", how="left", maintain_order="left").select(
            pl.coalesce("width_px", "w").alias("w"), pl.coalesce("height_px", "h").alias("h")
        )
    sizes_N2 = sizes.select(pl.col("w", "h").cast(pl.Float64)).to_numpy()
    return np.where(sizes_N2 > 0, sizes_N2, 1.0)


@numba.njit(cache=True, nogil=True)
def persons_met(
    persons_P4: Floats, person_starts: Ints, boxes_D4: Floats, box_starts: Ints, wanted: Ints, found: Ints, iou: float
) -> tuple[int, float]:
    """How many persons some box of their key-frame overlaps by `iou`, and the sum of everybody's highest overlap.

    Persons [P, 4] and boxes [D, 4] stand key-frame by key-frame, `..._starts` says where each key-frame begins;
    `wanted` and `found` [K] pair the key-frames of the two.
    """
    num_met, total = 0, 0.0
    for k in range(len(wanted)):
        for person in range(person_starts[wanted[k]], person_starts[wanted[k] + 1]):
            px1, py1, px2, py2 = persons_P4[person]
            best = 0.0
            for i in range(box_starts[found[k]], box_starts[found[k] + 1]):
                x1, y1, x2, y2 = boxes_D4[i]
                width, height = min(x2, px2) - max(x1, px1), min(y2, py2) - max(y1, py1)
                if width <= 0 or height <= 0:
                    continue
                shared = width * height
                best = max(best, shared / ((x2 - x1) * (y2 - y1) + (px2 - px1) * (py2 - py1) - shared))
            num_met += best >= iou
            total += best
    return num_met, total
