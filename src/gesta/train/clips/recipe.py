"""What a clip recipe is: everything that decides what a training run makes, as one value in the checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gesta.schema import BadInput, UnknownName
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames

if TYPE_CHECKING:
    from gesta.train.clips.tasks import AnyRecipe

OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("steps", "plateau", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DECAYED = ("matrices", "all-but-norms", "all")
COMPILES = ("off", "auto", "on")
SHARDINGS = ("none", "fsdp")
AVERAGES = ("probabilities", "logits")
NUM_CROPS = (1, 3, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTest:
    """How a whole video is scored: `num_segments` clips evenly spaced, each `crops` times, their scores averaged.

    `crops` is 1 (the center), 3 (along the longer side) or 10 (corners and center, each flipped too). A clip has
    `num_frames` frames, as many as in training where that is None.

    Source: 10 crops as in Simonyan & Zisserman, Two-Stream Convolutional Networks (2014), section 5.
    """

    num_segments: int = 1
    crops: int = 1
    average: str = "probabilities"
    num_frames: int | None = None

    def __post_init__(self) -> None:
        if self.average not in AVERAGES:
            raise UnknownName(what="average", name=self.average, choices=AVERAGES)
        num_frames = 1 if self.num_frames is None else self.num_frames
        if min(self.num_segments, num_frames) < 1 or self.crops not in NUM_CROPS:
            raise BadInput(
                f"no test of {self.num_segments} segments of {num_frames} frames and {self.crops} crops",
                mend=f"Want at least one segment and frame, and crops among {NUM_CROPS}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRule:
    """A step is skipped when its loss is above `factor` times the median of the last `window` losses.

    A run with more than `max_skipped` skipped steps among the last `window` is refused. `factor` 0 skips nothing.

    Source: skipping the batches about a spike is Chowdhery et al., PaLM (2022), section 5.1; the numbers are ours.
    """

    factor: float = 10.0
    window: int = 100
    at_least: int = 20
    max_skipped: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecipe:
    """A training run: model, what it is shown, how it learns. A variant is `dataclasses.replace(recipe, ...)`.

    A batch of `clips_per_batch` is cut into `num_parts` parts, each with its own batch-norm statistics and its own
    dropout; their gradients add up, and running statistics become the parts' mean. One process computes its parts one
    after another (gradient accumulation); several processes share the parts out and get the same sums.

    `schedule` "steps" divides the rate by ten at each epoch of `milestones`, "plateau" when the validation loss has not
    fallen for `patience` epochs, "cosine" lets it fall along half a cosine; the first `warmup_epochs` (or
    `warmup_steps`) rise linearly, from `warmup_from_frac` of the rate where that is given. `decayed` says which weights
    `weight_decay` pulls at, `layer_decay` how much slower each layer of a transformer learns than the one behind it.
    `frozen_norms` keeps the running statistics of batch norms as they are and normalises by them.
    A run ends early after `max_steps`, or at the plateau of number `max_plateaus` (0 = never). `per_class` takes that
    many clips of each class (None = all). `precision` "auto" is bfloat16 where the hardware multiplies it. `compile`
    "auto" times both and takes the faster. `saves_memory` computes activations a second time on the way back instead
    of keeping them. `ema_decay` is that of averaged weights, which are then the model that comes out.
    """

    name: str
    model: str
    frames: ClipFrames
    augment: ClipAugment
    epochs: int
    clips_per_batch: int
    num_parts: int = 1
    optimiser: str = "sgd"
    base_lr: float
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decayed: str = "matrices"
    layer_decay: float | None = None
    schedule: str = "steps"
    milestones: tuple[int, ...] = ()
    patience: int = 3
    max_plateaus: int = 0
    warmup_epochs: float = 0.0
    warmup_steps: int = 0
    warmup_from_frac: float | None = None
    max_steps: int = 0
    clip_norm: float | None = None
    ema_decay: float | None = None
    frozen_norms: bool = False
    label_smoothing: float = 0.0
    per_class: int | None = None
    precision: str = "auto"
    compile: str = "auto"
    channels_last: bool = True
    saves_memory: bool = False
    sharding: str = "none"
    spikes: SpikeRule = field(default_factory=SpikeRule)
    test: ClipTest = field(default_factory=ClipTest)

    def __post_init__(self) -> None:
        check_learning(self)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; `clip_recipe_of` reads them back."""
        return dataclasses.asdict(self)


def check_learning(recipe: AnyRecipe) -> None:
    """Nothing, once what decides how the recipe's model learns can be.

    Raises:
        UnknownName: an optimiser, schedule, precision, sharding or such is none of the choices.
        BadInput: a number is below what makes sense.
    """
    for what, name, choices in (
        ("optimiser", recipe.optimiser, OPTIMISERS),
        ("schedule", recipe.schedule, SCHEDULES),
        ("choice of decayed weights", recipe.decayed, DECAYED),
        ("precision", recipe.precision, PRECISIONS),
        ("choice of compile", recipe.compile, COMPILES),
        ("sharding", recipe.sharding, SHARDINGS),
    ):
        if name not in choices:
            raise UnknownName(what=what, name=name, choices=choices)
    if min(recipe.epochs, recipe.clips_per_batch, recipe.num_parts) < 1 or recipe.base_lr <= 0:
        raise BadInput(
            f"recipe {recipe.name!r} trains nothing",
            mend="Want epochs, clips_per_batch, num_parts and base_lr above 0",
        )
    if recipe.num_parts > recipe.clips_per_batch:
        raise BadInput(
            f"recipe {recipe.name!r} cuts {recipe.clips_per_batch} clips into {recipe.num_parts} parts",
            mend="Want num_parts <= clips_per_batch",
        )


def clip_recipe_of(values: Mapping[str, Any], *, where: str = "") -> ClipRecipe:
    """The recipe that `ClipRecipe.as_json` wrote.

    Raises:
        BadInput: a field is missing or unknown, as in a file of another version of gesta.
    """
    try:
        parts = with_tuples(values)
        parts |= {
            "frames": ClipFrames(**with_tuples(values["frames"])),
            "augment": ClipAugment(**with_tuples(values["augment"])),
            "spikes": SpikeRule(**with_tuples(values["spikes"])),
            "test": ClipTest(**with_tuples(values["test"])),
        }
        return ClipRecipe(**parts)
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"the recipe in it is not one of this gesta ({error})", where=where, mend="Train again with this version"
        ) from error


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with tuples in place of JSON's lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
