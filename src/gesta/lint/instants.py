"""Checks on key-frames and clips against lists, clips and videos; on ids; on anything that has a place in time."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.lint.against import Against
from gesta.lint.findings import Finding, rows_found, shown, shown_time

MARGIN_US = 1_000_000
"""Least distance of a key-frame from an end of its clip. Source: AVA-Kinetics paper, section 1.2, step 2."""

FRAME_SLACK_US = 100_000
"""How far a clip may reach beyond a video's last frame. Source: ours: ends are published in rounded seconds."""

FILM_START_US, FILM_END_US = 902_000_000, 1_798_000_000
"""AVA's first and last key-frame. Source: `ava_included_timestamps_v2.2.txt`."""

MIN_FILM_SHARE = 0.9
"""Share of whole seconds within AVA's range from which the rest is suspect. Source: ours."""

_YOUTUBE = r"^[A-Za-z0-9_-]{11}$"
KEY = ["video_id", "timestamp_us"]


def id_findings(rows: pl.DataFrame, *, where: str | Path, is_kinetics: bool = False) -> list[Finding]:
    """Video ids that are not YouTube's; each id once, at its first line.

    Args:
        is_kinetics: whether all ids must be; else a file is left alone where fewer than half of them are.
    """
    first = rows.filter(pl.col("video_id").str.strip_chars() != "").unique(
        "video_id", keep="first", maintain_order=True
    )
    is_odd = ~pl.col("video_id").str.strip_chars().str.contains(_YOUTUBE)
    if not is_kinetics and first.filter(is_odd).height * 2 > first.height:
        return []
    text = pl.format(
        "{} has {} characters, or others than letters, digits, - and _",
        shown("video_id"),
        pl.col("video_id").str.len_chars(),
    )
    return rows_found("id-odd", first, is_odd, text, where=where)


def key_frame_findings(rows: pl.DataFrame, against: Against, *, where: str | Path) -> list[Finding]:
    """Key-frames (`line`, `video_id`, `timestamp_us`) held against lists, clips and videos; each once."""
    keys = rows.drop_nulls(KEY).unique(KEY, keep="first", maintain_order=True).select("line", *KEY)
    at = pl.format("{} at {}", shown("video_id"), shown_time())
    found: list[Finding] = []
    allowed = against.included_us if against.included_us is not None else _film_seconds(keys)
    if allowed is not None:
        is_other = ~pl.col("timestamp_us").is_in(allowed.unique().to_list())
        text = pl.format("{} is not an included timestamp", at)
        found += rows_found("key-frame-not-included", keys, is_other, text, where=where)
    if against.excluded is not None:
        hit = keys.join(against.excluded.select(KEY).unique(), on=KEY, how="semi", maintain_order="left")
        text = pl.format("{} is excluded", at)
        found += rows_found("key-frame-excluded", hit, None, text, where=where)
    if against.clips is not None:
        found += clip_margin_findings(keys, against.clips, where=where)
    if against.videos is not None:
        found += video_findings(keys, against.videos, where=where)
        timed = keys.join(against.videos.drop_nulls(), on="video_id", how="inner", maintain_order="left")
        is_outside = (pl.col("timestamp_us") < pl.col("start_us")) | (pl.col("timestamp_us") >= pl.col("end_us"))
        text = pl.format("{} is outside the video, which lasts to {}", at, shown_time("end_us"))
        found += rows_found("time-outside-video", timed, is_outside, text, where=where)
    return found


def _film_seconds(keys: pl.DataFrame) -> pl.Series | None:
    """AVA's whole seconds, where nearly all key-frames are among them and so the file is of AVA's films."""
    films = pl.int_range(FILM_START_US, FILM_END_US + 1, 1_000_000, eager=True)
    is_film = (pl.col("timestamp_us") % 1_000_000 == 0) & pl.col("timestamp_us").is_between(FILM_START_US, FILM_END_US)
    return films if keys.height and keys.filter(is_film).height >= MIN_FILM_SHARE * keys.height else None


def clip_margin_findings(keys: pl.DataFrame, clips: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Key-frames outside all clips of their video, or too near to the ends of the best of them.

    Clips shorter than two margins cannot keep them and are not held to them. Videos without a clip are left alone.
    """
    rows = keys.with_row_index("row").join(
        clips.select("video_id", "start_us", "end_us"), on="video_id", how="inner", maintain_order="left"
    )
    ahead, behind = pl.col("timestamp_us") - pl.col("start_us"), pl.col("end_us") - pl.col("timestamp_us")
    near = pl.min_horizontal(ahead, behind)
    best = rows.with_columns(near.alias("near_us")).sort("near_us", descending=True, maintain_order=True)
    best = best.unique("row", keep="first", maintain_order=True).sort("row")
    clip = pl.format("the clip from {} to {}", shown_time("start_us"), shown_time("end_us"))
    at = pl.format("{} at {}", shown("video_id"), shown_time())
    is_near = pl.col("near_us").is_between(0, MARGIN_US - 1)
    is_long = pl.col("end_us") - pl.col("start_us") >= 2 * MARGIN_US
    text = pl.format("{} is {} from an end of {}", at, shown_time("near_us"), clip)
    return [
        *rows_found(
            "key-frame-outside-clip", best, pl.col("near_us") < 0, pl.format("{} is outside {}", at, clip), where=where
        ),
        *rows_found("key-frame-near-end", best, is_near & is_long, text, where=where),
    ]


def video_findings(rows: pl.DataFrame, videos: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Videos that rows (`line`, `video_id`) name and that are not there; each once, at its first line."""
    named = rows.unique("video_id", keep="first", maintain_order=True)
    absent = named.join(videos.select("video_id").unique(), on="video_id", how="anti", maintain_order="left")
    text = pl.format("there is no video {}", shown("video_id"))
    return rows_found("video-missing", absent, pl.col("video_id").str.strip_chars() != "", text, where=where)


def interval_findings(rows: pl.DataFrame, videos: pl.DataFrame | None, *, where: str | Path) -> list[Finding]:
    """Clips (`line`, `video_id`, `start_us`, `end_us`) that are inverted, begin before 0, or leave their video."""
    clip = pl.format("the clip goes from {} to {}", shown_time("start_us"), shown_time("end_us"))
    found = rows_found("clip-inverted", rows, pl.col("end_us") <= pl.col("start_us"), clip, where=where)
    is_minus = pl.min_horizontal("start_us", "end_us") < 0
    found += rows_found("time-odd", rows, is_minus, pl.format("{}, before the video", clip), where=where)
    if videos is not None:
        known = videos.rename({"start_us": "from_us", "end_us": "to_us"}).drop_nulls()
        timed = rows.join(known, on="video_id", how="inner", maintain_order="left")
        early = pl.col("start_us") < pl.col("from_us") - FRAME_SLACK_US
        is_outside = early | (pl.col("end_us") > pl.col("to_us") + FRAME_SLACK_US)
        text = pl.format("{}, the video from {} to {}", clip, shown_time("from_us"), shown_time("to_us"))
        found += rows_found("clip-outside-video", timed, is_outside, text, where=where)
    return found
