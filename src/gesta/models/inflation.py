"""ImageNet's ResNets in trunks over clips: kernels over pixels become kernels over frames of pixels.

Shapes: O features out, I features in, D frames, H and W pixels of a kernel.

Source: Carreira and Zisserman, Quo Vadis, Action Recognition? (2017), section 2.4, "Bootstrapping parameters from
pre-trained ImageNet models".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from gesta.models.res_stage import ResPath
from gesta.models.weight_files import WeightFile
from gesta.models.weight_filling import filling_of, write_values
from gesta.models.weight_names import NameRule
from gesta.schema import BadInput

OverTime = Literal["mean", "centre"]
"""`mean`: the kernel repeated over time and divided by its length, as I3D; `centre`: all of it in the middle frame."""

_UNIT = re.compile(r"res(?P<stage>[2-5])\.blocks\.(?P<block>\d+)\.(?P<unit>[abc]|skip)\.(?P<rest>[\w.]+)\Z")
_NUMBERS = {"a": 1, "b": 2, "c": 3}


def resnet_name(ours: str) -> str | None:
    """Torchvision's name of a parameter of a residual path, None where a ResNet has no such part.

    >>> resnet_name("res4.blocks.1.b.conv.weight"), resnet_name("res2.blocks.0.skip.norm.bias")
    ('layer3.1.conv2.weight', 'layer1.0.downsample.1.bias')
    """
    if ours.startswith("stem."):
        return ours.replace("stem.conv.", "conv1.").replace("stem.norm.", "bn1.")
    match = _UNIT.match(ours)
    if match is None:
        return None
    front, rest = f"layer{int(match['stage']) - 1}.{match['block']}.", match["rest"]
    if match["unit"] == "skip":
        return f"{front}downsample.{rest.replace('conv.', '0.').replace('norm.', '1.')}"
    number = _NUMBERS[match["unit"]]
    return f"{front}{rest.replace('conv.', f'conv{number}.').replace('norm.', f'bn{number}.')}"


def inflated(kernel_OIHW: Tensor, *, num_frames: int, over_time: OverTime = "mean") -> Tensor:
    """A kernel [O, I, D, H, W] over `num_frames` that gives on equal frames what `kernel_OIHW` gives on one.

    >>> inflated(torch.tensor([[[[3.0]]]]), num_frames=3).flatten().tolist()
    [1.0, 1.0, 1.0]
    >>> inflated(torch.tensor([[[[3.0]]]]), num_frames=3, over_time="centre").flatten().tolist()
    [0.0, 3.0, 0.0]
    """
    if over_time == "mean":
        return kernel_OIHW.unsqueeze(2).repeat(1, 1, num_frames, 1, 1) / num_frames
    kernel_OIDHW = kernel_OIHW.new_zeros(*kernel_OIHW.shape[:2], num_frames, *kernel_OIHW.shape[2:])
    kernel_OIDHW[:, :, num_frames // 2] = kernel_OIHW
    return kernel_OIDHW


def inflate_resnet(
    trunk: nn.Module,
    weights_2d: Mapping[str, Tensor],
    *,
    over_time: OverTime = "mean",
    path: str = "slow",
    where: Path | str = "",
) -> tuple[str, ...]:
    """The names of the trunk's parameters that keep what they have; the slow path takes a 2-D ResNet's weights.

    On a clip of equal frames the slow path then gives, in evaluation, what the ResNet gives on one of them. With
    `over_time="mean"` that holds away from the clip's ends: before the first frame and behind the last one the
    convolutions see zeros, and each temporal kernel carries this one frame further in (R50: 9 kernels, so the middle of
    19 frames is exact and the ends are not). With "centre" it holds everywhere. What enters a stage from the fast path
    gets weights of 0, to be learnt; non-local blocks, laterals and the fast path keep what they have.

    Args:
        trunk: SlowOnly or SlowFast; of 50 or 101 layers as the weights.
        weights_2d: torchvision's state dict of resnet50 or resnet101, kernels [O, I, H, W]; the classifier is not used.
        over_time: how a kernel spreads over frames.
        path: "slow"; the fast path has an eighth of a ResNet's features, and no ResNet fits it.
        where: the file of the weights, for messages.
    Raises:
        BadInput: the trunk has no such path, or the weights do not fit it.
    """
    whole = getattr(trunk, path, None)
    if path != "slow" or not isinstance(whole, ResPath):
        problem = "this trunk has no slow path of a ResNet's widths"
        if path == "fast" and isinstance(whole, ResPath):
            problem = f"the fast path's stem has {whole.plan.num_features} features, a ResNet's conv1 64"
        raise BadInput(problem, where=where, mend="Inflate the slow path of SlowOnly or SlowFast")
    rule = NameRule(
        name="torchvision-resnet",
        theirs=resnet_name,
        constant=lambda ours: 0.0 if ours.endswith("num_batches_tracked") else None,
        is_kept=lambda ours: resnet_name(ours) is None,
        converted=lambda _, theirs, shape: _fitted(theirs, shape, over_time=over_time),
        is_ignored=lambda name: name in ("fc.weight", "fc.bias"),
        head=(),
    )
    shapes = {name: tuple(value.shape) for name, value in weights_2d.items()}
    file = WeightFile(path=Path(where), shapes=shapes, read=lambda names: {name: weights_2d[name] for name in names})
    filling = filling_of(whole, file, rule=rule)
    if filling.problems:
        problem = f"these weights are not those of such a ResNet: {'; '.join(filling.problems)}"
        raise BadInput(problem, where=where, mend="Take resnet50's for R50 and resnet101's for R101")
    write_values(whole, filling.values)
    taken = {f"{path}.{name}" for name in filling.values}
    return tuple(name for name in trunk.state_dict() if name not in taken)


def is_resnet(names: Mapping[str, object]) -> bool:
    """Whether these are the names of torchvision's ResNets with bottlenecks."""
    return {"conv1.weight", "bn1.weight", "layer4.2.conv3.weight"} <= set(names)


def _fitted(theirs: Tensor, shape: tuple[int, ...], *, over_time: OverTime) -> Tensor:
    if theirs.ndim != 4 or len(shape) != 5:
        return theirs
    kernel = inflated(theirs, num_frames=shape[2], over_time=over_time)
    num_extra = shape[1] - kernel.shape[1]
    if num_extra <= 0:
        return kernel
    # Source: MMAction2, ResNet3dPathway, which pads what the laterals add with zeros too.
    return torch.cat((kernel, kernel.new_zeros(kernel.shape[0], num_extra, *kernel.shape[2:])), dim=1)
