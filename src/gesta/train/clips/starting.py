"""Weights to begin from: a checkpoint of ours, or published ones; the last layer begins anew where classes differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from gesta.models.weights import load_published
from gesta.schema import BadInput
from gesta.train.clips.checkpoints import is_clip_checkpoint, load_clip_checkpoint


def put_start(model: nn.Module, start: Path | str, *, class_names: Sequence[str]) -> tuple[str, ...]:
    """The names of the weights that were left as they were; all others are those of `start`.

    Of a checkpoint of ours the last layer is taken too where its classes are these, in this order.

    Args:
        model: a fresh one.
        start: a `model.pt`, a file of published weights, or the name of published ones.
        class_names: of the model's outputs.
    Raises:
        BadInput: the weights are not those of such a model, but for its last layer.
        UnknownName: neither a file nor a published name.
    """
    if not Path(start).is_file() or not is_clip_checkpoint(Path(start)):
        return load_published(model, start, head="fresh").kept
    found = load_clip_checkpoint(Path(start))
    own = model.state_dict()
    is_same_task = found.class_names == tuple(class_names)
    fitting = {name: value for name, value in found.weights.items() if name in own and own[name].shape == value.shape}
    if not is_same_task:
        head = _head_names(model, num_classes=len(class_names))
        fitting = {name: value for name, value in fitting.items() if name not in head}
    kept = tuple(name for name in own if name not in fitting)
    too_many = set(kept) - _head_names(model, num_classes=len(class_names))
    if too_many:
        raise BadInput(
            f"{len(too_many)} weights of the model are not in it, the first is {min(too_many)!r}",
            where=start,
            mend=f"It holds a {found.recipe.model!r}: take a recipe of the same model",
        )
    model.load_state_dict(fitting, strict=False)
    return kept


def _head_names(model: nn.Module, *, num_classes: int) -> set[str]:
    """Names of the weights of the last layer that has as many outputs as there are classes."""
    last = ""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if (
            isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
            and weight is not None
            and len(weight) == num_classes
        ):
            last = name
    return {name for name in model.state_dict() if name.startswith(f"{last}.")} if last else set()
