"""Films of coloured rectangles that stand for persons, their files in AVA's layout, and a model that tells colours.

A red rectangle does class 1, a green one class 2, a blue one both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gesta.formats import write_label_map
from gesta.schema import LabelClass
from gesta.tables import frame_of
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons import AvaSource, PersonBoxes
from gesta.video import write_video

CLASSES = {1: "be red", 2: "be green"}
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (230, 230, 20)}
DOES = {"red": (1,), "green": (2,), "blue": (1, 2), "grey": ()}
LEFT, RIGHT = (0.1, 0.1, 0.4, 0.9), (0.6, 0.1, 0.9, 0.9)

FRAMES = ClipFrames(num_frames=2, rate=10, stride=1, side="short", side_px=32, crop_px=32)


@dataclass(frozen=True)
class Seen:
    """How the model is shown films."""

    frames: ClipFrames = FRAMES
    boxes: PersonBoxes = field(default_factory=PersonBoxes)
    precision: str = "float32"


class ColourModel(nn.Module):
    """Logits of both classes from the mean of red and of green in each box, [N, 2]."""

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> Tensor:
        height, width = clip_BCTHW.shape[-2:]
        rows = []
        for clip, x1, y1, x2, y2 in boxes_N5.tolist():
            across = slice(round(x1 * width), round(x2 * width))
            part = clip_BCTHW[int(clip), :2, :, round(y1 * height) : round(y2 * height), across]
            rows.append(part.mean(dim=(1, 2, 3)))
        return torch.stack(rows) * 4 if rows else torch.zeros((0, 2))


def film(path: Path, *, left: str = "", right: str = "", seconds: float = 2.0, size=(64, 48)) -> Path:
    """A film on which a rectangle of each colour stands at `LEFT` and `RIGHT`; "" = nobody."""
    width, height = size
    picture = np.full((height, width, 3), 60, dtype=np.uint8)
    for colour, (x1, y1, x2, y2) in ((left, LEFT), (right, RIGHT)):
        if colour in COLOURS:
            picture[round(y1 * height) : round(y2 * height), round(x1 * width) : round(x2 * width)] = COLOURS[colour]
    return write_video(path, [picture] * round(10 * seconds), fps=Fraction(10), qp=10)


def line(video: str, time: float, box=None, class_id: int | None = None) -> str:
    if box is None:
        return f"{video},{time:.6f}\n"
    return f"{video},{time:.6f}," + ",".join(f"{value:.3f}" for value in box) + f",{class_id}\n"


def part_of(
    home: Path, name: str, films: dict[str, dict[str, str]], *, wrong: tuple[str, ...] = (), proposals: bool = True,
    sizes: dict[str, tuple[int, int]] | None = None,
) -> AvaSource:  # fmt: skip
    """A part with a key-frame at 1 s of each film; on films in `wrong` a detector finds somebody who is not there.

    Args:
        films: colours of `left` and `right` by film.
        wrong: films on which there is a proposal at `RIGHT` whoever stands there.
        proposals: whether there are any.
        sizes: of films, where they are not the same.
    """
    (home / "videos").mkdir(parents=True, exist_ok=True)
    rows, boxes = [], []
    for video, who in films.items():
        film(home / "videos" / f"{video}.mp4", **who, size=(sizes or {}).get(video, (64, 48)))
        labelled = [(box, colour) for box, colour in ((LEFT, who.get("left")), (RIGHT, who.get("right"))) if colour]
        rows += [line(video, 1, box, class_id) for box, colour in labelled for class_id in DOES[colour]]
        rows += [] if labelled else [line(video, 1)]
        found = [box for box, _ in labelled] + ([RIGHT] if video in wrong else [])
        boxes += ["{},{:.6f},{}\n".format(video, 1, ",".join(f"{v:.3f}" for v in (*box, 0.95))) for box in found]
    (home / f"{name}.csv").write_text("".join(rows))
    (home / f"{name}_boxes.csv").write_text("".join(boxes))
    classes = [LabelClass(class_id=key, name=value) for key, value in CLASSES.items()]
    write_label_map(home / "map.pbtxt", frame_of("label_map", classes))
    return AvaSource(
        part=name, labels=home / f"{name}.csv", videos=home / "videos", label_map=home / "map.pbtxt",
        proposals=home / f"{name}_boxes.csv" if proposals else None,
    )  # fmt: skip
