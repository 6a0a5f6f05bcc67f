"""Trunk and head together: shapes, laws of boxes, and batches without persons."""

import pytest
import torch
from torch import nn

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.feature_bank import FeatureBankSpec
from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss, person_loss
from gesta.models.person_model import PersonModel, build_person_model
from gesta.models.trunks import TrunkSpec
from gesta.schema import BadInput, UnknownName


class Pixels(nn.Module):
    """A trunk of one or two paths whose cells see their own 4 x 4 pixels and nothing else."""

    def __init__(self, path_features=(6,), alpha=2):
        super().__init__()
        self.path_features, self.stride_px, self.alpha = tuple(path_features), 4, alpha
        self.stems = nn.ModuleList(nn.Conv3d(3, num, (1, 4, 4), stride=(1, 4, 4)) for num in path_features)

    def forward(self, clip_BCTHW):
        steps = [self.alpha, 1] if len(self.stems) == 2 else [1]
        return tuple(stem(clip_BCTHW[:, :, ::step]) for stem, step in zip(self.stems, steps, strict=True))


HEADS = {
    "linear": PersonHead(),
    "pyslowfast": PersonHead(order="pyslowfast", grid=7),
    "max": PersonHead(temporal="max", spatial="mean", grid=3),
    "context": PersonHead(context=True, grid=4),
    "context pyslowfast": PersonHead(context=True, grid=4, order="pyslowfast"),
    "two-layer": PersonHead(kind="two-layer", num_hidden=5),
    "transformer": PersonHead(kind="action-transformer", transformer=ActionTransformerSpec(num_hidden=8)),
    "transformer of boxes": PersonHead(
        kind="action-transformer", transformer=ActionTransformerSpec(num_hidden=8, position="box", query="max")
    ),
    "transformer without places": PersonHead(
        kind="action-transformer",
        temporal="max",
        transformer=ActionTransformerSpec(num_hidden=8, num_layers=1, num_heads=1, position="none"),
    ),
    "transformer of cells": PersonHead(
        kind="action-transformer", grid=7, transformer=ActionTransformerSpec(num_hidden=8, query="high-resolution")
    ),
    "bank": PersonHead(bank=FeatureBankSpec(window_s=4, max_per_second=2, num_hidden=5)),
}
HAND = torch.tensor(
    [[0, 0.1, 0.1, 0.5, 0.9], [1, 0.5, 0.2, 0.93, 0.8], [0, 0.0, 0.0, 1.0, 1.0], [1, 0.31, 0.32, 0.33, 0.35]]
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(head, *, paths=(6,), num_classes=4, num_clip_classes=0, seed=0):
    torch.manual_seed(seed)
    return PersonModel(Pixels(paths), head, num_classes=num_classes, num_clip_classes=num_clip_classes).eval()


def clips(num=2, seed=1, num_frames=4, side=32):
    return torch.randn(num, 3, num_frames, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("paths", [(6,), (6, 3)])
@pytest.mark.parametrize("name", HEADS)
def test_logits_are_one_row_a_box_and_one_column_a_class(name, paths):
    for num_classes in (1, 4):
        logits = made(HEADS[name], paths=paths, num_classes=num_classes)(clips(), HAND)
        assert logits.shape == (4, num_classes)
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", HEADS)
def test_boxes_in_another_order_have_their_scores_in_that_order(name):
    model, order = made(HEADS[name], paths=(6, 3)), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(clips(), HAND[order]), model(clips(), HAND)[order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_a_box_is_scored_alike_alone_and_in_any_batch(name):
    model = made(HEADS[name], paths=(6, 3))
    together = model(clips(), HAND)
    for row in range(len(HAND)):
        clip = int(HAND[row, 0])
        box = HAND[row : row + 1].clone()
        box[:, 0] = 0
        alone = model(clips()[clip : clip + 1], box)
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("paths", [(6,), (6, 3)])
@pytest.mark.parametrize("name", HEADS)
def test_a_batch_without_persons_gives_no_row_and_gradients_of_nothing(name, paths):
    model = made(HEADS[name], paths=paths).train()
    logits = model(clips(), torch.zeros(0, 5))
    assert logits.shape == (0, 4)
    loss = person_loss(logits, torch.zeros(0, 4), torch.zeros(0, 4), loss=PersonLoss(kind="focal"))
    assert float(loss.detach()) == 0
    loss.backward()
    grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert len(grads) >= 2
    assert all(float(grad.abs().sum()) == 0 for grad in grads)


@pytest.mark.parametrize("name", HEADS)
def test_every_weight_of_the_head_learns(name):
    model = made(HEADS[name], paths=(6, 3)).train()
    logits = model(clips(), HAND)
    person_loss(logits, torch.ones(4, 4), torch.ones(4, 4), loss=PersonLoss()).backward()
    still = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # A key's offset shifts all scores of a query alike, which softmax takes out; an empty bank has no features.
    unmoved = [key for key in still if not key.endswith("key.bias") and not key.startswith("head.bank.")]
    assert unmoved == []


def test_clips_have_logits_beside_the_persons():
    model = made(PersonHead(), paths=(6, 3), num_clip_classes=7)
    persons, whole = model.both(clips(), HAND)
    assert persons.shape == (4, 4)
    assert whole.shape == (2, 7)
    assert torch.equal(persons, model(clips(), HAND))
    assert made(PersonHead()).both(clips(), HAND)[1] is None


def changed_outside(box, side=32):
    """Clips that differ everywhere but in the box, each cell's pixels being whole."""
    other = clips(seed=9)
    x1, y1, x2, y2 = (round(float(edge) * side) for edge in box)
    mixed = other.clone()
    mixed[..., y1:y2, x1:x2] = clips()[..., y1:y2, x1:x2]
    return mixed


@pytest.mark.parametrize("name", HEADS)
def test_only_context_sees_what_is_outside_the_box(name):
    # RoIAlign's outermost samples lie half a sample inside the box and reach half a cell out: the untouched part is
    # one cell larger on each side.
    box, kept = (0.375, 0.375, 0.625, 0.625), (0.25, 0.25, 0.75, 0.75)
    rows = torch.tensor([[0, *box], [1, *box]])
    model = made(HEADS[name], paths=(6, 3))
    before, after = model(clips(), rows), model(changed_outside(kept), rows)
    sees = "context" in name or "transformer" in name
    assert torch.equal(before, after) is not sees
    if sees:
        assert (before - after).abs().max() > 1e-3


def test_a_box_on_the_whole_frame_is_the_global_pool():
    """Of a wide frame too, and a quarter of it that of the quarter: height and width are not mixed up."""
    model = made(PersonHead(spatial="mean", grid=4))
    wide = torch.randn(2, 3, 4, 32, 64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        found = model.person_features(wide, torch.tensor([[0, 0.0, 0, 1, 1], [1, 0.0, 0, 1, 1], [1, 0.5, 0.5, 1, 1]]))
        (grid,) = model.trunk(wide)
    torch.testing.assert_close(found[:2], grid.mean(dim=(2, 3, 4)), atol=1e-6, rtol=1e-5)
    # The quarter's samples lie on its own cells' middles.
    torch.testing.assert_close(found[2], grid[1, :, :, 4:, 8:].mean(dim=(1, 2, 3)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("order", ["mmaction2", "pyslowfast"])
def test_a_mirrored_map_and_box_have_the_same_features(order):
    head = made(PersonHead(order=order, grid=4), paths=(6, 3)).head
    maps = (torch.randn(1, 6, 2, 9, 11), torch.randn(1, 3, 4, 9, 11))
    box = torch.tensor([[0, 0.1, 0.2, 0.45, 0.9]])
    mirrored = torch.tensor([[0, 0.55, 0.2, 0.9, 0.9]])
    flipped = tuple(x.flip(-1) for x in maps)
    torch.testing.assert_close(
        head(maps, box, cells_hw=(9, 11)), head(flipped, mirrored, cells_hw=(9, 11)), atol=1e-5, rtol=1e-5
    )


def test_a_frame_that_is_no_whole_number_of_cells_is_measured_in_pixels():
    """A box at 20 of 30 pixels lies on cell 5 of a map of stride 4, whatever the map was rounded to."""
    head = made(PersonHead(grid=1, spatial="mean")).head
    ramp = torch.arange(8.0).expand(1, 6, 1, 8, 8)
    found = head.features((ramp,), torch.tensor([[0, 16 / 30, 0.2, 24 / 30, 0.4]]), cells_hw=(30 / 4, 30 / 4))
    torch.testing.assert_close(found, torch.full((1, 6), 20 / 4 - 0.5))


def test_clips_and_boxes_that_do_not_fit_are_refused():
    model = made(PersonHead())
    with pytest.raises(ValueError, match=r"want \[B, 3, T, H, W\]"):
        model(torch.zeros(2, 1, 4, 8, 8), HAND)
    with pytest.raises(ValueError, match=r"want \[N, 5\]"):
        model(clips(), HAND[:, 1:])
    with pytest.raises(ValueError, match="a box names a clip outside 0 to 0"):
        model(clips(1), HAND)
    with pytest.raises(ValueError, match=r"a bank's windows of shape \(2, 3, 4\): want \[B, 8, 6\]"):
        made(HEADS["bank"])(clips(), HAND, torch.zeros(2, 3, 4))
    with pytest.raises(BadInput, match="0 classes"):
        PersonModel(Pixels(), PersonHead(), num_classes=0)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kind": "liner"}, "no kind of person head 'liner'. Did you mean 'linear'"),
        ({"order": "x"}, "order of a person head"),
        ({"temporal": "median"}, "no temporal pooling 'median'"),
        ({"spatial": "median"}, "no spatial pooling 'median'"),
        ({"grid": 0}, "grid=0"),
        ({"dropout": 1.0}, "dropout of a person head is 1.0"),
        ({"prior": 0.0}, "prior of a person head is 0.0"),
        ({"kind": "action-transformer", "context": True}, "sees the whole clip already"),
        ({"transformer": ActionTransformerSpec()}, "a linear head has no transformer"),
        ({"num_hidden": 3}, "a linear head has no hidden layer"),
    ],
)
def test_heads_that_cannot_be_are_refused(wrong, text):
    with pytest.raises((BadInput, UnknownName), match=text):
        PersonHead(**wrong)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"query": "x"}, "no query of an Action Transformer 'x'"),
        ({"position": "x"}, "no position of an Action Transformer 'x'"),
        ({"num_hidden": 9}, "9 features cannot be shared among 2 heads"),
        ({"num_layers": 0}, "no features, layers or heads"),
        ({"dropout": -0.1}, "dropout of an Action Transformer is -0.1"),
    ],
)
def test_transformers_that_cannot_be_are_refused(wrong, text):
    with pytest.raises((BadInput, UnknownName), match=text):
        ActionTransformerSpec(**wrong)


def test_a_prior_is_where_every_class_starts():
    model = made(PersonHead(prior=0.1))
    nn.init.zeros_(model.head.classify.weight)
    assert model(clips(), HAND).sigmoid().flatten().tolist() == pytest.approx([0.1] * 16)


@pytest.mark.parametrize("trunk", ["slowfast_small", "slow_only_small", "r3d_small"])
def test_small_trunks_carry_every_head(trunk):
    torch.manual_seed(0)
    for head in (PersonHead(grid=4), PersonHead(grid=4, context=True), HEADS["transformer"]):
        model = build_person_model(
            TrunkSpec(name=trunk), head, num_classes=3, num_frames=16, crop_px=64, num_clip_classes=2
        ).eval()
        persons, whole = model.both(clips(num_frames=16, side=64), HAND)
        assert persons.shape == (4, 3)
        assert whole.shape == (2, 2)


@pytest.mark.parametrize("name", ["context pyslowfast", "transformer of boxes"])
def test_a_compiled_model_is_one_graph_for_any_number_of_boxes(name):
    """Traced without a break, and not anew for each number of persons; dropout draws what it draws otherwise."""
    model = made(HEADS[name], paths=(6, 3)).train()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    fast = torch.compile(model, backend=count, fullgraph=True)
    for num in (2, 3, 5, 9):
        boxes = HAND.repeat(3, 1)[:num].clone()
        torch._dynamo.maybe_mark_dynamic(boxes, 0)
        torch.manual_seed(num)
        found = fast(clips(), boxes)
        torch.manual_seed(num)
        torch.testing.assert_close(found, model(clips(), boxes))
    assert len(graphs) == 1
    torch._dynamo.reset()
