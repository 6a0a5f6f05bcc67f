"""Groups inside a class: found where they are, and not where there is one, whatever its shape."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.cli import main
from gesta.curate.noise.groups import group_clips, holm, split_in_two, valley_p_value
from gesta.schema import BadInput
from gesta.tables import read_table

SHAPES = {
    "round": lambda rng, n: rng.standard_normal((n, 12)),
    "long": lambda rng, n: rng.standard_normal((n, 12)) * np.linspace(3, 0.1, 12),
    "skewed": lambda rng, n: rng.exponential(size=(n, 12)) * np.linspace(2, 0.1, 12),
    "cut off": lambda rng, n: np.maximum(rng.standard_normal((n, 12)) @ rng.standard_normal((12, 12)) / 4 - 0.1, 0),
    "heavy": lambda rng, n: rng.standard_t(3, (n, 12)),
    "flat": lambda rng, n: rng.random((n, 12)),
}
"""Clouds of one group."""


@pytest.mark.parametrize("shape", SHAPES)
def test_one_group_is_hardly_ever_two(shape) -> None:
    rng = np.random.default_rng(3)
    p_values = [split_in_two(SHAPES[shape](rng, 100), seed=seed).p_value for seed in range(25)]
    assert sum(p <= 0.05 for p in p_values) <= 4, sorted(p_values)[:6]
    assert min(p_values) > 1e-4


@pytest.mark.parametrize(("num", "share"), [(100, 0.5), (150, 0.3), (300, 0.15)])
def test_two_groups_are_found_and_parted(num, share) -> None:
    rng = np.random.default_rng(5)
    vectors = 0.2 * rng.standard_normal((num, 12))
    is_second = np.arange(num) < share * num
    vectors[is_second, 0] += 2
    split = split_in_two(vectors, seed=0)
    assert split.p_value < 1e-3
    agreeing = (split.is_second_N == is_second).mean()
    assert max(agreeing, 1 - agreeing) > 0.99
    assert split.separation > 5
    assert split.smaller_frac == pytest.approx(share, abs=0.02)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_and_place_do_not_matter(seed, scale, shift) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((60, 5))
    vectors[:30, 1] += 6
    one, other = split_in_two(vectors, seed=1), split_in_two(vectors * scale + shift, seed=1)
    assert one.p_value == pytest.approx(other.p_value)
    np.testing.assert_array_equal(one.is_second_N, other.is_second_N)


def test_three_groups_are_found_and_one_stays_one() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [150, 120, 90])
    vectors = 0.2 * rng.standard_normal((360, 12)) + 2 * np.eye(12)[truth]
    np.testing.assert_array_equal(group_clips(vectors, seed=0, alpha=0.01), truth)
    assert group_clips(vectors, seed=0, alpha=0.01, max_groups=2).max() == 1
    assert group_clips(vectors[:150], seed=0, alpha=0.01).max() == 0


def test_equal_vectors_are_one_group() -> None:
    assert split_in_two(np.ones((40, 4)), seed=0).p_value == 1.0
    with pytest.raises(BadInput, match="7 clips to find groups in"):
        split_in_two(np.ones((7, 4)), seed=0)


def test_a_valley_is_counted_against_both_sides() -> None:
    edges = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    few_above = np.array([0.5] * 20 + [4.5] * 2 + [2.5])
    assert valley_p_value(few_above, edges) == pytest.approx(0.5)
    assert valley_p_value(np.array([0.5] * 20 + [4.5] * 20), edges) == pytest.approx(0.5**20)
    assert valley_p_value(np.array([9.0]), edges) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holms_correction_keeps_the_order_and_only_raises(p_values) -> None:
    adjusted = holm(p_values)
    assert all(after >= before for after, before in zip(adjusted, p_values, strict=True))
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert [adjusted[place] for place in order] == sorted(adjusted)
    assert max(adjusted) <= 1


def test_the_verb_names_the_class_that_is_two(noisy_work) -> None:
    # Every clip of class 8 is called 5, so class 5 is two.
    work = noisy_work(num_clips=180, wrong=dict.fromkeys(range(2, 180, 3), 5), spread=0.15)
    features = str(work / "features.parquet")
    said = CliRunner().invoke(main, ["noise", "groups", str(work), "--features", features, "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.output)["kept"] == 1
    tests = {row["class_id"]: row for row in read_table(work, "group_tests").iter_rows(named=True)}
    assert (tests[5]["num_groups"], tests[3]["num_groups"]) == (2, 1)
    assert tests[5]["adjusted_p"] >= tests[5]["p_value"]
    groups = read_table(work, "class_groups").filter(class_id=5)
    truth = groups["clip_id"].str.slice(1).cast(pl.Int64) % 3
    assert groups.group_by("group", truth).len()["len"].to_list() == [60, 60]
    again = CliRunner().invoke(main, ["noise", "groups", str(work), "--features", features])
    assert again.output == "noise groups: kept 1, rejected 0 - already done\n"
    said = CliRunner().invoke(main, ["noise", "groups", str(work)])
    assert said.exit_code == 2
    assert "frame_features" in said.stderr


def test_copies_are_no_group(noisy_work) -> None:
    pairs = tuple((f"c{number:02d}", f"c{number + 3:02d}") for number in range(0, 174, 3))
    work = noisy_work(num_clips=180, pairs=pairs)
    features = str(work / "features.parquet")
    said = CliRunner().invoke(main, ["noise", "groups", str(work), "--features", features, "--json"])
    tests = {row["class_id"]: row for row in read_table(work, "group_tests").iter_rows(named=True)}
    assert json.loads(said.output)["kept"] == 0
    # All clips of class 3 are copies of one: one is left to test.
    assert (tests[3]["num_clips"], tests[3]["p_value"]) == (60, 1.0)
