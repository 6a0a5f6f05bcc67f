"""A trained model on any video: persons, their tracks, what they do over time; as JSON and as a video to look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from gesta.detect import HABITS, Detector, build_detector
from gesta.predict.annotate import annotate
from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.gather import Gathered, result_json
from gesta.predict.streams.schedule import check_stride
from gesta.predict.streams.scorers import PersonScorer, key_frame_scorer
from gesta.predict.streams.shots import FileSource, ImageSource
from gesta.schema import BadInput, BadVideo, Reject
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
from gesta.train.checkpoints import Checkpoint, load_checkpoint
from gesta.train.devices import pick_device, threads_in_use
from gesta.video import VIDEO_ENDINGS


def predict_video(
    checkpoint: Checkpoint | Path,
    video: Path,
    *,
    detector: Detector,
    out: Path,
    detector_min_score: float = 0.5,
    min_score: float = 0.3,
    stride_s: float = 1.0,
    device: str = "auto",
    threads: int | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> dict[str, Json]:
    """Who does what in a video; also written as `out/<name>.json`, with `out/<name>.mp4` to look at.

    The JSON object: `video` (what the container says), `classes`, `persons`; of each person `boxes` (the track),
    `actions` (every `stride_s` the probability of every class, in the order of `classes`) and `intervals` (stretches
    in which a class stays at `min_score` or above). Times in microseconds on the player's clock, intervals half-open,
    boxes x1 y1 x2 y2 as fractions of the frame.

    Args:
        checkpoint: what `gesta train` wrote, or its file.
        video: any file that FFmpeg reads.
        detector: finds persons in frames.
        out: folder for both files.
        detector_min_score: boxes of lower confidence are left out.
        min_score: least probability of an action that is drawn or makes an interval.
        stride_s: seconds from one instant to the next.
        device: auto, cpu or cuda.
        threads: of torch; None = torch's own number.
        on_frames: called with the number of frames just drawn.
    Raises:
        BadVideo: the file is missing, empty, no video, or breaks off.
        BadInput: no checkpoint, or `stride_s` is not above 0.
    """
    scorer = key_frame_scorer(checkpoint, device=pick_device(device))
    eyes = Eyes(detector=detector, min_score=detector_min_score, stride_us=check_stride(stride_s))
    source = FileSource(video)
    gathered = Gathered()
    with threads_in_use(threads):
        looked = ((video.name, each) for each in looked_at(source, scorer=scorer, eyes=eyes))
        for _, moment in scored(looked, scorer=scorer):
            gathered.add(moment)
    return write_results(
        source, gathered, scorer=scorer, out=out, stem=video.stem, min_score=min_score, on_frames=on_frames
    )


def write_results(
    source: FileSource | ImageSource,
    gathered: Gathered,
    *,
    scorer: PersonScorer,
    out: Path,
    stem: str,
    min_score: float,
    draws: bool = True,
    on_frames: Callable[[int], None] | None = None,
) -> dict[str, Json]:
    """What is written as `out/<stem>.json`; with `draws`, the frames are read once more for `out/<stem>.mp4`.

    Raises:
        BadVideo: a frame cannot be decoded.
    """
    if draws:
        fps, times_us = source.pace()
        annotate(
            source, out / f"{stem}.mp4", gathered=gathered, class_names=scorer.class_names, fps=fps, times_us=times_us,
            min_score=min_score, on_frames=on_frames,
        )  # fmt: skip
    persons = gathered.persons(scorer=scorer, min_score=min_score)
    result = result_json(persons, facts=source.facts(), scorer=scorer)
    write_json(out / f"{stem}.json", result)
    return result


def videos_under(path: Path) -> list[Path]:
    """The file itself, or the videos of a folder and the folders in it, by name.

    Raises:
        BadInput: there is no such file or folder, the folder has no video, or two files would share one result.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInput("there is no such file or folder", where=path, mend="Name a video, or a folder of videos")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in VIDEO_ENDINGS)
    if not files:
        raise BadInput("the folder has no video", where=path, mend=f"Endings known: {', '.join(VIDEO_ENDINGS)}")
    return files


def targets_of(files: Sequence[Path], root: Path, out: Path) -> dict[Path, Path]:
    """The folder of each video's results: as the videos lie under `root`; apart for files of one name."""
    folders = {file: out / (file.parent.relative_to(root) if root.is_dir() else "") for file in files}
    stems = [(folder, file.stem) for file, folder in folders.items()]
    return {
        file: folder / file.suffix[1:].lower() if stems.count((folder, file.stem)) > 1 else folder
        for file, folder in folders.items()
    }


def run_predict(
    checkpoint: Path,
    *,
    videos: Path,
    out: Path,
    detector: str = "hog",
    weights: Path | None = None,
    detector_min_score: float | None = None,
    min_score: float = 0.3,
    stride_s: float = 1.0,
    device: str = "auto",
    threads: int | None = None,
    on_videos: Callable[[int], None] | None = None,
) -> StageSummary:
    """`predict_video` on a file or on every video of a folder; those that cannot be read go to `out/rejects`.

    A video whose results are there, made by the same checkpoint, detector and settings, is not done again.

    Args:
        checkpoint: a `model.pt` of `gesta train`.
        videos: a file, or a folder with all that lies under it.
        out: folder for the results, laid out as the folder of videos is.
        detector: name of a detector of `gesta.detect`.
        weights: the detector's file.
        detector_min_score: least confidence of a person; None = what suits the detector.
        min_score: least probability of an action that is drawn or makes an interval.
        stride_s: seconds from one instant to the next.
        device: auto, cpu or cuda.
        threads: of torch; None = torch's own number.
        on_videos: called with the number of videos just done.
    Raises:
        BadVideo: `videos` is one file, and it cannot be read.
        BadInput: no checkpoint, or no video.
        UnknownName: no such detector or device.
    """
    loaded = load_checkpoint(checkpoint)
    built = build_detector(detector, weights)
    least = HABITS[detector].min_score if detector_min_score is None else detector_min_score
    files = videos_under(videos)
    arguments: dict[str, Json] = {
        "detector": detector, "detector_min_score": least, "min_score": min_score, "stride_s": stride_s,
        "device": pick_device(device),
    }  # fmt: skip
    inputs = {"checkpoint": sha256_of_file(checkpoint)} | ({"weights": sha256_of_file(weights)} if weights else {})
    made = made_by("predict", arguments=arguments, inputs=inputs, tools=["torch", "torchvision"])
    rejects: list[Reject] = []
    outputs: list[str] = []
    num_new = num_persons = 0
    for file, folder in targets_of(files, videos, out).items():
        notes = folder / f"{file.stem}.json"
        key = sha256_of_json([made.fingerprint, sha256_of_file(file)])
        result = _made_before(notes, key)
        if result is None:
            try:
                result = predict_video(
                    loaded, file, detector=built, out=folder, detector_min_score=least, min_score=min_score,
                    stride_s=stride_s, device=device, threads=threads,
                )  # fmt: skip
            except BadVideo as error:
                if videos.is_file():
                    raise
                name = file.relative_to(videos).as_posix()
                rejects.append(
                    Reject(stage="predict", reason=error.reason, video_id=file.stem, path=name, detail=error.problem)
                )
                result = None
            else:
                num_new += 1
                # The key comes last: a result without it is not a finished one.
                write_json(notes, result | {"fingerprint": key})
        if result is not None:
            persons = result["persons"]
            num_persons += len(persons) if isinstance(persons, list) else 0
            outputs += [path.relative_to(out).as_posix() for path in (notes, notes.with_suffix(".mp4"))]
        if on_videos is not None:
            on_videos(1)
    write_rejects(out, "predict", rejects, made_by=made)
    return StageSummary(
        stage="predict",
        kept=len(outputs) // 2,
        rejected=count_reasons(rejects),
        outputs=tuple(outputs),
        was_current=num_new == 0,
        numbers={"persons": num_persons},
    )


def _made_before(notes: Path, key: str) -> dict[str, Json] | None:
    if not notes.is_file() or not notes.with_suffix(".mp4").is_file():
        return None
    try:
        found = json.loads(notes.read_bytes())
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("fingerprint") == key else None
