"""Mining with a classifier of frames: scores kept, positions chosen, clips around them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.mine.conftest import MADE, redness_and_blueness

from gesta.mine import (
    ClassifierSource,
    FrameClassifier,
    FrameSearch,
    classifier_of,
    columns_of,
    plan_mine,
    run_mine,
    score_video,
)
from gesta.schema import BadInput, GestaError, LabelClass, Query
from gesta.tables import frame_of, read_rejects, read_sidecar, read_table, table_path, write_table
from gesta.video import probe, read_frames

S = 1_000_000
COLUMNS = ("video_id", "class_id", "start_us", "end_us", "position_us")


def colours(name: str = "colours") -> ClassifierSource:
    return classifier_of(redness_and_blueness, class_names=("bow", "Waving_Hands"), name=name)


def search(**given: Any) -> FrameSearch:
    return FrameSearch(**{"classifier": colours(), "workers": 1, **given})


def mined(work: Path) -> list[tuple[Any, ...]]:
    joined = read_table(work, "candidates").join(read_table(work, "clips"), on="clip_id")
    return joined.select(*COLUMNS).sort("video_id", "class_id", "start_us").rows()


def actions(work: Path) -> Path:
    return work.parent / "actions.txt"


def test_clips_lie_around_the_strongest_frames(coloured: Path) -> None:
    summary = run_mine(coloured, actions=actions(coloured), search=search())
    assert summary.line == "mine: kept 4, rejected 0"
    assert mined(coloured) == [
        ("a", 1, 0, 8 * S, 3 * S),
        ("a", 1, 16 * S, 26 * S, 21 * S),
        # Grey frames are all alike: the earliest that is ten seconds off.
        ("b", 2, 0, 5 * S, 0),
        ("b", 2, 7 * S, 17 * S, 12 * S),
        ("c", 1, 0, 6 * S, 1 * S),
        ("c", 2, 0, 6 * S, 4 * S),
        # No classifier knows kicking: a window as without one.
        ("d", 3, 0, 4 * S, None),
    ]
    best = read_table(coloured, "candidates").filter(pl.col("position_us") == 21 * S).row(0, named=True)
    assert (best["source"], best["query"]) == ("title", "bow")
    assert best["score"] > 150
    assert summary.numbers["num_positions"] == 6
    assert summary.numbers["classes_without_positions"] == ["kicking"]


def test_scores_are_kept_and_not_made_again(coloured: Path) -> None:
    run_mine(coloured, actions=actions(coloured), search=search())
    scores = read_table(coloured, "frame_scores")
    assert scores.group_by("video_id", "class_id").len().sort("video_id", "class_id").rows() == [
        ("a", 1, 30), ("b", 2, 24), ("c", 1, 6), ("c", 2, 6),
    ]  # fmt: skip
    assert scores.filter(video_id="a")["timestamp_us"].to_list() == [k * S for k in range(30)]
    for name in "abcd":
        (coloured / "v" / f"{name}.mp4").unlink()
    run_mine(coloured, actions=actions(coloured), search=search(k=1), clip_s=4)
    assert mined(coloured)[:3] == [("a", 1, 19 * S, 23 * S, 21 * S), ("b", 2, 10 * S, 14 * S, 12 * S),
                                   ("c", 1, 0, 3 * S, S)]  # fmt: skip
    again = run_mine(coloured, actions=actions(coloured), search=search(k=1), clip_s=4)
    assert again.was_current
    assert again.numbers["num_positions"] == 4
    sidecar = read_sidecar(table_path(coloured, "frame_scores"))
    assert sidecar is not None
    assert sidecar["made_by"]["arguments"]["classifier"]["name"] == "colours"
    # Another classifier, rate or set of matched actions is looked at anew, and nothing can be read any more.
    done = run_mine(coloured, actions=actions(coloured), search=search(rate=2.0))
    assert done.line == "mine: kept 1, rejected 3 (missing 3)"


def test_any_number_of_workers_gives_the_same_table(coloured: Path) -> None:
    run_mine(coloured, actions=actions(coloured), search=search(rate=0))
    one = table_path(coloured, "frame_scores").read_bytes()
    assert len(read_table(coloured, "frame_scores").filter(video_id="c", class_id=1)) == 24
    table_path(coloured, "frame_scores").unlink()
    run_mine(coloured, actions=actions(coloured), search=search(rate=0, workers=2))
    assert table_path(coloured, "frame_scores").read_bytes() == one


def test_a_cut_run_goes_on_from_the_videos_that_were_done(coloured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def dies_at_the_third(frames_FHWC: np.ndarray) -> np.ndarray:
        seen.append(len(frames_FHWC))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return redness_and_blueness(frames_FHWC)

    monkeypatch.setattr("gesta.mine.frame_scores.VIDEOS_PER_SHARD", 1)
    source = classifier_of(dies_at_the_third, class_names=("bow", "Waving_Hands"), name="dies")
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run_mine(coloured, actions=actions(coloured), search=search(classifier=source))
    assert not table_path(coloured, "frame_scores").exists()
    run_mine(coloured, actions=actions(coloured), search=search(classifier=source), on_scored=done.append)
    assert sum(done) == 4
    # a, b, and c twice: the run that was cut had finished a and b.
    assert seen == [30, 24, 6, 6]
    assert not (coloured / "shards" / "frame-scores").exists()


def test_a_video_that_cannot_be_decoded_is_rejected_once(coloured: Path) -> None:
    (coloured / "v" / "b.mp4").write_bytes(b"no video")
    summary = run_mine(coloured, actions=actions(coloured), search=search())
    assert summary.kept == 3
    assert sum(summary.rejected.values()) == 1
    rejects = read_rejects(coloured).select("stage", "video_id", "path").rows()
    assert rejects == [("frame-scores", "b", "v/b.mp4")]
    assert "b" not in read_table(coloured, "clips")["video_id"]


def test_queries_in_other_languages_name_actions(coloured: Path) -> None:
    titles = {"a": "Como hacer una reverencia", "b": "faire coucou", "c": "bowing", "d": None}
    videos = read_table(coloured, "videos").with_columns(
        pl.col("video_id").replace_strict(titles, return_dtype=pl.String).alias("title")
    )
    write_table(table_path(coloured, "videos"), "videos", videos, made_by=MADE)
    queries = [
        Query(class_id=1, language="es", query="hacer reverencia", form="infinitive", source="user"),
        Query(class_id=2, language="fr", query="faire coucou", form="infinitive", source="user"),
        Query(class_id=1, language="en", query="bowing", form="gerund", source="user"),
    ]
    file = write_table(coloured.parent / "queries.csv", "queries", frame_of("queries", queries), made_by=MADE)
    summary = run_mine(coloured, actions=actions(coloured), queries=file)
    assert summary.line == "mine: kept 3, rejected 1 (title 1)"
    assert summary.numbers["num_candidates_of_language"] == {"en": 1, "es": 2, "fr": 2}
    rows = read_table(coloured, "candidates").select("source", "query", "language", "class_id").unique().sort("query")
    assert rows.rows() == [
        ("query", "bowing", "en", 1), ("query", "faire coucou", "fr", 2), ("query", "hacer reverencia", "es", 1),
    ]  # fmt: skip
    assert run_mine(coloured, actions=actions(coloured), queries=file).was_current
    assert not run_mine(coloured, actions=actions(coloured)).was_current
    run_mine(coloured, actions=actions(coloured), queries=file, search=search())
    assert ("a", 1, 16 * S, 26 * S, 21 * S) in mined(coloured)
    assert set(read_table(coloured, "candidates").filter(pl.col("position_us") == 21 * S)["language"]) == {"es"}
    other = [Query(class_id=77, language="es", query="x", form="name", source="user")]
    write_table(file, "queries", frame_of("queries", other), made_by=MADE)
    with pytest.raises(BadInput, match=r"queries\.csv: there is no query of a class of actions\.txt"):
        run_mine(coloured, actions=actions(coloured), queries=file)


def test_a_plan_says_how_many_frames_and_decodes_none(coloured: Path) -> None:
    for path in (coloured / "v").iterdir():
        path.unlink()
    plan = plan_mine(coloured, actions=actions(coloured), search=search(rate=0.5))
    assert (plan.kept, plan.numbers["num_videos_to_score"], plan.numbers["num_frames_to_score"]) == (4, 4, 32)
    assert not table_path(coloured, "frame_scores").exists()


def test_what_is_wrong_with_a_classifier_is_said(coloured: Path) -> None:
    def of(function: Any, *names: str) -> FrameSearch:
        return search(classifier=classifier_of(function, class_names=names, name="wrong"))

    with pytest.raises(BadInput, match=r"knows none of the 3 actions; it knows skiing, rowing, \.\.\."):
        run_mine(coloured, actions=actions(coloured), search=of(redness_and_blueness, "skiing", "rowing"))
    with pytest.raises(GestaError, match=r"scores of shape \[30, 2\] for 30 frames. Want \[30, 1\]"):
        run_mine(coloured, actions=actions(coloured), search=of(redness_and_blueness, "bowing"))
    with pytest.raises(GestaError, match=r"no finite number for the frame at 0\.000 s"):
        run_mine(
            coloured, actions=actions(coloured), search=of(lambda frames: np.full((len(frames), 1), np.nan), "bowing")
        )
    with pytest.raises(BadInput, match="--rate -1"):
        run_mine(coloured, actions=actions(coloured), search=search(rate=-1))
    with pytest.raises(BadInput, match="0 clips a video and action"):
        run_mine(coloured, actions=actions(coloured), search=search(k=0))
    with pytest.raises(BadInput, match="Want one name or more, each once"):
        classifier_of(redness_and_blueness, class_names=("a", "a"), name="twice")


def test_columns_are_found_by_the_same_words_in_any_form() -> None:
    names = ["climbing_tree", "tree climbing", "Playing Guitar", "catch ball"]
    wanted = [
        LabelClass(class_id=4, name="climb tree"),
        LabelClass(class_id=2, name="playing guitar"),
        LabelClass(class_id=9, name="catching or throwing balls"),
        LabelClass(class_id=5, name="tree climbing"),
        LabelClass(class_id=6, name="playing guitars loudly"),
    ]
    assert columns_of(names, classes=wanted) == {4: 0, 2: 2, 9: 3, 5: 1}


@pytest.mark.parametrize("name", ["archery.avi", "arm_wrestling.mp4", "asl/again.mkv"])
def test_real_videos_are_scored_at_the_frames_own_times(name: str, shared: Path) -> None:
    path = shared / "videos" / name
    facts = probe(path)
    end_us = facts.start_us + facts.duration_us

    def brightness(frames_FHWC: np.ndarray) -> np.ndarray:
        return frames_FHWC.mean(axis=(1, 2, 3), dtype=np.float64)[:, None].astype(np.float32)

    classifier = colours_of(brightness)
    times_us, scores = score_video(path, classifier, start_us=facts.start_us, end_us=end_us, rate=0)
    assert len(times_us) == facts.num_frames
    assert times_us == sorted(set(times_us))
    assert facts.start_us <= times_us[0] < times_us[-1] < end_us
    some_us, some = score_video(path, classifier, start_us=facts.start_us, end_us=end_us, rate=1.5)
    assert set(some_us) <= set(times_us)
    assert abs(len(some_us) - facts.duration_us / S * 1.5) <= 1
    np.testing.assert_array_equal(some[:, 0], scores[[times_us.index(each) for each in some_us], 0])
    exact = read_frames(path, some_us)
    np.testing.assert_array_equal(brightness(exact), some)


def colours_of(function: Any) -> FrameClassifier:
    return classifier_of(function, class_names=("bright",), name="brightness").open([])


def test_a_truncated_video_is_rejected_whole(shared: Path, coloured: Path) -> None:
    whole = (shared / "videos" / "arm_wrestling.mp4").read_bytes()
    (coloured / "v" / "a.mp4").write_bytes(whole[: len(whole) // 2])
    summary = run_mine(coloured, actions=actions(coloured), search=search())
    assert sum(summary.rejected.values()) == 1
    assert read_table(coloured, "frame_scores").filter(video_id="a").is_empty()


def test_sources_travel_to_workers_and_stay_equal() -> None:
    source = colours()
    there = pickle.loads(pickle.dumps(source))
    assert there.said == source.said
    assert there.open == source.open
