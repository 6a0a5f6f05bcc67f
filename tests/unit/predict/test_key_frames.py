import shutil

import numpy as np
import polars as pl
import pytest
import torch

from gesta.predict import clip_scores, run_score, score_key_frames
from gesta.predict.key_frames import score_persons
from gesta.schema import BadInput, BadVideo, Detection, LabelClass, UnknownName
from gesta.tables import frame_of, made_by, read_rejects, table_path, write_table
from gesta.train import load_checkpoint, model_of


def test_every_labelled_clip_learnt_by_heart_is_named_rightly(checkpoint, release):
    labels = pl.read_parquet(table_path(release, "box_labels"))
    scores = score_key_frames(checkpoint, release=release, split="train", device="cpu", threads=1)
    best = clip_scores(scores).sort("score", descending=True).unique("video_id", keep="first")
    truth = dict(labels.select("video_id", "class_id").iter_rows())
    assert len(best) == 8
    assert all(truth[row["video_id"]] == row["class_id"] for row in best.iter_rows(named=True))


def test_one_row_a_person_and_class_whatever_the_detectors_confidence(checkpoint, release):
    detected = score_key_frames(checkpoint, release=release, split="test", device="cpu")
    labelled = score_key_frames(checkpoint, release=release, split="test", persons="labelled", device="cpu")
    assert len(detected) == len(labelled) == 2 * 2
    assert set(detected["class_id"]) == {3, 7}
    assert np.allclose(detected["score"], labelled["score"], atol=2e-6)
    assert score_key_frames(checkpoint, release=release, split="test", device="cpu").equals(detected)


def test_a_bystander_is_scored_too(checkpoint, release):
    scores = score_key_frames(checkpoint, release=release, split="train", device="cpu")
    assert len(scores.filter(pl.col("video_id") == "-v0")) == 2 * 2


def test_a_video_that_cannot_be_read_stops_it_or_is_handed_over(checkpoint, release, tmp_path):
    shutil.copytree(release.parents[1], tmp_path, dirs_exist_ok=True)
    copy = tmp_path / "releases/1.0.0"
    (tmp_path / "videos/-v9.mp4").unlink()
    with pytest.raises(BadVideo, match=r"-v9\.mp4: the video is not there"):
        score_key_frames(checkpoint, release=copy, split="test", device="cpu")
    summary = run_score(checkpoint, release=copy, out=tmp_path / "out", split="test", device="cpu")
    assert summary.line == "predict: kept 1, rejected 1 (missing 1)"
    assert read_rejects(tmp_path / "out")["video_id"].to_list() == ["-v9"]
    again = run_score(checkpoint, release=copy, out=tmp_path / "out", split="test", device="cpu")
    assert again.was_current
    assert again.rejected == summary.rejected


def test_mirrored_clips_give_the_same_scores(checkpoint):
    loaded = load_checkpoint(checkpoint)
    model = model_of(loaded)
    frames = np.random.default_rng(0).integers(0, 255, (8, 48, 48, 3), dtype=np.uint8)
    boxes, mirrored = np.array([[0.1, 0.2, 0.6, 0.9]]), np.array([[0.4, 0.2, 0.9, 0.9]])
    plain, turned = score_persons(
        model, [(frames, boxes), (frames[:, :, ::-1].copy(), mirrored)], recipe=loaded.recipe, device="cpu"
    )
    assert np.allclose(plain, turned, atol=1e-5)


def test_a_label_map_without_the_models_classes_is_refused(checkpoint, release, tmp_path):
    shutil.copytree(release, tmp_path / "r")
    made = made_by("release", arguments={}, inputs={})
    rows = [LabelClass(class_id=3, name="move sideways")]
    write_table(table_path(tmp_path / "r", "label_map"), "label_map", frame_of("label_map", rows), made_by=made)
    with pytest.raises(BadInput, match="7 'move up and down'"):
        score_key_frames(checkpoint, release=tmp_path / "r", device="cpu")
    with pytest.raises(UnknownName, match="no split 'dev'"):
        score_key_frames(checkpoint, release=release, split="dev", device="cpu")


def test_a_clip_shows_what_somebody_in_it_does():
    def row(person: float, class_id: int, score: float) -> Detection:
        return Detection(
            video_id="v", timestamp_us=1, x1=person, y1=0.0, x2=person + 0.1, y2=1.0, class_id=class_id, score=score
        )

    frame = frame_of("detections", [row(0.1, 2, 0.5), row(0.5, 2, 0.7), row(0.1, 1, 0.6)])
    assert clip_scores(frame)["score"].to_list() == [0.6, 0.7]


def test_threads_are_put_back(checkpoint, release):
    score_key_frames(checkpoint, release=release, split="test", device="cpu", threads=2)
    assert torch.get_num_threads() == 1
