"""One file layout for the checkpoints of all kinds of models: a format's name, plain words about it, tensors.

A file holds tensors and plain values only, so that `torch.load(weights_only=True)` opens it: a checkpoint from a
stranger runs no code.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gesta.schema import BadInput
from gesta.tables import whole_file

Model = TypeVar("Model", bound=nn.Module)

_NOT_READABLE = (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, KeyError, ValueError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of checkpoint: its format's name, what such a file is called in messages, and how one is made."""

    format: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a file holds: JSON values about the model, its weights (of any shape [...]), where its run stands."""

    about: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    progress: Mapping[str, Any]


def write_stored(path: Path, stored: Stored, *, kind: Kind) -> Path:
    """The path written, whole or not at all."""
    value = {
        "format": kind.format,
        "about": json.dumps(dict(stored.about), sort_keys=True),
        "weights": {name: value.detach().cpu().contiguous() for name, value in stored.weights.items()},
        "progress": dict(stored.progress),
    }
    with whole_file(path) as temporary:
        torch.save(value, temporary)
    return path


def is_stored(path: Path, *, kind: Kind) -> bool:
    """Whether the file is a checkpoint of this kind, whatever its recipe."""
    try:
        value = torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except _NOT_READABLE:
        return False
    return isinstance(value, dict) and value.get("format") == kind.format


def read_stored(path: Path, *, kind: Kind) -> Stored:
    """What the file holds, on the CPU.

    Raises:
        BadInput: there is no such file, or it is no checkpoint of this kind.
    """
    if not path.is_file():
        raise BadInput("there is no such checkpoint", where=path, mend=kind.mend)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except _NOT_READABLE as error:
        raise BadInput(f"this is no checkpoint ({type(error).__name__})", where=path, mend=kind.mend) from error
    if not isinstance(value, dict) or value.get("format") != kind.format:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise BadInput(
            f"this is no checkpoint of {kind.what}: format {found!r}, want {kind.format!r}", where=path, mend=kind.mend
        )
    return Stored(about=json.loads(value["about"]), weights=value["weights"], progress=value["progress"])


def filled(model: Model, weights: Mapping[str, Tensor], *, what: str, where: Path | str, device: str) -> Model:
    """The model with those weights (of any shape [...]), in evaluation mode, on `device`.

    Args:
        model: as its recipe builds it.
        weights: by the names of the model's own parameters and buffers.
        what: what the model is called in the message.
        where: the checkpoint's file.
        device: as torch names it.
    Raises:
        BadInput: the weights are not those of the model.
    """
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise BadInput(
            f"the weights are not those of {what}", where=where, mend="Train again with this version of gesta"
        ) from error
    return model.to(device).eval()
