"""`benchmarks.ava`: forms that compute the same, what is lacking, and a whole small run."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from benchmarks import ava as benchmark
from benchmarks import ava_nets
from benchmarks.ava_nets import (
    LAYOUTS,
    AvaForm,
    Detector,
    built_apart,
    detectors,
    in_form,
    laid_out,
    prepared_batches,
    score_step,
)
from benchmarks.train_floors import Rates
from torch import nn

from gesta.models import TrunkSpec
from gesta.models.person_heads import PersonHead
from gesta.models.person_model import PersonModel, build_person_model


def small() -> PersonModel:
    spec = TrunkSpec(name="slowfast_small", lineage="pyslowfast")
    return build_person_model(spec, PersonHead(grid=3), num_classes=5, num_frames=4, crop_px=16)


def detector(*, peer: bool = True, ours: object = small) -> Detector:
    return Detector(
        name="slowfast_small", lineage="pyslowfast", num_frames=4, crop_px=16, clips_per_batch=2, ours=ours,
        peer=small if peer else None,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ava_nets, "NUM_BATCHES", 2)


def test_every_form_computes_the_same() -> None:
    prepared = prepared_batches(detector(), num_clips=2, device="cpu")
    base = built_apart(small, prepared[0], device="cpu").eval()
    want = score_step(base, prepared, is_compiled=False, precision="float32")(0)
    assert want.shape == (2 * ava_nets.BOXES_PER_CLIP, 5)
    for form in [*(AvaForm(layout=layout) for layout in LAYOUTS), AvaForm(layout="factored", is_folded=True)]:
        model = in_form(built_apart(small, prepared[0], device="cpu").eval(), form, precision="float32")
        batches = laid_out(prepared, form, precision="float32")
        got = score_step(model, batches, is_compiled=False, precision="float32")(0)
        assert benchmark.off_by(got, want) < benchmark.TOLERANCE["float32"], form
        assert any(isinstance(part, nn.BatchNorm3d) for part in model.modules()) is not form.is_folded


def test_a_form_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = benchmark.Bench(detector(), device="cpu", precision="float32", turn=0.01)

    def wrong(model: nn.Module, form: AvaForm, *, precision: str) -> nn.Module:
        if form.layout == "factored":
            nn.init.zeros_(model.trunk.fast.stem.conv.weight)
        return in_form(model, form, precision=precision)

    monkeypatch.setattr(benchmark, "in_form", wrong)
    assert bench.fastest(is_training=True, tries_compile=False).layout != "factored"
    (row,) = [row for row in bench.rows if "refused" in row]
    assert row["form"] == "factored, eager"
    assert "clips_per_s" not in row
    assert math.isinf(benchmark.off_by(torch.tensor([[math.nan]]), torch.ones(1, 1)))


def test_a_detector_is_measured_from_check_to_row() -> None:
    rates = Rates(flops_per_s=1e12, bytes_per_s=1e11)
    found = benchmark._fitting(
        detector(), device="cpu", precision="float32", turn=0.01, seconds=0.0, tries_compile=False, rates=rates
    )
    (trained,), (scored,) = found["training"], found["scoring"]
    for row in (trained, scored):
        assert row["over_peer"] == pytest.approx(row["gesta_clips_per_s"] / row["peer_clips_per_s"])
        assert row["mfu_of_measured_peak"] == pytest.approx(row["gesta_clips_per_s"] * row["gflop_per_clip"] / 1e3)
    assert trained["gflop_per_clip"] == pytest.approx(3 * scored["gflop_per_clip"])
    assert trained["kept_mib"] > 0
    assert sum(row.get("taken", False) for row in found["forms"]) == 2
    assert {row["form"] for row in found["forms"]} == {
        "contiguous, eager", "channels_last_3d, eager", "factored, eager", "factored, eager, folded"
    }  # fmt: skip


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def tight(bench: benchmark.Bench, **_: object) -> dict[str, object]:
        tried.append(bench.detector.clips_per_batch)
        if bench.detector.clips_per_batch > 1:
            raise torch.OutOfMemoryError
        return {"detector": "slowfast_small"}

    monkeypatch.setattr(benchmark, "measured", tight)
    found = benchmark._fitting(detector(peer=False), device="cpu", precision="float32", turn=0.01)
    assert tried == [2, 1, 1]
    assert found["training"] == found["scoring"]
    monkeypatch.setattr(benchmark, "measured", partial(_never, tried))
    found = benchmark._fitting(detector(), device="cpu", precision="float32", turn=0.01)
    assert found["forms"][0]["refused"] == "the device cannot hold one clip"


def _never(tried: list[int], bench: benchmark.Bench, **_: object) -> None:
    raise torch.OutOfMemoryError


def test_each_network_is_measured_in_both_lineages_at_avas_sizes() -> None:
    found = detectors(is_large=True, checkouts={})
    assert [(each.name, each.lineage, each.clip_shape) for each in found] == [
        ("slowfast_r50_8x8", "pyslowfast", (3, 32, 224, 224)),
        ("slowfast_r50_8x8", "mmaction2", (3, 32, 256, 256)),
        ("slowfast_r50_4x16", "pyslowfast", (3, 32, 224, 224)),
        ("slowfast_r50_4x16", "mmaction2", (3, 32, 256, 256)),
        ("slow_only_r50_4x16", "pyslowfast", (3, 4, 224, 224)),
        ("slow_only_r50_4x16", "mmaction2", (3, 4, 256, 256)),
    ]
    assert not any(each.peer for each in found)


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    options = benchmark.arguments(["--peer-pyslowfast", str(tmp_path)])
    found, lacking = benchmark.usable_peers(options)
    assert found == {}
    assert lacking[0].startswith("pyslowfast: ModuleNotFoundError: ")
    assert lacking[1] == "mmaction2: give --peer-mmaction2, a checkout"


def test_a_run_writes_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    monkeypatch.setattr(benchmark, "measure_rates", lambda **_: Rates(flops_per_s=1e12, bytes_per_s=1e11))
    monkeypatch.setattr(benchmark, "detectors", lambda **_: [detector(peer=False)])
    monkeypatch.setattr(benchmark, "measure_all", partial(benchmark.measure_all, turn=0.01))
    benchmark.main(["--device", "cpu", "--seconds", "0", "--threads", "1", "--results", str(tmp_path)])
    (path,) = tmp_path.glob("ava_*core-cpu_*.json")
    result = json.loads(path.read_text())
    assert [row["form"] for row in result["forms"] if row.get("taken")] == [
        result["training"][0]["form"], result["scoring"][0]["form"]
    ]  # fmt: skip
    assert result["rates"][0]["precision"] == "float32"
    assert len(result["lacking"]) == 2
    assert "over_peer" not in result["training"][0]
