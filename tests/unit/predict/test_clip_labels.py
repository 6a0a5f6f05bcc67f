"""Labels of whole videos and their windows: against pixels told by hand, on awkward files, and again."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from tests.unit.predict.clip_stand_in import FRAMES, NAMES, bright_model, save_small, write_levels

from gesta.predict.clip_models import load_clip_model
from gesta.predict.clips import label_video, predict_clip_video, run_predict_clips
from gesta.schema import BadInput, BadVideo
from gesta.tables import read_rejects
from gesta.train.clips.recipe import ClipTest
from gesta.video import probe, read_frames

AWKWARD = (
    "hard/video_90.mov", "hard/var_fps_video.mp4", "hard/h265_10bits.mp4", "hard/delayed_start.mp4",
    "hard/unordered.mov", "other/cricket_shot_rgb.gif",
)  # fmt: skip


def softmax(level: float) -> np.ndarray:
    mean = level / 255 * 2 - 1
    values = np.exp(2 * np.array([-mean, mean, 0.0]))
    return values / values.sum()


def test_windows_follow_the_picture_and_the_whole_is_the_mean_of_the_segments(tmp_path):
    video = write_levels(tmp_path / "v.mp4", [0, 60, 120, 240])
    labels = label_video(bright_model(), video)
    assert [(window.start_us, window.end_us) for window in labels.windows] == [
        (second * 1_000_000, second * 1_000_000 + 1_000_000) for second in range(4)
    ]
    # Stride 2 at 10 frames a second: a window's clip lies within its second.
    np.testing.assert_allclose(labels.scores_BK, [softmax(level) for level in (0, 60, 120, 240)], atol=0.01)
    # Segments begin at frames 0, 17 (rounded half up from 16.5) and 33 and show every second frame of seven.
    segments = [[0] * 4, [60, 60, 120, 120], [240] * 4]
    whole = np.mean([softmax(float(np.mean(levels))) for levels in segments], axis=0)
    np.testing.assert_allclose(labels.scores_K, whole, atol=0.01)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_a_video_of_one_clip_says_the_same_as_its_only_window(tmp_path, average):
    video = write_levels(tmp_path / "v.mp4", [40, 200], each=4, size=(40, 24))
    model = bright_model(test=ClipTest(num_segments=1, crops=3, average=average))
    labels = label_video(model, video, stride_us=10_000_000)
    np.testing.assert_allclose(labels.scores_BK, labels.scores_K[None], rtol=1e-6)


def test_the_json_says_all_that_is_needed_to_read_it_again(tmp_path):
    video = write_levels(tmp_path / "v.mp4", [0, 255, 255])
    result = predict_clip_video(bright_model(), video, out=tmp_path / "out", top_k=2)
    assert result == json.loads((tmp_path / "out" / "v.json").read_bytes())
    assert [label["name"] for label in result["labels"]] == ["bright", "dark"]
    assert [label["class_id"] for label in result["labels"]] == [6, 4]
    assert len(result["scores"]) == 3
    assert sum(result["scores"]) == pytest.approx(1, abs=1e-5)
    assert [row["labels"][0]["name"] for row in result["timeline"]] == ["dark", "bright", "bright"]
    assert result["classes"] == [{"class_id": key, "name": name} for key, name in zip((4, 6, 9), NAMES, strict=True)]
    assert result["model"]["frames"]["num_frames"] == FRAMES.num_frames
    assert result["model"]["test"]["num_segments"] == 3
    assert result["video"]["num_frames"] == 30


def test_the_video_to_look_at_plays_like_the_source_with_labels_in_it(tmp_path):
    video = write_levels(tmp_path / "v.mp4", [0, 255], size=(64, 96))
    predict_clip_video(bright_model(), video, out=tmp_path / "out")
    source, drawn = probe(video), probe(tmp_path / "out" / "v.mp4")
    assert (drawn.num_frames, drawn.duration_us, drawn.width_px) == (
        source.num_frames, source.duration_us, source.width_px
    )  # fmt: skip
    plain, marked = (read_frames(path, [500_000])[0].astype(int) for path in (video, tmp_path / "out" / "v.mp4"))
    changed = np.abs(plain - marked).max(axis=2) > 60
    assert changed[:12, :16].any()
    assert not changed[60:].any()


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_videos_are_labelled_and_drawn(shared, tmp_path, name):
    video = shared / "videos" / name
    result = predict_clip_video(bright_model(), video, out=tmp_path, stride_s=2)
    source, drawn = probe(video), probe(tmp_path / f"{video.stem}.mp4")
    assert (drawn.width_px, drawn.height_px) == (source.width_px // 2 * 2, source.height_px // 2 * 2)
    assert drawn.num_frames == source.num_frames
    assert result["timeline"][-1]["end_us"] == source.start_us + source.duration_us
    assert np.isfinite([row["scores"] for row in result["timeline"]]).all()


def test_a_model_of_flow_labels_videos_too(shared, tmp_path):
    model = bright_model(frames=dataclasses.replace(FRAMES, modality="flow"), test=ClipTest(num_segments=2, crops=3))
    video = shared / "videos" / "asl" / "book.mkv"
    result = predict_clip_video(model, video, out=tmp_path, draws=False)
    assert result["model"]["frames"]["modality"] == "flow"
    assert np.isfinite([row["scores"] for row in result["timeline"]]).all()
    assert len({tuple(row["scores"]) for row in result["timeline"]}) > 1


@pytest.mark.slow
def test_every_real_video_is_labelled_or_rejected_with_the_reason(shared, tmp_path):
    save_small(tmp_path / "model.pt", test=ClipTest(num_segments=2))
    videos = shared / "videos"
    summary = run_predict_clips(
        tmp_path / "model.pt", videos=videos, out=tmp_path / "out", stride_s=2, draws=False, device="cpu"
    )
    rejects = read_rejects(tmp_path / "out")
    files = [path for path in videos.rglob("*") if path.suffix in (".mp4", ".mov", ".mkv", ".avi", ".gif")]
    assert summary.kept + len(rejects) == len(files) > 35
    assert set(rejects["path"]) == {"hard/corrupted.mp4"}
    assert all(rejects["detail"])


def test_a_folder_goes_on_after_a_broken_file_and_is_not_done_twice(tmp_path):
    save_small(tmp_path / "model.pt")
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    write_levels(folder / "a.mp4", [10], each=1)
    write_levels(tmp_path / "in" / "b.mp4", [10, 200])
    whole = (tmp_path / "in" / "b.mp4").read_bytes()
    (tmp_path / "in" / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    said, seen = {}, []
    run = {"videos": tmp_path / "in", "out": tmp_path / "out", "device": "cpu", "threads": 1}
    summary = run_predict_clips(tmp_path / "model.pt", **run, on_videos=seen.append, on_result=said.__setitem__)
    assert summary.kept == 2
    assert summary.outputs == ("b.json", "b.mp4", "deep/a.json", "deep/a.mp4")
    assert seen == [1, 1, 1, 1]
    assert set(said) == {"b.mp4", "deep/a.mp4"}
    rejects = read_rejects(tmp_path / "out")
    assert set(rejects["path"]) == {"broken.mp4", "half.mp4"}
    assert rejects["stage"].to_list() == ["predict"] * 2
    before = (tmp_path / "out" / "b.mp4").stat().st_mtime_ns
    again = run_predict_clips(tmp_path / "model.pt", **run)
    assert again.was_current
    assert again.as_json() == summary.as_json() | {"was_current": True}
    assert (tmp_path / "out" / "b.mp4").stat().st_mtime_ns == before
    (tmp_path / "out" / "b.json").write_text("{")
    assert not run_predict_clips(tmp_path / "model.pt", **run).was_current
    assert not run_predict_clips(tmp_path / "model.pt", **run, top_k=1).was_current


def test_without_drawing_no_video_is_written(tmp_path):
    save_small(tmp_path / "model.pt")
    video = write_levels(tmp_path / "v.mp4", [10, 200])
    summary = run_predict_clips(tmp_path / "model.pt", videos=video, out=tmp_path / "out", draws=False, device="cpu")
    assert summary.outputs == ("v.json",)
    assert not (tmp_path / "out" / "v.mp4").exists()


def test_one_broken_file_is_an_error(tmp_path):
    save_small(tmp_path / "model.pt")
    shutil.copy(tmp_path / "model.pt", tmp_path / "x.mp4")
    with pytest.raises(BadVideo, match=r"x\.mp4"):
        run_predict_clips(tmp_path / "model.pt", videos=tmp_path / "x.mp4", out=tmp_path / "out")


@pytest.mark.parametrize("options", [{"stride_s": 0.0}, {"top_k": 0}])
def test_strange_numbers_are_refused(tmp_path, options):
    with pytest.raises(BadInput, match=r"(stride_s|top_k)=0.*Want"):
        predict_clip_video(bright_model(), tmp_path / "v.mp4", out=tmp_path, **options)


def test_a_checkpoint_brings_its_classes_and_what_it_wants_to_see(tmp_path):
    model = load_clip_model(save_small(tmp_path / "model.pt"), device="cpu")
    assert (model.class_ids, model.class_names, model.frames.crop_px) == ((4, 6, 9), NAMES, 32)
    assert model.origin["recipe"] == "small"
    assert not model.net.training
    with torch.inference_mode():
        assert model.net(torch.rand(1, 3, 4, 32, 32)).shape == (1, 3)
