"""docs/models.md names every model, and its numbers are the program's."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gesta.models import END_POINTS, MODELS, TRANSFORMERS_VIDEO, I3d, TrunkSpec, trunk_classifier
from gesta.models.non_local import WEIGHINGS
from gesta.models.published import PUBLISHED_WEIGHTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for cells in [line.strip("|").split("|")]
}
COUNTED = [name for name in ROWS if len(ROWS[name]) >= 3]
OURS = [name for name in ROWS if len(ROWS[name]) == 5]


def on_meta(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return MODELS[name](num_classes=400).eval()


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_every_model_has_a_row_or_a_sentence() -> None:
    assert {*ROWS, "two_stream", "roi_r3d_tiny"} == set(MODELS) - {"tiny"}, "tiny is one of the tests' own"
    assert len(OURS) >= 8
    assert "`two_stream` holds" in PAGE
    assert "`roi_r3d_tiny`" in PAGE


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_multiply_adds_are_those_counted(name: str) -> None:
    clip, parameters, multiply_adds = ROWS[name][:3]
    model = on_meta(name)
    assert sum(weight.numel() for weight in model.parameters()) == number(parameters)
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, *(int(size) for size in clip.split("×")), device="meta"))
    assert f"{counter.get_total_flops() / 2e9:.1f}" == multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ROWS if len(ROWS[name]) == 1])
def test_parameters_of_transformers_are_those_counted(name: str) -> None:
    pytest.importorskip("transformers")
    assert sum(weight.numel() for weight in on_meta(name).parameters()) == number(ROWS[name][0])


def test_both_streams_together_have_the_parameters_of_the_sentence() -> None:
    found = re.search(r"both streams \(([\d,]+) parameters\)", PAGE)
    assert found is not None
    assert sum(weight.numel() for weight in on_meta("two_stream").parameters()) == number(found[1])


def test_each_row_names_the_published_weights_that_load_and_no_others() -> None:
    for name in OURS:
        listed = set(re.findall(r"`([^`]+)`", ROWS[name][4]))
        assert listed == {weights for weights, value in PUBLISHED_WEIGHTS.items() if name in value.models}, name
    assert set(ROWS) >= set(TRANSFORMERS_VIDEO)


def test_the_words_of_the_page_are_the_programs() -> None:
    assert "Mixed_4f" in END_POINTS
    for word in re.findall(r"`(features|all_features|checkpoint_activations)\b", PAGE):
        assert hasattr(I3d, word)


PUBLISHED = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| (SlowFast \(2019\)|MMAction2's README|PyTorchVideo's)", line)
]


def spec_of(name: str, words: str) -> TrunkSpec:
    """The trunk of a row: its lineage, and a plan of non-local blocks with its weighing where they are named."""
    lineage, *rest = words.split(", ")
    plan = next((word.removeprefix("non_local ") for word in rest if word.startswith("non_local ")), "none")
    return TrunkSpec(
        name=name.strip("`"), lineage=lineage, non_local=plan,
        non_local_weighing=next((word for word in rest if word in WEIGHINGS), None),
    )  # fmt: skip


def test_there_are_published_counts_of_every_source() -> None:
    assert len(PUBLISHED) >= 16
    assert {row[1].strip("`") for row in PUBLISHED} >= {name for name in ROWS if "_r50_" in name} - {
        "slow_only_r50_16x4"
    }


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[0]} {row[1]} {row[2]} {row[3]}")
def test_published_counts_are_ours_rounded_or_cut_off(row: list[str]) -> None:
    _, name, words, clip, parameters, multiply_adds, with_norms = row
    normed = 0

    def note(_module: torch.nn.Module, _inputs: object, given: torch.Tensor) -> None:
        nonlocal normed
        normed += given.numel()

    with torch.device("meta"):
        model = trunk_classifier(spec_of(name, words), num_classes=400).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            part.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *(int(size) for size in clip.split("×")), device="meta"))
    counted = counter.get_total_flops() / 2e9 + (2 * normed / 1e9 if with_norms == "yes" else 0)
    for published, ours in (
        (parameters, sum(weight.numel() for weight in model.parameters()) / 1e6),
        (multiply_adds, counted),
    ):
        digits = len(published.partition(".")[2])
        if published:
            cut_off = math.floor(ours * 10**digits) / 10**digits
            assert float(published) in (round(ours, digits), cut_off), (published, ours)
