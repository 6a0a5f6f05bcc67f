"""`gesta evaluate` on files: what is printed, what the JSON holds, what is refused."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.evaluate import thresholds
from gesta.formats import (
    BOX_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    read_ava_csv,
    write_detections_csv,
    writer_named,
)
from gesta.formats.annotations import shaped
from gesta.schema import BadInput
from gesta.tables import made_by, write_table

TABLE = pl.DataFrame(
    {"video_id": ["v"], "path": "v.mp4", "sha256": "0" * 64, "size_bytes": 1, "container": "mp4", "codec": "h264",
     "width_px": 320, "height_px": 240, "rotation_deg": 0, "fps_num": 25, "fps_den": 1, "is_vfr": False,
     "num_frames": 30, "start_us": 0, "duration_us": 1_200_000, "has_audio": False, "title": "v", "source": "folder"}
)  # fmt: skip
VIDEO = shaped(TABLE, VIDEO_COLUMNS)


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *(str(argument) for argument in arguments)])


@pytest.fixture
def small(shared):
    return shared / "golden/mmaction2_eval_detection"


@pytest.fixture
def film(shared):
    folder = shared / "golden/slowfast_1j20qq1JyX4"
    return ["--groundtruth", folder / "groundtruth.csv", "--detections", folder / "detections.csv"]


def test_the_json_holds_the_official_number_at_full_precision(small):
    pair = ["--groundtruth", small / "gt.csv", "--detections", small / "pred.csv"]
    done = run("ava", *pair, "--label-map", small / "action_list.txt", "--json")
    result = json.loads(done.output)
    assert result["mAP"] == pytest.approx(0.09385521885521886, abs=1e-15)
    assert list(result["AP"]) == ["action1", "action2", "action3"]
    assert result["protocol"] == "official"
    assert result["scores"][0]["by_iou"][0]["iou"] == 0.5


def test_avas_60_classes_are_the_default(film):
    result = json.loads(run("ava", *film, "--json").output)
    assert len(result["AP"]) == 60
    assert result["mAP"] == pytest.approx(0.2805688428967599, abs=1e-12)
    assert result["AP"]["answer phone"] is None


def test_all_protocols_stand_side_by_side(film):
    shown = run("ava", *film, "--protocol", "all").output.splitlines()
    assert shown[0].split() == ["class", "official", "acar", "pyslowfast", "mmaction2"]
    assert shown[-1].split() == ["mean", "0.2806", "0.2771", "0.2803", "0.2839"]


def test_a_protocol_that_cannot_read_the_times_says_so_and_the_others_go_on(tmp_path):
    (tmp_path / "g.csv").write_text("v,5.5,0,0,1,1,1\n")
    (tmp_path / "d.csv").write_text("v,5.5,0,0,1,1,1,0.9\n")
    files = ["--groundtruth", tmp_path / "g.csv", "--detections", tmp_path / "d.csv"]
    result = json.loads(run("ava", *files, "--protocol", "all", "--json").output)
    assert result["mAP"] == 1.0
    assert "reads whole seconds only, not 5.5" in result["scores"][1]["refusal"]
    alone = run("ava", *files, "--protocol", "acar")
    assert alone.exit_code == 2
    assert "Use the protocol 'official'" in alone.output


def test_ava_kinetics_is_scored_on_each_part_and_on_both(tmp_path):
    (tmp_path / "ava.csv").write_text("a,0902,0,0,1,1,1\n")
    (tmp_path / "kinetics.csv").write_text("k,5.5,0,0,1,1,1\nk,6\n")
    (tmp_path / "d.csv").write_text("a,0902,0,0,1,1,1,0.5\nk,6,0,0,1,1,1,0.9\nk,5.5,0,0,1,1,1,0.8\n")
    parts = [value for name in ("ava", "kinetics") for value in ("--groundtruth", tmp_path / f"{name}.csv")]
    result = json.loads(run("ava", *parts, "--detections", tmp_path / "d.csv", "--json").output)
    assert {score["part"]: score["mAP"] for score in result["scores"]} == pytest.approx(
        {"ava": 1.0, "kinetics": 0.5, "combined": 2 / 3}
    )
    assert (result["part"], result["mAP"]) == ("combined", pytest.approx(2 / 3))
    twice = run("ava", *parts[:2], *parts[:2], "--detections", tmp_path / "d.csv")
    assert "a ground-truth file is named twice" in twice.output
    (tmp_path / "more.csv").write_text("a,902\n")
    overlapping = run("ava", *parts, "--groundtruth", tmp_path / "more.csv", "--detections", tmp_path / "d.csv")
    assert "two ground-truth files name key-frames of video a" in overlapping.output


def test_excluded_key_frames_do_not_count(tmp_path):
    (tmp_path / "g.csv").write_text("v,0902,0,0,1,1,1\nv,0903,0,0,1,1,1\n")
    (tmp_path / "d.csv").write_text("v,0902,0,0,1,1,1,0.5\nv,0903,0,0,.1,.1,1,0.9\n")
    (tmp_path / "e.csv").write_text("v,0903\n")
    files = ["--groundtruth", tmp_path / "g.csv", "--detections", tmp_path / "d.csv"]
    assert json.loads(run("ava", *files, "--json").output)["mAP"] == 0.25
    result = json.loads(run("ava", *files, "--excluded", tmp_path / "e.csv", "--groups", "--json").output)
    assert result["mAP"] == 1.0
    assert {row["mean_ap"] for row in result["groups"] if row["num_groundtruth"]} == {1.0}


def test_several_thresholds(film, tmp_path):
    result = json.loads(run("ava", *film, "--iou", "0.5:0.95", "--json", "--out", tmp_path / "r.json").output)
    assert result["ious"] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    by_iou = [one["mAP"] for one in result["scores"][0]["by_iou"]]
    assert result["mAP"] == pytest.approx(sum(by_iou) / 10)
    assert by_iou == sorted(by_iou, reverse=True)
    assert json.loads((tmp_path / "r.json").read_bytes()) == result
    assert run("ava", *film, "--iou", "half").exit_code == 2
    with pytest.raises(BadInput, match=r"'0\.5:0\.4' names no overlaps"):
        thresholds("0.5:0.4")


def test_what_lies_behind_the_number(film):
    done = run("ava", *film, "--breakdown", "--groups", "--coco", "--chance")
    for text in ("COCO: AP 0.", "person movement", "classification", "chance, the same boxes"):
        assert text in done.output
    one_film = run("ava", *film, "--intervals", 20)
    assert one_film.exit_code == 2
    assert "video" in one_film.output


def test_two_models_on_the_same_draws_of_videos(film, tmp_path):
    for name, path in (("g", film[1]), ("a", film[3])):
        rows = read_ava_csv(path, column_8="score").with_columns(
            pl.concat_str("video_id", (pl.col("timestamp_us") // 60_000_000).cast(pl.String)).alias("video_id")
        )
        write_detections_csv(tmp_path / f"{name}.csv", rows)
        write_detections_csv(tmp_path / "b.csv", rows.with_columns((1 - pl.col("score")).alias("score")))
    files = ["--groundtruth", tmp_path / "g.csv", "--detections", tmp_path / "a.csv"]
    result = json.loads(run("ava", *files, "--against", tmp_path / "b.csv", "--intervals", 50, "--json").output)
    assert result["against"]["difference"]["low"] > 0
    assert result["intervals"]["mAP"]["low"] < result["mAP"] < result["intervals"]["mAP"]["high"]
    assert "a is above b in 100.0% of the draws" in run("ava", *files, "--against", tmp_path / "b.csv").output


def test_a_map_near_nothing_is_explained(film, tmp_path):
    rows = read_ava_csv(film[3], column_8="score")
    write_detections_csv(tmp_path / "late.csv", rows.with_columns(rows["timestamp_us"] + 900_000_000))
    shown = run("ava", *film[:2], "--detections", tmp_path / "late.csv")
    assert "Why so low?" in shown.output
    assert "900" in shown.output
    asked = run("diagnose", *film[:2], "--detections", tmp_path / "late.csv", "--json")
    assert json.loads(asked.output)["findings"][0]["kind"] == "times"


def test_clip_scores(tmp_path):
    (tmp_path / "l.csv").write_text("clip_id,class_id\na,1\nb,2\n")
    (tmp_path / "s.csv").write_text("clip_id,class_id,score\na,1,0.9\na,2,0.1\nb,1,0.8\nb,2,0.2\n")
    files = ["--groundtruth", tmp_path / "l.csv", "--scores", tmp_path / "s.csv"]
    assert json.loads(run("clips", *files, "--json").output)["top_k"]["1"] == 0.5
    assert "top-1 0.500" in run("clips", *files, "--top", 1, "--top", 2).output


def test_video_map_of_tubes_and_of_boxes_on_frames(tmp_path):
    videos = VIDEO.with_columns(pl.lit("test").alias("split"))
    boxes = shaped(
        pl.DataFrame({"video_id": "v", "timestamp_us": [40_000 * i for i in range(30)], "x1": 0.25, "y1": 0.25,
                      "x2": 0.5, "y2": 0.75, "class_id": 0, "person_id": 0}),
        BOX_COLUMNS,
    )  # fmt: skip
    classes = shaped(pl.DataFrame({"class_id": [0], "name": ["run"]}), LABEL_MAP_COLUMNS)
    truth = Annotations(videos=videos, boxes=boxes, label_map=classes)
    writer_named("action-tubes")(tmp_path / "gt.pkl", truth, context=Context())
    rows = boxes.with_columns(pl.lit(0.9).alias("score"))
    write_detections_csv(tmp_path / "d.csv", rows)
    write_table(tmp_path / "videos.csv", "videos", TABLE, made_by=made_by("t", arguments={}, inputs={}))
    files = [
        "--groundtruth",
        tmp_path / "gt.pkl",
        "--detections",
        tmp_path / "d.csv",
        "--videos",
        tmp_path / "videos.csv",
    ]
    done = run("video", *files, "--split", "test", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["mAP"]["0.50"] == 1.0
    assert "video mAP, act: 1 labelled tubes, 1 detected" in run("video", *files).output
    missing = run("video", *files, "--split", "val")
    assert "no video of the split 'val'" in missing.output
