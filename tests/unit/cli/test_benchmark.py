"""`gesta benchmark ava-kinetics` from films to the page, on coloured rectangles: cells, resuming, checks, refusals."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from tests.unit.predict.coloured_persons import part_of

from gesta.cli.benchmark import draw_figures, papers_numbers
from gesta.cli.main import main
from gesta.evaluate import frame_map
from gesta.evaluate.joint_files import read_benchmark
from gesta.evaluate.joint_tables import SETS, union_of
from gesta.formats import read_ava_csv
from gesta.models.person_heads import PersonHead
from gesta.models.trunks import TrunkSpec
from gesta.tables import read_table
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons import PersonAugment, PersonBoxes
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import PERSON_RECIPES


def tiny() -> PersonRecipe:
    return PersonRecipe(
        name="tiny_colours", trunk=TrunkSpec(name="slow_only_small"), head=PersonHead(grid=2, dropout=0.0),
        frames=ClipFrames(num_frames=8, rate=10, stride=1, side="short", side_px=32, crop_px=32),
        augment=PersonAugment(scale_px=(32, 32), flip=True, jitter_frames=False), boxes=PersonBoxes(least_score=0.5),
        epochs=2, clips_per_batch=4, optimiser="adamw", base_lr=3e-3, precision="float32", compile="off",
    )  # fmt: skip


COLOURS = ("red", "green", "blue")


def films(part: str, split: str, num: int) -> dict[str, dict[str, str]]:
    who = {f"{part}_{split}{n}": {"left": COLOURS[n % 3], "right": COLOURS[n // 3 % 3]} for n in range(num)}
    return {**who, f"{part}_{split}_empty": {}}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts, train and val; a detector sees somebody on each empty key-frame of val."""
    home = tmp_path_factory.mktemp("nine")
    splits: dict[str, list[dict[str, str]]] = {}
    for split, num in (("train", 6), ("val", 4)):
        for part in ("ava", "kinetics"):
            source = part_of(home / part / split, part, films(part, split, num), wrong=(f"{part}_{split}_empty",))
            splits.setdefault(split, []).append(
                {"part": part} | {
                    name: str(getattr(source, name).relative_to(home))
                    for name in ("labels", "videos", "label_map", "proposals")
                }
            )  # fmt: skip
    (home / "parts.json").write_text(json.dumps(splits))
    return home / "parts.json"


@pytest.fixture(autouse=True)
def _tiny_recipe(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PERSON_RECIPES, "tiny_colours", tiny)


def run(*arguments: object, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, ["benchmark", "ava-kinetics", *(str(argument) for argument in arguments)])
    assert result.exit_code == exit_code, result.output
    return result.output


def last_json(text: str) -> dict:
    return json.loads(text.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def finished(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PERSON_RECIPES, "tiny_colours", tiny)
        run(parts, "--recipe", "tiny_colours", "--out", out, "--threads", 1, "--seeds", "0,1")
    return out


def test_every_cell_is_that_of_its_files(finished: Path, parts: Path):
    benchmark = read_benchmark(finished / "benchmark.json")
    keys = {(c.trained_on, c.evaluated_on, c.boxes, c.seed) for c in benchmark.cells}
    assert keys == {(a, b, c, s) for a in SETS for b in SETS for c in ("truth", "detected") for s in (0, 1)}
    for cell in benchmark.cells:
        truths, founds = {}, {}
        for part in ("ava", "kinetics"):
            home = finished / "scores" / f"{cell.trained_on}-seed{cell.seed}" / f"val-{part}-{cell.boxes}"
            truths[part] = read_ava_csv(parts.parent / part / "val" / f"{part}.csv").drop("score")
            founds[part] = read_table(home, "detections")
        mine = ("ava", "kinetics") if cell.evaluated_on == "ava-kinetics" else (cell.evaluated_on,)
        expected = frame_map(union_of(truths, mine), union_of(founds, mine), class_ids=[1, 2])
        assert cell.mean_ap == pytest.approx(expected.mean_ap)
        assert cell.num_key_frames == 5 * len(mine)


def test_a_person_found_on_an_empty_key_frame_is_scored_and_counts(finished: Path):
    home = finished / "scores" / "ava-seed0" / "val-ava-detected"
    found, truth = read_table(home, "detections"), read_ava_csv(home / "groundtruth.csv")
    assert "ava_val_empty" in set(found["video_id"])
    sure = found.with_columns(
        score=pl.when(pl.col("video_id") == "ava_val_empty").then(pl.lit(1.0)).otherwise(pl.col("score") / 2)
    )
    value = frame_map(truth, sure, class_ids=[1, 2]).mean_ap
    assert value < frame_map(truth, sure.filter(pl.col("video_id") != "ava_val_empty"), class_ids=[1, 2]).mean_ap


def test_all_files_are_written_and_the_figures_come_from_the_result_file(finished: Path, tmp_path: Path):
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert {
        "benchmark.json", "report.html", "table_4.json", "table_4.csv", "table_4.md", "table_5.md", "gain.csv",
        "classes_ava.csv", "figures/classes_ava.svg", "figures/classes_ava-kinetics.png", "figures/gain.svg",
        "models/ava-seed0/model.pt", "models/ava-kinetics-seed1/model.pt",
    } <= names  # fmt: skip
    again = draw_figures(read_benchmark(finished / "benchmark.json"), tmp_path)
    assert [path.name for path, _ in again] == ["classes_ava.svg", "classes_ava-kinetics.svg", "gain.svg"]
    for path, _ in again:
        assert path.read_bytes() == (finished / "figures" / path.name).read_bytes()
    value = json.loads((finished / "benchmark.json").read_text())
    assert value["samples"]["ava"] == {"1": 7, "2": 7}
    assert "27.47" in (finished / "table_4.md").read_text()
    assert "±" in (finished / "table_4.md").read_text()


def test_given_again_nothing_is_repeated_and_a_lost_score_is_made_anew(finished: Path, parts: Path):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("model.pt")}
    lost = finished / "scores" / "kinetics-seed1" / "val-ava-truth" / "detections.parquet"
    content = lost.read_bytes()
    lost.unlink()
    old = json.loads((finished / "benchmark.json").read_text())
    value = last_json(
        run(parts, "--recipe", "tiny_colours", "--out", finished, "--threads", 1, "--seeds", "0,1", "--json")
    )
    assert value["num_done_before"] == 6
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("model.pt")} == before
    assert lost.read_bytes() == content
    assert value["cells"] == old["cells"]


def test_given_models_stand_in_for_trainings(finished: Path, parts: Path, tmp_path: Path):
    given = [f"--model={name}={finished}/models/{name}-seed0/model.pt" for name in SETS]
    value = last_json(run(parts, "--recipe", "tiny_colours", "--out", tmp_path, "--threads", 1, "--json", *given))
    first = [c for c in json.loads((finished / "benchmark.json").read_text())["cells"] if c["seed"] == 0]
    assert value["cells"] == first
    assert not (tmp_path / "models").exists()
    assert value["samples"]["ava"] == {"1": 7, "2": 7}


def test_a_plan_writes_nothing(parts: Path, tmp_path: Path):
    plan = last_json(run(parts, "--recipe", "tiny_colours", "--out", tmp_path / "out", "--dry-run", "--json"))
    assert set(plan["trainings"]) == set(SETS)
    assert plan["trainings"]["ava-kinetics"]["num_key_frames"] == 14
    assert plan["num_key_frames_to_score"] == 3 * 2 * (4 + 5)
    assert not (tmp_path / "out").exists()


def test_labels_that_make_it_pointless_stop_it(parts: Path, tmp_path: Path):
    home = parts.parent
    splits = json.loads(parts.read_text())
    labels = home / "ava" / "train" / "shifted.csv"
    text = (home / splits["train"][0]["labels"]).read_text().replace(",1.000000", ",901.000000")
    labels.write_text(text)
    splits["train"][0]["labels"] = str(labels.relative_to(home))
    (home / "shifted.json").write_text(json.dumps(splits))
    said = run(home / "shifted.json", "--recipe", "tiny_colours", "--out", tmp_path / "out", exit_code=2)
    assert "times-outside" in said
    assert "subtract 900 s" in said
    assert "--force goes on" in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_run_is_said(parts: Path, tmp_path: Path):
    how = ("--recipe", "tiny_colours", "--out", tmp_path)
    assert "--seeds 1,1" in run(parts, *how, "--seeds", "1,1", exit_code=2)
    assert "--model ava=none.pt" in run(parts, *how, "--model", "ava=none.pt", exit_code=2)
    splits = json.loads(parts.read_text())
    other = parts.parent / "other.json"
    other.write_text(json.dumps({"train": splits["train"]}))
    assert "there is nothing to score on" in run(other, *how, exit_code=2)
    other.write_text(json.dumps({"val": splits["val"]}))
    assert "there is nothing to train on" in run(other, *how, exit_code=2)
    splits["val"][0]["part"] = "films"
    other.write_text(json.dumps(splits))
    assert "no part of val 'films'" in run(other, *how, exit_code=2)


def test_a_part_without_classes_of_clips_learns_persons_alone(parts: Path):
    from gesta.cli.benchmark_joint import read_sets, recipe_for
    from gesta.train.persons.parts_file import read_parts_file

    part = read_sets(read_parts_file(parts), recipe=tiny(), needs_train=True)["train"]
    both = dataclasses.replace(tiny(), clip_loss_weight=0.5)
    said: list[str] = []
    assert recipe_for(part, both, name="ava", on_note=said.append).clip_loss_weight == 0
    assert said == ["no clip of ava has a class of its own: its model learns persons alone"]
    named = [dataclasses.replace(one, clip_label=0) for one in part.examples]
    labelled = dataclasses.replace(part, examples=tuple(named), clip_class_names=("waving",))
    assert recipe_for(labelled, both, name="ava", on_note=said.append) is both


def test_ground_truth_counts_missing_videos_and_listed_times_but_no_excluded_ones(tmp_path: Path):
    from gesta.cli.benchmark_joint import truths_of
    from gesta.train.persons import read_ava_persons

    source = part_of(tmp_path, "ava", {"a": {"left": "red"}, "b": {"left": "red"}, "c": {"left": "red"}})
    box = "0.1,0.1,0.4,0.9,1"
    with source.labels.open("a") as labels:
        labels.write(f"gone,1.000000,{box}\na,1.500000,{box}\n")
    (tmp_path / "excluded.csv").write_text("b,1.000000\n")
    (tmp_path / "included.txt").write_text("0\n1\n")
    listed = dataclasses.replace(source, excluded=tmp_path / "excluded.csv", included=tmp_path / "included.txt")
    persons, _ = read_ava_persons([listed])
    truths = truths_of([listed], persons)

    def keys(frame: pl.DataFrame) -> set[tuple[str, int]]:
        return {(video, time // 1_000_000) for video, time in frame.select("video_id", "timestamp_us").iter_rows()}

    assert keys(truths.named["ava"]) == {("a", 1), ("c", 1), ("gone", 1)}
    assert keys(truths.whole["ava"]) == {("a", 0), ("a", 1), ("b", 0), ("c", 0), ("c", 1), ("gone", 1)}
    assert keys(truths.at_hand["ava"]) == {("a", 0), ("a", 1), ("b", 0), ("c", 0), ("c", 1)}
    plain, _ = read_ava_persons([source])
    truths = truths_of([source], plain)
    assert keys(truths.whole["ava"]) == keys(truths.named["ava"]) == {("a", 1), ("b", 1), ("c", 1), ("gone", 1)}
    assert truths.whole["ava"].equals(truths.named["ava"])


def test_prepared_key_frames_train_the_same_cells(finished: Path, parts: Path, tmp_path: Path):
    given = [f"--model={name}={finished}/models/{name}-seed0/model.pt" for name in ("kinetics", "ava-kinetics")]
    how = ("--recipe", "tiny_colours", "--threads", 1, "--json", "--cache", tmp_path / "cache", *given)
    value = last_json(run(parts, "--out", tmp_path / "out", *how))
    assert any((tmp_path / "cache").iterdir())
    assert {(c["trained_on"], c["evaluated_on"]) for c in value["cells"]} == {(a, b) for a in SETS for b in SETS}


def test_a_benchmark_is_one_process(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "a benchmark is one process" in run(parts, "--recipe", "tiny_colours", "--out", tmp_path, exit_code=2)


def test_a_cut_training_ends_with_the_signals_code(parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from gesta.cli import benchmark_joint
    from gesta.train.clips import Interrupted

    def cut(*_args, **_more):
        raise Interrupted("stopped", signal_number=15)

    monkeypatch.setattr(benchmark_joint, "train_models", cut)
    run(parts, "--recipe", "tiny_colours", "--out", tmp_path, exit_code=143)


def test_the_papers_tables_have_all_cells():
    printed = papers_numbers()
    assert len(printed) == 36
    assert printed["truth", "ava-kinetics", "ava-kinetics", "test"] == pytest.approx(0.3556)
    assert printed["detected", "ava", "kinetics", "val"] == pytest.approx(0.084)
