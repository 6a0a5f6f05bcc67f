"""Round trips of proposals, action tubes and COCO-VID: what is written is read back, with hostile ids and names."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.annotations import BOX_COLUMNS, VIDEO_COLUMNS, Annotations, shaped
from gesta.formats.pickle_writer import write_pickle
from gesta.formats.proposals import read_proposals, write_proposals
from gesta.formats.safe_pickle import loads
from gesta.schema import BadInput

ANY_TEXT = st.text(
    st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]) | st.sampled_from('",-_\' \ufeff#{}\\'),
    min_size=1, max_size=12,
)  # fmt: skip
IDS = st.from_regex(r"\A[-_][A-Za-z0-9_-]{10}\Z") | ANY_TEXT
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def written_and_read(ending: str, write, read):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{ending}")
        write(path)
        return read(path)


def assert_same(read: Annotations, wanted: Annotations) -> None:
    for part in ("videos", "clips", "boxes", "label_map"):
        left, right = getattr(read, part), getattr(wanted, part)
        assert left.equals(right), (part, left, right)
        assert left.schema == right.schema


@settings(max_examples=60)
@given(value=VALUES)
def test_plain_values_survive_a_pickle(value: object) -> None:
    back = written_and_read(".pkl", lambda path: write_pickle(path, value), lambda path: loads(path.read_bytes()))
    assert back == value


@settings(max_examples=300)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_value_or_one_error(data: bytes) -> None:
    with contextlib.suppress(BadInput):
        loads(b"\x80\x04" + data)


KEY_FRAMES = st.tuples(IDS, st.integers(0, 10**11), st.booleans(), st.lists(st.tuples(*[FLOATS] * 5), max_size=3))


def proposals_of(frames: list[tuple[str, int, bool, list[tuple[float, ...]]]]) -> Annotations:
    rows = []
    for video_id, time_us, has_score, boxes in frames:
        for *corners, score in boxes or [(None,) * 5]:
            rows.append((video_id, time_us, *corners, None, None, score if has_score and boxes else None, None))
    found = pl.DataFrame(rows, schema=BOX_COLUMNS, orient="row")
    return Annotations(boxes=found, videos=shaped(found.select("video_id").unique(maintain_order=True), VIDEO_COLUMNS))


@pytest.mark.parametrize("ending", [".pkl", ".csv"])
@settings(max_examples=60)
@given(frames=st.lists(KEY_FRAMES, max_size=6, unique_by=lambda frame: frame[:2]))
def test_proposals_survive(ending: str, frames: list[tuple[str, int, bool, list[tuple[float, ...]]]]) -> None:
    wanted = proposals_of(frames)
    assert_same(written_and_read(ending, lambda path: write_proposals(path, wanted), read_proposals), wanted)
