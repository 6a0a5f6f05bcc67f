"""A folder of good and broken files: what is kept, and why the rest is not."""

from __future__ import annotations

import json
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest

from gesta.import_.folder import run_import_folder, title_of_name
from gesta.schema import BadInput
from gesta.tables import read_rejects, read_table
from gesta.video import write_video


def a_video(path: Path, *, num_frames: int = 10) -> Path:
    frames = (np.full((32, 48, 3), 20 * k, dtype=np.uint8) for k in range(num_frames))
    return write_video(path, frames, fps=Fraction(25))


def a_sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(8000)
        stream.writeframes(bytes(8000))
    return path


def a_video_without_frames(path: Path) -> Path:
    """A header that announces a video track, and nothing after it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        container.start_encoding()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "in"
    good = a_video(home / "good_one.mp4")
    (home / "empty.mp4").write_bytes(b"")
    whole = good.read_bytes()
    # A download that ended early, of a file whose index comes last.
    index_at = whole.index(b"moov") - 4
    index_end = index_at + int.from_bytes(whole[index_at : index_at + 4])
    (home / "cut_short.mp4").write_bytes((whole[:index_at] + whole[index_end:])[:-50])
    (home / "words.mp4").write_text("not a video " * 500)
    (home / "notes.txt").write_text("notes")
    a_sound(home / "sound.wav").rename(home / "sound.mp4")
    for ending in (".avi", ".mkv", ".mp4"):
        a_video_without_frames(home / f"no_frames_{ending[1:]}{ending}")
    (home / "broken.mkv").write_bytes(b"\x1aE\xdf\xa3" + bytes(range(256)) * 8)
    a_video(home / "sub" / "good_one.mp4")
    return home


def reasons(work: Path) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in read_rejects(work).select("path", "reason").iter_rows()}


def test_each_broken_file_has_its_own_reason(folder: Path, tmp_path: Path):
    work = tmp_path / "work"
    seen: list[int] = []
    summary = run_import_folder(work, folder=folder, workers=1, on_rows=seen.append)
    assert summary.kept == 1
    assert sum(seen) == 11
    assert reasons(work) == {
        "empty.mp4": "empty",
        "cut_short.mp4": "truncated",
        "words.mp4": "not-video",
        "notes.txt": "not-video",
        "sound.mp4": "no-video",
        "no_frames_avi.avi": "no-frames",
        "no_frames_mkv.mkv": "no-frames",
        "no_frames_mp4.mp4": "no-frames",
        "broken.mkv": "open",
        "good_one.mp4": "same-id",
    }
    rejected = read_rejects(work)
    assert rejected["detail"].str.len_chars().min() > 10
    assert set(rejected["stage"]) == {"import"}
    row = read_table(work, "videos").row(0, named=True)
    assert (row["video_id"], row["path"], row["title"]) == ("good_one", "../in/good_one.mp4", "good one")
    assert (row["width_px"], row["height_px"], row["num_frames"], row["duration_us"]) == (48, 32, 10, 400_000)


def test_a_second_run_has_nothing_to_do_until_a_file_changes(folder: Path, tmp_path: Path):
    work = tmp_path / "work"
    first = run_import_folder(work, folder=folder, workers=1)
    again = run_import_folder(work, folder=folder, workers=1)
    assert (first.was_current, again.was_current) == (False, True)
    assert (again.kept, again.rejected) == (first.kept, first.rejected)
    a_video(folder / "good_one.mp4", num_frames=11)
    changed = run_import_folder(work, folder=folder, workers=1)
    assert not changed.was_current
    assert read_table(work, "videos")["num_frames"].to_list() == [11]
    assert not (work / "shards" / "import").exists()


def test_more_workers_give_the_same_bytes(folder: Path, tmp_path: Path):
    for name, workers in (("one", 1), ("two", 2)):
        run_import_folder(tmp_path / name, folder=folder, workers=workers)
    for file in ("videos.parquet", "videos.parquet.json", "rejects/import.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_good_file_of_two_with_one_name_is_kept(tmp_path: Path):
    a_video(tmp_path / "in" / "z" / "x.mp4")
    (tmp_path / "in" / "x.mp4").write_bytes(b"")
    summary = run_import_folder(tmp_path / "work", folder=tmp_path / "in", workers=1)
    assert (summary.kept, summary.rejected) == (1, {"empty": 1})


def test_a_title_comes_from_the_sidecar(tmp_path: Path):
    home = tmp_path / "in"
    for name in ("a_b", "c_d", "e_f"):
        a_video(home / f"{name}.mp4")
    (home / "a_b.info.json").write_text(json.dumps({"title": " Arm wrestling in the park "}))
    (home / "c_d.info.json").write_text("{")
    (home / "e_f.info.json").write_text("[]")
    summary = run_import_folder(tmp_path / "work", folder=home, workers=1)
    titles = dict(read_table(tmp_path / "work", "videos").select("video_id", "title").iter_rows())
    assert titles == {"a_b": "Arm wrestling in the park", "c_d": "c d", "e_f": "e f"}
    assert summary.rejected == {"sidecar": 2}
    assert set(reasons(tmp_path / "work")) == {"c_d.info.json", "e_f.info.json"}


def test_subfolders_hidden_files_and_the_work_folder_can_be_left_out(tmp_path: Path):
    home = tmp_path / "in"
    a_video(home / "a.mp4")
    a_video(home / "sub" / "b.mp4")
    a_video(home / ".hidden" / "c.mp4")
    a_video(home / "work" / "cuts" / "d.mp4")
    work = home / "work"
    run_import_folder(work, folder=home, workers=1)
    assert read_table(work, "videos")["video_id"].to_list() == ["a", "b"]
    run_import_folder(work, folder=home, recursive=False, workers=1)
    assert read_table(work, "videos")["video_id"].to_list() == ["a"]


def test_a_wrong_folder_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"is no folder\. Give a folder of video files"):
        run_import_folder(tmp_path / "work", folder=tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(BadInput, match=r"bare: holds no files\."):
        run_import_folder(tmp_path / "work", folder=tmp_path / "bare")


def test_a_name_that_is_no_text_is_rejected(tmp_path: Path):
    home = tmp_path / "in"
    a_video(home / "a.mp4").rename(home / b"\xff.mp4".decode("utf-8", "surrogateescape"))
    summary = run_import_folder(tmp_path / "work", folder=home, workers=1)
    assert (summary.kept, summary.rejected) == (0, {"name": 1})


def test_titles_are_the_words_of_a_name():
    assert title_of_name("jumping_jacks--02.final") == "jumping jacks 02 final"
    assert title_of_name("---") == "---"


@pytest.mark.timeout(120)
def test_every_real_file_is_imported_or_rejected(shared: Path, tmp_path: Path):
    summary = run_import_folder(tmp_path, folder=shared / "videos", workers=1)
    files = [path for path in (shared / "videos").rglob("*") if path.is_file()]
    assert summary.kept + sum(summary.rejected.values()) == len(files)
    videos = read_table(tmp_path, "videos")
    size = videos.filter(pl.col("video_id") == "video_90").row(0, named=True)
    assert (size["width_px"], size["height_px"], size["rotation_deg"]) == (320, 568, 90)
