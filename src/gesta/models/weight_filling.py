"""How a file's tensors come into a model by a rule: every name and shape is compared before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gesta.models.weight_files import WeightFile
from gesta.models.weight_names import NameRule

_MAX_NAMES = 8


@dataclass(slots=True, kw_only=True)
class Filling:
    """What each parameter is to hold, and what stands in the way.

    `values` are by our names. `filled` are our parameters that take a tensor of the file, `constants` those that take
    a fixed value, `kept` those left as they are; `ignored` are the file's tensors without a use. `missing` and
    `strange` are names that the file lacks and has too many, `misshapen` sentences; `problems` says it all in words.
    """

    values: dict[str, Tensor]
    filled: list[str]
    constants: list[str]
    kept: list[str]
    ignored: list[str]
    missing: list[str]
    strange: list[str]
    misshapen: list[str]
    problems: list[str]


def filling_of(
    model: nn.Module, file: WeightFile, *, rule: NameRule, scope: str = "", fresh: Collection[str] = ()
) -> Filling:
    """What each parameter of `model` is to hold by `rule`; nothing is written yet, and nothing is raised.

    `scope` stands in front of each of the file's names; `fresh` are parameters of ours that keep what they have.
    """
    ours = model.state_dict()
    filling = Filling(
        values={}, filled=[], constants=[], kept=[], ignored=[], missing=[], strange=[], misshapen=[], problems=[]
    )
    sources: dict[str, str] = {}
    for name, slot in ours.items():
        theirs = rule.theirs(name)
        constant = rule.constant(name)
        if name in fresh:
            filling.kept.append(name)
        elif theirs is not None and scope + theirs in file.shapes:
            sources[name] = scope + theirs
        elif rule.is_kept(name):
            filling.kept.append(name)
        elif constant is not None:
            filling.values[name] = torch.full_like(slot, constant)
            filling.constants.append(name)
        else:
            filling.missing.append(name if theirs is None else f"{scope}{theirs} (for {name})")
    unused = set(file.shapes) - set(sources.values())
    heads = {scope + theirs for name in fresh if (theirs := rule.theirs(name)) is not None}
    strange = [n for n in file.shapes if n in unused - heads and not rule.is_ignored(n.removeprefix(scope))]
    # Another stream beside the one that fits is no fault.
    filling.strange += [name for name in strange if name.startswith(scope)]
    filling.ignored += [name for name in file.shapes if name in unused and name not in set(filling.strange)]
    if filling.missing:
        filling.problems.append(f"it lacks {listed(filling.missing)}")
    if filling.strange:
        filling.problems.append(f"it has {listed(filling.strange)}, for which the model has no place")
    _take(filling, sources, ours, file, rule=rule)
    return filling


def _take(
    filling: Filling, sources: Mapping[str, str], ours: Mapping[str, Tensor], file: WeightFile, *, rule: NameRule
) -> None:
    """Put the converted tensors into `filling`, or what is wrong with them."""
    not_finite = []
    tensors = file.read(sources.values())
    for name, theirs in sources.items():
        want = tuple(ours[name].shape)
        value = rule.converted(name, tensors[theirs], want)
        if tuple(value.shape) != want:
            filling.misshapen.append(f"{theirs} {tuple(file.shapes[theirs])} for {name} {want}")
        elif value.is_floating_point() and not bool(value.isfinite().all()):
            not_finite.append(theirs)
        else:
            filling.values[name] = value
            filling.filled.append(name)
    if filling.misshapen:
        filling.problems.append(f"of another shape: {listed(filling.misshapen)}")
    if not_finite:
        filling.problems.append(f"with values that are not finite: {listed(not_finite)}")


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _MAX_NAMES} more" if len(every) > _MAX_NAMES else ""
    return ", ".join(every[:_MAX_NAMES]) + more


@torch.no_grad()
def write_values(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put values [...] into the parameters and buffers of those names, in place."""
    slots = model.state_dict()
    for name, value in values.items():
        slots[name].copy_(value)
