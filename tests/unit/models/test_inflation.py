"""ImageNet's ResNets inflated: a clip of equal frames gives what one frame gives the ResNet."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from gesta.models.inflation import inflate_resnet, is_resnet, resnet_name
from gesta.models.person_model import build_person_model
from gesta.models.trunks import TrunkSpec, build_trunk
from gesta.schema import BadInput

STAGES = {"res2": "layer1", "res3": "layer2", "res4": "layer3", "res5": "layer4"}


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """A ResNet whose norms are not at their start, or they would hide that they were left out."""
    torch.manual_seed(3)
    net = resnet50().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.2, 0.5)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return net


def stages_2d(net: nn.Module, frame: torch.Tensor) -> dict[str, torch.Tensor]:
    x = net.maxpool(net.relu(net.bn1(net.conv1(frame))))
    found = {}
    for ours, theirs in STAGES.items():
        found[ours] = x = getattr(net, theirs)(x)
    return found


def stages_3d(trunk: nn.Module, clip: torch.Tensor) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    hooks = [
        stage.register_forward_hook(lambda _, __, output, name=name: found.update({name: output}))
        for name, stage in trunk.slow.stages()
    ]
    trunk(clip)
    for hook in hooks:
        hook.remove()
    return found


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("name", ["slow_only_r50_8x8", "slowfast_r50_4x16"])
@torch.no_grad()
def test_all_of_a_still_clip_is_the_frame_with_centred_kernels(net: nn.Module, name: str) -> None:
    trunk = build_trunk(TrunkSpec(name=name), num_frames=16, crop_px=64, res5_stride=2).eval()
    inflate_resnet(trunk, net.state_dict(), over_time="centre")
    frame = torch.rand(1, 3, 64, 48)
    found = stages_3d(trunk, frame[:, :, None].expand(-1, -1, 16, -1, -1))
    for stage, want in stages_2d(net, frame).items():
        got = found[stage][:, : want.shape[1]]
        assert far(got, want[:, :, None].expand_as(got)) < 1e-5, stage


@torch.no_grad()
def test_the_middle_of_a_still_clip_is_the_frame_with_mean_kernels_and_its_ends_are_not(net: nn.Module) -> None:
    trunk = build_trunk(TrunkSpec(name="slow_only_r50_16x4"), num_frames=19, crop_px=48, res5_stride=2).eval()
    inflate_resnet(trunk, net.state_dict())
    frame = torch.rand(1, 3, 48, 48)
    found = stages_3d(trunk, frame[:, :, None].expand(-1, -1, 19, -1, -1))
    for stage, want in stages_2d(net, frame).items():
        num_kernels = {"res2": 0, "res3": 0, "res4": 6, "res5": 9}[stage]
        middle = found[stage][:, :, num_kernels : 19 - num_kernels]
        assert far(middle, want[:, :, None].expand_as(middle)) < 1e-5, stage
        if num_kernels:
            assert far(found[stage][:, :, 0], want) > 1e-3, stage


def test_what_is_not_a_resnets_keeps_what_it_has(net: nn.Module) -> None:
    spec = TrunkSpec(name="slowfast_r50_4x16", non_local="mmaction2")
    trunk = build_trunk(spec, num_frames=32, crop_px=64)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    kept = set(inflate_resnet(trunk, net.state_dict()))
    assert {name.split(".")[0] for name in kept} == {"slow", "fast", "laterals"}
    assert all("non_locals" in name for name in kept if name.startswith("slow."))
    for name, value in trunk.state_dict().items():
        assert torch.equal(value, before[name]) == (name in kept or name.endswith("num_batches_tracked")), name
    # What comes from the fast path adds nothing yet.
    assert not trunk.slow.res2.blocks[0].a.conv.weight[:, 64:].any()
    assert trunk.slow.res2.blocks[0].a.conv.weight[:, :64].any()


def test_the_fast_path_and_other_depths_are_refused(net: nn.Module) -> None:
    trunk = build_trunk(TrunkSpec(name="slowfast_r50_4x16"), num_frames=32, crop_px=64)
    with pytest.raises(BadInput, match=r"the fast path's stem has 8 features, a ResNet's conv1 64.*slow path"):
        inflate_resnet(trunk, net.state_dict(), path="fast")
    with torch.device("meta"):
        deep = build_trunk(TrunkSpec(name="slow_only_r101_8x8"), num_frames=8, crop_px=64)
        i3d = build_trunk(TrunkSpec(name="i3d"), num_frames=8, crop_px=64)
    with pytest.raises(BadInput, match=r"it lacks layer3\.6\.conv1\.weight .*resnet101's for R101"):
        inflate_resnet(deep, net.state_dict(), where="resnet50.pth")
    with pytest.raises(BadInput, match="this trunk has no slow path of a ResNet's widths"):
        inflate_resnet(i3d, net.state_dict())


def test_every_name_of_the_resnet_has_its_place(net: nn.Module) -> None:
    with torch.device("meta"):
        trunk = build_person_model_trunk()
    ours = {resnet_name(name) for name in trunk.slow.state_dict()}
    assert ours == {name for name in net.state_dict() if not name.startswith("fc.")}
    assert is_resnet(net.state_dict())
    assert not is_resnet(trunk.state_dict())


def build_person_model_trunk() -> nn.Module:
    from gesta.models.person_heads import PersonHead

    spec = TrunkSpec(name="slow_only_r50_4x16")
    return build_person_model(spec, PersonHead(), num_classes=1, num_frames=4, crop_px=64).trunk
