"""Models filled from torchvision's state dicts against torchvision's own modules, on the same clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from gesta.models import MODELS
from gesta.models.weights import load_published


def drawn_state(net: nn.Module) -> dict[str, torch.Tensor]:
    """The module's state with its batch norms drawn anew, so that none is the identity."""
    generator = torch.Generator().manual_seed(11)
    state = net.state_dict()
    for name, value in state.items():
        if "running" in name or ("bn" in name and value.ndim == 1):
            value.copy_(torch.rand(value.shape, generator=generator) * 0.5 + 0.5)
    return state


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(4)
    net = torchvision.models.resnet50().eval()
    path = tmp_path_factory.mktemp("resnet") / "resnet50.pth"
    torch.save(drawn_state(net), path)
    net.fc = nn.Identity()
    return net, path


@pytest.mark.parametrize("name", ["conv_lstm", "two_stream_rgb"])
def test_the_frames_features_are_torchvisions(name: str, resnet: tuple[nn.Module, Path]) -> None:
    net, path = resnet
    model = MODELS[name](num_classes=3).eval()
    load_published(model, path)
    frames = torch.rand(2, 3, 61, 75, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model.body(frames), net(frames), rtol=1e-5, atol=1e-6)


def test_the_flow_stream_is_torchvisions_with_the_mean_of_its_stem(resnet: tuple[nn.Module, Path]) -> None:
    net, path = resnet
    model = MODELS["two_stream_flow"](num_classes=3).eval()
    load_published(model, path)
    flow = torch.rand(1, 2, 10, 64, 57, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        # Every channel has the mean stem, so the stack enters by its sum alone: a grey picture of a third of it.
        grey = flow.sum(dim=(1, 2), keepdim=True)[:, :, 0].expand(-1, 3, -1, -1) / 3
        want = model.logits(net(grey))
        torch.testing.assert_close(model(flow), want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


def test_a_video_model_by_name_takes_torchvisions_state(tmp_path: Path) -> None:
    torch.manual_seed(6)
    net = torchvision.models.video.r3d_18(num_classes=7).eval()
    torch.save(drawn_state(net), tmp_path / "r3d_18.pth")
    model = MODELS["r3d_18"](num_classes=7).eval()
    assert load_published(model, tmp_path / "r3d_18.pth").rule == "same-names"
    clip = torch.rand(1, 3, 5, 33, 40, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model(clip), net(clip), rtol=0, atol=0)
