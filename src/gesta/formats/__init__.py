"""The world's annotation files to and from rows; `FORMATS` names them all."""

from gesta.formats.annotations import BOX_COLUMNS, CLIP_COLUMNS, LABEL_MAP_COLUMNS, VIDEO_COLUMNS, Annotations, Context
from gesta.formats.ava import (
    AVA_COLUMNS,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    scan_ava_blocks,
    write_ava_csv,
    write_ava_kinetics_csv,
    write_detections_csv,
    write_excluded_timestamps,
    write_included_timestamps,
)
from gesta.formats.ava_classes import ava_label_map
from gesta.formats.catalogue import FORMATS, Format, format_named, read_annotations, writer_named
from gesta.formats.kinetics import KINETICS_COLUMNS, read_kinetics_csv, write_kinetics_csv
from gesta.formats.label_map import merge_label_maps, read_label_map, write_label_map
from gesta.formats.sniff import annotation_format_of, format_of

__all__ = [
    "AVA_COLUMNS", "BOX_COLUMNS", "CLIP_COLUMNS", "FORMATS", "KINETICS_COLUMNS", "LABEL_MAP_COLUMNS", "VIDEO_COLUMNS",
    "Annotations", "Context", "Format", "annotation_format_of", "ava_label_map", "format_named", "format_of",
    "merge_label_maps", "read_annotations", "read_ava_csv", "read_excluded_timestamps", "read_included_timestamps",
    "read_kinetics_csv", "read_label_map", "scan_ava_blocks", "write_ava_csv", "write_ava_kinetics_csv",
    "write_detections_csv", "write_excluded_timestamps", "write_included_timestamps", "write_kinetics_csv",
    "write_label_map", "writer_named",
]  # fmt: skip
