"""Time as integer microseconds, and its text as seconds with at most six decimals."""

from __future__ import annotations

import re
from fractions import Fraction

from gesta.schema.errors import BadInput

US_PER_S = 1_000_000
_SECONDS = re.compile(r"(-?)([0-9]+)(?:\.([0-9]*))?\Z")
_MAX_DIGITS = 4000
"""Of whole seconds. Source: ours; Python makes no number of a text of more than 4300 digits."""


def parse_seconds(text: str) -> int:
    """Microseconds that a decimal number of seconds says, exact; further decimals are rounded half to even.

    Raises:
        BadInput: `text` is no plain decimal number (exponents, signs but a leading minus, and words are refused).
    Source: six decimals are what AVA-Kinetics v1.0 writes and what the official AVA evaluator keys on
        (`get_ava_performance.py`, `"%.6f"`).

    >>> parse_seconds("902"), parse_seconds("0902"), parse_seconds("902.000"), parse_seconds("5.016949")
    (902000000, 902000000, 902000000, 5016949)
    """
    match = _SECONDS.match(text.strip())
    if match is None or len(match.group(2).lstrip("0")) > _MAX_DIGITS:
        raise BadInput(f"{text[:80]!r} is no number of seconds", mend="Write it like 902 or 5.016949")
    sign, whole, decimals = match.group(1), match.group(2).lstrip("0") or "0", match.group(3) or ""
    micro = int(whole) * US_PER_S + int(decimals[:6].ljust(6, "0"))
    rest = decimals[6:].rstrip("0")
    micro += rest > "5" or (rest == "5" and micro % 2)  # texts order as the fractions do that they are
    return -micro if sign else micro


def format_seconds(time_us: int, *, decimals: int = 6) -> str:
    """Seconds with `decimals` digits (0 to 6) after the point; times between are rounded half to even.

    Raises:
        ValueError: `decimals` is not in 0..6.

    >>> format_seconds(5016949), format_seconds(902000000, decimals=0), format_seconds(-1500000, decimals=3)
    ('5.016949', '902', '-1.500')
    """
    if not 0 <= decimals <= 6:
        raise ValueError(f"decimals={decimals}: want 0 to 6")
    units = round(Fraction(abs(time_us), 10 ** (6 - decimals)))
    sign = "-" if time_us < 0 and units else ""
    if decimals == 0:
        return f"{sign}{units}"
    whole, rest = divmod(units, 10**decimals)
    return f"{sign}{whole}.{rest:0{decimals}d}"
