"""An edit of classes taken in by a service that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gesta.label.class_edits import EditedClass
from gesta.label.class_gates import set_class_state
from gesta.label.load_items import LoadedItems, take_in_items
from gesta.label.recount import ACCEPTED
from gesta.label.sql_tables import events, items, tallies

if TYPE_CHECKING:
    from gesta.label.book import Book


_EVENTS = {
    "split": "class-split", "branch": "class-split", "merge": "class-merged", "rename": "class-renamed",
    "remove": "class-removed", "undo": "class-edit-undone",
}  # fmt: skip
"""What the diary calls each edit."""


def accepted_clips(db: sa.Connection, class_id: int) -> list[str]:
    """The clips of a class that workers have accepted so far."""
    query = (
        sa.select(items.c.clip_id)
        .join(tallies, tallies.c.seq == items.c.seq)
        .where(items.c.kind == "clip", items.c.class_id == class_id, tallies.c.state == ACCEPTED)
        .order_by(items.c.clip_id)
    )
    return list(db.execute(query).scalars())


def take_in_edit(
    db: sa.Connection, book: Book, work: Path, *, edited: EditedClass, actor: str, now_us: int
) -> LoadedItems:
    """What changed when the database and the book took in an edit of classes whose items are made already.

    To be run alone in a transaction (`Desk.run`), after `split_class` or another edit and `build_items`, which take
    longer and need no transaction. A class that is asked for no more is dropped, one that is asked for again runs
    again, and the diary says why.

    Raises:
        MissingTable: `items` or `label_map` is not there.
        BadInput: an item asks for a class that has no name.
        Refused: what is shown of an item that has votes is another thing now.
    """
    loaded = take_in_items(db, work, rules=book.rules, class_ids=edited.class_ids)
    into = f" into {', '.join(edited.new_names)}" if edited.what in ("split", "merge") else f" {edited.old_name}"
    reason = f"{edited.what}{into}"[:200]
    states = {**dict.fromkeys(edited.gone_class_ids, "drop"), **dict.fromkeys(edited.back_class_ids, "resume")}
    for class_id, action in states.items():
        set_class_state(db, class_id=class_id, action=action, actor=actor, now_us=now_us, reason=reason)
    detail = {"class_id": edited.old_class_id, "into": list(edited.new_names), "num_clips": edited.num_clips}
    what = _EVENTS[edited.what]
    db.execute(
        sa.insert(events).values(
            at_us=now_us, actor=actor, what=what, subject=edited.old_name, detail=json.dumps(detail)
        )
    )
    book.load_new_items(db)
    book.recount(db, loaded.changed_seqs)
    book.reload_classes(db)
    return loaded
