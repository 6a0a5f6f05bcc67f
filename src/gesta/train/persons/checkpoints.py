"""Checkpoints of person models: a model that says of itself what it knows, what it wants to see, where it comes from.

The layout of the file is `gesta.train.checkpoint_files`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from gesta.models.person_model import PersonModel, build_person_model
from gesta.schema import BadInput
from gesta.tables import Json
from gesta.train.checkpoint_files import Kind, Stored, filled, is_stored, read_stored, write_stored
from gesta.train.persons.recipe import PersonRecipe, person_recipe_of

PERSON_KIND = Kind(
    format="gesta-person-1",
    what="a person model",
    mend="Name the model.pt that `gesta train` wrote with a recipe of persons",
)
"""The format's name is written into every checkpoint; another text means another kind of file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonCheckpoint:
    """A model's weights, its classes in the order of its outputs, its recipe (preprocessing included), its origin.

    `clip_class_names` are those of the head for whole clips, where there is one; `progress` is what a cut run needs to
    go on (empty in a finished model); `bank` says which feature bank the model learnt with, if any.
    """

    weights: Mapping[str, Tensor]
    class_ids: tuple[int, ...]
    class_names: tuple[str, ...]
    clip_class_names: tuple[str, ...] = ()
    recipe: PersonRecipe
    data_sha256: str
    fingerprint: str
    versions: Mapping[str, str]
    progress: Mapping[str, Any] = field(default_factory=dict)
    bank: Mapping[str, Json] = field(default_factory=dict)


def save_person_checkpoint(path: Path, checkpoint: PersonCheckpoint) -> Path:
    """The path written, whole or not at all."""
    about = {
        "class_ids": checkpoint.class_ids,
        "class_names": checkpoint.class_names,
        "clip_class_names": checkpoint.clip_class_names,
        "recipe": checkpoint.recipe.as_json(),
        "data_sha256": checkpoint.data_sha256,
        "fingerprint": checkpoint.fingerprint,
        "versions": dict(checkpoint.versions),
        "bank": dict(checkpoint.bank),
    }
    stored = Stored(about=about, weights=checkpoint.weights, progress=checkpoint.progress)
    return write_stored(path, stored, kind=PERSON_KIND)


def is_person_checkpoint(path: Path) -> bool:
    """Whether the file is a checkpoint of this kind, whatever its recipe."""
    return is_stored(path, kind=PERSON_KIND)


def load_person_checkpoint(path: Path) -> PersonCheckpoint:
    """What the file holds, on the CPU.

    Raises:
        BadInput: there is no such file, or it is no checkpoint of this kind.
    """
    stored = read_stored(path, kind=PERSON_KIND)
    about = stored.about
    return PersonCheckpoint(
        weights=stored.weights,
        class_ids=tuple(about["class_ids"]),
        class_names=tuple(about["class_names"]),
        clip_class_names=tuple(about["clip_class_names"]),
        recipe=person_recipe_of(about["recipe"], where=str(path)),
        data_sha256=about["data_sha256"],
        fingerprint=about["fingerprint"],
        versions=about["versions"],
        progress=stored.progress,
        bank=about.get("bank", {}),
    )


def build_recipe_model(recipe: PersonRecipe, *, num_classes: int, num_clip_classes: int = 0) -> PersonModel:
    """The recipe's model with fresh weights, drawn from torch's global generator.

    Raises:
        UnknownName: there is no such trunk.
        BadInput: the trunk cannot take such clips, or its activations cannot be computed twice.
        MissingExtra: the library that has the trunk is not installed.
    """
    model = build_person_model(
        recipe.trunk, recipe.head, num_classes=num_classes, num_frames=recipe.frames.num_frames,
        crop_px=recipe.frames.crop_px, num_clip_classes=num_clip_classes if recipe.clip_loss_weight > 0 else 0,
    )  # fmt: skip
    if recipe.saves_memory:
        if not hasattr(model.trunk, "checkpoint_activations"):
            raise BadInput(f"the trunk {recipe.trunk.name!r} keeps all activations", mend="Want saves_memory=False")
        setattr(model.trunk, "checkpoint_activations", True)  # noqa: B010 - a property that torch's type does not know
    return model


def person_model_of(checkpoint: PersonCheckpoint, *, where: Path | str = "", device: str = "cpu") -> PersonModel:
    """The checkpoint's model with its weights, in evaluation mode, on `device`.

    Raises:
        UnknownName: this gesta has no trunk of that name.
        BadInput: the weights are not those of the model.
    """
    model = build_recipe_model(
        checkpoint.recipe,
        num_classes=len(checkpoint.class_ids),
        num_clip_classes=len(checkpoint.clip_class_names),
    )
    return filled(model, checkpoint.weights, what=f"recipe {checkpoint.recipe.name!r}", where=where, device=device)
