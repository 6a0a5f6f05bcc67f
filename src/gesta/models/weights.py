"""Published weights in our models: `load_published(model, name_or_path)`.

A name of `PUBLISHED_WEIGHTS` is downloaded first (`gesta.models.download`); a path is a TensorFlow checkpoint (its
folder, `model.ckpt`, or one of its files) or a torch file of a state dict (`.pt`, `.pth`). By which rule it is read
depends on the names in it, not on its own. Each of our parameters is filled once, or an error names it; each published
tensor is used or ignored by the rule, or an error names it. A model is changed only when everything fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from gesta.models.conv_lstm import ConvLstm
from gesta.models.download import Progress, fetch_weights, weights_folder
from gesta.models.i3d import I3d
from gesta.models.published import PUBLISHED_WEIGHTS, ClassList
from gesta.models.two_stream import Stream, TwoStream
from gesta.models.weight_files import WeightFile, open_weights
from gesta.models.weight_filling import Filling, filling_of, listed, write_values
from gesta.models.weight_names import DEEPMIND_I3D, PYTORCH_I3D, TORCHVISION_RESNET, NameRule, same_names
from gesta.schema import BadInput, UnknownName

Head = Literal["published", "fresh"]
"""`published`: with the logits; `fresh`: all but the logits, which keep what they have, to train on other classes."""

_TENSORFLOW_STEM = "Conv3d_1a_7x7/conv_3d/w"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWeights:
    """What was loaded: by which rule, from where, and the classes in the order of the logits.

    `class_names` is empty where the logits were not loaded or their classes are not known. `filled` are our parameters
    that took a published tensor, `constants` those that are not published and took a fixed value, `kept` those left as
    they were; `ignored` are the published tensors without a use. `sha256` has each file's hash, by its path, where the
    weights were named.
    """

    rule: str
    path: Path
    class_names: tuple[str, ...]
    filled: tuple[str, ...]
    constants: tuple[str, ...]
    kept: tuple[str, ...]
    ignored: tuple[str, ...]
    sha256: Mapping[str, str]


def load_published(
    model: nn.Module,
    name_or_path: str | Path,
    *,
    head: Head = "published",
    class_names: Sequence[str] | None = None,
    cache_dir: Path | None = None,
    base_url: str | None = None,
    on_progress: Progress | None = None,
) -> LoadedWeights:
    """What was loaded into `model`, in place, from published weights by name or from a file of weights.

    Files of DeepMind's and of the PyTorch port with 400 classes are taken for Kinetics-400's, in its order, unless
    `class_names` says otherwise. `cache_dir` is where named weights are kept (None = `weights_folder()`), `base_url`
    the address of a mirror.

    Raises:
        UnknownName: `name_or_path` is neither a published name nor a file.
        BadInput: the file is damaged or of no known publication, or does not fit the model (the message lists names and
            shapes); or there are not as many `class_names` as logits; also what `fetch_weights` raises.
    """
    path, known, sums = Path(name_or_path), None, {}
    if str(name_or_path) in PUBLISHED_WEIGHTS:
        folder = weights_folder() if cache_dir is None else cache_dir
        fetched = fetch_weights(str(name_or_path), cache_dir=folder, base_url=base_url, on_progress=on_progress)
        path, known, sums = fetched.path, fetched.published.classes, dict(fetched.sha256)
    elif not path.exists() and not path.with_name(f"{path.name}.index").exists() and path.parent == Path():
        raise UnknownName(what="published weights or file", name=str(name_or_path), choices=PUBLISHED_WEIGHTS)
    return load_weight_file(model, open_weights(path), head=head, class_names=class_names, classes=known, sha256=sums)


def load_weight_file(
    model: nn.Module,
    file: WeightFile,
    *,
    head: Head = "published",
    class_names: Sequence[str] | None = None,
    classes: ClassList | None = None,
    sha256: Mapping[str, str] | None = None,
) -> LoadedWeights:
    """What was loaded into `model`, in place, from an opened file; see `load_published`.

    `classes` says on which the logits were trained, where that is known.

    Raises:
        BadInput: the names are of no known publication, or names and shapes do not fit the model, or there are not as
            many names of classes as logits.
    """
    rule, scope = _rule_for(model, file)
    filling = _filled(model, file, rule=rule, scope=scope, head=head)
    num_logits = _num_logits(model, rule) if head == "published" else 0
    folder = file.path.parent
    names = _class_names(classes, rule=rule, num_logits=num_logits, given=class_names, folder=folder)
    write_values(model, filling.values)
    return LoadedWeights(
        rule=rule.name,
        path=file.path,
        class_names=names,
        filled=tuple(filling.filled),
        constants=tuple(filling.constants),
        kept=tuple(filling.kept),
        ignored=tuple(filling.ignored),
        sha256=dict(sha256 or {}),
    )


def _rule_for(model: nn.Module, file: WeightFile) -> tuple[NameRule, str]:
    """The rule whose names the file has, and what stands in front of each of them."""
    names = set(file.shapes)
    ours = set(model.state_dict())
    if isinstance(model, I3d):
        scopes = [name.removesuffix(_TENSORFLOW_STEM) for name in file.shapes if name.endswith(_TENSORFLOW_STEM)]
        if scopes:
            return DEEPMIND_I3D, _scope(scopes, model, file)
        if "Conv3d_1a_7x7.conv3d.weight" in names:
            return PYTORCH_I3D, ""
    if isinstance(model, ConvLstm | Stream | TwoStream) and {"conv1.weight", "layer4.2.conv3.weight"} <= names:
        return TORCHVISION_RESNET, ""
    if len(ours & names) * 2 > len(ours):
        return same_names(_head_names(model)), ""
    mend = f"It begins with {listed(file.shapes)}; the model with {listed(model.state_dict())}"
    problem = f"these weights are of no known publication for {type(model).__name__}"
    raise BadInput(problem, where=file.path, mend=mend)


def _scope(scopes: Sequence[str], model: I3d, file: WeightFile) -> str:
    """The scope of the stream that fits the model, where a checkpoint holds RGB and flow side by side."""
    fitting = [scope for scope in scopes if file.shapes[scope + _TENSORFLOW_STEM][3:4] == (model.trunk.num_channels,)]
    if len(scopes) == 1 or not fitting:
        return scopes[0]
    if len(fitting) > 1:
        mend = "Save one of them alone"
        raise BadInput(f"several networks fit: {', '.join(fitting)}", where=file.path, mend=mend)
    return fitting[0]


def _head_names(model: nn.Module) -> tuple[str, ...]:
    """The last layer's parameters, by where they stand in the model."""
    last = list(model.state_dict())[-1].rpartition(".")[0]
    return tuple(name for name in model.state_dict() if name.rpartition(".")[0] == last)


def _filled(model: nn.Module, file: WeightFile, *, rule: NameRule, scope: str, head: Head) -> Filling:
    """What each parameter is to hold, after every name and shape was compared."""
    filling = filling_of(model, file, rule=rule, scope=scope, fresh=set(rule.head) if head == "fresh" else set())
    if filling.problems:
        mend = "Build the model with as many classes and channels as the weights have"
        mend += ', or load all but the logits with head="fresh"' if rule.head and head == "published" else ""
        problem = f"these weights ({rule.name}) do not fit {type(model).__name__}: {'; '.join(filling.problems)}"
        raise BadInput(problem, where=file.path, mend=mend)
    return filling


def _num_logits(model: nn.Module, rule: NameRule) -> int:
    return model.state_dict()[rule.head[0]].shape[0] if rule.head else 0


def _class_names(
    known: ClassList | None, *, rule: NameRule, num_logits: int, given: Sequence[str] | None, folder: Path
) -> tuple[str, ...]:
    """Names of the logits in order; empty where none were loaded or none are known."""
    if num_logits == 0:
        return ()
    if given is not None:
        names = tuple(given)
    elif known == "kinetics-600":
        names = tuple((folder / "label_map_600.txt").read_text().splitlines())
    elif known == "kinetics-400" or (num_logits == 400 and rule in (DEEPMIND_I3D, PYTORCH_I3D)):
        names = kinetics_400_names()
    else:
        return ()
    if len(names) != num_logits:
        mend = "Give as many names as the model has classes, in the order of its logits"
        raise BadInput(f"{len(names)} names of classes for {num_logits} logits", mend=mend)
    return names


def kinetics_400_names() -> tuple[str, ...]:
    """The 400 classes of Kinetics-400 in the order of DeepMind's logits, which is the alphabet's.

    Source: torchvision's list, the same as data/label_map.txt of google-deepmind/kinetics-i3d at 0667e88 (a test
    compares them).

    >>> kinetics_400_names()[:2], len(kinetics_400_names())
    (('abseiling', 'air drumming'), 400)
    """
    from torchvision.models.video import R3D_18_Weights

    return tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"])
