"""Weights of other programs for models of persons: by a published name, or a file of MMAction2's or PySlowFast's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gesta.formats.safe_pickle import read_pickle
from gesta.models.download import Progress, fetch_weights, weights_folder
from gesta.models.inflation import inflate_resnet, is_resnet
from gesta.models.person_model import PersonModel
from gesta.models.person_weight_names import GESTA, is_of_i3d, lineage_of
from gesta.models.person_weights import load_person_weights
from gesta.models.published import PUBLISHED_WEIGHTS
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.models.weight_files import WeightFile, open_weights
from gesta.schema import BadInput


def open_foreign_weights(
    source: Path | str, *, cache_dir: Path | None = None, on_progress: Progress | None = None
) -> WeightFile:
    """The names, shapes and values of a file of weights; a name of `PERSON_WEIGHTS` is fetched first.

    A `.pkl` is read as Caffe2's, without running what it holds. `cache_dir` is where named weights are kept (None =
    `weights_folder()`): a file that is there is not fetched.

    Raises:
        BadInput: there is no such file, or it is damaged or holds no tensors by name; also what `fetch_weights` raises.
        GestaError: named weights cannot be fetched.
    """
    path = Path(source)
    if str(source) in PERSON_WEIGHTS:
        folder = weights_folder() if cache_dir is None else cache_dir
        path = fetch_weights(str(source), cache_dir=folder, published=PERSON_WEIGHTS, on_progress=on_progress).path
    if path.suffix == ".pkl":
        return _caffe2(path)
    return open_weights(path)


def _caffe2(path: Path) -> WeightFile:
    mend = "Want Caffe2's pickle of PySlowFast's model zoo: a dictionary with `blobs`"
    found = read_pickle(path)
    blobs = found.get("blobs") if isinstance(found, dict) else None
    if not isinstance(blobs, dict) or not blobs:
        raise BadInput("it holds no blobs", where=path, mend=mend)
    arrays: dict[str, np.ndarray] = {
        str(name): value for name, value in blobs.items() if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    if not arrays:
        raise BadInput("none of its blobs is an array of numbers", where=path, mend=mend)

    def read(names: object) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.array(arrays[name], dtype=np.float32)) for name in names}  # type: ignore[attr-defined]

    return WeightFile(path=path, shapes={name: value.shape for name, value in arrays.items()}, read=read)


def put_foreign_start(model: PersonModel, start: Path | str) -> tuple[str, ...] | None:
    """The names of the weights that `start` left as they were; None where it is no other program's.

    MMAction2's, PySlowFast's, Caffe2's and I3D's weights give the trunk; a ResNet of torchvision's its slow path.

    Raises:
        BadInput: the file is damaged, or does not fit the model's trunk; also what `open_foreign_weights` raises.
        GestaError: named weights cannot be fetched.
    """
    named = {**PERSON_WEIGHTS, **{key: entry for key, entry in PUBLISHED_WEIGHTS.items() if "resnet" in key}}
    path = Path(start)
    if str(start) in named:
        path = fetch_weights(str(start), cache_dir=weights_folder(), published=named).path
    elif not path.exists() and not path.with_name(f"{path.name}.index").exists():
        return None
    file = open_foreign_weights(path)
    if is_resnet(file.shapes):
        kept = inflate_resnet(model.trunk, file.read(file.shapes), where=file.path)
        heads = (name for name in model.state_dict() if not name.startswith("trunk."))
        return (*(f"trunk.{name}" for name in kept), *heads)
    lineage = lineage_of(file.shapes)
    if not is_of_i3d(file.shapes) and (lineage is None or lineage is GESTA):
        return None
    return load_person_weights(model, file, head="fresh").kept
