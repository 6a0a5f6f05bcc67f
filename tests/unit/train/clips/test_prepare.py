"""Prepared clips: the same pixels as from the videos, whole, resumable, and refused where they do not fit."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path

import pytest
import torch
from tests.unit.train.clips.clip_sets import broken

from gesta.schema import BadInput, BadVideo, Refused, UnknownName
from gesta.tables import read_rejects
from gesta.train.clips import (
    ClipAugment,
    ClipFrames,
    ClipSet,
    clip_batches,
    open_clips,
    open_prepared,
    plan_prepare,
    read_tar_clips,
    run_prepare,
    splits_of,
)

FRAMES = ClipFrames(num_frames=6, stride=2, rate=12.5, side_px=48, crop_px=24)


def pixels_of(clips: ClipSet, *, frames: ClipFrames = FRAMES) -> torch.Tensor:
    numbers = [list(range(len(clips)))]
    with clip_batches(
        clips, frames=frames, augment=ClipAugment(), numbers=numbers, seed=3, epoch=1, num_workers=0
    ) as batches:
        return next(iter(batches)).pixels_BTHWC


def prepare(clips: ClipSet, out: Path, **others):
    return run_prepare(clips, **({"out": out, "form": "uint8", "frames": FRAMES, "clips_per_shard": 4} | others))


@pytest.mark.parametrize("frames", [FRAMES, dataclasses.replace(FRAMES, modality="flow")], ids=["rgb", "flow"])
def test_raw_frames_give_the_very_batches_that_the_videos_give(
    clips: ClipSet, tmp_path: Path, frames: ClipFrames
) -> None:
    summary = prepare(clips, tmp_path, frames=frames)
    num = 25 if frames.modality == "rgb" else 24
    assert (summary.kept, summary.numbers["size_bytes"]) == (6, 6 * num * 48 * 36 * frames.num_channels)
    prepared = open_prepared(tmp_path, frames=frames, verify=True)
    assert (prepared.sha256, prepared.class_names) == (clips.sha256, clips.class_names)
    assert torch.equal(pixels_of(prepared, frames=frames), pixels_of(clips, frames=frames))


@pytest.mark.parametrize("form", ["tar", "short-gop"])
def test_short_videos_give_nearly_the_same_batches(clips: ClipSet, tmp_path: Path, form: str) -> None:
    prepare(clips, tmp_path, form=form)
    prepared = open_prepared(tmp_path, frames=FRAMES, verify=True)
    difference = (pixels_of(prepared).int() - pixels_of(clips).int()).abs().float()
    assert difference.mean() < 4
    assert prepared.sha256 == clips.sha256


def test_sizes_are_estimated_and_nothing_is_written(clips: ClipSet, tmp_path: Path) -> None:
    plan = plan_prepare(clips, form="uint8", frames=FRAMES)
    assert plan == {
        "num_clips": 6, "form": "uint8", "size_bytes": 6 * 25 * 48 * 36 * 3, "num_tried": 6, "num_unreadable": 0,
    }  # fmt: skip
    assert 0 < plan_prepare(clips, form="tar", frames=FRAMES)["size_bytes"] < plan["size_bytes"]


def test_a_cut_run_makes_only_what_is_missing(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path / "whole")
    prepare(clips, tmp_path / "cut")
    (tmp_path / "cut" / "prepared.json").unlink()
    first, second = (tmp_path / "cut" / "shards" / name for name in ("000000.u8", "000001.u8"))
    before = first.stat().st_mtime_ns
    second.unlink()
    done: list[int] = []
    prepare(clips, tmp_path / "cut", on_clips=done.append)
    assert done == [4, 2]
    assert first.stat().st_mtime_ns == before
    for path in sorted((tmp_path / "whole").rglob("*")):
        if path.is_file() and path.suffix != ".parquet":
            assert path.read_bytes() == (tmp_path / "cut" / path.relative_to(tmp_path / "whole")).read_bytes(), path


def test_workers_write_the_same_bytes(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path / "one")
    prepare(clips, tmp_path / "two", num_workers=2)
    for name in ("prepared.json", "shards/000000.u8", "shards/000001.u8"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_finished_cache_is_checked_by_its_hashes(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path)
    assert prepare(clips, tmp_path).was_current
    shard = tmp_path / "shards" / "000001.u8"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    assert len(open_prepared(tmp_path)) == 6, "sizes are as they were"
    with pytest.raises(BadInput, match=r"000001\.u8: the cache was changed: the file's hash is another"):
        prepare(clips, tmp_path)
    shard.write_bytes(content[:-1])
    with pytest.raises(BadInput, match=r"the cache is not whole: 259,199 bytes, want 259,200 bytes"):
        open_prepared(tmp_path)
    assert not prepare(clips, tmp_path).was_current
    assert prepare(clips, tmp_path).was_current
    listed = tmp_path / "clips.jsonl"
    listed.write_text(listed.read_text().replace('"label": 1', '"label": 0'))
    with pytest.raises(BadInput, match="the list of clips is missing or was changed"):
        open_prepared(tmp_path)
    assert not prepare(clips, tmp_path).was_current
    assert [one.label for one in open_prepared(tmp_path).examples] == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rate": 25.0}, "it holds rate 12.5, and the model wants rate 25"),
        ({"side_px": 64}, "it holds side_px 48, and the model wants side_px 64"),
        ({"modality": "flow"}, "it holds modality rgb, and the model wants modality flow"),
        ({"crop_px": 40}, "its clip clip0 has 48x36 px, and the model wants 53x40 px"),
    ],
)
def test_a_cache_that_does_not_fit_is_refused(
    clips: ClipSet, tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    prepare(clips, tmp_path)
    wanted = dataclasses.replace(FRAMES, **changes)
    with pytest.raises(BadInput, match=problem):
        open_prepared(tmp_path, frames=wanted)


def test_what_a_recipe_may_choose_freely_fits(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path)
    freely = dataclasses.replace(FRAMES, num_frames=3, stride=1, crop_px=16, mean_rgb=(0.1, 0.2, 0.3))
    assert pixels_of(open_prepared(tmp_path, frames=freely), frames=freely).shape == (6, 3, 16, 16, 3)


def test_a_short_video_must_have_the_rate(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path, form="short-gop")
    with pytest.raises(BadInput, match=r"it holds 12\.5 frames a second, and the model wants 25"):
        open_prepared(tmp_path, frames=dataclasses.replace(FRAMES, rate=25.0))


def test_prepared_clips_are_opened_by_folder_and_split_and_no_other(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path / "cache" / "train")
    for data, split in ((tmp_path / "cache", "train"), (tmp_path / "cache" / "train", None)):
        assert open_clips(data, split=split, frames=FRAMES)[0].sha256 == clips.sha256
    assert splits_of(tmp_path / "cache") == ("train",)
    assert open_clips(tmp_path / "cache" / "train", split="train")[0].sha256 == clips.sha256
    with pytest.raises(BadInput, match="these prepared clips are one split, called 'train', and 'val' is asked for"):
        open_clips(tmp_path / "cache" / "train", split="val")


def test_unreadable_clips_are_rejects(clips: ClipSet, tmp_path: Path) -> None:
    summary = prepare(broken(clips, [1], tmp_path), tmp_path / "cache")
    assert (summary.kept, summary.rejected) == (5, {"not-video": 1})
    assert read_rejects(tmp_path / "cache").select("stage", "clip_id").rows() == [("prepare", "clip1")]
    prepared = open_prepared(tmp_path / "cache")
    assert [one.clip_id for one in prepared.examples] == ["clip0", "clip2", "clip3", "clip4", "clip5"]
    assert prepared.sha256 != clips.sha256


def test_another_set_does_not_overwrite(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path)
    with pytest.raises(Refused, match="holds clips prepared from something else"):
        prepare(clips, tmp_path, frames=dataclasses.replace(FRAMES, side_px=64))
    with pytest.raises(UnknownName, match="no form 'zip'"):
        prepare(clips, tmp_path, form="zip")
    with pytest.raises(BadInput, match="flow cannot be prepared as tar"):
        prepare(clips, tmp_path, form="tar", frames=dataclasses.replace(FRAMES, modality="flow"))


def test_tar_shards_are_webdataset_s_layout_and_read_without_the_rest(clips: ClipSet, tmp_path: Path) -> None:
    prepare(clips, tmp_path, form="tar")
    shards = sorted((tmp_path / "shards").glob("*.tar"))
    with tarfile.open(shards[0]) as shard:
        names = shard.getnames()
        assert names[:3] == ["00000000.mp4", "00000000.json", "00000000.cls"]
        assert json.loads(shard.extractfile("00000001.json").read())["clip_id"] == "clip1"
        assert shard.extractfile("00000001.cls").read() == b"1"
    read = read_tar_clips(shards)
    assert [(one.clip_id, one.label) for one in read.examples] == [(f"clip{n}", n % 2) for n in range(6)]
    assert (read.class_ids, read.class_names) == ((3, 7), ("to the right", "to the left"))
    assert torch.equal(pixels_of(read), pixels_of(open_prepared(tmp_path)))


def test_foreign_tar_shards_are_read(clips: ClipSet, tmp_path: Path) -> None:
    shard = tmp_path / "train-0.tar"
    with tarfile.open(shard, "w") as stream:
        for number, (key, label) in enumerate((("a/x", "wave"), ("a/y", "clap"))):
            stream.add(clips.examples[number].path, arcname=f"{key}.mp4")
            (tmp_path / "label.txt").write_text(f"{label}\n")
            stream.add(tmp_path / "label.txt", arcname=f"{key}.txt")
    read, rejects = open_clips(shard)
    assert (read.class_names, [one.label for one in read.examples], rejects) == (("clap", "wave"), [1, 0], [])
    assert pixels_of(read).shape == (2, 6, 24, 24, 3)
    with tarfile.open(shard, "w") as stream:
        stream.add(clips.examples[0].path, arcname="x.mp4")
    other = tmp_path / "other.tar"
    shard.rename(other)
    with pytest.raises(BadInput, match="x says no class"):
        open_clips(other)
    other.write_bytes(b"this is no tar file" * 100)
    moved = other.rename(tmp_path / "bad.tar")
    with pytest.raises(BadVideo, match="cannot be read as a tar file"):
        open_clips(moved)
