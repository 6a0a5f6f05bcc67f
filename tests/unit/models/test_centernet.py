import torch
from hypothesis import given
from hypothesis import strategies as st

from gesta.models.centernet import (
    STRIDE,
    CenterNet,
    Preprocessing,
    boxes_of_cells,
    center_loss,
    center_targets,
    decode_centers,
    generalised_iou,
    normalise,
    scaled_size,
)

torch.set_num_threads(1)
ROWS, COLUMNS = 12, 16


def told(targets):
    """Channels that say just what the targets want."""
    heat = targets.heat_Bhw.clamp(1e-6, 1 - 1e-6).logit()
    x = (torch.arange(COLUMNS) + 0.5) * STRIDE
    y = ((torch.arange(ROWS) + 0.5) * STRIDE)[:, None]
    x1, y1, x2, y2 = targets.boxes_Bhw4.unbind(dim=3)
    sides = torch.stack([x - x1, y - y1, x2 - x, y2 - y], dim=1)
    return torch.cat([heat[:, None], sides.clamp(min=0.1).log()], dim=1)


side = st.integers(16, 60)
box = st.tuples(st.integers(0, 68), st.integers(0, 36), side, side).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


@given(box)
def test_what_the_targets_say_is_read_back(corners):
    boxes = torch.tensor([corners], dtype=torch.float32)
    grid = told(center_targets([boxes], height=ROWS, width=COLUMNS))
    ((found, scores),) = decode_centers(grid, min_score=0.5)
    assert torch.allclose(found, boxes, atol=0.5)
    assert len(scores) == 1


def test_two_people_are_two_centers_and_nobody_is_none():
    boxes = torch.tensor([[8.0, 8, 40, 90], [80, 20, 110, 90]])
    grid = told(center_targets([boxes, torch.zeros(0, 4)], height=ROWS, width=COLUMNS))
    (both, _), (nobody, scores) = decode_centers(grid, min_score=0.5)
    assert sorted(both[:, 0].round().tolist()) == [8, 80]
    assert nobody.shape == (0, 4)
    assert scores.shape == (0,)


def test_the_smaller_of_two_people_owns_the_cells_they_share():
    boxes = torch.tensor([[10.0, 10, 50, 90], [0, 0, 128, 96]])
    for order in ([0, 1], [1, 0]):
        targets = center_targets([boxes[order]], height=ROWS, width=COLUMNS)
        at_small = targets.heat_Bhw[0][6, 3]
        assert at_small == 1
        assert targets.boxes_Bhw4[0][6, 3].tolist() == boxes[0].tolist()


def test_the_loss_is_least_where_the_targets_are_said():
    targets = center_targets([torch.tensor([[8.0, 8, 40, 90]])], height=ROWS, width=COLUMNS)
    right = told(targets)
    noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
    losses = [center_loss(right + strength * noise, targets).item() for strength in (0.0, 0.5, 2.0)]
    assert losses[0] < losses[1] < losses[2]
    assert losses[0] < 1.5


def test_frames_without_people_have_a_finite_loss():
    targets = center_targets([torch.zeros(0, 4)], height=ROWS, width=COLUMNS)
    grid = torch.zeros(1, 5, ROWS, COLUMNS, requires_grad=True)
    loss = center_loss(grid, targets)
    loss.backward()
    assert loss.isfinite()
    assert grid.grad.isfinite().all()


@given(box, box)
def test_generalised_iou_is_symmetric_and_at_most_1(one, other):
    a, b = torch.tensor([one], dtype=torch.float64), torch.tensor([other], dtype=torch.float64)
    assert torch.allclose(generalised_iou(a, b), generalised_iou(b, a))
    assert -1 <= generalised_iou(a, b).item() <= 1
    assert generalised_iou(a, a).item() == 1


def test_the_net_gives_a_cell_for_every_8_pixels_of_any_filled_up_frame():
    preprocessing = Preprocessing(long_side_px=64)
    height, width = scaled_size(90, 160, preprocessing)
    assert (height, width) == (36, 64)
    frames = normalise(torch.zeros(2, height, width, 3, dtype=torch.uint8), preprocessing)
    assert frames.shape == (2, 3, 64, 64)
    with torch.inference_mode():
        grid = CenterNet(width=8).eval()(frames)
    assert grid.shape == (2, 5, 8, 8)
    assert boxes_of_cells(grid).shape == (2, 8, 8, 4)


def test_normalising_centres_the_colours_and_fills_up_with_zeros():
    preprocessing = Preprocessing(mean=0.2, std=0.5, multiple_px=32)
    frames = normalise(torch.full((1, 20, 32, 3), 255, dtype=torch.uint8), preprocessing)
    assert torch.allclose(frames[:, :, :20], torch.tensor(1.6))
    assert (frames[:, :, 20:] == 0).all()
