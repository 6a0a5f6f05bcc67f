"""A clip model on any video: its labels, and how they come and go; as JSON and as a video to look at.

Shapes: B windows, V views (windows times crops), K classes, H and W px.
"""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gesta.predict.clip_models import ClipModel, load_clip_model
from gesta.predict.clip_test import frames_of_test, score_clips
from gesta.predict.draw import draw_labels
from gesta.predict.videos import targets_of, videos_under
from gesta.predict.windows import VideoWindow, open_whole, whole_video, window_batches, windows_of
from gesta.schema import US_PER_S, BadInput, BadVideo, Reject
from gesta.tables import (
    Json,
    StageSummary,
    count_reasons,
    made_by,
    sha256_of_file,
    sha256_of_json,
    write_json,
    write_rejects,
)
from gesta.train.clips import clip_set, to_model
from gesta.train.devices import autocast, pick_precision, threads_in_use
from gesta.video import PacketIndex, VideoFacts, index_packets, iter_frames, probe, write_video

Float32s = npt.NDArray[np.float32]

DRAWN_LABELS = 3
"""Labels written onto a frame at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLabels:
    """Probabilities of the classes: of a whole video, float32 [K], and of each of its windows, float32 [B, K]."""

    scores_K: Float32s
    windows: tuple[VideoWindow, ...]
    scores_BK: Float32s


def label_video(model: ClipModel, video: Path, *, stride_us: int = US_PER_S, precision: str = "auto") -> ClipLabels:
    """What the model says of the whole video, tested as its protocol says, and of a window every `stride_us`.

    A window's probabilities are those of the clip in its middle, averaged over the protocol's crops.

    Args:
        model: from `load_clip_model`.
        video: any file that FFmpeg reads.
        stride_us: from one window to the next.
        precision: auto, float32 or bfloat16, of convolutions and products.
    Raises:
        BadVideo: the file is missing, empty, no video, or breaks off.
        BadInput: `stride_us` is below 1.
        GestaError: the model gives a number that is none.
    """
    classes = dict(zip(model.class_ids, model.class_names, strict=True))
    rejects: list[Reject] = []
    scores_1K = score_clips(
        model.net, clip_set([whole_video(video)], classes=classes), frames=model.frames, test=model.test,
        device=model.device, num_workers=0, precision=precision, on_reject=rejects.append,
    )  # fmt: skip
    if rejects:
        raise BadVideo(rejects[0].detail, where=video, reason=rejects[0].reason)
    frames = frames_of_test(model.frames, test=model.test)
    index = index_packets(video)
    footage = open_whole(video, frames=frames)
    windows = windows_of(
        start_us=index.start_us, end_us=index.end_us, num_frames=footage.num_frames, frames=frames, stride_us=stride_us
    )
    scores: list[Float32s] = []
    how = pick_precision(precision, device=model.device)
    for some, batches in window_batches(footage, windows, frames=frames, crops=model.test.crops):
        values_BK = torch.zeros(len(some), len(model.class_ids), dtype=torch.float64)
        for batch in batches:
            clip_BCTHW = to_model(batch, frames=frames, device=model.device)
            with torch.inference_mode(), autocast(device=model.device, precision=how):
                logits_BK = model.net(clip_BCTHW).double().cpu()
            values_BK += logits_BK if model.test.average == "logits" else logits_BK.softmax(dim=1)
        values_BK /= len(batches)
        scores.append((values_BK.softmax(dim=1) if model.test.average == "logits" else values_BK).float().numpy())
    return ClipLabels(scores_K=scores_1K[0], windows=windows, scores_BK=np.concatenate(scores))


def draw_video(
    video: Path,
    target: Path,
    *,
    labels: ClipLabels,
    class_names: Sequence[str],
    facts: VideoFacts,
    index: PacketIndex,
    on_frames: Callable[[int], None] | None = None,
) -> Path:
    """The path written: every frame at its own time with the likeliest labels of its window, the likeliest on top.

    H.264, muted; one row or column of pixels is left out where a side is odd, which the codec cannot have.

    Raises:
        BadVideo: a frame cannot be decoded, or the picture is too small to draw (reason "small").
    """
    if min(facts.width_px, facts.height_px) < 2:
        raise BadVideo("a picture of one pixel's width cannot be drawn on", where=video, reason="small")
    starts = [window.start_us for window in labels.windows]

    def drawn() -> Iterator[npt.NDArray[np.uint8]]:
        for time_us, frame in iter_frames(video, start_us=facts.start_us, end_us=index.end_us, index=index):
            height, width = frame.shape[:2]
            frame_HWC = np.ascontiguousarray(frame[: height - height % 2, : width - width % 2])
            scores_K = labels.scores_BK[max(0, bisect_right(starts, time_us) - 1)]
            best = _best(scores_K, num=DRAWN_LABELS)
            draw_labels(frame_HWC, [(class_names[place], float(scores_K[place])) for place in best])
            yield frame_HWC
            if on_frames is not None:
                on_frames(1)

    times_us = [int(time) - int(index.times_us[0]) for time in index.times_us]
    return write_video(target, drawn(), fps=facts.fps, times_us=times_us if facts.is_vfr else None)


def predict_clip_video(
    model: ClipModel,
    video: Path,
    *,
    out: Path,
    stride_s: float = 1.0,
    top_k: int = 5,
    draws: bool = True,
    precision: str = "auto",
    on_frames: Callable[[int], None] | None = None,
) -> dict[str, Json]:
    """What a video shows; also written as `out/<name>.json`, and with `draws` as `out/<name>.mp4` to look at.

    The JSON object: `video` (what the container says), `model` (its origin, what it was shown, the test's protocol),
    `classes`, `labels` (the `top_k` likeliest of the whole video, falling), `scores` (of all classes, in their order)
    and `timeline` (the same of a window every `stride_s`, half-open). Times in microseconds on the player's clock.

    Raises:
        BadVideo: the file is missing, empty, no video, or breaks off.
        BadInput: `stride_s` is not above 0, or `top_k` is below 1.
        GestaError: the model gives a number that is none.
    """
    _check(stride_s=stride_s, top_k=top_k)
    facts, index = probe(video), index_packets(video)
    labels = label_video(model, video, stride_us=round(stride_s * US_PER_S), precision=precision)
    if draws:
        draw_video(
            video, out / f"{video.stem}.mp4", labels=labels, class_names=model.class_names, facts=facts, index=index,
            on_frames=on_frames,
        )  # fmt: skip
    result: dict[str, Json] = {
        "video": {"file": video.name, **dataclasses.asdict(facts), "fps": str(facts.fps)},
        "model": {
            "name": model.name,
            **model.origin,
            "frames": _plain(dataclasses.asdict(model.frames)),
            "test": _plain(dataclasses.asdict(model.test)),
        },
        "classes": [
            {"class_id": class_id, "name": name}
            for class_id, name in zip(model.class_ids, model.class_names, strict=True)
        ],
        "labels": _labels_json(labels.scores_K, model=model, top_k=top_k),
        "scores": _rounded(labels.scores_K),
        "timeline": [
            {
                "start_us": window.start_us,
                "end_us": window.end_us,
                "labels": _labels_json(scores_K, model=model, top_k=top_k),
                "scores": _rounded(scores_K),
            }
            for window, scores_K in zip(labels.windows, labels.scores_BK, strict=True)
        ],
    }
    write_json(out / f"{video.stem}.json", result)
    return result


def _check(*, stride_s: float, top_k: int) -> None:
    if stride_s * US_PER_S < 1:
        raise BadInput(f"stride_s={stride_s}", mend="Want more than 0 seconds")
    if top_k < 1:
        raise BadInput(f"top_k={top_k}", mend="Want at least 1")


def _best(scores_K: Float32s, *, num: int) -> list[int]:
    """Places of the largest scores, falling; equal ones in the order of the classes."""
    return [int(place) for place in np.argsort(-scores_K, kind="stable")[:num]]


def _rounded(scores_K: Float32s) -> list[Json]:
    return [round(float(score), 6) for score in scores_K]


def _labels_json(scores_K: Float32s, *, model: ClipModel, top_k: int) -> list[Json]:
    return [
        {
            "class_id": model.class_ids[place],
            "name": model.class_names[place],
            "score": round(float(scores_K[place]), 6),
        }
        for place in _best(scores_K, num=top_k)
    ]


def _plain(values: Mapping[str, object]) -> Json:
    plain: Json = json.loads(json.dumps(values))
    return plain


def labels_text(name: str, result: Mapping[str, Json]) -> str:
    """A video's likeliest labels as lines for people, the name first.

    >>> print(labels_text("a.mp4", {"labels": [{"class_id": 3, "name": "waving", "score": 0.8731}]}))
    a.mp4
       87.3 %  waving
    """
    lines = [name]
    labels = result["labels"]
    for label in labels if isinstance(labels, list) else []:
        assert isinstance(label, dict)
        lines.append(f"  {100 * float(str(label['score'])):5.1f} %  {label['name']}")
    return "\n".join(lines)


def run_predict_clips(
    checkpoint: str | Path,
    *,
    videos: Path,
    out: Path,
    class_names: Sequence[str] | None = None,
    stride_s: float = 1.0,
    top_k: int = 5,
    draws: bool = True,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    on_videos: Callable[[int], None] | None = None,
    on_result: Callable[[str, Mapping[str, Json]], None] | None = None,
) -> StageSummary:
    """`predict_clip_video` on a file or on every video of a folder; those that cannot be read go to `out/rejects`.

    A video whose results are there, made by the same model with the same settings, is not done again.

    Args:
        checkpoint: what `load_clip_model` takes.
        videos: a file, or a folder with all that lies under it.
        out: folder for the results, laid out as the folder of videos is.
        class_names: of published weights that do not know theirs.
        stride_s: seconds from one window of the timeline to the next.
        top_k: labels of a video, and of each window, that are named.
        draws: whether a video with the labels is written.
        device: auto, cpu or cuda.
        precision: auto, float32 or bfloat16.
        threads: of torch; None = torch's own number.
        on_videos: called with the number of videos just done.
        on_result: called with each video's name and its result, also where it was there before.
    Raises:
        BadVideo: `videos` is one file, and it cannot be read.
        BadInput: no such model, or no video.
        UnknownName: no such model or device.
        GestaError: the model gives a number that is none, or its weights cannot be had.
    """
    _check(stride_s=stride_s, top_k=top_k)
    files = videos_under(videos)
    model = load_clip_model(checkpoint, device=device, class_names=class_names)
    arguments: dict[str, Json] = {
        "stride_s": stride_s, "top_k": top_k, "draws": draws, "device": model.device, "precision": precision,
    }  # fmt: skip
    made = made_by("predict", arguments=arguments, inputs={"model": model.sha256}, tools=["torch", "torchvision"])
    rejects: list[Reject] = []
    outputs: list[str] = []
    num_kept = num_new = 0
    for file, folder in targets_of(files, videos, out).items():
        notes = folder / f"{file.stem}.json"
        name = file.relative_to(videos).as_posix() if videos.is_dir() else file.name
        try:
            key = sha256_of_json([made.fingerprint, sha256_of_file(file)])
            result = _made_before(notes, key, draws=draws)
            if result is None:
                with threads_in_use(threads):
                    result = predict_clip_video(
                        model, file, out=folder, stride_s=stride_s, top_k=top_k, draws=draws, precision=precision
                    )
                num_new += 1
                # The key comes last: a result without it is not a finished one.
                write_json(notes, result | {"fingerprint": key})
        except BadVideo as error:
            if videos.is_file():
                raise
            rejects.append(
                Reject(stage="predict", reason=error.reason, video_id=file.stem, path=name, detail=error.problem)
            )
        else:
            num_kept += 1
            outputs += [path.relative_to(out).as_posix() for path in _files_of(notes, draws=draws)]
            if on_result is not None:
                on_result(name, result)
        if on_videos is not None:
            on_videos(1)
    write_rejects(out, "predict", rejects, made_by=made)
    return StageSummary(
        stage="predict",
        kept=num_kept,
        rejected=count_reasons(rejects),
        outputs=tuple(outputs),
        was_current=num_new == 0,
    )


def _files_of(notes: Path, *, draws: bool) -> list[Path]:
    return [notes, notes.with_suffix(".mp4")] if draws else [notes]


def _made_before(notes: Path, key: str, *, draws: bool) -> dict[str, Json] | None:
    if not all(path.is_file() for path in _files_of(notes, draws=draws)):
        return None
    try:
        found = json.loads(notes.read_bytes())
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("fingerprint") == key else None
