"""Pickles of plain data, written so that every Python 3 with any numpy reads them, and always as the same bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesta.formats.safe_pickle import DTYPE_CODE, MEND, Plain
from gesta.schema import BadInput
from gesta.tables import whole_file

PROTOCOL = 3
"""What is written. Source: ours; the lowest protocol that has bytes, so every Python 3 reads it."""


def write_pickle(path: Path, value: Plain) -> None:
    """A pickle of plain data, whole or not at all; the same value gives the same bytes under every numpy.

    Protocol 3, with numpy's names as numpy 1 and 2 both know them (numpy 2 itself writes names that numpy 1 does
    not). Tuples stay tuples; arrays are written in C order with their type.

    Raises:
        BadInput: something in `value` is neither None, bool, int, float, str, bytes, list, tuple, dict nor an array
            of numbers or text.
    """
    out = bytearray(b"\x80" + bytes([PROTOCOL]))
    numbers: dict[str, int] = {}
    try:
        _write(value, out, numbers)
    except (RecursionError, UnicodeEncodeError) as error:
        raise BadInput(
            "nested too deeply or with half a character, cannot be written", where=path, mend="Flatten it"
        ) from error
    except TypeError as error:
        raise BadInput(f"{error} cannot be written", where=path, mend=MEND) from error
    with whole_file(path) as temporary:
        temporary.write_bytes(bytes(out) + b".")


def _write(value: object, out: bytearray, numbers: dict[str, int]) -> None:
    match value:
        case None | bool():
            out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            _write_int(value, out)
        case float():
            out += b"G" + struct.pack(">d", value)
        case str():
            text = value.encode()
            out += b"X" + struct.pack("<I", len(text)) + text
        case bytes():
            out += b"C" + bytes([len(value)]) if len(value) < 256 else b"B" + struct.pack("<I", len(value))
            out += value
        case list():
            out += b"]("
            for item in value:
                _write(item, out, numbers)
            out += b"e"
        case tuple():
            out += b"("
            for item in value:
                _write(item, out, numbers)
            out += b"t"
        case Mapping():
            out += b"}("
            for key, item in value.items():
                _write(key, out, numbers)
                _write(item, out, numbers)
            out += b"u"
        case np.ndarray() if value.dtype.kind in "biufSU" and DTYPE_CODE.match(value.dtype.str[1:]):
            _write_array(value, out, numbers)
        case _:
            raise TypeError(f"a {type(value).__name__}")


def _write_int(value: int, out: bytearray) -> None:
    if 0 <= value < 256:
        out += b"K" + bytes([value])
    elif -(2**31) <= value < 2**31:
        out += b"J" + struct.pack("<i", value)
    else:
        content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        out += b"\x8b" + struct.pack("<i", len(content)) + content


def _write_array(array: npt.NDArray[np.generic], out: bytearray, numbers: dict[str, int]) -> None:
    """Appends the pickle of an array of any shape; names and types are written once and then numbered."""
    code = array.dtype.str
    _write_once("_reconstruct", b"cnumpy.core.multiarray\n_reconstruct\n", out, numbers)
    _write_once("ndarray", b"cnumpy\nndarray\n", out, numbers)
    out += b"K\x00\x85C\x01b\x87R(K\x01"
    _write(array.shape, out, numbers)
    if code not in numbers:
        _write_once("dtype", b"cnumpy\ndtype\n", out, numbers)
        _write(code[1:], out, numbers)
        out += b"\x89\x88\x87R(K\x03"
        _write(code[0], out, numbers)
        out += b"NNN"
        is_text = array.dtype.kind in "SU"
        for number in (array.dtype.itemsize, array.dtype.alignment, 0) if is_text else (-1, -1, 0):
            _write_int(number, out)
        out += b"tb"
        numbers[code] = len(numbers)
        out += b"r" + struct.pack("<I", numbers[code])
    else:
        out += b"j" + struct.pack("<I", numbers[code])
    out += b"\x89"
    _write(array.tobytes(), out, numbers)
    out += b"tb"


def _write_once(name: str, instructions: bytes, out: bytearray, numbers: dict[str, int]) -> None:
    if name in numbers:
        out += b"j" + struct.pack("<I", numbers[name])
        return
    numbers[name] = len(numbers)
    out += instructions + b"r" + struct.pack("<I", numbers[name])
