"""Pictures: every figure is there, the same numbers give the same bytes, and many classes still fit."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gesta.schema import MissingExtra
from gesta.stats import Rows, count, overlaid, write_stats
from gesta.stats.counts import BOX_COLUMNS, CLIP_COLUMNS, Stats
from gesta.stats.overlay import Overlay


def rows_of(num_classes: int, *, seed: int, with_clips: bool = False) -> Rows:
    rng = np.random.default_rng(seed)
    n = 40 * num_classes
    class_id = np.minimum(rng.zipf(1.3, n), num_classes)
    corners = np.sort(rng.random((n, 2, 2)), axis=1)
    boxes = pl.DataFrame(
        {
            "video_id": [f"v{number}" for number in rng.integers(0, n // 3, n)],
            "timestamp_us": rng.integers(0, 3, n),
            "x1": corners[:, 0, 0], "y1": corners[:, 0, 1], "x2": corners[:, 1, 0], "y2": corners[:, 1, 1],
            "class_id": class_id, "split": ["train"] * n,
        },
        schema=BOX_COLUMNS,
    )  # fmt: skip
    clips = pl.DataFrame(
        {
            "clip_id": [f"c{number}" for number in range(n)], "video_id": boxes["video_id"], "class_id": class_id,
            "split": ["train"] * n, "duration_us": [10**7] * n,
        },
        schema=CLIP_COLUMNS,
    )  # fmt: skip
    names = [f"doing $thing$ <{number}> & “more” 踊り" for number in range(1, num_classes + 1)]
    yields = pl.DataFrame({"name": names[:3], "accepted_share": [0.5, 0.2, None], "released_share": [0.4, 0.1, None]})
    kept = pl.DataFrame({"name": ["a", "a"], "split": ["val", "all"], "share": [0.5, None]})
    return Rows(
        what="drawn",
        clips=clips if with_clips else clips.clear(),
        boxes=boxes,
        names=pl.DataFrame({"class_id": range(1, num_classes + 1), "name": names}),
        groups=pl.DataFrame({"class_id": [1, 2, 1], "group": ["a", "a", "b"]}),
        person_counts=pl.Series([], dtype=pl.Int64),
        video_durations_us=pl.Series([], dtype=pl.Int64),
        more={
            "yields": yields,
            "retention": kept,
            "videos_by_continent": pl.DataFrame({"value": ["Asia"], "num_videos": [3], "share": [1.0]}),
        },
    )


def drawn(stats: Stats | Overlay, folder: Path) -> dict[str, bytes]:
    write_stats(stats, folder, out=folder, pictures=True)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".png", ".svg")}


def test_every_figure_is_drawn_and_repeats_to_the_byte(tmp_path: Path) -> None:
    rows = rows_of(20, seed=1, with_clips=True)
    first = drawn(count(rows), tmp_path / "a")
    assert {name.removesuffix(".png") for name in first if name.endswith(".png")} == {
        "box_areas", "boxes_per_key_frame", "clips_per_class", "groups", "retention", "samples_per_class",
        "videos_by_continent", "videos_per_class", "yields",
    }  # fmt: skip
    assert drawn(count(rows), tmp_path / "b") == first
    for name, data in first.items():
        if name.endswith(".svg"):
            ET.fromstring(data)
            assert b"<dc:date>" not in data
        else:
            assert data[:4] == b"\x89PNG"
    assert "doing $thing$ <1> & “more” 踊り" in "".join(ET.fromstring(first["samples_per_class.svg"]).itertext())


def test_two_datasets_share_a_picture_with_a_legend(tmp_path: Path) -> None:
    both = overlaid({"_AVA": rows_of(80, seed=1), "Kinetics": rows_of(80, seed=2)})
    files = drawn(both, tmp_path)
    for name in ("samples_per_class.svg", "videos_per_class.svg", "boxes_per_key_frame.svg", "box_areas.svg"):
        text = "".join(ET.fromstring(files[name]).itertext())
        assert "_AVA" in text
        assert "Kinetics" in text
    assert "rarest classes" in files["samples_per_class.svg"].decode()


def test_seven_hundred_classes_all_have_their_name(tmp_path: Path) -> None:
    names = [f"class number {number}" for number in range(700)]
    boxes = pl.DataFrame(schema=BOX_COLUMNS)
    clips = pl.DataFrame(
        {"clip_id": names, "video_id": names, "class_id": range(700), "split": "val", "duration_us": 1},
        schema=CLIP_COLUMNS,
    )
    none = pl.Series([], dtype=pl.Int64)
    label_map = pl.DataFrame({"class_id": range(700), "name": names})
    rows = Rows(what="x", clips=clips, boxes=boxes, names=label_map, person_counts=none, video_durations_us=none)
    files = drawn(count(rows), tmp_path)
    text = files["clips_per_class.svg"].decode()
    assert all(f">{name}<" in text for name in names)
    assert int.from_bytes(files["clips_per_class.png"][16:20], "big") < 2500  # pixels across


def test_an_empty_dataset_has_no_figures(tmp_path: Path) -> None:
    rows = rows_of(5, seed=0)
    empty = Rows(
        what="x", clips=rows.clips.clear(), boxes=rows.boxes.clear(), names=rows.names,
        person_counts=rows.person_counts, video_durations_us=rows.video_durations_us,
    )  # fmt: skip
    assert drawn(count(empty), tmp_path) == {}


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stats = count(rows_of(5, seed=0))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "gesta.stats.pictures", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'gesta\[stats\]'"):
        write_stats(stats, tmp_path, out=tmp_path, pictures=True)
    assert list(tmp_path.iterdir()) == []


def test_counting_does_not_load_matplotlib() -> None:
    code = "import sys, gesta.stats; sys.exit('matplotlib' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, gesta.stats.pictures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
