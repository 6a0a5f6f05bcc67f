"""Names of MMAction2's, PySlowFast's and Caffe2's weights for SlowOnly and SlowFast, as rules from our names to theirs.

Each rule takes one of our parameters, as it stands in a `PersonModel` (`trunk.`, `head.`) or a `ClipClassifier`
(`trunk.`, `logits.`), and gives the name under which the publication keeps it, or None where it has no place for it.
`Layout` is what of the model decides names. The tables are in docs/decisions/person-weights.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from torch import nn

from gesta.models.non_local import NonLocal
from gesta.models.res_stage import ResPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What of a model decides the names of its weights.

    Args:
        has_fast_path: SlowFast, not SlowOnly.
        last_blocks: number of the last block of each stage, by the stage's name.
        pools_non_local: non-local blocks take fewer places to answer, which puts their layers in a list in mmcv.
        has_hidden: the head has two layers.
    """

    has_fast_path: bool
    last_blocks: Mapping[str, int] = field(default_factory=dict)
    pools_non_local: bool = True
    has_hidden: bool = False


def layout_of(model: nn.Module) -> Layout:
    """The layout of a `PersonModel` or a `ClipClassifier`; a model without a residual path has no last blocks."""
    names = {name for name, _ in model.named_parameters()}
    slow = getattr(model.trunk, "slow", None)
    last_blocks: dict[str, int] = {}
    pools = True
    if isinstance(slow, ResPath):
        for name, stage in slow.stages():
            last_blocks[name] = len(stage.blocks) - 1
            for gather in stage.non_locals.values():
                pools = cast(NonLocal, gather).plan.pool_thw != (1, 1, 1)
    return Layout(
        has_fast_path=any(name.startswith("trunk.fast.") for name in names),
        last_blocks=last_blocks,
        pools_non_local=pools,
        has_hidden="head.hidden.weight" in names,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonNames:
    """How one publication names the weights of trunk and head.

    Args:
        name: of the lineage.
        theirs: their name of one of our parameters, None where they have no place for it.
        is_ignored: their tensors without a use here.
        is_head: their tensors whose shape depends on the classes.
        has_background: row 0 of the head of persons belongs to no class.
        fast_path_first: a clip classifier's features begin with the fast path's.
        appends_ones: tensors may lack their last sizes where these are 1.
    """

    name: str
    theirs: Callable[[str, Layout], str | None]
    is_ignored: Callable[[str], bool]
    is_head: Callable[[str], bool]
    has_background: bool = False
    fast_path_first: bool = False
    appends_ones: bool = False


_PART = re.compile(
    r"trunk\.(?P<path>slow|fast)\.(?:"
    r"(?P<stem>stem)|"
    r"(?P<stage>res[2-5])\.(?:blocks\.(?P<block>\d+)\.(?P<unit>[abc]|skip)|non_locals\.(?P<gather>\d+)\.(?P<role>\w+))"
    r")\.(?P<rest>[\w.]+)\Z"
)
_LATERAL = re.compile(r"trunk\.laterals\.(?P<start>stem|res[2-4])\.(?P<rest>[\w.]+)\Z")
_HEADS = {"head.classify", "head.hidden", "logits"}


def _split(ours: str) -> tuple[str, str]:
    """`head.classify.weight` -> (`head.classify`, `weight`)."""
    module, _, variable = ours.rpartition(".")
    return module, variable


_MMACTION2_UNITS = {"a": "conv1", "b": "conv2", "c": "conv3", "skip": "downsample"}


def _mmaction2_rest(rest: str) -> str:
    """`norm.weight` -> `bn.weight`; mmcv's ConvModule holds `conv` and `bn`."""
    return rest.replace("norm.", "bn.", 1)


def _mmaction2_name(ours: str, layout: Layout) -> str | None:
    """`trunk.slow.res2.blocks.0.a.conv.weight` -> `backbone.slow_path.layer1.0.conv1.conv.weight`."""
    module, variable = _split(ours)
    if module in _HEADS:
        if module == "logits":
            return f"cls_head.fc_cls.{variable}"
        layer = "" if not layout.has_hidden else {"head.hidden": "0.", "head.classify": "2."}[module]
        return f"roi_head.bbox_head.fc_cls.{layer}{variable}"
    if match := _LATERAL.match(ours):
        start = "conv1" if match["start"] == "stem" else f"layer{int(match['start'][3]) - 1}"
        return f"backbone.slow_path.{start}_lateral.{_mmaction2_rest(match['rest'])}"
    match = _PART.match(ours)
    if match is None:
        return None
    front = f"backbone.{match['path']}_path." if layout.has_fast_path else "backbone."
    rest = match["rest"]
    if match["stem"]:
        return f"{front}conv1.{_mmaction2_rest(rest)}"
    layer = f"{front}layer{int(match['stage'][3]) - 1}"
    if match["block"] is not None:
        return f"{layer}.{match['block']}.{_MMACTION2_UNITS[match['unit']]}.{_mmaction2_rest(rest)}"
    listed = "0." if layout.pools_non_local else ""
    roles = {"theta": "theta.conv.", "phi": f"phi.{listed}conv.", "value": f"g.{listed}conv.", "out": "conv_out."}
    return f"{layer}.{match['gather']}.non_local_block.{roles[match['role']]}{_mmaction2_rest(rest)}"


MMACTION2 = PersonNames(
    name="mmaction2",
    theirs=_mmaction2_name,
    # A recogniser's checkpoint of 1.x may keep what normalises its pixels.
    is_ignored=lambda name: name.startswith(("data_preprocessor.", "ema_")) or name == "steps",
    is_head=lambda name: name.startswith(("roi_head.bbox_head.", "cls_head.")),
    has_background=True,
    fast_path_first=True,
)
"""MMAction2 0.x and 1.x, whose detectors and recognisers name their weights alike (run: v0.24.1 and 4d6c934)."""

_PYSLOWFAST_ROLES = {"theta": "conv_theta.", "phi": "conv_phi.", "value": "conv_g."}


def _pyslowfast_name(ours: str, layout: Layout) -> str | None:
    """`trunk.slow.res2.blocks.0.a.conv.weight` -> `s2.pathway0_res0.branch2.a.weight`."""
    module, variable = _split(ours)
    if module in _HEADS:
        return None if layout.has_hidden else f"head.projection.{variable}"
    if match := _LATERAL.match(ours):
        stage = 1 if match["start"] == "stem" else match["start"][3]
        return f"s{stage}_fuse.{match['rest'].replace('conv.', 'conv_f2s.', 1).replace('norm.', 'bn.', 1)}"
    match = _PART.match(ours)
    if match is None:
        return None
    path, rest = {"slow": 0, "fast": 1}[match["path"]], match["rest"]
    if match["stem"]:
        return f"s1.pathway{path}_stem.{rest.replace('norm.', 'bn.', 1)}"
    front = f"s{match['stage'][3]}.pathway{path}_"
    if match["block"] is not None:
        unit = "branch1" if match["unit"] == "skip" else f"branch2.{match['unit']}"
        rest = rest.replace("conv.", ".", 1).replace("norm.", "_bn.", 1)
        return f"{front}res{match['block']}.{unit}{rest}"
    if match["role"] == "out":
        rest = rest.replace("conv.", "conv_out.", 1).replace("norm.", "bn.", 1)
        return f"{front}nonlocal{match['gather']}.{rest}"
    return f"{front}nonlocal{match['gather']}.{_PYSLOWFAST_ROLES[match['role']]}{rest}"


PYSLOWFAST = PersonNames(
    name="pyslowfast",
    theirs=_pyslowfast_name,
    is_ignored=lambda _: False,
    is_head=lambda name: name.startswith("head.projection."),
)
"""PySlowFast's `model_state` (commit 287ec00)."""

_CAFFE2_NORM = {"norm.weight": "bn_s", "norm.bias": "bn_b", "norm.running_mean": "bn_rm", "norm.running_var": "bn_riv"}
_CAFFE2_ROLES = {"theta": "theta", "phi": "phi", "value": "g", "out": "out"}


def _caffe2_rest(rest: str) -> str | None:
    """`norm.running_var` -> `bn_riv`, `conv.weight` -> `w`; None for what Caffe2 does not keep."""
    if rest in _CAFFE2_NORM:
        return _CAFFE2_NORM[rest]
    return {"weight": "w", "bias": "b"}.get(rest.removeprefix("conv."))


def _caffe2_name(ours: str, layout: Layout) -> str | None:
    """`trunk.slow.res2.blocks.0.a.conv.weight` -> `res2_0_branch2a_w`."""
    module, variable = _split(ours)
    if module in _HEADS:
        return None if layout.has_hidden else f"pred_{variable[0]}"
    match = _LATERAL.match(ours) or _PART.match(ours)
    rest = None if match is None else _caffe2_rest(match["rest"])
    if match is None or rest is None:
        return None
    if match.re is _LATERAL:
        start = match["start"]
        place = "pool1" if start == "stem" else f"{start}_{layout.last_blocks[start]}_branch2c_bn"
        return f"t_{place}_subsample_{rest}"
    front = "t_" if match["path"] == "fast" else ""
    if match["stem"]:
        return f"{front}res_conv1_{rest}" if rest.startswith("bn") else f"{front}conv1_{rest}"
    if match["block"] is not None:
        branch = "1" if match["unit"] == "skip" else f"2{match['unit']}"
        return f"{front}{match['stage']}_{match['block']}_branch{branch}_{rest}"
    gather = f"nonlocal_conv{match['stage'][3]}_{match['gather']}"
    return f"{gather}_{rest}" if rest.startswith("bn") else f"{gather}_{_CAFFE2_ROLES[match['role']]}_{rest}"


CAFFE2 = PersonNames(
    name="pyslowfast-caffe2",
    theirs=_caffe2_name,
    is_ignored=lambda name: name.endswith("_momentum") or name in ("lr", "model_iter"),
    is_head=lambda name: name in ("pred_w", "pred_b"),
    appends_ones=True,
)
"""The blobs of a Caffe2 `.pkl` of PySlowFast's model zoo (utils/c2_model_loading.py at 287ec00 converts them)."""


GESTA = PersonNames(
    name="gesta",
    theirs=lambda ours, _: ours,
    is_ignored=lambda _: False,
    is_head=lambda name: name.startswith(("head.", "clip_head.", "logits.")),
)
"""A state dict of this library's own models."""


I3D_STEMS = ("Conv3d_1a_7x7.conv3d.weight", "Conv3d_1a_7x7/conv_3d/w")
"""What the names of the stem's weights end with in the PyTorch port of I3D and in DeepMind's checkpoints."""


def is_of_i3d(names: Iterable[str]) -> bool:
    """Whether these are an I3D publication's names.

    >>> is_of_i3d(["RGB/inception_i3d/Conv3d_1a_7x7/conv_3d/w"])
    True
    """
    return any(name.endswith(I3D_STEMS) for name in names)


def lineage_of(names: Mapping[str, object]) -> PersonNames | None:
    """The rule whose names these are, None where they are nobody's.

    >>> lineage_of({"s1.pathway0_stem.conv.weight": 0}).name, lineage_of({"fc.weight": 0})
    ('pyslowfast', None)
    """
    if "backbone.conv1.conv.weight" in names or "backbone.slow_path.conv1.conv.weight" in names:
        return MMACTION2
    if "s1.pathway0_stem.conv.weight" in names:
        return PYSLOWFAST
    if "conv1_w" in names and any(name.startswith("res2_0_branch2a") for name in names):
        return CAFFE2
    if any(name.startswith("trunk.") for name in names):
        return GESTA
    return None
