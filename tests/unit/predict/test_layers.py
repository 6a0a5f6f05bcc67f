"""What layers give: against the network run by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.predict.clip_stand_in import FRAMES
from torch import nn

from gesta.models import MODELS, build_clip_model
from gesta.predict.layers import find_layer, layers_of, listening, pooled
from gesta.schema import BadInput, UnknownName
from gesta.train.clips import ClipFrames


class Odd(nn.Module):
    """A network with a layer that folds frames into the batch, one that gives a tuple, and one that is not run."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = nn.Conv2d(3, 5, 3)
        self.lstm = nn.LSTM(5, 4, batch_first=True)
        self.asleep = nn.Linear(2, 2)
        self.head = nn.Linear(4, 2)

    def forward(self, clip_BCTHW):
        batch, _, num_frames = clip_BCTHW.shape[:3]
        seen = self.frame(clip_BCTHW.transpose(1, 2).flatten(0, 1)).mean(dim=(2, 3))
        return self.head(self.lstm(seen.reshape(batch, num_frames, 5))[0][:, -1])


@pytest.fixture
def clips():
    return torch.rand(3, 3, 4, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def net():
    torch.manual_seed(1)
    return Odd().eval()


def test_layers_are_listed_in_order_with_the_shapes_of_two_clips(net):
    found = [(layer.name, layer.kind, layer.shape) for layer in layers_of(net, frames=FRAMES)]
    assert found == [
        ("frame", "Conv2d", (8, 5, 14, 14)), ("lstm", "LSTM", (2, 4, 4)), ("asleep", "Linear", ()),
        ("head", "Linear", (2, 2)),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["i3d_small", "r3d_18", "mc3_18", "two_stream_rgb", "conv_lstm"])
def test_models_are_listed_without_computing(name):
    frames = ClipFrames(num_frames=4, crop_px=64)
    net = build_clip_model(name, num_classes=3, num_frames=4, crop_px=64).eval()
    layers = layers_of(net, frames=frames)
    assert layers[-1].shape
    assert len(layers) == len([key for key, _ in net.named_modules()]) - 1
    assert all(weight.device.type == "cpu" for weight in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_layer_gives_what_it_gave_on_the_way(net, clips):
    with torch.inference_mode(), listening(net, find_layer(net, "lstm", frames=FRAMES)) as run:
        values = run(clips)
        seen = net.frame(clips.transpose(1, 2).flatten(0, 1)).mean(dim=(2, 3)).reshape(3, 4, 5)
        assert torch.equal(values, net.lstm(seen)[0])
    assert not net.lstm._forward_hooks


def test_frames_folded_into_the_batch_come_back_as_their_clip_s(net, clips):
    with torch.inference_mode(), listening(net, find_layer(net, "frame", frames=FRAMES)) as run:
        values = run(clips)
        wanted = torch.stack([net.frame(clip_CTHW.transpose(0, 1)) for clip_CTHW in clips])
    assert values.shape == (3, 4, 5, 14, 14)
    torch.testing.assert_close(values, wanted)


def test_i3d_gives_the_features_of_its_own_method():
    torch.manual_seed(0)
    net = MODELS["i3d_small"](num_classes=3).eval()
    clip_BCTHW = torch.rand(2, 3, 8, 32, 32)
    frames = ClipFrames(num_frames=8, crop_px=32)
    names = [layer.name for layer in layers_of(net, frames=frames) if layer.name.endswith("Mixed_4f")]
    with torch.inference_mode(), listening(net, find_layer(net, names[0], frames=frames)) as run:
        assert torch.equal(run(clip_BCTHW), net.features(clip_BCTHW, end_point="Mixed_4f"))


def test_a_typo_lists_the_layers(net):
    with pytest.raises(
        UnknownName, match=r"no layer 'lstn'. Did you mean 'lstm'\? There are: asleep, frame, head, lstm"
    ):
        find_layer(net, "lstn", frames=FRAMES)


def test_the_end_of_a_path_will_do_where_there_is_only_one():
    net = MODELS["i3d_small"](num_classes=3).eval()
    frames = ClipFrames(num_frames=8, crop_px=32)
    assert find_layer(net, "Mixed_4f", frames=frames).name == "trunk.blocks.Mixed_4f"
    with pytest.raises(UnknownName, match=r"no layer 'branch_1a'.*trunk.blocks.Mixed_3b.branch_1a"):
        find_layer(net, "branch_1a", frames=frames)
    with pytest.raises(UnknownName, match=r"no layer 'Mixed_9f'.*trunk.blocks.Mixed_3b") as caught:
        find_layer(net, "Mixed_9f", frames=frames)
    assert len(str(caught.value)) < 2000


def test_a_layer_that_is_not_run_is_refused(net):
    with pytest.raises(BadInput, match=r"the layer 'asleep' is not run, or gives no tensor"):
        find_layer(net, "asleep", frames=FRAMES)


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5), channels=st.sampled_from(["first", "last"]))
def test_the_mean_keeps_clips_and_channels_and_nothing_else(sizes, channels):
    values = torch.rand(*sizes)
    place = 1 if channels == "first" else len(sizes) - 1
    found = pooled(values, channels=channels)
    assert found.shape == (sizes[0], sizes[place])
    flat = values.movedim(place, 1).flatten(2) if len(sizes) > 2 else values[..., None]
    torch.testing.assert_close(found, flat.mean(dim=2))


@pytest.mark.parametrize(
    ("shape", "name", "wanted"),
    [((2, 7, 5), "mvit_v2_s", 5), ((2, 5, 3, 4, 4), "i3d", 5), ((2, 3, 4, 4, 5), "swin3d_t", 5),
     ((2, 5, 1, 1, 1), "swin3d_t", 5), ((2, 5), "i3d", 5)],
)  # fmt: skip
def test_channels_are_found_where_the_models_have_them(shape, name, wanted):
    assert pooled(torch.rand(*shape), channels="auto", name=name).shape == (2, wanted)


def test_channels_elsewhere_are_refused():
    with pytest.raises(UnknownName, match=r"no place of channels 'middle'"):
        pooled(torch.rand(2, 3), channels="middle")
    with pytest.raises(BadInput, match=r"cannot be averaged. Ask for the grid"):
        pooled(torch.rand(2), channels="auto")
