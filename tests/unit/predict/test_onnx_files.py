"""`gesta onnx`: checkpoints of persons and of clips as files that know their classes and what they want to see."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tests.unit.predict.clip_stand_in import save_small

from gesta.cli import main
from gesta.models.feature_bank import FeatureBankSpec
from gesta.models.onnx_export import onnx_about, open_onnx
from gesta.models.person_heads import PersonHead
from gesta.models.trunks import TrunkSpec
from gesta.predict import onnx_files
from gesta.predict.onnx_files import run_onnx
from gesta.schema import BadInput, GestaError
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons.checkpoints import (
    PersonCheckpoint,
    build_recipe_model,
    load_person_checkpoint,
    person_model_of,
    save_person_checkpoint,
)
from gesta.train.persons.recipe import PersonRecipe

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
RECIPE = PersonRecipe(
    name="small", trunk=TrunkSpec(name="r3d_small"), head=PersonHead(grid=2),
    frames=ClipFrames(num_frames=4, rate=10, stride=1, side="short", side_px=32, crop_px=32, mean_rgb=(0.4, 0.4, 0.4)),
    epochs=1, clips_per_batch=2, base_lr=0.1, precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        weights = build_recipe_model(RECIPE, num_classes=2).state_dict()
    return save_person_checkpoint(
        tmp_path_factory.mktemp("model") / "model.pt",
        PersonCheckpoint(
            weights=weights, class_ids=(12, 80), class_names=("stand", "watch (a person)"), recipe=RECIPE,
            data_sha256="d" * 64, fingerprint="", versions={},
        ),
    )  # fmt: skip


def test_a_file_of_a_model_with_a_feature_bank_takes_windows_and_says_which(tmp_path):
    bank = FeatureBankSpec(window_s=4, max_per_second=2, num_hidden=5)
    recipe = dataclasses.replace(RECIPE, head=PersonHead(grid=2, bank=bank))
    path = save_person_checkpoint(
        tmp_path / "model.pt",
        PersonCheckpoint(
            weights=build_recipe_model(recipe, num_classes=1).state_dict(), class_ids=(12,), class_names=("stand",),
            recipe=recipe, data_sha256="", fingerprint="", versions={}, bank={"model_sha256": "m" * 64},
        ),
    )  # fmt: skip
    run_onnx(path, out=tmp_path / "m.onnx", cases=((1, 2),))
    about = onnx_about(tmp_path / "m.onnx")
    assert about["inputs"] == ["clip", "boxes", "bank"]
    assert (about["bank"]["window_s"], about["bank"]["max_per_second"]) == (4, 2)
    assert about["bank"]["model_sha256"] == "m" * 64
    assert "zeros where there is nobody" in about["bank_windows"]


def test_a_checkpoint_of_persons_becomes_a_file_that_knows_its_classes(checkpoint, tmp_path):
    out = tmp_path / "m.onnx"
    given = CliRunner().invoke(main, ["onnx", str(checkpoint), "--out", str(out), "--width", "48", "--json"])
    assert given.exit_code == 0, given.output
    summary = json.loads(given.output)
    assert summary["kept"] == 2
    assert summary["largest_difference"] < 1e-5
    about = onnx_about(out)
    assert (about["kind"], about["class_ids"]) == ("persons", [12, 80])
    assert about["class_names"] == ["stand", "watch (a person)"]
    assert about["mean_rgb"] == [0.4, 0.4, 0.4]
    assert (
        ClipFrames(**{k: tuple(v) if isinstance(v, list) else v for k, v in about["frames"].items()}) == RECIPE.frames
    )
    assert "[clips, 3, 4, 32, 48]" in about["clip"]
    clip = np.random.default_rng(0).standard_normal((1, 3, 4, 32, 48), np.float32)
    boxes = np.array([[0, 0.1, 0.2, 0.5, 0.9]], np.float32)
    (scores,) = open_onnx(out).run(["scores"], {"clip": clip, "boxes": boxes})
    with torch.no_grad():
        model = person_model_of(load_person_checkpoint(checkpoint))
        want = model(torch.from_numpy(clip), torch.from_numpy(boxes)).sigmoid()
    np.testing.assert_allclose(scores, want.numpy(), atol=1e-5)


@pytest.mark.slow
def test_a_checkpoint_of_clips_becomes_a_file(tmp_path):
    checkpoint, out = save_small(tmp_path / "model.pt"), tmp_path / "m.onnx"
    given = CliRunner().invoke(main, ["onnx", str(checkpoint), "--out", str(out)])
    assert given.exit_code == 0, given.output
    assert "for clips of 4 frames of 32 x 32 px; largest difference" in given.output
    assert onnx_about(out)["kind"] == "clips"
    assert onnx_about(out)["class_names"] == ["dark", "bright", "red"]
    (scores,) = open_onnx(out).run(None, {"clip": np.zeros((5, 3, 4, 32, 32), np.float32)})
    assert scores.shape == (5, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_a_dry_run_writes_nothing(checkpoint, tmp_path):
    given = CliRunner().invoke(main, ["onnx", str(checkpoint), "--out", str(tmp_path / "m.onnx"), "--dry-run"])
    assert given.output.startswith("onnx: would write ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_scores_otherwise_is_not_kept(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "export_onnx", lambda model, path, *, clip_shape, opset, about: None)
    monkeypatch.setattr(onnx_files, "onnx_difference", lambda model, path, *, clip_shape, cases: 0.02)
    with pytest.raises(GestaError, match=r"scores differ from torch's by up to 2\.0e-02, more than 1e-04"):
        run_onnx(checkpoint, out=tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_checkpoint_is_refused(tmp_path, monkeypatch):
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"model\.pt: this is no checkpoint of persons or of clips"):
        run_onnx(tmp_path / "model.pt", out=tmp_path / "m.onnx")
    flow = dataclasses.replace(RECIPE.frames, modality="flow")
    monkeypatch.setattr(onnx_files, "_opened", lambda path: (torch.nn.Identity(), flow, {"class_names": []}))
    with pytest.raises(BadInput, match="a model of flow cannot be written"):
        run_onnx(tmp_path / "model.pt", out=tmp_path / "m.onnx")
