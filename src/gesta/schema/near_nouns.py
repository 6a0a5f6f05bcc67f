"""The noun of near vectors."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.nouns import column


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPair:
    """Two vectors of one file whose cosine reaches a threshold."""

    number_a: int = column("row of the one vector in its file, from 0; below `number_b`")
    number_b: int = column("row of the other")
    cosine: float = column("their cosine")
