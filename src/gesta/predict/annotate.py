"""A video with persons, their numbers and their actions drawn onto it.

Shapes: H and W pixels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesta.predict.draw import draw_person
from gesta.predict.streams.gather import Gathered
from gesta.predict.streams.moments import Corners
from gesta.predict.streams.schedule import DETECT_RATE
from gesta.predict.streams.shots import FrameSource
from gesta.predict.streams.watch import box_at
from gesta.video import write_video

Uint8s = npt.NDArray[np.uint8]

TOP_ACTIONS = 3
"""Actions written beside a box at most."""


def annotate(
    source: FrameSource,
    target: Path,
    *,
    gathered: Gathered,
    class_names: Sequence[str],
    fps: Fraction,
    times_us: Sequence[int] | None,
    min_score: float,
    on_frames: Callable[[int], None] | None = None,
) -> Path:
    """The path written: every frame at its own time, with boxes, person numbers and the actions of `min_score` and up.

    H.264, muted; one row or column of pixels is left out where a side is odd, which the codec cannot have.

    Args:
        source: the frames, once more from the start.
        target: the file to write.
        gathered: what was seen.
        class_names: in the order of the scores.
        fps: frames a second; with `times_us` only what the header says.
        times_us: of each frame, the first 0; None = even ones.
        min_score: least probability of an action that is drawn.
        on_frames: called with the number of frames just drawn.
    Raises:
        BadVideo: a frame cannot be decoded.
    """
    said = {(who, row.start_us): row for who, rows in gathered.rows.items() for row in rows}
    starts = sorted({row.start_us for rows in gathered.rows.values() for row in rows})
    # In the order of time: a gap's boxes become known behind the box that closes it.
    tracks = {who: sorted(boxes, key=lambda box: box.time_us) for who, boxes in sorted(gathered.tracks.items())}
    reach_us = round(1e6 / DETECT_RATE)

    def drawn() -> Iterator[Uint8s]:
        for shot in source.shots(None):
            frame = shot.picture(None)
            height, width = frame.shape[:2]
            frame_HWC = np.ascontiguousarray(frame[: height - height % 2, : width - width % 2])
            stride = starts[max(0, bisect_left(starts, shot.time_us + 1) - 1)] if starts else 0
            for who, track in tracks.items():
                box = box_at(track, shot.time_us, reach_us=reach_us)
                if box is not None:
                    row = said.get((who, stride))
                    lines = () if row is None else top_lines(row.scores, class_names=class_names, min_score=min_score)
                    draw_person(frame_HWC, box=box, person_id=who, lines=[f"#{who}", *lines])
            yield frame_HWC
            if on_frames is not None:
                on_frames(1)

    return write_video(target, drawn(), fps=fps, times_us=times_us)


def top_lines(scores: Sequence[float], *, class_names: Sequence[str], min_score: float) -> list[str]:
    """What is written beside a person: the likeliest actions of `min_score` and up, with their probabilities."""
    best = sorted(zip(scores, class_names, strict=True), reverse=True)[:TOP_ACTIONS]
    return [f"{name} {score:.2f}" for score, name in best if score >= min_score]


def drawn_now(frame_HWC: Uint8s, *, people: Sequence[tuple[int, Corners, Sequence[str]]]) -> Uint8s:
    """A copy of the frame, uint8 [H, W, 3], with those people's boxes, numbers and lines of text."""
    drawn_HWC = np.ascontiguousarray(frame_HWC).copy()
    for who, box, lines in people:
        draw_person(drawn_HWC, box=box, person_id=who, lines=[f"#{who}", *lines])
    return drawn_HWC
