"""Scores against truth: labels and duplicates; on tables written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.schema import Clip, ClipLabel, Duplicate, Gold, Item, LabelClass, TruthAction, TruthBox, TruthVideo
from gesta.tables import empty_frame, frame_of, made_by, table_path, write_table
from gesta.world import footage_of, score_clip_labels, score_copies, score_duplicates

LABELS = frame_of("label_map", [LabelClass(class_id=1, name="clapping")])
VIDEOS = [
    TruthVideo(video_id="a", path="videos/a.mp4", kind="original", title="t"),
    TruthVideo(video_id="b", path="videos/b.mp4", kind="original", title="t"),
    TruthVideo(video_id="c", path="videos/c.mp4", kind="original", title="t"),
    TruthVideo(video_id="a1", path="p", kind="duplicate", title="t", source_video_id="a", damage="flipped"),
    TruthVideo(video_id="a2", path="p", kind="duplicate", title="t", source_video_id="a", damage="cropped"),
    TruthVideo(video_id="bc", path="p", kind="duplicate", title="t", source_video_id="b", damage="compilation of b c"),
]
CLIPS = frame_of("clips", [Clip(clip_id=f"{v.video_id}_", video_id=v.video_id, start_us=0, end_us=5) for v in VIDEOS])


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    provenance = made_by("world", arguments={}, inputs={})
    boxes = [TruthBox(video_id=v.video_id, person_id=0, timestamp_us=0, x1=0.1, y1=0.1, x2=0.2, y2=0.9) for v in VIDEOS]
    acts = [TruthAction(video_id=v, person_id=0, action="clapping", start_us=0, end_us=5) for v in ("a", "b", "a1")]
    for table, rows in (("truth_boxes", boxes), ("truth_actions", acts), ("truth_videos", VIDEOS)):
        write_table(table_path(tmp_path, table), table, frame_of(table, rows), made_by=provenance)
    return tmp_path


def label(video_id: str, verdict: str) -> ClipLabel:
    return ClipLabel(
        clip_id=f"{video_id}_", class_id=1, verdict=verdict, num_yes=0, num_no=0, num_unsure=0, num_broken=0
    )


def test_labels_are_scored_without_gold(truth: Path):
    items = [Item(item_id=f"i-{v.video_id}", kind="clip", clip_id=f"{v.video_id}_", class_id=1) for v in VIDEOS]
    labels = [label("a", "accepted"), label("b", "rejected"), label("c", "accepted"), label("a1", "accepted"),
              label("a2", "open"), label("bc", "rejected")]  # fmt: skip
    score = score_clip_labels(
        truth, clip_labels=frame_of("clip_labels", labels), items=frame_of("items", items), clips=CLIPS,
        label_map=LABELS, gold=frame_of("gold", [Gold(item_id="i-a1", answer="yes")]),
    )  # fmt: skip
    assert (score.num_asked, score.num_true, score.num_accepted, score.num_right) == (5, 2, 2, 1)
    assert (score.precision, score.recall) == (0.5, 0.5)
    assert score.as_json()["recall"] == 0.5


def test_nothing_accepted_has_no_precision(truth: Path):
    score = score_clip_labels(
        truth, clip_labels=empty_frame("clip_labels"), items=empty_frame("items"), clips=CLIPS, label_map=LABELS,
        gold=empty_frame("gold"),
    )  # fmt: skip
    assert score.precision is None
    assert score.recall is None


def pair(a: str, b: str, cluster: int) -> Duplicate:
    one, other = sorted((f"{a}_", f"{b}_"))
    return Duplicate(clip_id_a=one, clip_id_b=other, cosine=1, num_inliers=9, cluster=cluster, kept_clip_id=one)


def scored(truth: Path, *pairs: Duplicate):
    return score_duplicates(truth, duplicates=frame_of("duplicates", pairs), clips=CLIPS)


def test_a_compilation_shares_footage_with_all_its_parts(truth: Path):
    assert footage_of(frame_of("truth_videos", VIDEOS))["bc"] == {"b", "c"}
    score = scored(truth, pair("b", "bc", 0), pair("bc", "c", 1))
    assert (score.num_found, score.num_planted, score.num_false_merges) == (1, 3, 0)
    assert score.missed == ("a1", "a2")


def test_two_copies_of_one_source_find_each_other(truth: Path):
    score = scored(truth, pair("a1", "a2", 0))
    assert (score.num_found, score.num_false_merges) == (2, 0)


def test_a_cluster_joins_what_its_pairs_only_chain(truth: Path):
    score = scored(truth, pair("b", "bc", 0), pair("bc", "c", 0))
    assert score.false_merges == (("b", "c"),), "b and c share nothing; one of them would be lost"
    assert score.as_json()["false_merges"] == 1


def test_only_the_other_part_is_not_the_duplicate(truth: Path):
    assert scored(truth, pair("bc", "c", 0)).num_found == 0


def test_no_pairs_find_nothing(truth: Path):
    score = score_duplicates(truth, duplicates=empty_frame("duplicates"), clips=CLIPS)
    assert (score.num_found, score.num_planted, score.num_false_merges) == (0, 3, 0)


def test_each_kind_of_copy_is_scored(truth: Path):
    pairs = [pair("a", "a1", 0), pair("bc", "b", 1), pair("a2", "c", 2), pair("b", "c", 3)]
    scores = score_copies(truth, duplicates=frame_of("duplicates", pairs), clips=CLIPS)
    said = {score.kind: (score.num_planted, score.num_found, score.precision, score.recall) for score in scores}
    assert said == {
        "compilation": (1, 1, 1.0, 1.0), "cropped": (1, 0, 0.0, 0.0), "flipped": (1, 1, 1.0, 1.0),
        "none": (0, 0, 0.0, None),
    }  # fmt: skip
    assert scores[-1].as_json()["num_wrong_pairs"] == 1
    nothing = score_copies(truth, duplicates=empty_frame("duplicates"), clips=CLIPS)
    assert {score.precision for score in nothing} == {None}


def test_a_pair_of_two_kinds_counts_for_both(truth: Path):
    scores = score_copies(truth, duplicates=frame_of("duplicates", [pair("a1", "a2", 0)]), clips=CLIPS)
    assert [(score.kind, score.num_right_pairs) for score in scores if score.num_right_pairs] == [
        ("cropped", 1), ("flipped", 1),
    ]  # fmt: skip
