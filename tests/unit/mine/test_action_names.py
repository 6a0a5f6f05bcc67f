"""Names, verbs and words: what two class names have in common, and by which rule."""

from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import pytest

from gesta.mine.actions import (
    action_list,
    families_in,
    general_names,
    gerund_of,
    infinitive_of,
    named_in_form,
    overlaps_in,
    read_synonyms,
    readable_name,
    shipped_synonyms,
    synonym_keys,
    to_infinitive,
    to_ing,
    twins_in,
)
from gesta.mine.actions.keys import key_of
from gesta.schema import BadRow, MissingExtra, UnknownName


def listed(*names: str):  # type: ignore[no-untyped-def]
    return action_list("a", list(enumerate(names, start=1)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("YoYo", "yo yo"),
        ("brush_hair", "brush hair"),
        ("BMX", "BMX"),
        ("Hand Stand Pushups", "hand stand pushups"),
        ("Clean and Jerk", "clean and jerk"),
        ("WatchTV", "watch TV"),
        ("passing American football (in game)", "passing American football (in game)"),
        ("  two   blanks ", "two blanks"),
        ("Rock-paper-scissors", "rock-paper-scissors"),
        ("TaiChi2", "tai chi2"),
        ("", ""),
        ("été", "été"),
    ],
)
def test_a_name_is_made_readable(text: str, wanted: str) -> None:
    assert readable_name(text) == wanted
    assert readable_name(wanted) == wanted


@pytest.mark.parametrize(
    ("infinitive", "gerund"),
    [
        ("ride", "riding"),
        ("run", "running"),
        ("lie", "lying"),
        ("tie", "tying"),
        ("dye", "dyeing"),
        ("be", "being"),
        ("see", "seeing"),
        ("ski", "skiing"),
        ("canoe", "canoeing"),
        ("tiptoe", "tiptoeing"),
        ("swim", "swimming"),
        ("play", "playing"),
        ("fix", "fixing"),
        ("mow", "mowing"),
        ("open", "opening"),
        ("shovel", "shoveling"),
        ("begin", "beginning"),
        ("barbecue", "barbecuing"),
        ("knit", "knitting"),
        ("squeeze", "squeezing"),
        ("panic", "panicking"),
        ("quit", "quitting"),
        ("unwrap", "unwrapping"),
        ("singe", "singeing"),
        ("cry", "crying"),
    ],
)
def test_gerunds_are_spelt_by_rule(infinitive: str, gerund: str) -> None:
    assert gerund_of(infinitive) == gerund


def test_every_verb_of_the_list_comes_back_from_its_gerund() -> None:
    text = files("gesta.mine.actions").joinpath("verbs.csv").read_text(encoding="utf-8")
    verbs = [row["infinitive"] for row in csv.DictReader(text.splitlines())]
    assert len(verbs) > 550
    assert verbs == sorted(set(verbs))
    assert {verb: infinitive_of(gerund_of(verb)) for verb in verbs} == {verb: verb for verb in verbs}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ride_bike", "ride_bike"),
        ("ride bike", "riding bike"),
        ("hand wave", "hand waving"),
        ("golf swing", "golf swinging"),
        ("catch or throw baseball", "catching or throwing baseball"),
        ("lift/pick up", "lifting/picking up"),
        ("blow dry hair", "blow drying hair"),
        ("clean and jerk", "clean and jerk"),
        ("push ups", "push ups"),
        ("punch bag", "punching bag"),
        ("tie a knot", "tying a knot"),
        ("kick (an object)", "kicking (an object)"),
        ("brushing teeth", "brushing teeth"),
        ("martial art", "martial art"),
        ("Fall floor", "falling floor"),
        ("yoga", "yoga"),
        ("(an object)", "(an object)"),
        ("", ""),
        ("sit", "sitting"),
    ],
)
def test_names_get_their_verb_in_ing(name: str, wanted: str) -> None:
    assert to_ing(name) == wanted


def test_names_get_their_verb_as_an_infinitive() -> None:
    assert to_infinitive("trimming or shaving beard") == "trim or shave beard"
    assert to_infinitive("punching person (boxing)") == "punch person (boxing)"
    assert to_infinitive("bending/bowing (at the waist)") == "bend/bow (at the waist)"
    assert named_in_form("swim", form="ing") == "swimming"
    with pytest.raises(UnknownName, match="no form of names 'past'"):
        named_in_form("swim", form="past")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "two", "rule"),
    [
        ("SkyDiving", "sky-diving", "spelling"),
        ("Yo-Yo", "YoYo", "spelling"),
        ("watch (e.g., TV)", "Watch", "spelling"),
        ("riding bikes", "ride a bike", "inflection"),
        ("pull ups", "PullUp", "inflection"),
        ("brushing teeth", "brush tooth", "inflection"),
        ("playing the guitar", "guitar playing", "order"),
        ("shaking hands", "hand shake", "order"),
        ("riding motorbike", "riding motorcycle", "synonym"),
        ("riding a bike", "cycling", "synonym"),
        ("drumming", "playing drums", "synonym"),
        ("taking a picture", "photographing", "synonym"),
    ],
)
def test_two_names_of_one_action_are_found_by_the_strictest_rule(one: str, two: str, rule: str) -> None:
    (twin,) = twins_in(listed(one, two))
    assert (twin.kept, twin.other, twin.rule) == (one, two, rule)
    assert repr(one) in twin.why
    assert repr(two) in twin.why


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("riding bike", "riding mountain bike"),
        ("drumming", "drumming fingers"),
        ("kick (an object)", "kick (a person)"),
        ("passing ball (in game)", "passing ball (not in game)"),
        ("jumping into pool", "jumping out of pool"),
        ("tasting beer", "tasting wine"),
        ("talking on cell phone", "talking on phone"),
        ("hopping", "hoping"),
        ("planting trees", "planing"),
        ("tapping pen", "tap dancing"),
        ("laying bricks", "lying"),
    ],
)
def test_names_of_two_actions_stay_two(one: str, two: str) -> None:
    assert twins_in(listed(one, two)) == []


def test_a_merged_class_brings_its_other_names_along() -> None:
    from dataclasses import replace

    from gesta.mine.actions import ActionList
    from gesta.mine.actions.lists import Origin

    biking, riding = listed("mountain sport", "cycling").actions
    biking = replace(biking, origins=(*biking.origins, Origin(source="b", name="riding a bike")))
    (twin,) = twins_in(ActionList((biking, riding)))
    assert (twin.kept, twin.other) == ("mountain sport", "cycling")
    assert twin.why == "'riding a bike' and 'cycling': the same by the table of synonyms"


def test_a_table_of_ones_own_is_followed_through_chains(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("kept,other\nfooting,jogging\njogging,trotting\n")
    keys = synonym_keys(read_synonyms(path))
    names = ("footing", "jogging", "to trot".removeprefix("to "))
    assert len({key_of(name, rule="synonym", synonyms=keys) for name in names}) == 1


def test_a_word_that_is_part_of_its_synonym_is_not_exchanged_twice(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("kept,other,matches\ncell phone,phone,words\n")
    names = ("talking on phone", "talking on cell phone", "looking at phone")
    found = twins_in(listed(*names), synonyms=read_synonyms(path))
    assert [(twin.kept, twin.other) for twin in found] == [("talking on phone", "talking on cell phone")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "s.csv:1: the columns are a,b. Want kept,other,matches"),
        ("kept,other\nrun\n", "s.csv:2: 'run' is no pair. Write as: biking,riding a bike"),
        ("kept,other\nrun,run\n", "s.csv:2: 'run,run' is no pair"),
        ("kept,other,matches\nrun,jog,part\n", "s.csv:2: matches is 'part'. Want words or name"),
        ('kept,other\n"run,jog\n', "s.csv:2: the quotes do not pair"),
    ],
)
def test_a_bad_table_of_synonyms_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(BadRow) as error:
        read_synonyms(path)
    assert message in str(error.value)


def test_the_shipped_synonyms_are_pairs_once_each_and_say_something() -> None:
    rows = shipped_synonyms().rows
    others = [row.other for row in rows]
    assert len(others) == len(set(others)) > 100
    none = synonym_keys(type(shipped_synonyms())(()))
    for row in rows:
        same = [key_of(name, rule="order", synonyms=none) for name in (row.kept, row.other)]
        assert same[0] != same[1], f"{row}: a stricter rule finds it"


def test_overlaps_are_told_once_with_the_wide_one_first() -> None:
    names = ("squash or racquetball", "racquetball", "petting cat", "petting animal (not cat)", "petting animal (zoo)")
    assert [(row.kind, row.wide, row.narrow) for row in overlaps_in(listed(*names))] == [
        ("alternative", "squash or racquetball", "racquetball"),
        ("aside", "petting animal (not cat)", "petting animal (zoo)"),
    ]
    nouns = overlaps_in(listed("bottling", "flipping bottle", "bottling wine"))
    assert [(row.wide, row.narrow) for row in nouns] == [("bottling", "bottling wine")]


def test_families_share_a_verb_or_an_object_and_the_largest_comes_first() -> None:
    names = (
        "juggling balls",
        "juggling fire",
        "playing violin",
        "playing organ",
        "playing piano",
        "tuning piano",
        "yoga",
    )
    found = [(row.shared_by, row.word, len(row.names)) for row in families_in(listed(*names))]
    assert found == [("verb", "playing", 3), ("verb", "juggling", 2)]
    assert families_in(listed(*names), min_classes=3)[-1].word == "playing"


def test_too_general_names() -> None:
    names = (
        "talking",
        "wrestling",
        "arm wrestling",
        "alligator wrestling",
        "lie/sleep",
        "hit (an object)",
        "abseiling",
    )
    found = [(row.name, row.is_bare_verb, len(row.held_by)) for row in general_names(listed(*names))]
    assert found == [("wrestling", False, 2), ("talking", True, 0)]


def test_without_the_extra_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from gesta.mine.actions import keys

    monkeypatch.setitem(sys.modules, "snowballstemmer", None)
    keys._stemmer.cache_clear()
    keys.stem_of.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=r"pip install 'gesta\[mine\]'"):
            twins_in(listed("a b", "b a"))
    finally:
        keys._stemmer.cache_clear()
