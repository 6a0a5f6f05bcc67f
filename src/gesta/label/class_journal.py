"""The journal of what was done to classes, and the tables that follow from it.

`class_edits` is append-only. `label_map` and `candidates` are what they were before any edit (kept in `before-edits/`
of the work folder) with the edits that stand carried out one after another. So an interrupted edit is finished by the
next verb that makes items, edits outlive `mine` writing its tables anew, and an edit can be taken back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from gesta.schema import BadInput, Candidate, ClassEdit, LabelClass, Refused, standing_edits
from gesta.tables import (
    Provenance,
    empty_frame,
    frame_of,
    hashes_of,
    made_by,
    read_sidecar,
    read_table,
    rows_of,
    table_path,
    write_table,
)

SPLIT = "split"
"""Source of the candidates that a split makes."""

STAGE = "classes"
BEFORE = "before-edits"
"""Folder, in the work folder, of the tables as they were before the first edit."""

GOING = ("split", "merge", "remove")
"""Edits after which the old class is asked for no more."""


def journal_of(work: Path) -> list[ClassEdit]:
    """Every edit, undone ones and undos too, in their order."""
    there = table_path(work, "class_edits").is_file()
    frame = read_table(work, "class_edits") if there else empty_frame("class_edits")
    return rows_of("class_edits", frame.sort("edit_id", "new_class_id"))


def write_edits(work: Path, edits: Sequence[ClassEdit]) -> None:
    """Add the edits to the journal, and carry all of them out."""
    frame = frame_of("class_edits", [*journal_of(work), *edits])
    made = made_by(STAGE, arguments={"num_edits": len(frame)}, inputs={})
    write_table(table_path(work, "class_edits"), "class_edits", frame, made_by=made)
    finish_edits(work)


def finish_edits(work: Path) -> bool:
    """Whether anything was left to do: the edits that stand are carried out on `label_map` and `candidates`.

    `label_map` is written first: a candidate never asks for a class without a name.

    Raises:
        MissingTable: there is a journal, but no label map or no candidates.
        Refused: a class's id has come to mean another class since.
    """
    journal = journal_of(work)
    if not journal:
        return False
    edits = standing_edits(journal)
    last = max(edit.edit_id for edit in journal)
    is_changed = False
    for name in _CARRIED_OUT:
        now = read_table(work, name)
        wanted = _wanted(work, name, now, edits, last=last)
        if not wanted.equals(now):
            made = made_by(STAGE, arguments={}, inputs=hashes_of(work, ["class_edits"]))
            write_table(table_path(work, name), name, wanted, made_by=made)
            is_changed = True
    return is_changed


def _wanted(work: Path, name: str, now: pl.DataFrame, edits: Sequence[ClassEdit], *, last: int) -> pl.DataFrame:
    """The table with the edits carried out on what it was before them, which is kept."""
    carry_out = _CARRIED_OUT[name]
    kept, maker = table_path(work / BEFORE, name), _maker(work, name)
    if read_sidecar(kept) is not None:
        wanted = carry_out(read_table(kept, name), edits, work)
        # Without a sidecar the table was being written: by us, if it is what we would write, else by its stage.
        if maker == STAGE or (maker is None and wanted.equals(now)):
            return wanted
    before = Provenance(stage=STAGE, arguments={"edits_in_it": last if maker == STAGE else 0}, inputs={}, tools={})
    if read_sidecar(kept) is None or not read_table(kept, name).equals(now):
        write_table(kept, name, now, made_by=before)
    return carry_out(now, edits, work)


def _maker(work: Path, name: str) -> str | None:
    sidecar = read_sidecar(table_path(work, name))
    return None if sidecar is None else str(sidecar["made_by"]["stage"])


def refuse_baked_in(work: Path, edit: ClassEdit) -> None:
    """Nothing, if the tables before the edit are kept.

    Raises:
        Refused: they are not; the edit was made by a gesta that did not keep them.
    """
    for name in _CARRIED_OUT:
        sidecar = read_sidecar(table_path(work / BEFORE, name)) or {"made_by": {"arguments": {}}}
        if int(sidecar["made_by"]["arguments"].get("edits_in_it", 0)) >= edit.edit_id:
            raise Refused(
                f"`{name}` was not kept as it was before edit {edit.edit_id}",
                where=work,
                mend="Write it anew (gesta mine), and undo the edit then",
            )


def refuse_broken_order(work: Path, edits: Sequence[ClassEdit], *, without: int) -> None:
    """Nothing, if each edit can be done after those before it.

    Args:
        work: the work folder.
        edits: those that would stand.
        without: the edit that would be taken back or come back, for the message.
    Raises:
        Refused: one of them needs a class that is not there then, or is another one.
    """
    label_map = read_table(work / BEFORE, "label_map")
    for number, edit in enumerate(edits):
        names = dict(_edited_map(label_map, edits[:number], work).select("class_id", "name").iter_rows())
        # The rows of one split are one edit: none of them stands in the way of the next.
        before = [other for other in edits[:number] if other.edit_id != edit.edit_id]
        gone = {other.old_class_id for other in before if other.what in GOING}
        needed = {edit.old_class_id} | ({edit.new_class_id} if edit.what == "merge" else set())
        is_taken = edit.what in ("split", "branch") and names.get(edit.new_class_id, edit.new_name) != edit.new_name
        is_gone = bool((needed | {edit.new_class_id}) & gone)
        if not needed <= names.keys() or is_gone or names[edit.old_class_id] != edit.old_name or is_taken:
            raise Refused(
                f"edit {edit.edit_id} ({edit.what} of {edit.old_name!r}) stands on edit {without}",
                where=work,
                mend=f"Undo edit {edit.edit_id} first",
            )


def _edited_map(label_map: pl.DataFrame, edits: Sequence[ClassEdit], where: Path) -> pl.DataFrame:
    classes = {row.class_id: row for row in rows_of("label_map", label_map)}
    for edit in edits:
        there = classes.get(edit.new_class_id)
        if edit.what == "rename":
            if there is None or there.name not in (edit.old_name, edit.new_name):
                raise _meaning_changed(edit, "missing" if there is None else repr(there.name), edit.old_name, where)
            classes[there.class_id] = LabelClass(class_id=there.class_id, name=edit.new_name, category=there.category)
        elif edit.what == "remove":
            continue
        elif there is None:
            parent = classes.get(edit.old_class_id)
            category = (parent.category if parent else None) or edit.old_name
            classes[edit.new_class_id] = LabelClass(class_id=edit.new_class_id, name=edit.new_name, category=category)
        elif there.name != edit.new_name:
            raise _meaning_changed(edit, repr(there.name), edit.new_name, where)
    return frame_of("label_map", [classes[class_id] for class_id in sorted(classes)])


def _meaning_changed(edit: ClassEdit, now: str, was: str, where: Path) -> Refused:
    return Refused(
        f"class {edit.new_class_id} is {now} now, and was {was!r} when class {edit.old_name!r} was edited",
        where=where,
        mend="The list of actions has grown since: put new actions behind those of `label_map`",
    )


def _edited_candidates(candidates: pl.DataFrame, edits: Sequence[ClassEdit], _where: Path) -> pl.DataFrame:
    key = ["clip_id", "class_id"]
    frame = candidates
    for edit in edits:
        if edit.what == "rename":
            continue
        if edit.what == "remove":
            added = empty_frame("candidates")
        elif edit.what == "merge":
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
        if edit.what in GOING:
            frame = frame.filter(pl.col("class_id") != edit.old_class_id)
    return frame.sort(key)


_CARRIED_OUT: dict[str, Callable[[pl.DataFrame, Sequence[ClassEdit], Path], pl.DataFrame]] = {
    "label_map": _edited_map, "candidates": _edited_candidates,
}  # fmt: skip
"""The tables that edits change, in the order in which they are written."""


def refuse_retired(work: Path, class_ids: Sequence[int]) -> None:
    """Nothing, if all of the classes are asked for.

    Raises:
        Refused: one became others or was removed.
    """
    edits = standing_edits(journal_of(work))
    gone = [edit for edit in edits if edit.what in GOING and edit.old_class_id in class_ids]
    if not gone:
        return
    if gone[0].what == "remove":
        problem = f"class {gone[0].old_name!r} was removed"
    else:
        became = ", ".join(repr(edit.new_name) for edit in edits if edit.edit_id == gone[0].edit_id)
        problem = f"class {gone[0].old_name!r} became {became}"
    raise Refused(problem, where=work, mend=f"Name one that is asked for, or undo edit {gone[0].edit_id}")


def checked_names(into: Sequence[str], *, where: Path) -> list[str]:
    """The names with single spaces.

    Raises:
        BadInput: one is empty, or there twice, or there is none.
    """
    names = [" ".join(name.split()) for name in into]
    if not names or not all(names):
        raise BadInput("a class without a name", where=where, mend="Name each class that it becomes")
    if len(set(names)) != len(names):
        raise BadInput("a class is named twice", where=where, mend="Name each class once")
    return names
