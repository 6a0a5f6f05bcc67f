"""Frame mAP against what the official AVA program printed; see the README of the stored outputs."""

import csv
import io
import json
import re

import numpy as np
import polars as pl
import pytest

from gesta.evaluate import frame_map
from gesta.schema import parse_seconds

SCHEMA = {
    "video_id": pl.String, "timestamp_us": pl.Int64, "x1": pl.Float64, "y1": pl.Float64, "x2": pl.Float64,
    "y2": pl.Float64, "class_id": pl.Int64, "score": pl.Float64,
}  # fmt: skip


def rows_of(text):
    """What the official program reads: 2, 7 or 8 columns, the eighth a score."""
    rows = []
    for row in csv.reader(io.StringIO(text)):
        box = [*map(float, row[2:6]), int(row[6])] if len(row) > 2 else [None] * 5
        rows.append([row[0], parse_seconds(row[1]), *box, float(row[7]) if len(row) == 8 else 1.0])
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.fixture(scope="module")
def ids(shared):
    text = (shared / "annotations/ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt").read_text()
    pairs = zip(re.findall(r'name: "(.*)"', text), re.findall(r"id: (\d+)", text), strict=True)
    found = {name: int(number) for name, number in pairs}
    assert len(found) == 60
    return found


def assert_equal(result, stored, ids):
    for name, expected in stored["AP"].items():
        assert result.of_class(ids[name]) == pytest.approx(
            np.nan if expected is None else expected, abs=1e-12, nan_ok=True
        )
    assert result.mean_ap == pytest.approx(np.nan if stored["mAP"] is None else stored["mAP"], abs=1e-12, nan_ok=True)


def test_all_120_stored_cases(shared, ids):
    lines = (shared / "golden/ava_official/cases.jsonl").read_text().splitlines()
    assert len(lines) == 120
    for line in lines:
        case = json.loads(line)
        result = frame_map(
            rows_of(case["groundtruth_csv"]), rows_of(case["detections_csv"]), class_ids=list(ids.values())
        )
        assert_equal(result, case, ids)


@pytest.mark.parametrize("groundtruth", ["groundtruth.csv", "groundtruth_7col.csv"])
def test_a_real_model_on_a_real_film(shared, ids, groundtruth):
    folder = shared / "golden/slowfast_1j20qq1JyX4"
    stored = json.loads((folder / "official.json").read_text())
    tables = rows_of((folder / groundtruth).read_text()), rows_of((folder / "detections.csv").read_text())
    # The stored number is the plain program's, whose order among these four-decimal scores is that of NumPy's default
    # sort: 0.28001667 with AVX2 and 0.28061207 without (run with NPY_DISABLE_CPU_FEATURES=X86_V3).
    replayed = frame_map(*tables, class_ids=list(ids.values()), ties="numpy")
    if replayed.mean_ap != pytest.approx(0.28061206629996555, abs=1e-12):
        assert_equal(replayed, stored, ids)
    # The same program with both its argsorts made stable.
    stable = frame_map(*tables, class_ids=list(ids.values()))
    assert stable.mean_ap == pytest.approx(0.2805688428967599, abs=1e-12)
    assert np.isfinite(stable.average_precision).sum() == 12


def test_without_a_cap_the_number_is_another(shared, ids):
    folder = shared / "golden/slowfast_1j20qq1JyX4"
    tables = rows_of((folder / "groundtruth.csv").read_text()), rows_of((folder / "detections.csv").read_text())
    uncapped = frame_map(*tables, class_ids=list(ids.values()), cap=0, ties="numpy").mean_ap
    assert uncapped == pytest.approx(0.283793, abs=5e-4)


def test_mmaction2s_own_example(shared):
    folder = shared / "golden/mmaction2_eval_detection"
    tables = rows_of((folder / "gt.csv").read_text()), rows_of((folder / "pred.csv").read_text())
    assert frame_map(*tables, class_ids=[1, 2, 3]).mean_ap == pytest.approx(0.09385521885521886, abs=1e-12)
