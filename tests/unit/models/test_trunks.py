"""What holds for every trunk: sizes, counts, what depends on what, and refusals."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.models import MODELS, TRUNKS, TrunkSpec, build_trunk, trunk_classifier
from gesta.models.trunks import LINEAGES
from gesta.schema import BadInput, UnknownName

RESIDUAL = [name for name in TRUNKS if name.startswith("slow")]
SMALL = ["slow_only_small", "slowfast_small"]


@functools.cache
def on_meta(spec: TrunkSpec, *, num_frames: int = 8, res5_stride: int = 1) -> torch.nn.Module:
    with torch.device("meta"):
        return build_trunk(spec, num_frames=num_frames, crop_px=64, res5_stride=res5_stride).eval()


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(RESIDUAL),
    lineage=st.sampled_from(LINEAGES),
    num_slow=st.integers(1, 5),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    res5_stride=st.sampled_from((1, 2)),
)
def test_maps_have_a_cell_a_stride_and_each_path_its_frames(name, lineage, num_slow, height, width, res5_stride):
    alpha = TRUNKS[name].alpha or 1
    trunk = on_meta(TrunkSpec(name=name, lineage=lineage), res5_stride=res5_stride)
    maps = trunk(torch.empty(2, 3, num_slow * alpha, height, width, device="meta"))
    grid = tuple(-(-size // trunk.stride_px) for size in (height, width))
    assert len(maps) == len(trunk.path_features) == (2 if TRUNKS[name].alpha else 1)
    for features, num, frames in zip(maps, trunk.path_features, (num_slow, num_slow * alpha), strict=False):
        assert features.shape == (2, num, frames, *grid)


def test_strides_are_16_for_persons_and_32_for_clips_and_8_in_the_small_ones():
    for name in RESIDUAL:
        strides = [on_meta(TrunkSpec(name=name), res5_stride=stride).stride_px for stride in (1, 2)]
        assert strides == ([8, 8] if name in SMALL else [16, 32])


def test_refusals_say_what_is_wrong():
    with pytest.raises(UnknownName, match="no trunk 'slow'"):
        build_trunk(TrunkSpec(name="slow"), num_frames=4, crop_px=64)
    with pytest.raises(UnknownName, match="no lineage 'caffe'"):
        on_meta(TrunkSpec(name="slow_only_small", lineage="caffe"))
    with pytest.raises(BadInput, match=r"cannot take clips of 30 frames.*multiple of 8"):
        build_trunk(TrunkSpec(name="slowfast_r50_4x16"), num_frames=30, crop_px=64)
    with pytest.raises(ValueError, match="a clip of 6 frames, want a multiple of 4"):
        on_meta(TrunkSpec(name="slowfast_small"))(torch.empty(1, 3, 6, 32, 32, device="meta"))


def test_every_trunk_is_a_clip_classifier_too():
    for name in TRUNKS:
        with torch.device("meta"):
            model = MODELS[name](num_classes=5).eval()
            assert model(torch.empty(2, 3, 16, 64, 64)).shape == (2, 5), name
    with pytest.raises(UnknownName, match="no trunk 'c3d'"):
        trunk_classifier(TrunkSpec(name="c3d"), num_classes=3)
