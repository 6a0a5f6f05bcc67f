"""Weights for a person model to begin from: a checkpoint of ours, of persons or of clips, or published ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from gesta.models.person_model import PersonModel
from gesta.models.weight_files import open_weights
from gesta.models.weights import load_published
from gesta.schema import BadInput
from gesta.train.clips.checkpoints import is_clip_checkpoint, load_clip_checkpoint
from gesta.train.persons.checkpoints import is_person_checkpoint, load_person_checkpoint
from gesta.train.persons.foreign import put_foreign_start

_NEW_IN_TRUNK = ("non_local",)
"""Parts of the names of a trunk's weights that a classifier without them lacks: they begin anew."""

_RENAMES: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    lambda name: f"trunk.net.{name.removeprefix('trunk.')}",
    lambda name: f"trunk.{name}",
)
"""How a clip classifier of ours may call what a person model calls `trunk.`: the same, or without the wrapper."""


def put_person_start(
    model: PersonModel,
    start: Path | str,
    *,
    class_names: Sequence[str],
    clip_class_names: Sequence[str] = (),
) -> tuple[str, ...]:
    """The names of the weights that were left as they were; all others are those of `start`.

    A model of persons gives its trunk, and its head where that has the same shape; its last layer only where its
    classes are these, in this order. A classifier of clips gives its trunk, and its last layer to the head for clips
    where there is one with these classes.

    Args:
        model: a fresh one.
        start: a `model.pt`, a file of published weights, or the name of published ones; of weights of another
            program the trunk alone is taken.
        class_names: of the model's outputs for persons.
        clip_class_names: of its outputs for clips.
    Raises:
        BadInput: the weights are not those of such a trunk.
        UnknownName: neither a file nor a published name.
    """
    path = Path(start)
    if path.is_file() and is_person_checkpoint(path):
        persons = load_person_checkpoint(path)
        fresh = set() if persons.class_names == tuple(class_names) else {"head.classify."}
        fresh |= set() if persons.clip_class_names == tuple(clip_class_names) else {"clip_head.classify."}
        usable = {name: value for name, value in persons.weights.items() if not name.startswith(tuple(fresh))}
        return _fill(model, usable, start=start, what=f"recipe {persons.recipe.name!r}")
    if path.is_file() and is_clip_checkpoint(path):
        clips = load_clip_checkpoint(path)
        usable = _trunk_of(model, clips.weights)
        if clips.class_names == tuple(clip_class_names):
            usable |= {
                f"clip_head.classify.{name.removeprefix('logits.')}": value
                for name, value in clips.weights.items()
                if name.startswith("logits.") and name.count(".") == 1
            }
        return _fill(model, usable, start=start, what=f"a classifier {clips.recipe.model!r}")
    kept = put_foreign_start(model, start)
    if kept is None and path.is_file():
        kept = _put_plain(model, path)
    return load_published(model, start, head="fresh").kept if kept is None else kept


def _put_plain(model: PersonModel, path: Path) -> tuple[str, ...] | None:
    """The names of the weights left as they were, where the file has the trunk's own names; else None.

    So a library's file of a video transformer gives the trunk that holds that library's module.
    """
    file = open_weights(path)
    own = {name for name in model.state_dict() if name.startswith("trunk.")}
    called = max(
        ({rename(name): name for name in file.shapes} for rename in _RENAMES), key=lambda names: len(own & set(names))
    )
    if 2 * len(own & set(called)) <= len(own):
        return None
    values = file.read([called[name] for name in own & set(called)])
    weights = {name: values[called[name]] for name in own & set(called)}
    return _fill(model, weights, start=path, what="weights by other names")


def _trunk_of(model: PersonModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that fit the model's trunk, by the way of naming that fits most."""
    own = {name for name in model.state_dict() if name.startswith("trunk.")}
    renamed = [{rename(name): value for name, value in weights.items()} for rename in _RENAMES]
    best = max(renamed, key=lambda values: len(own & set(values)))
    return {name: value for name, value in best.items() if name in own}


def _fill(model: PersonModel, weights: Mapping[str, Tensor], *, start: Path | str, what: str) -> tuple[str, ...]:
    own = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    kept = tuple(name for name in own if name not in fitting)
    lacking = [name for name in kept if name.startswith("trunk.") and not any(part in name for part in _NEW_IN_TRUNK)]
    if lacking:
        raise BadInput(
            f"{len(lacking)} weights of the model's trunk are not in it, the first is {min(lacking)!r}",
            where=start,
            mend=f"It holds {what}: take a recipe of the same trunk",
        )
    model.load_state_dict(fitting, strict=False)
    return kept
