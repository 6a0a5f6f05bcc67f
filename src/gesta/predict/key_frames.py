"""A trained model on the key-frames of a release: what evaluation reads.

Shapes: B clips, N persons of all of them, K classes in the checkpoint's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from gesta.schema import BadVideo, Detection, Reject
from gesta.tables import (
    StageSummary,
    count_reasons,
    frame_of,
    is_current,
    made_by,
    read_rejects,
    read_table,
    sha256_of_file,
    table_path,
    write_rejects,
    write_table,
)
from gesta.train.batches import normalise
from gesta.train.checkpoints import check_classes, load_checkpoint, model_of
from gesta.train.devices import autocast, pick_device, pick_precision, threads_in_use
from gesta.train.recipes import Recipe
from gesta.train.samples import Sample, read_samples, release_hash
from gesta.train.store import StoreSpec, read_clip

PLAIN = StoreSpec(margin=1.0, per_stride=1, num_margin=0)
"""What is read of a clip that is only looked at: just what the model is shown."""

CLIPS_PER_BATCH = 8

Seen = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]
"""A clip as the model is shown it, uint8 [T, H, W, 3], and its persons in it, float64 [N, 4]."""


def score_persons(
    model: nn.Module, clips: Sequence[Seen], *, recipe: Recipe, device: str
) -> list[npt.NDArray[np.float64]]:
    """The probability of every class for each clip's persons, float64 [N, K] a clip.

    With a recipe that was trained on flipped clips, the mean over the clip and its mirror image.
    """
    pixels_BTHWC = torch.from_numpy(np.stack([frames for frames, _ in clips])).to(device)
    counts = [len(boxes) for _, boxes in clips]
    rows = [np.concatenate((np.full((len(b), 1), n), np.clip(b, 0, 1)), axis=1) for n, (_, b) in enumerate(clips)]
    boxes_N5 = torch.from_numpy(np.concatenate(rows).astype(np.float32)).to(device)
    precision = pick_precision(recipe.precision, device=device)
    clip_BCTHW = normalise(pixels_BTHWC, clip=recipe.clip)
    with torch.inference_mode(), autocast(device=device, precision=precision):
        scores_NK = model(clip_BCTHW, boxes_N5).float().sigmoid()
        if recipe.jitter.flip:
            mirrored_N5 = boxes_N5.clone()
            mirrored_N5[:, 1], mirrored_N5[:, 3] = 1 - boxes_N5[:, 3], 1 - boxes_N5[:, 1]
            scores_NK = (scores_NK + model(clip_BCTHW.flip(-1), mirrored_N5).float().sigmoid()) / 2
    return list(np.split(scores_NK.double().cpu().numpy(), np.cumsum(counts)[:-1]))


def score_key_frames(
    checkpoint: Path,
    *,
    release: Path,
    split: str = "test",
    persons: str = "detected",
    device: str = "auto",
    threads: int | None = None,
    on_clips: Callable[[int], None] | None = None,
    on_reject: Callable[[Reject], None] | None = None,
) -> pl.DataFrame:
    """What the model says of every person at the split's key-frames: a frame of kind `detections`.

    One row a person and class of the model. The score is the class's probability; the detector's confidence has had
    its say in which boxes there are. A key-frame without persons gives no row.

    Args:
        checkpoint: a `model.pt` of `gesta train`.
        release: folder of a released version.
        split: train, val or test.
        persons: "detected": whom the detector found there; "labelled": the annotated boxes.
        device: auto, cpu or cuda.
        threads: of torch, and decoders; None = torch's own number.
        on_clips: called with the number of key-frames just scored.
        on_reject: called with each key-frame whose video cannot be read.
    Raises:
        BadInput: no checkpoint, no release, or a class of the model that the release's label map lacks.
        BadVideo: a video cannot be read, and `on_reject` is None.
        UnknownName: no such split, choice of persons or device.
    Source: MMAction2 and PySlowFast score AVA the same way, by the action alone. Multiplied by the detector's
        confidence, mAP fell from 0.438 to 0.418 on the rendered world with a detector of 50 % recall.
    """
    loaded = load_checkpoint(checkpoint)
    release_hash(release)
    check_classes(loaded, read_table(release, "label_map")["class_id"].to_list(), where=release)
    samples, _ = read_samples(
        release, split=split, class_ids=loaded.class_ids, persons=persons, clip=loaded.recipe.clip
    )
    place = pick_device(device)
    rows: list[Detection] = []
    with threads_in_use(threads) as num_threads:
        model = model_of(loaded, where=checkpoint, device=place)
        read = _read_all(samples, recipe=loaded.recipe, threads=num_threads, on_reject=on_reject)
        while batch := list(islice(read, CLIPS_PER_BATCH)):
            scores = score_persons(model, [seen for _, seen in batch], recipe=loaded.recipe, device=place)
            for (sample, _), scores_NK in zip(batch, scores, strict=True):
                rows += _detections(sample, scores_NK, class_ids=loaded.class_ids)
            if on_clips is not None:
                on_clips(len(batch))
    return frame_of("detections", rows)


def _read_all(
    samples: Sequence[Sample], *, recipe: Recipe, threads: int, on_reject: Callable[[Reject], None] | None
) -> Iterator[tuple[Sample, Seen]]:
    """Samples with their pixels, in order, decoded a batch ahead."""
    waiting: list[tuple[Sample, Future[Seen]]] = []
    left = iter(samples)
    with ThreadPoolExecutor(threads) as pool:
        while True:
            for sample in islice(left, 2 * CLIPS_PER_BATCH - len(waiting)):
                waiting.append((sample, pool.submit(read_clip, sample, clip=recipe.clip, spec=PLAIN)))
            if not waiting:
                return
            sample, future = waiting.pop(0)
            try:
                seen = future.result()
            except BadVideo as error:
                if on_reject is None:
                    raise
                on_reject(
                    Reject(
                        stage="predict",
                        reason=error.reason,
                        video_id=sample.video_id,
                        clip_id=sample.clip_id,
                        path=sample.path.name,
                        detail=error.problem,
                    )
                )
                continue
            yield sample, seen


def _detections(sample: Sample, scores_NK: npt.NDArray[np.float64], *, class_ids: Sequence[int]) -> list[Detection]:
    # Six decimals: what the AVA format's readers and writers keep apart.
    return [
        Detection(
            video_id=sample.video_id,
            timestamp_us=sample.timestamp_us,
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            class_id=class_id,
            score=round(float(score), 6),
        )
        for (x1, y1, x2, y2), scores_K in zip(sample.boxes_N4.tolist(), scores_NK, strict=True)
        for class_id, score in zip(class_ids, scores_K, strict=True)
    ]


def run_score(
    checkpoint: Path,
    *,
    release: Path,
    out: Path,
    split: str = "test",
    persons: str = "detected",
    device: str = "auto",
    threads: int | None = None,
    on_clips: Callable[[int], None] | None = None,
) -> StageSummary:
    """`out/detections.parquet`: `score_key_frames` as a stage, with the key-frames that cannot be read in `rejects`.

    Raises:
        BadInput: no checkpoint, no release, or a class of the model that the release's label map lacks.
        UnknownName: no such split, choice of persons or device.
    """
    load_checkpoint(checkpoint)
    made = made_by(
        "predict",
        arguments={"split": split, "persons": persons, "device": pick_device(device)},
        inputs={"checkpoint": sha256_of_file(checkpoint), "release": release_hash(release)},
        tools=["torch", "torchvision"],
    )
    path = table_path(out, "detections")
    was_current = is_current(path, made)
    if was_current:
        rejects = [row for row in read_rejects(out).iter_rows(named=True) if row["stage"] == "predict"]
        found = [Reject(**row) for row in rejects]
    else:
        found = []
        frame = score_key_frames(
            checkpoint, release=release, split=split, persons=persons, device=device, threads=threads,
            on_clips=on_clips, on_reject=found.append,
        )  # fmt: skip
        write_rejects(out, "predict", found, made_by=made)
        write_table(path, "detections", frame, made_by=made)
    rows = read_table(out, "detections")
    return StageSummary(
        stage="predict",
        kept=rows.select("video_id", "timestamp_us").n_unique() if len(rows) else 0,
        rejected=count_reasons(found),
        outputs=("detections.parquet",),
        was_current=was_current,
        numbers={"detections": len(rows), "split": split},
    )


def clip_scores(detections: pl.DataFrame) -> pl.DataFrame:
    """One score a key-frame and class: the highest of its persons. Columns video_id, timestamp_us, class_id, score.

    For top-1 and top-5: a clip shows an action when somebody in it does.
    Source: the Kinetics-400 paper labels a clip by what a human in it does (section 3.3); the maximum is ours.
    """
    key = ["video_id", "timestamp_us", "class_id"]
    return detections.group_by(key).agg(pl.col("score").max()).sort(key)
