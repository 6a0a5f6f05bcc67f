import json
import shutil

import numpy as np
import pytest

from gesta.detect import DETECTORS, TrackedBox
from gesta.predict import predict_video, run_predict, videos_under
from gesta.predict.streams.moments import intervals_of
from gesta.predict.streams.watch import box_at
from gesta.schema import BadInput, BadVideo
from gesta.tables import read_rejects
from gesta.video import probe, read_frames


def test_a_mover_is_followed_and_named(checkpoint, release, detector, tmp_path):
    video = release.parents[1] / "videos" / "-v0.mp4"
    result = predict_video(checkpoint, video, detector=detector, out=tmp_path, device="cpu", threads=1)
    assert result == json.loads((tmp_path / "-v0.json").read_bytes())
    (person,) = result["persons"]
    assert len(person["boxes"]) == 15
    assert [(row["start_us"], row["end_us"]) for row in person["actions"]] == [
        (0, 1_000_000), (1_000_000, 2_000_000), (2_000_000, 3_000_000)
    ]  # fmt: skip
    assert [row["class_id"] for row in result["classes"]] == [3, 7]
    middle = person["actions"][1]["scores"]
    assert middle[0] > 0.5 > middle[1]
    assert any(row["name"] == "move sideways" for row in person["intervals"])


def test_the_annotated_video_plays_like_the_source_with_boxes_in_it(checkpoint, release, detector, tmp_path):
    video = release.parents[1] / "videos" / "-v1.mp4"
    predict_video(checkpoint, video, detector=detector, out=tmp_path, device="cpu")
    source, drawn = probe(video), probe(tmp_path / "-v1.mp4")
    assert (drawn.codec, drawn.num_frames, drawn.width_px) == ("h264", source.num_frames, source.width_px)
    assert drawn.duration_us == source.duration_us
    plain, marked = (read_frames(path, [1_500_000]).astype(int) for path in (video, tmp_path / "-v1.mp4"))
    assert np.abs(plain - marked).max() > 80


@pytest.mark.parametrize("name", ["hard/video_90.mov", "hard/var_fps_video.mp4"])
def test_turned_and_uneven_videos_keep_size_and_times(checkpoint, shared, detector, tmp_path, name):
    video = shared / "videos" / name
    result = predict_video(checkpoint, video, detector=detector, out=tmp_path, device="cpu")
    source, drawn = probe(video), probe(tmp_path / f"{video.stem}.mp4")
    assert (drawn.width_px, drawn.height_px) == (source.width_px // 2 * 2, source.height_px // 2 * 2)
    assert drawn.num_frames == source.num_frames
    assert abs(drawn.duration_us - source.duration_us) < 60_000
    assert result["video"]["rotation_deg"] == source.rotation_deg


def test_a_folder_goes_on_after_a_broken_file_and_is_not_done_twice(
    checkpoint, release, detector, tmp_path, monkeypatch
):
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    shutil.copy(release.parents[1] / "videos" / "-v0.mp4", folder / "a.mp4")
    shutil.copy(release.parents[1] / "videos" / "-v1.mp4", tmp_path / "in" / "b.mp4")
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "in" / "notes.txt").write_text("not for this")
    monkeypatch.setitem(DETECTORS, "hog", lambda weights: detector)
    seen: list[int] = []
    run = {"videos": tmp_path / "in", "out": tmp_path / "out", "device": "cpu"}
    summary = run_predict(checkpoint, **run, on_videos=seen.append)
    assert summary.kept == 2
    assert sum(summary.rejected.values()) == 1
    assert seen == [1, 1, 1]
    assert set(summary.outputs) == {"b.json", "b.mp4", "deep/a.json", "deep/a.mp4"}
    assert read_rejects(tmp_path / "out")["path"].to_list() == ["broken.mp4"]
    before = (tmp_path / "out" / "b.mp4").stat().st_mtime_ns
    again = run_predict(checkpoint, **run)
    assert again.was_current
    assert again.as_json() == summary.as_json() | {"was_current": True}
    assert (tmp_path / "out" / "b.mp4").stat().st_mtime_ns == before
    assert not run_predict(checkpoint, **run, min_score=0.5).was_current


def test_one_broken_file_is_an_error(checkpoint, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"")
    with pytest.raises(BadVideo, match=r"x\.mp4"):
        run_predict(checkpoint, videos=tmp_path / "x.mp4", out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "x.mp4").exists()


def test_files_of_one_name_do_not_overwrite_each_other(checkpoint, release, detector, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for ending in ("mp4", "mov"):
        shutil.copy(release.parents[1] / "videos" / "-v0.mp4", tmp_path / "in" / f"a.{ending}")
    monkeypatch.setitem(DETECTORS, "hog", lambda weights: detector)
    summary = run_predict(checkpoint, videos=tmp_path / "in", out=tmp_path / "out", device="cpu")
    assert set(summary.outputs) == {"mov/a.json", "mov/a.mp4", "mp4/a.json", "mp4/a.mp4"}


def test_nothing_to_look_at_is_said(checkpoint, detector, tmp_path):
    with pytest.raises(BadInput, match="no such file or folder"):
        videos_under(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(BadInput, match=r"the folder has no video.*\.mp4"):
        videos_under(tmp_path)
    with pytest.raises(BadInput, match="stride_s=0"):
        predict_video(checkpoint, tmp_path / "a.mp4", detector=detector, out=tmp_path, stride_s=0)


def test_intervals_run_while_the_class_stays_likely():
    scores = [(0.9, 0.1), (0.8, 0.6), (0.2, 0.7), (0.9, 0.1)]
    rows = [(10 * k, 10 * k + 10, pair) for k, pair in enumerate(scores)]
    found = intervals_of(rows, class_ids=[3, 7], class_names=["a", "b"], min_score=0.5)
    assert [(row.class_id, row.name, row.start_us, row.end_us) for row in found] == [
        (3, "a", 0, 20),
        (7, "b", 10, 30),
        (3, "a", 30, 40),
    ]
    assert found[0].mean_score == pytest.approx(0.85)


def test_a_stretch_without_the_person_ends_an_interval():
    found = intervals_of([(0, 10, (0.9,)), (20, 30, (0.9,))], class_ids=[3], class_names=["a"], min_score=0.5)
    assert [(row.start_us, row.end_us) for row in found] == [(0, 10), (20, 30)]


def at(time_us: int, x1: float) -> TrackedBox:
    box = (x1, 0.0, x1 + 0.2, 0.2)
    return TrackedBox(person_id=0, time_us=time_us, box=box, score=1.0, is_interpolated=False)


def test_a_gap_in_a_track_is_bridged_and_its_ends_are_not_stretched():
    track = [at(1000, 0.0), at(2000, 0.2)]
    assert box_at(track, 1500, reach_us=0) == pytest.approx((0.1, 0.0, 0.3, 0.2))
    assert box_at(track, 900, reach_us=99) is None
    assert box_at(track, 900, reach_us=100) == (0.0, 0.0, 0.2, 0.2)
    assert box_at(track, 2101, reach_us=100) is None
