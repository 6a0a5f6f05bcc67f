"""DeepMind's trained weights on DeepMind's sample clip, where the weights are at hand.

They cannot be had everywhere, so the tests look for them in the folder of weights (`GESTA_CACHE`), skip without them,
and fail without them under REQUIRE_WEIGHTS=1. Nothing is downloaded here; `load_published` with the name does that.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from gesta.models.download import weights_folder
from gesta.models.i3d import i3d
from gesta.models.published import PUBLISHED_WEIGHTS
from gesta.models.weights import load_published

# Source: google-deepmind/kinetics-i3d at 0667e88, out/imagenet_rgb.txt.
NAME = "i3d-rgb-imagenet-k400"
CRICKET_LOGIT = 25.856646
LOGITS_NORM = 87.108871


def weights_or_skip(name: str) -> str:
    folder = weights_folder() / name
    if all((folder / Path(file.path).name).is_file() for file in PUBLISHED_WEIGHTS[name].files):
        return name
    message = f"the published weights {name} are not in {weights_folder()} (set GESTA_CACHE)"
    if os.environ.get("REQUIRE_WEIGHTS") == "1":
        pytest.fail(message)
    pytest.skip(message)


def frames_of(path: Path) -> np.ndarray:
    """uint8 [T, H, W, 3] of a moving picture."""
    import av

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.slow
def test_the_sample_clip_is_cricket_as_in_deepminds_own_output(shared: Path) -> None:
    name = weights_or_skip(NAME)
    model = i3d(num_classes=400).eval()
    loaded = load_published(model, name)
    pixels_THW3 = frames_of(shared / "videos/other/cricket_shot_rgb.gif")
    clip = torch.from_numpy(pixels_THW3.astype(np.float32) / 127.5 - 1).permute(3, 0, 1, 2)[None]
    with torch.no_grad():
        logits = model(clip)[0]
    assert loaded.class_names[int(logits.argmax())] == "playing cricket"
    # The sample here is a GIF of 256 colours; DeepMind's numbers come from the frames before they became one.
    assert float(logits.max()) == pytest.approx(CRICKET_LOGIT, rel=0.1)
    assert float(logits.norm()) == pytest.approx(LOGITS_NORM, rel=0.1)


def test_the_sample_clip_is_read_as_the_program_wants_it(shared: Path) -> None:
    pixels = frames_of(shared / "videos/other/cricket_shot_rgb.gif")
    assert pixels.shape == (79, 224, 224, 3)
    assert pixels.dtype == np.uint8
