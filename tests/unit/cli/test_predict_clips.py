import json
import re

import pytest
from click.testing import CliRunner
from tests.unit.predict.clip_stand_in import save_small, write_levels

from gesta.cli import main


def gesta(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def words(tmp_path):
    save_small(tmp_path / "model.pt")
    (tmp_path / "in").mkdir()
    write_levels(tmp_path / "in" / "a.mp4", [0, 200])
    (tmp_path / "in" / "broken.mp4").write_bytes(b"")
    return ("predict", tmp_path / "model.pt", tmp_path / "in", "--out", tmp_path / "out", "--device", "cpu")


def test_the_likeliest_labels_are_told_before_the_closing_line(words, tmp_path):
    done = gesta(*words, "--top-k", 2)
    lines = done.stdout.splitlines()
    assert lines[0] == "a.mp4"
    assert all(re.fullmatch(r" +[0-9]{1,3}\.[0-9] %  (dark|bright|red)", line) for line in lines[1:3])
    assert lines[3:] == ["predict: kept 1, rejected 1 (empty 1)"]
    assert (tmp_path / "out" / "a.mp4").is_file()
    assert gesta(*words, "--top-k", 2).stdout == done.stdout.replace("(empty 1)", "(empty 1) - already done")


def test_for_machines_there_is_one_object(words, tmp_path):
    found = json.loads(gesta(*words, "--json", "--no-video").stdout)
    assert (found["kept"], found["rejected"], found["outputs"]) == (1, {"empty": 1}, ["a.json"])
    assert not (tmp_path / "out" / "a.mp4").exists()


def test_a_dry_run_names_the_classes_and_writes_nothing(words, tmp_path):
    assert "would look for dark, bright, red in 2 videos" in gesta(*words, "--dry-run").stdout
    assert not (tmp_path / "out").exists()


def test_options_of_the_other_kind_of_model_are_refused(words):
    done = gesta(*words, "--detector", "onnx")
    assert done.exit_code == 2
    assert "this model labels whole clips, and has no --detector. Leave it out" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("i3d-rgb-k40", "there is no such checkpoint, and no published weights of this name. Name a model.pt"),
        ("none.pt", "there is no such checkpoint. Name the model.pt"),
        ("i3e:x.pt", "no model 'i3e'. Did you mean 'i3d'?"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(words, name, message):
    done = gesta("predict", name, *words[2:])
    assert done.exit_code == 2
    assert message in done.stderr
