"""The commands of docs/noise.md run as they stand, and the page names what the programs know."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.curate.noise.confident import RULES
from gesta.schema import Candidate, Clip, Kept, LabelClass, Video
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

PAGE = (Path(__file__).parents[2] / "docs" / "noise.md").read_text()
NAMES = ("hopping", "jumping", "waving")


def commands() -> list[list[str]]:
    """The words of each command of the page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def lay_out(work: Path) -> None:
    """Clips of hopping and jumping, which look the same, and of waving."""
    rng = np.random.default_rng(0)
    ids = [f"c{number:02d}" for number in range(60)]

    def put(table: str, rows: list) -> None:
        made = made_by("test", arguments={}, inputs={})
        write_table(table_path(work, table), table, frame_of(table, rows), made_by=made)

    put("label_map", [LabelClass(class_id=n, name=name) for n, name in enumerate(NAMES)])
    rows = [
        Video(
            video_id=f"v{c}", path=f"{c}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
            width_px=64, height_px=48, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=25, start_us=0,
            duration_us=1_000_000, has_audio=False,
        )
        for c in ids
    ]  # fmt: skip
    put("videos", rows)
    put("clips", [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=1_000_000) for c in ids])
    put("kept", [Kept(clip_id=c, video_id=f"v{c}", class_id=n % 3) for n, c in enumerate(ids)])
    put(
        "candidates",
        [Candidate(clip_id=c, class_id=n % 3, source="title", query="", score=1.0) for n, c in enumerate(ids)],
    )
    vectors = 0.3 * rng.standard_normal((60, 6)) + np.eye(6)[[0 if n % 3 == 2 else 1 for n in range(60)]]
    frame = pl.DataFrame({"clip_id": ids, "vector": vectors.astype(np.float32).tolist()})
    frame.write_parquet(work.parent / "features.parquet")


def test_the_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work").mkdir()
    lay_out(tmp_path / "work")
    for words in commands():
        ran = CliRunner().invoke(main, words[1:])
        assert ran.exit_code == 0, f"{' '.join(words)}: {ran.output}"
    first = read_table(tmp_path / "work", "class_confusions").filter(class_id=0, rank=1).row(0, named=True)
    assert NAMES[first["other_class_id"]] == "jumping"
    assert (tmp_path / "work" / "noise" / "look.html").is_file()
    # The merge was undone.
    assert set(read_table(tmp_path / "work", "candidates")["class_id"]) == {0, 1, 2}


def test_the_page_names_every_rule_and_column() -> None:
    assert set(re.findall(r"^\| `((?!-)[a-z-]+)` \|", PAGE, flags=re.MULTILINE)) == set(RULES)
    for column in ("num_taken", "num_clips", "num_swapped", "num_confident", "overlap_frac"):
        assert f"`{column}`" in PAGE
