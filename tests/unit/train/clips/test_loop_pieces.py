import gc
import os
import signal
import sys
import threading
import types

import pytest
import torch
from tests.unit.train.clips.small_run import MODELS, small, tiny
from torch import nn

from gesta.models import SeededDropout
from gesta.schema import BadInput
from gesta.train.clips.averaging import averaged_weights, begin_average, move_average
from gesta.train.clips.checkpoints import FORMAT, is_clip_checkpoint, load_clip_checkpoint
from gesta.train.clips.compiling import as_it_is, choose_forward, time_both
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.gradients import can_be_copied, make_copies
from gesta.train.clips.logs import open_log, read_log
from gesta.train.clips.loop import run_train_clips
from gesta.train.clips.processes import Crew, joined_crew
from gesta.train.clips.setup import to_channels_last
from gesta.train.clips.speed import Meter, Peak, peak_of, train_flops
from gesta.train.clips.stops import stop_signals

SPEEDS = {"clips_per_s": 1.0, "data_wait_frac": 0.0, "mfu_frac": 0.1}


def line(step, **more):
    return {"kind": "step", "step": step, "loss": 1.0, **SPEEDS, **more}


def test_a_log_goes_on_behind_the_step_it_was_cut_at(tmp_path):
    with open_log(tmp_path, last_step=0, is_first=True) as write:
        for step in (1, 2, 3):
            write(line(step))
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"kind": "step", "st')
    assert [each["step"] for each in read_log(tmp_path / "log.jsonl")] == [1, 2, 3]
    with open_log(tmp_path, last_step=2, is_first=True) as write:
        write(line(3, loss=2.0))
    assert [(each["step"], each["loss"]) for each in read_log(tmp_path / "log.jsonl")] == [(1, 1), (2, 1), (3, 2)]


def test_a_line_without_speeds_is_our_own_mistake(tmp_path):
    with (
        open_log(tmp_path, last_step=0, is_first=True) as write,
        pytest.raises(ValueError, match=r"without .'mfu_frac'"),
    ):
        write({"kind": "step", "step": 1, "clips_per_s": 1.0, "data_wait_frac": 0.0})


def test_only_the_first_process_writes(tmp_path):
    with open_log(tmp_path, last_step=0, is_first=False) as write:
        write(line(1))
    assert not (tmp_path / "log.jsonl").exists()


def test_numbers_go_to_tensorboard_where_it_is(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setattr("gesta.train.clips.logs.importlib.util.find_spec", lambda _name: object())
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    with open_log(tmp_path, last_step=4, is_first=True) as write:
        write(line(5))
    assert written[0] == (str(tmp_path / "tb"), 4)
    assert ("step/mfu_frac", 0.1, 5) in written
    assert written[-1] == "closed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with stop_signals() as request:
        assert request.signal_number == 0
        os.kill(os.getpid(), number)
        assert request.signal_number == number
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_in_another_thread_no_signal_is_noted():
    found = []

    def work():
        with stop_signals() as request:
            found.append(request.signal_number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0]


def test_parts_are_shared_out_evenly_or_not_at_all():
    with pytest.raises(BadInput, match="3 parts of a batch cannot be shared out evenly among 2 processes"):
        Crew(size=2).own_parts(3)


def test_a_process_alone_sums_nothing():
    with joined_crew("cpu", environment={}) as crew:
        assert crew == Crew()
        assert crew.sum_numbers([1.0, 2.0]) == [1.0, 2.0]
        assert crew.gather(["a"]) == ["a"]


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(BadInput, match="process 1 of this machine has no GPU: torch sees 1"),
        joined_crew("cuda", environment={"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}),
    ):
        pass


def test_copies_are_made_where_all_chance_is_ours():
    assert can_be_copied(tiny(num_classes=2))
    assert not can_be_copied(nn.Sequential(nn.Dropout(0.5)))
    assert len(make_copies(tiny(num_classes=2), num_parts=4, threads=3, device="cpu")) == 3
    assert len(make_copies(tiny(num_classes=2), num_parts=4, threads=3, device="cuda")) == 1
    assert len(make_copies(nn.Sequential(nn.Dropout(0.5)), num_parts=4, threads=3, device="cpu")) == 1


def test_foreign_dropout_draws_the_same_at_any_number_of_threads(clips, tmp_path, monkeypatch):
    def foreign(*, num_classes):
        model = tiny(num_classes=num_classes)
        return nn.Sequential(*(nn.Dropout(0.3) if isinstance(part, SeededDropout) else part for part in model))

    monkeypatch.setitem(MODELS, "foreign", foreign)
    recipe = small(model="foreign", epochs=1, clips_per_batch=6)
    losses = []
    for threads in (1, 2):
        run_train_clips(
            clips, out=tmp_path / str(threads), recipe=recipe, device="cpu", threads=threads,
            on_step=lambda each: losses.append(each["loss"]),
        )  # fmt: skip
    assert losses[0] == losses[1]


def test_the_average_moves_and_is_taken_off_again():
    model = tiny(num_classes=2)
    averaged = begin_average(model)
    own = begin_average(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1
    moved = begin_average(model)
    move_average(averaged, model.state_dict(), decay=0.5, step=1000)
    assert torch.allclose(averaged["9.weight"], own["9.weight"] + 0.5)
    with averaged_weights(model, averaged):
        assert torch.equal(model.state_dict()["9.weight"], averaged["9.weight"])
    assert all(torch.equal(moved[name], value) for name, value in model.state_dict().items())


def test_operations_of_a_model_are_counted_both_ways():
    frames = ClipFrames(num_frames=4, crop_px=32)
    found = train_flops("tiny", num_classes=2, frames=frames)
    first, second, last = 2 * 4 * 16 * 16 * 3 * 6 * 27, 2 * 2 * 8 * 8 * 6 * 8 * 27, 2 * 8 * 2
    # The first layer's input wants no gradient: two passes for it, three for the others.
    assert found == 2 * first + 3 * second + 3 * last


def test_a_peak_of_a_known_card_is_its_data_sheets(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA H200")
    peak = peak_of("cuda", precision="bfloat16")
    assert peak == Peak(flops_per_s=989e12, how="data sheet of NVIDIA H200, bfloat16")


@pytest.mark.parametrize(
    ("ticks", "flops_per_s"),
    [((0.0, 1.0, 2.0, 12.0), 2 * 512**3), ((0.0, 10.0, 12.0, 13.0), 2 * 9 * 4 * 28**2 * 128**2)],
    ids=["the product is faster", "the convolution is faster"],
)
def test_a_peak_of_a_processor_is_that_of_the_faster_kernel(ticks, flops_per_s):
    clock = iter(ticks)
    peak = peak_of("cpu", precision="float32", clock=lambda: next(clock))
    assert peak.flops_per_s == flops_per_s
    assert peak.how.startswith("measured: the faster of a matrix product and a convolution in float32 on CPU")


def test_a_reading_is_clips_a_second_wait_and_share_of_the_peak():
    meter = Meter(flops_per_clip=10.0, peak=Peak(flops_per_s=100.0, how=""), num_devices=2)
    meter.add(num_clips=8, waited_s=0.5, spent_s=2.0)
    assert meter.reading() == {"clips_per_s": 4.0, "data_wait_frac": 0.25, "mfu_frac": 0.2}
    meter.reset()
    assert meter.reading()["clips_per_s"] == 0


def test_compiling_is_timed_and_leaves_the_model_alone():
    model = tiny(num_classes=2).train()
    before = begin_average(model)
    ticks = iter([0.0, 1.0, 6.0, 10.0, 12.0, 13.0])
    seconds = time_both(
        model, recipe=small(), num_clips=2, device="cpu", precision="float32", clock=lambda: next(ticks),
        compiled=as_it_is,
    )  # fmt: skip
    assert seconds == {"plain_step_s": 1.0, "compiled_step_s": 0.2}
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(("asked", "expected"), [("auto", False), ("off", False), ("on", True)])
def test_on_a_processor_only_on_compiles(asked, expected):
    found = choose_forward(
        tiny(num_classes=2), recipe=small(compile=asked), num_clips=2, device="cpu", precision="float32"
    )  # fmt: skip
    assert found == (expected, {})


def test_kernels_lie_with_their_channels_last():
    model = tiny(num_classes=2)
    to_channels_last(model)
    assert model[3].weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nonsense")
    torch.save({"format": "gesta-roi-1"}, tmp_path / "roi.pt")
    with pytest.raises(BadInput, match=r"x\.pt: this is no checkpoint"):
        load_clip_checkpoint(tmp_path / "x.pt")
    with pytest.raises(BadInput, match="format 'gesta-roi-1', want 'gesta-clip-1'"):
        load_clip_checkpoint(tmp_path / "roi.pt")
    with pytest.raises(BadInput, match="there is no such checkpoint"):
        load_clip_checkpoint(tmp_path / "none.pt")
    assert FORMAT == "gesta-clip-1"
    assert not is_clip_checkpoint(tmp_path / "x.pt")
    assert not is_clip_checkpoint(tmp_path / "roi.pt")


def test_no_tensor_stays_behind_a_step(twelve, tmp_path):
    counts = []

    def count(_line):
        gc.collect()
        counts.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))

    recipe = small(epochs=5, optimiser="adamw", base_lr=1e-3, ema_decay=0.9)
    # What other tests left behind is not looked at: in a long run those are millions of things.
    gc.freeze()
    try:
        run_train_clips(twelve, out=tmp_path, recipe=recipe, val=twelve, device="cpu", threads=1, on_step=count)
    finally:
        gc.unfreeze()
    assert min(counts) > 0
    assert len(counts) == 15
    assert max(counts[6:]) <= max(counts[2:6])
