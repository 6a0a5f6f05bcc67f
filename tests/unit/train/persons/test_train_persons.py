"""Training on persons through the one loop: parts, resume, two heads, chosen classes, and what the checkpoint says."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from tests.unit.train.clips.small_run import are_equal, largest_difference
from tests.unit.train.persons.small_persons_run import CLIP_CLASSES, small_persons, small_recipe, weights_of

from gesta.models.feature_bank import FeatureBankSpec
from gesta.models.person_heads import PersonHead
from gesta.models.trunks import TrunkSpec
from gesta.schema import BadInput
from gesta.train.clips.loop import Saving
from gesta.train.clips.processes import Crew
from gesta.train.clips.steps import Setting
from gesta.train.persons import PersonAugment, PersonBoxes, PersonSet, take_classes
from gesta.train.persons.batches import person_batches
from gesta.train.persons.checkpoints import is_person_checkpoint, load_person_checkpoint, person_model_of
from gesta.train.persons.starting import put_person_start
from gesta.train.persons.task import ask_both, class_counts, person_task
from gesta.train.persons.train import plan_train_persons, run_train_persons


class Cut(Exception):
    pass


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def persons(tmp_path_factory: pytest.TempPathFactory) -> PersonSet:
    return small_persons(tmp_path_factory.mktemp("films"))


def train(persons, out, recipe, **call):
    return run_train_persons(persons, out=out, recipe=recipe, device="cpu", seed=3, threads=1, **call)


def lines_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def share_of(persons, recipe, numbers, *, totals, model):
    """The part's share of the loss, and the gradient of the first kernel."""
    task = person_task(persons)
    setting = Setting(task=task, recipe=recipe, crew=Crew(), precision="float32", seed=0, forward=ask_both)
    with person_batches(
        persons, frames=recipe.frames, augment=recipe.augment, boxes=recipe.boxes, numbers=[numbers], seed=0, epoch=0,
        num_workers=0,
    ) as batches:  # fmt: skip
        part = next(batches)
    for weight in model.parameters():
        weight.grad = None
    loss = task.share_of_loss(model, part, totals=totals, setting=setting)
    loss.backward()
    return loss.item(), [weight.grad.clone() if weight.grad is not None else None for weight in model.parameters()]


def test_a_part_without_persons_gives_a_loss_and_gradients_of_zero(persons):
    recipe = small_recipe()
    model = person_task(persons).build(recipe, persons)
    loss, gradients = share_of(persons, recipe, [1, 4], totals=(5.0, 1.0), model=model)
    assert loss == 0
    assert all(gradient is None or not gradient.any() for gradient in gradients)


def test_shares_add_up_to_the_mean_over_the_persons_of_the_batch(persons):
    recipe = small_recipe(head=PersonHead(grid=2, dropout=0.0), augment=PersonAugment(scale_px=(32, 32), crop="center"))
    model = person_task(persons).build(recipe, persons).eval()
    whole, gradients = share_of(persons, recipe, [0, 2, 3, 1], totals=(6.0, 1.0), model=model)
    parts = [share_of(persons, recipe, some, totals=(6.0, 1.0), model=model) for some in ([0, 2], [3, 1])]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-5)
    for place, gradient in enumerate(gradients):
        if gradient is not None:
            assert torch.allclose(gradient, parts[0][1][place] + parts[1][1][place], atol=1e-5)


@pytest.mark.parametrize("changes", [{}, {"optimiser": "adamw", "base_lr": 1e-3, "ema_decay": 0.9, "nesterov": False}])
def test_a_run_cut_after_a_step_ends_in_the_same_bits(persons, tmp_path, changes):
    recipe = small_recipe(clip_loss_weight=0.5, **changes)

    def cut(line):
        if line["step"] == 2:
            raise Cut

    train(persons, tmp_path / "whole", recipe, val=persons, log_every_steps=1)
    with pytest.raises(Cut):
        train(persons, tmp_path / "cut", recipe, val=persons, on_step=cut, saving=Saving(every_steps=1))
    (tmp_path / "cut/.last-abc.tmp.pt").write_bytes(b"what a kill leaves of a file half written")
    steps = []
    train(persons, tmp_path / "cut", recipe, val=persons, on_step=steps.append)
    assert not list((tmp_path / "cut").glob(".*"))
    assert [line["step"] for line in steps] == [2, 3, 4]
    for name in ("model.pt", "best.pt"):
        assert are_equal(weights_of(tmp_path / "whole" / name), weights_of(tmp_path / "cut" / name))


def by_heart(**changes):
    """A recipe that shows each key-frame the same way every time."""
    return small_recipe(
        head=PersonHead(grid=2, dropout=0.0), augment=PersonAugment(scale_px=(32, 32), crop="center", flip=False,
        jitter_frames=False), epochs=30, num_parts=1, clips_per_batch=12, optimiser="adamw", base_lr=1e-2, **changes,
    )  # fmt: skip


def test_it_learns_its_persons_by_heart(persons, tmp_path):
    summary = train(persons, tmp_path, by_heart())
    epochs = [line for line in lines_of(tmp_path) if line["kind"] == "epoch"]
    assert epochs[-1]["loss"] < 0.3 * epochs[0]["loss"]
    assert summary.numbers["num_persons"] == 14
    assert summary.numbers["num_empty"] == 4


def test_multi_task_trains_both_heads(persons, tmp_path):
    train(persons, tmp_path / "both", by_heart(clip_loss_weight=1.0))
    both = load_person_checkpoint(tmp_path / "both/model.pt")
    assert both.clip_class_names == CLIP_CLASSES
    epochs = [line["loss"] for line in lines_of(tmp_path / "both") if line["kind"] == "epoch"]
    # Guessing costs ln 2 a head: less than that in all means that neither guesses.
    assert epochs[0] > 1
    assert epochs[-1] < 0.5
    logits_NK, clip_logits_BC = person_model_of(both).both(torch.zeros(1, 3, 2, 32, 32), torch.zeros(0, 5))
    assert logits_NK.shape == (0, 3)
    assert clip_logits_BC.shape == (1, 2)
    train(persons, tmp_path / "one", small_recipe(epochs=1))
    assert load_person_checkpoint(tmp_path / "one/model.pt").clip_class_names == ()


def test_chosen_classes_are_trained_and_their_names_carried(persons, tmp_path):
    recipe = small_recipe(classes=(9, 3), epochs=1)
    chosen = take_classes(persons, (9, 3))
    train(chosen, tmp_path, recipe)
    found = load_person_checkpoint(tmp_path / "model.pt")
    assert found.class_ids == (9, 3)
    assert found.class_names == ("wave", "stand")
    assert person_model_of(found)(torch.zeros(1, 3, 2, 32, 32), torch.tensor([[0, 0, 0, 1, 1.0]])).shape == (1, 2)
    with pytest.raises(BadInput, match=r"learns classes \[9, 3\], and the persons have \[3, 7, 9\]"):
        train(persons, tmp_path / "other", recipe)


def test_the_checkpoint_says_what_it_is(persons, tmp_path):
    recipe = small_recipe(epochs=1)
    train(persons, tmp_path, recipe)
    torch.load(tmp_path / "model.pt", weights_only=True)
    found = load_person_checkpoint(tmp_path / "model.pt")
    assert found.recipe == recipe
    assert found.data_sha256 == persons.sha256
    assert found.class_names == persons.class_names
    assert is_person_checkpoint(tmp_path / "model.pt")
    assert train(persons, tmp_path, recipe).was_current


def test_the_best_epoch_is_the_measures(persons, tmp_path):
    seen = []
    maps = iter((0.2, 0.9, 0.1))

    def measure(val, numbers_N, boxes_N4, scores_NK):
        seen.append((numbers_N, boxes_N4, scores_NK))
        return {"map": next(maps)}

    weights = []
    train(
        persons, tmp_path, small_recipe(epochs=3), val=persons, measure=measure,
        on_epoch=lambda _line: weights.append(weights_of(tmp_path / "last.pt")),
    )  # fmt: skip
    assert [line["val_map"] for line in lines_of(tmp_path) if line["kind"] == "epoch"] == [0.2, 0.9, 0.1]
    assert are_equal(weights_of(tmp_path / "best.pt"), weights[1])
    numbers_N, boxes_N4, scores_NK = seen[0]
    expected = [number for number, one in enumerate(persons.examples) for _ in one.boxes_N4]
    assert numbers_N.tolist() == expected
    assert np.allclose(boxes_N4, np.concatenate([one.boxes_N4 for one in persons.examples]))
    assert scores_NK.shape == (14, 3)
    assert ((scores_NK > 0) & (scores_NK < 1)).all()


def test_frozen_norms_keep_their_statistics(persons, tmp_path):
    recipe = small_recipe(frozen_norms=True, num_parts=3, epochs=1)
    train(persons, tmp_path, recipe)
    found = weights_of(tmp_path / "model.pt")
    means = [value for name, value in found.items() if name.endswith("running_mean")]
    assert means
    assert all(not value.any() for value in means)
    moved = [value for name, value in found.items() if name.endswith("norm.weight")]
    assert any((value != 1).any() for value in moved)


def test_weights_of_persons_and_of_clips_are_begun_from(persons, tmp_path):
    recipe = small_recipe(epochs=1)
    train(persons, tmp_path / "first", recipe)
    other = dataclasses.replace(persons, class_names=("a", "b", "c"), sha256="0" * 64)
    still = small_recipe(epochs=1, base_lr=1e-12, weight_decay=0.0)
    train(other, tmp_path / "second", still, start=tmp_path / "first/model.pt")
    first, second = weights_of(tmp_path / "first/model.pt"), weights_of(tmp_path / "second/model.pt")
    trunk = [name for name in first if name.startswith("trunk.") and name.endswith("weight")]
    assert trunk
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in trunk)
    assert largest_difference({"x": first["head.classify.weight"]}, {"x": second["head.classify.weight"]}) > 1e-3


def test_a_librarys_file_gives_the_trunk_that_holds_its_module(persons, tmp_path):
    recipe = small_recipe(trunk=TrunkSpec(name="i3d"), frames=dataclasses.replace(small_recipe().frames, num_frames=8))
    net = person_task(persons).build(recipe, persons).trunk.net
    torch.save({**net.state_dict(), "last.weight": torch.zeros(3)}, tmp_path / "net.bin")
    model = person_task(persons).build(recipe, persons)
    kept = put_person_start(model, tmp_path / "net.bin", class_names=persons.class_names)
    assert set(kept) == {name for name in model.state_dict() if name.startswith("head.")}
    assert are_equal(dict(net.state_dict()), dict(model.trunk.net.state_dict()))
    other = person_task(persons).build(small_recipe(), persons)
    with pytest.raises(BadInput):
        put_person_start(other, tmp_path / "net.bin", class_names=persons.class_names)


def test_what_cannot_be_learnt_is_said(persons, tmp_path):
    nobody = dataclasses.replace(persons, examples=tuple(one for one in persons.examples if not len(one.boxes_N4)))
    for data, recipe, words in (
        (nobody, small_recipe(), "there is no person to learn from"),
        (persons, small_recipe(boxes=PersonBoxes(train="both")), "trains on proposals, and there are none"),
        (persons, small_recipe(schedule="plateau"), "lowers its rate"),
        (persons, small_recipe(head=PersonHead(bank=FeatureBankSpec())), "reads a feature bank, and none is given"),
    ):
        with pytest.raises(BadInput, match=words):
            train(data, tmp_path, recipe)
    labelled = [dataclasses.replace(one, clip_label=-1) for one in persons.examples]
    plain = dataclasses.replace(persons, examples=tuple(labelled))
    with pytest.raises(BadInput, match="no clip has one"):
        train(plain, tmp_path, small_recipe(clip_loss_weight=1.0))
    sided = dataclasses.replace(persons, class_names=("stand", "turn left", "wave"))
    with pytest.raises(BadInput, match="makes 'turn left' false"):
        train(sided, tmp_path, small_recipe())
    with pytest.raises(BadInput, match="trains on whole frames"):
        small_recipe(augment=PersonAugment(crop="whole"))


def test_the_plan_counts_without_decoding(persons):
    plan = plan_train_persons(persons, recipe=small_recipe(epochs=3), val=persons, device="cpu")
    assert plan["num_key_frames"] == 12
    assert plan["num_persons"] == 14
    assert plan["num_empty"] == 4
    assert plan["steps"] == 6
    assert plan["parts"] == {"kinetics": 8, "ava": 4}
    assert plan["train_flops"] > 0
    assert plan["memory_gb"] > 0


def test_counts_of_classes_are_those_of_the_annotated(persons):
    assert class_counts(persons) == [int(sum(one.targets_NK[:, k].sum() for one in persons.examples)) for k in range(3)]


def test_class_weights_are_used(persons, tmp_path):
    losses = {}
    for how in ("none", "inverse"):
        lines = []
        train(persons, tmp_path / how, small_recipe(loss={"class_weights": how}, epochs=1), on_step=lines.append)
        losses[how] = [line["loss"] for line in lines]
    assert losses["none"] != losses["inverse"]
