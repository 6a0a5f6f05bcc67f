"""Decisions: proposed, written down, replayed, turned round; groups; the check; and labels that go together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gesta.formats import Annotations
from gesta.mine.actions import (
    Decision,
    action_list,
    check_actions,
    company_of,
    joined,
    merged_actions,
    origins_of,
    printed_groups,
    proposed_decisions,
    read_decisions,
    read_groups,
    shipped_actions,
    units_of,
    with_parents,
    write_actions,
    write_decisions,
    write_findings,
)
from gesta.mine.actions.together import with_ids_of
from gesta.schema import BadInput, UnknownName

BOTH = joined(
    [
        action_list("a", [(4, "riding motorcycle"), (9, "playing guitar")]),
        action_list("b", [(1, "ride motorbike"), (2, "guitar playing"), (3, "sit")]),
    ]
)


def merge(name: str, other: str) -> Decision:
    return Decision(what="merge", name=name, other=other)


def test_classes_become_one_with_all_their_origins_and_the_first_id() -> None:
    decisions = proposed_decisions(BOTH)
    assert [(row.what, row.name, row.other, row.rule) for row in decisions] == [
        ("merge", "riding motorcycle", "ride motorbike", "synonym"),
        ("merge", "playing guitar", "guitar playing", "order"),
    ]
    merged = merged_actions(BOTH, decisions=decisions)
    assert [(row.class_id, row.name) for row in merged] == [
        (4, "riding motorcycle"),
        (9, "playing guitar"),
        (12, "sit"),
    ]
    assert [origin.name for origin in merged.actions[0].origins] == ["riding motorcycle", "ride motorbike"]
    assert sorted(origins_of(merged), key=str) == sorted(origins_of(BOTH), key=str)


def test_names_are_brought_to_one_form_unless_a_person_named_them() -> None:
    decisions = proposed_decisions(BOTH, form="ing")
    assert [(row.name, row.other, row.rule) for row in decisions if row.what == "rename"] == [
        ("sit", "sitting", "form")
    ]
    by_hand = Decision(what="rename", name="sit", other="sit down")
    again = proposed_decisions(BOTH, earlier=[by_hand], form="ing")
    assert [row for row in again if row.what == "rename"] == []
    assert merged_actions(BOTH, decisions=[by_hand, *again]).named("sit down").class_id == 12


def test_what_was_decided_is_obeyed_and_not_proposed_again() -> None:
    apart = Decision(what="apart", name="Guitar Playing", other="playing guitar")
    decisions = proposed_decisions(BOTH, earlier=[apart])
    assert [(row.name, row.other) for row in decisions] == [("riding motorcycle", "ride motorbike")]
    assert len(merged_actions(BOTH, decisions=[apart, *decisions])) == 4
    assert proposed_decisions(BOTH, earlier=[apart, *decisions]) == []


def test_what_is_kept_apart_stays_so_when_one_of_them_went_into_a_third() -> None:
    three = action_list("a", [(1, "walking mule"), (2, "riding bikes"), (3, "ride bike")])
    earlier = [Decision(what="apart", name="riding bikes", other="ride bike"), merge("walking mule", "riding bikes")]
    assert proposed_decisions(three, earlier=earlier) == []
    assert len(merged_actions(three, decisions=earlier)) == 2


def test_a_merge_may_be_turned_round_and_taken_twice() -> None:
    turned = [merge("ride motorbike", "riding motorcycle")] * 2
    merged = merged_actions(BOTH, decisions=turned)
    assert merged.named("riding motorcycle").name == "ride motorbike"
    assert len(merged) == 4


def test_merges_chain_and_old_names_stand_for_what_they_became() -> None:
    chain = [
        merge("sit", "playing guitar"),
        Decision(what="rename", name="playing guitar", other="sitting with guitar"),
        merge("guitar playing", "sitting with guitar"),
    ]
    (riding, motorbike, guitar) = merged_actions(BOTH, decisions=chain)
    assert (guitar.name, len(guitar.origins)) == ("guitar playing", 3)
    assert {riding.name, motorbike.name} == {"riding motorcycle", "ride motorbike"}


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([merge("sit", "stand")], "d.csv: no class 'stand'"),
        (
            [Decision(what="rename", name="sit", other="Playing guitar")],
            "d.csv: 'sit' cannot be called 'Playing guitar'",
        ),
        ([Decision(what="rename", name="sit", other=" ")], "d.csv: the new name of 'sit' is empty"),
        (
            [Decision(what="apart", name="sit", other="playing guitar"), merge("sit", "playing guitar")],
            "d.csv: 'sit' and 'playing guitar' were to stay apart and became one class",
        ),
    ],
)
def test_decisions_that_do_not_fit_are_refused(decisions: list[Decision], message: str) -> None:
    with pytest.raises((BadInput, UnknownName)) as error:
        merged_actions(BOTH, decisions=decisions, where="d.csv")
    assert message in str(error.value)


def test_decisions_are_written_and_read_and_may_be_short(tmp_path: Path) -> None:
    rows = [*proposed_decisions(BOTH, form="ing"), Decision(what="apart", name="a, b", other='say "c"')]
    write_decisions(tmp_path / "d.csv", rows)
    assert read_decisions(tmp_path / "d.csv") == rows
    (tmp_path / "d.csv").write_text("what,name,other\n\nmerge,a,b\n")
    assert read_decisions(tmp_path / "d.csv") == [merge("a", "b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("what,name\n", "d.csv:1: the columns are what,name. Want what,name,other,rule,why"),
        ("what,name,other\njoin,a,b\n", "d.csv:2: what is decided is 'join'. Want merge, apart, rename"),
        ("what,name,other\nmerge,a,\n", "d.csv:2: this is no decision. Write as: merge,riding motorcycle,"),
        ('what,name,other\nmerge,"a,b\n', "d.csv:2: the quotes do not pair"),
    ],
)
def test_a_bad_decision_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(BadInput) as error:
        read_decisions(tmp_path / "d.csv")
    assert message in str(error.value)


def test_groups_are_read_from_every_layout(tmp_path: Path) -> None:
    wanted = {"hair": ("braiding hair", "washing hair"), "water": ("washing hair",)}
    (tmp_path / "g.json").write_text('{"hair": ["braiding hair", "washing hair"], "water": ["washing hair"]}')
    assert read_groups(tmp_path / "g.json") == wanted
    (tmp_path / "g.csv").write_text("parent,label\nhair,braiding hair\nhair,washing hair\nwater,washing hair\n")
    assert read_groups(tmp_path / "g.csv") == wanted
    grouped = with_parents(action_list("a", [(1, "braiding hair"), (2, "washing hair")]), wanted)
    write_actions(tmp_path / "a.csv", grouped.actions)
    assert read_groups(tmp_path / "a.csv") == wanted
    (tmp_path / "g.pbtxt").write_text('label { name: "swim" label_id: 13 label_type: PERSON_MOVEMENT }\n')
    assert read_groups(tmp_path / "g.pbtxt") == {"PERSON_MOVEMENT": ("swim",)}
    assert read_groups("kinetics-400") == printed_groups()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.json", "[1]", "g.json: these are no groups of names"),
        ("g.json", "{}", "g.json: it holds no group"),
        ("g.csv", "a,b\n", "g.csv:1: the columns are a,b. Want group,name"),
        ("g.csv", "group,name\nhair,\n", "g.csv:2: a cell is empty. Want a group and a name"),
        ("g.csv", 'group,name\n"hair,b\n', "g.csv:2: the quotes do not pair"),
        ("g.xml", "<a/>", "g.xml: these are no groups of names"),
        ("g.txt", "plain\n", "g.txt: it holds no group"),
    ],
)
def test_bad_groups_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as error:
        read_groups(tmp_path / name)
    assert message in str(error.value)
    with pytest.raises(BadInput, match=r"nor such shipped groups. Shipped are: kinetics-400"):
        read_groups("kinetics-600")


def test_the_printed_groups_fit_the_printed_list() -> None:
    done = with_parents(shipped_actions("kinetics-400"), printed_groups())
    assert done.missing == ()
    assert done.loosely == (
        ("martial arts", "punching person", "punching person (boxing)"),
        ("touching person", "massaging person's head", "massaging person"),
    )
    assert done.actions == shipped_actions("kinetics-400")
    assert len(done.sizes) == 38
    assert len(done.ungrouped) == sum(not row.parents for row in done.actions) > 0


def test_groups_that_are_there_stay_if_asked() -> None:
    first = with_parents(BOTH, {"music": ["playing guitar"]}).actions
    both = with_parents(first, {"hands": ["playing guitar"]}, keep=True)
    assert both.actions.named("playing guitar").parents == ("music", "hands")
    assert with_parents(first, {"hands": ["playing guitar"]}).actions.named("playing guitar").parents == ("hands",)


def test_a_check_tells_all_kinds_and_no_pair_twice(tmp_path: Path) -> None:
    names = [
        "riding",
        "riding mule",
        "riding camel",
        "ride a mule",
        "canoeing or kayaking",
        "kayaking",
        "hug (not baby)",
    ]
    checked = check_actions(action_list("a", list(enumerate([*names, "hug"]))))
    found = [(row.kind, row.name, row.other) for row in checked.findings]
    assert (
        found
        == [
            ("same", "riding mule", "ride a mule"),
            ("inside", "riding", "riding mule"),
            ("inside", "riding", "riding camel"),
            ("inside", "riding", "ride a mule"),
            ("alternative", "canoeing or kayaking", "kayaking"),
            ("general", "riding", ""),
            ("form", "ride a mule", "riding a mule"),
            ("form", "hug (not baby)", "hugging (not baby)"),
            ("form", "hug", "hugging"),
        ]
        or sorted(found) == found
    )
    write_findings(tmp_path / "f.csv", checked)
    assert pl.read_csv(tmp_path / "f.csv").height == len(found)
    assert checked.as_json()["num_classes"] == 8


BOXES = pl.DataFrame(
    {
        "video_id": ["v"] * 5,
        "timestamp_us": [0, 0, 0, 1, 1],
        "x1": [0.1, 0.1, 0.5, 0.1, 0.1],
        "y1": [0.0] * 5,
        "x2": [0.9] * 5,
        "y2": [0.9] * 5,
        "class_id": [12, 80, 12, 12, None],
    }
)


def test_units_of_boxes_are_persons_at_key_frames() -> None:
    from gesta.formats.annotations import BOX_COLUMNS, shaped

    units = units_of(Annotations(boxes=shaped(BOXES, BOX_COLUMNS)))
    assert units.height == 4
    assert sorted(units.group_by("unit").agg(pl.len())["len"]) == [1, 1, 2]
    names = pl.DataFrame({"class_id": [12, 80], "name": ["Sit", "other"]})
    renamed = with_ids_of(units, label_map=names, actions=BOTH)
    assert renamed["class_id"].to_list() == [12, 12, 12]


def test_classes_with_few_units_and_unknown_ones_do_not_count() -> None:
    units = pl.DataFrame({"unit": [0, 0, 1, 2, 2], "class_id": [4, 9, 4, 4, 77]})
    (guitar, riding) = company_of(units, actions=BOTH, min_units=1)
    assert (riding.name, riding.num_units, riding.num_classes, riding.frac_of_classes) == (
        "riding motorcycle",
        3,
        1,
        1.0,
    )
    assert riding.frac_with_others == pytest.approx(1 / 3)
    assert (guitar.name, guitar.num_units, guitar.frac_with_others) == ("playing guitar", 1, 1.0)
    by_name = {row.name: row.num_classes for row in company_of(units, actions=BOTH, min_units=1, min_frac=0.5)}
    assert by_name == {"riding motorcycle": 1, "playing guitar": 0}
    assert [row.name for row in company_of(units, actions=BOTH, min_units=2)] == ["riding motorcycle"]
    assert company_of(units, actions=BOTH, min_units=99) == []


def test_clips_of_an_origin_are_summed() -> None:
    one = BOTH.actions[0]
    origins = (replace(one.origins[0], num_clips=3), replace(one.origins[0], source="c", num_clips=4))
    assert replace(one, origins=origins).num_clips == 7
    assert one.num_clips is None


def test_a_name_is_not_brought_to_a_form_that_another_class_has() -> None:
    both = action_list("a", [(1, "sit"), (2, "sitting")])
    apart = Decision(what="apart", name="sit", other="sitting")
    assert proposed_decisions(both, earlier=[apart], form="ing") == []


def test_a_share_at_the_bound_counts() -> None:
    units = pl.DataFrame({"unit": [0, 0, *range(1, 10)], "class_id": [4, 9, *[9] * 9]})
    by_name = {row.name: row.num_classes for row in company_of(units, actions=BOTH, min_units=1, min_frac=0.1)}
    assert by_name == {"riding motorcycle": 1, "playing guitar": 1}
