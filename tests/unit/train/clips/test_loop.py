import dataclasses
import json
import os
import signal
from contextlib import contextmanager
from itertools import pairwise

import pytest
import torch
from tests.unit.train.clips.small_run import are_equal, largest_difference, small, weights_of

from gesta.schema import BadInput, GestaError, Refused
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.batches import clip_batches
from gesta.train.clips.checkpoints import clip_model_of, load_clip_checkpoint
from gesta.train.clips.loop import Saving, run_train_clips
from gesta.train.clips.recipe import SpikeRule
from gesta.train.clips.stops import Interrupted


class Cut(Exception):
    pass


def lines_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def train(clips, out, recipe, **call):
    return run_train_clips(clips, out=out, recipe=recipe, device="cpu", seed=3, threads=1, **call)


def test_it_learns_six_clips_by_heart(clips, tmp_path):
    recipe = small(
        epochs=25, optimiser="adamw", base_lr=3e-2, schedule="cosine", clips_per_batch=6, num_parts=1, ema_decay=0.5,
        augment=ClipAugment(crop="center", jitter_time=False, flip=False),
    )  # fmt: skip
    summary = train(clips, tmp_path, recipe, val=clips)
    epochs = [line for line in lines_of(tmp_path) if line["kind"] == "epoch"]
    assert len(epochs) == 25
    assert epochs[-1]["loss"] < 0.3 * epochs[0]["loss"]
    assert summary.kept == 6
    assert summary.numbers["val_top1"] == epochs[-1]["val_top1"]
    assert {path.name for path in tmp_path.iterdir()} >= {"model.pt", "best.pt", "log.jsonl", "train.json", "rejects"}
    assert not (tmp_path / "last.pt").exists()


def test_every_line_of_the_log_says_how_fast_it_went(clips, tmp_path):
    train(clips, tmp_path, small(), val=clips, log_every_steps=1)
    lines = lines_of(tmp_path)
    assert [line["kind"] for line in lines] == ["step", "step", "epoch"] * 2
    for line in lines:
        assert line["clips_per_s"] > 0
        assert 0 <= line["data_wait_frac"] <= 1
        assert line["mfu_frac"] > 0
    peak = json.loads((tmp_path / "train.json").read_text())["peak"]
    assert peak["tflops"] > 0
    assert peak["how"].startswith("measured: the faster of a matrix product and a convolution in float32 on CPU")


@pytest.mark.parametrize("cut_after", [2, 3])
@pytest.mark.parametrize("changes", [{}, {"optimiser": "adamw", "base_lr": 1e-3, "ema_decay": 0.9, "clip_norm": 1.0}])
def test_a_run_cut_after_any_step_ends_in_the_same_bits(twelve, tmp_path, cut_after, changes):
    recipe = small(schedule="plateau", patience=1, **changes)

    def cut(line):
        if line["step"] == cut_after + 1:
            raise Cut

    train(twelve, tmp_path / "whole", recipe, val=twelve, log_every_steps=1)
    saving = Saving(every_steps=1)
    with pytest.raises(Cut):
        train(twelve, tmp_path / "cut", recipe, val=twelve, on_step=cut, saving=saving, log_every_steps=1)
    steps = []
    train(twelve, tmp_path / "cut", recipe, val=twelve, on_step=steps.append, log_every_steps=1)
    assert [line["step"] for line in steps] == list(range(cut_after + 1, 7))
    for name in ("model.pt", "best.pt"):
        assert are_equal(weights_of(tmp_path / "whole" / name), weights_of(tmp_path / "cut" / name))
    whole, cut_lines = lines_of(tmp_path / "whole"), lines_of(tmp_path / "cut")
    for one, other in zip(whole, cut_lines, strict=True):
        assert {key: one[key] for key in ("kind", "step", "loss")} == {
            key: other[key] for key in ("kind", "step", "loss")
        }


@pytest.mark.slow
def test_workers_do_not_change_a_bit(twelve, tmp_path):
    recipe = small(epochs=1)
    train(twelve, tmp_path / "none", recipe)
    train(twelve, tmp_path / "two", recipe, num_workers=2)
    assert are_equal(weights_of(tmp_path / "none/model.pt"), weights_of(tmp_path / "two/model.pt"))


def test_threads_do_not_change_a_bit(twelve, tmp_path):
    recipe = small(epochs=1)
    for threads in (1, 2):
        run_train_clips(twelve, out=tmp_path / str(threads), recipe=recipe, device="cpu", threads=threads)
    assert are_equal(weights_of(tmp_path / "1/model.pt"), weights_of(tmp_path / "2/model.pt"))


def test_parts_have_statistics_of_their_own_and_weights_move_once(clips, tmp_path):
    for num_parts in (1, 2):
        train(clips, tmp_path / str(num_parts), small(num_parts=num_parts, clips_per_batch=6, epochs=2))
    one, two = (weights_of(tmp_path / str(num) / "model.pt") for num in (1, 2))
    counters = [name for name in one if name.endswith("num_batches_tracked")]
    assert counters
    assert all(int(one[name]) == int(two[name]) == 2 for name in counters)
    assert not are_equal(one, two)


def test_a_finished_run_is_not_run_again_and_another_one_is(clips, tmp_path):
    recipe = small(epochs=1)
    train(clips, tmp_path, recipe)
    before = (tmp_path / "model.pt").stat().st_mtime_ns
    again = train(clips, tmp_path, recipe)
    assert again.was_current
    assert again.kept == 6
    assert (tmp_path / "model.pt").stat().st_mtime_ns == before
    assert not train(clips, tmp_path, dataclasses.replace(recipe, base_lr=0.01)).was_current


def test_a_cut_run_of_something_else_is_not_thrown_away(clips, tmp_path):
    def cut(line):
        raise Cut

    with pytest.raises(Cut):
        train(clips, tmp_path, small(), on_epoch=cut)
    with pytest.raises(Refused, match=r"last\.pt: this is the checkpoint of a cut run of another recipe"):
        train(clips, tmp_path, small(base_lr=0.01))


def test_the_checkpoint_says_what_it_is(clips, tmp_path):
    recipe = small(epochs=1)
    train(clips, tmp_path, recipe)
    torch.load(tmp_path / "model.pt", weights_only=True)
    found = load_clip_checkpoint(tmp_path / "model.pt")
    assert found.class_ids == (3, 7)
    assert found.class_names == clips.class_names
    assert found.recipe == recipe
    assert found.data_sha256 == clips.sha256
    assert found.progress == {}
    assert clip_model_of(found)(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 2)


def test_a_loss_that_is_no_number_stops_and_names_the_clips(clips, tmp_path):
    with pytest.raises(
        GestaError, match=r"the (loss|gradient's norm) is .* at epoch \d, step \d \(clips clip\d.*base_lr"
    ):
        train(clips, tmp_path, small(base_lr=1e30, epochs=8))


def test_a_spike_is_skipped_and_counted(clips, tmp_path):
    # Above 0 times the median: from the third step on every step is one.
    recipe = small(epochs=3, spikes=SpikeRule(factor=1e-6, at_least=2))
    summary = train(clips, tmp_path, recipe, log_every_steps=1)
    steps = [line for line in lines_of(tmp_path) if line["kind"] == "step"]
    assert [line["is_skipped"] for line in steps] == [False, False, True, True, True, True]
    assert summary.numbers["num_skipped"] == 4
    two = small(epochs=1, spikes=SpikeRule(factor=1e-6, at_least=2))
    train(clips, tmp_path / "two", two)
    assert are_equal(weights_of(tmp_path / "model.pt"), weights_of(tmp_path / "two/model.pt"))


def test_too_many_spikes_are_refused(clips, tmp_path):
    recipe = small(epochs=9, spikes=SpikeRule(factor=1e-6, at_least=2, max_skipped=3))
    with pytest.raises(
        GestaError, match=r"4 of the last 6 steps were skipped, their loss being above .* Lower base_lr"
    ):
        train(clips, tmp_path, recipe)


def test_a_class_with_a_side_is_not_flipped(clips, tmp_path):
    with pytest.raises(BadInput, match=r"makes 'to the right' false.*flip=False"):
        train(clips, tmp_path, small(augment=ClipAugment(flip=True)))


def test_a_plateau_needs_validation_clips(clips, tmp_path):
    with pytest.raises(BadInput, match=r"lowers its rate when the validation loss no longer falls.*--val"):
        train(clips, tmp_path, small(schedule="plateau"))


def test_validation_clips_have_the_same_classes(clips, tmp_path):
    other = dataclasses.replace(clips, class_names=("a", "b"))
    with pytest.raises(BadInput, match="other classes"):
        train(clips, tmp_path, small(), val=other)


def test_max_steps_ends_a_run_early(clips, tmp_path):
    summary = train(clips, tmp_path, small(epochs=9, max_steps=3), val=clips)
    assert summary.numbers["steps"] == 3
    assert [line["step"] for line in lines_of(tmp_path) if line["kind"] == "epoch"] == [2, 3]


def test_float16_scales_its_loss(clips, tmp_path):
    train(clips, tmp_path, small(precision="float16", epochs=1))
    assert all(torch.isfinite(value).all() for value in weights_of(tmp_path / "model.pt").values())


def test_bfloat16_learns(clips, tmp_path):
    recipe = small(precision="bfloat16", epochs=1, spikes=SpikeRule(factor=0))
    train(clips, tmp_path, recipe)
    assert all(torch.isfinite(value).all() for value in weights_of(tmp_path / "model.pt").values())


def test_saving_memory_does_not_change_a_bit(clips, tmp_path):
    for saves in (False, True):
        train(clips, tmp_path / str(saves), small(model="i3d_small", epochs=1, saves_memory=saves))
    assert are_equal(weights_of(tmp_path / "False/model.pt"), weights_of(tmp_path / "True/model.pt"))


def test_weights_of_another_task_are_taken_but_for_the_last_layer(clips, tmp_path):
    train(clips, tmp_path / "first", small(epochs=1))
    other = dataclasses.replace(clips, class_ids=(1, 2), class_names=("a", "b"), sha256="0" * 64)
    seen = []
    recipe = small(epochs=1, base_lr=1e-9, weight_decay=0.0)
    train(other, tmp_path / "second", recipe, start=tmp_path / "first/model.pt", on_step=seen.append)
    first, second = (weights_of(tmp_path / name / "model.pt") for name in ("first", "second"))
    kernels = [name for name in first if name.endswith(("0.weight", "3.weight"))]
    assert kernels
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in kernels)
    assert not torch.allclose(first["9.weight"], second["9.weight"], atol=1e-3)
    assert len(seen) == 2


def test_the_rate_falls_as_the_recipe_says(clips, tmp_path):
    rates = []
    train(clips, tmp_path, small(epochs=4, milestones=(1, 3)), on_step=lambda line: rates.append(line["lr"]))
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.005, 0.005, 0.0005, 0.0005])
    assert all(one >= other for one, other in pairwise(rates))


def test_a_stop_that_ended_the_decoders_too_is_still_written(clips, tmp_path, monkeypatch):
    class Prepared:
        def __init__(self, inner):
            self.inner = inner

        def __next__(self):
            if (tmp_path / "out/log.jsonl").exists() and steps:
                os.kill(os.getpid(), signal.SIGTERM)
                raise GestaError("a process that decodes clips died")
            return next(self.inner)

    @contextmanager
    def batches(*args, **call):
        with clip_batches(*args, **call) as inner:
            yield Prepared(inner)

    steps = []
    monkeypatch.setattr("gesta.train.clips.loop.clip_batches", batches)
    with pytest.raises(Interrupted, match="stopped by signal 15 after step 1 of 4"):
        train(clips, tmp_path / "out", small(), on_step=steps.append)
    assert (tmp_path / "out/last.pt").is_file()


def test_sharded_weights_want_full_batches_and_no_average(clips, tmp_path):
    with pytest.raises(BadInput, match="a batch of 3 clips has fewer than 2 for each of 2 parts"):
        train(clips, tmp_path, small(sharding="fsdp"))
    with pytest.raises(BadInput, match="sharded weights are not averaged"):
        train(clips, tmp_path, small(sharding="fsdp", ema_decay=0.9))


def test_one_process_shards_to_itself_and_ends_with_the_same_weights(clips, tmp_path):
    recipe = small(clips_per_batch=6, optimiser="adamw", base_lr=1e-3, clip_norm=0.5)
    train(clips, tmp_path / "whole", recipe)
    train(clips, tmp_path / "sharded", dataclasses.replace(recipe, sharding="fsdp"))
    whole, sharded = (weights_of(tmp_path / name / "model.pt") for name in ("whole", "sharded"))
    # The gradient's norm is summed over another order of the kernels in memory.
    assert largest_difference(whole, sharded) <= 1e-5
