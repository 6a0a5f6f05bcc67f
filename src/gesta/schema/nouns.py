"""The nouns: one frozen, checked dataclass a row of each table. Time in microseconds; boxes in frame fractions.

The dataclasses are the one source of the tables' columns: `gesta.tables` derives names, types and nullability
from the fields here, and `docs/formats.md` is made from them and from each field's `doc`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field
from fractions import Fraction
from typing import Any

from gesta.schema.errors import BadInput


def column(doc: str, *, default: Any = MISSING) -> Any:
    """A dataclass field that carries the column's documentation (unit included)."""
    return field(metadata={"doc": doc}, default=default)


def _check_interval(row: Clip | TruthAction) -> None:
    if row.start_us >= row.end_us:
        raise BadInput(f"{row} ends before it starts", mend="Want start_us < end_us; the interval is half-open")


def check_box(row: Any) -> None:
    """Nothing, if the row's x1, y1, x2, y2 are a box inside the frame.

    Raises:
        BadInput: they are not.
    """
    if not (0 <= row.x1 < row.x2 <= 1 and 0 <= row.y1 < row.y2 <= 1):
        raise BadInput(
            f"{row} is no box inside the frame",
            mend="Want 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1, as fractions of the frame",
        )


def clip_id_of(*, video_id: str, start_us: int, end_us: int) -> str:
    """The clip's id: the video's id and both ends in microseconds, as Kinetics names its files with seconds.

    >>> clip_id_of(video_id="-v", start_us=2_000_000, end_us=12_000_000)
    '-v_0002000000_0012000000'
    """
    return f"{video_id}_{start_us:010d}_{end_us:010d}"


def box_item_id_of(*, clip_id: str, timestamp_us: int, person_id: int, class_id: int) -> str:
    """The id of the question whether one boxed person performs one action.

    >>> box_item_id_of(clip_id="c", timestamp_us=1_500_000, person_id=2, class_id=7)
    'box:c:0001500000:2:7'
    """
    return f"box:{clip_id}:{timestamp_us:010d}:{person_id}:{class_id}"


def clip_item_id_of(*, clip_id: str, class_id: int) -> str:
    """The id of the question whether a clip shows one action.

    >>> clip_item_id_of(clip_id="c", class_id=7)
    'clip:c:7'
    """
    return f"clip:{clip_id}:{class_id}"


def suggestion_item_id_of(*, clip_id: str, class_id: int) -> str:
    """The id of the question what a clip shows instead of an action.

    >>> suggestion_item_id_of(clip_id="c", class_id=7)
    'suggestion:c:7'
    """
    return f"suggestion:{clip_id}:{class_id}"


def frame_item_id_of(*, clip_id: str, timestamp_us: int) -> str:
    """The id of the question where the persons of a key-frame are.

    >>> frame_item_id_of(clip_id="c", timestamp_us=1_500_000)
    'frame:c:0001500000'
    """
    return f"frame:{clip_id}:{timestamp_us:010d}"


def person_item_id_of(*, clip_id: str, timestamp_us: int, person_id: int) -> str:
    """The id of the question what one boxed person does.

    >>> person_item_id_of(clip_id="c", timestamp_us=1_500_000, person_id=2)
    'person:c:0001500000:2'
    """
    return f"person:{clip_id}:{timestamp_us:010d}:{person_id}"


def cluster_item_id_of(*, clip_ids: Sequence[str]) -> str:
    """The id of the question which of these look-alikes to keep: of the clips and their order, which answers index.

    >>> cluster_item_id_of(clip_ids=["a", "b"])
    'cluster:3554d2b8a1e34099'
    """
    return f"cluster:{_digest_of(clip_ids)}"


def class_item_id_of(*, class_id: int, clip_ids: Sequence[str]) -> str:
    """The id of the question which of these clips of a class do not belong: of the clips and their order.

    >>> class_item_id_of(class_id=7, clip_ids=["a", "b"])
    'class:7:3554d2b8a1e34099'
    """
    return f"class:{class_id}:{_digest_of(clip_ids)}"


def _digest_of(clip_ids: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(clip_ids)).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, order=True)
class KeyFrame:
    """One annotated instant, `timestamp_us` microseconds from the start of the original video."""

    video_id: str
    timestamp_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One source file and what its container and packets say of it."""

    video_id: str = column("unique name; may begin with - or _")
    path: str = column("file, POSIX, relative to the folder that holds this table")
    sha256: str = column("of the whole file, 64 hex digits")
    size_bytes: int = column("of the file")
    container: str = column("FFmpeg's short name of the container")
    codec: str = column("FFmpeg's name of the video codec")
    width_px: int = column("as shown, after rotation")
    height_px: int = column("as shown, after rotation")
    rotation_deg: int = column("clockwise turn that the player applies: 0, 90, 180 or 270")
    fps_num: int = column("average frame rate, numerator")
    fps_den: int = column("average frame rate, denominator")
    is_vfr: bool = column("whether frame distances differ by more than a tick of rounding")
    num_frames: int = column("frames that a player shows, counted from packets")
    start_us: int = column("time of the first frame on the player's clock: PTS minus the container's start time")
    duration_us: int = column("from the first frame's start to the last frame's end")
    has_audio: bool = column("whether there is an audio stream")
    title: str | None = column("what the catalogue or the file name calls it", default=None)
    source: str = column("where the row came from: folder, catalogue, kinetics, ava …", default="folder")

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0 or self.num_frames <= 0 or self.fps_den <= 0:
            raise BadInput(f"{self} has no picture", mend="Want positive width_px, height_px, num_frames, fps_den")

    @property
    def fps(self) -> Fraction:
        """Average frames a second, exact."""
        return Fraction(self.fps_num, self.fps_den)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A stretch of a video, half-open `[start_us, end_us)`, on the player's clock."""

    clip_id: str = column("unique; video id and both ends")
    video_id: str = column("of the video it is a stretch of")
    start_us: int = column("first instant, microseconds on the player's clock")
    end_us: int = column("instant after the last, same clock")

    def __post_init__(self) -> None:
        _check_interval(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A guess that a clip shows an action, to be put to workers."""

    clip_id: str = column("clip that may show the action")
    class_id: int = column("the action, as in `label_map`")
    source: str = column("what made the guess: title, query, window, import")
    query: str = column("the text that matched, empty when none did")
    score: float = column("response of whatever ranked it; 1 when nothing ranks")
    language: str | None = column(
        "of the query that matched, as `queries` names it; null where no query did", default=None
    )
    position_us: int | None = column(
        "instant of the classifier's response that the clip lies around, player's clock; null where none ranked",
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelClass:
    """One action of the label map; ids as published, never re-based."""

    class_id: int = column("as published")
    name: str = column("as shown to workers")
    category: str | None = column("AVA's label_type or a parent group", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A person box that a detector found."""

    clip_id: str = column("clip that was searched")
    video_id: str = column("its video")
    timestamp_us: int = column("of the frame, microseconds on the player's clock")
    x1: float = column("left, fraction of the frame's width")
    y1: float = column("top, fraction of the frame's height")
    x2: float = column("right, fraction of the frame's width")
    y2: float = column("bottom, fraction of the frame's height")
    score: float = column("detector's confidence, 0 to 1")

    def __post_init__(self) -> None:
        check_box(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBox:
    """One box of one person's track."""

    clip_id: str = column("clip that was searched")
    video_id: str = column("its video")
    person_id: int = column("counted from 0 within the clip")
    timestamp_us: int = column("of the frame, microseconds on the player's clock")
    x1: float = column("left, fraction of the frame's width")
    y1: float = column("top, fraction of the frame's height")
    x2: float = column("right, fraction of the frame's width")
    y2: float = column("bottom, fraction of the frame's height")
    score: float = column("detector's confidence, 0 to 1; of the neighbours' mean when interpolated")
    is_interpolated: bool = column("whether no detection stands behind it but its neighbours in time")

    def __post_init__(self) -> None:
        check_box(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipKeyFrame:
    """The frame of a clip that is annotated with boxes (AVA-Kinetics 1.2, step 2)."""

    clip_id: str = column("clip it stands for")
    video_id: str = column("its video")
    timestamp_us: int = column("microseconds on the player's clock")
    score: float = column("highest person confidence there; 0 when no person was found")
    num_boxes: int = column("person boxes there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that workers are asked about, of one of seven kinds.

    clip: does the clip show the class (K400 3.3)? suggestion: which action does it show (K400 3.1)? frame: where are
    the persons of the key-frame (AVA-Kinetics 1.2, step 3)? person: which actions does the boxed person do (step 4)?
    box: does the boxed person do the class (step 5)? cluster: which of these clips are the same (K700-2020 2)?
    class: which of these clips do not belong (K400 3.4)?
    """

    item_id: str = column("unique")
    kind: str = column("clip, suggestion, frame, person, box, cluster or class")
    clip_id: str = column("clip to play; of a cluster or class the first one")
    class_id: int | None = column("action asked for, or that was; null for frame and person", default=None)
    timestamp_us: int | None = column("key-frame of a frame, person or box", default=None)
    person_id: int | None = column("track of a person or box", default=None)
    x1: float | None = column("left of the box, fraction of the width", default=None)
    y1: float | None = column("top of the box, fraction of the height", default=None)
    x2: float | None = column("right of the box, fraction of the width", default=None)
    y2: float | None = column("bottom of the box, fraction of the height", default=None)
    detail: str | None = column("JSON: boxes of a frame, clips of a cluster or class", default=None)


ANSWERS = ("yes", "no", "unsure", "broken")
"""What a worker may answer to a yes-or-no question; broken = does not play, no human, an image, a cartoon or a game.

Source: Kinetics-400 paper, section 3.3 (the response icons).
"""

DONE = "done"
"""The answer to a question that is not yes or no; what was done is in the vote's `detail`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One worker's answer to one item; append-only."""

    vote_id: int = column("order of arrival, from 1")
    item_id: str = column("what was asked")
    worker_id: str = column("who answered")
    answer: str = column("yes, no, unsure or broken; done where the answer is in `detail`")
    lasts_whole_clip: bool | None = column("after yes: does the action last for the whole clip?", default=None)
    is_gold: bool = column("whether the answer was known beforehand", default=False)
    spent_ms: int = column("from showing to answering, milliseconds", default=0)
    cast_at_us: int = column("arrival, microseconds since 1970 UTC", default=0)
    detail: str | None = column("JSON: boxes drawn, classes chosen, text, clips kept or removed", default=None)
    revision: int = column("0 = the first answer; a later one of the same worker replaces it", default=0)

    def __post_init__(self) -> None:
        if self.answer not in (*ANSWERS, DONE):
            raise BadInput(f"{self.answer!r} is no answer", mend=f"Want one of {', '.join((*ANSWERS, DONE))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """An item whose answer is known."""

    item_id: str = column("what is asked")
    answer: str = column("the known answer")
    detail: str | None = column("JSON, as a vote's: what is known beyond the answer", default=None)


VERDICTS = ("accepted", "rejected", "open")
"""What votes can amount to; open = more votes are needed than were cast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLabel:
    """The verdict on one clip and class."""

    clip_id: str = column("clip that was asked about")
    class_id: int = column("action that was asked for")
    verdict: str = column("accepted, rejected or open")
    num_yes: int = column("counted votes that say yes")
    num_no: int = column("counted votes that say no")
    num_unsure: int = column("counted votes that say unsure")
    num_broken: int = column("counted votes that say broken")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxLabel:
    """The verdict on one boxed person and class."""

    clip_id: str = column("clip that was shown")
    video_id: str = column("its video")
    timestamp_us: int = column("key-frame, microseconds on the player's clock")
    person_id: int = column("track within the clip")
    x1: float = column("left, fraction of the frame's width")
    y1: float = column("top, fraction of the frame's height")
    x2: float = column("right, fraction of the frame's width")
    y2: float = column("bottom, fraction of the frame's height")
    class_id: int = column("action that was asked for")
    verdict: str = column("accepted, rejected or open")
    num_yes: int = column("counted votes that say yes")
    num_votes: int = column("counted votes")

    def __post_init__(self) -> None:
        check_box(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What the votes say of one worker."""

    worker_id: str = column("unique")
    num_votes: int = column("votes cast, gold included")
    num_gold: int = column("gold items answered")
    num_gold_right: int = column("of them answered as known")
    gold_accuracy: float | None = column("share right of gold answered; null when none was", default=None)
    agreement: float | None = column("share of votes on decided items that match the verdict", default=None)
    median_spent_ms: int = column("median time an answer took, milliseconds", default=0)
    is_trusted: bool = column("whether the worker's votes were counted", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Two clips that show the same footage."""

    clip_id_a: str = column("one clip; sorts before the other")
    clip_id_b: str = column("the other")
    cosine: float = column("similarity of the features, -1 to 1")
    num_inliers: int = column("local features that agree on one geometry; 0 where a trunk alone compared")
    cluster: int = column("connected component, from 0")
    kept_clip_id: str = column("the clip of the component that stays")
    agreement: float | None = column("how alike what moves in both is, -1 to 1; null when nothing moves", default=None)
    is_mirrored: bool | None = column("whether one is the other's mirror image", default=None)
    start_us_a: int | None = column("where the shared footage begins in the one, player's clock", default=None)
    end_us_a: int | None = column("where it ends there, half-open", default=None)
    start_us_b: int | None = column("where it begins in the other, player's clock", default=None)
    end_us_b: int | None = column("where it ends there, half-open", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFeature:
    """What one sampled frame of a clip looks like, as a vector."""

    clip_id: str = column("clip")
    timestamp_us: int = column("of the sampled instant, microseconds on the player's clock")
    vector: str = column("int8 values in base64; the vector up to its length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A clip and class that survived curation: what a release is made of."""

    clip_id: str = column("clip")
    video_id: str = column("its video; one clip a video and class")
    class_id: int = column("its action")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRow:
    """Which part of a release a clip belongs to; a video's clips never part."""

    clip_id: str = column("clip")
    video_id: str = column("its video")
    split: str = column("train, val or test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a video that an annotation file names is at hand."""

    video_id: str = column("as the annotation file names it")
    file: str = column("annotation file that names it")
    num_rows: int = column("rows that name it")
    is_present: bool = column("whether `videos` holds it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that a stage dropped, and why."""

    stage: str = column("verb that dropped it")
    reason: str = column("short code, counted in the verb's closing line")
    video_id: str | None = column("video concerned", default=None)
    clip_id: str | None = column("clip concerned", default=None)
    path: str | None = column("file concerned", default=None)
    detail: str = column("one sentence", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a model says of one person at one key-frame."""

    video_id: str = column("video")
    timestamp_us: int = column("key-frame, microseconds on the player's clock")
    x1: float = column("left, fraction of the frame's width")
    y1: float = column("top, fraction of the frame's height")
    x2: float = column("right, fraction of the frame's width")
    y2: float = column("bottom, fraction of the frame's height")
    class_id: int = column("action")
    score: float = column("confidence, 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How well one class was found."""

    class_id: int = column("action")
    name: str = column("its name")
    average_precision: float | None = column("null without ground truth", default=None)
    num_groundtruth: int = column("labelled boxes", default=0)
    num_detections: int = column("scored boxes", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthVideo:
    """What the rendered world knows of one of its files."""

    video_id: str = column("file name without its ending")
    path: str = column("file, relative to the world's folder")
    kind: str = column("original, duplicate, distractor, empty or corrupt")
    title: str = column("what its uploader calls it")
    source_video_id: str | None = column("of a duplicate: the video it repeats", default=None)
    damage: str | None = column("of a duplicate or corrupt file: what was done to it", default=None)
    is_readable: bool = column("whether a decoder can show it", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthAction:
    """What one rendered person does, half-open `[start_us, end_us)`."""

    video_id: str = column("video")
    person_id: int = column("person, from 0 within the video")
    action: str = column("name of the action")
    start_us: int = column("first instant, microseconds on the player's clock")
    end_us: int = column("instant after the last, same clock")

    def __post_init__(self) -> None:
        _check_interval(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthBox:
    """Where one rendered person is in one frame."""

    video_id: str = column("video")
    person_id: int = column("person, from 0 within the video")
    timestamp_us: int = column("of the frame, microseconds on the player's clock")
    x1: float = column("left, fraction of the frame's width")
    y1: float = column("top, fraction of the frame's height")
    x2: float = column("right, fraction of the frame's width")
    y2: float = column("bottom, fraction of the frame's height")

    def __post_init__(self) -> None:
        check_box(self)
