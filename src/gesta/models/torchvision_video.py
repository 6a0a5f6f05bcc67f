"""torchvision's video models by name, with a head for any number of classes.

They are torchvision's own modules, so that its published files load; a check of the clip's size goes before `forward`.

Shapes: B clips, C channels (3), T frames, H and W px, K classes.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import get_model_builder, get_model_weights
from torchvision.models._api import WeightsEnum
from torchvision.models.video.mvit import PositionalEncoding

from gesta.schema import BadInput, GestaError, UnknownName


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """How the parameters of the head begin, and the clips that a model can take: at least these sizes, or only those.

    Source: torchvision 0.28, the models' `forward` (S3D's last pooling wants 2 x 7 x 7) and `min_size`.
    """

    head: str
    num_frames: int = 1
    crop_px: int = 1
    is_exact: bool = False


_NEEDS: Mapping[str, _Needs] = {
    "r3d_18": _Needs(head="fc."),
    "mc3_18": _Needs(head="fc."),
    "r2plus1d_18": _Needs(head="fc."),
    "s3d": _Needs(head="classifier.1.", num_frames=13, crop_px=209),
    "mvit_v1_b": _Needs(head="head.1.", num_frames=16, crop_px=224, is_exact=True),
    "mvit_v2_s": _Needs(head="head.1.", num_frames=16, crop_px=224, is_exact=True),
    "swin3d_t": _Needs(head="head."),
    "swin3d_s": _Needs(head="head."),
    "swin3d_b": _Needs(head="head."),
}


def torchvision_video(
    name: str,
    *,
    num_classes: int,
    weights: str | Path | None = None,
    num_frames: int | None = None,
    crop_px: int | None = None,
) -> nn.Module:
    """The model that torchvision has under that name: `clip_BCTHW -> logits_BK`, torchvision's parameter names.

    Millions of parameters with 400 classes: r3d_18 33.4, mc3_18 11.7, r2plus1d_18 31.5, s3d 8.3, mvit_v1_b 36.6,
    mvit_v2_s 34.5, swin3d_t 28.2, swin3d_s 49.8, swin3d_b 88.0.

    Args:
        name: one of `TORCHVISION_VIDEO`.
        num_classes: K. Where the weights were trained on another number, the head stays fresh and the rest is loaded.
        weights: name of a published set ("KINETICS400_V1"), which torchvision downloads once and checks by its hash;
            or a file with such a state dict; None = fresh weights from torch's global generator.
        num_frames: T that an MViT is built for, even; None = 16. mvit_v2_s interpolates its relative positions, so its
            weights serve every size; mvit_v1_b learns positions of that size. The other models take any they can pool.
        crop_px: H and W that an MViT is built for, a multiple of 32; None = 224.
    Raises:
        UnknownName: there is no such model, or no such published set.
        BadInput: `weights` is no state dict of this model, or was made for clips of another size; an MViT is asked for
            a size that it cannot halve so often; `forward` raises it for clips that the model cannot take.
        GestaError: the published set cannot be downloaded here.
    Source: torchvision 0.28, torchvision.models.video; the counts are its `num_params`.
    """
    if name not in _NEEDS:
        raise UnknownName(what="video model of torchvision", name=name, choices=_NEEDS)
    needs = _NEEDS[name]
    model = get_model_builder(name)(num_classes=num_classes)
    if needs.is_exact:
        needs = replace(needs, num_frames=num_frames or needs.num_frames, crop_px=crop_px or needs.crop_px)
        _place(model.pos_encoding, num_frames=needs.num_frames, crop_px=needs.crop_px)
    if weights is not None:
        _load(model, _state_of(name, weights), name=name, head=needs.head, where=str(weights))
    model.register_forward_pre_hook(partial(_check_clip, name=name, needs=needs))
    return model


def _place(positions: PositionalEncoding, *, num_frames: int, crop_px: int) -> None:
    """Set the grid of an MViT's positions; learned ones are drawn anew where the grid is another."""
    if num_frames % 2 or crop_px % 32 or min(num_frames, crop_px) < 1:
        raise BadInput(
            f"an MViT cannot take {num_frames} frames of {crop_px} px",
            mend="Want an even num_frames and a crop_px that is a multiple of 32",
        )
    # Patches are 2 frames and 4 px apart.
    grid, depth = (crop_px // 4, crop_px // 4), num_frames // 2
    if (positions.spatial_size, positions.temporal_size) == (grid, depth):
        return
    positions.spatial_size, positions.temporal_size = grid, depth
    for name, length in (("spatial_pos", grid[0] * grid[1]), ("temporal_pos", depth)):
        learned = getattr(positions, name)
        if learned is not None:
            fresh = torch.empty(length, learned.shape[1], dtype=learned.dtype, device=learned.device)
            setattr(positions, name, nn.Parameter(nn.init.trunc_normal_(fresh, std=0.02)))


def published_classes(name: str, weights: str) -> tuple[str, ...]:
    """The classes of a published set in the order of its logits.

    Raises:
        UnknownName: there is no such model, or no such set.

    >>> published_classes("r3d_18", "KINETICS400_V1")[:2]
    ('abseiling', 'air drumming')
    """
    return tuple(_published(name, weights).meta["categories"])


def _published(name: str, weights: str) -> WeightsEnum:
    if name not in _NEEDS:
        raise UnknownName(what="video model of torchvision", name=name, choices=_NEEDS)
    known = get_model_weights(name).__members__
    if weights not in known:
        raise UnknownName(what=f"published weights of {name}", name=weights, choices=known)
    return known[weights]


def _state_of(name: str, weights: str | Path) -> Mapping[str, Tensor]:
    path = Path(weights)
    if not path.is_file():
        if isinstance(weights, Path) or path.suffix or len(path.parts) > 1:
            raise BadInput(
                "there is no such file of weights",
                where=path,
                mend=f"Name a file, or a published set: {', '.join(get_model_weights(name).__members__)}",
            )
        published = _published(name, weights)
        try:
            return published.get_state_dict(progress=False, check_hash=True)
        except (URLError, RuntimeError, OSError) as error:
            raise GestaError(
                f"the weights {weights} of {name} cannot be downloaded ({error})",
                mend=f"Fetch {published.url} where there is a network and give the file's path as weights",
            ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise BadInput(f"cannot be read as torch weights ({type(error).__name__})", where=path) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BadInput("is no state dict", where=path, mend="Save model.state_dict() with torch.save")
    return state


def _load(model: nn.Module, state: Mapping[str, Tensor], *, name: str, head: str, where: str) -> None:
    """Put the weights into the model; the head only where its shape is the model's."""
    own = model.state_dict()
    fitting = {
        key: value for key, value in state.items() if not (key.startswith(head) and _has_other_shape(own, key, value))
    }
    other = sorted(key for key, value in fitting.items() if _has_other_shape(own, key, value))
    strange = sorted(set(fitting) - set(own))
    lacking = sorted(key for key in set(own) - set(fitting) if not key.startswith(head))
    if strange or lacking:
        raise BadInput(
            f"these are no weights of {name!r}: {(strange or lacking)[0]!r} is {'unknown' if strange else 'missing'}",
            where=where,
            mend="Name the model that they were trained for",
        )
    if other:
        raise BadInput(
            f"{other[0]!r} has shape {tuple(fitting[other[0]].shape)}, want {tuple(own[other[0]].shape)}",
            where=where,
            mend="Leave num_frames and crop_px as they were in training",
        )
    model.load_state_dict(own | fitting)


def _has_other_shape(own: Mapping[str, Tensor], key: str, value: Tensor) -> bool:
    return key in own and own[key].shape != value.shape


def _check_clip(module: nn.Module, args: tuple[Tensor, ...], *, name: str, needs: _Needs) -> None:
    del module
    shape = tuple(args[0].shape)
    want = f"[B, 3, T, H, W] with T {'=' if needs.is_exact else '>='} {needs.num_frames}"
    want += f" and H, W {'=' if needs.is_exact else '>='} {needs.crop_px}"
    sizes = (needs.num_frames, needs.crop_px, needs.crop_px)
    if len(shape) == 5 and shape[1] == 3:
        fits = shape[2:] == sizes if needs.is_exact else all(a >= b for a, b in zip(shape[2:], sizes, strict=True))
        if fits:
            return
    mend = "Build it with num_frames=T and crop_px=H for other sizes" if needs.is_exact else "Give longer, larger clips"
    raise BadInput(f"{name} cannot take a clip of shape {list(shape)}: want {want}", mend=mend)


TORCHVISION_VIDEO: Mapping[str, Callable[..., nn.Module]] = {name: partial(torchvision_video, name) for name in _NEEDS}
"""Constructors by name, each with the keywords of `torchvision_video`."""
