"""PostgreSQL reads back the arrays that are written for it as the values they were made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.label.writes import pg_array

# A NUL is in no text of PostgreSQL's, and half a surrogate pair in no UTF-8.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AWKWARD = st.sampled_from(["", "NULL", "null", "{}", '"', "\\", 'a\\"b', "a,b", " a ", "{a}", "'", "\n", "%s", "é"])
COLUMNS = st.one_of(
    st.tuples(st.just("text"), st.lists(st.none() | TEXTS | AWKWARD)),
    st.tuples(st.just("bigint"), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1))),
    st.tuples(st.just("boolean"), st.lists(st.none() | st.booleans())),
)


@pytest.fixture(scope="module")
def connection(postgres_server: Any) -> Iterator[psycopg.Connection[Any]]:
    url = postgres_server.make_database()
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        yield connection
    postgres_server.drop_database(url)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=COLUMNS)
def test_the_server_reads_what_was_written(column: tuple[str, list[Any]], connection: psycopg.Connection[Any]) -> None:
    kind, values = column
    row = connection.execute(f"SELECT %s::{kind}[]", (pg_array(values),)).fetchone()
    assert row is not None
    assert row[0] == values
