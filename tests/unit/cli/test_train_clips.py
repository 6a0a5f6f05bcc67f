import dataclasses
import json
import os
import signal
from fractions import Fraction

import pytest
from click.testing import CliRunner
from tests.unit.train.clips.conftest import pictures
from tests.unit.train.clips.small_run import small

from gesta.cli import main
from gesta.train.clips.recipes import CLIP_RECIPES
from gesta.video import write_video


@pytest.fixture(autouse=True)
def _recipe(monkeypatch):
    monkeypatch.setitem(CLIP_RECIPES, "small", lambda: small(epochs=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders of videos, as many downloads come: train and val, up and down."""
    root = tmp_path_factory.mktemp("folders")
    for split, numbers in (("train", range(6)), ("val", range(2))):
        for number in numbers:
            name = "up" if number % 2 else "down"
            (root / split / name).mkdir(parents=True, exist_ok=True)
            write_video(root / split / name / f"{split}{number}.mp4", pictures(number), fps=Fraction(25))
    return root


def gesta(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_train_clips_of_class_folders(folder, tmp_path):
    words = (
        "train", folder / "train", "--val", folder / "val", "--recipe", "small", "--out", tmp_path / "out",
        "--device", "cpu", "--threads", 1,
    )  # fmt: skip
    done = gesta(*words)
    assert done.exit_code == 0, done.output
    assert done.stdout == "train: kept 6, rejected 0\n"
    assert (tmp_path / "out/best.pt").is_file()
    found = json.loads(gesta(*words, "--json").stdout)
    assert (found["was_current"], found["val_clips"], found["classes"]) == (True, 2, 2)


def test_train_says_once_that_curves_are_missing(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("gesta.train.clips.logs.importlib.util.find_spec", lambda _name: None)
    done = gesta("train", folder / "train", "--recipe", "small", "--out", tmp_path / "out", "--device", "cpu")
    assert done.stderr.count("tensorboard is not installed") == 1
    assert "pip install 'gesta[tensorboard]'" in done.stderr


def test_train_from_a_cache(folder, tmp_path):
    words = (
        "train", folder / "train", "--recipe", "small", "--out", tmp_path / "out", "--cache", tmp_path / "cache",
        "--device", "cpu",
    )  # fmt: skip
    assert gesta(*words).stdout == "train: kept 6, rejected 0\n"
    assert (tmp_path / "cache" / "train").is_dir()


def test_train_dry_says_steps_hours_and_memory(folder, tmp_path):
    done = gesta("train", folder / "train", "--recipe", "small", "--out", tmp_path / "out", "--dry-run")
    assert done.stdout.startswith("train: would learn 2 classes from 6 clips in 2 steps of 1 epochs, about ")
    assert " hours and at least " in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_signal_ends_the_step_and_says_how_to_go_on(folder, tmp_path, monkeypatch):
    def ask(*_args, **_kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    monkeypatch.setattr("gesta.train.clips.loop._step_line", ask)
    done = gesta("train", folder / "train", "--recipe", "small", "--out", tmp_path / "out", "--device", "cpu")
    assert done.exit_code == 143
    assert "stopped by signal 15 after step 1 of 2" in done.stderr
    assert "Give the same command again to go on" in done.stderr
    assert (tmp_path / "out/last.pt").is_file()


def test_val_that_is_nothing_is_one_line(folder, tmp_path):
    done = gesta("train", folder / "train", "--recipe", "small", "--out", tmp_path, "--val", "vall")
    assert done.exit_code == 2
    assert "neither a split of" in done.stderr


def test_options_of_clips_are_not_for_key_frames(folder, tmp_path):
    done = gesta("train", folder / "train", "--out", tmp_path, "--val", "val")
    assert done.exit_code == 2
    assert "--val is for recipes of clips, and 'roi_r3d_tiny_world' is one of key-frames" in done.stderr


def test_a_misspelt_recipe_guesses_among_all(folder, tmp_path):
    done = gesta("train", folder / "train", "--recipe", "i3d_k700_202", "--out", tmp_path)
    assert "Did you mean 'i3d_k700_2020'" in done.stderr
    assert dataclasses.is_dataclass(small())
