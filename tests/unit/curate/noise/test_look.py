"""The page of what was found: frames where there are some, a word where there are none."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.curate.noise.look import run_look
from gesta.schema import BadInput, MissingTable, Video
from gesta.tables import frame_of, made_by, read_table, table_path, write_table
from gesta.video import write_video


def video(name: str, path: str) -> Video:
    return Video(
        video_id=name, path=path, sha256="0" * 64, size_bytes=1, container="mp4", codec="h264", width_px=64,
        height_px=48, rotation_deg=0, fps_num=10, fps_den=1, is_vfr=False, num_frames=10, start_us=0,
        duration_us=1_000_000, has_audio=False,
    )  # fmt: skip


def test_what_was_found_is_shown_with_frames(noisy_work) -> None:
    work = noisy_work(num_clips=90, wrong={0: 5, 9: 5, 4: 8}, spread=0.15)
    rng = np.random.default_rng(0)
    ids = read_table(work, "clips")["video_id"].to_list()
    for name in ids[:80]:
        write_video(work / f"{name}.mp4", rng.integers(0, 255, (10, 48, 64, 3), dtype=np.uint8), fps=Fraction(10))
    (work / f"{ids[9]}.mp4").write_text("no video")
    rows = frame_of("videos", [video(name, f"{name}.mp4") for name in ids])
    write_table(table_path(work, "videos"), "videos", rows, made_by=made_by("test", arguments={}, inputs={}))
    with pytest.raises(MissingTable, match="gesta noise confusions"):
        run_look(work)
    runner = CliRunner()
    features = str(work / "features.parquet")
    for verb in (["folds", "--features", features], ["confusions"], ["labels"], ["groups", "--features", features]):
        assert runner.invoke(main, ["noise", verb[0], str(work), *verb[1:]]).exit_code == 0
    said = runner.invoke(main, ["noise", "look", str(work), "--top", "5", "--clips-each", "90"])
    assert said.exit_code == 0, said.output
    page = (work / "noise" / "look.html").read_text()
    assert "jumping: 2 of" in page
    assert "taken for waving" in page
    assert re.search(r"c00 waving\?", page)
    assert "does not decode" in page
    assert page.count("data:image/jpeg") == int(re.search(r"kept (\d+)", said.output)[1])
    assert run_look(work, out=work / "other.html", top=1, clips_each=1).kept > 0
    assert len((work / "other.html").read_text()) < len(page)
    with pytest.raises(BadInput, match="top=0, clips_each=6"):
        run_look(work, top=0)
