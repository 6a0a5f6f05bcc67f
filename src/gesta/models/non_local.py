"""Non-local blocks: every place of a clip's map looks at every other, for what reaches over time and across people.

Shapes: B clips, D features, E = D / 2 embedded features, T, h, w the grid; N = T h w places that ask, M places that
answer (fewer where they are pooled).

Source: Wang et al., Non-local Neural Networks (2018), equations 2 to 6; the places and variants of two programs, see
`NON_LOCAL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models.res_units import ConvNorm, FactoredConv3d
from gesta.schema import BadInput, UnknownName

Thw = tuple[int, int, int]

WEIGHINGS = ("softmax", "dot-product")
"""How answers are weighed: embedded Gaussian, or the product over the number of places.

Source: Wang et al. (2018), equations 4 and 5 (section 3.2).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonLocalPlan:
    """Where non-local blocks stand in the slow path and of which kind they are.

    `places` gives block numbers, from 0, behind which one stands, by the stage's name. `pool_thw` is the max pool over
    the places that answer; it runs on the features (`pools_first`) or on what the embeddings make of them. `is_scaled`
    divides products by the root of E before the softmax. `has_out_bias`: the convolution before the last batch norm
    has a bias, which that norm takes away again in training.
    """

    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weighing: str = "softmax"
    pool_thw: Thw = (1, 2, 2)
    pools_first: bool = False
    is_scaled: bool = True
    has_out_bias: bool = False

    def __post_init__(self) -> None:
        if self.weighing not in WEIGHINGS:
            raise UnknownName(what="weighing of a non-local block", name=self.weighing, choices=WEIGHINGS)


NON_LOCAL: dict[str, NonLocalPlan] = {
    "none": NonLocalPlan(),
    "mmaction2": NonLocalPlan(places={"res3": (0, 2), "res4": (0, 2, 4)}),
    "pyslowfast": NonLocalPlan(
        places={"res3": (1, 3), "res4": (1, 3, 5)}, weighing="dot-product", pools_first=True, has_out_bias=True
    ),
    "pyslowfast-softmax": NonLocalPlan(places={"res3": (1, 3), "res4": (1, 3, 5)}, pools_first=True, has_out_bias=True),
    "pyslowfast-ava-r101": NonLocalPlan(
        places={"res4": (6, 13, 20)}, weighing="dot-product", pool_thw=(2, 2, 2), pools_first=True, has_out_bias=True
    ),
}
"""The places and variants in use, by name.

Source: MMAction2 1.x, configs/detection/slowonly/slowonly_kinetics400-pretrained-r50-nl_8xb16-4x16x1-20e_ava21-rgb.py
and mmcv's NonLocal3d; PySlowFast, configs/Kinetics/SLOW_NLN_8x8_R50.yaml (dot product), C2D_NLN_8x8_R50.yaml and
c2/I3D_NLN_8x8_R50.yaml (softmax), configs/AVA/c2/SLOWFAST_32x2_R101_50_50.yaml, and models/nonlocal_helper.py.
"""


class NonLocal(nn.Module):
    """`x` plus what each place gathers from all places; at the start, with the last norm's scale 0, `x` itself."""

    def __init__(self, num_features: int, *, plan: NonLocalPlan, norm_eps: float, norm_momentum: float) -> None:
        super().__init__()
        self.plan = plan
        self.num_inner = max(num_features // 2, 1)
        self.theta = FactoredConv3d(num_features, self.num_inner, 1)
        self.phi = FactoredConv3d(num_features, self.num_inner, 1)
        self.value = FactoredConv3d(num_features, self.num_inner, 1)
        self.out = ConvNorm(
            self.num_inner, num_features, kernel_thw=(1, 1, 1), has_relu=False, has_bias=plan.has_out_bias,
            norm_eps=norm_eps, norm_momentum=norm_momentum,
        )  # fmt: skip
        self.out.start_at_zero()

    def forward(self, x_BDThw: Tensor) -> Tensor:
        """Features [B, D, T, h, w].

        Raises:
            BadInput: the map is smaller than the pool over the places that answer.
        """
        grid = x_BDThw.shape[2:]
        if any(size < pool for size, pool in zip(grid, self.plan.pool_thw, strict=True)):
            raise BadInput(
                f"a non-local block pools {self.plan.pool_thw} places of a map of {tuple(grid)}",
                mend="Show longer or larger clips, or build the trunk without non-local blocks",
            )
        asks_BNE = self.theta(x_BDThw).flatten(2).transpose(1, 2)
        if self.plan.pools_first:
            pooled = self._pooled(x_BDThw)
            keys, values = self.phi(pooled), self.value(pooled)
        else:
            keys, values = self._pooled(self.phi(x_BDThw)), self._pooled(self.value(x_BDThw))
        keys_BME, values_BME = (each.flatten(2).transpose(1, 2) for each in (keys, values))
        if self.plan.weighing == "softmax":
            scale = self.num_inner**-0.5 if self.plan.is_scaled else 1.0
            found_BNE = functional.scaled_dot_product_attention(asks_BNE, keys_BME, values_BME, scale=scale)
        else:
            # A product without softmax may be taken in the other order, without a matrix of N x M.
            found_BNE = asks_BNE @ (keys_BME.transpose(1, 2) @ values_BME / keys_BME.shape[1])
        return x_BDThw + self.out(found_BNE.transpose(1, 2).unflatten(2, grid))

    def _pooled(self, x_BDThw: Tensor) -> Tensor:
        if self.plan.pool_thw == (1, 1, 1):
            return x_BDThw
        return torch.max_pool3d(x_BDThw, self.plan.pool_thw, self.plan.pool_thw)
