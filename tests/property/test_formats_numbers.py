"""Laws of numbers as columns of text: they say what the scalar rules of `schema` and of C's printf say."""

from __future__ import annotations

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gesta.formats.numbers import (
    joined_decimals,
    seconds_to_us,
    to_decimals,
    to_integers,
    us_to_padded_seconds,
    us_to_seconds,
    us_to_short_seconds,
)
from gesta.schema import BadInput, format_seconds, parse_seconds

TIMES_US = st.integers(-(10**15), 10**15)
SECONDS = st.from_regex(r"\A ?-?[0-9]{1,9}(\.[0-9]{0,12})? ?\Z")
ALMOST_SECONDS = st.text(alphabet="0123456789.-+e x", max_size=12)


def us_or_none(text: str) -> int | None:
    try:
        return parse_seconds(text)
    except BadInput:
        return None


@given(st.lists(SECONDS | ALMOST_SECONDS, max_size=20))
def test_a_column_of_times_says_what_each_text_says(texts: list[str]) -> None:
    assert seconds_to_us(pl.Series(texts, dtype=pl.String)).to_list() == [us_or_none(text) for text in texts]


@given(st.lists(TIMES_US, min_size=1, max_size=20))
def test_times_survive_every_way_to_write_them(times_us: list[int]) -> None:
    series = pl.Series(times_us, dtype=pl.Int64)
    assert us_to_seconds(series, decimals=6).to_list() == [format_seconds(us) for us in times_us]
    for text in (us_to_seconds(series, decimals=6), us_to_padded_seconds(series), us_to_short_seconds(series)):
        assert seconds_to_us(text).to_list() == times_us


@given(st.integers(0, 9999))
def test_whole_seconds_have_four_digits(seconds: int) -> None:
    assert us_to_padded_seconds(pl.Series([seconds * 1_000_000])).to_list() == [f"{seconds:04d}"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.integers(1, 6))
def test_decimals_are_rounded_as_printf_rounds_them(numbers: list[float], decimals: int) -> None:
    text = joined_decimals(pl.DataFrame({"x": numbers}), decimals=decimals).to_list()
    assert text == [f"{number:.{decimals}f}" for number in numbers]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_the_shortest_text_reads_back_as_the_same_float(numbers: list[float]) -> None:
    back = to_decimals(joined_decimals(pl.DataFrame({"x": numbers}), decimals=None)).to_list()
    assert back == numbers
    assert [math.copysign(1, number) for number in back] == [math.copysign(1, number) for number in numbers]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).map(repr), min_size=1, max_size=20))
def test_decimals_are_read_as_python_reads_them(texts: list[str]) -> None:
    assert to_decimals(pl.Series(texts)).to_list() == [float(text) for text in texts]


@given(st.lists(st.integers(-(10**18) + 1, 10**18 - 1), min_size=1, max_size=20))
def test_whole_numbers_survive_their_text(numbers: list[int]) -> None:
    assert to_integers(pl.Series([f" {number} " for number in numbers])).to_list() == numbers
