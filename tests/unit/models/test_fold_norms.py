"""Folded norms give what the norms gave, leave the model alone, and are refused where there is nothing to fold."""

import pytest
import torch
from torch import nn

from gesta.models import TrunkSpec, build_trunk, i3d_small
from gesta.models.fold_norms import fold_norms
from gesta.schema import BadInput

SPECS = {
    "slow_only": TrunkSpec(name="slow_only_small"),
    "slowfast": TrunkSpec(name="slowfast_small"),
    "pyslowfast": TrunkSpec(name="slowfast_small", lineage="pyslowfast"),
    "non-local": TrunkSpec(name="slow_only_r50_4x16", non_local="pyslowfast-softmax"),
}


def used(model: nn.Module) -> nn.Module:
    """The model with running averages and scales as after a training."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.2)
            nn.init.normal_(part.bias, std=0.2)
    return model.eval()


@pytest.mark.parametrize("name", SPECS)
@torch.no_grad()
def test_maps_are_the_same_and_no_norm_is_left(name):
    model = used(build_trunk(SPECS[name], num_frames=8, crop_px=48))
    clip_BCTHW = torch.randn(2, 3, 8, 48, 40)
    expected = model(clip_BCTHW)
    folded = fold_norms(model)
    assert not any(isinstance(part, nn.BatchNorm3d) for part in folded.modules())
    assert any(isinstance(part, nn.BatchNorm3d) for part in model.modules())
    for ours, want in zip(folded(clip_BCTHW), expected, strict=True):
        assert float((ours - want).abs().max() / want.abs().max()) < 1e-5
    for ours, want in zip(model(clip_BCTHW), expected, strict=True):
        assert torch.equal(ours, want)


@torch.no_grad()
def test_i3d_folds_too_and_asks_for_no_gradient():
    model = used(i3d_small(num_classes=3))
    clip_BCTHW = torch.randn(1, 3, 9, 33, 40)
    folded = fold_norms(model)
    torch.testing.assert_close(folded(clip_BCTHW), model(clip_BCTHW), rtol=1e-4, atol=1e-5)
    assert not any(weight.requires_grad for weight in folded.parameters())
    assert not folded.training


def test_a_norm_without_averages_is_refused():
    model = build_trunk(SPECS["slow_only"], num_frames=4, crop_px=32)
    model.slow.stem.norm = nn.BatchNorm3d(16, track_running_stats=False)
    with pytest.raises(BadInput, match=r"'slow\.stem' keeps no running averages"):
        fold_norms(model)
