"""What a model of persons learns from: many yes-or-no questions a person, some of them not asked.

Shapes: N persons, K classes. Everything is computed in float32, or in float64 where the logits are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gesta.schema import BadInput, UnknownName

KINDS = ("bce", "focal")
CLASS_WEIGHTS = ("none", "inverse", "inverse-sqrt", "effective")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLoss:
    """How an answer's loss is computed, and how much it counts.

    `alpha` and `gamma` belong to "focal"; `beta` to class weights by effective number: the share of an example that
    the next one finds taken. Positives count `positive_weight` times.
    """

    kind: str = "bce"
    alpha: float = 1.0
    gamma: float = 1.0
    class_weights: str = "none"
    beta: float = 0.999
    positive_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no loss is.

        Raises:
            UnknownName: no such kind, or no such class weights.
            BadInput: a number outside its range.
        """
        for what, name, choices in (("loss", self.kind, KINDS), ("class weights", self.class_weights, CLASS_WEIGHTS)):
            if name not in choices:
                raise UnknownName(what=what, name=name, choices=choices)
        for name, value in (("alpha", self.alpha), ("positive_weight", self.positive_weight)):
            if not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} of a loss is {value}", mend="Give a number above 0")
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise BadInput(f"gamma of a loss is {self.gamma}", mend="Give 0 or more")
        if not 0 <= self.beta < 1:
            raise BadInput(f"beta of a loss is {self.beta}", mend="Give a number from 0 to below 1")


def class_weights_of(counts_K: Tensor, *, how: str, beta: float = 0.999) -> Tensor:
    """A weight for each class, float [K], 1 in the mean over the classes that have examples; 1 for those without.

    `counts_K` are the persons that each class has in training. "inverse": by 1 / n; "inverse-sqrt": by its root;
    "effective": by (1 - beta) / (1 - beta^n), between equal weights at beta = 0 and 1 / n as beta goes to 1.

    Raises:
        UnknownName: there are no class weights of that name.
    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples (2019), sections 3 and 4 (the number,
    and weights that sum to the number of classes). The root lies between equal weights and inverse ones.

    >>> class_weights_of(torch.tensor([10, 30, 0]), how="inverse").tolist()
    [1.5, 0.5, 1.0]
    """
    if how not in CLASS_WEIGHTS:
        raise UnknownName(what="class weights", name=how, choices=CLASS_WEIGHTS)
    counts = counts_K.double()
    has = counts > 0
    safe = torch.where(has, counts, torch.ones_like(counts))
    if how == "none":
        raw = torch.ones_like(safe)
    elif how == "effective":
        # log1p and expm1 keep the digits that 1 - beta^n loses for beta near 1.
        raw = (1 - beta) / -torch.expm1(safe * math.log(beta)) if beta > 0 else torch.ones_like(safe)
    else:
        raw = 1 / safe if how == "inverse" else safe.rsqrt()
    total = torch.where(has, raw, torch.zeros_like(raw)).sum()
    weights = torch.where(has, raw * has.sum() / total.clamp_min(torch.finfo(raw.dtype).tiny), torch.ones_like(raw))
    return weights.to(counts_K.dtype if counts_K.dtype.is_floating_point else torch.float32)


def each_loss(logits_NK: Tensor, targets_NK: Tensor, *, loss: PersonLoss) -> Tensor:
    """The loss of every answer, [N, K], before any weight: binary cross-entropy, or its focal form.

    Focal: p = exp(-BCE) is what the model gave the right answer; loss = alpha (1 - p)^gamma BCE. Its `alpha` scales
    yes and no alike, unlike Lin et al.'s. `targets_NK` are 0..1.

    Source: MMAction2, BBoxHeadAVA.loss_and_target; Lin et al., Focal Loss (2017), equation 4.
    """
    logits_NK = logits_NK if logits_NK.dtype == torch.float64 else logits_NK.float()
    bce_NK = functional.binary_cross_entropy_with_logits(logits_NK, targets_NK.to(logits_NK.dtype), reduction="none")
    if loss.kind == "bce":
        return bce_NK
    # A root's slope at 0 is infinite: an answer surer than float can tell must not turn the gradient into no number.
    wrong_NK = (-torch.expm1(-bce_NK)).clamp_min(torch.finfo(bce_NK.dtype).tiny)
    return loss.alpha * wrong_NK**loss.gamma * bce_NK


def person_loss(
    logits_NK: Tensor,
    targets_NK: Tensor,
    weights_NK: Tensor,
    *,
    loss: PersonLoss,
    class_counts_K: Tensor | None = None,
) -> Tensor:
    """The sum over persons of the mean over all K classes, a scalar; 0 with a gradient of 0 for no person.

    The caller divides by the persons of the whole batch, so that a batch may be computed in parts. `weights_NK` is 0
    where a question was not asked; a class unasked of one person does not raise his other classes.
    `class_counts_K` are needed for class weights; `targets_NK` are 0..1; all of shape [N, K] but the counts, [K].

    Raises:
        BadInput: class weights are asked for and no counts are given.
        ValueError: shapes differ.
    Source: MMAction2, BBoxHeadAVA.loss_and_target: the mean over persons and classes.

    >>> person_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2, 3), loss=PersonLoss()).item() / 2
    0.6931471...
    """
    if not logits_NK.shape == targets_NK.shape == weights_NK.shape:
        shapes = ", ".join(str(tuple(x.shape)) for x in (logits_NK, targets_NK, weights_NK))
        raise ValueError(f"logits, targets and weights of shapes {shapes}: want [N, K] three times")
    each_NK = each_loss(logits_NK, targets_NK, loss=loss)
    each_NK = each_NK * weights_NK.to(each_NK.dtype)
    if loss.positive_weight != 1:
        each_NK = each_NK * (1 + (loss.positive_weight - 1) * targets_NK.to(each_NK.dtype))
    if loss.class_weights != "none":
        if class_counts_K is None:
            raise BadInput(
                f"class weights {loss.class_weights!r} need the number of persons of each class",
                mend="Give class_counts_K",
            )
        weights_K = class_weights_of(class_counts_K, how=loss.class_weights, beta=loss.beta)
        each_NK = each_NK * weights_K.to(each_NK)
    return each_NK.sum() / max(1, logits_NK.shape[1])
