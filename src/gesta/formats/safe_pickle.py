"""Pickles of plain data, read without running anything of theirs.

A pickle is a program: Python's own reader calls whatever the file names. Annotation files of this field are pickles
all the same (AVA's proposals, the ground truth of UCF101-24, JHMDB and MultiSports). So the file is read here by a
machine that has no instruction to import or call: it knows containers, numbers, text, bytes and what numpy writes for
arrays of numbers or text, and refuses everything else by name.

| read | as |
|---|---|
| None, bool, int, float, str, bytes, bytearray | the same |
| list, tuple, set, frozenset, dict, OrderedDict, defaultdict | list, tuple, set, frozenset, dict |
| `numpy.ndarray` of bool, int, uint, float (16 to 64 bit), bytes or text | a read-only array |
| a numpy scalar of those | bool, int, float, bytes or str |

Read are protocols 0 to 5, written by Python 2 (its byte strings are read as latin-1 text) or 3, with numpy 1 or 2.
Arrays of objects, records, dates and complex numbers are refused; so are keys that are no number or text, as hashing a
deeply nested tuple can crash Python itself.

Source: Python's `pickletools` for what each instruction means, and for what numpy 1 and 2 write by each protocol. The
machine is ours: with the standard library's reader, whatever its `find_class` admits, a file of 7 bytes can ask for
gigabytes (`LONG_BINPUT`), and one of 100 bytes can keep it busy for hours (hashing a tuple of 2^40 leaves as a key).
"""

from __future__ import annotations

import codecs
import re
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput

Plain = object
"""None, bool, int, float, str, bytes, `numpy.ndarray`, or list, tuple, set, frozenset or dict of such."""

MEND = "Read here are containers, numbers, text and numpy arrays of them only"
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_GLOBALS: dict[tuple[str, str], str] = {
    **{(module, "_reconstruct"): "reconstruct" for module in _NUMPY},
    **{(module, "scalar"): "scalar" for module in _NUMPY},
    **{(module, "_frombuffer"): "frombuffer" for module in _NUMERIC},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "dict",
    ("collections", "defaultdict"): "defaultdict",
    **{(module, name): "type" for module in ("builtins", "__builtin__") for name in ("dict", "float", "int", "list")},
    **{(module, "set"): "set" for module in ("builtins", "__builtin__")},
    **{(module, "frozenset"): "frozenset" for module in ("builtins", "__builtin__")},
    **{(module, "bytes"): "bytes" for module in ("builtins", "__builtin__")},
    **{(module, "bytearray"): "bytearray" for module in ("builtins", "__builtin__")},
}
"""Every name a file may mention, and which of our own functions stands for it."""

DTYPE_CODE = re.compile(r"(?:b1|[iu][1248]|f[248]|[SU][0-9]{1,9})\Z")
_MAX_ITEM_BYTES = 1 << 20
"""Source: ours. No text of an annotation file has more."""


@dataclass(frozen=True, slots=True)
class _Named:
    """An admitted global; `kind` says which."""

    kind: str


@dataclass(slots=True, eq=False)
class _Unfinished:
    """A numpy type or array that waits for its state; `memo` are the numbers by which the file may name it again."""

    kind: str
    code: str = ""
    memo: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Machine:
    """The reader's state: bytes, where it is in them, a stack with marks, and what the file numbered."""

    data: bytes
    at: int = 0
    stack: list[object] = field(default_factory=list)
    marks: list[list[object]] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    array_bytes: int = 0


def read_pickle(path: Path) -> Plain:
    """What a pickle of plain data holds (see the module's table); nothing that the file names is run.

    Raises:
        BadInput: there is no such file, it cannot be read, it is no whole pickle, it names anything but numpy's
            arrays and plain containers, or an array claims more than the file holds.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error
    return loads(data, where=path)


def loads(data: bytes, *, where: str | Path = "") -> Plain:
    r"""What the bytes of a pickle of plain data hold; see `read_pickle`.

    Raises:
        BadInput: as `read_pickle`.

    >>> loads(b"cposix\nsystem\n(S'rm -rf ~'\\ntR.")
    Traceback (most recent call last):
    ...
    gesta.schema.errors.BadInput: the pickle names posix.system, which is never run. Read here are containers, numbers,
    text and numpy arrays of them only
    """
    machine = _Machine(data)
    try:
        return _run(machine)
    except _Refusal as refusal:
        raise BadInput(str(refusal), where=where, mend=MEND) from None
    except (
        AttributeError, IndexError, KeyError, MemoryError, OverflowError, TypeError, UnicodeError, ValueError,
        struct.error,
    ) as error:  # fmt: skip
        at = min(machine.at, len(data))
        raise BadInput(
            f"no whole pickle: byte {at} of {len(data)} cannot be read",
            where=where,
            mend="Fetch the file again; it may be cut short, compressed, or no pickle",
        ) from error


class _Refusal(Exception):
    """A sentence on what the file asks for and does not get; turned into BadInput where the file's name is known."""


def _run(machine: _Machine) -> Plain:
    data, stop = machine.data, 0x2E
    while True:
        code = data[machine.at]
        machine.at += 1
        if code == stop:
            result = machine.stack.pop()
            if machine.marks:
                raise ValueError("a mark is left")
            if isinstance(result, _Named | _Unfinished):
                raise _Refusal("the pickle holds no plain value")
            return result
        step = _STEPS.get(code)
        if step is None:
            raise _Refusal(_refused_code(code, at=machine.at - 1))
        step(machine)


def _refused_code(code: int, *, at: int) -> str:
    what = _FORBIDDEN.get(code)
    return f"byte {at}: the pickle {what}" if what else f"byte {at} is no instruction of a pickle: 0x{code:02x}"


_FORBIDDEN = {
    0x50: "names an object outside itself", 0x51: "names an object outside itself",
    0x82: "names a registered extension", 0x83: "names a registered extension", 0x84: "names a registered extension",
    0x97: "wants a buffer from outside itself", 0x98: "wants a buffer from outside itself",
    0x81: "makes an object of some class", 0x92: "makes an object of some class", 0x6F: "makes an object of some class",
}  # fmt: skip


def _take(machine: _Machine, count: int) -> bytes:
    start, end = machine.at, machine.at + count
    if end > len(machine.data):
        raise ValueError("the file ends early")
    machine.at = end
    return machine.data[start:end]


def _line(machine: _Machine) -> bytes:
    end = machine.data.index(b"\n", machine.at)
    line = machine.data[machine.at : end]
    machine.at = end + 1
    return line


def _passed_over(count: int) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        _take(machine, count)

    return step


def _unsigned(machine: _Machine, width: int) -> int:
    return int.from_bytes(_take(machine, width), "little")


def _counted(width: int) -> Callable[[_Machine], bytes]:
    return lambda machine: _take(machine, _unsigned(machine, width))


def _pushing(value_of: Callable[[_Machine], object]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value_of(machine))


def _text(width: int) -> Callable[[_Machine], None]:
    counted = _counted(width)
    return _pushing(lambda machine: counted(machine).decode("utf-8", "surrogatepass"))


def _bytes(width: int) -> Callable[[_Machine], None]:
    return _pushing(_counted(width))


def _latin(width: int) -> Callable[[_Machine], None]:
    counted = _counted(width)
    return _pushing(lambda machine: counted(machine).decode("latin-1"))


def _quoted(machine: _Machine) -> str:
    line = _line(machine).strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text without its quotes")
    with warnings.catch_warnings():
        # An unknown escape is kept as it stands, with a warning, which is nothing to whoever reads a file.
        warnings.simplefilter("ignore", DeprecationWarning)
        return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


def _whole_number(machine: _Machine) -> int | bool:
    line = _line(machine)
    return line == b"01" if line in (b"00", b"01") else int(line)


def _long(width: int) -> Callable[[_Machine], None]:
    counted = _counted(width)
    return _pushing(lambda machine: int.from_bytes(counted(machine), "little", signed=True))


def _signed_4(machine: _Machine) -> int:
    return int.from_bytes(_take(machine, 4), "little", signed=True)


def _double(machine: _Machine) -> float:
    return float(struct.unpack(">d", _take(machine, 8))[0])


def _mark(machine: _Machine) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _since_mark(machine: _Machine) -> list[object]:
    items, machine.stack = machine.stack, machine.marks.pop()
    return items


def _collected(make: Callable[[list[object]], object]) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        items = _since_mark(machine)
        machine.stack.append(make(items))

    return step


def _short_tuple(count: int) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        if len(machine.stack) < count:
            raise IndexError("too few values for a tuple")
        items = tuple(machine.stack[-count:])
        machine.stack[-count:] = [items]

    return step


def _key(value: object) -> object:
    if not isinstance(value, str | bytes | int | float | None):
        raise _Refusal(f"the pickle has a key of type {_type_name(value)}, want text or a number")
    return value


def _type_name(value: object) -> str:
    return value.kind if isinstance(value, _Named | _Unfinished) else type(value).__name__


def _dict_of(items: Sequence[object]) -> dict[object, object]:
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


_T = TypeVar("_T")


def _last(machine: _Machine, kind: type[_T]) -> _T:
    value = machine.stack[-1]
    if type(value) is not kind:
        raise TypeError(f"want a {kind.__name__}")
    return value


def _append(machine: _Machine) -> None:
    item = machine.stack.pop()
    _last(machine, list).append(item)


def _appends(machine: _Machine) -> None:
    items = _since_mark(machine)
    _last(machine, list).extend(items)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _last(machine, dict)[_key(key)] = value


def _set_items(machine: _Machine) -> None:
    items = _since_mark(machine)
    _last(machine, dict).update(_dict_of(items))


def _add_items(machine: _Machine) -> None:
    items = _since_mark(machine)
    _last(machine, set).update(_key(item) for item in items)


def _pop(machine: _Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        _since_mark(machine)


def _put(number_of: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        number, value = number_of(machine), machine.stack[-1]
        machine.memo[number] = value
        if isinstance(value, _Unfinished):
            value.memo.append(number)

    return step


def _get(number_of: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    return _pushing(lambda machine: machine.memo[number_of(machine)])


def _global(module: object, name: object) -> _Named:
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("a global without its name")
    kind = _GLOBALS.get((module, name))
    if kind is None:
        shown = f"{module}.{name}".encode("ascii", "backslashreplace").decode()[:200]
        raise _Refusal(f"the pickle names {shown}, which is never run")
    return _Named(kind)


def _named(machine: _Machine) -> _Named:
    module, name = _line(machine).decode("utf-8"), _line(machine).decode("utf-8")
    return _global(module, name)


def _named_and_called(machine: _Machine) -> None:
    named = _named(machine)
    machine.stack.append(_called(machine, named, tuple(_since_mark(machine))))


def _stack_named(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_global(module, name))


def _reduce(machine: _Machine) -> None:
    arguments, named = machine.stack.pop(), machine.stack.pop()
    if not isinstance(named, _Named) or not isinstance(arguments, tuple):
        raise TypeError("calls what is no function")
    machine.stack.append(_called(machine, named, arguments))


def _called(machine: _Machine, named: _Named, arguments: tuple[object, ...]) -> object:
    """What stands for `named(*arguments)`; none of these is the function of that name."""
    match named.kind, arguments:
        case "reconstruct", (_Named("ndarray"), tuple(), _):
            return _Unfinished("array")
        case "dtype", (str(code), *_):
            return _Unfinished("dtype", code=code)
        case "dtype", (bytes(code), *_):
            return _Unfinished("dtype", code=code.decode("ascii"))
        case "encode", (str(text), "latin1" | "latin-1" | "iso-8859-1"):
            return text.encode("latin-1")
        case "scalar", (np.dtype() as dtype, bytes() | str() as content):
            return _array(machine, (), dtype, _content(content), order="C").item()
        case "frombuffer", (bytes() | bytearray() as content, np.dtype() as dtype, tuple(shape), "C" | "F" as order):
            return _array(machine, shape, dtype, bytes(content), order=order)
        case "dict", ():
            return {}
        case "dict", (list(pairs),):
            return {_key(key): value for key, value in pairs}
        case "set", (list(items),):
            return {_key(item) for item in items}
        case "frozenset", (list(items),):
            return frozenset(_key(item) for item in items)
        case "bytes" | "bytearray", ():
            return b""
        case "bytearray", (bytes(content),):
            return content
        case "defaultdict", () | (None,) | (_Named("type" | "dict"),):
            return {}
    raise _Refusal(f"the pickle makes a {named.kind} in a way that is not read here")


def _build(machine: _Machine) -> None:
    state, target = machine.stack.pop(), machine.stack.pop()
    if not isinstance(target, _Unfinished):
        raise _Refusal(f"the pickle sets the insides of a {_type_name(target)}")
    done: object
    match target.kind, state:
        case "dtype", (int(), str(order), None, None, None, int(width), *_):
            done = _dtype(target.code, order=order, width=width)
        case "dtype", (int(), bytes(order), None, None, None, int(width), *_):
            done = _dtype(target.code, order=order.decode("ascii"), width=width)
        case "dtype", _:
            raise _Refusal("the pickle has an array of records, want numbers or text")
        case "array", (int(), tuple(shape), np.dtype() as dtype, bool() | int() as is_fortran, bytes() | str() as raw):
            done = _array(machine, shape, dtype, _content(raw), order="F" if is_fortran else "C")
        case "array", (int(), tuple(), _Unfinished("dtype") as dtype, *_):
            raise _Refusal(f"the pickle has an array of {_shown_code(dtype.code)} without the state of its type")
        case _:
            raise _Refusal("the pickle has an array of objects, want numbers or text")
    machine.stack.append(done)
    for number in target.memo:
        machine.memo[number] = done


def _shown_code(code: str) -> str:
    return ascii(code[:20])


def _dtype(code: str, *, order: str, width: int) -> np.dtype[np.generic]:
    if DTYPE_CODE.match(code) is None or order not in ("<", ">", "|", "="):
        raise _Refusal(f"the pickle has an array of type {_shown_code(code)}, want numbers or text")
    dtype = np.dtype(order.replace("=", "<") + code if code[0] != "b" else code)
    if dtype.itemsize > _MAX_ITEM_BYTES or width not in (-1, dtype.itemsize):
        raise _Refusal(f"the pickle has an array of type {_shown_code(code)}, whose items are too long")
    return dtype


def _content(content: bytes | str) -> bytes:
    # Python 2 has one type for text and bytes, which is read as latin-1 text.
    return content.encode("latin-1") if isinstance(content, str) else content


def _array(
    machine: _Machine, shape: tuple[object, ...], dtype: np.dtype[np.generic], content: bytes, *, order: str
) -> npt.NDArray[np.generic]:
    """A read-only view of `content` in that shape, array [any]; refused where the file does not hold so much."""
    sizes = [size for size in shape if type(size) is int and 0 <= size < 2**62]
    if len(sizes) != len(shape) or len(sizes) > 16:
        raise _Refusal("the pickle has an array of a shape that no array has")
    wanted = dtype.itemsize
    for size in sizes:
        wanted *= size
    if wanted != len(content):
        raise _Refusal(f"the pickle has an array that claims {wanted} bytes and brings {len(content)}")
    machine.array_bytes += wanted
    if machine.array_bytes > 2 * len(machine.data):
        raise _Refusal("the pickle has arrays that share their bytes")
    if dtype.kind == "U" and np.frombuffer(content, dtype=dtype.byteorder + "u4").max(initial=0) > 0x10FFFF:
        raise _Refusal("the pickle has an array of text that is none")
    return np.ndarray(tuple(sizes), dtype=dtype, buffer=content, order="F" if order == "F" else "C")


def _constant(make: Callable[[], object]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make())


_STEPS: dict[int, Callable[[_Machine], None]] = {
    # Numbers and constants.
    0x4E: _constant(lambda: None), 0x88: _constant(lambda: True), 0x89: _constant(lambda: False),
    0x49: _pushing(_whole_number), 0x4A: _pushing(_signed_4), 0x4B: _pushing(lambda machine: _unsigned(machine, 1)),
    0x4D: _pushing(lambda machine: _unsigned(machine, 2)),
    0x4C: _pushing(lambda machine: int(_line(machine).rstrip(b"L"))), 0x8A: _long(1), 0x8B: _long(4),
    0x46: _pushing(lambda machine: float(_line(machine))), 0x47: _pushing(_double),
    # Text and bytes.
    0x53: _pushing(_quoted), 0x54: _latin(4), 0x55: _latin(1),
    0x56: _pushing(lambda machine: _line(machine).decode("raw-unicode-escape")),
    0x58: _text(4), 0x8C: _text(1), 0x8D: _text(8), 0x42: _bytes(4), 0x43: _bytes(1), 0x8E: _bytes(8), 0x96: _bytes(8),
    # Containers.
    0x28: _mark, 0x5D: _constant(list), 0x7D: _constant(dict), 0x29: _constant(tuple), 0x8F: _constant(set),
    0x6C: _collected(list), 0x64: _collected(_dict_of), 0x74: _collected(tuple),
    0x91: _collected(lambda items: frozenset(_key(item) for item in items)),
    0x85: _short_tuple(1), 0x86: _short_tuple(2), 0x87: _short_tuple(3),
    0x61: _append, 0x65: _appends, 0x73: _set_item, 0x75: _set_items, 0x90: _add_items,
    # The stack and what is numbered.
    0x30: _pop, 0x31: lambda machine: _since_mark(machine).clear(),
    0x32: lambda machine: machine.stack.append(machine.stack[-1]),
    0x70: _put(lambda machine: int(_line(machine))), 0x71: _put(lambda machine: _unsigned(machine, 1)),
    0x72: _put(lambda machine: _unsigned(machine, 4)), 0x94: _put(lambda machine: len(machine.memo)),
    0x67: _get(lambda machine: int(_line(machine))), 0x68: _get(lambda machine: _unsigned(machine, 1)),
    0x6A: _get(lambda machine: _unsigned(machine, 4)),
    # Names, and what is made of them.
    0x63: _pushing(_named), 0x69: _named_and_called, 0x93: _stack_named, 0x52: _reduce, 0x62: _build,
    # How the bytes are laid out.
    0x80: _passed_over(1), 0x95: _passed_over(8),
}  # fmt: skip
"""What each instruction does; none imports a name or calls one."""
