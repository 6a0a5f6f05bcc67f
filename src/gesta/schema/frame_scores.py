"""The noun of temporal positioning: how strongly a classifier of frames answers to an action at an instant."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.nouns import column


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """What a frame classifier says of one frame of a video and one action."""

    video_id: str = column("of the video that the frame is of")
    timestamp_us: int = column("instant of the frame, microseconds on the player's clock")
    class_id: int = column("the action, as in `label_map`")
    score: float = column("the classifier's response, on its own scale; only its order within a class is used")
