"""The continent of a country and of a point on the map, with the six continents of Kinetics-700-2020's table 3.

A country is on one continent as a whole, by the regions of the United Nations: Russia in Europe, Turkey and Cyprus in
Asia, Mexico and the Caribbean in Latin America, Greenland in North America, Hawaii with the United States. Points are
placed by coarse borders of these regions, some two hundred corners in all, which part the seas too. The cities of the
time zone database all fall on the side of their country; a village at a border may not. Nothing is looked up anywhere.

Legend: N points, P corners of a polygon; lat and lon in degrees, north and east positive.
"""

from __future__ import annotations

import csv
import functools
import re
import unicodedata
from collections.abc import Mapping
from importlib import resources

import numpy as np
import numpy.typing as npt

CONTINENTS = ("Africa", "Asia", "Europe", "Latin America", "North America", "Oceania")
"""Source: Kinetics-700-2020, table 3; the regions are those of the United Nations' M49 standard (Northern America, and
Latin America and the Caribbean, by shorter names). Antarctica is none of them."""

_OTHER_WORDS = {
    "northern america": "North America", "latin america and the caribbean": "Latin America",
    "south america": "Latin America", "central america": "Latin America", "caribbean": "Latin America",
}  # fmt: skip

_SOUTHMOST_DEG = -60.0

_US_TO_MEXICO = [
    (-119.5, 31), (-117.3, 32.5), (-117.12, 32.53), (-114.72, 32.72), (-114.81, 32.5), (-111.07, 31.33),
    (-108.21, 31.33), (-108.21, 31.78), (-106.53, 31.78), (-106.2, 31.47), (-105.0, 30.68), (-104.5, 29.65),
    (-103.1, 28.98), (-102.4, 29.77), (-101.4, 29.77), (-100.3, 28.3), (-99.5, 27.5), (-99.1, 26.4), (-97.14, 25.96),
    (-90, 25.5), (-83, 24.2), (-80.5, 24.2), (-79.65, 25), (-79.5, 27.5), (-75, 28.5), (-66, 27), (-50, 25), (-40, 24),
]  # fmt: skip
_MIDDLE_ATLANTIC = [(-40, 24), (-35, 15), (-27, 5), (-27, -60)]
_AFRICA_TO_EUROPE = [
    (-40, 31.5), (-18, 31.8), (-10, 33), (-7.5, 35.2), (-6.2, 35.9), (-5.6, 35.97), (-5.2, 36.0), (-3, 35.9), (0, 36.9),
    (3, 37.6), (8, 38), (9.9, 37.7), (11.4, 37.2), (11.5, 36.3), (12.2, 35.2), (14, 35), (20, 34.3), (24, 34.5),
    (26.5, 34.3),
]  # fmt: skip
_AFRICA_TO_ASIA = [
    (26.5, 34.3), (28.5, 33.3), (32.5, 32.2), (34.0, 31.7), (34.22, 31.32), (34.9, 29.5), (34.75, 28.6), (34.5, 27.9),
    (36, 26), (38, 21.5), (40.5, 17), (42.5, 14), (43.2, 12.6), (45, 12), (51.8, 12.6), (53, 11.5), (56, 5), (60, -2),
    (66, -3), (78, -3), (78, -60),
]  # fmt: skip
_EUROPE_TO_ASIA = [
    (26.5, 34.3), (28.25, 35.5), (28.6, 36.2), (28.4, 36.55), (27.75, 36.66), (27.3, 36.72), (27.33, 36.95),
    (27.15, 37.2), (27.1, 37.7), (26.95, 37.82), (26.2, 38.25), (26.22, 38.6), (26.68, 39.05), (26.6, 39.3),
    (26.4, 39.42), (25.9, 39.6), (25.5, 40.0), (25.6, 40.35), (26.0, 40.6), (26.2, 40.95), (26.6, 41.35), (26.35, 41.7),
    (26.6, 41.95), (27.3, 42.1), (28.03, 41.98), (29, 42.3), (31, 43), (36, 43.2), (39, 43.1), (39.98, 43.37),
    (41, 43.4), (43.0, 43.05), (44.5, 42.7), (45.5, 42.5), (46.5, 41.9), (47.3, 41.3), (48.58, 41.84), (50, 43),
    (49.2, 46.3), (48.5, 46.6), (46.5, 48.4), (47.0, 49.2), (46.8, 49.35), (47.5, 50.4), (48.7, 50.6), (49.4, 50.85),
    (50.8, 51.7), (53.0, 51.5), (54.5, 50.9), (55.7, 50.6), (57.0, 51.1), (58.6, 51.0), (60.0, 50.8), (61.6, 50.8),
    (60.2, 51.9), (61.0, 52.9), (61.3, 54.0), (65.2, 54.35), (68.2, 55.0), (70.8, 55.2), (71.1, 54.2), (73.7, 53.6),
    (76.5, 54.2), (77.9, 53.3), (80.0, 50.8), (83.4, 51.0), (85.3, 49.6), (87.3, 49.1), (89.7, 49.8), (92.3, 50.8),
    (94.3, 50.5), (98.3, 50.5), (98.9, 52.1), (102.2, 51.3), (102.3, 50.6), (106, 50.3), (108.5, 49.4), (110.7, 49.2),
    (113.2, 49.6), (114.3, 50.25), (116.7, 49.85), (119.3, 50.1), (120.1, 51.6), (120.8, 53.3), (123.6, 53.55),
    (125.6, 53.05), (127.5, 50.3), (127.5, 49.75), (130.7, 48.9), (131.0, 47.7), (134.7, 48.4), (133.1, 45.1),
    (131.8, 45.3), (131.3, 44.0), (130.6, 42.4), (132, 41.5), (138, 44), (141.9, 45.75), (145.4, 43.95), (146, 43.4),
    (150, 43), (165, 50), (169, 53), (180, 60),
]  # fmt: skip
_ASIA_TO_OCEANIA = [
    (78, -9.9), (115, -9.9), (118.5, -10.9), (122, -11.2), (124.2, -11.3), (127.5, -9.6), (128.5, -8.8), (131, -9),
    (137, -9.3), (141.0, -9.4), (141.0, -6.9), (140.86, -6.7), (141.0, -6.3), (141.0, -2.5), (139, 0.7), (130.5, 1.5),
    (129.7, 3.5), (129.8, 8), (131, 13), (136, 19.5), (146, 22), (152, 22.5), (160, 27), (170, 35), (180, 40),
]  # fmt: skip
_NORTH_PACIFIC = [(-180, 40), (-165, 32), (-130, 30), (-118, 28)]
_AMERICA_TO_EUROPE = [
    (-40, 24), (-40, 58), (-33, 62.5), (-26.5, 65.5), (-20, 68), (-12, 70.5), (-9.5, 75), (-5, 82), (-5, 90),
]  # fmt: skip

_PIECES: tuple[tuple[str, list[tuple[float, float]]], ...] = (
    ("North America", [(-162, 18), (-154, 18), (-154, 23), (-162, 23)]),  # Hawaii
    ("Europe", [(-18.3, 27.5), (-13.35, 27.5), (-13.35, 29.5), (-18.3, 29.5)]),  # Canary Islands
    ("Europe", [(-5.39, 35.86), (-5.27, 35.86), (-5.27, 35.92), (-5.39, 35.92)]),  # Ceuta
    ("Europe", [(-2.98, 35.26), (-2.92, 35.26), (-2.92, 35.33), (-2.98, 35.33)]),  # Melilla
    ("Europe", [(-180, 60.5), (-173.5, 63.8), (-169, 65.7), (-168.98, 75), (-180, 75)]),  # Chukotka
    ("North America", [(171, 50.5), (180, 50.5), (180, 54), (171, 54)]),  # western Aleutians
    ("Latin America", [(-118, -60), (-118, 28), *_US_TO_MEXICO, *_MIDDLE_ATLANTIC]),
    ("Africa", [*_MIDDLE_ATLANTIC[::-1], *_AFRICA_TO_EUROPE, *_AFRICA_TO_ASIA]),
    ("Oceania", [(78, -60), *_ASIA_TO_OCEANIA, (180, -60)]),
    ("Oceania", [(-180, -60), *_NORTH_PACIFIC, (-118, -60)]),
    ("North America", [*_NORTH_PACIFIC, *_US_TO_MEXICO, *_AMERICA_TO_EUROPE, (-180, 90)]),
    ("Europe", [*_AMERICA_TO_EUROPE[:0:-1], *_AFRICA_TO_EUROPE, *_EUROPE_TO_ASIA, (180, 90), (-5, 90)]),
    ("Asia", [(25, -12), (180, -12), (180, 85), (25, 85)]),
)
"""Parts of the globe; a point is in the first that holds it. Source: ours, drawn by hand after coasts and borders."""


def continents_at(lat_N: npt.NDArray[np.float64], lon_N: npt.NDArray[np.float64]) -> list[str | None]:
    """The continent of each of N points [N], None in Antarctica and where there is no point on earth.

    Args:
        lat_N: degrees north, [N].
        lon_N: degrees east, [N], -180 to 180.

    >>> continents_at(np.array([48.9, -23.5, 21.3, -80.0]), np.array([2.3, -46.6, -157.9, 0.0]))
    ['Europe', 'Latin America', 'North America', None]
    """
    place_N = np.full(len(lat_N), -1, dtype=np.int64)
    is_on_earth_N = (lat_N >= _SOUTHMOST_DEG) & (lat_N <= 90) & (np.abs(lon_N) <= 180)
    for number, (_, corners) in enumerate(_PIECES):
        open_N = (place_N < 0) & is_on_earth_N
        place_N[open_N & _is_inside(lat_N, lon_N, corners)] = number
    return [None if place < 0 else _PIECES[place][0] for place in place_N.tolist()]


def _is_inside(
    lat_N: npt.NDArray[np.float64], lon_N: npt.NDArray[np.float64], corners: list[tuple[float, float]]
) -> npt.NDArray[np.bool_]:
    """Whether a ray to the east crosses the border an odd number of times, [N]."""
    is_in_N = np.zeros(len(lat_N), dtype=np.bool_)
    for (lon_a, lat_a), (lon_b, lat_b) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if lat_a == lat_b:
            continue
        crosses_N = (lat_a > lat_N) != (lat_b > lat_N)
        is_in_N ^= crosses_N & (lon_N < lon_a + (lat_N - lat_a) * (lon_b - lon_a) / (lat_b - lat_a))
    return is_in_N


def continent_of_country(country: str) -> str | None:
    """The continent of a country by its ISO 3166 code (two or three letters) or English name; None when not known.

    Accents, case, points and `the` do not matter.

    >>> [continent_of_country(name) for name in ("BR", "usa", "Côte d'Ivoire", "the Netherlands", "Atlantis")]
    ['Latin America', 'North America', 'Africa', 'Europe', None]
    """
    return _countries().get(_plain(country))


def continent_named(text: str) -> str | None:
    """The continent that a text names, None when it is none of the six.

    >>> continent_named("EUROPE"), continent_named("South America"), continent_named("Gondwana")
    ('Europe', 'Latin America', None)
    """
    words = " ".join(text.lower().replace("-", " ").split())
    named = {name.lower(): name for name in CONTINENTS} | _OTHER_WORDS
    return named.get(words)


@functools.cache
def _countries() -> Mapping[str, str]:
    """Continents by every way of writing a country."""
    found: dict[str, str] = {}
    text = resources.files("gesta.stats").joinpath("countries.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        for name in (row["alpha2"], row["alpha3"], row["name"], *row["also"].split(";")):
            if name:
                found[_plain(name)] = row["continent"]
    return found


def _plain(text: str) -> str:
    """A name in small letters without accents, points and filling words."""
    bare = "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
    words = re.sub(r"[^a-z0-9]+", " ", bare.lower().replace("&", " and ").replace("'", "")).split()
    return " ".join("saint" if word == "st" else word for word in words if word != "the")
