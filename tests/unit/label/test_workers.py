"""Invites, joining and tokens, on both databases: who gets in, how often, and that no secret is ever stored."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from gesta.label import workers as w
from gesta.label.sql_tables import events, invites, metadata, workers
from gesta.schema import BadInput, GestaError, UnknownName

NOW_US = 1_700_000_000_000_000


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(database_url)
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def db(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.begin() as connection:
        yield connection


def _code(db: sa.Connection, **limits: int) -> str:
    code = w.make_invite(db, actor="boss", now_us=NOW_US, **limits).code  # type: ignore[arg-type]
    assert code is not None
    return code


def test_a_person_joins_and_is_known_by_the_token(db: sa.Connection) -> None:
    code = w.make_invite(db, actor="boss", now_us=NOW_US, role="reviewer").code or ""
    joined, is_new = w.join(db, code=code, worker_id="ann", now_us=NOW_US + 1)
    assert (joined.worker_id, joined.role, is_new) == ("ann", "reviewer", True)
    here = w.worker_of_token(db, w.hash_of_secret(joined.token))
    assert here == w.KnownWorker(joined.seq, "ann", "reviewer", "active")
    assert w.worker_of_token(db, w.hash_of_secret(joined.token + "x")) is None
    assert len(joined.token) >= 43, "256 bits in base64"
    assert len(code) >= 22, "128 bits in base64"


def test_no_secret_is_in_the_database(db: sa.Connection) -> None:
    links = w.first_start(db, now_us=NOW_US)
    assert links is not None
    joined, _ = w.join(db, code=links.invite_code, worker_id="ann", now_us=NOW_US)
    again = w.replace_token(db, worker_id="ann", actor="owner", now_us=NOW_US)
    cells = [str(cell) for table in metadata.sorted_tables for row in db.execute(sa.select(table)) for cell in row]
    assert "ann" in cells
    for secret in (links.owner_token, links.invite_code, joined.token, again.token):
        assert not any(secret in cell for cell in cells)


def test_a_first_start_makes_one_owner_and_one_open_invite(db: sa.Connection) -> None:
    links = w.first_start(db, now_us=NOW_US)
    assert links is not None
    owner = w.worker_of_token(db, w.hash_of_secret(links.owner_token))
    assert owner is not None
    assert (owner.worker_id, owner.role) == ("owner", "owner")
    assert w.join(db, code=links.invite_code, worker_id="ann", now_us=NOW_US)[0].role == "worker"
    assert w.first_start(db, now_us=NOW_US) is None, "the second start makes nothing"
    assert db.execute(sa.select(sa.func.count()).select_from(invites)).scalar() == 1


def test_a_name_is_one_persons(db: sa.Connection) -> None:
    code = _code(db)
    ann, _ = w.join(db, code=code, worker_id="ann", now_us=NOW_US)
    with pytest.raises(w.NameTaken, match=r"^somebody here has that name\. Choose another"):
        w.join(db, code=code, worker_id="ann", now_us=NOW_US)
    bob, _ = w.join(db, code=_code(db), worker_id="bob", now_us=NOW_US)
    with pytest.raises(w.NameTaken):
        w.join(db, code=code, worker_id="ann", now_us=NOW_US, own_token=bob.token)
    again, is_new = w.join(db, code="anything", worker_id="ann", now_us=NOW_US, own_token=ann.token)
    assert (again.token, again.seq, is_new) == (ann.token, ann.seq, False)


def test_a_refused_name_uses_no_invite_once_rolled_back(engine: sa.Engine) -> None:
    with engine.begin() as db:
        code = _code(db, max_uses=1)
        w.mint_worker(db, worker_id="ann", now_us=NOW_US)
    with pytest.raises(w.NameTaken), engine.begin() as db:
        w.join(db, code=code, worker_id="ann", now_us=NOW_US)
    with engine.begin() as db:
        assert w.join(db, code=code, worker_id="bob", now_us=NOW_US)[1]


def test_uses_run_out(db: sa.Connection) -> None:
    code = _code(db, max_uses=1)
    w.join(db, code=code, worker_id="ann", now_us=NOW_US)
    with pytest.raises(w.BadInvite, match=r"^this invite has been used up\. Ask whoever sent it for a new link"):
        w.join(db, code=code, worker_id="bob", now_us=NOW_US)


def test_invites_expire_at_their_instant(db: sa.Connection) -> None:
    code = _code(db, expires_in_s=60)
    w.join(db, code=code, worker_id="ann", now_us=NOW_US + 59_999_999)
    with pytest.raises(w.BadInvite, match="has expired"):
        w.join(db, code=code, worker_id="bob", now_us=NOW_US + 60_000_000)


def test_a_revoked_invite_lets_nobody_in_and_those_inside_stay(db: sa.Connection) -> None:
    invite = w.make_invite(db, actor="boss", now_us=NOW_US)
    joined, _ = w.join(db, code=invite.code or "", worker_id="ann", now_us=NOW_US)
    revoked = w.revoke_invite(db, invite_id=invite.invite_id, actor="boss", now_us=NOW_US)
    assert (revoked.is_revoked, revoked.num_used, revoked.code) == (True, 1, None)
    with pytest.raises(w.BadInvite, match="was withdrawn"):
        w.join(db, code=invite.code or "", worker_id="bob", now_us=NOW_US)
    assert w.worker_of_token(db, w.hash_of_secret(joined.token)) is not None
    with pytest.raises(UnknownName, match=r"^no invite 'x'"):
        w.revoke_invite(db, invite_id="x", actor="boss", now_us=NOW_US)


@pytest.mark.parametrize("code", ["", "nothing", "\x00", "\ud800", "' OR 1=1 --"])
def test_an_unknown_code_is_refused(db: sa.Connection, code: str) -> None:
    _code(db)
    with pytest.raises(w.BadInvite, match="this invite is not known here"):
        w.join(db, code=code, worker_id="ann", now_us=NOW_US)


@pytest.mark.parametrize("worker_id", ["", "a b", "x" * 65, "a\x00", "a\n", "<b>", "ann~1", "gate", "gold", "a/b"])
def test_names_are_checked(db: sa.Connection, worker_id: str) -> None:
    code = _code(db)
    with pytest.raises(BadInput, match=r"is no worker id\. Want 1 to 64 letters"):
        w.join(db, code=code, worker_id=worker_id, now_us=NOW_US)
    with pytest.raises(BadInput, match="is no worker id"):
        w.mint_worker(db, worker_id=worker_id, now_us=NOW_US)


def test_a_replaced_token_is_dead(db: sa.Connection) -> None:
    old = w.mint_worker(db, worker_id="ann", now_us=NOW_US)
    new = w.replace_token(db, worker_id="ann", actor="boss", now_us=NOW_US)
    assert w.worker_of_token(db, w.hash_of_secret(old)) is None
    assert w.worker_of_token(db, w.hash_of_secret(new.token)) is not None
    with pytest.raises(UnknownName, match=r"^no worker 'anne'. Did you mean 'ann'"):
        w.replace_token(db, worker_id="anne", actor="boss", now_us=NOW_US)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"role": "king"}, "no role 'king'"),
        ({"max_uses": 0}, "max_uses=0"),
        ({"expires_in_s": -1}, "expires_in_s=-1"),
        ({"expires_in_s": 10**15}, "Want 1 to"),
        ({"note": "x" * 201}, "a note of 201 characters"),
        ({"note": "\0"}, "a note of 1 characters"),
    ],
)
def test_an_invite_is_checked(db: sa.Connection, call: dict[str, object], text: str) -> None:
    with pytest.raises(GestaError, match=text):
        w.make_invite(db, actor="boss", now_us=NOW_US, **call)  # type: ignore[arg-type]


def test_a_minted_worker_has_a_role_and_an_origin(db: sa.Connection) -> None:
    w.mint_worker(db, worker_id="A1", origin="mturk", now_us=NOW_US, external={"workerId": "A1"})
    row = db.execute(sa.select(workers)).one()
    assert (row.role, row.origin, row.external, row.num_votes) == ("worker", "mturk", '{"workerId": "A1"}', 0)
    with pytest.raises(UnknownName, match="no origin 'moon'"):
        w.mint_worker(db, worker_id="A2", origin="moon", now_us=NOW_US)
    with pytest.raises(w.NameTaken, match="there is a worker named 'A1'"):
        w.mint_worker(db, worker_id="A1", now_us=NOW_US)


def test_everything_is_in_the_diary(db: sa.Connection) -> None:
    invite = w.make_invite(db, actor="boss", now_us=NOW_US)
    w.join(db, code=invite.code or "", worker_id="ann", now_us=NOW_US + 1)
    w.replace_token(db, worker_id="ann", actor="boss", now_us=NOW_US + 2)
    w.revoke_invite(db, invite_id=invite.invite_id, actor="boss", now_us=NOW_US + 3)
    rows = db.execute(sa.select(events).order_by(events.c.event_id)).all()
    assert [(row.actor, row.what, row.subject) for row in rows] == [
        ("boss", "invite-made", invite.invite_id),
        ("ann", "worker-joined", "ann"),
        ("boss", "token-replaced", "ann"),
        ("boss", "invite-revoked", invite.invite_id),
    ]


def test_a_crowd_at_the_door_gets_no_more_uses_than_there_are(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url, pool_size=8)
    metadata.create_all(engine)
    with engine.begin() as db:
        code = _code(db, max_uses=3)
    outcomes: list[str] = []

    def come_in(number: int) -> None:
        try:
            with engine.begin() as db:
                w.join(db, code=code, worker_id=f"w{number}", now_us=NOW_US)
            outcomes.append("in")
        except w.BadInvite:
            outcomes.append("out")

    threads = [threading.Thread(target=come_in, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.begin() as db:
        assert db.execute(sa.select(invites.c.num_used)).scalar() == 3
    assert sorted(outcomes) == ["in"] * 3 + ["out"] * 9
    engine.dispose()
