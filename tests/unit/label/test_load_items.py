"""The items table taken into the label database, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gesta.label.items import build_items
from gesta.label.load_items import load_items, take_in_items
from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, items, tallies, votes, workers
from gesta.label.store import Store, open_store
from gesta.schema import BadInput, Candidate, Clip, Gold, KeyFrameBox, LabelClass, ProposedLabel, Refused
from gesta.tables import read_table

from .conftest import WorkFolder, box_at, write

RULES = Rules()
CORNERS = {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()


def rows(store: Store) -> dict[str, Any]:
    """Every item with its tally, by id."""
    query = sa.select(items, tallies.c.state, tallies.c.max_votes).join(tallies, tallies.c.seq == items.c.seq)
    with store.reading() as db:
        return {row.item_id: row for row in db.execute(query)}


def cast(store: Store, item_id: str, *answers: str) -> None:
    """Write votes of new workers into the log."""
    with store.writing() as db:
        seq = db.execute(sa.select(items.c.seq).where(items.c.item_id == item_id)).scalar_one()
        for answer in answers:
            number = (db.execute(sa.select(sa.func.max(workers.c.seq))).scalar() or 0) + 1
            db.execute(
                sa.insert(workers).values(
                    seq=number, worker_id=f"w{number}", role="worker", state="active", is_held_by_owner=False,
                    origin="local", joined_at_us=0, num_votes=0, num_gold=0, num_gold_right=0,
                )
            )  # fmt: skip
            db.execute(
                sa.insert(votes).values(
                    seq=seq, worker_seq=number, revision=0, answer=answer, spent_ms=1, cast_at_us=number
                )
            )


def test_everything_of_an_item_arrives(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=3, num_persons=1)
    write(work, "gold", [Gold(item_id="clip:c01:2", answer="yes"), Gold(item_id="clip:c02:3", answer="no")])
    loaded = load_items(store, work, rules=RULES, now_us=1)
    assert (loaded.num_new, loaded.num_gone, loaded.changed_seqs) == (6, 0, ())
    found = rows(store)
    assert sorted(row.seq for row in found.values()) == [1, 2, 3, 4, 5, 6]
    table = read_table(work, "items")
    for item in table.iter_rows(named=True):
        row = found[item["item_id"]]
        assert all(getattr(row, name) == value for name, value in item.items())
        assert (row.class_name, row.is_active) == (f"action {row.class_id}", True)
    box = found["box:c00:0001500000:0:1"]
    assert box.gate_seq == found["clip:c00:1"].seq
    assert found["clip:c00:1"].gate_seq is None
    states = {row.item_id: (row.state, row.max_votes) for row in found.values()}
    assert states == {
        "clip:c00:1": (1, 5), "clip:c01:2": (4, 5), "clip:c02:3": (4, 5), "box:c00:0001500000:0:1": (0, 3),
        "box:c01:0001500000:0:2": (1, 3), "box:c02:0001500000:0:3": (4, 3),
    }  # fmt: skip
    with store.reading() as db:
        assert [tuple(row)[:2] for row in db.execute(sa.select(classes).order_by(classes.c.class_id))] == [
            (k, f"action {k}") for k in (1, 2, 3)
        ]


def test_the_order_of_asking_is_chance_and_always_the_same(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=40, num_classes=2)
    load_items(store, work, rules=RULES, now_us=1)
    order = [row.item_id for row in sorted(rows(store).values(), key=lambda row: row.seq)]
    assert order != sorted(order)
    other = open_store(f"sqlite:///{work}/other.sqlite")
    load_items(other, work, rules=RULES, now_us=1)
    assert [row.item_id for row in sorted(rows(other).values(), key=lambda row: row.seq)] == order
    other.close()


def test_odd_texts_arrive_as_they_are(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=1)
    names = ['a,"b"', "back\\slash", "", "\\N", "zwei\nzeilen", "\u00e9\U0001f600"]
    write(work, "label_map", [LabelClass(class_id=k, name=name) for k, name in enumerate(names)])
    clips = [f'-,"{name}' for name in names]
    write(work, "clips", [Clip(clip_id=c, video_id="v", start_us=0, end_us=1) for c in clips])
    write(
        work,
        "candidates",
        [Candidate(clip_id=c, class_id=k, source="t", query="", score=1.0) for k, c in enumerate(clips)],
    )
    build_items(work)
    load_items(store, work, rules=RULES, now_us=1)
    assert {(row.clip_id, row.class_name) for row in rows(store).values()} == set(zip(clips, names, strict=True))


def test_changed_candidates_add_items_withdraw_items_and_keep_votes(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=2)
    load_items(store, work, rules=RULES, now_us=1)
    before = rows(store)
    cast(store, "clip:c00:1", "no")
    write(work, "candidates", [Candidate(clip_id="c00", class_id=k, source="t", query="", score=1.0) for k in (1, 3)])
    build_items(work)
    loaded = load_items(store, work, rules=RULES, now_us=2)
    assert (loaded.num_new, loaded.num_gone) == (1, 1)
    assert loaded.changed_seqs == (before["clip:c01:2"].seq,)
    after = rows(store)
    assert after["clip:c00:3"].seq == 3, "later items come behind those that are there"
    assert {item_id: (row.is_active, row.state) for item_id, row in after.items()} == {
        "clip:c00:1": (True, 1), "clip:c00:3": (True, 1), "clip:c01:2": (False, 4),
    }  # fmt: skip
    write(work, "candidates", [Candidate(clip_id="c01", class_id=2, source="t", query="", score=1.0)])
    build_items(work)
    load_items(store, work, rules=RULES, now_us=3)
    assert {item_id: row.state for item_id, row in rows(store).items()} == {
        "clip:c00:1": 4, "clip:c00:3": 4, "clip:c01:2": 1,
    }  # fmt: skip
    with store.reading() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(votes)).scalar() == 1


def test_gold_that_is_set_closes_an_item_and_gold_that_is_unset_opens_it(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=1)
    load_items(store, work, rules=RULES, now_us=1)
    write(work, "gold", [Gold(item_id="clip:c00:1", answer="no")])
    assert load_items(store, work, rules=RULES, now_us=2).changed_seqs == (1,)
    assert (rows(store)["clip:c00:1"].gold_answer, rows(store)["clip:c00:1"].state) == ("no", 4)
    write(work, "gold", [])
    load_items(store, work, rules=RULES, now_us=3)
    assert (rows(store)["clip:c00:1"].gold_answer, rows(store)["clip:c00:1"].state) == (None, 1)


def test_the_same_tables_are_taken_in_once(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=2)
    load_items(store, work, rules=RULES, now_us=1)
    with store.writing() as db:
        db.execute(sa.update(items).values(class_name="by hand"))
        take_in_items(db, work, rules=RULES)
    assert {row.class_name for row in rows(store).values()} == {"by hand"}
    write(work, "label_map", [LabelClass(class_id=k, name=f"act {k}") for k in (1, 2, 3)])
    with store.writing() as db:
        assert len(take_in_items(db, work, rules=RULES).changed_seqs) == 2
        names = set(db.execute(sa.select(classes.c.name)).scalars())
    assert {row.class_name for row in rows(store).values()} == {"act 1", "act 2"}
    assert names == {"act 1", "act 2", "act 3"}


def test_a_box_that_moved_under_its_votes_is_refused(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=1, num_persons=1)
    load_items(store, work, rules=RULES, now_us=1)
    write(work, "tracks", [box_at("c00", person_id=0, x1=0.3)])
    build_items(work)
    load_items(store, work, rules=RULES, now_us=1)
    assert rows(store)["box:c00:0001500000:0:1"].x1 == 0.3, "nobody has answered yet"
    cast(store, "box:c00:0001500000:0:1", "yes")
    write(work, "tracks", [box_at("c00", person_id=0, x1=0.4)])
    build_items(work)
    with pytest.raises(Refused, match="the box of 'box:c00:0001500000:0:1' has moved since workers voted on it"):
        load_items(store, work, rules=RULES, now_us=1)
    assert rows(store)["box:c00:0001500000:0:1"].x1 == 0.3, "nothing is half done"


def test_a_box_that_more_raters_proposed_is_the_same_question(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=1)
    write(work, "label_map", [LabelClass(class_id=12, name="stand")])
    at = {"clip_id": "c00", "video_id": "vc00", "timestamp_us": 5, "person_id": 0, **CORNERS}
    person = KeyFrameBox(num_workers=2, num_agree=2, origin="drawn", **at)
    write(work, "key_frame_boxes", [person])
    for num_proposed in (1, 2):
        write(work, "proposed_labels", [ProposedLabel(class_id=12, num_proposed=num_proposed, num_raters=3, **at)])
        build_items(work, kinds=["box", "person"])
        build_items(work, kinds=["box"])
        # The same action is asked of the clip as a whole, which does not hold up what raters saw a person do.
        write(work, "candidates", [Candidate(clip_id="c00", class_id=12, source="t", query="", score=1.0)])
        build_items(work, kinds=["clip"])
        load_items(store, work, rules=RULES, now_us=1)
        box = rows(store)["box:c00:0000000005:0:12"]
        assert (box.state, box.gate_seq) == (1, None)
        if num_proposed == 1:
            cast(store, "box:c00:0000000005:0:12", "yes")
    assert '"num_proposed": 2' in box.detail


def test_items_of_unnamed_classes_are_an_error(work_folder: WorkFolder, store: Store) -> None:
    work = work_folder(num_clips=1)
    write(work, "label_map", [])
    with pytest.raises(BadInput, match="'clip:c00:1' asks for class 1, which `label_map` lacks"):
        load_items(store, work, rules=RULES, now_us=1)


def test_what_is_asked_without_a_class_needs_no_name(tmp_path: Path, store: Store) -> None:
    at = {"clip_id": "c00", "video_id": "vc00", "timestamp_us": 5, "person_id": 0, **CORNERS}
    write(tmp_path, "key_frame_boxes", [KeyFrameBox(num_workers=2, num_agree=2, origin="drawn", **at)])
    write(tmp_path, "label_map", [])
    build_items(tmp_path, kinds=["person"])
    load_items(store, tmp_path, rules=RULES, now_us=1)
    person = rows(store)["person:c00:0000000005:0"]
    assert (person.class_id, person.class_name, person.state, person.max_votes) == (None, None, 1, 5)
