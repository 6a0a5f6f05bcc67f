import json

import polars as pl
import pytest
from click.testing import CliRunner
from tests.unit.predict.clip_stand_in import save_small, write_levels

from gesta.cli import main


def gesta(*words: object):
    return CliRunner().invoke(main, ["features", *(str(word) for word in words)])


@pytest.fixture
def model(tmp_path):
    return save_small(tmp_path / "model.pt")


def test_layers_are_listed_with_what_they_give_for_a_clip(model):
    lines = gesta(model, "--list-layers").stdout.splitlines()
    assert lines[-1].split()[:-1] == ["logits", "3", "x", "1", "x", "1", "x", "1"]
    found = json.loads(gesta(model, "--list-layers", "--json").stdout)
    assert (found[-1]["layer"], found[-1]["shape"]) == ("logits", [3, 1, 1, 1])
    assert len(found) == len(lines)


def test_features_of_a_video_are_written_and_counted(model, tmp_path):
    video = write_levels(tmp_path / "a.mp4", [0, 200])
    words = (model, video, "--layer", "Mixed_3c", "--out", tmp_path / "f.parquet", "--device", "cpu", "--stride-s", 1)
    assert gesta(*words).stdout == "features: kept 1, rejected 0\n"
    assert len(pl.read_parquet(tmp_path / "f.parquet")) == 2
    found = json.loads(gesta(*words, "--json").stdout)
    assert (found["was_current"], found["windows"], found["layer"]) == (True, 2, "trunk.blocks.Mixed_3c")
    assert found["outputs"] == ["f.parquet", "f.parquet.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Missing VIDEO_OR_FOLDER."),
        (("a.mp4",), "Missing --layer."),
        (("a.mp4", "--layer", "logits"), "Missing --out."),
    ],
)
def test_what_is_missing_is_named(model, words, message):
    done = gesta(model, *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_layer_misspelt_is_one_line(model, tmp_path):
    video = write_levels(tmp_path / "a.mp4", [0])
    done = gesta(model, video, "--layer", "Mixd_3c", "--out", tmp_path / "f.parquet")
    assert done.exit_code == 2
    assert "no layer 'Mixd_3c'" in done.stderr
    assert "trunk.blocks.Mixed_3c" in done.stderr
    assert "Traceback" not in done.stderr
