"""Weights of other programs as a start of training: published names, Caffe2's pickles, ResNets, and what is no such."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from gesta.formats.pickle_writer import write_pickle
from gesta.models.person_heads import PersonHead
from gesta.models.person_model import PersonModel
from gesta.models.person_weights import as_caffe2, as_mmaction2, load_person_weights, save_as_mmaction2
from gesta.models.published import PublishedFile, PublishedWeights
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.models.res_stage import PathPlan
from gesta.models.slow_only import SlowOnlyTrunk
from gesta.schema import BadInput
from gesta.train.persons import foreign
from gesta.train.persons.foreign import open_foreign_weights, put_foreign_start
from gesta.train.persons.recipes import PERSON_RECIPES
from gesta.train.persons.starting import put_person_start


def tiny(num_classes: int = 3, *, num_features: int = 4, num_blocks: tuple[int, ...] = (1, 1, 1, 1)) -> PersonModel:
    plan = PathPlan(
        num_blocks=num_blocks, temporal_kernels=(1, 1, 3, 3), temporal_blocks=num_blocks, strides_px=(1, 2, 2, 1),
        dilations_px=(1, 1, 1, 1), num_features=num_features,
    )  # fmt: skip
    return PersonModel(SlowOnlyTrunk(plan), PersonHead(), num_classes=num_classes)


def trunks_equal(one: PersonModel, other: PersonModel) -> bool:
    pairs = zip(one.trunk.state_dict().values(), other.trunk.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def write_caffe2(model: PersonModel, path: Path) -> Path:
    blobs: dict[str, object] = {name: value.numpy() for name, value in as_caffe2(model).items()}
    for name in list(blobs):
        blobs[f"{name}_momentum"] = np.zeros(2, dtype=np.float32)
    blobs |= {"lr": np.array([0.1], dtype=np.float32), "model_iter": np.array([7], dtype=np.int64)}
    write_pickle(path, {"blobs": blobs})
    return path


def test_caffe2s_pickle_comes_in_with_its_head(tmp_path: Path) -> None:
    model, other = tiny(), tiny()
    loaded = load_person_weights(other, open_foreign_weights(write_caffe2(model, tmp_path / "SLOW_8x8_R50.pkl")))
    assert loaded.lineage == "pyslowfast-caffe2"
    assert trunks_equal(model, other)
    assert torch.equal(model.head.classify.weight, other.head.classify.weight)
    assert "lr" in loaded.ignored
    assert all(name.endswith("num_batches_tracked") for name in loaded.constants)


def test_a_blob_without_its_last_ones_fits(tmp_path: Path) -> None:
    model, other = tiny(), tiny()
    blobs: dict[str, object] = {name: value.numpy() for name, value in as_caffe2(model).items()}
    name = "res2_0_branch2c_w"
    blobs[name] = np.asarray(blobs[name]).reshape(16, 4)
    write_pickle(tmp_path / "flat.pkl", {"blobs": blobs})
    load_person_weights(other, open_foreign_weights(tmp_path / "flat.pkl"))
    assert trunks_equal(model, other)


@pytest.mark.parametrize(
    ("content", "what"), [({"blob": {}}, "it holds no blobs"), ({"blobs": {"a": "b"}}, "none of its blobs is an array")]
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: object, what: str) -> None:
    path = tmp_path / "other.pkl"
    write_pickle(path, content)
    with pytest.raises(BadInput, match=what):
        open_foreign_weights(path)


def test_a_pickle_that_names_code_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(b"cposix\nmkdir\n(S'" + str(tmp_path / "mark").encode() + b"'\ntR.")
    with pytest.raises(BadInput, match=r"the pickle names posix\.mkdir, which is never run"):
        open_foreign_weights(path)
    assert not (tmp_path / "mark").exists()


def test_a_start_takes_the_trunk_and_keeps_the_head(tmp_path: Path) -> None:
    theirs, model = tiny(80), tiny(2)
    head = model.head.classify.weight.clone()
    path = save_as_mmaction2(theirs, tmp_path / "slowonly.pth")
    kept = put_person_start(model, path, class_names=("stand", "sit"))
    assert set(kept) == {"head.classify.weight", "head.classify.bias"}
    assert trunks_equal(theirs, model)
    assert torch.equal(model.head.classify.weight, head)


def test_a_published_name_is_a_start_where_its_file_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, theirs, model = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", tiny(80), tiny(2)
    path = save_as_mmaction2(theirs, tmp_path / "weights" / name / Path(PERSON_WEIGHTS[name].files[0].path).name)
    monkeypatch.setenv("GESTA_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match=r"has SHA-256 [0-9a-f]{64}, and one from 40061d5f on is wanted"):
        put_foreign_start(model, name)
    begins = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    entry = PublishedWeights(
        base_url="https://nowhere.invalid/", files=(PublishedFile(path=path.name, sha256_begins=begins),),
        models=("slow_only_r50_4x16",), classes="ava-80", licence="Apache-2.0", source="a test",
    )  # fmt: skip
    monkeypatch.setattr(foreign, "PERSON_WEIGHTS", {name: entry})
    assert put_foreign_start(model, name) is not None
    assert trunks_equal(theirs, model)


def test_a_resnet_goes_into_the_slow_path(tmp_path: Path) -> None:
    torch.manual_seed(0)
    from gesta.models.inflation import resnet_name

    model = tiny(2, num_features=64, num_blocks=(1, 1, 1, 3))
    weights = {}
    for name, value in model.trunk.slow.state_dict().items():
        if (theirs := resnet_name(name)) is not None:
            weights[theirs] = torch.rand(value.shape if value.ndim != 5 else (*value.shape[:2], *value.shape[3:]))
    weights |= {"fc.weight": torch.rand(3, 2048), "fc.bias": torch.rand(3)}
    torch.save(weights, tmp_path / "resnet50.pth")
    kept = put_foreign_start(model, tmp_path / "resnet50.pth")
    assert kept is not None
    assert set(kept) == {"head.classify.weight", "head.classify.bias"}
    assert torch.equal(model.trunk.slow.stem.conv.weight[:, :, 0], weights["conv1.weight"])


def test_what_is_not_foreign_is_left_to_others(tmp_path: Path) -> None:
    model = tiny(2)
    assert put_foreign_start(model, tmp_path / "absent.pth") is None
    assert put_foreign_start(model, "i3d-rgb-k400") is None
    torch.save(model.state_dict(), tmp_path / "ours.pth")
    assert put_foreign_start(model, tmp_path / "ours.pth") is None


def test_a_start_of_another_trunk_says_what_to_change(tmp_path: Path) -> None:
    values = as_mmaction2(tiny(num_blocks=(1, 1, 2, 1)))
    torch.save({"state_dict": values}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match=r"The file's network is of \(1, 1, 2, 1\) blocks"):
        put_foreign_start(tiny(2), tmp_path / "other.pth")


def test_the_tables_fourteen_models_are_weights_and_recipes_by_one_name() -> None:
    named = {name for name, entry in PERSON_WEIGHTS.items() if entry.classes.startswith("ava")}
    assert len(named) == 14
    assert named <= set(PERSON_RECIPES)
    for name in named:
        recipe = PERSON_RECIPES[name]()
        assert PERSON_WEIGHTS[name].models == (recipe.trunk.name,)
        assert (PERSON_WEIGHTS[name].classes == "ava-16") == (recipe.classes is not None)
