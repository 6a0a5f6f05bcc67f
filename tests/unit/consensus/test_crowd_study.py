"""The study of simulated crowds: its page is made from what is stored, and what is stored comes out again."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from benchmarks import crowd_study

from gesta.consensus.simulate import Rule

PAGE = crowd_study.DOCS / "crowd-study.md"


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return dict(json.loads(crowd_study.stored().read_text()))


def test_the_page_and_the_figure_are_made_from_the_stored_numbers(result: dict[str, Any], tmp_path) -> None:
    assert PAGE.read_text() == crowd_study.page(result)
    stored = crowd_study.DOCS / "figures" / "crowd_study.svg"
    assert crowd_study.draw(result, tmp_path / "figure.svg").read_bytes() == stored.read_bytes()
    assert "(figures/crowd_study.svg)" in PAGE.read_text()
    other = copy.deepcopy(result)
    other["rows"][0]["precision"] = 0.1234
    assert crowd_study.page(other) != PAGE.read_text()


def test_what_is_stored_comes_out_again(result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if row["spammers"] == 0.3 and row["gold"]]
    assert [row["rule"] for row in rows] == ["fixed", "early-stop", "dawid-skene"]
    for row in rows:
        again = crowd_study.outcomes(rule=Rule(stop=row["rule"]), spammer_frac=0.3)
        assert {name: row[name] for name in again} == pytest.approx(again)


def test_the_study_shows_what_the_page_says(result: dict[str, Any]) -> None:
    rows = {(row["gold"], row["spammers"], row["rule"]): row for row in result["rows"]}
    assert len(rows) == 30
    for frac in crowd_study.SPAMMER_FRACS:
        fixed, early, skilled = (rows[True, frac, stop] for stop in crowd_study.STOPS)
        assert fixed["answers_per_clip"] >= 5
        assert skilled["answers_per_clip"] < early["answers_per_clip"] < 0.8 * fixed["answers_per_clip"]
        assert min(row["accuracy"] for row in (fixed, early, skilled)) > 0.95
        assert max(row["num_unsettled"] for row in (fixed, early, skilled)) == 0
    assert rows[False, 0.2, "early-stop"]["precision"] < 0.8 < rows[False, 0.2, "dawid-skene"]["precision"]
