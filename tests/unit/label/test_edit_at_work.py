"""A class split and merged under a desk that is at work, on both databases."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from gesta.label.class_edits import EditedClass, merge_classes, remove_class, rename_class, split_class, undo_edit
from gesta.label.edit_at_work import accepted_clips, take_in_edit
from gesta.label.items import build_items
from gesta.label.load_items import load_items
from gesta.label.sql_tables import classes, events, items

from .conftest import WorkFolder
from .desk_trial import PLAIN, Trial, trial


def take_in(desk: Trial, work: Path, edited: EditedClass) -> int:
    """How many items are new, once the desk knows of the edit."""
    build_items(work)
    run = desk.desk.run(lambda db, book: take_in_edit(db, book, work, edited=edited, actor="olga", now_us=desk.now_us))
    num_new = run.result().num_new
    with desk.store.reading() as db:
        desk.ids.update({row.seq: row.item_id for row in db.execute(sa.select(items.c.seq, items.c.item_id))})
    return num_new


def test_a_split_sends_clips_out_while_people_work(work_folder: WorkFolder, database_url: str) -> None:
    work = work_folder(num_clips=6, num_persons=1)
    with trial(work, database_url) as desk:
        for worker in ("ann", "bob", "cat"):
            # The clips of class 1 are c00 and c03.
            asked = desk.ask(worker).ids
            desk.send(worker, {item_id: "yes" for item_id in asked if item_id in ("clip:c00:1", "clip:c02:3")})
        with desk.store.reading() as db:
            clips = accepted_clips(db, 1)
        assert clips == ["c00"]
        edited = split_class(work, old=1, into=["action 2", "weeding"], clip_ids=clips)
        # c00 under both new classes, as a clip and as a boxed person.
        assert take_in(desk, work, edited) == 4
        desk.check()
        assert desk.tally("clip:c03:1")["state"] == 4
        with desk.store.reading() as db:
            named = {row.name: row.state for row in db.execute(sa.select(classes))}
            diary = list(db.execute(sa.select(events.c.what).order_by(events.c.event_id)).scalars())
        assert named == {"action 1": "dropped", "action 2": "active", "action 3": "active", "weeding": "active"}
        assert diary == ["class-dropped", "class-split"]
        told = desk.ask("dan")
        assert {"clip:c00:2", "clip:c00:4"} <= set(told.ids)
        assert not {"clip:c00:1", "clip:c03:1"} & set(told.ids)
        assert "weeding" in told.actions
        desk.work_off("dan", "no")
        desk.check()
        # Whoever loads everything afterwards finds it done.
        assert load_items(desk.store, work, rules=PLAIN, now_us=9).num_new == 0
        desk.check()


def test_a_merge_asks_for_the_other_class(work_folder: WorkFolder, database_url: str) -> None:
    work = work_folder(num_clips=3)
    with trial(work, database_url) as desk:
        desk.ask("ann")
        edited = merge_classes(work, old=1, new=2)
        assert take_in(desk, work, edited) == 1
        desk.check()
        assert set(desk.ask("bob").ids) == {"clip:c00:2", "clip:c01:2", "clip:c02:3"}
        with desk.store.reading() as db:
            state = sa.select(classes.c.state).where(classes.c.class_id == 1)
            assert db.execute(state).scalar() == "dropped"
            assert db.execute(sa.select(events.c.what).where(events.c.what == "class-merged")).scalar()


def test_a_class_removed_and_brought_back_is_asked_for_again_with_its_votes(
    work_folder: WorkFolder, database_url: str
) -> None:
    work = work_folder(num_clips=3)
    with trial(work, database_url) as desk:
        asked = desk.ask("ann").ids
        desk.send("ann", {item_id: "yes" for item_id in asked if item_id == "clip:c00:1"})
        take_in(desk, work, remove_class(work, old=1))
        assert "clip:c00:1" not in desk.ask("bob").ids
        take_in(desk, work, undo_edit(work))
        desk.check()
        assert "clip:c00:1" in desk.ask("cat").ids
        assert desk.tally("clip:c00:1")["num_yes"] == 1
        take_in(desk, work, rename_class(work, old=1, name="tending plants"))
        desk.check()
        assert "tending plants" in desk.ask("dan").actions
        with desk.store.reading() as db:
            named = {row.name: row.state for row in db.execute(sa.select(classes))}
            diary = list(db.execute(sa.select(events.c.what).order_by(events.c.event_id)).scalars())
        assert named["tending plants"] == "active"
        assert diary == ["class-dropped", "class-removed", "class-resumed", "class-edit-undone", "class-renamed"]
