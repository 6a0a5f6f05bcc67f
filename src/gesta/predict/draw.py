"""Boxes, person numbers, actions and labels drawn onto a frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

COLORS_RGB = ((230, 57, 70), (29, 144, 255), (34, 170, 96), (245, 158, 11), (155, 81, 224), (0, 180, 190))
"""One color a person, by number; neighbours in number are far apart in hue. Source: ours."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_person(
    frame_HWC: npt.NDArray[np.uint8],
    *,
    box: tuple[float, float, float, float],
    person_id: int,
    lines: Sequence[str],
) -> None:
    """Draw one person's box onto the frame, in place, with lines of text above it, or inside where there is no room.

    Args:
        frame_HWC: uint8 [H, W, 3], RGB.
        box: x1 y1 x2 y2 as fractions of the frame.
        person_id: chooses the color.
        lines: text, the first on top.
    """
    height, width = frame_HWC.shape[:2]
    color = COLORS_RGB[person_id % len(COLORS_RGB)]
    # Thickness and text grow with the frame: legible at 192 pixels and not a poster at 1080.
    thick = max(1, round(min(height, width) / 300))
    scale = max(0.3, min(height, width) / 1000)
    low = round(box[0] * width), round(box[1] * height)
    high = min(width - 1, round(box[2] * width)), min(height - 1, round(box[3] * height))
    cv2.rectangle(frame_HWC, low, high, color, thick)
    sizes = [cv2.getTextSize(line, _FONT, scale, thick)[0] for line in lines]
    step = max((size[1] for size in sizes), default=0) + 2 + 2 * thick
    wide = max((size[0] for size in sizes), default=0) + 4
    left = max(0, min(low[0], width - wide))
    top = low[1] - step * len(lines)
    if top < 0:
        top = min(low[1] + thick, max(0, height - step * len(lines)))
    for number, line in enumerate(lines):
        bottom = top + step * (number + 1)
        cv2.rectangle(frame_HWC, (left, bottom - step), (left + wide, bottom), color, cv2.FILLED)
        cv2.putText(frame_HWC, line, (left + 2, bottom - thick - 1), _FONT, scale, (255, 255, 255), thick, cv2.LINE_AA)


def draw_labels(frame_HWC: npt.NDArray[np.uint8], labels: Sequence[tuple[str, float]]) -> None:
    """Write labels into the frame's upper left corner, in place, each on a bar as long as it is probable.

    Args:
        frame_HWC: uint8 [H, W, 3], RGB.
        labels: name and probability, the first on top; what does not fit into the frame is left out.
    """
    height, width = frame_HWC.shape[:2]
    thick = max(1, round(min(height, width) / 400))
    scale = max(0.3, min(height, width) / 800)
    step = cv2.getTextSize("Ag", _FONT, scale, thick)[0][1] + 6 * thick
    full = width // 2
    for number, (name, score) in enumerate(labels):
        top, bottom = step * number, step * (number + 1)
        if bottom > height:
            return
        # Darkened, so that text is legible on any picture.
        frame_HWC[top:bottom, :full] = frame_HWC[top:bottom, :full] // 3
        frame_HWC[top:bottom, : round(full * score)] = COLORS_RGB[number % len(COLORS_RGB)]
        line = f"{score:.2f} {name}"
        cv2.putText(frame_HWC, line, (2, bottom - 2 * thick), _FONT, scale, (255, 255, 255), thick, cv2.LINE_AA)
