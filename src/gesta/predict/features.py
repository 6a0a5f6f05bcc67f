"""Features: what a layer of a clip model gives for every window of any videos, as one Parquet file or an npz a video.

Shapes: N windows of a video, B of a batch; a layer's own dimensions are written "...".
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gesta.predict.clip_models import ClipModel, load_clip_model
from gesta.predict.feature_files import FeatureRows, feature_file_of
from gesta.predict.layers import Layer, find_layer, listening, pooled
from gesta.predict.videos import videos_under
from gesta.predict.windows import open_whole, window_batches, windows_of
from gesta.schema import US_PER_S, BadInput, BadVideo, Reject, UnknownName
from gesta.tables import (
    Json,
    StageSummary,
    count_reasons,
    made_by,
    sha256_of_file,
    sha256_of_json,
    write_rejects,
)
from gesta.train.clips import to_model
from gesta.train.devices import autocast, pick_precision, threads_in_use
from gesta.video import index_packets

DTYPES = ("float32", "float16")

Floats = npt.NDArray[np.floating]


def own_stride_us(model: ClipModel) -> int:
    """The time that the model sees at once, in microseconds: windows that far apart touch."""
    return max(1, round(model.frames.num_spanned * US_PER_S / model.frames.exact_rate))


def video_features(
    model: ClipModel,
    video: Path,
    *,
    layer: Layer,
    stride_us: int,
    pools: bool = True,
    channels: str = "auto",
    dtype: str = "float32",
    precision: str = "float32",
) -> Iterator[FeatureRows]:
    """The layer's output for windows every `stride_us`, some windows at a time, in order of time.

    A window is shown the center crop, as in training without random changes. `start_us` and `end_us` of a row are of
    the frames shown.

    Args:
        model: from `load_clip_model`.
        video: any file that FFmpeg reads.
        layer: from `find_layer`.
        stride_us: from one window to the next.
        pools: whether to average over time and place.
        channels: where the channels are, as `pooled` takes it.
        dtype: float32 or float16, of what comes out.
        precision: auto, float32 or bfloat16, of convolutions and products.
    Raises:
        BadVideo: the file is missing, empty, no video, or breaks off.
        BadInput: `stride_us` is below 1, or the layer cannot be averaged.
        UnknownName: `dtype` or `channels` is none of the choices.
    """
    if dtype not in DTYPES:
        raise UnknownName(what="type of numbers", name=dtype, choices=DTYPES)
    index = index_packets(video)
    footage = open_whole(video, frames=model.frames)
    windows = windows_of(
        start_us=index.start_us, end_us=index.end_us, num_frames=footage.num_frames, frames=model.frames,
        stride_us=stride_us,
    )  # fmt: skip
    how = pick_precision(precision, device=model.device)
    with listening(model.net, layer) as run:
        for some, (batch,) in window_batches(footage, windows, frames=model.frames, crops=1):
            clip_BCTHW = to_model(batch, frames=model.frames, device=model.device)
            with torch.inference_mode(), autocast(device=model.device, precision=how):
                values = run(clip_BCTHW).float()
                if pools:
                    values = pooled(values, channels=channels, name=model.name)
            yield FeatureRows(
                start_us=tuple(window.seen_start_us for window in some),
                end_us=tuple(window.seen_end_us for window in some),
                values=values.cpu().numpy().astype(dtype),
                num_total=len(windows),
            )


def run_features(
    checkpoint: str | Path,
    *,
    videos: Path,
    out: Path,
    layer: str,
    stride_s: float | None = None,
    pools: bool = True,
    channels: str = "auto",
    dtype: str = "float32",
    device: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
    class_names: Sequence[str] | None = None,
    on_videos: Callable[[int], None] | None = None,
) -> StageSummary:
    """The layer's output for every window of a video, or of every video of a folder, written down.

    `out` with the ending .parquet is one file with a row a window; any other name is a folder with an npz a video
    (docs/predict.md says what is in them). Beside it a JSON file says what made it, and `rejects` holds the videos that
    cannot be read. Videos that are done are not done again; a killed run goes on behind the last finished video.

    Args:
        checkpoint: what `load_clip_model` takes.
        videos: a file, or a folder with all that lies under it.
        out: a Parquet file, or a folder.
        layer: path of a module of the network, or its end where that is enough.
        stride_s: seconds from one window to the next; None = as long as a window.
        pools: whether to average over time and place; else the layer's whole grid is kept.
        channels: auto, first or last.
        dtype: float32 or float16.
        device: auto, cpu or cuda.
        precision: auto, float32 or bfloat16.
        threads: of torch; None = torch's own number.
        class_names: of published weights that do not know theirs.
        on_videos: called with the number of videos just done.
    Raises:
        BadVideo: `videos` is one file, and it cannot be read.
        BadInput: no such model, no video, a stride that is not above 0, or a layer that gives nothing.
        UnknownName: no such layer (the message lists them), model, device or type of numbers.
        GestaError: the weights cannot be had.
    """
    if dtype not in DTYPES:
        raise UnknownName(what="type of numbers", name=dtype, choices=DTYPES)
    if stride_s is not None and stride_s * US_PER_S < 1:
        raise BadInput(f"stride_s={stride_s}", mend="Want more than 0 seconds")
    files = videos_under(videos)
    model = load_clip_model(checkpoint, device=device, class_names=class_names)
    found = find_layer(model.net, layer, frames=model.frames)
    stride_us = own_stride_us(model) if stride_s is None else round(stride_s * US_PER_S)
    arguments: dict[str, Json] = {
        "model": model.name, "origin": dict(model.origin), "layer": found.name, "kind": found.kind, "pools": pools,
        "channels": channels, "dtype": dtype, "stride_us": stride_us, "device": model.device, "precision": precision,
        "frames": json.loads(json.dumps(dataclasses.asdict(model.frames))),
    }  # fmt: skip
    made = made_by("features", arguments=arguments, inputs={"model": model.sha256}, tools=["torch", "torchvision"])
    ids = feature_ids(files, videos)
    target = feature_file_of(out, made_by=made)
    rejects: list[Reject] = []
    keys: dict[str, str] = {}
    num_new = 0
    with threads_in_use(threads):
        for file in files:
            try:
                key = sha256_of_json([made.fingerprint, ids[file], sha256_of_file(file)])
                if not target.has(ids[file], key=key):
                    rows = video_features(
                        model, file, layer=found, stride_us=stride_us, pools=pools, channels=channels, dtype=dtype,
                        precision=precision,
                    )  # fmt: skip
                    target.add(ids[file], rows, key=key)
                    num_new += 1
                keys[ids[file]] = key
            except BadVideo as error:
                if videos.is_file():
                    raise
                name = file.relative_to(videos).as_posix()
                rejects.append(
                    Reject(stage="features", reason=error.reason, video_id=ids[file], path=name, detail=error.problem)
                )
            if on_videos is not None:
                on_videos(1)
    written = target.finish(keys)
    write_rejects(target.folder, "features", rejects, made_by=made)
    return StageSummary(
        stage="features",
        kept=len(keys),
        rejected=count_reasons(rejects),
        outputs=written.outputs,
        was_current=num_new == 0 and not written.has_changed,
        numbers={"windows": written.num_windows, "layer": found.name, "shape": list(written.shape)},
    )


def feature_ids(files: Sequence[Path], root: Path) -> dict[Path, str]:
    """A name for each video: its path under `root` without the ending, which stays where two would be the same."""
    names = {file: file.relative_to(root) if root.is_dir() else Path(file.name) for file in files}
    stems = [name.with_suffix("") for name in names.values()]
    return {
        file: (name if stems.count(name.with_suffix("")) > 1 else name.with_suffix("")).as_posix()
        for file, name in names.items()
    }
