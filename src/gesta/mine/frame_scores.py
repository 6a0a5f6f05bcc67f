"""What a classifier of frames says of videos, kept in a table, so that positions can be chosen again and again.

The table `frame_scores` holds a row for each frame looked at and each action that the video is matched to. Videos are
scored in shards, and a run that was cut goes on from those that had finished.

Shapes: F frames, H and W px, C columns of the classifier.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from gesta.mine.frame_classifiers import (
    ClassifierSource,
    FrameClassifier,
    Frames,
    OpenClassifier,
    Scores,
    columns_of,
)
from gesta.schema import US_PER_S, BadInput, BadVideo, GestaError, LabelClass, Reject, Video, format_seconds
from gesta.shards import map_shards
from gesta.tables import (
    Json,
    Provenance,
    empty_frame,
    frame_of,
    is_current,
    made_by,
    read_table,
    rejects_path,
    rows_of,
    sha256_of_json,
    table_path,
    write_rejects,
    write_table,
)
from gesta.video import iter_frames

STAGE = "frame-scores"

RATE = 1.0
"""Frames a second that are looked at unless said otherwise. Source: ours; the Kinetics-400 paper, section 3.2, runs its
classifiers "at the frame level" and says no rate. An action of two seconds is met twice."""

FRAMES_PER_BATCH = 32
"""Frames that a classifier is shown at once at most. Source: ours; 200 MB at 1920 by 1080."""

VIDEOS_PER_SHARD = 4
"""Videos a shard: what a killed run does again, at most, for each worker. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The frame scores of all videos, and the videos that could not be decoded."""

    scores: pl.DataFrame
    rejects: Sequence[Reject]
    was_current: bool


def score_frames(
    work: Path,
    *,
    videos: Sequence[Video],
    classes_of: Mapping[str, Sequence[int]],
    classes: Sequence[LabelClass],
    classifier: ClassifierSource,
    rate: float = RATE,
    workers: int | None = None,
    cluster: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Scored:
    """The scores of those videos' frames for the actions they are matched to; written as `frame_scores`.

    Actions that the classifier does not know have no scores. A video that cannot be decoded to its end is rejected
    whole. The table does not depend on `workers`, nor on where an earlier run was cut; where it is current nothing is
    decoded.

    Args:
        videos: to be looked at; those that `classes_of` gives no action are passed over.
        classes_of: class ids by video id.
        classes: all the actions, which a zero-shot classifier is told of.
        rate: frames a second from a video's start; 0 = every frame.
        workers: processes; None = as many as there are cores.
        cluster: address of a Ray cluster whose machines share the work folder and the videos.
        on_rows: called with the number of videos just done.
    Raises:
        BadInput: `rate` is no number of frames a second, or the classifier knows none of the actions.
        GestaError: the classifier gives scores of another shape, or a score that is no finite number.
    """
    if not (math.isfinite(rate) and rate >= 0):
        raise BadInput(f"--rate {rate}", mend="Want frames a second, or 0 for every frame")
    wanted = [video for video in videos if classes_of.get(video.video_id)]
    provenance = _made_by(wanted, classes_of=classes_of, classes=classes, classifier=classifier, rate=rate)
    files = (table_path(work, "frame_scores"), rejects_path(work, STAGE))
    if all(is_current(file, provenance) for file in files):
        return Scored(
            scores=read_table(work, "frame_scores"),
            rejects=rows_of("rejects", read_table(files[1], "rejects")),
            was_current=True,
        )
    # What is wrong with the classifier is said before any worker starts.
    _columns(classifier.open([row.name for row in classes]), classes=classes)
    frames = map_shards(
        partial(
            score_videos, work=str(work.resolve()), classifier=classifier, classes=tuple(classes), rate=rate,
            fingerprint=provenance.fingerprint,
        ),
        _todo(wanted, classes_of=classes_of),
        outputs=("frame_scores", "rejects"),
        folder=work / "shards" / STAGE,
        made_by=provenance,
        rows_per_shard=VIDEOS_PER_SHARD,
        workers=workers,
        cluster=cluster,
        on_rows=on_rows,
    )  # fmt: skip
    rejects = rows_of("rejects", frames["rejects"])
    write_table(files[0], "frame_scores", frames["frame_scores"], made_by=provenance)
    write_rejects(work, STAGE, rejects, made_by=provenance)
    shutil.rmtree(work / "shards" / STAGE)
    return Scored(scores=read_table(work, "frame_scores"), rejects=rejects, was_current=False)


def _made_by(
    videos: Sequence[Video],
    *,
    classes_of: Mapping[str, Sequence[int]],
    classes: Sequence[LabelClass],
    classifier: ClassifierSource,
    rate: float,
) -> Provenance:
    names: list[Json] = [[row.class_id, row.name] for row in classes]
    looked_at: list[Json] = [
        [video.video_id, video.sha256, list[Json](sorted(classes_of[video.video_id]))] for video in videos
    ]
    return made_by(
        STAGE,
        arguments={"classifier": dict(classifier.said), "rate": rate},
        inputs={"actions": sha256_of_json(names), "videos": sha256_of_json(looked_at)},
        tools=("av", *classifier.tools),
    )


def _todo(videos: Sequence[Video], *, classes_of: Mapping[str, Sequence[int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "video_id": [video.video_id for video in videos],
            "path": [video.path for video in videos],
            "start_us": [video.start_us for video in videos],
            "end_us": [video.start_us + video.duration_us for video in videos],
            "class_ids": [sorted(classes_of[video.video_id]) for video in videos],
        },
        schema={
            "video_id": pl.String, "path": pl.String, "start_us": pl.Int64, "end_us": pl.Int64,
            "class_ids": pl.List(pl.Int64),
        },
    )  # fmt: skip


def score_videos(
    videos: pl.DataFrame,
    *,
    work: str,
    classifier: ClassifierSource,
    classes: Sequence[LabelClass],
    rate: float,
    fingerprint: str,
) -> Mapping[str, pl.DataFrame]:
    """Frames `frame_scores` and `rejects` of a few videos: one shard of the stage.

    Args:
        videos: columns video_id, path (relative to `work`), start_us, end_us, class_ids (a list).
        fingerprint: of all that decides the scores; a classifier opened for it is kept.
    Raises:
        GestaError: the classifier cannot be opened, or gives what are no scores.
    """
    opened = _opened(classifier, classes=classes, fingerprint=fingerprint)
    column_of = _columns(opened, classes=classes)
    parts, rejects = [empty_frame("frame_scores")], []
    with _one_thread():
        for video in videos.iter_rows(named=True):
            class_ids = [class_id for class_id in video["class_ids"] if class_id in column_of]
            if not class_ids:
                continue
            columns = [column_of[class_id] for class_id in class_ids]
            try:
                times_us, scores_FC = score_video(
                    Path(work) / video["path"], opened, start_us=video["start_us"], end_us=video["end_us"], rate=rate
                )
            except BadVideo as error:
                rejects.append(_reject(video, error))
                continue
            parts.append(
                pl.DataFrame(
                    {
                        "video_id": np.repeat(video["video_id"], len(times_us) * len(class_ids)),
                        "timestamp_us": np.repeat(np.array(times_us, dtype=np.int64), len(class_ids)),
                        "class_id": np.tile(np.array(class_ids, dtype=np.int64), len(times_us)),
                        "score": scores_FC[:, columns].reshape(-1).astype(np.float64),
                    },
                    schema=parts[0].schema,
                )
            )
    return {"frame_scores": pl.concat(parts), "rejects": frame_of("rejects", rejects)}


def score_video(
    path: Path, classifier: FrameClassifier, *, start_us: int, end_us: int, rate: float
) -> tuple[list[int], Scores]:
    """The instants of the frames looked at, microseconds on the player's clock, and their scores, float32 [F, C].

    A frame goes by its own time, or by the video's start where it was on screen before that.

    Args:
        start_us: the first instant; the end is half-open.
        rate: frames a second from there; 0 = every frame.
    Raises:
        BadVideo: a frame on the way cannot be decoded, or none is shown (reason "no-frames").
        GestaError: the scores have another shape than [F, C], or one is no finite number.
    """
    step = Fraction(str(rate)) if rate else None
    shown = iter_frames(path, start_us=start_us, end_us=end_us, rate=step, short_side_px=classifier.short_side_px)
    times_us: list[int] = []
    parts: list[Scores] = []
    for batch_us, frames_FHWC in _batches((max(time_us, start_us), frame) for time_us, frame in shown):
        parts.append(_checked(classifier, frames_FHWC, times_us=batch_us, path=path))
        times_us += batch_us
    if not times_us:
        raise BadVideo("shows no frame", where=path, reason="no-frames")
    return times_us, np.concatenate(parts)


def _batches(frames: Iterable[tuple[int, Frames]]) -> Iterator[tuple[list[int], Frames]]:
    left = iter(frames)
    while batch := list(islice(left, FRAMES_PER_BATCH)):
        yield [time_us for time_us, _ in batch], np.stack([frame_HWC for _, frame_HWC in batch])


def _checked(classifier: FrameClassifier, frames_FHWC: Frames, *, times_us: Sequence[int], path: Path) -> Scores:
    scores_FC = np.asarray(classifier.score(frames_FHWC), dtype=np.float32)
    wanted = (len(times_us), len(classifier.class_names))
    if scores_FC.shape != wanted:
        raise GestaError(
            f"the frame classifier gives scores of shape {list(scores_FC.shape)} for {wanted[0]} frames",
            where=path,
            mend=f"Want [{wanted[0]}, {wanted[1]}]: a row a frame, a column a class",
        )
    is_bad_F = ~np.isfinite(scores_FC).all(axis=1)
    if is_bad_F.any():
        at = format_seconds(times_us[int(is_bad_F.argmax())], decimals=3)
        raise GestaError(
            f"the frame classifier gives no finite number for the frame at {at} s",
            where=path,
            mend="Look at its weights",
        )
    return scores_FC


def _columns(classifier: FrameClassifier, *, classes: Sequence[LabelClass]) -> dict[int, int]:
    columns = columns_of(classifier.class_names, classes=classes)
    if not columns:
        known = ", ".join(classifier.class_names[:5])
        raise BadInput(
            f"the frame classifier knows none of the {len(classes)} actions; it knows {known}, ...",
            mend="Name a classifier of these actions, or use --positions uniform",
        )
    return columns


_KEPT: dict[str, tuple[OpenClassifier, FrameClassifier]] = {}


def _opened(classifier: ClassifierSource, *, classes: Sequence[LabelClass], fingerprint: str) -> FrameClassifier:
    """The classifier ready to score; opened once in a process for all its shards."""
    kept = _KEPT.get(fingerprint)
    if kept is None or kept[0] != classifier.open:
        _KEPT.clear()
        kept = (classifier.open, classifier.open([row.name for row in classes]))
        _KEPT[fingerprint] = kept
    return kept[1]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch, where a classifier has loaded it, uses one thread: a worker has one core, and sums keep their order."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _reject(video: Mapping[str, object], error: BadVideo) -> Reject:
    return Reject(
        stage=STAGE, reason=error.reason, video_id=str(video["video_id"]), path=str(video["path"]), detail=error.problem
    )


def num_frames_at(videos: Sequence[Video], *, rate: float) -> int:
    """About how many frames of those videos are looked at."""
    seconds = [video.duration_us / US_PER_S for video in videos]
    fps = [rate or video.fps_num / video.fps_den for video in videos]
    return round(sum(a * b for a, b in zip(seconds, fps, strict=True)))
