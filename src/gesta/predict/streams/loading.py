"""Which kind of person model a checkpoint holds, and its scorer."""

from __future__ import annotations

from pathlib import Path

from gesta.formats import ava_label_map
from gesta.models.fold_norms import fold_norms
from gesta.models.person_weights import load_foreign_person_model
from gesta.models.published_persons import PERSON_WEIGHTS
from gesta.predict.streams.scorers import PersonScorer, key_frame_scorer, whole_frame_scorer
from gesta.schema import BadInput
from gesta.tables import sha256_of_file
from gesta.train.checkpoints import versions
from gesta.train.devices import pick_device
from gesta.train.persons.checkpoints import is_person_checkpoint, load_person_checkpoint, person_model_of
from gesta.train.persons.foreign import open_foreign_weights
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import PERSON_RECIPES, find_person_recipe


def load_person_scorer(
    checkpoint: str | Path, *, recipe: str | None = None, device: str = "auto", precision: str = "auto"
) -> PersonScorer:
    """The scorer of a person model: one of whole frames, or one of a key-frame recipe (`roi_...`).

    Normalisation is folded into the convolutions before it: the same numbers but for rounding, in less time.

    Args:
        checkpoint: a `model.pt` of `gesta train`; with `recipe`, a file of weights of MMAction2 or PySlowFast; or the
            name of published ones of AVA, which is their recipe's.
        recipe: name of the recipe of persons that says what model those weights are of and what it is shown.
        device: auto, cpu or cuda.
        precision: auto (the recipe's), float32 or bfloat16, of convolutions and products.
    Raises:
        BadInput: there is no such checkpoint, it is of another kind, the weights do not fit the recipe's model, or
            the model reads a feature bank.
        UnknownName: no such device or recipe.
    """
    place, path = pick_device(device), Path(checkpoint)
    if recipe is None and str(checkpoint) in PERSON_WEIGHTS and str(checkpoint) in PERSON_RECIPES:
        recipe = str(checkpoint)
    if recipe is not None:
        return _foreign_scorer(path, recipe=find_person_recipe(recipe), device=place, precision=precision)
    if not (path.is_file() and is_person_checkpoint(path)):
        return key_frame_scorer(path, device=place)
    loaded = load_person_checkpoint(path)
    _refuse_bank(loaded.recipe, where=path)
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


def _refuse_bank(recipe: PersonRecipe, *, where: Path) -> None:
    """Nothing, once the model needs no feature bank: a video that passes once has no minute ahead to look into.

    Raises:
        BadInput: it needs one.
    """
    if recipe.head.bank is not None:
        raise BadInput(
            f"the model of recipe {recipe.name!r} reads a feature bank, which no video or stream brings along",
            where=where,
            mend="Score key-frames with `gesta score --bank`, or predict with a model without a bank",
        )


def _foreign_scorer(path: Path, *, recipe: PersonRecipe, device: str, precision: str) -> PersonScorer:
    _refuse_bank(recipe, where=path)
    weights = open_foreign_weights(path)
    known = ava_label_map(80)
    class_ids = recipe.classes or tuple(known["class_id"])
    names = dict(known.select("class_id", "name").iter_rows())
    model = load_foreign_person_model(
        weights,
        trunk=recipe.trunk,
        person_head=recipe.head,
        num_frames=recipe.frames.num_frames,
        crop_px=recipe.frames.crop_px,
        class_ids=class_ids,
    )
    return whole_frame_scorer(
        fold_norms(model).to(device),
        frames=recipe.frames,
        class_ids=class_ids,
        class_names=[names[class_id] for class_id in class_ids],
        device=device,
        precision=recipe.precision if precision == "auto" else precision,
        flip=recipe.test.flip,
        origin={"recipe": recipe.name, "weights": weights.path.name, **versions()},
        sha256=sha256_of_file(weights.path),
    )
