"""Video mAP from files: each kind of detections against the same ground truth, and what is said of mismatches."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.tube_files import read_tubes, score_tubes, scored_part, tube_score_json, tube_score_text
from gesta.formats.action_tubes import read_action_tubes
from gesta.formats.annotations import Annotations
from gesta.formats.tube_detections import TUBE_COLUMNS, write_tube_detections
from gesta.schema import BadInput

V, W = "football/v", "football/w"
BOX = [100.0, 50.0, 180.0, 250.0]


def tube(first: int, last: int, box: list[float] = BOX) -> np.ndarray:
    return np.array([[frame, *box] for frame in range(first, last + 1)], dtype=np.float32)


@pytest.fixture
def groundtruth(tmp_path: Path) -> Annotations:
    value = {
        "labels": ["football shoot", "basketball save"], "nframes": dict.fromkeys(["t", V, W], 60),
        "resolution": dict.fromkeys(["t", V, W], (300, 400)), "train_videos": [["t"]], "test_videos": [[W, V]],
        "gttubes": {"t": {0: [tube(1, 9)]}, V: {0: [tube(1, 20)]}, W: {0: [tube(5, 34)], 1: [tube(40, 59)]}},
    }  # fmt: skip
    (tmp_path / "GT.pkl").write_bytes(pickle.dumps(value))
    return scored_part(read_action_tubes(tmp_path / "GT.pkl"), split="test")


def frames_of(video: int, label: int, first: int, last: int, score: float) -> list[list[float]]:
    return [[video, frame, label, score, *BOX] for frame in range(first, last + 1)]


def test_each_kind_of_file_gives_the_same(groundtruth: Annotations, tmp_path: Path) -> None:
    rows = [*frames_of(1, 0, 1, 20, 0.9), *frames_of(0, 0, 5, 34, 0.8)]
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(np.array(rows)))
    linked = read_tubes(tmp_path / "frames.pkl", groundtruth, definition="multisports")
    write_tube_detections(tmp_path / "tubes.pkl", linked)
    ids = [W, V]
    lines = [
        f"{ids[int(v)]},{(frame - 1) / 25:.6f},{x1 / 400},{y1 / 300},{x2 / 400},{y2 / 300},{label},{score}"
        for v, frame, label, score, x1, y1, x2, y2 in rows
    ]
    (tmp_path / "found.csv").write_text("\n".join(lines))
    for name in ("frames.pkl", "tubes.pkl", "found.csv"):
        tubes = read_tubes(tmp_path / name, groundtruth, definition="multisports")
        result = score_tubes(groundtruth, tubes, definition="multisports")
        assert result.class_ids == (0,)
        assert result.mean_over() == 1.0
        result = score_tubes(groundtruth, tubes, definition="act")
        assert result.average_precision_TC[0].tolist() == [1.0, 0.0]


def test_what_machines_get(groundtruth: Annotations, tmp_path: Path) -> None:
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(np.array(frames_of(1, 0, 1, 20, 0.9))))
    tubes = read_tubes(tmp_path / "frames.pkl", groundtruth, definition="multisports")
    result = score_tubes(groundtruth, tubes, definition="multisports")
    value = json.loads(json.dumps(tube_score_json(result, groundtruth.label_map)))
    assert value["mAP"]["0.20"] == 0.5
    assert value["mAP"]["0.50:0.95"] == 0.5
    assert value["AP"]["0.75"] == {"football shoot": 0.5}
    assert (value["num_groundtruth_tubes"], value["num_detected_tubes"]) == (2, 1)
    assert value["definition"] == "multisports"


def test_what_people_get(groundtruth: Annotations, tmp_path: Path) -> None:
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(np.array(frames_of(1, 0, 1, 20, 0.9))))
    tubes = read_tubes(tmp_path / "frames.pkl", groundtruth, definition="act")
    text = tube_score_text(score_tubes(groundtruth, tubes), groundtruth.label_map).splitlines()
    assert text[0] == "video mAP, act: 3 labelled tubes, 1 detected"
    assert text[1] == "  at 0.20        25.00"
    assert text[12] == "  at 0.50:0.95   25.00"
    assert text[-2:] == ["   50.00  football shoot (2, 1)", "    0.00  basketball save (1, 0)"]


def test_mismatches_are_said(groundtruth: Annotations, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no video of the split 'val'. There are: \['test'\]"):
        scored_part(groundtruth, split="val")
    assert scored_part(groundtruth, split=None) is groundtruth
    (tmp_path / "found.csv").write_text("football/V,0,0,0,1,1,0,0.5\n")
    with pytest.raises(BadInput, match=r"found\.csv:1: 1 videos are not scored, the first is 'football/V'"):
        read_tubes(tmp_path / "found.csv", groundtruth, definition="act")
    nobody = Annotations(
        videos=groundtruth.videos, label_map=groundtruth.label_map,
        boxes=groundtruth.boxes.with_columns(person_id=pl.lit(None, dtype=pl.Int64)),
    )  # fmt: skip
    tubes = pl.DataFrame(schema={"video_id": pl.String})
    with pytest.raises(BadInput, match="70 boxes have no person"):
        score_tubes(nobody, tubes)
    underscores = groundtruth.label_map.with_columns(pl.col("name").str.replace_all(" ", "_"))
    renamed = Annotations(videos=groundtruth.videos, boxes=groundtruth.boxes, label_map=underscores)
    no_tubes = pl.DataFrame(schema={**TUBE_COLUMNS})
    assert score_tubes(renamed, no_tubes, definition="multisports").class_ids == (0,)
    assert score_tubes(renamed, no_tubes, definition="act").class_ids == (0, 1)
    with pytest.raises(BadInput, match="no label map"):
        score_tubes(Annotations(videos=groundtruth.videos, boxes=groundtruth.boxes), tubes)
