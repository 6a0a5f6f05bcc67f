"""Lists of `path label` lines: the layouts as their projects publish them, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.path_labels import read_path_labels, write_path_labels
from gesta.schema import BadInput


def clips_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return shaped(pl.DataFrame(list(rows)), CLIP_COLUMNS)


def videos_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return shaped(pl.DataFrame(list(rows)), VIDEO_COLUMNS)


def test_a_list_of_videos(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("abseiling/-a.mp4 0\nb.x/_b.c.avi 12\ntest.mp4 -1\nbare.mkv\n")
    rows = read_path_labels(path)
    assert rows.videos["video_id"].to_list() == ["-a", "_b.c", "test", "bare"]
    assert rows.videos["path"].to_list() == ["abseiling/-a.mp4", "b.x/_b.c.avi", "test.mp4", "bare.mkv"]
    assert rows.clips["class_id"].to_list() == [0, 12, None, None]
    assert rows.label_map.is_empty()


def test_many_labels_and_frames_and_offsets(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("imgs 5 1\nimgs 5 3 5\n")
    rows = read_path_labels(path, layout="frames", multi_label=True)
    assert rows.clips.select("video_id", "class_id").rows() == [("imgs", 1), ("imgs", 3), ("imgs", 5)]
    assert rows.videos.select("video_id", "num_frames").rows() == [("imgs", 5)]
    path.write_text("imgs 2 5 127\nimgs 7 5 127\n")
    context = Context(videos=videos_of({"video_id": "imgs", "fps_num": 25, "fps_den": 1}))
    rows = read_path_labels(path, layout="offsets", context=context)
    assert rows.clips.select("start_us", "end_us").rows() == [(80_000, 280_000), (280_000, 480_000)]


def test_labels_are_shifted_between_lists_and_plain_label_maps(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a.mp4 0\nb.mp4 -1\n")
    rows = read_path_labels(path, label_shift=1)
    assert rows.clips["class_id"].to_list() == [1, None]
    write_path_labels(path, rows, label_shift=1)
    assert path.read_text() == "a.mp4 0\nb.mp4 -1\n"
    with pytest.raises(BadInput, match="class 1 of 'a' would be label -1"):
        write_path_labels(path, rows, label_shift=2)


def test_a_label_map_that_counts_from_1_is_told_from_one_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    clips = clips_of({"video_id": "a", "class_id": 1}, {"video_id": "b", "class_id": 3})
    videos = videos_of({"video_id": "a", "path": "a.mp4"}, {"video_id": "b", "path": "b.mp4"})
    for ids, text, back in (([1, 2, 3], "a.mp4 0\nb.mp4 2\n", [1, 3]), ([1, 3, 7], "a.mp4 1\nb.mp4 3\n", [1, 3])):
        label_map = shaped(pl.DataFrame({"class_id": ids, "name": ["x", "y", "z"]}), LABEL_MAP_COLUMNS)
        write_path_labels(path, Annotations(videos=videos, clips=clips, label_map=label_map))
        assert path.read_text() == text
        assert read_path_labels(path, context=Context(label_map=label_map)).clips["class_id"].to_list() == back


def test_kinetics_clips_are_written_under_the_names_of_their_files(tmp_path: Path) -> None:
    clip = {"video_id": "-v", "start_us": 2_000_000, "end_us": 12_000_000, "class_id": 7}
    write_path_labels(tmp_path / "list.txt", Annotations(clips=clips_of(clip)))
    assert (tmp_path / "list.txt").read_text() == "-v_000002_000012.mp4 7\n"
    assert read_path_labels(tmp_path / "list.txt").clips["video_id"].to_list() == ["-v_000002_000012"]
    with pytest.raises(BadInput, match=r"the clip of '-v' from 2500000 to 12000000 microseconds has no file name"):
        write_path_labels(tmp_path / "list.txt", Annotations(clips=clips_of({**clip, "start_us": 2_500_000})))


BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "a path with a blank": ("a.mp4 1\nmy videos/b.mp4 1\n", {}, r"l\.txt:2: 3 columns, want 1 or 2 \(path, label\)"),
    "a raw-frame list": ("dir 163 1\n", {}, r"l\.txt:1: 3 columns, .*Or is it another layout"),
    "too few": ("dir\n", {"layout": "frames"}, r"l\.txt:1: 1 columns, want 2 or 3 \(folder, num_frames, label\)"),
    "a class name": ("a.mp4 walk\n", {}, r"l\.txt:1: the label is 'walk', want a whole number from 0, or -1"),
    "a negative label": ("a.mp4 -2\n", {}, r"l\.txt:1: the label is '-2'"),
    "half a frame": ("dir 1.5 1\n", {"layout": "frames"}, r"l\.txt:1: num_frames is '1.5', want a whole number"),
    "two counts": ("d 5 1\nd 6 1\n", {"layout": "frames"}, r"l\.txt:2: 'd' has 6 frames here and 5 before"),
    "one id for two paths": (
        "a/1.mp4 1\nb/1.mp4 2\n",
        {},
        r"l\.txt:2: 'a/1.mp4' and 'b/1.mp4' would both",
    ),
    "no path": (",1\n", {"separator": ","}, r"l\.txt:1: the path is empty"),
    "no rate": ("d 0 5 1\n", {"layout": "offsets"}, r"l\.txt: the frame rate of video 'd' is not known"),
    "no clip name": ("a.mp4 1\n", {"ids": "kinetics"}, r"l\.txt:1: 'a.mp4' is no name of a Kinetics clip file"),
    "a wide separator": ("a.mp4 1\n", {"separator": ", "}, r"', ' separates no columns"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_named_with_what_and_how_to_mend(name: str, tmp_path: Path) -> None:
    text, options, message = BROKEN[name]
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(BadInput, match=message):
        read_path_labels(tmp_path / "l.txt", **options)


def test_a_path_with_blanks_goes_into_a_list_with_another_separator(tmp_path: Path) -> None:
    rows = Annotations(
        videos=videos_of({"video_id": "b", "path": "my videos/b.mp4"}), clips=clips_of({"video_id": "b", "class_id": 1})
    )
    with pytest.raises(BadInput, match=r"'my videos/b.mp4' cannot stand in this list because of the separator ' '"):
        write_path_labels(tmp_path / "l.txt", rows)
    write_path_labels(tmp_path / "l.txt", rows, separator=",")
    assert (tmp_path / "l.txt").read_text() == "my videos/b.mp4,1\n"


def test_what_a_list_cannot_say_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    clip = {"video_id": "b", "class_id": 1}
    boxes = shaped(pl.DataFrame([{"video_id": "b", "timestamp_us": 0}]), BOX_COLUMNS)
    whole = videos_of({"video_id": "b", "path": "b.mp4"})
    with pytest.raises(BadInput, match="1 rows have boxes, and this format holds clip labels only"):
        write_path_labels(path, Annotations(boxes=boxes))
    with pytest.raises(BadInput, match="video 'b' has no path"):
        write_path_labels(path, Annotations(clips=clips_of(clip)))
    with pytest.raises(BadInput, match="video 'b' has no clip, so no line would name it"):
        write_path_labels(path, Annotations(videos=whole))
    timed = clips_of({**clip, "start_us": 0, "end_us": 10_000_000})
    with pytest.raises(BadInput, match=r"a clip of 'b' is a stretch of 'b.mp4', and this list names whole files"):
        write_path_labels(path, Annotations(videos=whole, clips=timed))
    with pytest.raises(BadInput, match="the number of frames of video 'b' is not known"):
        write_path_labels(path, Annotations(videos=whole, clips=clips_of(clip)), layout="frames")
    assert not path.exists()


@pytest.mark.slow
def test_a_million_lines_come_back(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text("".join(f"class/{i:07d}.mp4 {i % 700}\n" for i in range(1_000_000)))
    rows = read_path_labels(path)
    write_path_labels(tmp_path / "back.txt", rows)
    assert (tmp_path / "back.txt").read_bytes() == path.read_bytes()
