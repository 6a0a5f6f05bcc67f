"""I3D's layers: their sizes, their names, and what the logits are made of."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gesta.models import END_POINTS, I3d, I3dTrunk, i3d, i3d_flow, i3d_small
from gesta.models.i3d import PointConv
from gesta.schema import UnknownName

FEATURES = dict(  # channels of each end point, google-deepmind/kinetics-i3d, i3d.py
    zip(END_POINTS, (64, 64, 64, 192, 192, 256, 480, 480, 512, 512, 512, 528, 832, 832, 832, 1024), strict=False)
)
HALVED = {  # which of time and space an end point halves
    "Conv3d_1a_7x7": (2, 2), "MaxPool3d_2a_3x3": (1, 2), "MaxPool3d_3a_3x3": (1, 2), "MaxPool3d_4a_3x3": (2, 2),
    "MaxPool3d_5a_2x2": (2, 2),
}  # fmt: skip


@functools.cache
def on_meta(make=i3d):
    with torch.device("meta"):
        return make(num_classes=7).eval()


def small(num_classes: int = 4) -> I3d:
    torch.manual_seed(0)
    return i3d_small(num_classes=num_classes)


@settings(max_examples=10, deadline=None)
@given(num_frames=st.integers(1, 65), height=st.integers(1, 299), width=st.integers(1, 299))
def test_every_end_point_has_deepminds_channels_and_halves_sizes_upwards(num_frames, height, width):
    given_ = on_meta().all_features(torch.empty(2, 3, num_frames, height, width, device="meta"))
    assert tuple(given_) == END_POINTS
    sizes = [num_frames, height, width]
    for name, num_features in FEATURES.items():
        by_time, by_space = HALVED.get(name, (1, 1))
        sizes = [math.ceil(size / by) for size, by in zip(sizes, (by_time, by_space, by_space), strict=True)]
        assert given_[name].shape == (2, num_features, *sizes), name
    assert given_["Logits"].shape == given_["Predictions"].shape == (2, 7)


def test_the_flow_net_differs_in_its_stem_alone():
    rgb, flow = (dict(on_meta(make).named_parameters()) for make in (i3d, i3d_flow))
    assert {name for name in rgb if rgb[name].shape != flow[name].shape} == {"trunk.blocks.Conv3d_1a_7x7.conv.weight"}


def test_features_are_those_of_one_pass_and_stop_where_asked():
    model, clip_BCTHW = small().eval(), torch.randn(2, 3, 5, 33, 30)
    every = model.all_features(clip_BCTHW)
    for name in END_POINTS:
        torch.testing.assert_close(model.features(clip_BCTHW, end_point=name), every[name], rtol=0, atol=0)
    assert torch.equal(model.features(clip_BCTHW), every["Mixed_4f"])
    model.trunk.blocks["MaxPool3d_5a_2x2"].forward = lambda x: pytest.fail("a block behind the end point ran")
    model.features(clip_BCTHW, end_point="Mixed_4f")


def test_a_trunk_has_no_parameter_behind_its_end_point_and_takes_the_whole_nets():
    with torch.device("meta"):
        trunk = I3dTrunk(final_end_point="Mixed_4f")
    assert list(trunk.blocks)[-1] == "Mixed_4f"
    assert trunk.num_features == 832
    whole = small()
    part = I3dTrunk(width=0.25, differences=True).eval()
    missing, unexpected = part.load_state_dict(whole.trunk.state_dict(), strict=False)
    assert not missing
    assert {name.split(".")[1] for name in unexpected} == {"Mixed_5b", "Mixed_5c"}
    clip_BCTHW = torch.randn(1, 3, 6, 30, 31)
    assert torch.equal(part(clip_BCTHW), whole.eval().features(clip_BCTHW))


def test_an_end_point_that_is_none_is_refused_by_name():
    with pytest.raises(UnknownName, match="Mixed_4g"):
        small().features(torch.zeros(1, 3, 4, 32, 32), end_point="Mixed_4g")
    with pytest.raises(UnknownName, match="Logits"):
        I3dTrunk(final_end_point="Logits")
    with pytest.raises(UnknownName, match="Mixed_5b"):
        I3dTrunk(width=0.25).features(torch.zeros(1, 3, 4, 32, 32), end_point="Mixed_5b")


def test_logits_average_every_window_and_weigh_inner_frames_twice():
    model = small().eval()
    clip_BCTHW = torch.randn(1, 3, 33, 32, 32)
    cells_DT = model.features(clip_BCTHW, end_point="Mixed_5c").mean(dim=(3, 4))[0]
    weights_T = torch.tensor([1.0, 2, 2, 2, 1]) / 8
    expected = model.logits.weight.flatten(1) @ (cells_DT @ weights_T) + model.logits.bias
    torch.testing.assert_close(model(clip_BCTHW)[0], expected)


def test_a_large_frame_is_read_by_a_window_of_seven_at_every_place():
    model = small().eval()
    grid = model.features(clip := torch.randn(1, 3, 9, 270, 230), end_point="Mixed_5c")
    assert grid.shape[2:] == (2, 9, 8)
    places = [grid[:, :, :, y : y + 7, x : x + 7].mean(dim=(2, 3, 4)) for y in range(3) for x in range(2)]
    expected = functional.linear(torch.stack(places).mean(dim=0), model.logits.weight.flatten(1), model.logits.bias)
    torch.testing.assert_close(model(clip), expected)


def test_batch_norm_learns_an_offset_and_no_scale():
    model = small()
    names = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert names == {name for name, _ in model.named_parameters() if name.endswith("norm.weight")}
    assert all(bool((weight == 1).all()) for name, weight in model.named_parameters() if name in names)


def test_weights_start_as_sonnets():
    torch.manual_seed(0)
    weight = I3d(num_classes=3).trunk.blocks["Mixed_5c"].branch_1b.conv.weight
    deviation = (192 * 27) ** -0.5
    assert weight.abs().max() <= 2 * deviation
    # A normal cut at two deviations has 0.88 of the deviation left.
    assert float(weight.detach().std()) == pytest.approx(0.8796 * deviation, rel=0.01)


def test_with_differences_the_stem_sees_each_frame_beside_its_change():
    model, seen = small().eval(), []
    model.trunk.blocks["Conv3d_1a_7x7"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    clip_BCTHW = torch.randn(2, 3, 4, 32, 32)
    model(clip_BCTHW)
    assert torch.equal(seen[0][:, :3], clip_BCTHW)
    assert not seen[0][:, 3:, 0].any()
    torch.testing.assert_close(seen[0][:, 3:, 1:].cumsum(dim=2), clip_BCTHW[:, :, 1:] - clip_BCTHW[:, :, :1])


@pytest.mark.parametrize("is_last", [False, True])
def test_a_point_convolution_is_torchs(is_last):
    torch.manual_seed(0)
    conv = PointConv(5, 7, 1)
    x = torch.randn(2, 5, 3, 4, 6)
    x = x.contiguous(memory_format=torch.channels_last_3d) if is_last else x
    torch.testing.assert_close(conv(x), functional.conv3d(x, conv.weight, conv.bias))
    assert conv(x).is_contiguous(memory_format=torch.channels_last_3d)
