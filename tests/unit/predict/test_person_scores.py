"""Scores of persons: who is scored, in which order, what the floor and the mirror do, and that nobody is made up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tests.unit.predict.coloured_persons import LEFT, RIGHT, ColourModel, Seen, part_of

from gesta.evaluate import frame_map
from gesta.predict.person_scores import (
    batches_of,
    detections_of,
    iter_person_scores,
    mirrored,
    numbers_with_boxes,
    score_person_set,
    truth_of,
)
from gesta.schema import BadInput, GestaError, UnknownName
from gesta.train.persons import PersonBoxes, read_ava_persons

FILMS = {
    "a": {"left": "red", "right": "green"}, "b": {"left": "green"}, "empty": {}, "c": {"right": "red"},
    "wide": {"left": "green", "right": "blue"},
}  # fmt: skip


@pytest.fixture(scope="module")
def persons(tmp_path_factory):
    home = tmp_path_factory.mktemp("persons")
    return read_ava_persons([part_of(home, "ava", FILMS, wrong=("empty", "b"), sizes={"wide": (96, 48)})])[0]


def test_every_annotated_person_is_scored_in_the_sets_order(persons):
    done = []
    frame, rejects = score_person_set(
        ColourModel(), persons, recipe=Seen(), least_score=0.0, on_key_frames=done.append
    )  # fmt: skip
    assert rejects == []
    assert len(frame) == 2 * persons.num_persons == 12
    assert frame["video_id"].unique(maintain_order=True).to_list() == ["a", "b", "c", "wide"]
    assert sum(done) == 4, "key-frames without an annotated person are not decoded"
    left = frame.filter(video_id="a", x1=LEFT[0])
    assert dict(left.select("class_id", "score").iter_rows())[1] > 0.9 > 0.5 > left["score"].min()
    assert frame_map(truth_of(persons), frame, class_ids=[1, 2]).mean_ap == 1.0


def test_a_detection_on_a_key_frame_without_people_counts(persons):
    """The defect of others: such key-frames are not run, or what is found on them is not counted."""
    frame, _ = score_person_set(ColourModel(), persons, recipe=Seen(), boxes="proposals", least_score=0.0)
    assert "empty" in set(frame["video_id"]), "the detector's person there is scored"
    truth = truth_of(persons)
    assert len(truth.filter(pl.col("class_id").is_null() & (pl.col("video_id") == "empty"))) == 1
    # The grey proposal's scores lie below those of the right colours: to cost, they must be among the high ones.
    sure = frame.with_columns(
        score=pl.when(pl.col("video_id") == "empty").then(pl.lit(0.9999)).otherwise(pl.col("score") * 0.99)
    )
    whole = frame_map(truth, sure, class_ids=[1, 2])
    without = frame_map(truth, sure.filter(pl.col("video_id") != "empty"), class_ids=[1, 2])
    dropped = truth.filter(pl.col("video_id") != "empty")
    ignored = frame_map(dropped, sure, class_ids=[1, 2])
    assert without.mean_ap == ignored.mean_ap == 1.0
    # Three right ones of class 1 behind one wrong one have precision 1/2, 2/3 and 3/4, the envelope of which is 3/4
    # throughout; four of class 2 have 4/5.
    assert whole.average_precision.tolist() == pytest.approx([0.75, 0.8])


def test_a_set_without_proposals_has_nobody_to_score(tmp_path: Path):
    persons, _ = read_ava_persons([part_of(tmp_path, "ava", FILMS, proposals=False)])
    assert numbers_with_boxes(persons, boxes="proposals", rules=PersonBoxes()) == []
    frame, _ = score_person_set(ColourModel(), persons, recipe=Seen(), boxes="proposals")
    assert frame.is_empty()
    assert frame.columns == ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "score"]


def test_the_floor_leaves_rows_out_and_changes_no_other(persons):
    whole, _ = score_person_set(ColourModel(), persons, recipe=Seen(), least_score=0.0)
    high, _ = score_person_set(ColourModel(), persons, recipe=Seen(), least_score=0.5)
    assert 0 < len(high) < len(whole)
    assert high.equals(whole.filter(pl.col("score") >= 0.5))


def test_batches_change_nothing(persons):
    numbers = numbers_with_boxes(persons, boxes="truth", rules=PersonBoxes())
    found = []
    for size in (1, 3, 8):
        parts = list(
            iter_person_scores(ColourModel(), persons, recipe=Seen(), batches=batches_of(numbers, size=size))
        )  # fmt: skip
        assert sum(part.num_wanted for part in parts) == len(numbers)
        assert len(parts) == len(batches_of(numbers, size=size))
        found.append(pl.concat([detections_of(part, persons, class_ids=[1, 2], least_score=0) for part in parts]))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_the_mean_with_the_mirror_image_is_that_of_both(persons):
    class Left(torch.nn.Module):
        def forward(self, clip_BCTHW, boxes_N5):
            return boxes_N5[:, 1:2].expand(-1, 2) * 3

    plain, _ = score_person_set(Left(), persons, recipe=Seen(), least_score=0)
    both, _ = score_person_set(Left(), persons, recipe=Seen(), least_score=0, flip=True)
    sigmoid = lambda x: 1 / (1 + np.exp(-3 * np.asarray(x)))  # noqa: E731 - one formula
    assert np.allclose(plain["score"], sigmoid(plain["x1"]), atol=1e-6)
    assert np.allclose(both["score"], (sigmoid(plain["x1"]) + sigmoid(1 - plain["x2"])) / 2, atol=1e-6)
    boxes_N5 = torch.tensor([[0, *LEFT], [1, *RIGHT]])
    assert torch.allclose(mirrored(mirrored(boxes_N5)), boxes_N5)


def test_key_frames_that_cannot_be_read_are_rejects_and_the_others_are_scored(persons, tmp_path: Path):
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    examples = [
        dataclasses.replace(one, path=tmp_path / "broken.mp4") if one.video_id in ("a", "b") else one
        for one in persons.examples
    ]
    broken = dataclasses.replace(persons, examples=tuple(examples))
    parts = []
    for size in (1, 8):
        done = []
        numbers = numbers_with_boxes(broken, boxes="truth", rules=PersonBoxes())
        parts = list(iter_person_scores(ColourModel(), broken, recipe=Seen(), batches=batches_of(numbers, size=size)))
        done = [part.num_wanted for part in parts]
        assert sum(done) == 4
        assert sorted(reject.video_id for part in parts for reject in part.rejects) == ["a", "b"]
    frame, rejects = score_person_set(ColourModel(), broken, recipe=Seen(), least_score=0)
    assert {reject.stage for reject in rejects} == {"score"}
    assert set(frame["video_id"]) == {"c", "wide"}


def test_what_cannot_be_scored_is_said(persons):
    class Broken(torch.nn.Module):
        def forward(self, clip_BCTHW, boxes_N5):
            return torch.full((len(boxes_N5), 2), float("nan"))

    with pytest.raises(GestaError, match="no finite number"):
        score_person_set(Broken(), persons, recipe=Seen())
    with pytest.raises(UnknownName, match="no choice of boxes 'all'"):
        score_person_set(ColourModel(), persons, recipe=Seen(), boxes="all")
    with pytest.raises(BadInput, match="3 class ids for a model of 2 outputs"):
        score_person_set(ColourModel(), persons, recipe=Seen(), class_ids=[1, 2, 3])


def test_truth_names_every_key_frame_and_every_label(persons):
    truth = truth_of(persons)
    assert truth.filter(pl.col("class_id").is_null())["video_id"].to_list() == list(FILMS)
    assert truth.filter(pl.col("class_id").is_not_null()).select("video_id", "class_id").rows() == [
        ("a", 1), ("a", 2), ("b", 2), ("c", 1), ("wide", 2), ("wide", 1), ("wide", 2),
    ]  # fmt: skip
