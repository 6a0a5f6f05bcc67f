"""Typed rows to and from Parquet, CSV and JSONL; whole files; sidecars; rejects."""

from gesta.tables.columns import TABLES, Column, TableKind, table_kind
from gesta.tables.files import whole_file, write_json, write_text
from gesta.tables.provenance import Json, Provenance, made_by, sha256_of_file, sha256_of_json
from gesta.tables.store import (
    check_frame,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    read_rejects,
    read_sidecar,
    read_table,
    rejects_path,
    rows_of,
    sidecar_path,
    table_path,
    write_rejects,
    write_table,
)
from gesta.tables.summary import StageSummary, count_reasons

__all__ = [
    "TABLES", "Column", "Json", "Provenance", "StageSummary", "TableKind", "check_frame", "count_reasons",
    "empty_frame", "frame_of", "hashes_of", "is_current", "made_by", "read_rejects", "read_sidecar", "read_table",
    "rejects_path", "rows_of", "sha256_of_file", "sha256_of_json", "sidecar_path", "table_kind", "table_path",
    "whole_file", "write_json", "write_rejects", "write_table", "write_text",
]  # fmt: skip
