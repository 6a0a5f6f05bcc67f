"""The readers that are fuzzed, the valid files that fuzzing starts from, and how a reading may end."""

from __future__ import annotations

import json
import pickle
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.fuzz_mutations import Kind
from gesta.evaluate import clip_files, evaluate_csv, tube_files
from gesta.evaluate.stage import read_detections
from gesta.formats import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    FORMATS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    annotation_format_of,
    ava,
    ava_scan,
    format_of,
    read_annotations,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_label_map,
    write_detections_csv,
)
from gesta.formats.annotations import shaped
from gesta.formats.catalogue import writer_named
from gesta.formats.croissant_read import read_croissant
from gesta.formats.json_values import read_json
from gesta.formats.path_labels import read_path_labels
from gesta.formats.safe_pickle import read_pickle
from gesta.import_.annotations import read_annotations as import_annotations
from gesta.lint import KINDS, Against, FileLint, lint_file
from gesta.lint.against import read_videos
from gesta.schema import BadRow, GestaError, MissingTable
from gesta.stats.sources import read_groups, rows_of_file
from gesta.stats.yields import read_catalogue_column
from gesta.tables import empty_frame, made_by, read_table, table_path, write_table

MAX_CPU_S = 10.0
"""Processor time that no file of `MAX_BYTES` may take. Source: ours; a thousand times what most take."""

_BLOCK_BYTES = 97
"""Block of the compiled AVA reader here, so that lines straddle blocks even in small files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A reader and the files it is fed.

    `file` is the name that the reader is given; `beside` are files that stand next to it, unharmed; where `folder` is
    true the reader gets the folder of both. `names_lines`: an error is either about the whole file, in one of the
    phrases of `WHOLE_FILE`, or names a line.
    """

    file: str
    kind: Kind
    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    folder: bool = False
    names_lines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one reading ended: `rows`, the name of a `GestaError`, or `defect` with what is wrong about it."""

    kind: str
    defect: str = ""


WHOLE_FILE = (
    "the file is empty", "holds no class", "cannot be read (", "neither a Kinetics csv nor an AVA csv",
    "it looks like no format", "there is no label map", "this file has names of classes",
    "the frame rate of video", "boxes here have no action", "has no name in this file",
)  # fmt: skip
"""Of files of lines: what no single line is to blame for."""

LABEL_MAP = shaped(pl.DataFrame({"class_id": [1, 2], "name": ["clap", "wave"]}), LABEL_MAP_COLUMNS)
VIDEOS = shaped(
    pl.DataFrame(
        {"video_id": ["-a", "b"], "path": ["clap/-a.mp4", "wave/b.mp4"], "split": ["train", "test"],
         "width_px": [640, 640], "height_px": [480, 480], "fps_num": [25, 25], "fps_den": [1, 1],
         "num_frames": [300, 300], "duration_us": [12_000_000, 12_000_000]}
    ),
    VIDEO_COLUMNS,
)  # fmt: skip
_TIMED = shaped(
    pl.DataFrame(
        {"video_id": ["-a", "b"], "start_us": [0, 2_000_000], "end_us": [10_000_000, 12_000_000], "class_id": [1, 2],
         "split": ["train", "test"]}
    ),
    CLIP_COLUMNS,
)  # fmt: skip
_BOXES = shaped(
    pl.DataFrame(
        {"video_id": ["-a", "-a", "b"], "timestamp_us": [1_000_000, 1_000_000, 4_000_000], "x1": [0.25, 0.25, 0.5],
         "y1": [0.25, 0.25, 0.5], "x2": [0.5, 0.5, 0.75], "y2": [0.75, 0.75, 1.0], "class_id": [1, 2, 2],
         "person_id": [0, 0, 0]}
    ),
    BOX_COLUMNS,
)  # fmt: skip
_WHOLE = _TIMED.with_columns(
    pl.lit(None, dtype=pl.Int64).alias("start_us"), pl.lit(None, dtype=pl.Int64).alias("end_us")
)
_SCORED = _BOXES.with_columns(pl.lit(None, dtype=pl.Int64).alias("person_id"), pl.lit(0.9).alias("score"))
_SAMPLES = {
    "boxes": Annotations(videos=VIDEOS, boxes=_BOXES, label_map=LABEL_MAP),
    "proposals": Annotations(
        videos=VIDEOS, boxes=_SCORED[[0, 2]].with_columns(pl.lit(None, dtype=pl.Int64).alias("class_id"))
    ),
    "detections": Annotations(videos=VIDEOS, boxes=_SCORED, label_map=LABEL_MAP),
    "timed": Annotations(videos=VIDEOS, clips=_TIMED, label_map=LABEL_MAP),
    "whole": Annotations(videos=VIDEOS, clips=_WHOLE, label_map=LABEL_MAP),
    "guesses": Annotations(
        videos=VIDEOS, label_map=LABEL_MAP,
        clips=_WHOLE.with_columns(pl.lit(0.5).alias("score"), pl.lit(None, dtype=pl.String).alias("split")),
    ),
    "classes": Annotations(label_map=LABEL_MAP),
}  # fmt: skip
_SAMPLE_OF = {
    "ava": "boxes", "ava-kinetics": "boxes", "detections": "detections", "proposals": "proposals", "kinetics": "timed",
    "kinetics-json": "timed", "activitynet": "timed", "activitynet-predictions": "guesses", "path-labels": "whole",
    "ucf101": "whole", "hmdb51": "whole", "action-tubes": "boxes", "coco-vid": "boxes", "cvat": "boxes",
    "label-studio": "boxes", "fiftyone-temporal": "timed", "video-folder": "whole", "label-map": "classes",
}  # fmt: skip
CONTEXT = Context(label_map=LABEL_MAP, videos=VIDEOS)
_KINDS: dict[str, Kind] = {".json": "json", ".xml": "xml", ".pkl": "pickle"}


def written(name: str, folder: Path) -> dict[str, bytes]:
    """The files that the format's writer makes of its sample, by their names."""
    # A CVAT file holds one video; two make a folder.
    target = folder / f"{name}{FORMATS[name].ending if name != 'cvat' else ''}"
    writer_named(name)(target, _SAMPLES[_SAMPLE_OF[name]], context=CONTEXT)
    files = sorted(file for file in target.rglob("*") if file.is_file()) if target.is_dir() else [target]
    return {file.name: file.read_bytes() for file in files}


def cases(folder: Path) -> dict[str, Case]:
    """Every reader by name; the samples are written into `folder`, which is empty or holds them already."""
    folder.mkdir(exist_ok=True)
    samples = {name: written(name, folder) for name in _SAMPLE_OF}
    made = _of_formats(samples)
    made |= _of_tables_of_lines(samples)
    made |= _of_other_layouts(samples)
    made |= _of_programs(samples, folder)
    made |= _of_lint(samples)
    return made


def _reader(name: str) -> Callable[[Path], object]:
    return lambda path: read_annotations(path, format_name=name, context=CONTEXT)


_LINES_ONLY = ("ava", "ava-kinetics", "detections", "kinetics", "path-labels", "ucf101", "hmdb51", "label-map")


def _of_formats(samples: Mapping[str, Mapping[str, bytes]]) -> dict[str, Case]:
    """A case for each format; of those that are folders, the first file is harmed and the others stand beside it."""
    more: dict[str, tuple[bytes, ...]] = {
        "ava": (b"v,0902,.1,.2,.3,.4,12,0\nv,0903\n-w,1.5,0,0,1,1,80\n", b'"a,b",902.0,1,1,0,0,1,7\n'),
        "proposals": _pickles({"-a,0902": np.array([[0.1, 0.2, 0.3, 0.4, 0.9]]), "b,0903": np.zeros((0, 5))}),
        "kinetics": (
            b"label,youtube_id,time_start,time_end,split,is_cc\nclap,-a,0,10,train,0\nwave,b,1.5,11,val,1\n",
            b'youtube_id,time_start,time_end,split\n-a,000001,000011,test\n"b",2,12,test\n',
        ),
        "action-tubes": (*_pickles(_tubes_truth()), *_pickles(_CORRECTED)),
        "label-map": (b'item {\n  name: "clap"\n  id: 1\n}\nitem {\n  name: "wave"\n  id: 2\n}\n',),
        "activitynet": (
            b'{"taxonomy": [{"nodeId": 1, "nodeName": "clap", "parentId": null}], "database": {"-a":'
            b' {"resolution": "64x48", "duration": 3, "subset": "training", "annotations": [{"label": "clap", "segment"'
            b": [0, 1]}]}}}",
        ),
        "fiftyone-temporal": (
            b'{"classes": ["clap"], "labels": {"-a": [{"label": 0, "support": [1, 2]}, {"label": 0, "timestamps": [0, 1'
            b"]}]}}",
        ),
    }
    found = {}
    for name, files in samples.items():
        file, data = _main_file(name, files)
        beside = {other: body for other, body in files.items() if other != file}
        kind = _KINDS.get(Path(file).suffix, "lines")
        seeds = (data, *more.get(name, ()))
        is_folder = name == "video-folder" or (name == "ucf101" and bool(beside))
        found[name] = Case(
            file=file, kind=kind, read=_reader(name), seeds=seeds, beside=beside if is_folder else {},
            folder=is_folder, names_lines=name in _LINES_ONLY,
        )  # fmt: skip
    return found


def _main_file(name: str, files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The file of rows: CVAT's writer gives its labels in a JSON file, UCF-101's a csv of frame counts beside it."""
    ending = {"cvat": ".xml", "ucf101": ".txt", "hmdb51": ".txt"}.get(name, "")
    return next((file, data) for file, data in files.items() if file.endswith(ending))


def _pickles(value: object) -> tuple[bytes, ...]:
    return tuple(pickle.dumps(value, protocol=protocol) for protocol in (0, 2, 4, 5))


def _tubes_truth() -> dict[str, object]:
    tube = np.array([[1, 160.0, 120, 320, 360], [2, 160, 120, 320, 360]], dtype=np.float32)
    return {
        "labels": ["clap", "wave"], "train_videos": [["-a"]], "test_videos": [["b"]], "nframes": {"-a": 30, "b": 30},
        "resolution": {"-a": (480, 640), "b": (480, 640)}, "gttubes": {"-a": {0: [tube]}, "b": {1: [tube]}},
    }  # fmt: skip


_CORRECTED = {
    "db": {"clap/v_clap_g01_c01": {"numf": 40, "label": 0, "annotations": [
        {"label": 0, "sf": 0, "ef": 2, "boxes": np.array([[77, 53, 48, 61], [78, 53, 48, 61]], dtype=np.uint8)}]}},
    "trainvideos": ["clap/v_clap_g01_c01"], "classes": ["clap", "wave"],
}  # fmt: skip


def _of_tables_of_lines(samples: Mapping[str, Mapping[str, bytes]]) -> dict[str, Case]:
    """Files of lines that are no format of their own, and the compiled reader of AVA's."""
    boxes = (*samples["ava"].values(), *samples["ava-kinetics"].values(), b"-a,0902\n", b'"-a",0902,0,0,1,1,2,3\n')
    scored = (*samples["detections"].values(), b"-a,0902,.1,.1,.2,.2,1\nb,0903,0,0,1,1,2,0.5\n")
    return {
        "ava-compiled": _lines("f.csv", lambda path: _compiled(path, read_ava_csv), boxes),
        "ava-scores": _lines("f.csv", lambda path: read_ava_csv(path, column_8="score"), scored),
        "ava-scores-compiled": _lines("f.csv", lambda path: _compiled(path, _scores), scored),
        "excluded-timestamps": _lines("f.csv", read_excluded_timestamps, (b"-a,0902\nb,903.5\n",)),
        "included-timestamps": _lines("f.txt", read_included_timestamps, (b"0902\n0903\n904.5\n",)),
        "label-map-names": _lines("f.txt", read_label_map, (b"clap\nwave\n", b"0 clap\n1 wave\n", b"1: clap\n")),
        "clip-scores": _lines("f.csv", clip_files.read_clip_scores, (b"clip_id,class_id,score\n-a,1,0.5\nb,2,1e-3\n",)),
        "clip-scores-named": _lines(
            "f.csv", lambda path: clip_files.read_clip_scores(path, label_map=LABEL_MAP),
            (b"clip_id,class_name,score\n-a,clap,0.5\nb,wave,1\n",),
        ),
        "clip-labels": _lines(
            "f.csv", lambda path: clip_files.read_clip_labels(path, label_map=LABEL_MAP),
            (b"clip_id,class_id\n-a,1\nb,2\n", b"clip_id,class_name\n-a,clap\n", *samples["kinetics"].values()),
        ),
        "catalogue-column": _lines(
            "f.csv", lambda path: read_catalogue_column(path, "continent"),
            (b'video_id,continent\n-a,Asia\nb,"North, America"\n',),
        ),
        "list-of-videos": Case(
            file="f.txt", kind="lines", read=read_videos, seeds=(b"-a.mp4\nx/b_000001_000011.mkv\n",)
        ),
    }  # fmt: skip


def _lines(file: str, read: Callable[[Path], object], seeds: tuple[bytes, ...]) -> Case:
    return Case(file=file, kind="lines", read=read, seeds=seeds, names_lines=True)


def _scores(path: Path) -> pl.DataFrame:
    return read_ava_csv(path, column_8="score")


def _compiled(path: Path, read: Callable[[Path], object]) -> object:
    """What the reader says when even small files go through the compiled loop, in small blocks."""
    kept = ava.SCAN_FROM_BYTES, ava_scan.BLOCK_BYTES
    ava.SCAN_FROM_BYTES, ava_scan.BLOCK_BYTES = 0, _BLOCK_BYTES
    try:
        return read(path)
    finally:
        ava.SCAN_FROM_BYTES, ava_scan.BLOCK_BYTES = kept


def _of_other_layouts(samples: Mapping[str, Mapping[str, bytes]]) -> dict[str, Case]:
    """Layouts of a format beside the one that its writer prefers."""
    ucf101 = samples["ucf101"]
    one_list = ucf101["trainlist01.txt"]
    scored = tuple(samples["detections"].values())
    return {
        "path-labels-offsets": _lines(
            "f.txt", lambda path: read_path_labels(path, layout="offsets", multi_label=True, context=CONTEXT),
            (b"-a 5 10 1 2\nb 7 1\n",),
        ),
        "path-labels-frames": _lines(
            "f.txt", lambda path: read_path_labels(path, layout="frames", separator=",", ids="path"),
            (b"-a,5,1\nb,3,2\n",),
        ),
        "path-labels-kinetics": _lines(
            "f.txt", lambda path: read_path_labels(path, ids="kinetics"), (b"a/-a_000001_000011.mp4 1\n",)
        ),
        "ucf101-list": Case(
            file="trainlist01.txt", kind="lines", names_lines=True, read=_reader("ucf101"),
            seeds=(one_list, b"clap/-a.avi 1\nwave/b.avi 2\n"),
        ),
        "ucf101-test-list": Case(
            file="testlist01.txt", kind="lines", names_lines=True, read=_reader("ucf101"),
            seeds=(b"clap/-a.avi\nwave/b.avi\n",), beside={"classInd.txt": b"1 clap\n2 wave\n"}, folder=True,
        ),
        "video-folder-csv": Case(
            file="metadata.csv", kind="lines", names_lines=True, read=_reader("video-folder"),
            seeds=(b'file_name,label,class_id,start_us,is_cc\na.mp4,"clap",1,5,true\nb.mp4,wave,2,,false\n',),
        ),
        "video-folder-jsonl": Case(
            file="metadata.jsonl", kind="json", names_lines=True, read=_reader("video-folder"),
            seeds=(b'{"file_name": "a.mp4", "label": "clap", "score": 0.5}\n',),
        ),
        "video-folder-parquet": Case(
            file="metadata.parquet", kind="binary", read=_reader("video-folder"), seeds=(_parquet(),)
        ),
        "proposals-csv": Case(
            file="f.csv", kind="lines", read=_reader("proposals"), names_lines=True,
            seeds=(b"-a,0902,0.1,0.2,0.3,0.4,0.9\nb,0903,0,0,1,1,1\n", b"-a,0902,0.1,0.2,0.3,0.4\n"),
        ),
        "proposals-alone": Case(
            file="f.pkl", kind="pickle", read=lambda path: FORMATS["proposals"].read(path, context=Context()),
            seeds=tuple(samples["proposals"].values()),
        ),
        "action-tubes-alone": Case(
            file="f.pkl", kind="pickle", read=lambda path: FORMATS["action-tubes"].read(path, context=Context()),
            seeds=_pickles(_tubes_truth()),
        ),
        "tube-detections": Case(file="f.pkl", kind="pickle", read=_tubes, seeds=(*_tube_files(), *_frame_files())),
        "tube-detections-csv": Case(file="f.csv", kind="lines", names_lines=True, read=_tubes, seeds=scored),
        "cvat-images": Case(file="-a.xml", kind="xml", read=_reader("cvat"), seeds=(_CVAT_IMAGES,)),
        "cvat-alone": Case(
            file="f.xml", kind="xml", read=lambda path: FORMATS["cvat"].read(path, context=Context()),
            seeds=(_main_file("cvat", samples["cvat"])[1], _CVAT_IMAGES),
        ),
        **{
            f"{name}-alone": Case(
                file="f.json", kind="json", read=lambda path, name=name: FORMATS[name].read(path, context=Context()),
                seeds=tuple(samples[name].values()),
            )
            for name in ("coco-vid", "label-studio", "activitynet", "kinetics-json", "fiftyone-temporal")
        },
    }  # fmt: skip


def _parquet() -> bytes:
    import io

    stream = io.BytesIO()
    pl.DataFrame({"file_name": ["a.mp4", "b.mp4"], "label": ["clap", None], "start_us": [1, 2]}).write_parquet(stream)
    return stream.getvalue()


_CVAT_IMAGES = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><job><labels><label><name>'
    b"clap</name></label></labels></job></meta>\n"
    b'<image id="0" name="-a/000025.jpg" width="640" height="480">\n'
    b'<box label="clap" occluded="0" xtl="160.0" ytl="120.0" xbr="320.0" ybr="360.0"><attribute name="person_id">3'
    b'</attribute></box>\n</image>\n<image id="1" name="-a/000050.jpg" width="640" height="480"/>\n</annotations>\n'
)


def _tube_files() -> tuple[bytes, ...]:
    tube = np.array([[1, 160.0, 120, 320, 360, 0.9], [2, 160, 120, 320, 360, 0.8]])
    return _pickles({0: [("-a", 0.9, tube)], 1: [("b", 0.5, tube[:, :5])]})


def _frame_files() -> tuple[bytes, ...]:
    return _pickles(np.array([[0.0, 1, 0, 0.9, 160, 120, 320, 360], [1, 2, 1, 0.5, 160, 120, 320, 360]]))


def _tubes(path: Path) -> pl.DataFrame:
    return tube_files.read_tubes(path, Annotations(videos=VIDEOS, label_map=LABEL_MAP), definition="act")


def _of_programs(samples: Mapping[str, Mapping[str, bytes]], folder: Path) -> dict[str, Case]:
    """What verbs read: a file of whatever format, tables, releases, groups; and the two readers below many others."""
    first = {name: _main_file(name, files)[1] for name, files in samples.items()}
    truth = folder / "truth.csv"
    write_detections_csv(truth, _SCORED)
    names = folder / "label-map.pbtxt"
    detections_file = table_path(folder, "detections").with_suffix(".parquet")
    write_table(
        detections_file, "detections", empty_frame("detections"), made_by=made_by("fuzz", arguments={}, inputs={})
    )
    boxes = first["ava"], first["detections"], first["kinetics"]
    objects = first["coco-vid"], first["kinetics-json"], first["label-studio"]
    pickles = first["proposals"], first["action-tubes"]
    croissant = json.dumps(_CROISSANT).encode()

    def known(path: Path) -> object:
        return [format_of(path), annotation_format_of(path) if path.suffix == ".csv" else ""]

    def scored(path: Path) -> object:
        return _compiled(path, lambda file: evaluate_csv(truth, file, class_ids=[1, 2]))

    def imported(path: Path) -> object:
        return import_annotations([path], label_map=names, videos=empty_frame("videos"))

    return {
        "format-of-csv": Case(file="f.csv", kind="lines", names_lines=True, read=known, seeds=boxes),
        "format-of-txt": Case(file="f.txt", kind="lines", read=known, seeds=(first["path-labels"], b"clap\nwave\n")),
        "format-of-json": Case(file="f.json", kind="json", read=known, seeds=objects),
        "format-of-pickle": Case(file="f.pkl", kind="pickle", read=known, seeds=pickles),
        "evaluate-csv": Case(file="f.csv", kind="lines", read=scored, seeds=(first["detections"],)),
        "import-csv": Case(file="f.csv", kind="lines", names_lines=True, read=imported, seeds=boxes),
        "import-json": Case(file="f.json", kind="json", read=imported, seeds=(first["coco-vid"], first["activitynet"])),
        "stats-csv": Case(file="f.csv", kind="lines", names_lines=True, read=rows_of_file, seeds=boxes),
        "stats-json": Case(
            file="f.json", kind="json", read=rows_of_file, seeds=(first["activitynet"], first["coco-vid"])
        ),
        "stats-groups": Case(
            file="f.json", kind="json", read=lambda path: read_groups(path, names=LABEL_MAP),
            seeds=(b'{"hands": ["clap", "wave"], "all": ["clap"]}',),
        ),
        "table-parquet": Case(
            file="f.parquet", kind="binary", read=read_detections, seeds=(detections_file.read_bytes(), _parquet())
        ),
        "table-jsonl": Case(
            file="label_map.jsonl", kind="json", read=lambda path: read_table(path, "label_map"),
            seeds=(b'{"class_id": 1, "name": "clap", "category": null}\n',),
        ),
        "table-sidecar": Case(
            file="f.parquet.json", kind="json", seeds=(b'{"schema_version": 1, "made_by": {}}',), folder=True,
            beside={"f.parquet": detections_file.read_bytes()},
            read=lambda path: read_table(path / "f.parquet", "detections"),
        ),
        "croissant": Case(
            file="croissant.json", kind="json", read=_reader("croissant"), seeds=(json.dumps(_RELEASE).encode(),),
            beside=_tables(folder),
        ),
        "croissant-card": Case(file="croissant.json", kind="json", read=read_croissant, seeds=(croissant,)),
        "json": Case(file="f.json", kind="json", read=read_json, seeds=(first["coco-vid"],)),
        "pickle": Case(
            file="f.pkl", kind="pickle", read=read_pickle, seeds=(*_pickles(_tubes_truth()), *_pickles(_PLAIN))
        ),
    }  # fmt: skip


def _tables(folder: Path) -> dict[str, bytes]:
    """The tables of a release, without rows but for its classes."""
    found = {}
    for name in _RELEASE_TABLES:
        path = table_path(folder, name)
        write_table(path, name, LABEL_MAP if name == "label_map" else empty_frame(name), made_by=_MADE)
        found[path.name] = path.read_bytes()
    return found


_MADE = made_by("fuzz", arguments={}, inputs={})
_RELEASE_TABLES = ("label_map", "videos", "splits", "clips", "kept", "key_frames", "box_labels")
_RELEASE = {
    "@context": {"@vocab": "https://schema.org/"}, "@type": "sc:Dataset", "name": "hands",
    "conformsTo": "http://mlcommons.org/croissant/1.1",
    "distribution": [
        {"@type": "cr:FileObject", "@id": name, "contentUrl": f"{name}.parquet"} for name in _RELEASE_TABLES
    ],
    "recordSet": [
        {"@type": "cr:RecordSet", "@id": name, "field": [{"@type": "cr:Field", "@id": f"{name}/a"}]}
        for name in ("label_map", "videos", "clip_splits", "clips", "clip_labels", "key_frames", "box_labels")
    ],
}  # fmt: skip

_PLAIN = [
    {"a": (1, -(2**70), 1.5, None, True), "b": [b"x", "é", {1, 2}, frozenset({3}), bytearray(b"y")]},
    np.float32(1.5), np.int64(3), np.array(["a", "bc"]), np.array([[1, 2], [3, 4]], dtype="<u2", order="F"),
]  # fmt: skip

_CROISSANT = {
    "@context": {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"},
    "@type": "sc:Dataset", "name": "hands", "version": "1.0.0", "license": ["CC-BY-4.0"], "description": "Hands",
    "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
    "rai:dataCollection": ["by hand"],
    "distribution": [
        {"@type": "cr:FileObject", "@id": "clips", "contentUrl": "clips.parquet", "sha256": "0" * 64,
         "encodingFormat": "application/x-parquet", "contentSize": "12 B"},
        {"@type": "cr:FileSet", "@id": "videos", "includes": ["*.mp4", "*.mkv"], "encodingFormat": "video/mp4"},
    ],
    "recordSet": [
        {"@type": "cr:RecordSet", "@id": "splits", "dataType": "cr:Split", "key": {"@id": "splits/name"},
         "field": [{"@type": "cr:Field", "@id": "splits/name", "dataType": "sc:Text"}],
         "data": [{"splits/name": "train"}, {"splits/name": "test"}]},
        {"@type": "cr:RecordSet", "@id": "clips", "field": [
            {"@type": "cr:Field", "@id": "clips/box", "dataType": "cr:BoundingBox", "source": {
                "fileObject": {"@id": "clips"}, "extract": {"column": "box"}},
             "subField": [{"@type": "cr:Field", "@id": "clips/box/x1", "dataType": "sc:Float"}]}]},
    ],
}  # fmt: skip


_AGAINST = Against(
    label_map=LABEL_MAP,
    excluded=pl.DataFrame({"video_id": ["-a"], "timestamp_us": [1_000_000]}),
    included_us=pl.Series([1_000_000, 4_000_000]),
    groundtruth=pl.DataFrame(
        {"video_id": ["-a", "b"], "timestamp_us": [1_000_000, 4_000_000], "has_box": [True, False]}
    ),
    clips=_TIMED.select("video_id", "start_us", "end_us"),
    videos=pl.DataFrame({"video_id": ["-a", "b"], "start_us": [0, 0], "end_us": [12_000_000, None]}),
    min_per_class=2,
)


def _of_lint(samples: Mapping[str, Mapping[str, bytes]]) -> dict[str, Case]:
    first = {name: _main_file(name, files)[1] for name, files in samples.items()}
    lists = (b"0902\n0903\n", b"-a,0902\nb,0903\n", b"-a.mp4\nb.mp4\n", first["label-map"], b"clap\nwave\n")
    of_kind = {
        "kinetics": first["kinetics"], "ava": first["ava"], "detections": first["detections"], "key-frames": lists[1],
        "times": lists[0], "label-map": lists[3], "names": lists[2],
    }  # fmt: skip
    told = {
        f"lint-as-{kind}": Case(
            file="f.csv", kind="lines", read=lambda path, kind=kind: lint_file(path, kind=kind, against=_AGAINST),
            seeds=(of_kind[kind],),
        )
        for kind in KINDS
    }  # fmt: skip
    return told | {
        "lint-csv": Case(
            file="f.csv", kind="lines", read=lint_file, seeds=(first["ava"], first["detections"], first["kinetics"])
        ),
        "lint-txt": Case(file="f.txt", kind="lines", read=lint_file, seeds=(*lists, first["path-labels"])),
        "lint-json": Case(
            file="f.json", kind="json", read=lint_file,
            seeds=(first["coco-vid"], first["activitynet"], first["kinetics-json"], first["label-studio"]),
        ),
        "lint-xml": Case(file="f.xml", kind="xml", read=lint_file, seeds=(first["cvat"], _CVAT_IMAGES)),
        "lint-pickle": Case(
            file="f.pkl", kind="pickle", read=lint_file, seeds=(first["action-tubes"], first["proposals"])
        ),
    }  # fmt: skip


def outcome(case: Case, data: bytes, folder: Path) -> Outcome:
    """How the reader ends on the bytes; what it must not raise passes through.

    `folder` is the reader's own; files of earlier readings of the same case are written over.
    """
    path = folder / case.file
    for name, body in case.beside.items():
        if not (folder / name).exists():
            (folder / name).write_bytes(body)
    path.write_bytes(data)
    return ended(case, path)


def ended(case: Case, path: Path) -> Outcome:
    """How the reader ends on what stands at the path (or, for a reader of folders, in the folder of the path)."""
    target = path.parent if case.folder else path
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found, said = case.read(target), None
        except GestaError as error:
            found, said = None, error
    spent_s = time.process_time() - started
    if spent_s > MAX_CPU_S:
        return Outcome(kind="defect", defect=f"took {spent_s:.0f} s of processor time")
    if said is None:
        defect = _defect_of_rows(found)
        return Outcome(kind="defect" if defect else "rows", defect=defect)
    defect = _defect_of_error(case, said, target=target, path=path)
    return Outcome(kind="defect" if defect else type(said).__name__, defect=defect)


def _defect_of_rows(found: object) -> str:
    if isinstance(found, FileLint):
        json.dumps([one.as_json() for one in found.findings], ensure_ascii=False, allow_nan=False).encode()
        return "a finding without a message" if any(not one.message for one in found.findings) else ""
    if not isinstance(found, Annotations):
        return ""
    schemas = (VIDEO_COLUMNS, CLIP_COLUMNS, BOX_COLUMNS, LABEL_MAP_COLUMNS)
    for frame, schema in zip((found.videos, found.clips, found.boxes, found.label_map), schemas, strict=True):
        if frame.schema != schema:
            return f"columns are {frame.schema}"
        infinite = [name for name, dtype in schema.items() if dtype == pl.Float64 and not _is_finite(frame[name])]
        if infinite:
            return f"{infinite[0]} is not finite"
    ids = found.videos["video_id"]
    if ids.null_count() or not ids.is_unique().all():
        return "a video is null or stands twice"
    if found.clips["video_id"].null_count() or found.boxes["video_id"].null_count():
        return "a row has no video"
    return ""


def _is_finite(values: pl.Series) -> bool:
    return bool(values.drop_nulls().is_finite().all())


def _defect_of_error(case: Case, error: GestaError, *, target: Path, path: Path) -> str:
    text = str(error)
    if str(target.parent if isinstance(error, MissingTable) else target) not in text:
        return f"{type(error).__name__} without the file's name: {text[:200]}"
    if not error.mend:
        return f"{type(error).__name__} without a way to mend it: {text[:200]}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{type(error).__name__} that cannot be printed: {text[:200]!r}"
    has_line = re.search(re.escape(str(path if not case.folder else target)) + r"(?:/[^:]*)?:[0-9]+", text)
    if isinstance(error, BadRow) and not has_line:
        return f"BadRow without a line: {text[:200]}"
    if case.names_lines and not has_line and not any(phrase in text for phrase in WHOLE_FILE):
        return f"{type(error).__name__} that blames no line: {text[:200]}"
    return ""
