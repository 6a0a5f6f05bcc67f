"""What is asked: items of every kind from their tables, gold, and scores."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from gesta.label.items import build_items, import_gold, import_scores
from gesta.label.review_items import MAX_CLIPS_PER_PAGE
from gesta.schema import (
    BadInput,
    BadRow,
    Candidate,
    ClipKeyFrame,
    ClipLabel,
    ClipReview,
    ClipScore,
    Duplicate,
    FoldScore,
    Kept,
    KeyFrameBox,
    LabelClass,
    LabelIssue,
    MissingTable,
    Proposal,
    ProposedLabel,
    UnknownName,
)
from gesta.tables import read_rejects, read_table, sha256_of_file, table_path

from .conftest import WorkFolder, write

CORNERS = {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4}


def details(work: Path, kind: str) -> dict[str, dict]:
    rows = read_table(work, "items").filter(kind=kind).select("item_id", "detail").iter_rows()
    return {item_id: json.loads(text) for item_id, text in rows}


def label(clip_id: str, *, num_yes: int = 0, num_no: int = 0, num_unsure: int = 0, class_id: int = 1) -> ClipLabel:
    return ClipLabel(
        clip_id=clip_id, class_id=class_id, verdict="accepted" if num_yes > 2 else "rejected", num_yes=num_yes,
        num_no=num_no, num_unsure=num_unsure, num_broken=0,
    )  # fmt: skip


def alike(a: str, b: str, *, cluster: int = 0, cosine: float = 0.9) -> Duplicate:
    return Duplicate(clip_id_a=a, clip_id_b=b, cosine=cosine, num_inliers=9, cluster=cluster, kept_clip_id=a)


def test_every_candidate_is_a_clip_item_and_every_person_a_box_item(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2, num_classes=3, classes_per_clip=2, num_persons=2)
    items = read_table(work, "items")
    assert items.filter(kind="clip")["item_id"].to_list() == ["clip:c00:1", "clip:c00:2", "clip:c01:2", "clip:c01:3"]
    boxes = items.filter(kind="box", clip_id="c00")["item_id"].to_list()
    assert boxes == [f"box:c00:0001500000:{person}:{k}" for person in (0, 1) for k in (1, 2)]
    first = items.filter(item_id=boxes[0]).row(0, named=True)
    assert (first["x1"], first["x2"], first["person_id"], first["timestamp_us"]) == (0.2, 0.5, 0, 1_500_000)


def test_without_detection_there_are_clip_items_only(work_folder: WorkFolder) -> None:
    assert read_table(work_folder(), "items")["kind"].unique().to_list() == ["clip"]


def test_a_second_run_changes_nothing(work_folder: WorkFolder) -> None:
    work = work_folder(num_persons=1)
    before = sha256_of_file(table_path(work, "items"))
    again = build_items(work)
    assert again.was_current
    assert again.numbers == {"num_clip_items": 6, "num_box_items": 6}
    assert sha256_of_file(table_path(work, "items")) == before


def test_candidates_without_clip_or_class_are_rejected(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1)
    rows = [("c00", 1), ("gone", 1), ("c00", 99)]
    write(work, "candidates", [Candidate(clip_id=c, class_id=k, source="t", query="", score=1.0) for c, k in rows])
    summary = build_items(work)
    assert (summary.kept, summary.rejected) == (1, {"no-class": 1, "no-clip": 1})
    assert build_items(work).rejected == summary.rejected
    assert set(read_rejects(work)["reason"]) == {"no-clip", "no-class"}


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("clip", "mine"), ("suggestion", "consensus"), ("frame", "detect"), ("person", "detect"), ("box", "mine"),
        ("cluster", "curate"), ("class", "consensus"),
    ],
)  # fmt: skip
def test_it_says_which_verb_is_missing(tmp_path: Path, kind: str, verb: str) -> None:
    if kind == "box":
        write(tmp_path, "label_map", [])
    with pytest.raises(MissingTable, match=f"Run `gesta {verb}` first"):
        build_items(tmp_path, kinds=[kind])


def test_kinds_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no kind of item 'track'"):
        build_items(tmp_path, kinds=["track"])
    with pytest.raises(BadInput, match="no kind of item is named"):
        build_items(tmp_path, kinds=[])


def test_a_round_leaves_the_items_of_other_kinds(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    write(work, "clip_labels", [label("c00", num_no=3), label("c01", num_yes=3)])
    summary = build_items(work, kinds=["suggestion"])
    assert summary.numbers == {"num_clip_items": 2, "num_box_items": 0, "num_suggestion_items": 1}
    assert build_items(work, kinds=["suggestion"]).was_current
    write(work, "clip_labels", [label("c00", num_yes=3), label("c01", num_yes=3)])
    assert build_items(work, kinds=["suggestion"]).numbers == {"num_clip_items": 2, "num_box_items": 0}


def test_a_suggestion_is_asked_where_more_than_half_said_no(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1)
    cast = {"a": (0, 3, 0), "b": (0, 2, 3), "c": (1, 3, 1), "d": (4, 0, 0), "e": (0, 0, 0), "f": (2, 3, 1)}
    write(work, "clip_labels", [label(c, num_yes=y, num_no=n, num_unsure=u) for c, (y, n, u) in cast.items()])
    build_items(work, kinds=["suggestion"])
    found = read_table(work, "items").filter(kind="suggestion")
    assert found["item_id"].to_list() == ["suggestion:a:1", "suggestion:c:1"]
    assert found["class_id"].to_list() == [1, 1]


def test_a_frame_shows_the_detectors_boxes_surest_first(tmp_path: Path) -> None:
    frames = [ClipKeyFrame(clip_id=c, video_id="v", timestamp_us=5, score=0.9, num_boxes=1) for c in "ab"]
    write(tmp_path, "key_frames", frames)
    found = [("a", 5, 0.5), ("a", 5, 0.8), ("a", 6, 0.9)]
    write(
        tmp_path,
        "boxes",
        [
            Proposal(clip_id=c, video_id="v", timestamp_us=t, score=s, **CORNERS | {"x2": 0.3 + s / 10})
            for c, t, s in found
        ],
    )
    build_items(tmp_path, kinds=["frame"])
    shown = details(tmp_path, "frame")
    assert [box["score"] for box in shown["frame:a:0000000005"]["boxes"]] == [0.8, 0.5]
    assert set(shown["frame:a:0000000005"]["boxes"][0]) == {"x1", "y1", "x2", "y2", "score"}
    assert shown["frame:b:0000000005"] == {"boxes": []}


def test_persons_are_the_verified_ones_before_the_tracked_ones(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1, num_persons=2)
    build_items(work, kinds=["person"])
    persons = read_table(work, "items").filter(kind="person")
    assert persons["item_id"].to_list() == ["person:c00:0001500000:0", "person:c00:0001500000:1"]
    verified = KeyFrameBox(
        clip_id="c00", video_id="vc00", timestamp_us=1_500_000, person_id=0, num_workers=2, num_agree=2,
        origin="drawn", **CORNERS,
    )  # fmt: skip
    write(work, "key_frame_boxes", [verified])
    build_items(work, kinds=["person"])
    person = read_table(work, "items").filter(kind="person").row(0, named=True)
    assert [person[name] for name in CORNERS] == list(CORNERS.values())
    assert person["class_id"] is None


def proposed(class_id: int) -> ProposedLabel:
    return ProposedLabel(
        clip_id="c00", video_id="vc00", timestamp_us=1_500_000, person_id=0, class_id=class_id, num_proposed=2,
        num_raters=3, **CORNERS,
    )  # fmt: skip


def test_boxes_are_asked_for_what_raters_proposed(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1, num_persons=2)
    write(work, "proposed_labels", [proposed(12), proposed(17)])
    write(work, "label_map", [LabelClass(class_id=12, name="stand")])
    with pytest.raises(BadInput, match=r"class 17, AVA's 'carry/hold .*', which is missing in `label_map`"):
        build_items(work, kinds=["box"])
    write(work, "label_map", [LabelClass(class_id=12, name="stand"), LabelClass(class_id=17, name="archery")])
    with pytest.raises(BadInput, match=r"AVA's 'carry/hold .*', which is 'archery' in `label_map`"):
        build_items(work, kinds=["box"])
    write(work, "proposed_labels", [proposed(12)])
    build_items(work, kinds=["box"])
    assert details(work, "box") == {"box:c00:0001500000:0:12": {"num_proposed": 2, "num_raters": 3}}


def test_a_cluster_shows_look_alikes_side_by_side(tmp_path: Path) -> None:
    write(tmp_path, "duplicates", [alike("a", "b", cosine=0.7), alike("a", "c"), alike("x", "y", cluster=1)])
    build_items(tmp_path, kinds=["cluster"])
    shown = {tuple(d["clips"]): d for d in details(tmp_path, "cluster").values()}
    assert set(shown) == {("a", "c", "b"), ("x", "y")}
    assert shown["a", "c", "b"]["similarity"] == [[0, 1, 0.9], [0, 2, 0.7]]
    ids = set(details(tmp_path, "cluster"))
    write(tmp_path, "duplicates", [alike("a", "b"), alike("x", "y", cluster=1)])
    build_items(tmp_path, kinds=["cluster"])
    assert len(ids & set(details(tmp_path, "cluster"))) == 1, "other clips are another question"


def test_a_large_cluster_is_cut_evenly(tmp_path: Path) -> None:
    ids = [f"c{n:03d}" for n in range(2 * MAX_CLIPS_PER_PAGE + 2)]
    write(tmp_path, "duplicates", [alike(a, b) for a, b in itertools.pairwise(ids)])
    build_items(tmp_path, kinds=["cluster"])
    sizes = sorted(len(detail["clips"]) for detail in details(tmp_path, "cluster").values())
    assert sizes == [32, 33, 33]


def test_a_class_is_ranked_and_look_alikes_stand_together(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=4)
    write(work, "clip_labels", [label(c, num_yes=3, num_no=n) for n, c in enumerate(("c00", "c01", "c02"))])
    build_items(work, kinds=["class"])
    (by_share,) = details(work, "class").values()
    assert [(clip["clip_id"], clip["score"]) for clip in by_share["clips"]] == [
        ("c00", 1.0), ("c01", 0.75), ("c02", 0.6),
    ]  # fmt: skip
    write(work, "kept", [Kept(clip_id=f"c0{n}", video_id="v", class_id=1) for n in range(4)])
    scores = [ClipScore(clip_id=f"c0{n}", class_id=1, score=s) for n, s in enumerate((0.1, 0.9, 0.5))]
    write(work, "clip_scores", scores)
    write(work, "duplicates", [alike("c00", "c01")])
    build_items(work, kinds=["class"])
    (page,) = details(work, "class").values()
    assert page["page"] == 1
    assert [(clip["clip_id"], clip["score"], clip["near"]) for clip in page["clips"]] == [
        ("c01", 0.9, None), ("c00", 0.1, 0), ("c02", 0.5, None), ("c03", None, None),
    ]  # fmt: skip


def test_scores_of_classifiers_that_never_saw_a_clip_rank_where_nobody_gave_others(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=4, num_classes=2)
    write(work, "clip_labels", [label(f"c0{n}", num_yes=3, num_no=n) for n in range(4)])
    scores = [FoldScore(clip_id=f"c0{n}", class_id=1, score=s, fold=0) for n, s in enumerate((0.2, 0.9, 0.1, 0.7))]
    write(work, "fold_scores", [*scores, FoldScore(clip_id="c00", class_id=2, score=0.8, fold=0)])
    issue = LabelIssue(
        clip_id="c02", class_id=1, rank=1, score=0.1, suggested_class_id=2, suggested_score=0.9, rule="both"
    )
    write(work, "label_issues", [issue])
    build_items(work, kinds=["class"])
    (page,) = details(work, "class").values()
    assert [clip["clip_id"] for clip in page["clips"]] == ["c01", "c03", "c00", "c02"]
    assert [clip.get("suggested") for clip in page["clips"]] == [None, None, None, "action 2"]
    # Of four clips the least sure third is two, rounded up.
    build_items(work, kinds=["class"], lowest_frac=1 / 3)
    (page,) = details(work, "class").values()
    assert [clip["clip_id"] for clip in page["clips"]] == ["c00", "c02"]
    with pytest.raises(BadInput, match=r"lowest_frac=0\. Want more than 0"):
        build_items(work, kinds=["class"], lowest_frac=0)
    write(work, "clip_scores", [ClipScore(clip_id="c02", class_id=1, score=5.0)])
    build_items(work, kinds=["class"])
    (page,) = details(work, "class").values()
    assert page["clips"][0]["clip_id"] == "c02"


def test_pages_hold_no_more_than_can_be_seen_and_part_no_look_alikes(tmp_path: Path) -> None:
    ids = [f"c{n:03d}" for n in range(MAX_CLIPS_PER_PAGE + 1)]
    write(tmp_path, "label_map", [LabelClass(class_id=1, name="a")])
    write(tmp_path, "clip_labels", [label(clip_id, num_yes=3) for clip_id in ids])
    scores = [ClipScore(clip_id=c, class_id=1, score=100.0 - n) for n, c in enumerate(ids)]
    write(tmp_path, "clip_scores", scores)
    # The last clip of the first page and the one after it look alike.
    write(tmp_path, "duplicates", [alike(ids[-2], ids[-1])])
    build_items(tmp_path, kinds=["class"])
    pages = {detail["page"]: detail["clips"] for detail in details(tmp_path, "class").values()}
    assert [clip["clip_id"] for clip in pages[1]] == ids[:-2]
    assert [(clip["clip_id"], clip["near"]) for clip in pages[2]] == [(ids[-2], None), (ids[-1], 0)]


def test_what_was_reviewed_stays_and_is_not_asked_again(tmp_path: Path) -> None:
    write(tmp_path, "label_map", [LabelClass(class_id=1, name="a")])
    write(tmp_path, "clip_labels", [label(clip_id, num_yes=3) for clip_id in "ab"])
    write(tmp_path, "duplicates", [alike("a", "b")])
    build_items(tmp_path, kinds=["class", "cluster"])
    first = details(tmp_path, "class") | details(tmp_path, "cluster")
    reviews = [
        ClipReview(
            item_id=item_id, clip_id=clip_id, kind=kind, class_id=class_id, is_kept=True, num_workers=1, num_keep=1
        )
        for item_id, kind, class_id in read_table(tmp_path, "items").select("item_id", "kind", "class_id").iter_rows()
        for clip_id in "ab"
    ]
    write(tmp_path, "reviews", reviews)
    build_items(tmp_path, kinds=["class", "cluster"])
    assert details(tmp_path, "class") | details(tmp_path, "cluster") == first
    write(tmp_path, "clip_labels", [label(clip_id, num_yes=3) for clip_id in "abc"])
    write(tmp_path, "duplicates", [alike("x", "y")])
    build_items(tmp_path, kinds=["class", "cluster"])
    then = details(tmp_path, "class") | details(tmp_path, "cluster")
    assert first.items() <= then.items()
    new = [then[item_id]["clips"] for item_id in then if item_id not in first]
    assert new == [[{"clip_id": "c", "score": 1.0, "near": None}], ["x", "y"]]


def test_scores_become_a_table(work_folder: WorkFolder, tmp_path: Path) -> None:
    work, file = work_folder(num_clips=1), tmp_path / "scores.csv"
    file.write_text("clip_id,class_id,score\nc00,1,0.5\nc99,1,0.5\nc00,9,0.5\n")
    summary = import_scores(work, scores=file)
    assert (summary.kept, summary.rejected) == (1, {"no-class": 1, "no-clip": 1})
    file.write_text("clip_id,class_id,score\nc00,1,nan\n")
    with pytest.raises(BadInput, match="the score in row 0 is no finite number"):
        import_scores(work, scores=file)


def test_gold_becomes_a_table(work_folder: WorkFolder, tmp_path: Path) -> None:
    work = work_folder(num_clips=2)
    file = tmp_path / "gold.csv"
    file.write_text("item_id,answer\nclip:c00:1,yes\nclip:nowhere:1,no\n")
    summary = import_gold(work, gold=file)
    assert (summary.kept, summary.rejected) == (1, {"no-item": 1})
    assert read_table(work, "gold").rows() == [("clip:c00:1", "yes", None)]


def test_gold_of_other_kinds_has_a_detail(work_folder: WorkFolder, tmp_path: Path) -> None:
    work = work_folder(num_clips=2, num_persons=1)
    build_items(work, kinds=["person"])
    file = tmp_path / "gold.csv"
    text = 'item_id,answer,detail\nperson:c00:0001500000:0,done,"{""class_ids"": [17, 12]}"\n'
    file.write_text(text + "person:c01:0001500000:0,broken,\n")
    import_gold(work, gold=file)
    assert read_table(work, "gold")["detail"].to_list() == ['{"class_ids":[12,17]}', None]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("clip:c01:2,perhaps,", "gold.csv:3: 'perhaps' is no answer. Want one of yes, no"),
        ("clip:gone:2,perhaps,", "gold.csv:3: 'perhaps' is no answer. Want one of broken, done"),
        ("clip:c00:1,no,", "gold.csv:3: .* is there twice"),
        ("person:c00:0001500000:0,yes,", "gold.csv:3: 'yes' is no answer. Want one of done"),
        ('person:c00:0001500000:0,done,"{""class_ids"":[17]}"', "gold.csv:3: 0 poses"),
        ("person:c00:0001500000:0,done,{", "gold.csv:3: the detail is no JSON"),
        ("person:c00:0001500000:0,broken,{}", "gold.csv:3: 'broken' has no known detail"),
    ],
)
def test_wrong_gold_names_the_line(work_folder: WorkFolder, tmp_path: Path, line: str, message: str) -> None:
    work, file = work_folder(num_persons=1), tmp_path / "gold.csv"
    build_items(work, kinds=["person"])
    file.write_text(f"item_id,answer,detail\nclip:c00:1,yes,\n{line}\n")
    with pytest.raises(BadRow, match=message):
        import_gold(work, gold=file)
