"""Laws of the trunks: clips are apart, paths are apart where nothing leads across, and lineages differ as they say."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gesta.models import TrunkSpec, build_trunk, trunk_classifier
from gesta.models.non_local import NON_LOCAL, NonLocal, NonLocalPlan
from gesta.models.slowfast import SlowFastTrunk, slow_numbers
from gesta.schema import BadInput, UnknownName

SMALL = ("slow_only_small", "slowfast_small")


def built(name: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    trunk = build_trunk(TrunkSpec(name=name, **changes), num_frames=8, crop_px=32)
    for part in trunk.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.2)
    return trunk.eval()


@pytest.mark.parametrize("lineage", ["mmaction2", "pyslowfast"])
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_a_clip_is_alone_in_its_batch(name, lineage):
    trunk, clips = built(name, lineage=lineage), torch.randn(3, 3, 8, 33, 40)
    together = trunk(clips)
    other = trunk(torch.cat((clips[:1] + 1, clips[1:])))
    for whole, changed, alone in zip(together, other, trunk(clips[1:2]), strict=True):
        assert torch.equal(whole[1:], changed[1:])
        torch.testing.assert_close(alone, whole[1:2], rtol=1e-4, atol=1e-4)
    for whole, again in zip(together, trunk(clips), strict=True):
        assert torch.equal(whole, again)


@settings(max_examples=10, deadline=None)
@given(cells=st.integers(1, 3), name=st.sampled_from(SMALL))
@torch.no_grad()
def test_a_clip_moved_by_whole_cells_has_a_map_moved_by_as_many(cells, name):
    trunk = built(name)
    moved_px = cells * trunk.stride_px
    clip = torch.randn(1, 3, 8, 24 * trunk.stride_px, 24 * trunk.stride_px)
    for still, moved in zip(trunk(clip), trunk(clip.roll(moved_px, dims=4)), strict=True):
        # At the border padding stands for what is beyond.
        inner = slice(8, 16)
        torch.testing.assert_close(
            moved[..., inner, inner], still[..., inner, 8 - cells : 16 - cells], rtol=1e-4, atol=1e-4
        )


@torch.no_grad()
def test_without_laterals_the_paths_know_nothing_of_each_other():
    trunk, clip = built("slowfast_small"), torch.randn(1, 3, 16, 32, 32)
    assert isinstance(trunk, SlowFastTrunk)
    hidden = clip.clone()
    hidden[:, :, 1::4] = 0  # frames that the fast path alone sees
    assert not torch.equal(trunk(clip)[0], trunk(hidden)[0])
    for lateral in trunk.laterals.values():
        nn.init.zeros_(lateral.conv.weight)
    assert torch.equal(trunk(clip)[0], trunk(hidden)[0])
    assert not torch.equal(trunk(clip)[1], trunk(hidden)[1])
    fast = trunk(clip)[1]
    nn.init.normal_(trunk.slow.stem.conv.weight)
    assert torch.equal(trunk(clip)[1], fast), "nothing leads from slow to fast"


@settings(max_examples=200, deadline=None)
@given(alpha=st.integers(1, 16), num_slow=st.integers(1, 64))
def test_slow_frames_are_those_of_both_programs(alpha, num_slow):
    num_frames = alpha * num_slow
    strided = slow_numbers(num_frames, alpha=alpha)
    numbers = torch.arange(num_frames, dtype=torch.float64).reshape(1, 1, -1)
    nearest = nn.functional.interpolate(numbers, mode="nearest", scale_factor=1 / alpha).flatten().long()
    assert len(nearest) < num_slow or strided == tuple(nearest.tolist())
    spread = slow_numbers(num_frames, alpha=alpha, slow_frames="linspace")
    assert spread == tuple(torch.linspace(0, num_frames - 1, num_slow, dtype=torch.float64).add(1e-9).long().tolist())
    if num_frames in (16, 32, 64, 128) and alpha in (2, 4, 8):
        assert spread == tuple(torch.linspace(0, num_frames - 1, num_slow).long().tolist())


def test_lineages_differ_as_they_say_and_in_nothing_else():
    def on_meta(**changes):
        with torch.device("meta"):
            return build_trunk(TrunkSpec(**changes), num_frames=32, crop_px=64)

    ours, theirs = (on_meta(name="slowfast_r50_8x8", lineage=each) for each in ("mmaction2", "pyslowfast"))
    assert (ours.slow_frames, theirs.slow_frames) == ("strided", "linspace")
    assert [each.slow.res5.blocks[0].b.conv.dilation for each in (ours, theirs)] == [(1, 1, 1), (1, 2, 2)]
    extra = set(theirs.state_dict()) - set(ours.state_dict())
    assert extra
    assert all(name.startswith("laterals.") and ".norm." in name for name in extra)
    same = on_meta(
        name="slowfast_r50_8x8", lineage="mmaction2", res5_dilation=2, lateral_norm=True, slow_frames="linspace"
    )
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (same, theirs)]
    assert shapes[0] == shapes[1]
    kernels = {
        (name, lineage): on_meta(name=name, lineage=lineage).laterals["res2"].conv.kernel_size[0]
        for name in ("slowfast_r50_4x16", "slowfast_r50_8x8", "slowfast_r101_8x8")
        for lineage in ("mmaction2", "pyslowfast")
    }
    assert list(kernels.values()) == [5, 5, 7, 7, 7, 5]
    deep = on_meta(name="slowfast_r101_8x8", lineage="pyslowfast")
    depths = [block.a.conv.kernel_size[0] for block in deep.slow.res4.blocks]
    assert depths == [3] * 6 + [1] * 17


def test_dilation_costs_no_parameter():
    with torch.device("meta"):
        near, far = (
            build_trunk(TrunkSpec(name="slow_only_r50_4x16", res5_dilation=dilation), num_frames=4, crop_px=64)
            for dilation in (1, 2)
        )
    assert [w.shape for w in near.parameters()] == [w.shape for w in far.parameters()]
    assert near(torch.empty(1, 3, 4, 64, 64, device="meta"))[0].shape[3:] == (4, 4)
    assert far(torch.empty(1, 3, 4, 64, 64, device="meta"))[0].shape[3:] == (4, 4)


@pytest.mark.parametrize("plan", [plan for name, plan in NON_LOCAL.items() if name != "none"])
@torch.no_grad()
def test_a_fresh_non_local_block_is_identity_and_a_used_one_what_the_paper_says(plan):
    torch.manual_seed(0)
    block = NonLocal(8, plan=plan, norm_eps=1e-5, norm_momentum=0.1).eval()
    x = torch.randn(2, 8, 4, 4, 6)
    assert torch.equal(block(x), x)
    nn.init.uniform_(block.out.norm.weight, 0.5, 1)
    pool = nn.MaxPool3d(plan.pool_thw)
    asks = block.theta(x).flatten(2)
    keys = block.phi(pool(x)) if plan.pools_first else pool(block.phi(x))
    values = block.value(pool(x)) if plan.pools_first else pool(block.value(x))
    products = torch.einsum("nct,ncp->ntp", asks, keys.flatten(2))
    softmax = plan.weighing == "softmax"
    weights = (products / 4**0.5).softmax(dim=2) if softmax else products / products.shape[2]
    gathered = torch.einsum("ntp,ncp->nct", weights, values.flatten(2)).reshape(2, 4, 4, 4, 6)
    torch.testing.assert_close(block(x), x + block.out(gathered), rtol=1e-4, atol=1e-5)


def test_plans_that_do_not_fit_are_refused_by_name():
    with pytest.raises(BadInput, match="behind block 20 of a stage of 6"):
        built("slow_only_r50_4x16", non_local="pyslowfast-ava-r101")
    with pytest.raises(UnknownName, match="no plan of non-local blocks 'res3'"):
        built("slow_only_small", non_local="res3")
    with pytest.raises(UnknownName, match="no weighing of a non-local block 'sigmoid'"):
        NonLocalPlan(weighing="sigmoid")
    with pytest.raises(UnknownName, match="no choice of slow frames 'random'"):
        built("slowfast_small", slow_frames="random")
    with pytest.raises(BadInput, match="a lateral kernel of 4 frames"):
        built("slowfast_small", lateral_kernel=4)
    block = NonLocal(8, plan=NON_LOCAL["pyslowfast-ava-r101"], norm_eps=1e-5, norm_momentum=0.1)
    with pytest.raises(BadInput, match=r"pools \(2, 2, 2\) places of a map of \(1, 4, 4\)"):
        block(torch.zeros(1, 8, 1, 4, 4))
    with pytest.raises(BadInput, match="res4_temporal_blocks has 1 numbers for slowfast_r50_4x16"):
        built("slowfast_r50_4x16", res4_temporal_blocks=(6,))


@pytest.mark.parametrize("name", SMALL)
def test_saving_memory_changes_no_gradient_and_no_average(name):
    kept = built(name, lineage="pyslowfast").train()
    again = copy.deepcopy(kept)
    again.checkpoint_activations = True
    assert again.checkpoint_activations
    assert not kept.checkpoint_activations
    clip = torch.randn(2, 3, 8, 24, 24)
    for trunk in (kept, again):
        sum(features.square().mean() for features in trunk(clip)).backward()
    ours, expected = dict(again.named_parameters()), dict(kept.named_parameters())
    assert all(torch.equal(ours[key].grad, expected[key].grad) for key in expected)
    averages = dict(again.named_buffers())
    assert all(torch.equal(averages[key], value) for key, value in kept.named_buffers())


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_every_layout_gives_the_same_and_colours_stay_last(name):
    trunk, clip = built(name), torch.randn(2, 3, 8, 32, 30)
    last = torch.channels_last_3d
    expected = trunk(clip)
    assert all(features.is_contiguous(memory_format=last) for features in expected)
    as_given = copy.deepcopy(trunk)
    for path in ("slow", "fast"):
        if hasattr(as_given, path):
            getattr(as_given, path).colours_last = False
    turned = copy.deepcopy(trunk).to(memory_format=last)
    for other in (as_given(clip), turned(clip.contiguous(memory_format=last))):
        for ours, want in zip(other, expected, strict=True):
            torch.testing.assert_close(ours, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_an_export_has_plain_convolutions_and_gives_the_same(name):
    model = trunk_classifier(TrunkSpec(name=name, lineage="pyslowfast"), num_classes=3).eval()
    clip = torch.randn(1, 3, 8, 32, 32)
    program = torch.export.export(model, (clip,))
    named = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert any("conv3d" in each for each in named)
    assert not any("permute" in each or "conv2d" in each for each in named)
    torch.testing.assert_close(program.module()(clip), model(clip), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_is_one_graph_to_the_compiler(name):
    model = trunk_classifier(TrunkSpec(name=name, lineage="pyslowfast"), num_classes=3).eval()
    clip = torch.randn(2, 3, 8, 32, 32)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(clip), model(clip), rtol=1e-4, atol=1e-5)


def test_fewer_activations_are_kept():
    def kept_bytes(*, saves_memory: bool) -> int:
        trunk, total = built("slowfast_small", saves_memory=saves_memory).train(), 0

        def pack(x: torch.Tensor) -> torch.Tensor:
            nonlocal total
            total += x.numel() * x.element_size()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            trunk(torch.randn(2, 3, 8, 32, 32))
        return total

    assert kept_bytes(saves_memory=True) < 0.5 * kept_bytes(saves_memory=False)


@pytest.mark.parametrize("name", SMALL)
def test_the_same_start_and_clips_give_the_same_bits(name):
    def once() -> list[torch.Tensor]:
        trunk = built(name, lineage="pyslowfast").train()
        torch.manual_seed(1)
        sum(features.square().mean() for features in trunk(torch.randn(2, 3, 8, 32, 32))).backward()
        return [weight.grad for weight in trunk.parameters()] + list(trunk.buffers())

    assert all(torch.equal(ours, again) for ours, again in zip(once(), once(), strict=True))


def test_saves_memory_in_the_spec_switches_it_on():
    assert built("slowfast_small", saves_memory=True).checkpoint_activations
    with torch.device("meta"):
        i3d = build_trunk(TrunkSpec(name="i3d", saves_memory=True), num_frames=8, crop_px=64)
    assert i3d.net.checkpoint_activations
    with pytest.raises(BadInput, match="cannot compute activations again"):
        built("r3d_small", saves_memory=True)
