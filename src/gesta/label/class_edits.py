"""What is done to classes: split, merge, rename, remove, and undo.

An edit is written into the journal whole, first, and then carried out (`gesta.label.class_journal`). Votes are not
touched by any of them: they lie in the log as they were cast, and count for what their class is now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from gesta.label.class_journal import (
    GOING,
    checked_names,
    finish_edits,
    journal_of,
    refuse_baked_in,
    refuse_broken_order,
    refuse_retired,
    write_edits,
)
from gesta.schema import BadInput, ClassEdit, UnknownName, standing_edits
from gesta.tables import StageSummary, read_table

__all__ = [
    "EditedClass", "class_named", "finish_edits", "merge_classes", "remove_class", "rename_class", "split_class",
    "undo_edit",
]  # fmt: skip

Clips = Literal["accepted", "rejected", "all"]
WHICH_CLIPS: tuple[Clips, ...] = ("accepted", "rejected", "all")
"""Which of a class's clips a split sends out again: those that workers accepted, rejected, or all candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedClass:
    """An edit that was carried out: the class it was done to, those in its place, and what is sent out again.

    `gone_class_ids` are the classes that are asked for no more, `back_class_ids` those that are asked for again.
    """

    edit_id: int
    what: str
    old_class_id: int
    old_name: str
    new_class_ids: tuple[int, ...]
    new_names: tuple[str, ...]
    num_clips: int
    gone_class_ids: tuple[int, ...] = ()
    back_class_ids: tuple[int, ...] = ()

    @property
    def stays(self) -> bool:
        """Whether the old class is still asked for, beside the new ones."""
        return self.old_class_id in self.new_class_ids

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Every class whose items may have changed."""
        concerned = (self.old_class_id, *self.new_class_ids, *self.gone_class_ids, *self.back_class_ids)
        return tuple(dict.fromkeys(concerned))

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
    names = checked_names(into, where=work)
    if names == [name_of[old]]:
        raise BadInput(f"class {names[0]!r} would become itself", where=work, mend="Name what it is split into")
    sent = _clips_of(work, old, name=name_of[old], clips=clips) if clip_ids is None else sorted(set(clip_ids))
    ids = {name: class_id for class_id, name in name_of.items()}
    # An id that an undone split gave is not given again: votes on it are votes on that class.
    given = [edit.new_class_id for edit in journal_of(work)]
    new_ids = _allotted(names, ids, first=1 + max(*name_of, *given))
    refuse_retired(work, [old, *new_ids])
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
    write_edits(work, edits)
    return EditedClass(
        edit_id=edit_id, what=what, old_class_id=old, old_name=name_of[old], new_class_ids=tuple(new_ids),
        new_names=tuple(names), num_clips=len(sent), gone_class_ids=() if what == "branch" else (old,),
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
    refuse_retired(work, [old, new])
    num_clips = len(read_table(work, "candidates").filter(class_id=old))
    edit = ClassEdit(
        edit_id=_next_edit_id(work), what="merge", old_class_id=old, old_name=name_of[old], new_class_id=new,
        new_name=name_of[new],
    )  # fmt: skip
    write_edits(work, [edit])
    return EditedClass(
        edit_id=edit.edit_id, what="merge", old_class_id=old, old_name=edit.old_name, new_class_ids=(new,),
        new_names=(edit.new_name,), num_clips=num_clips, gone_class_ids=(old,),
    )  # fmt: skip


def rename_class(work: Path, *, old: int, name: str) -> EditedClass:
    """What was done: the class has another name; its id, its clips and the votes on it are the same.

    Raises:
        UnknownName: there is no such class.
        BadInput: the name is empty, its own, or that of another class.
        Refused: the class became others or was removed.
        MissingTable: the label map or the candidates are not there.
    """
    finish_edits(work)
    name_of = _names(work, [old])
    (new_name,) = checked_names([name], where=work)
    holders = [class_id for class_id, there in name_of.items() if there == new_name]
    if holders:
        problem = f"class {holders[0]} is called {new_name!r} already"
        raise BadInput(problem, where=work, mend="Take another name, or merge the two: gesta classes merge")
    refuse_retired(work, [old])
    edit = ClassEdit(
        edit_id=_next_edit_id(work), what="rename", old_class_id=old, old_name=name_of[old], new_class_id=old,
        new_name=new_name,
    )  # fmt: skip
    write_edits(work, [edit])
    return EditedClass(
        edit_id=edit.edit_id, what="rename", old_class_id=old, old_name=edit.old_name, new_class_ids=(old,),
        new_names=(new_name,), num_clips=0,
    )  # fmt: skip


def remove_class(work: Path, *, old: int, reason: str | None = None) -> EditedClass:
    """What was done: the class is asked for no more. Its id keeps its meaning, and the votes on it stay in the log.

    Raises:
        UnknownName: there is no such class.
        Refused: it became others or was removed before.
        MissingTable: the label map or the candidates are not there.
    Source: Kinetics-400 paper, section 3.4 ("outright removed classes").
    """
    finish_edits(work)
    name_of = _names(work, [old])
    refuse_retired(work, [old])
    num_clips = len(read_table(work, "candidates").filter(class_id=old))
    edit = ClassEdit(
        edit_id=_next_edit_id(work), what="remove", old_class_id=old, old_name=name_of[old], new_class_id=old,
        new_name=name_of[old], reason=reason,
    )  # fmt: skip
    write_edits(work, [edit])
    return EditedClass(
        edit_id=edit.edit_id, what="remove", old_class_id=old, old_name=edit.old_name, new_class_ids=(),
        new_names=(), num_clips=num_clips, gone_class_ids=(old,),
    )  # fmt: skip


def undo_edit(work: Path, *, edit_id: int | None = None) -> EditedClass:
    """What was done: the edit is taken back, as if it had not been made; an undo of an undo makes it again.

    Votes on classes that are asked for again count again; those on classes that are gone stay in the log.

    Args:
        work: the work folder.
        edit_id: as `gesta classes edits` shows it; None = the last one that stands.
    Raises:
        BadInput: there is nothing to undo.
        UnknownName: no such edit stands.
        Refused: a later edit stands on it, or the tables before it were not kept.
        MissingTable: the label map or the candidates are not there.
    """
    finish_edits(work)
    journal = journal_of(work)
    standing = standing_edits(journal)
    if edit_id is None:
        if not standing:
            raise BadInput("no edit of classes stands", where=work, mend="See what was done: gesta classes edits WORK")
        edit_id = max(edit.edit_id for edit in standing)
    # What an undo undoes stands no more, and an undo that was undone undoes nothing: so it is asked for what stands.
    probe = [edit for edit in journal if edit.edit_id == edit_id]
    undone = {edit.undoes_edit_id for edit in _standing_undos(journal)}
    if not probe or edit_id in undone:
        known = [str(edit.edit_id) for edit in (*standing, *_standing_undos(journal))]
        raise UnknownName(what="edit that stands", name=str(edit_id), choices=known)
    refuse_baked_in(work, probe[0])
    first = probe[0]
    undo = ClassEdit(
        edit_id=_next_edit_id(work), what="undo", old_class_id=first.old_class_id, old_name=first.old_name,
        new_class_id=first.old_class_id, new_name=first.old_name, undoes_edit_id=edit_id,
    )  # fmt: skip
    after = standing_edits([*journal, undo])
    refuse_broken_order(work, after, without=edit_id)
    asked_before = _asked_for(work, standing)
    write_edits(work, [undo])
    asked_after = _asked_for(work, after)
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    back = tuple(sorted(asked_after - asked_before))
    return EditedClass(
        edit_id=undo.edit_id, what="undo", old_class_id=first.old_class_id, old_name=first.old_name,
        new_class_ids=(first.old_class_id,), new_names=(names.get(first.old_class_id, first.old_name),),
        num_clips=len(read_table(work, "candidates").filter(pl.col("class_id").is_in(back))),
        gone_class_ids=tuple(sorted(asked_before - asked_after)), back_class_ids=back,
    )  # fmt: skip


def _standing_undos(journal: Sequence[ClassEdit]) -> list[ClassEdit]:
    undone: set[int] = set()
    undos = []
    for edit in sorted(journal, key=lambda each: each.edit_id, reverse=True):
        if edit.undoes_edit_id is not None and edit.edit_id not in undone:
            undone.add(edit.undoes_edit_id)
            undos.append(edit)
    return undos


def _asked_for(work: Path, edits: Sequence[ClassEdit]) -> set[int]:
    """The classes of the label map that no edit took away."""
    gone = {edit.old_class_id for edit in edits if edit.what in GOING}
    return set(read_table(work, "label_map")["class_id"]) - gone


def _names(work: Path, class_ids: Sequence[int]) -> dict[int, str]:
    """Names of all classes by id.

    Raises:
        UnknownName: one of these classes is not there.
    """
    name_of = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    for class_id in class_ids:
        if class_id not in name_of:
            raise UnknownName(what="class", name=str(class_id), choices=map(str, list(name_of)[:40]))
    return name_of


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


def _next_edit_id(work: Path) -> int:
    return max((edit.edit_id for edit in journal_of(work)), default=0) + 1
