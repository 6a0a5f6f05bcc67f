"""The published lists of Kinetics as versions of one another: what stayed, what went, what changed its split."""

from __future__ import annotations

from pathlib import Path

from gesta.release import diff_of, read_version


def version(shared: Path, *names: str):
    return read_version([shared / "annotations" / "kinetics" / f"kinetics-{name}.csv" for name in names])


def test_a_third_of_the_validation_list_of_400_is_not_in_that_of_600(shared: Path):
    found = diff_of(version(shared, "400_val"), version(shared, "600_val"))
    assert found.retained.rows() == [("val", 19_906, 13_569, 0.681654), ("all", 19_906, 13_569, 0.681654)]
    assert (found.num_added, found.num_removed) == (16_434, 6_340)
    assert found.splits.row(-1, named=True)["num_after"] == 30_000


def test_clips_of_the_test_list_of_400_are_in_the_validation_list_of_700(shared: Path):
    before = version(shared, "400_val", "400_test")
    found = diff_of(before, version(shared, "700_validate", "700_test"))
    by_split = {row["split"]: row for row in found.splits.iter_rows(named=True)}
    assert by_split["val"]["num_moved_in"] == by_split["test"]["num_moved_out"] == 4_221
    assert found.num_leaked == 0
    shares = {row["split"]: row["num_available"] for row in found.retained.iter_rows(named=True)}
    assert shares == {"val": 298, "test": 5_805, "all": 6_103}
    for row in by_split.values():
        left = row["num_before"] - row["num_removed"] - row["num_moved_out"]
        assert left + row["num_added"] + row["num_moved_in"] == row["num_after"]


def test_every_class_of_the_validation_lists_has_at_most_its_fifty_clips(shared: Path):
    for name, num_classes in (("400_val", 400), ("600_val", 600), ("700_validate", 700)):
        counts = version(shared, name).clips.group_by("label").len()
        assert (len(counts), counts["len"].max()) == (num_classes, 50)
