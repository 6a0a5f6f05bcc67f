"""CRC-32C of bytes, as TensorFlow's files carry it: to tell a damaged download from a whole one."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's polynomial, bits reversed. Source: RFC 3720, appendix B.4."""
_MASK_DELTA = 0xA282EAD8
"""Added to the rotated sum. Source: LevelDB's table format (`util/crc32c.h`), which TensorFlow's bundles follow."""


@cache
def _tables() -> npt.NDArray[np.uint32]:
    """Eight tables [8, 256], to take eight bytes a step ("slicing by 8")."""
    tables = np.zeros((8, 256), np.uint32)
    sums = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        sums = np.where(sums & 1, (sums >> 1) ^ np.uint32(_POLYNOMIAL), sums >> 1).astype(np.uint32)
    tables[0] = sums
    for k in range(1, 8):
        tables[k] = (tables[k - 1] >> 8) ^ sums[tables[k - 1] & 0xFF]
    return tables


@numba.njit(cache=True, nogil=True)
def _advance(data: npt.NDArray[np.uint8], tables: npt.NDArray[np.uint32], crc: np.uint32) -> np.uint32:
    whole = len(data) // 8 * 8
    for i in range(0, whole, 8):
        low = crc ^ (
            np.uint32(data[i])
            | np.uint32(data[i + 1]) << np.uint32(8)
            | np.uint32(data[i + 2]) << np.uint32(16)
            | np.uint32(data[i + 3]) << np.uint32(24)
        )
        crc = (
            tables[7, low & 0xFF]
            ^ tables[6, (low >> np.uint32(8)) & 0xFF]
            ^ tables[5, (low >> np.uint32(16)) & 0xFF]
            ^ tables[4, low >> np.uint32(24)]
            ^ tables[3, data[i + 4]]
            ^ tables[2, data[i + 5]]
            ^ tables[1, data[i + 6]]
            ^ tables[0, data[i + 7]]
        )
    for i in range(whole, len(data)):
        crc = tables[0, (crc ^ np.uint32(data[i])) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C (Castagnoli) of the bytes, 0 to 2**32 - 1.

    Source: RFC 3720, appendix B.4, whose check value is the example.

    >>> hex(crc32c(bytes(32)))
    '0x8a9136aa'
    """
    values = np.frombuffer(data, np.uint8)
    # A writable array, because numba compiles the function anew for one that is not.
    return int(_advance(np.require(values, requirements=("C", "W")), _tables(), np.uint32(0xFFFFFFFF))) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """The sum as files store it: rotated right by 15 bits, plus a constant, so that sums of sums stay strong.

    >>> hex(masked(0))
    '0xa282ead8'
    """
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
