"""Damage to a file that leaves most of it standing, so that readers get far into it before they meet what is wrong."""

from __future__ import annotations

import copy
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any, Literal

Kind = Literal["lines", "json", "xml", "pickle", "binary"]
"""How a file is built, and so how it is damaged."""

MAX_BYTES = 1 << 15
"""Longest file that is made. Source: ours; libFuzzer's inputs stay below it too."""

Chance = random.Random
Mutation = Callable[[bytes, Chance], bytes]

AWKWARD = (
    "", " ", "\t", "0", "-0", "-1", "1", "3.5", "+1", "1e3", "1e999", "-1e999", "1e-999", "nan", "NaN", "Infinity",
    "-inf", "9" * 19, "9" * 25, "-" + "9" * 30, "9" * 400, "9" * 5000, "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "9223372036854.775807", "9223372036854775.807", "0.0000001", "0902", "0x10", "1_000",
    "٣", "²", "½", "true", "null", "None", "-v", "_v", "'", '"', '""', '"a"b', "a,b", "a\\", "\\ud800",
    "\\n", "{}", "{", "}", "#", "../x", "/", "//", ".", "..", "\u0000", "\u0085", "\u2028", "\x0b", "\x0c", "\x1c",
    "\ufeff", "\ufffe", "🕺", "e\u0301", "ſ", "İ", "a" * 3000, "clap", "wave", "label", "youtube_id", "video_id",
)  # fmt: skip
"""Texts that some reader somewhere takes for a number, an end of line, a quote, or a name that it knows."""

NOISE = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80",
    b"\r", b"\r\n", b"\n", b"\n\n", b"\x1a", b"\x0c", b"\x85", b"\xe2\x80\xa8", b'"', b",", b"\x80", b"PK\x03\x04",
    b"PAR1", b"\x1f\x8b",
)  # fmt: skip
"""Marks of encodings, halves of characters, ends of lines and heads of other files."""

JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 1e999, float("nan"), -1e999, 2**31, 2**53 + 1, 2**63, -(2**63),
    10**30, 10**400, "", " ", "-v", "clap", "wave", "1", "nan", "0:10", "\ud800", "\x00", "1x1", "a" * 2000,
    [], [[]], [None], [0, 1], [1, 0], [1e999, 2], ["a"], [{}], {}, {"": None}, {"a": {"a": []}}, {"-v": [0, 1]},
)  # fmt: skip
"""Values of every type, and numbers that float64 and int64 do not hold."""

PICKLE_PARTS = (
    b"cos\nsystem\n(S'true'\ntR", b"cbuiltins\neval\n", b"\x80\x05", b"\x80\xff", b"\x95" + b"\xff" * 8, b"]" * 3000,
    b"(" * 3000, b"\x85" * 3000, b"r\xff\xff\xff\x7f", b"q\xff", b"h\xff", b"j\xff\xff\xff\xff", b"\x94" * 100, b"0",
    b"1", b"2", b"a", b"e", b"s", b"u", b"R", b"b", b"\x81", b"\x92", b"Q", b"Pid\n", b"\x82\x01", b"N", b"I01\n",
    b"I" + b"9" * 5000 + b"\n", b"L" + b"9" * 5000 + b"L\n", b"\x8b\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\xff",
    b"\x8a\x09" + b"\x7f" * 9, b"Fnan\n", b"G" + struct.pack(">d", float("inf")), b"X\xff\xff\xff\x7f", b"\x8c\xff",
    b"\x8e" + b"\xff" * 8, b"\x96\x00\x00\x00\x00\x01\x00\x00\x00", b"V\\ud800\n", b"S'\\xff'\n", b"}", b")", b"t",
    b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n",
    b"cnumpy.core.multiarray\nscalar\n", b"ccollections\ndefaultdict\n", b"c__builtin__\nset\n", b"\x8f", b"\x90",
    b"\x91", b"\x93", b"\x97", b"\x98", b".",
)  # fmt: skip
"""Instructions of every kind, with sizes and depths that nobody writes."""

XML_PARTS = (
    b'<!DOCTYPE a [<!ENTITY e "x"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;">]>',
    b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>', b"&e;", b"&#0;", b"&#xD800;", b"&lt;", b"<!--", b"-->",
    b"<![CDATA[", b"]]>", b"<?xml version='1.0' encoding='utf-16'?>", b"<?xml version='1.0' encoding='x'?>", b"<?a?>",
    b"<a>" * 2000, b"<a>" * 500 + b"</a>" * 500, b"<track/>", b"<box/>", b"<box frame='0'/>", b"<attribute name='a'/>",
    b"<image/>", b"<task/>", b"<label/>", b"xmlns:a='b' ", b"a:b='c' ",
)  # fmt: skip
"""Entities, encodings and depths, and elements without what they need."""


def mutated(data: bytes, kind: Kind, chance: Chance) -> bytes:
    """The file with one to three kinds of damage."""
    for _ in range(1 + chance.randrange(3)):
        mutations = _GENERAL if chance.randrange(3) == 0 else _OF_KIND[kind]
        mutation = mutations[chance.randrange(len(mutations))]
        try:
            data = mutation(data, chance)[:MAX_BYTES]
        except RecursionError:
            data = _cut(data, chance)  # nested by an earlier one, too deeply to be taken apart
    return data


def _pick(chance: Chance, choices: Any) -> Any:
    return choices[chance.randrange(len(choices))]


def _span(data: bytes, chance: Chance) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + 1 + chance.randrange(8))


def _flip(data: bytes, chance: Chance) -> bytes:
    if not data:
        return b"\x00"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _cut(data: bytes, chance: Chance) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _drop(data: bytes, chance: Chance) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: Chance) -> bytes:
    start, end = _span(data, chance)
    return data[:end] + data[start:end] * (1 + chance.randrange(4)) + data[end:]


def _insert(data: bytes, chance: Chance) -> bytes:
    at = chance.randrange(len(data) + 1) if chance.randrange(3) else 0
    return data[:at] + _pick(chance, NOISE) + data[at:]


def _overwrite(data: bytes, chance: Chance) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + _pick(chance, AWKWARD).encode("utf-8", "surrogatepass") + data[end:]


def _swap_number(data: bytes, chance: Chance) -> bytes:
    places = list(re.finditer(rb"-?[0-9]+(?:\.[0-9]+)?", data))
    if not places:
        return _overwrite(data, chance)
    place = _pick(chance, places)
    return data[: place.start()] + _pick(chance, AWKWARD).encode("utf-8", "surrogatepass") + data[place.end() :]


_GENERAL: tuple[Mutation, ...] = (_flip, _cut, _drop, _repeat, _insert, _overwrite, _swap_number)


def _move_line(data: bytes, chance: Chance) -> bytes:
    lines = data.split(b"\n")
    line = lines.pop(chance.randrange(len(lines)))
    for _ in range(chance.randrange(3)):
        lines.insert(chance.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _change_cell(data: bytes, chance: Chance) -> bytes:
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    mark = b"," if b"," in lines[at] else b" "
    cells = lines[at].split(mark)
    place, text = chance.randrange(len(cells)), _pick(chance, AWKWARD).encode("utf-8", "surrogatepass")
    change = chance.randrange(4)
    if change == 0:
        cells.insert(place, text)
    elif change == 1:
        del cells[place]
    else:
        cells[place] = text
    lines[at] = mark.join(cells)
    return b"\n".join(lines)


def _end_lines_otherwise(data: bytes, chance: Chance) -> bytes:
    return data.replace(b"\n", _pick(chance, (b"\r\n", b"\r", b"\n\n", b"", b"\x0b", b"\xc2\x85")))


def _json_of(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of every object and array inside, as (holder, key)."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        top = waiting.pop()
        keys: Any = list(top) if isinstance(top, dict) else range(len(top)) if isinstance(top, list) else ()
        found += [(top, key) for key in keys]
        waiting += [top[key] for key in keys]
    return found


def _change_json(data: bytes, chance: Chance) -> bytes:
    value = _json_of(data)
    places = _places(value)
    if not places:
        return _flip(data, chance)
    holder, key = _pick(chance, places)
    change = chance.randrange(8)
    if change == 0:
        del holder[key]
    elif change == 1:
        holder[key] = [holder[key]] if chance.randrange(2) else {"a": holder[key]}
    elif change == 2 and isinstance(holder, dict):
        holder[_pick(chance, AWKWARD)] = holder[key]
    elif change == 2:
        holder.append(holder[key])
    elif change == 3:
        other, at = _pick(chance, places)
        holder[key] = copy.deepcopy(other[at])
    else:
        holder[key] = copy.deepcopy(_pick(chance, JSON_VALUES))
    return json.dumps(value, ensure_ascii=bool(chance.randrange(4))).encode("utf-8", "surrogatepass")


def _nest_json(data: bytes, chance: Chance) -> bytes:
    depth = _pick(chance, (10, 900, 3000, 12000))
    opening, closing = _pick(chance, ((b"[", b"]"), (b'{"a":', b"}")))
    at = max(data.rfind(b":"), data.rfind(b"[")) + 1 if chance.randrange(2) else 0
    num = min(depth, MAX_BYTES // (len(opening) + len(closing)) - len(data) - 10)
    return data[:at] + opening * num + (data[at:] if not at else b"0") + closing * num + (data[at:] if at else b"")


def _change_attribute(data: bytes, chance: Chance) -> bytes:
    places = list(re.finditer(rb'"[^"<>]*"|>[^<>]+<', data))
    if not places:
        return _insert(data, chance)
    place = _pick(chance, places)
    text = _pick(chance, AWKWARD).encode("utf-8", "surrogatepass")
    return data[: place.start() + 1] + text + data[place.end() - 1 :]


def _drop_attribute(data: bytes, chance: Chance) -> bytes:
    places = list(re.finditer(rb' [a-z_]+="[^"]*"', data))
    if not places:
        return _drop(data, chance)
    place = _pick(chance, places)
    return data[: place.start()] + data[place.end() :]


def _move_element(data: bytes, chance: Chance) -> bytes:
    places = list(re.finditer(rb"<([a-z_]+)[^<>]*(?:/>|>[^<>]*</\1>)", data))
    if not places:
        return _repeat(data, chance)
    place, other = _pick(chance, places), _pick(chance, places)
    rest = data if chance.randrange(2) else data[: place.start()] + data[place.end() :]
    return rest[: other.start()] + place[0] * chance.randrange(3) + rest[other.start() :]


def _insert_xml(data: bytes, chance: Chance) -> bytes:
    ends = [match.end() for match in re.finditer(rb">", data)] or [0]
    at = _pick(chance, ends) if chance.randrange(3) else chance.randrange(len(data) + 1)
    return data[:at] + _pick(chance, XML_PARTS) + data[at:]


def _insert_instruction(data: bytes, chance: Chance) -> bytes:
    at = chance.randrange(len(data) + 1)
    skip = chance.randrange(4)
    return data[:at] + _pick(chance, PICKLE_PARTS) + data[at + skip :]


def _change_byte(data: bytes, chance: Chance) -> bytes:
    if not data:
        return b"."
    at = chance.randrange(len(data))
    value = _pick(chance, (0, 1, 0x7F, 0x80, 0xFF, *b"NIJKMUXV]})(tauseRbQqhr0.", 0x85, 0x8A, 0x8C, 0x94))
    return data[:at] + bytes([value]) + data[at + 1 :]


_OF_KIND: dict[Kind, tuple[Mutation, ...]] = {
    "lines": (_move_line, _change_cell, _change_cell, _swap_number, _end_lines_otherwise),
    "json": (_change_json, _change_json, _change_json, _change_json, _nest_json),
    "xml": (_change_attribute, _change_attribute, _drop_attribute, _move_element, _insert_xml),
    "pickle": (_insert_instruction, _change_byte, _repeat),
    "binary": (_change_byte, _repeat, _drop),
}
