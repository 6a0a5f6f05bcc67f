"""Columns of numbers to and from text: times exact to the microsecond, decimals as C's printf rounds them."""

from __future__ import annotations

import polars as pl

from gesta.schema import US_PER_S, BadInput, parse_seconds

_SECONDS = r"^(-?)([0-9]+)(?:\.([0-9]*))?$"
_INTEGER = r"^-?[0-9]{1,18}$"
_DECIMAL = r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?$"
_MAX_WHOLE_DIGITS = 12
"""Source: ours. 10**12 seconds in microseconds still fit 64 bits; no video is 31,000 years long."""


def seconds_to_us(texts: pl.Series) -> pl.Series:
    """Microseconds (Int64) that each text of seconds says, as `gesta.schema.parse_seconds`; null where it says none.

    No float stands between, so that 0.1 + 0.2 style errors cannot part two key-frames that are one.

    >>> seconds_to_us(pl.Series(["0902", "902.000", "5.016949", "x"])).to_list()
    [902000000, 902000000, 5016949, None]
    """
    stripped = texts.str.strip_chars()
    whole = stripped.str.extract(_SECONDS, 2).str.strip_chars_start("0")
    decimals = stripped.str.extract(_SECONDS, 3).fill_null("")
    is_short = (whole.str.len_chars() <= _MAX_WHOLE_DIGITS).fill_null(value=False)
    parts = pl.DataFrame(
        {
            "text": stripped,
            "is_minus": stripped.str.starts_with("-"),
            "is_short": is_short,
            "whole_s": whole.replace("", "0").cast(pl.Int64, strict=False),
            "num_decimals": decimals.str.len_chars(),
            "rest_us": decimals.str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64, strict=False),
        }
    )
    size_us = pl.col("whole_s") * US_PER_S + pl.col("rest_us")
    exact = parts.select(
        pl.when("is_short").then(pl.when("is_minus").then(-size_us).otherwise(size_us)).alias(texts.name)
    ).to_series()
    is_long = is_short & (parts["num_decimals"] > 6)
    if not is_long.any():
        return exact
    # More decimals than a microsecond has: rounded half to even by the one rule that stands in `schema`.
    rounded = {text: parse_seconds(text) for text in stripped.filter(is_long).unique()}
    return exact.zip_with(~is_long, stripped.replace_strict(rounded, default=None, return_dtype=pl.Int64))


def us_to_seconds(times_us: pl.Series, *, decimals: int) -> pl.Series:
    """Seconds as text with `decimals` (0, 3 or 6) digits after the point, exact.

    Raises:
        BadInput: a time has more decimals than that.

    >>> us_to_seconds(pl.Series([5_016_949, -1_500_000]), decimals=6).to_list()
    ['5.016949', '-1.500000']
    """
    step_us = 10 ** (6 - decimals)
    frame = pl.DataFrame({"us": times_us})
    if frame.filter(pl.col("us") % step_us != 0).height:
        raise BadInput(f"a time cannot be written with {decimals} decimals", mend="Write it with more decimals")
    size, sign = pl.col("us").abs(), pl.when(pl.col("us") < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole = (size // US_PER_S).cast(pl.String)
    rest = (size % US_PER_S // step_us).cast(pl.String).str.zfill(decimals)
    text = pl.concat_str(sign, whole, pl.lit("."), rest) if decimals else pl.concat_str(sign, whole)
    return frame.select(text.alias(times_us.name)).to_series()


def us_to_padded_seconds(times_us: pl.Series) -> pl.Series:
    """Seconds as AVA writes them: whole ones as four digits with zeros in front, others with six decimals.

    Source: AVA v2.1 and v2.2 csv hold whole seconds only (0902 to 1798); fractions are written as AVA-Kinetics
    v1.0 does. The official evaluator reads both (`"%.6f"`).

    >>> us_to_padded_seconds(pl.Series([902_000_000, 2_480_000])).to_list()
    ['0902', '2.480000']
    """
    frame = pl.DataFrame({"us": times_us, "exact": us_to_seconds(times_us, decimals=6)})
    padded = (pl.col("us") // US_PER_S).cast(pl.String).str.zfill(4)
    is_whole = pl.col("us") % US_PER_S == 0
    return frame.select(pl.when(is_whole).then(padded).otherwise("exact").alias(times_us.name)).to_series()


def us_to_short_seconds(times_us: pl.Series) -> pl.Series:
    """Seconds with as many decimals as they have, as Kinetics writes its whole ones.

    >>> us_to_short_seconds(pl.Series([12_000_000, 4_480_000])).to_list()
    ['12', '4.48']
    """
    frame = pl.DataFrame({"us": times_us, "exact": us_to_seconds(times_us, decimals=6)})
    short = pl.col("exact").str.strip_chars_end("0").str.strip_suffix(".")
    return frame.select(short.alias(times_us.name)).to_series()


def to_integers(texts: pl.Series) -> pl.Series:
    """Int64 that each text says; null where it says none (a fraction is none).

    >>> to_integers(pl.Series(["12", "-1", "1.0"])).to_list()
    [12, -1, None]
    """
    stripped = texts.str.strip_chars()
    return _only_where(stripped, _INTEGER).cast(pl.Int64)


def to_decimals(texts: pl.Series) -> pl.Series:
    """Float64 nearest to what each text says; null where it says no finite number.

    >>> to_decimals(pl.Series(["0.077", "1e-4", "nan", ""])).to_list()
    [0.077, 0.0001, None, None]
    """
    numbers = _only_where(texts.str.strip_chars(), _DECIMAL).cast(pl.Float64)
    return pl.DataFrame({"n": numbers}).select(pl.when(pl.col("n").is_finite()).then("n").alias(texts.name)).to_series()


def _only_where(texts: pl.Series, pattern: str) -> pl.Series:
    frame = pl.DataFrame({"text": texts})
    return frame.select(pl.when(pl.col("text").str.contains(pattern)).then("text").alias(texts.name)).to_series()


def joined_decimals(frame: pl.DataFrame, *, decimals: int | None) -> pl.Series:
    """One text a row: the frame's Float64 columns joined by commas, null as nothing.

    Args:
        decimals: digits after the point, rounded half to even from the exact binary value as C's printf does;
            None = the shortest text that reads back as the same number.

    >>> joined_decimals(pl.DataFrame({"x1": [0.5, 1 / 3], "x2": [1.0, None]}), decimals=3).to_list()
    ['0.500,1.000', '0.333,']
    """
    if not frame.height:
        return pl.Series(frame.columns[0], [], dtype=pl.String)
    text = frame.write_csv(include_header=False, float_precision=decimals, null_value="")
    return pl.Series(frame.columns[0], text.split("\n")[:-1], dtype=pl.String)
