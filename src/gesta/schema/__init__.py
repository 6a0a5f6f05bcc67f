"""The nouns of the line, frozen and checked; units; the error tree. Imports nothing of ours."""

from gesta.schema.boxes import box_area, box_iou
from gesta.schema.errors import (
    BadInput,
    BadRow,
    BadVideo,
    GestaError,
    MissingExtra,
    MissingTable,
    Refused,
    UnknownName,
    WrongSchema,
)
from gesta.schema.nouns import (
    ANSWERS,
    VERDICTS,
    Availability,
    BoxLabel,
    Candidate,
    ClassScore,
    Clip,
    ClipKeyFrame,
    ClipLabel,
    Detection,
    Duplicate,
    Gold,
    Item,
    Kept,
    KeyFrame,
    LabelClass,
    Proposal,
    Reject,
    SplitRow,
    TrackBox,
    TruthAction,
    TruthBox,
    TruthVideo,
    Video,
    Vote,
    Worker,
    box_item_id_of,
    clip_id_of,
    clip_item_id_of,
)
from gesta.schema.protocols import BOX_PROTOCOL, CLIP_PROTOCOL, PROTOCOLS, Protocol, TrustRule
from gesta.schema.times import US_PER_S, format_seconds, parse_seconds

__all__ = [
    "ANSWERS", "BOX_PROTOCOL", "CLIP_PROTOCOL", "PROTOCOLS", "US_PER_S", "VERDICTS", "Availability", "BadInput", "BadRow", "BadVideo", "BoxLabel", "Candidate",
    "ClassScore", "Clip", "ClipKeyFrame", "ClipLabel", "Detection", "Duplicate", "GestaError", "Gold", "Item",
    "Kept", "KeyFrame", "LabelClass", "MissingExtra", "MissingTable", "Proposal", "Protocol", "Refused", "Reject", "SplitRow",
    "TrackBox", "TrustRule", "TruthAction", "TruthBox", "TruthVideo", "UnknownName", "Video", "Vote", "Worker", "WrongSchema",
    "box_area", "box_iou", "box_item_id_of", "clip_id_of", "clip_item_id_of", "format_seconds", "parse_seconds",
]  # fmt: skip
