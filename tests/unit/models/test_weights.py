"""Published weights in our models: each parameter filled once, each tensor used or ignored, or an error with names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from gesta.models.conv_lstm import conv_lstm
from gesta.models.i3d import I3d
from gesta.models.two_stream import two_stream, two_stream_flow, two_stream_rgb
from gesta.models.weight_names import PYTORCH_I3D, mean_over_channels
from gesta.models.weights import kinetics_400_names, load_published
from gesta.schema import BadInput, UnknownName


def small_i3d(num_classes: int = 5, *, num_channels: int = 3) -> I3d:
    return I3d(num_classes=num_classes, num_channels=num_channels, width=0.125).eval()


def port_state(model: I3d, *, counted: bool = True) -> dict[str, torch.Tensor]:
    """The state of a model under the names of the PyTorch port; the convolutions and norms drawn anew."""
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            if counted:
                state[str(PYTORCH_I3D.theirs(name))] = torch.tensor(7)
        else:
            state[str(PYTORCH_I3D.theirs(name))] = torch.rand(value.shape, generator=generator) + 0.5
    return state


def saved(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize("form", ["counted", "wrapped", "counted and wrapped", "bare"])
def test_the_ports_state_fills_every_parameter_once(tmp_path: Path, form: str) -> None:
    counted, wrapped = "counted" in form, "wrapped" in form
    model = small_i3d()
    state = port_state(model, counted=counted)
    around = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}
    loaded = load_published(model, saved(tmp_path / "a.pt", around if wrapped else state))
    assert loaded.rule == "pytorch-i3d"
    ours = model.state_dict()
    assert sorted(loaded.filled + loaded.constants) == sorted(ours)
    assert (loaded.kept, loaded.ignored) == ((), ())
    assert len(loaded.constants) == (0 if counted else 57)
    for name in loaded.filled:
        assert torch.equal(ours[name], state[str(PYTORCH_I3D.theirs(name))].to(ours[name].dtype)), name


def test_a_file_of_before_2018_opens(tmp_path: Path) -> None:
    model = small_i3d()
    path = tmp_path / "old.pt"
    torch.save(port_state(model, counted=False), path, _use_new_zipfile_serialization=False)
    assert load_published(model, path).rule == "pytorch-i3d"


def test_a_model_is_left_alone_when_something_does_not_fit(tmp_path: Path) -> None:
    model = small_i3d()
    state = port_state(model)
    del state["Mixed_4c.b2a.bn.running_var"]
    state["Mixed_9z.b0.conv3d.weight"] = torch.ones(1)
    state["Conv3d_2b_1x1.conv3d.weight"] = torch.ones(3, 3)
    state["Conv3d_2c_3x3.bn.bias"][0] = torch.nan
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(BadInput) as error:
        load_published(model, saved(tmp_path / "a.pt", state))
    text = str(error.value)
    assert "it lacks Mixed_4c.b2a.bn.running_var (for trunk.blocks.Mixed_4c.branch_2a.norm.running_var)" in text
    assert "it has Mixed_9z.b0.conv3d.weight, for which the model has no place" in text
    assert "Conv3d_2b_1x1.conv3d.weight (3, 3) for trunk.blocks.Conv3d_2b_1x1.conv.weight (8, 8, 1, 1, 1)" in text
    assert "with values that are not finite: Conv3d_2c_3x3.bn.bias" in text
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_classes_are_an_error_that_names_the_fresh_head(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", port_state(small_i3d(5)))
    model = small_i3d(3)
    with pytest.raises(BadInput, match=r"logits\.conv3d\.weight \(5, 128, 1, 1, 1\).*head=\"fresh\""):
        load_published(model, path)
    kept = model.logits.weight.detach().clone()
    loaded = load_published(model, path, head="fresh")
    assert loaded.kept == ("logits.weight", "logits.bias")
    assert loaded.ignored == ("logits.conv3d.weight", "logits.conv3d.bias")
    assert loaded.class_names == ()
    assert torch.equal(model.logits.weight, kept)


def test_classes_are_kinetics_400s_in_its_order_where_there_are_400(tmp_path: Path, shared: Path) -> None:
    names = (shared / "annotations/kinetics/i3d_label_map_400.txt").read_text().splitlines()
    assert kinetics_400_names() == tuple(names)
    model = small_i3d(400)
    path = saved(tmp_path / "a.pt", port_state(model))
    assert load_published(model, path).class_names == tuple(names)
    mine = [f"class {number}" for number in range(400)]
    assert load_published(model, path, class_names=mine).class_names == tuple(mine)
    with pytest.raises(BadInput, match="2 names of classes for 400 logits"):
        load_published(model, path, class_names=["a", "b"])


def test_classes_are_unknown_where_nothing_tells_them(tmp_path: Path) -> None:
    model = small_i3d(5)
    assert load_published(model, saved(tmp_path / "a.pt", port_state(model))).class_names == ()


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    return saved(tmp_path_factory.mktemp("resnet") / "resnet50.pth", torchvision.models.resnet50().state_dict())


@pytest.mark.parametrize("build", [conv_lstm, two_stream_rgb, two_stream_flow, two_stream])
def test_torchvisions_resnet_fills_every_body(build, resnet_file: Path) -> None:
    model = build(num_classes=3)
    loaded = load_published(model, resnet_file)
    assert loaded.rule == "torchvision-resnet"
    assert loaded.ignored == ("fc.weight", "fc.bias")
    assert loaded.class_names == ()
    bodies = [name for name in model.state_dict() if ".body." in f".{name}"]
    assert sorted(loaded.filled) == sorted(bodies)
    assert sorted(loaded.kept) == sorted(set(model.state_dict()) - set(bodies))
    state = torch.load(resnet_file, weights_only=True)
    for name in bodies:
        theirs = state[name.partition("body.")[2]]
        if model.state_dict()[name].shape == theirs.shape:
            assert torch.equal(model.state_dict()[name], theirs), name


def test_features_of_the_filled_body_are_torchvisions(resnet_file: Path) -> None:
    model = two_stream_rgb(num_classes=3).eval()
    load_published(model, resnet_file)
    theirs = torchvision.models.resnet50()
    theirs.load_state_dict(torch.load(resnet_file, weights_only=True))
    theirs.fc = torch.nn.Identity()
    images = torch.rand(2, 3, 65, 71, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.body(images), theirs.eval()(images))


def test_the_flow_stem_is_the_mean_over_rgb_repeated(resnet_file: Path) -> None:
    model = two_stream_flow(num_classes=3)
    load_published(model, resnet_file)
    stem = torch.load(resnet_file, weights_only=True)["conv1.weight"]
    mean = (stem[:, 0] + stem[:, 1] + stem[:, 2]) / 3
    assert model.body.conv1.weight.shape == (64, 20, 7, 7)
    for channel in range(20):
        torch.testing.assert_close(model.body.conv1.weight[:, channel], mean)


def test_a_grey_stack_excites_the_flow_stem_as_a_grey_picture_does() -> None:
    # With the mean of the weights, 20 equal channels give 20/3 of what 3 equal channels gave.
    stem = torch.rand(4, 3, 7, 7, generator=torch.Generator().manual_seed(2)).double()
    grey = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(3)).double()
    of_flow = torch.conv2d(grey.repeat(1, 20, 1, 1), mean_over_channels(stem, num_channels=20))
    torch.testing.assert_close(of_flow, torch.conv2d(grey.repeat(1, 3, 1, 1), stem) * 20 / 3)


def test_a_models_own_state_loads_by_its_own_names(tmp_path: Path) -> None:
    model, other = (torchvision.models.video.mc3_18(num_classes=4) for _ in range(2))
    path = saved(tmp_path / "mc3.pth", model.state_dict())
    loaded = load_published(other, path)
    assert loaded.rule == "same-names"
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    narrow = torchvision.models.video.mc3_18(num_classes=2)
    with pytest.raises(BadInput, match=r"fc\.weight \(4, 512\) for fc\.weight \(2, 512\)"):
        load_published(narrow, path)
    assert load_published(narrow, path, head="fresh").kept == ("fc.weight", "fc.bias")


def test_what_is_no_weights_is_refused_by_name_and_place(tmp_path: Path) -> None:
    model = small_i3d()
    with pytest.raises(UnknownName, match=r"no published weights or file 'i3d-rgb-k40'\. Did you mean 'i3d-rgb-k400'"):
        load_published(model, "i3d-rgb-k40")
    with pytest.raises(BadInput, match=r"there is no such file of weights.*its folder, or model\.ckpt"):
        load_published(model, tmp_path / "none.pt")
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"not weights")
    with pytest.raises(BadInput, match="no torch file of tensors alone"):
        load_published(model, junk)
    with pytest.raises(BadInput, match="it holds no tensors by name"):
        load_published(model, saved(tmp_path / "list.pt", [torch.ones(1)]))
    with pytest.raises(BadInput, match=r"of no known publication for I3d\. It begins with b; the model with trunk\."):
        load_published(model, saved(tmp_path / "b.pt", {"b": torch.ones(1)}))


def test_a_file_that_runs_code_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    with pytest.raises(BadInput, match="no torch file of tensors alone"):
        load_published(small_i3d(), saved(tmp_path / "trap.pt", {"a": Trap()}))
    assert not (tmp_path / "sprung").exists()
