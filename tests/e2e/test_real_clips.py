"""A clip model on every real video: labels and features come out, and broken files are told with a reason."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from gesta.models import build_model
from gesta.predict.clips import run_predict_clips
from gesta.predict.features import run_features
from gesta.predict.videos import videos_under
from gesta.tables import StageSummary, read_rejects
from gesta.train.clips import ClipAugment, ClipFrames
from gesta.train.clips.checkpoints import ClipCheckpoint, save_clip_checkpoint
from gesta.train.clips.recipe import ClipRecipe, ClipTest

pytestmark = pytest.mark.timeout(300)

CLASSES = ("clapping", "waving", "running", "sitting down", "standing up")
LAYER = "trunk.blocks.Mixed_4f"
NUM_FEATURES = 208
"""Of Mixed_4f at a quarter of the width: 832 / 4."""

BROKEN = {"empty.mp4": "empty", "no-video.mp4": "not-video", "half.mp4": "truncated", "hard/corrupted.mp4": "decode"}
"""What cannot be read, and why. The last is one of the real ones: the other three are made."""


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained small I3D, tested on two segments and three crops."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = build_model("i3d_small", num_classes=len(CLASSES))
    recipe = ClipRecipe(
        name="untrained", model="i3d_small", augment=ClipAugment(), epochs=1, clips_per_batch=1, base_lr=0.1,
        frames=ClipFrames(num_frames=8, rate=12.5, side="short", side_px=40, crop_px=32),
        test=ClipTest(num_segments=2, crops=3),
    )  # fmt: skip
    checkpoint = ClipCheckpoint(
        weights=model.state_dict(), class_ids=tuple(range(1, len(CLASSES) + 1)), class_names=CLASSES, recipe=recipe,
        data_sha256="0" * 64, fingerprint="0" * 64, versions={"gesta": "0"},
    )  # fmt: skip
    return save_clip_checkpoint(tmp_path_factory.mktemp("untrained") / "model.pt", checkpoint)


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every real video, and three files that are none: half of one whose index is at its end, text, and nothing."""
    folder = Path(shutil.copytree(shared / "videos", tmp_path_factory.mktemp("real-clips") / "videos"))
    whole = (shared / "videos" / "arm_wrestling.mp4").read_bytes()
    (folder / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "no-video.mp4").write_text("not a video")
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def predicted(model_file: Path, folder: Path) -> tuple[Path, StageSummary]:
    out = folder.parent / "predicted"
    return out, run_predict_clips(model_file, videos=folder, out=out, draws=False, device="cpu")


@pytest.fixture(scope="module")
def features(model_file: Path, folder: Path) -> tuple[Path, StageSummary]:
    out = folder.parent / "features.parquet"
    return out, run_features(model_file, videos=folder, out=out, layer=LAYER, stride_s=2.0, device="cpu")


def reasons_of(folder: Path) -> dict[str, str]:
    rejects = read_rejects(folder)
    assert all(len(detail) > 10 for detail in rejects["detail"])
    return dict(zip(rejects["path"], rejects["reason"], strict=True))


def test_every_video_gets_labels_or_a_reason(folder: Path, predicted: tuple[Path, StageSummary]) -> None:
    out, summary = predicted
    files = {file.relative_to(folder).as_posix() for file in videos_under(folder)}
    assert len(files) >= 40
    assert reasons_of(out) == BROKEN
    assert summary.kept == len(files) - len(BROKEN)
    for name in sorted(files - set(BROKEN)):
        assert (out / name).with_suffix(".json").is_file(), name


def test_labels_are_probabilities_over_the_whole_video(predicted: tuple[Path, StageSummary]) -> None:
    out, summary = predicted
    results = [json.loads(path.read_text()) for path in sorted(out.rglob("*.json"))]
    results = [result for result in results if "timeline" in result]
    assert len(results) == summary.kept
    for result in results:
        name, timeline = result["video"]["file"], result["timeline"]
        rows = np.array([result["scores"], *(window["scores"] for window in timeline)])
        assert rows.shape == (len(timeline) + 1, len(CLASSES)), name
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-4, err_msg=name)
        assert rows.min() >= 0, name
        times = [(window["start_us"], window["end_us"]) for window in timeline]
        assert times[0][0] == result["video"]["start_us"], name
        assert all(end == start for (_, end), (start, _) in pairwise(times)), name
        assert times[-1][0] < times[-1][1], name


def test_every_video_has_features_or_a_reason(folder: Path, features: tuple[Path, StageSummary]) -> None:
    out, summary = features
    frame = pl.read_parquet(out)
    files = {file.relative_to(folder).as_posix() for file in videos_under(folder)}
    assert reasons_of(out.parent) == BROKEN
    assert set(frame["video_id"]) == {str(Path(name).with_suffix("")) for name in files - set(BROKEN)}
    values = np.stack(frame["vector"].to_list())
    assert values.shape == (summary.numbers["windows"], NUM_FEATURES)
    assert np.isfinite(values).all()
    assert (frame["start_us"] < frame["end_us"]).all()


def test_equal_videos_have_equal_features_and_others_do_not(features: tuple[Path, StageSummary]) -> None:
    frame = pl.read_parquet(features[0])

    def of(name: str) -> np.ndarray:
        return np.stack(frame.filter(pl.col("video_id") == name)["vector"].to_list())

    np.testing.assert_array_equal(of("part_0"), of("part_1_same_as_part_0"))
    assert not np.allclose(of("asl/book")[0], of("asl/milk")[0])
