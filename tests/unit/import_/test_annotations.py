"""Annotation files made tables: the real ones, and small ones with every kind of flaw."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.formats import write_ava_csv, write_ava_kinetics_csv, write_kinetics_csv
from gesta.import_ import plan_import_annotations, run_import_annotations
from gesta.schema import BadInput, Candidate, Clip, LabelClass, Refused, Video, clip_id_of
from gesta.tables import (
    empty_frame,
    frame_of,
    made_by,
    read_rejects,
    read_table,
    rows_of,
    table_path,
    write_table,
)

MADE = made_by("mine", arguments={}, inputs={})
HEAD = "label,youtube_id,time_start,time_end,split\n"
KINETICS = HEAD + 'waving hand,-a,0,10,train\n"bowing",_b,5.5,15.5,train\nbowing,-a,0,10,train\n'
AVA = (
    "v,0902,0.1,0.2,0.3,0.4,12,5\nv,0902,0.1,0.2,0.3,0.4,17,5\nv,0902,0.5,0.5,0.9,0.9,12,3\n"
    "v,0000.25,0.1,0.2,0.3,0.4,80,0\nw,0903\n"
)  # fmt: skip
LABEL_MAP = 'item { name: "stand" id: 12 }\nitem { name: "carry" id: 17 }\nitem { name: "watch" id: 80 }\n'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "kinetics.csv").write_text(KINETICS)
    (folder / "ava.csv").write_text(AVA)
    (folder / "map.pbtxt").write_text(LABEL_MAP)
    return folder


def put_videos(work: Path, *ids: str) -> None:
    rows = [
        Video(
            video_id=video_id, path=f"{video_id}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
            width_px=4, height_px=4, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=9, start_us=0,
            duration_us=10**9, has_audio=False,
        )
        for video_id in ids
    ]  # fmt: skip
    write_table(table_path(work, "videos"), "videos", frame_of("videos", rows), made_by=MADE)


def everything(work: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work)): path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}


def rejects_of(work: Path) -> list[tuple[str, str, str]]:
    return read_rejects(work).select("reason", "path", "detail").rows()


def test_a_kinetics_file_becomes_clips_and_candidates(files: Path, tmp_path: Path) -> None:
    work = tmp_path / "new" / "work"
    summary = run_import_annotations(work, files=[files / "kinetics.csv"])
    assert summary.line == "import-annotations: kept 3, rejected 0"
    # Ids are those of the sorted labels, so that neither rows nor files decide them by their order.
    assert read_table(work, "label_map").rows() == [(1, "bowing", None), (2, "waving hand", None)]
    assert read_table(work, "clips").rows() == [
        ("-a_0000000000_0010000000", "-a", 0, 10_000_000),
        ("_b_0005500000_0015500000", "_b", 5_500_000, 15_500_000),
    ]
    assert read_table(work, "candidates").rows() == [
        ("-a_0000000000_0010000000", 1, "import", "", 1.0, None, None),
        ("-a_0000000000_0010000000", 2, "import", "", 1.0, None, None),
        ("_b_0005500000_0015500000", 1, "import", "", 1.0, None, None),
    ]
    assert not table_path(work, "key_frames").exists()


def test_an_ava_file_becomes_key_frames_and_accepted_labels(files: Path, tmp_path: Path) -> None:
    run_import_annotations(tmp_path / "work", files=[files / "ava.csv"], label_map=files / "map.pbtxt")
    work = tmp_path / "work"
    assert read_table(work, "clips").select("video_id", "start_us", "end_us").rows() == [
        ("v", 0, 1_250_000),
        ("v", 901_000_000, 903_000_000),
        ("w", 902_000_000, 904_000_000),
    ]
    assert read_table(work, "key_frames").drop("clip_id").rows() == [
        ("v", 250_000, 1.0, 1),
        ("v", 902_000_000, 1.0, 2),
        ("w", 903_000_000, 1.0, 0),
    ]
    labels = read_table(work, "box_labels")
    assert labels.select("timestamp_us", "person_id", "x1", "class_id", "verdict", "num_yes", "num_votes").rows() == [
        (250_000, 0, 0.1, 80, "accepted", 0, 0),
        (902_000_000, 3, 0.5, 12, "accepted", 0, 0),
        (902_000_000, 5, 0.1, 12, "accepted", 0, 0),
        (902_000_000, 5, 0.1, 17, "accepted", 0, 0),
    ]
    assert read_table(work, "candidates").is_empty()
    for table in ("clips", "key_frames", "box_labels"):
        rows_of(table, read_table(work, table))
    for row in rows_of("clips", read_table(work, "clips")):
        assert row.clip_id == clip_id_of(video_id=row.video_id, start_us=row.start_us, end_us=row.end_us)


def test_availability_says_which_videos_are_at_hand(files: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    put_videos(work, "-a", "v", "other")
    both = [files / "kinetics.csv", files / "ava.csv"]
    (files / "map.pbtxt").write_text(LABEL_MAP + 'item { name: "bowing" id: 1 } item { name: "waving hand" id: 2 }')
    summary = run_import_annotations(work, files=both, label_map=files / "map.pbtxt")
    assert read_table(work, "availability").select("file", "video_id", "num_rows", "is_present").rows() == [
        ("ava.csv", "v", 4, True),
        ("ava.csv", "w", 1, False),
        ("kinetics.csv", "-a", 2, True),
        ("kinetics.csv", "_b", 1, False),
    ]
    assert (summary.numbers["num_videos"], summary.numbers["num_videos_present"]) == (4, 2)
    assert (summary.kept, summary.rejected) == (8, {})


def test_flawed_rows_go_to_rejects_with_reason_and_line(files: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    extra = "v,0904,0.1,0.2,1.3,0.4,12,0\nv,0904,0.5,0.2,0.1,0.4,12,0\nv,0905,0.1,0.2,0.3,0.4,99,0\nw,903.0\n"
    (files / "ava.csv").write_text(AVA + extra)
    (files / "k2.csv").write_text(HEAD + "stand,x,10,10,val\nrun,x,0,10,val\ncarry,x,0,10,val\ncarry,x,0,10,val\n")
    summary = run_import_annotations(work, files=[files / "ava.csv", files / "k2.csv"], label_map=files / "map.pbtxt")
    assert summary.line == "import-annotations: kept 6, rejected 7 (box 2, class 2, interval 1, repeat 2)"
    assert rejects_of(work) == [
        ("box", "ava.csv", "line 6: the box 0.1 0.2 1.3 0.4 is inverted or leaves the frame"),
        ("box", "ava.csv", "line 7: the box 0.5 0.2 0.1 0.4 is inverted or leaves the frame"),
        ("class", "ava.csv", "line 8: class 99 is not in the label map"),
        ("class", "k2.csv", "line 3: the label 'run' is not in the label map"),
        ("interval", "k2.csv", "line 2: the clip ends at 10000000 us, not after its start at 10000000 us"),
        ("repeat", "ava.csv", "line 9: an earlier row says the same"),
        ("repeat", "k2.csv", "line 5: an earlier row says the same"),
    ]
    # A key-frame is there once a row names it; a person is there whatever the label says.
    boxes = dict(read_table(work, "key_frames").select("timestamp_us", "num_boxes").iter_rows())
    assert boxes[904_000_000] == 0
    assert boxes[905_000_000] == 1
    assert set(read_rejects(work)["stage"]) == {"import-annotations"}


@pytest.mark.parametrize(
    ("persons", "expected", "num_renumbered"),
    [
        (",7 ,7 ,4", [4, 7, 7], 0),
        (", , , ", [0, 0, 1], 0),
        (",-1,-1,-1", [0, 0, 1], 2),
        (",5,5,5", [0, 0, 1], 2),
        (",5,6,7", [0, 0, 1], 2),
    ],
    ids=["as given", "none given", "unknown", "one number for two boxes", "two numbers for one box"],
)
def test_persons_are_numbered_by_the_file_or_by_their_boxes(
    persons: str, expected: list[int], num_renumbered: int, files: Path, tmp_path: Path
) -> None:
    boxes = ["v,0902,0.1,0.2,0.3,0.4,12", "v,0902,0.1,0.2,0.3,0.4,17", "v,0902,0.5,0.5,0.9,0.9,12"]
    eighth = [cell.strip() for cell in persons.split(",")[1:]]
    lines = [f"{box},{cell}" if cell else box for box, cell in zip(boxes, eighth, strict=True)]
    (files / "ava.csv").write_text("\n".join(lines))
    summary = run_import_annotations(tmp_path, files=[files / "ava.csv"], label_map=files / "map.pbtxt")
    assert read_table(tmp_path, "box_labels")["person_id"].to_list() == expected
    assert summary.numbers["num_renumbered_boxes"] == num_renumbered


def test_the_real_k400_val_file(shared: Path, tmp_path: Path) -> None:
    source = shared / "annotations/kinetics/kinetics-400_val.csv"
    names = shared / "annotations/kinetics/label_map_k400.txt"
    summary = run_import_annotations(tmp_path, files=[source], label_map=names)
    assert summary.line == "import-annotations: kept 19,906, rejected 0"
    clips, candidates = read_table(tmp_path, "clips"), read_table(tmp_path, "candidates")
    assert len(clips) == len(candidates) == 19_906
    assert candidates["class_id"].n_unique() == 400
    back = candidates.join(clips, on="clip_id").join(read_table(tmp_path, "label_map"), on="class_id")
    rows = back.select(pl.col("name").alias("label"), "video_id", "start_us", "end_us", pl.lit("val").alias("split"))
    write_kinetics_csv(tmp_path / "back.csv", rows)
    lines = (tmp_path / "back.csv").read_text().splitlines()[1:]
    official = [line.rsplit(",", 1)[0] for line in source.read_text().splitlines()[1:]]
    assert sorted(lines) == sorted(official)


@pytest.mark.parametrize(
    ("name", "num_rows", "num_key_frames"),
    [("ava/ava_val_v2.1_4videos.csv", 11_874, 3_119), ("ava_kinetics/kinetics_val_v1.0_half.csv", 37_426, 15_808)],
)
def test_real_ava_files_come_back_from_the_tables(
    name: str, num_rows: int, num_key_frames: int, shared: Path, tmp_path: Path
) -> None:
    source, label_map = shared / "annotations" / name, shared / "annotations/ava/ava_action_list_v2.2.pbtxt"
    summary = run_import_annotations(tmp_path, files=[source], label_map=label_map)
    assert (summary.kept, summary.rejected) == (num_rows, {})
    assert summary.numbers["num_key_frames"] == num_key_frames
    write = write_ava_csv if name.startswith("ava/") else write_ava_kinetics_csv
    write(tmp_path / "back.csv", read_table(tmp_path, "box_labels"))
    official = [line for line in source.read_text().splitlines() if line.count(",") > 1]
    assert sorted((tmp_path / "back.csv").read_text().splitlines()) == sorted(official)


def test_three_real_files_merge_and_repeats_are_named(shared: Path, tmp_path: Path) -> None:
    folder = shared / "annotations/kinetics"
    files = [folder / f"kinetics-{name}.csv" for name in ("400_val", "600_val", "700_validate")]
    summary = run_import_annotations(tmp_path, files=files)
    total = 19_906 + 30_000 + 34_173
    assert summary.kept + sum(summary.rejected.values()) == total
    assert set(summary.rejected) == {"repeat"}
    assert summary.kept == len(read_table(tmp_path, "candidates"))
    assert read_table(tmp_path, "availability")["num_rows"].sum() == total


def test_a_second_run_has_nothing_to_do_and_order_of_rows_does_not_matter(files: Path, tmp_path: Path) -> None:
    arguments = {"files": [files / "kinetics.csv"]}
    first = run_import_annotations(tmp_path / "work", **arguments)
    before = everything(tmp_path / "work")
    again = run_import_annotations(tmp_path / "work", **arguments)
    assert again.was_current
    assert (again.kept, again.rejected, again.numbers) == (first.kept, first.rejected, first.numbers)
    assert everything(tmp_path / "work") == before
    header, *rows = KINETICS.splitlines(keepends=True)
    (files / "kinetics.csv").write_text(header + "".join(reversed(rows)))
    assert not run_import_annotations(tmp_path / "work", **arguments).was_current
    after = everything(tmp_path / "work")
    assert all(after[name] == before[name] for name in before if name.endswith(".parquet"))


def test_what_was_mined_stays_and_what_was_imported_is_replaced(files: Path, tmp_path: Path) -> None:
    clip = Clip(clip_id="z_0000000000_0004000000", video_id="z", start_us=0, end_us=4_000_000)
    mined = {
        "clips": [clip],
        "candidates": [Candidate(clip_id=clip.clip_id, class_id=1, source="title", query="bow", score=1.0)],
        "label_map": [LabelClass(class_id=1, name="bowing"), LabelClass(class_id=9, name="never asked for")],
    }
    for table, rows in mined.items():
        write_table(table_path(tmp_path, table), table, frame_of(table, rows), made_by=MADE)
    (files / "names.txt").write_text("bowing\nwaving hand\n")
    run_import_annotations(tmp_path, files=[files / "kinetics.csv"], label_map=files / "names.txt")
    assert len(read_table(tmp_path, "clips")) == 3
    assert read_table(tmp_path, "label_map")["class_id"].to_list() == [1, 2]
    (files / "other.csv").write_text(HEAD + "bowing,q,0,10,train\n")
    run_import_annotations(tmp_path, files=[files / "other.csv"], label_map=files / "names.txt")
    assert read_table(tmp_path, "clips")["video_id"].to_list() == ["q", "z"]
    assert read_table(tmp_path / "imported", "clips")["video_id"].to_list() == ["q"]
    (files / "names.txt").write_text("kicking\nbowing\n")
    with pytest.raises(BadInput, match=r"names\.txt: class 1 is 'kicking' here and 'bowing' in this work folder"):
        run_import_annotations(tmp_path, files=[files / "other.csv"], label_map=files / "names.txt")


def test_key_frames_of_an_earlier_import_go_with_it(files: Path, tmp_path: Path) -> None:
    run_import_annotations(tmp_path, files=[files / "ava.csv"], label_map=files / "map.pbtxt")
    run_import_annotations(tmp_path, files=[files / "kinetics.csv"])
    assert read_table(tmp_path, "key_frames").is_empty()
    assert read_table(tmp_path, "box_labels").is_empty()
    assert read_table(tmp_path, "clips")["video_id"].to_list() == ["-a", "_b"]


def test_an_ava_file_does_not_replace_what_another_stage_found(files: Path, tmp_path: Path) -> None:
    detected = made_by("detect", arguments={}, inputs={})
    write_table(table_path(tmp_path, "key_frames"), "key_frames", empty_frame("key_frames"), made_by=detected)
    before = everything(tmp_path)
    with pytest.raises(Refused, match=r"table 'key_frames' of `detect` stands here, .*Import into a folder of its own"):
        run_import_annotations(tmp_path, files=[files / "ava.csv"], label_map=files / "map.pbtxt")
    assert {name: data for name, data in everything(tmp_path).items() if name in before} == before
    assert not table_path(tmp_path, "clips").exists()


def test_what_cannot_be_meant_is_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"AVA files name classes by number, .*Give --label-map"):
        run_import_annotations(tmp_path, files=[files / "ava.csv"])
    with pytest.raises(BadInput, match=r"ava\.csv: the file is given twice\. Give it once"):
        run_import_annotations(tmp_path, files=[files / "ava.csv"] * 2, label_map=files / "map.pbtxt")
    with pytest.raises(BadInput, match=r"map\.pbtxt: this label-map file holds no labels"):
        run_import_annotations(tmp_path, files=[files / "map.pbtxt"])
    (files / "map.pbtxt").write_text('item { name: "bowing" id: 1 } item { name: "bowing" id: 2 }')
    with pytest.raises(BadInput, match=r"map\.pbtxt: the label 'bowing' stands for more than one id"):
        run_import_annotations(tmp_path, files=[files / "kinetics.csv"], label_map=files / "map.pbtxt")
    with pytest.raises(BadInput, match=r"no annotation file was given"):
        run_import_annotations(tmp_path, files=[])
    assert not (tmp_path / "clips.parquet").exists()


def test_other_formats_come_in_with_their_own_classes(files: Path, tmp_path: Path) -> None:
    put_videos(tmp_path, "v", "w")
    (files / "tool.json").write_text(
        '{"videos": [{"id": 1, "name": "v"}], "categories": [{"id": 7, "name": "stand"}, {"id": 9, "name": "wave"}],'
        '"images": [{"id": 1, "video_id": 1, "frame_id": 25, "file_name": "f", "width": 4, "height": 4}],'
        '"annotations": [{"id": 1, "image_id": 1, "video_id": 1, "category_id": 9, "instance_id": 3,'
        '"bbox": [1, 1, 2, 2], "area": 4}]}'
    )
    summary = run_import_annotations(tmp_path, files=[files / "tool.json"])
    assert summary.kept == 1
    assert read_table(tmp_path, "label_map").select("class_id", "name").rows() == [(7, "stand"), (9, "wave")]
    columns = ["video_id", "timestamp_us", "person_id", "x1", "y2", "class_id", "verdict"]
    assert read_table(tmp_path, "box_labels").select(columns).rows() == [("v", 1_000_000, 3, 0.25, 0.75, 9, "accepted")]
    assert plan_import_annotations(tmp_path, files=[files / "tool.json"]).kept == 1


def test_a_clip_over_a_whole_file_lasts_as_long_as_its_video(files: Path, tmp_path: Path) -> None:
    put_videos(tmp_path, "v")
    folder = files / "ucf"
    folder.mkdir()
    (folder / "classInd.txt").write_text("1 Wave\n2 Clap\n")
    (folder / "trainlist01.txt").write_text("Wave/v.avi 1\nClap/absent.avi 2\n")
    summary = run_import_annotations(tmp_path, files=[folder])
    assert read_table(tmp_path, "clips").select("video_id", "start_us", "end_us").rows() == [("v", 0, 10**9)]
    assert summary.rejected == {"interval": 1}
    assert rejects_of(tmp_path) == [
        ("interval", "ucf", "line 2: the file says no times, and how long the video is, is not known")
    ]
    assert run_import_annotations(tmp_path, files=[folder]).was_current
    (folder / "trainlist01.txt").write_text("Wave/v.avi 1\n")
    assert not run_import_annotations(tmp_path, files=[folder]).was_current


def test_files_that_number_their_classes_differently_are_not_mixed(files: Path, tmp_path: Path) -> None:
    for name, classes in (("a", "1 Wave"), ("b", "1 Clap")):
        (files / name).mkdir()
        (files / name / "classInd.txt").write_text(f"{classes}\n")
        (files / name / "trainlist01.txt").write_text(f"{classes[2:]}/{name}.avi 1\n")
    with pytest.raises(BadInput, match=r"class 1 is 'Wave' here and 'Clap'"):
        run_import_annotations(tmp_path, files=[files / "a", files / "b"])


def test_key_frames_without_boxes_need_no_label_map(files: Path, tmp_path: Path) -> None:
    (files / "test.csv").write_text("v,5.016949\n")
    summary = run_import_annotations(tmp_path, files=[files / "test.csv"])
    assert (summary.kept, summary.numbers["num_classes"]) == (1, 0)
    assert read_table(tmp_path, "key_frames")["timestamp_us"].to_list() == [5_016_949]


def test_files_of_one_name_are_told_apart_by_their_paths(files: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        (files / split).mkdir()
        (files / split / "k.csv").write_text(HEAD + f"bowing,{split},0,10,{split}\n")
    paths = [files / split / "k.csv" for split in ("train", "val")]
    run_import_annotations(tmp_path, files=paths)
    assert read_table(tmp_path, "availability")["file"].to_list() == [path.as_posix() for path in paths]


def test_a_plan_says_the_same_and_writes_nothing(files: Path, tmp_path: Path) -> None:
    plan = plan_import_annotations(tmp_path / "work", files=[files / "kinetics.csv"])
    assert not (tmp_path / "work").exists()
    done = run_import_annotations(tmp_path / "work", files=[files / "kinetics.csv"])
    assert (plan.kept, plan.rejected, plan.numbers) == (done.kept, done.rejected, done.numbers)


def test_the_verb_makes_the_work_folder_and_says_one_line_or_one_json(files: Path, tmp_path: Path) -> None:
    arguments = ["import", str(tmp_path / "work"), "--annotations", str(files / "kinetics.csv")]
    planned = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert planned.output == "import-annotations: kept 3, rejected 0\n"
    assert not (tmp_path / "work").exists()
    assert CliRunner().invoke(main, arguments).output == planned.output
    again = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert (again["was_current"], again["num_clips"]) == (True, 2)


def test_the_verb_imports_videos_and_annotations_together(files: Path, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "-a.mp4").write_bytes((shared / "videos/part_0.mp4").read_bytes())
    arguments = ["import", str(tmp_path / "work"), "--videos", str(tmp_path / "videos"), "--workers", "1"]
    arguments += ["--annotations", str(files / "kinetics.csv")]
    planned = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert planned.output == "import: kept 1, rejected 0\nimport-annotations: kept 3, rejected 0\n"
    done = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert (done["stage"], done["kept"], done["annotations"]["num_videos_present"]) == ("import", 1, 1)
    assert read_table(tmp_path / "work", "availability").filter(pl.col("is_present"))["video_id"].to_list() == ["-a"]


def test_the_verb_refuses_to_do_nothing(tmp_path: Path) -> None:
    nothing = CliRunner().invoke(main, ["import", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "Give --videos, --annotations, or both." in nothing.stderr
    (tmp_path / "map.txt").write_text("a\n")
    alone = CliRunner().invoke(
        main, ["import", str(tmp_path), "--videos", str(tmp_path), "--label-map", str(tmp_path / "map.txt")]
    )
    assert "--label-map belongs to --annotations." in alone.stderr
