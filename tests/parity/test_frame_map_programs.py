"""Frame mAP under four protocols against what the four programs answered; see the README of the stored outputs."""

import contextlib
import csv
import hashlib
import io
import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.golden.frame_map import nasty
from tests.parity import plain_protocols

from gesta.evaluate import csv_files, evaluate_csv, frame_map_of
from gesta.formats import ava_scan, read_ava_csv, read_excluded_timestamps
from gesta.schema import GestaError

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "frame_map" / "cases.jsonl"
PROGRAMS = ["official", "acar", "pyslowfast", "mmaction2"]
MIN_ANSWERED = {"official": 255, "acar": 240, "pyslowfast": 230, "mmaction2": 220}
# MMAction2 computes in float32, but each step of it can be repeated as it is, so nothing looser is needed for it.
TOLERANCE = 1e-12


@pytest.fixture(scope="module")
def cases():
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def tables_of(case, folder):
    """Labels, detections and excluded key-frames of a case, read from csv files as a user's would be."""
    paths = {kind: folder / f"{case['index']}-{kind}.csv" for kind in ("groundtruth", "detections", "excluded")}
    for kind, path in paths.items():
        path.write_text(case[f"{kind}_csv"])
    return (
        read_ava_csv(paths["groundtruth"], column_8="score"),
        read_ava_csv(paths["detections"], column_8="score"),
        read_excluded_timestamps(paths["excluded"]) if case["excluded_csv"] else None,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("frame-map")


@pytest.fixture(scope="module")
def tables(cases, folder):
    return [tables_of(case, folder) for case in cases]


def scored(case, tables, protocol):
    groundtruth, detections, excluded = tables
    return frame_map_of(
        groundtruth, detections, class_ids=case["class_ids"], protocol=protocol,
        excluded=None if protocol == "official" else excluded,
    )  # fmt: skip


def close(value, expected):
    expected = float("nan") if expected is None else expected
    return (np.isnan(value) and np.isnan(expected)) or abs(value - expected) <= TOLERANCE


@pytest.mark.parametrize("protocol", PROGRAMS)
def test_every_number_of_every_case(cases, tables, protocol):
    num_answered, wrong = 0, []
    for case, frames in zip(cases, tables, strict=True):
        stored = case["programs"][protocol]
        if "error" in stored:
            continue
        num_answered += 1
        result = scored(case, frames, protocol)
        pairs = [("mAP", result.mean_ap, stored["mAP"])]
        pairs += [(key, result.of_class(int(key)), expected) for key, expected in stored["AP"].items()]
        wrong += [(case["index"], case["twists"], *pair) for pair in pairs if not close(pair[1], pair[2])]
    assert wrong == []
    assert num_answered >= MIN_ANSWERED[protocol]


@pytest.mark.parametrize("protocol", PROGRAMS)
def test_straight_from_csv_in_small_pieces(cases, folder, tables, monkeypatch, protocol):
    """Detections pass through the heaps a few rows at a time; `tables` wrote the files."""
    monkeypatch.setattr(csv_files, "BATCH_ROWS", 7)
    monkeypatch.setattr(ava_scan, "BLOCK_BYTES", 300)
    for case, frames in zip(cases[::3], tables[::3], strict=True):
        stored = case["programs"][protocol]
        if "error" in stored:
            continue
        result = evaluate_csv(
            *(folder / f"{case['index']}-{kind}.csv" for kind in ("groundtruth", "detections")),
            class_ids=case["class_ids"], protocol=protocol, excluded=None if protocol == "official" else frames[2],
        )[0]  # fmt: skip
        assert close(result.mean_ap, stored["mAP"]), (case["index"], case["twists"])
        assert all(close(result.of_class(int(key)), value) for key, value in stored["AP"].items()), case["index"]


@pytest.mark.parametrize("protocol", PROGRAMS)
def test_what_a_program_cannot_score_is_refused_or_scored_but_never_breaks(cases, tables, protocol):
    """A labelled box that ends before it starts is refused by all; what else a program refuses, ours may read."""
    num_refused = 0
    for case, frames in zip(cases, tables, strict=True):
        error = case["programs"][protocol].get("error", "")
        if not error:
            continue
        if "Invalid box data" in error:
            with pytest.raises(GestaError, match=r"before it starts"):
                scored(case, frames, protocol)
            num_refused += 1
            continue
        with contextlib.suppress(GestaError):
            scored(case, frames, protocol)
    assert num_refused >= 5


@pytest.mark.parametrize("protocol", PROGRAMS)
def test_the_plain_loops_say_what_the_programs_say(cases, protocol):
    for case in cases:
        stored = case["programs"][protocol]
        if "error" in stored:
            with pytest.raises(plain_protocols.RefusedError):
                plain_protocols.scores_of(case, protocol)
            continue
        mean, average = plain_protocols.scores_of(case, protocol)
        assert close(mean, stored["mAP"]), case["index"]
        assert all(close(average[int(key)], expected) for key, expected in stored["AP"].items()), case["index"]


def assert_equal_on_new_cases(folder, protocol, *, first, num):
    """Ours against the plain loops on cases that nobody stored; how many could be scored."""
    num_scored = 0
    for case in nasty.cases(num, first=first):
        frames = tables_of(case, folder)
        try:
            mean, average = plain_protocols.scores_of(case, protocol)
        except plain_protocols.RefusedError as refused:
            with pytest.raises(GestaError) if refused.is_inverted else contextlib.suppress(GestaError):
                scored(case, frames, protocol)
            continue
        result = scored(case, frames, protocol)
        num_scored += 1
        assert close(result.mean_ap, mean), (case["index"], case["twists"])
        assert all(close(result.of_class(key), value) for key, value in average.items()), case["index"]
    return num_scored


@pytest.mark.parametrize("protocol", PROGRAMS)
def test_new_cases(tmp_path, protocol):
    assert assert_equal_on_new_cases(tmp_path, protocol, first=10_000, num=29) > 18


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROGRAMS)
def test_many_new_cases(tmp_path, protocol):
    assert assert_equal_on_new_cases(tmp_path, protocol, first=20_000, num=500) > 350


def test_the_protocols_part_on_these_cases(cases):
    """A case on which all agree proves little."""
    answers = [[case["programs"][name].get("mAP") for name in PROGRAMS] for case in cases]
    for column in range(1, 4):
        assert sum(row[column] != row[0] for row in answers if None not in row) > 90, PROGRAMS[column]


FEATURES = [
    "equal scores", "more than 50 rows in a key-frame", "more than 50 rows of equal scores", "two-column row",
    "fractional time", "whole and fractional of one second", "padded and unpadded time", "excluded key-frame",
    "excluded and labelled key-frame", "class without ground truth", "class without detections", "duplicate detection",
    "duplicate box of another score", "duplicate ground truth", "unknown key-frame", "overlap of exactly one half",
    "empty detections", "no ground truth of these classes", "inverted detection", "flat detection",
    "inverted ground truth", "flat ground truth", "flat meets flat", "other class in ground truth",
    "other class in detections", "key-frame of other classes only", "person ids", "negative score", "4-decimal score",
    "3-decimal box", "full-precision score", "seven-column detection", "scattered rows", "quoted id", "dashed id",
    "equal as float32 only", "all 60 classes", "labelled boxes overlap in a class",
    "more than 50 rows with many twins", "exponents", "numbers in quotes",
]  # fmt: skip


def rows_of(text):
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    return [(row[0], float(row[1]), *map(float, row[2:6]), int(row[6]), row[7:], row) for row in rows if len(row) > 2]


def overlap(a, b):
    width = max(0.0, min(a[4], b[4]) - max(a[2], b[2]))
    height = max(0.0, min(a[5], b[5]) - max(a[3], b[3]))
    union = (a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - width * height
    return width * height / union if union > 0 else 0.0


def by_key(rows):
    found = defaultdict(list)
    for row in rows:
        found[row[:2]].append(row)
    return found


def features_of(case):
    """The names of `FEATURES` that the texts of the case show, whatever they were meant to hold."""
    wanted = set(case["class_ids"])
    truth, found = rows_of(case["groundtruth_csv"]), rows_of(case["detections_csv"])
    texts = [row for key in ("groundtruth_csv", "detections_csv") for row in csv.reader(io.StringIO(case[key]))]
    labels, shown = by_key(row for row in truth if row[6] in wanted), by_key(row for row in found if row[6] in wanted)
    named = {(row[0], float(row[1])) for row in csv.reader(io.StringIO(case["groundtruth_csv"]))}
    excluded = {(row[0], float(row[1])) for row in csv.reader(io.StringIO(case["excluded_csv"]))}
    scores = [float(row[7][0]) for rows in shown.values() for row in rows if row[7]]
    cells = [row[7][0] for row in found if row[7]]
    times = defaultdict(set)
    for row in texts:
        times[row[0], float(row[1])].add(row[1])
    pairs = [(a, b) for key, rows in labels.items() for a in rows for b in shown.get(key, ()) if a[6] == b[6]]
    crowds = [rows for rows in shown.values() if len(rows) > 50]
    order = [row[:2] for row in found]
    tests = {
        "equal scores": len(set(scores)) < len(scores),
        "more than 50 rows in a key-frame": crowds,
        "more than 50 rows of equal scores": any(len({tuple(r[7]) for r in rows}) < 8 for rows in crowds),
        "two-column row": any(len(row) == 2 for row in texts),
        "fractional time": any(key[1] % 1 for key in times),
        "whole and fractional of one second": {k for k in times if k[1] % 1} and {k for k in times if not k[1] % 1},
        "padded and unpadded time": any(len(written) > 1 for written in times.values()),
        "excluded key-frame": excluded & set(shown),
        "excluded and labelled key-frame": excluded & set(labels),
        "class without ground truth": {r[6] for r in found if r[6] in wanted} - {r[6] for r in truth},
        "class without detections": {r[6] for r in truth if r[6] in wanted} - {r[6] for r in found},
        "duplicate detection": len({(*r[:7], *r[7]) for r in found}) < len(found),
        "duplicate box of another score": len({r[:7] for r in found}) < len({(*r[:7], *r[7]) for r in found}),
        "duplicate ground truth": len({r[:7] for r in truth}) < len(truth),
        "unknown key-frame": set(shown) - named,
        "overlap of exactly one half": any(overlap(a, b) == 0.5 for a, b in pairs),
        "empty detections": not case["detections_csv"],
        "no ground truth of these classes": not labels,
        "inverted detection": any(r[2] > r[4] or r[3] > r[5] for r in found if r[6] in wanted),
        "flat detection": any(r[2] == r[4] or r[3] == r[5] for r in found if r[6] in wanted),
        "inverted ground truth": any(r[2] > r[4] or r[3] > r[5] for r in truth if r[6] in wanted),
        "flat ground truth": any(r[2] == r[4] or r[3] == r[5] for r in truth if r[6] in wanted),
        "flat meets flat": any(a[2] == a[4] and b[2] == b[4] for a, b in pairs),
        "other class in ground truth": any(r[6] not in wanted for r in truth),
        "other class in detections": any(r[6] not in wanted for r in found),
        "key-frame of other classes only": ({r[:2] for r in truth} - set(labels)) & set(shown),
        "person ids": any(r[7] and r[7][0].isdigit() for r in truth),
        "negative score": any(score < 0 for score in scores),
        "4-decimal score": any(len(cell.partition(".")[2]) == 4 for cell in cells),
        "3-decimal box": any(all(len(cell.partition(".")[2]) == 3 for cell in r[8][2:6]) for r in found),
        "full-precision score": any(len(cell) > 14 for cell in cells),
        "seven-column detection": any(not r[7] for r in found),
        "scattered rows": len([1 for a, b in pairwise(order) if a != b]) >= len(set(order)),
        "quoted id": '"' in case["groundtruth_csv"],
        "dashed id": "-v_0" in case["groundtruth_csv"],
        "equal as float32 only": len({np.float32(s) for s in scores}) < len(set(scores)),
        "all 60 classes": len(wanted) == 60,
        "labelled boxes overlap in a class": any(
            a is not b and a[6] == b[6] and overlap(a, b) > 0.3 for rows in labels.values() for a in rows for b in rows
        ),
        "more than 50 rows with many twins": any(len({tuple(r[8]) for r in rows}) < len(rows) / 2 for rows in crowds),
        "exponents": any("e" in cell for row in texts for cell in row[2:]),
        "numbers in quotes": ',"' in case["groundtruth_csv"],
    }  # fmt: skip
    assert list(tests) == FEATURES
    return {name for name, holds in tests.items() if holds}


def test_the_cases_are_there_and_nasty(cases):
    assert len(cases) >= 240
    assert all(set(case["programs"]) == set(PROGRAMS) for case in cases)
    counts = Counter(name for case in cases for name in features_of(case))
    rare = {name: counts[name] for name in FEATURES if counts[name] < 5}
    assert rare == {}


def test_a_plain_case_shows_no_feature():
    plain = {
        "class_ids": [1, 2], "groundtruth_csv": "v,0902,0.1,0.1,0.5,0.5,1\n",
        "detections_csv": "v,0902,0.1,0.1,0.5,0.51,1,0.123\n", "excluded_csv": "",
    }  # fmt: skip
    assert features_of(plain) == set()


def test_the_page_beside_the_cases_names_their_hash():
    readme = (GOLDEN.parent / "README.md").read_text()
    assert hashlib.sha256(GOLDEN.read_bytes()).hexdigest() in readme
