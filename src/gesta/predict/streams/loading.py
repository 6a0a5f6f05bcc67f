"""Which kind of person model a checkpoint holds, and its scorer."""

from __future__ import annotations

from pathlib import Path

from gesta.models.fold_norms import fold_norms
from gesta.predict.streams.scorers import PersonScorer, key_frame_scorer, whole_frame_scorer
from gesta.tables import sha256_of_file
from gesta.train.devices import pick_device
from gesta.train.persons.checkpoints import is_person_checkpoint, load_person_checkpoint, person_model_of


def load_person_scorer(checkpoint: str | Path, *, device: str = "auto", precision: str = "auto") -> PersonScorer:
    """The scorer of a person model: one of whole frames, or one of a key-frame recipe (`roi_...`).

    Normalisation is folded into the convolutions before it: the same numbers but for rounding, in less time.

    Args:
        checkpoint: a `model.pt` of `gesta train`.
        device: auto, cpu or cuda.
        precision: auto (the recipe's), float32 or bfloat16, of convolutions and products.
    Raises:
        BadInput: there is no such checkpoint, or it is of another kind.
        UnknownName: no such device.
    """
    place, path = pick_device(device), Path(checkpoint)
    if not (path.is_file() and is_person_checkpoint(path)):
        return key_frame_scorer(path, device=place)
    loaded = load_person_checkpoint(path)
    return whole_frame_scorer(
        fold_norms(person_model_of(loaded, where=path, device=place)),
        frames=loaded.recipe.frames,
        class_ids=loaded.class_ids,
        class_names=loaded.class_names,
        device=place,
        precision=loaded.recipe.precision if precision == "auto" else precision,
        flip=loaded.recipe.test.flip,
        origin={"recipe": loaded.recipe.name, "data_sha256": loaded.data_sha256, **loaded.versions},
        sha256=sha256_of_file(path),
    )
