"""Continents of countries and points, shares of versions, and what cannot be placed."""

from __future__ import annotations

import csv
import json
import math
import re
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.formats.papers import paper_table
from gesta.schema import BadInput
from gesta.stats.continents import CONTINENTS, continent_of_country, continents_at
from gesta.stats.geography import Geography, geography_of, read_places, side_by_side


def zones() -> list[list[str]]:
    """Country, place and name of each zone of the time zone database."""
    folder = pytest.importorskip("tzdata")
    text = resources.files(folder).joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    return [line.split("\t")[:3] for line in text.splitlines() if line and not line.startswith("#")]


def degrees(text: str) -> float:
    """Of +DDMM, +DDDMM, +DDMMSS or +DDDMMSS."""
    digits = text[1:]
    whole = 3 if len(digits) in (5, 7) else 2
    minutes, seconds = int(digits[whole : whole + 2]), int(digits[whole + 2 :] or 0)
    return (-1 if text[0] == "-" else 1) * (int(digits[:whole]) + minutes / 60 + seconds / 3600)


def test_the_cities_of_all_time_zones_are_placed_on_the_continent_of_their_country():
    listed = zones()
    parts = [re.fullmatch(r"([+-]\d+)([+-]\d+)", place) for _, place, _ in listed]
    lat, lon = (np.array([degrees(part[i]) for part in parts]) for i in (1, 2))
    placed = continents_at(lat, lon)
    wrong = [row for row, found in zip(listed, placed, strict=True) if found != continent_of_country(row[0])]
    assert len(listed) > 400
    assert wrong == []


def test_the_table_of_countries_is_whole():
    text = resources.files("gesta.stats").joinpath("countries.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["alpha2"] for row in rows} >= {country for country, _, _ in zones()} - {"AQ"}
    assert {row["continent"] for row in rows} == set(CONTINENTS)
    for column in ("alpha2", "alpha3", "name"):
        assert len({row[column] for row in rows}) == len(rows)


# Pairs of cities on two sides of a border between continents, by their degrees on a map.
NEIGHBOURS = {
    "North America": [
        (32.72, -117.16), (32.25, -110.97), (29.76, -95.37), (25.76, -80.19), (32.29, -64.78), (64.18, -51.7),
    ],
    "Latin America": [
        (31.87, -116.6), (29.07, -110.96), (25.67, -100.31), (23.11, -82.37), (25.04, -77.35), (18.47, -66.11),
    ],
    "Europe": [
        (36.14, -5.35), (28.12, -15.43), (35.9, 14.51), (36.43, 28.22), (39.1, 26.55), (40.85, 25.87),
        (43.58, 39.72), (42.98, 47.5), (51.77, 55.1), (55.45, 65.34), (54.99, 73.37), (52.03, 113.5),
        (43.12, 131.89), (64.73, 177.51),
    ],
    "Africa": [
        (35.77, -5.8), (36.81, 10.18), (29.97, 32.55), (27.91, 34.33), (11.59, 43.15), (14.92, -23.51),
        (-20.16, 57.5),
    ],
    "Asia": [
        (31.77, 35.21), (36.89, 30.71), (38.42, 27.14), (41.01, 28.98), (41.64, 41.64), (50.28, 57.21),
        (51.16, 71.43), (47.92, 106.92), (45.76, 126.64), (43.06, 141.35), (12.65, 54.02), (4.18, 73.51),
        (-8.56, 125.57), (-2.53, 140.7),
    ],
    "Oceania": [
        (-12.46, 130.84), (-9.44, 147.18), (13.44, 144.79), (7.34, 134.48), (-17.53, -149.57), (-10.42, 105.68),
    ],
}  # fmt: skip


@pytest.mark.parametrize("continent", CONTINENTS)
def test_cities_near_the_borders_of_continents_are_on_their_side(continent: str):
    lat, lon = np.array(NEIGHBOURS[continent]).T
    assert continents_at(lat, lon) == [continent] * len(lat)


def test_points_that_are_none_have_no_continent():
    assert continents_at(np.array([-75.0, 91.0, math.nan, 10.0]), np.array([0.0, 0.0, 0.0, 200.0])) == [None] * 4


def places(tmp_path: Path, text: str):
    path = tmp_path / "places.csv"
    path.write_text(text)
    return read_places(path)


def test_the_first_place_that_is_filled_in_counts_and_the_rest_is_named(tmp_path: Path):
    found = places(
        tmp_path,
        "video_id,continent,country,latitude,longitude\n"
        "a,Asia,FR,0,0\nb,,Atlantis,-23.5,-46.6\nc,,BR,,\nd,,,48.9,2.3\ne,,,,\nf,Gondwana,,,\ng,,,north,5\n",
    )
    assert dict(found.rows.iter_rows()) == {
        "a": "Asia", "b": "Latin America", "c": "Latin America", "d": "Europe", "e": None, "f": None, "g": None,
    }  # fmt: skip
    assert sorted(found.unplaced.rows()) == [
        ("continent", "Gondwana", 1), ("country", "Atlantis", 1), ("point", "north, 5", 1),
    ]  # fmt: skip
    with pytest.raises(BadInput, match=r"no places of videos: it has video_id, gender.*Want video_id and continent"):
        places(tmp_path, "video_id,gender\na,b\n")


def test_shares_are_of_the_known_and_the_unknown_are_said(tmp_path: Path):
    countries = ["US"] * 6 + ["FR"] * 2 + ["BR"] + [""]
    rows = "".join(f"v{n},{country}\n" for n, country in enumerate(countries))
    known = places(tmp_path, "video_id,country\n" + rows)
    ids = pl.Series([f"v{n}" for n in range(10)] * 2)
    found = geography_of(ids, known, name="1.0.0")
    assert (found.num_videos, found.num_known, round(found.unknown_share, 6)) == (10, 9, 0.1)
    shares = dict(found.shares.select("continent", "share").iter_rows())
    assert shares["North America"] == pytest.approx(6 / 9)
    assert sum(shares.values()) == pytest.approx(1)
    even = geography_of(pl.Series(["v0", "v6"]), known, name="even")
    assert even.num_effective == pytest.approx(2)
    table = side_by_side([found, even])
    change = dict(table.select("continent", "change").iter_rows())
    assert change["North America"] == pytest.approx(0.5 - 6 / 9)
    with pytest.raises(BadInput, match="two versions have one name: even, even"):
        side_by_side([even, even])
    with pytest.raises(BadInput, match="no video of the places is one of the dataset's"):
        geography_of(pl.Series(["x"]), known)


def test_the_papers_columns_come_out_as_printed_from_videos_counted_so(tmp_path: Path):
    """A list of 1000 videos spread as Kinetics-700's column gives that column back."""
    column = paper_table("kinetics_700_2020_table_3").frame.filter(dataset="Kinetics-700")
    lines, ids = [], []
    for continent, _, percent in column.iter_rows():
        for n in range(round(percent * 10)):
            ids.append(f"{continent} {n}")
            lines.append(f"{ids[-1]},{continent}\n")
    found = geography_of(pl.Series(ids), places(tmp_path, "video_id,continent\n" + "".join(lines)))
    assert isinstance(found, Geography)
    for continent, share in found.shares.select("continent", "share").iter_rows():
        assert round(100 * share, 1) == column.filter(continent=continent)["percent"][0]


def test_the_command_sets_versions_and_papers_side_by_side(tmp_path: Path):
    for name, ids in (("one", "ab"), ("two", "abc")):
        rows = "".join(f"run,{video},0,10,train\n" for video in ids)
        (tmp_path / f"{name}.csv").write_text("label,youtube_id,time_start,time_end,split\n" + rows)
    (tmp_path / "places.csv").write_text("youtube_id,country\na,US\nb,India\nc,Narnia\n")
    asked = [
        "geography",
        str(tmp_path / "one.csv"),
        str(tmp_path / "two.csv"),
        "--places",
        str(tmp_path / "places.csv"),
    ]
    result = CliRunner().invoke(main, [*asked, "--papers", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "Kinetics-700-2020 (paper)" in result.output
    assert "two: 3 videos, 33.3% of unknown place" in result.output
    assert "not placed: country 'Narnia', 1 videos" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "continents.csv", "geography.json", "unplaced.csv",
    ]  # fmt: skip
    value = json.loads(CliRunner().invoke(main, [*asked, "--json"]).output)
    assert [row["change"] for row in value["table"] if row["continent"] == "Asia"] == [0.0]
