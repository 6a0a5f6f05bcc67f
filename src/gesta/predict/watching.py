"""A camera, a stream, or a file played as one, watched until it ends or is stopped; rows are written as it goes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gesta.detect import HABITS, build_detector
from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.live import LiveNow, PacedSource, live_moments
from gesta.predict.streams.loading import load_person_scorer
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.opening import open_source
from gesta.predict.streams.rows import ROW_KINDS, RowWriter, check_row_kinds
from gesta.predict.streams.schedule import check_stride
from gesta.predict.streams.scorers import PersonScorer
from gesta.predict.streams.shots import FrameSource, Shot
from gesta.predict.streams.streamed import Patience
from gesta.predict.viewers.growing_video import GrowingVideo
from gesta.predict.viewers.looking import Viewer
from gesta.predict.viewers.page_server import PageViewer, served_page
from gesta.predict.viewers.window import Window
from gesta.schema import Refused
from gesta.tables import Json, StageSummary
from gesta.train.devices import threads_in_use


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """How a source is looked at while it is watched.

    `draws`: a video with what was known at each frame. `shows`: a window. `serve`: HOST:PORT of a web page, whose link
    `on_link` is told.
    """

    draws: bool = False
    shows: bool = False
    serve: str | None = None
    on_link: Callable[[str], None] | None = None

    @property
    def is_any(self) -> bool:
        """Whether somebody looks on."""
        return self.draws or self.shows or self.serve is not None


def stem_of(name: str) -> str:
    """A source's name as one of files.

    >>> stem_of("rtsp://door.lan:554/stream1"), stem_of("camera:0"), stem_of("party.mp4")
    ('rtsp-door.lan-554-stream1', 'camera-0', 'party')
    """
    is_address = "://" in name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "stream"
    return plain if is_address else Path(plain).stem


def run_watch(
    checkpoint: str | Path | PersonScorer,
    *,
    source: str | Path,
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
    live: bool | None = None,
    patience: Patience | None = None,
    rows: Sequence[str] = ("jsonl",),
    views: Views | None = None,
    stop: threading.Event | None = None,
    on_open: Callable[[str], None] | None = None,
    on_moment: Callable[[Moment], None] | None = None,
) -> StageSummary:
    """What persons do in a source that passes once, row by row as it becomes known; memory does not grow.

    A file or images are played at their own speed, as if they were a camera, where somebody looks on. A source that is
    not live and that nobody looks at is read as fast as it goes.

    Args:
        checkpoint: a `model.pt` of `gesta train`, or the scorer of one.
        source: `camera:0`, an address, `-`, a file or images.
        out: folder of the rows.
        detector: name of a detector of `gesta.detect`.
        weights: the detector's file.
        detector_min_score: least confidence of a person; None = what suits the detector.
        min_score: least probability of an action that is written or shown.
        stride_s: seconds from one moment to the next.
        device: auto, cpu or cuda.
        precision: auto, float32 or bfloat16, of convolutions and products.
        threads: of torch; None = torch's own number.
        fps: images a second; None = 25.
        live: of an address: whether it goes on by itself; None = told by its kind.
        patience: with an address that is slow or lost.
        rows: kinds of rows, of `ROW_KINDS`.
        views: who looks on; None = nobody.
        stop: set to end it; what was seen by then is still written.
        on_open: called with the source's name once it is open.
        on_moment: called with each moment.
    Raises:
        BadVideo: a file or stream cannot be read.
        BadInput: no checkpoint, or no such source.
        Refused: rows of an earlier run lie there.
        UnknownName: no such detector, device or kind of rows.
        MissingExtra: a page is wanted, and Starlette or uvicorn is not installed.
        GestaError: a camera, an address, a window or a page cannot be opened.
    """
    check_row_kinds(rows)
    stride_us, ended, seen = check_stride(stride_s), stop or threading.Event(), views or Views()
    scorer = (
        checkpoint
        if isinstance(checkpoint, PersonScorer)
        else load_person_scorer(checkpoint, device=device, precision=precision)
    )
    eyes = Eyes(
        detector=build_detector(detector, weights),
        min_score=HABITS[detector].min_score if detector_min_score is None else detector_min_score,
        stride_us=stride_us,
    )
    opened = open_source(source, fps=fps, live=live, patience=patience, stop=ended)
    if seen.is_any and not opened.is_live:
        opened = PacedSource(played=opened, stop=ended)
    endings = [*(ROW_KINDS[kind].ending for kind in rows), *([".mp4"] if seen.draws else [])]
    paths = [out / f"{stem_of(opened.name)}{ending}" for ending in endings]
    for path in paths:
        if path.exists():
            raise Refused("rows of an earlier run are here", where=path, mend="Name another folder with --out")
    counts = _Counts()
    with ExitStack() as stack, threads_in_use(threads):
        viewers = _viewers(opened, seen, path=paths[-1], stack=stack, min_score=min_score, eyes=eyes, stop=ended)
        writers = [_writer(path, kind, scorer, min_score, stack) for path, kind in zip(paths, rows, strict=False)]
        for writer in writers:
            writer.begin(opened.facts())
        if on_open is not None:
            on_open(opened.name)
        for moment in _moments(opened, scorer=scorer, eyes=eyes, stop=ended, viewers=viewers):
            counts.add(moment)
            for writer in writers:
                writer.moment(moment)
            for viewer in viewers:
                viewer.moment(moment)
            if on_moment is not None:
                on_moment(moment)
    return StageSummary(
        stage="predict",
        kept=counts.num_moments,
        rejected={},
        outputs=tuple(path.relative_to(out).as_posix() for path in paths if path.is_file()),
        was_current=False,
        numbers=counts.numbers(),
    )


@dataclass(slots=True)
class _Counts:
    num_moments: int = 0
    last_person: int = -1
    num_dropped: int = 0
    num_skipped: int = 0
    most_latency_us: int | None = None

    def add(self, moment: Moment) -> None:
        self.num_moments += 1
        self.num_dropped += moment.num_dropped
        self.num_skipped += moment.num_skipped
        # Persons are numbered from 0 on: no list of them has to be kept.
        self.last_person = max([self.last_person, *(box.person_id for box in moment.tracked)])
        if moment.latency_us is not None:
            self.most_latency_us = max(self.most_latency_us or 0, moment.latency_us)

    def numbers(self) -> dict[str, Json]:
        return {
            "persons": self.last_person + 1,
            "dropped_frames": self.num_dropped,
            "skipped_moments": self.num_skipped,
            "most_latency_us": self.most_latency_us,
        }


def _writer(path: Path, kind: str, scorer: PersonScorer, min_score: float, stack: ExitStack) -> RowWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not written whole at the end: rows are there to be read while the stream goes on.
    stream = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
    return RowWriter(ROW_KINDS[kind], stream, scorer, min_score)


def _viewers(
    source: FrameSource,
    views: Views,
    *,
    path: Path,
    stack: ExitStack,
    min_score: float,
    eyes: Eyes,
    stop: threading.Event,
) -> list[Viewer]:
    """Everybody who looks on; closed with the stack."""
    found: list[Viewer] = []
    if views.draws:
        found.append(GrowingVideo(path=path, min_score=min_score))
    if views.shows:
        found.append(Window(title=f"gesta: {source.name}", min_score=min_score, stop=stop))
    if views.serve is not None:
        page = PageViewer(facts=source.facts(), min_score=min_score, stride_us=eyes.stride_us)
        link = stack.enter_context(served_page(page, address=views.serve))
        if views.on_link is not None:
            views.on_link(link)
        found.append(page)
    for viewer in found:
        stack.callback(viewer.close)
    return found


def _moments(
    source: FrameSource, *, scorer: PersonScorer, eyes: Eyes, stop: threading.Event, viewers: Sequence[Viewer]
) -> Iterator[Moment]:
    if not source.is_live:
        looked = ((source.name, each) for each in looked_at(source, scorer=scorer, eyes=eyes))
        return (moment for _, moment in scored(looked, scorer=scorer))

    def show(shot: Shot, now: LiveNow) -> None:
        for viewer in viewers:
            viewer.shot(shot, now)

    return live_moments(source, scorer=scorer, eyes=eyes, stop=stop, on_shot=show if viewers else None)
