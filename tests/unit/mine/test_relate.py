"""Which classes of a source are related to weak ones, by their words and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.formats import read_label_map
from gesta.formats.papers import paper_table
from gesta.mine.relate import Related, read_related, related_classes, weak_classes, write_related
from gesta.schema import BadInput, BadRow, ClassScore, GestaError, UnknownName


def how(target: str, source: str, *matches: str) -> str | None:
    found = related_classes([target], [source], matches=matches or ("name", "verb", "object"))
    return found[0].how if found else None


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        ("swim", "swimming with sharks", "name"),
        ("push (an object)", "pushing car", "name"),
        ("give/serve (an object) to (a person)", "giving or receiving award", "name"),
        ("dress/put on clothing", "putting on sari", "verb"),
        ("dress/put on clothing", "putting wallpaper on wall", None),
        ("take a photo", "taking photo", "name"),
        ("take (an object) from (a person)", "taking a shower", None),
        ("work on a computer", "assembling computer", "object"),
        ("hand wave", "waving hand", "verb"),
        ("fall down", "falling off chair", "verb"),
        ("cut", "cutting nails", "name"),
        ("throw", "hammer throw", "name"),
        ("throw", "yoga", None),
        ("lift/pick up", "picking up phone", "name"),
        ("lift/pick up", "picking apples", None),
        ("jump/leap", "JumpingJack", "name"),
        ("enter", "tennis center", None),
    ],
)
def test_a_source_class_is_related_by_its_words(target: str, source: str, expected: str | None) -> None:
    assert how(target, source) == expected


def test_only_the_wanted_matches_count_and_the_strongest_is_named() -> None:
    assert how("hand wave", "waving hand", "object") == "object"
    assert how("hand wave", "waving hand", "name") is None
    with pytest.raises(UnknownName, match="no match of classes 'noun'"):
        how("throw", "yoga", "noun")


def test_stronger_matches_come_first_within_a_target() -> None:
    found = related_classes(["hand wave", "swim"], ["washing hands", "waving", "hand wave", "swimming"],
                            matches=("object", "verb", "name"))  # fmt: skip
    assert [(pair.target, pair.source, pair.how) for pair in found] == [
        ("hand wave", "hand wave", "name"),
        ("hand wave", "waving", "verb"),
        ("hand wave", "washing hands", "object"),
        ("swim", "swimming", "name"),
    ]


def test_the_printed_hand_picks_are_found_but_for_the_diving(shared: Path) -> None:
    """The paper's picks come "by text matching"; its first 22 that Kinetics-700 has are compared."""
    sources = list(read_label_map(shared / "annotations/kinetics/label_map_k700.txt")["name"])
    picked = set(paper_table("ava_kinetics_hand_picked").frame["name"]) & set(sources)
    targets = list(paper_table("ava_kinetics_shortlist").frame["name"])
    found = {pair.source for pair in related_classes(targets, sources)}
    assert len(picked) == 22
    assert picked - found == {"diving cliff", "helmet diving", "scuba diving"}
    assert len(found) <= 115


def score(name: str, value: float | None) -> ClassScore:
    return ClassScore(class_id=1, name=name, average_precision=value, num_groundtruth=0 if value is None else 1)


def test_weak_classes_are_the_poorest_of_those_that_were_judged() -> None:
    scores = [score("a", 0.5), score("b", 0.1), score("c", None), score("d", 0.3), score("e", 0.1)]
    assert weak_classes(scores, worst=2) == ["b", "e"]
    assert weak_classes(scores, below=0.3) == ["b", "e"]
    assert weak_classes(scores, below=0.9, worst=3) == ["b", "e", "d"]
    assert weak_classes(scores, worst=99) == ["b", "e", "d", "a"]


@pytest.mark.parametrize(
    ("worst", "below", "message"),
    [(None, None, "no bound on what is weak"), (0, None, "the 0 worst classes"), (None, 0.1, "none of 1 judged")],
)
def test_bounds_that_leave_nothing_are_refused(worst: int | None, below: float | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        weak_classes([score("a", 0.5)], worst=worst, below=below)


def test_pairs_survive_their_file_and_a_person_may_add_some(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    pairs = [Related(target="watch (e.g., TV)", source="watching tv", how="name", words="watching")]
    write_related(file, pairs)
    assert read_related(file, sources=["watching tv"]) == pairs
    file.write_text(file.read_text() + "swim,scuba diving,,\n")
    assert read_related(file, sources=["watching tv", "scuba diving"])[1] == Related(
        target="swim", source="scuba diving", how="hand", words=""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target,class\n", "1: columns target, class. Want target, source"),
        ("target,source\nswim\n", "2: 1 cells, want 2"),
        ("target,source\n,yoga\n", "2: no target"),
        ("target,source\n\nswim,yogga\n", ":3: no source class 'yogga'. Did you mean 'yoga'?"),
    ],
)
def test_pairs_that_cannot_be_read_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(text)
    with pytest.raises((BadRow, UnknownName)) as error:
        read_related(file, sources=["yoga"])
    assert isinstance(error.value, GestaError)
    assert message in str(error.value)
