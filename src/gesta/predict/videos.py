"""A trained model on any video: persons, their tracks, what they do over time; as JSON and as a video to look at.

Shapes: H and W pixels, N persons at one instant, K classes.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from gesta.detect import HABITS, Detector, TrackedBox, build_detector, link_tracks, search_clip
from gesta.predict.draw import draw_person
from gesta.predict.key_frames import CLIPS_PER_BATCH, PLAIN, Seen, score_persons
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
from gesta.train.checkpoints import Checkpoint, load_checkpoint, model_of
from gesta.train.devices import pick_device, threads_in_use
from gesta.train.store import see
from gesta.train.views import group_persons
from gesta.video import (
    VIDEO_ENDINGS,
    PacketIndex,
    VideoFacts,
    index_packets,
    iter_frames,
    probe,
    read_frames,
    write_video,
)

DETECT_RATE = 5.0
"""Frames a second in which persons are looked for. Source: ours; a walker moves a third of a body width in 0.2 s."""

TOP_ACTIONS = 3
"""Actions written beside a box at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One person at one instant: the box, and the probability of every class in the checkpoint's order."""

    person_id: int
    time_us: int
    start_us: int
    end_us: int
    box: tuple[float, float, float, float]
    scores: tuple[float, ...]


Tracks = Mapping[int, Sequence[TrackedBox]]
"""Boxes of each person, in order of time."""


def box_at(track: Sequence[TrackedBox], time_us: int, *, reach_us: int) -> tuple[float, float, float, float] | None:
    """The person's box at an instant, linear between those around it; None beyond `reach_us` from its ends."""
    place = bisect_left(track, time_us, key=lambda box: box.time_us)
    if place == len(track):
        return track[-1].box if time_us - track[-1].time_us <= reach_us else None
    if place == 0:
        return track[0].box if track[0].time_us - time_us <= reach_us else None
    before, after = track[place - 1], track[place]
    share = (time_us - before.time_us) / (after.time_us - before.time_us)
    x1, y1, x2, y2 = (one + share * (other - one) for one, other in zip(before.box, after.box, strict=True))
    return (x1, y1, x2, y2)


def find_tracks(
    video: Path, detector: Detector, *, facts: VideoFacts, min_score: float, rate: float = DETECT_RATE
) -> dict[int, list[TrackedBox]]:
    """The persons of a whole video and their boxes, from the detector's findings in `rate` frames a second.

    Raises:
        BadVideo: a frame cannot be decoded.
    """
    end_us = facts.start_us + facts.duration_us
    found = search_clip(video, detector, start_us=0, end_us=end_us, min_score=min_score, rate=rate)
    return {person_id: list(boxes) for person_id, boxes in groupby(link_tracks(found), lambda box: box.person_id)}


def score_tracks(
    video: Path,
    tracks: Tracks,
    *,
    checkpoint: Checkpoint,
    model: nn.Module,
    facts: VideoFacts,
    index: PacketIndex,
    stride_us: int,
    device: str,
) -> list[Scored]:
    """What each person does, every `stride_us` from the middle of the first stride on; by instant and person.

    An instant stands for the half-open stride around it, the last one up to the video's end.

    Raises:
        BadVideo: a frame cannot be decoded.
    """
    recipe, end_us = checkpoint.recipe, facts.start_us + facts.duration_us
    # A video shorter than half a stride has its one instant in the middle.
    starts = range(0, max(1, end_us - stride_us // 2), stride_us)
    spans = [(start, end_us if number == len(starts) - 1 else start + stride_us) for number, start in enumerate(starts)]

    def clips() -> Iterator[tuple[int, int, int, list[tuple[int, tuple[float, float, float, float]]], Seen]]:
        for start_us, stop_us in spans:
            time_us = min(start_us + stride_us // 2, (start_us + stop_us) // 2)
            boxes = {who: box_at(track, time_us, reach_us=stride_us // 2) for who, track in tracks.items()}
            here = [(who, box) for who, box in sorted(boxes.items()) if box is not None]
            if here:
                frames_THWC = read_frames(video, recipe.clip.times_us(time_us), index=index)
                boxes_N4 = np.array([box for _, box in here])
                for group in group_persons(
                    boxes_N4, frame_width_px=facts.width_px, frame_height_px=facts.height_px, spec=recipe.clip
                ):
                    seen = see(frames_THWC, boxes_N4[list(group)], clip=recipe.clip, spec=PLAIN)
                    yield time_us, start_us, stop_us, [here[number] for number in group], seen

    scored, left = [], clips()
    while batch := list(islice(left, CLIPS_PER_BATCH)):
        found = score_persons(model, [seen for *_, seen in batch], recipe=recipe, device=device)
        for (time_us, start_us, stop_us, here, _), scores_NK in zip(batch, found, strict=True):
            scored += [
                Scored(
                    person_id=who, time_us=time_us, start_us=start_us, end_us=stop_us, box=box,
                    scores=tuple(round(float(score), 6) for score in scores_K),
                )
                for (who, box), scores_K in zip(here, scores_NK, strict=True)
            ]  # fmt: skip
    return sorted(scored, key=lambda row: (row.time_us, row.person_id))


def _persons_json(tracks: Tracks, scored: Sequence[Scored], *, checkpoint: Checkpoint, min_score: float) -> list[Json]:
    by_person = {who: [row for row in scored if row.person_id == who] for who in tracks}
    return [
        {
            "person_id": who,
            "boxes": [
                {
                    "timestamp_us": box.time_us,
                    "box": list(box.box),
                    "score": box.score,
                    "interpolated": box.is_interpolated,
                }
                for box in track
            ],
            "actions": [
                {
                    "timestamp_us": row.time_us,
                    "start_us": row.start_us,
                    "end_us": row.end_us,
                    "box": [round(value, 6) for value in row.box],
                    "scores": list(row.scores),
                }
                for row in by_person[who]
            ],
            "intervals": _intervals(by_person[who], checkpoint=checkpoint, min_score=min_score),
        }
        for who, track in sorted(tracks.items())
    ]


def _intervals(rows: Sequence[Scored], *, checkpoint: Checkpoint, min_score: float) -> list[Json]:
    """Stretches in which one class stays at `min_score` or above; half-open; by start and class."""
    found: list[tuple[int, int, int, list[float]]] = []
    for place, class_id in enumerate(checkpoint.class_ids):
        running: tuple[int, int, int, list[float]] | None = None
        for row in rows:
            if row.scores[place] < min_score:
                running = None
            elif running is not None and running[1] == row.start_us:
                found.remove(running)
                running = (running[0], row.end_us, class_id, [*running[3], row.scores[place]])
                found.append(running)
            else:
                running = (row.start_us, row.end_us, class_id, [row.scores[place]])
                found.append(running)
    name_of = dict(zip(checkpoint.class_ids, checkpoint.class_names, strict=True))
    return [
        {
            "class_id": class_id,
            "name": name_of[class_id],
            "start_us": start_us,
            "end_us": end_us,
            "mean_score": round(sum(scores) / len(scores), 6),
        }
        for start_us, end_us, class_id, scores in sorted(found, key=lambda each: (each[0], each[2]))
    ]


def annotate(
    video: Path,
    target: Path,
    *,
    tracks: Tracks,
    scored: Sequence[Scored],
    class_names: Sequence[str],
    facts: VideoFacts,
    index: PacketIndex,
    min_score: float,
    on_frames: Callable[[int], None] | None = None,
) -> Path:
    """The path written: every frame at its own time, with boxes, person numbers and the actions of `min_score` and up.

    H.264, muted; one row or column of pixels is left out where a side is odd, which the codec cannot have.

    Raises:
        BadVideo: a frame cannot be decoded.
    """
    said = {(row.person_id, row.start_us): row for row in scored}
    starts = sorted({row.start_us for row in scored})
    reach_us = round(1e6 / DETECT_RATE)

    def drawn() -> Iterator[npt.NDArray[np.uint8]]:
        for time_us, frame in iter_frames(video, start_us=facts.start_us, end_us=index.end_us, index=index):
            height, width = frame.shape[:2]
            frame_HWC = np.ascontiguousarray(frame[: height - height % 2, : width - width % 2])
            stride = starts[max(0, bisect_left(starts, time_us + 1) - 1)] if starts else 0
            for who, track in tracks.items():
                box = box_at(track, time_us, reach_us=reach_us)
                if box is not None:
                    row = said.get((who, stride))
                    lines = [f"#{who}", *_top_lines(row, class_names=class_names, min_score=min_score)]
                    draw_person(frame_HWC, box=box, person_id=who, lines=lines)
            yield frame_HWC
            if on_frames is not None:
                on_frames(1)

    times_us = [int(time) - int(index.times_us[0]) for time in index.times_us]
    return write_video(target, drawn(), fps=facts.fps, times_us=times_us if facts.is_vfr else None)


def _top_lines(row: Scored | None, *, class_names: Sequence[str], min_score: float) -> list[str]:
    if row is None:
        return []
    best = sorted(zip(row.scores, class_names, strict=True), reverse=True)[:TOP_ACTIONS]
    return [f"{name} {score:.2f}" for score, name in best if score >= min_score]


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
    if stride_s <= 0:
        raise BadInput(f"stride_s={stride_s}", mend="Want more than 0 seconds")
    loaded = load_checkpoint(checkpoint) if isinstance(checkpoint, Path) else checkpoint
    place = pick_device(device)
    facts, index = probe(video), index_packets(video)
    with threads_in_use(threads):
        model = model_of(loaded, device=place)
        tracks = find_tracks(video, detector, facts=facts, min_score=detector_min_score)
        scored = score_tracks(
            video, tracks, checkpoint=loaded, model=model, facts=facts, index=index,
            stride_us=round(stride_s * 1e6), device=place,
        )  # fmt: skip
    annotate(
        video, out / f"{video.stem}.mp4", tracks=tracks, scored=scored, class_names=loaded.class_names, facts=facts,
        index=index, min_score=min_score, on_frames=on_frames,
    )  # fmt: skip
    result: dict[str, Json] = {
        "video": {
            "file": video.name,
            "width_px": facts.width_px,
            "height_px": facts.height_px,
            "fps": str(facts.fps),
            "is_vfr": facts.is_vfr,
            "num_frames": facts.num_frames,
            "start_us": facts.start_us,
            "duration_us": facts.duration_us,
            "rotation_deg": facts.rotation_deg,
        },
        "model": {"recipe": loaded.recipe.name, "release_sha256": loaded.release_sha256, **loaded.versions},
        "classes": [
            {"class_id": class_id, "name": name}
            for class_id, name in zip(loaded.class_ids, loaded.class_names, strict=True)
        ],
        "persons": _persons_json(tracks, scored, checkpoint=loaded, min_score=min_score),
    }
    write_json(out / f"{video.stem}.json", result)
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
