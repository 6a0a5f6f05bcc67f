"""A work folder of labelled clips without any video: vectors around a centre for each class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.schema import Clip, Duplicate, Kept, LabelClass
from gesta.tables import frame_of, made_by, table_path, write_table

MADE = made_by("test", arguments={}, inputs={})

NAMES = {3: "waving", 5: "jumping", 8: "sitting down"}


def put(work: Path, table: str, rows: list) -> None:
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=MADE)


@pytest.fixture
def noisy_work(tmp_path: Path) -> Callable[..., Path]:
    """Makes a work folder; clip c00, c01 ... truly show the classes 3, 5, 8 in turn, as the first letter would not say.

    `wrong` maps a clip's number to the class that it is labelled with instead; features.parquet holds the vectors.
    """

    def make(
        *, num_clips: int = 60, wrong: dict[int, int] | None = None, pairs: tuple = (), spread: float = 0.3
    ) -> Path:
        rng = np.random.default_rng(7)
        class_ids = list(NAMES)
        truth = [class_ids[number % 3] for number in range(num_clips)]
        labels = [(wrong or {}).get(number, truth[number]) for number in range(num_clips)]
        ids = [f"c{number:02d}" for number in range(num_clips)]
        put(tmp_path, "label_map", [LabelClass(class_id=key, name=name) for key, name in NAMES.items()])
        put(tmp_path, "clips", [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=1_000_000) for c in ids])
        put(tmp_path, "kept", [Kept(clip_id=c, video_id=f"v{c}", class_id=k) for c, k in zip(ids, labels, strict=True)])
        if pairs:
            rows = [
                Duplicate(clip_id_a=a, clip_id_b=b, cosine=0.9, num_inliers=9, cluster=0, kept_clip_id=a)
                for a, b in pairs
            ]
            put(tmp_path, "duplicates", rows)
        centres = dict(zip(class_ids, np.eye(3, 8), strict=True))
        vectors = np.stack([centres[k] + spread * rng.standard_normal(8) for k in truth]).astype(np.float32)
        frame = pl.DataFrame({"clip_id": ids, "vector": vectors.tolist()})
        frame.write_parquet(tmp_path / "features.parquet")
        return tmp_path

    return make
