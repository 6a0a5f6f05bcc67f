"""`gesta weights`: another program's file becomes a model.pt that scores alike, and goes back tensor by tensor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.models.person_model import PersonModel
from gesta.models.person_weights import save_as_mmaction2
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.predict import load_person_scorer
from gesta.predict.clip_models import is_clip_model
from gesta.train.persons.checkpoints import build_recipe_model, load_person_checkpoint, person_model_of
from gesta.train.persons.recipes import find_person_recipe

NAME = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes"


def gesta(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PersonModel]:
    """A file as MMAction2 wrote it, of the model of sixteen chosen classes, and that model."""
    torch.manual_seed(1)
    model = build_recipe_model(find_person_recipe(NAME), num_classes=16).eval()
    return save_as_mmaction2(model, tmp_path_factory.mktemp("theirs") / "epoch_20.pth"), model


def test_a_file_of_theirs_becomes_a_model_that_scores_alike_and_goes_back(
    theirs: tuple[Path, PersonModel], tmp_path: Path
) -> None:
    path, model = theirs
    out = tmp_path / "model.pt"
    said = json.loads(gesta("weights", path, "--recipe", NAME, "--out", out, "--json"))
    assert said["num_classes"] == 16
    assert said["weights"] == "epoch_20.pth"
    made = load_person_checkpoint(out)
    assert made.class_ids[:3] == (3, 6, 10)
    assert made.class_names[0] == "crouch/kneel"
    clip, boxes = torch.rand(1, 3, 4, 32, 32), torch.tensor([[0, 0.1, 0.2, 0.7, 0.9]])
    with torch.no_grad():
        assert torch.equal(person_model_of(made)(clip, boxes), model(clip, boxes))
    scorer = load_person_scorer(out, device="cpu")
    assert scorer.class_names == made.class_names
    assert load_person_scorer(path, recipe=NAME, device="cpu").class_ids == made.class_ids
    back = tmp_path / "back.pth"
    assert "wrote" in gesta("weights", out, "--as", "mmaction2", "--out", back)
    before, after = (torch.load(each, weights_only=True)["state_dict"] for each in (path, back))
    assert list(before) == list(after)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_what_is_not_said_or_not_there_is_an_error(theirs: tuple[Path, PersonModel], tmp_path: Path) -> None:
    path, _ = theirs
    out = tmp_path / "model.pt"
    assert "which network these weights are of is not said" in gesta("weights", path, "--out", out, code=2)
    assert "no recipe 'r50'" in gesta("weights", path, "--recipe", "r50", "--out", out, code=2)
    slowfast = "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    assert "The file is a SlowOnly" in gesta("weights", path, "--recipe", slowfast, "--out", out, code=2)
    assert "there is no such file of weights" in gesta("weights", "no.pth", "--recipe", NAME, "--out", out, code=2)
    message = gesta("weights", path, "--recipe", NAME, "--as", "mmaction2", "--out", out, code=2)
    assert "--recipe belongs to --as gesta" in message
    assert not out.exists()


def test_a_published_name_is_a_model_of_persons_whose_file_is_wanted(
    theirs: tuple[Path, PersonModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file at hand is another than the one that was published: it is found, hashed and refused."""
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path))
    (file,) = PERSON_WEIGHTS[NAME].files
    place = tmp_path / "weights" / NAME / Path(file.path).name
    place.parent.mkdir(parents=True)
    place.symlink_to(theirs[0])
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    assert not is_clip_model(NAME)
    for asked in (("weights", NAME), ("predict", NAME, tmp_path / "videos")):
        said = gesta(*asked, "--out", tmp_path / "out", code=2)
        assert "and one from 4ab80419 on is wanted" in said.replace("\n", " "), asked


def test_a_dry_run_says_what_would_be_written(tmp_path: Path) -> None:
    said = gesta("weights", NAME, "--out", tmp_path / "model.pt", "--dry-run")
    assert said.startswith(f"weights: would write {NAME} as gesta's file")
    assert not list(tmp_path.iterdir())
