"""Rows of a catalogue in one shape: ids, texts, languages and durations out of whatever columns a source has."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gesta.schema import US_PER_S, BadInput, Reject, UnknownName

ALIASES: Mapping[str, tuple[str, ...]] = {
    "video_id": ("video_id", "id", "youtube_id", "ytid", "videoid", "video"),
    "title": ("title", "video_title", "fulltitle", "name"),
    "description": ("description", "video_description", "desc"),
    "tags": ("tags", "keywords", "video_tags"),
    "language": ("language", "lang", "default_audio_language", "defaultaudiolanguage", "default_language"),
    "duration": ("duration", "duration_s", "length_seconds", "length_s", "duration_seconds"),
    "duration_us": ("duration_us",),
    "place": ("upload_place", "place", "country", "upload_country", "location", "region"),
    "latitude_deg": ("latitude_deg", "latitude", "lat"),
    "longitude_deg": ("longitude_deg", "longitude", "lon", "lng"),
}
"""Names that a standard column goes by, letters of either case, the first that is there. Source: fields of yt-dlp's
info JSON (yt-dlp README, "Output template"), of the YouTube Data API's videos, and of the Kinetics csv files."""

STANDARD: Mapping[str, pl.DataType] = {
    "video_id": pl.String(), "title": pl.String(), "description": pl.String(), "tags": pl.List(pl.String()),
    "language": pl.String(), "duration_us": pl.Int64(), "place": pl.String(), "latitude_deg": pl.Float64(),
    "longitude_deg": pl.Float64(),
}  # fmt: skip
"""Columns of a batch, whatever its source."""

STAGE = "catalogue"

_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)")
_ISO_8601 = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
_LONGEST_S = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows of a source: `videos` with the columns of `STANDARD`, the others rejected."""

    videos: pl.DataFrame
    rejected: Sequence[Reject]
    num_rows: int
    """Of the source, rejected ones too; files, where it is one of info files."""


def columns_among(header: Sequence[str], *, names: Mapping[str, str], where: Path) -> dict[str, str]:
    """The source's own column for each standard one that it has.

    Raises:
        UnknownName: `names` speaks of a standard column that is none.
        BadInput: there is no column of ids or no column of text, or `names` names a column that is not there.
    """
    for standard, own in names.items():
        if standard not in ALIASES:
            raise UnknownName(what="column of a catalogue", name=standard, choices=ALIASES)
        if own not in header:
            raise BadInput(f"no column {own!r}", where=where, mend=f"There are {', '.join(header) or 'none'}")
    by_folded = {name.strip().casefold(): name for name in reversed(header)}
    found = {}
    for standard, aliases in ALIASES.items():
        there = [by_folded[alias] for alias in aliases if alias in by_folded]
        if standard in names or there:
            found[standard] = names.get(standard) or there[0]
    if "video_id" not in found or not {"title", "description", "tags"} & set(found):
        raise BadInput(
            "no column of video ids beside one of titles, descriptions or tags",
            where=where,
            mend=f"Found {', '.join(header) or 'no columns'}; say which it is, as in video_id=NAME",
        )
    return found


def records_frame(records: Sequence[Mapping[str, Any]], *, names: Mapping[str, str]) -> pl.DataFrame:
    """JSON objects as a frame of text columns, tags as lists.

    Raises:
        UnknownName: `names` speaks of a standard column that is none.
    """
    for standard in names:
        if standard not in ALIASES:
            raise UnknownName(what="column of a catalogue", name=standard, choices=ALIASES)
    keys = {standard: (names[standard],) if standard in names else ALIASES[standard] for standard in ALIASES}
    columns: dict[str, pl.Series] = {}
    for standard, own in keys.items():
        values = [next((record[key] for key in own if record.get(key) is not None), None) for record in records]
        if standard == "tags":
            columns[standard] = pl.Series([_tags(value) for value in values], dtype=pl.List(pl.String()))
        else:
            columns[standard] = pl.Series([_text(value) for value in values], dtype=pl.String())
    return pl.DataFrame(columns)


def _text(value: Any) -> str | None:
    # A lone surrogate, which JSON can hold, is no text that any table could.
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    return None if text is None else text.encode("utf-8", "replace").decode()


def _tags(value: Any) -> list[str] | None:
    if isinstance(value, list):
        return [tag for tag in map(_text, value) if tag]
    return None if value is None else split_tags(_text(value) or "")


def split_tags(text: str) -> list[str]:
    """The tags of one cell: a JSON list, or parted by bars, else by semicolons, else by commas.

    >>> split_tags('["a b", "c"]'), split_tags('"a b"|c'), split_tags("a b, c")
    (['a b', 'c'], ['a b', 'c'], ['a b', 'c'])
    """
    if text.lstrip().startswith("["):
        try:
            return _tags(json.loads(text)) or []
        except (ValueError, RecursionError):
            pass
    mark = next((mark for mark in "|;" if mark in text), ",")
    return [tag for part in text.split(mark) if (tag := part.strip().strip('"').strip())]


def duration_us(text: str) -> int | None:
    """Microseconds of a duration: seconds, h:mm:ss, or ISO 8601 as in PT4M13S; None for anything else.

    >>> duration_us("12.5"), duration_us("1:02:03"), duration_us("PT4M13S"), duration_us("long")
    (12500000, 3723000000, 253000000, None)
    """
    stripped = text.strip()
    if clock := _CLOCK.fullmatch(stripped):
        seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    elif (iso := _ISO_8601.fullmatch(stripped)) and any(iso.groups()):
        days, hours, minutes = (int(iso[i] or 0) for i in (1, 2, 3))
        seconds = days * 86_400 + hours * 3600 + minutes * 60 + float(iso[4] or 0)
    else:
        try:
            seconds = float(stripped)
        except ValueError:
            return None
    return round(seconds * US_PER_S) if math.isfinite(seconds) and 0 < seconds < _LONGEST_S else None


def standard_batch(
    frame: pl.DataFrame, *, start_row: int, problems: Mapping[int, str], where: Path, num_rows: int | None = None
) -> Batch:
    """The rows in one shape, those without an id, without any text or with a problem rejected.

    Args:
        frame: standard columns of any types; missing ones are null.
        start_row: rows of the source before this batch.
        problems: what is wrong with a row, by its number in the source, counted from 1.
        num_rows: rows of the source that this is; None = of the frame.
    """
    numbered = _standard_frame(frame).with_row_index("number", offset=start_row + 1)
    broken = pl.col("number").is_in(list(problems))
    no_id = pl.col("video_id").is_null()
    no_text = pl.col("title").is_null() & pl.col("description").is_null() & (pl.col("tags").list.len() == 0)
    reason = (
        pl.when(broken).then(pl.lit("row")).when(no_id).then(pl.lit("id")).when(no_text).then(pl.lit("text"))
    )  # fmt: skip
    judged = numbered.with_columns(reason.alias("reason"))
    said = {"id": "no video id", "text": "no title, no description and no tags"}
    rejected = [
        Reject(
            stage=STAGE,
            reason=why,
            video_id=video_id,
            path=where.name,
            detail=f"row {number}: {problems.get(number) or said[why]}",
        )
        for number, video_id, why in judged.filter(pl.col("reason").is_not_null())
        .select("number", "video_id", "reason")
        .iter_rows()
    ]
    videos = judged.filter(pl.col("reason").is_null()).select(list(STANDARD))
    return Batch(videos=videos, rejected=rejected, num_rows=frame.height if num_rows is None else num_rows)


def _standard_frame(frame: pl.DataFrame) -> pl.DataFrame:
    def text(name: str) -> pl.Expr:
        column = pl.col(name).cast(pl.String(), strict=False).str.strip_chars()
        return pl.when(column != "").then(column).alias(name)

    there = frame.with_columns(pl.lit(None).alias(name) for name in ALIASES if name not in frame.columns)
    return there.with_columns(
        *(text(name) for name in ("video_id", "title", "description", "place")),
        text("language").str.to_lowercase().str.split("-").list.first().str.split("_").list.first(),
        _tags_column(there["tags"]).alias("tags"),
        _duration_column(there).alias("duration_us"),
        *(pl.col(name).cast(pl.Float64(), strict=False) for name in ("latitude_deg", "longitude_deg")),
    ).select(list(STANDARD))


def _tags_column(tags: pl.Series) -> pl.Series:
    if isinstance(tags.dtype, pl.List):
        return tags.cast(pl.List(pl.String()), strict=False).list.drop_nulls().fill_null([])
    if tags.dtype == pl.Null:
        return pl.Series([[] for _ in range(len(tags))], dtype=pl.List(pl.String()))
    listed = [split_tags(cell) if cell else [] for cell in tags.cast(pl.String(), strict=False)]
    return pl.Series(listed, dtype=pl.List(pl.String()))


def _duration_column(frame: pl.DataFrame) -> pl.Series:
    in_us = frame["duration_us"].cast(pl.Int64(), strict=False)
    given = frame["duration"]
    if given.dtype == pl.Null:
        return in_us
    if given.dtype.is_numeric():
        given_us = (given.cast(pl.Float64()) * US_PER_S).round()
        in_range = (given_us > 0) & (given_us < _LONGEST_S * US_PER_S)
        from_seconds = pl.select(pl.when(in_range).then(given_us)).to_series().cast(pl.Int64(), strict=False)
    else:
        texts = given.cast(pl.String(), strict=False).to_list()
        from_seconds = pl.Series([None if text is None else duration_us(text) for text in texts], dtype=pl.Int64)
    return pl.select(pl.coalesce(in_us, from_seconds)).to_series()
