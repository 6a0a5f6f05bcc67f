"""A world of two squares, a detector that finds them, and a person model without weights that says how they look.

Red squares are person 0's, green ones person 1's. The model's first class is how bright a person is in the middle of
the clip's time, its second how red.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gesta.detect import Detector
from gesta.predict.streams.scorers import PersonScorer, whole_frame_scorer
from gesta.predict.streams.shots import Shot, Wanted, resized
from gesta.tables import Json
from gesta.train.clips import ClipFrames

WIDTH, HEIGHT = 48, 32
FRAMES = ClipFrames(num_frames=4, rate=30, stride=10, side="short", side_px=HEIGHT, crop_px=HEIGHT)
NAMES = ("bright", "red")


class LooksOf(nn.Module):
    """Logits [N, 2]: of the mean colour inside each box over the clip, and how red it is."""

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> Tensor:
        height, width = clip_BCTHW.shape[3:]
        rows = []
        for number, x1, y1, x2, y2 in boxes_N5.tolist():
            left, top = int(x1 * width), int(y1 * height)
            right, bottom = max(left + 1, round(x2 * width)), max(top + 1, round(y2 * height))
            part_CTHW = clip_BCTHW[int(number), :, :, top:bottom, left:right].double()
            weights_T = torch.arange(1, part_CTHW.shape[1] + 1, dtype=torch.float64)
            means_C = (part_CTHW.mean(dim=(2, 3)) * weights_T).sum(dim=1) / weights_T.sum()
            rows.append(torch.stack([means_C.sum(), means_C[0] - means_C[1]]))
        return torch.stack(rows).float() if rows else torch.zeros(0, 2)


def scorer_of(frames: ClipFrames = FRAMES) -> PersonScorer:
    return whole_frame_scorer(
        LooksOf(), frames=frames, class_ids=(3, 7), class_names=NAMES, device="cpu", precision="float32",
        origin={"recipe": "stand-in"}, sha256="0" * 64,
    )  # fmt: skip


def picture_at(time_us: int, *, is_there: Callable[[int, int], bool] = lambda who, time_us: True) -> np.ndarray:
    """Both squares at that time, uint8 [H, W, 3]; each moves and changes its brightness."""
    picture = np.full((HEIGHT, WIDTH, 3), 20, dtype=np.uint8)
    time_s = time_us / 1e6
    for who in (0, 1):
        if not is_there(who, time_us):
            continue
        left = round((0.1 + 0.5 * who + 0.15 * np.sin(time_s * 2 + who)) * WIDTH)
        top = round((0.3 + 0.2 * np.cos(time_s * 1.5)) * HEIGHT)
        value = round(180 + 60 * np.sin(time_s * 3 + who))
        picture[top : top + 12, max(0, left) : left + 10, who] = value
    return picture


def find_squares(frames_NHWC: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    found = []
    for frame in frames_NHWC:
        height, width = frame.shape[:2]
        boxes = []
        for who in (0, 1):
            rows, columns = np.nonzero(frame[..., who].astype(int) - frame[..., 2] > 70)
            if len(rows):
                box = (
                    columns.min() / width,
                    rows.min() / height,
                    (columns.max() + 1) / width,
                    (rows.max() + 1) / height,
                )
                boxes.append(box)
        found.append((np.array(boxes).reshape(-1, 4), np.linspace(0.9, 0.8, len(boxes))))
    return found


SQUARES: Detector = find_squares


@dataclass
class TimedSource:
    """Pictures at given times, which wait for whoever asks."""

    times_us: Sequence[int]
    end_us: int
    knows_end: bool = True
    picture: Callable[[int], np.ndarray] = picture_at
    name: str = "timed"
    is_live: bool = False
    num_dropped: int = 0

    @property
    def span_us(self) -> tuple[int, int | None]:
        return (self.times_us or [0])[0], self.end_us if self.knows_end else None

    def facts(self) -> dict[str, Json]:
        return {"file": self.name, "width_px": WIDTH, "height_px": HEIGHT}

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        for time_us in self.times_us:
            yield shot_at(time_us, self.picture)


def shot_at(time_us: int, picture: Callable[[int], np.ndarray] = picture_at) -> Shot:
    def shown(size: tuple[int, int] | None) -> np.ndarray:
        return picture(time_us) if size is None else resized(picture(time_us), size)

    return Shot(time_us=time_us, size_px=(WIDTH, HEIGHT), picture=shown)


def write_film(path: Path, *, fps: str = "12", seconds: float = 3.0) -> Path:
    """The two squares as a video."""
    from fractions import Fraction

    from gesta.video import write_video

    rate = Fraction(fps)
    times_us = [round(number * 1_000_000 / rate) for number in range(round(seconds * rate))]
    frames = (np.kron(picture_at(time_us), np.ones((4, 4, 1), dtype=np.uint8)) for time_us in times_us)
    return write_video(path, frames, fps=rate, crf=12)
