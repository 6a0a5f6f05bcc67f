"""Training fed from files, end to end: videos written here, prepared as on import, trained on by the loop of gesta.

The videos are moving textures of 340x256 at 25 frames a second, H.264 with x264's default of 250 frames between sync
frames. `gesta prepare` makes raw frames (uint8) or short videos of them; the loop trains from those, and its own log
says clips a second, MFU and the share of time it waited for data. The clips are few and are shown many times, so they
come from the system's page cache: what is measured is decoding, cutting and passing on, not a disk.

The peer does what PyTorch's users do: a DataLoader whose workers decode the videos with PyAV, crop, mirror and
normalise on the CPU, and a plain training loop.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarks.train_floors import synchronise
from benchmarks.train_nets import Net
from benchmarks.train_peers import plain_optimiser
from gesta.train.clips import (
    ClipAugment,
    ClipExample,
    ClipFrames,
    ClipSet,
    clip_batches,
    clip_set,
    open_prepared,
    run_prepare,
)
from gesta.train.clips.loop import run_train_clips
from gesta.train.clips.recipe import ClipRecipe
from gesta.video import write_video

WIDTH_PX, HEIGHT_PX, FPS = 340, 256, 25
DEFAULT_GOP = 250
"""Frames between sync frames where nobody asks for fewer. Source: x264's documentation of `keyint`."""

MANY = 512
"""Batches in an epoch that is timed without an end in mind: more than a minute's."""

MOST_BY_HAND = 4
"""Workers up to which starting them costs more than the few videos of a small run."""

AUGMENT = ClipAugment(crop="random", jitter_time=True, flip=True)


def write_texture(path: Path, *, seed: int, num_frames: int) -> Path:
    """A video in which two layers of noise drift over each other: it costs about as much to decode as a real one."""
    rng = np.random.default_rng(seed)
    layers = [
        np.kron(rng.integers(0, 256, (HEIGHT_PX // cell + 1, WIDTH_PX // cell + 1, 3)), np.ones((cell, cell, 1)))
        for cell in (32, 8)
    ]
    layers = [layer[:HEIGHT_PX, :WIDTH_PX].astype(np.uint8) for layer in layers]
    speeds = rng.integers(-3, 4, (2, 2))

    def frames() -> Iterator[np.ndarray]:
        for number in range(num_frames):
            moved = [
                np.roll(layer, tuple(number * speed), axis=(0, 1)) for layer, speed in zip(layers, speeds, strict=True)
            ]
            yield ((moved[0].astype(np.uint16) * 3 + moved[1]) // 4).astype(np.uint8)

    return write_video(path, frames(), fps=Fraction(FPS), gop=DEFAULT_GOP)


def _write_one(job: tuple[Path, int, int]) -> Path:
    path, seed, num_frames = job
    return write_texture(path, seed=seed, num_frames=num_frames)


def write_clips(folder: Path, *, num_videos: int, seconds: float, num_classes: int, num_workers: int) -> ClipSet:
    """That many videos, each one clip."""
    num_frames = round(seconds * FPS)
    jobs = [(folder / f"{number:04d}.mp4", number, num_frames) for number in range(num_videos)]
    if num_workers > MOST_BY_HAND:
        # Forking a process that holds a GPU may hang.
        with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("forkserver")) as pool:
            paths = list(pool.map(_write_one, jobs))
    else:
        paths = [_write_one(job) for job in jobs]
    examples = [
        ClipExample(
            clip_id=path.stem, video_id=path.stem, path=path, start_us=0, end_us=round(seconds * 1e6),
            label=number % num_classes,
        )
        for number, path in enumerate(paths)
    ]  # fmt: skip
    return clip_set(examples, classes={number: f"texture {number}" for number in range(num_classes)})


def shown_often(clips: ClipSet, *, num: int) -> ClipSet:
    """A set of `num` examples that shows those clips in turn, so that one epoch is long enough to be timed."""
    examples = [
        dataclasses.replace(clips.examples[number % len(clips)], clip_id=f"{number:06d}") for number in range(num)
    ]
    return clip_set(examples, classes=dict(zip(clips.class_ids, clips.class_names, strict=True)))


def prepared_clips(clips: ClipSet, out: Path, *, form: str, frames: ClipFrames, num_workers: int) -> dict[str, Any]:
    """`clips` as they come out of `gesta prepare`, with seconds and bytes a clip."""
    begin = time.perf_counter()
    summary = run_prepare(clips, out=out, form=form, frames=frames, num_workers=num_workers)
    spent_s = time.perf_counter() - begin
    return {
        "clips": open_prepared(out, frames=frames),
        "prepare_s_per_clip": spent_s / len(clips),
        "mb_per_clip": float(str(summary.numbers["size_bytes"])) / len(clips) / 1e6,
    }


def delivered_per_s(
    clips: ClipSet, *, frames: ClipFrames, clips_per_batch: int, num_workers: int, seconds: float
) -> float:
    """Clips a second that the batches alone deliver, without training; the first batches do not count."""
    shown = shown_often(clips, num=clips_per_batch * MANY)
    numbers = np.arange(len(shown)).reshape(-1, clips_per_batch).tolist()
    with clip_batches(
        shown, frames=frames, augment=AUGMENT, numbers=numbers, seed=0, epoch=0, num_workers=num_workers
    ) as batches:
        for _ in range(4):
            next(batches)
        begin, num = time.perf_counter(), 0
        for batch in batches:
            num += len(batch.numbers)
            if time.perf_counter() - begin > seconds:
                break
        return num / (time.perf_counter() - begin)


def last_readings(log: Path, *, num_left_out: int) -> dict[str, float]:
    """Medians of clips a second and MFU, and the mean share of waiting, of a run's log without its first lines.

    Raises:
        ValueError: the log has no line behind those.
    """
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [line for line in lines if line.get("kind") == "step"][num_left_out:]
    if not steps:
        raise ValueError(f"{log} has no step behind the first {num_left_out} lines")
    return {
        "clips_per_s": statistics.median(line["clips_per_s"] for line in steps),
        "data_wait_frac": statistics.fmean(line["data_wait_frac"] for line in steps),
        "mfu_frac": statistics.median(line["mfu_frac"] for line in steps),
    }


def run_ours(
    clips: ClipSet, out: Path, *, recipe: ClipRecipe, device: str, num_workers: int, log_every_steps: int
) -> dict[str, float]:
    """What the loop's own log says of a run of `recipe.max_steps` steps; its first two lines are left out."""
    shown = shown_often(clips, num=recipe.clips_per_batch * (recipe.max_steps + 1))
    run_train_clips(
        shown, out=out, recipe=recipe, device=device, num_workers=num_workers, log_every_steps=log_every_steps,
        threads=torch.get_num_threads(),
    )  # fmt: skip
    return last_readings(out / "log.jsonl", num_left_out=2)


class PlainVideos(Dataset[tuple[Tensor, int]]):
    """Clips as a PyTorch user's data set gives them: decoded by PyAV, cropped, mirrored, float32, normalised."""

    def __init__(self, clips: ClipSet, *, frames: ClipFrames) -> None:
        self.examples = clips.examples
        self.frames = frames

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        example, frames = self.examples[number], self.frames
        span = frames.num_spanned
        with av.open(str(example.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            assert stream.time_base is not None
            total = round((example.end_us - example.start_us) * FPS / 1e6)
            first = random.randint(0, max(0, total - span))
            ticks = int(first / FPS / stream.time_base)
            container.seek(ticks, stream=stream)
            pictures: list[np.ndarray] = []
            for frame in container.decode(stream):
                if frame.pts is None or frame.pts < ticks:
                    continue
                pictures.append(frame.to_ndarray(format="rgb24"))
                if len(pictures) == span:
                    break
        clip_TCHW = torch.from_numpy(np.stack(pictures[:: frames.stride])).permute(0, 3, 1, 2)
        width_px, height_px = frames.frame_size(width_px=WIDTH_PX, height_px=HEIGHT_PX)
        if (width_px, height_px) != (WIDTH_PX, HEIGHT_PX):
            clip_TCHW = functional.interpolate(clip_TCHW.float(), (height_px, width_px), mode="bilinear")
        top = random.randint(0, height_px - frames.crop_px)
        left = random.randint(0, width_px - frames.crop_px)
        clip_TCHW = clip_TCHW[:, :, top : top + frames.crop_px, left : left + frames.crop_px].float() / 255
        if random.random() < 0.5:
            clip_TCHW = clip_TCHW.flip(3)
        mean, std = torch.tensor(frames.mean_rgb), torch.tensor(frames.std_rgb)
        clip_TCHW = (clip_TCHW - mean[:, None, None]) / std[:, None, None]
        return clip_TCHW.transpose(0, 1), example.label


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


@contextmanager
def _loader(
    clips: ClipSet, *, frames: ClipFrames, clips_per_batch: int, num_workers: int, device: str
) -> Iterator[Iterator[Any]]:
    loader = DataLoader(
        PlainVideos(shown_often(clips, num=clips_per_batch * MANY), frames=frames),
        batch_size=clips_per_batch,
        shuffle=True,
        num_workers=num_workers,
        pin_memory=device == "cuda",
        multiprocessing_context="forkserver" if num_workers else None,
        worker_init_fn=_one_thread,
    )
    batches = iter(loader)
    try:
        yield batches
    finally:
        del batches


def run_plain(
    clips: ClipSet,
    *,
    build: Callable[[], nn.Module],
    optimiser_of: Callable[[nn.Module], torch.optim.Optimizer],
    frames: ClipFrames,
    clips_per_batch: int,
    precision: str,
    device: str,
    num_workers: int,
    seconds: float,
) -> dict[str, float]:
    """Clips a second and share of waiting of the plain loop from the videos as they are; three steps do not count."""
    model = build().to(device).train()
    optimiser = optimiser_of(model)
    num, waited = 0, 0.0
    with _loader(
        clips, frames=frames, clips_per_batch=clips_per_batch, num_workers=num_workers, device=device
    ) as batches:
        begin, number = time.perf_counter(), 0
        while number < 5 or time.perf_counter() - begin < seconds:
            if number == 3:
                synchronise(device)
                begin, num, waited = time.perf_counter(), 0, 0.0
            asked = time.perf_counter()
            clip_BCTHW, labels_B = next(batches)
            waited += time.perf_counter() - asked
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                logits_BK = model(clip_BCTHW.to(device, non_blocking=True))
                loss = functional.cross_entropy(logits_BK, labels_B.to(device, non_blocking=True))
            loss.backward()
            optimiser.step()
            # A loop that prints its loss waits for the device, and only then is the wait for data its own.
            loss.item()
            num, number = num + len(labels_B), number + 1
        spent_s = time.perf_counter() - begin
    return {"clips_per_s": num / spent_s, "data_wait_frac": waited / spent_s}


def measure_feeds(
    net: Net,
    clips: ClipSet,
    folder: Path,
    *,
    is_compiled: bool,
    precision: str,
    clips_per_s: float,
    device: str,
    num_workers: int,
    seconds: float,
) -> list[dict[str, Any]]:
    """A row for each way of feeding one network: raw frames, short videos, and the plain loop from the videos.

    `clips_per_s` is what it was found to compute; from it follows how many steps take as long as they may.
    """
    assert net.model is not None
    rows: list[dict[str, Any]] = []
    part_s = seconds / 4
    is_large = device == "cuda"
    steps = max(20 if is_large else 6, min(400, round(part_s * clips_per_s / net.clips_per_batch)))
    for form in ("uint8", "short-gop"):
        made = prepared_clips(clips, folder / form, form=form, frames=net.frames, num_workers=num_workers)
        recipe = ClipRecipe(
            name=f"benchmark of {net.name}", model=net.model, frames=net.frames, augment=AUGMENT, epochs=1,
            clips_per_batch=net.clips_per_batch, max_steps=steps, base_lr=0.01, weight_decay=1e-4,
            precision=precision, compile="on" if is_compiled else "off",
        )  # fmt: skip
        found = run_ours(
            made["clips"], folder / f"{form}-run", recipe=recipe, device=device, num_workers=num_workers,
            log_every_steps=5 if is_large else 1,
        )  # fmt: skip
        alone = delivered_per_s(
            made["clips"], frames=net.frames, clips_per_batch=net.clips_per_batch, num_workers=num_workers,
            seconds=min(5.0, part_s / 4),
        )  # fmt: skip
        rows.append(
            {"model": net.name, "loop": "gesta", "files": f"gesta prepare --form {form}", **found}
            | {"of_compute": found["clips_per_s"] / clips_per_s, "batches_alone_clips_per_s": alone}
            | {name: made[name] for name in ("prepare_s_per_clip", "mb_per_clip")}
        )
    plain = run_plain(
        clips, build=net.peer or net.ours, optimiser_of=plain_optimiser, frames=net.frames,
        clips_per_batch=net.clips_per_batch, precision=precision, device=device, num_workers=num_workers,
        seconds=part_s / 2,
    )  # fmt: skip
    rows.append({"model": net.name, "loop": "plain, the peer's network", "files": "videos as they are", **plain})
    return [row | {"precision": precision, "workers": num_workers} for row in rows]
