"""The losses of persons against their plain formulas in float64, and their gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.models.person_losses import PersonLoss, class_weights_of, each_loss, person_loss
from gesta.schema import BadInput, UnknownName

LOGITS = st.floats(-30, 30)
TARGETS = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))


@st.composite
def tables(draw):
    num, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    cells = num * classes
    make = [draw(st.lists(kind, min_size=cells, max_size=cells)) for kind in (LOGITS, TARGETS, st.floats(0, 2))]
    return [torch.tensor(values, dtype=torch.float64).reshape(num, classes) for values in make]


def plain(logit, target, *, loss):
    """One answer's loss, as on paper."""
    softplus = [max(x, 0) + math.log1p(math.exp(-abs(x))) for x in (-logit, logit)]
    bce = target * softplus[0] + (1 - target) * softplus[1]
    return bce if loss.kind == "bce" else loss.alpha * (-math.expm1(-bce)) ** loss.gamma * bce


LOSSES = st.builds(
    PersonLoss,
    kind=st.sampled_from(["bce", "focal"]),
    alpha=st.floats(0.1, 4),
    gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]),
    positive_weight=st.floats(0.2, 5),
    class_weights=st.sampled_from(["none", "inverse", "inverse-sqrt", "effective"]),
    beta=st.sampled_from([0.0, 0.9, 0.999, 0.9999]),
)


@given(tables(), LOSSES, st.data())
@settings(deadline=None)
def test_a_loss_is_its_formula(table, loss, data):
    logits, targets, weights = table
    num, classes = logits.shape
    counts = data.draw(st.lists(st.integers(0, 10**6), min_size=classes, max_size=classes))
    has = [n for n in counts if n > 0]
    by = {
        "none": lambda n: 1.0,
        "inverse": lambda n: 1 / n,
        "inverse-sqrt": lambda n: n**-0.5,
        "effective": lambda n: (1 - loss.beta) / -math.expm1(n * math.log(loss.beta)) if loss.beta else 1.0,
    }[loss.class_weights]
    mean = sum(by(n) for n in has) / len(has) if has else 1.0
    want = 0.0
    for i in range(num):
        for k in range(classes):
            one = plain(float(logits[i, k]), float(targets[i, k]), loss=loss) * float(weights[i, k])
            one *= 1 + (loss.positive_weight - 1) * float(targets[i, k])
            want += one * (by(counts[k]) / mean if counts[k] > 0 else 1.0) / classes
    found = person_loss(logits, targets, weights, loss=loss, class_counts_K=torch.tensor(counts).double())
    assert found.item() == pytest.approx(want, rel=1e-9, abs=1e-12)


@given(tables(), st.sampled_from([0.0, 0.5, 1.0, 3.0]))
@settings(deadline=None)
def test_focal_is_the_references_expression(table, gamma):
    logits, targets, _ = table
    bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    want = 3 * (1 - torch.exp(-bce)) ** gamma * bce
    found = each_loss(logits, targets, loss=PersonLoss(kind="focal", alpha=3, gamma=gamma))
    torch.testing.assert_close(found, want, rtol=1e-6, atol=1e-7)


@given(tables(), st.integers(0, 4))
@settings(deadline=None)
def test_parts_of_a_batch_add_up(table, cut):
    loss = PersonLoss(kind="focal", gamma=2.0)
    whole = person_loss(*table, loss=loss)
    parts = [person_loss(*(x[rows] for x in table), loss=loss) for rows in (slice(0, cut), slice(cut, None))]
    assert sum(parts).item() == pytest.approx(whole.item())


def test_gradients_are_those_of_the_formula():
    torch.manual_seed(0)
    logits = (3 * torch.randn(3, 4, dtype=torch.float64)).requires_grad_()
    targets, weights = (torch.rand(3, 4) > 0.6).double(), torch.rand(3, 4).double()
    for loss in (PersonLoss(), PersonLoss(kind="focal", alpha=3.0, gamma=1.0), PersonLoss(kind="focal", gamma=0.5)):
        assert torch.autograd.gradcheck(lambda x, one=loss: person_loss(x, targets, weights, loss=one), (logits,))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_an_answer_surer_than_float_can_tell_has_a_finite_gradient(gamma):
    logits = torch.tensor([[200.0, -200.0, 200.0]], requires_grad=True)
    loss = PersonLoss(kind="focal", gamma=gamma)
    person_loss(logits, torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3), loss=loss).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 2] == pytest.approx(1 / 3)


def test_an_answer_that_was_not_asked_counts_for_nothing():
    logits = torch.randn(2, 3, requires_grad=True)
    weights = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    person_loss(logits, torch.ones(2, 3), weights, loss=PersonLoss(kind="focal")).backward()
    assert (logits.grad != 0).tolist() == [[True, False, True], [False, False, False]]


def test_half_precision_is_computed_in_float32():
    logits = torch.tensor([[20.0]], dtype=torch.bfloat16)
    assert person_loss(logits, torch.ones(1, 1), torch.ones(1, 1), loss=PersonLoss()).item() == pytest.approx(
        math.log1p(math.exp(-20)), rel=1e-5
    )


def test_rare_classes_weigh_more_and_by_how_much_is_the_rules():
    counts = torch.tensor([10.0, 1000.0, 100000.0])
    found = {how: class_weights_of(counts, how=how) for how in ("none", "inverse-sqrt", "inverse", "effective")}
    assert found["none"].tolist() == [1, 1, 1]
    for how in ("inverse-sqrt", "inverse", "effective"):
        assert found[how].mean().item() == pytest.approx(1)
        assert found[how][0] > found[how][1] > found[how][2]
    assert found["inverse"][0] / found["inverse"][1] == pytest.approx(100)
    assert found["inverse-sqrt"][0] / found["inverse-sqrt"][1] == pytest.approx(10)
    # Beyond 1 / (1 - beta) persons more of them change nothing.
    assert found["effective"][1] / found["effective"][2] == pytest.approx(1 / (1 - 0.999**1000), rel=1e-5)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_effective_numbers_lie_between_equal_and_inverse(counts):
    tensor = torch.tensor(counts).double()
    assert class_weights_of(tensor, how="effective", beta=0.0).tolist() == [1.0] * len(counts)
    near = class_weights_of(tensor, how="effective", beta=1 - 1e-12)
    torch.testing.assert_close(near, class_weights_of(tensor, how="inverse"), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kind": "dice"}, "no loss 'dice'"),
        ({"class_weights": "equal"}, "no class weights 'equal'"),
        ({"alpha": 0.0}, "alpha of a loss is 0.0"),
        ({"gamma": -1.0}, "gamma of a loss is -1.0"),
        ({"positive_weight": float("inf")}, "positive_weight of a loss is inf"),
        ({"beta": 1.0}, "beta of a loss is 1.0"),
    ],
)
def test_losses_that_cannot_be_are_refused(wrong, text):
    with pytest.raises((BadInput, UnknownName), match=text):
        PersonLoss(**wrong)


def test_what_the_loss_lacks_is_named():
    table = [torch.zeros(2, 3)] * 3
    with pytest.raises(BadInput, match="class weights 'inverse' need the number of persons of each class"):
        person_loss(*table, loss=PersonLoss(class_weights="inverse"))
    with pytest.raises(ValueError, match=r"shapes \(2, 3\), \(2, 3\), \(2, 1\): want \[N, K\] three times"):
        person_loss(*table[:2], torch.zeros(2, 1), loss=PersonLoss())
    with pytest.raises(UnknownName, match="no class weights 'x'"):
        class_weights_of(torch.ones(2), how="x")
