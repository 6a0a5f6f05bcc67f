"""What a recipe of persons is: everything that decides what a training run makes, as one value in the checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.feature_bank import FeatureBankSpec
from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss
from gesta.models.trunks import TrunkSpec
from gesta.schema import BadInput, UnknownName
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import SpikeRule, check_learning, with_tuples
from gesta.train.persons.augment import MMACTION2, PersonAugment
from gesta.train.persons.boxes import PersonBoxes
from gesta.train.persons.examples import OUTSIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonTest:
    """How key-frames are scored: `flip` takes the mean over each clip and its mirror image.

    `least_score` is the probability below which no row is written.

    Source: MMAction2 0.x, `ava_utils.py`, `action_thr` 0.002; one clip at the key-frame, no crop, no flip.
    """

    flip: bool = False
    least_score: float = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecipe:
    """A training run of persons: model, what it is shown, how it learns. A variant is `dataclasses.replace(it, ...)`.

    How it learns has the names and meanings of `gesta.train.clips.recipe.ClipRecipe`; a batch is of `clips_per_batch`
    key-frames, and its loss the mean over all their persons, however many parts and processes compute them.

    Attributes:
        trunk: turns clips into maps; None of its arguments is the data's.
        head: turns maps and boxes into logits.
        frames: the clip about a key-frame.
        augment: random changes in training; tests show the whole frame.
        boxes: whose boxes are trained on.
        loss: of a person.
        classes: ids of the classes to learn, in the order of the outputs; None = all that the data have.
        outside: what becomes of a person who does none of `classes`: learnt from as doing none ("negative"), or left
            out ("drop").
        clip_loss_weight: of the cross-entropy of the clips' own classes, the mean over the clips that have one, beside
            the persons' loss (multi-task); 0 = persons alone.
        pretrained: the weights that this recipe's published numbers began from: what `--start` should name.
        test: how key-frames are scored.
    """

    name: str
    trunk: TrunkSpec
    head: PersonHead = field(default_factory=PersonHead)
    frames: ClipFrames
    augment: PersonAugment = MMACTION2
    boxes: PersonBoxes = field(default_factory=PersonBoxes)
    loss: PersonLoss = field(default_factory=PersonLoss)
    classes: tuple[int, ...] | None = None
    outside: str = "negative"
    clip_loss_weight: float = 0.0
    pretrained: str = ""
    epochs: int
    clips_per_batch: int
    num_parts: int = 1
    optimiser: str = "sgd"
    base_lr: float
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    decayed: str = "all"
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
    precision: str = "auto"
    compile: str = "auto"
    channels_last: bool = True
    saves_memory: bool = False
    sharding: str = "none"
    spikes: SpikeRule = field(default_factory=lambda: SpikeRule(factor=0.0))
    test: PersonTest = field(default_factory=PersonTest)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            UnknownName: an optimiser, schedule, precision or such is none of the choices.
            BadInput: a number is below what makes sense, the crop is the whole frame, a class comes twice, or frames
                are not in colour.
        """
        check_learning(self)
        if self.outside not in OUTSIDE:
            raise UnknownName(what="way with persons outside the classes", name=self.outside, choices=OUTSIDE)
        if self.augment.crop == "whole":
            raise BadInput(
                f"recipe {self.name!r} trains on whole frames, whose sizes differ from film to film",
                mend="Want augment.crop 'random' or 'center'",
            )
        if self.frames.modality != "rgb":
            raise BadInput(f"recipe {self.name!r} shows {self.frames.modality}", mend="Want modality 'rgb'")
        if self.classes is not None and (not self.classes or len(set(self.classes)) != len(self.classes)):
            raise BadInput(
                f"recipe {self.name!r} has classes {self.classes}", mend="Want each class once, at least one"
            )
        if self.clip_loss_weight < 0:
            raise BadInput(f"clip_loss_weight={self.clip_loss_weight}", mend="Want 0 or more")

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; `person_recipe_of` reads them back."""
        return dataclasses.asdict(self)


def person_recipe_of(values: Mapping[str, Any], *, where: str = "") -> PersonRecipe:
    """The recipe that `PersonRecipe.as_json` wrote.

    Raises:
        BadInput: a field is missing or unknown, as in a file of another version of gesta.
    """
    try:
        head = with_tuples(values["head"])
        head["transformer"] = _made(ActionTransformerSpec, head["transformer"])
        head["bank"] = _made(FeatureBankSpec, head["bank"])
        parts = with_tuples(values) | {
            "trunk": TrunkSpec(**with_tuples(values["trunk"])),
            "head": PersonHead(**head),
            "frames": ClipFrames(**with_tuples(values["frames"])),
            "augment": PersonAugment(**with_tuples(values["augment"])),
            "boxes": PersonBoxes(**with_tuples(values["boxes"])),
            "loss": PersonLoss(**with_tuples(values["loss"])),
            "spikes": SpikeRule(**with_tuples(values["spikes"])),
            "test": PersonTest(**with_tuples(values["test"])),
        }
        return PersonRecipe(**parts)
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"the recipe in it is not one of this gesta ({error})", where=where, mend="Train again with this version"
        ) from error


def _made(kind: type, values: Mapping[str, Any] | None) -> Any:
    return None if values is None else kind(**with_tuples(values))
