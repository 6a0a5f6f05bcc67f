"""The real files beside what the papers print: the stored numbers are those of today, and the page is theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import papers_numbers

from gesta.formats.papers import paper_table

PAGE = papers_numbers.DOCS / "papers-numbers.md"


@pytest.fixture(scope="module")
def numbers(shared: Path) -> dict[str, object]:
    return papers_numbers.numbers(shared)


def test_the_stored_numbers_are_those_of_the_real_files(numbers: dict[str, object]) -> None:
    stored = json.loads(papers_numbers.stored().read_text())
    assert stored.pop("date")
    assert json.loads(json.dumps(numbers)) == stored


def test_the_page_is_made_from_the_stored_numbers() -> None:
    stored = json.loads(papers_numbers.stored().read_text())
    assert PAGE.read_text() == papers_numbers.page(stored)
    stored["findings"][0]["AVA"] = 7.25
    assert papers_numbers.page(stored) != PAGE.read_text()


def test_every_picture_of_the_page_is_there_and_small() -> None:
    for name in papers_numbers.FIGURES:
        picture = papers_numbers.DOCS / "figures" / f"{name}.svg"
        assert 1_000 < picture.stat().st_size < 150_000
        assert f"(figures/{name}.svg)" in PAGE.read_text()


def test_table_1_of_ava_comes_out_to_the_last_key_frame(numbers: dict[str, object]) -> None:
    rows = {row["of"]: row for row in numbers["table_1"]}  # type: ignore[index, attr-defined]
    for name in ("AVA train", "AVA val", "AVA test", "AVA train + val"):
        assert (rows[name]["frames"], rows[name]["videos"]) == (rows[name]["paper frames"], rows[name]["paper videos"])
    # Half of val: as many key-frames to a video as the whole has.
    half = rows["Kinetics val, at hand"]
    assert 0.48 < half["frames"] / half["paper frames"] < 0.52
    assert abs(half["frames"] / half["videos"] - half["paper frames"] / half["paper videos"]) < 0.001


def test_figures_4_and_5_have_the_papers_shape(numbers: dict[str, object]) -> None:
    rows = {row["what"].split(" (")[0]: row for row in numbers["findings"]}  # type: ignore[index, attr-defined]
    assert abs(rows["boxes per key-frame, mean"]["AVA"] - 1.5) < 0.01
    assert abs(rows["boxes per key-frame, mean"]["Kinetics"] - 1.2) < 0.2
    assert abs(rows["box area at the peak"]["AVA"] - 0.02) <= 0.005
    assert abs(rows["box area at the peak"]["Kinetics"] - 0.01) <= 0.005
    for dataset in ("AVA", "Kinetics"):
        assert rows["key-frames with one box"][dataset] > 0.5
        assert rows["key-frames with more than five"][dataset] < 0.03


def test_npmi_of_labels_is_nearer_to_the_paper_than_that_of_clips(numbers: dict[str, object]) -> None:
    labels, clips = numbers["npmi_agreement"]  # type: ignore[misc]
    assert labels["printed pairs seen here"] == clips["printed pairs seen here"] == 43
    assert abs(labels["mean difference"]) < 0.005 < abs(clips["mean difference"])
    assert labels["mean distance"] < 0.051 < clips["mean distance"]
    assert labels["correlation"] > 0.95


def test_the_first_partner_of_each_frequent_class_is_the_papers(numbers: dict[str, object]) -> None:
    """Table 2: for 14 of 15 Kinetics classes half of val names the same AVA class first."""
    rows = numbers["npmi_table_2"]
    same = [row["clip class"] for row in rows if row["here"].split(" (0")[0] == row["paper"].split(" (0")[0]]  # type: ignore[attr-defined]
    assert len(same) == 14
    assert "waiting in line" not in same


def test_kinetics_400_val_is_fifty_of_each_but_for_lost_clips(shared: Path) -> None:
    from gesta.stats import stats_of

    classes = stats_of(shared / "annotations/kinetics/kinetics-400_val.csv").tables["classes"]
    printed = paper_table("kinetics_400_table_2").frame.filter(split="val").row(0)
    assert printed == ("val", 50, 50)
    assert classes["num_clips"].max() == 50
    assert classes["num_clips"].min() == 46
    assert (classes["num_clips"] == 50).sum() > 300
