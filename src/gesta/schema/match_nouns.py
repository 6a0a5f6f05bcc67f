"""The nouns of a catalogue's search: what matched, and how much each query found."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.errors import BadInput
from gesta.schema.nouns import column

MATCH_FIELDS = ("title", "tags", "description")
"""Where a query can match, most telling first. Source: ours; Kinetics-400 paper, section 3.2, matches titles alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A video of a catalogue whose words name an action, and the best of the queries that found it."""

    video_id: str = column("as the catalogue names it")
    class_id: int = column("the action, as in `label_map`")
    query: str = column("the query that matched, as in `queries`; of several, the one with the best field and score")
    language: str = column("of that query")
    field: str = column("what it matched in: title, tags or description")
    score: float = column("share of the field's words that the query is, above 0 to 1")

    def __post_init__(self) -> None:
        if self.field not in MATCH_FIELDS:
            raise BadInput(f"{self.field!r} is no field of a match", mend=f"Want one of {', '.join(MATCH_FIELDS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryMatch:
    """How many videos of a catalogue one query found."""

    class_id: int = column("the action, as in `label_map`")
    language: str = column("of the query")
    query: str = column("as in `queries`")
    num_videos: int = column("videos that it matches, in any field that was searched")
    num_recorded: int = column("of them those that `matches` holds under this query, the best of the class")
