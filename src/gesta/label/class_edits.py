"""Classes that become others: split into several, whose clips are sent out again, or merged into one.

The table `class_edits` is the journal: an edit is written there whole, first, and then carried out on `label_map` and
`candidates`. Carrying out all edits once more changes nothing where they stand already, so an interrupted edit is
finished by the next verb that makes items, and edits outlive `mine` writing its tables anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from gesta.schema import BadInput, Candidate, ClassEdit, LabelClass, Refused, UnknownName
from gesta.tables import (
    Provenance,
    StageSummary,
    empty_frame,
    frame_of,
    hashes_of,
    made_by,
    read_table,
    rows_of,
    table_path,
    write_table,
)

Clips = Literal["accepted", "rejected", "all"]
WHICH_CLIPS: tuple[Clips, ...] = ("accepted", "rejected", "all")
"""Which of a class's clips a split sends out again: those that workers accepted, rejected, or all candidates."""

SPLIT = "split"
"""Source of the candidates that a split makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedClass:
    """An edit that was carried out: the class it was done to, those in its place, and what is sent out again."""

    edit_id: int
    what: str
    old_class_id: int
    old_name: str
    new_class_ids: tuple[int, ...]
    new_names: tuple[str, ...]
    num_clips: int

    @property
    def stays(self) -> bool:
        """Whether the old class is still asked for, beside the new ones."""
        return self.old_class_id in self.new_class_ids

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Every class whose items may have changed."""
        return tuple(dict.fromkeys((self.old_class_id, *self.new_class_ids)))

    @property
    def summary(self) -> StageSummary:
        """The verb's closing line and numbers: kept are the clips that are sent out."""
        return StageSummary(
            stage="classes",
            kept=self.num_clips,
            outputs=tuple(f"{name}.parquet" for name in ("class_edits", "label_map", "candidates")),
            numbers={
                "what": self.what, "old_class_id": self.old_class_id, "old_name": self.old_name,
                "new_class_ids": list(self.new_class_ids), "new_names": list(self.new_names),
            },
        )  # fmt: skip


def class_named(label_map: pl.DataFrame, text: str) -> int:
    """The id of the class of that name or id.

    Raises:
        UnknownName: there is no such class.
    """
    ids = dict(label_map.select("name", "class_id").iter_rows())
    if text in ids:
        return int(ids[text])
    if text.isdecimal() and int(text) in set(ids.values()):
        return int(text)
    raise UnknownName(what="class", name=text, choices=list(ids)[:40])


def split_class(
    work: Path,
    *,
    old: int,
    into: Sequence[str],
    clips: Clips = "accepted",
    clip_ids: Iterable[str] | None = None,
) -> EditedClass:
    """What was done: the class is several from now on, and its clips are candidates of each of them.

    A name that a class has already means that class; a new name gets the id after the highest. The old class is asked
    for no more, unless it is among the names itself.

    Args:
        old: the class's id.
        into: the names of the classes in its place.
        clips: which of its clips are sent out again.
        clip_ids: the clips themselves, where the caller knows better than the tables; `clips` is not looked at then.
    Raises:
        UnknownName: there is no such class, or `clips` is none of the three.
        BadInput: a name is empty or there twice, nothing new is named, or there are no such clips.
        Refused: one of the classes became others before.
        MissingTable: the label map, the candidates, or (for accepted and rejected) the clip labels are not there.
    Source: Kinetics-400 paper, section 3.3: 'gardening' became three classes and its candidates were sent out again.
    """
    finish_edits(work)
    label_map = read_table(work, "label_map")
    name_of = dict(label_map.select("class_id", "name").iter_rows())
    if old not in name_of:
        raise UnknownName(what="class", name=str(old), choices=map(str, list(name_of)[:40]))
    names = _checked_names(into, where=work)
    if names == [name_of[old]]:
        raise BadInput(f"class {names[0]!r} would become itself", where=work, mend="Name what it is split into")
    sent = _clips_of(work, old, name=name_of[old], clips=clips) if clip_ids is None else sorted(set(clip_ids))
    ids = {name: class_id for class_id, name in name_of.items()}
    new_ids = _allotted(names, ids, first=1 + max(name_of))
    _refuse_retired(work, [old, *new_ids])
    edit_id = _next_edit_id(work)
    what = "branch" if old in new_ids else "split"
    edits = [
        ClassEdit(
            edit_id=edit_id, what=what, old_class_id=old, old_name=name_of[old], new_class_id=new_id, new_name=name,
            clip_ids=json.dumps(sent),
        )
        for name, new_id in zip(names, new_ids, strict=True)
        if new_id != old
    ]  # fmt: skip
    _write_journal(work, edits)
    finish_edits(work)
    return EditedClass(
        edit_id=edit_id, what=what, old_class_id=old, old_name=name_of[old], new_class_ids=tuple(new_ids),
        new_names=tuple(names), num_clips=len(sent),
    )  # fmt: skip


def merge_classes(work: Path, *, old: int, new: int) -> EditedClass:
    """What was done: clips are asked about the new class instead of the old one.

    Votes stay as they were cast; `consensus` counts those on the old class for the new one.

    Raises:
        UnknownName: there is no such class.
        BadInput: the two are one.
        Refused: one of them became another before.
        MissingTable: the label map or the candidates are not there.
    Source: Kinetics-400 paper, section 3.4 (repeated classes).
    """
    finish_edits(work)
    name_of = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    for class_id in (old, new):
        if class_id not in name_of:
            raise UnknownName(what="class", name=str(class_id), choices=map(str, list(name_of)[:40]))
    _refuse_retired(work, [old, new])
    num_clips = len(read_table(work, "candidates").filter(class_id=old))
    edit = ClassEdit(
        edit_id=_next_edit_id(work), what="merge", old_class_id=old, old_name=name_of[old], new_class_id=new,
        new_name=name_of[new],
    )  # fmt: skip
    _write_journal(work, [edit])
    finish_edits(work)
    return EditedClass(
        edit_id=edit.edit_id, what="merge", old_class_id=old, old_name=edit.old_name, new_class_ids=(new,),
        new_names=(edit.new_name,), num_clips=num_clips,
    )  # fmt: skip


def finish_edits(work: Path) -> bool:
    """Whether anything was left to do: every edit of the journal is carried out on `label_map` and `candidates`.

    `label_map` is written first: a candidate never asks for a class without a name.

    Raises:
        MissingTable: there is a journal, but no label map or no candidates.
        Refused: a new class's id has come to mean another class since.
    """
    journal = _journal(work)
    if not len(journal):
        return False
    edits: list[ClassEdit] = rows_of("class_edits", journal)
    label_map, candidates = read_table(work, "label_map"), read_table(work, "candidates")
    wanted_map = _edited_map(label_map, edits, where=work)
    wanted = _edited_candidates(candidates, edits)
    is_map_done = wanted_map.equals(label_map)
    if not is_map_done:
        write_table(table_path(work, "label_map"), "label_map", wanted_map, made_by=_provenance(work))
    is_done = wanted.equals(candidates)
    if not is_done:
        write_table(table_path(work, "candidates"), "candidates", wanted, made_by=_provenance(work))
    return not (is_map_done and is_done)


def _edited_map(label_map: pl.DataFrame, edits: Sequence[ClassEdit], *, where: Path) -> pl.DataFrame:
    classes = {row.class_id: row for row in rows_of("label_map", label_map)}
    for edit in edits:
        there = classes.get(edit.new_class_id)
        if there is None:
            parent = classes.get(edit.old_class_id)
            category = (parent.category if parent else None) or edit.old_name
            classes[edit.new_class_id] = LabelClass(class_id=edit.new_class_id, name=edit.new_name, category=category)
        elif there.name != edit.new_name:
            raise Refused(
                f"class {edit.new_class_id} is {there.name!r} now, and was {edit.new_name!r} when class "
                f"{edit.old_name!r} was edited",
                where=where,
                mend="The list of actions has grown since: put new actions behind those of `label_map`",
            )
    return frame_of("label_map", [classes[class_id] for class_id in sorted(classes)])


def _edited_candidates(candidates: pl.DataFrame, edits: Sequence[ClassEdit]) -> pl.DataFrame:
    key = ["clip_id", "class_id"]
    frame = candidates
    for edit in edits:
        if edit.what == "merge":
            added = frame.filter(class_id=edit.old_class_id).with_columns(
                pl.lit(edit.new_class_id, dtype=pl.Int64).alias("class_id")
            )
        else:
            sent = [
                Candidate(clip_id=clip_id, class_id=edit.new_class_id, source=SPLIT, query=edit.old_name, score=1.0)
                for clip_id in json.loads(edit.clip_ids or "[]")
            ]
            added = frame_of("candidates", sent)
        frame = pl.concat([frame, added.join(frame, on=key, how="anti")])
        if edit.what != "branch":
            frame = frame.filter(pl.col("class_id") != edit.old_class_id)
    return frame.sort(key)


def _checked_names(into: Sequence[str], *, where: Path) -> list[str]:
    names = [" ".join(name.split()) for name in into]
    if not names or not all(names):
        raise BadInput("a class without a name", where=where, mend="Name each class that it becomes")
    if len(set(names)) != len(names):
        raise BadInput("a class is named twice", where=where, mend="Name each class once")
    return names


def _clips_of(work: Path, class_id: int, *, name: str, clips: str) -> list[str]:
    if clips not in WHICH_CLIPS:
        raise UnknownName(what="choice of clips", name=clips, choices=WHICH_CLIPS)
    if clips == "all":
        rows = read_table(work, "candidates").filter(class_id=class_id)
    else:
        rows = read_table(work, "clip_labels").filter(class_id=class_id, verdict=clips)
    if not len(rows):
        others = ", ".join(other for other in WHICH_CLIPS if other != clips)
        kind = "candidate" if clips == "all" else clips
        raise BadInput(f"class {name!r} has no {kind} clips", where=work, mend=f"Send others: {others}")
    return sorted(rows["clip_id"])


def _allotted(names: Sequence[str], ids: dict[str, int], *, first: int) -> list[int]:
    """The id of each name: its own, or the next free one."""
    allotted = []
    for name in names:
        allotted.append(ids.get(name, first))
        first += name not in ids
    return allotted


def _journal(work: Path) -> pl.DataFrame:
    there = table_path(work, "class_edits").is_file()
    return read_table(work, "class_edits") if there else empty_frame("class_edits")


def _refuse_retired(work: Path, class_ids: Sequence[int]) -> None:
    # To carry out the journal once more would take from the class what an edit gave back to it.
    journal = _journal(work)
    gone = journal.filter(pl.col("what") != "branch", pl.col("old_class_id").is_in(list(class_ids)))
    if len(gone):
        old_name, edit_id = gone.select("old_name", "edit_id").row(0)
        became = ", ".join(repr(name) for name in journal.filter(edit_id=edit_id)["new_name"])
        raise Refused(f"class {old_name!r} became {became}", where=work, mend="Name one that is asked for")


def _next_edit_id(work: Path) -> int:
    return max(_journal(work)["edit_id"], default=0) + 1


def _write_journal(work: Path, edits: Sequence[ClassEdit]) -> None:
    frame = pl.concat([_journal(work), frame_of("class_edits", edits)])
    made = made_by("classes", arguments={"num_edits": len(frame)}, inputs={})
    write_table(table_path(work, "class_edits"), "class_edits", frame, made_by=made)


def _provenance(work: Path) -> Provenance:
    return made_by("classes", arguments={}, inputs=hashes_of(work, ["class_edits"]))
