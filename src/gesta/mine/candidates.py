"""Videos made candidates: which actions their titles name, and which clips of them may show those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from gesta.mine.positions import TOP_K, Floats, Ints, clips_at_responses
from gesta.mine.titles import classes_in, index_of_classes
from gesta.mine.windows import MIN_CLIP_US, even_windows
from gesta.schema import US_PER_S, Candidate, Clip, LabelClass, Query, Reject, Video, clip_id_of

STAGE = "mine"

Unmatched = Literal["reject", "all"]
UNMATCHED: tuple[Unmatched, ...] = ("reject", "all")

_REPORT_EVERY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a video comes to an action: the words or the query that named it; neither where nothing did."""

    source: Literal["title", "query", "window"]
    query: str = ""
    language: str | None = None
    score: float = 1.0


Namings = Mapping[str, Mapping[int, Naming]]
"""The actions of each video, by video id and class id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """What a frame classifier says of one video and one action: instants, int64 [N], and scores, float64 [N]."""

    times_us_N: Ints
    scores_N: Floats


ResponsesOf = Mapping[str, Mapping[int, Responses]]
"""The responses of each video, by video id and class id; a video that could not be decoded is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """What mining some videos gives: rows of `clips` and `candidates`, and the videos that gave none."""

    clips: Sequence[Clip]
    candidates: Sequence[Candidate]
    rejects: Sequence[Reject]


def name_videos(
    videos: Sequence[Video], *, classes: Sequence[LabelClass], unmatched: Unmatched, queries: Sequence[Query] = ()
) -> Namings:
    """The actions that each video's title names; with `unmatched="all"` all of them for a video that names none.

    Videos without any are left out.

    Args:
        queries: phrases to look for, in any languages; none = the names of the classes.
    Raises:
        MissingExtra: the language of a query needs a library that is not installed.
    """
    found: dict[str, dict[int, Naming]] = {}
    if queries:
        # Only here, since the index of a catalogue needs libraries that plain titles do not.
        from gesta.mine.catalogue import matches_in_texts

        known = {row.class_id for row in classes}
        for video_id, matches in matches_in_texts(videos, [each for each in queries if each.class_id in known]).items():
            found[video_id] = {
                class_id: Naming(source="query", query=query, language=language, score=score)
                for class_id, query, language, score in matches
            }
    else:
        index = index_of_classes(classes)
        for video in videos:
            named = {} if video.title is None else classes_in(video.title, index=index)
            found[video.video_id] = {class_id: Naming(source="title", query=words) for class_id, words in named.items()}
    every = {row.class_id: Naming(source="window") for row in classes} if unmatched == "all" else {}
    named_of = {video.video_id: found.get(video.video_id) or every for video in videos}
    return {video_id: named for video_id, named in named_of.items() if named}


def responses_of(scores: pl.DataFrame) -> dict[str, dict[int, Responses]]:
    """The rows of a `frame_scores` table by video and class."""
    found: dict[str, dict[int, Responses]] = {}
    for (video_id, class_id), rows in scores.group_by("video_id", "class_id"):
        found.setdefault(str(video_id), {})[int(str(class_id))] = Responses(
            times_us_N=rows["timestamp_us"].to_numpy(), scores_N=rows["score"].to_numpy()
        )
    return found


def is_too_short(video: Video) -> bool:
    """Whether no clip fits into the video."""
    return video.duration_us < MIN_CLIP_US


def mine_videos(
    videos: Sequence[Video],
    *,
    namings: Namings,
    clip_us: int,
    windows_per_video: int,
    responses: ResponsesOf | None = None,
    k: int = TOP_K,
    on_rows: Callable[[int], None] | None = None,
) -> Mined:
    """Candidates of each video for every action that it is named for.

    Without `responses` they are evenly spread windows. With them they lie around the strongest responses, in each
    action its own; an action without responses (the classifier does not know it, or no clip around a frame lasts a
    second) has the windows. A video that is named for nothing is rejected as `title`, one shorter than a second as
    `short`.

    Args:
        namings: the actions of each video (`name_videos`).
        clip_us: length of a clip that no end of its video cuts.
        windows_per_video: windows at most.
        responses: of a frame classifier; None = none was asked.
        k: responses at most.
        on_rows: called with the number of videos that are done.
    """
    clips: dict[str, Clip] = {}
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for number, video in enumerate(videos, start=1):
        named = namings.get(video.video_id, {})
        end_us = video.start_us + video.duration_us
        windows = even_windows(video.start_us, end_us, clip_us=clip_us, max_windows=windows_per_video)
        if not named or not windows:
            rejects.append(_reject(video, is_short=bool(named)))
        for class_id, naming in named.items() if windows else ():
            found = {} if responses is None else responses.get(video.video_id, {})
            spots = _at_responses(video, found.get(class_id), clip_us=clip_us, k=k)
            for start_us, end_us_, score, position_us in spots or [(*window, None, None) for window in windows]:
                clip = _clip(video, start_us, end_us_)
                clips[clip.clip_id] = clip
                candidates.append(
                    Candidate(
                        clip_id=clip.clip_id,
                        class_id=class_id,
                        source=naming.source,
                        query=naming.query,
                        score=naming.score if score is None else score,
                        language=naming.language,
                        position_us=position_us,
                    )
                )
        if on_rows is not None and (number % _REPORT_EVERY == 0 or number == len(videos)):
            on_rows((number - 1) % _REPORT_EVERY + 1)
    return Mined(clips=list(clips.values()), candidates=candidates, rejects=rejects)


def _at_responses(
    video: Video, found: Responses | None, *, clip_us: int, k: int
) -> list[tuple[int, int, float | None, int | None]]:
    """Start, end, score and position of the clips around the strongest responses; none without responses."""
    if found is None:
        return []
    made = clips_at_responses(
        found.times_us_N, found.scores_N, start_us=video.start_us, end_us=video.start_us + video.duration_us,
        clip_us=clip_us, k=k,
    )  # fmt: skip
    return [
        (start_us, end_us, float(found.scores_N[i]), int(np.int64(found.times_us_N[i]))) for i, start_us, end_us in made
    ]


def _clip(video: Video, start_us: int, end_us: int) -> Clip:
    clip_id = clip_id_of(video_id=video.video_id, start_us=start_us, end_us=end_us)
    return Clip(clip_id=clip_id, video_id=video.video_id, start_us=start_us, end_us=end_us)


def _reject(video: Video, *, is_short: bool) -> Reject:
    title = "there is no title" if video.title is None else f"the title {video.title!r} names no action"
    short = f"{video.duration_us / US_PER_S:.3f} s, want at least {MIN_CLIP_US / US_PER_S:g} s"
    return Reject(
        stage=STAGE,
        reason="short" if is_short else "title",
        video_id=video.video_id,
        path=video.path,
        detail=short if is_short else title,
    )
