"""Pictures of clip scores: they are there, say the classes, and are the same for the same numbers."""

import numpy as np
import polars as pl
import pytest

from gesta.schema import BadInput
from gesta.stats.score_pictures import draw_accuracy_curves, draw_difference, draw_difficulty


def ranked(num, *, column="accuracy"):
    values = np.linspace(-0.5, 0.9, num)[:: -1 if column == "difference" else 1]
    return pl.DataFrame(
        {
            "class_id": range(num), "name": [None if n == 1 else f"doing $thing$ {n}" for n in range(num)],
            column: values, "low": [None, *(values[1:] - 0.1)], "high": [None, *(values[1:] + 0.1)],
        },
        schema_overrides={"name": pl.String},
    )  # fmt: skip


def test_all_classes_and_both_ends_are_drawn(tmp_path):
    paths = draw_difficulty(ranked(6), tmp_path, num_ends=2)
    assert [path.name for path in paths] == [
        "difficulty.png", "difficulty.svg", "hardest_and_easiest.png", "hardest_and_easiest.svg",
    ]  # fmt: skip
    words = (tmp_path / "difficulty.svg").read_text()
    assert words.index("doing $thing$ 5") < words.index("doing $thing$ 0"), "the easiest class stands at the top"
    assert "class 1<" in words
    assert [path.stem for path in draw_difficulty(ranked(4), tmp_path / "few", num_ends=2)] == ["difficulty"] * 2


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        draw_difference(ranked(5, column="difference"), tmp_path / name, a="flow", b="rgb", num_ends=1)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
    assert "flow gains most" in (tmp_path / "one" / "difference_ends.svg").read_text()


def test_the_papers_points_stand_beside_ours(tmp_path):
    draw_accuracy_curves(
        {"val top-1": [(20, 0.2, 0.1, 0.3), (10, 0.1, 0.05, 0.2)]}, tmp_path,
        printed={"val top-1": [(100, 0.388)], "test top-1": [(100, 0.369)]},
    )  # fmt: skip
    words = (tmp_path / "samples_per_class.svg").read_text()
    assert all(
        f">{name}</text>" in words for name in ("val top-1", "val top-1, the paper's", "test top-1, the paper's")
    )
    assert (tmp_path / "samples_per_class.png").stat().st_size > 5_000


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(BadInput, match="no class is ranked"):
        draw_difficulty(ranked(3).clear(), tmp_path)
    with pytest.raises(BadInput, match="there is no class to compare"):
        draw_difference(ranked(3, column="difference").clear(), tmp_path, a="a", b="b")
    with pytest.raises(BadInput, match="there is no point to draw"):
        draw_accuracy_curves({"val top-1": []}, tmp_path)
