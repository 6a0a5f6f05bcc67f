"""`gesta bank`, `gesta train --bank` and `gesta score --bank`, one after the other; what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tests.unit.train.persons.film_memory import BOX, CLASSES, EARLY_US, LATE_US, checkpoint_of, film_of, memory_recipe

from gesta.cli import main
from gesta.formats import write_label_map
from gesta.models.feature_bank import read_bank
from gesta.schema import LabelClass
from gesta.tables import frame_of
from gesta.train.persons.recipes import PERSON_RECIPES


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(PERSON_RECIPES, "memory", lambda: memory_recipe(epochs=1))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films in files of AVA's layout, a file of parts, and a model without a bank."""
    root = tmp_path_factory.mktemp("memory")
    (root / "films").mkdir()
    box = ",".join(map(str, BOX[0].tolist()))
    parts = []
    for split, numbers in (("train", range(4)), ("val", range(4, 8))):
        rows = []
        for number in numbers:
            film_of(root / "films", number)
            rows += [f"film{number},{time / 1e6:.6f},{box},{number % 2 + 1},0\n" for time in (EARLY_US, LATE_US)]
        (root / f"{split}.csv").write_text("".join(rows))
        named = f'part = "ava"\nlabels = "{split}.csv"\nvideos = "films"\nlabel_map = "map.pbtxt"\n'
        parts.append(f"[[{split}]]\n{named}")
    (root / "parts.toml").write_text("\n".join(parts))
    classes = [LabelClass(class_id=key, name=name) for key, name in CLASSES.items()]
    write_label_map(root / "map.pbtxt", frame_of("label_map", classes))
    checkpoint_of(root / "short.pt")
    return root


def gesta(*words: object, fails: bool = False) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert (done.exit_code != 0) == fails, done.output
    return done.output if fails else done.stdout


def test_a_bank_is_written_learnt_with_and_scored_with(folder, tmp_path):
    how = ["bank", folder / "short.pt", folder / "parts.toml"]
    plan = json.loads(gesta(*how, "--split", "train", "--out", tmp_path / "train", "--dry-run", "--json"))
    assert plan == {"boxes": "truth", "num_key_frames": 8, "num_rejected": 0, "num_shown": 8}
    assert not (tmp_path / "train").exists()
    for split in ("train", "val"):
        said = json.loads(gesta(*how, "--split", split, "--out", tmp_path / split, "--device", "cpu", "--json"))
        assert (said["kept"], said["num_videos"], said["boxes"]) == (8, 4, "truth")
    banks = ["--bank", tmp_path / "train", "--bank", tmp_path / "val"]
    model = tmp_path / "long/model.pt"
    run = ["train", folder / "parts.toml", "--recipe", "memory", "--val", "val", "--out", tmp_path / "long"]
    run += ["--device", "cpu", "--force"]
    assert "reads a feature bank, and none is given" in gesta(*run, fails=True)
    assert "4 of 8 videos are not in the feature bank" in gesta(*run, *banks[:2], "--dry-run", fails=True)
    assert gesta(*run, *banks).startswith("train: kept 8")
    scored = ["score", model, folder / "parts.toml", "--split", "val", "--out", tmp_path / "scores", "--device", "cpu"]
    assert "reads a feature bank, and none is given" in gesta(*scored, "--dry-run", fails=True)
    assert json.loads(gesta(*scored, "--bank", tmp_path / "val", "--json"))["kept"] == 8
    assert "which no video or stream brings along" in gesta(
        "predict", model, folder / "films/film0.mp4", "--out", tmp_path / "predicted", fails=True
    )


def test_a_csv_and_its_folder_of_films_are_enough(folder, tmp_path):
    gesta(
        "bank", folder / "short.pt", folder / "val.csv", "--videos", folder / "films", "--label-map",
        folder / "map.pbtxt", "--out", tmp_path, "--device", "cpu",
    )  # fmt: skip
    assert read_bank(tmp_path / "bank.pt").video_ids == ("film4", "film5", "film6", "film7")


def test_models_and_recipes_of_clips_have_no_bank(folder, tmp_path):
    bank = ["--bank", folder]
    said = gesta("train", folder, "--recipe", "i3d_small_world", "--out", tmp_path, *bank, fails=True)
    assert "--bank is for recipes of persons, and 'i3d_small_world' is one of clips" in said
    said = gesta("train", folder, "--recipe", "roi_r3d_tiny_world", "--out", tmp_path, *bank, fails=True)
    assert "--bank is for recipes of persons, and 'roi_r3d_tiny_world' is one of key-frames" in said
