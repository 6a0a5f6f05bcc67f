"""Clips decoded once and stored so that training need not wait for them; a stage that goes on where it was cut.

Forms: `uint8` = raw frames, read as fast as memory is copied, 65 MB for ten seconds of 340 x 256 px; `short-gop` =
videos of the clips alone, scaled, with a sync frame every 12 frames, a few hundred kB each; `tar` = the same in shards.
"""

from __future__ import annotations

import dataclasses
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gesta.schema import BadInput, BadVideo, Refused, Reject, UnknownName
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    made_by,
    sha256_of_file,
    whole_file,
    write_json,
    write_rejects,
    write_text,
)
from gesta.train.clips.augment import Window
from gesta.train.clips.footage import ClipSource, Footage, open_footage
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.prepared import (
    ABOUT,
    CLIPS,
    FORMS,
    check_shards,
    described,
    is_list_whole,
    is_prepared,
    read_about,
)
from gesta.train.clips.raw_shards import Uint8s, write_raw
from gesta.train.clips.sets import ClipExample, ClipSet, reject_unreadable
from gesta.train.clips.tar_shards import add_member
from gesta.train.clips.workers import in_workers
from gesta.video import write_video

CLIPS_PER_SHARD = {"uint8": 16, "tar": 256, "short-gop": 256}
"""Clips of a shard. Source: ours; 16 raw clips of ten seconds are 1 GB, and a shard is what a cut run does again."""

GOP = 12
"""Frames from one sync frame to the next. Source: ours, as `gesta.video.cut_clip`: 8 to 12 decode about twice as many
clips a second as x264's default of 250."""

CRF = 18
"""Quality of the short videos. Source: x264's own documentation: about what the eye cannot tell from the original."""

_BLOCK = 256
"""Frames in memory at a time. Source: ours; ten seconds."""

_NUM_TRIED = {"uint8": 32, "tar": 4, "short-gop": 4}
"""Clips that an estimate looks at; those of video are encoded. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One shard to make."""

    folder: Path
    name: str
    form: str
    frames: ClipFrames
    source: ClipSource
    fingerprint: str
    classes: tuple[tuple[int, str], ...]
    examples: tuple[tuple[int, ClipExample], ...]


def run_prepare(
    clips: ClipSet,
    *,
    out: Path,
    form: str,
    frames: ClipFrames,
    source: ClipSource | None = None,
    num_workers: int = 0,
    clips_per_shard: int | None = None,
    rejects: Sequence[Reject] = (),
    on_clips: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was prepared: the clips at the wanted rate and size in `out`, those that cannot be read as rejects.

    Shards that an earlier, cut run of the same clips and settings finished are kept. Where all is done, the hashes of
    all files are compared.

    Args:
        clips: the set; times are on the videos' clocks.
        out: folder of the prepared clips.
        form: uint8, tar or short-gop.
        frames: rate, size, modality (flow is for uint8 only) and the crop that must fit.
        source: how examples are opened.
        num_workers: processes; 0 = this one.
        clips_per_shard: None = as the form's usual.
        rejects: what was dropped before, to be listed with the others.
        on_clips: called with the number of clips just done or found done.
    Raises:
        UnknownName: there is no such form.
        BadInput: flow in another form than uint8, or no clip can be read; or the finished cache was changed.
        Refused: `out` holds clips prepared from something else.
        GestaError: a worker process died.
    """
    if form not in FORMS:
        raise UnknownName(what="form", name=form, choices=FORMS)
    if frames.modality == "flow" and form != "uint8":
        raise BadInput(f"flow cannot be prepared as {form}", mend="Use --form uint8: flow is no picture")
    per_shard = clips_per_shard or CLIPS_PER_SHARD[form]
    provenance = _provenance(clips, form=form, frames=frames, per_shard=per_shard)
    if is_prepared(out) and read_about(out)["fingerprint"] != provenance.fingerprint:
        raise Refused("this folder holds clips prepared from something else", where=out, mend="Name another folder")
    jobs = [
        _Job(
            folder=out / "shards", name=f"{place:06d}", form=form, frames=frames, source=source or ClipSource(),
            fingerprint=provenance.fingerprint,
            classes=tuple(zip(clips.class_ids, clips.class_names, strict=True)),
            examples=tuple(enumerate(clips.examples))[start : start + per_shard],
        )
        for place, start in enumerate(range(0, len(clips), per_shard))
    ]  # fmt: skip
    todo = [job for job in jobs if not _is_done(job)]
    if is_prepared(out) and not todo:
        about = read_about(out)
        check_shards(out, about, verify=True)
        if is_list_whole(out, about):
            return _summary(out, was_current=True)
    (out / ABOUT).unlink(missing_ok=True)
    _say(on_clips, sum(len(job.examples) for job in jobs) - sum(len(job.examples) for job in todo))
    with in_workers(
        _make_shard,
        todo,
        assemble=_as_they_come,
        num_workers=num_workers if todo else 0,
        queue_len=1,
        tasks_per_batch=1,
    ) as done:
        for count in done:
            _say(on_clips, count)
    return _finish(clips, jobs, out=out, form=form, frames=frames, provenance=provenance, rejects=rejects)


def _say(on_clips: Callable[[int], None] | None, count: int) -> None:
    if on_clips is not None and count:
        on_clips(count)


def _as_they_come(counts: Iterator[int]) -> Iterator[int]:
    return counts


def _provenance(clips: ClipSet, *, form: str, frames: ClipFrames, per_shard: int) -> Provenance:
    shown = {key: value for key, value in dataclasses.asdict(frames).items() if key not in ("num_frames", "stride")}
    return made_by(
        "prepare",
        arguments={
            "form": form, "clips_per_shard": per_shard, "gop": GOP, "crf": CRF, "opencv": cv2.__version__,
            **{key: list(value) if isinstance(value, tuple) else value for key, value in shown.items()},
        },
        inputs={"clips": clips.sha256},
        tools=("av", "numpy"),
    )  # fmt: skip


def _is_done(job: _Job) -> bool:
    about = _sidecar(job)
    if not about.is_file():
        return False
    facts = json.loads(about.read_bytes())
    if facts["fingerprint"] != job.fingerprint:
        return False
    files = ((job.folder.parent / name, facts["size_bytes"]) for name, facts in facts["files"].items())
    return all(path.is_file() and path.stat().st_size == size for path, size in files)


def _sidecar(job: _Job) -> Path:
    return job.folder / f"{job.name}.json"


def _make_shard(job: _Job) -> int:
    """How many clips were looked at; the shard and, last, its sidecar are there."""
    rows: list[dict[str, Json]] = []
    rejects: list[Reject] = []
    writer = {"uint8": _raw_shard, "tar": _tar_shard, "short-gop": _folder_shard}[job.form]
    files = writer(job, rows, rejects)
    facts: dict[str, Json] = {
        path.relative_to(job.folder.parent).as_posix(): {
            "sha256": sha256_of_file(path),
            "size_bytes": path.stat().st_size,
        }
        for path in files
    }
    write_json(
        _sidecar(job),
        {
            "fingerprint": job.fingerprint,
            "frames": dataclasses.asdict(job.frames),
            "files": facts,
            "size_bytes": sum(path.stat().st_size for path in files),
            "clips": rows,
            "rejects": [dataclasses.asdict(reject) for reject in rejects],
        },
    )
    return len(job.examples)


def _opened(job: _Job, rejects: list[Reject]) -> Iterator[tuple[int, ClipExample, Footage]]:
    for number, example in job.examples:
        try:
            yield number, example, open_footage(example, frames=job.frames, source=job.source)
        except BadVideo as error:
            rejects.append(reject_unreadable(example, error))


def _blocks(footage: Footage) -> Iterator[Uint8s]:
    """All frames of the clip, uint8 [T, H, W, C] at a time."""
    width_px, height_px = footage.size_px
    whole = Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
    for start in range(0, footage.num_frames, _BLOCK):
        yield footage.read(np.arange(start, min(start + _BLOCK, footage.num_frames)), window=whole)


def _raw_shard(job: _Job, rows: list[dict[str, Json]], rejects: list[Reject]) -> list[Path]:
    path = job.folder / f"{job.name}.u8"
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        for number, example, footage in _opened(job, rejects):
            offset = stream.tell()
            try:
                num_frames = write_raw(stream, _blocks(footage))
            except BadVideo as error:
                stream.seek(offset)
                stream.truncate()
                rejects.append(reject_unreadable(example, error))
                continue
            place = f"shards/{path.name}/{len(rows)}"
            rows.append(
                _row_of(job, number, example, footage, place=place, num_frames=num_frames, size_px=footage.size_px)
                | {"offset_bytes": offset}
            )
    return [path]


def _tar_shard(job: _Job, rows: list[dict[str, Json]], rejects: list[Reject]) -> list[Path]:
    path = job.folder / f"{job.name}.tar"
    with (
        tempfile.TemporaryDirectory() as scratch,
        whole_file(path) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as shard,
    ):
        for number, example, footage in _opened(job, rejects):
            key = f"{number:08d}"
            row = _encoded(job, number, example, footage, target=Path(scratch) / f"{key}.mp4", rejects=rejects)
            if row is None:
                continue
            rows.append(row | {"place": f"shards/{path.name}/{key}.mp4"})
            add_member(shard, f"{key}.mp4", (Path(scratch) / f"{key}.mp4").read_bytes())
            class_id, class_name = job.classes[example.label]
            about = row | {"class_id": class_id, "class_name": class_name}
            add_member(shard, f"{key}.json", json.dumps(about, sort_keys=True).encode())
            add_member(shard, f"{key}.cls", str(example.label).encode())
            (Path(scratch) / f"{key}.mp4").unlink()
    return [path]


def _folder_shard(job: _Job, rows: list[dict[str, Json]], rejects: list[Reject]) -> list[Path]:
    files = []
    for number, example, footage in _opened(job, rejects):
        target = job.folder / job.name / f"{number:08d}.mp4"
        row = _encoded(job, number, example, footage, target=target, rejects=rejects)
        if row is not None:
            rows.append(row | {"place": target.relative_to(job.folder.parent).as_posix()})
            files.append(target)
    return files


def _encoded(
    job: _Job, number: int, example: ClipExample, footage: Footage, *, target: Path, rejects: list[Reject]
) -> dict[str, Json] | None:
    """The clip's row, once it is a short video at `target`; None where it cannot be read."""
    width_px, height_px = footage.size_px
    pads = ((0, 0), (0, height_px % 2), (0, width_px % 2), (0, 0))
    pictures = (picture for block in _blocks(footage) for picture in np.pad(block, pads, mode="edge"))
    try:
        write_video(target, pictures, fps=job.frames.exact_rate, gop=GOP, crf=CRF)
    except BadVideo as error:
        rejects.append(reject_unreadable(example, error))
        return None
    size_px = (width_px + width_px % 2, height_px + height_px % 2)
    return _row_of(job, number, example, footage, place="", num_frames=footage.num_frames, size_px=size_px)


def _row_of(
    job: _Job,
    number: int,
    example: ClipExample,
    footage: Footage,
    *,
    place: str,
    num_frames: int,
    size_px: tuple[int, int],
) -> dict[str, Json]:
    source_width_px, source_height_px = footage.source_size_px
    duration_us = round(num_frames * 1_000_000 / job.frames.exact_rate)
    return {
        "number": number,
        "clip_id": example.clip_id,
        "video_id": example.video_id,
        "label": example.label,
        "start_us": example.start_us,
        "end_us": example.start_us + duration_us,
        "num_frames": num_frames,
        "width_px": size_px[0],
        "height_px": size_px[1],
        "source_width_px": source_width_px,
        "source_height_px": source_height_px,
        "place": place,
    }


def _finish(
    clips: ClipSet,
    jobs: Sequence[_Job],
    *,
    out: Path,
    form: str,
    frames: ClipFrames,
    provenance: Provenance,
    rejects: Sequence[Reject],
) -> StageSummary:
    files: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    rejects = list(rejects)
    for job in jobs:
        about = json.loads(_sidecar(job).read_bytes())
        files |= about["files"]
        rows += about["clips"]
        rejects += [Reject(**values) for values in about["rejects"]]
    write_rejects(out, "prepare", [dataclasses.replace(one, stage="prepare") for one in rejects], made_by=provenance)
    if not rows:
        raise BadInput(
            f"none of the {len(clips):,} clips can be read, the first because: {rejects[0].detail}",
            mend="Look whether the disk with the videos is there",
        )
    write_text(out / CLIPS, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    about = described(
        form=form, frames=frames, clips=clips, numbers=[row["number"] for row in rows],
        made_by=provenance.as_json(), fingerprint=provenance.fingerprint,
    )  # fmt: skip
    about |= {"clips_sha256": sha256_of_file(out / CLIPS), "files": files, "rejected": count_reasons(rejects)}
    write_json(out / ABOUT, about)
    return _summary(out, was_current=False)


def _summary(out: Path, *, was_current: bool) -> StageSummary:
    about = read_about(out)
    with (out / CLIPS).open() as stream:
        num_clips = sum(1 for _ in stream)
    return StageSummary(
        stage="prepare",
        kept=num_clips,
        rejected=about["rejected"],
        outputs=(str(out),),
        was_current=was_current,
        numbers={"form": about["form"], "size_bytes": sum(facts["size_bytes"] for facts in about["files"].values())},
    )


def plan_prepare(clips: ClipSet, *, form: str, frames: ClipFrames, source: ClipSource | None = None) -> dict[str, Json]:
    """How large the prepared clips will be, from some of them spread over the set; nothing is kept.

    Raises:
        UnknownName: there is no such form.
        BadInput: none of the clips looked at can be read.
    """
    if form not in FORMS:
        raise UnknownName(what="form", name=form, choices=FORMS)
    num_tried = min(len(clips), _NUM_TRIED[form])
    sizes, problem = [], ""
    with tempfile.TemporaryDirectory() as scratch:
        for place in range(num_tried):
            example = clips.examples[place * len(clips) // num_tried]
            try:
                footage = open_footage(example, frames=frames, source=source)
                sizes.append(_size_bytes(footage, form=form, frames=frames, target=Path(scratch) / "clip.mp4"))
            except BadVideo as error:
                problem = str(error)
    if not sizes:
        raise BadInput(f"none of {num_tried} clips can be read, the last because: {problem}")
    return {
        "num_clips": len(clips),
        "form": form,
        "size_bytes": round(sum(sizes) / len(sizes) * len(clips)),
        "num_tried": num_tried,
        "num_unreadable": num_tried - len(sizes),
    }


def _size_bytes(footage: Footage, *, form: str, frames: ClipFrames, target: Path) -> int:
    width_px, height_px = footage.size_px
    if form == "uint8":
        return footage.num_frames * width_px * height_px * frames.num_channels
    pads = ((0, 0), (0, height_px % 2), (0, width_px % 2), (0, 0))
    pictures = (picture for block in _blocks(footage) for picture in np.pad(block, pads, mode="edge"))
    return write_video(target, pictures, fps=frames.exact_rate, gop=GOP, crf=CRF).stat().st_size
