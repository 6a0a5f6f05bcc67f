"""Sources run through detector and model: files as fast as they go, live ones without lagging.

Shapes: N persons of a moment, K classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from gesta.detect import Detector, FrameBoxes, find_people
from gesta.predict.streams.moments import Moment, PersonNow
from gesta.predict.streams.scorers import PersonScorer
from gesta.predict.streams.shots import FrameSource
from gesta.predict.streams.watch import Looked, Search, Watch
from gesta.schema import BadVideo

VIEWS_PER_BATCH = 8
"""Views that a model is shown at once. Source: ours."""

FRAMES_PER_SEARCH = 8
"""Frames that a detector is shown at once: 50 MB at 1920 by 1080. Source: ours."""

_MOST_WAITING = 64
"""Moments that wait for a batch to fill at most: stretches without persons make no views. Source: ours."""

Key = TypeVar("Key")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """Who finds persons and from which confidence on; how far apart moments lie."""

    detector: Detector
    min_score: float
    stride_us: int
    frames_per_search: int = FRAMES_PER_SEARCH


def search(searches: Sequence[Search], *, eyes: Eyes) -> list[FrameBoxes]:
    """The boxes of each frame, from one call of the detector where the frames are of one size."""
    found: list[FrameBoxes] = []
    todo = deque(searches)
    while todo:
        some = [todo.popleft()]
        while todo and todo[0].picture_HWC.shape == some[0].picture_HWC.shape:
            some.append(todo.popleft())
        people = find_people(eyes.detector, np.stack([each.picture_HWC for each in some]), min_score=eyes.min_score)
        found += [FrameBoxes(each.time_us, *boxes) for each, boxes in zip(some, people, strict=True)]
    return found


def looked_at(source: FrameSource, *, scorer: PersonScorer, eyes: Eyes, watch: Watch | None = None) -> Iterator[Looked]:
    """The moments of a source that waits for us, each ready to be scored, in order of time.

    Args:
        source: a file, images, a pipe.
        scorer: what is shown of each moment.
        eyes: who finds persons.
        watch: to look at from outside; None = a new one.
    Raises:
        BadVideo: a frame cannot be decoded, or there is none (reason "no-frames").
    """
    seen = watch or Watch(scorer=scorer, stride_us=eyes.stride_us, span_us=source.span_us)
    waiting: list[Search] = []

    def hand_in() -> None:
        for boxes in search(waiting, eyes=eyes):
            seen.found(boxes)
        waiting.clear()

    wanted = seen.wanted if source.span_us[1] is not None else None
    last_us = gap_us = None
    for shot in source.shots(wanted):
        last_us, gap_us = shot.time_us, (0 if last_us is None else shot.time_us - last_us)
        asked = seen.take(shot)
        # The frame itself is let go of before the next one is decoded.
        del shot
        if asked is not None:
            seen.expect(asked)
            waiting.append(asked)
            if len(waiting) >= eyes.frames_per_search:
                hand_in()
        yield from seen.ready()
    if last_us is None or gap_us is None:
        raise BadVideo("shows no frame", where=source.name, reason="no-frames")
    end_us = source.span_us[1]
    asked = seen.end(last_us + max(1, gap_us) if end_us is None else end_us)
    if asked is not None:
        seen.expect(asked)
        waiting.append(asked)
    hand_in()
    yield from seen.ready()


def scored(
    items: Iterable[tuple[Key, Looked | Other]], *, scorer: PersonScorer, views_per_batch: int = VIEWS_PER_BATCH
) -> Iterator[tuple[Key, Moment | Other]]:
    """The moments with what the model says, in the order they came; several of one or more sources in one batch.

    Args:
        items: moments by their source's key (its name, where that is a text); anything else passes in its place.
        scorer: the model.
        views_per_batch: shown to it at once; changes nothing but rounding.
    """
    waiting: list[tuple[Key, Looked | Other]] = []
    num_views = 0
    for key, item in items:
        waiting.append((key, item))
        num_views += len(item.views) if isinstance(item, Looked) else 0
        if num_views >= views_per_batch or len(waiting) >= _MOST_WAITING:
            yield from _scored_batch(waiting, scorer=scorer, views_per_batch=views_per_batch)
            waiting, num_views = [], 0
    yield from _scored_batch(waiting, scorer=scorer, views_per_batch=views_per_batch)


def _scored_batch(
    items: Sequence[tuple[Key, Looked | Other]], *, scorer: PersonScorer, views_per_batch: int
) -> Iterator[tuple[Key, Moment | Other]]:
    views = [seen for _, item in items if isinstance(item, Looked) for _, seen in item.views]
    found: list[Any] = []
    for start in range(0, len(views), views_per_batch):
        found += scorer.score(views[start : start + views_per_batch])
    scores = iter(found)
    for key, item in items:
        yield key, (moment_of(item, scores, source=str(key), scorer=scorer) if isinstance(item, Looked) else item)


def moment_of(looked: Looked, scores: Iterator[Any], *, source: str, scorer: PersonScorer) -> Moment:
    """The moment with the scores of its views, float [N, K] each, taken off `scores`."""
    persons = [
        PersonNow(
            person_id=looked.people[number][0],
            box=looked.people[number][1],
            # Six decimals: what the AVA format's readers and writers keep apart.
            scores=tuple(round(float(score), 6) for score in scores_K),
            class_names=scorer.class_names,
        )
        for (group, _), scores_NK in zip(looked.views, scores, strict=False)
        for number, scores_K in zip(group, scores_NK, strict=True)
    ]
    return Moment(
        source=source,
        time_us=looked.plan.time_us,
        start_us=looked.plan.start_us,
        end_us=looked.plan.end_us,
        persons=tuple(sorted(persons, key=lambda person: person.person_id)),
        tracked=looked.tracked,
    )
