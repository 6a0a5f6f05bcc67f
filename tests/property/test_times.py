"""Times survive their text."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.schema import BadInput, format_seconds, parse_seconds


@given(st.integers(-(10**13), 10**13))
def test_a_time_survives_its_text(time_us: int) -> None:
    assert parse_seconds(format_seconds(time_us)) == time_us


@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 3))
def test_padding_and_trailing_zeros_change_nothing(seconds: int, zeros: int, pad: int) -> None:
    text = "0" * pad + str(seconds) + ("." + "0" * zeros if zeros else "")
    assert parse_seconds(text) == seconds * 1_000_000


@given(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_fewer_decimals_lose_at_most_half_a_unit(time_us: int, decimals: int) -> None:
    unit_us = 10 ** (6 - decimals)
    assert 2 * abs(parse_seconds(format_seconds(time_us, decimals=decimals)) - time_us) <= unit_us


@pytest.mark.parametrize("text", ["", "abc", "1e3", "1,5", "nan", "+5", "--5", "5s", ".", "٣x", "٣", "9" * 5000])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no number of seconds"):
        parse_seconds(text)


@given(st.integers(0, 10**6), st.text("0459", max_size=12), st.integers(0, 3))
def test_further_decimals_are_rounded_half_to_even(seconds: int, decimals: str, pad: int) -> None:
    exact = Fraction(int(str(seconds) + decimals), 10 ** len(decimals)) * 1_000_000
    assert parse_seconds("0" * pad + f"{seconds}.{decimals}") == round(exact)


def test_any_number_of_digits_is_read() -> None:
    assert parse_seconds("0" * 5000 + "1.5" + "0" * 5000) == 1_500_000
    assert parse_seconds("1.0000005" + "0" * 5000) == 1_000_000
    assert parse_seconds("1.0000005" + "0" * 5000 + "1") == 1_000_001
    assert parse_seconds("1." + "9" * 5000) == 2_000_000


def test_a_seventh_decimal_is_rounded_as_the_official_evaluator_rounds() -> None:
    assert parse_seconds("902.0000004") == parse_seconds("902")
