"""Clip models ready to label videos: what `gesta train` wrote, or published weights by name or path; their classes.

Shapes: K classes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gesta.models import MODELS, TORCHVISION_VIDEO, TRANSFORMERS_VIDEO
from gesta.models.published import PUBLISHED_WEIGHTS
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.models.torchvision_video import published_classes
from gesta.models.transformers_video import published_config
from gesta.models.weights import kinetics_400_names, load_published
from gesta.predict.published_inputs import PUBLISHED_INPUTS
from gesta.schema import BadInput, UnknownName
from gesta.tables import Json, sha256_of_file
from gesta.train.checkpoints import versions
from gesta.train.clips import ClipFrames
from gesta.train.clips.checkpoints import clip_model_of, is_clip_checkpoint, load_clip_checkpoint
from gesta.train.clips.recipe import ClipTest
from gesta.train.devices import pick_device

_NUM_CLASSES = {"kinetics-400": 400, "kinetics-600": 600}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipModel:
    """A model of `clip_BCTHW -> logits_BK` in evaluation mode on its device, and all that is needed to show it videos.

    `sha256` tells its weights and classes from others; `origin` says where they come from, as plain JSON values.
    """

    name: str
    net: nn.Module
    device: str
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    frames: ClipFrames
    test: ClipTest
    sha256: str
    origin: Mapping[str, Json]


def is_clip_model(checkpoint: str | Path) -> bool:
    """Whether `load_clip_model` is the way to open it: a clip checkpoint, or a name rather than a missing model.pt."""
    path = Path(checkpoint)
    if path.is_file():
        return is_clip_checkpoint(path)
    if str(checkpoint) in PERSON_WEIGHTS:
        return False
    # A colon behind the second letter is no drive's.
    return path.suffix != ".pt" or ":" in str(checkpoint)[2:]


def load_clip_model(
    checkpoint: str | Path, *, device: str = "auto", class_names: Sequence[str] | None = None
) -> ClipModel:
    """The model that a checkpoint or published weights give.

    Args:
        checkpoint: the `model.pt` of `gesta train` with a clip recipe; or a name of `PUBLISHED_WEIGHTS`, which is
            downloaded where it is not here; or `MODEL:WEIGHTS`, where MODEL is a name of `MODELS` and WEIGHTS what that
            model can load: a published name, a file, or for `transformers` a folder.
        device: auto, cpu or cuda.
        class_names: of published weights, in the order of the logits; None = those known for them.
    Raises:
        BadInput: there is no such checkpoint, the weights do not fit, they label no clips, or nobody knows the names of
            their classes.
        UnknownName: no such published weights, model or device.
        MissingExtra: the library that has the model is not installed.
        GestaError: weights cannot be downloaded here.
    """
    place = pick_device(device)
    if Path(checkpoint).is_file():
        return _of_checkpoint(Path(checkpoint), device=place)
    text = str(checkpoint)
    if text in PUBLISHED_WEIGHTS:
        name, weights = PUBLISHED_WEIGHTS[text].models[0], text
        if PUBLISHED_WEIGHTS[text].classes not in _NUM_CLASSES:
            raise BadInput(f"the weights {text} are of pictures, and label no clips", mend="Train with them first")
    else:
        name, found, weights = text.partition(":")
        if not found:
            raise BadInput(
                "there is no such checkpoint, and no published weights of this name",
                where=text,
                mend=f"Name a model.pt, MODEL:WEIGHTS, or one of {', '.join(PUBLISHED_WEIGHTS)}",
            )
    if name not in MODELS:
        raise UnknownName(what="model", name=name, choices=MODELS)
    if name not in PUBLISHED_INPUTS:
        mend = f"Known for {', '.join(PUBLISHED_INPUTS)}; train with other models first"
        raise BadInput(f"it is not known what published weights of {name} want to see", where=text, mend=mend)
    return _of_weights(name, weights, device=place, class_names=class_names)


def _of_checkpoint(path: Path, *, device: str) -> ClipModel:
    loaded = load_clip_checkpoint(path)
    return ClipModel(
        name=loaded.recipe.model,
        net=clip_model_of(loaded, where=path, device=device),
        device=device,
        class_ids=loaded.class_ids,
        class_names=loaded.class_names,
        frames=loaded.recipe.frames,
        test=loaded.recipe.test,
        sha256=sha256_of_file(path),
        origin={"recipe": loaded.recipe.name, "data_sha256": loaded.data_sha256, **loaded.versions},
    )


def _of_weights(name: str, weights: str, *, device: str, class_names: Sequence[str] | None) -> ClipModel:
    frames, test = PUBLISHED_INPUTS[name]
    if name in TRANSFORMERS_VIDEO:
        config = published_config(weights)
        known = config.class_names
        net = MODELS[name](num_classes=len(known), weights=weights)
        side_px = round(frames.side_px * config.crop_px / frames.crop_px)
        frames = dataclasses.replace(frames, num_frames=config.num_frames, crop_px=config.crop_px, side_px=side_px)
    elif name in TORCHVISION_VIDEO:
        known = tuple(class_names or _classes_of_torchvision(name, weights))
        net = MODELS[name](num_classes=len(known), weights=weights)
    else:
        published = PUBLISHED_WEIGHTS.get(weights)
        num_classes = _NUM_CLASSES[published.classes] if published else len(class_names or kinetics_400_names())
        net = MODELS[name](num_classes=num_classes)
        known = load_published(net, weights, class_names=class_names).class_names
        if not known:
            raise BadInput(
                "the names of the classes of these weights are not known",
                where=weights,
                mend="Give them, one a line in the order of the logits, with --classes FILE",
            )
    names = tuple(class_names or known)
    if class_names is not None and len(class_names) != len(known):
        raise BadInput(
            f"{len(class_names)} names of classes for {len(known)} logits", where=weights, mend="Give one for each"
        )
    net = net.to(device).eval()
    return ClipModel(
        name=name,
        net=net,
        device=device,
        class_ids=tuple(range(len(names))),
        class_names=names,
        frames=frames,
        test=test,
        sha256=_hash_of(net.state_dict(), names),
        origin={"weights": weights, **versions()},
    )


def _classes_of_torchvision(name: str, weights: str) -> tuple[str, ...]:
    return kinetics_400_names() if Path(weights).exists() else published_classes(name, weights)


def _hash_of(state: Mapping[str, Tensor], names: Sequence[str]) -> str:
    """SHA-256 of every parameter's name and bytes, and of the classes' names."""
    digest = hashlib.sha256("\n".join(names).encode())
    for key, value in sorted(state.items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
