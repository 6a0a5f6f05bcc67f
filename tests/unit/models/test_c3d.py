"""C3D's stages and the size that its full layers tie it to."""

import pytest
import torch

from gesta.models import C3dBn, c3d_bn


def test_the_pools_leave_what_the_paper_leaves():
    with torch.device("meta"):
        model = c3d_bn(num_classes=4).eval()
        sizes, x = [], torch.empty(1, 3, 16, 112, 112)
        for stage in model.stages:
            x = stage(x)
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(64, 8, 56, 56), (128, 4, 28, 28), (256, 2, 14, 14), (512, 1, 7, 7), (512, 1, 4, 4)]


def test_there_are_eight_convolutions_five_pools_and_batch_norm_behind_all_but_the_logits():
    with torch.device("meta"):
        parts = list(c3d_bn(num_classes=4).modules())
    count = {kind: sum(isinstance(part, getattr(torch.nn, kind)) for part in parts) for kind in
             ("Conv3d", "BatchNorm3d", "Linear", "BatchNorm1d")}  # fmt: skip
    assert count == {"Conv3d": 8, "BatchNorm3d": 8, "Linear": 3, "BatchNorm1d": 2}


def test_a_clip_of_another_size_is_refused():
    model = C3dBn(num_classes=3, num_frames=4, crop_px=32, width=0.125).eval()
    assert model(torch.zeros(2, 3, 4, 32, 32)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"c3d_bn: a clip of shape \(2, 3, 4, 32, 40\), want T, H, W = \(4, 32, 32\)"):
        model(torch.zeros(2, 3, 4, 32, 40))


def test_one_clip_to_train_on_is_refused():
    model = C3dBn(num_classes=3, num_frames=4, crop_px=32, width=0.125).train()
    with pytest.raises(ValueError, match="c3d_bn: one clip to train on, want two or more"):
        model(torch.zeros(1, 3, 4, 32, 32))
