"""Laws of action lists: nothing is lost, order matters only where it must, and doing it twice changes nothing."""

from __future__ import annotations

import contextlib
import itertools
import random
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from gesta.mine.actions import (
    RULES,
    Action,
    ActionList,
    Decision,
    Origin,
    action_list,
    gerund_of,
    joined,
    merged_actions,
    origins_of,
    overlaps_in,
    proposed_decisions,
    read_action_list,
    read_actions,
    read_decisions,
    read_groups,
    read_synonyms,
    readable_name,
    shipped_actions,
    shipped_synonyms,
    synonym_keys,
    to_infinitive,
    to_ing,
    twins_in,
    with_parents,
    write_actions,
    write_decisions,
)
from gesta.mine.actions.keys import key_of
from gesta.mine.actions.lists import COLUMNS
from gesta.schema import GestaError

_WORDS = (
    "riding", "ride", "a", "the", "bike", "bicycle", "motorbike", "motorcycle", "guitar", "playing", "play",
    "playingguitar", "drumming", "drums", "fingers", "dog", "walking", "with", "jump", "rope", "skipping", "sky",
    "diving", "yo-yo", "canoeing", "or", "kayaking", "(not baby)", "(e.g., TV)", "hug",
)  # fmt: skip
NAMES = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4).map(" ".join)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


def lists(names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[ActionList]:
    unique = st.lists(names, max_size=9, unique_by=str.casefold)
    named = st.tuples(st.sampled_from("abc"), unique)
    return named.map(lambda pair: action_list(pair[0], list(enumerate(pair[1], start=1))))


def classes_of(actions: ActionList) -> set[frozenset[tuple[str, str]]]:
    """The classes as what went into them, whatever they are called."""
    return {frozenset((origin.source, origin.name) for origin in row.origins) for row in actions}


@given(st.lists(lists(), max_size=3))
def test_joining_keeps_every_origin_and_the_first_ids(parts: list[ActionList]) -> None:
    both = joined(parts)
    assert set(origins_of(both)) == {origin for part in parts for origin in origins_of(part)}
    first = parts[0] if parts else ActionList()
    assert [(row.class_id, row.name) for row in both][: len(first)] == [(row.class_id, row.name) for row in first]
    assert joined([both, *parts]) == both


@given(lists(), lists())
def test_joining_gives_the_same_classes_in_either_order(one: ActionList, two: ActionList) -> None:
    assert classes_of(joined([one, two])) == classes_of(joined([two, one]))


@given(lists(), st.sampled_from([None, "ing", "infinitive"]))
def test_merging_loses_no_origin_and_leaves_nothing_to_merge(actions: ActionList, form: str | None) -> None:
    decisions = proposed_decisions(actions, form=form)  # type: ignore[arg-type]
    merged = merged_actions(actions, decisions=decisions)
    assert sorted(origins_of(merged), key=str) == sorted(origins_of(actions), key=str)
    assert twins_in(merged) == []
    assert proposed_decisions(actions, earlier=decisions, form=form) == []  # type: ignore[arg-type]
    assert merged_actions(actions, decisions=[*decisions, *(d for d in decisions if d.what == "merge")]) == merged


@given(lists(), st.randoms(use_true_random=False))
def test_which_classes_are_one_does_not_hang_on_their_order(actions: ActionList, rng: random.Random) -> None:
    rows = list(actions.actions)
    rng.shuffle(rows)
    shuffled = ActionList(tuple(rows))
    one, two = (merged_actions(part, decisions=proposed_decisions(part)) for part in (actions, shuffled))
    assert classes_of(one) == classes_of(two)


@given(lists())
def test_what_is_kept_apart_stays_apart(actions: ActionList) -> None:
    apart = [Decision(what="apart", name=d.name, other=d.other) for d in proposed_decisions(actions)]
    more = proposed_decisions(actions, earlier=apart)
    assert not {(d.name, d.other) for d in more} & {(d.name, d.other) for d in apart}
    assert len(merged_actions(actions, decisions=apart)) == len(actions)


@given(lists(), st.data())
def test_no_proposal_brings_together_what_is_kept_apart(actions: ActionList, data: st.DataObject) -> None:
    names = [row.name for row in actions]
    pairs = [(one, two) for i, one in enumerate(names) for two in names[:i]]
    chosen = data.draw(st.lists(st.sampled_from(pairs), max_size=4)) if pairs else []
    apart = [Decision(what="apart", name=one, other=two) for one, two in chosen]
    more = proposed_decisions(actions, earlier=apart, form="ing")
    merged = merged_actions(actions, decisions=[*apart, *more])
    assert all(merged.named(one) is not merged.named(two) for one, two in chosen)


def test_a_class_that_brings_two_together_makes_one_of_three() -> None:
    for names in itertools.permutations(["guitar playing", "playingguitar", "playing guitar"]):
        actions = action_list("a", list(enumerate(names)))
        assert len(merged_actions(actions, decisions=proposed_decisions(actions))) == 1


@given(NAMES, NAMES)
def test_a_stricter_rule_implies_the_looser_ones(one: str, two: str) -> None:
    keys = synonym_keys(shipped_synonyms())
    held = [key_of(one, rule=rule, synonyms=keys) == key_of(two, rule=rule, synonyms=keys) for rule in RULES[2:]]
    assert held == sorted(held)


@given(lists())
def test_no_pair_overlaps_both_ways_or_twice(actions: ActionList) -> None:
    pairs = [(row.wide, row.narrow) for row in overlaps_in(actions)]
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    assert all(wide != narrow for wide, narrow in pairs)


@given(TEXTS | NAMES)
def test_a_readable_name_is_readable(text: str) -> None:
    once = readable_name(text)
    assert readable_name(once) == once
    assert "".join(once.split()).casefold() == "".join(text.replace("_", " ").split()).casefold() or " " in text


@given(NAMES | TEXTS)
def test_a_form_taken_twice_is_the_form(name: str) -> None:
    assert to_ing(to_ing(name)) == to_ing(name)
    assert len(to_ing(name).split()) == len(name.split()) == len(to_infinitive(name).split())


@given(st.from_regex(r"[b-df-hj-np-tv-z]{1,2}[aeiou]{1,2}[b-df-hj-np-tv-z]{1,2}e?", fullmatch=True))
def test_every_gerund_ends_in_ing_and_keeps_the_beginning(verb: str) -> None:
    gerund = gerund_of(verb)
    assert gerund.endswith("ing")
    assert gerund.startswith(verb[:-2])


@given(st.lists(st.tuples(TEXTS, st.integers() | st.none(), st.lists(TEXTS, max_size=2)), max_size=5))
def test_an_action_list_comes_back_from_its_file(rows: list[tuple[str, int | None, list[str]]]) -> None:
    unique = {name.casefold(): (name, i, parents) for name, i, parents in rows if "|" not in "".join(parents)}
    actions = ActionList(
        tuple(
            Action(
                class_id=number,
                name=name,
                parents=tuple(dict.fromkeys(parents)),
                origins=(Origin(source=name, name=name, class_id=class_id, num_clips=number),),
            )
            for number, (name, class_id, parents) in enumerate(unique.values())
        )
    )
    if len(actions):
        with TemporaryDirectory() as folder:
            write_actions(Path(folder) / "a.csv", actions)
            assert read_action_list(Path(folder) / "a.csv") == actions


@given(st.lists(st.tuples(st.sampled_from(["merge", "apart", "rename"]), TEXTS, TEXTS), max_size=5))
def test_decisions_come_back_from_their_file(rows: list[tuple[str, str, str]]) -> None:
    decisions = [Decision(what=what, name=name, other=other) for what, name, other in rows]  # type: ignore[arg-type]
    with TemporaryDirectory() as folder:
        write_decisions(Path(folder) / "d.csv", decisions)
        assert read_decisions(Path(folder) / "d.csv") == decisions


_CELLS = st.sampled_from(
    ["label", "name", "class_id", "video_id", "1", "-7", "x", "run", "Run", '"', ",", " ", "{", "}", "[", "]", ":",
     "\t", '"a"', "label {", "merge", "what,name,other", ",".join(COLUMNS), "\ufeff", "\x00", "é", "kept,other"]
)  # fmt: skip


@given(
    st.lists(st.lists(_CELLS, max_size=6).map("".join), max_size=5), st.sampled_from(["csv", "txt", "json", "pbtxt"])
)
def test_whatever_stands_in_a_file_it_is_read_or_refused_in_words(lines: list[str], ending: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        path.write_text("\n".join(lines), encoding="utf-8")
        for read in (read_actions, read_decisions, read_synonyms, read_groups, read_action_list):
            with contextlib.suppress(GestaError):
                read(path)


@given(st.dictionaries(TEXTS, st.lists(st.sampled_from([row.name for row in shipped_actions("ava-60")]), max_size=4)))
def test_every_child_is_in_its_group(groups: dict[str, list[str]]) -> None:
    done = with_parents(shipped_actions("ava-60"), groups)
    assert done.missing == ()
    for group, children in groups.items():
        assert {row.name for row in done.actions if group in row.parents} == set(children)
