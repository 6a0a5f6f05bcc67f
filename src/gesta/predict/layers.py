"""What any layer of a clip model gives, by the layer's path in the network.

Shapes: B clips, C channels; a layer's own dimensions are written "...".
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gesta.schema import BadInput, UnknownName
from gesta.train.clips import ClipFrames

CHANNELS = ("auto", "first", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A module of a network: its path, its class, and the shape that it gives for a batch of two clips.

    `shape` is empty where it gives no tensor or is not run.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def mixes_batch(self) -> bool:
        """Whether the first dimension is not that of the clips, as where frames are folded into it."""
        return self.shape[:1] != (2,)


def layers_of(net: nn.Module, *, frames: ClipFrames) -> tuple[Layer, ...]:
    """Every layer in the network's order, found without computing anything: shapes only, on torch's meta device."""
    shadow = copy.deepcopy(net).to("meta")
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            del module, args
            found = first_tensor(output)
            if found is not None:
                shapes[name] = tuple(found.shape)

        return hook

    modules = {name: module for name, module in shadow.named_modules() if name}
    for name, module in modules.items():
        module.register_forward_hook(keep(name))
    clip_BCTHW = torch.empty(2, frames.num_channels, frames.num_frames, frames.crop_px, frames.crop_px, device="meta")
    with torch.inference_mode():
        shadow(clip_BCTHW)
    return tuple(
        Layer(name=name, kind=type(module).__name__, shape=shapes.get(name, ())) for name, module in modules.items()
    )


def find_layer(net: nn.Module, name: str, *, frames: ClipFrames) -> Layer:
    """The layer of that path, or the only one whose path ends so: `Mixed_4f` is `trunk.blocks.Mixed_4f`.

    Raises:
        UnknownName: there is none, or there are several; the message lists the nearest and the outermost layers.
        BadInput: it gives no tensor.
    """
    layers = {layer.name: layer for layer in layers_of(net, frames=frames)}
    ending = [key for key in layers if key.endswith(f".{name}")]
    found = name if name in layers else ending[0] if len(ending) == 1 else None
    if found is None:
        raise UnknownName(what="layer", name=name, choices=ending[:_SHOWN] or _nearest(name, list(layers)))
    if not layers[found].shape:
        raise BadInput(f"the layer {found!r} is not run, or gives no tensor", mend="Choose one with a shape")
    return layers[found]


_SHOWN = 40
"""Layers named in a message at most. Source: ours; a network has hundreds, and --list-layers shows them all."""


def _nearest(name: str, names: Sequence[str]) -> list[str]:
    ends = {key.rpartition(".")[2]: key for key in reversed(names)}
    near = difflib.get_close_matches(name, names, n=5)
    near += [ends[end] for end in difflib.get_close_matches(name.rpartition(".")[2], ends, n=5)]
    outer = sorted(names, key=lambda key: key.count("."))
    return list(dict.fromkeys([*near, *outer]))[:_SHOWN]


def first_tensor(output: object) -> Tensor | None:
    """The tensor [...] that a module gave, the first one where it gave several; None where it gave none."""
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


@contextmanager
def listening(net: nn.Module, layer: Layer) -> Iterator[Callable[[Tensor], Tensor]]:
    """A function from `clip_BCTHW` to what the layer gives for each clip, [B, ...]; of several runs the last.

    Where a layer's first dimension is not that of the clips they are shown to the network one by one.
    """
    kept: list[Tensor] = []

    def hook(module: nn.Module, args: object, output: object) -> None:
        del module, args
        found = first_tensor(output)
        assert found is not None
        # A layer behind may write into the same memory.
        kept[:] = [found.detach().clone()]

    def run(clip_BCTHW: Tensor) -> Tensor:
        if layer.mixes_batch:
            return torch.stack([run_once(clip_CTHW[None]) for clip_CTHW in clip_BCTHW])
        return run_once(clip_BCTHW)

    def run_once(clip_BCTHW: Tensor) -> Tensor:
        net(clip_BCTHW)
        return kept[0]

    handle = net.get_submodule(layer.name).register_forward_hook(hook)
    try:
        yield run
    finally:
        handle.remove()


def pooled(values: Tensor, *, channels: str, name: str = "") -> Tensor:
    """The mean over all but clips and channels, [B, C], of what a layer gives, [B, ...].

    Args:
        values: at least two dimensions.
        channels: "first" (behind the clips) or "last"; "auto" takes the last of three dimensions, as of tokens, the
            last of five in a Swin transformer, which keeps its colours there, else the first.
        name: of the model, for "auto".
    Raises:
        UnknownName: `channels` is none of the choices.
        BadInput: there is one dimension only.

    >>> pooled(torch.arange(12.0).reshape(1, 3, 4), channels="first")
    tensor([[1.5000, 5.5000, 9.5000]])
    """
    if channels not in CHANNELS:
        raise UnknownName(what="place of channels", name=channels, choices=CHANNELS)
    if values.ndim < 2:
        raise BadInput("one number a clip cannot be averaged", mend="Ask for the grid")
    is_last = channels == "last"
    if channels == "auto":
        is_swin_grid = name.startswith("swin3d") and values.ndim == 5 and values.shape[2:] != (1, 1, 1)
        is_last = values.ndim == 3 or is_swin_grid
    others = [dim for dim in range(1, values.ndim) if dim != (values.ndim - 1 if is_last else 1)]
    return values.mean(dim=others) if others else values
