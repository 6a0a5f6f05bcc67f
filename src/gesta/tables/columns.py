"""The tables: which noun makes their rows, what identifies a row, which verb writes them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from gesta import schema

_DTYPES: dict[type, pl.DataType] = {
    int: pl.Int64(), float: pl.Float64(), str: pl.String(), bool: pl.Boolean(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, Polars type, whether it may be null, and what it holds (unit included)."""

    name: str
    dtype: pl.DataType
    nullable: bool
    doc: str


@dataclass(frozen=True, slots=True)
class TableKind:
    """One kind of table: its rows' noun, its key (unique, and the order rows are stored in), its writer.

    `added` are columns that came after the first tables were written; they are null in files that lack them.
    """

    name: str
    row: type
    key: tuple[str, ...]
    verb: str
    version: int = 1
    added: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns in order, read from the fields of the row's dataclass."""
        return _columns_of(self.row)

    @property
    def polars_schema(self) -> dict[str, pl.DataType]:
        """Column names and Polars types, in order."""
        return {column.name: column.dtype for column in self.columns}


def _columns_of(row: type) -> tuple[Column, ...]:
    hints = typing.get_type_hints(row)
    columns = []
    for field in dataclasses.fields(row):
        kinds = typing.get_args(hints[field.name])
        is_union = isinstance(hints[field.name], types.UnionType)
        plain = next(kind for kind in kinds if kind is not type(None)) if is_union else hints[field.name]
        columns.append(Column(field.name, _DTYPES[plain], is_union, field.metadata["doc"]))
    return tuple(columns)


_LABEL_KEY = ("clip_id", "timestamp_us", "person_id", "class_id")

_KINDS = (
    TableKind("videos", schema.Video, ("video_id",), "import"),
    TableKind("availability", schema.Availability, ("file", "video_id"), "import"),
    TableKind("label_map", schema.LabelClass, ("class_id",), "import"),
    TableKind("queries", schema.Query, ("class_id", "language", "query"), "queries"),
    TableKind("selected_clips", schema.SelectedClip, ("clip_id",), "select-training"),
    TableKind("matches", schema.Match, ("video_id", "class_id"), "catalogue search"),
    TableKind("query_matches", schema.QueryMatch, ("class_id", "language", "query"), "catalogue search"),
    TableKind("clips", schema.Clip, ("clip_id",), "mine"),
    TableKind("candidates", schema.Candidate, ("clip_id", "class_id"), "mine", added=("language", "position_us")),
    TableKind("frame_scores", schema.FrameScore, ("video_id", "timestamp_us", "class_id"), "mine"),
    TableKind("boxes", schema.Proposal, ("clip_id", "timestamp_us", "x1", "y1", "x2", "y2"), "detect"),
    TableKind("tracks", schema.TrackBox, ("clip_id", "person_id", "timestamp_us"), "detect"),
    TableKind("key_frames", schema.ClipKeyFrame, ("clip_id", "timestamp_us"), "detect"),
    TableKind("items", schema.Item, ("item_id",), "label"),
    TableKind("gold", schema.Gold, ("item_id",), "label"),
    TableKind("worker_rulings", schema.WorkerRuling, ("worker_id",), "label"),
    TableKind("clip_scores", schema.ClipScore, ("clip_id", "class_id"), "label"),
    TableKind(
        "class_edits", schema.ClassEdit, ("edit_id", "new_class_id"), "classes", added=("undoes_edit_id", "reason")
    ),
    TableKind("votes", schema.Vote, ("vote_id",), "label"),
    TableKind("clip_labels", schema.ClipLabel, ("clip_id", "class_id"), "consensus"),
    TableKind("box_labels", schema.BoxLabel, _LABEL_KEY, "consensus"),
    TableKind("key_frame_boxes", schema.KeyFrameBox, ("clip_id", "timestamp_us", "person_id"), "consensus"),
    TableKind(
        "proposed_labels", schema.ProposedLabel, ("clip_id", "timestamp_us", "person_id", "class_id"), "consensus"
    ),
    TableKind("suggestions", schema.Suggestion, ("text",), "consensus"),
    TableKind("reviews", schema.ClipReview, ("item_id", "clip_id"), "consensus"),
    TableKind("workers", schema.Worker, ("worker_id",), "consensus"),
    TableKind("frame_features", schema.FrameFeature, ("clip_id", "timestamp_us"), "curate"),
    TableKind("duplicates", schema.Duplicate, ("clip_id_a", "clip_id_b"), "curate"),
    TableKind("near_pairs", schema.NearPair, ("number_a", "number_b"), "curate"),
    TableKind("components", schema.Component, ("component",), "curate"),
    TableKind("kept", schema.Kept, ("clip_id", "class_id"), "curate"),
    TableKind("fold_scores", schema.FoldScore, ("clip_id", "class_id"), "noise folds"),
    TableKind("class_confusions", schema.ClassConfusion, ("class_id", "other_class_id"), "noise confusions"),
    TableKind("label_issues", schema.LabelIssue, ("clip_id", "class_id"), "noise labels"),
    TableKind("class_groups", schema.ClassGroup, ("clip_id", "class_id"), "noise groups"),
    TableKind("group_tests", schema.GroupTest, ("class_id",), "noise groups"),
    TableKind("splits", schema.SplitRow, ("clip_id",), "release"),
    TableKind("past_splits", schema.PastSplit, ("video_id",), "release"),
    TableKind("detections", schema.Detection, (), "evaluate"),
    TableKind("class_scores", schema.ClassScore, ("class_id",), "evaluate"),
    TableKind("rejects", schema.Reject, (), "every stage"),
    TableKind("truth_videos", schema.TruthVideo, ("video_id",), "world"),
    TableKind("truth_actions", schema.TruthAction, ("video_id", "person_id", "action", "start_us"), "world"),
    TableKind("truth_boxes", schema.TruthBox, ("video_id", "person_id", "timestamp_us"), "world"),
)

TABLES: Mapping[str, TableKind] = {kind.name: kind for kind in _KINDS}
"""Every kind of table by name."""


def table_kind(name: str) -> TableKind:
    """The kind of that name.

    Raises:
        UnknownName: there is no such kind; the message lists them.
    """
    if name not in TABLES:
        raise schema.UnknownName(what="kind of table", name=name, choices=TABLES)
    return TABLES[name]
