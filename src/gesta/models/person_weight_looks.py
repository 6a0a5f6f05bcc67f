"""What a file of weights shows of the network it was trained in, and what to change in a model so that it fits.

`look_of` reads names and shapes alone, of a file or of one of our own models alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from gesta.models.non_local import NON_LOCAL
from gesta.models.person_weight_names import GESTA, Layout, PersonNames

Shapes = Mapping[str, tuple[int, ...]]

UNSEEN = (
    "res5_dilation and the stride of res5",
    "alpha (frames of the clip for one of the slow path)",
    "slow_frames",
    "weighing and scale of non-local blocks",
    "temporal, spatial, grid, aligned and order of the head",
)
"""Arguments that change what a network gives and leave no trace in its weights: take them from the file's recipe."""

_MOST_BLOCKS = 64
_FEWEST_OF_KINETICS = 400
_DEPTHS = {6: "r50", 23: "r101"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsLook:
    """What names and shapes show; None where they show nothing.

    Args:
        has_fast_path: SlowFast, not SlowOnly.
        num_blocks: bottlenecks of each stage.
        res4_temporal_blocks: blocks of res4 whose first kernel sees several frames, one number a path.
        lateral_norm: lateral connections bear batch norm.
        lateral_kernel: frames that they see.
        non_local: block numbers by stage.
        head: of persons ("linear", "two-layer"), of clips ("clip"), or "none".
        num_features: that the head reads.
        num_classes: that the head scores, without a row that belongs to none.
    """

    has_fast_path: bool
    num_blocks: tuple[int, ...]
    res4_temporal_blocks: tuple[int, ...]
    lateral_norm: bool | None
    lateral_kernel: int | None
    non_local: tuple[tuple[str, tuple[int, ...]], ...]
    head: Literal["linear", "two-layer", "clip", "none"]
    num_features: int | None
    num_classes: int | None


def look_of(shapes: Shapes, *, names: PersonNames) -> WeightsLook:
    """What the tensors' names and shapes show, read by the rule of their publication.

    >>> look_of({"trunk.slow.stem.conv.weight": (64, 3, 1, 7, 7)}, names=GESTA).has_fast_path
    False
    """
    has_fast = _shape(shapes, names, "trunk.fast.stem.conv.weight", Layout(has_fast_path=True)) is not None
    layout = Layout(has_fast_path=has_fast)
    blocks = tuple(_num_blocks(shapes, names, layout, stage=f"res{number}") for number in (2, 3, 4, 5))
    last = {f"res{number + 2}": num - 1 for number, num in enumerate(blocks)}
    layout = Layout(has_fast_path=has_fast, last_blocks=last)
    lateral = _shape(shapes, names, "trunk.laterals.stem.conv.weight", layout) if has_fast else None
    norm = _shape(shapes, names, "trunk.laterals.stem.norm.weight", layout) if has_fast else None
    kind, width, rows = _head(shapes, names, layout)
    return WeightsLook(
        has_fast_path=has_fast,
        num_blocks=blocks,
        res4_temporal_blocks=tuple(
            _num_temporal(shapes, names, layout, path=path, num_blocks=blocks[2])
            for path in (("slow", "fast") if has_fast else ("slow",))
        ),
        lateral_norm=None if lateral is None else norm is not None,
        lateral_kernel=None if lateral is None or len(lateral) < 3 else lateral[2],
        non_local=_gatherings(shapes, names, layout, blocks=blocks),
        head=kind,
        num_features=width,
        num_classes=rows,
    )


def _shape(shapes: Shapes, names: PersonNames, ours: str, layout: Layout) -> tuple[int, ...] | None:
    theirs = names.theirs(ours, layout)
    return None if theirs is None else shapes.get(theirs)


def _num_blocks(shapes: Shapes, names: PersonNames, layout: Layout, *, stage: str) -> int:
    for number in range(_MOST_BLOCKS):
        if _shape(shapes, names, f"trunk.slow.{stage}.blocks.{number}.a.conv.weight", layout) is None:
            return number
    return _MOST_BLOCKS


def _num_temporal(shapes: Shapes, names: PersonNames, layout: Layout, *, path: str, num_blocks: int) -> int:
    found = 0
    for number in range(num_blocks):
        shape = _shape(shapes, names, f"trunk.{path}.res4.blocks.{number}.a.conv.weight", layout)
        found += shape is not None and len(shape) == 5 and shape[2] > 1
    return found


def _gatherings(
    shapes: Shapes, names: PersonNames, layout: Layout, *, blocks: tuple[int, ...]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    found = []
    for stage, num in zip(("res2", "res3", "res4", "res5"), blocks, strict=True):
        places = tuple(
            number
            for number in range(num)
            if _shape(shapes, names, f"trunk.slow.{stage}.non_locals.{number}.theta.weight", layout) is not None
        )
        if places:
            found.append((stage, places))
    return tuple(found)


def _head(
    shapes: Shapes, names: PersonNames, layout: Layout
) -> tuple[Literal["linear", "two-layer", "clip", "none"], int | None, int | None]:
    first = 1 if names.has_background else 0
    hidden = Layout(has_fast_path=layout.has_fast_path, has_hidden=True)
    below = _shape(shapes, names, "head.hidden.weight", hidden)
    above = _shape(shapes, names, "head.classify.weight", hidden)
    if below is not None and above is not None:
        return "two-layer", below[1], above[0] - first
    clip = _shape(shapes, names, "logits.weight", layout)
    linear = _shape(shapes, names, "head.classify.weight", layout)
    if linear is not None and len(linear) == 2:
        # PySlowFast and Caffe2 name both heads alike: it is the number of classes that tells them apart.
        return "linear", linear[1], linear[0] - first
    if clip is not None and len(clip) == 2:
        return "clip", clip[1], clip[0]
    return "none", None, None


def advice(model: nn.Module, shapes: Shapes, *, names: PersonNames | None, head: str) -> str:
    """What to change so that the file fits: arguments by which its network differs from the model's."""
    if names is None:
        return 'Load I3D into the trunk i3d with head="fresh"'
    own = look_of({name: tuple(value.shape) for name, value in model.state_dict().items()}, names=GESTA)
    look = look_of(shapes, names=names)
    steps = _trunk_steps(look, own)
    if head == "strict":
        steps += _head_steps(look, own)
    if not steps:
        steps.append("Name the trunk and the head that the file was trained with")
    return f"{'; '.join(steps)}. Weights do not show {', '.join(UNSEEN)}: take these from the file's recipe"


def _trunk_steps(look: WeightsLook, own: WeightsLook) -> list[str]:
    if not own.num_blocks[0]:
        return ["This trunk is not of SlowOnly or SlowFast; the file's is"]
    if look.has_fast_path != own.has_fast_path:
        return [f"The file is a {'SlowFast' if look.has_fast_path else 'SlowOnly'}: name such a trunk"]
    steps = []
    if look.num_blocks != own.num_blocks:
        depth = _DEPTHS.get(look.num_blocks[2], f"of {look.num_blocks} blocks")
        steps.append(f"The file's network is {depth}: name such a trunk")
    elif look.res4_temporal_blocks != own.res4_temporal_blocks:
        steps.append(f"Set res4_temporal_blocks={look.res4_temporal_blocks}")
    if look.lateral_norm != own.lateral_norm:
        lineage = "pyslowfast" if look.lateral_norm else "mmaction2"
        steps.append(f'Set lateral_norm={look.lateral_norm} (lineage="{lineage}")')
    if look.lateral_kernel != own.lateral_kernel:
        steps.append(f"Set lateral_kernel={look.lateral_kernel}")
    if look.non_local != own.non_local:
        fitting = [key for key, plan in NON_LOCAL.items() if tuple(sorted(plan.places.items())) == look.non_local]
        steps.append(f"Set non_local to {' or '.join(fitting)}" if fitting else f"It has {look.non_local} non-local")
    return steps


def _head_steps(look: WeightsLook, own: WeightsLook) -> list[str]:
    if own.head == "clip" and look.head in ("clip", "linear"):
        return [] if look.num_classes == own.num_classes else [f"Build the classifier for {look.num_classes} classes"]
    is_clip = look.head == "clip" or (look.num_classes is not None and look.num_classes >= _FEWEST_OF_KINETICS)
    if look.head == "none" or is_clip:
        what = "no head" if look.head == "none" else f"a head for clips of {look.num_classes} classes"
        return [f'The file has {what}: load the trunk alone with head="fresh"']
    steps = []
    if look.head != own.head:
        steps.append(f'Give the head kind="{look.head}"')
    if look.num_features != own.num_features and None not in (look.num_features, own.num_features):
        is_double = look.num_features == 2 * (own.num_features or 0)
        steps.append(f"The head reads {look.num_features} features: set context={is_double}")
    if look.num_classes != own.num_classes:
        steps.append(
            f"The file scores {look.num_classes} classes: give class_ids, AVA's numbers of the model's "
            f"{own.num_classes} classes, from 1 to {look.num_classes}"
        )
    return steps
