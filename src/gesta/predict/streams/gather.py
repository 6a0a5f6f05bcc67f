"""What a whole source said, gathered from its moments: tracks, actions and intervals of each person, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gesta.detect import TrackedBox
from gesta.predict.streams.moments import Corners, Interval, Moment, intervals_of
from gesta.predict.streams.scorers import PersonScorer
from gesta.tables import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow:
    """One person at one moment: the box, and the probability of every class in the model's order."""

    time_us: int
    start_us: int
    end_us: int
    box: Corners
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonStory:
    """One person of a source: the track, what was seen at each moment, and the intervals of likely actions."""

    person_id: int
    boxes: tuple[TrackedBox, ...]
    actions: tuple[ActionRow, ...]
    intervals: tuple[Interval, ...]


@dataclass(slots=True)
class Gathered:
    """Moments put together, some hundred bytes for each person and moment; no picture is kept."""

    starts_us: list[int] = field(default_factory=list)
    tracks: dict[int, list[TrackedBox]] = field(default_factory=dict)
    rows: dict[int, list[ActionRow]] = field(default_factory=dict)

    def add(self, moment: Moment) -> None:
        """Put a moment behind the others."""
        self.starts_us.append(moment.start_us)
        for box in moment.tracked:
            self.tracks.setdefault(box.person_id, []).append(box)
        for person in moment.persons:
            self.rows.setdefault(person.person_id, []).append(
                ActionRow(
                    time_us=moment.time_us,
                    start_us=moment.start_us,
                    end_us=moment.end_us,
                    box=person.box,
                    scores=person.scores,
                )
            )

    def persons(self, *, scorer: PersonScorer, min_score: float) -> list[PersonStory]:
        """Everybody by number; an interval is where a class stays at `min_score` or above."""
        return [
            PersonStory(
                person_id=who,
                boxes=tuple(self.tracks.get(who, ())),
                actions=tuple(self.rows.get(who, ())),
                intervals=tuple(
                    intervals_of(
                        [(row.start_us, row.end_us, row.scores) for row in self.rows.get(who, ())],
                        class_ids=scorer.class_ids,
                        class_names=scorer.class_names,
                        min_score=min_score,
                    )
                ),
            )
            for who in sorted(self.tracks.keys() | self.rows.keys())
        ]


def result_json(persons: Sequence[PersonStory], *, facts: Mapping[str, Json], scorer: PersonScorer) -> dict[str, Json]:
    """What `gesta predict` writes of a source: `video`, `model`, `classes` and `persons`."""
    return {
        "video": dict(facts),
        "model": dict(scorer.origin),
        "classes": [
            {"class_id": class_id, "name": name}
            for class_id, name in zip(scorer.class_ids, scorer.class_names, strict=True)
        ],
        "persons": [_person_json(person) for person in persons],
    }


def _person_json(person: PersonStory) -> Json:
    return {
        "person_id": person.person_id,
        "boxes": [
            {"timestamp_us": box.time_us, "box": list(box.box), "score": box.score, "interpolated": box.is_interpolated}
            for box in person.boxes
        ],
        "actions": [
            {
                "timestamp_us": row.time_us,
                "start_us": row.start_us,
                "end_us": row.end_us,
                "box": [round(value, 6) for value in row.box],
                "scores": list(row.scores),
            }
            for row in person.actions
        ],
        "intervals": [
            {
                "class_id": each.class_id,
                "name": each.name,
                "start_us": each.start_us,
                "end_us": each.end_us,
                "mean_score": each.mean_score,
            }
            for each in person.intervals
        ],
    }
