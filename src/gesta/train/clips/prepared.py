"""Prepared clips: a folder that training reads faster than the videos that it was made from.

```
CACHE/prepared.json     what it is: form, frames, classes, hashes of all that follows, what made it
CACHE/clips.jsonl       one clip a line: id, times, label, shard, place
CACHE/shards/000000.*   raw frames (.u8), tar files of short clips (.tar), or folders of these
```
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gesta.schema import BadInput, UnknownName
from gesta.tables import Json, sha256_of_file
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.raw_shards import frames_from, misfit_of
from gesta.train.clips.sets import ClipExample, ClipSet, sub_set

FORMAT = "gesta-prepared-1"
ABOUT = "prepared.json"
CLIPS = "clips.jsonl"
FORMS = {"uint8": ".u8", "tar": ".tar", "short-gop": ""}
"""Forms of prepared clips, and the ending of their shards."""

_AGAIN = "Make another: gesta prepare DATA --out CACHE --recipe NAME"


def is_prepared(folder: Path) -> bool:
    """Whether the folder holds prepared clips."""
    return (folder / ABOUT).is_file()


def open_prepared(folder: Path, *, frames: ClipFrames | None = None, verify: bool = False) -> ClipSet:
    """The clips of a prepared folder, checked to be whole and to fit.

    The hash of the list of clips and the sizes of all shards are checked each time. The set's hash is that of the set
    it was made from, so that a run from prepared clips and one from the videos learn from the same data by name.

    Args:
        folder: what `gesta prepare` made.
        frames: what a model will be shown; None = whatever it is.
        verify: compare the hashes of all shards as well, which reads all of them.
    Raises:
        BadInput: it is no such folder, is not whole, was changed, or does not fit `frames`.
    """
    about = read_about(folder)
    if not is_list_whole(folder, about):
        raise BadInput(
            "the list of clips is missing or was changed", where=folder / CLIPS, mend="Run `gesta prepare` again"
        )
    rows = [json.loads(line) for line in (folder / CLIPS).read_text().splitlines()]
    check_shards(folder, about, verify=verify)
    if frames is not None:
        _refuse_misfit(folder, about, rows, wanted=frames)
    examples = tuple(_example(folder, about["form"], row) for row in rows)
    return ClipSet(
        examples=examples,
        class_ids=tuple(about["class_ids"]),
        class_names=tuple(about["class_names"]),
        sha256=about["sha256"],
    )


def read_about(folder: Path) -> dict[str, Any]:
    """What `prepared.json` says.

    Raises:
        BadInput: there is none, it cannot be read, or it is of another version.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise BadInput(f"there is no {ABOUT} here", where=folder, mend="Make it: gesta prepare DATA --out CACHE")
    try:
        about = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadInput(f"cannot be read as JSON ({error})", where=path, mend="Run `gesta prepare` again") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise BadInput(f"this is not {FORMAT}", where=path, mend="Run `gesta prepare` of this version")
    return about


def is_list_whole(folder: Path, about: Mapping[str, Any]) -> bool:
    """Whether the list of clips is there, and is the one that was written."""
    path = folder / CLIPS
    return path.is_file() and sha256_of_file(path) == about["clips_sha256"]


def check_shards(folder: Path, about: Mapping[str, Any], *, verify: bool) -> None:
    """Nothing, where every file of the shards has its size, and with `verify` its hash.

    Raises:
        BadInput: one has not.
    """
    for name, facts in about["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["size_bytes"]:
            found = f"{path.stat().st_size:,} bytes" if path.is_file() else "no such file"
            raise BadInput(
                f"the cache is not whole: {found}, want {facts['size_bytes']:,} bytes", where=path,
                mend="Run the same `gesta prepare` again: it makes what is missing",
            )  # fmt: skip
        if verify and sha256_of_file(path) != facts["sha256"]:
            raise BadInput(
                "the cache was changed: the file's hash is another", where=path,
                mend="Delete the file and run the same `gesta prepare` again",
            )  # fmt: skip


def frames_of(about: Mapping[str, Any]) -> ClipFrames:
    """What the clips were prepared for."""
    return frames_from(about["frames"])


def _example(folder: Path, form: str, row: Mapping[str, Any]) -> ClipExample:
    return ClipExample(
        clip_id=row["clip_id"],
        video_id=row["video_id"],
        path=folder / row["place"],
        start_us=row["start_us"] if form == "uint8" else 0,
        end_us=row["end_us"] if form == "uint8" else row["end_us"] - row["start_us"],
        label=row["label"],
    )


def _refuse_misfit(folder: Path, about: Mapping[str, Any], rows: list[dict[str, Any]], *, wanted: ClipFrames) -> None:
    """Nothing, where a model that is shown `wanted` can use these clips.

    Raises:
        BadInput: it cannot, with the first reason.
    """
    stored = frames_of(about)
    if about["form"] == "uint8":
        misfit = misfit_of(stored, wanted)
    elif wanted.rate > stored.rate:
        misfit = f"it holds {stored.rate:g} frames a second, and the model wants {wanted.rate:g}"
    else:
        misfit = ""
    if misfit:
        raise BadInput(misfit, where=folder, mend=_AGAIN)
    for row in rows:
        size = wanted.frame_size(width_px=row["source_width_px"], height_px=row["source_height_px"])
        has = (row["width_px"], row["height_px"])
        is_same = has == size if about["form"] == "uint8" else has[0] >= size[0] and has[1] >= size[1]
        if not is_same:
            raise BadInput(
                f"its clip {row['clip_id']} has {has[0]}x{has[1]} px, and the model wants {size[0]}x{size[1]} px",
                where=folder, mend=_AGAIN,
            )  # fmt: skip


def described(
    *, form: str, frames: ClipFrames, clips: ClipSet, numbers: list[int], made_by: Mapping[str, Json], fingerprint: str
) -> dict[str, Json]:
    """`prepared.json` but for its files.

    Raises:
        UnknownName: there is no such form.
    """
    if form not in FORMS:
        raise UnknownName(what="form", name=form, choices=FORMS)
    return {
        "format": FORMAT,
        "form": form,
        "frames": dataclasses.asdict(frames),
        "class_ids": list(clips.class_ids),
        "class_names": list(clips.class_names),
        "sha256": clips.sha256 if len(numbers) == len(clips) else sub_set(clips, numbers).sha256,
        "made_by": dict(made_by),
        "fingerprint": fingerprint,
    }
