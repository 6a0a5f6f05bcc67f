"""Laws of verdicts as views of the vote log: revisions, merged classes, other rules, workers left out."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.consensus import judge, standing_votes
from gesta.schema import ANSWERS, PROTOCOLS, Gold, Item, Protocol, TrustRule, Vote, box_item_id_of, clip_item_id_of
from gesta.tables import frame_of

OLD, NEW = 1, 2
WORKERS = "abcdef"
NO_TRUST = TrustRule(min_gold=10**6)
CORNERS = {"x1": 0.1, "y1": 0.1, "x2": 0.2, "y2": 0.2}


def clip_item(clip_id: str, class_id: int) -> Item:
    return Item(
        item_id=clip_item_id_of(clip_id=clip_id, class_id=class_id), kind="clip", clip_id=clip_id, class_id=class_id
    )


def box_item(clip_id: str, class_id: int) -> Item:
    item_id = box_item_id_of(clip_id=clip_id, timestamp_us=5, person_id=0, class_id=class_id)
    return Item(item_id=item_id, kind="box", clip_id=clip_id, class_id=class_id, timestamp_us=5, person_id=0, **CORNERS)


ITEMS = [make(clip_id, class_id) for make in (clip_item, box_item) for clip_id in "cd" for class_id in (OLD, NEW)]
IDS = [item.item_id for item in ITEMS]
NO_GOLD = frame_of("gold", [])

half_as_many = settings(max_examples=50)
"""Each example judges whole logs, some twice."""

ballots = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(WORKERS), st.sampled_from(ANSWERS)),
    max_size=40,
    unique_by=lambda ballot: ballot[:2],
)


def log_of(cast: list[tuple[str, str, str]]) -> pl.DataFrame:
    """A log in which a second vote of a worker on an item is a revision."""
    rows, times = [], {}
    for number, (item_id, worker, answer) in enumerate(cast, start=1):
        revision = times[item_id, worker] = times.get((item_id, worker), -1) + 1
        rows.append(Vote(vote_id=number, item_id=item_id, worker_id=worker, answer=answer, revision=revision))
    return frame_of("votes", rows)


def verdicts(items: list[Item], cast: list[tuple[str, str, str]], **rules: object) -> dict[str, tuple]:
    judged = judge(frame_of("items", items), log_of(cast), NO_GOLD, trust=NO_TRUST, **rules)  # type: ignore[arg-type]
    columns = ["item_id", "verdict", *(f"num_{answer}" for answer in ANSWERS)]
    return {row[0]: row[1:] for row in judged.verdicts.select(columns).iter_rows()}


@half_as_many
@given(ballots, st.data())
def test_a_revised_log_is_the_log_of_who_said_so_at_once(cast: list[tuple[str, str, str]], data: st.DataObject) -> None:
    changes = (
        data.draw(st.lists(st.tuples(st.sampled_from(cast), st.sampled_from(ANSWERS)), max_size=6)) if cast else []
    )
    revised = cast + [(item_id, worker, answer) for (item_id, worker, _), answer in changes]
    final = {ballot[:2]: ballot[2] for ballot in revised}
    at_once = [(*ballot[:2], final[ballot[:2]]) for ballot in cast]
    assert verdicts(ITEMS, revised) == verdicts(ITEMS, at_once)
    stands = standing_votes(log_of(revised))
    assert stands.equals(standing_votes(stands))
    assert stands["answer"].to_list() == [answer for *_, answer in at_once]


@half_as_many
@given(ballots)
def test_gold_is_judged_by_what_was_said_first(cast: list[tuple[str, str, str]]) -> None:
    gold = frame_of("gold", [Gold(item_id=IDS[0], answer="yes"), Gold(item_id=IDS[-1], answer="no")])
    revised = cast + [(item_id, worker, "unsure") for item_id, worker, _ in cast]
    for_ever = [
        judge(frame_of("items", ITEMS), log_of(log), gold).workers.drop("median_spent_ms") for log in (cast, revised)
    ]
    assert for_ever[0].equals(for_ever[1])


def as_new(item_id: str) -> str:
    return item_id.removesuffix(f":{OLD}") + (f":{NEW}" if item_id.endswith(f":{OLD}") else "")


@half_as_many
@given(ballots, st.booleans(), st.data())
def test_a_merged_log_is_the_log_of_one_class(
    cast: list[tuple[str, str, str]],
    are_gone: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    """Whether the old items are still in the table or not, and whether answers were revised or not."""
    asked = [item for item in ITEMS if item.class_id == NEW or not are_gone]
    changes = (
        data.draw(st.lists(st.tuples(st.sampled_from(cast), st.sampled_from(ANSWERS)), max_size=4)) if cast else []
    )
    revised = cast + [(item_id, worker, answer) for (item_id, worker, _), answer in changes]
    final = {ballot[:2]: ballot[2] for ballot in revised}
    joined: dict[tuple[str, str], str] = {}
    for item_id, worker, _ in cast:
        joined.setdefault((as_new(item_id), worker), final[item_id, worker])
    found = verdicts(asked, revised, merges={OLD: NEW})
    at_once = [(*ballot, answer) for ballot, answer in joined.items()]
    assert found == verdicts([item for item in ITEMS if item.class_id == NEW], at_once)


@half_as_many
@given(ballots)
def test_merging_no_class_changes_nothing(cast: list[tuple[str, str, str]]) -> None:
    assert verdicts(ITEMS, cast, merges={77: 78}) == verdicts(ITEMS, cast)


@half_as_many
@given(ballots)
def test_chains_of_merges_are_followed(cast: list[tuple[str, str, str]]) -> None:
    third = [*ITEMS, *(make(clip_id, 3) for make in (clip_item, box_item) for clip_id in "cd")]
    chained = verdicts(third, cast, merges={OLD: NEW, NEW: 3})
    assert chained == verdicts(third, cast, merges={OLD: 3, NEW: 3})
    assert all(item_id.endswith(":3") for item_id in chained)


@half_as_many
@given(ballots, st.sets(st.sampled_from(WORKERS)))
def test_without_a_worker_it_is_as_if_she_had_not_come(cast: list[tuple[str, str, str]], away: set[str]) -> None:
    assert verdicts(ITEMS, cast, without=away) == verdicts(ITEMS, [row for row in cast if row[1] not in away])


@half_as_many
@given(ballots, st.sets(st.sampled_from(WORKERS)), st.sets(st.sampled_from(WORKERS)))
def test_the_owners_word_goes_before_gold(cast: list[tuple[str, str, str]], away: set[str], back: set[str]) -> None:
    """Nobody passes here; who is let in counts, whoever is not does not."""
    rulings = dict.fromkeys(away, False) | dict.fromkeys(back, True)
    judged = judge(
        frame_of("items", ITEMS), log_of(cast), NO_GOLD, trust=TrustRule(min_gold=0, min_accuracy=2), rulings=rulings
    )
    trusted = {
        worker for worker, is_trusted in judged.workers.select("worker_id", "is_trusted").iter_rows() if is_trusted
    }
    voted = {worker for _, worker, _ in cast}
    assert trusted & back == voted & back
    assert not trusted & (away - back)
    found = verdicts(ITEMS, cast, without=set(WORKERS) - trusted)
    columns = ["item_id", "verdict", *(f"num_{answer}" for answer in ANSWERS)]
    assert {row[0]: row[1:] for row in judged.verdicts.select(columns).iter_rows()} == found


@half_as_many
@given(ballots, st.integers(1, 4), st.integers(1, 4), st.integers(0, 4))
def test_another_rule_is_applied_to_the_same_votes(
    cast: list[tuple[str, str, str]], accept_yes: int, stop_at: int, more: int
) -> None:
    rule = Protocol(max_votes=accept_yes + more, accept_yes=accept_yes, stop_at=stop_at)
    found = verdicts(ITEMS, cast, protocols={**PROTOCOLS, "clip": rule})
    for item in ITEMS[:4]:
        counts: dict[str, int] = {}
        for item_id, _, answer in cast:
            if item_id == item.item_id and rule.verdict(counts) == "open":
                counts[answer] = counts.get(answer, 0) + 1
        assert found[item.item_id] == (rule.verdict(counts), *(counts.get(answer, 0) for answer in ANSWERS))
