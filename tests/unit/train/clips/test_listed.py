"""Lists of the world's data sets, and the files found for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.train.clips.conftest import pictures

from gesta.schema import BadInput, UnknownName
from gesta.train.clips import ClipFrames, ClipSet, clip_batches, open_clips, read_listed_clips, splits_of
from gesta.train.clips.frames import UNTIL_END_US


def put(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a video")
    return folder


def ucf(folder: Path) -> Path:
    folder.mkdir()
    (folder / "classInd.txt").write_text("1 Archery\n2 HandstandPushups\n")
    lists = {
        "trainlist01.txt": "Archery/v_Archery_g08_c01.avi 1\nHandStandPushups/v_HandStandPushups_g01_c01.avi 2\n",
        "testlist01.txt": "Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g01_c02.avi\n",
    }
    for name, text in lists.items():
        (folder / name).write_text(text.replace("HandStandPushups/", "HandstandPushups/"))
    return folder


def test_ucf_splits_find_their_files_without_regard_to_case(tmp_path: Path) -> None:
    videos = put(
        tmp_path / "videos", "Archery/v_Archery_g08_c01.avi", "HandstandPushups/v_HandstandPushups_g01_c01.avi",
        "Archery/v_Archery_g01_c01.avi",
    )  # fmt: skip
    clips, rejects = read_listed_clips(ucf(tmp_path / "lists"), videos=videos, split="train1")
    assert (clips.class_ids, clips.class_names) == ((1, 2), ("Archery", "HandstandPushups"))
    assert [one.path.relative_to(videos).as_posix() for one in clips.examples] == [
        "Archery/v_Archery_g08_c01.avi", "HandstandPushups/v_HandstandPushups_g01_c01.avi",
    ]  # fmt: skip
    assert [(one.label, one.start_us, one.end_us) for one in clips.examples] == [
        (0, 0, UNTIL_END_US), (1, 0, UNTIL_END_US),
    ]  # fmt: skip
    assert rejects == []
    test, missing = read_listed_clips(tmp_path / "lists", videos=videos, split="test01")
    assert len(test) == 1
    assert [(one.reason, one.video_id) for one in missing] == [("missing", "v_Archery_g01_c02")]
    assert test.class_names == clips.class_names


def test_hmdb_splits_are_read(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "wave_test_split1.txt").write_text("a_wave_0.avi 1\nb_wave_0.avi 2\nc_wave_0.avi 0\n")
    (lists / "clap_test_split1.txt").write_text("a_clap_0.avi 2\nb_clap_0.avi 1\n")
    videos = put(tmp_path / "videos", "wave/a_wave_0.avi", "wave/b_wave_0.avi", "clap/a_clap_0.avi", "b_clap_0.avi")
    train, rejects = read_listed_clips(lists, videos=videos, split="train1")
    assert [(one.video_id, train.class_names[one.label]) for one in train.examples] == [
        ("b_clap_0", "clap"), ("a_wave_0", "wave"),
    ]  # fmt: skip
    assert rejects == []


def kinetics(folder: Path) -> Path:
    path = folder / "val.csv"
    path.write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "play guitar,0wR5jVB-WPk,417,427,val\nriding a bike,-whole_file,3,13,val\nplay guitar,nowhere,0,10,val\n"
        "riding a bike,twice,5,15,val\nplay guitar,twice,5,15,val\n"
    )
    return path


def test_kinetics_files_are_found_by_their_usual_names(tmp_path: Path) -> None:
    videos = put(
        tmp_path / "videos", "play guitar/0wR5jVB-WPk_000417_000427.mp4", "riding_a_bike/-whole_file.mkv",
        "play_guitar/twice_000005_000015.mp4", "riding a bike/twice_000005_000015.mp4",
    )  # fmt: skip
    clips, rejects = read_listed_clips(kinetics(tmp_path), videos=videos)
    assert [
        (one.video_id, one.path.parent.name, one.start_us, one.end_us, clips.class_names[one.label])
        for one in clips.examples
    ] == [
        ("0wR5jVB-WPk", "play guitar", 0, 10_000_000, "play guitar"),
        ("-whole_file", "riding_a_bike", 3_000_000, 13_000_000, "riding a bike"),
        ("twice", "riding a bike", 0, 10_000_000, "riding a bike"),
        ("twice", "play_guitar", 0, 10_000_000, "play guitar"),
    ]
    assert clips.examples[0].clip_id == "0wR5jVB-WPk_0417000000_0427000000"
    assert [(one.reason, one.video_id) for one in rejects] == [("missing", "nowhere")]
    cut, _ = read_listed_clips(tmp_path / "val.csv", videos=videos, files="cut")
    assert (cut.examples[1].start_us, cut.examples[1].end_us) == (0, 10_000_000)


def test_class_folders_are_a_set_and_image_folders_stand_for_videos(tmp_path: Path, clips: ClipSet) -> None:
    import cv2

    for name in ("train/left/a", "train/right/b"):
        folder = tmp_path / "lists" / name
        folder.mkdir(parents=True)
    (tmp_path / "list.csv").write_text("label,youtube_id,time_start,time_end,split\nleft,a,0,2,train\n")
    for number, picture in enumerate(pictures(0)):
        cv2.imwrite(str(tmp_path / "lists/train/left/a" / f"img_{number + 1:05d}.png"), picture[..., ::-1])
    read, rejects = read_listed_clips(tmp_path / "list.csv", videos=tmp_path / "lists")
    assert (read.examples[0].path.name, rejects) == ("a", [])
    frames = ClipFrames(num_frames=4, rate=25, stride=3, side_px=64, crop_px=48)
    with clip_batches(read, frames=frames, augment=None, numbers=[[0]], seed=0, epoch=0, num_workers=0) as batches:
        (batch,) = batches
    # 50 images, of which the clip spans 10: it begins with number 20, and the grey grows by 2 with each.
    wanted = [pictures(0)[n][:, 8:56] for n in (20, 23, 26, 29)]
    assert all((batch.pixels_BTHWC[0, n].numpy() == picture).all() for n, picture in enumerate(wanted))


def test_a_video_folder_is_its_own_list(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "train/left/a.mp4", "train/right/b.mp4", "test/left/c.mp4")
    assert splits_of(data) == ("test", "train")
    clips, rejects = open_clips(data, split="train")
    assert [(one.video_id, one.label) for one in clips.examples] == [("a", 0), ("b", 1)]
    assert (clips.class_names, rejects) == (("left", "right"), [])
    with pytest.raises(BadInput, match=r"it has the splits test, train. Name one of them"):
        open_clips(data)


def test_wrong_wishes_are_refused(tmp_path: Path) -> None:
    videos = put(tmp_path / "videos", "Archery/v_Archery_g08_c01.avi")
    lists = ucf(tmp_path / "lists")
    with pytest.raises(UnknownName, match="no split 'train2'"):
        read_listed_clips(lists, videos=videos, split="train2")
    with pytest.raises(UnknownName, match="no choice of files 'trimmed'"):
        read_listed_clips(lists, videos=videos, split="train1", files="trimmed")
    with pytest.raises(BadInput, match="there is no such folder"):
        read_listed_clips(lists, videos=tmp_path / "nowhere", split="train1")
    with pytest.raises(BadInput, match="none of its 2 clips has a file below"):
        read_listed_clips(lists, videos=put(tmp_path / "empty", "x.mp4"), split="test1")
