"""Tensors of a TensorFlow checkpoint (format V2, a "tensor bundle"), read without TensorFlow.

A checkpoint named `model.ckpt` is `model.ckpt.index`, a sorted-string table from a tensor's name to its kind, shape and
place, and `model.ckpt.data-00000-of-00001` and its like, the values themselves, little-endian, in C order. Every sum
(CRC-32C of each block of the table and of each tensor) is compared before a value is used.

Source: TensorFlow 1.15, `tensorflow/core/protobuf/tensor_bundle.proto` (field numbers), `core/framework/types.proto`
(kinds), `core/util/tensor_bundle/tensor_bundle.cc` (order of bytes, masking of sums, names of files),
`core/util/saved_tensor_slice_util.cc` (keys of slices).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gesta.models.crc32c import crc32c, masked
from gesta.models.sorted_table import BadTable, read_table, read_varint
from gesta.schema import BadInput, UnknownName

DTYPES: dict[int, str] = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "|u1",
    5: "<i2",
    6: "|i1",
    8: "<c8",
    9: "<i8",
    10: "|b1",
    17: "<u2",
    18: "<c16",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}
"""NumPy's names of the kinds of number that can be read, by their number in `types.proto`."""
_BFLOAT16 = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """One tensor of a checkpoint: what it is and where its bytes lie. `is_parted`: it is stored as slices."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size_bytes: int
    crc32c: int
    is_parted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint's table of contents. `prefix` is its path without `.index`."""

    prefix: Path
    num_shards: int
    entries: dict[str, TensorEntry]


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Field numbers and values of a protocol buffer's message, in order."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        kind, value = tag & 7, 0
        if kind == 0:
            value, at = read_varint(message, at)
            found.append((tag >> 3, value))
            continue
        if kind == 2:
            size, at = read_varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise BadTable(f"a message holds a field of kind {kind}")
        if at + size > len(message):
            raise BadTable("a message ends within a field")
        part = message[at : at + size]
        found.append((tag >> 3, part if kind == 2 else int.from_bytes(part, "little")))
        at += size
    return found


def _number(fields: list[tuple[int, int | bytes]], field: int) -> int:
    values = [value for number, value in fields if number == field]
    if not values:
        return 0  # Protocol buffers leave out zeros.
    if not isinstance(values[-1], int):
        raise BadTable(f"field {field} is no number")
    return values[-1]


def _messages(fields: list[tuple[int, int | bytes]], field: int) -> list[bytes]:
    return [value for number, value in fields if number == field and isinstance(value, bytes)]


def _entry(name: str, message: bytes) -> TensorEntry:
    fields = _fields(message)
    shape = [_number(_fields(dim), 1) for text in _messages(fields, 2) for dim in _messages(_fields(text), 2)]
    return TensorEntry(
        name=name,
        dtype=_number(fields, 1),
        shape=tuple(shape),
        shard=_number(fields, 3),
        offset=_number(fields, 4),
        size_bytes=_number(fields, 5),
        crc32c=_number(fields, 6),
        is_parted=bool(_messages(fields, 7)),
    )


def checkpoint_prefix(path: Path) -> Path:
    """The checkpoint's path without `.index`, from a folder, the index, a file of values, or the prefix itself.

    Raises:
        BadInput: there is no index there, or the folder holds several.
    """
    if path.is_dir():
        found = sorted(path.glob("*.index"))
        if len(found) != 1:
            names = ", ".join(entry.name for entry in found) or "none"
            mend = "Give the path of one checkpoint, such as model.ckpt"
            raise BadInput(
                f"a folder with one checkpoint is wanted; files ending in .index: {names}", where=path, mend=mend
            )
        path = found[0]
    name = path.name.removesuffix(".index")
    if ".data-" in name:
        name = name[: name.rindex(".data-")]
    prefix = path.with_name(name)
    if not _index(prefix).is_file():
        mend = "A TensorFlow checkpoint is model.ckpt.index and model.ckpt.data-00000-of-00001, side by side"
        raise BadInput("there is no index of a checkpoint", where=_index(prefix), mend=mend)
    return prefix


def _index(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def read_checkpoint(path: Path) -> Checkpoint:
    """The table of contents of the checkpoint at `path` (a folder, the prefix, or one of its files).

    Raises:
        BadInput: there is no checkpoint, its index is damaged or no index, or its bytes are big-endian.
    """
    prefix = checkpoint_prefix(path)
    index = _index(prefix)
    num_shards, entries = 0, {}
    try:
        for key, value in read_table(index.read_bytes()):
            if key == b"":
                header = _fields(value)
                num_shards = _number(header, 1)
                if _number(header, 2) != 0:
                    mend = "Save it again on a little-endian machine"
                    raise BadInput("the checkpoint was written big-endian", where=index, mend=mend)
                continue
            if key[0] == 0:
                continue  # The values of one slice; the variable that it is a part of has an entry by its name.
            name = key.decode()
            entries[name] = _entry(name, value)
    except (BadTable, UnicodeDecodeError) as error:
        mend = "Download it again; the file may be cut short, or a text file in its place (Git LFS leaves such)"
        raise BadInput(f"this is no index of a TensorFlow checkpoint: {error}", where=index, mend=mend) from error
    if num_shards < 1:
        raise BadInput("the index lacks the checkpoint's header", where=index, mend="Download it again")
    return Checkpoint(prefix=prefix, num_shards=num_shards, entries=entries)


def read_tensors(checkpoint: Checkpoint, names: Iterable[str]) -> dict[str, npt.NDArray[np.generic]]:
    """The named tensors, each a NumPy array of the shape and kind it was saved with (bfloat16 as float32) [...].

    Raises:
        UnknownName: a name is not in the checkpoint.
        BadInput: a file of values is absent or too short, a sum does not agree, or a tensor is text or in slices.
    """
    wanted = list(names)
    for name in wanted:
        if name not in checkpoint.entries:
            raise UnknownName(what="tensor", name=name, choices=checkpoint.entries, where=_index(checkpoint.prefix))
    return {name: _tensor(checkpoint, checkpoint.entries[name]) for name in wanted}


def _tensor(checkpoint: Checkpoint, entry: TensorEntry) -> npt.NDArray[np.generic]:
    prefix = checkpoint.prefix
    path = prefix.with_name(f"{prefix.name}.data-{entry.shard:05d}-of-{checkpoint.num_shards:05d}")
    where = f"{path}: {entry.name}"
    if entry.is_parted:
        raise BadInput("the tensor is stored in slices, one a part", where=where, mend="Save it from one variable")
    dtype = "<u2" if entry.dtype == _BFLOAT16 else DTYPES.get(entry.dtype)
    if dtype is None:
        raise BadInput(f"the tensor is of kind {entry.dtype} (text is 7), no number", where=where, mend="Leave it out")
    num_bytes = np.dtype(dtype).itemsize * int(np.prod(entry.shape, dtype=np.int64))
    if num_bytes != entry.size_bytes:
        raise BadInput(f"shape {entry.shape} needs {num_bytes} bytes, {entry.size_bytes} are stored", where=where)
    if not path.is_file():
        mend = "The index and the values belong side by side: download both"
        raise BadInput("the checkpoint's values are absent", where=path, mend=mend)
    with path.open("rb") as stream:
        stream.seek(entry.offset)
        data = stream.read(num_bytes)
    if len(data) != num_bytes:
        problem = f"the file ends {num_bytes - len(data)} bytes before the tensor does"
        raise BadInput(problem, where=where, mend="Download it again: it was cut short")
    found = masked(crc32c(data))
    if found != entry.crc32c:
        problem = f"the values have checksum {found:08x}, and {entry.crc32c:08x} is stored"
        raise BadInput(problem, where=where, mend="Download it again: it is damaged")
    values = np.frombuffer(data, dtype).reshape(entry.shape)
    if entry.dtype == _BFLOAT16:
        # The sixteen bits of a bfloat16 are the upper half of the float32 of the same value.
        return np.frombuffer((values.astype("<u4") << 16).tobytes(), "<f4").reshape(entry.shape)
    return values
