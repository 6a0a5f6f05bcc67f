"""Pickles: plain data of every protocol is read, nothing in a file is run, and no file takes more than it has."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import random
import struct
import tracemalloc
from collections import OrderedDict, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gesta.formats.pickle_writer import write_pickle
from gesta.formats.safe_pickle import loads, read_pickle
from gesta.schema import BadInput

PLAIN = {
    "none": None, "flags": [True, False], "numbers": (0, 255, 256, -1, 2**31, -(2**70), 1.5, -0.0),
    "text": "é\U0001f600'\"\n\\", "bytes": b"\x00\xff" * 200, "empty": [[], (), {}, b"", ""], "set": {1, "a"},
    "frozen": frozenset([2]), 7: {"nested": [{"deep": [()]}]}, "ordered": OrderedDict([("b", 1), ("a", [2])]),
    "default": defaultdict(list, {"k": [1]}),
}  # fmt: skip
ARRAYS = {
    "f8": np.arange(10, dtype=np.float64).reshape(2, 5), "f4": np.array([[0.1]], dtype=np.float32),
    "none": np.empty((0, 5)), "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)), "scalar": np.array(4),
    "bool": np.array([True, False]), "text": np.array(["a", "bcé"]), "bytes": np.array([b"ab"]),
    "i": np.array([-1], dtype=np.int16), "u": np.array([255], dtype=np.uint8), "half": np.array([0.5], np.float16),
    "sliced": np.arange(20).reshape(4, 5)[::2, 1:],
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol(protocol: int) -> None:
    assert loads(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol(protocol: int) -> None:
    read = loads(pickle.dumps(ARRAYS, protocol))
    assert isinstance(read, dict)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
        assert not read[name].flags.writeable


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_scalars_become_plain_numbers(protocol: int) -> None:
    read = loads(pickle.dumps([np.float64(1.5), np.int64(7), np.bool_(1), np.str_("hé"), np.float32(0.5)], protocol))
    assert read == [1.5, 7, True, "hé", 0.5]


def test_names_of_numpy_1_and_2_are_both_known() -> None:
    data = pickle.dumps(ARRAYS["f8"], 2)
    assert b"numpy._core.multiarray" in data or b"numpy.core.multiarray" in data
    for old, new in [(b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")]:
        np.testing.assert_array_equal(loads(data.replace(old, new)), ARRAYS["f8"])


def test_a_file_of_python_2() -> None:
    # `pickle.dumps({'caf\xe9': numpy.array([1.5])}, 2)` and `dumps(['a\n'], 0)` of Python 2.7 with numpy 1.16.
    array = (
        b"\x80\x02}q\x00U\x04caf\xe9q\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x01\x85q\x08cnumpy\ndtype\nq\tU\x02f8q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\r"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U\x08\x00\x00\x00\x00\x00\x00\xf8?q\x0ftq\x10bs."
    )
    read = loads(array)
    assert isinstance(read, dict)
    assert list(read) == ["café"]
    np.testing.assert_array_equal(read["café"], [1.5])
    assert loads(b"(lp0\nS'a\\n'\np1\naI5\naL7L\naI01\naF1.5\na.") == ["a\n", 5, 7, True, 1.5]


class Payload:
    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


PAYLOADS = [
    (Payload(os.system, "touch {mark}"), "posix.system|nt.system"),
    (Payload(builtins.eval, "open('{mark}', 'w')"), "(builtins|__builtin__).eval"),
    (Payload(builtins.exec, "open('{mark}', 'w')"), "(builtins|__builtin__).exec"),
    (Payload(builtins.getattr, "x", "upper"), "(builtins|__builtin__).getattr"),
    (Payload(builtins.open, "{mark}", "w"), "io.open|_io.open|__builtin__.open"),
    (Fraction(1, 2), "fractions.Fraction"),
    (np.load, "numpy.*load|load"),
    (np.random.default_rng, "default_rng"),
    (Path("x"), "pathlib"),
]  # fmt: skip


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(("payload", "name"), PAYLOADS, ids=lambda value: value if isinstance(value, str) else "")
def test_nothing_is_run_and_the_name_is_told(*, payload: object, name: str, protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    if isinstance(payload, Payload):
        function, arguments = payload.parts
        payload = Payload(function, *(str(argument).replace("{mark}", str(mark)) for argument in arguments))
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps([{"a": payload}], protocol))
    with pytest.raises(BadInput, match=rf"file.pkl: the pickle names .*({name}).*, which is never run"):
        read_pickle(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"(S'touch x'\nios\nsystem\n.", "names os.system"),
        (b"Pabc\n.", "names an object outside itself"),
        (b"\x82\x01.", "names a registered extension"),
        (b"\x80\x05\x97.", "wants a buffer from outside"),
        (b"(cnumpy\nndarray\no.", "makes an object of some class"),
        (b"cnumpy\nndarray\n.", "holds no plain value"),
        (b"cnumpy\nndarray\n(K\x00tR.", "makes a ndarray in a way"),
        (b"c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.", "sets the insides of a encode"),
        (b"]}b.", "sets the insides of a list"),
        (b"}()K\x01u.", "key of type tuple"),
        (b"\xff", "byte 0 is no instruction of a pickle: 0xff"),
    ],
)  # fmt: skip
def test_what_only_a_crafted_file_holds(*, data: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        loads(data)


@pytest.mark.parametrize(
    "value",
    [
        np.array([{}, None]), np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2020"], "datetime64[D]"),
        np.array([1j]), np.array([1], dtype=np.longdouble), np.ma.masked_array([1], [True]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_of_other_things_are_refused(value: object, protocol: int) -> None:
    with pytest.raises(BadInput, match=r"array of|the pickle names"):
        loads(pickle.dumps(value, protocol))


def array_pickle(shape: bytes, code: bytes = b"f8", content: bytes = b"12345678") -> bytes:
    kind = b"cnumpy\ndtype\nX" + struct.pack("<I", len(code)) + code + b"\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNN"
    kind += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01" + shape + kind + b"\x89B" + struct.pack("<I", len(content)) + content + b"tb"
    return b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R" + state + b"."


BOMBS = {
    "a shape of 2**40": array_pickle(b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85"),
    "a negative shape": array_pickle(b"J\xff\xff\xff\xff\x85"),
    "a shape of text": array_pickle(b"X\x01\x00\x00\x00a\x85"),
    "sides beyond 64 bits": array_pickle(b"(" + (b"\x8a\x08" + b"\xff" * 7 + b"\x7f") * 40 + b"t"),
    "no rows of very many": array_pickle(b"K\x00\x8a\x09" + (2**66).to_bytes(9, "little") + b"\x86", content=b""),
    "an item of 1 GB": array_pickle(b"K\x00\x85", code=b"S999999999", content=b""),
    "a memo of 32 GB": b"Nr\xff\xff\xff\x7f" + b"q",
    "bytes of 2**60": b"\x8e" + struct.pack("<Q", 2**60) + b"abc.",
    "text of 2**62": b"\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "a number of 2**31 bytes": b"\x8b\xff\xff\xff\x7fabc.",
    "a number of 5000 digits": b"I" + b"9" * 5000 + b"\n.",
    "a key of 2**40 leaves": b"})" + b"2\x86" * 40 + b"Ns.",
    "nested a million deep": b"}" + b"]" * 5 + b")" * 1 + b"\x85" * 1_000_000 + b"Ns.",
    "not closed": b"(" * 100_000 + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_memory(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            loads(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 100 * len(BOMBS[name]) + 5e7
    finally:
        tracemalloc.stop()


def test_a_deeply_nested_list_is_no_trouble() -> None:
    value = loads(b"]" * 200_000 + b"a" * 199_999 + b".")
    assert isinstance(value, list)


def test_arrays_may_be_named_again_but_not_share_bytes() -> None:
    array = np.arange(4.0)
    read = loads(pickle.dumps([array, array], 2))
    assert isinstance(read, list)
    assert read[0] is read[1]
    kind = array_pickle(b"K\x01\x85").split(b"cnumpy\ndtype")[1].split(b"\x89B")[0]
    head = b"(B" + struct.pack("<I", 8000) + b"x" * 8000 + b"q\x000cnumpy\ndtype" + kind.replace(b"tb", b"tbq\x010")
    again = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    again += b"(K\x01M\xe8\x03\x85h\x01\x89h\x00tb"
    assert len(loads(head + again + b"l.")) == 1  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="share their bytes"):
        loads(head + again * 5 + b"l.")


def test_files_that_are_no_pickle(tmp_path: Path) -> None:
    path = tmp_path / "file.pkl"
    for data in [b"", b"hello", b"\x80\x04", pickle.dumps(PLAIN)[:-1], b"\x1f\x8b\x08", b".", b"0.", b"u.", b"}a."]:
        path.write_bytes(data)
        with pytest.raises(BadInput, match=str(path)):
            read_pickle(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_pickle(tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_pickle(tmp_path / "none.pkl")


def test_damaged_bytes_end_in_values_or_one_error() -> None:
    rng = random.Random(5)
    sources = [pickle.dumps({**PLAIN, **ARRAYS}, protocol) for protocol in range(6)]
    num_read = 0
    for _ in range(3000):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randrange(1, 6)):
            where = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[where] = rng.randrange(256)
                case 1:
                    del data[where : where + rng.randrange(1, 9)]
                case _:
                    data[where:where] = rng.randbytes(rng.randrange(1, 9))
        try:
            loads(bytes(data))
            num_read += 1
        except BadInput:
            pass
    assert 0 < num_read < 3000


WRITTEN = {
    **{key: value for key, value in PLAIN.items() if key not in ("set", "frozen")}, **ARRAYS,
    "again": ARRAYS["f8"], "big-endian": np.array([1.5], dtype=">f8"), "long": b"x" * 300,
}  # fmt: skip


def test_what_is_written_is_read_by_python_and_by_us(tmp_path: Path) -> None:
    write_pickle(tmp_path / "a.pkl", WRITTEN)
    ours, pythons = read_pickle(tmp_path / "a.pkl"), pickle.loads((tmp_path / "a.pkl").read_bytes())
    for read in (ours, pythons):
        assert isinstance(read, dict)
        assert list(read) == list(WRITTEN)
        for key, value in WRITTEN.items():
            if isinstance(value, np.ndarray):
                assert read[key].dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
                np.testing.assert_array_equal(read[key], value)
            else:
                assert read[key] == value
    write_pickle(tmp_path / "b.pkl", WRITTEN)
    assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()
    assert (tmp_path / "a.pkl").read_bytes()[:2] == b"\x80\x03"
    assert b"numpy._core" not in (tmp_path / "a.pkl").read_bytes()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value, message in [({1}, "a set"), ([io], "a module"), (np.array([1j]), "a ndarray"), (deep, "too deeply"),
                           ("\ud800", "half a character")]:  # fmt: skip
        with pytest.raises(BadInput, match=message):
            write_pickle(tmp_path / "x.pkl", value)
    assert list(tmp_path.iterdir()) == []


def test_the_real_files(shared: Path) -> None:
    files = sorted(shared.glob("golden/*/*.pkl"))
    assert len(files) >= 2
    for path in files:
        read, wanted = read_pickle(path), pickle.loads(path.read_bytes())
        assert isinstance(read, dict)
        assert list(read) == list(wanted)
        for key in wanted:
            np.testing.assert_array_equal(read[key], wanted[key])


def test_an_escape_that_python_does_not_know_is_kept_as_it_stands() -> None:
    assert loads(rb"S'a\qb'" + b"\n.") == r"a\qb"
