"""The page of the nine cells: everything in one file, the paper beside, and what is missing said."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import polars as pl
from tests.unit.evaluate.test_joint_tables import benchmark
from tests.unit.stats.test_benchmark_pictures import gains

from gesta.evaluate.joint_files import printed_of
from gesta.formats.papers import paper_table
from gesta.report.benchmark import write_benchmark_page
from gesta.stats.benchmark_pictures import draw_gain


def test_the_page_holds_all_it_shows(tmp_path: Path):
    picture = draw_gain(gains(), tmp_path)[1]
    paper = printed_of(paper_table("ava_kinetics_table_4").frame.with_columns(boxes=pl.lit("truth")))
    one = benchmark(seeds=(0, 1))
    path = write_benchmark_page(tmp_path / "one.html", one, figures=[(picture, "gains & losses")], printed=paper)
    page = path.read_text()
    assert "27.47 / 25.85" in page
    assert "±" in page
    assert "gains &amp; losses" in page
    assert "data:image/svg+xml;base64," in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page), "nothing is fetched"
    other = write_benchmark_page(tmp_path / "other.html", one, figures=[(picture, "gains & losses")], printed=paper)
    assert other.read_bytes() == path.read_bytes()
    key = ("ava", "ava", "val", "truth")
    values = [c.mean_ap for c in one.cells if (c.trained_on, c.evaluated_on, c.split, c.boxes) == key]
    assert f"{100 * sum(values) / 2:.2f} ±" in page


def test_what_was_not_scored_and_what_is_missing_is_said(tmp_path: Path):
    one = benchmark()
    cells = tuple(
        dataclasses.replace(cell, mean_ap_at_hand=0.5) for cell in one.cells if cell.boxes == "truth"
    )  # fmt: skip
    account = {"split": "val", "part": "ava", "num_listed": 1234, "num_used": 1000, "num_video_missing": 234}
    less = dataclasses.replace(one, cells=cells, notes={"accounting": [account]})
    page = write_benchmark_page(tmp_path / "page.html", less, figures=[]).read_text()
    assert "Nothing was scored with detected boxes." in page
    assert "videos at hand" in page
    assert "1,234" in page
    assert "Which key-frames count" not in write_benchmark_page(tmp_path / "page.html", one, figures=[]).read_text()
