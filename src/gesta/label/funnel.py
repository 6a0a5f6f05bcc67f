"""How far each class is, and how much is still to come: sums over counts of items, no database.

The unit is the `TallyCount`: so many items of one kind and class are in the same state and have the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gesta.label.agreement import krippendorff_alpha, pair_agreement
from gesta.label.forecast import AnswerModel, Counts, answer_model
from gesta.schema import Protocol

GATED, OPEN, ACCEPTED, REJECTED, CLOSED = range(5)
"""`tallies.state`."""

NO_ANSWERS: Counts = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyCount:
    """So many items of a kind and class in one state with the same answers; gold is not among them."""

    kind: str
    class_id: int | None
    state: int
    counts: Counts
    num_items: int
    num_on_lease: int = 0
    num_leases: int = 0


def funnel_row(counted: Sequence[TallyCount], *, is_yes_no: bool) -> dict[str, Any]:
    """How many items are where, what was answered, and how much the answers agree.

    Items are `gated` (they wait until another item is accepted), `waiting` (nobody was asked), `asked` (on lease,
    no answer yet), `answering` (some answers, not enough), `accepted`, `rejected`, `closed`. Agreement is that of
    yes, no, unsure and broken; where the answer is something done (`is_yes_no` false) it is null.
    """
    fresh = [each for each in counted if each.state == OPEN and each.counts == NO_ANSWERS]
    begun = [each for each in counted if each.state == OPEN and each.counts != NO_ANSWERS]
    decided = [each for each in counted if each.state in (ACCEPTED, REJECTED)]
    num = {state: sum(each.num_items for each in counted if each.state == state) for state in range(5)}
    num_asked = sum(each.num_on_lease for each in fresh)
    answers = answers_of(counted)
    num_answers_decided = sum(answers_of(decided))
    num_decided = num[ACCEPTED] + num[REJECTED]
    answered = [(each.counts, each.num_items) for each in counted]
    return {
        "num_items": sum(num.values()),
        "num_gated": num[GATED],
        "num_waiting": num[OPEN] - sum(each.num_items for each in begun) - num_asked,
        "num_asked": num_asked,
        "num_answering": sum(each.num_items for each in begun),
        "num_accepted": num[ACCEPTED],
        "num_rejected": num[REJECTED],
        "num_closed": num[CLOSED],
        "num_leases": sum(each.num_leases for each in counted),
        "num_answers": sum(answers),
        "answers": dict(zip(("yes", "no", "unsure", "broken"), answers, strict=True)),
        "accepted_frac": num[ACCEPTED] / num_decided if num_decided else None,
        "answers_per_decided": num_answers_decided / num_decided if num_decided else None,
        "agreement": pair_agreement(answered) if is_yes_no else None,
        "alpha": krippendorff_alpha(answered) if is_yes_no else None,
    }


def answers_of(counted: Iterable[TallyCount]) -> list[int]:
    """Standing answers of each of the four slots `[4]`."""
    totals = [0, 0, 0, 0]
    for each in counted:
        for slot, count in enumerate(each.counts):
            totals[slot] += count * each.num_items
    return totals


def by_kind_and_class(counted: Iterable[TallyCount]) -> dict[tuple[str, int | None], list[TallyCount]]:
    """The counts of each kind and class."""
    groups: dict[tuple[str, int | None], list[TallyCount]] = {}
    for each in counted:
        groups.setdefault((each.kind, each.class_id), []).append(each)
    return groups


def answers_needed(
    counted: Iterable[TallyCount], *, protocols: Mapping[str, Protocol], held: frozenset[int] = frozenset()
) -> dict[str, float]:
    """Standing answers that are still expected: `num_needed` where people are asked, `num_held` in held classes.

    An item that waits for its gate counts with the share of decided items of its class that were accepted.

    Source: ours; `AnswerModel`, a class's answers mixed with its kind's.
    """
    groups = by_kind_and_class(counted)
    of_kind: dict[str, list[TallyCount]] = {}
    of_class: dict[int | None, list[TallyCount]] = {}
    for (kind, class_id), some in groups.items():
        of_kind.setdefault(kind, []).extend(some)
        of_class.setdefault(class_id, []).extend(some)
    total_answers = {kind: answers_of(some) for kind, some in of_kind.items()}
    alphas = {
        kind: krippendorff_alpha([(each.counts, each.num_items) for each in some]) for kind, some in of_kind.items()
    }
    found = {"num_needed": 0.0, "num_held": 0.0}
    for (kind, class_id), some in groups.items():
        left = [each for each in some if each.state in (GATED, OPEN)]
        if left:
            model = answer_model(answers_of(some), kind=total_answers[kind], alpha=alphas[kind])
            name = "num_held" if class_id in held else "num_needed"
            gate_frac = _accepted_frac(of_class[class_id])
            found[name] += _expected(left, model, protocols[kind], gate_frac=gate_frac)
    return found


def _expected(left: Iterable[TallyCount], model: AnswerModel, protocol: Protocol, *, gate_frac: float) -> float:
    return sum(
        each.num_items
        * model.expected_left(protocol, each.counts)
        * (gate_frac if each.state == GATED else 1.0)
        for each in left
    )  # fmt: skip


def _accepted_frac(counted: Iterable[TallyCount]) -> float:
    """Share accepted of decided items. Source: Laplace's rule of succession, so that none decided gives one half."""
    some = list(counted)
    num_accepted = sum(each.num_items for each in some if each.state == ACCEPTED)
    num_decided = num_accepted + sum(each.num_items for each in some if each.state == REJECTED)
    return (num_accepted + 1) / (num_decided + 2)
