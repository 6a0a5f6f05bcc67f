"""Laws of the diagnosis and of clip measures: whatever comes in, an answer or an error that can be mended."""

from itertools import permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gesta.evaluate.classification import (
    class_accuracy,
    confusion_matrix,
    guesses,
    label_average_precision,
    mean_class_accuracy,
    score_clips,
)
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores, write_clip_scores
from gesta.evaluate.diagnosis import diagnose
from gesta.evaluate.repair_classes import _assigned
from gesta.evaluate.text import diagnosis_text
from gesta.schema import GestaError

SCHEMA = {"video_id": pl.String, "timestamp_us": pl.Int64} | dict.fromkeys(["x1", "y1", "x2", "y2"], pl.Float64)
SCHEMA |= {"class_id": pl.Int64, "score": pl.Float64}
video = st.sampled_from(["-a", "a", "a.mp4", "v/a", "-a_000001_000011", "A", "", "ünïcode", "b" * 12, "x" + "b" * 12])
time_us = st.one_of(st.integers(0, 5).map(lambda s: s * 1_000_000), st.integers(0, 2**45))
corner = st.one_of(st.integers(-2, 10).map(lambda i: i / 8), st.sampled_from([-1e300, 639.0, 1000.0, 1e300]))
class_id = st.one_of(st.none(), st.integers(-3, 6), st.sampled_from([80, 10**15]))
score = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, -7.0, 1e300]))
row = st.tuples(video, time_us, corner, corner, corner, corner, class_id, score)


def frame(rows):
    empty = [(*r[:2], None, None, None, None, None, None) if r[6] is None else r for r in rows]
    return pl.DataFrame(empty, schema=SCHEMA, orient="row")


@given(st.lists(row, max_size=8), st.lists(row, max_size=8), st.sets(st.integers(0, 5), min_size=1))
@settings(max_examples=40)
@example(rows=[("a", 0, 0.0, 0.0, 1.0, 1.0, 1, 1.0)], more=[("a", 2**45, 0.0, 0.0, 1.0, 1.0, 1, 1.0)], ids={1})
@example(rows=[("-a", 0, 0.0, 0.0, 0.0, 1e300, 0, None)], more=[("-a", 0, 0.0, 0.0, 0.0, -1e300, 0, None)], ids={0})
def test_any_two_tables_end_in_a_diagnosis(rows, more, ids):
    result = diagnose(frame(rows), frame(more), class_ids=sorted(ids))
    assert np.isnan(result.mean_ap) or result.mean_ap_mended >= -1e-12
    assert diagnosis_text(result)
    gains = [finding.gain for finding in result.findings if finding.mean_ap_alone is not None]
    assert gains == sorted(gains, reverse=True)
    assert all(gain > 0 for gain in gains)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_the_assignment_is_the_best_there_is(num_rows, num_columns, seed):
    value = np.random.default_rng(seed).integers(-5, 6, (num_rows, num_columns)).astype(float)
    pairs = _assigned(value)
    assert len({f for f, _ in pairs}) == len({c for _, c in pairs}) == len(pairs) == min(value.shape)
    tall = value if num_rows >= num_columns else value.T
    best = max(sum(tall[f, c] for c, f in enumerate(order)) for order in permutations(range(len(tall)), tall.shape[1]))
    assert sum(value[f, c] for f, c in pairs) == best


@st.composite
def scored_clips(draw):
    num_clips, num_classes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.integers(0, 5, (num_clips, num_classes)) / 4, rng.integers(0, num_classes, num_clips)


@given(scored_clips())
@settings(max_examples=50)
def test_arrays_and_frames_say_the_same(case):
    scores_nc, labels_n = case
    num_classes = scores_nc.shape[1]
    clips, classes = (index.ravel() for index in np.indices(scores_nc.shape))
    names = [f"-clip {n}" for n in clips]
    found = pl.DataFrame({"clip_id": names, "class_id": classes, "score": scores_nc.ravel()})
    asked = pl.DataFrame({"clip_id": [f"-clip {n}" for n in range(len(labels_n))], "class_id": labels_n})
    result = score_clips(asked, found, class_ids=range(num_classes))
    confusion = confusion_matrix(labels_n, guesses(scores_nc), num_classes=num_classes)
    assert result.confusion_CC.tolist() == confusion.tolist()
    assert result.mean_class_accuracy == pytest.approx(mean_class_accuracy(scores_nc, labels_n))
    assert result.top_k[1] == pytest.approx(np.trace(confusion) / len(labels_n))
    assert result.top_k[1] <= result.top_k[5]
    assert confusion.sum() == len(labels_n) == sum(result.by_class["num_clips"])
    accuracy = class_accuracy(confusion)
    assert np.nansum(accuracy * confusion.sum(axis=1)) == pytest.approx(np.trace(confusion))
    for pair in result.pairs:
        assert pair.num_a_as_b + pair.num_b_as_a > 0


@given(scored_clips())
@settings(max_examples=50)
def test_a_perfect_ranking_has_average_precision_one_and_order_moves_nothing(case):
    scores_nc, labels_n = case
    is_label = np.eye(scores_nc.shape[1], dtype=bool)[labels_n]
    perfect = label_average_precision(is_label + scores_nc / 10, is_label)
    assert np.all(np.isnan(perfect) | (perfect == 1.0))
    order = np.random.default_rng(len(labels_n)).permutation(len(labels_n))
    np.testing.assert_allclose(
        label_average_precision(scores_nc, is_label), label_average_precision(scores_nc[order], is_label[order])
    )


cell = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=8)


@given(
    st.dictionaries(st.tuples(cell, st.integers(-9, 9)), st.floats(allow_nan=False, allow_infinity=False), max_size=6)
)
@settings(max_examples=50)
def test_a_scores_file_comes_back(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("scores") / "s.csv"
    schema = {"clip_id": pl.String, "class_id": pl.Int64, "score": pl.Float64}
    rows = pl.DataFrame([(*key, score) for key, score in table.items()], schema=schema, orient="row")
    write_clip_scores(path, rows)
    assert read_clip_scores(path).equals(rows)


@given(st.one_of(st.binary(max_size=80), st.lists(st.sampled_from([
    b"clip_id", b"class_id", b"class_name", b"score", b"youtube_id", b",", b"\n", b"\r\n", b'"', b"a", b"1", b"nan",
    b"-0", b"1e999", b"9" * 20, b"\xff", b"\xef\xbb\xbf", b" "]), max_size=14).map(b"".join)))  # fmt: skip
@settings(max_examples=100)
def test_any_bytes_end_in_rows_or_in_an_error_that_names_the_file(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    label_map = pl.DataFrame({"class_id": [1], "name": ["a"], "category": [None]})
    for name in ("s.csv", "s.json"):
        path: Path = folder / name
        path.write_bytes(data)
        for read in (read_clip_scores, read_clip_labels):
            message = name
            try:
                assert read(path, label_map=label_map).columns[:2] == ["clip_id", "class_id"]
            except GestaError as error:
                message = str(error)
            assert name in message
