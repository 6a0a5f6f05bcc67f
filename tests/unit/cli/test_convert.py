"""`gesta convert` and `gesta export`: every format to and from the neutral shape at the command line."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.formats import FORMATS, Annotations, Context, format_of, read_annotations, read_ava_csv, writer_named
from gesta.formats.annotations import BOX_COLUMNS, CLIP_COLUMNS, LABEL_MAP_COLUMNS, VIDEO_COLUMNS, shaped
from gesta.release import annotations_of
from gesta.tables import made_by, table_path, write_table

LABEL_MAP = shaped(pl.DataFrame({"class_id": [1, 2], "name": ["clap", "wave"]}), LABEL_MAP_COLUMNS)
VIDEOS = shaped(
    pl.DataFrame(
        {
            "video_id": ["-a", "b"], "path": ["clap/-a.mp4", "wave/b.mp4"], "split": ["train", "test"],
            "width_px": [640, 640], "height_px": [480, 480], "fps_num": [25, 25], "fps_den": [1, 1],
            "num_frames": [300, 300], "duration_us": [12_000_000, 12_000_000],
        }
    ),
    VIDEO_COLUMNS,
)  # fmt: skip
TIMED = shaped(
    pl.DataFrame(
        {"video_id": ["-a", "b"], "start_us": [0, 2_000_000], "end_us": [10_000_000, 12_000_000], "class_id": [1, 2],
         "split": ["train", "test"]}
    ),
    CLIP_COLUMNS,
)  # fmt: skip
BOXES = shaped(
    pl.DataFrame(
        {"video_id": ["-a", "-a", "b"], "timestamp_us": [1_000_000, 1_000_000, 4_000_000], "x1": [0.25, 0.25, 0.5],
         "y1": [0.25, 0.25, 0.5], "x2": [0.5, 0.5, 0.75], "y2": [0.75, 0.75, 1.0], "class_id": [1, 2, 2],
         "person_id": [0, 0, 0]}
    ),
    BOX_COLUMNS,
)  # fmt: skip
WHOLE_FILES = TIMED.with_columns(
    pl.lit(None, dtype=pl.Int64).alias("start_us"), pl.lit(None, dtype=pl.Int64).alias("end_us")
)

SAMPLES = {
    "boxes": Annotations(videos=VIDEOS, boxes=BOXES, label_map=LABEL_MAP),
    "proposals": Annotations(videos=VIDEOS, boxes=BOXES[[0, 2]].with_columns(
        pl.lit(None, dtype=pl.Int64).alias("class_id"), pl.lit(None, dtype=pl.Int64).alias("person_id"),
        pl.lit(0.9).alias("score"))),
    "detections": Annotations(videos=VIDEOS, boxes=BOXES.with_columns(
        pl.lit(None, dtype=pl.Int64).alias("person_id"), pl.lit(0.9).alias("score")), label_map=LABEL_MAP),
    "timed": Annotations(videos=VIDEOS, clips=TIMED, label_map=LABEL_MAP),
    "whole": Annotations(videos=VIDEOS, clips=WHOLE_FILES, label_map=LABEL_MAP),
    "guesses": Annotations(videos=VIDEOS, clips=WHOLE_FILES.with_columns(
        pl.lit(0.5).alias("score"), pl.lit(None, dtype=pl.String).alias("split")), label_map=LABEL_MAP),
    "classes": Annotations(label_map=LABEL_MAP),
}  # fmt: skip
SAMPLE_OF = {
    "ava": "boxes", "ava-kinetics": "boxes", "detections": "detections", "proposals": "proposals", "kinetics": "timed",
    "kinetics-json": "timed", "activitynet": "timed", "activitynet-predictions": "guesses", "path-labels": "whole",
    "ucf101": "whole", "hmdb51": "whole", "action-tubes": "boxes", "coco-vid": "boxes", "cvat": "boxes",
    "label-studio": "boxes", "fiftyone-temporal": "timed", "video-folder": "whole", "label-map": "classes",
}  # fmt: skip


def test_every_format_has_a_sample():
    assert set(SAMPLE_OF) == {name for name, one in FORMATS.items() if one.write is not None}


@pytest.mark.parametrize("name", SAMPLE_OF)
def test_what_is_written_is_recognised_and_says_the_same(tmp_path, name):
    sample = SAMPLES[SAMPLE_OF[name]]
    # A CVAT file holds one video; two make a folder.
    path = tmp_path / f"file{FORMATS[name].ending if name != 'cvat' else ''}"
    context = Context(label_map=LABEL_MAP, videos=VIDEOS)
    writer_named(name)(path, sample, context=context)
    assert format_of(path) == ("ava" if name == "ava-kinetics" else name)
    found = read_annotations(path, context=context)
    key = ["video_id", "timestamp_us", "person_id", "class_id"]
    assert (
        found.boxes.select("video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id")
        .sort(*key[:2], "class_id")
        .equals(
            sample.boxes.select("video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id").sort(
                *key[:2], "class_id"
            )
        )
    )
    columns = ["video_id", "start_us", "end_us", "class_id"]
    assert found.clips.select(columns).sort("video_id").equals(sample.clips.select(columns).sort("video_id"))


@pytest.fixture
def files(tmp_path):
    made = made_by("test", arguments={}, inputs={})
    videos = VIDEOS.drop("url", "split").with_columns(
        pl.lit("0" * 64).alias("sha256"), pl.lit(1).alias("size_bytes"), pl.lit("mp4").alias("container"),
        pl.lit("h264").alias("codec"), pl.lit(0).alias("rotation_deg"), pl.lit(value=False).alias("is_vfr"),
        pl.lit(0).alias("start_us"), pl.lit(value=False).alias("has_audio"),
        pl.lit(None, dtype=pl.String).alias("title"), pl.lit("folder").alias("source"),
    )  # fmt: skip
    write_table(tmp_path / "work/videos.parquet", "videos", videos, made_by=made)
    write_table(tmp_path / "work/label_map.parquet", "label_map", LABEL_MAP, made_by=made)
    writer_named("ava")(tmp_path / "val.csv", SAMPLES["boxes"], context=Context())
    writer_named("label-map")(tmp_path / "map.pbtxt", SAMPLES["classes"], context=Context())
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_ava_to_cvat_and_back(files):
    extra = ["--label-map", files / "map.pbtxt", "--videos", files / "work"]
    there = run("convert", files / "val.csv", files / "cvat", "--to", "cvat", *extra)
    assert there.exit_code == 0, there.output
    assert there.output.startswith("ava to cvat: 2 videos, 0 clips, 3 boxes, 2 classes; written: ")
    back = run("convert", files / "cvat", files / "back.csv", "--to", "ava", *extra, "--json")
    assert json.loads(back.output)["num_boxes"] == 3
    assert read_ava_csv(files / "back.csv").drop("line").equals(read_ava_csv(files / "val.csv").drop("line"))


def test_what_is_missing_is_named(files):
    nameless = run("convert", files / "val.csv", files / "out.json", "--to", "coco-vid")
    assert "class 1 has no name. Give a label map that names it (--label-map)" in nameless.output
    bare = run("convert", files / "val.csv", files / "out.json", "--to", "coco-vid", "--label-map", files / "map.pbtxt")
    assert bare.exit_code == 2
    assert "--videos" in bare.output
    boxes = run("convert", files / "val.csv", files / "out.json", "--to", "activitynet")
    assert "boxes" in boxes.output
    assert boxes.exit_code == 2
    assert not (files / "out.json").exists()


def test_nothing_is_written_over_unasked(files):
    again = run("convert", files / "val.csv", files / "map.pbtxt", "--to", "ava")
    assert again.exit_code == 2
    assert "there is something here already. Name another target, or give --force" in again.output
    assert run("convert", files / "val.csv", files / "map.pbtxt", "--to", "ava", "--force").exit_code == 0


def test_the_list_names_every_format():
    shown = run("convert", "--list").output
    assert [line.split()[0] for line in shown.splitlines()] == list(FORMATS)


def test_a_file_of_no_known_format(files):
    (files / "odd.json").write_text('{"a": 1}')
    result = run("convert", files / "odd.json", files / "x.csv", "--to", "ava")
    assert result.exit_code == 2
    assert "odd.json: it looks like no format that is known. Name its format: --from" in result.output


def test_a_work_folder_is_exported(files):
    made = made_by("test", arguments={}, inputs={})
    work = files / "work"
    clips = TIMED.with_columns(pl.Series("clip_id", ["c1", "c2"])).select("clip_id", "video_id", "start_us", "end_us")
    kept = clips.select("clip_id", "video_id").with_columns(pl.Series("class_id", [1, 2]))
    write_table(table_path(work, "clips"), "clips", clips, made_by=made)
    write_table(table_path(work, "kept"), "kept", kept, made_by=made)
    done = run("export", work, files / "out.csv", "--to", "kinetics")
    assert done.exit_code == 0, done.output
    assert (files / "out.csv").read_text().splitlines()[1:] == ["clap,-a,0,10", "wave,b,2,12"]
    assert annotations_of(work).videos["fps_num"].to_list() == [25, 25]
    unsplit = run("export", work, files / "o.csv", "--to", "kinetics", "--split", "test")
    assert "there are no splits here" in unsplit.output


def test_a_card_is_written_with_its_release_only(files):
    result = run(
        "convert", files / "val.csv", files / "c.json", "--to", "croissant", "--label-map", files / "map.pbtxt"
    )
    assert result.exit_code == 2
    assert "croissant is not written from annotations alone. `gesta release` writes it" in result.output


def test_lists_name_videos_as_asked(files):
    (files / "list.txt").write_text("a/x.mp4 0\nb/x.mp4 1\n")
    doubled = run(
        "convert", files / "list.txt", files / "o.json", "--to", "label-studio", "--label-map", files / "map.pbtxt"
    )
    assert doubled.exit_code == 2
    done = run("convert", files / "list.txt", files / "again.txt", "--to", "path-labels", "--ids", "path")
    assert done.exit_code == 0, done.output
    assert (files / "again.txt").read_text() == (files / "list.txt").read_text()
