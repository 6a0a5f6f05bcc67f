"""JSON files to values, and each value to what it must be: whatever stands in a file, it is that or a named error.

JSON readers in Python let pass what no annotation file means: `NaN`, the same key twice (the last one wins), half a
surrogate pair, `true` for 1. Here each of these ends in an error that names the file and the place in it, like
`labels.json: results['-v'][3].score`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from gesta.formats.delimited import read_text
from gesta.schema import BadInput, BadRow

MAX_S = 10**9
"""Longest time read. Source: ours. Below it the float64 nearest to a number of microseconds, as seconds, gives that
number back; no video is 31 years long."""

_MAX_INTEGER = 2**63 - 1
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        BadInput: there is no such file, it cannot be read, it nests too deeply, or a text holds half a surrogate pair.
        BadRow: a line is not UTF-8, not JSON, or holds a number that is none; or an object has a key twice.
    """
    return parse_json(read_text(path), path=path)


def parse_json(text: str, *, path: Path, line: int | None = None) -> Any:
    """The value that a JSON text says.

    Args:
        path: of the file, for messages.
        line: where the text stands, if it is one line of a file of them.
    Raises:
        BadInput: it nests too deeply, or a text holds half a surrogate pair.
        BadRow: it is not JSON, holds a number that is none, or an object has a key twice.
    """
    where = str(path) if line is None else f"{path}:{line}"
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        at = error.lineno if line is None else line
        raise BadRow(f"this is not JSON ({error.msg})", path=path, line=at, mend="Write the file again") from error
    except ValueError as error:
        # Python refuses integers of thousands of digits, and the two hooks above refuse what they name.
        problem = "a number has too many digits" if str(error).startswith("Exceeds") else str(error)
        raise BadInput(problem, where=where, mend="Write the file again without it") from error
    except RecursionError as error:
        raise BadInput("the JSON nests too deeply", where=where, mend="No annotation file nests that deep") from error
    if _HALF_PAIR.search(text):
        _refuse_half_pairs(value, where=where)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"an object has the key {key!r} twice")
            seen.add(key)
    return made


def _refuse_half_pairs(value: Any, *, where: str) -> None:
    stack = [value]
    while stack:
        top = stack.pop()
        if isinstance(top, dict):
            stack.extend(top)
            stack.extend(top.values())
        elif isinstance(top, list):
            stack.extend(top)
        elif isinstance(top, str):
            try:
                top.encode()
            except UnicodeEncodeError as error:
                problem = f"the text {top!r} holds half a surrogate pair"
                raise BadInput(problem, where=where, mend="Write the file again as UTF-8") from error


def object_of(value: Any, *, where: str) -> dict[str, Any]:
    """The value, which is a JSON object.

    Raises:
        BadInput: it is not.
    """
    if not isinstance(value, dict):
        raise _wrong(value, "an object", where=where)
    return value


def list_of(value: Any, *, where: str) -> list[Any]:
    """The value, which is a JSON array.

    Raises:
        BadInput: it is not.
    """
    if not isinstance(value, list):
        raise _wrong(value, "an array", where=where)
    return value


def text_of(value: Any, *, where: str) -> str:
    """The value, which is a text with something in it.

    Raises:
        BadInput: it is not.
    """
    if not isinstance(value, str) or not value:
        raise _wrong(value, "a text", where=where)
    return value


def text_or_none(value: Any, *, where: str) -> str | None:
    """The value, which is a text with something in it, or null or empty and then None.

    Raises:
        BadInput: it is something else.
    """
    return None if value is None or value == "" else text_of(value, where=where)


def number_of(value: Any, *, where: str) -> float:
    """The value, which is a finite number.

    Raises:
        BadInput: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, "a number", where=where)
    if not (abs(value) <= _MAX_INTEGER if isinstance(value, int) else math.isfinite(value)):
        raise _wrong(value, "a finite number", where=where)
    return float(value)


def number_or_none(value: Any, *, where: str) -> float | None:
    """The value, which is a finite number or null.

    Raises:
        BadInput: it is something else.
    """
    return None if value is None else number_of(value, where=where)


def integer_of(value: Any, *, where: str) -> int:
    """The value, which is a whole number of at most 64 bits.

    Raises:
        BadInput: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_INTEGER:
        raise _wrong(value, "a whole number", where=where)
    return value


def us_of(value: Any, *, where: str) -> int:
    """Microseconds that a JSON number of seconds says, the nearest ones.

    Raises:
        BadInput: it is no number, or lies beyond `MAX_S`.
    """
    seconds = number_of(value, where=where)
    if abs(seconds) > MAX_S:
        raise _wrong(value, "a time in a video, in seconds", where=where)
    return round(seconds * 1_000_000)


def us_pair_of(value: Any, *, where: str) -> tuple[int, int]:
    """Both ends in microseconds of an array of two numbers of seconds.

    Raises:
        BadInput: it is no such array.
    """
    if not isinstance(value, list) or len(value) != 2:
        raise _wrong(value, "an array of two times, [start, end] in seconds", where=where)
    return us_of(value[0], where=f"{where}[0]"), us_of(value[1], where=f"{where}[1]")


def seconds_value(time_us: int, *, where: str | Path) -> float:
    """The JSON number of seconds that `us_of` reads back as that time.

    Raises:
        BadInput: the time lies beyond `MAX_S`.

    >>> seconds_value(5_016_949, where="")
    5.016949
    """
    if abs(time_us) > MAX_S * 1_000_000:
        raise BadInput(f"{time_us} microseconds is no time in a video", where=where, mend=f"Want at most {MAX_S} s")
    return time_us / 1_000_000


def dumped(value: Any) -> str:
    """The value as JSON text on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def lined_object(members: dict[str, str]) -> str:
    """A JSON object, one member a line, from keys and JSON texts of values.

    >>> print(lined_object({"a": "[1]", "b": "2"}))
    {
    "a": [1],
    "b": 2
    }
    """
    return "{\n" + ",\n".join(f"{dumped(key)}: {text}" for key, text in members.items()) + "\n}" if members else "{}"


def _wrong(value: Any, want: str, *, where: str) -> BadInput:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    kind = "it is missing" if value is None else f"found {shown}"
    return BadInput(f"{kind}, want {want}", where=where, mend="Mend it there, or write the file again")
