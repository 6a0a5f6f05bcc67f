"""A classifier of frames finds the acting stretch of long uploads more often than evenly spread clips do."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.positions import K, measure


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_clips_around_responses_show_the_action_more_often(tmp_path: Path) -> None:
    found = measure(tmp_path, on_note=lambda note: None)
    uniform, classifier = found["uniform"], found["classifier"]
    assert uniform["num_candidates"] == classifier["num_candidates"] == K * found["num_uploads"]
    assert abs(uniform["yield_frac"] - found["chance_frac"]) < 0.15
    assert classifier["yield_frac"] > 1.5 * uniform["yield_frac"]
    assert classifier["strongest_yield_frac"] >= classifier["yield_frac"]
