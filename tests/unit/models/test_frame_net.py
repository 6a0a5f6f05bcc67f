"""The yardstick sees the middle frame alone."""

import pytest
import torch

from gesta.models import frame_r18_small


@pytest.mark.parametrize("num_frames", [1, 4, 5])
def test_no_frame_but_the_middle_one_changes_the_logits(num_frames):
    torch.manual_seed(0)
    model = frame_r18_small(num_classes=3).eval()
    clip_BCTHW = torch.randn(2, 3, num_frames, 40, 33)
    logits = model(clip_BCTHW)
    middle = num_frames // 2
    for frame in range(num_frames):
        other = clip_BCTHW.clone()
        other[:, :, frame] += 1
        assert torch.equal(model(other), logits) == (frame != middle)
