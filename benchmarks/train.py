"""How fast clip models are trained: ours against other people's code, on the same device in the same run.

For I3D, R3D-18 and, from a checkout, PyTorchVideo's SlowOnly R50:

- bfloat16 is compared with float32 first, convolution by convolution and over one step. Where it computes something
  else, it is refused, and float32 is measured.
- Our step is timed in each memory layout, eager and compiled; the fastest form is taken.
- Then ours and the peer's step (its network, contiguous, eager, SGD; the same precision, batch and cuDNN settings) run
  in interleaved rounds on synthetic clips that lie on the device. The median counts.
- Beside it: arithmetic and memory traffic of the network over the device's own measured rates, and the share of the
  peak (MFU).

Peers: `--peer-i3d` is a checkout of github.com/piergiaj/pytorch-i3d, `--peer-pytorchvideo` one of
github.com/facebookresearch/pytorchvideo. R3D-18's peer is torchvision's, trained in a plain loop. PyTorchVideo has no
R3D-18 and gesta no SlowOnly yet: there the same network of PyTorchVideo's runs in its plain step and in ours. Of a
checkout only `pytorch_i3d.py` and the folder `pytorchvideo` are read; a file COMMIT may say which one it is.

Run: python -m benchmarks.train [--seconds 420] [--device auto] [--peer-i3d DIR] [--peer-pytorchvideo DIR]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import math
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import train_peers as peers
from benchmarks.train_feed import measure_feeds, write_clips
from benchmarks.train_floors import Rates, datasheet_flops_per_s, limits, measure_rates, work_of
from benchmarks.train_nets import NUM_CLASSES, Net, nets
from benchmarks.train_precision import one_gradient, relative_difference, step_drift, try_kernels, verdict
from benchmarks.train_steps import (
    PLAIN,
    ROUND_S,
    Form,
    our_optimiser,
    profile_of,
    race,
    spread,
    step_of,
    steps_a_turn,
    synthetic_batches,
    turn_s,
)
from gesta.tables import write_json
from gesta.train.devices import pick_device, pick_precision

RESULTS = Path(__file__).parent / "results"
WHAT = "training steps, optimiser included, ours against other people's on the same device in the same run"
HOW_TO_READ = (
    "`compute`: synthetic clips that lie on the device, medians of interleaved rounds, both sides in one precision, "
    "batch and cuDNN settings; `over_peer` is ours over the peer's. limit_compute and limit_traffic are the network's "
    "arithmetic and activation traffic over the device's own measured rates, limit_no_overlap both one after another; "
    "a network whose traffic limit is the lower one is bound by memory, and layout and fusion matter more than matrix "
    "units. MFU is the arithmetic done over the peak. `fed`: the whole loop from files, by its own log; data_wait_frac "
    "is the share of time without data at hand. Where bfloat16 does not compute what float32 does, the reason is in "
    "`bfloat16_against_float32`, and float32 was measured."
)
BUSY_LOAD = 0.5
"""Processes that wanted a core, on average over the minute before, above which a machine is not idle."""

COMPILED_TOLERANCE = 0.02
"""Largest relative difference of the loss of a compiled step from the eager one's, in the same precision."""


def trained_apart(build: Callable[[], nn.Module], *, device: str, form: Form = PLAIN) -> nn.Module:
    """A fresh network with seeded weights on the device, in the form's layout."""
    torch.manual_seed(0)
    return build().to(device).to(memory_format=form.memory_format).train()  # type: ignore[call-overload,no-any-return]


def say(text: str) -> None:
    """Tell whoever waits what is being done."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def check_precision(
    net: Net, prepared: list[tuple[Tensor, Tensor]], *, device: str, precision: str
) -> tuple[str, list[dict[str, Any]]]:
    """The precision that may be measured, and what the comparison showed in each layout."""
    if precision != "bfloat16":
        return precision, []
    rows, allowed = [], precision
    for layout in ("contiguous", "channels_last_3d"):
        say(f"{net.name}: bfloat16 against float32, {layout}")
        form = Form(layout=layout, is_compiled=False)
        model = trained_apart(net.ours, device=device, form=form)
        clip_BCTHW = prepared[0][0].to(memory_format=form.memory_format)
        kernels = verdict(try_kernels(model, clip_BCTHW))
        drift = step_drift(model, clip_BCTHW, prepared[0][1])
        problem = drift.problem()
        if kernels["wrong"] != "none":
            problem = "wrong convolutions: " + kernels["wrong"]
        rows.append(
            {"model": net.name, "layout": layout, "verdict": problem or "bfloat16 taken"}
            | {name: _rounded(value) for name, value in kernels.items()}
            | {f"step_{name}_drift": _rounded(value) for name, value in dataclasses.asdict(drift).items()}
        )
        if problem:
            allowed = "float32"
    return allowed, rows


def choose_form(
    net: Net,
    prepared: list[tuple[Tensor, Tensor]],
    *,
    device: str,
    precision: str,
    tries_compile: bool,
    turn: float = ROUND_S,
) -> tuple[Form, list[dict[str, Any]]]:
    """The fastest form of our step, and each form's clips a second.

    Compiling is tried in the layout that is faster without it, and only taken where it computes the same loss.
    """
    rows: list[dict[str, Any]] = []

    def measure(form: Form) -> float:
        say(f"{net.name}: {form}")
        model = trained_apart(net.ours, device=device, form=form)
        begin = time.perf_counter()
        step = step_of(model, our_optimiser(model), prepared, form=form, precision=precision)
        num_steps = steps_a_turn(step, device=device, turn=turn, num_warm=3)
        ready_s = time.perf_counter() - begin
        rate = net.clips_per_batch * num_steps / min(turn_s(step, num_steps=num_steps, device=device) for _ in range(3))
        rows.append(
            {"model": net.name, "precision": precision, "layout": form.layout, "compiled": form.is_compiled}
            | {"clips_per_s": _rounded(rate), "ready_after_s": _rounded(ready_s)}
        )
        return rate

    eager = [Form(layout=layout, is_compiled=False) for layout in ("contiguous", "channels_last_3d")]
    rates = {form: measure(form) for form in eager}
    best = max(rates, key=rates.__getitem__)
    if tries_compile:
        compiled = dataclasses.replace(best, is_compiled=True)
        difference = compiled_difference(net, prepared, device=device, precision=precision, form=compiled)
        if difference <= COMPILED_TOLERANCE:
            rates[compiled] = measure(compiled)
            rows[-1]["loss_difference_of_compiled"] = _rounded(difference)
        else:
            rows.append({"model": net.name, "compiled": True, "refused": f"its loss is off by {difference:.3g}"})
    best = max(rates, key=rates.__getitem__)
    for row in rows:
        row["taken"] = (row.get("layout"), row.get("compiled")) == (best.layout, best.is_compiled)
    return best, rows


def compiled_difference(
    net: Net, prepared: list[tuple[Tensor, Tensor]], *, device: str, precision: str, form: Form
) -> float:
    """How far the compiled network's loss is from the eager one's, relative; infinite where compiling fails."""
    model = trained_apart(net.ours, device=device, form=form)
    clip_BCTHW, labels_B = prepared[0][0].to(memory_format=form.memory_format), prepared[0][1]
    want, _ = one_gradient(model, clip_BCTHW, labels_B, precision=precision)
    torch.compiler.reset()
    got, _ = one_gradient(model, clip_BCTHW, labels_B, precision=precision, run=torch.compile(model))
    return relative_difference(got, want)


def measure_net(
    net: Net, *, device: str, precision: str, seconds: float, tries_compile: bool, turn: float = ROUND_S
) -> dict[str, Any]:
    """Everything about one network: its `row`, our `form`, and the rows of `forms` and `precisions` that led to it."""
    begin = time.perf_counter()
    prepared = synthetic_batches(net.clip_shape, num_clips=net.clips_per_batch, num_classes=NUM_CLASSES, device=device)
    allowed, precisions = check_precision(net, prepared, device=device, precision=precision)
    form, forms = choose_form(net, prepared, device=device, precision=allowed, tries_compile=tries_compile, turn=turn)
    ours = trained_apart(net.ours, device=device, form=form)
    contenders = {"gesta": step_of(ours, our_optimiser(ours), prepared, form=form, precision=allowed)}
    if net.peer is not None:
        theirs = trained_apart(net.peer, device=device)
        optimiser = peers.plain_optimiser(theirs)
        contenders["peer"] = step_of(theirs, optimiser, prepared, form=PLAIN, precision=allowed)
    left_s = max(0.0, seconds - (time.perf_counter() - begin))
    say(f"{net.name}: {' against '.join(contenders)} for {left_s:.0f} s")
    rounds = race(contenders, seconds=left_s, device=device, turn=turn)
    clips_per_s = {name: net.clips_per_batch * statistics.median(rates) for name, rates in rounds.items()}
    row: dict[str, Any] = {
        "model": net.name,
        "clip": "x".join(str(size) for size in net.clip_shape[1:]),
        "clips_per_batch": net.clips_per_batch,
        "precision": allowed,
        "form": form.layout + (", compiled" if form.is_compiled else ", eager"),
        "gesta_clips_per_s": clips_per_s["gesta"],
        "peer": net.peer_name if net.peer is not None else "none given",
    }
    if net.peer is not None:
        row |= {
            "peer_clips_per_s": clips_per_s["peer"],
            "over_peer": clips_per_s["gesta"] / clips_per_s["peer"],
            "spread_frac": max(spread(rates) for rates in rounds.values()),
        }
    row["rounds"] = len(rounds["gesta"])
    shares = [{"model": net.name, **found} for found in profile_of(contenders["gesta"], device=device)]
    return {"row": row, "form": form, "forms": forms, "precisions": precisions, "profile": shares}


def with_floors(row: dict[str, Any], net: Net, *, rates: Rates, device_name: str) -> dict[str, Any]:
    """The row with what the network asks for, what the device allows, and the shares of the peak that were reached."""
    work = work_of(net.ours, clip_shape=net.clip_shape)
    allowed = limits(work, rates, precision=row["precision"])
    flops_per_s = work.flops * row["gesta_clips_per_s"]
    peak = datasheet_flops_per_s(device_name, precision=row["precision"])
    return row | {
        "gflop_per_clip": work.flops / 1e9,
        "activation_gb_per_clip": work.moved_bytes(row["precision"]) / 1e9,
        **allowed,
        "of_limit_no_overlap": row["gesta_clips_per_s"] / allowed["limit_no_overlap"],
        "mfu_of_measured_peak": flops_per_s / rates.flops_per_s,
        **({"mfu_of_datasheet": flops_per_s / peak} if peak else {}),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _rounded_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(value) for name, value in row.items()}


def hardware_of(device: str) -> tuple[str, str]:
    """A short name for files, and the device in words.

    >>> hardware_of("cpu")[0].endswith("core-cpu")
    True
    """
    if device == "cuda":
        name = torch.cuda.get_device_name()
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), name
    num_cores = len(os.sched_getaffinity(0))
    return f"{num_cores}core-cpu", f"CPU, {torch.get_num_threads()} threads of {num_cores}"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=420.0, help="About how long the whole may take.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--compile", choices=("auto", "yes", "no"), default="auto", help="auto: on a GPU only.")
    parser.add_argument("--peer-i3d", type=Path, help="Checkout of piergiaj/pytorch-i3d.")
    parser.add_argument("--peer-pytorchvideo", type=Path, help="Checkout of facebookresearch/pytorchvideo.")
    parser.add_argument("--fed", choices=("yes", "no"), default="yes", help="Train from files too.")
    parser.add_argument("--workers", type=int, default=0, help="Processes that decode; 0 = one a core.")
    parser.add_argument("--only", help="One model's name; the result's file is then named after it.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Folder for the result.")
    parser.add_argument("--threads", type=int, default=2, help="Of torch, on a CPU.")
    return parser.parse_args()


def versions(options: argparse.Namespace) -> dict[str, str]:
    """Of what computes, and the commits of the peers."""
    found = {name: importlib.metadata.version(name) for name in ("gesta", "torch", "torchvision")}
    if torch.version.cuda:
        found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    for name, checkout in (("pytorch-i3d", options.peer_i3d), ("pytorchvideo", options.peer_pytorchvideo)):
        if checkout is not None:
            found[name] = peers.commit_of(checkout)
    return found


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows, each value below its name."""
    for row in rows:
        print("  ".join(f"{name}={_rounded(value)}" for name, value in row.items()), flush=True)


def measure_all(
    options: argparse.Namespace, todo: list[Net], *, device: str, begin: float
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """The result's tables so far, after each network, which has its share of the time that is left."""
    precision = pick_precision(options.precision, device=device)
    tries_compile = options.compile == "yes" or (options.compile == "auto" and device == "cuda")
    _, device_name = hardware_of(device)
    say(f"the rates of {device_name}")
    rates = {name: measure_rates(device=device, precision=name) for name in {precision, "float32"}}
    tables: dict[str, list[dict[str, Any]]] = {
        "rates": [
            {"precision": name, "matrix_tflop_per_s": rate.flops_per_s / 1e12, "copy_gb_per_s": rate.bytes_per_s / 1e9}
            for name, rate in sorted(rates.items())
        ],
        "compute": [], "fed": [], "forms_of_our_step": [], "bfloat16_against_float32": [],
        "where_our_step_spends_its_time": [],
    }  # fmt: skip
    fed = [net for net in todo if net.model is not None] if options.fed == "yes" else []
    shares = len(todo) + len(fed)
    forms = {}
    for net in todo:
        share_s = (options.seconds - (time.perf_counter() - begin)) / shares
        found = measure_net(net, device=device, precision=precision, seconds=share_s, tries_compile=tries_compile)
        row = with_floors(found["row"], net, rates=rates[found["row"]["precision"]], device_name=device_name)
        forms[net.name], shares = (found["form"], row), shares - 1
        tables["compute"].append(row)
        tables["forms_of_our_step"] += found["forms"]
        tables["bfloat16_against_float32"] += found["precisions"]
        tables["where_our_step_spends_its_time"] += found["profile"]
        print_table([*found["precisions"], *found["forms"], *found["profile"], row])
        yield tables
        if device == "cuda":
            torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        num_workers = options.workers or len(os.sched_getaffinity(0))
        if fed:
            say("videos to train from")
            num_videos, length_s = (2 * num_workers, 10.0) if device == "cuda" else (4, 4.0)
            clips = write_clips(
                folder / "videos", num_videos=num_videos, seconds=length_s, num_classes=NUM_CLASSES,
                num_workers=num_workers,
            )  # fmt: skip
        for net in fed:
            share_s = (options.seconds - (time.perf_counter() - begin)) / shares
            shares -= 1
            say(f"{net.name}: fed from files, {share_s:.0f} s")
            form, row = forms[net.name]
            rows = measure_feeds(
                net, clips, folder / net.name, is_compiled=form.is_compiled, precision=row["precision"],
                clips_per_s=row["gesta_clips_per_s"], device=device, num_workers=num_workers, seconds=share_s,
            )  # fmt: skip
            tables["fed"] += rows
            print_table(rows)
            yield tables


def main() -> None:
    """Measure, print, write one JSON file, again after each network."""
    options = arguments()
    begin, load = time.perf_counter(), os.getloadavg()[0]
    device = pick_device(options.device)
    if device == "cpu":
        torch.set_num_threads(options.threads)
    # Both sides get the fastest cuDNN algorithm for their shapes.
    torch.backends.cudnn.benchmark = True
    hardware, device_name = hardware_of(device)
    todo, lacking = nets(
        is_large=device == "cuda", peer_i3d=options.peer_i3d, peer_pytorchvideo=options.peer_pytorchvideo
    )
    todo = [net for net in todo if options.only in (None, net.name)]
    for line in lacking:
        print("lacking:", line)
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    name = f"train-{options.only}" if options.only else "train"
    target = options.results / f"{name}_{hardware}_{date}.json"
    # Written after each network: a run that is ended before its end leaves what it has found.
    for tables in measure_all(options, todo, device=device, begin=begin):
        result = {
            "what": WHAT,
            "how_to_read": HOW_TO_READ,
            "program": "python -m benchmarks.train",
            "hardware": hardware,
            "device": device_name,
            "processor": platform.machine(),
            "date": date,
            "load_before": _rounded(load),
            "state": "beside other work: read ratios only" if load > BUSY_LOAD else "an idle machine",
            "versions": versions(options),
            "seconds": round(time.perf_counter() - begin),
            "lacking": lacking or "nothing",
            **{table: [_rounded_row(row) for row in rows] for table, rows in tables.items() if rows},
        }
        write_json(target, result)
    print(target)


if __name__ == "__main__":
    main()
