"""The hand-made release of room train, and a model trained on it."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from gesta.train import Recipe, run_train
from gesta.train.store import StoreSpec
from gesta.train.views import ClipSpec

BY_HAND = runpy.run_path(str(Path(__file__).parents[1] / "train" / "conftest.py"))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BY_HAND["make_release"](tmp_path_factory.mktemp("release"), num_videos=10)


@pytest.fixture(scope="session")
def checkpoint(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips learnt by heart."""
    recipe = Recipe(
        name="small",
        model="roi_r3d_tiny",
        clip=ClipSpec(num_frames=8, stride_us=250_000, height_px=48, width_px=48),
        store=StoreSpec(margin=1.2, per_stride=1, num_margin=1),
        epochs=30,
        clips_per_batch=4,
        base_lr=3e-3,
        weight_decay=0.01,
        ema_decay=0.8,
        positive_weight=2.0,
        precision="float32",
    )
    recipe = dataclasses.replace(recipe, jitter=dataclasses.replace(recipe.jitter, flip=True))
    out = tmp_path_factory.mktemp("model")
    run_train(release, out=out, recipe=recipe, seed=1, device="cpu", threads=1)
    return out / "model.pt"


def find_bright(frames_NHWC: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """A detector of the hand-made world: the bright mover on the left, by its pixels."""
    found = []
    for frame in frames_NHWC:
        bright = frame[:, : round(0.7 * frame.shape[1])].max(axis=2) > 145
        rows, columns = np.nonzero(bright)
        if not len(rows):
            found.append((np.zeros((0, 4)), np.zeros(0)))
            continue
        height, width = frame.shape[:2]
        box = [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
        found.append((np.array([box]), np.array([0.9])))
    return found


@pytest.fixture
def detector():
    return find_bright
