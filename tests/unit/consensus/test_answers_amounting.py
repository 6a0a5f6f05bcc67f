"""What the answers to the kinds beyond yes and no amount to, and the verb that writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.consensus import clip_reviews, item_verdicts, read_merges, resolved, run_consensus, vote_fates, worker_trust
from gesta.schema import (
    BadInput,
    BadRow,
    ClassEdit,
    Clip,
    Gold,
    Item,
    LabelClass,
    MissingTable,
    Protocol,
    TrustRule,
    Vote,
)
from gesta.tables import empty_frame, frame_of, made_by, read_rejects, read_table, table_path, write_table

MADE = made_by("test", arguments={}, inputs={})
BOX = {"x1": 0.1, "y1": 0.1, "x2": 0.3, "y2": 0.5}
OTHER = {"x1": 0.6, "y1": 0.1, "x2": 0.9, "y2": 0.5}
FRAME = Item(item_id="f", kind="frame", clip_id="c", timestamp_us=5, detail='{"boxes": []}')
PERSON = Item(item_id="p", kind="person", clip_id="c", timestamp_us=5, person_id=0, **BOX)
CLIP = Item(item_id="clip:c:1", kind="clip", clip_id="c", class_id=1)
ASKED = Item(item_id="s", kind="suggestion", clip_id="c", class_id=1)
CLUSTER = Item(item_id="k", kind="cluster", clip_id="c", detail='{"clips": ["c", "d", "e"]}')
PAGE = Item(
    item_id="l", kind="class", clip_id="c", class_id=1,
    detail='{"clips": [{"clip_id": "c"}, {"clip_id": "d"}], "page": 1}',
)  # fmt: skip


def log(*cast: tuple[Item, str, str, Any]) -> pl.DataFrame:
    return frame_of(
        "votes",
        [
            Vote(
                vote_id=number, item_id=item.item_id, worker_id=worker, answer=answer,
                detail=None if detail is None else json.dumps(detail),
            )
            for number, (item, worker, answer, detail) in enumerate(cast, start=1)
        ],
    )  # fmt: skip


def fill(work: Path, items: Sequence[Item], votes: pl.DataFrame, gold: Sequence[Gold] = ()) -> None:
    clips = [Clip(clip_id=name, video_id=f"v{name}", start_us=0, end_us=9) for name in "cde"]
    classes = [LabelClass(class_id=k, name=name) for k, name in ((1, "Peeling Apples"), (2, "peeling oranges"))]
    for name, frame in (
        ("items", frame_of("items", items)), ("votes", votes), ("clips", frame_of("clips", clips)),
        ("label_map", frame_of("label_map", classes)), *([("gold", frame_of("gold", gold))] if gold else []),
    ):  # fmt: skip
        write_table(table_path(work, name), name, frame, made_by=MADE)


def boxes(*those: dict[str, float], proposal: int | None = None) -> dict[str, Any]:
    return {"boxes": [{**box, "proposal": proposal} for box in those]}


def reasons(work: Path) -> dict[str, int]:
    return dict(sorted(read_rejects(work)["reason"].value_counts().iter_rows()))


def test_persons_that_both_workers_drew_are_kept_and_others_named(tmp_path: Path) -> None:
    both = log((FRAME, "a", "done", boxes(OTHER, BOX, proposal=0)), (FRAME, "b", "done", boxes(BOX, proposal=0)))
    fill(tmp_path, [FRAME], both)
    summary = run_consensus(tmp_path)
    assert summary.line == "consensus: kept 1, rejected 1 (frame-too-few-drew 1)"
    row = read_table(tmp_path, "key_frame_boxes").row(0, named=True)
    assert row == {
        "clip_id": "c", "video_id": "vc", "timestamp_us": 5, "person_id": 0, **BOX, "num_workers": 2, "num_agree": 2,
        "origin": "proposal",
    }  # fmt: skip
    detail = read_rejects(tmp_path)["detail"][0]
    assert detail == "f: 1 of 2 workers drew the box 0.600, 0.100, 0.900, 0.500"
    assert run_consensus(tmp_path).was_current


def test_a_key_frame_is_open_after_one_answer_and_a_broken_one_is_voted_down(tmp_path: Path) -> None:
    fill(tmp_path, [FRAME], log((FRAME, "a", "done", boxes(BOX))))
    assert run_consensus(tmp_path).rejected == {"frame-open": 1}
    assert not len(read_table(tmp_path, "key_frame_boxes"))
    fill(tmp_path, [FRAME], log((FRAME, "a", "broken", None), (FRAME, "b", "broken", None)))
    assert run_consensus(tmp_path).rejected == {"frame-voted-down": 1}


def test_known_boxes_and_actions_stand_without_a_worker(tmp_path: Path) -> None:
    gold = [
        Gold(item_id="f", answer="done", detail=json.dumps(boxes(BOX))),
        Gold(item_id="p", answer="done", detail='{"class_ids": [12]}'),
    ]
    fill(tmp_path, [FRAME, PERSON], log((FRAME, "a", "done", boxes(OTHER)), (PERSON, "a", "unsure", None)), gold)
    run_consensus(tmp_path)
    frame_row = read_table(tmp_path, "key_frame_boxes").row(0, named=True)
    assert (frame_row["x1"], frame_row["num_workers"], frame_row["num_agree"]) == (0.1, 0, 0)
    assert read_table(tmp_path, "proposed_labels").select("class_id", "num_proposed", "num_raters").rows() == [
        (12, 0, 0)
    ]
    assert read_table(tmp_path, "workers").select("num_gold", "num_gold_right").rows() == [(2, 0)]


def test_gold_with_a_detail_bars_who_draws_elsewhere() -> None:
    gold = frame_of("gold", [Gold(item_id="f", answer="done", detail=json.dumps(boxes(BOX)))])
    votes = log((FRAME, "good", "done", boxes({**BOX, "x2": 0.31})), (FRAME, "bad", "done", boxes(OTHER)))
    rule, items = TrustRule(min_gold=1, min_accuracy=1), frame_of("items", [FRAME])
    judged = worker_trust(votes, gold, trust=rule, items=items)
    assert dict(judged.select("worker_id", "is_trusted").iter_rows()) == {"good": True, "bad": False}
    without_kinds = worker_trust(votes, gold, trust=rule)
    assert without_kinds["is_trusted"].to_list() == [True, True], "only the answers are compared"


def test_what_three_raters_propose_is_counted(tmp_path: Path) -> None:
    said = {"a": [12, 17], "b": [12], "c": [11, 17], "d": [80]}
    votes = log(*[(PERSON, worker, "done", {"class_ids": ids}) for worker, ids in said.items()])
    fill(tmp_path, [PERSON], votes)
    summary = run_consensus(tmp_path)
    found = read_table(tmp_path, "proposed_labels")
    assert found.select("class_id", "num_proposed", "num_raters").rows() == [(11, 1, 3), (12, 2, 3), (17, 2, 3)]
    assert found.select("x1", "y2", "video_id").unique().rows() == [(0.1, 0.5, "vc")]
    assert summary.rejected == {"past-the-stop": 1}


def test_two_raters_are_too_few(tmp_path: Path) -> None:
    fill(tmp_path, [PERSON], log(*[(PERSON, worker, "done", {"class_ids": [12]}) for worker in "ab"]))
    assert run_consensus(tmp_path).rejected == {"person-open": 1}


def test_reviews_say_which_clips_go_and_why(tmp_path: Path) -> None:
    votes = log((CLUSTER, "a", "done", {"keep": [1]}), (PAGE, "a", "done", {"remove": [0]}))
    fill(tmp_path, [CLUSTER, PAGE], votes)
    summary = run_consensus(tmp_path)
    assert read_table(tmp_path, "reviews").select("kind", "clip_id", "is_kept", "reason").rows() == [
        ("cluster", "c", False, "duplicate"), ("cluster", "d", True, ""), ("cluster", "e", False, "duplicate"),
        ("class", "c", False, "other-action"), ("class", "d", True, ""),
    ]  # fmt: skip
    assert summary.numbers["num_clips_taken_out"] == 3
    assert reasons(tmp_path) == {"class-other-action": 1, "cluster-duplicate": 2}


def test_more_reviewers_need_more_than_half_to_take_a_clip_out() -> None:
    def kept(*keeps: list[int]) -> list[bool]:
        votes = log(*[(CLUSTER, f"w{n}", "done", {"keep": keep}) for n, keep in enumerate(keeps)])
        fates = votes.with_columns(fate=pl.lit("counted"))
        verdicts = frame_of("items", [CLUSTER]).with_columns(verdict=pl.lit("accepted"))
        return clip_reviews(verdicts, fates, empty_frame("gold"))[0]["is_kept"].to_list()

    assert kept([0], [1]) == [True, True, False], "a tie takes nothing out"
    assert kept([1], [1], [0]) == [False, True, False]
    assert kept([0], [1], [2]) == [True, False, False], "one stays always"


def test_suggestions_are_folded_and_counted_from_both_kinds(tmp_path: Path) -> None:
    votes = log(
        (ASKED, "a", "done", {"text": "Peeling  Oranges"}), (ASKED, "b", "done", {"text": "peeling oranges"}),
        (CLIP, "c", "no", {"suggestion": "juggling"}), (CLIP, "a", "no", {"suggestion": "peeling ORANGES"}),
        (CLIP, "d", "yes", None),
    )  # fmt: skip
    fill(tmp_path, [ASKED, CLIP], votes)
    summary = run_consensus(tmp_path)
    assert read_table(tmp_path, "suggestions").rows() == [
        ("juggling", 1, 1, "c", 1, None), ("peeling oranges", 3, 2, "c", 1, 2),
    ]  # fmt: skip
    assert summary.numbers["num_suggestions"] == 2


def test_an_answer_that_is_none_of_the_kinds_is_named(tmp_path: Path) -> None:
    fill(tmp_path, [CLIP], log((CLIP, "a", "done", None), (CLIP, "b", "yes", None)))
    run_consensus(tmp_path)
    assert reasons(tmp_path) == {"bad-answer": 1, "open": 1}


def test_a_revision_has_a_fate_of_its_own() -> None:
    votes = log(*[(CLIP, worker, "no", None) for worker in "abc"])
    revised = frame_of("votes", [Vote(vote_id=4, item_id=CLIP.item_id, worker_id="b", answer="yes", revision=1)])
    votes, gold, items = pl.concat([votes, revised]), empty_frame("gold"), frame_of("items", [CLIP])
    workers = worker_trust(votes, gold, trust=TrustRule())
    assert workers["num_votes"].to_list() == [1, 1, 1]
    fates = vote_fates(items, votes, gold, workers=workers)
    assert fates.select("answer", "fate").rows() == [
        ("no", "counted"), ("yes", "counted"), ("no", "counted"), ("yes", "revision"),
    ]  # fmt: skip
    assert item_verdicts(items, fates, gold)["verdict"].to_list() == ["open"]


def test_tables_of_rounds_before_are_not_left_stale(tmp_path: Path) -> None:
    fill(tmp_path, [FRAME], log(*[(FRAME, worker, "done", boxes(BOX)) for worker in "ab"]))
    run_consensus(tmp_path)
    assert len(read_table(tmp_path, "key_frame_boxes")) == 1
    fill(tmp_path, [CLIP], log((CLIP, "a", "yes", None)))
    run_consensus(tmp_path)
    assert not len(read_table(tmp_path, "key_frame_boxes"))


def test_another_rule_for_clips_makes_the_verdicts_anew(tmp_path: Path) -> None:
    fill(tmp_path, [CLIP], log((CLIP, "a", "yes", None), (CLIP, "b", "yes", None)))
    assert run_consensus(tmp_path).kept == 0
    assert run_consensus(tmp_path, clip_protocol=Protocol(max_votes=3, accept_yes=2, stop_at=2)).kept == 1
    for wrong in ((2, 3, 1), (3, 0, 1), (3, 2, 0)):
        rule = Protocol(max_votes=wrong[0], accept_yes=wrong[1], stop_at=wrong[2])
        with pytest.raises(BadInput, match="Want 1 <= accept_yes <= max_votes and 1 <= stop_at"):
            run_consensus(tmp_path, clip_protocol=rule)


def test_votes_follow_their_class(tmp_path: Path) -> None:
    old = Item(item_id="clip:c:2", kind="clip", clip_id="c", class_id=2)
    votes = log((old, "a", "yes", None), (old, "b", "yes", None), (CLIP, "b", "no", None), (CLIP, "d", "yes", None))
    fill(tmp_path, [CLIP], votes)
    merges = tmp_path / "synonyms.csv"
    merges.write_text("old,new\npeeling oranges,1\n")
    run_consensus(tmp_path, merges=merges)
    expected = [("c", 1, "accepted", 3, 0, 0, 0)]
    assert read_table(tmp_path, "clip_labels").rows() == expected
    edit = ClassEdit(
        edit_id=1, what="merge", old_class_id=2, old_name="peeling oranges", new_class_id=1, new_name="Peeling Apples"
    )
    assert run_consensus(tmp_path).rejected == {"open": 1, "unknown-item": 1}
    write_table(table_path(tmp_path, "class_edits"), "class_edits", frame_of("class_edits", [edit]), made_by=MADE)
    run_consensus(tmp_path)
    assert read_table(tmp_path, "clip_labels").rows() == expected


def test_votes_on_a_class_that_became_others_say_so(tmp_path: Path) -> None:
    old = Item(item_id="clip:c:2", kind="clip", clip_id="c", class_id=2)
    fill(tmp_path, [CLIP], log((old, "a", "yes", None), (old, "b", "yes", None), (CLIP, "a", "no", None)))
    names = {"old_class_id": 2, "old_name": "peeling oranges", "new_class_id": 3, "new_name": "zesting"}
    for what, reason in (("split", "class-edited"), ("branch", "unknown-item"), ("remove", "class-edited")):
        edit = ClassEdit(edit_id=1, what=what, clip_ids="[]", **{**names, "new_class_id": 2 if what == "remove" else 3})
        write_table(table_path(tmp_path, "class_edits"), "class_edits", frame_of("class_edits", [edit]), made_by=MADE)
        assert run_consensus(tmp_path).rejected == {"open": 1, reason: 1}


def test_an_edit_that_was_undone_counts_for_nothing(tmp_path: Path) -> None:
    old = Item(item_id="clip:c:2", kind="clip", clip_id="c", class_id=2)
    fill(tmp_path, [CLIP, old], log((old, "a", "yes", None), (old, "b", "yes", None), (CLIP, "a", "no", None)))
    names = {"old_class_id": 2, "old_name": "peeling oranges"}
    merge = ClassEdit(edit_id=1, what="merge", new_class_id=1, new_name="Peeling Apples", **names)
    undo = ClassEdit(edit_id=2, what="undo", new_class_id=2, new_name="peeling oranges", undoes_edit_id=1, **names)
    counted = []
    for journal in ([merge], [merge, undo]):
        frame = frame_of("class_edits", journal)
        write_table(table_path(tmp_path, "class_edits"), "class_edits", frame, made_by=MADE)
        run_consensus(tmp_path)
        counted.append(read_table(tmp_path, "clip_labels").select("class_id", "num_yes", "num_no").rows())
    # Worker a said no to the one and yes to the other: of two answers to what is one class, the first counts.
    assert counted == [[(1, 2, 0)], [(1, 0, 1), (2, 2, 0)]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from,to\n1,2\n", "columns from, to. Want the columns old,new"),
        ("old,new\n1,7\n", "merges.csv:2: no class '7'. Write its id or its name"),
        ("old,new\n1,2\n1,2\n", "merges.csv:3: class '1' is merged twice"),
        ("", "cannot be read as csv"),
    ],
)
def test_wrong_merges_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "merges.csv"
    file.write_text(text)
    classes = frame_of("label_map", [LabelClass(class_id=1, name="a"), LabelClass(class_id=2, name="b")])
    with pytest.raises((BadInput, BadRow), match=message):
        read_merges(file, classes)


def test_a_class_cannot_become_itself() -> None:
    with pytest.raises(BadInput, match="class 1 becomes itself by way of the merges"):
        resolved({1: 2, 2: 3, 3: 1})


def test_suggestions_need_the_names_of_classes(tmp_path: Path) -> None:
    fill(tmp_path, [ASKED], log((ASKED, "a", "done", {"text": "x"})))
    for path in tmp_path.glob("label_map*"):
        path.unlink()
    with pytest.raises(MissingTable, match="no table 'label_map'"):
        run_consensus(tmp_path)
