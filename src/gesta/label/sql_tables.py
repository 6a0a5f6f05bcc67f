"""The tables of the label database, the same on SQLite and PostgreSQL.

`votes` is the truth and is only ever appended to; `events` is the operator's diary, appended to as well. `tallies`,
the counts of `workers` and of `classes` are views of the log, kept in tables so that nothing needs counting; they are
written in the transaction that changed what they show, and can be rebuilt from the log at any time (`recount`).

Rows name one another by `seq`, a number of ours: short, and telling nobody anything about the source.
"""

from __future__ import annotations

import sqlalchemy as sa

_ID = sa.String(400)
_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

items = sa.Table(
    "items",
    metadata,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=False, comment="the random order of asking, from 1"),
    sa.Column("item_id", _ID, nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("clip_id", _ID, nullable=False),
    sa.Column("class_id", sa.BigInteger),
    sa.Column("class_name", _ID),
    sa.Column("timestamp_us", sa.BigInteger),
    sa.Column("person_id", sa.BigInteger),
    *(sa.Column(name, sa.Float) for name in ("x1", "y1", "x2", "y2")),
    sa.Column("detail", sa.Text, comment="JSON: boxes of a frame, clips of a cluster or class"),
    sa.Column("gate_seq", _SEQ, index=True, comment="item that must be accepted before this one is asked"),
    sa.Column("gold_answer", sa.String(8), comment="the known answer, where it is known"),
    sa.Column("gold_detail", sa.Text, comment="JSON: what is known beyond the answer"),
    sa.Column("is_active", sa.Boolean, nullable=False, comment="false once the items table no longer holds it"),
)

tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("seq", _SEQ, sa.ForeignKey("items.seq"), primary_key=True, autoincrement=False),
    sa.Column("num_yes", sa.SmallInteger, nullable=False, comment="yes or done, of workers who are not barred"),
    sa.Column("num_no", sa.SmallInteger, nullable=False),
    sa.Column("num_unsure", sa.SmallInteger, nullable=False),
    sa.Column("num_broken", sa.SmallInteger, nullable=False),
    sa.Column("num_leased", sa.SmallInteger, nullable=False, comment="live tasks that hold it, its answer not yet in"),
    sa.Column("max_votes", sa.SmallInteger, nullable=False, comment="the most that answers and leases may add up to"),
    sa.Column("state", sa.SmallInteger, nullable=False, comment="0 waits for its gate, 1 open, 2 accepted, 3 rejected, "
              "4 closed: gold, withdrawn, or its gate was rejected"),
    sa.CheckConstraint("num_leased >= 0", name="no_negative_lease"),
    sa.CheckConstraint(
        "num_leased = 0 OR num_yes + num_no + num_unsure + num_broken + num_leased <= max_votes", name="never_over"
    ),
)  # fmt: skip

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("seq", _SEQ, primary_key=True),
    sa.Column("worker_id", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(8), nullable=False, comment="worker, reviewer or owner"),
    sa.Column("state", sa.String(8), nullable=False, comment="active, paused or barred"),
    sa.Column("state_reason", sa.String(200), nullable=False, server_default=""),
    sa.Column("is_held_by_owner", sa.Boolean, nullable=False, comment="the owner set the state; gold does not"),
    sa.Column("token_sha256", sa.String(64), unique=True, comment="null: nobody can sign in as this worker"),
    sa.Column("origin", sa.String(16), nullable=False, comment="local, invite, mturk or prolific"),
    sa.Column("external", sa.Text, comment="JSON: the ids that an outside crowd knows the worker by"),
    sa.Column("prefs", sa.Text, comment="JSON: keys, speed, favourites; the page's own affair"),
    sa.Column("joined_at_us", sa.BigInteger, nullable=False),
    sa.Column("num_votes", sa.Integer, nullable=False),
    sa.Column("num_gold", sa.Integer, nullable=False),
    sa.Column("num_gold_right", sa.Integer, nullable=False),
)  # fmt: skip

votes = sa.Table(
    "votes",
    metadata,
    sa.Column("vote_id", _SEQ, primary_key=True),
    sa.Column("seq", _SEQ, nullable=False),
    sa.Column("worker_seq", _SEQ, nullable=False),
    sa.Column("revision", sa.SmallInteger, nullable=False, comment="0 the first answer; a later one replaces it"),
    sa.Column("answer", sa.String(8), nullable=False),
    sa.Column("lasts_whole_clip", sa.Boolean),
    sa.Column("detail", sa.Text, comment="JSON: boxes drawn, classes chosen, text, clips kept or removed"),
    sa.Column("spent_ms", sa.BigInteger, nullable=False),
    sa.Column("cast_at_us", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("seq", "worker_seq", "revision"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("task_id", sa.String(32), primary_key=True),
    sa.Column("worker_seq", _SEQ, sa.ForeignKey("workers.seq"), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("seqs", sa.Text, nullable=False, comment="JSON: the items in the order of asking, gold among them"),
    sa.Column("status", sa.String(8), nullable=False, comment="live, answered, expired or returned"),
    sa.Column("given_at_us", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger, nullable=False),
    sa.Column("ended_at_us", sa.BigInteger),
)
sa.Index(
    "one_live_task_a_worker",
    tasks.c.worker_seq,
    unique=True,
    sqlite_where=tasks.c.status == "live",
    postgresql_where=tasks.c.status == "live",
)

gold_shown = sa.Table(
    "gold_shown",
    metadata,
    sa.Column("worker_seq", _SEQ, primary_key=True, autoincrement=False),
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
)

submissions = sa.Table(
    "submissions",
    metadata,
    sa.Column("worker_seq", _SEQ, primary_key=True, autoincrement=False),
    sa.Column("idempotency_key", sa.String(64), primary_key=True),
    sa.Column("body_sha256", sa.String(64), nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, comment="JSON of the first answer, given again to replays"),
)

classes = sa.Table(
    "classes",
    metadata,
    sa.Column("class_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", _ID, nullable=False),
    sa.Column("state", sa.String(8), nullable=False, comment="active, paused or dropped"),
    sa.Column("state_by", sa.String(8), nullable=False, comment="gate or owner: who set the state"),
    sa.Column("threshold_frac", sa.Float, comment="share of clips that must be accepted; null = the run's"),
    sa.Column("num_decided", sa.Integer, nullable=False, comment="clip items decided by votes"),
    sa.Column("num_accepted", sa.Integer, nullable=False),
)

invites = sa.Table(
    "invites",
    metadata,
    sa.Column("code_sha256", sa.String(64), primary_key=True),
    sa.Column("role", sa.String(8), nullable=False),
    sa.Column("note", sa.String(200), nullable=False),
    sa.Column("max_uses", sa.Integer, comment="null = any number"),
    sa.Column("num_used", sa.Integer, nullable=False),
    sa.Column("made_at_us", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger, comment="null = never"),
    sa.Column("is_revoked", sa.Boolean, nullable=False),
)

assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("assignment_id", sa.String(128), primary_key=True, comment="MTurk assignmentId or Prolific session id"),
    sa.Column("source", sa.String(16), nullable=False, comment="mturk or prolific"),
    sa.Column("worker_seq", _SEQ, sa.ForeignKey("workers.seq"), nullable=False, index=True),
    sa.Column("detail", sa.Text, nullable=False, comment="JSON: hitId, turkSubmitTo, study id"),
    sa.Column("opened_at_us", sa.BigInteger, nullable=False),
    sa.Column("num_answers", sa.Integer, nullable=False),
    sa.Column("finished_at_us", sa.BigInteger),
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False, comment="JSON"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("event_id", _SEQ, primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False, comment="worker id of who did it, or gate or gold"),
    sa.Column("what", sa.String(32), nullable=False, comment="worker-barred, class-paused, answers-reopened …"),
    sa.Column("subject", _ID, nullable=False),
    sa.Column("detail", sa.Text, nullable=False, comment="JSON"),
)

for _table in (votes, events):
    for _verb in ("UPDATE", "DELETE"):
        sa.event.listen(
            _table,
            "after_create",
            sa.DDL(
                f"CREATE TRIGGER {_table.name}_no_{_verb.lower()} BEFORE {_verb} ON {_table.name} "
                f"BEGIN SELECT RAISE(ABORT, 'the table {_table.name} is append-only'); END"
            ).execute_if(dialect="sqlite"),
        )
    sa.event.listen(
        _table,
        "after_create",
        sa.DDL(
            f"CREATE OR REPLACE FUNCTION {_table.name}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'the table {_table.name} is append-only'; END $$; "
            f"CREATE TRIGGER {_table.name}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {_table.name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {_table.name}_is_append_only()"
        ).execute_if(dialect="postgresql"),
    )

# The log names items and workers by number. A foreign key would be looked up for each of its rows; that what it names
# stays costs nothing.
for _table in (items, workers):
    sa.event.listen(
        _table,
        "after_create",
        sa.DDL(
            f"CREATE TRIGGER {_table.name}_no_delete BEFORE DELETE ON {_table.name} "
            f"BEGIN SELECT RAISE(ABORT, 'rows of the table {_table.name} stay: the log names them'); END"
        ).execute_if(dialect="sqlite"),
    )
    sa.event.listen(
        _table,
        "after_create",
        sa.DDL(
            f"CREATE OR REPLACE FUNCTION {_table.name}_stay() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'rows of the table {_table.name} stay: the log names them'; END $$; "
            f"CREATE TRIGGER {_table.name}_no_delete BEFORE DELETE OR TRUNCATE ON {_table.name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {_table.name}_stay()"
        ).execute_if(dialect="postgresql"),
    )
