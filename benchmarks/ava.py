"""How fast detectors of actions train and score at AVA's sizes: ours against PySlowFast's and MMAction2's own code.

For SlowFast R50 8x8, SlowFast R50 4x16 and SlowOnly R50 4x16, each with its lineage's plain RoI head:

- Our forms (layout of memory, convolutions in two or three dimensions, eager or compiled; for scoring also norms
  folded into convolutions and weights cast once) are each compared with float32 first and refused where they compute
  something else; each is timed and the fastest is taken.
- Then ours and the peer's (its own network from its AVA config, contiguous, eager, as its program runs it) take turns
  in interleaved rounds: the same device, precision, batch, clips and cuDNN settings; training with the optimiser.
- Beside it: arithmetic and traffic of the network over the device's own measured rates, the share of the measured peak
  (MFU), and memory.

Clips lie on the device. On a processor the clips are small (112 px, one a batch) and the numbers serve ratios only.

Peers: `--peer-pyslowfast` is a checkout of github.com/facebookresearch/SlowFast, `--peer-mmaction2` one of
github.com/open-mmlab/mmaction2; `--site` is a folder with packages that they need (mmengine, mmcv-lite, fvcore, iopath,
yacs, pytorchvideo) and that are not installed; it may be given several times. A file COMMIT in a checkout may say which
commit it is.

Run: python -m benchmarks.ava [--seconds 600] [--peer-pyslowfast DIR] [--peer-mmaction2 DIR] [--site DIR]
"""

from __future__ import annotations

import argparse
import copy
import datetime
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import ava_peers
from benchmarks.ava_nets import (
    CROPS,
    LAYOUTS,
    AvaForm,
    Detector,
    OnePersonEach,
    built_apart,
    detectors,
    in_form,
    laid_out,
    prepared_batches,
    score_step,
    smaller,
    train_step,
)
from benchmarks.train import BUSY_LOAD, _rounded, _rounded_row, hardware_of, print_table, say
from benchmarks.train_floors import Rates, limits, measure_rates, synchronise, work_of
from benchmarks.train_peers import commit_of, plain_optimiser
from benchmarks.train_steps import ROUND_S, Step, our_optimiser, race, spread, steps_a_turn, turn_s
from gesta.tables import write_json
from gesta.train.devices import pick_device, pick_precision

RESULTS = Path(__file__).parent / "results"
WHAT = "detectors of actions at AVA's sizes, trained and scored, ours against other people's in the same run"
HOW_TO_READ = (
    "`training` and `scoring`: clips a second, medians of interleaved rounds on clips that lie on the device, both "
    "sides in one precision, batch and cuDNN settings; over_peer is ours over the peer's. limit_* are the network's "
    "arithmetic and activation traffic over the device's own measured rates, limit_no_overlap both one after another. "
    "MFU is the arithmetic done over the measured peak. kept_mib is what a training step keeps for its way back, "
    "*_peak_mib what the device held at most. `forms`: every form of ours that was tried; off_by is the largest "
    "difference of its logits from float32's, relative to the largest logit."
)
TOLERANCE = {"float32": 1e-3, "bfloat16": 1e-1}
"""The largest `off_by` of a form that is taken. Source: ours; bfloat16 has 8 bits and is rounded 50 times in a row."""


def off_by(got_NK: Tensor, want_NK: Tensor) -> float:
    """The largest difference over the largest value; infinite where a number is none."""
    if not bool(torch.isfinite(got_NK).all()):
        return float("inf")
    return float((got_NK - want_NK).abs().max() / want_NK.abs().max())


def candidates(*, is_training: bool, tries_compile: bool) -> list[AvaForm]:
    """The forms of ours that are tried."""
    found = [AvaForm(layout=layout) for layout in LAYOUTS]
    if tries_compile:
        found += [AvaForm(layout=layout, is_compiled=True) for layout in LAYOUTS[1:]]
    if not is_training:
        found.append(AvaForm(layout="factored", is_folded=True))
        if tries_compile:
            found += [AvaForm(layout=layout, is_folded=True, is_compiled=True) for layout in LAYOUTS[1:]]
    return found


class Bench:
    """One detector on one device: what is the same for all that is measured of it."""

    def __init__(self, detector: Detector, *, device: str, precision: str, turn: float) -> None:
        self.detector, self.device, self.precision, self.turn = detector, device, precision, turn
        self.prepared = prepared_batches(detector, num_clips=detector.clips_per_batch, device=device)
        self.base = built_apart(detector.ours, self.prepared[0], device=device)
        plain = in_form(copy.deepcopy(self.base), AvaForm(layout="contiguous"), precision="float32").eval()
        self.want_NK = score_step(plain, self.prepared, is_compiled=False, precision="float32")(0)
        self.rows: list[dict[str, Any]] = []

    def step_in(self, form: AvaForm, *, is_training: bool) -> Step:
        """A step of ours in that form, after its logits were compared.

        Raises:
            ArithmeticError: the form computes something else.
        """
        torch.compiler.reset()
        model = in_form(copy.deepcopy(self.base).eval(), form, precision=self.precision)
        batches = laid_out(self.prepared, form, precision=self.precision)
        score = score_step(model, batches, is_compiled=form.is_compiled, precision=self.precision)
        far = off_by(score(0), self.want_NK)
        row = {"detector": self.detector.name, "lineage": self.detector.lineage, "form": str(form), "off_by": far}
        self.rows.append(row | {"is_training": is_training})
        if not far <= TOLERANCE[self.precision]:
            self.rows[-1]["refused"] = "its logits differ from float32's"
            raise ArithmeticError(str(form))
        if not is_training:
            return _only(score)
        model.train()
        return train_step(
            model, our_optimiser(model), batches, is_compiled=form.is_compiled, precision=self.precision
        )  # fmt: skip

    def fastest(self, *, is_training: bool, tries_compile: bool) -> AvaForm:
        """The form of ours that takes most clips a second."""
        rates: dict[AvaForm, float] = {}
        for form in candidates(is_training=is_training, tries_compile=tries_compile):
            say(f"{self.detector.name}, {self.detector.lineage}, {'training' if is_training else 'scoring'}: {form}")
            try:
                step = self.step_in(form, is_training=is_training)
            except ArithmeticError:
                continue
            num_steps = steps_a_turn(step, device=self.device, turn=self.turn)
            best_s = min(turn_s(step, num_steps=num_steps, device=self.device) for _ in range(2))
            rates[form] = self.detector.clips_per_batch * num_steps / best_s
            self.rows[-1]["clips_per_s"] = rates[form]
        return max(rates, key=rates.__getitem__)

    def peer_step(self, *, is_training: bool) -> Step:
        """The peer's step: contiguous, eager."""
        assert self.detector.peer is not None
        model = built_apart(self.detector.peer, self.prepared[0], device=self.device)
        if is_training:
            model.train()
            return train_step(
                model, plain_optimiser(model), self.prepared, is_compiled=False, precision=self.precision
            )  # fmt: skip
        score = score_step(model.eval(), self.prepared, is_compiled=False, precision=self.precision)
        return _only(score)


def _only(score: Callable[[int], Tensor]) -> Step:
    """The step without what it gives."""

    def step(number: int) -> None:
        score(number)

    return step


def kept_mib(model: nn.Module, batch: tuple[Tensor, Tensor], *, precision: str) -> float:
    """What one forward pass keeps for the way back, weights left out, in MiB."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    casts = torch.autocast(batch[0].device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with casts, torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        # The result must live until all is counted, or storages are used twice.
        logits = model.train()(*batch)
    total = sum(kept.values()) / 2**20
    del logits
    return total


def peak_mib(step: Step, *, device: str) -> float | None:
    """What the device held at most during a step, in MiB; None on a processor."""
    if device != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    step(0)
    synchronise(device)
    return torch.cuda.max_memory_allocated() / 2**20


def measured(bench: Bench, *, is_training: bool, seconds: float, tries_compile: bool, rates: Rates) -> dict[str, Any]:
    """The row of one detector, trained or scored."""
    begin, detector = time.perf_counter(), bench.detector
    form = bench.fastest(is_training=is_training, tries_compile=tries_compile)
    contenders = {"gesta": bench.step_in(form, is_training=is_training)}
    bench.rows[-1]["taken"] = True
    if detector.peer is not None:
        contenders["peer"] = bench.peer_step(is_training=is_training)
    left_s = max(0.0, seconds - (time.perf_counter() - begin))
    say(f"{detector.name}, {detector.lineage}: {' against '.join(contenders)} for {left_s:.0f} s")
    rounds = race(contenders, seconds=left_s, device=bench.device, turn=bench.turn)
    clips_per_s = {name: detector.clips_per_batch * statistics.median(found) for name, found in rounds.items()}
    work = work_of(lambda: OnePersonEach(detector.ours()), clip_shape=detector.clip_shape)
    # Of three passes over the layers, scoring takes one.
    share = 1.0 if is_training else 1 / 3
    allowed = {name: limit / share for name, limit in limits(work, rates, precision=bench.precision).items()}
    row: dict[str, Any] = {
        "detector": detector.name, "lineage": detector.lineage,
        "clip": "x".join(str(size) for size in detector.clip_shape[1:]),
        "clips_per_batch": detector.clips_per_batch, "precision": bench.precision, "form": str(form),
        "gesta_clips_per_s": clips_per_s["gesta"],
    }  # fmt: skip
    if "peer" in clips_per_s:
        row |= {
            "peer": detector.lineage, "peer_clips_per_s": clips_per_s["peer"],
            "over_peer": clips_per_s["gesta"] / clips_per_s["peer"],
            "spread_frac": max(spread(found) for found in rounds.values()),
        }  # fmt: skip
    row |= {"rounds": len(rounds["gesta"]), "gflop_per_clip": work.flops * share / 1e9, **allowed}
    row["of_limit_no_overlap"] = clips_per_s["gesta"] / allowed["limit_no_overlap"]
    row["mfu_of_measured_peak"] = work.flops * share * clips_per_s["gesta"] / rates.flops_per_s
    if is_training:
        row["kept_mib"] = kept_mib(copy.deepcopy(bench.base), bench.prepared[0], precision=bench.precision)
    row |= {f"{name}_peak_mib": peak_mib(step, device=bench.device) or "not counted on a processor"
            for name, step in contenders.items()}  # fmt: skip
    return row


def measure_all(
    todo: Sequence[Detector],
    *,
    device: str,
    precision: str,
    seconds: float,
    tries_compile: bool,
    turn: float = ROUND_S,
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """The result's tables so far, after each detector, which has its share of the time that is left."""
    begin = time.perf_counter()
    say("the rates of the device")
    rates = measure_rates(device=device, precision=precision)
    tables: dict[str, list[dict[str, Any]]] = {
        "rates": [
            {"precision": precision, "matrix_tflop_per_s": rates.flops_per_s / 1e12,
             "copy_gb_per_s": rates.bytes_per_s / 1e9}
        ],
        "training": [], "scoring": [], "forms": [],
    }  # fmt: skip
    for number, detector in enumerate(todo):
        share_s = (seconds - (time.perf_counter() - begin)) / (len(todo) - number) / 2
        found = _fitting(
            detector, device=device, precision=precision, turn=turn, seconds=share_s, tries_compile=tries_compile,
            rates=rates,
        )  # fmt: skip
        for table, rows in found.items():
            tables[table] += rows
        yield tables


def _fitting(detector: Detector, *, device: str, precision: str, turn: float, **how: Any) -> dict[str, Any]:
    """The rows of one detector by table, with a batch that the device can hold of both sides."""
    while True:
        try:
            bench = Bench(detector, device=device, precision=precision, turn=turn)
            found: dict[str, Any] = {
                "training": [measured(bench, is_training=True, **how)],
                "scoring": [measured(bench, is_training=False, **how)],
            }
        except torch.OutOfMemoryError:
            if detector.clips_per_batch == 1:
                return {"forms": [{"detector": detector.name, "refused": "the device cannot hold one clip"}]}
            detector = smaller(detector)
        else:
            print_table([*found["training"], *found["scoring"]])
            return found | {"forms": bench.rows}
        finally:
            if device == "cuda":
                torch.cuda.empty_cache()


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="About how long the whole may take.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--compile", choices=("auto", "yes", "no"), default="auto", help="auto: on a GPU only.")
    parser.add_argument("--peer-pyslowfast", type=Path, help="Checkout of facebookresearch/SlowFast.")
    parser.add_argument("--peer-mmaction2", type=Path, help="Checkout of open-mmlab/mmaction2.")
    parser.add_argument("--site", type=Path, action="append", default=[], help="Folder with packages the peers need.")
    parser.add_argument("--only", help="One trunk's name; the result's file is then named after it.")
    parser.add_argument("--clips", type=int, help="Clips a batch, instead of 32 on a GPU and 1 on a processor.")
    parser.add_argument("--crop", type=int, default=112, help="Pixels on a processor.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Folder for the result.")
    parser.add_argument("--threads", type=int, default=2, help="Of torch, on a CPU.")
    return parser.parse_args(words)


def usable_peers(options: argparse.Namespace) -> tuple[dict[str, Path], list[str]]:
    """The checkouts whose code can be imported, by lineage, and what is lacking and why."""
    found, lacking = {}, []
    for lineage, checkout in (("pyslowfast", options.peer_pyslowfast), ("mmaction2", options.peer_mmaction2)):
        if checkout is None:
            lacking.append(f"{lineage}: give --peer-{lineage}, a checkout")
            continue
        try:
            ava_peers.make_importable(checkout, sites=options.site)
            if lineage == "pyslowfast":
                ava_peers.pyslowfast(checkout, name="slow_only_r50_4x16", num_frames=4)
            else:
                ava_peers.mmaction2(checkout, name="slow_only_r50_4x16")
        except (ImportError, OSError) as error:
            lacking.append(f"{lineage}: {type(error).__name__}: {error}")
        else:
            found[lineage] = checkout
    return found, lacking


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, write one JSON file, again after each detector."""
    options = arguments(words)
    begin, load = time.perf_counter(), os.getloadavg()[0]
    device = pick_device(options.device)
    if device == "cpu":
        torch.set_num_threads(options.threads)
    # Both sides get the fastest cuDNN algorithm for their shapes.
    torch.backends.cudnn.benchmark = True
    # On processors bfloat16 is emulated, or wrong (docs/results.md, training steps).
    asked = "float32" if (options.precision, device) == ("auto", "cpu") else options.precision
    precision = pick_precision(asked, device=device)
    hardware, device_name = hardware_of(device)
    checkouts, lacking = usable_peers(options)
    for line in lacking:
        say(f"lacking: {line}")
    todo = detectors(is_large=device == "cuda", checkouts=checkouts, small_px=options.crop, num_clips=options.clips)
    todo = [each for each in todo if options.only in (None, each.name)]
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    name = f"ava-{options.only}" if options.only else "ava"
    target = options.results / f"{name}_{hardware}_{date}.json"
    versions = {each: importlib.metadata.version(each) for each in ("gesta", "torch", "torchvision")}
    versions |= {lineage: commit_of(checkout) for lineage, checkout in checkouts.items()}
    if torch.version.cuda:
        versions |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    tries_compile = options.compile == "yes" or (options.compile == "auto" and device == "cuda")
    # Written after each detector: a run that is ended before its end leaves what it has found.
    for tables in measure_all(
        todo, device=device, precision=precision, seconds=options.seconds, tries_compile=tries_compile
    ):
        result = {
            "what": WHAT, "how_to_read": HOW_TO_READ, "program": "python -m benchmarks.ava", "hardware": hardware,
            "device": device_name, "processor": platform.machine(), "date": date, "load_before": _rounded(load),
            "state": "beside other work: read ratios only" if load > BUSY_LOAD else "an idle machine",
            "versions": versions, "seconds": round(time.perf_counter() - begin),
            "crops_of_the_lineages": CROPS if device == "cuda" else f"{options.crop} px on a processor",
            "lacking": lacking or "nothing",
            **{table: [_rounded_row(row) for row in rows] for table, rows in tables.items() if rows},
        }  # fmt: skip
        write_json(target, result)
    say(str(target))


if __name__ == "__main__":
    main()
