"""Croissant 1.1 with RAI 1.0: one JSON-LD file that says what a released dataset holds and how it was made.

`croissant.json` stands in the folder of a release beside its tables. Catalogues (Hugging Face, Kaggle, OpenML, Google
Dataset Search) read it, and `mlcroissant` loads the records that it describes:

    {"@type": "sc:Dataset", "name": "my-actions", "version": "1.0.0",
     "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
     "rai:annotationsPerItem": "3 to 5 answers a clip and class",
     "distribution": [{"@type": "cr:FileObject", "@id": "clips.parquet", "sha256": "…", ...},
                      {"@type": "cr:FileSet", "@id": "video-files", "includes": ["../../videos/*.mp4"], ...}],
     "recordSet": [{"@type": "cr:RecordSet", "@id": "clips", "field": [{"@id": "clips/start_us", ...}], ...}]}

| record set | one record is | from |
|---|---|---|
| `splits` | a split and what it is for (`cr:Split`) | the file itself |
| `label_map` | a class: id, name, category | `label_map.parquet` |
| `videos` | a video: size, rate, length, hash, path | `videos.parquet` |
| `clip_splits` | the split of a clip | `splits.parquet` |
| `clips` | a stretch of a video, in microseconds, and its split | `clips.parquet`, `splits.parquet` |
| `clip_labels` | a clip and a class that it shows, with its name (`cr:Label`) | `kept.parquet`, `label_map.parquet` |
| `key_frames` | an annotated instant | `key_frames.parquet` |
| `tracks` | a person's box at one instant (`cr:BoundingBox`) | `tracks.parquet` |
| `box_labels` | a boxed person and an action, with its name (`cr:Label`) | `box_labels.parquet`, `label_map.parquet` |

Boxes are fractions of the frame: `box/x1`, `box/y1`, `box/x2`, `box/y2`, x right, y down. Every file of the release is
listed with its SHA-256 but for the manifest, which lists this one. The properties `rai:…` are those of the table of
the RAI document; where its chapters name others, the table goes first. What nobody told gesta is not there: no
publication date, address, creators or social impact are made up.

Reading gives the files, fields, splits and `rai:…` texts of any Croissant file, and the annotations where the record
sets are those above and their files stand beside it as they were. Croissant says nothing of a box without a table:
other programs' record sets are listed and not read.

Source: mlcommons/croissant, docs/croissant-spec-1.1.md and docs/croissant-rai-spec.md (1.0); checked with mlcroissant
1.1.1.
"""

from __future__ import annotations

import glob
import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from gesta.formats.annotations import Annotations, Context
from gesta.formats.croissant_read import Croissant, read_croissant
from gesta.schema import BadInput, MissingExtra, UnknownName
from gesta.tables import TABLES, Json, write_json

__all__ = ["RAI_PROPERTIES", "Croissant", "DatasetCard", "read_croissant", "validate_croissant", "write_croissant"]

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

RAI_PROPERTIES: Mapping[str, bool] = {
    "dataCollection": False, "dataCollectionType": True, "dataCollectionMissingData": False,
    "dataCollectionRawData": False, "dataCollectionTimeframe": True, "dataImputationProtocol": False,
    "dataManipulationProtocol": False, "dataPreprocessingProtocol": True, "dataAnnotationProtocol": False,
    "dataAnnotationPlatform": True, "dataAnnotationAnalysis": True, "dataReleaseMaintenancePlan": False,
    "personalSensitiveInformation": True, "dataSocialImpact": False, "dataBiases": True, "dataLimitations": True,
    "dataUseCases": True, "annotationsPerItem": False, "annotatorDemographics": True, "machineAnnotationTools": True,
}  # fmt: skip
"""Every property of the RAI vocabulary, and whether it may have several texts.

Source: mlcommons/croissant, docs/croissant-rai-spec.md, the table of properties. (It gives the maintenance plan several
texts; mlcroissant reads one.)
"""

_PREFIXED = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)

CONTEXT: Mapping[str, Json] = {
    "@language": "en", "@vocab": "https://schema.org/", "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/", "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"}, "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "name": {"@container": "@language"}, "description": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _PREFIXED.split()},
}  # fmt: skip
"""The JSON-LD context that every Croissant 1.1 file has. Source: docs/croissant-spec-1.1.md, Namespaces."""

_DATA_TYPES: dict[pl.DataType, str] = {
    pl.Int64(): "sc:Integer", pl.Float64(): "sc:Float", pl.String(): "sc:Text", pl.Boolean(): "sc:Boolean",
}  # fmt: skip
_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
_CORNERS = ("x1", "y1", "x2", "y2")
_TABLE_OF = {
    "label_map": "label_map", "videos": "videos", "clip_splits": "splits", "clips": "clips", "clip_labels": "kept",
    "key_frames": "key_frames", "tracks": "tracks", "box_labels": "box_labels",
}  # fmt: skip
_ABOUT = {
    "label_map": "The classes.", "videos": "The videos; they are not part of the release.",
    "clip_splits": "Which split a clip is in; a video is in one split only.",
    "clips": "Stretches of videos, half-open, in microseconds on the player's clock, and their splits.",
    "clip_labels": "What clips show: one record a clip and class.", "key_frames": "Annotated instants of clips.",
    "tracks": "Boxes of persons over time.",
    "box_labels": "What boxed persons do: one record a person, instant and class.",
}  # fmt: skip
_ENCODINGS = {
    ".parquet": "application/x-parquet", ".csv": "text/csv", ".json": "application/json", ".md": "text/markdown",
    ".txt": "text/plain", ".pbtxt": "text/plain",
}  # fmt: skip
_VIDEO_ENCODINGS = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mkv": "video/x-matroska", ".webm": "video/webm",
    ".avi": "video/x-msvideo", ".mov": "video/quicktime",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """What a dataset is called and what is known of how it was made.

    `licence`: a web address where there is one. `published`: a day, `2024-05-17`; None = not known. `responsible`:
    texts by the names of `RAI_PROPERTIES`.
    """

    name: str
    version: str
    licence: str
    citation: str
    description: str
    published: str | None = None
    url: str | None = None
    responsible: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def write_croissant(
    path: Path, *, card: DatasetCard, files: Mapping[str, Mapping[str, Any]], video_paths: Iterable[str] = ()
) -> None:
    """The Croissant file of a release's folder, whole or not at all.

    Args:
        path: `croissant.json` in the folder.
        card: name, licence and the RAI texts.
        files: `sha256` and `size_bytes` of each file by its path in the folder, as in a release's manifest. Tables
            among them (`clips.parquet` ...) become record sets.
        video_paths: of the videos, POSIX, relative to the folder.
    Raises:
        BadInput: a file has no hash.
        UnknownName: the card has a text for a property that the RAI vocabulary lacks.
    """
    document: dict[str, Json] = {
        "@context": CONTEXT, "@type": "sc:Dataset", "conformsTo": list(CONFORMS_TO), "name": card.name,
        "description": card.description, "version": card.version, "license": card.licence, "citeAs": card.citation,
        "isLiveDataset": False, "keywords": ["human action recognition", "video", "spatio-temporal localization"],
    }  # fmt: skip
    if card.published is not None:
        document["datePublished"] = card.published
    if card.url is not None:
        document["url"] = card.url
    for name, text in card.responsible.items():
        if name not in RAI_PROPERTIES:
            raise UnknownName(what="property of the RAI vocabulary", name=name, choices=RAI_PROPERTIES)
        document[f"rai:{name}"] = text if isinstance(text, str) else list(text)
    document["distribution"] = [*_file_objects(files, where=path), *_video_files(video_paths)]
    document["recordSet"] = _record_sets({name for name in _TABLE_OF if f"{_TABLE_OF[name]}.parquet" in files})
    write_json(path, document)


def _file_objects(files: Mapping[str, Mapping[str, Any]], *, where: Path) -> list[Json]:
    objects: list[Json] = []
    for name in sorted(files):
        if "sha256" not in files[name]:
            raise BadInput(
                f"file {name!r} has no sha256", where=where, mend="Give the files as the manifest lists them"
            )
        size = {"contentSize": f"{files[name]['size_bytes']} B"} if "size_bytes" in files[name] else {}
        objects.append({
            "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "sha256": files[name]["sha256"],
            "encodingFormat": _ENCODINGS.get(PurePosixPath(name).suffix, "application/octet-stream"), **size,
        })  # fmt: skip
    return objects


def _video_files(video_paths: Iterable[str]) -> list[Json]:
    paths = [PurePosixPath(path) for path in video_paths]
    if not paths:
        return []
    kinds = sorted({_VIDEO_ENCODINGS.get(path.suffix.lower(), "application/octet-stream") for path in paths})
    includes = sorted({f"{glob.escape(path.parent.as_posix())}/*{path.suffix}" for path in paths})
    about = "The videos, which are not part of the release; `videos` says which file is meant by its hash."
    return [{
        "@type": "cr:FileSet", "@id": "video-files", "name": "video-files", "description": about, "includes": includes,
        "encodingFormat": kinds,
    }]  # fmt: skip


def _record_sets(there: set[str]) -> list[Json]:
    sets: list[Json] = [_splits()] if "clip_splits" in there else []
    for name in _TABLE_OF:
        if name not in there:
            continue
        kind = TABLES[_TABLE_OF[name]]
        known = {column.name: column for column in kind.columns}
        fields: list[Json] = []
        for column in kind.columns:
            if column.name not in _CORNERS:
                more = _reference(name, column.name, there)
                fields.append(_field(name, column.name, doc=column.doc, dtype=_DATA_TYPES[column.dtype], more=more))
        if set(_CORNERS) <= known.keys():
            corners = [_field(f"{name}", f"box/{c}", doc=known[c].doc, dtype="sc:Float", column=c) for c in _CORNERS]
            about = "Corners as fractions of the frame: x right, y down, (0, 0) top left."
            fields.append({"@type": "cr:Field", "@id": f"{name}/box", "name": "box", "description": about,
                           "dataType": "cr:BoundingBox", "subField": corners})  # fmt: skip
        fields += _joined(name, there)
        keys = [{"@id": f"{name}/{column}"} for column in kind.key]
        sets.append({"@type": "cr:RecordSet", "@id": name, "name": name, "description": _ABOUT[name],
                     "key": keys[0] if len(keys) == 1 else keys, "field": fields,
                     **({"dataType": "sc:Enumeration"} if name == "label_map" else {})})  # fmt: skip
    return sets


def _field(
    record_set: str,
    name: str,
    *,
    doc: str,
    dtype: Json,
    column: str | None = None,
    more: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    file = f"{_TABLE_OF[record_set]}.parquet"
    source = {"fileObject": {"@id": file}, "extract": {"column": column or name}}
    return {
        "@type": "cr:Field", "@id": f"{record_set}/{name}", "name": name, "description": doc, "dataType": dtype,
        "source": source, **(more or {}),
    }  # fmt: skip


def _reference(record_set: str, column: str, there: set[str]) -> dict[str, Json]:
    """What a column points to: a class, or the clip's split."""
    if column == "class_id" and record_set in ("clip_labels", "box_labels") and "label_map" in there:
        return {"references": {"field": {"@id": "label_map/class_id"}}, "dataType": ["sc:Integer", "cr:Label"]}
    if column == "clip_id" and record_set == "clips" and "clip_splits" in there:
        return {"references": {"field": {"@id": "clip_splits/clip_id"}}}
    return {}


def _joined(record_set: str, there: set[str]) -> list[Json]:
    """Fields that come from another record set."""
    fields: list[Json] = []
    if record_set in ("clip_labels", "box_labels") and "label_map" in there:
        fields.append({
            "@type": "cr:Field", "@id": f"{record_set}/class_name", "name": "class_name",
            "description": "the class's name", "dataType": ["sc:Text", "cr:Label"],
            "source": {"field": {"@id": "label_map/name"}},
        })  # fmt: skip
    if record_set == "clips" and "clip_splits" in there:
        fields.append({
            "@type": "cr:Field", "@id": "clips/split", "name": "split", "description": "train, val or test",
            "dataType": "sc:Text", "source": {"field": {"@id": "clip_splits/split"}},
            "references": {"field": {"@id": "splits/name"}},
        })  # fmt: skip
    return fields


def _splits() -> Json:
    fields = [
        {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
        {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
    ]
    return {
        "@type": "cr:RecordSet", "@id": "splits", "name": "splits", "dataType": "cr:Split", "field": fields,
        "description": "The parts of the dataset.", "key": {"@id": "splits/name"},
        "data": [{"splits/name": name, "splits/url": url} for name, url in _SPLITS.items()],
    }  # fmt: skip


def validate_croissant(path: Path) -> list[str]:
    """What `mlcroissant` has to say against a Croissant file, errors before warnings; empty where it is sound.

    Nothing is fetched: the file itself is checked, and not the files that it names.

    Raises:
        MissingExtra: mlcroissant is not installed.
        BadInput: the file is not there or no JSON object.
    """
    try:
        import mlcroissant
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="croissant", module="mlcroissant") from error
    file = path / "croissant.json" if path.is_dir() else path
    read_croissant(file, has_annotations=False)
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            issues = mlcroissant.Dataset(jsonld=str(file)).metadata.ctx.issues
    except (mlcroissant.ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"error: {line.strip(' -')}" for line in str(error).splitlines() if line.strip()]
    finally:
        logger.setLevel(level)
    return [*(f"error: {text}" for text in sorted(issues.errors)), *(f"warning: {t}" for t in sorted(issues.warnings))]


def read_croissant_annotations(path: Path, *, context: Context = Context()) -> Annotations:
    """The annotations of the gesta release whose card the Croissant file is.

    Raises:
        BadInput: as `read_croissant`; or the card is another program's, or its tables do not stand beside it.
        BadRow: it is no JSON.
    """
    annotations = read_croissant(path).annotations
    if annotations is None:
        raise BadInput(
            "no annotations of a gesta release stand beside this card",
            where=path,
            mend="Name the croissant.json inside a release's folder",
        )
    return annotations
