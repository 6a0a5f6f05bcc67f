"""Keys and values of a sorted-string table, the file format that `.index` files of TensorFlow checkpoints have.

A table is blocks of entries, an index block that says where they lie, and a footer of 48 bytes that says where the
index block lies. Every block is followed by a byte that names its compression and by a masked CRC-32C.

Source: LevelDB, `doc/table_format.md`; TensorFlow 1.15, `tensorflow/core/lib/io/format.h` (same layout and magic).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gesta.models.crc32c import crc32c, masked

FOOTER_BYTES = 48
MAGIC = 0xDB4775248B80FB57
_TRAILER_BYTES = 5
_NO_COMPRESSION = 0


class BadTable(ValueError):
    """These bytes are no sorted-string table, or a damaged one."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, and the place after it.

    Raises:
        BadTable: the bytes end within the number, or it has more than 64 bits.

    >>> read_varint(bytes([0xAC, 0x02]), 0)
    (300, 2)
    """
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise BadTable(f"a number at byte {at} does not end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _block(data: bytes, *, offset: int, size: int) -> bytes:
    """The contents of the block there, after its sum was compared."""
    end = offset + size + _TRAILER_BYTES
    if end > len(data) - FOOTER_BYTES:
        raise BadTable(f"a block at bytes {offset} to {end} lies outside the file of {len(data)}")
    kind, stored = struct.unpack_from("<BI", data, offset + size)
    found = masked(crc32c(data[offset : offset + size + 1]))
    if found != stored:
        raise BadTable(f"the block at byte {offset} has checksum {found:08x}, and {stored:08x} is stored")
    if kind != _NO_COMPRESSION:
        raise BadTable(f"the block at byte {offset} is compressed (kind {kind}), which checkpoints are not")
    return data[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise BadTable(f"a block of {len(block)} bytes")
    end = len(block) - 4 - 4 * struct.unpack_from("<I", block, len(block) - 4)[0]
    if end < 0:
        raise BadTable("a block is shorter than its list of restarts")
    key, at = b"", 0
    while at < end:
        num_shared, at = read_varint(block, at)
        num_own, at = read_varint(block, at)
        num_value, at = read_varint(block, at)
        if num_shared > len(key) or at + num_own + num_value > end:
            raise BadTable(f"an entry at byte {at} runs out of its block")
        key = key[:num_shared] + block[at : at + num_own]
        at += num_own
        yield key, block[at : at + num_value]
        at += num_value


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every key with its value, in the order of the keys.

    Raises:
        BadTable: the footer is not a table's, a block lies outside the file or is compressed, a sum does not agree, or
            an entry runs out of its block.
    """
    if len(data) < FOOTER_BYTES:
        raise BadTable(f"{len(data)} bytes are too few for a footer")
    footer = data[-FOOTER_BYTES:]
    (magic,) = struct.unpack_from("<Q", footer, FOOTER_BYTES - 8)
    if magic != MAGIC:
        raise BadTable(f"the last 8 bytes are {magic:016x}, not {MAGIC:016x}")
    meta_offset, at = read_varint(footer, 0)
    meta_size, at = read_varint(footer, at)
    offset, at = read_varint(footer, at)
    size, _ = read_varint(footer, at)
    _block(data, offset=meta_offset, size=meta_size)  # Nothing is in it that is wanted, but it can be damaged.
    for _, handle in _entries(_block(data, offset=offset, size=size)):
        block_offset, at = read_varint(handle, 0)
        block_size, _ = read_varint(handle, at)
        yield from _entries(_block(data, offset=block_offset, size=block_size))
