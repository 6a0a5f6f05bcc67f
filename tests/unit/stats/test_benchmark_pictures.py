"""Figures of the nine cells: they are there, say classes and sets, hang on their numbers alone, and refuse nothing."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gesta.schema import BadInput
from gesta.stats.benchmark_pictures import draw_class_bars, draw_gain

SETS = {"ava": "AVA", "kinetics": "Kinetics", "ava-kinetics": "AVA-Kinetics"}


def classes(num: int = 6) -> pl.DataFrame:
    return pl.DataFrame({
        "class_id": range(num), "name": [f"do $thing$ {n}, such as a very long deed" for n in range(num)],
        "category": ["movement" if n % 2 else "object" for n in range(num)],
        **{f"ap_{name}": [None if name == "kinetics" and n == 1 else n / 10 for n in range(num)] for name in SETS},
        **{f"num_{name}": [10**n for n in range(num)] for name in SETS},
    })  # fmt: skip


def gains(num: int = 20) -> pl.DataFrame:
    return pl.DataFrame({
        "name": [f"class {n}" for n in range(num)], "added": [None if n == 3 else n / 4 for n in range(num)],
        "gain": [(n - 2) / 100 for n in range(num)],
    })  # fmt: skip


def test_bars_and_points_name_classes_and_sets(tmp_path: Path):
    paths = draw_class_bars(classes(), tmp_path, sets=SETS, file_name="classes_ava", title="AVA val")
    assert [path.name for path in paths] == ["classes_ava.png", "classes_ava.svg"]
    words = paths[1].read_text()
    assert all(f">{name}</text>" in words for name in (*SETS.values(), "movement", "object"))
    assert "do $thing$ 5, such as a very long…" in words
    paths = draw_gain(gains(), tmp_path, title="gain")
    words = paths[1].read_text()
    assert ">class 19</text>" in words, "the largest gain is named"
    assert ">class 0</text>" in words, "and the smallest"
    assert ">class 8</text>" not in words
    assert ">class 3</text>" not in words, "no sample before, no place on the axis"


def test_figures_hang_on_their_numbers_alone(tmp_path: Path):
    def drawn(name: str, frame: pl.DataFrame) -> list[bytes]:
        bars = draw_class_bars(frame, tmp_path / name, sets=SETS, file_name="bars", title="x")
        return [path.read_bytes() for path in (*bars, *draw_gain(gains(), tmp_path / name))]

    first = drawn("one", classes())
    assert drawn("other", classes()) == first
    assert drawn("third", classes().with_columns(ap_ava=pl.col("ap_ava") + 0.3))[1] != first[1]


def test_a_category_that_nothing_was_trained_on_is_drawn(tmp_path: Path):
    # A warning is an error here: an axis without a positive number must not look for its limits.
    untrained = pl.when(pl.col("category") == "movement").then(0).otherwise(pl.col("num_ava"))
    frame = classes().with_columns(untrained.alias(f"num_{name}") for name in SETS)
    paths = draw_class_bars(frame, tmp_path, sets=SETS, file_name="bars", title="x")
    assert ">movement</text>" in paths[1].read_text()


def test_nothing_to_draw_is_said(tmp_path: Path):
    with pytest.raises(BadInput, match="there is no class to draw"):
        draw_class_bars(classes().clear(), tmp_path, sets=SETS, file_name="x", title="x")
    with pytest.raises(BadInput, match="there is no gain to draw"):
        draw_gain(gains().with_columns(added=pl.lit(None, dtype=pl.Float64)), tmp_path)
