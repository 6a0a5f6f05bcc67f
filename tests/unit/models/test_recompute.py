"""Activation checkpointing changes memory and nothing else."""

import copy

import pytest
import torch

from gesta.models import C3dBn, I3d, frame_r18_small, two_stream
from gesta.models.conv_lstm import ConvLstm
from gesta.models.two_stream import two_stream_rgb


def trained_once(model: torch.nn.Module, clip_BCTHW: torch.Tensor) -> tuple[dict, dict]:
    model.train()
    torch.manual_seed(5)
    model(clip_BCTHW).square().sum().backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return gradients, dict(model.named_buffers())


@pytest.mark.parametrize(
    ("make", "clip"),
    [
        (lambda: I3d(num_classes=3, width=0.25), (2, 3, 5, 33, 30)),
        (lambda: C3dBn(num_classes=3, num_frames=4, crop_px=32, width=0.125), (2, 3, 4, 32, 32)),
        (lambda: ConvLstm(num_classes=3, num_units=8), (2, 3, 2, 33, 33)),
        (lambda: two_stream_rgb(num_classes=3), (2, 3, 1, 33, 33)),
        (lambda: frame_r18_small(num_classes=3), (2, 3, 2, 33, 33)),
    ],
    ids=("i3d", "c3d_bn", "conv_lstm", "two_stream_rgb", "frame_r18_small"),
)
def test_gradients_and_running_averages_are_the_same(make, clip):
    torch.manual_seed(0)
    kept = make()
    again = copy.deepcopy(kept)
    again.checkpoint_activations = True
    assert again.checkpoint_activations
    clip_BCTHW = torch.randn(clip)
    for ours, expected in zip(trained_once(again, clip_BCTHW), trained_once(kept, clip_BCTHW), strict=True):
        assert ours.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(ours[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.slow
def test_compiled_too_gradients_and_running_averages_are_the_same():
    torch.manual_seed(0)
    kept = C3dBn(num_classes=3, num_frames=4, crop_px=32, width=0.125)
    again = copy.deepcopy(kept)
    again.checkpoint_activations = True
    clip_BCTHW = torch.randn(2, 3, 4, 32, 32)
    expected = trained_once(kept, clip_BCTHW)
    torch._dynamo.reset()
    forward = torch.compile(again.train(), backend="aot_eager", fullgraph=True)
    torch.manual_seed(5)
    forward(clip_BCTHW).square().sum().backward()
    for name, weight in again.named_parameters():
        torch.testing.assert_close(weight.grad, expected[0][name], rtol=1e-5, atol=1e-6)
    for name, value in again.named_buffers():
        torch.testing.assert_close(value, expected[1][name], rtol=1e-5, atol=1e-6)


def test_both_streams_are_switched_together():
    with torch.device("meta"):
        model = two_stream(num_classes=3)
    assert not model.checkpoint_activations
    model.checkpoint_activations = True
    assert model.rgb.checkpoint_activations
    assert model.flow.checkpoint_activations


def test_fewer_activations_are_kept():
    def kept_bytes(*, is_on: bool) -> int:
        torch.manual_seed(0)
        model = I3d(num_classes=3, width=0.25, checkpoint_activations=is_on).train()
        total = 0

        def pack(x: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += x.numel() * x.element_size()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            model(torch.randn(2, 3, 8, 64, 64))
        return total

    assert kept_bytes(is_on=True) < 0.6 * kept_bytes(is_on=False)
