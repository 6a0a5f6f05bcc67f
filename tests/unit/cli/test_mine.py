"""`gesta mine` with classifiers of frames, from a folder of pictures to candidates."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tests.unit.mine.conftest import BLUE, GREY, RED, coloured  # noqa: F401 - a fixture

from gesta.cli import main
from gesta.tables import read_sidecar, read_table, table_path
from gesta.train.clips import CLIP_RECIPES, find_clip_recipe


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, colour in (("bow", RED), ("wave_hand", BLUE), ("nothing", GREY)):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(16):
            pixels = np.clip(np.array(colour) + rng.normal(0, 20, (60, 70, 3)) + rng.normal(0, 15), 0, 255)
            assert cv2.imwrite(str(folder / f"{number}.png"), pixels.astype(np.uint8)[:, :, ::-1])
    return tmp_path / "images"


@pytest.fixture
def say(coloured: Path) -> Callable[..., Any]:  # noqa: F811 - a fixture
    def run(*options: str, code: int = 0) -> Any:
        result = CliRunner().invoke(
            main, ["mine", str(coloured), "--actions", str(coloured.parent / "actions.txt"), *options]
        )
        assert result.exit_code == code, result.output
        return result

    return run


def test_pictures_train_a_classifier_that_positions_clips(
    images: Path,
    say: Callable[..., Any],
    coloured: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = find_clip_recipe("frame_r18_images")
    small = dataclasses.replace(
        recipe, frames=dataclasses.replace(recipe.frames, side_px=36, crop_px=32), epochs=4, clips_per_batch=8,
        augment=dataclasses.replace(recipe.augment, scale_px=(34, 44)),
    )  # fmt: skip
    monkeypatch.setitem(CLIP_RECIPES, "frame_r18_images", lambda: small)
    trained = CliRunner().invoke(
        main,
        [
            "train",
            str(images),
            "--recipe",
            "frame_r18_images",
            "--out",
            str(tmp_path / "model"),
            "--device",
            "cpu",
            "--threads",
            "1",
        ],
    )
    assert trained.exit_code == 0, trained.output
    model = str(tmp_path / "model" / "model.pt")
    options = ("--classifier", model, "--k", "1", "--workers", "1", "--device", "cpu")
    planned = json.loads(say(*options, "--dry-run", "--json").output)
    assert planned["num_frames_to_score"] == 64
    assert not table_path(coloured, "frame_scores").exists()
    said = json.loads(say(*options, "--json").output)
    assert said["classes_without_positions"] == ["kicking"]
    found = read_table(coloured, "candidates").select("class_id", "position_us").sort("class_id", "position_us")
    assert found.rows() == [(1, 1_000_000), (1, 21_000_000), (2, 4_000_000), (2, 12_000_000), (3, None)]
    sidecar = read_sidecar(table_path(coloured, "frame_scores"))
    assert sidecar is not None
    assert sidecar["made_by"]["arguments"]["classifier"]["kind"] == "trained"
    assert say(*options, "--positions", "classifier").output.startswith("mine: kept 4, rejected 0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--positions", "classifier"], "--positions classifier without a classifier. Name one with --classifier"),
        (["--positions", "uniform", "--classifier", "x.pt"], "--positions uniform with a classifier. Leave one of the"),
        (["--classifier", "x.pt"], "x.pt: there is no such classifier. Name a model.pt, an ONNX file, or a CLIP model"),
        (["--prompt", "a {}"], "--prompt without a classifier. Name one with --classifier"),
        (["--classifier", "{model}", "--prompt", "a {}"], "--prompt is for models that compare pictures with words"),
        (["--classifier", "{model}", "--classifier-classes", "{model}"], "--classifier-classes is for ONNX files"),
        (["--classifier", "{model}"], "gesta: error: {model}: "),
        (["--classifier", "clip", "--prompt", "a"], "the prompt 'a'. Want {} where the name goes"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    options: list[str], message: str, say: Callable[..., Any], tmp_path: Path
) -> None:
    model = tmp_path / "model.pt"
    model.write_bytes(b"no model")
    given = [option.replace("{model}", str(model)) for option in options]
    assert message.replace("{model}", str(model)) in say(*given, code=2).stderr
