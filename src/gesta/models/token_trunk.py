"""Video models of `transformers` and torchvision as trunks: their features on a grid of time and place.

Shapes: B clips, T frames, H and W px; D features, t, h and w their grid, L = t h w tokens.

Source: transformers 5.23, models videomae, timesformer, vivit, vjepa2; torchvision 0.28, torchvision.models.video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.torchvision_video import TORCHVISION_VIDEO, torchvision_video
from gesta.models.transformers_video import TRANSFORMERS_VIDEO, Settings, TransformersVideo, transformers_video
from gesta.schema import BadInput, UnknownName


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """How a family lists its tokens: those of the whole clip in front, and what changes fastest."""

    num_before: int = 0
    time_is_last: bool = False
    has_predictor: bool = False


_TOKENS: Mapping[str, _Tokens] = {
    "videomae": _Tokens(),
    "timesformer": _Tokens(num_before=1, time_is_last=True),
    "vivit": _Tokens(num_before=1),
    "vjepa2": _Tokens(has_predictor=True),
}
"""By the library's `model_type`. Source: the embeddings of each; TimeSformer's go through time within a place."""

_OF_HEADS = ("classifier", "fc_norm", "pooler")


class TokenTrunk(nn.Module):
    """A video transformer of `transformers` without its head: its last tokens on their grid, the clip's own dropped.

    `net` is the library's module for classification, its head taken out, so that a clip model's weights fit by name.
    VideoMAE's tokens come without the norm that its classifier puts behind their mean, as in MMAction2's detectors.
    """

    def __init__(self, video: TransformersVideo) -> None:
        super().__init__()
        self.net = video.net
        config: Any = video.net.config
        self._check = video.check
        self._tokens = _TOKENS[config.model_type]
        tube = getattr(config, "tubelet_size", 1)
        # ViViT has one size for all three axes; the others name the patch apart.
        self._tube, patch = (tube[0], tube[1]) if isinstance(tube, list | tuple) else (tube, config.patch_size)
        self.stride_px = int(patch)
        self.path_features: tuple[int, ...] = (int(config.hidden_size),)
        for name in _OF_HEADS:
            if isinstance(getattr(self.net, name, None), nn.Module):
                setattr(self.net, name, nn.Identity())
        if self._tokens.has_predictor:
            cast(Any, self.net).base_model.predictor = nn.Identity()

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the layers' activations are computed again in the backward pass instead of kept."""
        return any(getattr(part, "gradient_checkpointing", False) for part in self.net.modules())

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        # The library's word for it changed between 5.0 and 5.23, and the old one warns.
        word = "activation" if hasattr(self.net, "activation_checkpointing_enable") else "gradient"
        if is_on:
            getattr(self.net, f"{word}_checkpointing_enable")({"use_reentrant": False})
        else:
            getattr(self.net, f"{word}_checkpointing_disable")()

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """One map, [B, D, t, h, w], of clips [B, 3, T, H, W] normalised as the weights want it.

        Raises:
            BadInput: the positions of the model are not made for clips of this shape.
        """
        self._check(tuple(clip_BCTHW.shape))
        frames_BTCHW = clip_BCTHW.transpose(1, 2)
        base = cast(Any, self.net).base_model
        given = base(frames_BTCHW, skip_predictor=True) if self._tokens.has_predictor else base(frames_BTCHW)
        tokens_BLD = given.last_hidden_state[:, self._tokens.num_before :]
        num_frames, height, width = clip_BCTHW.shape[2:]
        time, place = num_frames // self._tube, (height // self.stride_px, width // self.stride_px)
        if self._tokens.time_is_last:
            return (tokens_BLD.unflatten(1, (*place, time)).permute(0, 4, 3, 1, 2),)
        return (tokens_BLD.unflatten(1, (time, *place)).permute(0, 4, 1, 2, 3),)


def _of_resnet(net: Any, clip_BCTHW: Tensor) -> Tensor:
    x_BDthw = net.stem(clip_BCTHW)
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        x_BDthw = stage(x_BDthw)
    return cast(Tensor, x_BDthw)


def _of_s3d(net: Any, clip_BCTHW: Tensor) -> Tensor:
    return cast(Tensor, net.features(clip_BCTHW))


def _of_swin(net: Any, clip_BCTHW: Tensor) -> Tensor:
    x_BthwD = net.norm(net.features(net.pos_drop(net.patch_embed(clip_BCTHW))))
    return cast(Tensor, x_BthwD.permute(0, 4, 1, 2, 3))


def _of_mvit(net: Any, clip_BCTHW: Tensor) -> Tensor:
    positions = net.pos_encoding
    grid = (positions.temporal_size, *positions.spatial_size)
    cells_BDthw = net.conv_proj(clip_BCTHW)
    if tuple(cells_BDthw.shape[2:]) != grid:
        raise BadInput(
            f"an MViT for a grid of {grid} cannot take a clip of shape {list(clip_BCTHW.shape)}",
            mend="Build it with num_frames=T and crop_px=H for other sizes",
        )
    x_BLD = positions(cells_BDthw.flatten(2).transpose(1, 2))
    for block in net.blocks:
        x_BLD, grid = block(x_BLD, grid)
    return cast(Tensor, net.norm(x_BLD)[:, 1:].transpose(1, 2).unflatten(2, grid))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Net:
    """How a model of torchvision gives its map, how far its cells are apart, and the names of its head."""

    forward: Callable[[Any, Tensor], Tensor]
    stride_px: int
    num_features: int
    heads: tuple[str, ...]


_RESNET = _Net(forward=_of_resnet, stride_px=16, num_features=512, heads=("avgpool", "fc"))
_MVIT = _Net(forward=_of_mvit, stride_px=32, num_features=768, heads=("head",))
_NETS: Mapping[str, _Net] = {
    "r3d_18": _RESNET,
    "mc3_18": _RESNET,
    "r2plus1d_18": _RESNET,
    "s3d": _Net(forward=_of_s3d, stride_px=16, num_features=832, heads=("avgpool", "classifier")),
    "mvit_v1_b": _MVIT,
    "mvit_v2_s": _MVIT,
    "swin3d_t": _Net(forward=_of_swin, stride_px=32, num_features=768, heads=("avgpool", "head")),
    "swin3d_s": _Net(forward=_of_swin, stride_px=32, num_features=768, heads=("avgpool", "head")),
    "swin3d_b": _Net(forward=_of_swin, stride_px=32, num_features=1024, heads=("avgpool", "head")),
}

S3D_BLOCKS = 13
"""S3D up to Mixed_4f, the block that I3D's heads for persons read: a grid of 16 px, as AVA's models have."""


class TorchvisionTrunk(nn.Module):
    """A video model of torchvision without its head; `net` is the library's module, so that its weights fit by name."""

    def __init__(self, net: nn.Module, *, name: str) -> None:
        super().__init__()
        spec = _NETS[name]
        self.net = net
        self._name = name
        self._forward = spec.forward
        self.stride_px = spec.stride_px
        self.path_features: tuple[int, ...] = (spec.num_features,)
        for part in spec.heads:
            setattr(net, part, nn.Identity())
        if name == "s3d":
            cast(Any, net).features = cast(Any, net).features[:S3D_BLOCKS]

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """One map, [B, D, t, h, w], of clips [B, 3, T, H, W] normalised as the weights want it.

        Raises:
            ValueError: the clips have another shape.
            BadInput: an MViT's positions are not made for clips of this shape.
        """
        check_clip(clip_BCTHW, num_channels=3, model=self._name)
        return (self._forward(self.net, clip_BCTHW),)


LIBRARY_TRUNKS = (*TRANSFORMERS_VIDEO, *TORCHVISION_VIDEO)
"""Names that `library_trunk` knows."""


def library_trunk(
    name: str,
    *,
    num_frames: int,
    crop_px: int,
    weights: str | Path | None = None,
    config: Settings | None = None,
) -> nn.Module:
    """The library's model of that name as a trunk: one path, for clips [B, 3, num_frames, crop_px, crop_px].

    Cells are 16 px apart, a patch of the transformers; 32 for MViT and Swin. Weights are fresh, from torch's
    global generator, or those of `weights`, as `transformers_video` and `torchvision_video` read them.

    Args:
        name: one of `LIBRARY_TRUNKS`.
        num_frames: T that positions are made for; models without positions take any.
        crop_px: H and W that positions are made for, likewise.
        weights: a folder, a file or a published name; None = fresh.
        config: fields of the configuration for a smaller model of `transformers`.
    Raises:
        UnknownName: there is no such model, or no such field of its configuration.
        BadInput: no such weights are here or they do not fit; the model cannot take clips of that size; a model of
            torchvision has no configuration.
        MissingExtra: `transformers` is not installed.
    """
    if name in TRANSFORMERS_VIDEO:
        return TokenTrunk(
            transformers_video(
                name, num_classes=1, weights=weights, num_frames=num_frames, crop_px=crop_px, config=config
            )
        )
    if name not in TORCHVISION_VIDEO:
        raise UnknownName(what="trunk of a library", name=name, choices=LIBRARY_TRUNKS)
    if config:
        raise BadInput(f"{name} has no config", mend="Leave it out")
    net = torchvision_video(name, num_classes=1, weights=weights, num_frames=num_frames, crop_px=crop_px)
    return TorchvisionTrunk(net, name=name)
