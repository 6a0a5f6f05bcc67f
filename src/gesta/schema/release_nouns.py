"""The nouns of releases that grow out of one another."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.nouns import column


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSplit:
    """The split of a video that an earlier version of a release held and this one does not; it keeps it for ever."""

    video_id: str = column("video of an earlier version")
    split: str = column("train, val or test, as it was there")
    sha256: str = column("of the file, 64 hex digits, so that the same bytes under another name are known")
    version: str = column("the last version that held the video")
