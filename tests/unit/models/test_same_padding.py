"""TensorFlow's SAME padding against a model of it written out in numpy."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.models.same_padding import max_pool_same, pad_same, same_pads

SIZES = st.tuples(*[st.integers(1, 9)] * 3)
KERNELS = st.tuples(*[st.integers(1, 4)] * 3)
STRIDES = st.tuples(*[st.integers(1, 3)] * 3)


def windows(size: int, kernel: int, stride: int) -> list[range]:
    """The places of each window among `size` values, some of them outside, as TensorFlow documents SAME."""
    num = -(-size // stride)
    whole = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    return [range(place * stride - whole // 2, place * stride - whole // 2 + kernel) for place in range(num)]


def maxima(x_THW: np.ndarray, kernel_thw: tuple[int, ...], stride_thw: tuple[int, ...]) -> np.ndarray:
    every = [windows(*sizes) for sizes in zip(x_THW.shape, kernel_thw, stride_thw, strict=True)]
    out = np.empty([len(axis) for axis in every])
    for place in itertools.product(*(range(len(axis)) for axis in every)):
        inside = [
            [cell for cell in axis[number] if 0 <= cell < size]
            for axis, number, size in zip(every, place, x_THW.shape, strict=True)
        ]
        out[place] = x_THW[np.ix_(*inside)].max()
    return out


@given(size=st.integers(1, 400), kernel=st.integers(1, 9), stride=st.integers(1, 5))
def test_the_pads_are_those_that_tensorflow_documents(size, kernel, stride):
    front, behind = same_pads(size, kernel=kernel, stride=stride)
    expected = windows(size, kernel, stride)
    assert front == -expected[0].start
    assert behind == max(expected[-1].stop - size, 0)
    assert 0 <= behind - front <= 1


@settings(max_examples=60, deadline=None)
@given(size_thw=SIZES, kernel_thw=KERNELS, stride_thw=STRIDES, seed=st.integers(0, 99))
def test_a_maximum_is_over_the_values_inside_alone_even_where_all_are_below_zero(
    size_thw, kernel_thw, stride_thw, seed
):
    x_THW = np.random.default_rng(seed).normal(-50, 1, size_thw).astype(np.float32)
    x_BCTHW = torch.from_numpy(x_THW)[None, None]
    if any(kernel % 2 == 0 and stride == 1 for kernel, stride in zip(kernel_thw, stride_thw, strict=True)):
        with pytest.raises(ValueError, match="with stride 1: want an odd window, or a longer stride"):
            max_pool_same(x_BCTHW, kernel_thw=kernel_thw, stride_thw=stride_thw)
        return
    ours = max_pool_same(x_BCTHW, kernel_thw=kernel_thw, stride_thw=stride_thw)[0, 0].numpy()
    np.testing.assert_array_equal(ours, maxima(x_THW, kernel_thw, stride_thw))


@settings(max_examples=40, deadline=None)
@given(size_thw=SIZES, kernel_thw=KERNELS, stride_thw=STRIDES, seed=st.integers(0, 99))
def test_a_padded_convolution_sums_over_the_values_inside(size_thw, kernel_thw, stride_thw, seed):
    rng = np.random.default_rng(seed)
    x_THW, weight_thw = rng.normal(size=size_thw), rng.normal(size=kernel_thw)
    padded = pad_same(torch.from_numpy(x_THW)[None, None], kernel_thw=kernel_thw, stride_thw=stride_thw)
    ours = torch.nn.functional.conv3d(padded, torch.from_numpy(weight_thw)[None, None], stride=stride_thw)[0, 0]
    every = [windows(*sizes) for sizes in zip(size_thw, kernel_thw, stride_thw, strict=True)]
    assert ours.shape == tuple(len(axis) for axis in every)
    for place in itertools.product(*(range(len(axis)) for axis in every)):
        total = 0.0
        for cell in itertools.product(*(range(kernel) for kernel in kernel_thw)):
            at = tuple(axis[number][step] for axis, number, step in zip(every, place, cell, strict=True))
            if all(0 <= index < size for index, size in zip(at, size_thw, strict=True)):
                total += x_THW[at] * weight_thw[cell]
        assert ours[place].item() == pytest.approx(total, abs=1e-9)
