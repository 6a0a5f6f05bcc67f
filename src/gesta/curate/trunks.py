"""What turns frames into vectors: image models of three libraries by name, and two trunks that need no weights.

A trunk's name is one of `TRUNKS`, for a library followed by `:` and the model: `timm:resnet50`. Libraries are imported
when a trunk of theirs is made.

Legend: F = frames, D = length of a vector, H W = height and width in px.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput, GestaError, MissingExtra, UnknownName

if TYPE_CHECKING:
    import torch

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SIDE_PX = 224
"""Side of the frames that a trunk is given. Source: Kinetics-400, section 3.4: "on 224 x 224 center crops"."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Source: torchvision, the preprocessing of its ImageNet weights."""
HASH_SIDE, HASH_LOW = 32, 16
"""The picture's side before the cosine transform, and how many low frequencies a side are kept.
Source: 32 as the usual perceptual hash has it (Zauner, Implementation and benchmarking of perceptual image hash
functions, 2010, section 3.2.3); 16 instead of 8 is ours: 64 bits are too few to part 650,000 clips."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameTrunk:
    """A function from frames to vectors.

    Attributes:
        name: as `trunk_named` takes it.
        vectors_of: uint8 [F, 224, 224, 3] RGB -> float32 [F, D], F >= 1.
        framing: what it is shown: the paper's "center" crop, or the "whole" picture without bars, pressed to a square.
        weights_sha256: hash of the file of weights; None where there is none, or the library has its own.
    """

    name: str
    vectors_of: Callable[[Frames], Floats]
    framing: Literal["center", "whole"] = "center"
    weights_sha256: str | None = None


def trunk_named(name: str, *, weights: Path | None = None) -> FrameTrunk:
    """The trunk of that name.

    Args:
        name: a key of `TRUNKS`; for the libraries followed by `:` and the model, for `transformers` also by a folder.
        weights: a file of weights of that model (.pth, .pt, .safetensors); None = those that the library publishes and
            downloads. `transformers` reads them from its folder.
    Raises:
        UnknownName: no trunk has this name, or the library no such model.
        BadInput: the model's name is missing, there is no such file, or it does not hold this model's weights.
        MissingExtra: the library is not installed.
        GestaError: the weights could not be downloaded.

    >>> trunk_named("perceptual-hash").framing
    'whole'
    """
    kind, _, model = name.partition(":")
    if kind not in TRUNKS:
        raise UnknownName(what="trunk", name=name, choices=TRUNKS)
    if kind in LIBRARIES and not model:
        raise BadInput(f"the trunk {name!r} names no model", mend=f"Write {kind}:MODEL, for example {LIBRARIES[kind]}")
    if kind not in LIBRARIES and model:
        raise BadInput(f"the trunk {kind!r} has no models to choose from", mend=f"Write {kind}")
    if weights is not None and kind in WITHOUT_WEIGHTS:
        raise BadInput(f"the trunk {kind!r} takes no file of weights", mend="Leave the weights out")
    if weights is not None and not weights.is_file():
        raise BadInput("there is no such file of weights", where=weights)
    return TRUNKS[kind](model, weights)


def perceptual_hash(model: str = "", weights: Path | None = None) -> FrameTrunk:
    """Signs of the low frequencies of each picture, +1 and -1, D = 255; the same for a mirror image, no weights needed.

    Source: the hash by a discrete cosine transform (Zauner 2010, section 3.2.3). Ours: mirrored pictures agree, since a
    mirror only turns the sign of frequencies that are odd across the picture, and those enter by their size.
    """
    return FrameTrunk(name="perceptual-hash", vectors_of=hashes_of_frames, framing="whole")


def hashes_of_frames(frames_FHW3: Frames) -> Floats:
    """The perceptual hash of each frame, float32 [F, 255] of +1 and -1.

    Raises:
        MissingExtra: OpenCV is not installed.

    >>> frames = np.zeros((1, 8, 8, 3), np.uint8)
    >>> frames[:, :, :3] = 200
    >>> bool((hashes_of_frames(frames) == hashes_of_frames(frames[:, :, ::-1])).all())
    True
    """
    cv2 = _cv2()
    size = (HASH_SIDE, HASH_SIDE)
    grays = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_FHW3]
    return hashes_of_grays(np.stack([cv2.resize(gray, size, interpolation=cv2.INTER_AREA) for gray in grays]))


def hashes_of_grays(grays_FHW: Frames) -> Floats:
    """The perceptual hash of gray pictures of `HASH_SIDE` px a side, float32 [F, 255] of +1 and -1.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    cv2 = _cv2()
    low_FUV = np.empty((len(grays_FHW), HASH_LOW, HASH_LOW), np.float32)
    for number, gray in enumerate(grays_FHW):
        low_FUV[number] = cv2.dct(gray.astype(np.float32))[:HASH_LOW, :HASH_LOW]
    even_FE = low_FUV[:, :, ::2].reshape(len(low_FUV), -1)[:, 1:]
    odd_FO = np.abs(low_FUV[:, :, 1::2].reshape(len(low_FUV), -1))
    bits = [part > np.median(part, axis=1, keepdims=True) for part in (even_FE, odd_FO)]
    return np.where(np.concatenate(bits, axis=1), 1, -1).astype(np.float32)


def sketch(model: str = "", weights: Path | None = None) -> FrameTrunk:
    """The sketch of local features and colours with which `gesta curate` looks for footage; no weights needed."""
    return FrameTrunk(name="sketch", vectors_of=_sketches, framing="whole")


def _sketches(frames_FHW3: Frames) -> Floats:
    cv2 = _cv2()
    from gesta.curate.features import SHORT_SIDE_PX, frame_vector

    side = (SHORT_SIDE_PX, SHORT_SIDE_PX)
    return np.stack([frame_vector(cv2.resize(frame, side, interpolation=cv2.INTER_AREA)) for frame in frames_FHW3])


def inception_v1(model: str = "", weights: Path | None = None) -> FrameTrunk:
    """The paper's trunk: Inception-V1 after its last average pooling, D = 1024, torchvision's `googlenet`.

    Source: Kinetics-400, section 3.4: "Inception-V1 feature vectors (taken after last average pooling layer)".
    """
    return torchvision_trunk("googlenet", weights, name="inception-v1")


def torchvision_trunk(model: str, weights: Path | None, *, name: str = "") -> FrameTrunk:
    """What a torchvision classifier's last linear layer is given.

    Raises:
        UnknownName: torchvision has no classifier of this name.
        BadInput: the file does not hold the model's weights, or the model does not end in a linear layer.
        MissingExtra: torchvision is not installed.
        GestaError: the weights could not be downloaded.
    """
    with _extra("train"):
        import torch
        import torchvision
    if model not in torchvision.models.list_models(module=torchvision.models):
        raise UnknownName(
            what="torchvision model", name=model, choices=torchvision.models.list_models(module=torchvision.models)
        )
    # These two were trained on values from -1 to 1 and turn ImageNet's normalisation back into that.
    own: dict[str, Any] = {"transform_input": True} if model in ("googlenet", "inception_v3") else {}
    if weights is None:
        with _downloads(model):
            net = torchvision.models.get_model(model, weights="DEFAULT", **own)
    else:
        no_start = {"init_weights": False, "aux_logits": False} if own else {}
        net = torchvision.models.get_model(model, weights=None, **own, **no_start)
    heads = [(key, layer) for key, layer in net.named_modules() if isinstance(layer, torch.nn.Linear)]
    if not heads:
        raise BadInput(f"torchvision's {model} does not end in a linear layer", mend="Take another model")
    head, layer = heads[-1]
    digest = None if weights is None else _fill(net, weights, not_needed=(f"{head}.",))
    found: list[torch.Tensor] = []
    layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))

    def pooled(frames_F3HW: torch.Tensor) -> torch.Tensor:
        found.clear()
        net(frames_F3HW)
        return found.pop().flatten(1)

    vectors_of = _by_torch(net, pooled, mean=IMAGENET_MEAN, std=IMAGENET_STD, side_px=SIDE_PX)
    return FrameTrunk(name=name or f"torchvision:{model}", vectors_of=vectors_of, weights_sha256=digest)


def timm_trunk(model: str, weights: Path | None) -> FrameTrunk:
    """A timm model's pooled features.

    Raises:
        UnknownName: timm has no model of this name.
        BadInput: the file does not hold the model's weights.
        MissingExtra: timm is not installed.
        GestaError: the weights could not be downloaded.
    """
    with _extra("models"):
        import timm
    if not timm.is_model(model):
        # A thousand names would hide the likely ones.
        near = difflib.get_close_matches(model.split(".")[0], timm.list_models(), n=12)
        raise UnknownName(what="timm model", name=model, choices=near)
    with _downloads(model):
        net = timm.create_model(model, pretrained=weights is None, num_classes=0)
    digest = None if weights is None else _fill(net, weights, not_needed=())
    wants = timm.data.resolve_model_data_config(net)
    vectors_of = _by_torch(
        net, net, mean=tuple(wants["mean"]), std=tuple(wants["std"]), side_px=_side_of(net, wants["input_size"][-1])
    )
    return FrameTrunk(name=f"timm:{model}", vectors_of=vectors_of, weights_sha256=digest)


def _side_of(net: Any, own_px: int) -> int:
    """The side that the model must have: its own where its positions are fixed, else the paper's."""
    is_fixed = getattr(getattr(net, "patch_embed", None), "strict_img_size", False)
    return own_px if is_fixed else SIDE_PX


def transformers_trunk(model: str, weights: Path | None) -> FrameTrunk:
    """An image model of `transformers`: its pooled output, an image-text model's image features, or the mean token.

    Args:
        model: a folder that `save_pretrained` wrote, or a name that the library downloads.
        weights: None; the folder holds them.
    Raises:
        BadInput: a file of weights is given, or there is no such model, or it is no image model.
        MissingExtra: transformers is not installed.
        GestaError: the model could not be downloaded.
    """
    with _extra("models"):
        import torch
        from transformers import AutoModel
    if weights is not None:
        raise BadInput("transformers keeps weights in the model's folder", mend="Write transformers:FOLDER")
    folder = Path(model)
    with _downloads(model):
        net = AutoModel.from_pretrained(model, local_files_only=folder.is_dir())
    digest = _digest(sorted(folder.glob("*.safetensors"))) if folder.is_dir() else None
    vision = getattr(net.config, "vision_config", net.config)
    side = getattr(vision, "image_size", SIDE_PX)
    if getattr(net, "main_input_name", "") != "pixel_values" and not hasattr(net, "get_image_features"):
        raise BadInput(f"{model} is no image model", mend="Take a model whose input is pixel_values")

    def pooled(frames_F3HW: torch.Tensor) -> torch.Tensor:
        if hasattr(net, "get_image_features"):
            found = net.get_image_features(pixel_values=frames_F3HW)
        else:
            found = net(pixel_values=frames_F3HW)
        if isinstance(found, torch.Tensor):
            return found
        if getattr(found, "pooler_output", None) is not None:
            return found.pooler_output.flatten(1)
        states = found.last_hidden_state
        return states.mean(dim=1) if states.ndim == 3 else states.mean(dim=(2, 3))

    mean, std = _normalisation(folder)
    vectors_of = _by_torch(net, pooled, mean=mean, std=std, side_px=side if isinstance(side, int) else SIDE_PX)
    return FrameTrunk(name=f"transformers:{model}", vectors_of=vectors_of, weights_sha256=digest)


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the model's own preprocessing subtracts and divides by; ImageNet's where the folder does not say."""
    import json

    path = folder / "preprocessor_config.json"
    told = json.loads(path.read_bytes()) if path.is_file() else {}
    return tuple(told.get("image_mean", IMAGENET_MEAN)), tuple(told.get("image_std", IMAGENET_STD))


LIBRARIES: Mapping[str, str] = {
    "timm": "timm:resnet50", "torchvision": "torchvision:resnet50", "transformers": "transformers:FOLDER",
}  # fmt: skip
"""Trunks that need a model's name, with an example."""
WITHOUT_WEIGHTS = ("perceptual-hash", "sketch")
"""Trunks that run offline and are fitted to nothing."""
TRUNKS: dict[str, Callable[[str, Path | None], FrameTrunk]] = {
    "perceptual-hash": perceptual_hash,
    "sketch": sketch,
    "inception-v1": inception_v1,
    "torchvision": torchvision_trunk,
    "timm": timm_trunk,
    "transformers": transformers_trunk,
}


def _by_torch(
    net: torch.nn.Module,
    pooled: Callable[[torch.Tensor], torch.Tensor],
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    side_px: int,
) -> Callable[[Frames], Floats]:
    import torch

    net.eval()
    mean_311, std_311 = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))

    def vectors_of(frames_FHW3: Frames) -> Floats:
        with torch.inference_mode():
            frames = torch.from_numpy(np.ascontiguousarray(frames_FHW3)).permute(0, 3, 1, 2).float() / 255
            if frames.shape[-1] != side_px:
                frames = torch.nn.functional.interpolate(
                    frames, size=(side_px, side_px), mode="bilinear", antialias=True
                )
            return pooled((frames - mean_311) / std_311).float().numpy()

    return vectors_of


def _fill(net: torch.nn.Module, weights: Path, *, not_needed: tuple[str, ...]) -> str:
    """Put the file's tensors into the net; the file's hash. Layers that give no features may be missing."""
    state = _state_of(weights)
    wanted = {key: value.shape for key, value in net.state_dict().items()}
    needed = {
        key for key in wanted if not key.startswith(not_needed or ("\0",)) and not key.endswith("num_batches_tracked")
    }
    missing = sorted(needed - state.keys())
    unlike = sorted(key for key in needed & state.keys() if state[key].shape != wanted[key])
    if missing or unlike:
        one = (missing or unlike)[0]
        raise BadInput(
            f"{len(missing)} of the model's tensors are missing and {len(unlike)} have another shape (first: {one})",
            where=weights,
            mend="Give a file of this model's weights",
        )
    net.load_state_dict(
        {key: value for key, value in state.items() if key in wanted and value.shape == wanted[key]}, strict=False
    )
    return _digest([weights])


def _state_of(weights: Path) -> Mapping[str, torch.Tensor]:
    import pickle

    import torch

    if weights.suffix == ".safetensors":
        with _extra("models"):
            from safetensors.torch import load_file
        return load_file(weights)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise BadInput("no torch file of tensors by name", where=weights, mend="Want a .pth state dict") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadInput("no torch file of tensors by name", where=weights, mend="Want a .pth state dict")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


@contextmanager
def _extra(extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(extra=extra, module=error.name or extra) from error


@contextmanager
def _downloads(model: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise GestaError(
            f"the weights of {model} could not be read or downloaded ({str(error).splitlines()[0]})",
            mend="Give a file or folder that is on this machine",
        ) from error


@functools.cache
def _cv2() -> Any:
    with _extra("video"):
        import cv2
    return cv2
