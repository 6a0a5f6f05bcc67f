"""What is asked: items from candidates and persons, gold, and both into the database."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gesta.label import Rules, build_items, import_gold, load_items, next_task, open_store, progress_of
from gesta.label.answers import Answer, cast_votes
from gesta.schema import BadInput, BadRow, Candidate, Clip, Gold, MissingTable, Refused
from gesta.tables import read_rejects, read_table, sha256_of_file, table_path

from .conftest import WorkFolder, box_at, write


def test_every_candidate_is_a_clip_item_and_every_person_a_box_item(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2, num_classes=3, classes_per_clip=2, num_persons=2)
    items = read_table(work, "items")
    assert items.filter(kind="clip")["item_id"].to_list() == ["clip:c00:1", "clip:c00:2", "clip:c01:2", "clip:c01:3"]
    boxes = items.filter(kind="box", clip_id="c00")["item_id"].to_list()
    assert boxes == [f"box:c00:0001500000:{person}:{k}" for person in (0, 1) for k in (1, 2)]
    first = items.filter(item_id=boxes[0]).row(0, named=True)
    assert (first["x1"], first["x2"], first["person_id"], first["timestamp_us"]) == (0.2, 0.5, 0, 1_500_000)


def test_without_detection_there_are_clip_items_only(work_folder: WorkFolder) -> None:
    assert read_table(work_folder(), "items")["kind"].unique().to_list() == ["clip"]


def test_a_second_run_changes_nothing(work_folder: WorkFolder) -> None:
    work = work_folder(num_persons=1)
    before = sha256_of_file(table_path(work, "items"))
    again = build_items(work)
    assert again.was_current
    assert again.numbers == {"num_clip_items": 6, "num_box_items": 6}
    assert sha256_of_file(table_path(work, "items")) == before


def test_candidates_without_clip_or_class_are_rejected(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1)
    rows = [("c00", 1), ("gone", 1), ("c00", 99)]
    write(work, "candidates", [Candidate(clip_id=c, class_id=k, source="t", query="", score=1.0) for c, k in rows])
    summary = build_items(work)
    assert (summary.kept, summary.rejected) == (1, {"no-class": 1, "no-clip": 1})
    assert build_items(work).rejected == summary.rejected
    assert set(read_rejects(work)["reason"]) == {"no-clip", "no-class"}


def test_it_says_which_verb_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match="Run `gesta mine` first"):
        build_items(tmp_path)


def test_gold_becomes_a_table(work_folder: WorkFolder, tmp_path: Path) -> None:
    work = work_folder(num_clips=2)
    file = tmp_path / "gold.csv"
    file.write_text("item_id,answer\nclip:c00:1,yes\nclip:nowhere:1,no\n")
    summary = import_gold(work, gold=file)
    assert (summary.kept, summary.rejected) == (1, {"no-item": 1})
    assert read_table(work, "gold").rows() == [("clip:c00:1", "yes")]


@pytest.mark.parametrize(
    ("line", "message"),
    [("clip:c01:2,perhaps", "gold.csv:3: 'perhaps' is no answer"), ("clip:c00:1,no", "gold.csv:3: .* is there twice")],
)
def test_wrong_gold_names_the_line(work_folder: WorkFolder, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "gold.csv"
    file.write_text(f"item_id,answer\nclip:c00:1,yes\n{line}\n")
    with pytest.raises(BadRow, match=message):
        import_gold(work_folder(), gold=file)


def test_changed_candidates_add_items_withdraw_items_and_keep_votes(work_folder: WorkFolder) -> None:
    work, rules = work_folder(num_clips=2), Rules()
    store = open_store(f"sqlite:///{work}/labels.sqlite")
    load_items(store, work, rules=rules)
    next_task(store, worker_id="ann", now_us=1, rng=random.Random(0), rules=rules)
    cast_votes(store, worker_id="ann", idempotency_key="k" * 8, answers=[Answer(item_id="clip:c00:1", answer="no")],
               now_us=2, rules=rules)  # fmt: skip
    write(work, "candidates", [Candidate(clip_id="c00", class_id=k, source="t", query="", score=1.0) for k in (1, 3)])
    build_items(work)
    load_items(store, work, rules=rules)
    assert progress_of(store)["kinds"]["clip"] == {"num_items": 2, "num_decided": 0, "num_votes": 1}
    task = next_task(store, worker_id="bob", now_us=3, rng=random.Random(0), rules=rules)
    assert sorted(q.item_id for q in task.questions) == ["clip:c00:1", "clip:c00:3"]
    store.close()


def test_a_box_that_moved_under_its_votes_is_refused(work_folder: WorkFolder) -> None:
    work, rules = work_folder(num_clips=1, num_persons=1), Rules()
    write(work, "gold", [Gold(item_id="clip:c00:1", answer="yes")])
    store = open_store(f"sqlite:///{work}/labels.sqlite")
    load_items(store, work, rules=rules)
    task = next_task(store, worker_id="ann", now_us=1, rng=random.Random(0), rules=rules)
    answers = [Answer(item_id=q.item_id, answer="yes") for q in task.questions]
    assert {a.item_id for a in answers} == {"box:c00:0001500000:0:1"}
    cast_votes(store, worker_id="ann", idempotency_key="k" * 8, answers=answers, now_us=2, rules=rules)
    write(work, "tracks", [box_at("c00", person_id=0, x1=0.4)])
    build_items(work)
    with pytest.raises(Refused, match="has moved since workers voted on it"):
        load_items(store, work, rules=rules)
    store.close()


def test_items_of_unnamed_classes_are_an_error(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1)
    write(work, "label_map", [])
    store = open_store(f"sqlite:///{work}/labels.sqlite")
    with pytest.raises(BadInput, match="which `label_map` lacks"):
        load_items(store, work, rules=Rules())
    store.close()


def test_what_is_free_is_found_without_sorting(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1)
    ids = [f"d{number:05d}" for number in range(500)]
    write(work, "clips", [Clip(clip_id=c, video_id="vc00", start_us=0, end_us=1) for c in ids])
    write(work, "candidates", [Candidate(clip_id=c, class_id=1, source="t", query="", score=1.0) for c in ids])
    build_items(work)
    store = open_store(f"sqlite:///{work}/labels.sqlite")
    load_items(store, work, rules=Rules())
    with store.reading() as db:
        plan = db.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT item_id FROM tallies WHERE kind='clip' AND is_free IS 1 "
            "ORDER BY num_standing DESC, place LIMIT 20"
        ).all()
    assert "tallies_supply" in str(plan)
    assert "TEMP B-TREE" not in str(plan), "what is free would be sorted anew for each task"
    store.close()
