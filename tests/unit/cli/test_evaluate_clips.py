"""`gesta evaluate clips`: fusion, the ranking of classes and the comparison of streams, from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main

STORED = Path(__file__).parents[2] / "golden/clip_scores"
EXPECTED = json.loads((STORED / "expected.json").read_text())


def run(*arguments, groundtruth=STORED / "labels.csv"):
    words = ["evaluate", "clips", "--groundtruth", groundtruth, *arguments]
    return CliRunner().invoke(main, [str(word) for word in words])


def test_several_files_of_scores_are_fused_in_any_order():
    rgb, flow = ("--scores", STORED / "rgb.csv"), ("--scores", STORED / "flow.csv")
    found = json.loads(run(*rgb, *flow, "--json").output)
    assert found["top_k"] == pytest.approx({"1": EXPECTED["equal"]["top_1"], "5": EXPECTED["equal"]["top_5"]})
    assert run(*flow, *rgb, "--json").output == run(*rgb, *flow, "--json").output
    weighted = json.loads(run(*rgb, *flow, "--weights", "3,1", "--json").output)
    assert weighted["top_k"]["1"] == pytest.approx(EXPECTED["rgb_thrice"]["top_1"])
    assert (
        run(*flow, *rgb, "--weights", "1,3", "--json").output == run(*rgb, *flow, "--weights", "3,1", "--json").output
    )


def test_difficulty_and_comparison_are_printed_and_written(tmp_path):
    result = run(
        "--scores", STORED / "flow.csv", "--compare", STORED / "rgb.csv", "--difficulty", "--resamples", 50,
        "--out", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "11 classes, the hardest first" in result.output
    assert "flow - rgb: " in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "classes.csv", "clip_scores.json", "difference.csv", "difference.png", "difference.svg", "difficulty.csv",
        "difficulty.png", "difficulty.svg",
    ]  # fmt: skip
    value = json.loads((tmp_path / "clip_scores.json").read_text())
    of_rgb, of_flow = (EXPECTED[name]["top_1"] for name in ("rgb", "flow"))
    assert value["difference"]["difference"]["estimate"] == pytest.approx(of_flow - of_rgb)
    assert list(value["made_by"]["inputs"]) == [f"clip_scores/{name}.csv" for name in ("flow", "labels", "rgb")]
    assert pl.read_csv(tmp_path / "difficulty.csv")["accuracy"].is_sorted()
    again = tmp_path / "again"
    run(
        "--scores", STORED / "flow.csv", "--compare", STORED / "rgb.csv", "--difficulty", "--resamples", 50,
        "--out", again,
    )  # fmt: skip
    assert (again / "clip_scores.json").read_bytes() == (tmp_path / "clip_scores.json").read_bytes()


def test_streams_are_called_by_their_folder_where_gesta_wrote_them(tmp_path):
    for name in ("rgb", "flow"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scores.csv").write_bytes((STORED / f"{name}.csv").read_bytes())
    output = run(
        "--scores", tmp_path / "flow/scores.csv", "--compare", tmp_path / "rgb/scores.csv", "--resamples", 5
    ).output
    assert "flow - rgb" in output
    same = run("--scores", STORED / "rgb.csv", "--compare", STORED / "rgb.csv", "--resamples", 5).output
    assert "rgb (--scores) - rgb (--compare): +0.000 [+0.000, +0.000]" in same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights", "1,2"), "2 weights of 1 streams"),
        (("--weights", "1,x"), "'1,x', want numbers with commas between them"),
        (("--weights", "-1"), "the weights are -1"),
    ],
)
def test_weights_that_do_not_fit_are_refused(arguments, message):
    result = run("--scores", STORED / "rgb.csv", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_stream_that_lacks_a_clip_is_refused(tmp_path):
    lines = (STORED / "flow.csv").read_text().splitlines()
    gone = lines[1].split(",")[0]
    (tmp_path / "flow.csv").write_text("\n".join(line for line in lines if not line.startswith(gone)) + "\n")
    result = run("--scores", STORED / "rgb.csv", "--scores", tmp_path / "flow.csv")
    assert result.exit_code == 2
    assert f"flow.csv lacks 1 of the clips that {STORED}/rgb.csv scores, the first is {gone}" in result.output
