"""The vote log: appended to once, whatever is repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gesta.label import Rules, load_items, next_task, open_store
from gesta.label.answers import Answer, KeyReused, cast_votes
from gesta.label.store import Store, votes
from gesta.schema import BadInput

from .conftest import WorkFolder

RULES = Rules()


@pytest.fixture
def store(work_folder: WorkFolder) -> Iterator[Store]:
    work = work_folder()
    opened = open_store(f"sqlite:///{work}/labels.sqlite")
    load_items(opened, work, rules=RULES)
    next_task(opened, worker_id="ann", now_us=1, rng=random.Random(0), rules=RULES)
    yield opened
    opened.close()


def _send(store: Store, *answers: Answer, key: str = "key-00000001", worker_id: str = "ann") -> list[str]:
    outcome = cast_votes(
        store, worker_id=worker_id, idempotency_key=key, answers=answers, now_us=2, rules=RULES
    )  # fmt: skip
    return [result["status"] for result in outcome["results"]]


def _num_votes(store: Store) -> int:
    with store.reading() as db:
        return db.execute(sa.select(sa.func.count()).select_from(votes)).scalar_one()


def test_a_repeated_send_gets_the_first_result_and_adds_nothing(store: Store) -> None:
    answers = (
        Answer(item_id="clip:c00:1", answer="yes", lasts_whole_clip=True),
        Answer(item_id="clip:c01:2", answer="no"),
    )
    assert _send(store, *answers) == ["accepted", "accepted"]
    assert _send(store, *answers) == ["accepted", "accepted"]
    assert _num_votes(store) == 2


def test_a_key_is_not_used_for_other_answers(store: Store) -> None:
    _send(store, Answer(item_id="clip:c00:1", answer="yes"))
    with pytest.raises(KeyReused, match="used before with other answers"):
        _send(store, Answer(item_id="clip:c00:1", answer="no"))
    assert _num_votes(store) == 1


def test_the_first_answer_to_an_item_stands(store: Store) -> None:
    _send(store, Answer(item_id="clip:c00:1", answer="yes"))
    assert _send(store, Answer(item_id="clip:c00:1", answer="no"), key="key-00000002") == ["already"]
    two = Answer(item_id="clip:c01:2", answer="no"), Answer(item_id="clip:c01:2", answer="yes")
    assert _send(store, *two, key="key-00000003") == ["accepted", "already"]
    with store.reading() as db:
        assert sorted(db.execute(sa.select(votes.c.item_id, votes.c.answer)).all()) == [
            ("clip:c00:1", "yes"), ("clip:c01:2", "no"),
        ]  # fmt: skip


def test_nobody_answers_what_they_were_not_asked(store: Store) -> None:
    assert _send(store, Answer(item_id="clip:c00:1", answer="yes"), worker_id="bob") == ["not-asked"]
    assert _send(store, Answer(item_id="clip:nowhere:1", answer="yes")) == ["not-asked"]
    assert _num_votes(store) == 0


@pytest.mark.parametrize("statement", ["UPDATE votes SET answer = 'no'", "DELETE FROM votes"])
def test_the_log_cannot_be_changed(store: Store, statement: str) -> None:
    _send(store, Answer(item_id="clip:c00:1", answer="yes"))
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), store.writing() as db:
        db.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"answer": "maybe"}, "'maybe' is no answer. Want yes, no, unsure, broken"),
        ({"answer": "no", "lasts_whole_clip": True}, "asked only after yes"),
        ({"answer": "no", "spent_ms": -1}, "is no time spent"),
    ],
)
def test_answers_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Answer(item_id="clip:c00:1", **values)  # type: ignore[arg-type]


def test_keys_are_checked(store: Store) -> None:
    with pytest.raises(BadInput, match="is no idempotency key"):
        _send(store, Answer(item_id="clip:c00:1", answer="yes"), key="short")


def test_an_answer_that_was_acknowledged_is_on_the_disk(store: Store) -> None:
    with store.reading() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2, "FULL: a commit waits for the disk"


def test_a_database_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    for url in ("no url", f"sqlite:///{tmp_path}/absent/labels.sqlite", "mysql+nodriver://x/y"):
        with pytest.raises(BadInput, match="the label database cannot be opened"):
            open_store(url)
    broken = tmp_path / "labels.sqlite"
    broken.write_bytes(b"this is no database at all, but a text of some length" * 50)
    with pytest.raises(BadInput, match="not a database"):
        open_store(f"sqlite:///{broken}")
