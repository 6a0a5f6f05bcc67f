"""AVA's and AVA-Kinetics' files, joined to the videos by time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.unit.train.persons.person_films import film

from gesta.formats import read_ava_csv, read_kinetics_csv
from gesta.schema import BadInput, UnknownName
from gesta.train.persons import AvaSource, read_ava_persons

LABELS = """one,0002,0.1,0.1,0.5,0.9,1,7
one,0002,0.1,0.1,0.5,0.9,12,7
one,0002,0.5,0.1,1.2,0.9,80,3
one,3.500000
one,0004,0.2,0.2,0.4,0.4,5
two,12.500000,0.0,0.0,1.0,1.0,4
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film "one" of 5 s, a cut of "two" from 10 to 14 s, and "broken", which is no video."""
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "deep" / "one.mkv", seconds=5)
    film(folder / "two_000010_000014.mp4", seconds=4, number=1, size=(128, 64))
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


@pytest.fixture
def source(videos: Path, tmp_path: Path) -> Callable[..., AvaSource]:
    """A part with files of those texts."""

    def make(labels: str = LABELS, **texts) -> AvaSource:
        files = {}
        for name, text in {"labels": labels, **texts}.items():
            if name in ("part", "files", "stretch_us", "proposal_times", "videos"):
                files[name] = text
                continue
            files[name] = tmp_path / f"{name}.csv"
            files[name].write_text(text)
        return AvaSource(**{"part": "ava", "videos": videos} | files)

    return make


def test_persons_are_boxes_with_all_their_actions(source):
    persons, rejects = read_ava_persons([source()])
    first = persons.examples[0]
    assert [(one.video_id, one.timestamp_us) for one in persons.examples] == [
        ("one", 2_000_000), ("one", 3_500_000), ("one", 4_000_000), ("two", 12_500_000),
    ]  # fmt: skip
    assert first.boxes_N4.tolist() == [[0.1, 0.1, 0.5, 0.9], [0.5, 0.1, 1.0, 0.9]]
    assert first.person_ids == (7, 3)
    assert [np.flatnonzero(row).tolist() for row in first.targets_NK] == [[0, 11], [79]]
    assert first.weights_NK.min() == 1
    assert len(persons.class_ids) == 80
    assert persons.class_names[11] == "stand"
    assert rejects == []


def test_a_key_frame_without_people_is_an_example(source):
    persons, _ = read_ava_persons([source()])
    empty = persons.examples[1]
    assert empty.boxes_N4.shape == (0, 4)
    assert empty.targets_NK.shape == (0, 80)
    assert persons.accounting[0].num_no_persons == 1


def test_where_the_file_numbers_nobody_a_person_is_their_place(source):
    text = "one,2,0.1,0.1,0.5,0.9,1\none,2,0.5,0.1,0.6,0.9,1\none,2,0.1,0.1,0.5,0.9,3\n"
    persons, _ = read_ava_persons([source(text)])
    assert persons.examples[0].person_ids == (0, 1)


def test_a_cut_begins_at_the_time_its_name_says(source):
    persons, _ = read_ava_persons([source()])
    cut = persons.examples[3]
    assert (cut.file_start_us, cut.timestamp_us, cut.path.name) == (10_000_000, 12_500_000, "two_000010_000014.mp4")


@pytest.mark.parametrize("name", ["two_10_14", "two_000010_000014", "two_10.0_14.000", "two_0010000000_0014000000"])
def test_names_of_cuts_with_seconds_padded_or_not_and_microseconds(name: str, source, tmp_path: Path):
    folder = tmp_path / "cuts"
    film(folder / f"{name}.mp4", seconds=4)
    persons, _ = read_ava_persons([source("two,12.5,0,0,1,1,4\n", videos=folder)])
    assert persons.examples[0].file_start_us == 10_000_000


def test_ids_with_underscores_and_numbers_are_ids_first(source, tmp_path: Path):
    folder = tmp_path / "cuts"
    film(folder / "a_5_9.mp4", seconds=2)
    film(folder / "a_5_9_10_12.mp4", seconds=2)
    persons, _ = read_ava_persons([source("a_5_9,1,0,0,1,1,4\na_5_9,11,0,0,1,1,4\n", videos=folder)])
    assert [(one.path.name, one.file_start_us) for one in persons.examples] == [
        ("a_5_9.mp4", 0), ("a_5_9_10_12.mp4", 10_000_000),
    ]  # fmt: skip


def test_ids_that_differ_in_case_are_two_videos(source, tmp_path: Path):
    folder = tmp_path / "cases"
    film(folder / "aB.mp4", seconds=2)
    persons, rejects = read_ava_persons([source("aB,1,0,0,1,1,4\nAb,1,0,0,1,1,4\n", videos=folder)])
    assert [one.video_id for one in persons.examples] == ["aB"]
    assert [(one.reason, one.video_id) for one in rejects] == [("missing", "Ab")]


KINETICS = "label,youtube_id,time_start,time_end,split\nwash,two,10,14,train\nsit,two,40,50,train\nrun,one,1,3,train\n"


def test_a_file_called_by_the_id_alone_is_the_clip_where_it_is_as_short(source, tmp_path: Path):
    folder = tmp_path / "clips"
    film(folder / "two.mp4", seconds=4)
    text = "two,12.5,0,0,1,1,4\n"
    persons, _ = read_ava_persons([source(text, clip_labels=KINETICS, videos=folder)])
    only = persons.examples[0]
    assert (only.file_start_us, only.start_us, only.end_us) == (10_000_000, 10_000_000, 14_000_000)
    assert persons.clip_class_names[only.clip_label] == "wash"
    film(folder / "two.mp4", seconds=15)
    persons, _ = read_ava_persons([source(text, clip_labels=KINETICS, videos=folder)])
    only = persons.examples[0]
    assert (only.file_start_us, only.start_us, only.end_us) == (0, 10_000_000, 14_000_000)


def test_files_can_be_said_to_be_cut_or_whole(source, tmp_path: Path):
    folder = tmp_path / "clips"
    film(folder / "two.mp4", seconds=8)
    text = "two,12.5,0,0,1,1,4\n"
    persons, _ = read_ava_persons([source(text, clip_labels=KINETICS, videos=folder, files="cut")])
    assert persons.examples[0].file_start_us == 10_000_000
    with pytest.raises(
        BadInput, match=r"none of 1 key-frames can be used: ava: 0 excluded, 0 not included, 0 without "
    ):
        read_ava_persons([source(text, clip_labels=KINETICS, videos=folder, files="whole")])


def test_of_two_clips_of_a_video_the_one_that_holds_the_key_frame_counts(source, tmp_path: Path):
    folder = tmp_path / "clips"
    film(folder / "two_10_14.mp4", seconds=4)
    film(folder / "two_40_44.mp4", seconds=4)
    text = "two,12.5,0,0,1,1,4\ntwo,42,0,0,1,1,4\n"
    persons, _ = read_ava_persons([source(text, clip_labels=KINETICS, videos=folder)])
    assert [persons.clip_class_names[one.clip_label] for one in persons.examples] == ["wash", "sit"]
    assert [one.path.name for one in persons.examples] == ["two_10_14.mp4", "two_40_44.mp4"]
    assert persons.clip_class_names == ("run", "sit", "wash")


def test_a_key_frame_outside_its_clip_has_no_clip_label(source):
    persons, _ = read_ava_persons([source("one,4,0,0,1,1,4\none,2,0,0,1,1,4\n", clip_labels=KINETICS)])
    assert [(one.timestamp_us, one.clip_label) for one in persons.examples] == [(2_000_000, 0), (4_000_000, -1)]


def test_everything_dropped_is_counted_and_said(source):
    text = LABELS + "gone,5,0,0,1,1,4\ngone,6,0,0,1,1,4\nbroken,5,0,0,1,1,4\ntwo,30,0,0,1,1,4\none,9,0,0,1,1,4\n"
    text += "one,0002,0.7,0.2,0.6,0.9,80,3\n"
    found = source(text, excluded="one,3.5\none,77\n", included="2\n3.5\n12.5\n30\n5\n6\n9\n")
    persons, rejects = read_ava_persons([found])
    account = persons.accounting[0]
    parts = ("num_excluded", "num_not_included", "num_video_missing", "num_outside_video", "num_used")
    assert account.num_listed == sum(getattr(account, name) for name in parts)
    # Each of the four videos has a key-frame at each of the seven times; "one" has one more at 4 s.
    assert account.num_listed == 4 * 7 + 1
    assert (account.num_excluded, account.num_not_included, account.num_video_missing) == (1, 1, 14)
    assert [(one.video_id, one.timestamp_us) for one in persons.examples] == [("one", 2_000_000), ("two", 12_500_000)]
    assert (account.num_videos_listed, account.num_videos_found) == (4, 2)
    said = {(one.reason, one.video_id): one.detail for one in rejects}
    assert said["missing", "gone"].startswith("7 key-frames without a file that can be opened, the first at 2.000000 s")
    assert said["not-video", "broken"].startswith("7 key-frames without a file that can be opened")
    assert said["outside", "one"] == "5 key-frames outside the video's file, the first at 5.000000 s"
    assert said["excluded", "one"] == "1 key-frames excluded by the list, the first at 3.500000 s"
    assert said["not-included", "one"].startswith("1 key-frames not in the list of included timestamps")
    assert said["box", "one"].startswith("1 key-frames with a box without area")
    assert account.num_boxes_bad == 1


def test_included_timestamps_give_every_film_its_key_frames(source):
    persons, _ = read_ava_persons([source("one,2,0,0,1,1,4\n", included="1\n2\n3\n")])
    assert [(one.timestamp_us, len(one.boxes_N4)) for one in persons.examples] == [
        (1_000_000, 0), (2_000_000, 1), (3_000_000, 0),
    ]  # fmt: skip


PROPOSALS = "one,2,0.1,0.1,0.5,0.88,0.95\none,2,0.5,0.1,0.9,0.7,0.99\none,3.5\n"


def test_proposals_belong_to_their_key_frame_to_the_microsecond(source):
    persons, rejects = read_ava_persons([source(proposals=PROPOSALS + "one,4.000001,0,0,1,1,0.9\n")])
    assert [len(one.proposals_M5) for one in persons.examples] == [2, 0, 0, 0]
    assert persons.examples[0].proposals_M5[:, 4].tolist() == [0.95, 0.99]
    assert persons.accounting[0].num_no_proposals == 2
    assert [(one.reason, one.video_id) for one in rejects] == [("no-proposals", "one"), ("no-proposals", "two")]


def test_proposals_of_whole_seconds_can_be_said_to_be_truncated(source):
    persons, _ = read_ava_persons([source(proposals="two,12,0,0,1,1,0.9\n", proposal_times="truncated")])
    assert [len(one.proposals_M5) for one in persons.examples] == [0, 0, 0, 1]


def test_eight_columns_are_pyslowfasts_boxes_each_once(source):
    text = "one,0002,0.1,0.1,0.5,0.9,12,0.95\none,0002,0.1,0.1,0.5,0.9,14,0.95\none,0002,0.6,0.1,0.9,0.9,,0.5\n"
    persons, _ = read_ava_persons([source(proposals=text)])
    assert persons.examples[0].proposals_M5.tolist() == [[0.1, 0.1, 0.5, 0.9, 0.95], [0.6, 0.1, 0.9, 0.9, 0.5]]


def test_a_subset_of_classes_carries_names_and_keeps_the_others_as_negatives(source):
    persons, _ = read_ava_persons([source()], class_ids=[80, 12])
    assert persons.class_ids == (80, 12)
    assert persons.class_names == ("watch (a person)", "stand")
    assert persons.examples[0].targets_NK.tolist() == [[0, 1], [1, 0]]
    assert persons.examples[2].targets_NK.tolist() == [[0, 0]]
    dropped, _ = read_ava_persons([source()], class_ids=[80, 12], outside="drop")
    assert dropped.examples[2].boxes_N4.shape == (0, 4)
    assert len(dropped) == len(persons)


def test_labels_that_no_label_map_names_are_counted(source):
    persons, _ = read_ava_persons([source(label_map='item { name: "stand" id: 12 }\n')])
    assert persons.class_names == ("stand",)
    assert persons.examples[0].targets_NK.tolist() == [[1], [0]]
    assert persons.accounting[0].num_labels_unknown == 4


def test_parts_keep_their_names_and_accounts(source, videos: Path):
    more = source("two,13,0,0,1,1,4\n")
    labels = more.labels.rename(more.labels.with_name("kinetics.csv"))
    kinetics = AvaSource(part="kinetics", labels=labels, videos=videos)
    persons, _ = read_ava_persons([source(), kinetics])
    assert persons.parts == ("ava", "kinetics")
    assert [(one.part, one.num_used) for one in persons.accounting] == [("ava", 4), ("kinetics", 1)]


def test_what_cannot_be_meant_is_refused(source, videos: Path, tmp_path: Path):
    with pytest.raises(BadInput, match=r"parts \['ava', 'ava'\]. Give at least one part, each with a name of its own"):
        read_ava_persons([source(), source()])
    with pytest.raises(BadInput, match=r"no class 81. Want each once, out of 1, 2, 3"):
        read_ava_persons([source()], class_ids=[81])
    with pytest.raises(BadInput, match=r"there is no such folder. Name the folder of the videos"):
        read_ava_persons([source(videos=tmp_path / "nowhere")])
    with pytest.raises(UnknownName, match=r"no choice of files 'trimmed'. There are: auto, cut, whole"):
        AvaSource(part="x", labels=tmp_path, videos=videos, files="trimmed")
    with pytest.raises(UnknownName, match=r"no choice of proposal times 'rounded'"):
        AvaSource(part="x", labels=tmp_path, videos=videos, proposal_times="rounded")
    with pytest.raises(BadInput, match=r"files that hold a clip alone, and no times of the clips. Give the csv"):
        AvaSource(part="x", labels=tmp_path, videos=videos, files="cut")
    with pytest.raises(UnknownName, match=r"no way with persons outside the classes 'hide'"):
        read_ava_persons([source()], class_ids=[1], outside="hide")


def test_reading_is_the_same_wherever_files_lie_and_says_if_labels_change(source, tmp_path: Path):
    one, _ = read_ava_persons([source()])
    film(tmp_path / "elsewhere" / "one.mp4", seconds=5)
    film(tmp_path / "elsewhere" / "two_10_14.mp4", seconds=4)
    same, _ = read_ava_persons([source(videos=tmp_path / "elsewhere")])
    other, _ = read_ava_persons([source(LABELS.replace(",80,3", ",79,3"))])
    assert one.sha256 == same.sha256 != other.sha256


def test_ava_kinetics_as_published(shared: Path, tmp_path: Path):
    labels = shared / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv"
    clips = shared / "annotations/kinetics/kinetics-700_validate.csv"
    rows = read_ava_csv(labels)
    for video_id in rows["video_id"].unique():
        (tmp_path / f"{video_id}.mp4").touch()
    source = AvaSource(part="kinetics", labels=labels, videos=tmp_path, clip_labels=clips, files="whole")
    persons, rejects = read_ava_persons([source], checks_videos=False)
    assert rejects == []
    assert len(persons) == rows.select("video_id", "timestamp_us").n_unique() == 15808
    assert (
        persons.num_persons
        == rows.drop_nulls("x1").select("video_id", "timestamp_us", "x1", "y1", "x2", "y2").n_unique()
    )
    # Every key-frame lies in a clip of Kinetics-700, though 28 videos have two.
    assert all(one.clip_label >= 0 for one in persons.examples)
    assert np.median([one.end_us - one.start_us for one in persons.examples]) == 10_000_000
    assert sum(one.timestamp_us % 1_000_000 > 0 for one in persons.examples) > 5000
    with_people = rows.drop_nulls("x1").select("video_id", "timestamp_us").n_unique()
    assert persons.accounting[0].num_no_persons == 15808 - with_people > 4000
    assert len(persons.clip_class_names) == read_kinetics_csv(clips)["label"].n_unique() == 700


def test_ava_as_published(shared: Path, tmp_path: Path):
    folder = shared / "annotations/ava"
    rows = read_ava_csv(folder / "ava_val_v2.1_4videos.csv")
    for video_id in rows["video_id"].unique():
        (tmp_path / f"{video_id}.mkv").touch()
    source = AvaSource(
        part="ava", labels=folder / "ava_val_v2.1_4videos.csv", videos=tmp_path,
        excluded=folder / "ava_val_excluded_timestamps_v2.2.csv",
        included=folder / "ava_included_timestamps_v2.2.txt", label_map=folder / "ava_action_list_v2.2.pbtxt",
    )  # fmt: skip
    persons, _ = read_ava_persons([source], checks_videos=False)
    account = persons.accounting[0]
    assert account.num_listed == 4 * 897
    assert account.num_used + account.num_excluded == 4 * 897
    assert account.num_excluded == 3
    kept = rows.filter(~((pl.col("video_id") == "5BDj0ow5hnA") & pl.col("timestamp_us").is_in([1038000000])))
    assert account.num_persons <= kept.select("video_id", "timestamp_us", "x1", "y1", "x2", "y2").n_unique()
    labels_of = {
        (one.video_id, one.timestamp_us): int(one.targets_NK.sum()) for one in persons.examples if len(one.boxes_N4)
    }
    lines = (
        rows.unique(["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"])
        .group_by("video_id", "timestamp_us")
        .len()
    )
    assert all(
        labels_of[video_id, time_us] == num
        for video_id, time_us, num in lines.iter_rows()
        if (video_id, time_us) in labels_of
    )


def test_mmaction2s_own_small_data_set(shared: Path, tmp_path: Path):
    folder = shared / "golden/mmaction2_ava_dataset"
    for video_id in ("0f39OWEqJ24", "_-Z6wFjXtGQ"):
        (tmp_path / f"{video_id}.mp4").touch()
    source = AvaSource(
        part="ava", labels=folder / "ava_sample.csv", videos=tmp_path, label_map=folder / "action_list.txt",
        excluded=folder / "ava_excluded_timestamps_sample.csv", proposals=folder / "ava_proposals_sample.pkl",
    )  # fmt: skip
    persons, _ = read_ava_persons([source], checks_videos=False)
    # MMAction2's test of the same files finds one key-frame, its box and its three classes.
    only = persons.examples[0]
    assert (len(persons), only.video_id, only.timestamp_us) == (1, "0f39OWEqJ24", 902_000_000)
    assert only.boxes_N4.tolist() == [[0.031, 0.162, 0.67, 0.995]]
    assert only.targets_NK.tolist() == [[1, 1, 1, 0]]
    assert only.proposals_M5.tolist() == [[0.011, 0.157, 0.655, 0.983, 0.998163]]
