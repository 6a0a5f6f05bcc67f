"""Other people's networks for `benchmarks.ava`: PySlowFast's and MMAction2's own model code, from a checkout each.

Nothing of theirs is kept here. Their networks are built from their AVA configs and run unchanged; only PySlowFast's
last sigmoid is taken off, since the loss is computed on logits for all sides. What they import and no package index
offers (mmdet, mmcv's compiled operators, detectron2) is stood in for by `tests/golden/persons/stand_ins.py`, over
torchvision's RoIAlign, which our head uses too.

Shapes: B clips, C channels, T frames, H and W pixels; N boxes, K classes.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

STAND_INS = Path(__file__).resolve().parents[1] / "tests" / "golden" / "persons" / "stand_ins.py"

PYSLOWFAST = {
    "slow_only_r50_4x16": ("AVA/SLOW_8x8_R50_SHORT", {}),
    # There is no AVA config of 4x16: that of 8x8, with what configs/Kinetics/SLOWFAST_4x16_R50.yaml sets otherwise.
    "slowfast_r50_4x16": ("AVA/SLOWFAST_32x2_R50_SHORT", {"ALPHA": 8, "FUSION_KERNEL_SZ": 5}),
    "slowfast_r50_8x8": ("AVA/SLOWFAST_32x2_R50_SHORT", {}),
}
"""The config of each trunk, and what is set otherwise in its part SLOWFAST."""

MMACTION2 = {
    "slow_only_r50_4x16": "slowonly/slowonly_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
    "slowfast_r50_4x16": "slowfast/slowfast_kinetics400-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb",
    "slowfast_r50_8x8": "slowfast/slowfast_kinetics400-pretrained-r50_8xb8-8x8x1-20e_ava21-rgb",
}
"""The config of each trunk."""


class PySlowFast(nn.Module):
    """Their SlowFast or ResNet with its RoI head; the slow path's frames are chosen as their loader does."""

    def __init__(self, network: nn.Module, *, alpha: int | None) -> None:
        super().__init__()
        self.network = network
        self.alpha = alpha

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> Tensor:
        """Logits [N, K]."""
        paths = [clip_BCTHW]
        if self.alpha is not None:
            num_frames = clip_BCTHW.shape[2]
            numbers = torch.linspace(0, num_frames - 1, num_frames // self.alpha).long()
            paths = [clip_BCTHW.index_select(2, numbers.to(clip_BCTHW.device)), clip_BCTHW]
        logits_NK: Tensor = self.network(paths, bboxes=_in_pixels(boxes_N5, clip_BCTHW))
        return logits_NK


class MmAction2(nn.Module):
    """Their backbone, RoI extractor and box head."""

    def __init__(self, backbone: nn.Module, extractor: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.extractor = extractor
        self.head = head

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> Tensor:
        """Logits [N, K + 1], the first of which they never use."""
        cut, _ = self.extractor(self.backbone(clip_BCTHW), _in_pixels(boxes_N5, clip_BCTHW))
        logits_NK: Tensor = self.head(cut)
        return logits_NK


def _in_pixels(boxes_N5: Tensor, clip_BCTHW: Tensor) -> Tensor:
    height, width = clip_BCTHW.shape[3:]
    return boxes_N5 * boxes_N5.new_tensor((1, width, height, width, height))


def make_importable(checkout: Path, *, sites: Sequence[Path]) -> None:
    """Put a checkout and the folders with what it needs behind everything else, and the stand-ins in place."""
    for folder in (checkout, *sites):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location("ava_stand_ins", STAND_INS)
    if spec is None or spec.loader is None:
        raise ImportError(f"{STAND_INS} is not there")
    stand_ins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_ins)
    if "mmdet" not in sys.modules:
        stand_ins.install()


def pyslowfast(checkout: Path, *, name: str, num_frames: int) -> nn.Module:
    """PySlowFast's network for persons of that trunk's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        defaults = importlib.import_module("slowfast.config.defaults")
        builders = importlib.import_module("slowfast.models.video_model_builder")
    file, changes = PYSLOWFAST[name]
    config = defaults.get_cfg()
    config.merge_from_file(str(checkout / "configs" / f"{file}.yaml"))
    config.NUM_GPUS = 0
    config.DATA.NUM_FRAMES = num_frames
    for key, value in changes.items():
        config.SLOWFAST[key] = value
    network = getattr(builders, config.MODEL.MODEL_NAME)(config)
    network.head.act = nn.Identity()
    return PySlowFast(network, alpha=config.SLOWFAST.ALPHA if name.startswith("slowfast") else None)


def mmaction2(checkout: Path, *, name: str) -> nn.Module:
    """MMAction2's network for persons of that trunk's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        configs = importlib.import_module("mmengine.config")
        registry = importlib.import_module("mmaction.registry")
        importlib.import_module("mmaction.models")
        heads = importlib.import_module("mmaction.models.roi_heads")
        model = configs.Config.fromfile(str(checkout / "configs" / "detection" / f"{MMACTION2[name]}.py")).model
    backbone = dict(model.backbone) | {"pretrained": None, "type": model.backbone["type"].removeprefix("mmaction.")}
    return MmAction2(
        registry.MODELS.build(backbone),
        heads.SingleRoIExtractor3D(**_without_type(model.roi_head.bbox_roi_extractor)),
        heads.BBoxHeadAVA(**_without_type(model.roi_head.bbox_head)),
    )


def _without_type(part: Any) -> dict[str, Any]:
    return {key: value for key, value in dict(part).items() if key != "type"}
