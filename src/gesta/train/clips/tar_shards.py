"""Shards of encoded clips in tar files, as WebDataset lays them out: members of one name belong together.

```
000000.tar     00000000.mp4  00000000.json  00000000.cls  00000001.mp4 ...
```

The ending says what a member is: `mp4` (or any ending of video) the clip, `json` what is known of it, `cls` its label.
Clips are read by their place, so that a batch depends on seed, epoch and number alone and a run can go on anywhere;
the package `webdataset` reads such files as a stream, in an order that depends on its workers and buffers, and reads
these shards as they are. A clip's path is the shard's and the member's name: `shards/000000.tar/00000003.mp4`.

Source: the WebDataset format as its package's documentation states it (POSIX tar; a sample is the consecutive members
with one basename up to its first point).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from gesta.schema import BadInput, BadVideo
from gesta.tables import sha256_of_json
from gesta.train.clips.frames import UNTIL_END_US
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set
from gesta.video import VIDEO_ENDINGS


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Unpacked:
    """A member of a shard as a file of its own, which is there until this is not."""

    path: Path


def member_bytes(path: Path) -> bytes:
    """What the member holds.

    Raises:
        BadVideo: there is no such shard or member (reason "missing"), or the shard ends within it ("truncated").
    """
    shard = tar_of(path)
    name = path.relative_to(shard).as_posix() if shard else ""
    if shard is None or name not in _members(shard):
        raise BadVideo("the shard has no such member", where=path, reason="missing")
    offset, size = _members(shard)[name]
    with shard.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(size)
    if len(content) < size:
        raise BadVideo("the shard ends within this member", where=path, reason="truncated")
    return content


def unpack(path: Path) -> Unpacked:
    """The member, unpacked into memory (Linux) or a temporary file.

    Raises:
        BadVideo: as `member_bytes`.
    """
    content = member_bytes(path)
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("gesta-clip")
        file: IO[bytes] = os.fdopen(handle, "w+b")
        place = Path(f"/proc/self/fd/{handle}")
    else:
        file = tempfile.NamedTemporaryFile(suffix=path.suffix)  # noqa: SIM115  it lives as long as what is given
        place = Path(file.name)
    file.write(content)
    file.flush()
    unpacked = Unpacked(place)
    weakref.finalize(unpacked, file.close)
    return unpacked


def tar_of(path: Path) -> Path | None:
    """The tar file that the path of a member begins with; None where it is no such path."""
    return next((folder for folder in path.parents if folder.suffix == ".tar"), None)


@lru_cache(maxsize=64)
def _members(shard: Path) -> dict[str, tuple[int, int]]:
    """Offset and size of each member's bytes, by name."""
    try:
        with tarfile.open(shard, "r:") as opened:
            return {member.name: (member.offset_data, member.size) for member in opened if member.isfile()}
    except FileNotFoundError as error:
        raise BadVideo("there is no such shard", where=shard, reason="missing") from error
    except tarfile.TarError as error:
        raise BadVideo(f"it cannot be read as a tar file ({error})", where=shard, reason="open") from error


def add_member(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Nothing; the shard has the member, without times or owners, so that the same clips give the same bytes."""
    about = tarfile.TarInfo(name)
    about.size = len(content)
    shard.addfile(about, io.BytesIO(content))


def read_tar_clips(shards: Sequence[Path], *, classes: Mapping[int, str] | None = None) -> ClipSet:
    """The clips of tar shards that anyone made, in the order of shards and members.

    A clip's class is its `.cls` (an id), its `.txt` (a name), or `class_id`, `label` or `class_name` of its `.json`.

    Args:
        shards: the files.
        classes: names by id; None = as the shards' JSON says, else the names sorted and numbered from 0, or the ids as
            their own names.
    Raises:
        BadInput: there is no clip, or one says no class, or one that is not among `classes`.
        BadVideo: a shard is missing or no tar file.
    """
    found: list[tuple[Path, str, int | str, str]] = []
    names: dict[int, str] = {}
    for shard in shards:
        for key, parts in _samples(shard).items():
            video = next((part for part in parts if f".{part.rpartition('.')[2]}" in VIDEO_ENDINGS), None)
            if video is None:
                continue
            about = _json_of(shard, key, parts)
            said = _class_of(shard, key, parts, about)
            if isinstance(said, int) and "class_name" in about:
                names[said] = str(about["class_name"])
            clip_id = str(about.get("clip_id", f"{shard.stem}/{key}"))
            found.append((shard / parts[video], clip_id, said, str(about.get("video_id", clip_id))))
    if not found:
        raise BadInput("the shards hold no video", where=shards[0] if shards else "", mend="Want members like 0001.mp4")
    known = dict(classes) if classes is not None else _numbered([said for _, _, said, _ in found], names)
    label_of: dict[int | str, int] = {key: label for label, key in enumerate(known)}
    label_of |= {name: label for label, name in enumerate(known.values())}
    for path, _, said, _ in found:
        if said not in label_of:
            raise BadInput(f"its class {said!r} is not among the {len(known)} classes", where=path)
    examples = [
        ClipExample(
            clip_id=clip_id, video_id=video_id, path=path, start_us=0, end_us=UNTIL_END_US, label=label_of[said]
        )
        for path, clip_id, said, video_id in found
    ]
    return clip_set(examples, classes=known, source_sha256=sha256_of_json([str(said) for _, _, said, _ in found]))


def _numbered(said: Sequence[int | str], names: Mapping[int, str]) -> dict[int, str]:
    ids = sorted({one for one in said if isinstance(one, int)})
    texts = sorted({one for one in said if isinstance(one, str)})
    first = max(ids, default=-1) + 1
    return {one: names.get(one, str(one)) for one in ids} | {first + n: text for n, text in enumerate(texts)}


def _samples(shard: Path) -> dict[str, dict[str, str]]:
    """Members by key, and in it by ending, in the shard's order."""
    samples: dict[str, dict[str, str]] = {}
    for name in _members(shard):
        folder, _, base = name.rpartition("/")
        stem, _, ending = base.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        samples.setdefault(key, {})[ending.lower()] = name
    return samples


def _json_of(shard: Path, key: str, parts: Mapping[str, str]) -> dict[str, Any]:
    if "json" not in parts:
        return {}
    try:
        about = json.loads(member_bytes(shard / parts["json"]))
    except ValueError as error:
        raise BadInput(f"{key}.json is no JSON ({error})", where=shard) from error
    return about if isinstance(about, dict) else {}


def _class_of(shard: Path, key: str, parts: Mapping[str, str], about: Mapping[str, Any]) -> int | str:
    for name in ("class_id", "label", "class_name"):
        if isinstance(about.get(name), int | str):
            return about[name]
    for ending in ("cls", "txt"):
        if ending in parts:
            text = member_bytes(shard / parts[ending]).decode().strip()
            return int(text) if text.isdigit() else text
    raise BadInput(f"{key} says no class", where=shard, mend="Want a member .cls, .txt or .json beside the video")
