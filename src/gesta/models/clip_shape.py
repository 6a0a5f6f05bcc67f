"""What a clip model was given, checked at the door. B clips, C channels, T frames, H and W pixels."""

from __future__ import annotations

from torch import Tensor

CHANNELS = {3: "3 channels, red green blue", 2: "2 channels, flow to the right and down"}
"""What the channels of a clip can be, by their number."""


def check_clip(clip_BCTHW: Tensor, *, num_channels: int, model: str) -> None:
    """Nothing: `clip_BCTHW` of shape [B, C, T, H, W] is fit for `model`, which wants `num_channels`.

    Raises:
        ValueError: another number of dimensions or of channels, or a dimension of size 0; the message names both.
    """
    shape = tuple(clip_BCTHW.shape)
    want = CHANNELS.get(num_channels, f"{num_channels} channels")
    if len(shape) != 5:
        raise ValueError(f"{model}: a clip of shape {shape}, want [B, {num_channels}, T, H, W]")
    if shape[1] != num_channels:
        have = CHANNELS.get(shape[1], f"{shape[1]} channels")
        raise ValueError(f"{model}: a clip of shape {shape} has {have}, want {want}")
    if 0 in shape:
        raise ValueError(f"{model}: a clip of shape {shape} is empty")
