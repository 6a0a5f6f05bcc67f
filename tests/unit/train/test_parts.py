from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from gesta.models import SeededDropout
from gesta.train.batches import Batch
from gesta.train.parts import add_gradients, copies_of, part_workers


class Net(nn.Module):
    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.dropout = SeededDropout(share)
        self.linear = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.dropout(self.norm(x)))


def part(rows: torch.Tensor) -> Batch:
    empty = torch.zeros(0)
    return Batch(numbers=(), pixels_BTHWC=rows, boxes_N5=empty, targets_NK=empty, weights_NK=empty)


def half_of_mean(model: nn.Module, rows: Batch) -> torch.Tensor:
    return model(rows.pixels_BTHWC).square().mean() / 2


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as workers:
        yield workers


def test_the_gradient_is_the_sum_of_the_parts_and_the_statistics_their_mean(pool):
    torch.manual_seed(0)
    model, rows = Net(), torch.randn(8, 3)
    alone = []
    for half in rows.chunk(2):
        twin = Net()
        twin.load_state_dict(model.state_dict())
        half_of_mean(twin, part(half)).backward()
        alone.append(twin)
    copies = copies_of(model, num=2)
    loss = add_gradients(
        copies, [part(half) for half in rows.chunk(2)], loss_of=half_of_mean, seed=(0, 0, 0), pool=pool
    )
    assert loss > 0
    for mine, one, two in zip(*(net.parameters() for net in (model, *alone)), strict=True):
        assert torch.allclose(mine.grad, one.grad + two.grad)
    mean = (alone[0].norm.running_mean + alone[1].norm.running_mean) / 2
    assert torch.allclose(model.norm.running_mean, mean)
    assert torch.equal(copies[1].norm.running_mean, model.norm.running_mean)


def test_a_step_of_the_model_is_a_step_of_its_copies(pool):
    model = Net()
    copies = copies_of(model, num=3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    rows = [part(torch.randn(4, 3)) for _ in range(3)]
    add_gradients(copies, rows, loss_of=half_of_mean, seed=(0, 0, 0), pool=pool)
    optimiser.step()
    assert torch.equal(copies[2].linear.weight, model.linear.weight)
    assert copies[2].linear.weight.grad is not model.linear.weight.grad


def test_dropout_draws_alike_each_time_and_differently_each_step_and_part(pool):
    model = Net(share=0.5)
    copies = copies_of(model, num=2)
    rows = torch.randn(6, 3)

    def loss(step: int, parts: int) -> float:
        return add_gradients(copies, [part(rows)] * parts, loss_of=half_of_mean, seed=(0, 0, step), pool=pool)

    assert loss(1, 2) == loss(1, 2)
    assert loss(1, 1) == loss(1, 1)
    assert loss(1, 1) != loss(2, 1)
    assert loss(1, 2) != pytest.approx(2 * loss(1, 1))


def test_torchs_own_dropout_is_refused():
    with pytest.raises(ValueError, match=r"want gesta\.models\.SeededDropout"):
        copies_of(nn.Sequential(nn.Dropout(0.1)), num=2)


def test_torchs_threads_are_shared_out_and_put_back():
    before = torch.get_num_threads()
    with part_workers(num_parts=2, threads=4, device="cpu"):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


def test_dropout_keeps_the_mean_and_does_nothing_when_scored():
    dropout = SeededDropout(0.25)
    dropout.generator = torch.Generator().manual_seed(0)
    x = torch.ones(10_000)
    assert float(dropout(x).mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(dropout.eval()(x), x)
