"""The nine cells against plain counting, the union that is no mean, ids that do not mix, and files read back."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.evaluate import frame_map, score_ava
from gesta.evaluate.joint_files import (
    benchmark_text,
    printed_of,
    read_benchmark,
    table_markdown,
    table_rows,
    write_tables,
)
from gesta.evaluate.joint_tables import (
    PARTS_OF,
    SETS,
    Benchmark,
    Truths,
    cells_of,
    chances_of,
    class_rows,
    gain_rows,
    samples_of,
    scored_on,
    spread_of,
    union_of,
    write_benchmark,
)
from gesta.formats import ava_label_map, write_ava_csv, write_detections_csv
from gesta.schema import BadInput

CLASSES = [1, 2]
COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"]


def truth_of(rows: list[tuple]) -> pl.DataFrame:
    """video, key-frame, place of the box (None = an empty key-frame), class."""
    return pl.DataFrame(
        [
            (video, key, *((None,) * 4 if place is None else (place / 10, 0.0, place / 10 + 0.1, 1.0)), class_id)
            for video, key, place, class_id in rows
        ],
        schema=dict(zip(COLUMNS, [pl.String, pl.Int64, *[pl.Float64] * 4, pl.Int64], strict=True)), orient="row",
    )  # fmt: skip


def found_of(rows: list[tuple]) -> pl.DataFrame:
    """video, key-frame, place of the box, class, score."""
    frame = truth_of([row[:4] for row in rows])
    return frame.with_columns(score=pl.Series([row[4] for row in rows], dtype=pl.Float64))


def plain_map(truth: list[tuple], found: list[tuple]) -> float:
    """The mAP by counting: boxes are the same or apart, scores differ, nobody has 50 rows."""
    aps = []
    for class_id in CLASSES:
        wanted = [row[:3] for row in truth if row[3] == class_id]
        if not wanted:
            continue
        keys = {row[:2] for row in truth}
        ranked = sorted((row for row in found if row[3] == class_id and row[:2] in keys), key=lambda row: -row[4])
        taken, points = set(), []
        for rank, row in enumerate(ranked, start=1):
            if row[:3] in wanted and row[:3] not in taken:
                taken.add(row[:3])
            points.append((len(taken) / len(wanted), len(taken) / rank))
        ap, last = 0.0, 0.0
        for recall, _ in points:
            if recall > last:
                ap += (recall - last) * max(p for r, p in points if r >= recall)
                last = recall
        aps.append(ap)
    return float(np.mean(aps)) if aps else math.nan


AVA_TRUTH = [("a", 1, 0, 1), ("a", 1, 2, 2), ("a", 2, 0, 1), ("b", 1, None, None)]
KIN_TRUTH = [("k", 5, 0, 1), ("a", 1, 4, 2), ("l", 1, None, None)]
"""A film and a clip are both called "a"."""


@st.composite
def made_up(draw):
    """Truth and detections of both parts; scores differ in a part and between parts."""
    truths, founds, scores = {}, {}, iter(draw(st.permutations([n / 100 for n in range(1, 60)])))
    for part, rows in (("ava", AVA_TRUTH), ("kinetics", KIN_TRUTH)):
        what = st.sampled_from(CLASSES)
        more = st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(5, 8), what)
        truths[part] = [*rows, *draw(st.lists(more, max_size=3, unique=True))]
        places = st.tuples(st.sampled_from("abkl"), st.sampled_from([1, 2, 5]), st.integers(0, 8), what)
        founds[part] = [(*row, next(scores)) for row in draw(st.lists(places, min_size=1, max_size=14, unique=True))]
    return truths, founds


@given(made_up())
def test_cells_are_those_of_plain_counting(case):
    truths, founds = case
    cells = cells_of(
        Truths(whole={part: truth_of(rows) for part, rows in truths.items()}),
        {part: found_of(rows) for part, rows in founds.items()},
        trained_on="ava", split="val", boxes="truth", seed=0, class_ids=CLASSES,
    )  # fmt: skip
    assert [cell.evaluated_on for cell in cells] == list(SETS)
    both = [
        [(f"{part}/{row[0]}", *row[1:]) for part in ("ava", "kinetics") for row in of[part]] for of in (truths, founds)
    ]
    expected = [plain_map(truths[part], founds[part]) for part in ("ava", "kinetics")] + [plain_map(*both)]
    assert [cell.mean_ap for cell in cells] == pytest.approx(expected, nan_ok=True)


def test_the_union_is_one_ranking_and_no_mean():
    truths = {"ava": truth_of([("a", 1, 0, 1)]), "kinetics": truth_of([("k", 1, 0, 1)])}
    founds = {
        "ava": found_of([("a", 1, 0, 1, 0.3), ("a", 1, 5, 1, 0.2)]),
        "kinetics": found_of([("k", 1, 5, 1, 0.9), ("k", 1, 0, 1, 0.8)]),
    }
    values = [scored_on(truths, founds, evaluated_on=name, class_ids=[1]).mean_ap for name in SETS]
    # Ranked together: wrong, right, right, wrong: precision 1/2 at half of the recall and 2/3 at all of it.
    assert values == pytest.approx([1.0, 0.5, 2 / 3])


def test_videos_of_one_name_in_two_parts_do_not_meet():
    truths = {"ava": truth_of([("a", 1, 0, 1)]), "kinetics": truth_of([("a", 1, 3, 1)])}
    founds = {"ava": found_of([("a", 1, 3, 1, 0.9)]), "kinetics": found_of([("a", 1, 0, 1, 0.8)])}
    assert scored_on(truths, founds, evaluated_on="ava-kinetics", class_ids=[1]).mean_ap == 0.0
    mixed = frame_map(pl.concat(truths.values()), pl.concat(founds.values()), class_ids=[1])
    assert mixed.mean_ap == 1.0, "mixed up, each part's detections would be right on the other's key-frame"
    with pytest.raises(BadInput, match="there is no part 'kinetics'"):
        union_of({"ava": truths["ava"]}, PARTS_OF["ava-kinetics"])


def test_an_empty_key_frame_counts_in_the_part_and_in_the_union():
    truths = {"ava": truth_of([("a", 1, 0, 1), ("b", 1, None, None)]), "kinetics": truth_of([("k", 1, 0, 1)])}
    founds = {
        "ava": found_of([("b", 1, 0, 1, 0.9), ("a", 1, 0, 1, 0.8)]), "kinetics": found_of([("k", 1, 0, 1, 0.7)]),
    }  # fmt: skip
    values = [scored_on(truths, founds, evaluated_on=name, class_ids=[1]).mean_ap for name in SETS]
    assert values == pytest.approx([0.5, 1.0, 2 / 3])


def test_the_union_equals_gesta_evaluate_on_real_files(shared: Path, tmp_path: Path):
    """One film with real detections beside half of AVA-Kinetics val, which has none."""
    home = shared / "golden/slowfast_1j20qq1JyX4"
    from gesta.formats import read_ava_csv

    classes = ava_label_map(60)["class_id"].to_list()
    ava, found = read_ava_csv(home / "groundtruth_7col.csv"), read_ava_csv(home / "detections.csv", column_8="score")
    kinetics = read_ava_csv(shared / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv")
    kin_found = kinetics.drop_nulls("class_id").with_columns(score=pl.lit(0.5))
    truths, founds = {"ava": ava, "kinetics": kinetics}, {"ava": found, "kinetics": kin_found}
    write_detections_csv(tmp_path / "found.csv", pl.concat([found, kin_found], how="diagonal"))
    write_ava_csv(tmp_path / "ava.csv", ava)
    paths = [tmp_path / "ava.csv", shared / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv"]
    scores = score_ava(paths, [tmp_path / "found.csv"], class_ids=classes)
    ours = [scored_on(truths, founds, evaluated_on=name, class_ids=classes).mean_ap for name in SETS]
    assert ours == pytest.approx([score.mean_ap for score in scores], abs=1e-4)  # scores tie; ids order the ties
    assert ours[0] == pytest.approx(0.2800, abs=1e-3)


def test_the_small_official_pair_is_a_cell(shared: Path):
    from gesta.formats import read_ava_csv, read_label_map

    home = shared / "golden/mmaction2_eval_detection"
    classes = read_label_map(home / "action_list.txt")["class_id"].to_list()
    truth, found = read_ava_csv(home / "gt.csv"), read_ava_csv(home / "pred.csv", column_8="score")
    cell = cells_of(Truths(whole={"ava": truth}), {"ava": found}, trained_on="ava", split="val", boxes="detected",
                    seed=0, class_ids=classes)  # fmt: skip
    assert [(one.evaluated_on, one.mean_ap) for one in cell] == [("ava", pytest.approx(0.09385521885521886))]


def test_what_is_missing_or_unnamed_is_scored_beside():
    whole = {"ava": truth_of([("a", 1, 0, 1), ("gone", 1, 0, 1), ("b", 1, None, None)])}
    at_hand = {"ava": truth_of([("a", 1, 0, 1), ("b", 1, None, None)])}
    named = {"ava": truth_of([("a", 1, 0, 1), ("gone", 1, 0, 1)])}
    found = {"ava": found_of([("b", 1, 0, 1, 0.9), ("a", 1, 0, 1, 0.8)])}
    (cell,) = cells_of(Truths(whole=whole, at_hand=at_hand, named=named), found, trained_on="ava", split="val",
                       boxes="detected", seed=0, class_ids=[1])  # fmt: skip
    assert (cell.mean_ap, cell.mean_ap_at_hand, cell.mean_ap_named) == (0.25, 0.5, 0.5)
    (same,) = cells_of(Truths(whole=whole, at_hand=whole, named=whole), found, trained_on="ava", split="val",
                       boxes="detected", seed=0, class_ids=[1])  # fmt: skip
    assert same.mean_ap_at_hand is None
    assert same.mean_ap_named is None


def benchmark(seeds: tuple[int, ...] = (0,)) -> Benchmark:
    """Models that get better with the data they saw, on made-up sets."""
    rng = np.random.default_rng(0)
    truths = {
        part: truth_of([(f"{part}{n}", 1, place, 1 + (n + place) % 2) for n in range(6) for place in (0, 5)])
        for part in ("ava", "kinetics")
    }
    cells, chance = [], []
    for split in ("val", "test"):
        for boxes in ("truth", "detected"):
            for trained_on in SETS:
                for seed in seeds:
                    founds = {}
                    for part, truth in truths.items():
                        knows = 3.0 if part in PARTS_OF[trained_on] else 1.0
                        rows = pl.concat([truth.with_columns(class_id=pl.lit(c, dtype=pl.Int64)) for c in CLASSES])
                        right = (rows["class_id"] == pl.concat([truth["class_id"]] * 2)).cast(pl.Float64)
                        score = 1 / (1 + np.exp(-(knows * right.to_numpy() + rng.normal(size=len(rows)))))
                        founds[part] = rows.with_columns(score=pl.Series(score))
                    cells += cells_of(Truths(whole=truths), founds, trained_on=trained_on, split=split, boxes=boxes,
                                      seed=seed, class_ids=CLASSES)  # fmt: skip
            chance += chances_of(truths, founds, split=split, boxes=boxes, class_ids=CLASSES)
    return Benchmark(
        recipe="made-up", class_ids=(1, 2), class_names=("stand", "sit, or crouch"), categories={1: "person movement"},
        samples={"ava": {1: 10, 2: 4}, "kinetics": {1: 5, 2: 12}}, cells=tuple(cells), chance=tuple(chance),
        notes={"accounting": []},
    )  # fmt: skip


def test_a_benchmark_is_read_back(tmp_path: Path):
    one = benchmark()
    write_benchmark(tmp_path / "benchmark.json", one)
    assert read_benchmark(tmp_path / "benchmark.json") == one
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(BadInput, match="is no benchmark of gesta's"):
        read_benchmark(tmp_path / "other.json")
    with pytest.raises(BadInput, match="cannot be read"):
        read_benchmark(tmp_path / "none.json")


def test_seeds_give_mean_and_spread():
    one = benchmark(seeds=(0, 1, 2))
    values = [c.mean_ap for c in one.cells
              if (c.trained_on, c.evaluated_on, c.split, c.boxes) == ("ava", "kinetics", "val", "truth")]  # fmt: skip
    assert len(values) == 3
    row = table_rows(one, boxes="truth").row(by_predicate=(pl.col("trained_on") == "ava")
        & (pl.col("evaluated_on") == "kinetics") & (pl.col("split") == "val"), named=True)  # fmt: skip
    assert row["mAP"] == pytest.approx(np.mean(values))
    assert row["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert row["num_seeds"] == 3
    assert spread_of([]) is None
    assert spread_of([math.nan, 0.5]) == spread_of([0.5])


def test_tables_stand_beside_the_papers(tmp_path: Path):
    paper = printed_of(pl.DataFrame({
        "boxes": ["truth"], "trained_on": ["ava"], "evaluated_on": ["ava"], "split": ["val"], "map_percent": [27.47],
    }))  # fmt: skip
    one = benchmark()
    paths = write_tables(tmp_path, one, printed=paper)
    assert {path.name for path in paths} == {
        "table_4.json", "table_4.csv", "table_4.md", "table_5.json", "table_5.csv", "table_5.md", "classes_ava.csv",
        "classes_kinetics.csv", "classes_ava-kinetics.csv", "gain.csv",
    }  # fmt: skip
    lines = table_markdown(one, boxes="truth", printed=paper).splitlines()
    assert lines[0] == "| trained on | AVA val / test | Kinetics val / test | AVA-Kinetics val / test |"
    assert lines[6] == "| AVA train, the paper | 27.47 / - | - / - | - / - |"
    rows = json.loads((tmp_path / "table_4.json").read_text())["rows"]
    assert len(rows) == 18
    assert rows[0]["paper_mAP"] == pytest.approx(0.2747)
    assert rows[0]["mAP"] == next(c.mean_ap for c in one.cells if c.split == "val" and c.boxes == "truth")
    csv = pl.read_csv(tmp_path / "table_5.csv")
    assert csv["paper_mAP"].null_count() == 18
    assert "table 5 (detected boxes): frame mAP in percent" in benchmark_text(one, printed=paper)


def test_cells_that_were_not_scored_are_not_made_up(tmp_path: Path):
    one = benchmark()
    less = dataclasses.replace(
        one, cells=tuple(cell for cell in one.cells if cell.boxes == "truth" and cell.trained_on != "kinetics")
    )
    rows = table_rows(less, boxes="truth").filter(trained_on="kinetics")
    assert rows["mAP"].null_count() == 6
    assert table_markdown(less, boxes="truth").splitlines()[3] == "| Kinetics train | - / - | - / - | - / - |"
    assert "table 5 (detected boxes): nothing was scored" in benchmark_text(less)
    assert not any(path.name.startswith("table_5") for path in write_tables(tmp_path, less))
    assert class_rows(less, evaluated_on="ava")["ap_kinetics"].null_count() == 2


def test_classes_and_gains_are_those_of_the_cells():
    one = benchmark()
    rows = class_rows(one, evaluated_on="ava-kinetics")
    assert rows["class_id"].to_list() == [2, 1], "most samples of both first"
    assert rows["num_ava-kinetics"].to_list() == [16, 15]
    assert samples_of(one, "ava-kinetics", 1) == 15
    of = {c.trained_on: c.by_class for c in one.cells
          if (c.evaluated_on, c.split, c.boxes) == ("ava-kinetics", "val", "truth")}  # fmt: skip
    gains = dict(gain_rows(one).select("class_id", "gain").iter_rows())
    assert gains == {c: pytest.approx(of["ava-kinetics"][c] - of["ava"][c], abs=1e-9) for c in CLASSES}
    assert dict(gain_rows(one).select("class_id", "added").iter_rows()) == {1: 0.5, 2: 3.0}
    bare = dataclasses.replace(one, samples={"ava": {1: 0, 2: 4}, "kinetics": {1: 5}})
    assert dict(gain_rows(bare).select("class_id", "added").iter_rows()) == {1: None, 2: 0.0}


def test_chance_is_that_of_the_boxes_and_not_of_the_models_rows():
    truths = {"ava": truth_of([(f"v{n}", 1, 0, 1 + n % 2) for n in range(200)])}
    whole = found_of([(f"v{n}", 1, 0, c, 0.5) for n in range(200) for c in CLASSES])
    sure = whole.filter(pl.col("class_id") == 1)
    how = {"split": "val", "boxes": "truth", "class_ids": CLASSES}
    (one,), (other,) = (chances_of(truths, {"ava": found}, **how) for found in (whole, sure))
    assert one.evaluated_on == "ava"
    assert one.mean_ap == pytest.approx(0.5, abs=0.08), "half of the boxes do each class"
    assert other == one
