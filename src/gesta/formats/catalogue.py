"""Every format that converts, by its name on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from gesta.formats import (
    action_tubes,
    activitynet,
    coco_vid,
    croissant,
    cvat,
    cvat_write,
    fiftyone_temporal,
    flat_files,
    hmdb51,
    kinetics_json,
    label_studio,
    label_studio_write,
    path_labels,
    proposals,
    ucf101,
    video_folder,
)
from gesta.formats.annotations import Annotations, Context
from gesta.formats.sniff import format_of
from gesta.schema import BadInput, UnknownName

Part = Literal["videos", "clips", "boxes", "label_map"]


class Reader(Protocol):
    """What reads a file of a format."""

    def __call__(self, path: Path, *, context: Context) -> Annotations:
        """What the file says."""


class Writer(Protocol):
    """What writes a file of a format."""

    def __call__(self, path: Path, annotations: Annotations, *, context: Context) -> None:
        """Nothing; the file is there, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format: what it is, what it holds, and how it is read and written."""

    what: str
    holds: tuple[Part, ...]
    read: Reader
    write: Writer | None
    """None where it is not written from annotations alone."""
    ending: str
    """Of its files; empty for a folder."""


FORMATS: dict[str, Format] = {
    "ava": Format(
        what="AVA v2.1 and v2.2 csv", holds=("boxes",), ending=".csv", read=flat_files.read_ava,
        write=flat_files.write_ava,
    ),
    "ava-kinetics": Format(
        what="AVA-Kinetics v1.0 csv", holds=("boxes",), ending=".csv", read=flat_files.read_ava,
        write=flat_files.write_ava_kinetics,
    ),
    "detections": Format(
        what="detections as the AVA evaluators read them", holds=("boxes",), ending=".csv",
        read=flat_files.read_detections_file, write=flat_files.write_detections_file,
    ),
    "proposals": Format(
        what="AVA's person proposals, pickle or csv", holds=("boxes",), ending=".pkl", read=proposals.read_proposals,
        write=proposals.write_proposals,
    ),
    "kinetics": Format(
        what="Kinetics-400, -600, -700 and -700-2020 csv", holds=("clips",), ending=".csv",
        read=flat_files.read_kinetics, write=flat_files.write_kinetics,
    ),
    "kinetics-json": Format(
        what="Kinetics JSON", holds=("videos", "clips"), ending=".json", read=kinetics_json.read_kinetics_json,
        write=kinetics_json.write_kinetics_json,
    ),
    "activitynet": Format(
        what="ActivityNet ground truth", holds=("videos", "clips", "label_map"), ending=".json",
        read=activitynet.read_activitynet, write=activitynet.write_activitynet,
    ),
    "activitynet-predictions": Format(
        what="ActivityNet and Kinetics server predictions", holds=("clips",), ending=".json",
        read=activitynet.read_activitynet_predictions, write=activitynet.write_activitynet_predictions,
    ),
    "path-labels": Format(
        what="lists of path and label (SlowFast, MMAction2)", holds=("videos", "clips"), ending=".txt",
        read=path_labels.read_path_labels, write=path_labels.write_path_labels,
    ),
    "ucf101": Format(
        what="UCF-101 split files", holds=("videos", "clips", "label_map"), ending="", read=ucf101.read_ucf101,
        write=ucf101.write_ucf101,
    ),
    "hmdb51": Format(
        what="HMDB-51 and JHMDB split files", holds=("videos", "clips"), ending="", read=hmdb51.read_hmdb51,
        write=hmdb51.write_hmdb51,
    ),
    "action-tubes": Format(
        what="UCF101-24, JHMDB and MultiSports tubes, pickle", holds=("videos", "boxes", "label_map"), ending=".pkl",
        read=action_tubes.read_action_tubes, write=action_tubes.write_action_tubes,
    ),
    "coco-vid": Format(
        what="COCO-VID and TAO JSON", holds=("videos", "boxes", "label_map"), ending=".json",
        read=coco_vid.read_coco_vid, write=coco_vid.write_coco_vid,
    ),
    "cvat": Format(
        what="CVAT for video XML 1.1 (images too)", holds=("videos", "clips", "boxes", "label_map"), ending=".xml",
        read=cvat.read_cvat, write=cvat_write.write_cvat,
    ),
    "label-studio": Format(
        what="Label Studio JSON", holds=("videos", "clips", "boxes", "label_map"), ending=".json",
        read=label_studio.read_label_studio, write=label_studio_write.write_label_studio,
    ),
    "fiftyone-temporal": Format(
        what="FiftyOne temporal detections", holds=("videos", "clips", "label_map"), ending=".json",
        read=fiftyone_temporal.read_fiftyone_temporal, write=fiftyone_temporal.write_fiftyone_temporal,
    ),
    "video-folder": Format(
        what="Hugging Face VideoFolder", holds=("videos", "clips"), ending="", read=video_folder.read_video_folder,
        write=video_folder.write_video_folder,
    ),
    "label-map": Format(
        what="label map: pbtxt in both dialects, or a name a line", holds=("label_map",), ending=".pbtxt",
        read=flat_files.read_classes, write=flat_files.write_classes,
    ),
    "croissant": Format(
        what="Croissant card of a gesta release", holds=("videos", "clips", "boxes", "label_map"), ending=".json",
        read=croissant.read_croissant_annotations, write=None,
    ),
}  # fmt: skip
"""By the name that `--from` and `--to` take."""


def read_annotations(path: Path, *, format_name: str | None = None, context: Context = Context()) -> Annotations:
    """What the file or folder says, in the neutral shape.

    Args:
        path: of the file or folder.
        format_name: a name in `FORMATS`; None = what it looks like.
        context: names, sizes and rates that the file does not say.
    Raises:
        UnknownName: there is no such format.
        BadInput: the file cannot be read, or no format was named and it looks like none.
    """
    return format_named(format_name or format_of(path)).read(path, context=context)


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in FORMATS:
        raise UnknownName(what="format", name=name, choices=FORMATS)
    return FORMATS[name]


def writer_named(name: str) -> Writer:
    """What writes the format of that name.

    Raises:
        UnknownName: there is none.
        BadInput: it is not written from annotations alone.
    """
    write = format_named(name).write
    if write is None:
        raise BadInput(f"{name} is not written from annotations alone", mend="`gesta release` writes it")
    return write
