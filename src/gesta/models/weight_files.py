"""Files of weights as names and tensors, whatever wrote them: a TensorFlow checkpoint or a torch state dict."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gesta.models.tf_checkpoint import read_checkpoint, read_tensors
from gesta.schema import BadInput

_WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model", "weights")
"""Keys under which training programs keep the state dict, beside their own state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """An opened file of weights: the shape of each tensor by name, and `read` for the values of some of them."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[Iterable[str]], dict[str, Tensor]]


def open_weights(path: Path) -> WeightFile:
    """The file's names and shapes; a TensorFlow checkpoint's values are read when asked for.

    Torch files are opened without running what they hold: objects other than tensors and plain containers, such as a
    training program keeps beside the weights, become empty ones. `module.`, which DataParallel puts in front of every
    name, is taken away.

    Raises:
        BadInput: there is no such file, or it is neither a TensorFlow checkpoint nor a torch file of tensors by name.
    """
    if (
        path.is_dir()
        or path.suffix == ".index"
        or path.with_name(f"{path.name}.index").is_file()
        or ".data-" in path.name
    ):
        return _tensorflow(path)
    if not path.is_file():
        mend = "Give a .pt or .pth file, or a TensorFlow checkpoint (its folder, or model.ckpt)"
        raise BadInput("there is no such file of weights", where=path, mend=mend)
    return _torch(path)


def _tensorflow(path: Path) -> WeightFile:
    checkpoint = read_checkpoint(path)

    def read(names: Iterable[str]) -> dict[str, Tensor]:
        arrays = read_tensors(checkpoint, names)
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}

    shapes = {name: entry.shape for name, entry in checkpoint.entries.items()}
    return WeightFile(path=checkpoint.prefix, shapes=shapes, read=read)


class _Nothing:
    """What stands for any object that a file names beside its tensors: made of anything, and holding nothing."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Forget what the object held."""


def _no_items(*_: object) -> list[object]:
    return []


def _no_keys(*_: object) -> dict[object, object]:
    return {}


_CONTAINERS: dict[str, Callable[..., object]] = {"collections.deque": _no_items, "collections.defaultdict": _no_keys}
"""What is filled item by item must be able to take items."""


def _tensors_alone(path: Path) -> object:
    """What a torch file holds, every object of a class that torch does not vouch for in the shape of `_Nothing`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not zipfile.is_zipfile(path):
            raise
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
        if not names:
            raise
    with torch.serialization.safe_globals([(_CONTAINERS.get(name, _Nothing), name) for name in names]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _torch(path: Path) -> WeightFile:
    mend = "Save it as a dictionary from names to tensors: torch.save(model.state_dict(), path)"
    try:
        found = _tensors_alone(path)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        # torch's own message is not shown: it says how to open the file with whatever code it holds.
        raise BadInput("this is no torch file of tensors alone, or a damaged one", where=path, mend=mend) from error
    for key in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()) or not found:
        raise BadInput("it holds no tensors by name", where=path, mend=mend)
    tensors: dict[str, Tensor] = dict(found)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}

    def read(names: Iterable[str]) -> dict[str, Tensor]:
        return {name: tensors[name] for name in names}

    return WeightFile(path=path, shapes={name: tuple(value.shape) for name, value in tensors.items()}, read=read)
