"""Pictures of the page as data URIs: short animations of clips with their boxes, and stills.

Legend: N frames, H and W height and width in px, 3 = R, G, B.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.schema import MissingExtra

try:
    from PIL import Image, ImageDraw, ImageFont
except ModuleNotFoundError as error:
    raise MissingExtra(extra="report", module="PIL") from error

ACTING_RGB = (255, 196, 37)
"""Outline of a person with an accepted action; with a dark rim it stands out of light and dark pictures."""

SHOWN_PX = (215, 161)
"""Width and height at which the page shows a picture on a wide screen."""

OTHER_RGB = (235, 240, 245)
_RIM_RGB = (16, 18, 22)
_QUALITY = 55
"""Of WebP. Source: ours; at 180 px high an animation of 3 s takes 40 to 120 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnBox:
    """A box to draw: corners as fractions of the frame, and words above it (empty: a person without an action)."""

    x1: float
    y1: float
    x2: float
    y2: float
    words: str = ""


def drawn(frame: npt.NDArray[np.uint8], boxes: Sequence[DrawnBox]) -> Image.Image:
    """The frame, uint8 [H, W, 3], with its boxes; those with words in colour, drawn last."""
    picture = Image.fromarray(frame)
    pen = ImageDraw.Draw(picture)
    # Sizes are those of the picture as the page shows it, in a frame of 4 to 3.
    scale = max(picture.width / SHOWN_PX[0], picture.height / SHOWN_PX[1])
    line = max(1, round(1.6 * scale))
    font = ImageFont.load_default(size=round(12.5 * scale))
    for box in sorted(boxes, key=lambda box: bool(box.words)):
        corners = _corners(box, picture.size)
        colour = ACTING_RGB if box.words else OTHER_RGB
        width = line if box.words else max(1, line // 2)
        pen.rectangle(_grown(corners, 1), outline=_RIM_RGB, width=width + 2)
        pen.rectangle(corners, outline=colour, width=width)
    for box in boxes:
        if box.words:
            _write(pen, box, picture.size, font)
    return picture


def _corners(box: DrawnBox, size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = size
    return (
        round(box.x1 * (width - 1)), round(box.y1 * (height - 1)),
        round(box.x2 * (width - 1)), round(box.y2 * (height - 1)),
    )  # fmt: skip


def _grown(corners: tuple[int, int, int, int], by: int) -> tuple[int, int, int, int]:
    return (corners[0] - by, corners[1] - by, corners[2] + by, corners[3] + by)


def _write(
    pen: ImageDraw.ImageDraw, box: DrawnBox, size: tuple[int, int], font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    """The words on a plate above the box's top left corner, moved to stay inside the picture."""
    left, top, right, bottom = pen.textbbox((0, 0), box.words, font=font)
    width, height = right - left + 6, bottom - top + 5
    x, y, *_ = _corners(box, size)
    x = max(0, min(x, size[0] - int(width)))
    y = max(0, y - int(height))
    pen.rectangle((x, y, x + width, y + height), fill=ACTING_RGB)
    pen.text((x + 3 - left, y + 2 - top), box.words, font=font, fill=_RIM_RGB)


def animation_uri(pictures: Sequence[Image.Image], *, frame_ms: int) -> str:
    """An endless animated WebP of the pictures, as a data URI."""
    stream = io.BytesIO()
    pictures[0].save(
        stream, format="WEBP", save_all=True, append_images=list(pictures[1:]), duration=frame_ms, loop=0,
        quality=_QUALITY, method=4, minimize_size=False,
    )  # fmt: skip
    return _uri(stream.getvalue())


def still_uri(picture: Image.Image) -> str:
    """One picture as WebP, as a data URI."""
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=_QUALITY + 10, method=4)
    return _uri(stream.getvalue())


def _uri(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
