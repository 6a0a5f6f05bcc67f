"""The parts of `benchmarks.train` that do not time anything: counts, limits, refusals, the order of a race."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import train as benchmark
from benchmarks import train_precision, train_steps
from benchmarks.train_feed import (
    PlainVideos,
    last_readings,
    measure_feeds,
    prepared_clips,
    shown_often,
    write_clips,
)
from benchmarks.train_floors import Rates, Work, limits, work_of
from benchmarks.train_nets import Net, nets
from benchmarks.train_precision import Drift, Kernel, rounding_as_bfloat16, step_drift, try_kernels, verdict
from benchmarks.train_steps import PLAIN, Form, race, step_of, synthetic_batches
from torch import Tensor, nn
from torch.nn import functional

from gesta.models import MODELS
from gesta.train.clips import ClipFrames

CLIP = (3, 4, 6, 6)


class Tiny(nn.Module):
    """A convolution, a norm, a pool and a product: as little as has every part that is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(8)
        self.pool = nn.MaxPool3d(2)
        self.classify = nn.Linear(8, 5)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        x_BDthw = self.pool(functional.relu(self.norm(self.conv(clip_BCTHW))))
        return self.classify(x_BDthw.mean(dim=(2, 3, 4)))


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return Tiny()


@pytest.fixture(autouse=True)
def no_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its bfloat16 gradients are wrong on some processors; these tests are about the comparison.
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


def test_work_is_what_a_hand_count_gives() -> None:
    work = work_of(tiny, clip_shape=CLIP)
    voxels = 4 * 6 * 6
    conv, product = 2 * 8 * 3 * 27 * voxels, 2 * 8 * 5
    # No gradient is asked for towards the clip itself: the convolution runs twice, the product three times.
    assert work.flops == 2 * conv + 3 * product
    forward = (3 + 8) * voxels + 3 * 8 * voxels + (8 + 1) * voxels
    assert work.moved_elements == 3 * forward
    assert work.moved_bytes("bfloat16") == 2 * work.moved_elements
    assert work.num_params == 3 * 8 * 27 + 16 + 45


def test_limits_add_up_as_times() -> None:
    found = limits(
        Work(num_params=1, flops=2e9, moved_elements=5e8),
        Rates(flops_per_s=1e12, bytes_per_s=1e11),
        precision="float32",
    )
    assert found["limit_compute"] == pytest.approx(500)
    assert found["limit_traffic"] == pytest.approx(50)
    assert 1 / found["limit_no_overlap"] == pytest.approx(1 / 500 + 1 / 50)


def test_a_number_that_is_none_is_refused() -> None:
    assert Drift(loss=math.nan, gradient=0.0, rounding=0.1).problem() is not None
    assert Drift(loss=0.0, gradient=math.nan, rounding=0.1).problem() is not None
    assert Drift(loss=0.0, gradient=0.1, rounding=0.1).problem() is None
    assert "from rounding" in str(Drift(loss=0.0, gradient=0.3, rounding=0.1).problem())


def test_the_verdict_names_wrong_and_slow_convolutions() -> None:
    kernels = [
        Kernel(place="a", error=0.002, bfloat16_s=1.0, float32_s=2.0),
        Kernel(place="b", error=math.nan, bfloat16_s=1.0, float32_s=2.0),
        Kernel(place="c", error=0.002, bfloat16_s=3.0, float32_s=2.0),
    ]
    found = verdict(kernels)
    assert found["wrong"] == "b (nan)"
    assert found["slower_than_float32"] == "c (1.5 x)"
    assert verdict(kernels[:1])["wrong"] == "none"


def test_right_kernels_drift_no_further_than_rounding() -> None:
    prepared = synthetic_batches(CLIP, num_clips=4, num_classes=5, device="cpu")
    model = tiny().train()
    assert verdict(try_kernels(model, prepared[0][0]))["wrong"] == "none"
    drift = step_drift(model, *prepared[0])
    assert drift.problem() is None
    assert 0 < drift.rounding < 0.2


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = functional.conv3d

    def wrong(x: Tensor, weight: Tensor, *rest: object) -> Tensor:
        out: Tensor = right(x, weight, *rest)  # type: ignore[arg-type]
        return out * 1.1 if x.dtype == torch.bfloat16 else out

    monkeypatch.setattr(train_precision.functional, "conv3d", wrong)
    prepared = synthetic_batches(CLIP, num_clips=2, num_classes=5, device="cpu")
    assert verdict(try_kernels(tiny(), prepared[0][0]))["wrong"].startswith("conv (0.")


def test_rounding_leaves_the_model_as_it_was() -> None:
    model, prepared = tiny().eval(), synthetic_batches(CLIP, num_clips=2, num_classes=5, device="cpu")
    before = [weight.clone() for weight in model.parameters()]
    plain = model(prepared[0][0])
    with rounding_as_bfloat16(model):
        rounded = model(prepared[0][0])
    assert not torch.equal(plain, rounded)
    assert torch.equal(rounded, rounded.to(torch.bfloat16).float())
    assert torch.equal(model(prepared[0][0]), plain)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_step_of_any_form_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_steps, "NUM_BATCHES", 2)
    prepared = synthetic_batches(CLIP, num_clips=4, num_classes=5, device="cpu")
    weights = []
    for form in (PLAIN, Form(layout="channels_last_3d", is_compiled=False)):
        model = tiny().to(memory_format=form.memory_format).train()
        step = step_of(model, benchmark.our_optimiser(model), prepared, form=form, precision="float32")
        for number in range(3):
            step(number)
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    assert not torch.equal(weights[0], torch.cat([weight.detach().flatten() for weight in tiny().parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)


def test_a_race_goes_round_and_lasts_as_long_as_it_may() -> None:
    order: list[str] = []
    ticks = itertools.count()
    found = race(
        {"a": lambda _: order.append("a"), "b": lambda _: order.append("b")},
        seconds=5, device="cpu", clock=lambda: float(next(ticks)), turn=0.0,
    )  # fmt: skip
    assert len(found["a"]) == len(found["b"]) == 7  # three at least, then one a tick from the second on
    assert "".join(order[-14:]) == "abba" * 3 + "ab"


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    found, lacking = nets(is_large=False, peer_i3d=None, peer_pytorchvideo=None)
    assert [net.name for net in found] == ["i3d", "r3d_18"]
    assert len(lacking) == 2
    found, lacking = nets(is_large=False, peer_i3d=tmp_path, peer_pytorchvideo=tmp_path)
    assert [net.name for net in found] == ["i3d", "r3d_18", "slow_r50"]
    assert not lacking


def test_one_network_is_measured_from_check_to_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "NUM_CLASSES", 5)
    net = Net(
        name="tiny", model=None, frames=ClipFrames(num_frames=4, side_px=8, crop_px=6), clips_per_batch=4,
        ours=tiny, peer=tiny, peer_name="the same, plainly",
    )  # fmt: skip
    assert net.clip_shape == CLIP
    found = benchmark.measure_net(net, device="cpu", precision="bfloat16", seconds=0.0, tries_compile=False, turn=0.01)
    assert found["row"]["precision"] == "bfloat16"
    assert [row["verdict"] for row in found["precisions"]] == ["bfloat16 taken"] * 2
    assert sum(row["taken"] for row in found["forms"]) == 1
    assert len(found["profile"]) == 8
    assert 0 < sum(row["share"] for row in found["profile"]) <= 1
    rates = Rates(flops_per_s=1e12, bytes_per_s=1e11)
    row = benchmark.with_floors(found["row"], net, rates=rates, device_name="NVIDIA H200")
    reached = row["gesta_clips_per_s"] * work_of(tiny, clip_shape=CLIP).flops
    assert row["mfu_of_measured_peak"] == pytest.approx(reached / 1e12)
    assert row["mfu_of_datasheet"] == pytest.approx(reached / 989e12, rel=0.01)


def test_a_log_is_read_behind_its_first_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [(1.0, 0.9), (2.0, 0.8), (10.0, 0.1), (30.0, 0.3), (20.0, 0.2)]
    lines = [
        {"kind": "step", "clips_per_s": rate, "data_wait_frac": wait, "mfu_frac": rate / 100} for rate, wait in rows
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"kind": "epoch", "clips_per_s": 5.0}]))
    found = last_readings(log, num_left_out=2)
    assert found == pytest.approx({"clips_per_s": 20.0, "data_wait_frac": 0.2, "mfu_frac": 0.2})
    with pytest.raises(ValueError, match="no step behind the first 5"):
        last_readings(log, num_left_out=5)


def test_textures_are_clips_that_are_prepared_and_read(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "videos", num_videos=2, seconds=0.4, num_classes=2, num_workers=1)
    frames = ClipFrames(num_frames=4, side="short", side_px=32, crop_px=28)
    made = prepared_clips(clips, tmp_path / "cache", form="uint8", frames=frames, num_workers=0)
    assert made["mb_per_clip"] == pytest.approx(10 * 32 * 42 * 3 / 1e6, rel=0.05)
    shown = shown_often(made["clips"], num=5)
    assert len({example.clip_id for example in shown.examples}) == 5
    assert [example.label for example in shown.examples] == [0, 1, 0, 1, 0]
    clip_CTHW, label = PlainVideos(clips, frames=frames)[1]
    assert clip_CTHW.shape == (3, 4, 28, 28)
    assert label == 1
    assert -1 <= float(clip_CTHW.min()) < float(clip_CTHW.max()) <= 1


def test_the_result_is_written_after_each_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(
        name="tiny", model=None, frames=ClipFrames(num_frames=4, side_px=8, crop_px=6), clips_per_batch=4,
        ours=tiny, peer=None, peer_name="",
    )  # fmt: skip
    measure_net, written = benchmark.measure_net, []

    def stopped_at_the_second(net: Net, **settings: Any) -> dict[str, Any]:
        written.append(len(list(tmp_path.glob("*.json"))))
        if len(written) == 2:
            raise KeyboardInterrupt
        return measure_net(net, **settings, turn=0.01)

    options = argparse.Namespace(
        seconds=0.0, device="cpu", precision="float32", compile="no", fed="no", only=None, results=tmp_path, threads=1,
        workers=1, peer_i3d=None, peer_pytorchvideo=None,
    )  # fmt: skip
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    monkeypatch.setattr(benchmark, "NUM_CLASSES", 5)
    monkeypatch.setattr(benchmark, "arguments", lambda: options)
    monkeypatch.setattr(benchmark, "nets", lambda **_: ([net, net], ["a peer"]))
    monkeypatch.setattr(benchmark, "measure_net", stopped_at_the_second)
    monkeypatch.setattr(benchmark, "measure_rates", lambda **_: Rates(flops_per_s=1e12, bytes_per_s=1e11))
    with pytest.raises(KeyboardInterrupt):
        benchmark.main()
    assert written == [0, 1]
    (path,) = tmp_path.glob("train_*core-cpu_*.json")
    result = json.loads(path.read_text())
    assert result["lacking"] == ["a peer"]
    assert [row["model"] for row in result["compute"]] == ["tiny"]
    assert result["compute"][0]["peer"] == "none given"
    assert "fed" not in result


def test_a_network_is_fed_in_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny_of_the_benchmark", lambda *, num_classes: tiny())
    clips = write_clips(tmp_path / "videos", num_videos=2, seconds=0.4, num_classes=5, num_workers=1)
    net = Net(
        name="tiny", model="tiny_of_the_benchmark", clips_per_batch=2, ours=tiny, peer=None, peer_name="",
        frames=ClipFrames(num_frames=4, side="short", side_px=32, crop_px=28),
    )  # fmt: skip
    rows = measure_feeds(
        net, clips, tmp_path / "fed", is_compiled=False, precision="float32", clips_per_s=1.0, device="cpu",
        num_workers=0, seconds=0.1,
    )  # fmt: skip
    assert [row["files"].split()[-1] for row in rows] == ["uint8", "short-gop", "are"]
    assert all(row["clips_per_s"] > 0 and 0 < row["data_wait_frac"] <= 1 for row in rows)
    assert all(row["batches_alone_clips_per_s"] > 0 and row["mfu_frac"] > 0 for row in rows[:2])


def test_what_is_no_number_is_written_as_a_word() -> None:
    assert [benchmark._rounded(value) for value in (math.inf, math.nan, 1.23456, 7, "a")] == [
        "inf",
        "nan",
        1.235,
        7,
        "a",
    ]
