"""Video transformers by name, from the library `transformers` (extra `models`): VideoMAE, TimeSformer, ViViT, V-JEPA 2.

The library is imported when a model is built, as its import takes seconds and most users never name one.

Shapes: B clips, C channels (3), T frames, H and W px, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from gesta.schema import BadInput, MissingExtra, UnknownName

Settings = Mapping[str, int | float | str | bool | tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """The library's classes of a family, its words for a clip and its size, and which other clips a model can take."""

    model_type: str
    config: str
    model: str
    clip: str
    frames_key: str
    side_key: str
    tube_key: str = ""
    is_any_length: bool = False
    positions: Literal["computed", "interpolated", "fixed"]


_VIDEOMAE = _Family(
    model_type="videomae", config="VideoMAEConfig", model="VideoMAEForVideoClassification", clip="pixel_values",
    frames_key="num_frames", side_key="image_size", tube_key="tubelet_size", positions="computed",
)  # fmt: skip
_TIMESFORMER = _Family(
    model_type="timesformer", config="TimesformerConfig", model="TimesformerForVideoClassification",
    clip="pixel_values", frames_key="num_frames", side_key="image_size", positions="interpolated",
)  # fmt: skip
_VIVIT = _Family(
    model_type="vivit", config="VivitConfig", model="VivitForVideoClassification", clip="pixel_values",
    frames_key="num_frames", side_key="image_size", tube_key="tubelet_size", positions="fixed",
)  # fmt: skip
_VJEPA2 = _Family(
    model_type="vjepa2", config="VJEPA2Config", model="VJEPA2ForVideoClassification", clip="pixel_values_videos",
    frames_key="frames_per_clip", side_key="crop_size", tube_key="tubelet_size",
    is_any_length=True, positions="computed",
)  # fmt: skip

_MODELS: Mapping[str, tuple[_Family, Settings]] = {
    "videomae_small": (
        _VIDEOMAE, {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536},
    ),
    "videomae_base": (_VIDEOMAE, {}),
    "videomae_large": (
        _VIDEOMAE, {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    ),
    "videomae_huge": (
        _VIDEOMAE, {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "intermediate_size": 5120},
    ),
    "timesformer_base": (_TIMESFORMER, {"num_frames": 8, "image_size": 224}),
    "timesformer_hr": (_TIMESFORMER, {"num_frames": 16, "image_size": 448}),
    "timesformer_long": (_TIMESFORMER, {"num_frames": 96, "image_size": 224}),
    "vivit_base": (_VIVIT, {}),
    "vjepa2_large": (_VJEPA2, {}),
    "vjepa2_huge": (_VJEPA2, {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16}),
    "vjepa2_giant": (
        _VJEPA2, {"hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 22, "mlp_ratio": 48 / 11},
    ),
}  # fmt: skip
"""Family, and what differs from the library's default, which is the published base model (V-JEPA 2: large).

Source: Tong et al., VideoMAE (2022), appendix (ViT-S, B, L, H); Bertasius et al., TimeSformer (2021), section 4
(default 8 x 224, HR 16 x 448, L 96 x 224); Arnab et al., ViViT (2021), section 4.1 (B/16x2, model 1); Assran et al.,
V-JEPA 2 (2025), appendix (ViT-L, H, g).
"""


class TransformersVideo(nn.Module):
    """A model of `transformers` that takes `clip_BCTHW` and gives logits; `net` is the library's own module."""

    def __init__(self, net: nn.Module, *, name: str, family: _Family) -> None:
        super().__init__()
        self.net = net
        self._name = name
        self._family = family

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] of clips [B, 3, T, H, W], normalised as the weights want it.

        Raises:
            BadInput: the positions of the model are not made for clips of this shape.
        """
        self.check(tuple(clip_BCTHW.shape))
        return self.net(**{self._family.clip: clip_BCTHW.transpose(1, 2)}).logits

    def check(self, shape: tuple[int, ...]) -> None:
        """Nothing: the model can take clips of this shape, [B, 3, T, H, W].

        Raises:
            BadInput: the positions of the model are not made for it.
        """
        config: Any = self.net.config
        family = self._family
        frames, side = getattr(config, family.frames_key), getattr(config, family.side_key)
        tube = getattr(config, family.tube_key) if family.tube_key else 1
        height, width = (side, side) if isinstance(side, int) else side
        if len(shape) == 5 and shape[1] == 3 and shape[3:] == (height, width):
            if family.is_any_length and shape[2] >= tube and shape[2] % tube == 0:
                return
            if shape[2] == frames:
                return
        length = f"T a multiple of {tube}" if family.is_any_length else f"T = {frames}"
        raise BadInput(
            f"{self._name} cannot take a clip of shape {list(shape)}: "
            f"want [B, 3, T, H, W] with {length}, H = {height}, W = {width}",
            mend="Build it with num_frames=T and crop_px=H for other sizes",
        )


def transformers_video(
    name: str,
    *,
    num_classes: int,
    weights: str | Path | None = None,
    num_frames: int | None = None,
    crop_px: int | None = None,
    config: Settings | None = None,
) -> TransformersVideo:
    """The model of that name with a classification head: `clip_BCTHW -> logits_BK`.

    Millions of parameters with 400 classes: videomae_small 22.0, videomae_base 86.5, videomae_large 304,
    videomae_huge 632; timesformer_base 122, timesformer_hr 122, timesformer_long 122; vivit_base 89.0; vjepa2_large
    376, vjepa2_huge 732, vjepa2_giant 1,128 (with an attentive pooler and a predictor; classifying leaves the latter
    unused).

    Clips of another length or size: VideoMAE's positions are computed for what the model is built for; V-JEPA 2
    rotates by position, so that any length goes, and any size that it is built for; TimeSformer interpolates learned
    ones to what it is built for; ViViT takes weights at their own length and size only.

    Args:
        name: one of `TRANSFORMERS_VIDEO`.
        num_classes: K. Where the weights were trained on another number, the head stays fresh and the rest is loaded.
        weights: a folder that the library's `save_pretrained` wrote, or the name of a published repository that was
            downloaded before; nothing is fetched here. None = fresh weights from torch's global generator.
        num_frames: T that positions are made for; None = the published model's.
        crop_px: H and W that positions are made for; None = the published model's.
        config: other fields of the library's configuration, for a smaller model; not with `weights`.
    Raises:
        UnknownName: there is no such model, or no such field of its configuration.
        BadInput: no such weights are here, they are not of this model, or their positions are of another size.
        MissingExtra: `transformers` is not installed.
    Source: transformers 5.23, models videomae, timesformer, vivit, vjepa2.
    """
    if name not in _MODELS:
        raise UnknownName(what="video model of transformers", name=name, choices=_MODELS)
    family, settings = _MODELS[name]
    transformers = _library()
    sizes = {
        key: value
        for key, value in ((family.frames_key, num_frames), (family.side_key, crop_px))
        if value is not None
    }  # fmt: skip
    if weights is not None:
        if config:
            raise BadInput("weights bring their own config", where=weights, mend="Leave out one of the two")
        net = _pretrained(str(weights), name=name, num_classes=num_classes, sizes=sizes)
        return TransformersVideo(net, name=name, family=family)
    make = getattr(transformers, family.config)
    known = {field.name for field in fields(make)}
    for key in config or {}:
        if key not in known:
            raise UnknownName(what=f"setting of {family.config}", name=key, choices=known)
    built = make(num_labels=num_classes, **{**settings, **(config or {}), **sizes})
    return TransformersVideo(getattr(transformers, family.model)(built), name=name, family=family)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedConfig:
    """What weights say of themselves: their classes in the order of the logits, and the clips that they saw."""

    class_names: tuple[str, ...]
    num_frames: int
    crop_px: int


def published_config(weights: str | Path) -> PublishedConfig:
    """What the config of these weights says.

    Raises:
        BadInput: no such weights are here, or they are of none of the families.
        MissingExtra: `transformers` is not installed.
    """
    found = _config_of(str(weights))
    family = {family.model_type: family for family, _ in _MODELS.values()}.get(found.model_type)
    if family is None:
        raise BadInput(f"these weights are of a {found.model_type}, no video model known here", where=weights)
    side = getattr(found, family.side_key)
    return PublishedConfig(
        class_names=tuple(found.id2label[number] for number in range(found.num_labels)),
        num_frames=getattr(found, family.frames_key),
        crop_px=side if isinstance(side, int) else min(side),
    )


def _library() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="models", module=error.name or "transformers") from error
    return transformers


def _how_to_get(weights: str) -> str:
    if Path(weights).is_dir():
        return "Name a folder that `save_pretrained` wrote: config.json and model.safetensors"
    return f"Where there is a network run `hf download {weights} --local-dir FOLDER`, and give that folder as weights"


def _config_of(weights: str) -> Any:
    if not Path(weights).is_dir() and (Path(weights).is_absolute() or Path(weights).exists()):
        raise BadInput("there is no such folder of weights", where=weights, mend=_how_to_get("NAME"))
    try:
        return _library().AutoConfig.from_pretrained(weights, local_files_only=True)
    except (OSError, ValueError) as error:
        raise BadInput("no weights are here under this name", where=weights, mend=_how_to_get(weights)) from error


def _pretrained(weights: str, *, name: str, num_classes: int, sizes: Mapping[str, int]) -> nn.Module:
    """The library's model with these weights, the head fresh where it has another number of classes."""
    family, settings = _MODELS[name]
    found = _config_of(weights)
    width = settings.get("hidden_size")
    if found.model_type != family.model_type or (width is not None and found.hidden_size != width):
        raise BadInput(
            f"these weights are of a {found.model_type} of width {getattr(found, 'hidden_size', '?')}, not of {name!r}",
            where=weights,
            mend="Name the model that they were trained for",
        )
    _check_positions(found, sizes, family=family, weights=weights)
    changes = dict(sizes) if family.positions == "computed" else {}
    try:
        net, report = getattr(_library(), family.model).from_pretrained(
            weights, local_files_only=True, num_labels=num_classes, ignore_mismatched_sizes=True,
            output_loading_info=True, **changes,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"the weights cannot be read ({error})", where=weights, mend=_how_to_get(weights)) from error
    other = [key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]]
    broken = sorted(key for key in (*report["missing_keys"], *other) if not key.startswith(_HEADS))
    if broken:
        raise BadInput(
            f"they lack {broken[0]!r}, or have it in another shape", where=weights, mend=_how_to_get(weights)
        )
    if family.positions == "interpolated":
        # The layers read the clip's size from the one config that they share; positions are interpolated to it.
        for key, value in sizes.items():
            setattr(net.config, key, value)
    return net


_HEADS = ("classifier.", "fc_norm.", "pooler.")
"""Parameters that a model trained without labels lacks. Source: transformers 5.23, the `ForVideoClassification`s."""


def _check_positions(found: Any, sizes: Mapping[str, int], *, family: _Family, weights: str) -> None:
    if family.positions == "fixed":
        for key, value in sizes.items():
            if getattr(found, key) != value:
                raise BadInput(
                    f"their positions were learned at {key}={getattr(found, key)}, not {value}",
                    where=weights,
                    mend="Leave num_frames and crop_px as they were in training",
                )


TRANSFORMERS_VIDEO: Mapping[str, Callable[..., nn.Module]] = {
    name: partial(transformers_video, name) for name in _MODELS
}
"""Constructors by name, each with the keywords of `transformers_video`."""
