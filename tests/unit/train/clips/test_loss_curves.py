"""The first 20 losses of each small training are the stored ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.golden.loss_curves import make

from gesta.train.clips.sets import ClipSet

STORED = json.loads(make.CURVES.read_text())
RTOL = 1e-3
"""Of the loss. Source: ours; see tests/golden/loss_curves/README.md."""

SLOW = ("conv_lstm_tiny", "two_stream_flow_tiny")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipSet:
    return make.draw_clips(tmp_path_factory.mktemp("clips") / "clips")


def test_each_curve_is_stored_with_what_it_was_made_by(clips: ClipSet) -> None:
    assert set(STORED["curves"]) == set(make.cases())
    assert len(STORED["curves"]) >= 6
    assert all(len(curve) == make.NUM_STEPS for curve in STORED["curves"].values())
    assert set(STORED["versions"]) >= {"torch", "torchvision", "numpy"}
    assert STORED["command"] == "python -m tests.golden.loss_curves.make"
    assert STORED["clips_sha256"] == clips.sha256


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in STORED["curves"]]
)
def test_the_first_losses_are_the_stored_ones(name: str, clips: ClipSet, tmp_path: Path) -> None:
    with make.tiny_models():
        losses = make.losses_of(make.cases()[name], clips=clips, out=tmp_path)
    np.testing.assert_allclose(losses, STORED["curves"][name], rtol=RTOL)


def test_a_nudge_moves_no_curve_by_as_much_as_is_allowed() -> None:
    assert set(STORED["largest_relative_difference_when_nudged"]) == set(STORED["curves"])
    assert max(STORED["largest_relative_difference_when_nudged"].values()) < RTOL / 2


def test_another_rate_gives_another_curve(clips: ClipSet, tmp_path: Path) -> None:
    recipe = dataclasses.replace(make.cases()["c3d_bn_tiny"], base_lr=1.2e-3)
    with make.tiny_models():
        losses = make.losses_of(recipe, clips=clips, out=tmp_path)
    assert make.largest_difference(losses, STORED["curves"]["c3d_bn_tiny"]) > RTOL
