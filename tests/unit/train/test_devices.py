"""Precisions: bfloat16 is taken of itself only where it computes what float32 does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from gesta.train import devices
from gesta.train.devices import has_right_bfloat16_gradients, pick_clip_precision


@pytest.fixture(autouse=True)
def tried_anew() -> Iterator[None]:
    has_right_bfloat16_gradients.cache_clear()
    yield
    has_right_bfloat16_gradients.cache_clear()


def test_torchs_own_convolutions_pass_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert has_right_bfloat16_gradients("cpu")


def test_a_convolution_that_is_wrong_over_two_frames_fails_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    right = functional.conv3d

    def wrong(clip: torch.Tensor, weight: torch.Tensor, *, padding: int) -> torch.Tensor:
        spoilt = weight * torch.nan if clip.shape[2] == 2 and clip.dtype == torch.bfloat16 else weight
        return right(clip, spoilt, padding=padding)

    monkeypatch.setattr(devices.functional, "conv3d", wrong)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not has_right_bfloat16_gradients("cpu")


@pytest.mark.parametrize(("is_right", "picked"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_only_where_its_gradients_are_right(
    *, is_right: bool, picked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_right_bfloat16_gradients", lambda device: is_right)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert pick_clip_precision("auto", device="cpu") == picked
    assert pick_clip_precision("bfloat16", device="cpu") == "bfloat16"
    assert pick_clip_precision("float32", device="cpu") == "float32"
