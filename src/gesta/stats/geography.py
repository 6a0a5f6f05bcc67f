"""Where the videos of a dataset come from, continent by continent, and how that changes from version to version.

Kinetics-700-2020 gives each of four versions a column of shares (table 3), "based on the fraction of videos containing
that information (around 90%)". So a share is of the videos whose place is known, and how many are not is said beside.

A csv of places has `video_id` (or `youtube_id`) and any of `continent`, `country` (ISO 3166 code or English name), and
`latitude` with `longitude` (or `lat` with `lon` or `lng`), in degrees. Of several that are filled in, the first counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.schema import BadInput
from gesta.stats.attributes import read_attributes
from gesta.stats.continents import CONTINENTS, continent_named, continent_of_country, continents_at
from gesta.stats.proportions import wilson
from gesta.tables import whole_file, write_json

LATITUDES, LONGITUDES = ("latitude", "lat"), ("longitude", "lon", "lng")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The continent of each video (video_id, continent; null where it is not known), and what could not be placed.

    `unplaced` has a row a text that stands where a place should and is none: column, text, num_videos.
    """

    rows: pl.DataFrame
    unplaced: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Geography:
    """Where the videos of one version come from.

    `shares` has a row a continent: continent, num_videos, share (of those known), low, high (Wilson). `num_effective`
    is the number of equally frequent continents that would be as diverse: e to the power of the entropy.
    """

    name: str
    num_videos: int
    num_known: int
    shares: pl.DataFrame
    level: float

    @property
    def unknown_share(self) -> float:
        """Share of videos whose continent is not known; 0 without videos."""
        return 1 - self.num_known / self.num_videos if self.num_videos else 0.0

    @property
    def num_effective(self) -> float:
        """Source: Jost, Entropy and diversity (Oikos 113, 2006): the effective number of types, of order 1."""
        shares = [share for share in self.shares["share"] if share]
        return math.exp(-sum(share * math.log(share) for share in shares)) if shares else 0.0

    def as_json(self) -> dict[str, Any]:
        """The parts as plain JSON values."""
        return {
            "name": self.name,
            "num_videos": self.num_videos,
            "num_known": self.num_known,
            "unknown_share": round(self.unknown_share, 6),
            "num_effective": round(self.num_effective, 4),
            "level": self.level,
            "shares": self.shares.to_dicts(),
        }


def read_places(path: Path) -> Places:
    """The places of a csv.

    Args:
        path: see the head of the file.
    Raises:
        BadInput: there is no such file, it cannot be read, or it has no column of places.
        BadRow: a line is wrong.
    """
    found = read_attributes(path)
    latitude = next((name for name in LATITUDES if name in found.columns), None)
    longitude = next((name for name in LONGITUDES if name in found.columns), None)
    named = [name for name in ("continent", "country") if name in found.columns]
    has_points = latitude is not None and longitude is not None
    if found.key != "video_id" or not (named or has_points):
        raise BadInput(
            f"no places of videos: it has {', '.join((found.key, *found.columns))}",
            where=path,
            mend="Want video_id and continent, country, or latitude and longitude",
        )
    unplaced: Counter[tuple[str, str]] = Counter()
    continents: list[str | None] = [None] * len(found.rows)
    for column in named:
        read = continent_named if column == "continent" else continent_of_country
        texts = found.rows[column].to_list()
        known = {text: read(text) for text in set(texts) if text is not None}
        unplaced.update((column, text) for text in texts if text is not None and known[text] is None)
        continents = [
            old or (None if text is None else known[text]) for old, text in zip(continents, texts, strict=True)
        ]
    if latitude is not None and longitude is not None:
        continents = _placed_by_points(found.rows, continents, unplaced, latitude=latitude, longitude=longitude)
    rows = found.rows.select("video_id", pl.Series("continent", continents, dtype=pl.String))
    listed = [(column, text, num) for (column, text), num in unplaced.most_common()]
    schema = {"column": pl.String, "text": pl.String, "num_videos": pl.Int64}
    return Places(rows=rows, unplaced=pl.DataFrame(listed, schema=schema, orient="row"))


def _placed_by_points(
    rows: pl.DataFrame, continents: Sequence[str | None], unplaced: Counter[tuple[str, str]], *, latitude: str,
    longitude: str,
) -> list[str | None]:  # fmt: skip
    """The continents with those that points say where nothing else did; points that are none are counted."""
    points = rows.select(
        pl.col(latitude).alias("lat_text"), pl.col(longitude).alias("lon_text"),
        pl.col(latitude).cast(pl.Float64, strict=False).alias("lat"),
        pl.col(longitude).cast(pl.Float64, strict=False).alias("lon"),
    )  # fmt: skip
    lat_N, lon_N = (points[name].fill_null(np.nan).to_numpy() for name in ("lat", "lon"))
    placed = continents_at(lat_N, lon_N)
    for old, new, lat, lon in zip(continents, placed, points["lat_text"], points["lon_text"], strict=True):
        if old is None and new is None and (lat is not None or lon is not None):
            unplaced["point", f"{lat}, {lon}"] += 1
    return [old or new for old, new in zip(continents, placed, strict=True)]


def geography_of(video_ids: pl.Series, places: Places, *, name: str = "", level: float = 0.95) -> Geography:
    """Where the videos come from; a video counts once.

    Args:
        video_ids: of the dataset.
        places: see `read_places`.
        name: of the version.
        level: confidence of the intervals.
    Raises:
        BadInput: no place is of one of the videos.
    Source: Kinetics-700-2020, table 3.
    """
    videos = pl.DataFrame({"video_id": video_ids.unique()})
    known = videos.join(places.rows, on="video_id").drop_nulls("continent")
    if len(videos) and not videos.join(places.rows, on="video_id", how="semi").height:
        raise BadInput("no video of the places is one of the dataset's", mend="Compare how the ids are written")
    counts = Counter(known["continent"])
    rows = []
    for continent in CONTINENTS:
        low, high = wilson(counts[continent], len(known), level=level)
        share = counts[continent] / len(known) if len(known) else None
        rows.append((continent, counts[continent], share, low, high))
    schema = {
        "continent": pl.String, "num_videos": pl.Int64, "share": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    }  # fmt: skip
    return Geography(
        name=name,
        num_videos=len(videos),
        num_known=len(known),
        shares=pl.DataFrame(rows, schema=schema, orient="row"),
        level=level,
    )


def side_by_side(
    found: Sequence[Geography], *, papers: Mapping[str, Mapping[str, float]] | None = None
) -> pl.DataFrame:
    """The shape of table 3: a row a continent, a column a version with its share.

    With two or more versions a column `change` follows: the last share less the first. It has no interval, since
    versions of a dataset hold the same videos for the most part.

    Args:
        found: the versions, earliest first.
        papers: shares that papers give, by version and continent; their columns stand before ours.
    Raises:
        BadInput: two versions have one name.
    """
    listed = [*(papers or {}), *(one.name for one in found)]
    if len(set(listed)) < len(listed):
        raise BadInput(f"two versions have one name: {', '.join(listed)}", mend="Tell them apart with --name")
    columns: dict[str, Any] = {"continent": list(CONTINENTS)}
    for name, shares in (papers or {}).items():
        columns[name] = [shares.get(continent) for continent in CONTINENTS]
    columns |= {one.name: one.shares["share"].to_list() for one in found}
    frame = pl.DataFrame(columns, schema_overrides=dict.fromkeys(listed, pl.Float64))
    if len(found) < 2:
        return frame
    return frame.with_columns((pl.col(found[-1].name) - pl.col(found[0].name)).alias("change"))


def write_geography(found: Sequence[Geography], table: pl.DataFrame, places: Places, folder: Path) -> tuple[Path, ...]:
    """The files `geography.json`, `continents.csv` (the table) and `unplaced.csv`, in a folder that is made.

    Raises:
        BadInput: the folder cannot be written.
    """
    value = {"versions": [one.as_json() for one in found], "unplaced": places.unplaced.to_dicts()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in (("continents", table), ("unplaced", places.unplaced)):
            with whole_file(folder / f"{name}.csv") as temporary:
                frame.write_csv(temporary)
        write_json(folder / "geography.json", value)
    except OSError as error:
        mend = "Name another folder: --out"
        raise BadInput(f"cannot be written ({error.strerror})", where=folder, mend=mend) from error
    return tuple(folder / name for name in ("geography.json", "continents.csv", "unplaced.csv"))
