"""Films made small and quick to jump about in, with only what training is shown of them: a tenth of the decoding.

An AVA film is 720 px high, lasts two hours and has a sync frame every few seconds; a clip of two seconds costs the
decoding of all since the last one. Here the stretches around key-frames become videos of their own: scaled to what
training draws from, a sync frame every 12 frames, every frame at its own time. They are called
`<id>_<start>_<end>.mp4` with the film's microseconds, so that the folder can be named wherever one of videos can.

For a set too large for prepared key-frames (`gesta.train.persons.prepared`): a minute takes about 10 MB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from gesta.schema import US_PER_S, BadInput, BadVideo, Reject, clip_id_of
from gesta.tables import StageSummary, count_reasons, made_by, write_rejects
from gesta.train.clips.footage import packet_index
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.workers import in_workers
from gesta.train.persons.augment import WHOLE, PersonAugment, frames_in_store
from gesta.train.persons.examples import PersonExample, PersonSet, reject_of
from gesta.train.persons.sampling import reach_us
from gesta.video import write_video
from gesta.video.read import decode_frames

GOP = 12
"""Frames from one sync frame to the next. Source: ours, as prepared clips: half the decoding of x264's 250."""

CRF = 18
"""Quality. Source: x264's documentation: about what the eye cannot tell from the original."""

_RATE = Fraction(30)
"""What the header of a single frame says. Source: ours; the frame's own time counts."""

_GAP_US = 2_000_000
"""Stretches nearer than this become one. Source: ours; a file costs more than two seconds of film."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One film: the first example of it, and the stretches of its own clock to keep."""

    example: PersonExample
    stretches: tuple[tuple[int, int], ...]
    out: Path
    frames: ClipFrames


def shorten_films(
    persons: PersonSet,
    *,
    out: Path,
    frames: ClipFrames,
    augment: PersonAugment | None = None,
    num_workers: int = 0,
    on_films: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was made: the stretches around key-frames as short videos in `out`; films that cannot be read as rejects.

    Files that are there are kept, and appear whole: a cut run goes on. Boundaries between frames move by less than
    6 microseconds, as the videos' clock is of 90 kHz. Pictures are encoded anew: not the same bits, but nearly.

    Args:
        persons: the set; its examples lie in video files.
        out: folder of the videos; one for each part, as two parts may call two videos alike.
        frames: what the model will be shown.
        augment: the changes of training; None = whole frames.
        num_workers: processes; 0 = this one.
        on_films: called with the number of films just done.
    Raises:
        BadInput: no film can be read.
        GestaError: a worker process died.
    """
    stored = frames_in_store(frames, WHOLE if augment is None else augment)
    jobs = [
        _Job(example=examples[0], stretches=_stretches(examples, stored), out=out, frames=stored)
        for examples in _by_file(persons.examples)
    ]
    rejects: list[Reject] = []
    num_files, num_new = 0, 0
    with in_workers(
        _shorten, jobs, assemble=_as_they_come, num_workers=num_workers, queue_len=1, tasks_per_batch=1
    ) as done:
        for made in done:
            num_files += made.num_files
            num_new += made.num_new
            rejects += made.rejects
            if on_films is not None:
                on_films(1)
    provenance = made_by(
        "prepare", arguments={"gop": GOP, "crf": CRF, "side_px": stored.side_px}, inputs={"persons": persons.sha256},
        tools=("av", "numpy"),
    )  # fmt: skip
    write_rejects(out, "prepare", [dataclasses.replace(one, stage="prepare") for one in rejects], made_by=provenance)
    if not num_files:
        raise BadInput(
            f"none of the {len(jobs):,} films can be read, the first because: {rejects[0].detail}",
            mend="Look whether the disk with the videos is there",
        )
    return StageSummary(
        stage="prepare",
        kept=num_files,
        rejected=count_reasons(rejects),
        outputs=(str(out),),
        was_current=not num_new and not rejects,
        numbers={"num_films": len(jobs), "num_new": num_new},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What became of one film."""

    num_files: int
    num_new: int
    rejects: tuple[Reject, ...]


def _as_they_come(made: Iterator[_Made]) -> Iterator[_Made]:
    return made


def _by_file(examples: Sequence[PersonExample]) -> list[list[PersonExample]]:
    groups: dict[Path, list[PersonExample]] = {}
    for example in examples:
        groups.setdefault(example.path, []).append(example)
    return list(groups.values())


def _stretches(examples: Sequence[PersonExample], frames: ClipFrames) -> tuple[tuple[int, int], ...]:
    """The stretches of the film's clock from which frames may be taken, rising, those that nearly meet joined."""
    before_us, after_us = reach_us(frames)
    found: list[tuple[int, int]] = []
    for example in sorted(examples, key=lambda one: one.timestamp_us):
        low_us = max(example.start_us, example.timestamp_us - before_us)
        high_us = min(example.end_us, example.timestamp_us + after_us + 1)
        if found and low_us <= found[-1][1] + _GAP_US:
            found[-1] = (min(found[-1][0], low_us), max(found[-1][1], high_us))
        else:
            found.append((low_us, high_us))
    return tuple(found)


def _shorten(job: _Job) -> _Made:
    """One film's files, as far as they are not there."""
    rejects: list[Reject] = []
    num_files, num_new = 0, 0
    example = job.example
    try:
        index = packet_index(example.path)
        width_px, height_px = job.frames.frame_size(width_px=index.width_px, height_px=index.height_px)
        size = (width_px + width_px % 2, height_px + height_px % 2)
        for low_us, high_us in job.stretches:
            first, last = index.frames_at([low_us - example.file_start_us, high_us - 1 - example.file_start_us])
            numbers = np.arange(first, last + 1)
            # The file begins with its first frame, so that this one is shown at once, as it is in the film.
            start_us = int(index.times_us[first]) + example.file_start_us
            end_us = int(index.times_us[last] + index.durations_us[last]) + example.file_start_us
            if not start_us < high_us or end_us <= low_us:
                continue
            path = job.out / f"{clip_id_of(video_id=example.video_id, start_us=start_us, end_us=end_us)}.mp4"
            num_files += 1
            if path.is_file():
                continue
            pictures = (picture for _, picture in decode_frames(example.path, index, numbers, size=size))
            times_us = (index.times_us[numbers] - index.times_us[first]).tolist()
            write_video(path, pictures, fps=_rate(times_us), gop=GOP, crf=CRF, times_us=times_us)
            num_new += 1
    except BadVideo as error:
        rejects.append(reject_of(example, reason=error.reason, detail=error.problem))
    except (av.FFmpegError, OSError) as error:
        rejects.append(reject_of(example, reason="decode", detail=f"reading it failed ({error})"))
    return _Made(num_files=num_files, num_new=num_new, rejects=tuple(rejects))


def _rate(times_us: Sequence[int]) -> Fraction:
    """Frames a second on average, for the header."""
    return Fraction((len(times_us) - 1) * US_PER_S, times_us[-1]).limit_denominator(1001) if times_us[-1] else _RATE
