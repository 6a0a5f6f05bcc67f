"""How many answers an item may still get."""

from __future__ import annotations

import itertools

import pytest

from gesta.schema import ANSWERS, PROTOCOLS, Protocol, fewest_votes_left


def _answers(protocol: Protocol) -> tuple[str, ...]:
    return (protocol.positive, *(answer for answer in ANSWERS if answer != "yes"))


def _states(protocol: Protocol):
    return (
        dict(zip(_answers(protocol), counts, strict=True))
        for counts in itertools.product(range(protocol.max_votes + 1), repeat=len(ANSWERS))
        if sum(counts) <= protocol.max_votes
    )


def _shortest_way_to_a_verdict(protocol: Protocol, counts: dict[str, int]) -> int:
    if protocol.verdict(counts) != "open":
        return 0
    return 1 + min(_shortest_way_to_a_verdict(protocol, {**counts, a: counts[a] + 1}) for a in _answers(protocol))


@pytest.mark.parametrize("kind", sorted(PROTOCOLS))
def test_it_is_the_shortest_way_to_a_verdict_from_every_state(kind: str) -> None:
    protocol = PROTOCOLS[kind]
    states = list(_states(protocol))
    assert len(states) > 20
    for counts in states:
        assert fewest_votes_left(protocol, counts) == _shortest_way_to_a_verdict(protocol, counts), counts


@pytest.mark.parametrize("kind", sorted(PROTOCOLS))
def test_leasing_that_many_never_pays_for_an_answer_after_the_verdict(kind: str) -> None:
    # Every history in which leases are given out as allowed and answered in any order, with any answers.
    protocol = PROTOCOLS[kind]
    seen = set()
    todo = [((0, 0, 0, 0), 0)]
    while todo:
        counts, num_leased = todo.pop()
        if (counts, num_leased) in seen:
            continue
        seen.add((counts, num_leased))
        named = dict(zip(_answers(protocol), counts, strict=True))
        assert sum(counts) + num_leased <= protocol.max_votes
        if num_leased < fewest_votes_left(protocol, named):
            todo.append((counts, num_leased + 1))
        if num_leased:
            assert protocol.verdict(named) == "open", "a lease is out for an item that is decided"
            for i in range(len(ANSWERS)):
                todo.append(((*counts[:i], counts[i] + 1, *counts[i + 1 :]), num_leased - 1))
    assert len(seen) > 20
