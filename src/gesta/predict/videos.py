"""A trained model on any video: persons, their tracks, what they do over time; as JSON and as a video to look at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gesta.detect import HABITS, Detector, build_detector
from gesta.predict.annotate import annotate
from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.gather import Gathered, result_json
from gesta.predict.streams.loading import load_person_scorer
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.opening import is_images, open_source
from gesta.predict.streams.rows import ROW_KINDS, RowWriter, check_row_kinds
from gesta.predict.streams.schedule import check_stride
from gesta.predict.streams.scorers import PersonScorer, key_frame_scorer
from gesta.predict.streams.shots import FileSource, ImageSource
from gesta.predict.streams.watch import Looked
from gesta.schema import BadInput, BadVideo, Reject
from gesta.tables import (
    Json,
    StageSummary,
    count_reasons,
    made_by,
    sha256_of_file,
    sha256_of_json,
    whole_file,
    write_json,
    write_rejects,
)
from gesta.train.checkpoints import Checkpoint
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
    checkpoint: Path | PersonScorer,
    *,
    videos: Path,
    out: Path,
    detector: str = "hog",
    weights: Path | None = None,
    detector_min_score: float | None = None,
    min_score: float = 0.3,
    stride_s: float = 1.0,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    fps: float | None = None,
    rows: Sequence[str] = (),
    draws: bool = True,
    on_videos: Callable[[int], None] | None = None,
) -> StageSummary:
    """Who does what in a video, in images in order, or in every video of a folder; what cannot be read goes to rejects.

    A video whose results are there, made by the same checkpoint, detector and settings, is not done again. Key-frames
    of several videos share the model's batches.

    Args:
        checkpoint: a `model.pt` of `gesta train`, or the scorer of one.
        videos: a file, a folder with all videos under it, or a folder or pattern of images.
        out: folder for the results, laid out as the folder of videos is.
        detector: name of a detector of `gesta.detect`.
        weights: the detector's file.
        detector_min_score: least confidence of a person; None = what suits the detector.
        min_score: least probability of an action that is drawn, makes an interval or a row.
        stride_s: seconds from one instant to the next.
        device: auto, cpu or cuda.
        precision: auto, float32 or bfloat16, of convolutions and products.
        threads: of torch; None = torch's own number.
        fps: images a second; None = 25.
        rows: further files for each video, any of `ROW_KINDS`.
        draws: whether `OUT/<name>.mp4` is made.
        on_videos: called with the number of videos just done.
    Raises:
        BadVideo: `videos` is one file, and it cannot be read.
        BadInput: no checkpoint, or no video.
        UnknownName: no such detector, device or kind of rows.
    """
    check_row_kinds(rows)
    stride_us = check_stride(stride_s)
    scorer = (
        checkpoint
        if isinstance(checkpoint, PersonScorer)
        else load_person_scorer(checkpoint, device=device, precision=precision)
    )
    built = build_detector(detector, weights)
    least = HABITS[detector].min_score if detector_min_score is None else detector_min_score
    arguments: dict[str, Json] = {
        "detector": detector, "detector_min_score": least, "min_score": min_score, "stride_s": stride_s,
        "device": scorer.device, "precision": precision, "fps": fps, "rows": list(rows), "draws": draws,
    }  # fmt: skip
    inputs = {"checkpoint": scorer.sha256} | ({"weights": sha256_of_file(weights)} if weights else {})
    made = made_by("predict", arguments=arguments, inputs=inputs, tools=["torch", "torchvision"])
    run = _Run(
        scorer=scorer, eyes=Eyes(detector=built, min_score=least, stride_us=stride_us), min_score=min_score,
        rows=tuple(rows), draws=draws, fps=fps, out=out, is_one=not videos.is_dir() or is_images(videos),
        on_videos=on_videos or (lambda count: None),
    )  # fmt: skip
    with threads_in_use(threads):
        run.all(jobs_of(videos, out=out, fingerprint=made.fingerprint))
    write_rejects(out, "predict", run.rejects, made_by=made)
    return StageSummary(
        stage="predict",
        kept=run.num_kept,
        rejected=count_reasons(run.rejects),
        outputs=tuple(run.outputs),
        was_current=run.num_new == 0,
        numbers={"persons": run.num_persons},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One source of a run, the folder and name of its results, and what tells whether they are its own."""

    path: Path
    name: str
    folder: Path
    stem: str
    key: str

    def __str__(self) -> str:
        return self.name

    def outputs(self, *, rows: Sequence[str], draws: bool) -> list[Path]:
        """The files that it leaves."""
        endings = [".json", *([".mp4"] if draws else []), *(ROW_KINDS[kind].ending for kind in rows)]
        return [self.folder / f"{self.stem}{ending}" for ending in endings]


def jobs_of(videos: Path, *, out: Path, fingerprint: str) -> Iterator[Job]:
    """What there is to do, one after another.

    Raises:
        BadInput: there is no such file or folder, or the folder has no video.
    """
    if is_images(videos):
        source = open_source(videos)
        digests: list[Json] = [sha256_of_file(path) for path in source.paths] if isinstance(source, ImageSource) else []
        stem = videos.name if videos.is_dir() else re.sub(r"[%*]0?\d*d?", "", videos.stem).strip("_-. ") or "images"
        key = sha256_of_json([fingerprint, digests])
        yield Job(path=videos, name=videos.name, folder=out, stem=stem, key=key)
        return
    for file, folder in targets_of(videos_under(videos), videos, out).items():
        yield Job(
            path=file,
            name=file.relative_to(videos).as_posix() if videos.is_dir() else file.name,
            folder=folder,
            stem=file.stem,
            key=sha256_of_json([fingerprint, sha256_of_file(file)]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    source: FileSource | ImageSource


@dataclass(frozen=True, slots=True)
class _Finished:
    pass


_Event = _Opened | _Finished | BadVideo


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run over many sources: the one whose moments come out of the model is put together, one at a time."""

    scorer: PersonScorer
    eyes: Eyes
    min_score: float
    rows: tuple[str, ...]
    draws: bool
    fps: float | None
    out: Path
    is_one: bool
    on_videos: Callable[[int], None]
    rejects: list[Reject] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    num_kept: int = 0
    num_new: int = 0
    num_persons: int = 0

    def all(self, jobs: Iterator[Job]) -> None:
        gathered, opened = Gathered(), None
        with ExitStack() as stack:
            files = stack
            writers: list[RowWriter] = []
            for job, item in scored(self._items(jobs), scorer=self.scorer):
                if isinstance(item, _Opened):
                    gathered, opened, files = Gathered(), item.source, ExitStack()
                    stack.push(files)
                    writers = [self._writer(job, kind, files) for kind in self.rows]
                    for writer in writers:
                        writer.begin(opened.facts())
                elif isinstance(item, Moment):
                    gathered.add(item)
                    for writer in writers:
                        writer.moment(item)
                elif isinstance(item, BadVideo):
                    _discard(files, item)
                    self._reject(job, item)
                elif opened is not None:
                    try:
                        self._finish(job, opened, gathered, files)
                    except BadVideo as error:
                        _discard(files, error)
                        self._reject(job, error)

    def _items(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Looked | _Event]]:
        """What each source shows, with its start and its end; those that are done already are passed by."""
        for job in jobs:
            before = _made_before(job, rows=self.rows, draws=self.draws)
            if before is not None:
                self._count(job, before)
                continue
            try:
                source = open_source(job.path, fps=self.fps)
                assert isinstance(source, FileSource | ImageSource)
                yield job, _Opened(source=source)
                for looked in looked_at(source, scorer=self.scorer, eyes=self.eyes):
                    yield job, looked
            except BadVideo as error:
                yield job, error
            else:
                yield job, _Finished()

    def _writer(self, job: Job, kind: str, files: ExitStack) -> RowWriter:
        path = files.enter_context(whole_file(job.folder / f"{job.stem}{ROW_KINDS[kind].ending}"))
        stream = files.enter_context(path.open("w", encoding="utf-8", newline=""))
        return RowWriter(ROW_KINDS[kind], stream, self.scorer, self.min_score)

    def _finish(self, job: Job, source: FileSource | ImageSource, gathered: Gathered, files: ExitStack) -> None:
        notes = job.folder / f"{job.stem}.json"
        # A result of an earlier run must not pass for this one's while files change.
        notes.unlink(missing_ok=True)
        files.close()
        result = write_results(
            source, gathered, scorer=self.scorer, out=job.folder, stem=job.stem, min_score=self.min_score,
            draws=self.draws,
        )  # fmt: skip
        # The key comes last: a result without it is not a finished one.
        write_json(notes, result | {"fingerprint": job.key})
        self.num_new += 1
        self._count(job, result)

    def _count(self, job: Job, result: Mapping[str, Json]) -> None:
        persons = result["persons"]
        self.num_kept += 1
        self.num_persons += len(persons) if isinstance(persons, list) else 0
        paths = job.outputs(rows=self.rows, draws=self.draws)
        self.outputs += [path.relative_to(self.out).as_posix() for path in paths]
        self.on_videos(1)

    def _reject(self, job: Job, error: BadVideo) -> None:
        if self.is_one:
            raise error
        self.rejects.append(
            Reject(stage="predict", reason=error.reason, video_id=job.path.stem, path=job.name, detail=error.problem)
        )
        self.on_videos(1)


def _discard(files: ExitStack, error: BadVideo) -> None:
    """The files half written go."""
    files.__exit__(type(error), error, None)


def _made_before(job: Job, *, rows: Sequence[str], draws: bool) -> dict[str, Json] | None:
    """The results that are there, where they are of this job and none of its files is missing."""
    notes, *others = job.outputs(rows=rows, draws=draws)
    if not notes.is_file() or not all(path.is_file() for path in others):
        return None
    try:
        found = json.loads(notes.read_bytes())
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("fingerprint") == job.key else None
