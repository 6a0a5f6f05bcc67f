"""Which actions a title names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.formats import read_label_map
from gesta.mine import classes_in, forms_of, index_of_classes, phrases_of
from gesta.schema import LabelClass
from gesta.tables import rows_of


def named(title: str, *names: str) -> list[str]:
    index = index_of_classes(LabelClass(class_id=i, name=name) for i, name in enumerate(names, start=1))
    return [names[class_id - 1] for class_id in classes_in(title, index=index)]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("how to bow", "bowing"),
        ("Running!!!", "run"),
        ("runs", "running"),
        ("Waving my hand", "waving hand"),
        ("wave hands", "waving hand"),
        ("They shake the hands of winners", "shaking hands"),
        ("massaging a person’s head", "massaging person's head"),
        ("tying_his_shoe-laces", "tie shoe laces"),
        ("100 push-ups", "push up"),
        ("brush your tooth", "brushing teeth"),
        ("Ｗａｖｉｎｇ　ｈａｎｄｓ", "waving hand"),
        ("Fencing world cup", "fencing (sport)"),
        ("bow", "bend/bow (at the waist)"),
        ("kayaking in Norway", "canoeing or kayaking"),
        ("throwing a baseball", "catching or throwing baseball"),
        ("Klatschen üben", "klatschen"),
    ],
)
def test_a_title_names_a_class(title: str, name: str) -> None:
    assert named(title, name) == [name]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("rainbow", "bowing"),
        ("hoping for rain", "hop"),
        ("staring contest", "star"),
        ("hand waving", "waving hand"),
        ("waving with one hand", "waving hand"),
        ("fall chair", "falling off chair"),
        ("throwing", "catching or throwing baseball"),
        ("", "bowing"),
        ("!!!", "bowing"),
        ("the", "a the"),
    ],
)
def test_a_title_does_not_name_a_class(title: str, name: str) -> None:
    assert named(title, name) == []


def test_a_title_names_every_class_in_it_by_id() -> None:
    names = ("singing", "clapping", "waving hand")
    assert named("We clap, wave our hands and clap again", *names) == ["clapping", "waving hand"]


@pytest.mark.parametrize("name", ["label_map_k400.txt", "label_map_k600.txt", "label_map_k700.txt"])
def test_every_kinetics_class_is_named_by_each_of_its_phrases(name: str, shared: Path) -> None:
    rows = rows_of("label_map", read_label_map(shared / "annotations/kinetics" / name))
    index = index_of_classes(rows)
    lost = [
        (row.name, phrase)
        for row in rows
        for phrase in phrases_of(row.name)
        if row.class_id not in classes_in(" ".join(phrase), index=index)
    ]
    assert lost == []


def test_few_kinetics_classes_name_another(shared: Path) -> None:
    rows = rows_of("label_map", read_label_map(shared / "annotations/kinetics/label_map_k700.txt"))
    index = index_of_classes(rows)
    found = {row.name: classes_in(row.name, index=index) for row in rows}
    also = [name for name, classes in found.items() if len(classes) > 1]
    assert len(also) <= 25, also
    assert "arm wrestling" in also, "which is wrestling too"


def test_what_is_no_inflection_has_one_form() -> None:
    assert forms_of("sing") == {"sing"}
    assert forms_of("glass") == {"glass"}
    assert "person" in forms_of("people")
