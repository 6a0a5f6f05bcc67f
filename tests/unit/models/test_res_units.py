"""Convolutions computed in two dimensions are torch's in three, values and gradients, whatever the layout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.models.res_units import Bottleneck, ConvNorm, FactoredConv3d

LAST = torch.channels_last_3d


@settings(max_examples=60, deadline=None)
@given(
    kernel=st.sampled_from(((1, 1, 1), (1, 3, 3), (1, 7, 7), (3, 1, 1), (5, 1, 1), (3, 3, 3))),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    dilation=st.integers(1, 2),
    size=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)),
    bias=st.booleans(),
)
def test_values_and_gradients_are_torchs(kernel, strides, dilation, size, bias):
    torch.manual_seed(0)
    stride = (strides[0] if kernel[0] > 1 else 1, strides[1] if kernel[1] > 1 or kernel[0] == 1 else 1, 1)
    stride = (stride[0], stride[1], stride[1])
    padding = (kernel[0] // 2, kernel[1] // 2 * dilation, kernel[2] // 2 * dilation)
    ours = FactoredConv3d(
        size[1], 5, kernel, stride=stride, padding=padding, dilation=(1, dilation, dilation), bias=bias
    )
    theirs = torch.nn.Conv3d(
        size[1], 5, kernel, stride=stride, padding=padding, dilation=(1, dilation, dilation), bias=bias
    )
    theirs.load_state_dict(ours.state_dict())
    clip = torch.randn(size)
    a = clip.clone(memory_format=torch.contiguous_format).requires_grad_()
    b = clip.contiguous(memory_format=LAST).requires_grad_()
    want, got = theirs(a), ours(b)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    weights = torch.randn(want.shape)
    (want * weights).sum().backward()
    (got * weights).sum().backward()
    torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [(1, 1, 1), (1, 3, 3), (3, 1, 1)])
def test_colours_stay_last_and_the_slow_way_is_not_taken(kernel, monkeypatch):
    unit = ConvNorm(8, 16, kernel_thw=kernel).eval()
    clip = torch.randn(2, 8, 4, 10, 12).contiguous(memory_format=LAST)
    expected = unit(clip.contiguous())
    monkeypatch.setattr(torch.nn.Conv3d, "forward", lambda *_: pytest.fail("computed in three dimensions"))
    assert unit(clip).is_contiguous(memory_format=LAST)
    torch.testing.assert_close(unit(clip), expected, rtol=1e-4, atol=1e-5)


def test_a_block_whose_last_norm_starts_at_zero_passes_its_input():
    block = Bottleneck(16, 4, 16, temporal_kernel=3)
    block.c.start_at_zero()
    clip = torch.randn(2, 16, 3, 5, 5).relu()
    assert torch.equal(block(clip), clip)


def test_dilation_keeps_the_size_and_the_number_of_weights():
    near, far = (Bottleneck(8, 4, 16, temporal_kernel=1, dilation_px=px) for px in (1, 2))
    clip = torch.randn(1, 8, 2, 9, 9)
    assert near(clip).shape == far(clip).shape == (1, 16, 2, 9, 9)
    assert [w.shape for w in near.parameters()] == [w.shape for w in far.parameters()]
    far.load_state_dict(near.state_dict())
    assert not torch.allclose(near.eval()(clip), far.eval()(clip))
