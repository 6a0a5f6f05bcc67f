"""Features of boxes against a plain RoIAlign, and the laws of both lineages' order."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.models.person_heads import PersonHead, PersonRoiHead
from gesta.models.roi_features import around_boxes, box_grids, cut_boxes, joined_over_time

SEEDS = st.integers(0, 2**31)
EDGES = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda e: (min(e[0], e[1]), min(e[2], e[3]), max(e[0], e[1]), max(e[2], e[3]))
)


def plain_roi_align(map_hw, box, *, grid, ratio, aligned):
    """RoIAlign of one box in cells, as the paper and detectron2 have it: means of bilinear samples."""
    height, width = map_hw.shape
    x1, y1, x2, y2 = (edge - (0.5 if aligned else 0) for edge in box)
    box_w, box_h = x2 - x1, y2 - y1
    if not aligned:
        box_w, box_h = max(box_w, 1), max(box_h, 1)
    num_y = ratio or math.ceil(box_h / grid)
    num_x = ratio or math.ceil(box_w / grid)

    def at(y, x):
        if y < -1 or y > height or x < -1 or x > width:
            return 0.0
        y, x = max(y, 0), max(x, 0)
        top, left = int(y), int(x)
        if top >= height - 1:
            top = height - 1
            y = top
        if left >= width - 1:
            left = width - 1
            x = left
        down, right = min(top + 1, height - 1), min(left + 1, width - 1)
        dy, dx = y - top, x - left
        return (
            map_hw[top, left] * (1 - dy) * (1 - dx) + map_hw[top, right] * (1 - dy) * dx
            + map_hw[down, left] * dy * (1 - dx) + map_hw[down, right] * dy * dx
        )  # fmt: skip

    out = np.zeros((grid, grid))
    for i in range(grid):
        for j in range(grid):
            values = [
                at(y1 + (i + (a + 0.5) / num_y) * box_h / grid, x1 + (j + (b + 0.5) / num_x) * box_w / grid)
                for a in range(num_y)
                for b in range(num_x)
            ]
            out[i, j] = sum(values) / max(1, len(values))
    return out


@settings(deadline=None, max_examples=60)
@given(SEEDS, EDGES, st.integers(1, 4), st.sampled_from([0, 0, 2]), st.booleans())
def test_a_cut_is_the_plain_formula(seed, box, grid, ratio, aligned):
    height, width = 5, 7
    map_hw = np.random.default_rng(seed).standard_normal((height, width))
    cells = [edge * size for edge, size in zip(box, (width, height, width, height), strict=True)]
    rows = torch.tensor([[0, *box]], dtype=torch.float64)
    found = cut_boxes(
        torch.from_numpy(map_hw)[None, None], rows, cells_hw=(height, width), grid=grid, sampling_ratio=ratio,
        aligned=aligned,
    )  # fmt: skip
    want = plain_roi_align(map_hw, cells, grid=grid, ratio=ratio, aligned=aligned)
    np.testing.assert_allclose(found[0, 0].numpy(), want, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.sampled_from([(2, 8), (4, 4), (3, 8), (8, 2)]), st.sampled_from(["mean", "max"]))
def test_paths_are_joined_as_if_every_instant_were_copied(seed, lengths, how):
    """MMAction2's own order, nearest neighbours first and pooling after, whether or not we copy."""
    draw = torch.Generator().manual_seed(seed)
    maps = [
        torch.randn(2, num, length, 3, 4, generator=draw, dtype=torch.float64)
        for num, length in zip((5, 2), lengths, strict=True)
    ]
    copied = [torch.nn.functional.interpolate(x, (max(lengths), 3, 4)) for x in maps]
    pooled = [x.mean(2) if how == "mean" else x.amax(2) for x in copied]
    torch.testing.assert_close(joined_over_time(maps, how=how), torch.cat(pooled, dim=1))


@settings(deadline=None, max_examples=30)
@given(SEEDS, EDGES, st.sampled_from(["mean", "max"]), st.booleans())
def test_both_orders_agree_where_paths_are_of_one_size(seed, box, temporal, context):
    draw = torch.Generator().manual_seed(seed)
    maps = [torch.randn(1, num, length, 4, 4, generator=draw).double() for num, length in ((3, 2), (2, 6))]
    rows = torch.tensor([[0, *box]], dtype=torch.float64)
    one, other = (
        box_grids(
            maps, rows, cells_hw=(4, 4), order=order, temporal=temporal, grid=3, sampling_ratio=0, aligned=True,
            context=context,
        )
        for order in ("mmaction2", "pyslowfast")
    )  # fmt: skip
    assert one.shape == (1, 10 if context else 5, 3, 3)
    torch.testing.assert_close(one, other)


def test_paths_of_other_sizes_are_cut_where_they_lie():
    """In PySlowFast's order each path is cut on its own map: a finer one has the box at the same place."""
    coarse, fine = torch.zeros(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 8, 8)
    coarse[..., 1, 2], fine[..., 2:4, 4:6] = 1, 1
    box = torch.tensor([[0, 0.5, 0.25, 0.75, 0.5]])
    found = box_grids(
        (coarse, fine), box, cells_hw=(4, 4), order="pyslowfast", temporal="max", grid=1, sampling_ratio=0,
        aligned=True, context=False,
    )  # fmt: skip
    assert found.flatten().tolist() == [1, 1]


def test_context_is_each_boxs_own_clip():
    maps = torch.arange(3.0)[:, None, None, None].expand(-1, 2, 8, 8)
    found = around_boxes(maps, torch.tensor([[2, 0, 0, 1, 1], [0, 0, 0, 1, 1]]), grid=4)
    assert found.shape == (2, 2, 4, 4)
    assert found[:, 0, 0, 0].tolist() == [2, 0]


@pytest.mark.parametrize(("order", "drops_cells"), [("mmaction2", True), ("pyslowfast", False)])
def test_dropout_stands_where_the_lineage_has_it(order, drops_cells):
    """Before the spatial pool a maximum is scaled and the next cell stands in; behind it a feature is 0 at once."""
    torch.manual_seed(0)
    head = PersonRoiHead(PersonHead(order=order, dropout=0.5, grid=8), path_features=(400,), num_classes=400).train()
    torch.nn.init.eye_(head.classify.weight)
    maps = (torch.rand(1, 400, 1, 8, 8) + 1,)
    logits = head(maps, torch.tensor([[0, 0.0, 0, 1, 1]]), cells_hw=(8, 8))
    share = float((logits == 0).float().mean())
    assert share == 0 if drops_cells else 0.4 < share < 0.6


@pytest.mark.parametrize("kind", ["linear", "action-transformer"])
def test_half_precision_maps_are_cut_in_float32(kind):
    torch.manual_seed(0)
    head = PersonRoiHead(PersonHead(kind=kind), path_features=(6, 3), num_classes=4).eval()
    maps = (torch.randn(2, 6, 2, 8, 8), torch.randn(2, 3, 4, 8, 8))
    boxes = torch.tensor([[0, 0.1, 0.1, 0.6, 0.9], [1, 0.3, 0.2, 0.9, 0.8]])
    want = head(maps, boxes, cells_hw=(8, 8))
    half = tuple(x.bfloat16() for x in maps)
    plain = head(half, boxes, cells_hw=(8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = head(half, boxes, cells_hw=(8, 8))
    assert plain.dtype == mixed.dtype == torch.float32
    torch.testing.assert_close(plain, want, atol=0.03, rtol=0.03)
    torch.testing.assert_close(mixed, want, atol=0.06, rtol=0.06)
