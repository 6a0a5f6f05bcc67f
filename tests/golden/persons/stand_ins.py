"""Stand-ins for what the references import but the package index does not offer, over torchvision's RoIAlign.

MMAction2 takes RoIAlign from mmcv's compiled operators and names from mmdet; PySlowFast takes ROIAlign from detectron2.
Both RoIAligns have the arithmetic and the arguments of `torchvision.ops.roi_align`, which stands here for them
(detectron2's own class calls torchvision's). Of mmdet only names are needed: no call of it takes part in a number.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types


def install() -> None:
    """Put the stand-ins where `import mmcv.ops`, `import mmdet` and `import detectron2.layers` look."""
    install_mmcv_ops()
    _mmdet()
    _detectron2()
    # MMAction2's text models want a `transformers` of 2023; they have no part in detection.
    _module("mmaction.models.multimodal")


def _module(name: str, **values: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    for key, value in values.items():
        setattr(module, key, value)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
    return module


def install_mmcv_ops() -> None:
    """Put RoIAlign where `import mmcv.ops` looks; all that MMAction2 0.x needs."""
    from torch import Tensor, nn
    from torchvision.ops import roi_align

    class RoIAlign(nn.Module):
        def __init__(
            self,
            output_size: int,
            spatial_scale: float = 1.0,
            sampling_ratio: int = 0,
            pool_mode: str = "avg",
            aligned: bool = True,  # noqa: FBT001, FBT002
        ) -> None:
            super().__init__()
            if pool_mode != "avg":
                raise ValueError(pool_mode)
            self.arguments = (output_size, spatial_scale, sampling_ratio, aligned)

        def forward(self, maps: Tensor, rois: Tensor) -> Tensor:
            return roi_align(maps, rois, *self.arguments)

    _module("mmcv.ops", RoIAlign=RoIAlign, RoIPool=None)


def _mmdet() -> None:
    from mmengine.registry import Registry

    class AssignResult: ...

    class MaxIoUAssigner: ...

    class SamplingResult: ...

    class StandardRoIHead: ...

    _module("mmdet")
    _module("mmdet.registry", MODELS=Registry("mmdet model"), TASK_UTILS=Registry("mmdet task util"))
    _module("mmdet.models")
    _module("mmdet.models.task_modules", AssignResult=AssignResult, MaxIoUAssigner=MaxIoUAssigner)
    _module("mmdet.models.task_modules.samplers", SamplingResult=SamplingResult)
    _module("mmdet.models.roi_heads", StandardRoIHead=StandardRoIHead)
    _module("mmdet.structures")
    _module("mmdet.structures.bbox", bbox2roi=None)


def _detectron2() -> None:
    from torch import Tensor, nn
    from torchvision.ops import roi_align

    class ROIAlign(nn.Module):
        def __init__(
            self,
            output_size: int,
            spatial_scale: float,
            sampling_ratio: int,
            aligned: bool = True,  # noqa: FBT001, FBT002
        ) -> None:
            super().__init__()
            size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
            self.arguments = (size, spatial_scale, sampling_ratio, aligned)

        def forward(self, maps: Tensor, rois: Tensor) -> Tensor:
            return roi_align(maps, rois.to(maps.dtype), *self.arguments)

    _module("detectron2")
    _module("detectron2.layers", ROIAlign=ROIAlign)
