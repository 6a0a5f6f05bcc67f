"""The stop rules of Kinetics and AVA-Kinetics, and whose votes count."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from gesta.schema import ANSWERS, BOX_PROTOCOL, CLIP_PROTOCOL, Protocol, TrustRule


def replay(protocol: Protocol, answers: tuple[str, ...]) -> tuple[str, int]:
    """The verdict and the number of answers used when they come in this order and asking stops once decided."""
    counts: Counter[str] = Counter()
    for number, answer in enumerate(answers, start=1):
        counts[answer] += 1
        verdict = protocol.verdict(counts)
        if verdict != "open":
            return verdict, number
    return "open", len(answers)


@pytest.mark.parametrize("protocol", [CLIP_PROTOCOL, BOX_PROTOCOL], ids=["clip", "box"])
def test_every_sequence_is_decided_by_the_maximum(protocol: Protocol) -> None:
    for answers in product(ANSWERS, repeat=protocol.max_votes):
        verdict, num_used = replay(protocol, answers)
        assert verdict != "open"
        assert (verdict == "accepted") == (answers[:num_used].count("yes") >= protocol.accept_yes)


def test_stopping_early_never_changes_a_box_verdict() -> None:
    for answers in product(ANSWERS, repeat=3):
        assert (replay(BOX_PROTOCOL, answers)[0] == "accepted") == (answers.count("yes") >= 2)


def test_kinetics_stops_at_three_equal_answers_and_not_before() -> None:
    assert replay(CLIP_PROTOCOL, ("no", "no", "no", "yes", "yes")) == ("rejected", 3)
    assert replay(CLIP_PROTOCOL, ("yes", "no", "yes", "no", "yes")) == ("accepted", 5)
    assert replay(CLIP_PROTOCOL, ("unsure", "broken", "no", "yes", "yes")) == ("rejected", 5)
    assert replay(CLIP_PROTOCOL, ("yes", "yes", "no", "no")) == ("open", 4)


def test_trust_needs_enough_gold_to_be_lost() -> None:
    rule = TrustRule(min_gold=4, min_accuracy=0.75)
    assert rule.is_trusted(num_gold=3, num_gold_right=0)
    assert rule.is_trusted(num_gold=4, num_gold_right=3)
    assert not rule.is_trusted(num_gold=4, num_gold_right=2)
