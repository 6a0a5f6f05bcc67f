"""Laws of frame mAP."""

import heapq

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parity import plain_frame_map

from gesta.evaluate import (
    chance_map,
    csv_files,
    evaluate_csv,
    frame_map,
    frame_map_of,
    frame_maps,
    heaps,
    outcomes,
    top_k,
)
from gesta.evaluate.heaps import Boxes, empty_heaps, pushed
from gesta.formats import ava, ava_scan, write_ava_csv, write_detections_csv
from gesta.schema import GestaError

CLASSES = [3, 5, 8]
COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"]

corner = st.integers(0, 8)
box = st.tuples(corner, corner, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: (b[0] / 16, b[1] / 16, (b[0] + b[2]) / 16, (b[1] + b[3]) / 16)
)
labelled_row = st.tuples(st.sampled_from(["-a", "b"]), st.integers(0, 3), box, st.sampled_from(CLASSES))


def frame(rows, scores=None):
    columns = pl.DataFrame(
        [(video, time, *box, class_id) for video, time, box, class_id in rows],
        schema=dict(zip(COLUMNS, [pl.String, pl.Int64, *[pl.Float64] * 4, pl.Int64], strict=True)),
        orient="row",
    )
    return columns if scores is None else columns.with_columns(pl.Series("score", scores, dtype=pl.Float64))


@st.composite
def problems(draw):
    truth = draw(st.lists(labelled_row, min_size=1, max_size=20))
    found = draw(st.lists(labelled_row, max_size=30))
    scores = draw(st.permutations(range(1, len(found) + 1)))
    return frame(truth), frame(found, [score / 64 for score in scores])


@given(problems(), st.sampled_from([np.sqrt, np.exp, lambda s: 3 * s - 7]))
def test_a_monotone_change_of_scores_without_ties_moves_nothing(problem, change):
    truth, found = problem
    before = frame_map(truth, found, class_ids=CLASSES)
    after = frame_map(truth, found.with_columns(score=pl.Series(change(found["score"].to_numpy()))), class_ids=CLASSES)
    np.testing.assert_array_equal(before.average_precision, after.average_precision)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_rows_moves_nothing_without_ties(problem, rng):
    truth, found = problem
    order = list(range(len(found)))
    rng.shuffle(order)
    before, after = (frame_map(truth, rows, class_ids=CLASSES) for rows in (found, found[order]))
    np.testing.assert_allclose(before.average_precision, after.average_precision, atol=1e-12)


@given(problems(), labelled_row)
def test_a_false_positive_below_all_scores_never_raises_ap(problem, extra):
    truth, found = problem
    video, time, _, class_id = extra
    # The grid's boxes end at 1, so this one overlaps none of them.
    wrong = frame([(video, time, (2.0, 2.0, 3.0, 3.0), class_id)], [0.0])
    before = frame_map(truth, found, class_ids=CLASSES, cap=0).average_precision
    after = frame_map(truth, pl.concat([found, wrong]), class_ids=CLASSES, cap=0).average_precision
    assert np.all((after <= before) | np.isnan(before))


@given(st.lists(labelled_row, min_size=1, max_size=30, unique=True), st.integers(0, 1000))
def test_perfect_detections_give_one(rows, seed):
    truth = frame(rows)
    scores = np.random.default_rng(seed).random(len(rows))
    result = frame_map(truth, truth.with_columns(score=pl.Series(scores)), class_ids=CLASSES)
    assert result.mean_ap == 1.0
    assert set(result.average_precision[~np.isnan(result.average_precision)].tolist()) == {1.0}


@given(problems())
@settings(max_examples=20)
def test_chance_is_a_map_and_repeats(problem):
    truth, found = problem
    first, second = (chance_map(truth, found, class_ids=CLASSES, seed=4, num_draws=3) for _ in range(2))
    assert first == second
    assert 0 <= first <= 1


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 100))
def test_more_guesses_never_hurt(num_clips, num_classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 3, (num_clips, num_classes)) / 3, rng.integers(0, num_classes, num_clips)
    shares = [top_k(scores, labels, k) for k in range(1, num_classes + 1)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


tied_score = st.integers(-1, 3).map(lambda s: s / 4)
IOUS = [0.1, 0.5, 0.75]


@st.composite
def tied_problems(draw):
    """Equal scores and boxes, other classes, key-frames without boxes, inverted detections, more rows than the cap."""
    truth = frame(draw(st.lists(labelled_row, max_size=12)))
    bare = [(video, time, None, None, None, None, None) for video, time in draw(st.lists(
        st.tuples(st.sampled_from(["-a", "b", "c"]), st.integers(0, 4)), max_size=3))]  # fmt: skip
    truth = pl.concat([truth, pl.DataFrame(bare, schema=truth.schema, orient="row")])
    rows = draw(st.lists(labelled_row, max_size=40))
    rows = [
        (video, time, box if turn else (box[2], box[1], box[0], box[3]), class_id)
        for (video, time, box, class_id), turn in zip(
            rows, draw(st.lists(st.integers(0, 5), min_size=len(rows), max_size=len(rows))), strict=True
        )
    ]
    return truth, frame(rows, [draw(tied_score) for _ in rows])


@given(tied_problems(), st.sampled_from([0, 1, 3, 50]), st.sampled_from(IOUS))
def test_the_compiled_loops_do_what_plain_numpy_does(problem, cap, iou):
    truth, found = problem
    plain = plain_frame_map.frame_map(truth, found, class_ids=CLASSES[:2], iou=iou, cap=cap)
    ours = frame_map(truth, found, class_ids=CLASSES[:2], iou=iou, cap=cap)
    np.testing.assert_array_equal(plain.average_precision, ours.average_precision)
    np.testing.assert_array_equal(plain.num_detections, ours.num_detections)
    np.testing.assert_array_equal(plain.num_groundtruth, ours.num_groundtruth)
    assert plain.num_key_frames == ours.num_key_frames
    table = outcomes(truth, found, class_ids=CLASSES[:2], iou=iou, cap=cap)
    expected = plain_frame_map.outcomes(truth, found, class_ids=CLASSES[:2], iou=iou, cap=cap)
    assert table.drop("row", "gt_row").equals(expected.drop("row", "gt_row"))


@given(tied_problems())
def test_a_list_of_thresholds_gives_what_each_alone_gives(problem):
    truth, found = problem
    together = frame_maps(truth, found, class_ids=CLASSES, ious=IOUS)
    for iou, result in zip(IOUS, together, strict=True):
        alone = frame_map(truth, found, class_ids=CLASSES, iou=iou)
        np.testing.assert_array_equal(alone.average_precision, result.average_precision)
        assert result.iou == iou


@given(
    tied_problems(),
    st.sampled_from(["official", "acar", "pyslowfast", "mmaction2"]),
    st.integers(1, 9),
    st.integers(0, 2),
)
def test_files_read_in_pieces_score_as_tables_do(tmp_path_factory, problem, protocol, batch, run):
    folder = tmp_path_factory.mktemp("csv")
    truth, found = (rows.with_columns(pl.col("timestamp_us") * 1_000_000) for rows in problem)
    write_ava_csv(folder / "g.csv", truth)
    write_detections_csv(folder / "d.csv", found)
    rounded = truth.with_columns(pl.col("x1", "y1", "x2", "y2").map_elements(lambda x: float(f"{x:.3f}"), pl.Float64))

    def score(call, *args):
        try:
            return call(*args, class_ids=CLASSES, protocol=protocol)
        except GestaError as error:
            return type(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "BATCH_ROWS", batch)
        patch.setattr(csv_files, "LEAST_RUN", run)
        patch.setattr(ava_scan, "BLOCK_BYTES", 100)
        patch.setattr(ava, "SCAN_FROM_BYTES", 0)
        streamed = score(evaluate_csv, folder / "g.csv", folder / "d.csv")
    whole = score(frame_map_of, rounded, found)
    if isinstance(whole, type):
        assert streamed is whole
    else:
        np.testing.assert_array_equal(whole.average_precision, streamed[0].average_precision)
        np.testing.assert_equal(whole.mean_ap, streamed[0].mean_ap)


@given(
    st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2), tied_score, st.integers(0, 2)), max_size=40), st.data()
)
def test_heaps_hold_what_heapq_holds_however_the_rows_are_cut(rows, data):
    cap = data.draw(st.sampled_from([0, 1, 4]))
    boxes = Boxes(
        frame_N=np.array([r[0] for r in rows], np.int32), class_N=np.array([r[1] for r in rows], np.int32),
        corners_N4=np.array([[r[3], 0.0, 1.0, 1.0] for r in rows]).reshape(-1, 4),
        score_N=np.array([r[2] for r in rows], float),
    )  # fmt: skip
    expected = {f: [] for f in range(3)}
    for f, c, score, x1 in rows:
        if f < 0 or c < 0:
            continue
        entry = (score, c, 0.0, x1, 1.0, 1.0)
        if cap < 1 or len(expected[f]) < cap:
            heapq.heappush(expected[f], entry)
        elif score > expected[f][0][0]:
            heapq.heapreplace(expected[f], entry)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    found = empty_heaps(3, room=data.draw(st.sampled_from([0, 1, 40])))
    for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        part = slice(low, high)
        piece = Boxes(
            frame_N=boxes.frame_N[part], class_N=boxes.class_N[part], corners_N4=boxes.corners_N4[part],
            score_N=boxes.score_N[part],
        )  # fmt: skip
        found = pushed(found, piece, cap=cap, order="heap")
    for f in range(3):
        start = found.start_F[f]
        held = found.entries_K7[start : start + found.num_F[f], :6]
        assert [tuple(entry) for entry in held.tolist()] == expected[f]


def test_many_entries_of_one_key_frame_are_sorted_as_few_are():
    rng = np.random.default_rng(3)
    rows = [("-a", 0, (0.0, 0.0, 0.5, 0.5), 3)] * 300
    found = frame(rows, rng.integers(0, 5, 300) / 4)
    truth = frame(rows[:2])
    plain = plain_frame_map.outcomes(truth, found, class_ids=CLASSES, cap=0)
    assert outcomes(truth, found, class_ids=CLASSES, cap=0).drop("row", "gt_row").equals(plain.drop("row", "gt_row"))


def test_the_number_of_threads_moves_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    rows = [("v", int(t), (0.0, 0.0, 0.5, 0.5), 3) for t in rng.integers(0, 40, 400)]
    truth, found = frame(rows[:90]), frame(rows, rng.random(400).round(1))
    two = frame_map(truth, found, class_ids=CLASSES).average_precision
    monkeypatch.setattr(heaps, "NUM_THREADS", 7)
    np.testing.assert_array_equal(frame_map(truth, found, class_ids=CLASSES).average_precision, two)


@given(st.lists(st.integers(-3, 9), max_size=9), st.sets(st.integers(-2, 8), min_size=1))
def test_classes_are_found_with_and_without_a_table(class_ids, classes):
    rising = np.array(sorted(classes), np.int64)
    expected = [sorted(classes).index(c) if c in classes else -1 for c in class_ids]
    rows = np.array(class_ids, np.int64)
    assert csv_files._class_indices(rows, rising, np.empty(0, np.int32)).tolist() == expected
    if rising[0] >= 0:
        assert csv_files._class_indices(rows, rising, csv_files._class_table(rising)).tolist() == expected
