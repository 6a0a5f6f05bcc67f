"""The rendered world: what it holds, that it is what it says, and that it is the same every time."""

from __future__ import annotations

import json
from pathlib import Path

import av
import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.schema import BadInput, Refused
from gesta.tables import read_table, rows_of, sha256_of_file
from gesta.world import render_world


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}


def test_the_tables_hold_checked_rows_of_every_kind(tiny_world: Path):
    videos = rows_of("truth_videos", read_table(tiny_world, "truth_videos"))
    assert len(videos) == 24
    assert {video.kind for video in videos} == {"original", "duplicate", "distractor", "empty", "corrupt"}
    for table in ("truth_actions", "truth_boxes"):
        assert rows_of(table, read_table(tiny_world, table))
    names = (tiny_world / "actions.txt").read_text().splitlines()
    assert len(names) == 10
    assert set(read_table(tiny_world, "truth_actions")["action"]) <= set(names)


def test_each_file_lies_where_the_table_says_with_its_title_beside_it(tiny_world: Path):
    for video in rows_of("truth_videos", read_table(tiny_world, "truth_videos")):
        assert (tiny_world / video.path).is_file()
        assert len(video.video_id) == 11
        beside = json.loads((tiny_world / "videos" / f"{video.video_id}.info.json").read_text())
        assert beside == {"id": video.video_id, "title": video.title}


def frame_times_us(path: Path) -> list[int]:
    try:
        with av.open(str(path)) as container:
            streams = container.streams.video
            frames = container.decode(streams[0]) if streams else []
            return [round(frame.pts * frame.time_base * 1_000_000) for frame in frames]
    except av.InvalidDataError:
        return []


def test_boxes_and_actions_lie_on_the_frames_that_decode(tiny_world: Path):
    boxes, actions = read_table(tiny_world, "truth_boxes"), read_table(tiny_world, "truth_actions")
    for video in rows_of("truth_videos", read_table(tiny_world, "truth_videos")):
        mine = boxes.filter(video_id=video.video_id)
        if not video.is_readable:
            assert frame_times_us(tiny_world / video.path) == []
            assert mine.is_empty()
            continue
        times = frame_times_us(tiny_world / video.path)
        assert set(mine["timestamp_us"]) <= set(times)
        assert mine.is_empty() == (video.kind == "empty")
        did = actions.filter(video_id=video.video_id)
        assert all(
            0 <= start < end <= times[-1] + 120_000 for start, end in did.select("start_us", "end_us").iter_rows()
        )


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path):
    render_world(tmp_path / "one", seed=5, num_videos=12, workers=1)
    render_world(tmp_path / "two", seed=5, num_videos=12, workers=2)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_a_second_run_does_nothing_and_a_lost_file_is_made_again(tmp_path: Path):
    render_world(tmp_path, seed=1, num_videos=8, workers=1)
    before = bytes_of(tmp_path)
    counted: list[int] = []
    assert render_world(tmp_path, seed=1, num_videos=8, workers=1, on_rows=counted.append).was_current
    assert counted == []
    next((tmp_path / "videos").glob("*.mp4")).unlink()
    (tmp_path / "videos" / ".killed-abc.tmp.mp4").write_bytes(b"half a video")
    assert not render_world(tmp_path, seed=1, num_videos=8, workers=1, on_rows=counted.append).was_current
    assert sum(counted) == 8
    assert bytes_of(tmp_path) == before


def test_another_world_is_not_written_over(tmp_path: Path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "mine.mp4").write_bytes(b"precious")
    with pytest.raises(Refused, match=r"mine\.mp4: the folder holds videos of another world"):
        render_world(tmp_path, seed=1, num_videos=8)


def test_too_small_a_world_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"a world of 7 videos\. Want at least 8"):
        render_world(tmp_path, seed=1, num_videos=7)


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path):
    arguments = ["world", str(tmp_path / "w"), "--seed", "3", "--videos", "24", "--dry-run", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["num_videos"] == 24
    assert not (tmp_path / "w").exists()


def test_the_verb_renders(tmp_path: Path):
    result = CliRunner().invoke(main, ["world", str(tmp_path), "--seed", "2", "--videos", "8", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert result.output == "world: kept 8, rejected 0\n"
    assert pl.read_parquet(tmp_path / "truth_videos.parquet").height == 8
