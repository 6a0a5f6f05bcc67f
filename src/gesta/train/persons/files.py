"""The files of films and clips below a folder, found by video id, and when each begins on the film's clock.

| name (any ending of a video) | holds | begins at |
|---|---|---|
| `<id>` | the whole film or video, or, as `Placed` says, a clip of it | 0, or the clip's start |
| `<id>_<start>_<end>`, seconds, padded or not (`_000417_000427`, `_900_1800`, `_5.5_15.5`) | that cut | start |
| `<id>_<start>_<end>`, ten digits or more (gesta's own clips) | that cut | start, in microseconds |

Ids are compared letter by letter: two of YouTube's may differ in case alone. A folder of numbered images may stand for
a video. Of several files of one name the first by path counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl

from gesta.schema import US_PER_S, BadInput, BadVideo, parse_seconds
from gesta.train.clips.footage import IMAGE_ENDINGS
from gesta.video import VIDEO_ENDINGS
from gesta.video.container import opened

_CUT = re.compile(r"(?P<id>.+)_(?P<start>[0-9]+(?:\.[0-9]+)?)_(?P<end>[0-9]+(?:\.[0-9]+)?)\Z")
_MICROSECOND_DIGITS = 10
"""From so many digits on a number is microseconds, as `gesta.schema.clip_id_of` writes; no film lasts that many
seconds. Source: ours."""

_NUM_THREADS = 4
"""Files opened at a time, since a disk or network makes each wait. Source: ours."""

FILE_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(), "path": pl.String(), "cut_start_us": pl.Int64(), "cut_end_us": pl.Int64(),
}  # fmt: skip
"""What `files_below` gives; `path` from the folder; both times null for a file called by its id alone."""


def files_below(root: Path, *, video_ids: Collection[str]) -> pl.DataFrame:
    """The files of those videos below the folder, columns `FILE_COLUMNS`, by path.

    Raises:
        BadInput: there is no such folder.
    """
    if not root.is_dir():
        raise BadInput("there is no such folder", where=root, mend="Name the folder of the videos")
    wanted = set(video_ids)
    rows: list[tuple[str, str, int | None, int | None]] = []
    for relative in _footage_below(root):
        name = PurePosixPath(relative)
        stem = name.stem if name.suffix.lower() in VIDEO_ENDINGS else name.name
        cut = cut_of(stem)
        if stem in wanted:
            rows.append((stem, relative, None, None))
        elif cut is not None and cut[0] in wanted:
            rows.append((cut[0], relative, cut[1], cut[2]))
    found = pl.DataFrame(rows, schema=FILE_COLUMNS, orient="row")
    return found.unique(["video_id", "cut_start_us", "cut_end_us"], keep="first", maintain_order=True)


def cut_of(stem: str) -> tuple[str, int, int] | None:
    """Video id, start and end in microseconds that a file's name says; None where it says none.

    >>> cut_of("o3lCwWyyc_s_000012_000022"), cut_of("-v_0002000000_0012000000"), cut_of("1j20qq1JyX4")
    (('o3lCwWyyc_s', 12000000, 22000000), ('-v', 2000000, 12000000), None)
    """
    match = _CUT.match(stem)
    if match is None:
        return None
    start_us, end_us = (_time_us(match[name]) for name in ("start", "end"))
    return (match["id"], start_us, end_us) if start_us < end_us else None


def _time_us(text: str) -> int:
    return int(text) if text.isdigit() and len(text) >= _MICROSECOND_DIGITS else parse_seconds(text)


def _footage_below(root: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder).relative_to(root)
        if here != Path() and any(name.lower().endswith(IMAGE_ENDINGS) for name in names):
            found.append(here.as_posix())
        found += [(here / name).as_posix() for name in names if name.lower().endswith(VIDEO_ENDINGS)]
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file's header says of its length; `problem` and `reason` where it cannot be opened."""

    duration_us: int | None
    problem: str = ""
    reason: str = ""


def read_headers(paths: Collection[Path]) -> dict[Path, Header]:
    """What each file's header says; nothing is decoded and no packet read, so that a long film is as fast as a clip."""
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        return dict(zip(paths, pool.map(_header_of, paths), strict=True))


def _header_of(path: Path) -> Header:
    if path.is_dir():
        return Header(duration_us=None)
    try:
        with opened(path) as (container, stream):
            if container.duration is not None:
                return Header(duration_us=int(container.duration))
            if stream.duration is not None:
                return Header(duration_us=int(stream.duration * stream.time_base * US_PER_S))
            return Header(duration_us=None)
    except BadVideo as error:
        return Header(duration_us=None, problem=error.problem, reason=error.reason)
