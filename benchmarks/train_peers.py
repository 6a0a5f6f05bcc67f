"""Networks of others for `benchmarks.train`, from a checkout each; nothing of theirs is kept here.

- the common PyTorch port of I3D: github.com/piergiaj/pytorch-i3d
- PyTorchVideo: github.com/facebookresearch/pytorchvideo
- torchvision's own R3D-18, which is installed.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class ClipLogits(nn.Module):
    """The port's network with its logits averaged over time, as a clip classifier needs them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K]."""
        logits: Tensor = self.network(clip_BCTHW)
        return logits.mean(dim=2)


def _module_of(checkout: Path, name: str) -> Any:
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return importlib.import_module(name)


def i3d_port(checkout: Path, *, num_classes: int, crop_px: int) -> nn.Module:
    """The port's I3D; its last pool, fixed at 7x7 for crops of 224, is set to the crop's grid."""
    network = _module_of(checkout, "pytorch_i3d").InceptionI3d(num_classes=num_classes)
    grid = -(-crop_px // 32)
    network.avg_pool = nn.AvgPool3d(kernel_size=[2, grid, grid], stride=(1, 1, 1))
    return ClipLogits(network)


def slow_r50(checkout: Path, *, num_classes: int, num_frames: int, crop_px: int) -> nn.Module:
    """PyTorchVideo's SlowOnly R50; its last pool, fixed at 8x7x7, is set to the clip's grid."""
    _stand_in_for_fvcore()
    network: nn.Module = _module_of(checkout, "pytorchvideo.models.resnet").create_resnet(
        model_depth=50,
        model_num_class=num_classes,
        stem_conv_kernel_size=(1, 7, 7),
        head_pool_kernel_size=(num_frames, crop_px // 32, crop_px // 32),
    )
    return network


def _stand_in_for_fvcore() -> None:
    """Its two functions that fill weights, where fvcore is not installed; they bear on no speed."""
    try:
        importlib.import_module("fvcore.nn.weight_init")
    except ImportError:
        for name in ("fvcore", "fvcore.nn", "fvcore.nn.weight_init", "fvcore.nn.squeeze_excitation"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["fvcore.nn.weight_init"].c2_msra_fill = _fill  # type: ignore[attr-defined]
        sys.modules["fvcore.nn.weight_init"].c2_xavier_fill = _fill  # type: ignore[attr-defined]
        sys.modules["fvcore.nn.squeeze_excitation"].SqueezeExcitation = nn.Identity  # type: ignore[attr-defined]


def _fill(module: nn.Conv3d) -> None:
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def torchvision_r3d_18(*, num_classes: int) -> nn.Module:
    """Torchvision's R3D-18."""
    from torchvision.models.video import r3d_18

    network: nn.Module = r3d_18(num_classes=num_classes)
    return network


def commit_of(checkout: Path) -> str:
    """The commit checked out there, or what a file COMMIT says, or "unknown"."""
    if (checkout / "COMMIT").is_file():
        return (checkout / "COMMIT").read_text().strip()[:12]
    asked = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()[:12] if asked.returncode == 0 else "unknown"


def plain_optimiser(model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum as the peers' training scripts build it."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
