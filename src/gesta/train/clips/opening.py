"""Clips to learn from, whatever holds them: prepared clips, a release, a list with a folder of videos, tar shards,
pictures in folders of their classes."""

from __future__ import annotations

from pathlib import Path

from gesta.schema import BadInput, Reject
from gesta.tables import read_table, table_path
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.image_sets import image_splits, is_image_set, read_image_set
from gesta.train.clips.listed import listed_splits, read_listed_clips
from gesta.train.clips.prepared import is_prepared, open_prepared
from gesta.train.clips.sets import ClipSet, read_release_clips
from gesta.train.clips.tar_shards import read_tar_clips


def open_clips(
    data: Path,
    *,
    split: str | None = None,
    videos: Path | None = None,
    label_map: Path | None = None,
    frames: ClipFrames | None = None,
) -> tuple[ClipSet, list[Reject]]:
    """The clips of a split, and what of it cannot be used.

    Args:
        data: a folder of prepared clips (or one with a folder of them for each split), a release, a file or folder of
            tar shards, a folder of class folders of pictures, or a list in any format that says clips, a folder of
            class folders of videos included.
        split: None where there is one split only.
        videos: folder of a list's videos; None = the list's own.
        label_map: class ids and names in place of a list's own.
        frames: what a model will be shown; prepared clips that do not fit it are refused.
    Raises:
        BadInput: nothing of that kind is there, it cannot be read, or a split must be named and is not.
        UnknownName: there is no such split.
    """
    at_split = data / split if split is not None else data
    if is_prepared(at_split):
        return open_prepared(at_split, frames=frames), []
    if is_prepared(data):
        if split != data.name:
            problem = f"these prepared clips are one split, called {data.name!r}, and {split!r} is asked for"
            raise BadInput(problem, where=data, mend="Name no split, or the folder above")
        return open_prepared(data, frames=frames), []
    if _is_release(data):
        if split is None:
            raise BadInput("this is a release", where=data, mend="Name a split: train, val or test")
        return read_release_clips(data, split=split)
    shards = [data] if data.suffix == ".tar" else sorted(at_split.glob("*.tar"))
    if shards:
        return read_tar_clips(shards), []
    if is_image_set(data):
        return read_image_set(data, split=split, label_map=label_map, frames=frames)
    root = videos or (data if data.is_dir() else data.parent)
    return read_listed_clips(data, videos=root, split=split, label_map=label_map)


def splits_of(data: Path) -> tuple[str, ...]:
    """The splits that the data names; none where it has but one.

    Raises:
        BadInput: it cannot be read.
    """
    if _is_release(data):
        return tuple(sorted(set(read_table(data, "splits")["split"])))
    if is_prepared(data) or data.suffix == ".tar" or (data.is_dir() and any(data.glob("*.tar"))):
        return ()
    if is_image_set(data):
        return image_splits(data)
    inside = tuple(sorted(path.name for path in data.iterdir() if is_prepared(path))) if data.is_dir() else ()
    return inside or listed_splits(data)


def _is_release(data: Path) -> bool:
    return data.is_dir() and table_path(data, "splits").is_file()
