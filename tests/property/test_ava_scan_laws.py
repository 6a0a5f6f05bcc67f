"""The loop over bytes reads what the reader of cells reads, and refuses what it refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gesta.formats import ava, ava_scan, read_ava_csv
from gesta.schema import BadRow, GestaError

NUMBERS = st.one_of(
    st.floats(0, 1).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(0, 1, places=3, allow_nan=False).map(str),
    st.integers(-3, 10**19).map(str),
    st.sampled_from([".5", "5.", "+1", " 0.25", "0.25 ", "1E-3", "1e3", "0." + "0" * 30 + "1", "0.123456789012345678"]),
)  # fmt: skip
IDS = st.one_of(
    st.from_regex(r"[-_A-Za-z0-9]{1,11}", fullmatch=True), st.sampled_from(["ü", "-x", '"a,b"', "a b", " a", "été"])
)
TIMES = st.one_of(
    st.integers(0, 1800).map(lambda s: f"{s:04d}"),
    st.decimals(0, 2000, places=6, allow_nan=False).map(str),
    st.sampled_from(["5.", "5.1234567", "1e2", "", " 7", "0000000000000902"]),
)
WRONG = st.sampled_from(["", " ", "v", "v,1,2", "v,x", ",1", 'v,"1', "v,1,0,0,1,1,x", "v,1,0,0,1,1,1,nan", "v,1,,,,,"])


@st.composite
def lines(draw: st.DrawFn, *, wrong: bool) -> str:
    kind = draw(st.integers(0, 9))
    if wrong and kind == 0:
        return draw(WRONG)
    key = [draw(IDS), draw(TIMES)]
    if kind < 3:
        return ",".join(key)
    cells = [*key, *(draw(NUMBERS) for _ in range(4)), str(draw(st.integers(-1, 10**10)))]
    return ",".join(cells if kind < 5 else [*cells, draw(NUMBERS)])


def both(path, data: bytes, column_8):
    path.write_bytes(data)
    outcomes = []
    for from_bytes in (1 << 62, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ava, "SCAN_FROM_BYTES", from_bytes)
            patch.setattr(ava_scan, "BLOCK_BYTES", 97)
            try:
                outcomes.append(read_ava_csv(path, column_8=column_8))
            except GestaError as error:
                outcomes.append(error)
    return outcomes


@given(rows=st.lists(lines(wrong=False), max_size=12), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_both_readers_give_the_same_rows(tmp_path_factory, rows, end, last):
    path = tmp_path_factory.mktemp("scan") / "a.csv"
    data = end.join([*rows, ""] if last else rows).encode()
    exact, scanned = both(path, data, "score")
    if isinstance(exact, GestaError):
        assert isinstance(scanned, GestaError)
    else:
        assert_frame_equal(exact, scanned, check_exact=True)


@given(rows=st.lists(lines(wrong=True), max_size=8), column_8=st.sampled_from(["score", "person_id"]))
def test_both_readers_refuse_the_same_files(tmp_path_factory, rows, column_8):
    path = tmp_path_factory.mktemp("scan") / "a.csv"
    exact, scanned = both(path, "\n".join(rows).encode(), column_8)
    assert isinstance(exact, GestaError) == isinstance(scanned, GestaError)
    if isinstance(exact, pl.DataFrame):
        assert_frame_equal(exact, scanned, check_exact=True)


@given(data=st.binary(max_size=200))
def test_any_bytes_end_in_rows_or_in_a_named_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("scan") / "a.csv"
    exact, scanned = both(path, data, "score")
    assert isinstance(exact, GestaError) == isinstance(scanned, GestaError)


def test_a_wrong_line_is_named_with_its_number_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(ava, "SCAN_FROM_BYTES", 0)
    monkeypatch.setattr(ava_scan, "BLOCK_BYTES", 64)
    path = tmp_path / "a.csv"
    path.write_text("v,0902,0.1,0.1,0.2,0.2,1,0.5\n\n" * 20 + "v,0902,0.1\n")
    with pytest.raises(BadRow, match=r"a\.csv:41: 3 columns, want 2, 7 or 8"):
        read_ava_csv(path, column_8="score")


def test_every_double_is_the_nearest_one(tmp_path, monkeypatch):
    monkeypatch.setattr(ava, "SCAN_FROM_BYTES", 0)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 62, 20_000, dtype=np.int64)
    numbers = [repr(x) for x in bits.view(np.float64).tolist() if 1e-40 < x < 1e17]
    numbers += [repr(x) for x in rng.random(20_000).tolist()] + [f"{x:.15e}" for x in rng.random(5_000).tolist()]
    path = tmp_path / "a.csv"
    path.write_text("".join(f"v,1,0,0,1,1,1,{number}\n" for number in numbers))
    read = read_ava_csv(path, column_8="score")["score"].to_list()
    assert read == [float(number) for number in numbers]


def test_many_videos_in_one_block(tmp_path, monkeypatch):
    monkeypatch.setattr(ava, "SCAN_FROM_BYTES", 0)
    ids = [f"v{number % 7919:05d}" for number in range(30_000)]
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{video_id},1\n" for video_id in ids))
    frame = read_ava_csv(path)
    assert frame["video_id"].to_list() == ids
    assert frame["class_id"].null_count() == len(ids)
