"""Checkpoints: a model that says of itself what it knows, what it wants to see and where it comes from.

The layout of the file is `gesta.train.checkpoint_files`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

import gesta
from gesta.models import build_model
from gesta.schema import BadInput
from gesta.train.checkpoint_files import Kind, Stored, filled, read_stored, write_stored
from gesta.train.recipes import Recipe, recipe_of

FORMAT = "gesta-roi-1"
"""Written into every checkpoint; another text means another kind of file."""

ROI_KIND = Kind(format=FORMAT, what="gesta", mend="Name the model.pt that `gesta train` wrote")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model's weights, its classes in the order of its outputs, its recipe (preprocessing included), its origin.

    `progress` is what a cut run needs to go on (empty in a finished model).
    """

    weights: Mapping[str, Tensor]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    recipe: Recipe
    release_sha256: str
    fingerprint: str
    versions: Mapping[str, str]
    progress: Mapping[str, Any] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Versions of gesta, torch and torchvision, for a checkpoint."""
    return {
        "gesta": gesta.__version__,
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
    }


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> Path:
    """The path written, whole or not at all."""
    about = {
        "class_ids": checkpoint.class_ids,
        "class_names": checkpoint.class_names,
        "recipe": checkpoint.recipe.as_json(),
        "release_sha256": checkpoint.release_sha256,
        "fingerprint": checkpoint.fingerprint,
        "versions": dict(checkpoint.versions),
    }
    return write_stored(
        path, Stored(about=about, weights=checkpoint.weights, progress=checkpoint.progress), kind=ROI_KIND
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """What the file holds, on the CPU.

    Raises:
        BadInput: there is no such file, or it is no checkpoint of this kind.
    """
    stored = read_stored(path, kind=ROI_KIND)
    about = stored.about
    return Checkpoint(
        weights=stored.weights,
        class_ids=tuple(about["class_ids"]),
        class_names=tuple(about["class_names"]),
        recipe=recipe_of(about["recipe"], where=str(path)),
        release_sha256=about["release_sha256"],
        fingerprint=about["fingerprint"],
        versions=about["versions"],
        progress=stored.progress,
    )


def model_of(checkpoint: Checkpoint, *, where: Path | str = "", device: str = "cpu") -> nn.Module:
    """The checkpoint's model with its weights, in evaluation mode, on `device`.

    Raises:
        UnknownName: this gesta has no model of that name.
        BadInput: the weights are not those of the model.
    """
    model = build_model(checkpoint.recipe.model, num_classes=len(checkpoint.class_ids))
    return filled(model, checkpoint.weights, what=repr(checkpoint.recipe.model), where=where, device=device)


def check_classes(checkpoint: Checkpoint, class_ids: Sequence[int], *, where: Path | str) -> None:
    """Nothing, once every class of the model is found among `class_ids`.

    Raises:
        BadInput: the model knows a class that the label map does not.
    """
    strange = [
        f"{class_id} {name!r}"
        for class_id, name in zip(checkpoint.class_ids, checkpoint.class_names, strict=True)
        if class_id not in set(class_ids)
    ]
    if strange:
        raise BadInput(
            f"the checkpoint knows classes that the label map does not: {', '.join(strange)}",
            where=where,
            mend="Use a model trained on a release with the same label map",
        )
