"""Four films of AVA v2.1 go to CVAT and to Label Studio and come back, box by box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.formats.annotations import LABEL_MAP_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.catalogue import FORMATS, read_annotations

CORNERS = ["x1", "y1", "x2", "y2"]
FACTS = {
    "fps_num": [30000, 25, 24000, 30], "fps_den": [1001, 1, 1001, 1], "width_px": [640, 1280, 450, 1920],
    "height_px": [360, 720, 360, 1080],
}  # fmt: skip


@pytest.fixture(scope="module")
def films(shared: Path) -> Annotations:
    boxes = read_annotations(shared / "annotations/ava/ava_val_v2.1_4videos.csv", format_name="ava").boxes
    videos = pl.DataFrame({"video_id": boxes["video_id"].unique(maintain_order=True), **FACTS})
    ids = boxes["class_id"].drop_nulls().unique().sort()
    label_map = pl.DataFrame({"class_id": ids, "name": [f"action {class_id}" for class_id in ids]})
    return Annotations(
        videos=shaped(videos, VIDEO_COLUMNS), boxes=boxes, label_map=shaped(label_map, LABEL_MAP_COLUMNS)
    )


@pytest.mark.parametrize(("name", "file", "most_off"), [("cvat", "films", 1e-15), ("label-studio", "films.json", 0.0)])
def test_real_boxes_come_back(name: str, file: str, most_off: float, films: Annotations, tmp_path: Path) -> None:
    FORMATS[name].write(tmp_path / file, films, context=Context())
    found = FORMATS[name].read(tmp_path / file, context=Context(label_map=films.label_map))
    key = ["video_id", "timestamp_us", "person_id", "class_id", "x1"]
    ours, theirs = found.boxes.sort(key), films.boxes.drop_nulls("x1").sort(key)
    assert ours.height == theirs.height == 11_874
    same = ["video_id", "person_id", "class_id"]
    assert ours.select(same).equals(theirs.select(same))
    assert np.abs(ours.select(CORNERS).to_numpy() - theirs.select(CORNERS).to_numpy()).max() <= most_off
    # A key-frame on a whole second is at most half a frame from a frame's start; the slowest film has 24 a second.
    assert np.abs(ours["timestamp_us"].to_numpy() - theirs["timestamp_us"].to_numpy()).max() <= 20_834
    assert found.videos.select(*FACTS).sort(*FACTS).equals(films.videos.select(*FACTS).sort(*FACTS))
