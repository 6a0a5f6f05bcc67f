"""How good a model is on clips that it has not seen, after an epoch: one plain clip a video, top-1 and top-5.

Shapes: B clips, C channels, T frames, H and W pixels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gesta.schema import Reject
from gesta.train.clips.batches import clip_batches, to_model
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.sets import ClipSet
from gesta.train.clips.steps import Setting, autocast_of, loss_of

TOPS = (1, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Means over the validation clips: loss, and the shares of clips whose label is the best and among the best 5.

    `rejects` are the clips of this process that could not be read; they count nowhere.
    """

    loss: float
    top1_frac: float
    top5_frac: float
    num_clips: int
    rejects: tuple[Reject, ...]


def num_within_top(logits_BK: Tensor, labels_B: Tensor, *, top: int) -> int:
    """How many clips have their label among the `top` highest logits; a tie counts against the label.

    >>> num_within_top(torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 0.0]]), torch.tensor([1, 0]), top=1)
    0
    """
    own_B1 = logits_BK.gather(1, labels_B[:, None])
    return int(((logits_BK >= own_B1).sum(dim=1) <= top).sum())


@torch.no_grad()
def validate(
    model: nn.Module, val: ClipSet, *, setting: Setting, num_workers: int, source: ClipSource | None = None
) -> Validation:
    """The model's numbers on `val`; each process takes its share of the batches.

    The model computes as it stands, not compiled: another batch size a process would compile it anew.
    """
    recipe, crew = setting.recipe, setting.crew
    size = max(1, recipe.clips_per_batch // recipe.num_parts)
    places = list(range(len(val.examples)))
    batches = [places[start : start + size] for start in range(0, len(places), size)][crew.rank :: crew.size]
    loss, num_clips, num_right = 0.0, 0, dict.fromkeys(TOPS, 0)
    was_training = model.training
    rejects: list[Reject] = []
    model.eval()
    with clip_batches(
        val, frames=recipe.frames, augment=None, numbers=batches, seed=setting.seed, epoch=0, source=source,
        num_workers=num_workers, unreadable="leave-out",
    ) as prepared:  # fmt: skip
        for batch in prepared:
            rejects += batch.rejects
            if not len(batch.labels_B):
                continue
            clip_BCTHW = to_model(batch, frames=recipe.frames, device=crew.device)
            labels_B = batch.labels_B.to(crew.device)
            with autocast_of(crew.device, setting.precision):
                logits_BK = model(clip_BCTHW)
            loss += float(loss_of(logits_BK, labels_B, label_smoothing=0.0))
            num_clips += len(labels_B)
            for top in TOPS:
                num_right[top] += num_within_top(logits_BK.float(), labels_B, top=top)
    model.train(was_training)
    sums = crew.sum_numbers([loss, float(num_clips), *(float(num_right[top]) for top in TOPS)])
    count = max(1.0, sums[1])
    return Validation(
        loss=sums[0] / count,
        top1_frac=sums[2] / count,
        top5_frac=sums[3] / count,
        num_clips=round(sums[1]),
        rejects=tuple(rejects),
    )
