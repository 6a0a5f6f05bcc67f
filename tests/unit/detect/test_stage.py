import json

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import gesta.detect.detectors as detectors
from gesta.cli import main
from gesta.detect import plan_detect, run_detect, search_clip
from gesta.schema import BadVideo, ClipKeyFrame, GestaError, MissingTable, UnknownName
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

OUTPUTS = ("boxes", "tracks", "key_frames")


def white_parts(weights):
    """A detector that finds the bright square; the surer the further right it is."""
    del weights

    def detect(frames_NHWC):
        found = []
        for frame_HWC in frames_NHWC:
            rows, columns = np.nonzero(frame_HWC.mean(axis=2) > 128)
            height, width = frame_HWC.shape[:2]
            box = [columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height]
            found.append((np.array([box]), np.array([0.5 + box[0] / 2])))
        return found

    return detect


@pytest.fixture
def bright(monkeypatch):
    """The detector "hog" replaced by one that finds bright squares."""
    monkeypatch.setitem(detectors.DETECTORS, "hog", white_parts)
    from gesta.detect import search

    search._built.cache_clear()
    yield
    search._built.cache_clear()


def bytes_of(work):
    return {name: table_path(work, name).read_bytes() for name in OUTPUTS}


def test_boxes_tracks_and_key_frames_of_a_moving_square(work, bright):
    summary = run_detect(work, workers=1)
    assert summary.line == "detect: kept 6, rejected 0"
    assert summary.numbers == {"num_boxes": 90, "num_tracks": 6, "num_clips_without_person": 0}
    boxes = read_table(work, "boxes").filter(pl.col("video_id") == "v0")
    assert boxes["timestamp_us"].to_list() == list(range(0, 3_000_000, 200_000))
    assert np.abs(boxes["x1"].to_numpy() - np.arange(15) * 4 / 80).max() < 0.04
    key_frame = read_table(work, "key_frames").row(0, named=True)
    # The surest frame is the last; of those a second from the end it is the one at 2 s.
    assert key_frame["timestamp_us"] == 2_000_000
    assert key_frame["num_boxes"] == 1
    assert not (work / "shards" / "detect").exists()


def test_a_second_run_has_nothing_to_do_until_an_argument_changes(work, bright):
    first = run_detect(work, workers=1)
    again = run_detect(work, workers=2)
    assert again.was_current
    assert again.numbers == first.numbers
    assert again.line == first.line + " - already done"
    assert not run_detect(work, workers=1, rate=2.0).was_current


def test_the_tables_do_not_depend_on_the_number_of_workers(work):
    run_detect(work, workers=1, rate=1, min_score=0.0)
    alone = bytes_of(work)
    for name in OUTPUTS:
        table_path(work, name).unlink()
    run_detect(work, workers=2, rate=1, min_score=0.0)
    assert bytes_of(work) == alone


def test_every_frame_at_rate_0(work, bright):
    run_detect(work, workers=1, rate=0)
    assert len(read_table(work, "boxes")) == 6 * 30


def test_a_broken_video_and_an_absent_one_are_rejected_and_stop_nothing(work, bright):
    whole = (work / "v1.mp4").read_bytes()
    (work / "v1.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (work / "v2.mp4").unlink()
    videos = read_table(work, "videos").filter(pl.col("video_id") != "v3")
    write_table(table_path(work, "videos"), "videos", videos, made_by=made_by("test", arguments={"n": 2}, inputs={}))
    summary = run_detect(work, workers=1)
    assert summary.kept == 3
    rejects = read_rejects(work)
    assert rejects["stage"].unique().to_list() == ["detect"]
    by_video = dict(zip(rejects["video_id"], rejects["reason"], strict=True))
    assert set(by_video) == {"v1", "v2", "v3"}
    assert by_video["v3"] == "absent"
    assert all(rejects["detail"].str.len_chars() > 10)
    assert sorted(read_table(work, "key_frames")["video_id"]) == ["v0", "v4", "v5"]
    assert set(read_table(work, "boxes")["video_id"]) == {"v0", "v4", "v5"}


def test_a_video_that_breaks_in_the_middle_is_rejected_whole(shared, tmp_path):
    with pytest.raises(BadVideo) as caught:
        search_clip(
            shared / "videos" / "hard" / "corrupted.mp4", white_parts(None), start_us=0, end_us=10**8, min_score=0.0
        )
    assert caught.value.reason in {"decode", "open", "no-frames"}


def test_a_clip_after_the_video_has_no_frames(work):
    with pytest.raises(BadVideo, match="shows no frame during the clip") as caught:
        search_clip(work / "v0.mp4", white_parts(None), start_us=10**8, end_us=2 * 10**8, min_score=0.0)
    assert caught.value.reason == "no-frames"


def test_a_frame_on_screen_before_the_clip_goes_by_the_clips_start(work):
    found = search_clip(work / "v0.mp4", white_parts(None), start_us=150_000, end_us=1_000_000, min_score=0.0, rate=0)
    assert [each.time_us for each in found][:3] == [150_000, 200_000, 300_000]


def test_published_key_frames_stay_and_are_searched(work, bright):
    clip = read_table(work, "clips").row(0, named=True)
    row = ClipKeyFrame(
        clip_id=clip["clip_id"], video_id=clip["video_id"], timestamp_us=1_234_567, score=1.0, num_boxes=2
    )
    published = made_by("import", arguments={}, inputs={})
    write_table(table_path(work, "key_frames"), "key_frames", frame_of("key_frames", [row]), made_by=published)
    before = table_path(work, "key_frames").read_bytes()
    summary = run_detect(work, workers=1)
    assert summary.outputs == ("boxes", "tracks")
    assert table_path(work, "key_frames").read_bytes() == before
    tracks = read_table(work, "tracks").filter(pl.col("clip_id") == clip["clip_id"])
    assert 1_234_567 in tracks["timestamp_us"].to_list()
    assert run_detect(work, workers=1).was_current


def test_no_person_gives_the_middle_frame_and_score_0(work, monkeypatch, bright):
    monkeypatch.setitem(
        detectors.DETECTORS,
        "hog",
        lambda weights: lambda frames: [(np.zeros((0, 4)), np.zeros(0)) for _ in frames],
    )
    summary = run_detect(work, workers=1)
    assert summary.numbers["num_clips_without_person"] == 6
    key_frames = read_table(work, "key_frames")
    assert key_frames["timestamp_us"].to_list() == [1_400_000] * 6
    assert key_frames["score"].to_list() == [0.0] * 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rate": -1.0}, "--rate -1.0. Want frames a second, or 0"),
        ({"min_score": 1.5}, "--min-score 1.5. Want 0 to 1"),
        ({"nms_iou": -0.1}, "--nms-iou -0.1. Want 0 to 1"),
        ({"workers": 0}, "--workers 0. Want at least 1"),
    ],
)
def test_an_argument_out_of_range_is_named(work, arguments, says):
    with pytest.raises(GestaError, match=says):
        run_detect(work, **arguments)


def test_a_detector_that_is_none_and_a_missing_table(work, tmp_path):
    with pytest.raises(UnknownName, match="no detector 'hug'"):
        run_detect(work, detector="hug")
    with pytest.raises(MissingTable, match=r"Run `gesta mine` first|Run `gesta import` first"):
        run_detect(tmp_path / "empty")


def test_the_plan_counts_clips_and_frames_and_writes_nothing(work):
    before = sorted(work.iterdir())
    assert plan_detect(work, rate=5.0) == {
        "num_clips": 6, "num_frames": 90, "num_absent": 0, "detector": "hog", "weights": None, "min_score": 0.5,
    }  # fmt: skip
    assert plan_detect(work, rate=0)["num_frames"] == 180
    assert sorted(work.iterdir()) == before


def test_the_verb_prints_its_line_its_json_and_its_plan(work):
    run = CliRunner().invoke(main, ["detect", str(work), "--dry-run"])
    assert run.output == (
        "detect: would search 6 clips, about 90 frames, with hog from score 0.5; 0 clips have no video at hand\n"
    )
    run = CliRunner().invoke(main, ["detect", str(work), "--rate", "1", "--workers", "1"])
    assert run.output == "detect: kept 6, rejected 0\n"
    run = CliRunner().invoke(main, ["detect", str(work), "--rate", "1", "--json"])
    said = json.loads(run.output)
    assert said["was_current"]
    assert said["kept"] == 6
    run = CliRunner().invoke(main, ["detect", str(work), "--detector", "centernet"])
    assert run.exit_code == 2
    assert "gesta: error: the detector 'centernet' needs a weights file" in run.output
