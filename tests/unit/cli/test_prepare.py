"""`gesta prepare`: from data to folders that training opens."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gesta.cli import main
from gesta.train.clips import open_clips
from gesta.video import write_video

SIZE = ("--workers", "1", "--side-px", "48", "--crop-px", "24", "--rate", "10")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two class folders in each of two splits."""
    folder = tmp_path_factory.mktemp("data")
    for split, name in (("train", "left"), ("train", "right"), ("val", "left"), ("val", "right")):
        frames = [np.full((48, 64, 3), 10 * k, dtype=np.uint8) for k in range(20)]
        write_video(folder / split / name / f"{split}_{name}.mp4", frames, fps=Fraction(10))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


def test_every_split_gets_a_folder_that_opens(data: Path, tmp_path: Path) -> None:
    result = run(data, "--out", tmp_path / "cache", "--form", "uint8", *SIZE)
    assert result.exit_code == 0, result.output
    assert result.output == ("train: prepare: kept 2, rejected 0, 207 kB\nval: prepare: kept 2, rejected 0, 207 kB\n")
    clips, _ = open_clips(tmp_path / "cache", split="val")
    assert [(one.clip_id, clips.class_names[one.label]) for one in clips.examples] == [
        ("val_left", "left"), ("val_right", "right"),
    ]  # fmt: skip
    again = run(data, "--out", tmp_path / "cache", "--form", "uint8", *SIZE, "--json", "--split", "train")
    (summary,) = json.loads(again.output)["splits"]
    assert (summary["split"], summary["was_current"], summary["size_bytes"]) == ("train", True, 2 * 20 * 48 * 36 * 3)


def test_a_dry_run_says_how_large_it_will_be_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    result = run(data, "--out", tmp_path / "cache", "--form", "uint8", *SIZE, "--dry-run", "--split", "train")
    assert result.output == "prepare: train: 2 clips as uint8 would take 207 kB (2 looked at, 0 unreadable)\n"
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_another_size_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    assert run(data, "--out", tmp_path, "--split", "train", "--form", "tar", *SIZE).exit_code == 0
    result = run(data, "--out", tmp_path, "--split", "train", "--form", "uint8", *SIZE)
    assert result.exit_code == 2
    assert "this folder holds clips prepared from something else" in result.output
    unknown = run(data, "--out", tmp_path, "--recipe", "nobody", "--split", "train")
    assert "no recipe 'nobody'" in unknown.output
