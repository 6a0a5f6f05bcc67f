"""Persons on an accelerator: the numbers of the CPU, batches without persons, half precision."""

import pytest
import torch

from gesta.models import ActionTransformerSpec, PersonHead, PersonLoss, TrunkSpec, build_person_model, person_loss

HEADS = {
    "context": PersonHead(context=True, grid=4, dropout=0.0),
    "pyslowfast": PersonHead(order="pyslowfast", grid=7, dropout=0.0),
    "transformer": PersonHead(
        kind="action-transformer", dropout=0.0, transformer=ActionTransformerSpec(num_hidden=16, dropout=0.0)
    ),
}
BOXES = torch.tensor([[0, 0.1, 0.1, 0.5, 0.9], [1, 0.5, 0.2, 0.93, 0.8], [1, 0.0, 0.0, 1.0, 1.0]])


def made(head):
    torch.manual_seed(0)
    trunk = TrunkSpec(name="slowfast_small")
    return build_person_model(trunk, head, num_classes=3, num_frames=16, crop_px=64, num_clip_classes=2).eval()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("name", HEADS)
def test_a_card_gives_the_cpus_numbers_and_takes_no_person(name):
    model, clip = made(HEADS[name]), torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))
    want = model.both(clip, BOXES)
    model.cuda()
    found = model.both(clip.cuda(), BOXES.cuda())
    for have, wanted in zip(found, want, strict=True):
        # Convolutions may be computed in TF32 there.
        torch.testing.assert_close(have.cpu(), wanted, atol=2e-2, rtol=2e-2)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = model(clip.cuda(), BOXES.cuda())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.cpu(), want[0], atol=0.1, rtol=0.1)
    logits = model(clip.cuda(), torch.zeros(0, 5, device="cuda"))
    empty = torch.zeros(0, 3, device="cuda")
    person_loss(logits, empty, empty, loss=PersonLoss(kind="focal", class_weights="inverse"),
                class_counts_K=torch.ones(3, device="cuda")).backward()  # fmt: skip
    assert logits.shape == (0, 3)
    assert all(float(weight.grad.abs().sum()) == 0 for weight in model.parameters() if weight.grad is not None)
