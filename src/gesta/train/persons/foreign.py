"""Weights of other programs for models of persons: by a published name, or a file of MMAction2's or PySlowFast's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gesta.formats import ava_label_map
from gesta.formats.safe_pickle import read_pickle
from gesta.models.download import Progress, fetch_weights, weights_folder
from gesta.models.inflation import inflate_resnet, is_resnet
from gesta.models.person_model import PersonModel
from gesta.models.person_weight_looks import look_of
from gesta.models.person_weight_names import GESTA, is_of_i3d, lineage_of
from gesta.models.person_weights import (
    load_foreign_person_model,
    load_person_weights,
    save_as_mmaction2,
    save_as_pyslowfast,
)
from gesta.models.published import PUBLISHED_WEIGHTS
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.models.weight_files import WeightFile, open_weights
from gesta.schema import BadInput, UnknownName
from gesta.tables import sha256_of_file
from gesta.train.checkpoints import versions
from gesta.train.persons.checkpoints import (
    PersonCheckpoint,
    load_person_checkpoint,
    person_model_of,
    save_person_checkpoint,
)
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import PERSON_RECIPES, find_person_recipe


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

    def read(names: Iterable[str]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.array(arrays[name], dtype=np.float32)) for name in names}

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


def import_person_weights(
    source: Path | str, *, out: Path, recipe: str | PersonRecipe | None = None, cache_dir: Path | None = None
) -> PersonCheckpoint:
    """The checkpoint written to `out`: a model of persons with its head, by another program's weights and our recipe.

    The classes are the recipe's, or as many of AVA's as the file scores: 80, or the 60 that are evaluated.

    Args:
        source: a file, or a name of `PERSON_WEIGHTS`.
        out: the `model.pt`.
        recipe: of such a model; None = the one of the published name.
        cache_dir: as for `open_foreign_weights`.
    Raises:
        UnknownName: there is no such recipe.
        BadInput: the weights do not fit the recipe's model or its classes; or no recipe was given, and `source` is no
            published name; also what `open_foreign_weights` raises.
        GestaError: named weights cannot be fetched.
    """
    if recipe is None and str(source) not in PERSON_RECIPES:
        mend = f"Name the recipe whose model it is, such as {next(iter(PERSON_RECIPES))}"
        raise BadInput("which network these weights are of is not said", where=str(source), mend=mend)
    settings = find_person_recipe(str(source) if recipe is None else recipe)
    file = open_foreign_weights(source, cache_dir=cache_dir)
    class_ids, class_names = _ava_classes(file, settings)
    model = load_foreign_person_model(
        file, trunk=settings.trunk, person_head=settings.head, num_frames=settings.frames.num_frames,
        crop_px=settings.frames.crop_px, class_ids=class_ids,
    )  # fmt: skip
    sha256 = sha256_of_file(file.path)
    checkpoint = PersonCheckpoint(
        weights=model.state_dict(), class_ids=class_ids, class_names=class_names, recipe=settings, data_sha256="",
        fingerprint=sha256, versions={**versions(), "weights": file.path.name, "weights_sha256": sha256},
    )  # fmt: skip
    save_person_checkpoint(out, checkpoint)
    return checkpoint


def export_person_weights(checkpoint: Path, *, out: Path, lineage: str) -> Path:
    """The file `out`, whole: a checkpoint's weights under the names of MMAction2 or PySlowFast.

    Raises:
        UnknownName: `lineage` is neither "mmaction2" nor "pyslowfast".
        BadInput: there is no such checkpoint, or the program has no place for a part of its model.
    """
    if lineage not in _SAVERS:
        raise UnknownName(what="program", name=lineage, choices=_SAVERS)
    model = person_model_of(load_person_checkpoint(checkpoint), where=checkpoint)
    return _SAVERS[lineage](model, out)


_SAVERS = {"mmaction2": save_as_mmaction2, "pyslowfast": save_as_pyslowfast}


def _ava_classes(file: WeightFile, recipe: PersonRecipe) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Ids and names of the classes that the model is to score."""
    names = lineage_of(file.shapes)
    scored = None if names is None else look_of(file.shapes, names=names).num_classes
    known = dict(ava_label_map(60 if scored == 60 else 80).select("class_id", "name").iter_rows())
    class_ids = recipe.classes or tuple(known)
    strange = [class_id for class_id in class_ids if class_id not in known]
    if strange:
        mend = "Take a recipe whose classes the file scores"
        raise BadInput(f"the recipe's class {strange[0]} is none of AVA's {len(known)}", where=file.path, mend=mend)
    return tuple(class_ids), tuple(known[class_id] for class_id in class_ids)
