"""Weights of MMAction2, PySlowFast and Caffe2 in models of persons and of clips, and back: `load_person_weights`.

Which publication wrote a file shows in its names; what it needs of our model shows in names and shapes, and an error
says which argument to change. Some differences leave no trace in weights: `UNSEEN` lists them.

Shapes: K classes, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from gesta.models.person_heads import PersonHead
from gesta.models.person_model import PersonModel, build_person_model
from gesta.models.person_weight_looks import advice
from gesta.models.person_weight_names import (
    CAFFE2,
    GESTA,
    I3D_STEMS,
    MMACTION2,
    PYSLOWFAST,
    Layout,
    PersonNames,
    is_of_i3d,
    layout_of,
    lineage_of,
)
from gesta.models.trunks import TrunkSpec
from gesta.models.weight_files import WeightFile, open_weights
from gesta.models.weight_filling import filling_of, write_values
from gesta.models.weight_names import DEEPMIND_I3D, PYTORCH_I3D, NameRule
from gesta.schema import BadInput
from gesta.tables import whole_file

HeadFill = Literal["strict", "fresh"]
"""`strict`: the head too, or it is an error; `fresh`: the trunk alone, the head keeps what it has."""

_I3D_RULES = dict(zip(I3D_STEMS, (PYTORCH_I3D, DEEPMIND_I3D), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPersonWeights:
    """What was loaded: whose names the file has, and what became of our parameters and of its tensors.

    `filled` are our parameters that took a tensor, `constants` those that are not published and took a fixed value,
    `kept` those left as they were; `ignored` are the file's tensors without a use.
    """

    lineage: str
    path: Path
    filled: tuple[str, ...]
    constants: tuple[str, ...]
    kept: tuple[str, ...]
    ignored: tuple[str, ...]


def load_person_weights(
    model: nn.Module,
    source: Path | str | WeightFile,
    *,
    head: HeadFill = "strict",
    class_ids: Sequence[int] | None = None,
) -> LoadedPersonWeights:
    """What was loaded into `model`, in place, from a file of one of the publications; nothing where it does not fit.

    `model` is a `PersonModel`, or a clip classifier on a trunk of SlowOnly or SlowFast. A Kinetics checkpoint goes
    into a person model with `head="fresh"`. `class_ids` are AVA's numbers of the model's classes, in the order of its
    outputs: a file that scores more classes gives those rows (MMAction2's row 0 belongs to no class and is left out).

    Raises:
        BadInput: there is no such file, it is damaged or of no known publication, or it does not fit the model: the
            message names the first tensors that lack or are too many, and the arguments to change.
    """
    file = source if isinstance(source, WeightFile) else open_weights(Path(source))
    rule, scope, names = _rule_for(model, file, head=head, class_ids=class_ids)
    filling = filling_of(model, file, rule=rule, scope=scope)
    if filling.problems:
        problem = f"these weights ({rule.name}) do not fit {_titled(model)}: {'; '.join(filling.problems)}"
        raise BadInput(problem, where=file.path, mend=advice(model, file.shapes, names=names, head=head))
    write_values(model, filling.values)
    return LoadedPersonWeights(
        lineage=rule.name,
        path=file.path,
        filled=tuple(filling.filled),
        constants=tuple(filling.constants),
        kept=tuple(filling.kept),
        ignored=tuple(filling.ignored),
    )


def load_foreign_person_model(
    source: Path | str | WeightFile,
    *,
    trunk: TrunkSpec,
    person_head: PersonHead,
    num_frames: int,
    crop_px: int,
    num_classes: int = 80,
    head: HeadFill = "strict",
    class_ids: Sequence[int] | None = None,
) -> PersonModel:
    """A person model in eval mode, built by `trunk` and `person_head`, with weights of another program.

    `num_classes` counts where `class_ids` is None; else the model scores those classes, in that order.

    Raises:
        UnknownName: as `build_person_model`.
        BadInput: as `build_person_model` and `load_person_weights`.
    """
    model = build_person_model(
        trunk,
        person_head,
        num_classes=num_classes if class_ids is None else len(class_ids),
        num_frames=num_frames,
        crop_px=crop_px,
    )
    load_person_weights(model, source, head=head, class_ids=class_ids)
    return model.eval()


def save_as_mmaction2(model: nn.Module, out: Path) -> Path:
    """The file `out`, whole: the model's weights under MMAction2's names, in a dictionary with `state_dict` and `meta`.

    The head of persons gets a row 0 of zeros, which MMAction2 leaves out when it scores. Tensors are float32 or as the
    model has them; `load_person_weights` reads the file back bit for bit.

    Raises:
        BadInput: MMAction2 has no place for a part of the model.
    """
    return _save({"meta": {"written_by": "gesta"}, "state_dict": as_mmaction2(model)}, out)


def save_as_pyslowfast(model: nn.Module, out: Path) -> Path:
    """The file `out`, whole: the model's weights under PySlowFast's names, in a dictionary with `model_state`.

    Raises:
        BadInput: PySlowFast has no place for a part of the model.
    """
    return _save({"epoch": 0, "model_state": as_pyslowfast(model)}, out)


def as_mmaction2(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors [...] by MMAction2's names, row 0 of the person head [K + 1, D] included.

    Raises:
        BadInput: MMAction2 has no place for a part of the model.
    """
    return _renamed(model, MMACTION2)


def as_pyslowfast(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors [...] by PySlowFast's names.

    Raises:
        BadInput: PySlowFast has no place for a part of the model.
    """
    return _renamed(model, PYSLOWFAST)


def as_caffe2(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors [...] by the names of Caffe2's blobs; counts of batches are left out.

    Raises:
        BadInput: Caffe2's networks have no place for a part of the model.
    """
    return _renamed(model, CAFFE2)


def _renamed(model: nn.Module, names: PersonNames) -> dict[str, Tensor]:
    layout = layout_of(model)
    found: dict[str, Tensor] = {}
    homeless = []
    slow = getattr(model.trunk, "slow", None)
    if slow is None or slow.plan.differences or (names is not MMACTION2 and getattr(_head_spec(model), "context", 0)):
        homeless.append("this trunk" if slow is None or slow.plan.differences else "a head with context")
    for ours, value in model.state_dict().items():
        theirs = names.theirs(ours, layout)
        if theirs is not None:
            found[theirs] = _to_theirs(ours, value, model, names).detach().clone()
        elif not (names is CAFFE2 and ours.endswith("num_batches_tracked")):
            homeless.append(ours)
        if ours.endswith(".conv.bias") and ".non_locals." not in ours:
            homeless.append(f"{ours}, where a norm was folded into")
    if homeless:
        problem = f"{names.name} has no place for {', '.join(homeless[:4])}"
        raise BadInput(problem, mend="Save a linear or two-layer head on a trunk of SlowOnly or SlowFast")
    return found


def _head_spec(model: nn.Module) -> PersonHead | None:
    return model.head.spec if isinstance(model, PersonModel) else None


def _save(content: Mapping[str, object], out: Path) -> Path:
    with whole_file(out) as part:
        torch.save(dict(content), part)
    return out


def _to_theirs(ours: str, value: Tensor, model: nn.Module, names: PersonNames) -> Tensor:
    if names.has_background and ours.startswith("head.classify."):
        return torch.cat((torch.zeros_like(value[:1]), value))
    if names.fast_path_first and ours == "logits.weight" and len(_path_features(model)) == 2:
        slow, fast = value.split(_path_features(model), dim=1)
        return torch.cat((fast, slow), dim=1)
    return value


def _path_features(model: nn.Module) -> list[int]:
    return list(cast(Sequence[int], cast(nn.Module, model.trunk).path_features))


def _titled(model: nn.Module) -> str:
    trunk = cast(nn.Module, model.trunk)
    return f"{type(model).__name__} on {getattr(trunk, 'name', type(trunk).__name__)}"


def _rule_for(
    model: nn.Module, file: WeightFile, *, head: HeadFill, class_ids: Sequence[int] | None
) -> tuple[NameRule, str, PersonNames | None]:
    """The rule of the file's publication for this model, what stands before its names, and its names' rule."""
    if is_of_i3d(file.shapes):
        name, end = next((name, end) for name in file.shapes for end in I3D_STEMS if name.endswith(end))
        return _i3d_rule(_I3D_RULES[end], head=head), name.removesuffix(end), None
    names = lineage_of(file.shapes)
    if names is None:
        mend = "Read are MMAction2's, PySlowFast's and this library's state dicts, and I3D's for the trunk i3d"
        problem = f"these weights are of no known publication: they begin with {', '.join(list(file.shapes)[:4])}"
        raise BadInput(problem, where=file.path, mend=mend)
    return _person_rule(model, names, head=head, class_ids=class_ids), "", names


def _is_of_head(ours: str) -> bool:
    return not ours.startswith("trunk.")


def _person_rule(model: nn.Module, names: PersonNames, *, head: HeadFill, class_ids: Sequence[int] | None) -> NameRule:
    layout = layout_of(model)
    is_fresh = head == "fresh"

    def theirs(ours: str) -> str | None:
        return None if is_fresh and _is_of_head(ours) else names.theirs(ours, layout)

    return NameRule(
        name=names.name,
        theirs=theirs,
        constant=lambda ours: 0.0 if ours.endswith("num_batches_tracked") else None,
        # No publication has logits of clips beside a head of persons.
        is_kept=lambda ours: _is_of_head(ours) if is_fresh else ours.startswith("clip_head.") and names is not GESTA,
        converted=_converter(model, names, layout, class_ids=class_ids),
        is_ignored=lambda name: names.is_ignored(name) or (is_fresh and names.is_head(name)),
        head=(),
    )


def _converter(
    model: nn.Module, names: PersonNames, layout: Layout, *, class_ids: Sequence[int] | None
) -> Callable[[str, Tensor, tuple[int, ...]], Tensor]:
    def converted(ours: str, theirs: Tensor, shape: tuple[int, ...]) -> Tensor:
        if names.appends_ones and theirs.ndim < len(shape):
            theirs = theirs.reshape(*theirs.shape, *[1] * (len(shape) - theirs.ndim))
        if ours.startswith("head.classify.") and theirs.ndim == len(shape):
            rows = class_rows(
                theirs.shape[0], num_classes=shape[0], class_ids=class_ids, has_background=names.has_background
            )
            return theirs if rows is None else theirs[list(rows)]
        if names.fast_path_first and ours == "logits.weight" and layout.has_fast_path and theirs.ndim == 2:
            fast = _path_features(model)[1]
            return torch.cat((theirs[:, fast:], theirs[:, :fast]), dim=1)
        return theirs

    return converted


def class_rows(
    num_rows: int, *, num_classes: int, class_ids: Sequence[int] | None, has_background: bool
) -> tuple[int, ...] | None:
    """Which rows of a published head [num_rows, D] are the model's classes, in their order; None where they are not.

    A file with as many classes as the model has them in the model's order, unless `class_ids` orders them otherwise;
    one with more has class `i` at the place of AVA's number `i`, from 1 on.

    >>> class_rows(81, num_classes=3, class_ids=(3, 6, 80), has_background=True)
    (3, 6, 80)
    >>> class_rows(80, num_classes=3, class_ids=(3, 6, 80), has_background=False)
    (2, 5, 79)
    >>> class_rows(17, num_classes=16, class_ids=None, has_background=True)[:3]
    (1, 2, 3)
    """
    first = 1 if has_background else 0
    num_theirs = num_rows - first
    ids = None if class_ids is None else tuple(int(number) for number in class_ids)
    if ids is not None and len(ids) != num_classes:
        return None
    if num_theirs == num_classes and (ids is None or sorted(ids) != list(range(1, num_classes + 1))):
        return tuple(range(first, num_rows))
    if ids is None or num_theirs < num_classes or not all(1 <= number <= num_theirs for number in ids):
        return None
    return tuple(number - 1 + first for number in ids)


def _i3d_rule(rule: NameRule, *, head: HeadFill) -> NameRule:
    """An I3D publication's rule for a trunk that ends at Mixed_4f; its logits have no place here."""

    def ours_there(ours: str) -> str:
        return f"trunk.{ours.removeprefix('trunk.net.')}"

    def theirs(ours: str) -> str | None:
        return rule.theirs(ours_there(ours)) if ours.startswith("trunk.net.") else None

    return replace(
        rule,
        theirs=theirs,
        is_kept=lambda ours: _is_of_head(ours) and head == "fresh",
        converted=lambda ours, value, shape: rule.converted(ours_there(ours), value, shape),
        is_ignored=lambda name: rule.is_ignored(name) or name.startswith(("Mixed_5", "Logits", "logits")),
        head=(),
    )
