import dataclasses

import pytest
import torch

from gesta.models import build_model
from gesta.schema import BadInput
from gesta.train import Checkpoint, find_recipe, load_checkpoint, model_of, save_checkpoint
from gesta.train.checkpoints import check_classes, versions


def checkpoint() -> Checkpoint:
    return Checkpoint(
        weights=build_model("roi_r3d_tiny", num_classes=2).state_dict(), class_ids=(3, 80), class_names=("wave", "bow"),
        recipe=find_recipe("roi_r3d_tiny_world"), release_sha256="ab", fingerprint="cd", versions=versions(),
    )  # fmt: skip


def test_it_comes_back_as_it_went(tmp_path):
    saved = checkpoint()
    found = load_checkpoint(save_checkpoint(tmp_path / "model.pt", saved))
    for field in ("class_ids", "class_names", "recipe", "release_sha256", "fingerprint", "versions"):
        assert getattr(found, field) == getattr(saved, field)
    model = model_of(found)
    assert not model.training
    assert all(torch.equal(value, saved.weights[name]) for name, value in model.state_dict().items())


def test_it_opens_without_running_code(tmp_path):
    path = save_checkpoint(tmp_path / "model.pt", checkpoint())
    assert torch.load(path, weights_only=True)["format"] == "gesta-roi-1"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut off"])
def test_another_file_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.pt: this is no checkpoint.*gesta train"):
        load_checkpoint(path)


def test_a_file_that_is_not_there_and_one_of_another_program(tmp_path):
    with pytest.raises(BadInput, match="no such checkpoint"):
        load_checkpoint(tmp_path / "model.pt")
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(BadInput, match="format None, want 'gesta-roi-1'"):
        load_checkpoint(tmp_path / "other.pt")


def test_weights_of_another_model_are_refused():
    wrong = dataclasses.replace(checkpoint(), class_ids=(1, 2, 3))
    with pytest.raises(BadInput, match="weights are not those of 'roi_r3d_tiny'"):
        model_of(wrong)


def test_a_class_the_label_map_lacks_is_named():
    check_classes(checkpoint(), [3, 4, 80], where="r")
    with pytest.raises(BadInput, match="80 'bow'"):
        check_classes(checkpoint(), [3], where="r")
