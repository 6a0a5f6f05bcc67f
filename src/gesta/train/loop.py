"""The training loop: a release and a recipe in, a checkpoint and a log out; a cut run goes on where it was.

Shapes: B clips, C channels, T frames, H and W pixels, N persons, K classes.

The folder that comes out:
    model.pt      the averaged weights with classes, preprocessing, recipe and origin
    log.jsonl     one object an epoch
    train.json    what ran: arguments, recipe, versions, hashes, closing numbers
    rejects/      key-frames that could not be learnt from
    last.pt, clips.u8   only while it runs
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models import build_model
from gesta.schema import BadInput, GestaError, LabelClass, Reject
from gesta.tables import (
    Json,
    StageSummary,
    count_reasons,
    made_by,
    read_rejects,
    sha256_of_file,
    write_json,
    write_rejects,
    write_text,
)
from gesta.train.batches import Batch, batch_numbers, batches, normalise
from gesta.train.checkpoints import Checkpoint, load_checkpoint, save_checkpoint, versions
from gesta.train.devices import autocast, pick_device, pick_precision, seeded, threads_in_use
from gesta.train.parts import add_gradients, copies_of, part_workers
from gesta.train.recipes import Recipe, find_recipe
from gesta.train.samples import num_key_frames, read_classes, read_samples, release_hash
from gesta.train.store import ClipStore, open_store

Line = dict[str, Json]
"""One line of the log."""


def learning_rate(step: int, *, num_steps: int, recipe: Recipe) -> float:
    """The rate at a step: linear rise over the first `warmup_frac`, then half a cosine down to 0.

    Source: Loshchilov and Hutter, SGDR (2017), equation 5 without restarts.
    """
    num_warmup = max(1, round(recipe.warmup_frac * num_steps))
    if step < num_warmup:
        return recipe.base_lr * (step + 1) / num_warmup
    return recipe.base_lr * 0.5 * (1 + math.cos(math.pi * (step - num_warmup) / max(1, num_steps - num_warmup)))


def loss_of(logits_NK: Tensor, targets_NK: Tensor, weights_NK: Tensor, *, positive_weight: float) -> Tensor:
    """Binary cross-entropy of every person and class, weighted, summed over classes, averaged over persons.

    Positives count `positive_weight` times.
    """
    each_NK = functional.binary_cross_entropy_with_logits(logits_NK.float(), targets_NK, reduction="none")
    return (each_NK * weights_NK * (1 + (positive_weight - 1) * targets_NK)).sum() / len(targets_NK)


def refuse_flip_of_sides(classes: Sequence[LabelClass], *, recipe: Recipe) -> None:
    """Nothing, once no class is found whose name would be false in a mirror.

    Raises:
        BadInput: the recipe flips clips, and a class name holds the word left or right.
    """
    sided = [row.name for row in classes if {"left", "right"} & set(row.name.lower().replace("_", " ").split())]
    if recipe.jitter.flip and sided:
        raise BadInput(
            f"recipe {recipe.name!r} flips clips left to right, which makes {sided[0]!r} false",
            mend="Use a recipe whose jitter has flip=False",
        )


@dataclass(slots=True)
class _State:
    """What changes while it runs."""

    model: nn.Module
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    epoch: int
    lines: list[Line]


def run_train(
    release: Path,
    *,
    out: Path,
    recipe: str | Recipe = "roi_r3d_tiny_world",
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    on_clips: Callable[[int], None] | None = None,
    on_epoch: Callable[[Mapping[str, Json]], None] | None = None,
) -> StageSummary:
    """A model trained on the release's split "train", as `out/model.pt`, with its log.

    Goes on from `out/last.pt` where the same run was cut; on the CPU the weights are those of an uncut run, bit for
    bit, at any number of threads up to the recipe's `num_parts`.

    Args:
        release: folder of a released version.
        out: folder for what comes out.
        recipe: a recipe, or the name of one.
        seed: of weights, order, changes and dropout.
        device: auto, cpu or cuda.
        threads: of torch, and decoders; None = torch's own number.
        on_clips: called with the number of clips just decoded.
        on_epoch: called with each epoch's line of the log.
    Raises:
        BadInput: no release, no key-frame to learn from, or a class that a flip makes false.
        UnknownName: no such recipe, model or device.
        GestaError: the loss is no longer a number.
    """
    chosen = find_recipe(recipe)
    place = pick_device(device)
    precision = pick_precision(chosen.precision, device=place)
    release_sha256 = release_hash(release)
    arguments: dict[str, Json] = {
        "recipe": json.loads(json.dumps(chosen.as_json())),
        "seed": seed,
        "device": place,
        "precision": precision,
    }
    made = made_by("train", arguments=arguments, inputs={"release": release_sha256}, tools=["torch", "torchvision"])
    done = _finished(out, made.fingerprint)
    if done is not None:
        rejects = count_reasons(Reject(**row) for row in read_rejects(out).iter_rows(named=True))
        return _summary(done, rejects=rejects, was_current=True)
    classes = read_classes(release)
    refuse_flip_of_sides(classes, recipe=chosen)
    out.mkdir(parents=True, exist_ok=True)
    for half_written in (*out.glob(".clips-*.tmp*"), *out.glob(".last-*.tmp*")):
        half_written.unlink()  # of a run that was killed
    store, rejects_found = _open(release, chosen, classes, out=out, threads=threads, on_clips=on_clips)
    with threads_in_use(threads), seeded(seed):
        state = _begin_or_resume(
            out / "last.pt", recipe=chosen, num_classes=len(classes), device=place, fingerprint=made.fingerprint
        )
        about = Checkpoint(
            weights={},
            class_ids=tuple(row.class_id for row in classes),
            class_names=tuple(row.name for row in classes),
            recipe=chosen,
            release_sha256=release_sha256,
            fingerprint=made.fingerprint,
            versions=versions(),
        )
        for line in _epochs(state, store, recipe=chosen, seed=seed, device=place, precision=precision):
            _save(out, state, about=about)
            if on_epoch is not None:
                on_epoch(line)
    save_checkpoint(out / "model.pt", _with(about, weights=state.averaged, progress={}))
    write_rejects(out, "train", rejects_found, made_by=made)
    numbers = _numbers(state, store, recipe=chosen, num_classes=len(classes))
    model_sha256 = sha256_of_file(out / "model.pt")
    write_json(
        out / "train.json",
        {"fingerprint": made.fingerprint, "model_sha256": model_sha256, "numbers": numbers, **made.as_json()},
    )
    for leftover in ("last.pt", "clips.u8", "clips.u8.json"):
        (out / leftover).unlink(missing_ok=True)
    return _summary(numbers, rejects=count_reasons(rejects_found), was_current=False)


def _numbers(state: _State, store: ClipStore, *, recipe: Recipe, num_classes: int) -> dict[str, Json]:
    return {
        "recipe": recipe.name,
        "classes": num_classes,
        "num_key_frames": num_key_frames(store.samples),
        "num_views": len(store.samples),
        "num_persons": sum(len(sample.person_ids) for sample in store.samples),
        "epochs": state.epoch,
        "loss": state.lines[-1]["loss"],
        "clips_per_s": state.lines[-1]["clips_per_s"],
        "data_wait_frac": state.lines[-1]["data_wait_frac"],
        "train_s": round(sum(float(str(line["seconds"])) for line in state.lines), 3),
    }


def plan_train(release: Path, *, recipe: str | Recipe = "roi_r3d_tiny_world") -> dict[str, Json]:
    """What `run_train` would learn from; nothing is decoded and nothing written.

    Raises:
        BadInput: no release, or a class that a flip makes false.
        UnknownName: no such recipe.
    """
    chosen = find_recipe(recipe)
    release_hash(release)
    classes = read_classes(release)
    refuse_flip_of_sides(classes, recipe=chosen)
    ids = [row.class_id for row in classes]
    samples, rejects = read_samples(release, split="train", class_ids=ids, persons=chosen.persons, clip=chosen.clip)
    return {
        "num_classes": len(classes),
        "num_key_frames": num_key_frames(samples),
        "num_views": len(samples),
        "num_persons": sum(len(sample.person_ids) for sample in samples),
        "num_rejected": len(rejects),
        "epochs": chosen.epochs,
    }


def _finished(out: Path, fingerprint: str) -> dict[str, Json] | None:
    """The closing numbers of a finished run of just this, or None."""
    notes, model = out / "train.json", out / "model.pt"
    if not notes.is_file() or not model.is_file():
        return None
    found = json.loads(notes.read_bytes())
    if found.get("fingerprint") != fingerprint or found.get("model_sha256") != sha256_of_file(model):
        return None
    return dict(found["numbers"])


def _summary(numbers: Mapping[str, Json], *, rejects: Mapping[str, int], was_current: bool) -> StageSummary:
    return StageSummary(
        stage="train",
        kept=int(str(numbers["num_key_frames"])),
        rejected=rejects,
        outputs=("model.pt", "log.jsonl", "train.json"),
        was_current=was_current,
        numbers=numbers,
    )


def _open(
    release: Path,
    recipe: Recipe,
    classes: Sequence[LabelClass],
    *,
    out: Path,
    threads: int | None,
    on_clips: Callable[[int], None] | None,
) -> tuple[ClipStore, list[Reject]]:
    samples, rejects = read_samples(
        release,
        split="train",
        class_ids=[row.class_id for row in classes],
        persons=recipe.persons,
        unasked_weight=recipe.unasked_weight,
        clip=recipe.clip,
    )
    store, unread = open_store(
        samples,
        path=out / "clips.u8",
        release_sha256=release_hash(release),
        clip=recipe.clip,
        spec=recipe.store,
        threads=threads or torch.get_num_threads(),
        on_clips=on_clips,
    )
    if not store.samples:
        counts = ", ".join(f"{reason} {count}" for reason, count in count_reasons([*rejects, *unread]).items())
        raise BadInput(
            f"no key-frame of the split 'train' can be learnt from ({counts or 'the split is empty'})",
            where=release,
            mend="Look at the release's key_frames, tracks and videos",
        )
    return store, [*rejects, *unread]


def _begin_or_resume(last: Path, *, recipe: Recipe, num_classes: int, device: str, fingerprint: str) -> _State:
    model = build_model(recipe.model, num_classes=num_classes).to(device)
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    # Norms and biases are not decayed. Source: He et al., Bag of Tricks (2019), section 2.3.
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.base_lr)
    if last.is_file():
        found = load_checkpoint(last)
        if found.fingerprint == fingerprint:
            model.load_state_dict(found.progress["weights"])
            optimiser.load_state_dict(found.progress["optimiser"])
            averaged = {name: value.to(device) for name, value in found.weights.items()}
            return _State(model, averaged, optimiser, found.progress["epoch"], json.loads(found.progress["lines"]))
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return _State(model, averaged, optimiser, 0, [])


def _epochs(
    state: _State, store: ClipStore, *, recipe: Recipe, seed: int, device: str, precision: str
) -> Iterator[Line]:
    copies = copies_of(state.model, num=recipe.num_parts)
    for model in copies:
        model.train()

    def loss_of_part(model: nn.Module, part: Batch, num_persons: int) -> Tensor:
        clip_BCTHW = normalise(part.pixels_BTHWC.to(device), clip=recipe.clip)
        with autocast(device=device, precision=precision):
            logits_NK = model(clip_BCTHW, part.boxes_N5.to(device))
        targets_NK, weights_NK = part.targets_NK.to(device), part.weights_NK.to(device)
        loss = loss_of(logits_NK, targets_NK, weights_NK, positive_weight=recipe.positive_weight)
        return loss * (len(targets_NK) / num_persons)

    threads = torch.get_num_threads()
    with part_workers(num_parts=recipe.num_parts, threads=threads, device=device) as pool:
        while state.epoch < recipe.epochs:

            def one_step(parts: Sequence[Batch], *, place: int, rate: float) -> float:
                for group in state.optimiser.param_groups:
                    group["lr"] = rate
                num_persons = sum(len(part.targets_NK) for part in parts)
                loss = add_gradients(
                    copies,
                    parts,
                    loss_of=lambda model, part: loss_of_part(model, part, num_persons),
                    seed=(seed, state.epoch, place),
                    pool=pool,
                )
                nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip_norm)
                state.optimiser.step()
                num_steps = int(next(iter(state.optimiser.state.values()))["step"])
                average(state.averaged, state.model.state_dict(), decay=recipe.ema_decay, step=num_steps)
                return loss

            line = _one_epoch(state, store, recipe=recipe, seed=seed, one_step=one_step)
            state.epoch += 1
            state.lines.append(line)
            yield line


class _Step(Protocol):
    def __call__(self, parts: Sequence[Batch], *, place: int, rate: float) -> float: ...


def _one_epoch(state: _State, store: ClipStore, *, recipe: Recipe, seed: int, one_step: _Step) -> Line:
    numbers = batch_numbers(
        len(store.samples), clips_per_batch=recipe.clips_per_batch, seed=seed, epoch=state.epoch, shuffle=True
    )
    began = asked = time.perf_counter()
    waited = total = 0.0
    prepared = batches(
        store, numbers, clip=recipe.clip, jitter=recipe.jitter, seed=(seed, state.epoch), num_parts=recipe.num_parts
    )
    for place, parts in enumerate(prepared):
        waited += time.perf_counter() - asked
        step = state.epoch * len(numbers) + place
        rate = learning_rate(step, num_steps=recipe.epochs * len(numbers), recipe=recipe)
        loss = one_step(parts, place=place, rate=rate)
        if not math.isfinite(loss):
            clips = ", ".join(store.samples[number].clip_id for part in parts for number in part.numbers)
            raise GestaError(
                f"the loss is {loss} at epoch {state.epoch}, step {place} (clips {clips})",
                mend=f"Lower base_lr (now {recipe.base_lr:g}), or train with precision='float32'",
            )
        total += loss * sum(len(part.targets_NK) for part in parts)
        asked = time.perf_counter()
    seconds = time.perf_counter() - began
    num_persons = sum(len(sample.person_ids) for sample in store.samples)
    return {
        "epoch": state.epoch,
        "step": (state.epoch + 1) * len(numbers),
        "loss": round(total / num_persons, 6),
        "lr": round(rate, 9),
        "clips_per_s": round(len(store.samples) / seconds, 3),
        "data_wait_frac": round(waited / seconds, 4),
        "seconds": round(seconds, 3),
    }


@torch.no_grad()
def average(averaged: dict[str, Tensor], weights: Mapping[str, Tensor], *, decay: float, step: int) -> None:
    """Move the averaged weights (of any shape [...]) towards the present ones, in place; counters are copied.

    Early on the mean is taken over the steps there were: `decay` is at most (1 + step) / (10 + step).
    Source: TensorFlow's `ExponentialMovingAverage`, argument `num_updates`.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    for name, value in weights.items():
        if value.is_floating_point():
            averaged[name].lerp_(value, share)
        else:
            averaged[name].copy_(value)


def _with(about: Checkpoint, *, weights: Mapping[str, Tensor], progress: Mapping[str, Any]) -> Checkpoint:
    return dataclasses.replace(about, weights=weights, progress=progress)


def _save(out: Path, state: _State, *, about: Checkpoint) -> None:
    progress = {
        "weights": {name: value.detach().cpu() for name, value in state.model.state_dict().items()},
        "optimiser": state.optimiser.state_dict(),
        "epoch": state.epoch,
        "lines": json.dumps(state.lines),
    }
    save_checkpoint(out / "last.pt", _with(about, weights=state.averaged, progress=progress))
    write_text(out / "log.jsonl", "".join(json.dumps(line) + "\n" for line in state.lines))
