"""`gesta train` with recipes of persons: a csv with its videos, a file of parts, options that do not belong."""

from __future__ import annotations

import dataclasses
import json
import runpy
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tests.unit.train.persons.person_films import film
from tests.unit.train.persons.small_persons_run import small_recipe

from gesta.cli import main
from gesta.schema import BadInput, UnknownName
from gesta.train.persons.checkpoints import load_person_checkpoint
from gesta.train.persons.parts_file import read_parts_file
from gesta.train.persons.recipes import PERSON_RECIPES

LABELS = """one,0002,0.1,0.1,0.5,0.9,12,1
one,0002,0.5,0.1,0.9,0.9,80,2
one,0003,0.1,0.2,0.6,0.9,12,1
two,0001,0.2,0.2,0.8,0.8,14,1
two,0002,0.2,0.2,0.8,0.8,12,1
two,0002,0.2,0.2,0.8,0.8,17,1
two,0003,0.3,0.2,0.8,0.8,14,1
gone,0002,0.2,0.2,0.8,0.8,12,1
"""
VAL = "three,0001,0.2,0.2,0.8,0.8,12,1\nthree,0002,0.2,0.2,0.8,0.8,14,1\n"


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(PERSON_RECIPES, "small", lambda: small_recipe(epochs=1, clips_per_batch=4, num_parts=1))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three films of 4 s, what is done in them, and a file that names both splits."""
    root = tmp_path_factory.mktemp("ava")
    for number, name in enumerate(("one", "two", "three")):
        film(root / "films" / f"{name}.mp4", seconds=4, number=number)
    (root / "train.csv").write_text(LABELS)
    (root / "val.csv").write_text(VAL)
    (root / "parts.toml").write_text(
        '[[train]]\npart = "ava"\nlabels = "train.csv"\nvideos = "films"\n\n'
        '[[train]]\npart = "more"\nlabels = "val.csv"\nvideos = "films"\n\n'
        '[[val]]\npart = "ava"\nlabels = "val.csv"\nvideos = "films"\n'
    )
    return root


def gesta(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_csv_alone_is_learnt_from(folder, tmp_path):
    done = gesta(
        "train", folder / "train.csv", "--videos", folder / "films", "--val", folder / "val.csv", "--recipe", "small",
        "--out", tmp_path / "out", "--device", "cpu", "--force",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "ava: 5 of 6 key-frames, 1 without their video; 6 persons" in done.stderr
    assert done.stdout.startswith("train: kept 5, rejected 1")
    found = load_person_checkpoint(tmp_path / "out/model.pt")
    assert len(found.class_ids) == 80
    epochs = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert 0 <= epochs[-1]["val_map"] <= 1
    assert (tmp_path / "out/best.pt").is_file()


def test_a_release_is_learnt_from(tmp_path):
    by_hand = runpy.run_path(str(Path(__file__).parents[1] / "train" / "conftest.py"))
    release = by_hand["make_release"](tmp_path / "release")
    done = gesta("train", release, "--recipe", "small", "--out", tmp_path / "out", "--device", "cpu", "--force")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("train: kept ")
    assert "key-frames" in done.stderr
    assert len(load_person_checkpoint(tmp_path / "out/model.pt").class_ids) == 2


def test_chosen_classes_and_parts_of_a_file_of_parts(folder, tmp_path):
    words = ("train", folder / "parts.toml", "--recipe", "small", "--val", "val", "--classes", "14,12", "--device",
             "cpu", "--force", "--out", tmp_path / "out")  # fmt: skip
    planned = gesta(*words, "--dry-run", "--json")
    assert planned.exit_code == 0, planned.output
    plan = json.loads(planned.stdout)
    assert (plan["num_key_frames"], plan["num_val_key_frames"], plan["num_classes"]) == (7, 2, 2)
    assert plan["parts"] == {"ava": 5, "more": 2}
    assert plan["hours"] >= 0
    assert "would learn 2 classes from 8 persons in 7 key-frames" in gesta(*words, "--dry-run").stdout
    assert json.loads(gesta(*words, "--parts", "more", "--dry-run", "--json").stdout)["num_key_frames"] == 2
    done = gesta(*words, "--parts", "ava")
    assert done.exit_code == 0, done.output
    found = load_person_checkpoint(tmp_path / "out/model.pt")
    assert found.class_ids == (14, 12)
    assert found.class_names == ("walk", "stand")
    assert found.recipe.classes == (14, 12)


def test_a_cache_gives_the_same_weights(folder, tmp_path):
    words = ("train", folder / "train.csv", "--videos", folder / "films", "--recipe", "small", "--device", "cpu",
             "--force")  # fmt: skip
    assert gesta(*words, "--out", tmp_path / "films").exit_code == 0
    done = gesta(*words, "--out", tmp_path / "cache", "--cache", tmp_path / "kept")
    assert done.exit_code == 0, done.output
    weights = [load_person_checkpoint(tmp_path / name / "model.pt").weights for name in ("films", "cache")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_labels_that_promise_nothing_stop_it(folder, tmp_path):
    # Half the frame's pixels in place of fractions: no box would ever overlap a detection.
    pixels = LABELS.replace("0.", "3").replace("0002", "2").replace("0001", "1").replace("0003", "3")
    (tmp_path / "pixels.csv").write_text(pixels)
    done = gesta("train", tmp_path / "pixels.csv", "--videos", folder / "films", "--recipe", "small", "--out",
                 tmp_path / "out")  # fmt: skip
    assert done.exit_code == 2, done.output
    assert "pixels.csv" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--classes", "3,x"), "Want class ids with commas between them"),
        (("--val", "nowhere"), "neither a split of"),
        (("--split", "train"), "--split goes with a release or a file of parts"),
    ],
)
def test_what_does_not_belong_is_said(folder, tmp_path, words, said):
    done = gesta("train", folder / "train.csv", "--recipe", "small", "--out", tmp_path, *words)
    assert done.exit_code == 2
    assert said in done.output


def test_options_of_the_other_kind_are_refused(folder, tmp_path):
    done = gesta("train", folder / "films", "--recipe", "i3d_small_world", "--classes", "3", "--out", tmp_path)
    assert done.exit_code == 2
    assert "--classes is for recipes of persons" in done.output
    words = ("train", folder / "parts.toml", "--recipe", "small", "--out", tmp_path)
    assert "--excluded goes with a csv" in gesta(*words, "--excluded", folder / "val.csv").output
    assert "Did you mean 'more'" in gesta(*words, "--parts", "mor").output


def test_a_file_of_parts_says_what_is_wrong_with_it(folder):
    sources = read_parts_file(folder / "parts.toml")
    assert [source.part for source in sources["train"]] == ["ava", "more"]
    assert sources["val"][0].labels == folder / "val.csv"
    for text, words in (
        ("x = [", "this is no TOML"),
        ("", "it names no split"),
        ('train = "x"', "'train' is no list of parts"),
        ('[[train]]\npart = "a"\nvideos = "films"', "a part of 'train' lacks 'labels'"),
        ('[[train]]\npart = "a"\nlabels = "train.csv"\nvideos = "films"\nlabel = "x"', "a part of 'train' has 'label'"),
        ('[[train]]\npart = "a"\nlabels = "no.csv"\nvideos = "films"', "labels of part 'a' is not there: no.csv"),
    ):
        path = folder / "wrong.toml"
        path.write_text(text)
        with pytest.raises(BadInput, match=words):
            read_parts_file(path)
    (folder / "wrong.toml").write_text('[[train]]\npart = "a"\nlabels = "train.csv"\nvideos = "films"\nfiles = "x"')
    with pytest.raises(UnknownName, match="no choice of files 'x'"):
        read_parts_file(folder / "wrong.toml")
    value = {"val": [dataclasses.asdict(sources["val"][0])]}
    (folder / "same.json").write_text(json.dumps(value, default=str))
    assert read_parts_file(folder / "same.json")["val"][0].labels.name == "val.csv"
