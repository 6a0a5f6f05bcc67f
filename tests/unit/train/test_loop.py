import dataclasses
import json
import shutil
from itertools import pairwise

import polars as pl
import pytest
import torch

from gesta.schema import BadInput, GestaError, LabelClass
from gesta.tables import frame_of, made_by, read_rejects, table_path, write_table
from gesta.train import Recipe, load_checkpoint, run_train
from gesta.train.augment import Jitter
from gesta.train.loop import average, learning_rate, loss_of
from gesta.train.store import StoreSpec
from gesta.train.views import ClipSpec


def small(**changes) -> Recipe:
    recipe = Recipe(
        name="small",
        model="roi_r3d_tiny",
        clip=ClipSpec(num_frames=8, stride_us=250_000, height_px=48, width_px=48),
        store=StoreSpec(margin=1.2, per_stride=1, num_margin=1),
        epochs=3,
        clips_per_batch=3,
        base_lr=3e-3,
        weight_decay=0.01,
        precision="float32",
    )
    return dataclasses.replace(recipe, **changes)


class Cut(Exception):
    pass


def test_it_learns_six_clips_by_heart(release, tmp_path):
    recipe = small(epochs=30, ema_decay=0.8, jitter=Jitter(flip=True, brightness=0.1, shift=0.05))
    summary = run_train(release, out=tmp_path / "out", recipe=recipe, seed=1, device="cpu", threads=1)
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert len(lines) == 30
    assert lines[-1]["loss"] < 0.2 * lines[0]["loss"]
    assert {"epoch", "step", "loss", "lr", "clips_per_s", "data_wait_frac"} <= lines[0].keys()
    assert summary.kept == 6
    assert summary.numbers["num_persons"] == 8
    assert not (tmp_path / "out/last.pt").exists()
    assert not (tmp_path / "out/clips.u8").exists()


@pytest.mark.parametrize("cut_after", [1, 2])
def test_a_run_cut_anywhere_ends_in_the_same_bits(release, tmp_path, cut_after):
    recipe = small(jitter=Jitter(flip=True, speed=0.2, zoom=0.2, time_strides=0.5, colour=0.1))

    def cut(line):
        if line["epoch"] + 1 == cut_after:
            raise Cut

    run_train(release, out=tmp_path / "whole", recipe=recipe, seed=3, device="cpu", threads=1)
    with pytest.raises(Cut):
        run_train(release, out=tmp_path / "cut", recipe=recipe, seed=3, device="cpu", threads=1, on_epoch=cut)
    (tmp_path / "cut/.clips-half.tmp.u8").write_bytes(b"half")
    decoded, epochs = [], []
    run_train(
        release, out=tmp_path / "cut", recipe=recipe, seed=3, device="cpu", threads=1,
        on_epoch=epochs.append, on_clips=decoded.append,
    )  # fmt: skip
    whole, resumed = (load_checkpoint(tmp_path / name / "model.pt") for name in ("whole", "cut"))
    assert [line["epoch"] for line in epochs] == list(range(cut_after, 3))
    assert decoded == []
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"model.pt", "log.jsonl", "train.json", "rejects"}
    assert whole.weights.keys() == resumed.weights.keys()
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)
    assert len((tmp_path / "cut/log.jsonl").read_text().splitlines()) == 3


def test_the_number_of_threads_does_not_change_a_bit(release, tmp_path):
    recipe = small(epochs=2, jitter=Jitter(flip=True, zoom=0.2))
    for threads in (1, 2):
        run_train(release, out=tmp_path / str(threads), recipe=recipe, seed=3, device="cpu", threads=threads)
    one, two = (load_checkpoint(tmp_path / str(threads) / "model.pt").weights for threads in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_another_seed_gives_other_weights_and_does_not_resume(release, tmp_path):
    recipe = small(epochs=1)
    run_train(release, out=tmp_path, recipe=recipe, seed=0, device="cpu", threads=1)
    first = load_checkpoint(tmp_path / "model.pt")
    again = run_train(release, out=tmp_path, recipe=recipe, seed=0, device="cpu", threads=1)
    assert again.was_current
    assert again.kept == 6
    other = run_train(release, out=tmp_path, recipe=recipe, seed=1, device="cpu", threads=1)
    assert not other.was_current
    name = "head.classify.weight"
    assert not torch.equal(first.weights[name], load_checkpoint(tmp_path / "model.pt").weights[name])


def test_the_checkpoint_says_what_it_is(release, tmp_path):
    recipe = small(epochs=1)
    run_train(release, out=tmp_path, recipe=recipe, seed=0, device="cpu", threads=1)
    found = load_checkpoint(tmp_path / "model.pt")
    assert found.class_ids == (3, 7)
    assert found.class_names == ("move sideways", "move up and down")
    assert found.recipe == recipe
    assert len(found.release_sha256) == 64
    assert found.versions.keys() == {"gesta", "torch", "torchvision"}


def test_a_video_that_is_gone_is_rejected_and_the_rest_is_learnt(release, tmp_path):
    copy = tmp_path / "releases/1.0.0"
    shutil.copytree(release.parents[1], tmp_path, dirs_exist_ok=True)
    (tmp_path / "videos/-v2.mp4").unlink()
    (tmp_path / "videos/-v3.mp4").write_bytes(b"nonsense")
    summary = run_train(copy, out=tmp_path / "out", recipe=small(epochs=1), device="cpu", threads=1)
    assert summary.kept == 4
    assert summary.rejected["missing"] == 1
    assert sum(summary.rejected.values()) == 2
    rejects = read_rejects(tmp_path / "out").filter(pl.col("stage") == "train")
    assert set(rejects["video_id"]) == {"-v2", "-v3"}


def test_a_folder_without_manifest_is_no_release(tmp_path):
    with pytest.raises(BadInput, match=r"no manifest\.json.*gesta release"):
        run_train(tmp_path, out=tmp_path / "out", recipe=small(), device="cpu")


def test_a_loss_that_is_no_number_stops_with_its_place(release, tmp_path):
    with pytest.raises(GestaError, match=r"the loss is nan at epoch 0, step 1 .*Lower base_lr"):
        run_train(release, out=tmp_path, recipe=small(base_lr=float("inf")), device="cpu", threads=1)


def test_a_class_with_a_side_is_not_flipped(release, tmp_path):
    copy = tmp_path / "releases/1.0.0"
    shutil.copytree(release.parents[1], tmp_path, dirs_exist_ok=True)
    rows = [LabelClass(class_id=3, name="turn left"), LabelClass(class_id=7, name="up")]
    made = made_by("release", arguments={}, inputs={})
    write_table(table_path(copy, "label_map"), "label_map", frame_of("label_map", rows), made_by=made)
    with pytest.raises(BadInput, match=r"makes 'turn left' false.*flip=False"):
        run_train(copy, out=tmp_path / "out", recipe=small(jitter=Jitter(flip=True)), device="cpu")


def test_the_rate_rises_and_falls_to_nothing():
    recipe = small(warmup_frac=0.2, base_lr=1.0)
    rates = [learning_rate(step, num_steps=10, recipe=recipe) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert all(a > b for a, b in pairwise(rates[2:]))
    assert rates[-1] < 0.05


def test_the_loss_weighs_positives_and_leaves_out_what_weighs_nothing():
    logits = torch.zeros(2, 2)
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    weights = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    log2 = 0.6931472
    assert float(loss_of(logits, targets, weights, positive_weight=3.0)) == pytest.approx(4 * log2 / 2)


def test_the_first_average_follows_at_once_and_counters_are_copied():
    averaged = {"w": torch.zeros(1), "n": torch.tensor(0)}
    average(averaged, {"w": torch.ones(1), "n": torch.tensor(5)}, decay=0.99, step=1)
    assert float(averaged["w"]) == pytest.approx(9 / 11)
    assert int(averaged["n"]) == 5
