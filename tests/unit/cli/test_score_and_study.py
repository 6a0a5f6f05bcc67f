"""`gesta score` and `gesta study` from lists and pictures to tables, with a model that learns colours."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.train.clips import recipes
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe, ClipTest

COLOURS = {"Archery": (200, 40, 40), "Bowling": (40, 200, 40), "Clapping": (40, 40, 200)}
RECIPE = ClipRecipe(
    name="tiny", model="frame_r18_small", frames=ClipFrames(num_frames=2, side_px=18, side="short", crop_px=16),
    augment=ClipAugment(flip=False), epochs=2, clips_per_batch=6, base_lr=0.05, precision="float32", compile="off",
    test=ClipTest(num_segments=2),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny_recipe(monkeypatch):
    monkeypatch.setitem(recipes.CLIP_RECIPES, "tiny", lambda: RECIPE)
    monkeypatch.setitem(
        recipes.CLIP_RECIPES, "tiny_gentle", lambda: dataclasses.replace(RECIPE, name="tiny_gentle", base_lr=0.01)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ucf(tmp_path_factory) -> Path:
    """Split files as of UCF-101, two splits, and folders of pictures in place of the videos."""
    home = tmp_path_factory.mktemp("ucf")
    rng, lists = np.random.default_rng(0), home / "lists"
    lists.mkdir()
    rows: dict[str, list[str]] = {name: [] for name in ("trainlist01", "testlist01", "trainlist02", "testlist02")}
    for label, (name, colour) in enumerate(COLOURS.items(), start=1):
        for number in range(6):
            video = f"{name}/v_{name}_g{number:02d}_c01"
            folder = home / "videos" / video
            folder.mkdir(parents=True)
            for frame in range(3):
                noise = rng.integers(-40, 40, (18, 20, 3))
                picture = np.clip(np.array(colour[::-1]) + noise, 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{frame:03d}.png"), picture)
            for split in (1, 2):
                is_test = number % 3 == split
                list_name = f"{'test' if is_test else 'train'}list{split:02d}"
                rows[list_name].append(f"{video}.avi" + ("" if is_test else f" {label}"))
    for list_name, lines in rows.items():
        (lists / f"{list_name}.txt").write_text("\n".join(lines) + "\n")
    (lists / "classInd.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(COLOURS, start=1)))
    return home


def run(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def study(ucf, out, *more):
    return run(
        "study", "samples-per-class", ucf / "lists", "--videos", ucf / "videos", "--recipe", "tiny", "--counts",
        "2,1,all", "--train-split", "train01", "--split", "test01", "--out", out, "--device", "cpu", "--workers", 1,
        *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def studied(ucf, tmp_path_factory):
    """A study with three points; module-wide, so the recipe is named here once more."""
    out = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.CLIP_RECIPES, "tiny", lambda: RECIPE)
        result = study(ucf, out)
    assert result.exit_code == 0, result.output
    return out, result.output


def test_a_study_trains_nested_subsets_and_writes_a_table_and_a_plot(studied):
    out, output = studied
    assert "3 models, 0 of them there already" in output
    table = pl.read_csv(out / "study.csv", schema_overrides={"name": pl.String})
    assert table.select("name", "num_train", "split", "num_clips").rows() == [
        ("1", 3, "test01", 6), ("2", 6, "test01", 6), ("all", 12, "test01", 6),
    ]  # fmt: skip
    value = json.loads((out / "study.json").read_text())
    assert [row["top_1"] for row in value["rows"]] == table["top_1"].to_list()
    assert (table["top_1_low"] <= table["top_1"]).all()
    assert (table["top_5"] == 1.0).all()
    assert value["made_by"]["arguments"] == {"recipe": "tiny", "seed": 0, "counts": "2,1,all"}
    lines = (out / "study.md").read_text().splitlines()
    assert lines[0] == "| clips of each class | training clips | split | clips | top-1 | top-5 | mean of classes |"
    assert len(lines) == 5
    assert (out / "samples_per_class.png").is_file()
    assert (out / "samples_per_class.svg").is_file()
    hashes = [
        json.loads((out / name / "model/train.json").read_text())["inputs"]["clips"] for name in ("1", "2", "all")
    ]
    assert len(set(hashes)) == 3


def test_a_study_given_again_repeats_nothing_and_takes_more_counts(studied, ucf):
    out, _ = studied
    models = {path: path.stat().st_mtime_ns for path in out.rglob("model.pt")}
    before = (out / "study.json").read_bytes()
    again = study(ucf, out, "--json")
    value = json.loads(again.output)
    assert value["num_done_before"] == 3
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.pt")} == models
    assert (out / "study.json").read_bytes() == before


def test_the_papers_numbers_stand_beside_ours(studied, ucf, tmp_path):
    out, _ = studied
    (tmp_path / "again").symlink_to(out)
    result = study(ucf, tmp_path / "again", "--paper")
    assert "the paper's top-1" in result.output
    # Ours has neither their splits nor their counts.
    rows = json.loads((out / "study.json").read_text())["rows"]
    assert {row["paper_top_1"] for row in rows} == {None}


def test_a_checkpoint_is_scored_and_its_accuracy_printed(studied, ucf, tmp_path):
    model = studied[0] / "all/model/model.pt"
    words = ["score", model, ucf / "lists", "--videos", ucf / "videos", "--split", "test01", "--out", tmp_path]
    words += ["--device", "cpu", "--workers", 1]
    plan = json.loads(run(*words, "--dry-run", "--json").output)
    assert plan == {"num_clips": 6, "num_rejected": 0, "num_views": 2}
    assert not (tmp_path / "scores.csv").exists()
    result = run(*words)
    assert result.output.startswith("6 clips, 6 labels\ntop-1 ")
    assert "score: kept 6, rejected 0" in result.output
    # The study's own scores, and what evaluation says of the files, are the same.
    assert (tmp_path / "scores.csv").read_bytes() == (studied[0] / "all/test01/scores.csv").read_bytes()
    found = json.loads(run(*words, "--json").output)
    assert found["was_current"]
    files = ("--groundtruth", tmp_path / "labels.csv", "--scores", tmp_path / "scores.csv")
    assert json.loads(run("evaluate", "clips", *files, "--json").output)["top_k"] == found["top_k"]
    views = json.loads(run(*words, "--segments", 3, "--crops", 10, "--frames", 1, "--json").output)
    assert (views["num_views"], views["was_current"]) == (30, False)


def test_a_transfer_compares_from_scratch_with_fine_tuned(studied, ucf, tmp_path):
    def transfer(*more):
        return run(
            "study", "transfer", "--source", studied[0] / "all/model/model.pt", "--target", ucf / "lists", "--videos",
            ucf / "videos", "--splits", "1,2", "--recipe", "tiny", "--fine-tune-recipe", "tiny_gentle", "--out",
            tmp_path, "--device", "cpu", "--workers", 1, *more,
        )  # fmt: skip

    plan = json.loads(transfer("--dry-run", "--json").output)
    assert plan["num_train"] == {"split 1": 12, "split 2": 12}
    result = transfer()
    assert result.exit_code == 0, result.output
    value = json.loads((tmp_path / "study.json").read_text())
    assert [(row["split"], row["name"]) for row in value["rows"]] == [
        ("1", "scratch"), ("1", "fine-tuned"), ("2", "scratch"), ("2", "fine-tuned"), ("mean", "scratch"),
        ("mean", "fine-tuned"),
    ]  # fmt: skip
    top_1 = {(row["split"], row["name"]): row["top_1"] for row in value["rows"]}
    for split, gain in value["gain"].items():
        assert gain["estimate"] == pytest.approx(top_1[split, "fine-tuned"] - top_1[split, "scratch"])
        assert gain["low"] <= gain["estimate"] <= gain["high"]
    assert top_1["mean", "scratch"] == pytest.approx((top_1["1", "scratch"] + top_1["2", "scratch"]) / 2)
    made = json.loads((tmp_path / "split-1/fine-tuned/model/train.json").read_text())
    assert "start" in made["inputs"]
    assert "start" not in json.loads((tmp_path / "split-1/scratch/model/train.json").read_text())["inputs"]
    assert json.loads(transfer("--json").output)["num_done_before"] == 4


@pytest.mark.slow
def test_the_source_may_be_clips(ucf, tmp_path):
    result = run(
        "study", "transfer", "--source", ucf / "lists", "--source-videos", ucf / "videos", "--source-split", "train02",
        "--target", ucf / "lists", "--videos", ucf / "videos", "--recipe", "tiny", "--out", tmp_path, "--device",
        "cpu", "--workers", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (tmp_path / "source/model/model.pt").is_file()
    assert (tmp_path / "split-1/fine-tuned/test/scores.csv").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--counts", "0"), "a count is '0'"),
        (("--counts", "1,1"), "want each of them once"),
        (("--split", "val"), "no split 'val'"),
        (("--split", "val=none.csv"), "there is no such file for split 'val'"),
        (("--recipe", "huge"), "no recipe 'huge'"),
    ],
)
def test_what_cannot_be_studied_is_said(ucf, tmp_path, more, message):
    result = study(ucf, tmp_path, *more)
    assert result.exit_code == 2
    assert message.lower() in result.output.lower()
