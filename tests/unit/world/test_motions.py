"""The world of motions: order alone tells a pair apart, splits share nobody, and the truth says what moves where."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.formats import read_kinetics_csv
from gesta.formats.video_folder import read_video_folder
from gesta.schema import BadInput, Refused, UnknownName
from gesta.tables import read_table, rows_of, sha256_of_file
from gesta.video import probe
from gesta.world import PAIRS, partner_of, render_motions
from gesta.world.motions import CLASSES, CONTROLS, clips_of, plan_groups, plan_motion

NUM_GROUPS = 4


@pytest.fixture(scope="module")
def motions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motions")
    render_motions(folder, seed=5, num_videos=NUM_GROUPS * len(CLASSES), workers=1)
    return folder


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def paths_by_id(folder: Path) -> dict[str, Path]:
    return {row.video_id: folder / row.path for row in rows_of("truth_videos", read_table(folder, "truth_videos"))}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_clip_of_the_second_class_decodes_to_the_first_ones_pictures_in_reverse_order(
    motions: Path, pair: tuple[str, str]
):
    paths = paths_by_id(motions)
    reversed_clips = read_table(motions, "truth_videos").filter(title=pair[1])
    assert reversed_clips.height == NUM_GROUPS
    for video_id, source in reversed_clips.select("video_id", "source_video_id").iter_rows():
        first, second = pictures(paths[source]), pictures(paths[video_id])
        assert paths[source].parent.name == pair[0]
        assert np.array_equal(second, first[::-1])
        assert len(first) % 2 == 1, "so that there is one frame in the middle, the same in both"
        assert np.abs(first[0].astype(int) - first[-1]).max() > 60, "something has moved"


def test_each_group_shows_every_class_once_and_splits_share_no_group(motions: Path):
    lists = {split: read_kinetics_csv(motions / f"{split}.csv") for split in ("train", "val", "test")}
    groups = {split: set(rows["video_id"].str.extract(r"_(g\d+)$", 1)) for split, rows in lists.items()}
    assert sum(len(found) for found in groups.values()) == len(set.union(*groups.values())) == NUM_GROUPS
    for split, rows in lists.items():
        assert set(rows["split"]) == {split}
        assert rows["label"].value_counts()["count"].to_list() == [len(groups[split])] * len(CLASSES)


def test_lists_folders_and_files_say_the_same(motions: Path):
    listed = pl.concat([read_kinetics_csv(motions / f"{split}.csv") for split in ("train", "val", "test")])
    folder = read_video_folder(motions / "videos")
    assert set(folder.label_map["name"]) == set(CLASSES)
    split_of = dict(listed.select(pl.col("video_id"), "split").iter_rows())
    assert {Path(path).stem: Path(path).parts[0] for path in folder.videos["path"]} == split_of
    assert folder.clips["split"].value_counts().sort("split")["count"].to_list() == [18, 36, 18]
    paths = paths_by_id(motions)
    for video_id, label, start_us, end_us in listed.select("video_id", "label", "start_us", "end_us").iter_rows():
        facts = probe(paths[video_id])
        assert paths[video_id].parent.name == label
        assert (start_us, end_us) == (0, pytest.approx(facts.duration_us, abs=2))
        assert (facts.width_px, facts.height_px) == (96, 72)


def boxes_of(folder: Path, label: str) -> list[pl.DataFrame]:
    ids = read_table(folder, "truth_videos").filter(title=label)["video_id"]
    boxes = read_table(folder, "truth_boxes").sort("timestamp_us")
    return [boxes.filter(video_id=video_id) for video_id in ids]


@pytest.mark.parametrize(
    ("label", "measure"),
    [
        ("moving right", pl.col("x1") + pl.col("x2")),
        ("moving left", -pl.col("x1") - pl.col("x2")),
        ("sitting down", pl.col("y1")),
        ("standing up", -pl.col("y1")),
        ("raising arms", -pl.col("y1")),
        ("lowering arms", pl.col("y1")),
        ("coming closer", pl.col("y2") - pl.col("y1")),
        ("going away", pl.col("y1") - pl.col("y2")),
    ],
)
def test_boxes_move_as_the_class_says(motions: Path, label: str, measure: pl.Expr):
    for boxes in boxes_of(motions, label):
        values = boxes.select(measure).to_series().to_list()
        assert values[-1] - values[0] > 0.04


def test_one_who_moves_or_pushes_faces_either_way():
    groups = plan_groups(seed=0, num_groups=20)
    for what in ("moving right", "pushing a crate", "opening a door"):
        assert {plan_motion(group, what, seed=0).facing for group in groups} == {-1, 1}


def test_movements_lie_in_their_clips_and_turn_with_them(motions: Path):
    actions = {row.video_id: row for row in rows_of("truth_actions", read_table(motions, "truth_actions"))}
    sources = read_table(motions, "truth_videos").drop_nulls("source_video_id")
    ends = {one: probe(path).duration_us for one, path in paths_by_id(motions).items()}
    for video_id, source in sources.select("video_id", "source_video_id").iter_rows():
        first, second = actions[source], actions[video_id]
        assert 0 <= first.start_us < first.end_us <= ends[source] + 2
        assert second.start_us == pytest.approx(ends[source] - first.end_us, abs=3)
        assert second.action == partner_of(first.action)


def test_a_larger_world_begins_with_the_people_of_a_smaller_one():
    few, many = plan_groups(seed=3, num_groups=4), plan_groups(seed=3, num_groups=40)
    assert [group.body for group in few] == [group.body for group in many[:4]]
    assert [group.scene_seed for group in few] == [group.scene_seed for group in many[:4]]
    assert [plan_motion(g, "sitting down", seed=3).num_frames for g in few] == [
        plan_motion(g, "sitting down", seed=3).num_frames for g in many[:4]
    ]
    counted = [sum(group.split == split for group in many) for split in ("train", "val", "test")]
    assert counted == [28, 4, 8]


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}


SOME = ("sitting down", "standing up", "doing push-ups")


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path):
    for name, workers in (("one", 1), ("two", 2)):
        render_motions(tmp_path / name, seed=2, num_videos=16, classes=SOME, workers=workers)
    one = bytes_of(tmp_path / "one")
    assert one == bytes_of(tmp_path / "two")
    assert sum(name.endswith(".mp4") for name in one) == 15, "16 videos have room for five groups of three"
    render_motions(tmp_path / "other", seed=3, num_videos=16, classes=SOME, workers=1)
    assert one["train.csv"] != bytes_of(tmp_path / "other")["train.csv"]


def test_a_second_run_does_nothing_and_a_lost_file_is_made_again(tmp_path: Path):
    render_motions(tmp_path, seed=1, num_videos=9, classes=SOME, workers=1)
    before = bytes_of(tmp_path)
    assert render_motions(tmp_path, seed=1, num_videos=9, classes=SOME, workers=1).was_current
    lost = next((tmp_path / "videos").rglob("*.mp4"))
    lost.unlink()
    (lost.parent / ".half.tmp.mp4").touch()
    assert not render_motions(tmp_path, seed=1, num_videos=9, classes=SOME, workers=1).was_current
    assert bytes_of(tmp_path) == before
    with pytest.raises(Refused, match="holds videos of another world"):
        render_motions(tmp_path, seed=1, num_videos=9, classes=("moving left", "moving right", *SOME[2:]), workers=1)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"num_videos": 53}, BadInput, r"2 groups of 18 clips. Want at least 54 videos"),
        ({"width_px": 95}, BadInput, "95x72 pixels. Want even sizes of at least 48"),
        ({"classes": ("sitting down",)}, BadInput, "'sitting down' without 'standing up'. Ask for both"),
        ({"classes": ("flying",)}, UnknownName, "flying"),
    ],
)
def test_what_cannot_be_rendered_is_refused(tmp_path: Path, more: dict, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        render_motions(tmp_path / "none", **{"seed": 0, "num_videos": 60, **more})
    assert not (tmp_path / "none").exists()


def test_half_a_pair_is_refused_also_with_the_other_classes(tmp_path: Path):
    with pytest.raises(BadInput, match="without 'moving left'"):
        render_motions(tmp_path, seed=0, num_videos=60, classes=(*SOME, "moving right"))


def test_no_plan_for_the_second_class_of_a_pair():
    with pytest.raises(ValueError, match="neither the first class"):
        plan_motion(plan_groups(seed=0, num_groups=3)[0], "closing a door", seed=0)


def test_ids_name_class_and_group_once():
    group = plan_groups(seed=0, num_groups=3)[1]
    clips = clips_of(group)
    assert [clip.label for clip in clips] == list(CLASSES)
    assert clips[1].video_id == "closing_a_door_g0001"
    assert clips[1].reverse_of == clips[0].video_id
    assert all(clip.reverse_of is None for clip in clips if clip.label in CONTROLS)


def test_the_verb_renders_motions_and_says_what_it_would(tmp_path: Path):
    words = ["world", str(tmp_path / "m"), "--kind", "motions", "--videos", "54", "--size", "64x48", "--json"]
    planned = CliRunner().invoke(main, [*words, "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert not (tmp_path / "m").exists()
    done = CliRunner().invoke(main, [*words, "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == json.loads(planned.output)
    assert json.loads(done.output)["num_test"] == 18
    wrong = CliRunner().invoke(main, [*words[:-2], "64by48"])
    assert wrong.exit_code == 2
    assert "'64by48' is no size; write it like 96x72" in wrong.output
