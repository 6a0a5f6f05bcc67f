"""The detector's recipe gives what its docstring says, on a rendered world that it has not seen."""

from pathlib import Path

import pytest
from benchmarks.detect import measure_training


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_trained_detector_finds_people_of_another_world(tmp_path: Path) -> None:
    measured = measure_training(tmp_path)
    assert measured["num_test_people"] > 1000
    assert measured["ap50"] >= 0.88, measured
    assert measured["recall"] >= 0.85, measured
    assert measured["precision"] >= 0.90, measured
    assert measured["train_cpu_s"] <= 200, measured
