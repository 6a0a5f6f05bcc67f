"""Labelled pictures to learn from: a folder of class folders, each picture a clip of one frame.

    IMAGES/climbing tree/0001.jpg          or, with splits,          IMAGES/train/climbing tree/0001.jpg
    IMAGES/juggling/a.png                                            IMAGES/val/juggling/a.png

So a classifier of frames goes through the loop that clips go through. A recipe that shows a model one frame is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gesta.formats import read_label_map
from gesta.schema import BadInput, Reject, UnknownName
from gesta.train.clips.footage import IMAGE_ENDINGS
from gesta.train.clips.frames import UNTIL_END_US, ClipFrames
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set, reject_of
from gesta.video import VIDEO_ENDINGS

SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "validate": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Folders that are splits and no classes, where all folders are called like one. Source: Hugging Face `datasets`,
`data_files.py`, whose image folders have these names."""


def is_image_set(data: Path) -> bool:
    """Whether it is a folder of class folders with pictures in them, in folders of splits or not, and no video."""
    if not data.is_dir():
        return False
    roots = [data / name for names in _split_folders(data).values() for name in names] or [data]
    kinds = {kind for root in roots for folder in _folders(root) for kind in _kinds_in(folder)}
    return kinds == {"image"}


def image_splits(data: Path) -> tuple[str, ...]:
    """The splits that a folder of pictures has, by their usual names; none where it has but one."""
    return tuple(sorted(_split_folders(data)))


def read_image_set(
    data: Path, *, split: str | None = None, label_map: Path | None = None, frames: ClipFrames | None = None
) -> tuple[ClipSet, list[Reject]]:
    """The pictures of a split in the order of their paths, and those whose class the label map lacks ("no-label").

    A class's id is its place from 0 in the sorted names of all splits, or what the label map says of its name.

    Args:
        data: a folder for which `is_image_set` holds.
        split: None where there is one split only.
        label_map: class ids and names; blanks and underscores are the same.
        frames: what a model will be shown.
    Raises:
        UnknownName: there is no such split.
        BadInput: there are splits and none is named, there is no picture, or a model wants more than one frame.
    """
    if frames is not None and frames.num_frames > 1:
        raise BadInput(
            f"these are single pictures, and the recipe shows a model {frames.num_frames} frames",
            where=data,
            mend="Use a recipe of one frame: frame_r18_images, frame_r50_images",
        )
    splits = _split_folders(data)
    roots = _roots_of(data, splits, split=split)
    everywhere = [data / name for names in splits.values() for name in names] or [data]
    names = sorted({folder.name for root in everywhere for folder in _folders(root)})
    classes = dict(enumerate(names))
    if label_map is not None:
        classes = dict(read_label_map(label_map).sort("class_id").select("class_id", "name").iter_rows())
    label_of = {_plain(name): label for label, name in enumerate(classes.values())}
    examples, rejects = [], []
    for path in (path for root in roots for folder in _folders(root) for path in _pictures_in(folder)):
        name = path.relative_to(data).with_suffix("").as_posix()
        label = label_of.get(_plain(path.parent.name))
        example = ClipExample(clip_id=name, video_id=name, path=path, start_us=0, end_us=UNTIL_END_US, label=label or 0)
        if label is None:
            detail = f"the class {path.parent.name!r} is not in the label map"
            rejects.append(reject_of(example, reason="no-label", detail=detail))
        else:
            examples.append(example)
    return clip_set(examples, classes=classes), rejects


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def _roots_of(data: Path, splits: dict[str, list[str]], *, split: str | None) -> list[Path]:
    if not splits:
        if split is not None:
            raise UnknownName(what="split", name=split, choices=(), where=data)
        return [data]
    if split is None:
        raise BadInput(f"it has the splits {', '.join(sorted(splits))}", where=data, mend="Name one of them")
    wanted = SPLIT_FOLDERS.get(split.lower(), split)
    if wanted not in splits:
        raise UnknownName(what="split", name=split, choices=splits, where=data)
    return [data / name for name in splits[wanted]]


def _split_folders(data: Path) -> dict[str, list[str]]:
    """Names of folders by the split that they are, where all of the folder's folders are called like one."""
    names = [folder.name for folder in _folders(data)]
    if not names or not all(name.lower() in SPLIT_FOLDERS for name in names):
        return {}
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(SPLIT_FOLDERS[name.lower()], []).append(name)
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _kinds_in(folder: Path) -> Iterator[str]:
    """What kinds of files lie in the folder itself: image, video."""
    for path in folder.iterdir():
        ending = path.suffix.lower()
        if ending in IMAGE_ENDINGS or ending in VIDEO_ENDINGS:
            yield "image" if ending in IMAGE_ENDINGS else "video"


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS and path.is_file())
