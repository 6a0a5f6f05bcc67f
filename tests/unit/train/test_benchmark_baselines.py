"""The plans of the baselines' benchmark can be trained, and its figure shows what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import baselines

from gesta.models import MODELS
from gesta.train.clips import ClipExample, ClipSet, clip_set
from gesta.world.motions import CLASSES, partner_of


@pytest.mark.parametrize("plan", [baselines.small_plan(), baselines.gpu_plan()], ids=["small", "gpu"])
def test_a_plan_names_models_that_take_its_clips(plan: baselines.Plan) -> None:
    assert set(plan.classes) <= set(CLASSES)
    assert all(partner_of(name) in (None, *plan.classes) for name in plan.classes)
    assert plan.num_videos // len(plan.classes) * 0.7 > max(plan.counts)
    assert not any(recipe.augment.flip for recipe in plan.recipes), "a mirror turns left into right"
    for recipe in plan.recipes:
        frames = recipe.frames
        with torch.device("meta"):
            model = MODELS[recipe.model](num_classes=len(plan.classes)).eval()
            shape = (2, frames.num_channels, frames.num_frames, frames.crop_px, frames.crop_px)
            assert model(torch.empty(shape)).shape == (2, len(plan.classes))


def test_the_gpu_plan_has_the_four_baselines_and_fuses_the_streams_of_one() -> None:
    models = [recipe.model for recipe in baselines.gpu_plan().recipes]
    assert {"i3d", "c3d_bn", "conv_lstm", "two_stream_rgb", "two_stream_flow"} <= set(models)
    assert set(baselines.gpu_plan().fused or ()) <= set(models)


def a_set() -> ClipSet:
    examples = [
        ClipExample(clip_id=f"c{k}", video_id=f"v{k}", path=Path("v"), start_us=0, end_us=1, label=k % 2)
        for k in range(4)
    ]
    return clip_set(examples, classes={1: "moving left", 2: "moving right"})


def test_shares_are_of_the_clips_labels() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]], np.float32)
    found = baselines.shares(baselines.score_of(scores, a_set()))
    assert found == {"motion_top1": 0.5, "right_pair": 1.0, "right_within_pair": 0.5, "control_top1": None}


def test_the_figure_has_a_curve_for_each_share(tmp_path: Path) -> None:
    rows = [
        {"clips_per_class": count, "right_within_pair": share, "motion_top1": share / 2}
        for count, share in ((14, 0.6), (28, 0.8), (56, 0.9))
    ]
    text = baselines.draw({"samples_per_class": rows}, tmp_path / "curve.svg").read_text()
    assert "right within pairs" in text
    assert "motion classes, top-1" in text
