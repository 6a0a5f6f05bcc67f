import json
import runpy
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.train import Recipe, run_train
from gesta.train.recipes import RECIPES
from gesta.train.store import StoreSpec
from gesta.train.views import ClipSpec

BY_HAND = runpy.run_path(str(Path(__file__).parents[1] / "train" / "conftest.py"))


def small() -> Recipe:
    return Recipe(
        name="small", model="roi_r3d_tiny", clip=ClipSpec(num_frames=4, stride_us=250_000, height_px=32, width_px=32),
        store=StoreSpec(margin=1.0, per_stride=1, num_margin=0), epochs=1, clips_per_batch=4, base_lr=1e-3,
        weight_decay=0.0, precision="float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return BY_HAND["make_release"](tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def checkpoint(release, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    run_train(release, out=out, recipe=small(), device="cpu", threads=1)
    return out / "model.pt"


def gesta(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_train_ends_with_one_line_and_then_has_nothing_to_do(release, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "small", small)
    words = ("train", release, "--recipe", "small", "--out", tmp_path, "--device", "cpu", "--threads", 1)
    assert gesta(*words).stdout == "train: kept 6, rejected 0\n"
    assert gesta(*words).stdout == "train: kept 6, rejected 0 - already done\n"
    found = json.loads(gesta(*words, "--json").stdout)
    assert (found["was_current"], found["epochs"], found["num_persons"]) == (True, 1, 8)


def test_train_dry_writes_nothing(release, tmp_path):
    done = gesta("train", release, "--out", tmp_path / "out", "--dry-run")
    assert done.stdout.startswith("train: would learn 2 classes from 6 key-frames with 8 persons in ")
    assert not (tmp_path / "out").exists()


def test_a_recipe_misspelt_is_one_line(release, tmp_path):
    done = gesta("train", release, "--recipe", "roi_tiny", "--out", tmp_path)
    assert done.exit_code == 2
    assert "no recipe 'roi_tiny'" in done.stderr
    assert "Traceback" not in done.stderr


def test_predict_a_folder(checkpoint, release, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(release.parents[1] / "videos" / "-v0.mp4", tmp_path / "in" / "-v0.mp4")
    (tmp_path / "in" / "broken.mp4").write_bytes(b"")
    words = ("predict", checkpoint, tmp_path / "in", "--out", tmp_path / "out", "--device", "cpu", "--threads", 1)
    dry = gesta(*words, "--dry-run")
    assert "move sideways, move up and down in 2 videos" in dry.stdout
    assert not (tmp_path / "out").exists()
    done = gesta(*words)
    assert done.stdout == "predict: kept 1, rejected 1 (empty 1)\n"
    assert json.loads((tmp_path / "out" / "-v0.json").read_bytes())["video"]["num_frames"] == 24


def test_predict_with_a_wrong_checkpoint_is_one_line(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nonsense")
    (tmp_path / "x.mp4").write_bytes(b"")
    done = gesta("predict", tmp_path / "x.pt", tmp_path / "x.mp4", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "x.pt: this is no checkpoint" in done.stderr
