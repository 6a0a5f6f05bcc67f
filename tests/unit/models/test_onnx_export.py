"""Models as ONNX files: the same probabilities in onnxruntime, for any number of clips and boxes, none among them."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from gesta.models import ActionTransformerSpec, PersonHead, PersonModel, TrunkSpec, build_person_model
from gesta.models.feature_bank import FeatureBankSpec
from gesta.models.onnx_export import (
    CASES,
    example_inputs,
    export_onnx,
    onnx_about,
    onnx_difference,
    open_onnx,
)
from gesta.schema import BadInput, GestaError, MissingExtra

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
SHAPE = (4, 32, 32)
HEADS = {
    "context": PersonHead(context=True, grid=4),
    "pyslowfast": PersonHead(order="pyslowfast", grid=7, temporal="max"),
    "transformer": PersonHead(
        kind="action-transformer",
        grid=7,
        transformer=ActionTransformerSpec(num_hidden=8, num_layers=1, position="box", query="high-resolution"),
    ),
    "bank": PersonHead(kind="two-layer", bank=FeatureBankSpec(window_s=4, max_per_second=2, num_hidden=5)),
}


class Pixels(nn.Module):
    """A trunk of two paths whose cells see their own 4 x 4 pixels."""

    def __init__(self):
        super().__init__()
        self.path_features, self.stride_px = (6, 3), 4
        self.slow, self.fast = (nn.Conv3d(3, num, (1, 4, 4), stride=(1, 4, 4)) for num in self.path_features)

    def forward(self, clip_BCTHW):
        return self.slow(clip_BCTHW[:, :, ::2]), self.fast(clip_BCTHW)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(head, *, num_clip_classes=0):
    torch.manual_seed(0)
    return PersonModel(Pixels(), head, num_classes=3, num_clip_classes=num_clip_classes).eval()


@pytest.mark.parametrize(
    "name", ["context", "bank", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pyslowfast", "transformer"))]
)
def test_a_file_gives_the_models_probabilities(name, tmp_path):
    model = made(HEADS[name], num_clip_classes=2 if name == "context" else 0)
    path = export_onnx(model, tmp_path / "m.onnx", clip_shape=SHAPE, about={"class_names": ["a", "b", "c"]})
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    assert onnx_difference(model, path, clip_shape=SHAPE, cases=(*CASES, (3, 0), (3, 2), (2, 40))) < 1e-5
    # Another model's file is not taken for this one's.
    torch.manual_seed(1)
    nn.init.normal_(model.head.classify.weight)
    assert onnx_difference(model, path, clip_shape=SHAPE) > 1e-3
    about = onnx_about(path)
    assert about["class_names"] == ["a", "b", "c"]
    assert about["inputs"] == ["clip", "boxes", "bank"] if name == "bank" else ["clip", "boxes"]
    assert about["outputs"] == ["scores", "clip_scores"] if name == "context" else ["scores"]
    session = open_onnx(path)
    assert [list(x.shape) for x in session.get_inputs()][:2] == [["clips", 3, *SHAPE], ["boxes", 5]]
    assert len(session.get_inputs()) < 3 or session.get_inputs()[2].shape == ["clips", 8, 9]


@pytest.mark.slow
@pytest.mark.parametrize("trunk", ["slowfast_small", "slow_only_small", "r3d_small"])
def test_small_trunks_give_their_probabilities(trunk, tmp_path):
    torch.manual_seed(0)
    model = build_person_model(TrunkSpec(name=trunk), HEADS["context"], num_classes=3, num_frames=16, crop_px=64).eval()
    path = export_onnx(model, tmp_path / "m.onnx", clip_shape=(16, 64, 80))
    assert onnx_difference(model, path, clip_shape=(16, 64, 80)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("trunk", ["i3d", "slowfast_r50_4x16", "r3d_18"])
def test_large_trunks_give_their_probabilities(trunk, tmp_path):
    torch.manual_seed(0)
    model = build_person_model(TrunkSpec(name=trunk), PersonHead(), num_classes=80, num_frames=16, crop_px=64).eval()
    path = export_onnx(model, tmp_path / "m.onnx", clip_shape=(16, 64, 64))
    assert onnx_difference(model, path, clip_shape=(16, 64, 64), cases=((1, 0), (2, 4))) < 1e-4


def test_inputs_are_drawn_by_the_seed_and_hold_the_hard_boxes():
    model = made(HEADS["bank"])
    first, again = (example_inputs(model, clip_shape=SHAPE, num_clips=2, num_boxes=5, seed=3) for _ in range(2))
    assert {name: tuple(value.shape) for name, value in first.items()} == {
        "clip": (2, 3, *SHAPE), "boxes": (5, 5), "bank": (2, 8, 9),
    }  # fmt: skip
    assert all(torch.equal(first[name], again[name]) for name in first)
    boxes = first["boxes"].numpy()
    assert boxes[0, 1:].tolist() == [0, 0, 1, 1]
    assert boxes[1, 1:].min() < 0
    assert boxes[1, 1:].max() > 1
    assert boxes[2, 1] == boxes[2, 3]
    assert np.isin(boxes[:, 0], [0, 1]).all()


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(BadInput, match=r"opset 16 is too old\. Give 18 or more"):
        export_onnx(made(HEADS["context"]), tmp_path / "m.onnx", clip_shape=SHAPE, opset=16)
    with pytest.raises(BadInput, match=r"clips of \(4, 0, 32\) frames, height and width"):
        export_onnx(made(HEADS["context"]), tmp_path / "m.onnx", clip_shape=(4, 0, 32))
    model = made(HEADS["context"])
    model.trunk.slow.register_forward_hook(lambda module, args, out: out if out.sum() > 0 else -out)
    with pytest.raises(GestaError, match="torch cannot write this model as ONNX"):
        export_onnx(model, tmp_path / "m.onnx", clip_shape=SHAPE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["onnx", "onnxscript"])
def test_without_the_extra_it_is_named(module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"'{module}'.*pip install 'gesta\[onnx\]'"):
        export_onnx(made(HEADS["context"]), tmp_path / "m.onnx", clip_shape=SHAPE)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"m\.onnx: there is no such ONNX file"):
        open_onnx(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(BadInput, match="onnxruntime cannot open it"):
        onnx_about(tmp_path / "m.onnx")
