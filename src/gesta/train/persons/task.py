"""Training on persons at key-frames, as the loop asks for it: the model, the batches, the loss, numbers after an epoch.

The loss of a batch is the mean over its persons: a part's share is the sum over its own, divided by the number of
persons in the whole batch over all processes. A part without persons gives a loss and gradients of zero.

Shapes: B clips, C channels, T frames, H and W px; N persons, K classes; `boxes_N5` = number of the clip in the batch,
then x1 y1 x2 y2 as fractions of the clip.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gesta.models.person_losses import person_loss
from gesta.models.person_model import PersonModel
from gesta.schema import BadInput
from gesta.tables import Json
from gesta.train.checkpoints import versions
from gesta.train.clips.compiling import random_clips
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.steps import Setting, StepPlan, autocast_of
from gesta.train.clips.tasks import AnyRecipe, Forward, Task
from gesta.train.persons.batches import person_batches
from gesta.train.persons.checkpoints import (
    PersonCheckpoint,
    build_recipe_model,
    load_person_checkpoint,
    save_person_checkpoint,
)
from gesta.train.persons.examples import PersonSet
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.rows import PersonBatch, persons_to_model
from gesta.train.persons.starting import put_person_start
from gesta.train.persons.validate import Measure, validate_persons

NUM_BOXES_COUNTED = 3
"""Persons of a key-frame where operations are counted. Source: AVA 2.2 has 837,318 boxes on 299 videos x 898
key-frames, 3.1 each (facts of the train and val lists)."""


def person_task(persons: PersonSet, *, measure: Measure | None = None) -> Task:
    """Training on those persons; `measure` turns scores on validation persons into numbers."""
    counts_K = torch.tensor(class_counts(persons), dtype=torch.float64)
    return Task(
        noun="key-frame",
        check=check_person_set,
        build=_build,
        put_start=_start,
        batches=_batches,
        totals=totals_of_persons,
        share_of_loss=functools.partial(share_of_persons, class_counts_K=counts_K),
        validate=functools.partial(validate_persons, class_counts_K=counts_K, measure=measure),
        inputs=_inputs,
        plain=ask_both,
        compiled=_compiled,
        entry="both",
        flops=lambda recipe, data: person_flops(
            recipe, num_classes=len(data.class_ids), num_clip_classes=len(data.clip_class_names)
        ),
        checkpoint=_checkpoint,
        save=save_person_checkpoint,
        load=load_person_checkpoint,
        counts=_counts,
    )
