"""Six small videos of two classes whose pictures tell their time and place."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from gesta.train.clips import ClipExample, ClipSet, clip_set
from gesta.video import write_video


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(number: int, *, num_frames: int = 50, width_px: int = 64, height_px: int = 48) -> list[np.ndarray]:
    """Frames that brighten with time, with a texture that moves to the right (even numbers) or left."""
    rng = np.random.default_rng(number)
    texture = np.repeat(np.repeat(rng.integers(0, 80, size=(height_px // 4, width_px // 4)), 4, axis=0), 4, axis=1)
    step = 1 if number % 2 == 0 else -1
    return [
        np.repeat((np.roll(texture, step * time, axis=1) + 2 * time)[..., None], 3, axis=2).astype(np.uint8)
        for time in range(num_frames)
    ]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    """Six clips of 2 s at 25 frames a second, 64 x 48 px, classes 3 and 7 in turn; read only."""
    folder = tmp_path_factory.mktemp("clips")
    examples = []
    for number in range(6):
        path = write_video(folder / f"v{number}.mp4", pictures(number), fps=Fraction(25))
        examples.append(
            ClipExample(
                clip_id=f"clip{number}", video_id=f"v{number}", path=path, start_us=0, end_us=2_000_000,
                label=number % 2,
            )
        )  # fmt: skip
    return clip_set(examples, classes={3: "to the right", 7: "to the left"})


@pytest.fixture(scope="session")
def twelve(clips: ClipSet) -> ClipSet:
    """The six clips twice over, under other names."""
    examples = [
        dataclasses.replace(example, clip_id=f"{example.clip_id}-{turn}") for turn in "ab" for example in clips.examples
    ]
    return clip_set(examples, classes={3: "to the right", 7: "to the left"})
