"""`run_score_clips`: files that evaluation reads, a run that goes on where it was cut, what it refuses."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import polars as pl
import pytest

from gesta.evaluate.classification import score_clips as measures
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
from gesta.formats import read_label_map
from gesta.models import build_model
from gesta.predict import score_stage
from gesta.predict.clip_test import score_clips
from gesta.predict.score_stage import run_score_clips, score_frame
from gesta.schema import BadInput, Reject, UnknownName
from gesta.tables import read_rejects
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.checkpoints import ClipCheckpoint, clip_model_of, load_clip_checkpoint, save_clip_checkpoint
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe, ClipTest
from gesta.train.clips.sets import ClipExample, clip_set

CLASSES = {2: "sit", 5: "stand", 9: 'say "hm"'}
RECIPE = ClipRecipe(
    name="small", model="frame_r18_small", frames=ClipFrames(num_frames=4, side_px=36, side="short", crop_px=32),
    augment=ClipAugment(), epochs=1, clips_per_batch=2, base_lr=0.1, precision="float32",
    test=ClipTest(num_segments=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(3)
        weights = build_model(RECIPE.model, num_classes=3).state_dict()
    return save_clip_checkpoint(
        tmp_path_factory.mktemp("model") / "model.pt",
        ClipCheckpoint(
            weights=weights, class_ids=tuple(CLASSES), class_names=tuple(CLASSES.values()), recipe=RECIPE,
            data_sha256="", fingerprint="", versions={},
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    home, examples = tmp_path_factory.mktemp("pictures"), []
    rng = np.random.default_rng(0)
    for number in range(9):
        folder = home / f"v{number}"
        folder.mkdir()
        for frame in range(6):
            picture = rng.integers(0, 28 * (number + 1), (36, 40, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{frame:03d}.png"), picture)
        examples.append(
            ClipExample(
                clip_id=f"c{number}", video_id=folder.name, path=folder, start_us=0, end_us=240_000, label=number % 3
            )
        )
    # One clip of two classes, and one that is no video.
    examples.append(dataclasses.replace(examples[1], label=2))
    (home / "broken.mp4").write_bytes(b"no video")
    examples.append(dataclasses.replace(examples[0], clip_id="bad", path=home / "broken.mp4"))
    return clip_set(examples, classes=CLASSES)


def score(checkpoint, clips, out, **changes):
    return run_score_clips(checkpoint, clips, out=out, device="cpu", precision="float32", **changes)


def test_evaluation_reads_what_was_written(checkpoint, clips, tmp_path):
    early = Reject(stage="train", reason="missing", video_id="v", clip_id="gone", path="gone.mp4", detail="not there")
    summary = score(checkpoint, clips, tmp_path, rejects=[early])
    assert (summary.kept, summary.rejected["missing"], sum(summary.rejected.values())) == (9, 1, 2)
    assert summary.numbers == {"num_views": 2, "num_classes": 3}
    scores, labels = read_clip_scores(tmp_path / "scores.csv"), read_clip_labels(tmp_path / "labels.csv")
    label_map = read_label_map(tmp_path / "label_map.pbtxt")
    assert dict(label_map.select("class_id", "name").iter_rows()) == CLASSES
    assert (len(scores), len(labels)) == (27, 11)
    result = measures(labels, scores, class_ids=label_map["class_id"].to_list())
    assert (result.num_clips, result.num_labels, result.num_without_scores) == (10, 11, 1)
    assert set(read_rejects(tmp_path)["clip_id"]) == {"bad", "gone"}
    assert set(read_rejects(tmp_path)["stage"]) == {"score"}
    # The numbers in the file are the model's to the last bit.
    model = clip_model_of(load_clip_checkpoint(checkpoint))
    first = clip_set(clips.examples[:9], classes=CLASSES)
    wanted = score_clips(
        model, first, frames=RECIPE.frames, test=RECIPE.test, device="cpu", num_workers=0, precision="float32"
    )
    ours = scores["score"].to_numpy().astype(np.float32).reshape(9, 3)
    np.testing.assert_allclose(ours, wanted, atol=1e-6)
    about = json.loads((tmp_path / "scores.json").read_text())
    assert about["made_by"]["arguments"]["test"]["num_segments"] == 2
    assert about["made_by"]["inputs"].keys() == {"checkpoint", "clips"}
    assert not (tmp_path / "parts").exists()


def test_a_finished_run_is_not_repeated_and_another_test_is(checkpoint, clips, tmp_path):
    first = score(checkpoint, clips, tmp_path)
    before = (tmp_path / "scores.csv").stat().st_mtime_ns
    again = score(checkpoint, clips, tmp_path)
    assert (again.was_current, again.kept, again.rejected) == (True, first.kept, first.rejected)
    assert (tmp_path / "scores.csv").stat().st_mtime_ns == before
    other = score(checkpoint, clips, tmp_path, test=ClipTest(num_segments=1), file_format="parquet")
    assert (other.was_current, other.numbers["num_views"]) == (False, 1)
    assert not (tmp_path / "scores.csv").exists()
    assert pl.read_parquet_schema(tmp_path / "scores.parquet")["score"] == pl.Float32
    assert len(read_clip_scores(tmp_path / "scores.parquet")) == 27


class Cut(RuntimeError):
    pass


@pytest.mark.parametrize("num_before", [2, 5, 8])
def test_a_cut_run_goes_on_to_the_same_bytes(checkpoint, clips, tmp_path, monkeypatch, num_before):
    monkeypatch.setattr(score_stage, "CLIPS_PER_PART", 2)
    monkeypatch.setattr(score_stage, "clips_of_batches", lambda num, test: [range(n, n + 1) for n in range(num)])
    score(checkpoint, clips, tmp_path / "whole")
    seen = []

    def cut(num):
        seen.append(num)
        if sum(seen) >= num_before:
            raise Cut

    with pytest.raises(Cut):
        score(checkpoint, clips, tmp_path / "cut", on_clips=cut)
    assert not (tmp_path / "cut" / "scores.csv").exists()
    rest = []
    score(checkpoint, clips, tmp_path / "cut", on_clips=rest.append)
    assert rest[0] == num_before // 2 * 2, "finished parts are scored again"
    assert sum(rest) == 10
    for name in ("scores.csv", "labels.csv", "scores.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_broken_part_is_scored_again(checkpoint, clips, tmp_path, monkeypatch):
    score(checkpoint, clips, tmp_path / "whole")

    def cut(num):
        if num:
            raise Cut

    monkeypatch.setattr(score_stage, "CLIPS_PER_PART", 1)
    with pytest.raises(Cut):
        score(checkpoint, clips, tmp_path / "cut", on_clips=cut)
    (part,) = (tmp_path / "cut" / "parts").glob("*.npz")
    part.write_bytes(part.read_bytes()[:100])
    score(checkpoint, clips, tmp_path / "cut")
    assert (tmp_path / "cut" / "scores.csv").read_bytes() == (tmp_path / "whole" / "scores.csv").read_bytes()


def test_classes_that_the_model_does_not_know_are_refused(checkpoint, clips, tmp_path):
    example = dataclasses.replace(clips.examples[0], label=0)
    for classes, message in (
        ({2: "lie"}, "class 2 of the clips is 'lie', and class 2 is 'sit' in the model"),
        ({7: "sit"}, "class 7 of the clips is 'sit', and there is no such class in the model"),
    ):
        with pytest.raises(BadInput, match=message):
            score(checkpoint, clip_set([example], classes=classes), tmp_path)
    # Fewer classes than the model knows are no trouble.
    assert score(checkpoint, clip_set([example], classes={2: "sit"}), tmp_path).kept == 1
    assert len(read_clip_scores(tmp_path / "scores.csv")) == 3


def test_what_cannot_be_scored_is_said(checkpoint, clips, tmp_path):
    with pytest.raises(UnknownName, match="no file format 'json'"):
        score(checkpoint, clips, tmp_path, file_format="json")
    with pytest.raises(BadInput, match="there is no such checkpoint"):
        score(tmp_path / "none.pt", clips, tmp_path)
    twice = clip_set([clips.examples[0], dataclasses.replace(clips.examples[1], clip_id="c0")], classes=CLASSES)
    with pytest.raises(BadInput, match="clip c0 stands for two stretches"):
        score(checkpoint, twice, tmp_path)


def test_a_frame_of_scores_has_a_row_a_clip_and_class(clips):
    scores = np.arange(33, dtype=np.float32).reshape(11, 3)
    scores[4] = np.nan
    frame = score_frame(clips, scores, class_ids=[2, 5, 9])
    assert len(frame) == 30
    assert frame.row(0) == ("c0", 2, 0.0)
    assert frame.filter(pl.col("clip_id") == "c5")["score"].to_list() == [15.0, 16.0, 17.0]
    assert len(score_frame(clips, np.full((11, 3), np.nan, dtype=np.float32), class_ids=[2, 5, 9])) == 0
