"""One hand-made error of each kind, and groups by hand."""

import polars as pl
import pytest

from gesta.evaluate.breakdown import error_breakdown
from gesta.evaluate.groups import category_of_classes, group_scores
from gesta.schema import BadInput

A = (0.0, 0.0, 0.4, 0.4)
NEAR_A = (0.0, 0.2, 0.4, 0.6)  # overlap 1/3
FAR = (0.6, 0.6, 1.0, 1.0)
B = (0.6, 0.0, 1.0, 0.4)


def rows(*entries):
    """(second, box, class, score) rows of one video."""
    schema = {"video_id": pl.String, "timestamp_us": pl.Int64} | dict.fromkeys(["x1", "y1", "x2", "y2"], pl.Float64)
    values = [("v", second * 1_000_000, *box, class_id, score) for second, box, class_id, score in entries]
    return pl.DataFrame(values, schema=schema | {"class_id": pl.Int64, "score": pl.Float64}, orient="row")


def costs_of(truth, found, class_ids=(1, 2, 3)):
    result = error_breakdown(truth, found, class_ids=class_ids)
    return {cost.kind: (cost.count, round(cost.gain, 6)) for cost in result.costs if cost.count}


def test_a_wrong_action_of_a_person_takes_the_label_that_nobody_found():
    truth = rows((1, A, 1, 1.0), (1, A, 2, 1.0))
    # Class 3 is wrong; label 2 of that person was not found; class 3 has no ground truth, so only class 2 gains.
    assert costs_of(truth, rows((1, A, 1, 0.9), (1, A, 3, 0.8))) == {
        "classification": (1, 0.5), "false positives": (1, 0.0), "false negatives": (1, 0.5),
    }  # fmt: skip


def test_a_repaired_action_stands_where_its_score_puts_it():
    truth = rows((1, A, 2, 1.0), (2, A, 2, 1.0))
    # Class 2: right at 0.9, repaired at 0.7, on nothing at 0.5.
    found = rows((1, A, 2, 0.9), (2, A, 3, 0.7), (2, FAR, 2, 0.5))
    result = error_breakdown(truth, found, class_ids=[2, 3])
    assert {cost.kind: cost.mean_ap for cost in result.costs}["classification"] == 1.0


def test_a_wrong_action_of_a_person_whose_labels_are_found_is_left_out():
    truth = rows((1, A, 1, 1.0), (2, A, 2, 1.0))
    found = rows((1, A, 1, 0.9), (1, A, 2, 0.8), (2, A, 2, 0.7))
    assert costs_of(truth, found) == {"classification": (1, 0.25), "false positives": (1, 0.25)}


def test_a_person_with_labels_that_do_not_count_is_a_person_still():
    truth = rows((1, A, 9, 1.0), (1, FAR, 1, 1.0))
    found = rows((1, A, 1, 0.9), (1, FAR, 1, 0.8))
    assert costs_of(truth, found) == {"classification": (1, 0.5), "false positives": (1, 0.5)}


def test_a_second_detection_of_a_label_is_a_duplicate_though_the_person_has_other_labels():
    truth = rows((1, A, 1, 1.0), (1, A, 2, 1.0), (2, A, 1, 1.0))
    found = rows((1, A, 1, 0.9), (1, A, 1, 0.8), (2, A, 1, 0.7), (1, A, 2, 0.6))
    assert costs_of(truth, found)["duplicate"] == (1, pytest.approx(1 / 12, abs=1e-6))
    assert "classification" not in costs_of(truth, found)


def test_a_box_beside_its_person_is_moved():
    truth = rows((1, A, 1, 1.0))
    assert costs_of(truth, rows((1, NEAR_A, 1, 0.9))) == {
        "localisation": (1, 1.0), "false positives": (1, 0.0), "false negatives": (1, 0.0),
    }  # fmt: skip


def test_only_the_highest_of_two_is_moved_and_a_box_that_is_claimed_moves_nobody():
    truth = rows((1, A, 1, 1.0), (2, A, 1, 1.0))
    found = rows((1, A, 1, 0.5), (1, NEAR_A, 1, 0.9), (2, NEAR_A, 1, 0.4), (2, NEAR_A, 1, 0.3))
    # Left: right at 0.5, moved at 0.4.
    result = error_breakdown(truth, found, class_ids=[1])
    assert result.mean_ap == 0.25
    costs = {cost.kind: cost for cost in result.costs}
    assert (costs["localisation"].count, costs["localisation"].mean_ap) == (3, 1.0)
    assert costs["missed"].count == 0


def test_on_a_person_counts_before_beside_the_right_one():
    # The box is B's, whose action is 2, and a third over the person beside it, whose action is 1.
    near_b = (0.6, 0.2, 1.0, 0.6)
    truth = rows((1, B, 2, 1.0), (1, near_b, 1, 1.0))
    assert costs_of(truth, rows((1, B, 1, 0.9)))["classification"][0] == 1


def test_both_and_background_and_missed():
    truth = rows((1, A, 1, 1.0), (1, FAR, 2, 1.0), (2, A, 2, 1.0))
    found = rows((1, A, 1, 0.5), (1, NEAR_A, 2, 0.9), (2, FAR, 2, 0.8), (2, A, 2, 0.7))
    # Class 2: two wrong ones above the one that is right, and a label that nothing comes near.
    assert costs_of(truth, found) == {
        "both": (1, pytest.approx(1 / 2 * (1 / 2 - 1 / 3) / 2, abs=1e-6)),
        "background": (1, pytest.approx(1 / 2 * (1 / 2 - 1 / 3) / 2, abs=1e-6)),
        "missed": (1, pytest.approx((1 / 3 - 1 / 6) / 2, abs=1e-6)),
        "false positives": (2, pytest.approx((1 / 2 - 1 / 6) / 2, abs=1e-6)),
        "false negatives": (1, pytest.approx((1 / 3 - 1 / 6) / 2, abs=1e-6)),
    }


def test_a_class_of_which_everything_is_missed_is_one_without_its_missed_labels():
    truth = rows((1, A, 1, 1.0), (1, FAR, 2, 1.0))
    assert costs_of(truth, rows((1, A, 1, 0.5)))["missed"] == (1, 0.5)


def test_a_background_threshold_above_the_other_is_refused():
    with pytest.raises(BadInput, match=r"background_iou=0\.6\. Want 0 to 0\.5"):
        error_breakdown(rows((1, A, 1, 1.0)), rows((1, A, 1, 1.0)), class_ids=[1], background_iou=0.6)


def groups(truth, found, **more):
    table = group_scores(truth, found, **({"class_ids": [1, 2, 3]} | more))
    shown = table.select("group", "mean_ap", "num_groundtruth", "num_detections", "num_right")
    return {row[0]: row[1:] for row in shown.iter_rows() if row[2] or row[3]}


def test_a_detection_that_reaches_a_box_is_of_that_boxs_size():
    truth = rows((1, (0.0, 0.0, 0.24, 0.24), 1, 1.0))
    slightly_larger, elsewhere = (0.0, 0.0, 0.26, 0.26), (0.5, 0.5, 0.8, 0.8)
    found = rows((1, slightly_larger, 1, 0.9), (1, elsewhere, 1, 0.8))
    assert groups(truth, found, kinds=["size"]) == {"0 to 0.25": (1.0, 1, 1, 1), "0.25 to 0.5": (None, 0, 1, 0)}


def test_persons_are_distinct_boxes_of_a_key_frame():
    truth = rows((1, A, 1, 1.0), (1, A, 2, 1.0), (2, A, 1, 1.0), (2, FAR, 3, 1.0))
    found = rows((1, A, 1, 0.9), (2, A, 1, 0.8), (2, A, 1, 0.7))
    assert groups(truth, found, kinds=["persons"]) == {"1": (0.5, 2, 1, 1), "2": (0.5, 2, 2, 1)}


def test_frequency_may_be_that_of_another_set():
    truth = rows((1, A, 1, 1.0), (1, A, 2, 1.0), (1, A, 3, 1.0))
    counts = {1: 1000, 2: 999, 3: 99}
    assert groups(truth, truth, kinds=["frequency"], class_counts=counts) == {
        "head (1,000 and more)": (1.0, 1, 1, 1), "middle (100 to 999)": (1.0, 1, 1, 1),
        "tail (below 100)": (1.0, 1, 1, 1),
    }  # fmt: skip
    assert list(groups(truth, truth, kinds=["frequency"])) == ["tail (below 100)"]


def test_categories_of_avas_two_label_maps_and_of_none():
    names = pl.DataFrame({"class_id": [12, 17, 80], "name": ["stand", "carry/hold (an object)", "watch (a person)"]})
    assert list(category_of_classes(names).values()) == [
        "person movement", "object manipulation", "person interaction",
    ]  # fmt: skip
    labelled = names.with_columns(category=pl.Series(["PERSON_MOVEMENT", None, "X"]))
    assert category_of_classes(labelled) == {12: "person movement", 80: "x"}
    assert category_of_classes(pl.DataFrame({"class_id": [12], "name": ["juggle"]})) == {}
    truth = rows((1, A, 1, 1.0), (1, A, 2, 1.0))
    assert list(groups(truth, truth, kinds=["category"], categories={2: "b"})) == ["b", "none"]


def test_an_unknown_kind_is_named():
    with pytest.raises(BadInput, match=r"no kind of group 'colour'\. There are: category, frequency"):
        group_scores(rows((1, A, 1, 1.0)), rows((1, A, 1, 1.0)), class_ids=[1], kinds=["colour"])


def test_a_real_model_errs_by_action_and_hardly_by_box(shared):
    from gesta.evaluate.stage import read_detections
    from gesta.formats import read_label_map

    folder = shared / "golden/slowfast_1j20qq1JyX4"
    label_map = read_label_map(shared / "annotations/ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt")
    truth, found = (read_detections(folder / name) for name in ("groundtruth.csv", "detections.csv"))
    result = error_breakdown(truth, found, class_ids=label_map["class_id"].to_list())
    assert result.mean_ap == pytest.approx(0.2805688428967599, abs=1e-12)
    assert result.mean_ap_without_errors == 1.0
    assert max(result.costs[:6], key=lambda cost: cost.gain).kind == "classification"
