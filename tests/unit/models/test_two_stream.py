"""What the two streams see, and how their scores are averaged."""

import pytest
import torch

from gesta.models import two_stream, two_stream_flow, two_stream_rgb


def seeded(make):
    torch.manual_seed(0)
    return make(num_classes=3).eval()


def test_a_frame_alone_gives_the_resnets_logits_and_several_the_mean_of_their_probabilities():
    model, clip_BCTHW = seeded(two_stream_rgb), 3 * torch.randn(2, 3, 3, 40, 33)
    frames = [model(clip_BCTHW[:, :, frame : frame + 1]) for frame in range(3)]
    torch.testing.assert_close(frames[1], model.logits(model.body(clip_BCTHW[:, :, 1])))
    expected = torch.stack(frames).softmax(dim=2).mean(dim=0)
    torch.testing.assert_close(model(clip_BCTHW).exp(), expected)


def test_the_flow_stem_sees_dx_and_dy_of_ten_frames_in_order():
    model, seen = seeded(two_stream_flow), []
    model.body.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    flow_BCTHW = torch.randn(2, 2, 20, 33, 33)
    model(flow_BCTHW)
    stacks = seen[0].unflatten(0, (2, 2))
    for snapshot in range(2):
        for frame in range(10):
            for channel in range(2):
                ours = stacks[:, snapshot, 2 * frame + channel]
                assert torch.equal(ours, flow_BCTHW[:, channel, 10 * snapshot + frame])


def test_a_part_of_a_snapshot_is_refused():
    with pytest.raises(ValueError, match="two_stream_flow: clips of 12 frames, want a multiple of 10"):
        seeded(two_stream_flow)(torch.zeros(1, 2, 12, 33, 33))


def test_both_streams_give_the_mean_of_their_probabilities():
    model = seeded(two_stream)
    rgb_B3THW, flow_B2THW = torch.randn(2, 3, 2, 33, 33), torch.randn(2, 2, 10, 33, 33)
    expected = (model.rgb(rgb_B3THW).softmax(dim=1) + model.flow(flow_B2THW).softmax(dim=1)) / 2
    torch.testing.assert_close(model(rgb_B3THW, flow_B2THW).softmax(dim=1), expected)
    with pytest.raises(ValueError, match="two_stream: 2 RGB clips and 1 of flow"):
        model(rgb_B3THW, flow_B2THW[:1])
