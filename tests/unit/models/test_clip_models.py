"""What holds for every clip model: counts, refusals, gradients, evaluation that gives the same twice."""

import pytest
import torch

from gesta.models import MODELS, C3dBn, I3d, build_model

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


SMALL = {  # each family, as narrow as it can be built
    "c3d_bn": lambda: C3dBn(num_classes=5, num_frames=4, crop_px=32, width=0.125),
    "conv_lstm": lambda: build_model("conv_lstm", num_classes=5),
    "frame_r18_small": lambda: build_model("frame_r18_small", num_classes=5),
    "i3d": lambda: I3d(num_classes=5, width=0.25),
    "i3d_flow": lambda: I3d(num_classes=5, num_channels=2, width=0.25),
    "two_stream_flow": lambda: build_model("two_stream_flow", num_classes=5),
}
CLIPS_OF_SMALL = {"c3d_bn": (3, 4, 32, 32), "i3d": (3, 5, 33, 47), "i3d_flow": (2, 5, 33, 47)}


def small(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return SMALL[name](), torch.randn(2, *CLIPS_OF_SMALL.get(name, CLIPS[name]))


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_reaches_every_parameter_that_is_learned(name):
    model, clip_BCTHW = small(name)
    torch.nn.functional.cross_entropy(model.train()(clip_BCTHW), torch.tensor([0, 1])).backward()
    for parameter, weight in model.named_parameters():
        assert (weight.grad is not None and bool(weight.grad.any())) == weight.requires_grad, parameter


@pytest.mark.parametrize("name", SMALL)
def test_evaluation_gives_the_same_twice_and_each_clip_alone_the_same(name):
    model, clip_BCTHW = small(name)
    model.eval()
    with torch.no_grad():
        logits_BK = model(clip_BCTHW)
        assert torch.equal(logits_BK, model(clip_BCTHW))
        torch.testing.assert_close(model(clip_BCTHW[1:]), logits_BK[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["c3d_bn", "i3d"])
def test_colours_last_in_memory_change_nothing_and_stay_last(name):
    model, clip_BCTHW = small(name)
    with torch.no_grad():
        expected = model.eval()(clip_BCTHW)
    for weight in model.parameters():
        if weight.ndim == 5:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
    seen = []
    for part in model.modules():
        if isinstance(part, torch.nn.Conv3d):
            part.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        ours = model(clip_BCTHW.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert len(seen) >= 8
    assert all(out.is_contiguous(memory_format=torch.channels_last_3d) for out in seen)


@pytest.mark.parametrize("name", SMALL)
def test_it_runs_under_bfloat16_and_stays_near(name):
    model, clip_BCTHW = small(name)
    model.eval()
    with torch.no_grad():
        exact = model(clip_BCTHW)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = model(clip_BCTHW)
    torch.testing.assert_close(ours.float(), exact, rtol=0.1, atol=0.05 * float(exact.abs().max()) + 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_is_one_graph_for_the_compiler_and_for_export(name):
    model, clip_BCTHW = small(name)
    model.eval()
    with torch.no_grad():
        expected = model(clip_BCTHW)
        torch._dynamo.reset()
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(clip_BCTHW), expected, rtol=0, atol=0)
        exported = torch.export.export(model, (clip_BCTHW,)).module()
        torch.testing.assert_close(exported(clip_BCTHW), expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore:.*treespec, LeafSpec.*:FutureWarning")  # torch 2.13's exporter warns of itself
@pytest.mark.parametrize("name", ["i3d", "frame_r18_small"])
def test_onnx_gives_the_same_logits(name, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model, clip_BCTHW = small(name)
    torch.onnx.export(model.eval(), (clip_BCTHW,), tmp_path / "net.onnx", input_names=["clip"], verbose=False)
    ours = runtime.InferenceSession(tmp_path / "net.onnx").run(None, {"clip": clip_BCTHW.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(ours), model(clip_BCTHW).detach(), rtol=1e-4, atol=1e-5)
