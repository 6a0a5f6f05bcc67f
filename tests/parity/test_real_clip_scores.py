"""Clip scores of every real video at hand: each is scored or refused with a reason, and views agree by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gesta.predict.clip_test import score_clips, view_windows
from gesta.schema import BadVideo
from gesta.train.clips.footage import open_footage
from gesta.train.clips.frames import UNTIL_END_US, ClipFrames, first_frames
from gesta.train.clips.recipe import ClipTest
from gesta.train.clips.sets import ClipExample, clip_set
from gesta.video import VIDEO_ENDINGS

FRAMES = ClipFrames(num_frames=4, stride=2, side_px=72, side="short", crop_px=64)
TEST = ClipTest(num_segments=3, crops=3)


class Moving(nn.Module):
    """A fixed function of places and of what changes between frames."""

    def forward(self, clip_BCTHW):
        change = (clip_BCTHW[:, :, 1:] - clip_BCTHW[:, :, :-1]).abs().mean(dim=(2, 3, 4))
        return torch.cat((clip_BCTHW.mean(dim=(2, 3, 4)), 4 * change, clip_BCTHW[..., :8].mean(dim=(2, 3, 4))), dim=1)


@pytest.mark.slow
def test_every_real_video_is_scored_or_refused_with_a_reason(shared: Path):
    paths = sorted(path for path in (shared / "videos").rglob("*") if path.suffix.lower() in VIDEO_ENDINGS)
    assert len(paths) >= 12
    examples = [
        ClipExample(clip_id=f"{n} {path.name}", video_id=path.stem, path=path, start_us=0, end_us=UNTIL_END_US, label=0)
        for n, path in enumerate(paths)
    ]
    clips = clip_set(examples, classes=dict(enumerate("abcdefghi")))
    rejects = []
    scores = score_clips(
        Moving(), clips, frames=FRAMES, test=TEST, device="cpu", num_workers=0, precision="float32",
        on_reject=rejects.append,
    )  # fmt: skip
    refused = {reject.clip_id for reject in rejects}
    assert all(reject.reason and reject.detail for reject in rejects)
    assert len(refused) < len(paths) / 2
    for example, ours in zip(examples, scores, strict=True):
        if example.clip_id in refused:
            assert np.isnan(ours).all()
            with pytest.raises(BadVideo):
                _scores_by_hand(example)
        else:
            np.testing.assert_allclose(ours, _scores_by_hand(example), atol=2e-6)


def _scores_by_hand(example: ClipExample) -> np.ndarray:
    """One view at a time, each read anew from the file."""
    footage = open_footage(example, frames=FRAMES)
    width_px, height_px = footage.size_px
    found = []
    for first in first_frames(footage.num_frames, frames=FRAMES, num_segments=3):
        numbers = (first + 2 * np.arange(4)) % footage.num_frames
        for window, _ in view_windows(width_px=width_px, height_px=height_px, crop_px=64, crops=3):
            clip = torch.from_numpy(footage.read(numbers, window=window).copy())
            logits = Moving()(clip.permute(3, 0, 1, 2)[None].float() / 255 * 2 - 1)
            found.append(logits[0].double().softmax(dim=0).numpy())
    return np.mean(found, axis=0)
