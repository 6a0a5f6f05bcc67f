"""The first 20 losses of both small trainings on persons are the stored ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.golden.person_loss_curves import make

from gesta.train.persons import PersonSet

STORED = json.loads(make.CURVES.read_text())
RTOL = 1e-3
"""Of the loss. Source: ours; see tests/golden/person_loss_curves/README.md."""


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> PersonSet:
    return make.draw_persons(tmp_path_factory.mktemp("persons") / "clips")


def test_each_curve_is_stored_with_what_it_was_made_by(persons: PersonSet) -> None:
    assert set(STORED["curves"]) == set(make.cases())
    assert all(len(curve) == make.NUM_STEPS for curve in STORED["curves"].values())
    assert set(STORED["versions"]) >= {"torch", "torchvision", "numpy"}
    assert STORED["command"] == "python -m tests.golden.person_loss_curves.make"
    assert STORED["persons_sha256"] == persons.sha256
    assert max(STORED["largest_relative_difference_when_nudged"].values()) < RTOL / 2


@pytest.mark.parametrize("name", STORED["curves"])
def test_the_first_losses_are_the_stored_ones(name: str, persons: PersonSet, tmp_path: Path) -> None:
    losses = make.losses_of(make.cases()[name], persons=persons, out=tmp_path)
    np.testing.assert_allclose(losses, STORED["curves"][name], rtol=RTOL)


@pytest.mark.slow
def test_another_rate_gives_another_curve(persons: PersonSet, tmp_path: Path) -> None:
    name = "slow_only_action_transformer"
    recipe = dataclasses.replace(make.cases()[name], base_lr=2e-3)
    losses = make.losses_of(recipe, persons=persons, out=tmp_path)
    assert make.largest_difference(losses, STORED["curves"][name]) > RTOL
