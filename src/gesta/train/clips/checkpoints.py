"""Checkpoints of clip models: a model that says of itself what it knows, what it wants to see and where it comes from.

The layout of the file is `gesta.train.checkpoint_files`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gesta.models import build_clip_model
from gesta.train.checkpoint_files import Kind, Stored, filled, is_stored, read_stored, write_stored
from gesta.train.clips.recipe import ClipRecipe, clip_recipe_of

FORMAT = "gesta-clip-1"
"""Written into every checkpoint; another text means another kind of file."""

CLIP_KIND = Kind(
    format=FORMAT, what="a clip model", mend="Name the model.pt that `gesta train` wrote with a clip recipe"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipCheckpoint:
    """A model's weights, its classes in the order of its outputs, its recipe (preprocessing included), its origin.

    `progress` is what a cut run needs to go on (empty in a finished model).
    """

    weights: Mapping[str, Tensor]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    recipe: ClipRecipe
    data_sha256: str
    fingerprint: str
    versions: Mapping[str, str]
    progress: Mapping[str, Any] = field(default_factory=dict)


def save_clip_checkpoint(path: Path, checkpoint: ClipCheckpoint) -> Path:
    """The path written, whole or not at all."""
    about = {
        "class_ids": checkpoint.class_ids,
        "class_names": checkpoint.class_names,
        "recipe": checkpoint.recipe.as_json(),
        "data_sha256": checkpoint.data_sha256,
        "fingerprint": checkpoint.fingerprint,
        "versions": dict(checkpoint.versions),
    }
    return write_stored(
        path, Stored(about=about, weights=checkpoint.weights, progress=checkpoint.progress), kind=CLIP_KIND
    )


def is_clip_checkpoint(path: Path) -> bool:
    """Whether the file is a checkpoint of this kind, whatever its recipe."""
    return is_stored(path, kind=CLIP_KIND)


def load_clip_checkpoint(path: Path) -> ClipCheckpoint:
    """What the file holds, on the CPU.

    Raises:
        BadInput: there is no such file, or it is no checkpoint of this kind.
    """
    stored = read_stored(path, kind=CLIP_KIND)
    about = stored.about
    return ClipCheckpoint(
        weights=stored.weights,
        class_ids=tuple(about["class_ids"]),
        class_names=tuple(about["class_names"]),
        recipe=clip_recipe_of(about["recipe"], where=str(path)),
        data_sha256=about["data_sha256"],
        fingerprint=about["fingerprint"],
        versions=about["versions"],
        progress=stored.progress,
    )


def clip_model_of(checkpoint: ClipCheckpoint, *, where: Path | str = "", device: str = "cpu") -> nn.Module:
    """The checkpoint's model with its weights, in evaluation mode, on `device`.

    Raises:
        UnknownName: this gesta has no model of that name.
        BadInput: the weights are not those of the model.
    """
    recipe = checkpoint.recipe
    model = build_clip_model(
        recipe.model,
        num_classes=len(checkpoint.class_ids),
        num_frames=recipe.frames.num_frames,
        crop_px=recipe.frames.crop_px,
    )
    return filled(model, checkpoint.weights, what=repr(checkpoint.recipe.model), where=where, device=device)
