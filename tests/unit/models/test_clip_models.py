"""What holds for every clip model: counts, refusals, gradients, evaluation that gives the same twice."""

import pytest
import torch

from gesta.models import MODELS, build_model

PARAMETERS_400 = {  # with 400 classes: ours, and what the papers say in millions (table 3 of Kinetics-400; I3D ~12 M)
    "c3d_bn": (79_645_520, 79),
    "conv_lstm": (28_963_280, 29),
    "i3d": (12_697_264, 12),
    "i3d_flow": (12_675_312, 12),
    "two_stream": (48_708_576, 48),
}

CLIPS = {  # a small clip that the model takes
    "c3d_bn": (3, 16, 112, 112),
    "conv_lstm": (3, 3, 33, 40),
    "frame_r18_small": (3, 4, 33, 40),
    "i3d": (3, 9, 33, 47),
    "i3d_flow": (2, 9, 33, 47),
    "i3d_small": (3, 9, 33, 47),
    "two_stream_flow": (2, 10, 33, 40),
    "two_stream_rgb": (3, 2, 33, 40),
}


@pytest.mark.parametrize("name", PARAMETERS_400)
def test_there_are_just_as_many_parameters_as_the_docstring_says_and_as_the_paper_says(name):
    ours, paper_millions = PARAMETERS_400[name]
    with torch.device("meta"):
        model = MODELS[name](num_classes=400)
    assert sum(weight.numel() for weight in model.parameters()) == ours
    assert abs(ours / 1e6 - paper_millions) < 0.75


@pytest.mark.parametrize("name", CLIPS)
def test_logits_are_one_row_a_clip_and_one_column_a_class(name):
    with torch.device("meta"):
        assert build_model(name, num_classes=5).eval()(torch.empty(2, *CLIPS[name])).shape == (2, 5)


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_of_another_number_of_channels_is_refused(name):
    channels, *rest = CLIPS[name]
    with torch.device("meta"):
        model = build_model(name, num_classes=5).eval()
        with pytest.raises(ValueError, match=f"{name.split('_s')[0][:3]}.* has .*want {channels} channels"):
            model(torch.empty(2, 5 - channels, *rest))
        with pytest.raises(
            ValueError, match=rf"a clip of shape \(2, {channels}, 8, 8\), want \[B, {channels}, T, H, W\]"
        ):
            model(torch.empty(2, channels, 8, 8))
        with pytest.raises(ValueError, match="is empty"):
            model(torch.empty(2, channels, 0, 8, 8))
