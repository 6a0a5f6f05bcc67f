"""Mining a hand-made table of videos."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.mine import plan_mine, run_mine
from gesta.schema import BadInput, Candidate, Clip, LabelClass, MissingTable, UnknownName, Video
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

MADE = made_by("by-hand", arguments={}, inputs={})
S = 1_000_000


def video(video_id: str, title: str | None, *, seconds: float, start_us: int = 0) -> Video:
    return Video(
        video_id=video_id, path=f"v/{video_id}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
        width_px=4, height_px=4, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=9, start_us=start_us,
        duration_us=int(seconds * S), has_audio=False, title=title,
    )  # fmt: skip


VIDEOS = [
    video("-a", "How to wave your hands and bow", seconds=30, start_us=40_000),
    video("b", "holiday", seconds=30),
    video("c", "bowing", seconds=0.9),
    video("d", "Bow!", seconds=4),
    video("e", None, seconds=30),
]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    write_table(table_path(folder, "videos"), "videos", frame_of("videos", VIDEOS), made_by=MADE)
    (tmp_path / "actions.txt").write_text("bowing\nwaving hand\nkicking\n")
    return folder


def actions(work: Path) -> Path:
    return work.parent / "actions.txt"


def everything(work: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work)): path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}


def test_titles_and_windows_become_candidates(work: Path) -> None:
    done: list[int] = []
    summary = run_mine(work, actions=actions(work), clip_s=10.0, windows_per_video=2, on_rows=done.append)
    assert summary.line == "mine: kept 2, rejected 3 (short 1, title 2)"
    assert sum(done) == 5
    assert read_table(work, "clips").rows() == [
        ("-a_0002540000_0012540000", "-a", 2_540_000, 12_540_000),
        ("-a_0017540000_0027540000", "-a", 17_540_000, 27_540_000),
        ("d_0000000000_0004000000", "d", 0, 4_000_000),
    ]
    assert read_table(work, "candidates").rows() == [
        ("-a_0002540000_0012540000", 1, "title", "bow", 1.0, None, None),
        ("-a_0002540000_0012540000", 2, "title", "wave your hands", 1.0, None, None),
        ("-a_0017540000_0027540000", 1, "title", "bow", 1.0, None, None),
        ("-a_0017540000_0027540000", 2, "title", "wave your hands", 1.0, None, None),
        ("d_0000000000_0004000000", 1, "title", "bow", 1.0, None, None),
    ]
    assert read_table(work, "label_map")["name"].to_list() == ["bowing", "waving hand", "kicking"]
    rejects = read_rejects(work).select("stage", "reason", "video_id", "path", "detail").rows()
    assert rejects == [
        ("mine", "short", "c", "v/c.mp4", "0.900 s, want at least 1 s"),
        ("mine", "title", "b", "v/b.mp4", "the title 'holiday' names no action"),
        ("mine", "title", "e", "v/e.mp4", "there is no title"),
    ]
    assert summary.numbers["yield_per_class"] == {
        "bowing": {"num_videos": 2, "num_candidates": 3},
        "waving hand": {"num_videos": 1, "num_candidates": 2},
        "kicking": {"num_videos": 0, "num_candidates": 0},
    }


def test_a_second_run_has_nothing_to_do_and_other_arguments_replace_the_first(work: Path) -> None:
    first = run_mine(work, actions=actions(work))
    before = everything(work)
    again = run_mine(work, actions=actions(work))
    assert again.was_current
    assert (again.kept, again.rejected, again.numbers) == (first.kept, first.rejected, first.numbers)
    assert everything(work) == before
    assert not run_mine(work, actions=actions(work), windows_per_video=1).was_current
    assert len(read_table(work, "clips")) == 2
    run_mine(work, actions=actions(work))
    assert everything(work) == before


def test_unmatched_videos_may_be_asked_for_everything(work: Path) -> None:
    summary = run_mine(work, actions=actions(work), unmatched="all", windows_per_video=1)
    assert summary.line == "mine: kept 4, rejected 1 (short 1)"
    candidates = read_table(work, "candidates").filter(pl.col("source") == "window")
    assert candidates["class_id"].to_list() == [1, 2, 3, 1, 2, 3]
    assert candidates["query"].unique().to_list() == [""]


def test_what_annotation_files_brought_stays(work: Path) -> None:
    clip = Clip(clip_id="b_0000000000_0010000000", video_id="b", start_us=0, end_us=10 * S)
    imported = {
        "clips": [clip],
        "candidates": [Candidate(clip_id=clip.clip_id, class_id=9, source="import", query="", score=1.0)],
        "label_map": [LabelClass(class_id=9, name="kayaking")],
    }
    for table, rows in imported.items():
        write_table(table_path(work / "imported", table), table, frame_of(table, rows), made_by=MADE)
    summary = run_mine(work, actions=actions(work))
    assert summary.line == "mine: kept 2, rejected 2 (short 1, title 1)"
    assert summary.numbers["num_imported_candidates"] == 1
    assert read_table(work, "candidates").filter(pl.col("class_id") == 9)["source"].to_list() == ["import"]
    assert clip.clip_id in read_table(work, "clips")["clip_id"]
    assert read_table(work, "label_map")["class_id"].to_list() == [1, 2, 3, 9]
    assert run_mine(work, actions=actions(work)).was_current
    (work.parent / "other.pbtxt").write_text('item { id: 9 name: "rowing" }')
    with pytest.raises(BadInput, match=r"other\.pbtxt: class 9 is 'rowing' here and 'kayaking' in this work folder"):
        run_mine(work, actions=work.parent / "other.pbtxt")


def test_what_cannot_be_meant_is_refused(work: Path) -> None:
    with pytest.raises(BadInput, match=r"clips of 0\.5 s\. Want at least 1 s"):
        run_mine(work, actions=actions(work), clip_s=0.5)
    with pytest.raises(BadInput, match=r"0 windows a video\. Want at least 1"):
        run_mine(work, actions=actions(work), windows_per_video=0)
    with pytest.raises(UnknownName, match=r"no way with unmatched videos 'al'\. Did you mean 'all'\?"):
        run_mine(work, actions=actions(work), unmatched="al")  # type: ignore[arg-type]
    with pytest.raises(MissingTable, match=r"there is no table 'videos' here\. Run `gesta import` first"):
        run_mine(work.parent, actions=actions(work))


def test_a_plan_says_the_same_and_writes_nothing(work: Path) -> None:
    before = everything(work)
    plan = plan_mine(work, actions=actions(work))
    assert everything(work) == before
    done = run_mine(work, actions=actions(work))
    assert (plan.kept, plan.rejected, plan.numbers) == (done.kept, done.rejected, done.numbers)


def test_the_verb_says_one_line_or_one_json(work: Path) -> None:
    arguments = ["mine", str(work), "--actions", str(actions(work))]
    planned = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert planned.output == "mine: kept 2, rejected 3 (short 1, title 2)\n"
    assert not table_path(work, "clips").exists()
    assert CliRunner().invoke(main, arguments).output == planned.output
    again = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(again.output)["was_current"] is True
    wrong = CliRunner().invoke(main, [*arguments, "--clip-s", "0"])
    assert (wrong.exit_code, wrong.stderr) == (2, "gesta: error: clips of 0 s. Want at least 1 s\n")
