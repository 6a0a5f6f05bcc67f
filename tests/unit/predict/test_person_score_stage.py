"""`run_score_persons`: files that evaluation reads, a run that goes on where it was cut, what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl
import pytest
import torch
from tests.unit.predict.coloured_persons import CLASSES, part_of

from gesta.evaluate import evaluate_csv, frame_map
from gesta.formats import read_ava_csv, read_label_map
from gesta.models.person_heads import PersonHead
from gesta.models.trunks import TrunkSpec
from gesta.predict import person_score_stage
from gesta.predict.person_score_stage import run_score_persons
from gesta.predict.person_scores import score_person_set, truth_of
from gesta.schema import BadInput
from gesta.tables import read_rejects, read_table
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons import PersonBoxes, read_ava_persons
from gesta.train.persons.checkpoints import (
    PersonCheckpoint,
    build_recipe_model,
    load_person_checkpoint,
    person_model_of,
    save_person_checkpoint,
)
from gesta.train.persons.recipe import PersonRecipe

RECIPE = PersonRecipe(
    name="small", trunk=TrunkSpec(name="slow_only_small"), head=PersonHead(grid=2),
    frames=ClipFrames(num_frames=8, rate=10, stride=1, side="short", side_px=32, crop_px=32),
    boxes=PersonBoxes(least_score=0.5), epochs=1, clips_per_batch=2, base_lr=0.1, precision="float32",
)  # fmt: skip
FILMS = {f"film{n}": {"left": ("red", "green", "blue", "")[n % 4]} for n in range(12)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        weights = build_recipe_model(RECIPE, num_classes=2).state_dict()
    return save_person_checkpoint(
        tmp_path_factory.mktemp("model") / "model.pt",
        PersonCheckpoint(
            weights=weights, class_ids=tuple(CLASSES), class_names=tuple(CLASSES.values()), recipe=RECIPE,
            data_sha256="", fingerprint="", versions={},
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory):
    return read_ava_persons([part_of(tmp_path_factory.mktemp("films"), "ava", FILMS, wrong=("film3",))])[0]


def test_the_files_are_those_that_evaluation_reads(checkpoint: Path, persons, tmp_path: Path):
    summary = run_score_persons(checkpoint, persons, out=tmp_path, boxes="proposals", least_score=0.0)
    assert summary.line == "score: kept 10, rejected 0"
    table = read_table(tmp_path, "detections")
    model = person_model_of(load_person_checkpoint(checkpoint))
    expected, _ = score_person_set(model, persons, recipe=RECIPE, boxes="proposals", least_score=0.0)
    assert table.equals(expected)
    assert set(table.filter(video_id="film3")["class_id"]) == {1, 2}, "nobody is annotated there"
    written = read_ava_csv(tmp_path / "detections.csv", column_8="score")
    assert written.select(table.columns).equals(table)
    assert read_label_map(tmp_path / "label_map.pbtxt")["name"].to_list() == list(CLASSES.values())
    official = evaluate_csv(tmp_path / "groundtruth.csv", tmp_path / "detections.csv", class_ids=[1, 2])[0]
    assert official.mean_ap == frame_map(truth_of(persons), table, class_ids=[1, 2]).mean_ap
    assert official.num_key_frames == 12
    assert read_ava_csv(tmp_path / "groundtruth.csv").filter(pl.col("x1").is_null()).height == 3
    assert not (tmp_path / "parts").exists()


def test_a_finished_run_is_not_done_again_and_another_question_is(checkpoint: Path, persons, tmp_path: Path):
    run_score_persons(checkpoint, persons, out=tmp_path)
    assert run_score_persons(checkpoint, persons, out=tmp_path).was_current
    assert not run_score_persons(checkpoint, persons, out=tmp_path, boxes="proposals").was_current
    fewer = dataclasses.replace(persons, examples=persons.examples[:4], sha256="other")
    assert run_score_persons(checkpoint, fewer, out=tmp_path).kept == 3


def test_a_cut_run_goes_on_and_gives_the_same_files(checkpoint: Path, persons, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(person_score_stage, "KEY_FRAMES_PER_PART", 3)
    monkeypatch.setattr(person_score_stage, "batches_of", lambda numbers: [(number,) for number in numbers])
    monkeypatch.setattr(person_score_stage, "KEY_FRAMES_PER_BATCH", 1)
    run_score_persons(checkpoint, persons, out=tmp_path / "whole")
    counts: list[int] = []

    def cut(num: int) -> None:
        counts.append(num)
        if sum(counts) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_score_persons(checkpoint, persons, out=tmp_path / "cut", on_key_frames=cut)
    assert len(list((tmp_path / "cut" / "parts").glob("*.npz"))) == 2
    seen: list[int] = []
    run_score_persons(checkpoint, persons, out=tmp_path / "cut", on_key_frames=seen.append)
    assert seen == [6, 1, 1, 1], "six key-frames lay in parts"
    for name in ("detections.parquet", "detections.csv", "groundtruth.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_key_frames_that_cannot_be_read_are_listed(checkpoint: Path, persons, tmp_path: Path):
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    examples = [dataclasses.replace(one, path=tmp_path / "broken.mp4") if one.video_id == "film0" else one
                for one in persons.examples]  # fmt: skip
    broken = dataclasses.replace(persons, examples=tuple(examples))
    summary = run_score_persons(checkpoint, broken, out=tmp_path / "out")
    assert sum(summary.rejected.values()) == 1
    assert read_rejects(tmp_path / "out")["video_id"].to_list() == ["film0"]
    assert read_ava_csv(tmp_path / "out/groundtruth.csv").filter(video_id="film0").height, "its persons count as missed"


def test_what_cannot_be_scored_is_refused(checkpoint: Path, persons, tmp_path: Path):
    other = dataclasses.replace(persons, class_names=("be blue", "be green"))
    with pytest.raises(BadInput, match="class 1 of the labels is 'be blue', and 'be red' in the model"):
        run_score_persons(checkpoint, other, out=tmp_path)
    foreign = dataclasses.replace(persons, class_ids=(8, 9))
    with pytest.raises(BadInput, match="share no class"):
        run_score_persons(checkpoint, foreign, out=tmp_path)
    bare = dataclasses.replace(persons, examples=tuple(
        dataclasses.replace(one, proposals_M5=one.proposals_M5[:0]) for one in persons.examples
    ))  # fmt: skip
    with pytest.raises(BadInput, match=r"no key-frame has a proposal.*--proposals"):
        run_score_persons(checkpoint, bare, out=tmp_path, boxes="proposals")
