"""`gesta score` with a model of persons: mAP, detections, the reason where it is low, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.predict.coloured_persons import ColourModel, Seen, part_of
from tests.unit.predict.test_person_score_stage import FILMS, checkpoint  # noqa: F401 - a fixture

from gesta.cli.main import main
from gesta.cli.person_data import counted_classes, open_persons, person_map
from gesta.cli.score_persons import diagnosis_if_poor
from gesta.evaluate import frame_map
from gesta.formats import ava_label_map, read_ava_csv
from gesta.predict.person_scores import score_person_set, truth_of
from gesta.schema import BadInput, UnknownName

pytestmark = pytest.mark.usefixtures("checkpoint")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory):
    return part_of(tmp_path_factory.mktemp("films"), "ava", FILMS, wrong=("film3",))


def run(*arguments: object, fails: bool = False):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert (result.exit_code != 0) == fails, result.output
    return result.output


def test_a_csv_is_scored_and_evaluated(checkpoint: Path, source, tmp_path: Path):  # noqa: F811
    how = ["score", checkpoint, source.labels, "--videos", source.videos, "--label-map", source.label_map,
           "--proposals", source.proposals, "--out", tmp_path, "--threads", 1]  # fmt: skip
    plan = json.loads(run(*how, "--dry-run", "--json"))
    assert plan == {
        "boxes": "proposals", "num_key_frames": 12, "num_persons": 9, "num_rejected": 2, "num_scored": 10,
    }  # fmt: skip
    assert not list(tmp_path.iterdir())
    value = json.loads(run(*how, "--json"))
    official = frame_map(
        read_ava_csv(tmp_path / "groundtruth.csv"), read_ava_csv(tmp_path / "detections.csv", column_8="score"),
        class_ids=[1, 2],
    )  # fmt: skip
    assert value["mAP"] == official.mean_ap
    assert value["kept"] == 10
    assert set(value["AP"]) == {"1", "2"}
    again = run(*how)
    assert "frame mAP 0." in again
    assert "already done" in again
    files = ["--groundtruth", tmp_path / "groundtruth.csv", "--detections", tmp_path / "detections.csv"]
    scored = json.loads(run("evaluate", "ava", *files, "--label-map", tmp_path / "label_map.pbtxt", "--json"))
    assert scored["mAP"] == official.mean_ap


def test_what_goes_with_the_other_kind_of_model_is_refused(checkpoint: Path, source, tmp_path: Path):  # noqa: F811
    how = ["score", checkpoint, source.labels, "--videos", source.videos, "--out", tmp_path]
    assert "--segments: this is a model of persons" in run(*how, "--segments", 3, fails=True)
    assert "--split goes with a release" in run(*how, "--split", "val", fails=True)
    assert "class 1 of the labels is 'bend/bow (at the waist)'" in run(*how, fails=True)
    with pytest.raises(BadInput, match="--videos goes with a csv"):
        open_persons(tmp_path, videos=tmp_path)


def test_a_file_of_parts_is_scored_by_split(source, tmp_path: Path):
    part = {name: str(getattr(source, name)) for name in ("part", "labels", "videos", "label_map")}
    (tmp_path / "parts.json").write_text(json.dumps({"train": [part], "val": [part | {"part": "other"}]}))
    assert open_persons(tmp_path / "parts.json", split="train")[0].parts == ("ava",)
    assert open_persons(tmp_path / "parts.json")[0].parts == ("other",)
    with pytest.raises(UnknownName, match="no split 'test'"):
        open_persons(tmp_path / "parts.json", split="test")
    world = {"kind": "people", "splits": {"val": [part | {"excluded": None}]}}
    (tmp_path / "world.json").write_text(json.dumps(world))
    assert len(open_persons(tmp_path / "world.json")[0]) == 12


def test_of_avas_80_classes_the_60_count_and_of_others_all():
    names = dict(ava_label_map(80).select("class_id", "name").iter_rows())
    assert len(counted_classes(list(names), list(names.values()))) == 60
    few = {3: names[3], 2: names[2]}
    assert counted_classes(list(few), list(few.values())) == (3, 2), "one who asks for a class wants it counted"
    others = {class_id: f"deed {class_id}" for class_id in names}
    assert len(counted_classes(list(others), list(others.values()))) == 80


def test_a_poor_score_is_looked_into_and_a_good_one_is_not(source):
    persons, _ = open_persons(source.labels, videos=source.videos, label_map=source.label_map)
    found, _ = score_person_set(ColourModel(), persons, recipe=Seen(), least_score=0.0)
    truth = truth_of(persons)
    how = {"class_ids": [1, 2], "label_map": None}
    good = frame_map(truth, found, class_ids=[1, 2]).mean_ap
    assert good == 1.0
    assert diagnosis_if_poor(truth, found, mean_ap=good, chance=0.4, **how) is None
    late = found.with_columns(timestamp_us=found["timestamp_us"] + 900_000_000)
    why = diagnosis_if_poor(truth, late, mean_ap=0.0, chance=0.0, **how)
    assert why is not None
    assert why.findings[0].kind == "times"
    assert why.mean_ap_mended == 1.0


def test_the_measure_of_a_training_is_the_official_map(source):
    from gesta.predict.person_scores import batches_of, iter_person_scores, numbers_with_boxes

    persons, _ = open_persons(source.labels, videos=source.videos, label_map=source.label_map)
    numbers = numbers_with_boxes(persons, boxes="truth", rules=Seen().boxes)
    for part in iter_person_scores(ColourModel(), persons, recipe=Seen(), batches=batches_of(numbers, size=20)):
        assert person_map(persons, part.numbers_N, part.boxes_N4, part.scores_NK) == {"map": 1.0}
        assert person_map(persons, part.numbers_N, part.boxes_N4, 1 - part.scores_NK)["map"] < 0.7
