"""Classes split and merged: what is asked afterwards, and nothing half done."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.cli.classes import command
from gesta.label import class_journal
from gesta.label.class_edits import (
    class_named,
    finish_edits,
    merge_classes,
    remove_class,
    rename_class,
    split_class,
    undo_edit,
)
from gesta.label.items import build_items
from gesta.schema import (
    BadInput,
    Candidate,
    Clip,
    ClipLabel,
    GestaError,
    LabelClass,
    MissingTable,
    Refused,
    UnknownName,
)
from gesta.tables import read_table

from .conftest import write

NAMES = ("gardening", "yoga", "cycling")


def lay_out(work: Path, asked: Sequence[tuple[str, int]] = (("a", 1), ("b", 1), ("c", 1), ("a", 2))) -> Path:
    """Clips a to d; of class 1 (gardening) a and b were accepted and c rejected."""
    work.mkdir(exist_ok=True)
    write(work, "clips", [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=9) for c in "abcd"])
    write(work, "label_map", [LabelClass(class_id=k, name=name) for k, name in enumerate(NAMES, start=1)])
    write(
        work, "candidates", [Candidate(clip_id=c, class_id=k, source="title", query="q", score=1.0) for c, k in asked]
    )
    verdicts = {"a": "accepted", "b": "accepted", "c": "rejected"}
    labels = [
        ClipLabel(clip_id=c, class_id=1, verdict=v, num_yes=3, num_no=0, num_unsure=0, num_broken=0)
        for c, v in verdicts.items()
    ]
    write(work, "clip_labels", labels)
    return work


def asked(work: Path) -> list[tuple[str, int]]:
    return read_table(work, "candidates").select("clip_id", "class_id").rows()


def test_a_class_is_split_and_its_accepted_clips_go_out_again(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    done = split_class(work, old=1, into=["watering plants", " planting   trees "])
    assert (done.what, done.new_class_ids, done.new_names) == ("split", (4, 5), ("watering plants", "planting trees"))
    assert (done.num_clips, done.stays, done.class_ids) == (2, False, (1, 4, 5))
    assert asked(work) == [("a", 2), ("a", 4), ("a", 5), ("b", 4), ("b", 5)]
    names = read_table(work, "label_map").filter(class_id=4).row(0, named=True)
    assert names == {"class_id": 4, "name": "watering plants", "category": "gardening"}
    made = read_table(work, "candidates").filter(class_id=4).row(0, named=True)
    assert (made["source"], made["query"]) == ("split", "gardening")
    build_items(work)
    assert read_table(work, "items")["item_id"].to_list() == [
        "clip:a:2", "clip:a:4", "clip:a:5", "clip:b:4", "clip:b:5",
    ]  # fmt: skip


@pytest.mark.parametrize(("clips", "sent"), [("rejected", ["c"]), ("all", ["a", "b", "c"])])
def test_other_clips_can_be_sent(tmp_path: Path, clips: Any, sent: list[str]) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["watering plants"], clips=clips)
    assert [clip_id for clip_id, class_id in asked(work) if class_id == 4] == sent


def test_the_caller_may_know_the_clips(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["watering plants"], clip_ids=["d", "a", "d"])
    assert [clip_id for clip_id, class_id in asked(work) if class_id == 4] == ["a", "d"]


def test_a_class_that_is_named_itself_stays(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    done = split_class(work, old=1, into=["gardening", "watering plants"], clips="rejected")
    assert (done.what, done.stays) == ("branch", True)
    assert asked(work) == [("a", 1), ("a", 2), ("b", 1), ("c", 1), ("c", 4)]


def test_a_name_that_a_class_has_means_that_class(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    assert split_class(work, old=1, into=["yoga", "weeding"]).new_class_ids == (2, 4)
    assert asked(work) == [("a", 2), ("a", 4), ("b", 2), ("b", 4)]


def test_classes_are_merged(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    done = merge_classes(work, old=1, new=2)
    assert (done.what, done.num_clips) == ("merge", 3)
    assert asked(work) == [("a", 2), ("b", 2), ("c", 2)]
    assert read_table(work, "candidates")["source"].to_list() == ["title"] * 3


@pytest.mark.parametrize(
    ("edit", "kind", "message"),
    [
        (lambda w: split_class(w, old=9, into=["x"]), UnknownName, "no class '9'"),
        (lambda w: split_class(w, old=1, into=[" "]), BadInput, "a class without a name"),
        (lambda w: split_class(w, old=1, into=["x", "x"]), BadInput, "a class is named twice"),
        (lambda w: split_class(w, old=1, into=["gardening"]), BadInput, "'gardening' would become itself"),
        (lambda w: split_class(w, old=2, into=["x"]), BadInput, "class 'yoga' has no accepted clips. Send others"),
        (lambda w: split_class(w, old=1, into=["x"], clips="some"), UnknownName, "no choice of clips 'some'"),
        (lambda w: merge_classes(w, old=1, new=9), UnknownName, "no class '9'"),
        (lambda w: merge_classes(w, old=1, new=1), BadInput, "class 1 cannot become itself"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, edit: Callable[[Path], Any], kind: type[GestaError], message: str
) -> None:
    work = lay_out(tmp_path)
    before = asked(work)
    with pytest.raises(kind, match=message):
        edit(work)
    assert asked(work) == before
    assert not (work / "class_edits.parquet").exists()


def test_a_class_that_is_gone_is_edited_no_more(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["watering plants", "weeding"])
    with pytest.raises(Refused, match="class 'gardening' became 'watering plants', 'weeding'"):
        merge_classes(work, old=2, new=1)
    with pytest.raises(Refused, match="class 'gardening' became"):
        split_class(work, old=2, into=["gardening"], clips="all")


def test_accepted_clips_need_a_consensus(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    (work / "clip_labels.parquet").unlink()
    with pytest.raises(MissingTable, match="Run `gesta consensus` first"):
        split_class(work, old=1, into=["x"])


@pytest.mark.parametrize("num_written", [0, 1, 2, 3, 4])
def test_an_interrupted_edit_is_nothing_or_is_finished_by_the_next_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_written: int
) -> None:
    whole, broken = lay_out(tmp_path / "whole"), lay_out(tmp_path / "broken")
    before = asked(broken)
    split_class(whole, old=1, into=["watering plants", "weeding"])
    written = 0
    write_table = class_journal.write_table

    def powerless(*arguments: Any, **named: Any) -> Path:
        nonlocal written
        if written == num_written:
            raise KeyboardInterrupt
        written += 1
        return write_table(*arguments, **named)

    monkeypatch.setattr(class_journal, "write_table", powerless)
    with pytest.raises(KeyboardInterrupt):
        split_class(broken, old=1, into=["watering plants", "weeding"])
    monkeypatch.setattr(class_journal, "write_table", write_table)
    build_items(broken)
    assert asked(broken) == (before if num_written == 0 else asked(whole))
    assert finish_edits(broken) is False


def test_edits_outlive_candidates_mined_anew(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["watering plants"])
    after = asked(work)
    lay_out(work)
    assert asked(work) != after
    build_items(work)
    assert asked(work) == after
    write(work, "label_map", [LabelClass(class_id=k, name=name) for k, name in enumerate((*NAMES, "golf"), start=1)])
    with pytest.raises(Refused, match="class 4 is 'golf' now, and was 'watering plants' when class 'gardening' was"):
        build_items(work)


edits = st.lists(
    st.tuples(
        st.sampled_from(["split", "branch", "merge", "rename", "remove", "undo"]), st.integers(1, 8),
        st.integers(1, 8), st.booleans(),
    ),
    max_size=7,
)  # fmt: skip
pairs = st.sets(st.tuples(st.sampled_from("abcd"), st.integers(1, 3)), min_size=1)


def do_what_can_be_done(work: Path, wanted: list[tuple[str, int, int, bool]]) -> None:
    """Each of the edits, but those that are refused; names that are new are new each time."""
    for number, (what, old, new, is_new) in enumerate(wanted):
        names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
        target = f"fresh {number}" if is_new else names.get(new, "yoga")
        into = [target] if what == "split" else [target, names.get(old, "yoga")]
        ways: dict[str, Callable[[], object]] = {
            "merge": lambda old=old, new=new: merge_classes(work, old=old, new=new),
            "rename": lambda old=old, target=target: rename_class(work, old=old, name=target),
            "remove": lambda old=old: remove_class(work, old=old),
            "undo": lambda old=old, is_new=is_new: undo_edit(work, edit_id=None if is_new else old),
        }
        try:
            ways.get(what, lambda old=old, into=into: split_class(work, old=old, into=into, clips="all"))()
        except GestaError:
            continue


@settings(max_examples=60, deadline=None)
@given(pairs, edits)
def test_to_carry_out_the_journal_again_changes_nothing(
    candidates: set[tuple[str, int]], wanted: list[tuple[str, int, int, bool]]
) -> None:
    """Neither on the tables as they are, nor on tables mined anew."""
    with tempfile.TemporaryDirectory() as folder:
        work = lay_out(Path(folder), sorted(candidates))
        do_what_can_be_done(work, wanted)
        after, classes = asked(work), read_table(work, "label_map").rows()
        assert finish_edits(work) is False
        lay_out(work, sorted(candidates))
        finish_edits(work)
        assert asked(work) == after
        assert read_table(work, "label_map").rows() == classes


@settings(max_examples=60, deadline=None)
@given(pairs, edits)
def test_what_is_undone_from_the_last_to_the_first_was_never_done(
    candidates: set[tuple[str, int]], wanted: list[tuple[str, int, int, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = lay_out(Path(folder), sorted(candidates))
        before, classes = read_table(work, "candidates"), read_table(work, "label_map")
        do_what_can_be_done(work, wanted)
        after = read_table(work, "candidates")
        num_undone = 0
        while True:
            try:
                undo_edit(work)
            except BadInput:
                break
            num_undone += 1
        assert read_table(work, "candidates").equals(before)
        assert read_table(work, "label_map").equals(classes)
        # And what was undone can be made again, the last undo first.
        journal = class_journal.journal_of(work)
        for undo in reversed([edit for edit in journal if edit.what == "undo"][-num_undone:] if num_undone else []):
            undo_edit(work, edit_id=undo.edit_id)
        assert read_table(work, "candidates").equals(after)


def test_a_renamed_class_keeps_its_id_and_clips(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    done = rename_class(work, old=1, name="  tending  plants")
    assert (done.what, done.new_names, done.stays) == ("rename", ("tending plants",), True)
    assert read_table(work, "label_map").rows()[0] == (1, "tending plants", None)
    assert asked(work) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    assert undo_edit(work).new_names == ("gardening",)
    assert read_table(work, "label_map")["name"].to_list() == list(NAMES)


def test_a_removed_class_is_asked_for_no_more_until_that_is_undone(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    done = remove_class(work, old=1, reason="too general")
    assert (done.num_clips, done.gone_class_ids) == (3, (1,))
    assert asked(work) == [("a", 2)]
    # Its id keeps its meaning.
    assert read_table(work, "label_map")["class_id"].to_list() == [1, 2, 3]
    with pytest.raises(Refused, match=r"class 'gardening' was removed\. Name one that is asked for, or undo edit 1"):
        merge_classes(work, old=2, new=1)
    back = undo_edit(work)
    assert (back.back_class_ids, back.num_clips) == ((1,), 3)
    assert asked(work) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]


def test_an_id_that_was_given_is_not_given_again(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["weeding"])
    undone = undo_edit(work)
    assert (undone.gone_class_ids, undone.back_class_ids) == ((4,), (1,))
    assert split_class(work, old=1, into=["mowing"]).new_class_ids == (5,)


def test_an_edit_under_another_one_is_not_undone(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["weeding", "mowing"])
    merge_classes(work, old=4, new=5)
    remove_class(work, old=3)
    with pytest.raises(Refused, match=r"edit 2 \(merge of 'weeding'\) stands on edit 1\. Undo edit 2 first"):
        undo_edit(work, edit_id=1)
    undo_edit(work, edit_id=2)
    undo_edit(work, edit_id=1)
    assert asked(work) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    assert [edit.what for edit in class_journal.journal_of(work)] == [
        "split", "split", "merge", "remove", "undo", "undo",
    ]  # fmt: skip


def test_there_must_be_something_to_undo(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    with pytest.raises(BadInput, match="no edit of classes stands"):
        undo_edit(work)
    remove_class(work, old=3)
    with pytest.raises(UnknownName, match="no edit that stands '7'"):
        undo_edit(work, edit_id=7)
    undo_edit(work)
    with pytest.raises(UnknownName, match=r"no edit that stands '1'\. .*There are: 2"):
        undo_edit(work, edit_id=1)
    assert undo_edit(work, edit_id=2).gone_class_ids == (3,)


def test_edits_of_an_earlier_gesta_are_undone_once_the_tables_are_made_anew(tmp_path: Path) -> None:
    work = lay_out(tmp_path)
    split_class(work, old=1, into=["weeding"])
    for file in sorted((work / class_journal.BEFORE).iterdir()):
        file.unlink()
    with pytest.raises(Refused, match="was not kept as it was before edit 1"):
        undo_edit(work)
    lay_out(work)
    undo_edit(work)
    assert asked(work) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]


@pytest.mark.parametrize(
    ("name", "message"),
    [("yoga", "class 2 is called 'yoga' already"), (" ", "a class without a name"), ("gardening", "class 1 is called")],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    work = lay_out(tmp_path)
    with pytest.raises(BadInput, match=message):
        rename_class(work, old=1, name=name)
    with pytest.raises(UnknownName, match="no class '9'"):
        rename_class(work, old=9, name="x")
    assert not (work / "class_edits.parquet").exists()


def test_a_class_is_named_by_name_or_id(tmp_path: Path) -> None:
    label_map = read_table(lay_out(tmp_path), "label_map")
    assert [class_named(label_map, text) for text in ("yoga", "2")] == [2, 2]
    with pytest.raises(UnknownName, match=r"no class 'yog'\. Did you mean 'yoga'"):
        class_named(label_map, "yog")


def test_the_verb_says_what_it_did(tmp_path: Path) -> None:
    work, runner = lay_out(tmp_path), CliRunner()
    build_items(work)
    said = runner.invoke(command, ["split", str(work), "gardening", "--into", "weeding", "--into", "mowing"])
    assert said.output == "split: 'gardening' (1) into 'weeding' (4), 'mowing' (5); 2 clips go out\n"
    assert "clip:b:5" in read_table(work, "items")["item_id"].to_list()
    said = runner.invoke(command, ["merge", str(work), "weeding", "5", "--json"])
    assert json.loads(said.output)["new_class_ids"] == [5]
    assert [class_id for _, class_id in asked(work)] == [2, 5, 5]
    said = runner.invoke(command, ["rename", str(work), "5", "cutting grass"])
    assert said.output == "rename: 'mowing' (5) into 'cutting grass' (5); 0 clips go out\n"
    said = runner.invoke(command, ["remove", str(work), "yoga", "--reason", "too general"])
    assert said.output == "remove: 'yoga' (2); 1 clips are asked about no more\n"
    said = runner.invoke(command, ["undo", str(work)])
    assert said.output == "undo: 'yoga' (2); 1 clips are asked about again\n"
    said = runner.invoke(command, ["edits", str(work)])
    assert said.output.splitlines() == [
        "   1  split 'gardening' into 'weeding'", "   1  split 'gardening' into 'mowing'",
        "   2  merge 'weeding' into 'mowing'", "   3  rename 'mowing' into 'cutting grass'",
        "   4  remove 'yoga': too general  (undone)", "   5  undo of edit 4",
    ]  # fmt: skip
    assert [row["stands"] for row in json.loads(runner.invoke(command, ["edits", str(work), "--json"]).output)] == [
        True, True, True, True, False, False,
    ]  # fmt: skip
