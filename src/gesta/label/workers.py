"""Who works here: invites, joining, tokens, and finding the person behind a token.

A person joins with an invite link and a name, and gets a token, which is all they ever show; there are no passwords
and no cookies. Of invites and tokens the database holds the SHA-256 alone: whoever reads it can sign in as nobody.
They are found by that hash, so how long the search takes tells nothing about the secret.

Secrets are drawn from the operating system's generator, not from an `rng` argument: they must not be repeatable.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.sql_tables import events, invites, workers
from gesta.schema import US_PER_S, BadInput, GestaError, Refused, UnknownName

ROLES = ("worker", "reviewer", "owner")
"""Workers answer; reviewers also read the owner's pages; owners also act on them."""

STATES = ("active", "paused", "barred")
"""Barred: no more tasks, and the worker's votes are set aside. Paused: no more tasks, the votes count."""

ORIGINS = ("local", "invite", "mturk", "prolific")

TOKEN_BYTES = 32
CODE_BYTES = 24
"""Random bytes of a token and of an invite's code. Source: ours; OWASP asks for 128 bits of a session's id."""

ID_LENGTH = 16
"""Hex digits of an invite's hash that name it to the owner."""

MAX_NOTE_CHARACTERS = 200
MAX_USES = 1_000_000
MAX_EXPIRY_S = 10 * 366 * 86_400

_WORKER_ID = re.compile(r"[\w@.+-]{1,64}\Z")
_KNOWN_ID = re.compile(r"[\w@.+~-]{1,64}\Z")
"""A tilde stands in the names of re-opened answers."""

_RESERVED = ("gate", "gold")
"""Names that `events` uses for parts of the service."""


class NameTaken(Refused):
    """Somebody else has the name."""


class BadInvite(GestaError):
    """The invite is not known, or no longer good."""


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker as the database has them."""

    seq: int
    worker_id: str
    role: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A person who came in: the token is told once, here."""

    seq: int
    worker_id: str
    role: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """An invite as the owner sees it; `code` only in the moment it is made."""

    invite_id: str
    role: str
    note: str
    max_uses: int | None
    num_used: int
    made_at_us: int
    expires_at_us: int | None
    is_revoked: bool
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLinks:
    """What the operator needs to begin: both are secrets, shown once on the terminal and never logged."""

    owner_id: str
    owner_token: str
    invite_code: str


def check_worker_id(worker_id: str) -> str:
    """The id, once it is found to be one.

    Raises:
        BadInput: it is empty, longer than 64 characters, holds others than letters, digits and _ @ . + -, or is a
            name that the service uses for a part of itself.
    """
    if not _WORKER_ID.match(worker_id) or worker_id in _RESERVED:
        raise BadInput(
            f"{worker_id!r} is no worker id", mend="Want 1 to 64 letters, digits or any of _ @ . + - (no spaces)"
        )
    return worker_id


def hash_of_secret(secret: str) -> str:
    """What the database holds of a token or an invite's code: its SHA-256, 64 hex digits.

    No salt and no slow hash: the secrets are random and too long to be guessed from a hash.

    >>> hash_of_secret("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def worker_of_token(db: sa.Connection, token_sha256: str) -> KnownWorker | None:
    """The worker who holds the token with this hash, or None."""
    query = sa.select(*_HERE).where(workers.c.token_sha256 == token_sha256)
    row = db.execute(query).first()
    return None if row is None else KnownWorker(*row)


def find_worker(db: sa.Connection, worker_id: str) -> KnownWorker:
    """The worker of that name.

    Raises:
        UnknownName: there is none.
    """
    row = None
    if _KNOWN_ID.match(worker_id):
        row = db.execute(sa.select(*_HERE).where(workers.c.worker_id == worker_id)).first()
    if row is None:
        known = db.execute(sa.select(workers.c.worker_id).order_by(workers.c.seq).limit(_NUM_NAMED)).scalars()
        raise UnknownName(what="worker", name=worker_id, choices=list(known))
    return KnownWorker(*row)


_HERE = (workers.c.seq, workers.c.worker_id, workers.c.role, workers.c.state)
_NUM_NAMED = 20


def mint_worker(
    db: sa.Connection,
    *,
    worker_id: str,
    role: str = "worker",
    origin: str = "local",
    now_us: int,
    external: Mapping[str, Any] | None = None,
) -> str:
    """The token of a new worker, who may begin at once.

    Args:
        origin: local, invite, mturk or prolific.
        external: the ids that an outside crowd knows the worker by.
    Raises:
        BadInput: `worker_id` is none.
        UnknownName: no such role or origin.
        NameTaken: there is a worker of that name.
    """
    return _insert_worker(
        db, worker_id=worker_id, role=role, origin=origin, now_us=now_us, external=external, may_be_named=True
    ).token


def _insert_worker(
    db: sa.Connection,
    *,
    worker_id: str,
    role: str,
    origin: str,
    now_us: int,
    external: Mapping[str, Any] | None = None,
    may_be_named: bool,
) -> Joined:
    check_worker_id(worker_id)
    for what, name, choices in (("role", role, ROLES), ("origin", origin, ORIGINS)):
        if name not in choices:
            raise UnknownName(what=what, name=name, choices=choices)
    if db.execute(sa.select(workers.c.seq).where(workers.c.worker_id == worker_id)).first() is not None:
        raise NameTaken(
            f"there is a worker named {worker_id!r}" if may_be_named else "somebody here has that name",
            mend="Choose another name; if it is you, use the browser that you joined with, or ask for a new link",
        )
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = {
        "worker_id": worker_id,
        "role": role,
        "state": "active",
        "state_reason": "",
        "is_held_by_owner": False,
        "token_sha256": hash_of_secret(token),
        "origin": origin,
        "external": None if external is None else json.dumps(dict(external)),
        "prefs": None,
        "joined_at_us": now_us,
        "num_votes": 0,
        "num_gold": 0,
        "num_gold_right": 0,
    }
    seq = db.execute(sa.insert(workers).values(row)).inserted_primary_key
    assert seq is not None
    return Joined(seq=seq[0], worker_id=worker_id, role=role, token=token)


def join(
    db: sa.Connection, *, code: str, worker_id: str, now_us: int, own_token: str | None = None
) -> tuple[Joined, bool]:
    """The person who came in, and whether they are new here.

    Whoever holds the name's token is that worker: they come in again as they are, and no use of the invite is
    counted. Uses are counted and their limit is kept in one statement, so no crowd at the door gets past it.

    Raises:
        BadInput: `worker_id` is none.
        BadInvite: the invite is unknown, revoked, expired or used up.
        NameTaken: somebody else has the name.
    """
    check_worker_id(worker_id)
    if own_token is not None:
        known = worker_of_token(db, hash_of_secret(own_token))
        if known is not None and known.worker_id == worker_id:
            return Joined(seq=known.seq, worker_id=worker_id, role=known.role, token=own_token), False
    role = _use_invite(db, code, now_us=now_us)
    joined = _insert_worker(db, worker_id=worker_id, role=role, origin="invite", now_us=now_us, may_be_named=False)
    write_event(db, at_us=now_us, actor=worker_id, what="worker-joined", subject=worker_id, detail={"role": role})
    return joined, True


def _use_invite(db: sa.Connection, code: str, *, now_us: int) -> str:
    found = invites.c.code_sha256 == hash_of_secret(code)
    used = db.execute(
        sa.update(invites)
        .where(
            found,
            invites.c.is_revoked.is_(False),
            sa.or_(invites.c.expires_at_us.is_(None), invites.c.expires_at_us > now_us),
            sa.or_(invites.c.max_uses.is_(None), invites.c.num_used < invites.c.max_uses),
        )
        .values(num_used=invites.c.num_used + 1)
    )
    row = db.execute(sa.select(invites).where(found)).first()
    if used.rowcount == 1 and row is not None:
        return str(row.role)
    if row is None:
        problem = "this invite is not known here"
    elif row.is_revoked:
        problem = "this invite was withdrawn"
    elif row.expires_at_us is not None and row.expires_at_us <= now_us:
        problem = "this invite has expired"
    else:
        problem = "this invite has been used up"
    raise BadInvite(problem, mend="Ask whoever sent it for a new link")


def make_invite(
    db: sa.Connection,
    *,
    actor: str,
    now_us: int,
    role: str = "worker",
    note: str = "",
    max_uses: int | None = None,
    expires_in_s: int | None = None,
) -> Invite:
    """A new invite, its code in it: the code is told here and never again.

    Raises:
        UnknownName: no such role.
        BadInput: a note over 200 characters, or limits below 1 or absurdly large.
    """
    if role not in ROLES:
        raise UnknownName(what="role", name=role, choices=ROLES)
    if len(note) > MAX_NOTE_CHARACTERS or "\0" in note:
        raise BadInput(f"a note of {len(note)} characters", mend=f"Want {MAX_NOTE_CHARACTERS} at most, of plain text")
    for name, value, most in (("max_uses", max_uses, MAX_USES), ("expires_in_s", expires_in_s, MAX_EXPIRY_S)):
        if value is not None and not 1 <= value <= most:
            raise BadInput(f"{name}={value}", mend=f"Want 1 to {most}, or nothing for no limit")
    code = secrets.token_urlsafe(CODE_BYTES)
    digest = hash_of_secret(code)
    invite = Invite(
        invite_id=digest[:ID_LENGTH],
        role=role,
        note=note,
        max_uses=max_uses,
        num_used=0,
        made_at_us=now_us,
        expires_at_us=None if expires_in_s is None else now_us + expires_in_s * US_PER_S,
        is_revoked=False,
        code=code,
    )
    row = {name: value for name, value in asdict(invite).items() if name not in ("invite_id", "code")}
    db.execute(sa.insert(invites).values(code_sha256=digest, **row))
    detail = {"role": role, "max_uses": max_uses, "expires_at_us": invite.expires_at_us}
    write_event(db, at_us=now_us, actor=actor, what="invite-made", subject=invite.invite_id, detail=detail)
    return invite


def invites_of(db: sa.Connection) -> list[Invite]:
    """Every invite, the newest first, without its code."""
    rows = db.execute(sa.select(invites).order_by(invites.c.made_at_us.desc(), invites.c.code_sha256)).all()
    return [_as_invite(row) for row in rows]


def revoke_invite(db: sa.Connection, *, invite_id: str, actor: str, now_us: int) -> Invite:
    """The invite, which lets nobody in any more; those who came with it stay.

    Raises:
        UnknownName: there is no such invite.
    """
    rows = [row for row in db.execute(sa.select(invites)).all() if row.code_sha256[:ID_LENGTH] == invite_id]
    if not rows:
        known = [row.code_sha256[:ID_LENGTH] for row in db.execute(sa.select(invites).limit(_NUM_NAMED)).all()]
        raise UnknownName(what="invite", name=invite_id, choices=known)
    found = invites.c.code_sha256 == rows[0].code_sha256
    db.execute(sa.update(invites).where(found).values(is_revoked=True))
    write_event(db, at_us=now_us, actor=actor, what="invite-revoked", subject=invite_id, detail={})
    return _as_invite(db.execute(sa.select(invites).where(found)).one())


def _as_invite(row: sa.Row[Any]) -> Invite:
    return Invite(
        invite_id=row.code_sha256[:ID_LENGTH],
        role=row.role,
        note=row.note,
        max_uses=row.max_uses,
        num_used=row.num_used,
        made_at_us=row.made_at_us,
        expires_at_us=row.expires_at_us,
        is_revoked=row.is_revoked,
    )


def first_start(db: sa.Connection, *, now_us: int, owner_id: str = "owner") -> FirstLinks | None:
    """An owner's token and an open invite, in a database that has no owner yet; else None.

    Raises:
        NameTaken: the name is a worker's already.
    """
    if db.execute(sa.select(workers.c.seq).where(workers.c.role == "owner").limit(1)).first() is not None:
        return None
    token = mint_worker(db, worker_id=owner_id, role="owner", now_us=now_us)
    invite = make_invite(db, actor=owner_id, now_us=now_us, note="made at the first start")
    assert invite.code is not None
    return FirstLinks(owner_id=owner_id, owner_token=token, invite_code=invite.code)


def replace_token(db: sa.Connection, *, worker_id: str, actor: str, now_us: int) -> Joined:
    """The worker with a new token; the old one is good for nothing from now on.

    Raises:
        UnknownName: there is no such worker.
    """
    here = find_worker(db, worker_id)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    db.execute(sa.update(workers).where(workers.c.seq == here.seq).values(token_sha256=hash_of_secret(token)))
    write_event(db, at_us=now_us, actor=actor, what="token-replaced", subject=worker_id, detail={})
    return Joined(seq=here.seq, worker_id=worker_id, role=here.role, token=token)


def invite_link(url: str, code: str) -> str:
    """The address to send to people; what stands behind # is never sent to a server, so no log holds it.

    >>> invite_link("http://127.0.0.1:8000", "abc")
    'http://127.0.0.1:8000/join#abc'
    """
    return f"{url.rstrip('/')}/join#{code}"


def sign_in_link(url: str, token: str, *, page: str = "/") -> str:
    """The address that signs in whoever opens it.

    >>> sign_in_link("http://127.0.0.1:8000/", "abc", page="/owner")
    'http://127.0.0.1:8000/owner#token=abc'
    """
    return f"{url.rstrip('/')}{page}#token={token}"


def write_event(
    db: sa.Connection, *, at_us: int, actor: str, what: str, subject: str, detail: Mapping[str, Any]
) -> None:
    """Write a line of the operator's diary; `detail` never holds a secret."""
    row = {"at_us": at_us, "actor": actor, "what": what, "subject": subject, "detail": json.dumps(dict(detail))}
    db.execute(sa.insert(events).values(row))
