"""The benchmark's input is what its page says, on every machine the same."""

import re

from benchmarks import evaluate_input

from gesta.formats import read_ava_csv

NUM_FILMS = 1


def test_its_classes_are_those_that_ava_scores(shared):
    text = (shared / "annotations/ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt").read_text()
    assert [int(number) for number in re.findall(r"id: (\d+)", text)] == evaluate_input.CLASS_IDS


def test_twice_the_same_and_of_the_size_that_is_claimed(tmp_path):
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(evaluate_input.make_input(tmp_path / name, num_films=NUM_FILMS))
    for kind in ("groundtruth", "detections"):
        assert getattr(made[0], kind).read_bytes() == getattr(made[1], kind).read_bytes()
    share = NUM_FILMS / evaluate_input.NUM_FILMS
    truth = read_ava_csv(made[0].groundtruth)
    key, box = ["video_id", "timestamp_us"], ["x1", "y1", "x2", "y2"]
    assert abs(truth.n_unique(key) / (evaluate_input.NUM_LABELLED_FRAMES * share) - 1) < 0.01
    assert abs(truth.n_unique([*key, *box]) / (evaluate_input.NUM_PERSONS * share) - 1) < 0.01
    found = read_ava_csv(made[0].detections, column_8="score")
    assert len(found) == made[0].num_detections
    assert abs(len(found) / (3.24e6 * share) - 1) < 0.1
    assert found["score"].min() > evaluate_input.MIN_SCORE
    assert set(found["class_id"]) <= set(evaluate_input.CLASS_IDS)
    assert found.n_unique([*key, *box, "class_id"]) > 0.999 * len(found)


def test_more_rows_are_other_films_or_other_scores(tmp_path):
    base = evaluate_input.make_input(tmp_path, num_films=NUM_FILMS)
    num_rows = base.num_detections * 2 + 1_000
    for by, num_films in (("films", 3), ("boxes", 1)):
        made = evaluate_input.make_scaled(tmp_path, base, num_rows=num_rows, by=by)
        found = read_ava_csv(made.detections, column_8="score")
        assert len(found) == num_rows
        assert found["video_id"].n_unique() == num_films
        assert found.n_unique() > 0.999 * num_rows
        assert len(read_ava_csv(made.groundtruth)) == made.num_groundtruth == base.num_groundtruth * num_films
