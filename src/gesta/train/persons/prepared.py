"""Key-frames decoded once: the frames around each, as bytes, so that a small set trains from memory or a fast disk.

```
CACHE/key_frames.json       what it is: what it was made for, how much there is, what made it
CACHE/shards/000000.u8      frames of key-frame 0, of key-frame 1 ...: uint8 [F, H, W, 3] each, one after another
CACHE/shards/000000.json    which key-frames they are, each with its place, size and times
```

Stored are the frames that training may draw, scaled to the largest size that it draws from: about 20 MB a key-frame of
32 frames at 320 px, so this is for thousands of key-frames and not for all of AVA. What a batch shows is the same to
the bit from the cache and from the films. A set is pointed at a cache by `with_prepared`; its labels stay its own.

Shapes: F frames stored, T frames read, H and W px.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.schema import BadInput, BadVideo, Refused, Reject
from gesta.tables import (
    Json,
    StageSummary,
    count_reasons,
    made_by,
    sha256_of_json,
    whole_file,
    write_json,
    write_rejects,
)
from gesta.train.clips.augment import Window
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.workers import in_workers
from gesta.train.persons.augment import WHOLE, PersonAugment, frames_in_store
from gesta.train.persons.examples import PersonExample, PersonSet, reject_of
from gesta.train.persons.footage import SHARD, Uint8s, open_key_frame
from gesta.train.persons.sampling import step_range, steps_us

FORMAT = "gesta-key-frames-1"
ABOUT = "key_frames.json"

KEY_FRAMES_PER_SHARD = 32
"""Key-frames of a shard. Source: ours; at 20 MB each, what a cut run does again takes seconds."""

_AGAIN = "Make another: prepare_key_frames(persons, out=..., frames=..., augment=...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One shard to make."""

    folder: Path
    name: str
    frames: ClipFrames
    steps: tuple[int, ...]
    source: ClipSource
    fingerprint: str
    examples: tuple[PersonExample, ...]


def prepare_key_frames(
    persons: PersonSet,
    *,
    out: Path,
    frames: ClipFrames,
    augment: PersonAugment | None = None,
    num_workers: int = 0,
    source: ClipSource | None = None,
    on_key_frames: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was prepared: the frames around each key-frame in `out`, key-frames that cannot be read as rejects.

    Shards that an earlier, cut run of the same key-frames and settings finished are kept; files appear whole.

    Args:
        persons: the set.
        out: folder of the cache.
        frames: what the model will be shown.
        augment: the changes of training; None = none, whole frames at their places.
        num_workers: processes; 0 = this one.
        source: how examples are opened.
        on_key_frames: called with the number of key-frames just done or found done.
    Raises:
        Refused: `out` holds key-frames prepared from something else.
        BadInput: no key-frame can be read.
        GestaError: a worker process died.
    """
    changes = WHOLE if augment is None else augment
    stored = frames_in_store(frames, changes)
    fingerprint = _fingerprint(persons, stored=stored, jitters=changes.jitter_frames)
    if (out / ABOUT).is_file() and json.loads((out / ABOUT).read_bytes()).get("fingerprint") != fingerprint:
        raise Refused("this folder holds key-frames prepared from something else", where=out, mend="Name another")
    jobs = [
        _Job(
            folder=out / "shards", name=f"{place:06d}", frames=stored, source=source or ClipSource(),
            steps=_steps(stored, jitters=changes.jitter_frames), fingerprint=fingerprint,
            examples=persons.examples[start : start + KEY_FRAMES_PER_SHARD],
        )
        for place, start in enumerate(range(0, len(persons), KEY_FRAMES_PER_SHARD))
    ]  # fmt: skip
    todo = [job for job in jobs if not _is_done(job)]
    _say(on_key_frames, len(persons) - sum(len(job.examples) for job in todo))
    with in_workers(
        _make_shard, todo, assemble=_as_they_come, num_workers=num_workers if todo else 0, queue_len=1,
        tasks_per_batch=1,
    ) as done:  # fmt: skip
        for count in done:
            _say(on_key_frames, count)
    return _finish(persons, jobs, out=out, frames=stored, fingerprint=fingerprint, was_current=not todo)


def _say(on_key_frames: Callable[[int], None] | None, count: int) -> None:
    if on_key_frames is not None and count:
        on_key_frames(count)


def _as_they_come(counts: Iterator[int]) -> Iterator[int]:
    return counts


def _fingerprint(persons: PersonSet, *, stored: ClipFrames, jitters: bool) -> str:
    keys: list[Json] = [list(_key_of(example)) for example in persons.examples]
    return sha256_of_json([FORMAT, _rules(stored), list(_steps(stored, jitters=jitters)), keys])


def _rules(stored: ClipFrames) -> list[Json]:
    return [stored.rate, stored.side, stored.side_px, stored.crop_px]


def _key_of(example: PersonExample) -> tuple[str, int, int, int, str, int]:
    """What decides an example's pixels, but for the place of its file."""
    name = example.path.name
    return (
        example.video_id, example.timestamp_us, example.start_us, example.end_us, name, example.file_start_us
    )  # fmt: skip


def _steps(frames: ClipFrames, *, jitters: bool) -> tuple[int, ...]:
    """The steps from a key-frame at which frames may be taken, rising."""
    first, last = step_range(frames, jitters=jitters)
    return tuple(range(first, last + 1, 1 if jitters else frames.stride))


def _is_done(job: _Job) -> bool:
    about, shard = job.folder / f"{job.name}.json", job.folder / f"{job.name}{SHARD}"
    if not about.is_file() or not shard.is_file():
        return False
    facts = json.loads(about.read_bytes())
    return bool(facts["fingerprint"] == job.fingerprint and facts["size_bytes"] == shard.stat().st_size)


def _make_shard(job: _Job) -> int:
    """How many key-frames were looked at; the shard and, last, what it holds are there."""
    rows: list[Json] = []
    rejects: list[Reject] = []
    shard = job.folder / f"{job.name}{SHARD}"
    with whole_file(shard) as temporary, temporary.open("wb") as stream:
        for example in job.examples:
            try:
                frames_FHWC, times_us, places = _decoded(job, example)
            except BadVideo as error:
                rejects.append(reject_of(example, reason=error.reason, detail=error.problem))
                continue
            rows.append(
                {
                    "key": list(_key_of(example)),
                    "offset_bytes": stream.tell(),
                    "shape": list(frames_FHWC.shape),
                    "times_us": list(times_us),
                    "places": list(places),
                }
            )
            stream.write(np.ascontiguousarray(frames_FHWC).data)
    write_json(
        job.folder / f"{job.name}.json",
        {
            "fingerprint": job.fingerprint,
            "size_bytes": shard.stat().st_size,
            "key_frames": rows,
            "rejects": [dataclasses.asdict(reject) for reject in rejects],
        },
    )
    return len(job.examples)


def _decoded(job: _Job, example: PersonExample) -> tuple[Uint8s, list[int], list[int]]:
    """The frames, each once, uint8 [F, H, W, 3]; the instants that may be asked for, and which frame each shows."""
    footage = open_key_frame(example, frames=job.frames, source=job.source)
    steps = steps_us(np.array(job.steps, dtype=np.int64), frames=job.frames)
    times = np.unique(np.clip(example.timestamp_us + steps, example.start_us, example.end_us - 1))
    width_px, height_px = footage.size_px
    whole = Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
    pictures = footage.read(times, window=whole)
    # A film of fewer frames a second shows one frame at several of the instants.
    is_new = np.ones(len(times), dtype=bool)
    is_new[1:] = [bool((one != other).any()) for one, other in zip(pictures[1:], pictures[:-1], strict=True)]
    return pictures[is_new], times.tolist(), (np.cumsum(is_new) - 1).tolist()


def _finish(
    persons: PersonSet, jobs: Sequence[_Job], *, out: Path, frames: ClipFrames, fingerprint: str, was_current: bool
) -> StageSummary:
    abouts = [json.loads((job.folder / f"{job.name}.json").read_bytes()) for job in jobs]
    rejects = [Reject(**values) for about in abouts for values in about["rejects"]]
    made = made_by(
        "prepare", arguments={"frames": dataclasses.asdict(frames)}, inputs={"persons": persons.sha256},
        tools=("av", "numpy"),
    )  # fmt: skip
    write_rejects(out, "prepare", [dataclasses.replace(one, stage="prepare") for one in rejects], made_by=made)
    num = sum(len(about["key_frames"]) for about in abouts)
    if not num:
        raise BadInput(
            f"none of the {len(persons):,} key-frames can be read, the first because: {rejects[0].detail}",
            mend="Look whether the disk with the videos is there",
        )
    size_bytes = sum(about["size_bytes"] for about in abouts)
    write_json(
        out / ABOUT,
        {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "rules": _rules(frames),
            "steps": list(jobs[0].steps),
            "num_key_frames": num,
            "size_bytes": size_bytes,
            "shards": {f"{job.name}{SHARD}": about["size_bytes"] for job, about in zip(jobs, abouts, strict=True)},
            "made_by": made.as_json(),
        },
    )
    return StageSummary(
        stage="prepare",
        kept=num,
        rejected=count_reasons(rejects),
        outputs=(str(out),),
        was_current=was_current,
        numbers={"size_bytes": size_bytes},
    )


def with_prepared(
    persons: PersonSet, folder: Path, *, frames: ClipFrames, augment: PersonAugment | None = None
) -> PersonSet:
    """The same set, its pixels read from the cache; a key-frame that the cache lacks is read from its film as before.

    Args:
        persons: the set that was prepared, or a part of it.
        folder: what `prepare_key_frames` made.
        frames: what the model will be shown.
        augment: the changes of training; None = none.
    Raises:
        BadInput: it is no cache, it is not whole, it does not fit `frames` and `augment`, or has none of the set.
    """
    about = _read_about(folder)
    changes = WHOLE if augment is None else augment
    wanted = frames_in_store(frames, changes)
    if about["rules"] != _rules(wanted):
        names = "rate, side, side_px and crop_px"
        raise BadInput(f"it holds {names} {about['rules']}, want {_rules(wanted)}", where=folder, mend=_AGAIN)
    if not set(_steps(wanted, jitters=changes.jitter_frames)) <= set(about["steps"]):
        raise BadInput("it lacks frames that the model may be shown", where=folder, mend=_AGAIN)
    path_of: dict[tuple[Any, ...], Path] = {}
    for name, size_bytes in about["shards"].items():
        shard = folder / "shards" / name
        if not shard.is_file() or shard.stat().st_size != size_bytes:
            raise BadInput(
                f"the cache is not whole: want {size_bytes:,} bytes", where=shard,
                mend="Run the same prepare_key_frames again: it makes what is missing",
            )  # fmt: skip
        for place, row in enumerate(_rows(shard.with_suffix(".json"))):
            path_of[tuple(row["key"])] = shard / str(place)
    examples = tuple(
        dataclasses.replace(example, path=path_of.get(_key_of(example), example.path)) for example in persons.examples
    )
    if not any(example.path.parent.suffix == SHARD for example in examples):
        raise BadInput("it holds none of these key-frames", where=folder, mend=_AGAIN)
    return dataclasses.replace(persons, examples=examples)


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    if not path.is_file():
        raise BadInput(f"there is no {ABOUT} here", where=folder, mend=_AGAIN)
    about: dict[str, Any] = json.loads(path.read_bytes())
    if about.get("format") != FORMAT:
        raise BadInput(f"this is not {FORMAT}", where=path, mend=_AGAIN)
    return about


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_bytes())["key_frames"]
    return rows
