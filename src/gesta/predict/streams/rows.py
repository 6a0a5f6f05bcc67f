"""Moments as rows of text, written as they come: JSON lines, CSV, and detections as AVA's evaluator reads them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from gesta.predict.streams.moments import Moment
from gesta.predict.streams.scorers import PersonScorer
from gesta.schema import UnknownName, format_seconds
from gesta.tables import Json

CSV_COLUMNS = (
    "source", "time_s", "start_s", "end_s", "person_id", "x1", "y1", "x2", "y2", "class_id", "class", "score",
)  # fmt: skip

LEAST_AVA_SCORE = 0.002
"""AVA rows with a lower score are left out. Source: open-mmlab/mmaction2 4d6c9347, `ava_utils.py`, `action_thr`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowKind:
    """One kind of rows: its files' ending, what stands first in a file, and the lines of a moment."""

    ending: str
    head: Callable[[PersonScorer, Mapping[str, Json]], str]
    lines: Callable[[Moment, PersonScorer, float], str]


def json_lines(moment: Moment, scorer: PersonScorer, min_score: float) -> str:
    """One line: the moment, everybody in it, and the probability of each action of `min_score` and up, likeliest first.

    A moment without persons is a line too, so that a reader knows that the stream lives.
    """
    del scorer
    return _json_line(
        {
            "kind": "moment",
            "source": moment.source,
            "timestamp_us": moment.time_us,
            "start_us": moment.start_us,
            "end_us": moment.end_us,
            "persons": [
                {
                    "person_id": person.person_id,
                    "box": [round(value, 6) for value in person.box],
                    "actions": dict(person.top(len(person.scores), min_score=min_score)),
                }
                for person in moment.persons
            ],
            "dropped_frames": moment.num_dropped,
            "skipped_moments": moment.num_skipped,
            "latency_us": moment.latency_us,
        }
    )


def csv_lines(moment: Moment, scorer: PersonScorer, min_score: float) -> str:
    """A line a person and action of `min_score` and up, under the columns `CSV_COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    times = [format_seconds(time_us) for time_us in (moment.time_us, moment.start_us, moment.end_us)]
    for person in moment.persons:
        where = [moment.source, *times, person.person_id, *(f"{value:.6f}" for value in person.box)]
        for class_id, name, score in zip(scorer.class_ids, scorer.class_names, person.scores, strict=True):
            if score >= min_score:
                writer.writerow([*where, class_id, name, f"{score:.6f}"])
    return text.getvalue()


def ava_lines(moment: Moment, scorer: PersonScorer, min_score: float) -> str:
    """A line a person and action of `LEAST_AVA_SCORE` and up: video id, seconds, box, class id, score.

    Eight columns, as `gesta evaluate ava` and the official evaluator read detections; a person's number has no place
    in them.
    """
    del min_score
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # The video's id is its name without the ending, as in AVA.
    video_id = moment.source.rpartition("/")[2]
    video_id = video_id.rpartition(".")[0] or video_id
    for person in moment.persons:
        corners = [f"{value:.6f}" for value in person.box]
        for class_id, score in zip(scorer.class_ids, person.scores, strict=True):
            if score >= LEAST_AVA_SCORE:
                writer.writerow([video_id, _ava_seconds(moment.time_us), *corners, class_id, f"{score:.6f}"])
    return text.getvalue()


def _ava_seconds(time_us: int) -> str:
    """Seconds as AVA writes them: whole ones as four digits, others with six decimals.

    >>> _ava_seconds(902_000_000), _ava_seconds(2_480_000)
    ('0902', '2.480000')
    """
    whole, rest = divmod(time_us, 1_000_000)
    return f"{whole}.{rest:06d}" if rest else f"{whole:04d}"


def _json_line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _json_head(scorer: PersonScorer, facts: Mapping[str, Json]) -> str:
    classes: list[Json] = [
        {"class_id": class_id, "name": name}
        for class_id, name in zip(scorer.class_ids, scorer.class_names, strict=True)
    ]
    return _json_line({"kind": "source", "video": dict(facts), "model": dict(scorer.origin), "classes": classes})


ROW_KINDS: Mapping[str, RowKind] = {
    "jsonl": RowKind(ending=".jsonl", head=_json_head, lines=json_lines),
    "csv": RowKind(ending=".csv", head=lambda scorer, facts: ",".join(CSV_COLUMNS) + "\n", lines=csv_lines),
    "ava": RowKind(ending=".ava.csv", head=lambda scorer, facts: "", lines=ava_lines),
}
"""Kinds of rows by name."""


def check_row_kinds(kinds: Sequence[str]) -> None:
    """Nothing, where all kinds of rows are known.

    Raises:
        UnknownName: one is not.
    """
    for name in kinds:
        if name not in ROW_KINDS:
            raise UnknownName(what="kind of rows", name=name, choices=ROW_KINDS)


@dataclass(slots=True)
class RowWriter:
    """Rows of one kind, written to a stream and flushed moment by moment."""

    kind: RowKind
    stream: IO[str]
    scorer: PersonScorer
    min_score: float

    def begin(self, facts: Mapping[str, Json]) -> None:
        """Write what stands first."""
        self.stream.write(self.kind.head(self.scorer, facts))

    def moment(self, moment: Moment) -> None:
        """Write a moment's rows."""
        self.stream.write(self.kind.lines(moment, self.scorer, self.min_score))
        self.stream.flush()
