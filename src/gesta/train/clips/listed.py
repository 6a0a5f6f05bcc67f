"""Labelled clips of the world's lists: UCF-101, HMDB-51, Kinetics csv, VideoFolder, and all else that says clips.

A list says which clips there are; the files are found below a folder, however deep:

| the list says | file |
|---|---|
| a path | that path, else a file of that name anywhere; without regard to case (UCF's lists misspell a class) |
| a video id and times | `<id>_<start>_<end>.*` in whole seconds of six digits, which holds the clip alone |
| a video id | `<id>.*`, which holds the whole video, or, with `files="cut"`, the clip alone |

Of several such files the one in a folder called like the class counts, blanks and underscores being the same. A folder
of numbered images may stand for a video. What has no file goes to the rejects ("missing").
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl

from gesta.formats import Context, read_annotations, read_label_map
from gesta.schema import US_PER_S, BadInput, Reject, UnknownName, clip_id_of
from gesta.tables import sha256_of_json
from gesta.train.clips.footage import IMAGE_ENDINGS
from gesta.train.clips.frames import UNTIL_END_US
from gesta.train.clips.sets import STAGE, ClipExample, ClipSet, clip_set
from gesta.video import VIDEO_ENDINGS

FILES = ("auto", "whole", "cut")
"""What a file called by a video's id alone holds: "cut" = the clip; "whole", and "auto" too, = the video."""

_DIGITS = re.compile(r"([a-z]+)[-_ ]?0*([0-9]+)\Z")
_SAME_SPLIT = {"validate": "val", "validation": "val", "valid": "val", "training": "train", "testing": "test"}


def read_listed_clips(
    listing: Path,
    *,
    videos: Path,
    split: str | None = None,
    format_name: str | None = None,
    label_map: Path | None = None,
    files: str = "auto",
) -> tuple[ClipSet, list[Reject]]:
    """The list's clips in its order, and those without a file ("missing") or a label ("no-label").

    Classes are all of the list's label map, in the order of their ids; so the lists of a data set's splits give the
    same labels when they name the same classes, or are read with one `label_map`.

    Args:
        listing: a file or folder that `gesta.formats.read_annotations` reads.
        videos: folder of the files.
        split: as the list writes it (train01, train1, val ...); "validate" and "validation" are "val".
        format_name: of the list; None = what it looks like.
        label_map: class ids and names in place of the list's own.
        files: one of `FILES`.
    Raises:
        UnknownName: `files`, the format or the split is none of the choices.
        BadInput: the list cannot be read, has several splits and none is named, or no clip of it has its file.
    """
    if files not in FILES:
        raise UnknownName(what="choice of files", name=files, choices=FILES)
    names = None if label_map is None else read_label_map(label_map)
    said = read_annotations(listing, format_name=format_name, context=Context(label_map=names))
    rows = _of_split(said.clips, split=split, listing=listing)
    rows = rows.join(said.videos.select("video_id", "path"), on="video_id", how="left", maintain_order="left")
    classes = dict(said.label_map.sort("class_id").select("class_id", "name").iter_rows())
    label_of = {class_id: label for label, class_id in enumerate(classes)}
    found = FoundFiles.below(videos)
    examples, rejects = [], []
    for row in rows.iter_rows(named=True):
        wanted = _Wanted(
            video_id=row["video_id"], path=row["path"], class_name=classes.get(row["class_id"], ""),
            start_us=row["start_us"], end_us=row["end_us"],
        )  # fmt: skip
        if row["class_id"] is None:
            rejects.append(_reject(wanted, reason="no-label", detail="the list says no class"))
            continue
        example = found.example(wanted, label=label_of[row["class_id"]], files=files)
        if example is None:
            rejects.append(_reject(wanted, reason="missing", detail=f"no file of it below {videos.name}"))
        else:
            examples.append(example)
    if not examples:
        raise BadInput(
            f"none of its {len(rows):,} clips has a file below {videos}", where=listing,
            mend="Name the folder of the videos; files are called as the list says, or by video id",
        )  # fmt: skip
    return clip_set(examples, classes=classes, source_sha256=sha256_of_json(rows.drop("path").rows())), rejects


def listed_splits(listing: Path, *, format_name: str | None = None) -> tuple[str, ...]:
    """The splits that a list names, in the order of their names; none where it names none.

    Raises:
        BadInput: the list cannot be read.
        UnknownName: there is no such format.
    """
    said = read_annotations(listing, format_name=format_name)
    return tuple(sorted(set(said.clips["split"].drop_nulls())))


def _of_split(clips: pl.DataFrame, *, split: str | None, listing: Path) -> pl.DataFrame:
    splits = sorted(set(clips["split"].drop_nulls()))
    if split is None:
        if len(splits) > 1:
            raise BadInput(f"it has the splits {', '.join(splits)}", where=listing, mend="Name one of them")
        return clips
    same = [name for name in splits if _plain_split(name) == _plain_split(split)]
    if not same:
        raise UnknownName(what="split", name=split, choices=splits, where=listing)
    return clips.filter(pl.col("split").is_in(same))


def _plain_split(name: str) -> str:
    """The split's usual name, without leading zeros.

    >>> [_plain_split(name) for name in ("train01", "Train1", "validate", "val")]
    ['train1', 'train1', 'val', 'val']
    """
    lower = name.strip().lower()
    match = _DIGITS.match(lower)
    word, number = (match.group(1), match.group(2)) if match else (lower, "")
    return _SAME_SPLIT.get(word, word) + number


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a list says of one clip."""

    video_id: str
    path: str | None
    class_name: str
    start_us: int | None
    end_us: int | None


def _reject(wanted: _Wanted, *, reason: str, detail: str) -> Reject:
    return Reject(stage=STAGE, reason=reason, video_id=wanted.video_id, path=wanted.path, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """The videos below a folder, by their lower-case path and by their lower-case name without ending."""

    root: Path
    by_path: dict[str, str]
    by_stem: dict[str, list[str]]

    @classmethod
    def below(cls, root: Path) -> FoundFiles:
        """What is there.

        Raises:
            BadInput: there is no such folder.
        """
        if not root.is_dir():
            raise BadInput("there is no such folder", where=root, mend="Name the folder of the videos")
        by_path: dict[str, str] = {}
        by_stem: dict[str, list[str]] = {}
        for relative in _footage_below(root):
            by_path.setdefault(relative.lower(), relative)
            name = PurePosixPath(relative)
            is_file = name.suffix.lower() in VIDEO_ENDINGS
            by_stem.setdefault((name.stem if is_file else name.name).lower(), []).append(relative)
        return cls(root=root, by_path=by_path, by_stem=by_stem)

    def example(self, wanted: _Wanted, *, label: int, files: str) -> ClipExample | None:
        """The clip with its file; None where there is none."""
        start_us, end_us = wanted.start_us or 0, UNTIL_END_US if wanted.end_us is None else wanted.end_us
        has_times = wanted.start_us is not None and wanted.end_us is not None
        place = self._by_list(wanted)
        is_cut = False
        if place is None and has_times:
            seconds = f"{start_us // US_PER_S:06d}_{end_us // US_PER_S:06d}"
            place = self._named(f"{wanted.video_id}_{seconds}", class_name=wanted.class_name)
            is_cut = place is not None
        if place is None:
            place = self._named(wanted.video_id, class_name=wanted.class_name)
            is_cut = files == "cut"
        if place is None:
            return None
        whole = clip_id_of(video_id=wanted.video_id, start_us=start_us, end_us=end_us)
        return ClipExample(
            clip_id=whole if has_times else wanted.video_id,
            video_id=wanted.video_id,
            path=self.root / place,
            start_us=0 if is_cut else start_us,
            end_us=end_us - start_us if is_cut and has_times else end_us,
            label=label,
        )

    def _by_list(self, wanted: _Wanted) -> str | None:
        if wanted.path is None:
            return None
        path = PurePosixPath(wanted.path)
        exact = self.by_path.get(wanted.path.lower()) or self.by_path.get(path.with_suffix("").as_posix().lower())
        return exact or self._named(path.stem, class_name=wanted.class_name)

    def _named(self, stem: str, *, class_name: str) -> str | None:
        places = self.by_stem.get(stem.lower(), [])
        ours = [place for place in places if _plain(PurePosixPath(place).parent.name) == _plain(class_name)]
        return next(iter([*ours, *places]), None)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", " ", name.lower()).strip()


def _footage_below(root: Path) -> Iterable[str]:
    """Paths from `root` of videos and of folders that hold images, sorted."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder).relative_to(root)
        endings = {PurePosixPath(name).suffix.lower() for name in names}
        if endings & set(IMAGE_ENDINGS) and here != Path():
            found.append(here.as_posix())
        found += [(here / name).as_posix() for name in names if PurePosixPath(name).suffix.lower() in VIDEO_ENDINGS]
    return sorted(found)
