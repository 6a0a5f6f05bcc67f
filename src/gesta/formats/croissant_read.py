"""The reading half of `gesta.formats.croissant`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    shaped,
)
from gesta.formats.json_values import list_of, object_of, read_json
from gesta.schema import BadInput
from gesta.tables import read_table, sha256_of_file

FILE_COLUMNS: dict[str, pl.DataType] = {
    "file_id": pl.String(), "kind": pl.String(), "path": pl.String(), "sha256": pl.String(), "encoding": pl.String(),
    "size": pl.String(),
}  # fmt: skip
"""One row a file (`kind` FileObject) or set of files (FileSet, `path` its patterns, one a line)."""

FIELD_COLUMNS: dict[str, pl.DataType] = {
    "record_set": pl.String(), "field": pl.String(), "data_type": pl.String(), "description": pl.String(),
    "source": pl.String(), "column": pl.String(),
}  # fmt: skip
"""One row a field, sub-fields after theirs; `source` is the `@id` of a file, set of files or other field."""

_TABLES = ("label_map", "videos", "splits", "clips", "kept", "key_frames", "box_labels")
_SOURCES = {"label_map", "videos", "clip_splits", "clips", "clip_labels", "key_frames", "box_labels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Croissant:
    """What a Croissant file says.

    `files` has the columns of `FILE_COLUMNS`, `fields` those of `FIELD_COLUMNS`. `splits`: names, in the file's order.
    `responsible`: the texts of its `rai:` properties by name. `annotations`: None where the record sets are not those
    of a gesta release, or its tables do not stand beside the file.
    """

    name: str
    version: str
    licence: str
    description: str
    files: pl.DataFrame
    fields: pl.DataFrame
    splits: tuple[str, ...]
    responsible: dict[str, tuple[str, ...]]
    annotations: Annotations | None


def read_croissant(path: Path, *, has_annotations: bool = True) -> Croissant:
    """Files, fields, splits and texts of a Croissant file, and the annotations of a gesta release's.

    Args:
        path: the JSON-LD file, or a folder with a `croissant.json`.
        has_annotations: read the tables beside the file, too, where it is a gesta release's.
    Raises:
        BadInput: there is no such file, it is no Croissant, or a table beside it is not what the file says.
        BadRow: it is no JSON.
    """
    file = path / "croissant.json" if path.is_dir() else path
    document = object_of(read_json(file), where=str(file))
    conforms = [text for text in _many(document.get("conformsTo")) if isinstance(text, str)]
    if not any("mlcommons.org/croissant" in text for text in conforms):
        raise BadInput(
            "nothing in it says that it conforms to Croissant",
            where=file,
            mend='Want "conformsTo": "http://mlcommons.org/croissant/1.1", or an older one',
        )
    files = _files(document, where=f"{file}: distribution")
    fields, splits = _fields(document, where=f"{file}: recordSet")
    annotations = None
    if has_annotations and set(fields["record_set"]) >= _SOURCES:
        annotations = _annotations(file, files)
    return Croissant(
        name=_text(document.get("name")),
        version=_text(document.get("version")),
        licence="\n".join(_text(part) for part in _many(document.get("license"))),
        description=_text(document.get("description")),
        files=files,
        fields=fields,
        splits=splits,
        responsible={
            key.removeprefix("rai:"): tuple(_text(text) for text in _many(value))
            for key, value in document.items()
            if key.startswith("rai:")
        },
        annotations=annotations,
    )


def _many(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    """The value as one text: of several languages the first; of a node its address."""
    if isinstance(value, dict):
        value = value.get("@id", value.get("@value", next(iter(value.values()), "")))
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _kind(node: dict[str, Any]) -> str:
    return _text(next(iter(_many(node.get("@type"))), "")).split(":")[-1].split("/")[-1]


def _files(document: dict[str, Any], *, where: str) -> pl.DataFrame:
    rows = []
    for number, value in enumerate(_many(document.get("distribution"))):
        node = object_of(value, where=f"{where}[{number}]")
        patterns = "\n".join(_text(text) for text in _many(node.get("includes")))
        rows.append({
            "file_id": _text(node.get("@id") or node.get("name")), "kind": _kind(node),
            "path": _text(node.get("contentUrl")) or patterns, "sha256": _text(node.get("sha256")) or None,
            "encoding": " ".join(_text(text) for text in _many(node.get("encodingFormat"))),
            "size": _text(node.get("contentSize")) or None,
        })  # fmt: skip
    return pl.DataFrame(rows, schema=FILE_COLUMNS, orient="row")


def _fields(document: dict[str, Any], *, where: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    rows: list[dict[str, str]] = []
    splits: list[str] = []
    for number, value in enumerate(_many(document.get("recordSet"))):
        place = f"{where}[{number}]"
        record_set = object_of(value, where=place)
        name = _text(record_set.get("@id") or record_set.get("name"))
        waiting = [object_of(node, where=f"{place}.field") for node in _many(record_set.get("field"))][::-1]
        while waiting:
            node = waiting.pop()
            waiting += [object_of(sub, where=f"{place}.subField") for sub in _many(node.get("subField"))][::-1]
            rows.append(_field_row(name, node))
        if any(_text(kind).endswith("Split") for kind in _many(record_set.get("dataType"))):
            key = _text(next(iter(_many(record_set.get("key"))), None))
            for record in list_of(record_set.get("data") or [], where=f"{place}.data"):
                splits.append(_text(object_of(record, where=f"{place}.data").get(key)))
    return pl.DataFrame(rows, schema=FIELD_COLUMNS, orient="row"), tuple(splits)


def _field_row(record_set: str, node: dict[str, Any]) -> dict[str, str]:
    given = node.get("source")
    source: dict[str, Any] = given if isinstance(given, dict) else {}
    extract = source.get("extract")
    parts = [source.get(name) for name in ("fileObject", "fileSet", "distribution", "field", "@id")]
    return {
        "record_set": record_set,
        "field": _text(node.get("@id") or node.get("name")).removeprefix(f"{record_set}/"),
        "data_type": " ".join(_text(kind) for kind in _many(node.get("dataType"))),
        "description": _text(node.get("description")),
        "source": next((_text(part) for part in parts if part), ""),
        "column": _text(extract.get("column")) if isinstance(extract, dict) else "",
    }


def _annotations(file: Path, files: pl.DataFrame) -> Annotations | None:
    """What the tables beside the file say, None where one is not there."""
    known = dict(files.select("path", "sha256").iter_rows())
    for table in _TABLES:
        path = file.parent / f"{table}.parquet"
        if path.name not in known or not path.is_file():
            return None
        if known[path.name] is not None and sha256_of_file(path) != known[path.name]:
            raise BadInput("the file is not the one that croissant.json means: its hash differs", where=path,
                           mend="Take the release from its source again")  # fmt: skip
    tables = {table: read_table(file.parent, table) for table in _TABLES}
    splits = tables["splits"].select("clip_id", "split")
    clips = tables["kept"].join(tables["clips"].drop("video_id"), on="clip_id", how="left", maintain_order="left")
    clips = clips.join(splits, on="clip_id", how="left", maintain_order="left")
    boxes = tables["box_labels"].select("video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "person_id")
    frames = tables["key_frames"].select("video_id", "timestamp_us").unique(maintain_order=True)
    empty = frames.join(boxes, on=["video_id", "timestamp_us"], how="anti", maintain_order="left")
    if not boxes.height:
        # Without any label the key-frames were never asked about: an empty row would claim that nobody acts there.
        empty = empty.clear()
    rows = pl.concat([shaped(boxes, BOX_COLUMNS), shaped(empty, BOX_COLUMNS)])
    of_video = tables["splits"].select("video_id", "split").unique("video_id", keep="first", maintain_order=True)
    videos = tables["videos"].join(of_video, on="video_id", how="left", maintain_order="left")
    return Annotations(
        videos=shaped(videos, VIDEO_COLUMNS),
        clips=shaped(clips, CLIP_COLUMNS).sort("video_id", "start_us", "class_id"),
        boxes=rows.sort("video_id", "timestamp_us", "person_id", "class_id", nulls_last=True, maintain_order=True),
        label_map=shaped(tables["label_map"], LABEL_MAP_COLUMNS),
    )
