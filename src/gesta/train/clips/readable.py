"""Which clips can be read at all, looked at before a long run and not in the middle of it.

A clip is opened as training opens it: the packets of its file are listed and the first frame decoded. What is found is
kept in a file beside the run, so that a second look at the same files takes no time; one that changed is looked at
again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.schema import BadInput, BadVideo, Reject
from gesta.tables import write_text
from gesta.train.clips.footage import image_paths, is_image, is_in_shard, packet_index, read_image, stretch_of
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set, reject_of, reject_unreadable
from gesta.train.clips.workers import in_workers

CLIPS_PER_TASK = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What a look at a clip gave: its stretch of the video, or why there is none."""

    key: str
    start_us: int
    end_us: int
    reason: str = ""
    detail: str = ""


def check_clips(
    clips: ClipSet,
    *,
    store: Path | None = None,
    num_workers: int = 0,
    on_clips: Callable[[int], None] | None = None,
) -> tuple[ClipSet, list[Reject]]:
    """The clips whose file opens, cut to the part that it has, and the others as rejects.

    The set's hash is unchanged where none is dropped, so that a check changes nothing that a run depends on.

    Args:
        clips: the set.
        store: file of findings, read and written (JSON lines); None = none.
        num_workers: processes that look; 0 = this one does.
        on_clips: called with the number of clips just looked at or known.
    Raises:
        BadInput: no clip of the set can be read.
        GestaError: a worker process died.
    """
    keys = [_key_of(example) for example in clips.examples]
    known = _read_store(store)
    todo = [number for number, key in enumerate(keys) if key not in known]
    if on_clips is not None and len(clips) > len(todo):
        on_clips(len(clips) - len(todo))
    tasks = [
        tuple((keys[number], clips.examples[number]) for number in todo[start : start + CLIPS_PER_TASK])
        for start in range(0, len(todo), CLIPS_PER_TASK)
    ]
    try:
        with in_workers(
            _look,
            tasks,
            assemble=_as_they_come,
            num_workers=num_workers if tasks else 0,
            queue_len=4,
            tasks_per_batch=1,
        ) as findings:
            for some in findings:
                known |= {finding.key: finding for finding in some}
                if on_clips is not None:
                    on_clips(len(some))
    finally:
        if store is not None and todo:
            lines = (json.dumps(dataclasses.asdict(known[key]), sort_keys=True) for key in sorted(known))
            write_text(store, "".join(f"{line}\n" for line in lines))
    return _sorted_out(clips, [known[key] for key in keys])


def _sorted_out(clips: ClipSet, findings: Sequence[_Finding]) -> tuple[ClipSet, list[Reject]]:
    good, rejects = [], []
    for example, finding in zip(clips.examples, findings, strict=True):
        if finding.reason:
            rejects.append(reject_of(example, reason=finding.reason, detail=finding.detail))
        else:
            good.append(dataclasses.replace(example, start_us=finding.start_us, end_us=finding.end_us))
    if not good:
        raise BadInput(
            f"none of the {len(clips):,} clips can be read, the first because: {rejects[0].detail}",
            mend="Look whether the disk with the videos is there",
        )
    classes = dict(zip(clips.class_ids, clips.class_names, strict=True))
    checked = clip_set(good, classes=classes, source_sha256=clips.sha256)
    return (checked if rejects else dataclasses.replace(checked, sha256=clips.sha256)), rejects


def _look(some: Sequence[tuple[str, ClipExample]]) -> list[_Finding]:
    return [_finding(key, example) for key, example in some]


def _finding(key: str, example: ClipExample) -> _Finding:
    start_us, end_us = example.start_us, example.end_us
    try:
        if example.path.is_dir():
            image_paths(example.path)
        elif is_image(example.path):
            read_image(example.path)
        elif not is_in_shard(example.path):
            index = packet_index(example.path)
            start_us, end_us = stretch_of(example, low_us=index.start_us, high_us=index.end_us)
    except BadVideo as error:
        reject = reject_unreadable(example, error)
        return _Finding(key=key, start_us=0, end_us=1, reason=reject.reason, detail=reject.detail)
    return _Finding(key=key, start_us=start_us, end_us=end_us)


def _as_they_come(findings: Iterator[list[_Finding]]) -> Iterator[list[_Finding]]:
    return findings


def _key_of(example: ClipExample) -> str:
    """The clip's stretch and its file's size and time of change: what a finding depends on."""
    try:
        state = example.path.stat()
    except OSError:
        return f"{example.path} missing"
    return f"{example.path} {state.st_size} {state.st_mtime_ns} {example.start_us} {example.end_us}"


def _read_store(store: Path | None) -> dict[str, Any]:
    if store is None or not store.is_file():
        return {}
    findings = (_Finding(**json.loads(line)) for line in store.read_text().splitlines())
    return {finding.key: finding for finding in findings}
