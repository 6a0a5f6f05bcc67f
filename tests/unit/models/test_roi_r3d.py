import pytest
import torch

from gesta.models import MODELS, build_model
from gesta.schema import UnknownName


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(num_classes: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("roi_r3d_tiny", num_classes=num_classes).eval()


def test_it_has_just_as_many_parameters_as_it_says():
    assert sum(weight.numel() for weight in tiny(10).parameters()) == 504_186


def test_logits_are_one_row_a_box_and_one_column_a_class_at_odd_sizes():
    boxes_N5 = torch.tensor([[0, 0.1, 0.1, 0.5, 0.9], [1, 0.5, 0.2, 0.9, 0.8], [0, 0.0, 0.0, 1.0, 1.0]])
    assert tiny()(torch.randn(2, 3, 5, 50, 61), boxes_N5).shape == (3, 4)


def test_a_batch_without_a_box_gives_no_row():
    assert tiny()(torch.randn(1, 3, 4, 32, 32), torch.zeros(0, 5)).shape == (0, 4)


def test_the_trunk_keeps_every_frame_and_a_quarter_of_the_sides():
    model = tiny()
    features = model.trunk(torch.randn(1, 3, 16, 96, 64))
    assert features.shape == (1, 24, 16, 24, 16)
    cut = model.head.cut(features, torch.tensor([[0, 0.1, 0.1, 0.5, 0.9]]))
    assert cut.shape == (1, 24, 16, 12, 12)
    assert model.head.stages(cut).shape == (1, 96, 8, 6, 6)


def test_a_box_is_cut_out_where_it_lies():
    head = tiny().head
    features = torch.zeros(2, 1, 3, 24, 24)
    features[1, :, 2, 12:, 12:] = 1
    cut = head.cut(features, torch.tensor([[1, 0.55, 0.55, 0.95, 0.95], [1, 0.05, 0.05, 0.45, 0.45]]))
    assert cut[0].mean(dim=(0, 2, 3)).tolist() == [0, 0, 1]
    assert float(cut[1].sum()) == 0


def test_a_box_is_scored_by_its_own_clip_and_place():
    torch.manual_seed(1)
    model, clips = tiny(), torch.randn(2, 3, 6, 64, 64)
    box = (0.0, 0.0, 0.5, 0.5)
    rows = torch.tensor([[0, *box], [1, *box], [0, 0.5, 0.5, 1.0, 1.0]])
    together = model(clips, rows)
    alone = model(clips[1:], torch.tensor([[0, *box]]))
    assert torch.allclose(together[1], alone[0], atol=1e-5)
    assert not torch.allclose(together[0], together[2], atol=1e-3)


def test_a_still_clip_and_a_moving_one_differ_in_the_stem():
    model = tiny()
    still = torch.randn(1, 3, 1, 32, 32).expand(-1, -1, 6, -1, -1)
    moving = still.clone()
    moving[:, :, 3:] = still[:, :, 3:].roll(4, dims=-1)
    box = torch.tensor([[0, 0.0, 0.0, 1.0, 1.0]])
    assert not torch.allclose(model(still, box), model(moving, box), atol=1e-3)


@pytest.mark.parametrize(
    ("clip", "boxes", "text"),
    [
        (torch.zeros(1, 1, 4, 32, 32), torch.zeros(0, 5), r"want \[B, 3, T, H, W\]"),
        (torch.zeros(1, 3, 4, 32, 32), torch.zeros(2, 4), r"want \[N, 5\]"),
        (torch.zeros(1, 3, 4, 32, 32), torch.tensor([[1, 0.0, 0.0, 1.0, 1.0]]), "outside 0 to 0"),
    ],
)
def test_wrong_shapes_are_named(clip, boxes, text):
    with pytest.raises(ValueError, match=text):
        tiny()(clip, boxes)


def test_a_typo_lists_the_models():
    with pytest.raises(UnknownName, match="Did you mean 'roi_r3d_tiny'"):
        build_model("roi_r3d_tny", num_classes=2)
    assert set(MODELS) >= {"roi_r3d_tiny"}
